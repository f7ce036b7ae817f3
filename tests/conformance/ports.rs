//! Relay ports in good times: what comes to which, what leaves from which, and what is left of one that was
//! closed.

use std::net::SocketAddr;

use elara_core::ClientAddr;
use elara_core::limits::{CYCLE_SENDS_MAX, RECEIVE_BUFFERS};
use elara_core::random::{Random, Seeded};
use elara_shards::io::{Io, Port, Slice, Train, Wait};
use elara_shards::sys::message::Family;

use crate::support::ports::Relayed;
use crate::support::room::{InMemory, OverSyscall, OverUring};

/// The trains of one cycle.
pub(super) fn trains<I: Io>(io: &mut I) -> Vec<Train> {
    io.enter(Wait::No).unwrap();
    io.now();
    std::iter::from_fn(|| io.receive()).collect()
}

/// What came in one cycle, datagram by datagram: to which port, from whom, and what.
pub(super) fn came<I: Io>(io: &mut I) -> Vec<(Port, ClientAddr, Vec<u8>)> {
    let trains = trains(io);
    let datagrams = trains
        .iter()
        .flat_map(|train| train.datagrams().map(move |slice| (train.port, train.from, slice)));
    datagrams.map(|(port, from, slice)| (port, from, io.bytes(slice).to_vec())).collect()
}

/// One slice of these bytes, good for this cycle.
pub(super) fn words<I: Io>(io: &mut I, bytes: &[u8]) -> Slice {
    io.note(bytes).expect("there is room for a few words")
}

