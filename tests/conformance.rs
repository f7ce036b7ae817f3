//! One script, three back ends, one result: nothing above `Io` can tell which one it runs on.
//!
//! Every conversation here is held over io_uring, over recvmmsg/sendmmsg, and over the network in
//! memory. The first half talks to a shard; the second half to the back end itself, through the contract
//! of `elara_shards::io`.

mod support;

use elara_core::ClientAddr;
use elara_core::limits::{CYCLE_SENDS_MAX, REFUSALS_MAX, SEND_ARENA, SEND_TAGS, V1_FRAME_MAX};
use elara_shards::io::{Io, Refusal, Slice, Train, Wait};
use elara_shards::{Counters, Verdict};
use support::frames::{frame, frame_of};
use support::room::{InMemory, OverSyscall, OverUring, Place, Room};

macro_rules! on_every_back_end {
    ($($(#[$doc:meta])* fn $name:ident<$place:ident>() $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$doc])*
            fn conversation<$place: Place>() $body

            #[test]
            fn over_uring() { conversation::<OverUring>() }

            #[test]
            fn over_syscall() { conversation::<OverSyscall>() }

            #[test]
            fn over_memory() { conversation::<InMemory>() }
        }
    )*};
}

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
        for _ in 0..3 {
            room.say_train(0, &burst.concat(), 100);
        }
        let mut copies = before.copies;
        while copies < before.copies + 3 * 60 * (PEERS as u64 - 1) {
            room.cycle();
            let now = room.shard.counters().copies;
            assert!(now - copies < (CYCLE_SENDS_MAX + PEERS) as u64, "{} in one cycle", now - copies);
            copies = now;
        }
        let expected: Vec<Vec<u8>> = burst.iter().cycle().take(3 * 60).cloned().collect();
        assert_eq!(room.heard(PEERS - 1), expected);
        let after = room.settle();
        assert!(after.balanced() && after.overruns > before.overruns, "{after:?}");
        assert_eq!(after.of(Verdict::Forwarded) - before.of(Verdict::Forwarded), 3 * 60);
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

/// What has arrived at a bare back end, datagram by datagram, all in one cycle.
fn arrived<I: Io>(io: &mut I) -> Vec<(ClientAddr, Slice)> {
    io.enter(Wait::No).unwrap();
    io.now();
    std::iter::from_fn(|| io.receive())
        .flat_map(|train: Train| train.datagrams().map(move |slice| (train.from, slice)))
        .collect()
}

