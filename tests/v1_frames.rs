//! Frames of wire v1: what a relay passes on, byte for byte, and all that it refuses.

mod support;

use elara_core::crypto::{Permissions, Suite};
use elara_core::ids::StateId;
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{
    Control, Mark, Ping, Pong, Report, Subscribe, Wish, alert, kind,
};
use elara_core::wire::v1::tlv::bits;
use elara_core::wire::v1::{Bundle, BundleHead, State, Stream, Tlvs};
use elara_shards::{Counters, Verdict};
use support::guest::{Club, Guest, Party, SESSION, data_of};
use support::room::{InMemory, OverSyscall, OverUring, Place, Room};
use zerocopy::FromBytes;

/// `N` guests who have entered and heard everything there is to hear.
fn entered<P: Place, const N: usize>(club: &mut Club) -> (Room<P>, [Guest; N]) {
    let mut room = Room::<P>::with(N, club.config());
    let mut guests = std::array::from_fn(|_| club.guest());
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.enter(peer, guest);
    }
    (0..N).for_each(|peer| drop(room.heard(peer)));
    (room, guests)
}

/// The verdict on one datagram.
fn verdict_on<P: Place>(room: &mut Room<P>, peer: usize, bytes: &[u8]) -> Verdict {
    let before: Counters = room.settle();
    let after = room.after(peer, bytes);
    let given = |verdict: &&Verdict| after.of(**verdict) > before.of(**verdict);
    *Verdict::ALL.iter().find(given).expect("a verdict")
}

fn what_leaves_is_what_came<P: Place>(suite: Suite) {
    let mut club = Club::new();
    club.suite = suite;
    let (mut room, [mut alice, ..]) = entered::<P, 4>(&mut club);
    for (class, len) in [(Class::Core, 80), (Class::Perceptual, 120), (Class::Repair, 1_232)] {
        let frame = alice.data(class, len);
        room.say(0, &frame);
        for peer in 1..4 {
            assert_eq!(data_of(room.heard(peer)), [&frame[..]], "{} {class:?}", P::NAME);
        }
        assert_eq!(data_of(room.heard(0)), [[0; 0]; 0], "not to herself");
    }
    assert_eq!(room.settle().of(Verdict::Forwarded), 3);
}

#[test]
fn what_leaves_is_what_came_over_uring() {
    what_leaves_is_what_came::<OverUring>(Suite::AesGcm);
}

#[test]
fn what_leaves_is_what_came_over_syscall() {
    what_leaves_is_what_came::<OverSyscall>(Suite::ChaChaPoly);
}

#[test]
fn what_leaves_is_what_came_over_memory() {
    what_leaves_is_what_came::<InMemory>(Suite::ChaChaPoly);
}

#[test]
fn a_train_is_passed_on_frame_by_frame() {
    let (mut room, [mut alice, _]) = entered::<OverUring, 2>(&mut Club::new());
    let frames: Vec<Vec<u8>> = (0..20).map(|_| alice.data(Class::Perceptual, 240)).collect();
    room.say_train(0, &frames.concat(), 240);
    assert_eq!(data_of(room.heard(1)), frames);
}

