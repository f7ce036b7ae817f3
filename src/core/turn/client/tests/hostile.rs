//! What comes from others: answers made up, changed, doubled, late; and bytes that mean nothing.

use alloc::vec::Vec;

use super::super::{Event, Failure, Received, Refused};
use super::settled;
use super::world::{World, peer, relayed};
use crate::limits::{STUN_MESSAGE_MAX, TURN_CLIENT_EVENTS_MAX};
use crate::random::{Random, Seeded};
use crate::stun::{Class, Message, Method, TransactionId, Writer, attribute, channel_data};
use crate::time::Span;

/// What the client says at this moment.
fn said(world: &mut World) -> Vec<Vec<u8>> {
    let mut out = [0; STUN_MESSAGE_MAX];
    let mut said = Vec::new();
    while let Some(len) = world.client.poll_transmit(world.now, &mut world.keys, &mut out) {
        said.push(out[..len].to_vec());
    }
    said
}

/// An answer to `request` by someone who has read it and does not know the password.
fn forged(request: &[u8], class: Class, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    let mut out = [0; STUN_MESSAGE_MAX];
    let mut writer = Writer::answer(&mut out, &request, class);
    write(&mut writer);
    let len = writer.finish().unwrap();
    out[..len].to_vec()
}

/// RFC 8489 section 9.2.5: as if it had never been received; and when nothing else comes, that is told.
#[test]
fn an_answer_that_is_not_signed_does_not_count() {
    for code in [None, Some(400), Some(403), Some(437), Some(300)] {
        let mut world = settled(1);
        world.run_for(Span::from_secs(234));
        // The channel is due again; whoever reads the request answers first.
        world.loss = 1_000_000;
        world.now = world.client.next_due().unwrap();
        let request = said(&mut world).remove(0);
        let class = if code.is_some() { Class::Error } else { Class::Success };
        let answer = forged(&request, class, |writer| {
            if let Some(code) = code {
                writer.put_error(code);
            }
        });
        let received = world.client.handle_datagram(&answer, world.now);
        assert_eq!(received, Received::Refused(Refused::Unproven), "{code:?}");
        let told = world.run_until(|event| matches!(event, Event::NotBound { .. }));
        assert_eq!(told, Event::NotBound { peer: peer(1), why: Failure::Unproven });
    }
}

#[test]
fn a_server_that_does_not_sign_is_not_believed_and_one_that_comes_to_it_is() {
    let mut world = World::new(2);
    world.server.unsigned = Some(Method::ALLOCATE);
    assert_eq!(world.run_until_failed(), Failure::Unproven);
    let mut world = World::new(2);
    world.client.bind(peer(1), world.now);
    world.server.unsigned = Some(Method::CHANNEL_BIND);
    world.run_until(|event| matches!(event, Event::Ready(_)));
    world.run_for(Span::from_secs(2));
    assert_eq!(world.client.header(&peer(1), 1), None);
    assert!(!world.client.is_over());
}

#[test]
fn who_answers_what_was_not_asked_moves_nothing() {
    let mut world = World::new(3);
    let request = said(&mut world).remove(0);
    let good = forged(&request, Class::Error, |writer| {
        writer.put_error(508);
    });
    let mut strange = good.clone();
    strange[19] ^= 1;
    let handle =
        |world: &mut World, bytes: &[u8]| match world.client.handle_datagram(bytes, world.now) {
            Received::Refused(why) => why,
            other => panic!("{other:?}"),
        };
    assert_eq!(handle(&mut world, &strange), Refused::NotAwaited);
    // The right transaction and another method.
    let mut other = good.clone();
    other[1] ^= 0x07;
    assert_eq!(handle(&mut world, &other), Refused::NotAwaited);
    assert_eq!(handle(&mut world, &request), Refused::Unasked);
    assert_eq!(handle(&mut world, b"anything"), Refused::Foreign);
    let codeless = forged(&request, Class::Error, |_| {});
    assert_eq!(handle(&mut world, &codeless), Refused::Malformed);
    assert!(!world.client.is_over());
    assert_eq!(world.client.handle_datagram(&good, world.now), Received::Answer);
    assert!(world.client.is_over());
    assert_eq!(handle(&mut world, &good), Refused::NotAwaited, "doubled");
}

#[test]
fn data_of_nobody_is_not_taken() {
    let mut world = World::new(4);
    let nobody = Received::Refused(Refused::NoPeer);
    world.client.bind(peer(1), world.now);
    let data = [&channel_data::header(0x4000, 2)[..], b"hi"].concat();
    assert_eq!(world.client.handle_datagram(&data, world.now), nobody, "before there is anything");
    let mut world = settled(4);
    for number in [0x4001, 0x4FFF, 0x5000, 0x7FFF] {
        let data = [&channel_data::header(number, 2)[..], b"hi"].concat();
        assert_eq!(world.client.handle_datagram(&data, world.now), nobody, "{number:#x}");
    }
    let mut out = [0; STUN_MESSAGE_MAX];
    let stranger = "192.0.2.66:1".parse().unwrap();
    let mut writer = Writer::new(&mut out, Class::Indication, Method::DATA, TransactionId([1; 12]));
    writer.put_address_xor(attribute::XOR_PEER_ADDRESS, stranger).put(attribute::DATA, b"hi");
    let len = writer.finish().unwrap();
    assert_eq!(world.client.handle_datagram(&out[..len], world.now), nobody);
    let mut writer = Writer::new(&mut out, Class::Indication, Method::DATA, TransactionId([1; 12]));
    let len = writer.put(attribute::DATA, b"hi").finish().unwrap();
    let received = world.client.handle_datagram(&out[..len], world.now);
    assert_eq!(received, Received::Refused(Refused::Malformed));
}

