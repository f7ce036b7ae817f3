//! The edge at its walls: queues, buffers and the arena full, and what is counted then.

use std::collections::VecDeque;

use elara_core::limits::{
    CYCLE_SENDS_MAX, RECEIVE_BUFFERS, REFUSALS_MAX, SEGMENTS_MAX, SEND_ARENA, SEND_QUEUE,
    V1_FRAME_MAX,
};
use elara_shards::io::{Io, Refusal, Slice, Wait};

use crate::edge::arrived;
use crate::support;
use crate::support::room::{InMemory, OverSyscall, OverUring, Place};

on_every_back_end! {
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
