//! One script, three back ends, one result: nothing above `Io` can tell which one it runs on.
//!
//! Every conversation is held over io_uring, over recvmmsg/sendmmsg, and over the network in memory. Those
//! here are with a shard; those in `conformance/edge.rs` and `conformance/walls.rs` with the back end
//! itself, through the contract of `elara_shards::io`.

mod support;

use elara_core::limits::CYCLE_SENDS_MAX;
use elara_shards::{Counters, Verdict};
use support::frames::{frame, frame_of};
use support::room::{Place, Room, on_every_back_end};

#[path = "conformance/edge.rs"]
mod edge;
#[path = "conformance/walls.rs"]
mod walls;

const ROOM: u64 = 0x1111;
const OTHER: u64 = 0x2222;

/// Everybody says hello, so that everybody is known; what was heard of it is forgotten.
fn introduce<P: Place>(room: &mut Room<P>, session: u64, peers: std::ops::Range<usize>) {
    for peer in peers.clone() {
        room.say(peer, &frame(session, peer as u64, b"hello"));
        room.settle();
    }
    for peer in peers {
        room.heard(peer);
    }
}

fn refusals(counters: &Counters) -> Vec<(Verdict, u64)> {
    Verdict::ALL
        .iter()
        .filter(|verdict| verdict.is_refusal() && counters.of(**verdict) > 0)
        .map(|verdict| (*verdict, counters.of(*verdict)))
        .collect()
}