/// RFC 8489 section 6.3.3, and RFC 8656 section 7.3.
#[test]
fn a_success_that_is_not_understood_or_lacks_something_is_none() {
    let mut world = World::new(5);
    world.server.oddity = Some(0x7FFF);
    assert_eq!(world.run_until_failed(), Failure::Malformed);
    let mut world = World::new(5);
    world.server.oddity = Some(0xFFFF);
    world.run_until(|event| matches!(event, Event::Ready(_)));

    let mut world = World::new(5);
    let request = said(&mut world).remove(0);
    let halves = forged(&request, Class::Success, |writer| {
        writer.put_address_xor(attribute::XOR_RELAYED_ADDRESS, relayed());
        writer.put_u32(attribute::LIFETIME, 600);
    });
    assert_eq!(world.client.handle_datagram(&halves, world.now), Received::Answer);
    assert_eq!(world.run_until_failed(), Failure::Malformed);
}

#[test]
fn a_challenge_without_realm_or_nonce_is_none() {
    for (realm, nonce) in [(None, Some("n")), (Some("r"), None), (Some("r"), Some(""))] {
        let mut world = World::new(6);
        let request = said(&mut world).remove(0);
        let challenge = forged(&request, Class::Error, |writer| {
            writer.put_error(401);
            for (kind, text) in [(attribute::REALM, realm), (attribute::NONCE, nonce)] {
                if let Some(text) = text {
                    writer.put(kind, text.as_bytes());
                }
            }
        });
        world.client.handle_datagram(&challenge, world.now);
        assert_eq!(world.run_until_failed(), Failure::Challenge, "{realm:?} {nonce:?}");
    }
}

#[test]
fn a_realm_that_changes_at_each_try_ends_it() {
    let mut world = World::new(7);
    for realm in 0..20_u8 {
        let Some(request) = said(&mut world).pop() else { break };
        let challenge = forged(&request, Class::Error, |writer| {
            writer.put_error(401);
            writer.put(attribute::REALM, &[b'a' + realm]);
            writer.put(attribute::NONCE, b"n");
        });
        world.client.handle_datagram(&challenge, world.now);
    }
    assert_eq!(world.run_until_failed(), Failure::Stale);
}

#[test]
fn an_offer_of_nothing_known_or_of_too_much_ends_it() {
    let long = [0, 9, 0, 0].repeat(40);
    for (offer, why) in [(&[0, 9, 0, 0][..], Failure::Algorithms), (&long, Failure::TooLong)] {
        let mut world = World::new(8);
        let request = said(&mut world).remove(0);
        let challenge = forged(&request, Class::Error, |writer| {
            writer.put_error(401).put(attribute::REALM, b"r").put(attribute::NONCE, b"n");
            writer.put(attribute::PASSWORD_ALGORITHMS, offer);
        });
        world.client.handle_datagram(&challenge, world.now);
        assert_eq!(world.run_until_failed(), why);
    }
}

/// The server's own datagrams with bits flipped and ends cut, and noise: nothing panics, and nothing but
/// what the server meant comes of it.
#[test]
fn no_bytes_do_harm() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        world.client.bind(peer(1), world.now);
        world.loss = 100_000;
        let mut chance = Seeded::new(!seed);
        for _ in 0..100 {
            let mut bytes = match chance.below(4) {
                0 => said(&mut world).pop().unwrap_or_default(),
                1 => channel_data::header(0x4000, chance.below(9) as u16).to_vec(),
                _ => {
                    let mut noise = [0; 64];
                    chance.fill(&mut noise);
                    // Often enough it looks like STUN.
                    noise[0] &= if chance.chance(500_000) { 1 } else { 0xFF };
                    noise[4..8].copy_from_slice(&crate::stun::COOKIE);
                    noise[2..4].copy_from_slice(&44_u16.to_be_bytes());
                    noise.to_vec()
                }
            };
            for _ in 0..chance.below(4) {
                if !bytes.is_empty() {
                    let at = chance.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << chance.below(8);
                }
            }
            bytes.truncate(chance.below(80) as usize);
            world.send_to_client(&bytes);
            world.run_for(Span::from_millis(50));
        }
        world.run_until(|event| matches!(event, Event::Bound { .. }));
        assert!(!world.client.is_over(), "seed {seed}: {:?}", world.events);
    }
}

#[test]
fn events_nobody_fetches_are_bounded() {
    let mut world = settled(9);
    world.server.refusals.insert(Method::CREATE_PERMISSION.0, 403);
    for _ in 0..2 * TURN_CLIENT_EVENTS_MAX {
        assert!(world.client.permit(peer(2).ip(), world.now));
        let request = said(&mut world).remove(0);
        let answer = world.server.answer(&request, world.now).expect("it is refused");
        assert_eq!(world.client.handle_datagram(&answer, world.now), Received::Answer);
    }
    let told = core::iter::from_fn(|| world.client.poll_event()).count();
    assert_eq!(told, TURN_CLIENT_EVENTS_MAX);
}
