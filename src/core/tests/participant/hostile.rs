//! What strangers, the network and other members may send: nothing panics, nothing moves.

use elara_core::participant::{Event, Head, MediaHead, Refused};
use elara_core::random::{Random, Seeded};
use elara_core::time::Instant;
use elara_core::wire::Class;
use elara_core::wire::v1::Control;
use elara_core::wire::v1::bundle::BundleHead;
use elara_core::wire::v1::control::{Alert, Pong, alert};
use zerocopy::little_endian::{U16, U32, U64};

use crate::world::{SESSION, World, media};

#[test]
fn garbage_is_refused_and_changes_nothing() {
    let mut random = Seeded::new(1);
    let mut world = World::new(1, 2);
    world.join();
    world.say(0, 0, b"x");
    world.run(30);
    let now = world.now();
    let genuine = world.people[0].sent.clone();
    let listener = &mut world.people[1].participant;
    for round in 0..20_000_usize {
        let mut bytes = match round % 3 {
            0 => vec![0; random.below(1_300) as usize],
            _ => genuine[round % genuine.len()].clone(),
        };
        if round % 3 == 0 {
            random.fill(&mut bytes);
            if bytes.len() > 30 {
                bytes[0] = 0x10 + random.below(4) as u8;
                bytes[4..12].copy_from_slice(&SESSION.to_bytes());
                bytes[20] = [0, 1, 4, 0xF0, 0xF1][random.below(5) as usize];
            }
        } else if !bytes.is_empty() {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
            bytes.truncate(bytes.len() - random.below(3) as usize);
        }
        let _ = listener.handle_datagram(&bytes, now);
    }
    assert!(listener.is_joined() && listener.members().len() == 2);
    let opened = std::iter::from_fn(|| listener.poll_event()).count();
    assert_eq!(opened, 0, "nothing of it was ever told");
    world.say(0, 1, b"still here");
    world.say(1, 1, b"and me");
    world.run(50);
    assert_eq!(world.people[1].heard().last().unwrap().content, b"still here");
    assert_eq!(world.people[0].heard().last().unwrap().content, b"and me");
}

#[test]
fn nothing_arrives_before_one_has_asked_to_connect() {
    let mut world = World::new(2, 1);
    world.join();
    let hello = world.people[0].sent[0].clone();
    let mut world = World::new(2, 1);
    let now = world.now();
    let participant = &mut world.people[0].participant;
    assert!(participant.handle_datagram(&hello, now).is_err());
    participant.leave(0, now);
    assert_eq!(participant.handle_datagram(&hello, now), Err(Refused::Over));
    assert_eq!(participant.handle_datagram(&[], now), Err(Refused::Over));
}

#[test]
fn ones_own_frames_and_other_sessions_are_not_heard() {
    let mut world = World::new(3, 1);
    world.join();
    world.say(0, 0, b"x");
    world.run(1);
    let now = world.now();
    let mut frame = world.people[0].sent.last().unwrap().clone();
    let participant = &mut world.people[0].participant;
    assert_eq!(participant.handle_datagram(&frame, now), Err(Refused::Own));
    frame[4] ^= 1;
    assert_eq!(participant.handle_datagram(&frame, now), Err(Refused::Session));
}

#[test]
fn frames_of_unknown_authors_wait_bounded_and_go() {
    let mut world = World::new(4, 2);
    world.join();
    world.say(0, 0, b"x");
    world.run(1);
    let mut forged = world.people[0].sent.last().unwrap().clone();
    let before = *world.people[1].participant.counters();
    for stranger in 0..200_u8 {
        forged[12] = stranger;
        let now = world.now();
        let _ = world.people[1].participant.handle_datagram(&forged, now);
    }
    let refused = |world: &World| {
        world.people[1].participant.counters().unknown_dropped - before.unknown_dropped
    };
    assert!((134..=136).contains(&refused(&world)), "{}", refused(&world));
    world.run(600);
    assert!(refused(&world) >= 199);
    assert!(world.people[1].participant.is_joined());
}

#[test]
fn one_loud_stranger_leaves_room_for_others() {
    let mut world = World::new(16, 2);
    world.join();
    let mut out = [0; 1_232];
    let now = world.now();
    for frame in 0..100_u8 {
        let len = world.people[0].participant.seal_frame(&media(0), &[frame], &mut out).unwrap();
        out[12] ^= 0xFF;
        let taken = world.people[1].participant.handle_datagram(&out[..len], now);
        assert_eq!(taken.is_ok(), frame < 32, "{frame}");
    }
}

#[test]
fn what_strangers_send_is_not_taken_for_what_the_relay_has_sent() {
    let mut world = World::new(17, 2);
    world.mark_every_ms = Some(200);
    world.join();
    world.run(2_000);
    let head = Head { class: Class::Core, profile: 0, time_hint: 0 };
    let text = MediaHead { head, ..media(1) };
    world.people[0].participant.send_media(&text, b"x").unwrap();
    world.run(1);
    let genuine = world.people[0].sent.last().unwrap().clone();
    world.run(500);
    // The relay's ten frames are lost, and someone sends as many that look like them.
    world.censor = Some(|bytes: &[u8]| bytes[20] == 0);
    for frame in 0..10_u32 {
        world.people[0].participant.send_media(&text, b"x").unwrap();
        let now = world.now();
        let mut forged = genuine.clone();
        *forged.last_mut().unwrap() ^= 1 + frame as u8;
        assert!(world.people[1].participant.handle_datagram(&forged, now).is_err());
        assert!(world.people[1].participant.handle_datagram(&genuine, now).is_err());
        world.run(5);
    }
    world.run(2_000);
    let seat = &world.relay.seats[&world.node(1)];
    let report = seat.reports.last().unwrap();
    assert_eq!(seat.sent_at_mark(report.n.get()) - report.received.get(), 10);
    assert_eq!(world.people[1].participant.counters().digest_mismatches, 1, "told once");
}

