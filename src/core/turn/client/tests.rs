//! The client's conversations with a server by script, over a network that loses, doubles and reorders.

mod hostile;
mod world;

use alloc::string::ToString;
use alloc::vec::Vec;

use self::world::{Arrived, World, elsewhere, mapped, peer, relayed};
use super::{Client, Credentials, Discovery, Event, Failure, Family, Granted, Refused};
use crate::limits::STUN_MESSAGE_MAX;
use crate::stun::{Algorithm, Class, Icmp, Message, Method, PasswordAlgorithm, Writer, attribute};
use crate::time::{Instant, Span};

/// A world with an allocation and a channel for `peer(1)`.
fn settled(seed: u64) -> World {
    let mut world = World::new(seed);
    assert_eq!(world.client.bind(peer(1), world.now), Some(0x4000));
    world.run_until(|event| matches!(event, Event::Bound { .. }));
    world
}

#[test]
fn who_knows_the_password_gets_an_allocation() {
    let mut world = World::new(1);
    let ready = world.run_until(|event| matches!(event, Event::Ready(_)));
    let granted = Granted { relayed: relayed(), mapped: mapped(), lifetime: Span::from_secs(600) };
    assert_eq!((ready, world.client.granted()), (Event::Ready(granted), Some(&granted)));
    assert_eq!(world.server.asked, [(Method::ALLOCATE, Some(Algorithm::Sha1))]);
}

#[test]
fn over_a_bad_network_everyone_gets_an_allocation_a_channel_and_a_permission() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        (world.loss, world.doubling) = (150_000, 200_000);
        world.client.bind(peer(1), world.now);
        world.client.permit(peer(2).ip(), world.now);
        world.run_until(|event| matches!(event, Event::Bound { .. }));
        world.run_until(|event| matches!(event, Event::Permitted { .. }));
        let times = world.server.times_asked(Method::ALLOCATE);
        assert_eq!(times, 1, "seed {seed}: what is sent again is the same request");
    }
}

#[test]
fn what_is_granted_is_kept_for_hours() {
    for seed in 0..20 {
        let mut world = settled(seed);
        world.client.permit([192, 0, 2, 200].into(), world.now);
        (world.loss, world.doubling) = (100_000, 50_000);
        // Nonces end, as they do.
        world.server.nonce_life = Span::from_secs(700);
        for minute in 0..180 {
            world.run_for(Span::from_secs(60));
            world.server.expire(world.now);
            let allocation = world.server.allocation.as_ref();
            let allocation =
                allocation.unwrap_or_else(|| panic!("seed {seed}, minute {minute}: it has ended"));
            assert_eq!(allocation.permissions.len(), 2, "seed {seed}, minute {minute}");
            assert_eq!(allocation.channels.len(), 1, "seed {seed}, minute {minute}");
        }
        // Once for all three hours: what is refreshed is no news.
        assert_eq!(world.events.len(), 3, "seed {seed}: {:?}", world.events);
    }
}

#[test]
fn nothing_is_asked_sooner_than_needed() {
    let mut world = settled(3);
    world.run_for(Span::from_secs(235));
    let asked = |world: &World, method| world.server.times_asked(method);
    assert_eq!((asked(&world, Method::CHANNEL_BIND), asked(&world, Method::REFRESH)), (1, 0));
    world.run_for(Span::from_secs(300));
    assert_eq!((asked(&world, Method::CHANNEL_BIND), asked(&world, Method::REFRESH)), (3, 0));
    world.run_for(Span::from_secs(10));
    assert_eq!(asked(&world, Method::REFRESH), 1);
}

#[test]
fn a_short_lifetime_is_refreshed_at_half_of_it() {
    let mut world = World::new(4);
    world.server.lifetime_s = 20;
    world.run_until(|event| matches!(event, Event::Ready(_)));
    world.run_for(Span::from_secs(9));
    assert_eq!(world.server.times_asked(Method::REFRESH), 0);
    world.run_for(Span::from_secs(600));
    world.server.expire(world.now);
    assert!(world.server.allocation.is_some());
}

#[test]
fn who_is_offered_sha_256_takes_it_and_repeats_the_offer() {
    for offer in [&PasswordAlgorithm::ALL[..], &[PasswordAlgorithm::Md5]] {
        let mut world = World::new(5);
        world.server.offer = offer;
        world.client.bind(peer(1), world.now);
        world.run_until(|event| matches!(event, Event::Bound { .. }));
        let sha256 = Some(Algorithm::Sha256);
        let expected = [(Method::ALLOCATE, sha256), (Method::CHANNEL_BIND, sha256)];
        assert_eq!(world.server.asked, expected, "{offer:?}");
    }
}

#[test]
fn where_the_server_takes_a_hash_the_name_is_not_told() {
    let mut world = World::new(6);
    world.server.anonymity = true;
    let ready = world.run_until(|event| matches!(event, Event::Ready(_) | Event::Failed(_)));
    assert!(matches!(ready, Event::Ready(_)), "{ready:?}");
}

