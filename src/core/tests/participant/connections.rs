//! Coming in, staying in, coming back, going.

use elara_core::crypto::ExchangePublic;
use elara_core::limits::{CONNECTION_LIFE, PATH_DATAGRAM_MIN};
use elara_core::participant::{Event, SendError};
use elara_core::time::Span;
use elara_core::wire::v1::Control;
use elara_core::wire::v1::control::{Alert, Move, Wish, alert, get, reason};
use zerocopy::little_endian::{U16, U32};

use crate::world::{World, media, voice};

#[test]
fn everyone_gets_in_over_a_third_of_loss() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        (world.loss, world.jitter_ms) = (300_000, 30);
        world.join();
        world.loss = 0;
        world.run(2_000);
        for person in &world.people {
            let seat = &world.relay.seats[&person.participant.node_id()];
            assert_eq!(seat.wishes.as_deref(), Some(&[Wish::EVERYTHING][..]), "seed {seed}");
            assert_eq!((seat.hold_ms, &seat.streams[..]), (2, &[voice(1)][..]), "seed {seed}");
            assert!(person.participant.is_joined() && !person.participant.is_degraded());
        }
    }
}

#[test]
fn the_first_control_frame_says_everything() {
    let mut world = World::new(1, 1);
    world.run(45);
    let person = &world.people[0];
    assert_eq!(person.sent.len(), 2, "HELLO, and one control frame");
    assert!(person.participant.is_joined());
    let seat = &world.relay.seats[&world.node(0)];
    assert!(seat.wishes.is_some() && seat.pings == 1 && seat.streams == [voice(1)]);
    assert!(matches!(person.events[0], Event::Joined { conn: 0, first: true, .. }));
    assert!(matches!(person.events[1], Event::Clock(sample) if sample.rtt_us() == 20_000));
}

#[test]
fn a_wish_that_changes_is_stated_until_it_is_heard() {
    let mut world = World::new(2, 1);
    world.join();
    world.cut = true;
    let narrow = Wish { classes: 1, ..Wish::EVERYTHING };
    let now = world.now();
    world.people[0].participant.subscribe(&[narrow], 5, now).unwrap();
    world.run(900);
    world.cut = false;
    world.run(1_500);
    let seat = &world.relay.seats[&world.node(0)];
    assert_eq!((seat.wishes.as_deref(), seat.hold_ms), (Some(&[narrow][..]), 5));
    let sent = world.people[0].sent.len();
    world.run(500);
    assert!(world.people[0].sent.len() <= sent + 1, "heard, so it is not said again");
    let too_many = vec![Wish::EVERYTHING; 65];
    let refused = world.people[0].participant.subscribe(&too_many, 0, now);
    assert_eq!(refused, Err(SendError::TooMuchWished));
}

#[test]
fn nobody_there_is_waited_for_and_said() {
    let mut world = World::new(3, 1);
    world.cut = true;
    world.run(16_000);
    let waited = world.people[0].count(|event| matches!(event, Event::Waiting { .. }));
    assert_eq!(waited, 3);
    world.cut = false;
    world.join();
    assert!(world.people[0].sent.len() < 30, "a HELLO a second, not more");
}

#[test]
fn a_busy_relay_is_not_pressed() {
    let mut world = World::new(4, 1);
    world.relay.busy_ms = Some(3_000);
    world.run(2_900);
    assert_eq!(world.people[0].sent.len(), 1);
    assert_eq!(world.people[0].count(|event| matches!(event, Event::Busy { .. })), 1);
    world.relay.busy_ms = None;
    world.join();
}

#[test]
fn after_a_restart_everyone_is_back_with_their_wishes() {
    for seed in 0..10 {
        let mut world = World::new(seed, 2);
        world.join();
        world.loss = 100_000;
        world.relay.restart();
        let back = world.run_until(8_000, |world| {
            world.relay.seats.len() == 2
                && world.relay.seats.values().all(|seat| seat.wishes.is_some())
                && world.people.iter().all(|person| person.participant.is_joined())
        });
        assert!(back, "seed {seed}");
        world.loss = 0;
        world.run(3_000);
        world.say(0, 1, b"again");
        world.run(100);
        assert_eq!(world.people[1].heard().last().unwrap().content, b"again", "seed {seed}");
        let again = |event: &Event| matches!(event, Event::Joined { first: false, .. });
        assert!(world.people[0].count(again) >= 1, "seed {seed}");
    }
}