#[test]
fn a_bundle_is_its_frames() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    let ping = Ping { id: 9.into(), t_client_us: 2.into(), next_core: 0.into() };
    let frames = [
        alice.data(Class::Core, 80),
        alice.control(&[Control::Ping(&ping)]),
        alice.data(Class::Perceptual, 120),
    ];
    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut out = [0; 1_232];
    let bundle = BundleHead::join(&mut out, SESSION, &slices).unwrap().to_vec();
    assert_eq!(verdict_on(&mut room, 0, &bundle), Verdict::Forwarded);
    assert_eq!(data_of(room.heard(1)), [&frames[0][..], &frames[2][..]]);
    let heard = room.heard(0);
    assert_eq!(alice.opened(&heard)[0].0, kind::PONG);

    // The first frame that fails ends it.
    let mut broken = [alice.data(Class::Core, 80), alice.data(Class::Core, 80)];
    broken[0][60] ^= 1;
    let slices: Vec<&[u8]> = broken.iter().map(Vec::as_slice).collect();
    let bundle = BundleHead::join(&mut out, SESSION, &slices).unwrap().to_vec();
    assert_eq!(verdict_on(&mut room, 0, &bundle), Verdict::BadTag);
    let mixed = [alice.data(Class::Core, 80), bob.data(Class::Core, 80)];
    let slices: Vec<&[u8]> = mixed.iter().map(Vec::as_slice).collect();
    let bundle = BundleHead::join(&mut out, SESSION, &slices).unwrap().to_vec();
    assert_eq!(verdict_on(&mut room, 0, &bundle), Verdict::BadBundle, "of two senders");
    assert_eq!(verdict_on(&mut room, 0, &bundle[..90]), Verdict::BadBundle);
    assert_eq!(data_of(room.heard(1)), [[0; 0]; 0]);
}

#[test]
fn forged_damaged_and_repeated_frames_go_nowhere() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    let frame = alice.data(Class::Core, 120);
    for bit in [8 * 25, 8 * 35, 8 * 70, 8 * 119 + 7] {
        let mut forged = frame.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let verdict = verdict_on(&mut room, 1, &forged);
        assert!(matches!(verdict, Verdict::BadTag | Verdict::BadExtension), "{bit}: {verdict:?}");
    }
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::Forwarded, "no window has moved");
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::Replayed);
    assert_eq!(verdict_on(&mut room, 1, &frame), Verdict::Replayed, "whoever says it");
    for _ in 0..300 {
        let frame = alice.data(Class::Core, 80);
        room.say(0, &frame);
    }
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::TooOld);

    // Another's frame under her name.
    let mut borrowed = bob.data(Class::Core, 120);
    borrowed[12..20].copy_from_slice(&alice.node().to_bytes());
    borrowed[26..30].copy_from_slice(&5_000u32.to_le_bytes());
    assert_eq!(verdict_on(&mut room, 1, &borrowed), Verdict::BadTag);
    let control = alice.control(&[]);
    let mut damaged = control.clone();
    damaged[40] ^= 1;
    assert_eq!(verdict_on(&mut room, 0, &damaged), Verdict::BadTag);
    assert_eq!(verdict_on(&mut room, 0, &control), Verdict::Control);
    assert_eq!(verdict_on(&mut room, 0, &control), Verdict::Replayed);
}

#[test]
fn each_way_of_being_malformed_has_its_verdict() {
    let (mut room, [mut alice, _]) = entered::<InMemory, 2>(&mut Club::new());
    let frame = alice.data(Class::Core, 120);
    let broken = |change: fn(&mut Vec<u8>)| {
        let mut frame = frame.clone();
        change(&mut frame);
        frame
    };
    for (frame, verdict) in [
        (broken(|it| it.truncate(45)), Verdict::Runt),
        (broken(|it| it.resize(1_233, 0)), Verdict::TooLong),
        (broken(|it| it[0] = 0x10), Verdict::BadSuite),
        (broken(|it| it[0] = 0x12), Verdict::BadSuite),
        (broken(|it| it[1] |= 2), Verdict::BadFlags),
        (broken(|it| it[20] = 9), Verdict::BadClass),
        (broken(|it| it[2] = 29), Verdict::BadHeaderLength),
        (broken(|it| it[2] = 34), Verdict::BadExtension),
        (broken(|it| it[1] ^= 0x80), Verdict::NoConnection),
        (broken(|it| it[12] ^= 1), Verdict::UnknownParticipant),
        (broken(|it| it[4] ^= 1), Verdict::UnknownParticipant),
    ] {
        assert_eq!(verdict_on(&mut room, 0, &frame), verdict);
    }
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::Forwarded);
}