/// RFC 8489 section 9.2.1.
#[test]
fn an_offer_that_is_promised_and_not_there_ends_it() {
    let mut world = World::new(7);
    world.server.bid_down = true;
    assert_eq!(world.run_until_failed(), Failure::BidDown);
    assert!(world.server.asked.is_empty());
}

#[test]
fn a_wrong_password_is_told_after_one_try() {
    for offer in [&[][..], &PasswordAlgorithm::ALL] {
        let mut world = World::new(8);
        (world.server.password, world.server.offer) = ("another", offer);
        assert_eq!(world.run_until_failed(), Failure::Credentials);
        assert!(world.now < Instant::ZERO + Span::from_secs(2));
    }
}

#[test]
fn who_has_no_credentials_is_told_to_give_some() {
    let mut world = World::with(Client::new(None, Family::V4, Instant::ZERO), 9);
    assert_eq!(world.run_until_failed(), Failure::CredentialsWanted);
}

#[test]
fn a_nonce_that_ends_is_replaced_and_one_that_never_holds_ends_it() {
    let mut world = settled(10);
    world.server.nonce_life = Span::from_secs(1);
    world.run_for(Span::from_secs(3_600));
    assert!(!world.client.is_over());
    let mut world = World::new(10);
    world.server.nonce_life = Span::ZERO;
    assert_eq!(world.run_until_failed(), Failure::Stale);
}

#[test]
fn what_the_server_refuses_is_told_in_words() {
    for (code, words) in [
        (300, "name 192.0.2.99:3478 as the server"),
        (403, "no allocations from here (403)"),
        (442, "does not relay UDP (442)"),
        (486, "(486)"),
        (508, "try again in a minute"),
        (699, "refuses (699)"),
    ] {
        let mut world = World::new(u64::from(code));
        world.server.refusals.insert(Method::ALLOCATE.0, code);
        let why = world.run_until_failed();
        assert!(why.to_string().contains(words), "{why}");
        if code == 300 {
            assert_eq!(why, Failure::Redirected { to: Some(elsewhere()) });
        }
    }
}

#[test]
fn a_peer_that_is_refused_leaves_the_allocation_and_may_be_asked_for_again() {
    let mut world = World::new(11);
    world.server.refusals.insert(Method::CHANNEL_BIND.0, 403);
    world.client.bind(peer(1), world.now);
    let refused = world.run_until(|event| matches!(event, Event::NotBound { .. }));
    let why = Failure::Refused { method: Method::CHANNEL_BIND, code: 403 };
    assert_eq!(refused, Event::NotBound { peer: peer(1), why });
    assert!(world.client.granted().is_some() && world.client.header(&peer(1), 1).is_none());
    world.run_for(Span::from_secs(700));
    assert_eq!(world.server.times_asked(Method::CHANNEL_BIND), 1, "nobody asks again unasked");
    world.server.refusals.clear();
    assert_eq!(world.client.bind(peer(1), world.now), Some(0x4000));
    world.run_until(|event| matches!(event, Event::Bound { .. }));
}

#[test]
fn a_server_that_has_forgotten_the_allocation_ends_it() {
    for method in [Method::REFRESH, Method::CHANNEL_BIND] {
        let mut world = settled(12);
        world.server.refusals.insert(method.0, 437);
        assert_eq!(world.run_until_failed(), Failure::Lost);
        assert!(world.client.is_over() && world.client.granted().is_none());
        assert_eq!(world.client.next_due(), None);
    }
}

#[test]
fn a_server_that_falls_silent_ends_it() {
    let mut world = settled(13);
    world.loss = 1_000_000;
    assert_eq!(world.run_until_failed(), Failure::NoAnswer);
    // Refreshed a minute ahead, and asked for 39.5 s: told while the allocation lasts.
    assert!(world.now < Instant::ZERO + Span::from_secs(600));
}

#[test]
fn a_port_that_nothing_listens_on_is_told_at_once_and_believed_only_before_there_is_anything() {
    let mut world = World::new(13);
    world.client.handle_refusal();
    assert_eq!(world.run_until_failed(), Failure::NotListening);
    let mut world = settled(13);
    world.client.handle_refusal();
    world.run_for(Span::from_secs(700));
    assert!(!world.client.is_over());
}

#[test]
fn data_goes_by_the_channel_and_comes_by_it() {
    let mut world = settled(14);
    assert_eq!(world.client.header(&peer(1), 3), Some([0x40, 0, 0, 3]));
    assert_eq!(world.client.header(&peer(2), 3), None, "another port is another peer");
    world.channel_data(0x4000, b"hello");
    world.channel_data(0x4000, b"");
    world.run_for(Span::from_secs(1));
    world.arrived.sort_by_key(|arrived| match arrived {
        Arrived::Data(_, bytes) => bytes.len(),
        Arrived::Unreachable(..) => 0,
    });
    let hello = |bytes: &[u8]| Arrived::Data(peer(1), bytes.to_vec());
    assert_eq!(world.arrived, [hello(b""), hello(b"hello")]);
}