#[test]
fn a_bundle_is_its_frames_and_a_bad_one_spoils_no_other() {
    let mut world = World::new(5, 2);
    world.join();
    let now = world.now();
    let mut out = [0; 1_232];
    let [a, b] = &mut world.people[..] else { panic!("two people") };
    let mut frames = Vec::new();
    for frame in 0..4 {
        let len = a.participant.seal_frame(&media(frame), b"in a bundle", &mut out).unwrap();
        frames.push(out[..len].to_vec());
    }
    frames[1][60] ^= 1;
    let slices: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
    let head = BundleHead::new(SESSION, &slices).unwrap();
    let bundle: Vec<u8> = head.gather(&slices).flatten().copied().collect();
    assert!(matches!(b.participant.handle_datagram(&bundle, now), Err(Refused::Open(_))));
    let heard: Vec<u32> = std::iter::from_fn(|| b.participant.poll_event())
        .filter_map(|event| match event {
            Event::Media(media) => Some(media.frame),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [0, 2, 3]);
    assert!(b.participant.handle_datagram(&bundle[..bundle.len() - 1], now).is_err());
}

#[test]
fn who_is_asked_for_new_keys_while_it_leaves_only_leaves() {
    let mut world = World::new(14, 1);
    world.join();
    let (now, node) = (world.now(), world.node(0));
    let rekey = Alert { code: U16::new(alert::REKEY), arg: U32::ZERO };
    world.relay.say(node, &[Control::Alert(&rekey)]);
    world.relay.say(node, &[Control::Alert(&rekey)]);
    // Both are under way when it leaves.
    world.step();
    let sent = world.people[0].sent.len();
    world.people[0].participant.leave(0, now);
    world.run(1_000);
    assert!(world.people[0].participant.is_over());
    assert_eq!(world.people[0].sent.len(), sent + 3, "three goodbyes, no HELLO");
}

#[test]
fn a_pong_to_no_ping_of_ours_proves_nothing() {
    let mut world = World::new(15, 1);
    world.join();
    let node = world.node(0);
    world.relay.deaf_to_pings = true;
    // Its number may be guessed, its time not; the number may be another connection's.
    for round in 0..1_000_u32 {
        for id in [round / 100, (round / 100) | 1 << 24] {
            let pong = Pong {
                id: U32::new(id),
                t_client_us: U64::new(7),
                t_relay_rx_us: U64::ZERO,
                t_relay_tx_us: U64::ZERO,
                missing: U32::ZERO,
            };
            world.relay.say(node, &[Control::Pong(&pong)]);
        }
        world.run(5);
    }
    let degraded = |event: &Event| matches!(event, Event::Degraded);
    assert_eq!(world.people[0].count(degraded), 1);
    assert_eq!(world.people[0].count(|event| matches!(event, Event::Recovered)), 0);
}

#[test]
fn a_participant_that_was_never_started_has_nothing_to_say() {
    let mut world = World::new(6, 1);
    let now = Instant::ZERO;
    world.people[0].participant.leave(0, now);
    world.run(100);
    assert!(world.people[0].sent.is_empty() && world.people[0].participant.is_over());
}

/// A message that may be one: a type, a length that mostly fits, fields that are small, huge or random.
fn message(random: &mut Seeded) -> Vec<u8> {
    let kind = 1 + random.below(0x14) as u8;
    let lens = [0, 1, 4, 5, 6, 8, 9, 10, 13, 16, 19, 20, 25, 32, 36, 50, 72, 134, 196];
    let len = lens[random.below(lens.len() as u64) as usize];
    let mut value = vec![0; len];
    random.fill(&mut value);
    match random.below(4) {
        0 => value.fill(0),
        1 => value.fill(0xFF),
        // A small version and a sound page number let lists pass their first checks.
        2 if len >= 6 => value[..6].copy_from_slice(&[random.below(40) as u8, 0, 0, 0, 0, 1]),
        _ => {}
    }
    let said = if random.chance(20_000) { len as u16 + 7 } else { len as u16 };
    [&[kind][..], &said.to_le_bytes(), &value].concat()
}

#[test]
fn whatever_a_relay_says_nothing_panics_and_tables_stay_bounded() {
    for seed in 0..8 {
        let mut random = Seeded::new(seed);
        let mut world = World::new(seed, 2);
        world.join();
        let node = world.node(0);
        for _ in 0..2_000 {
            let mut text = Vec::new();
            while text.len() < 900 && random.below(8) != 0 {
                let message = message(&mut random);
                // Being removed ends it, and the test: that is what it is for.
                if message[0] != 0x09 {
                    text.extend(message);
                }
            }
            world.relay.say_bytes(node, &text);
            let sent = world.people[0].sent.len();
            world.run(3);
            let said = world.people[0].sent.len() - sent;
            assert!(said <= 6, "seed {seed}: {said} answers to one frame");
            world.people[0].events.clear();
            world.people[0].sent.clear();
        }
        let counters = world.people[0].participant.counters();
        assert!(counters.control_faults > 1_000, "seed {seed}: {counters:?}");
        world.relay.restart();
        let back = |world: &World| world.relay.seats.contains_key(&node);
        assert!(world.run_until(20_000, back), "seed {seed}: it finds the way back");
        world.join();
    }
}