on_every_back_end! {
    fn what_comes_to_a_port_says_so_and_what_leaves_leaves_from_it<P>() {
        let (mut place, mut io) = P::new(2);
        let six = place.add_v6_peer();
        let (a, b) = (place.open(&mut io, Family::V4), place.open(&mut io, Family::V4));
        let v6 = place.open(&mut io, Family::V6);
        assert_eq!(trains(&mut io), [], "silence");
        place.send_to(&mut io, 0, a, b"to a", 0);
        place.send(&mut io, 1, b"to the data port", 0);
        place.send_to(&mut io, 1, b, b"to b", 0);
        place.send_to(&mut io, six, v6, b"to six", 0);
        let mut heard = came(&mut io);
        heard.sort();
        let peers = [0, 1, six].map(|peer| place.addr(peer));
        let expected = [
            (Port::DATA, peers[1], &b"to the data port"[..]),
            (a.port, peers[0], b"to a"),
            (b.port, peers[1], b"to b"),
            (v6.port, peers[2], b"to six"),
        ];
        let expected = expected.map(|(port, from, bytes)| (port, from, bytes.to_vec()));
        assert_eq!(heard, expected);
        let slice = words(&mut io, b"an answer");
        for (port, to) in [(a.port, 0), (Port::DATA, 0), (b.port, 0), (a.port, 1), (v6.port, 2)] {
            io.send_from(port, &peers[to], &[slice], 0, 0);
        }
        assert_eq!(trains(&mut io), []);
        let said = |from: Option<SocketAddr>| (from, b"an answer".to_vec());
        let mut heard = place.heard_from(&mut io, 0);
        heard.sort();
        let mut expected = [said(Some(a.at)), said(None), said(Some(b.at))];
        expected.sort();
        assert_eq!(heard, expected);
        assert_eq!(place.heard_from(&mut io, 1), [said(Some(a.at))]);
        assert_eq!(place.heard_from(&mut io, six), [said(Some(v6.at))]);
        assert_eq!((io.egress().sent, io.egress().bytes), (5, 45));
        assert_eq!((io.unreachable(), io.refused()), (None, None));
    }

    fn trains_come_to_a_port_and_leave_from_it_whole<P>() {
        let (mut place, mut io) = P::new(2);
        let six = place.add_v6_peer();
        for family in [Family::V4, Family::V6] {
            let relayed = place.open(&mut io, family);
            let peer = if family == Family::V4 { 1 } else { six };
            let burst: Vec<Vec<u8>> =
                (0..30).map(|n| vec![n; if n == 29 { 70 } else { 1_200 }]).collect();
            place.send_to(&mut io, peer, relayed, &burst.concat(), 1_200);
            let trains = trains(&mut io);
            assert!(trains.len() < burst.len(), "it came as trains: {trains:?}");
            let to = place.addr(peer);
            for train in &trains {
                assert_eq!((train.port, train.from), (relayed.port, to));
                io.send_from(relayed.port, &to, &[train.slice], train.segment, 0);
            }
            assert_eq!(came(&mut io), []);
            let heard = place.heard_from(&mut io, peer);
            let expected = burst.into_iter().map(|datagram| (Some(relayed.at), datagram));
            assert_eq!(heard, expected.collect::<Vec<_>>());
        }
    }

    fn sends_of_one_port_leave_in_the_order_they_were_queued<P>() {
        const PORTS: usize = 20;
        let (mut place, mut io) = P::new(1);
        let to = place.addr(0);
        let ports: Vec<Relayed> =
            (0..PORTS).map(|_| place.open(&mut io, Family::V4)).collect();
        for seed in 0..5 {
            let mut random = Seeded::new(seed);
            assert_eq!(came(&mut io), []);
            let mut heard: Vec<(SocketAddr, u8)> = Vec::new();
            let mut sent = [0u8; PORTS];
            for step in 0..CYCLE_SENDS_MAX {
                let port = random.below(PORTS as u64) as usize;
                let mut next = || {
                    sent[port] = sent[port].wrapping_add(1);
                    sent[port]
                };
                // Single, gathered and cut sends share one queue.
                let bytes = [next(), next()];
                let (one, two) = (words(&mut io, &bytes[..1]), words(&mut io, &bytes[1..]));
                if random.chance(300_000) {
                    io.send_from(ports[port].port, &to, &[one, two], 1, 0);
                } else {
                    io.send_from(ports[port].port, &to, &[one], 0, 0);
                    io.send_from(ports[port].port, &to, &[two], 0, 0);
                }
                // A peer's queue has an end.
                if step % 100 == 99 {
                    assert_eq!(came(&mut io), []);
                    let datagrams = place.heard_from(&mut io, 0).into_iter();
                    heard.extend(datagrams.map(|(from, bytes)| (from.unwrap(), bytes[0])));
                }
            }
            assert_eq!(came(&mut io), []);
            let datagrams = place.heard_from(&mut io, 0).into_iter();
            heard.extend(datagrams.map(|(from, bytes)| (from.unwrap(), bytes[0])));
            for (port, sent) in ports.iter().zip(sent) {
                let its = heard.iter().filter(|(from, _)| *from == port.at);
                let (mut last, mut number) = (0u8, 0);
                for (_, byte) in its {
                    assert_eq!(*byte, last.wrapping_add(1), "seed {seed}, {port:?}");
                    (last, number) = (*byte, number + 1);
                }
                assert!(last == sent && number > 0, "seed {seed}, {port:?}: all of it");
            }
        }
    }

    fn an_empty_datagram_is_one_and_more_comes_behind_it<P>() {
        let (mut place, mut io) = P::new(1);
        let relayed = place.open(&mut io, Family::V4);
        for _ in 0..3 {
            place.send_to(&mut io, 0, relayed, b"one", 0);
            place.send_to(&mut io, 0, relayed, b"", 0);
            place.send_to(&mut io, 0, relayed, b"three", 0);
            let mut heard = Vec::new();
            while heard.len() < 3 {
                heard.extend(came(&mut io).into_iter().map(|(_, _, bytes)| bytes));
            }
            assert_eq!(heard, [&b"one"[..], b"", b"three"]);
        }
    }

    fn a_closed_port_is_heard_no_more_and_its_address_can_be_had_again<P>() {
        let (mut place, mut io) = P::new(1);
        let other = place.open(&mut io, Family::V4);
        let mut relayed = place.open(&mut io, Family::V4);
        // More rounds than there are buffers: none may be lost with what is not read.
        for round in 0..RECEIVE_BUFFERS as u16 + 50 {
            place.send_to(&mut io, 0, relayed, &round.to_be_bytes(), 0);
            place.send_to(&mut io, 0, other, &round.to_be_bytes(), 0);
            match round % 3 {
                // It has come, and nobody has looked.
                0 => io.enter(Wait::No).unwrap(),
                // Somebody has looked at the other one.
                1 => {
                    io.enter(Wait::No).unwrap();
                    let first = io.receive().unwrap();
                    if first.port == relayed.port {
                        io.put_back(first);
                    }
                }
                // It is still under way.
                _ => {}
            }
            let held = words(&mut io, b"farewell");
            io.send_from(relayed.port, &place.addr(0), &[held], 0, 0);
            io.close(relayed.port);
            io.close(relayed.port);
            while let Some(train) = io.receive() {
                assert_eq!(train.port, other.port, "round {round}");
            }
            while let Some((port, ..)) = came(&mut io).first() {
                assert_eq!(*port, other.port, "round {round}");
            }
            let heard = place.heard_from(&mut io, 0);
            assert_eq!(heard, [(Some(relayed.at), b"farewell".to_vec())], "round {round}");
            let port = io.open(relayed.at).expect("the address is free again");
            relayed = Relayed { port, ..relayed };
            assert_eq!(came(&mut io), [], "what was for the old one is gone, round {round}");
        }
        assert!(relayed.port.0 <= 3, "numbers are used again: {relayed:?}");
        assert_eq!(io.starved(), 0, "no buffer was lost");
    }

    fn what_waits_behind_the_message_on_which_its_port_is_closed_is_gone<P>() {
        let (mut place, mut io) = P::new(1);
        for _ in 0..RECEIVE_BUFFERS {
            let relayed = place.open(&mut io, Family::V4);
            assert_eq!(came(&mut io), []);
            // Each longer than the one before: three messages, no train.
            for bytes in [&b"a"[..], b"bb", b"ccc"] {
                place.send_to(&mut io, 0, relayed, bytes, 0);
            }
            io.enter(Wait::No).unwrap();
            let first = io.receive().unwrap();
            io.close(relayed.port);
            assert_eq!(io.receive(), None);
            assert_eq!(io.bytes(first.slice), b"a");
            assert_eq!(came(&mut io), []);
        }
        assert_eq!(io.starved(), 0, "no buffer was lost");
    }

    fn whoever_puts_back_the_train_of_a_port_it_closed_gets_nothing<P>() {
        let (mut place, mut io) = P::new(2);
        for _ in 0..RECEIVE_BUFFERS + 50 {
            let relayed = place.open(&mut io, Family::V4);
            assert_eq!(came(&mut io), []);
            place.send_to(&mut io, 0, relayed, &[7; 400], 200);
            io.enter(Wait::No).unwrap();
            let train = io.receive().unwrap();
            let first = train.datagrams().next().unwrap();
            io.close(relayed.port);
            io.put_back(train.rest(1).unwrap());
            assert_eq!(io.receive(), None);
            assert_eq!(io.bytes(first), [7; 200]);
            io.send(&place.addr(1), &[first], 0, 0);
            assert_eq!(came(&mut io), []);
            assert_eq!(place.heard(&mut io, 1), [[7; 200]]);
        }
        assert_eq!(io.starved(), 0);
    }

    fn whatever_is_opened_closed_and_said_in_whatever_order_goes_where_it_should<P>() {
        for seed in 0..4 {
            let mut random = Seeded::new(seed);
            let (mut place, mut io) = P::new(3);
            let addresses: Vec<SocketAddr> = (0..12).map(|_| place.spare(Family::V4)).collect();
            let mut open: Vec<Option<Port>> = vec![None; addresses.len()];
            let (mut serial, mut left) = (0u32, 0);
            for step in 0..600 {
                let told = format!("seed {seed}, step {step}");
                let mut expected: Vec<(Port, ClientAddr, Vec<u8>)> = Vec::new();
                let mut closed = Vec::new();
                for _ in 0..random.below(8) {
                    let at = random.below(addresses.len() as u64) as usize;
                    serial += 1;
                    let bytes = serial.to_be_bytes();
                    match (open[at], random.below(10)) {
                        (None, _) if closed.contains(&at) => {}
                        (None, _) => open[at] = Some(io.open(addresses[at]).expect(&told)),
                        (Some(port), 0..2) => {
                            io.close(port);
                            open[at] = None;
                            expected.retain(|(to, ..)| *to != port);
                            closed.push(at);
                        }
                        (Some(port), 2..6) => {
                            let peer = random.below(3) as usize;
                            let relayed = Relayed { port, at: addresses[at] };
                            place.send_to(&mut io, peer, relayed, &bytes, 0);
                            expected.push((port, place.addr(peer), bytes.to_vec()));
                        }
                        (Some(port), _) => {
                            let slice = words(&mut io, &bytes);
                            io.send_from(port, &place.addr(0), &[slice], 0, 0);
                        }
                    }
                }
                let mut heard = came(&mut io);
                heard.sort();
                expected.sort();
                assert_eq!(heard, expected, "{told}");
                left += place.heard_from(&mut io, 0).len() as u64;
                assert_eq!((left, 0), (io.egress().sent, io.egress().failed), "{told}");
            }
        }
    }

    fn a_datagram_at_a_port_ends_the_wait<P>() {
        let (mut place, mut io) = P::new(1);
        let relayed = place.open(&mut io, Family::V4);
        assert_eq!(came(&mut io), []);
        place.send_to(&mut io, 0, relayed, b"wake up", 0);
        // If it did not, this would not return.
        io.enter(Wait::Forever).unwrap();
        let train = io.receive().expect("what it was woken for");
        assert_eq!((train.port, io.bytes(train.slice)), (relayed.port, &b"wake up"[..]));
    }
}