#[test]
fn data_of_a_host_comes_and_goes_by_indications() {
    let mut world = World::new(15);
    world.client.permit(peer(0).ip(), world.now);
    world.run_until(|event| matches!(event, Event::Permitted { .. }));
    world.indication(|writer| {
        writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer(9)).put(attribute::DATA, b"hi");
    });
    world.run_for(Span::from_secs(1));
    assert_eq!(world.arrived, [Arrived::Data(peer(9), b"hi".to_vec())]);

    let mut out = [0; STUN_MESSAGE_MAX];
    let len = world.client.indicate(peer(9), b"hello", &mut world.keys, &mut out).unwrap();
    let message = Message::parse(&out[..len]).unwrap();
    assert_eq!(message.method(), Method::SEND);
    assert_eq!(message.address(attribute::XOR_PEER_ADDRESS), Some(Ok(peer(9))));
    assert_eq!(message.get(attribute::DATA), Some(&b"hello"[..]));
    let too_long = [0; STUN_MESSAGE_MAX];
    assert_eq!(world.client.indicate(peer(9), &too_long, &mut world.keys, &mut out), None);
}

/// RFC 8656 section 11.5.
#[test]
fn what_the_network_says_of_a_peer_is_told() {
    let mut world = settled(16);
    let icmp = Icmp { kind: 3, code: 3, info: 0 };
    world.indication(|writer| {
        writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer(1)).put_icmp(icmp);
    });
    world.run_for(Span::from_secs(1));
    assert_eq!(world.arrived, [Arrived::Unreachable(peer(1), 3, 3)]);
}

#[test]
fn an_allocation_that_is_given_back_is_gone() {
    let mut world = settled(17);
    world.client.close(world.now);
    world.run_until(|event| *event == Event::Closed);
    assert!(world.server.allocation.is_none() && world.client.is_over());
    // Where nobody answers, it is over all the same.
    let mut world = settled(17);
    world.loss = 1_000_000;
    world.client.close(world.now);
    world.run_until(|event| *event == Event::Closed);
    assert_eq!(world.client.next_due(), None);
}

#[test]
fn a_peer_of_the_other_family_needs_an_allocation_of_its_own() {
    let credentials = Credentials::new(world::USER, world::PASSWORD);
    let family = Family::of("2001:db8::5".parse().unwrap());
    let client = Client::new(Some(credentials), family, Instant::ZERO);
    let mut world = World::with(client, 18);
    let mut out = [0; STUN_MESSAGE_MAX];
    let len = world.client.poll_transmit(world.now, &mut world.keys, &mut out).unwrap();
    let request = Message::parse(&out[..len]).unwrap();
    assert_eq!(request.u8(attribute::REQUESTED_ADDRESS_FAMILY), Some(Ok(2)));
}

#[test]
fn a_name_that_does_not_fit_is_told_and_nothing_is_sent_cut_short() {
    let long = "n".repeat(600);
    let client = Client::new(Some(Credentials::new(&long, "x")), Family::V4, Instant::ZERO);
    let mut world = World::with(client, 19);
    assert_eq!(world.run_until_failed(), Failure::TooLong);
}

#[test]
fn a_binding_tells_the_address_when_one_of_its_requests_arrives() {
    let mut world = World::new(20);
    let mut discovery = Discovery::new(world.now);
    let mut out = [0; STUN_MESSAGE_MAX];
    let mut sent: Vec<Vec<u8>> = Vec::new();
    while sent.len() < 3 {
        world.now = discovery.next_due().unwrap();
        while let Some(len) = discovery.poll_transmit(world.now, &mut world.keys, &mut out) {
            sent.push(out[..len].to_vec());
        }
    }
    assert!(sent.iter().all(|again| *again == sent[0]), "it is the same request");
    assert_eq!(discovery.outcome(), None);
    let request = Message::parse(&sent[2]).unwrap();
    let mut writer = Writer::answer(&mut out, &request, Class::Success);
    let len = writer.put_address_xor(attribute::XOR_MAPPED_ADDRESS, mapped()).finish().unwrap();
    assert_eq!(discovery.handle_datagram(&out[..len]), Ok(()));
    assert_eq!((discovery.outcome(), discovery.next_due()), (Some(Ok(mapped())), None));
    assert_eq!(discovery.handle_datagram(&out[..len]), Err(Refused::NotAwaited));
}

#[test]
fn a_binding_that_nobody_answers_is_given_up_after_39_5_seconds() {
    let mut world = World::new(20);
    let mut discovery = Discovery::new(world.now);
    let mut out = [0; STUN_MESSAGE_MAX];
    let mut sends = 0;
    while let Some(due) = discovery.next_due() {
        world.now = due;
        while discovery.poll_transmit(world.now, &mut world.keys, &mut out).is_some() {
            sends += 1;
        }
    }
    assert_eq!(discovery.outcome(), Some(Err(Failure::NoAnswer)));
    assert_eq!((sends, world.now), (7, Instant::ZERO + Span::from_millis(39_500)));
}