#[test]
fn who_is_not_known_gets_a_hint_shorter_than_what_it_said() {
    let (mut room, [mut alice]) = entered::<InMemory, 1>(&mut Club::new());
    let mut stranger = alice.data(Class::Core, 120);
    stranger[12] ^= 1;
    room.say(0, &stranger);
    let heard = room.heard(0);
    assert_eq!(heard.iter().map(Vec::len).collect::<Vec<_>>(), [62], "RESET");
    let mut short = alice.control(&[]);
    short[12] ^= 1;
    assert_eq!(verdict_on(&mut room, 0, &short), Verdict::UnknownParticipant);
    assert_eq!(room.heard(0).len(), 0, "46 bytes are not answered with 62");
}

#[test]
fn a_token_says_which_classes_its_holder_may_send() {
    let mut club = Club::new();
    club.claims.permissions = Permissions::send(1).and(Permissions::RECEIVE);
    let (mut room, [mut alice, _]) = entered::<InMemory, 2>(&mut club);
    assert_eq!(verdict_on(&mut room, 0, &alice.data(Class::Core, 80)), Verdict::Forbidden);
    let heard = room.heard(0);
    let opened = alice.opened(&heard);
    assert_eq!((opened[0].0, opened[0].1[0]), (kind::ALERT, alert::PERMISSION as u8));
    assert_eq!(verdict_on(&mut room, 0, &alice.data(Class::Perceptual, 80)), Verdict::Forwarded);
    // One who may not receive is sent nothing, whatever it asks for.
    club.claims.permissions = Permissions::SEND_ALL;
    let (mut room, [_, mut bob]) = entered::<InMemory, 2>(&mut club);
    assert_eq!(verdict_on(&mut room, 1, &bob.data(Class::Core, 80)), Verdict::Unwanted);
}

#[test]
fn a_token_says_how_fast() {
    let mut club = Club::new();
    club.claims.max_pps = 40;
    let (mut room, [mut alice, _]) = entered::<InMemory, 2>(&mut club);
    let verdicts: Vec<Verdict> = (0..20)
        .map(|_| {
            let frame = alice.data(Class::Perceptual, 120);
            verdict_on(&mut room, 0, &frame)
        })
        .collect();
    // A quarter of a second at once, of which the greeting has taken one.
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Forwarded).count(), 9);
    assert!(verdicts[9..].iter().all(|verdict| *verdict == Verdict::OverRate));
    let heard = room.heard(0);
    assert_eq!(alice.opened(&heard)[0].0, kind::ALERT);
}

#[test]
fn a_receiver_gets_what_it_asked_for() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    let one =
        Wish { node: alice.node().0.into(), stream: 4.into(), classes: 0b10, ..Wish::EVERYTHING };
    let texts = Wish { classes: 1, ..Wish::EVERYTHING };
    let wishes = [one, texts];
    let subscribe = bob.control(&[Control::Subscribe(Subscribe::new(2, 0, &wishes))]);
    room.say(1, &subscribe);
    let heard = room.heard(1);
    assert_eq!(bob.opened(&heard), [(kind::ACK, vec![kind::SUBSCRIBE, 2, 0, 0, 0])]);
    let piece = |stream: u16| Stream {
        stream: stream.into(),
        bits: bits::FIRST | bits::LAST,
        layer: 0,
        frame: 0.into(),
        index: 0.into(),
    };
    let mut verdict = |class, stream: Option<u16>| {
        let stream = stream.map(piece);
        let tlvs = Tlvs { stream: stream.as_ref(), state: None };
        let frame = alice.data_with(class, 120, &tlvs);
        verdict_on(&mut room, 0, &frame)
    };
    assert_eq!(verdict(Class::Perceptual, Some(4)), Verdict::Forwarded);
    assert_eq!(verdict(Class::Perceptual, Some(5)), Verdict::Unwanted);
    assert_eq!(verdict(Class::Perceptual, None), Verdict::Unwanted);
    assert_eq!(verdict(Class::Enhancement, Some(4)), Verdict::Unwanted);
    assert_eq!(verdict(Class::Core, Some(5)), Verdict::Forwarded);
    assert_eq!(verdict(Class::Core, None), Verdict::Forwarded);
    // An older wish changes nothing.
    let everything = [Wish::EVERYTHING];
    let late = bob.control(&[Control::Subscribe(Subscribe::new(1, 0, &everything))]);
    room.say(1, &late);
    let frame = alice.data(Class::Cosmetic, 80);
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::Unwanted);
}