on_every_back_end! {
    fn everyone_else_hears_the_bytes_that_were_said<P>() {
        let mut room = Room::<P>::new(4);
        introduce(&mut room, ROOM, 0..3);
        introduce(&mut room, OTHER, 3..4);
        let said = frame(ROOM, 0, b"good morning");
        room.say(0, &said);
        for peer in [1, 2] {
            assert_eq!(room.heard(peer), std::slice::from_ref(&said));
        }
        assert_eq!(room.heard(0), Vec::<Vec<u8>>::new(), "nobody hears themselves");
        assert_eq!(room.heard(3), Vec::<Vec<u8>>::new(), "another session hears nothing");
        let counters = room.settle();
        assert!(counters.balanced(), "{counters:?}");
        assert_eq!((counters.sessions, counters.participants), (2, 4));
        assert_eq!(counters.of(Verdict::Alone), 2, "the first of each session spoke to nobody");
        assert_eq!((counters.of(Verdict::Forwarded), counters.egress.sent), (3, 1 + 2 + 2));
    }

    fn a_burst_stays_whole_and_in_order<P>() {
        let mut room = Room::<P>::new(3);
        introduce(&mut room, ROOM, 0..3);
        let burst: Vec<Vec<u8>> = (0..200).map(|n| frame_of(ROOM, 0, 120, n)).collect();
        for said in &burst {
            room.say(0, said);
        }
        assert_eq!(room.heard(1), burst);
        assert_eq!(room.heard(2), burst);
        assert!(room.settle().balanced());
    }

    fn a_train_is_split_in_place<P>() {
        let mut room = Room::<P>::new(3);
        introduce(&mut room, ROOM, 0..3);
        let mut burst: Vec<Vec<u8>> = (0..10).map(|n| frame_of(ROOM, 0, 1_200, n)).collect();
        burst.push(frame_of(ROOM, 0, 700, 99));
        room.say_train(0, &burst.concat(), 1_200);
        assert_eq!(room.heard(1), burst);
        assert_eq!(room.heard(2), burst);
        let counters = room.settle();
        assert_eq!(counters.of(Verdict::Forwarded), 2 + 11);
        assert!(counters.trains < counters.datagrams, "it came as a train: {counters:?}");
        assert!(counters.balanced());
    }

    fn a_train_may_carry_what_must_be_refused<P>() {
        let mut room = Room::<P>::new(2);
        introduce(&mut room, ROOM, 0..2);
        let (good, mut bad) = (frame_of(ROOM, 0, 100, 1), frame_of(ROOM, 0, 100, 2));
        bad[20] = 9;
        room.say_train(0, &[&good[..], &bad, &good, &good[..45]].concat(), 100);
        assert_eq!(room.heard(1), [good.clone(), good]);
        let counters = room.settle();
        assert_eq!(refusals(&counters), [(Verdict::Runt, 1), (Verdict::BadClass, 1)]);
        assert!(counters.balanced());
    }

    fn odd_but_legal_frames_pass_unchanged<P>() {
        let mut room = Room::<P>::new(2);
        introduce(&mut room, ROOM, 0..2);
        let mut longest = frame_of(ROOM, 0, 1_400, 0xEE);
        longest[1] = 0xFF; // every flag
        longest[21] = 0x77; // a profile nobody knows
        longest[2] = 60; // TLVs of types nobody knows
        longest[0] = 0x02; // the reserved suite
        let shortest = frame(ROOM, 0, b"");
        room.say(0, &longest);
        room.say(0, &shortest);
        assert_eq!(room.heard(1), [longest, shortest]);
    }

    fn every_refusal_has_its_name<P>() {
        let mut room = Room::<P>::new(2);
        introduce(&mut room, ROOM, 0..2);
        let mangled = |at: usize, byte: u8| {
            let mut bytes = frame(ROOM, 0, b"words");
            bytes[at] = byte;
            bytes
        };
        let mut stun = vec![0; 20];
        stun[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        let said = [
            (Verdict::Runt, vec![]),
            (Verdict::Runt, vec![0; 45]),
            (Verdict::TooLong, frame_of(ROOM, 0, 1_401, 0)),
            (Verdict::TooLong, frame_of(ROOM, 0, 60_000, 0)),
            (Verdict::Unrecognised, mangled(0, 0x03)),
            (Verdict::Unrecognised, mangled(0, 0x80)),
            (Verdict::V1Closed, mangled(0, 0x11)),
            (Verdict::V1Closed, mangled(0, 0x13)),
            (Verdict::StunClosed, stun),
            (Verdict::TurnClosed, vec![0x40, 0, 0, 0]),
            (Verdict::BadHeaderLength, mangled(2, 29)),
            (Verdict::BadHeaderLength, mangled(2, 40)),
            (Verdict::BadClass, mangled(20, 0xF0)),
            (Verdict::ReservedSession, frame(0x7_42A4_1221, 0, b"!")),
        ];
        for (verdict, bytes) in &said {
            let before = room.settle();
            room.say(0, bytes);
            let after = room.settle();
            assert_eq!(after.of(*verdict), before.of(*verdict) + 1, "{verdict:?}");
            assert_eq!(after.datagrams, before.datagrams + 1);
            assert!(after.balanced());
        }
        assert_eq!(room.heard(1), Vec::<Vec<u8>>::new(), "nothing refused reaches anyone");
    }

    fn a_closed_door_refuses_and_keeps_nothing<P>() {
        let mut config = support::room::open_config();
        config.v0.as_mut().unwrap().open = vec!["192.0.2.0/24".parse().unwrap()];
        let mut room = Room::<P>::with(1, config);
        room.say(0, &frame(ROOM, 0, b"hello"));
        let counters = room.settle();
        assert_eq!(refusals(&counters), [(Verdict::V0Closed, 1)]);
        assert_eq!((counters.sessions, counters.participants), (0, 0));
    }

    fn a_session_of_another_shard_is_stray<P>() {
        let mut config = support::room::open_config();
        (config.index, config.shards) = (1, 2);
        let mut room = Room::<P>::with(1, config);
        for session in 1..=20 {
            room.say(0, &frame(session, 0, b"hello"));
        }
        let counters = room.settle();
        let ours = (1..=20)
            .filter(|id| elara_shards::steer::shard_of(elara_core::SessionId(*id), 2) == 1)
            .count() as u64;
        assert_eq!(refusals(&counters), [(Verdict::Stray, 20 - ours)]);
        assert_eq!(counters.of(Verdict::Alone), ours);
    }

    fn one_cycle_sends_no_more_than_its_wall_and_loses_nothing<P>() {
        const PEERS: usize = 40;
        let mut room = Room::<P>::new(PEERS);
        introduce(&mut room, ROOM, 0..PEERS);
        let before = room.settle();
        let burst: Vec<Vec<u8>> = (0..60).map(|n| frame_of(ROOM, 0, 100, n)).collect();
        for _ in 0..20 {
            room.say_train(0, &burst.concat(), 100);
        }
        let (mut copies, mut heard) = (before.copies, Vec::new());
        while copies < before.copies + 20 * 60 * (PEERS as u64 - 1) {
            room.cycle();
            let now = room.shard.counters().copies;
            // A frame that shares a send counts a quarter of one.
            let wall = 4 * (CYCLE_SENDS_MAX + PEERS) as u64;
            assert!(now - copies < wall, "{} in one cycle", now - copies);
            copies = now;
            heard.extend(room.left(PEERS - 1));
        }
        let expected: Vec<Vec<u8>> = burst.iter().cycle().take(20 * 60).cloned().collect();
        heard.extend(room.heard(PEERS - 1));
        assert_eq!(heard, expected);
        let after = room.settle();
        assert!(after.balanced() && after.overruns > before.overruns, "{after:?}");
        assert_eq!(after.of(Verdict::Forwarded) - before.of(Verdict::Forwarded), 20 * 60);
    }

    fn a_full_session_takes_nobody_in<P>() {
        let mut config = support::room::open_config();
        config.max_peers = 2;
        let mut room = Room::<P>::with(3, config);
        introduce(&mut room, ROOM, 0..2);
        room.say(2, &frame(ROOM, 2, b"let me in"));
        let counters = room.settle();
        assert_eq!(refusals(&counters), [(Verdict::SessionFull, 1)]);
        assert_eq!(room.heard(0), Vec::<Vec<u8>>::new());
    }

    fn whoever_moves_is_heard_and_hears_at_the_new_address<P>() {
        let mut room = Room::<P>::new(2);
        introduce(&mut room, ROOM, 0..2);
        room.place.rebind(1);
        let moved = frame(ROOM, 1, b"I have moved");
        room.say(1, &moved);
        assert_eq!(room.heard(0), [moved]);
        let said = frame(ROOM, 0, b"welcome");
        room.say(0, &said);
        assert_eq!(room.heard(1), [said]);
        let counters = room.settle();
        assert_eq!((counters.moved, counters.participants), (1, 2));
    }
}
