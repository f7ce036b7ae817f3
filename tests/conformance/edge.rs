//! The edge in good times: what comes in, what leaves, in which order, and what is told of it.

use elara_core::ClientAddr;
use elara_core::limits::{LASTING_BUFFERS, SEND_TAGS};
use elara_shards::io::{Io, Refusal, Slice, Train, Wait};

use crate::support;
use crate::support::room::on_every_back_end;

/// What has arrived at a bare back end, datagram by datagram, all in one cycle.
pub(super) fn arrived<I: Io>(io: &mut I) -> Vec<(ClientAddr, Slice)> {
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

    fn a_send_gathered_over_several_trains_keeps_its_order_and_mixes_with_nobody<P>() {
        let (mut place, mut io) = P::new(5);
        // Four datagrams, three, and two with a shorter one behind them.
        let said = [(4, 0), (3, 0), (2, 70)].map(|(whole, rest)| {
            let mut datagrams: Vec<Vec<u8>> = (0..whole).map(|n| vec![10 * whole + n; 200]).collect();
            datagrams.extend((rest > 0).then(|| vec![99; rest]));
            datagrams
        });
        for (peer, datagrams) in said.iter().enumerate() {
            place.send(&mut io, peer, &datagrams.concat(), 200);
        }
        io.enter(Wait::No).unwrap();
        let trains: Vec<Slice> = std::iter::from_fn(|| io.receive()).map(|train| train.slice).collect();
        assert_eq!(trains.len(), 3, "each came as a train, in a buffer of its own");
        io.send(&place.addr(3), &trains, 200, 0);
        io.send(&place.addr(4), &[trains[1], trains[0]], 200, 0);
        io.send(&place.addr(3), &trains[2..], 200, 0);
        io.send(&place.addr(4), &[trains[0], trains[2]], 400, 0);
        io.enter(Wait::No).unwrap();
        let [a, b, c] = &said;
        assert_eq!(place.heard(&mut io, 3), [&a[..], b, c, c].concat());
        let pairs = [a[..2].concat(), a[2..].concat(), c[..2].concat(), c[2].clone()];
        assert_eq!(place.heard(&mut io, 4), [&b[..], a, &pairs].concat());
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes), (10 + 7 + 3 + 4, 1_870 + 1_400 + 470 + 1_270));
    }

    fn slices_of_many_senders_make_one_datagram_when_nothing_cuts_them<P>() {
        const SENDERS: usize = 32;
        let (mut place, mut io) = P::new(SENDERS + 1);
        let said: Vec<Vec<u8>> = (0..SENDERS).map(|n| vec![n as u8; 1 + n]).collect();
        for (peer, bytes) in said.iter().enumerate() {
            place.send(&mut io, peer, bytes, 0);
        }
        let slices: Vec<Slice> = arrived(&mut io).into_iter().map(|(_, slice)| slice).collect();
        io.send(&place.addr(SENDERS), &slices, 0, 0);
        let backwards: Vec<Slice> = slices.into_iter().rev().collect();
        io.send(&place.addr(SENDERS), &backwards, 0, 0);
        io.enter(Wait::No).unwrap();
        let reversed: Vec<Vec<u8>> = said.iter().rev().cloned().collect();
        assert_eq!(place.heard(&mut io, SENDERS), [said.concat(), reversed.concat()]);
        assert_eq!(io.egress().sent, 2);
    }

    fn what_is_kept_outlives_its_cycle_and_leaves_as_it_is_even_when_it_is_released<P>() {
        let (mut place, mut io) = P::new(2);
        let buffers: Vec<u16> = std::iter::from_fn(|| io.reserve()).collect();
        assert_eq!(buffers.len(), LASTING_BUFFERS, "so many, and no more");
        place.send(&mut io, 0, &[7; 400], 200);
        io.enter(Wait::No).unwrap();
        let train = io.receive().unwrap().slice;
        let first = io.keep(buffers[0], 0, train);
        let second = io.keep(buffers[0], 400, train);
        while io.receive().is_some() {}
        for round in 0..3 {
            place.send(&mut io, 0, &[round; 600], 0);
            drop(arrived(&mut io));
            assert_eq!(io.bytes(second), [7; 400]);
        }
        io.send(&place.addr(1), &[first, second], 200, 0);
        io.release(buffers[0]);
        assert_eq!(io.reserve(), None, "not before its sends have left");
        io.enter(Wait::No).unwrap();
        assert_eq!(io.reserve(), Some(buffers[0]));
        assert_eq!(place.heard(&mut io, 1), vec![vec![7; 200]; 4]);
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
}