on_every_back_end! {
    fn slices_read_as_they_were_sent_and_name_their_sender<P>() {
        let (mut place, mut io) = P::new(2);
        place.send(&mut io, 0, b"one", 0);
        place.send(&mut io, 1, b"two", 0);
        place.send(&mut io, 0, b"", 0);
        let arrived = arrived(&mut io);
        let said: Vec<_> = arrived.iter().map(|(from, slice)| (*from, io.bytes(*slice))).collect();
        let (alice, bob) = (place.addr(0), place.addr(1));
        assert_eq!(said, [(alice, &b"one"[..]), (bob, b"two"), (alice, b"")]);
    }

    fn several_slices_make_one_datagram<P>() {
        let (mut place, mut io) = P::new(2);
        place.send(&mut io, 0, b"bundled", 0);
        place.send(&mut io, 0, b", but not copied", 0);
        let slices: Vec<Slice> = arrived(&mut io).into_iter().map(|(_, slice)| slice).collect();
        io.send(&place.addr(1), &slices, 0, 0);
        io.enter(Wait::No).unwrap();
        assert_eq!(place.heard(&mut io, 1), [b"bundled, but not copied".to_vec()]);
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes), (1, 23));
    }

    fn one_gathered_send_makes_many_datagrams<P>() {
        let (mut place, mut io) = P::new(2);
        let burst: Vec<Vec<u8>> = (0..9).map(|n| vec![n; if n == 8 { 70 } else { 200 }]).collect();
        for said in &burst {
            place.send(&mut io, 0, said, 0);
        }
        let slices: Vec<Slice> = arrived(&mut io).into_iter().map(|(_, slice)| slice).collect();
        io.send(&place.addr(1), &slices, 200, 0);
        io.send(&place.addr(1), &slices[..1], 200, 0);
        io.enter(Wait::No).unwrap();
        let mut expected = burst.clone();
        expected.push(burst[0].clone());
        assert_eq!(place.heard(&mut io, 1), expected);
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes), (10, 8 * 200 + 70 + 200));
    }

    fn sends_leave_in_the_order_they_were_queued<P>() {
        let (mut place, mut io) = P::new(2);
        for round in 0..30 {
            for n in 0..100u8 {
                place.send(&mut io, 0, &[n], 0);
            }
            let slices: Vec<Slice> = arrived(&mut io).into_iter().map(|(_, slice)| slice).collect();
            for pair in slices.chunks(2) {
                // Single and gathered sends share one queue.
                if round % 3 == 0 {
                    io.send(&place.addr(1), pair, 1, 0);
                } else {
                    pair.iter().for_each(|slice| io.send(&place.addr(1), &[*slice], 0, 0));
                }
            }
            io.enter(Wait::No).unwrap();
            assert_eq!(place.heard(&mut io, 1).concat(), (0..100).collect::<Vec<u8>>());
        }
    }

    fn what_cannot_be_sent_is_booked_and_stops_nobody<P>() {
        let (mut place, mut io) = P::new(2);
        place.send(&mut io, 0, &[7; 100], 0);
        let slice = arrived(&mut io)[0].1;
        io.send(&support::nowhere(), &[slice], 0, 0);
        // More slices than one send may have.
        io.send(&place.addr(1), &[slice; 65], 0, 0);
        io.send(&place.addr(1), &[slice], 0, 0);
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        assert_eq!(place.heard(&mut io, 1), [vec![7; 100]]);
        let egress = io.egress();
        assert_eq!((egress.sent, egress.failed, egress.bytes), (1, 2, 100));
    }

    fn what_the_shard_made_itself_leaves_in_order_with_the_rest<P>() {
        let (mut place, mut io) = P::new(2);
        let (mut expected, mut bytes) = (Vec::new(), 0);
        for n in 0..60u8 {
            place.send(&mut io, 0, &[n; 9], 0);
        }
        for (_, slice) in arrived(&mut io) {
            let n = io.bytes(slice)[0];
            let own = vec![n; usize::from(n)];
            io.send_bytes(&place.addr(1), &own, 0);
            io.send(&place.addr(1), &[slice, slice], 9, 0);
            bytes += own.len() as u64 + 18;
            expected.extend([own, vec![n; 9], vec![n; 9]]);
        }
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        assert_eq!(place.heard(&mut io, 1), expected);
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes), (60 * 3, bytes));
    }

    fn more_of_its_own_than_the_arena_holds_leaves_too<P>() {
        const PEERS: usize = 8;
        let each = SEND_ARENA / V1_FRAME_MAX / PEERS + 8;
        let (mut place, mut io) = P::new(PEERS);
        let own = |peer: usize, n: usize| vec![(peer * each + n) as u8; V1_FRAME_MAX - n];
        for round in 1..=3 {
            for n in 0..each {
                for peer in 0..PEERS {
                    io.send_bytes(&place.addr(peer), &own(peer, n), 1);
                }
            }
            io.enter(Wait::No).unwrap();
            while io.receive().is_some() {}
            for peer in 0..PEERS {
                let expected: Vec<Vec<u8>> = (0..each).map(|n| own(peer, n)).collect();
                assert_eq!(place.heard(&mut io, peer), expected);
            }
            assert_eq!(io.egress().sent, (round * PEERS * each) as u64);
            assert_eq!(io.refused(), None);
        }
    }

    fn a_refused_send_names_its_tag_once<P>() {
        let (mut place, mut io) = P::new(2);
        place.send(&mut io, 0, &[7; 100], 0);
        let slice = arrived(&mut io)[0].1;
        let (alice, nowhere) = (place.addr(1), support::nowhere());
        io.send(&nowhere, &[slice], 0, 1);
        io.send(&nowhere, &[slice], 0, 0);
        io.send(&alice, &[slice], 0, 2);
        io.send_bytes(&nowhere, b"hello", 3);
        io.send(&nowhere, &[slice; 4], 150, SEND_TAGS - 1);
        // More slices than one send may have, and more datagrams.
        io.send(&alice, &[slice; 65], 0, 4);
        io.send(&alice, &[slice], 1, 5);
        io.send_bytes(&alice, b"hello", 6);
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let mut refused: Vec<Refusal> = std::iter::from_fn(|| io.refused()).collect();
        refused.sort_by_key(|refusal| refusal.tag);
        let lost = |tag, datagrams, bytes| Refusal { tag, datagrams, bytes };
        assert_eq!(
            refused,
            [
                lost(1, 1, 100),
                lost(3, 1, 5),
                lost(4, 1, 6_500),
                lost(5, 100, 100),
                lost(SEND_TAGS - 1, 3, 400),
            ]
        );
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes, egress.busy), (2, 105, 0));
        assert_eq!(egress.failed, 1 + 1 + 1 + 3 + 1 + 100);
        assert_eq!(place.heard(&mut io, 1), [vec![7; 100], b"hello".to_vec()]);
    }

    fn refusals_nobody_asks_for_are_bounded_and_still_counted<P>() {
        let (_, mut io) = P::new(1);
        let refused = REFUSALS_MAX as u32 + 500;
        for tag in 1..=refused {
            io.send_bytes(&support::nowhere(), b"hello", tag);
            if tag % 500 == 0 {
                io.enter(Wait::No).unwrap();
                while io.receive().is_some() {}
            }
        }
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let tags: Vec<u32> = std::iter::from_fn(|| io.refused()).map(|refusal| refusal.tag).collect();
        assert_eq!(tags, (1..=REFUSALS_MAX as u32).collect::<Vec<u32>>());
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes, egress.failed), (0, 0, u64::from(refused)));
        io.send_bytes(&support::nowhere(), b"hello", 7);
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        assert_eq!(io.refused(), Some(Refusal { tag: 7, datagrams: 1, bytes: 5 }));
    }

    fn a_whole_cycle_of_refusals_in_one_go_is_told<P>() {
        let (_, mut io) = P::new(1);
        for tag in 1..=CYCLE_SENDS_MAX as u32 {
            io.send_bytes(&support::nowhere(), &[0; 500], tag);
        }
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let tags: Vec<u32> = std::iter::from_fn(|| io.refused()).map(|refusal| refusal.tag).collect();
        assert_eq!(tags, (1..=CYCLE_SENDS_MAX as u32).collect::<Vec<u32>>());
        assert_eq!(io.egress().busy, 0);
    }

    fn the_calendar_moves_forward<P>() {
        let (_, mut io) = P::new(1);
        let (earlier, later) = (io.calendar(), io.calendar());
        assert!(later >= earlier);
        assert!(earlier.seconds() > 1_700_000_000, "no reading from before this was written");
    }

    fn the_rest_of_a_train_comes_again_in_the_next_cycle<P>() {
        let (mut place, mut io) = P::new(2);
        let burst: Vec<Vec<u8>> = (0..10).map(|n| vec![n; if n == 9 { 70 } else { 200 }]).collect();
        for round in 0..600 {
            place.send(&mut io, 0, &burst.concat(), 200);
            let mut heard = Vec::new();
            loop {
                io.enter(Wait::No).unwrap();
                let Some(train) = io.receive() else { break };
                // Three datagrams a cycle, the rest later.
                for slice in train.datagrams().take(3) {
                    io.send(&place.addr(1), &[slice], 0, 0);
                }
                if let Some(rest) = train.rest(train.datagrams().count().min(3)) {
                    io.put_back(rest);
                }
                // What comes meanwhile must not be written over what was put back.
                if heard.is_empty() && round % 2 == 0 {
                    place.send(&mut io, 1, &[0xFF; 30], 0);
                }
                io.enter(Wait::No).unwrap();
                heard.extend(place.heard(&mut io, 1));
            }
            heard.retain(|datagram| datagram != &[0xFF; 30]);
            assert_eq!(heard, burst, "round {round}");
        }
    }

    fn buffers_come_back_for_ever<P>() {
        let (mut place, mut io) = P::new(1);
        let mut received = 0;
        for _ in 0..40 {
            for n in 0..100u8 {
                place.send(&mut io, 0, &[n; 64], 0);
            }
            loop {
                let now = arrived(&mut io).len();
                received += now;
                if now == 0 {
                    break;
                }
            }
        }
        assert_eq!(received, 4_000);
    }
}