#[test]
fn a_silent_path_is_degraded_and_recovers_without_new_keys() {
    let mut world = World::new(5, 1);
    world.join();
    let conn = world.people[0].participant.connection();
    world.cut = true;
    world.run(4_500);
    assert!(world.people[0].participant.is_degraded() && world.people[0].participant.is_joined());
    world.cut = false;
    world.run(3_000);
    let person = &world.people[0];
    assert!(!person.participant.is_degraded());
    let told = |event: &Event| matches!(event, Event::Degraded);
    assert_eq!(person.count(told), 1);
    // Either the old connection answered first or the new one: both are whole.
    let recovered = person.count(|event| matches!(event, Event::Recovered)) == 1;
    assert!(recovered == (person.participant.connection() == conn));
}

#[test]
fn keys_change_within_a_stream_and_no_frame_is_lost() {
    for seed in 0..4 {
        let mut world = World::new(seed, 2);
        (world.jitter_ms, world.mark_every_ms) = (8, Some(200));
        world.join();
        let before = world.people[0].participant.connection();
        let mut frame = 0;
        let mut talk = |world: &mut World, ms: u64| {
            for _ in 0..ms / 20 {
                world.say(0, frame, &frame.to_le_bytes());
                frame += 1;
                world.run(20);
            }
        };
        talk(&mut world, 500);
        let node = world.node(0);
        let rekey = Alert { code: U16::new(alert::REKEY), arg: U32::ZERO };
        world.relay.say(node, &[Control::Alert(&rekey)]);
        talk(&mut world, 4_000);
        world.run(100);
        assert_ne!(world.people[0].participant.connection(), before, "seed {seed}");
        assert_eq!(world.relay.seats[&node].connections, 2, "seed {seed}");
        let mut heard: Vec<u32> = world.people[1].heard().iter().map(|it| it.frame).collect();
        heard.sort_unstable();
        assert_eq!(heard, (0..225).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(world.people[1].participant.counters().unknown_dropped, 0, "seed {seed}");
        assert_eq!(world.people[1].participant.counters().gaps, 0, "seed {seed}");
    }
}

#[test]
fn a_fast_sender_changes_keys_before_the_roster_tells_and_no_frame_waits() {
    let mut world = World::new(21, 2);
    world.join();
    let node = world.node(0);
    let before = world.people[0].participant.connection();
    let rekey = Alert { code: U16::new(alert::REKEY), arg: U32::ZERO };
    world.relay.say(node, &[Control::Alert(&rekey)]);
    world.relay.hold_deltas = true;
    for frame in 0..1_500 {
        world.say(0, frame, &[1; 100]);
        world.run(1);
        if world.now_ms.is_multiple_of(120) {
            world.relay.tell_held();
        }
    }
    world.run(100);
    assert_ne!(world.people[0].participant.connection(), before);
    let heard: Vec<u32> = world.people[1].heard().iter().map(|it| it.frame).collect();
    assert_eq!(heard, (0..1_500).collect::<Vec<_>>());
    assert_eq!(world.people[1].participant.counters().unknown_dropped, 0);
}

#[test]
fn after_a_restart_data_follows_at_once() {
    let mut world = World::new(22, 2);
    world.join();
    let conns = |world: &World| world.people[0].participant.connection().unwrap();
    let before = conns(&world);
    world.relay.restart();
    let node = world.node(0);
    let seated = |world: &World| {
        let seat = world.relay.seats.get(&node);
        seat.is_some_and(|seat| seat.connections == 1)
    };
    assert!(world.run_until(8_000, seated));
    world.run(20);
    assert_ne!(conns(&world), before);
}

#[test]
fn a_connection_gets_new_keys_after_an_hour() {
    let mut world = World::new(6, 1);
    world.relay.terms.ping_ms = 30_000;
    world.join();
    world.now_ms += CONNECTION_LIFE.as_nanos() / 1_000_000 - 1_000;
    world.run(500);
    assert_eq!(world.relay.seats[&world.node(0)].connections, 1);
    world.run(3_000);
    assert_eq!(world.relay.seats[&world.node(0)].connections, 2);
    assert!(world.people[0].participant.is_joined());
}

#[test]
fn a_changed_address_is_shown_at_once_and_a_challenge_answered_from_it() {
    let mut world = World::new(7, 1);
    world.join();
    world.run(300);
    world.people[0].address = 77;
    let (now, sent) = (world.now(), world.people[0].sent.len());
    world.people[0].participant.address_changed(now);
    world.run(1);
    assert_eq!(world.people[0].sent.len(), sent + 1);
    assert!(world.people[0].sent[sent].len() >= PATH_DATAGRAM_MIN);
    let node = world.node(0);
    world.relay.seats.get_mut(&node).unwrap().address = 77;
    world.relay.challenge(node, *b"mountain");
    world.run(21);
    assert_eq!(world.relay.seats[&node].path_responses, [(77, *b"mountain")]);
}

#[test]
fn lost_pages_are_asked_for() {
    let mut world = World::new(8, 5);
    // Rosters are the longest control frames there are here; all of them are lost.
    world.censor = Some(|bytes| bytes[20] == 0xF1 && bytes.len() > 120);
    world.run(3_000);
    assert!(world.people.iter().all(|person| person.participant.members().len() < 5));
    world.censor = None;
    world.join();
    let seats = world.relay.seats.values();
    assert!(seats.clone().all(|seat| seat.gets.contains(&get::ROSTER)));
    assert!(seats.clone().all(|seat| seat.gets.len() < 12), "once a second per kind");
}

#[test]
fn who_was_removed_stays_out_until_asked_to_come_back() {
    let mut world = World::new(9, 2);
    world.join();
    let node = world.node(1);
    world.people[0].participant.kick(node, reason::MODERATED).unwrap();
    world.run(5_000);
    let removed = &world.people[1];
    assert_eq!(removed.events.last(), Some(&Event::Kicked { reason: reason::MODERATED }));
    assert!(removed.participant.is_over() && removed.participant.poll_timeout().is_none());
    assert_eq!(world.relay.seats.len(), 1);
    assert_eq!(world.people[0].participant.members().len(), 1);
    let now = world.now();
    world.people[1].participant.connect(now);
    world.join();
}

#[test]
fn a_goodbye_is_said_thrice_and_then_nothing() {
    let mut world = World::new(10, 2);
    world.join();
    let (now, node) = (world.now(), world.node(0));
    world.say(0, 1, b"bye");
    let sent = world.people[0].sent.len();
    world.people[0].participant.leave(reason::DONE, now);
    world.run(1_000);
    assert_eq!(world.people[0].sent.len(), sent + 4);
    assert!(world.people[0].participant.is_over());
    assert!(!world.relay.seats.contains_key(&node));
    assert_eq!(world.people[1].participant.members().len(), 1);
    assert_eq!(world.people[1].heard().len(), 1, "what was queued went out before");
    let refused = world.people[0].participant.send_media(&media(2), b"x");
    assert_eq!(refused, Err(SendError::NotJoined));
}

#[test]
fn a_goodbye_at_once_waits_for_nothing() {
    let mut world = World::new(23, 2);
    world.relay.terms.max_pps = 20;
    world.join();
    (0..100).for_each(|frame| world.say(0, frame, b"x"));
    let (now, sent) = (world.now(), world.people[0].sent.len());
    world.people[0].participant.leave(reason::DONE, now);
    world.run(1);
    world.people[0].participant.leave_at_once(reason::DONE, now);
    world.run(1);
    assert!(world.people[0].sent.len() <= sent + 3, "one frame, a ping, the goodbye");
    world.run(10);
    assert!(!world.relay.seats.contains_key(&world.node(0)));
}

#[test]
fn a_relay_that_moves_is_only_told_of() {
    let mut world = World::new(11, 1);
    world.join();
    let (node, addr) = (world.node(0), "192.0.2.7:7840".parse().unwrap());
    world.relay.send_away(node, &Move::to(addr, [3; 32]));
    world.run(50);
    let moved = Event::Moved { addr, relay: ExchangePublic([3; 32]) };
    assert!(world.people[0].events.contains(&moved) && world.people[0].participant.is_joined());
}

#[test]
fn a_healthy_connection_is_pinged_as_the_relay_asks() {
    let mut world = World::new(12, 1);
    world.relay.terms.ping_ms = 2_000;
    world.join();
    world.run(20_000);
    let pings = world.relay.seats[&world.node(0)].pings;
    assert!((10..=12).contains(&pings), "{pings}");
    let span = Span::from_secs(1);
    assert!(world.people[0].participant.poll_timeout().unwrap() <= world.now() + span + span);
}
