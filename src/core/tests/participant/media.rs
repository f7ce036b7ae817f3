//! Frames between participants, and what is told about those that were lost.

use elara_core::StateId;
use elara_core::limits::{MEDIA_CONTENT_MAX, OUTBOX_MAX, V1_FRAME_MAX};
use elara_core::participant::{Event, Head, MediaHead, OpenedFrame, SendError};
use elara_core::wire::Class;
use elara_core::wire::v1::control::{Alert, alert};
use elara_core::wire::v1::{BodyKind, Control, State};
use zerocopy::little_endian::{U16, U32};

use crate::world::{World, media};

#[test]
fn two_participants_hear_each_other_whatever_suite_they_chose() {
    let mut world = World::new(1, 2);
    world.join();
    for frame in 0..50 {
        world.say(0, frame, format!("a{frame}").as_bytes());
        world.say(1, frame, format!("b{frame}").as_bytes());
        world.run(5);
    }
    world.run(50);
    for (who, letter) in [(1, 'a'), (0, 'b')] {
        let heard = world.people[who].heard();
        let contents: Vec<_> =
            heard.iter().map(|it| String::from_utf8(it.content.clone()).unwrap()).collect();
        assert_eq!(contents, (0..50).map(|n| format!("{letter}{n}")).collect::<Vec<_>>());
        let first = heard[0];
        assert_eq!((first.node, first.stream, first.layer), (world.node(1 - who), 1, 0));
        assert_eq!((first.key, first.class), (true, Class::Perceptual));
        assert_eq!((first.profile, first.time_hint), (0x11, 7));
    }
}

#[test]
fn large_frames_come_whole_or_not_at_all() {
    let mut world = World::new(2, 2);
    world.join();
    (world.jitter_ms, world.loss) = (20, 5_000);
    let sizes = [0, 1, 1_150, 1_151, 5_000, 60_000, MEDIA_CONTENT_MAX];
    for (frame, size) in (0..70).zip(sizes.into_iter().cycle()) {
        world.say(0, frame, &vec![frame as u8; size]);
        world.run(40);
    }
    world.loss = 0;
    world.run(100);
    let heard = world.people[1].heard();
    for it in &heard {
        let size = sizes[it.frame as usize % sizes.len()];
        assert_eq!(it.content, vec![it.frame as u8; size], "frame {}", it.frame);
    }
    assert!(heard.len() > 35 && heard.len() < 70, "{}", heard.len());
    let counters = world.people[1].participant.counters();
    assert!(counters.gaps > 0 && counters.incomplete > 0, "{counters:?}");
}

#[test]
fn what_does_not_fit_is_refused_where_it_is_sent() {
    let mut world = World::new(3, 1);
    let participant = &mut world.people[0].participant;
    assert_eq!(participant.send_media(&media(0), b"x"), Err(SendError::NotJoined));
    world.join();
    let participant = &mut world.people[0].participant;
    let too_large = vec![0; MEDIA_CONTENT_MAX + 1];
    assert_eq!(participant.send_media(&media(0), &too_large), Err(SendError::TooLarge));
    for frame in 0..OUTBOX_MAX as u32 {
        participant.send_media(&media(frame), b"x").unwrap();
    }
    assert_eq!(participant.send_media(&media(9), b"x"), Err(SendError::Full));
    world.run(1);
    world.say(0, 9, b"there is room again");
    let participant = &mut world.people[0].participant;
    for stream in 2..400 {
        participant.send_media(&MediaHead { stream, ..media(0) }, b"").unwrap();
    }
    for layer in 0..=255 {
        participant.send_media(&MediaHead { layer, ..media(0) }, b"").unwrap();
    }
    let another = participant.send_media(&MediaHead { stream: 2, ..media(0) }, b"");
    assert_eq!(another, Err(SendError::TooManyStreams), "those of the published one are kept");
}

#[test]
fn a_frame_can_be_sealed_into_the_callers_buffer() {
    let mut world = World::new(4, 2);
    world.relay.terms.max_frame = 700;
    world.join();
    let now = world.now();
    let [a, b] = &mut world.people[..] else { panic!("two people") };
    let mut out = [0; V1_FRAME_MAX];
    let most = a.participant.content_max().unwrap();
    assert_eq!(most, 558, "the largest in frames of 640 bytes");
    let content = vec![3; most + 1];
    let too_large = a.participant.seal_frame(&media(1), &content, &mut out);
    assert_eq!(too_large, Err(SendError::TooLarge));
    for (frame, len) in [(1, most), (2, 10), (3, 0)] {
        let content = &content[..len];
        let len = a.participant.seal_frame(&media(frame), content, &mut out).unwrap();
        b.participant.handle_datagram(&out[..len], now).unwrap();
        let Some(Event::Media(heard)) = b.participant.poll_event() else { panic!("frame {frame}") };
        assert_eq!((heard.frame, &heard.content[..]), (frame, content));
        assert!(b.participant.handle_datagram(&out[..len], now).is_err(), "each number once");
    }
    assert_eq!(b.participant.counters().gaps, 0);
}

