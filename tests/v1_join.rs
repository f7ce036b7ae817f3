//! Entering by wire v1, over every back end: who is welcomed, who is not, and that nobody is answered
//! with more than they said.

mod support;

use std::net::Ipv4Addr;

use elara_core::crypto::exchange::Certificate;
use elara_core::crypto::hash::{hmac16, sha256};
use elara_core::crypto::{Claims, Identity, Secret, Subject};
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{Control, kind};
use elara_core::{ClientAddr, limits};
use elara_shards::Verdict;
use support::guest::{Club, Guest, Party, SESSION};
use support::room::{InMemory, OverSyscall, OverUring, Place, Room};

fn a_guest_is_welcomed_and_becomes_a_member_when_it_speaks<P: Place>() {
    let mut club = Club::new();
    let mut room = Room::<P>::with(1, club.config());
    let mut guest = club.guest();
    room.knock(0, &mut guest);
    let counters = room.settle();
    assert_eq!((counters.of(Verdict::Welcomed), counters.half_open), (1, 1), "{}", P::NAME);
    assert_eq!((counters.participants, counters.sessions, counters.joined), (0, 0, 0));
    let terms = guest.terms.unwrap();
    assert_eq!(terms.observed, room.place.addr(0));

    let greeting = guest.greeting();
    let counters = room.after(0, &greeting);
    assert_eq!((counters.of(Verdict::Control), counters.half_open), (1, 0));
    assert_eq!((counters.participants, counters.sessions, counters.joined), (1, 1, 1));
    let heard = room.heard(0);
    let kinds: Vec<u8> = guest.opened(&heard).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [kind::PONG, kind::ACK, kind::ROSTER, kind::STREAMS], "{}", P::NAME);
    assert!(room.settle().balanced());
}

#[test]
fn a_guest_is_welcomed_over_uring() {
    a_guest_is_welcomed_and_becomes_a_member_when_it_speaks::<OverUring>();
}

#[test]
fn a_guest_is_welcomed_over_syscall() {
    a_guest_is_welcomed_and_becomes_a_member_when_it_speaks::<OverSyscall>();
}

#[test]
fn a_guest_is_welcomed_over_memory() {
    a_guest_is_welcomed_and_becomes_a_member_when_it_speaks::<InMemory>();
}

fn room(club: &Club, peers: usize) -> Room<InMemory> {
    Room::with(peers, club.config())
}

/// What happens to a HELLO of `guest`, and how many bytes answer it.
fn verdict_on(room: &mut Room<InMemory>, guest: &mut Guest) -> (Option<Verdict>, u64) {
    let before = room.settle();
    let hello = guest.hello();
    let after = room.after(0, &hello);
    let of = |verdict: &&Verdict| after.of(**verdict) > before.of(**verdict);
    (Verdict::ALL.iter().find(of).copied(), after.answer_bytes - before.answer_bytes)
}

#[test]
fn a_repeated_hello_gets_the_same_welcome() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut guest = club.guest();
    let hello = guest.hello();
    room.say(0, &hello);
    let first = room.heard(0);
    room.say(0, &hello);
    assert_eq!(room.heard(0), first);
    let counters = room.settle();
    assert_eq!((counters.of(Verdict::WelcomedAgain), counters.handshakes), (1, 1));
}

#[test]
fn a_club_closed_to_v1_answers_nobody() {
    let mut club = Club::new();
    let mut room = Room::<InMemory>::new(1);
    assert_eq!(verdict_on(&mut room, &mut club.guest()), (Some(Verdict::V1Closed), 0));
}

#[test]
fn tokens_that_do_not_open_the_door() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut stranger = Club::new();
    stranger.issuer = Identity::from_seed(&Secret::new([9; 32]));
    assert_eq!(verdict_on(&mut room, &mut stranger.guest()), (Some(Verdict::BadToken), 0));
    club.claims.expires = 1_700_000_000;
    assert_eq!(verdict_on(&mut room, &mut club.guest()), (Some(Verdict::BadToken), 0));
    assert_eq!(room.settle().half_open, 0, "nothing is kept of them");
}

#[test]
fn a_bearer_token_belongs_to_who_showed_it_first() {
    let mut club = Club::new();
    let mut room = room(&club, 2);
    let bearer = Claims { subject: Subject::Bearer([3; 32]), ..club.claims };
    let someone = |seed| Identity::from_seed(&Secret::new([seed; 32]));
    let mut first = club.guest_with(someone(1), &bearer);
    room.enter(0, &mut first);
    let mut second = club.guest_with(someone(2), &bearer);
    assert_eq!(verdict_on(&mut room, &mut second), (Some(Verdict::BearerTaken), 0));
    let mut again = club.guest_with(someone(1), &bearer);
    again.hello();
    assert_eq!(verdict_on(&mut room, &mut again).0, Some(Verdict::Welcomed));
}

#[test]
fn an_old_hello_opens_nothing() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut guest = club.guest();
    let hello = guest.hello();
    room.enter(0, &mut guest);
    let counters = room.after(0, &hello);
    assert_eq!((counters.of(Verdict::HelloReplayed), counters.half_open), (1, 0));
}