#[test]
fn nothing_is_sent_to_who_has_not_asked() {
    let mut club = Club::new();
    let mut room = Room::<InMemory>::with(2, club.config());
    let (mut alice, mut bob) = (club.guest(), club.guest());
    room.enter(0, &mut alice);
    assert_eq!(verdict_on(&mut room, 0, &alice.data(Class::Core, 80)), Verdict::Alone);
    room.knock(1, &mut bob);
    let quiet = bob.control(&[]);
    room.say(1, &quiet);
    assert_eq!(verdict_on(&mut room, 0, &alice.data(Class::Core, 80)), Verdict::Unwanted);
}

#[test]
fn state_is_taken_only_under_ones_own_keys() {
    let (mut room, [mut alice, bob]) = entered::<InMemory, 2>(&mut Club::new());
    let atom = |guest: &Guest| {
        State::register(StateId::of_kind(1, 1), 1 << 16, guest.link.as_ref().unwrap().inst.0)
    };
    let (own, foreign) = (atom(&alice), atom(&bob));
    let frame = alice.data_with(Class::Core, 120, &Tlvs { stream: None, state: Some(&own) });
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::Forwarded);
    let frame = alice.data_with(Class::Core, 120, &Tlvs { stream: None, state: Some(&foreign) });
    assert_eq!(verdict_on(&mut room, 0, &frame), Verdict::ForeignInst);
}

#[test]
fn a_new_connection_takes_over_without_losing_a_frame() {
    let (mut room, [mut alice, _]) = entered::<InMemory, 2>(&mut Club::new());
    // She rekeys; what she sends by the old keys meanwhile arrives, and so does what is late.
    let late: Vec<Vec<u8>> = (0..3).map(|_| alice.data(Class::Core, 80)).collect();
    let hello = alice.hello();
    room.say(0, &hello);
    let meanwhile = alice.data(Class::Core, 80);
    assert_eq!(verdict_on(&mut room, 0, &meanwhile), Verdict::Forwarded);
    let welcome = room.heard(0).into_iter().find(|datagram| datagram.len() == 166).unwrap();
    alice.welcomed(&welcome);
    assert_eq!(verdict_on(&mut room, 0, &alice.greeting()), Verdict::Control);
    assert_eq!(verdict_on(&mut room, 0, &alice.data(Class::Core, 80)), Verdict::Forwarded);
    for frame in &late {
        assert_eq!(verdict_on(&mut room, 0, frame), Verdict::Forwarded);
    }
    assert_eq!(verdict_on(&mut room, 0, &late[0]), Verdict::Replayed);
    assert_eq!(room.settle().participants, 2);
}

#[test]
fn a_pong_tells_what_time_it_is_and_which_core_frames_are_missing() {
    let (mut room, [mut alice, _]) = entered::<InMemory, 2>(&mut Club::new());
    let frames: Vec<Vec<u8>> = (0..6).map(|_| alice.data(Class::Core, 80)).collect();
    for arrived in [0, 1, 4] {
        room.say(0, &frames[arrived]);
    }
    let ping = Ping { id: 7.into(), t_client_us: 99.into(), next_core: 6.into() };
    let ping = alice.control(&[Control::Ping(&ping)]);
    room.say(0, &ping);
    let heard = room.heard(0);
    let opened = alice.opened(&heard);
    let pong = Pong::read_from_bytes(&opened[0].1).unwrap();
    assert_eq!((pong.id.get(), pong.t_client_us.get()), (7, 99));
    assert_eq!(pong.missing(6).collect::<Vec<_>>(), [5, 3, 2]);
}