#[test]
fn events_come_as_they_were_sealed_and_may_come_again() {
    let mut world = World::new(5, 2);
    world.join();
    let head = Head { class: Class::Core, profile: 0, time_hint: 1 };
    let state = State::log(StateId(9), 4, 5 << 16, [0; 16]);
    world.people[0].participant.send_event(&head, &state, &[6; 3_000]).unwrap();
    world.run(50);
    let opened: Vec<OpenedFrame> = world.people[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Opened(opened) => Some(opened.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(opened.iter().map(|part| part.content.len()).sum::<usize>(), 3_000);
    let states: Vec<_> = opened.iter().map(|part| part.state.unwrap()).collect();
    assert_eq!(
        states.iter().map(|it| (it.part, it.parts)).collect::<Vec<_>>(),
        [(0, 3), (1, 3), (2, 3)]
    );
    let inst = world.people[0].participant.connection().unwrap().1;
    assert!(states.iter().all(|it| it.inst == inst.0 && it.state_id() == StateId(9)));
    assert!(opened.iter().all(|it| it.kind == BodyKind::Event && it.node == world.node(0)));
    let frame = world.people[0].sent.last().unwrap().clone();
    let now = world.now();
    let listener = &mut world.people[1].participant;
    assert_eq!(listener.handle_datagram(&frame, now), Ok(()), "a relay keeps it for others too");
}

#[test]
fn what_a_late_comer_gets_out_of_the_relays_memory_is_heard_once() {
    let mut world = World::new(6, 3);
    world.join();
    // Another's frames move the sender's numbers on; the third one hears nothing meanwhile.
    let now = world.now();
    let mut out = [0; V1_FRAME_MAX];
    let mut early = Vec::new();
    for frame in 0..5_u32 {
        let sender = &mut world.people[0].participant;
        let len = sender.seal_frame(&media(frame), &[1], &mut out).unwrap();
        early.push(out[..len].to_vec());
    }
    let other = MediaHead { stream: 2, ..media(0) };
    let mut last = Vec::new();
    for _ in 0..2_000 {
        let sender = &mut world.people[0].participant;
        let len = sender.seal_frame(&other, &[2], &mut out).unwrap();
        last = out[..len].to_vec();
    }
    let listener = &mut world.people[2].participant;
    listener.handle_datagram(&last, now).unwrap();
    for frame in &early {
        assert_eq!(listener.handle_datagram(frame, now), Ok(()));
        assert!(listener.handle_datagram(frame, now).is_err(), "once");
    }
}

#[test]
fn a_report_counts_what_came_and_tells_of_loss_at_once() {
    let mut world = World::new(7, 2);
    world.mark_every_ms = Some(200);
    world.join();
    world.run(5_000);
    let node = world.node(1);
    let quiet = world.relay.seats[&node].reports.len();
    assert!((3..12).contains(&quiet), "about one a second: {quiet}");
    let last = |world: &World| world.relay.seats[&node].reports.last().unwrap().received.get();
    let before = last(&world);
    let head = Head { class: Class::Core, profile: 0, time_hint: 0 };
    for frame in 0..10_u32 {
        world.people[0].participant.send_media(&MediaHead { head, ..media(frame) }, b"x").unwrap();
        world.run(1);
        // The frame leaves the relay 10 ms later.
        world.censor = (frame == 4).then_some(|bytes: &[u8]| bytes[20] == 0);
        world.run(15);
        world.censor = None;
    }
    world.run(400);
    assert_eq!(world.people[1].participant.counters().gaps, 1);
    assert_eq!(world.people[1].participant.counters().digest_mismatches, 1);
    assert!(world.relay.seats[&node].reports.len() > quiet);
    world.run(1_500);
    assert!(last(&world) > before + 9);
}

#[test]
fn a_publisher_is_asked_for_a_key_frame() {
    let mut world = World::new(8, 2);
    world.join();
    let stream = elara_core::StreamId { node: world.node(0), stream: 1 };
    world.people[1].participant.request_keyframe(stream).unwrap();
    world.run(50);
    assert_eq!(world.people[0].count(|event| *event == Event::KeyframeWanted { stream: 1 }), 1);
}

#[test]
fn who_speaks_and_leaves_at_once_is_heard() {
    let mut world = World::new(9, 2);
    world.people[1].address = 99;
    world.unplugged = Some(99);
    assert!(world.run_until(1_000, |world| world.people[0].participant.is_joined()));
    world.run(50);
    // The frame comes before the roster's lines about who said it, which come together.
    world.relay.hold_deltas = true;
    world.unplugged = None;
    assert!(world.run_until(2_000, |world| world.people[1].participant.is_joined()));
    world.say(1, 0, b"hello and goodbye");
    let now = world.now();
    world.people[1].participant.leave(0, now);
    world.run(90);
    assert_eq!(world.people[0].heard().len(), 0);
    world.relay.tell_held();
    world.run(20);
    assert_eq!(world.people[0].heard()[0].content, b"hello and goodbye");
    assert_eq!(world.people[0].participant.members().len(), 1);
}

#[test]
fn who_comes_back_with_the_same_number_is_heard_from_the_first_frame() {
    let mut world = World::new(33, 2);
    world.join();
    let now = world.now();
    world.say(0, 0, b"before");
    world.people[0].participant.leave(0, now);
    world.run(500);
    assert!(world.people[0].participant.is_over());
    // As another process with the same identity would.
    world.restart(0);
    world.relay.hold_deltas = true;
    let back = |world: &World| world.people[0].participant.is_joined();
    assert!(world.run_until(1_000, back));
    assert_eq!(world.people[0].participant.connection().unwrap().0, 0);
    world.say(0, 1, b"after");
    world.run(100);
    world.relay.tell_held();
    world.run(50);
    assert_eq!(world.people[1].heard().last().unwrap().content, b"after");
}

#[test]
fn core_frames_lost_around_a_change_of_keys_are_sent_again() {
    for seed in 0..8 {
        let mut world = World::new(seed, 2);
        world.join();
        (world.loss_up, world.jitter_ms) = (250_000, 10);
        let head = Head { class: Class::Core, profile: 0, time_hint: 0 };
        let (node, before) = (world.node(0), world.people[0].participant.connection());
        let rekey = Alert { code: U16::new(alert::REKEY), arg: U32::ZERO };
        world.relay.say(node, &[Control::Alert(&rekey)]);
        let mut frames = 0..;
        while world.people[0].participant.connection() == before {
            let text = MediaHead { head, ..media(frames.next().unwrap()) };
            world.people[0].participant.send_media(&text, b"x").unwrap();
            world.run(50);
        }
        // Nothing is said by the new connection, so nothing but the old one's pings can repair it.
        world.run(3_500);
        let mut heard: Vec<u32> = world.people[1].heard().iter().map(|it| it.frame).collect();
        heard.sort_unstable();
        assert_eq!(heard, (0..frames.start).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn what_waits_longer_than_its_connection_lasts_is_dropped_and_counted() {
    let mut world = World::new(31, 2);
    world.relay.terms.max_pps = 20;
    world.join();
    let rekey = Alert { code: U16::new(alert::REKEY), arg: U32::ZERO };
    let node = world.node(0);
    for frame in 0..400 {
        world.say(0, frame, b"x");
    }
    world.relay.say(node, &[Control::Alert(&rekey)]);
    world.run(6_000);
    let dropped = world.people[0].participant.counters().outbox_dropped;
    assert!(dropped > 200, "{dropped}");
    world.say(0, 999, b"by the new one");
    world.run(100);
    assert_eq!(world.people[1].heard().last().unwrap().frame, 999, "none is in its way");
}

#[test]
fn core_frames_that_were_lost_on_the_way_up_are_sent_again() {
    for seed in 0..5 {
        let mut world = World::new(seed, 2);
        world.join();
        (world.loss_up, world.jitter_ms) = (150_000, 10);
        let head = Head { class: Class::Core, profile: 0, time_hint: 0 };
        for frame in 0..200_u32 {
            let text = MediaHead { head, ..media(frame) };
            world.people[0].participant.send_media(&text, &frame.to_le_bytes()).unwrap();
            world.run(50);
        }
        world.loss_up = 0;
        world.run(3_000);
        let mut heard: Vec<u32> = world.people[1].heard().iter().map(|it| it.frame).collect();
        heard.sort_unstable();
        assert_eq!(heard, (0..200).collect::<Vec<_>>(), "seed {seed}");
        let counters = world.people[0].participant.counters();
        assert!((20..80).contains(&counters.core_resent), "{counters:?}");
        let pings = world.relay.seats[&world.node(0)].pings;
        world.run(10_000);
        let idle = world.relay.seats[&world.node(0)].pings - pings;
        assert!((9..=11).contains(&idle), "when all have come, pings are as seldom as before");
    }
}