#[test]
fn the_banned_stay_out() {
    let mut club = Club::new();
    let mut guest = club.guest();
    club.bans.insert(*guest.identity.public().as_bytes());
    let bearer = Claims { subject: Subject::Bearer([3; 32]), ..club.claims };
    club.bans.insert([3; 32]);
    let mut room = room(&club, 1);
    assert_eq!(verdict_on(&mut room, &mut guest), (Some(Verdict::Banned), 0));
    let mut holder = club.guest_with(Identity::from_seed(&Secret::new([1; 32])), &bearer);
    assert_eq!(verdict_on(&mut room, &mut holder), (Some(Verdict::Banned), 0));
}

#[test]
fn what_does_not_name_this_relay_costs_one_hmac() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut guest = club.guest();
    let mut elsewhere = Club::new();
    elsewhere.relay = elara_core::crypto::ExchangeKey::from_secret(Secret::new([8; 32]));
    assert_eq!(verdict_on(&mut room, &mut elsewhere.guest()), (Some(Verdict::BadMac1), 0));
    let hello = guest.hello();
    let counters = room.after(0, &hello[..511]);
    assert_eq!(counters.of(Verdict::BadHello), 1);
    let mut flagged = hello;
    flagged[1] = 1;
    assert_eq!(room.after(0, &flagged).of(Verdict::BadHello), 2);
    assert_eq!(room.settle().handshakes, 0);
}

#[test]
fn both_of_two_relay_keys_open_and_a_third_does_not() {
    let mut club = Club::new();
    let old = club.relay.clone();
    let mut held = club.guest();
    club.relay = elara_core::crypto::ExchangeKey::from_secret(Secret::new([8; 32]));
    club.older = vec![old];
    let mut room = room(&club, 1);
    assert_eq!(verdict_on(&mut room, &mut held).0, Some(Verdict::Welcomed));
    assert_eq!(verdict_on(&mut room, &mut club.guest()).0, Some(Verdict::Welcomed));
}

#[test]
fn a_session_takes_as_many_as_it_may_and_the_next_is_told_to_wait() {
    let mut club = Club::new();
    let mut room =
        Room::<InMemory>::with(3, elara_shards::ShardConfig { max_peers: 2, ..club.config() });
    room.enter(0, &mut club.guest());
    room.enter(1, &mut club.guest());
    let (verdict, bytes) = verdict_on(&mut room, &mut club.guest());
    assert_eq!((verdict, bytes), (Some(Verdict::SessionFull), 58), "BUSY");
}

#[test]
fn a_crowd_is_asked_for_cookies_and_let_in() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let crowd = limits::COOKIELESS_PER_S as usize + 40;
    let mut guests: Vec<Guest> = (0..crowd).map(|_| club.guest()).collect();
    let mut retried = 0;
    for guest in &mut guests {
        let hello = guest.hello();
        room.say(0, &hello);
        let heard = room.heard(0);
        if let Some(retry) = heard.iter().find(|datagram| datagram.len() == 78) {
            retried += 1;
            guest.answered(retry);
            let hello = guest.hello_again();
            room.say(0, &hello);
        }
    }
    assert_eq!(retried, 40);
    // The clock stands still: the desk has served its first few, others wait, the last find it full.
    let counters = room.settle();
    assert_eq!(counters.of(Verdict::HelloRetried), 40);
    assert_eq!(counters.hellos_waiting, limits::DESK_MAX as u64);
    assert!(counters.of(Verdict::HelloBusy) > 0 && counters.balanced());
    assert!(counters.answer_bytes <= counters.bytes, "nobody is answered with more than they said");
}

#[test]
fn a_session_speaks_one_version() {
    let mut club = Club::new();
    let mut room = room(&club, 2);
    room.say(1, &support::frames::frame(SESSION.0, 7, b"v0"));
    assert_eq!(verdict_on(&mut room, &mut club.guest()), (Some(Verdict::OtherWire), 0));
    club.claims.session = elara_core::SessionId(5);
    room.enter(0, &mut club.guest());
    let counters = room.after(1, &support::frames::frame(5, 7, b"v0"));
    assert_eq!(counters.of(Verdict::OtherWire), 2);
}

#[test]
fn a_static_key_must_be_certified_for_today() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut guest = club.guest();
    let key = *guest.membership.key.public();
    let expired = Certificate::sign(&guest.identity, &key, 1_700_000_000);
    guest.client.renew(guest.membership.token, expired);
    assert_eq!(verdict_on(&mut room, &mut guest), (Some(Verdict::BadCertificate), 0));
    let forged = Certificate::sign(&club.issuer, &key, u32::MAX);
    guest.client.renew(guest.membership.token, forged);
    assert_eq!(verdict_on(&mut room, &mut guest), (Some(Verdict::BadCertificate), 0));
}