#[test]
fn a_mark_counts_what_was_sent_and_a_report_what_was_lost() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    let before = room.settle().control_sent;
    let mut digest = 0u64;
    for len in [80, 120] {
        let frame = alice.data(Class::Core, len);
        digest = digest.wrapping_add(u64::from_le_bytes(*frame.last_chunk().unwrap()));
        room.say(0, &frame);
    }
    room.heard(1);
    room.pass(250);
    let heard = room.heard(1);
    let opened = bob.opened(&heard);
    let (_, mark) = opened.iter().find(|(kind, _)| *kind == kind::MARK).expect("a mark");
    let mark = Mark::read_from_bytes(mark).unwrap();
    assert_eq!((mark.n.get(), mark.core_digest.get()), (1, digest));
    assert!(mark.sent.get() >= 3 && mark.bytes.get() >= 80 + 120 + 85);
    assert!(room.settle().control_sent > before);
    // Nothing more is sent, nothing more is marked.
    room.pass(5_000);
    let heard = room.heard(1);
    assert!(bob.opened(&heard).iter().all(|(kind, _)| *kind != kind::MARK));

    let received = mark.sent.get() - 2;
    let report = Report { n: mark.n, received: received.into(), arrival_us: 1.into() };
    let report = bob.control(&[Control::Report(&report)]);
    room.say(1, &report);
    let view = room.view(SESSION).expect("the session");
    let bobs = view.participants.iter().find(|them| them.node == bob.node()).unwrap();
    assert_eq!((bobs.lost, bobs.sent), (2, mark.sent.get()));
}

#[test]
fn a_kernel_that_takes_nothing_is_not_held_against_the_receiver() {
    let (mut room, [mut alice, bob]) = entered::<InMemory, 2>(&mut Club::new());
    let sent = |room: &mut Room<InMemory>, node| {
        let view = room.view(SESSION).unwrap();
        view.participants.iter().find(|them| them.node == node).unwrap().sent
    };
    let before = sent(&mut room, bob.node());
    room.shard.io().mischief().busy = 1_000_000;
    let frame = alice.data(Class::Core, 80);
    room.say(0, &frame);
    room.settle();
    room.shard.io().mischief().busy = 0;
    room.settle();
    assert_eq!(sent(&mut room, bob.node()), before);
    assert!(room.settle().egress.busy > 0);
}

/// A guest grants that its small frames wait.
fn grant(room: &mut Room<InMemory>, peer: usize, guest: &mut Guest, hold_ms: u8) {
    let everything = [Wish::EVERYTHING];
    let wish = guest.control(&[Control::Subscribe(Subscribe::new(9, hold_ms, &everything))]);
    room.say(peer, &wish);
    drop(room.heard(peer));
}

#[test]
fn small_frames_wait_for_each_other_where_their_receiver_grants_it() {
    let (mut room, [mut alice, mut bob, mut carol, mut dora]) =
        entered::<InMemory, 4>(&mut Club::new());
    grant(&mut room, 1, &mut bob, 5);
    grant(&mut room, 2, &mut carol, 2);
    let before = room.settle();
    let from_alice = alice.data(Class::Perceptual, 120);
    room.say(0, &from_alice);
    room.tick(1);
    let from_dora = dora.data(Class::Core, 160);
    room.say(3, &from_dora);
    let from_bob = bob.data(Class::Perceptual, 120);
    room.say(1, &from_bob);
    room.settle();
    assert_eq!(data_of(room.heard(0)), [&from_dora[..], &from_bob], "alice grants nothing");
    assert!(room.heard(1).is_empty() && room.heard(2).is_empty());
    room.tick(2);
    let heard = room.heard(2);
    let bundle = Bundle::parse(&heard[0]).unwrap();
    assert_eq!(heard.len(), 1, "after 2 ms, all in one");
    assert_eq!(bundle.iter().collect::<Vec<_>>(), [&from_alice[..], &from_dora, &from_bob]);
    assert!(room.heard(1).is_empty());
    room.tick(3);
    let heard = room.heard(1);
    let bundle = Bundle::parse(&heard[0]).unwrap();
    assert_eq!(bundle.iter().collect::<Vec<_>>(), [&from_alice[..], &from_dora], "not his own");
    let after = room.settle();
    assert_eq!(after.copies - before.copies, 3 + 2, "three at once, two bundles");
    assert!(after.balanced());
}

