//! The edge at its walls: queues, buffers and the arena full, and what is counted then.

use elara_core::limits::{
    CYCLE_SENDS_MAX, RECEIVE_BUFFERS, REFUSALS_MAX, SEGMENTS_MAX, SEND_ARENA, SEND_QUEUE,
    V1_FRAME_MAX,
};
use elara_shards::io::{Io, Refusal, Slice, Wait};

use crate::edge::arrived;
use crate::support;
use crate::support::room::on_every_back_end;

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

    fn more_sends_than_the_queue_holds_all_leave_in_order<P>() {
        const PEERS: usize = 32;
        const EACH: usize = 3 * SEND_QUEUE / PEERS;
        let (mut place, mut io) = P::new(PEERS);
        for n in 0..EACH + 2 {
            place.send(&mut io, 0, &[n as u8], 0);
        }
        let slices: Vec<Slice> = arrived(&mut io).into_iter().map(|(_, slice)| slice).collect();
        let mut expected = Vec::new();
        for n in 0..EACH {
            let (first, rest) = (n as u8, [n as u8 + 1, n as u8 + 2]);
            let gathered = n % 2 == 0;
            let segment = u16::from(gathered);
            for peer in 0..PEERS {
                io.send(&place.addr(peer), &slices[n..n + 3], segment, 1 + peer as u32);
            }
            let datagrams = [vec![first], vec![rest[0]], vec![rest[1]]];
            if gathered { expected.extend(datagrams) } else { expected.push(datagrams.concat()) }
        }
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        for peer in 0..PEERS {
            assert_eq!(place.heard(&mut io, peer), expected, "peer {peer}");
        }
        let egress = io.egress();
        assert_eq!((egress.sent, egress.busy), ((PEERS * expected.len()) as u64, 0));
        assert_eq!(io.refused(), None);
    }

    fn one_send_has_as_many_slices_and_datagrams_as_it_may<P>() {
        let (mut place, mut io) = P::new(2);
        let said: Vec<u8> = (0..SEGMENTS_MAX as u8).collect();
        for n in &said {
            place.send(&mut io, 0, &[*n], 0);
        }
        let slices: Vec<Slice> = arrived(&mut io).into_iter().map(|(_, slice)| slice).collect();
        io.send(&place.addr(1), &slices, 1, 7);
        io.send(&place.addr(1), &slices, 0, 7);
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let mut expected: Vec<Vec<u8>> = said.iter().map(|n| vec![*n]).collect();
        expected.push(said);
        assert_eq!(place.heard(&mut io, 1), expected);
        assert_eq!((io.egress().sent, io.refused()), (SEGMENTS_MAX as u64 + 1, None));
    }

    fn when_buffers_run_out_the_rest_waits_in_the_kernel_and_comes<P>() {
        // More than there are buffers, and no more than an ordinary receive queue holds.
        const SAID: usize = RECEIVE_BUFFERS + 100;
        let (mut place, mut io) = P::new(3);
        for round in 1..=3 {
            for n in 0..SAID {
                place.send(&mut io, n % 2, &(n as u16).to_be_bytes(), 0);
            }
            let (mut came, mut heard, mut cycles) = (Vec::new(), Vec::new(), 0);
            loop {
                let slices = arrived(&mut io);
                if slices.is_empty() {
                    break;
                }
                cycles += 1;
                for (_, slice) in slices {
                    came.extend_from_slice(io.bytes(slice));
                    io.send(&place.addr(2), &[slice], 0, 0);
                }
                io.enter(Wait::No).unwrap();
                heard.extend(place.heard(&mut io, 2));
            }
            let expected: Vec<u8> = (0..SAID as u16).flat_map(u16::to_be_bytes).collect();
            assert_eq!(came, expected, "round {round}");
            assert_eq!(heard.concat(), expected, "and nothing was written over before it had left");
            assert!(cycles > 1, "one cycle has {RECEIVE_BUFFERS} buffers");
            // Where buffers are the shard's alone, they never run out.
            assert_eq!(io.starved() > 0, P::NAME != "syscall");
            assert_eq!(io.strain().overflowed, 0);
        }
    }

    fn what_finds_the_receive_queue_full_is_counted_and_the_rest_comes<P>() {
        const SAID: u64 = 300;
        let (mut place, mut io) = P::new(1);
        let before = io.strain();
        assert_eq!(before.overflowed, 0);
        place.narrow(&mut io, 20_000);
        for _ in 0..SAID {
            place.flood(&mut io, 0, &[7; 200]);
        }
        let strain = io.strain();
        let came: Vec<usize> =
            std::iter::from_fn(|| Some(arrived(&mut io).len()).filter(|came| *came > 0)).collect();
        let came = came.iter().sum::<usize>() as u64;
        assert!(came > 0 && strain.overflowed > 0, "{came} came, {strain:?}");
        assert_eq!(came + strain.overflowed, SAID);
        place.send(&mut io, 0, b"there is room again", 0);
        assert_eq!(arrived(&mut io).len(), 1);
        let after = io.strain();
        assert_eq!(after.overflowed, strain.overflowed);
        assert!(before.worked <= strain.worked && strain.worked <= after.worked);
    }
}