/// `hello` with a good mac1 again: anyone who has the join address can make one.
fn rung(club: &Club, mut hello: Vec<u8>) -> Vec<u8> {
    let key = sha256(&[b"ELARA1 mac1", club.relay.public().as_bytes()]);
    let mac = hmac16(&key, &[&hello[..496]]);
    hello[496..].copy_from_slice(&mac);
    hello
}

#[test]
fn what_was_not_sealed_for_this_relay_opens_nothing() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut guest = club.guest();
    let mut hello = guest.hello();
    hello[300] ^= 1;
    assert_eq!(room.after(0, &rung(&club, hello)).of(Verdict::BadNoise), 1);
    // Under another node's name: the name is part of what is sealed.
    let mut hello = guest.hello();
    hello[12] ^= 1;
    let counters = room.after(0, &rung(&club, hello));
    assert_eq!(
        (counters.of(Verdict::BadNoise), counters.half_open, counters.answers_sent),
        (2, 0, 0)
    );
}

#[test]
fn one_neighbourhood_cannot_take_all_the_time_there_is() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let hello = club.guest().hello();
    let mut flood = |times: u64| {
        for n in 0..times {
            let from = ClientAddr::from((Ipv4Addr::new(198, 51, 100, n as u8), n as u16 + 1));
            assert!(room.shard.io().deliver(&from, &hello));
        }
        let counters = room.settle();
        assert!(counters.answer_bytes <= counters.bytes && counters.balanced());
        counters
    };
    let counters = flood(60);
    assert_eq!(counters.of(Verdict::HelloRetried), 20, "forty at once from a /24, then a cookie");
    let counters = flood(2_000);
    assert_eq!(counters.of(Verdict::HelloRetried), limits::RETRY_PER_SHARD.burst);
    assert_eq!(counters.of(Verdict::HelloLimited), 20);
}

#[test]
fn a_cookie_opens_a_crowded_neighbourhood() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let flood = club.guest().hello();
    let near = |port| ClientAddr::from((Ipv4Addr::new(198, 51, 100, 7), port));
    (0..60).for_each(|n| assert!(room.shard.io().deliver(&near(n + 1), &flood)));
    room.settle();
    let mut guest = club.guest();
    let hello = guest.hello();
    assert!(room.shard.io().deliver(&near(900), &hello));
    room.settle();
    let sent: Vec<Vec<u8>> = room.shard.io().sent().map(|sent| sent.bytes.to_vec()).collect();
    guest.answered(sent.last().unwrap());
    let hello = guest.hello_again();
    assert!(room.shard.io().deliver(&near(900), &hello));
    room.pass(100);
    assert_eq!(room.settle().of(Verdict::Welcomed), 2, "this one, and the one that was repeated");
}

#[test]
fn a_bearer_token_is_bound_before_its_holder_speaks() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let bearer = Claims { subject: Subject::Bearer([3; 32]), ..club.claims };
    let someone = |seed| Identity::from_seed(&Secret::new([seed; 32]));
    let mut first = club.guest_with(someone(1), &bearer);
    assert_eq!(verdict_on(&mut room, &mut first).0, Some(Verdict::Welcomed));
    let mut second = club.guest_with(someone(2), &bearer);
    assert_eq!(verdict_on(&mut room, &mut second), (Some(Verdict::BearerTaken), 0));
    assert_eq!(room.settle().half_open, 1);
}

#[test]
fn who_speaks_from_where_no_welcome_went_is_asked_first() {
    let mut club = Club::new();
    let mut room = room(&club, 2);
    let (mut alice, mut bob) = (club.guest(), club.guest());
    room.enter(0, &mut alice);
    room.heard(0);
    room.knock(0, &mut bob);
    // Bob's first word seems to come from elsewhere: nothing is aimed there but a question.
    let greeting = bob.greeting();
    room.say(1, &greeting);
    let frame = alice.data(Class::Core, 120);
    room.say(0, &frame);
    let heard = room.heard(1);
    assert_eq!(heard.iter().map(Vec::len).collect::<Vec<_>>(), [57]);
    let opened = bob.opened(&heard);
    let response = bob.control(&[Control::PathResponse(opened[0].1.first_chunk().unwrap())]);
    room.say(1, &response);
    let heard = room.heard(1);
    let kinds: Vec<u8> = bob.opened(&heard).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [kind::ROSTER, kind::STREAMS]);
    let frame = alice.data(Class::Core, 120);
    room.say(0, &frame);
    assert_eq!(room.heard(1), [frame]);
}

#[test]
fn a_ban_reaches_who_is_welcomed_and_has_not_spoken() {
    let mut club = Club::new();
    let mut room = room(&club, 1);
    let mut guest = club.guest();
    room.knock(0, &mut guest);
    club.bans.insert(*guest.identity.public().as_bytes());
    // The search of those inside passes before it speaks.
    room.replace_access(club.access());
    room.pass(100);
    let counters = room.settle();
    assert_eq!((counters.half_open, counters.participants), (0, 0));
    let greeting = guest.greeting();
    assert_eq!(room.after(0, &greeting).of(Verdict::UnknownParticipant), 1);
}