#[test]
fn what_is_large_or_alone_does_not_wait_or_change() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    grant(&mut room, 1, &mut bob, 5);
    let large = alice.data(Class::Perceptual, 640);
    room.say(0, &large);
    assert_eq!(room.heard(1), [&large[..]]);
    let small = alice.data(Class::Perceptual, 120);
    room.say(0, &small);
    assert!(room.heard(1).is_empty());
    room.tick(6);
    assert_eq!(room.heard(1), [&small[..]], "one frame is no bundle");
    // What he does not want does not come because it waited.
    let texts = [Wish { classes: 1, ..Wish::EVERYTHING }];
    let wish = bob.control(&[Control::Subscribe(Subscribe::new(10, 5, &texts))]);
    room.say(1, &wish);
    drop(room.heard(1));
    let (voice, text) = (alice.data(Class::Perceptual, 120), alice.data(Class::Core, 120));
    room.say(0, &voice);
    room.say(0, &text);
    room.tick(6);
    assert_eq!(room.heard(1), [&text[..]]);
}

#[test]
fn more_than_may_wait_leaves_at_once() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    grant(&mut room, 1, &mut bob, 5);
    let frames: Vec<Vec<u8>> = (0..1_100).map(|_| alice.data(Class::Perceptual, 80)).collect();
    for frame in &frames {
        room.say(0, frame);
        room.settle();
    }
    room.tick(6);
    let mut heard = Vec::new();
    for datagram in room.heard(1) {
        match Bundle::parse(&datagram) {
            Ok(bundle) => heard.extend(bundle.iter().map(<[u8]>::to_vec)),
            Err(_) => heard.push(datagram),
        }
    }
    assert_eq!(heard, frames);
}

#[test]
fn the_impatient_do_not_wait_for_the_patient() {
    let (mut room, [mut alice, mut bob, mut carol]) = entered::<InMemory, 3>(&mut Club::new());
    grant(&mut room, 1, &mut bob, 1);
    grant(&mut room, 2, &mut carol, 5);
    let first = alice.data(Class::Perceptual, 120);
    room.say(0, &first);
    room.settle();
    room.tick(1);
    assert_eq!(room.heard(1), [&first[..]]);
    // Carol's still waits when the next comes.
    let second = alice.data(Class::Perceptual, 120);
    room.say(0, &second);
    room.settle();
    room.tick(2);
    assert_eq!(room.heard(1), [&second[..]]);
    assert!(room.heard(2).is_empty());
}

#[test]
fn a_change_of_patience_loses_and_repeats_nothing() {
    let (mut room, [mut alice, mut bob, mut carol]) = entered::<InMemory, 3>(&mut Club::new());
    grant(&mut room, 1, &mut bob, 5);
    grant(&mut room, 2, &mut carol, 5);
    let everything = [Wish::EVERYTHING];
    for (version, hold_ms) in [(20, 0), (21, 2), (22, 5)] {
        let frame = alice.data(Class::Core, 120);
        room.say(0, &frame);
        room.settle();
        let wish = Control::Subscribe(Subscribe::new(version, hold_ms, &everything));
        let wish = bob.control(&[wish]);
        room.say(1, &wish);
        room.tick(6);
        assert_eq!(data_of(room.heard(1)), [&frame[..]], "{hold_ms} ms");
        assert_eq!(data_of(room.heard(2)), [&frame[..]]);
    }
}

#[test]
fn a_relay_that_stops_sends_what_waits() {
    let (mut room, [mut alice, mut bob]) = entered::<InMemory, 2>(&mut Club::new());
    grant(&mut room, 1, &mut bob, 5);
    let frame = alice.data(Class::Core, 120);
    room.say(0, &frame);
    room.stop();
    assert_eq!(room.left(1), [&frame[..]]);
}
