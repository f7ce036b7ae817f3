//! Relay ports when something is wrong: what cannot be opened or sent, and what the network says.

use std::io::ErrorKind;

use elara_core::limits::{CYCLE_REPORTS_MAX, DATAGRAM_MAX, SLICES_MAX};
use elara_shards::io::{Io, Port, Refusal, Unreachable};
use elara_shards::sys::message::Family;

use crate::ports::{came, words};
use crate::support::room::{InMemory, OverSyscall, OverUring};

/// All the network has said in this cycle.
fn said<I: Io>(io: &mut I) -> Vec<Unreachable> {
    std::iter::from_fn(|| io.unreachable()).collect()
}

on_every_back_end! {
    fn what_cannot_be_opened_is_an_error_and_changes_nothing<P>() {
        let (mut place, mut io) = P::new(1);
        let relayed = place.open(&mut io, Family::V4);
        for round in 0..300 {
            let error = io.open(relayed.at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "round {round}");
        }
        let mut portless = place.spare(Family::V4);
        portless.set_port(0);
        assert_eq!(io.open(portless).unwrap_err().kind(), ErrorKind::InvalidInput);
        let next = place.open(&mut io, Family::V4);
        assert!(next.port.0 <= 2, "no number was lost: {next:?}");
        place.send_to(&mut io, 0, relayed, b"still there?", 0);
        let heard = came(&mut io);
        assert_eq!(heard, [(relayed.port, place.addr(0), b"still there?".to_vec())]);
    }

    fn the_data_port_and_what_is_not_open_cannot_be_closed<P>() {
        let (mut place, mut io) = P::new(1);
        for port in [Port::DATA, Port(1), Port(u16::MAX)] {
            io.close(port);
        }
        assert_eq!(came(&mut io), []);
        place.send(&mut io, 0, b"hello", 0);
        assert_eq!(came(&mut io).len(), 1);
    }

    fn what_a_port_cannot_send_is_booked_and_told_by_its_tag<P>() {
        let (mut place, mut io) = P::new(1);
        let six = place.add_v6_peer();
        let (v4, v6) = (place.open(&mut io, Family::V4), place.open(&mut io, Family::V6));
        let closed = place.open(&mut io, Family::V4).port;
        io.close(closed);
        assert_eq!(came(&mut io), []);
        let slice = words(&mut io, &[7; 100]);
        let (to_four, to_six) = (place.addr(0), place.addr(six));
        // Another family, in either direction; nobody's port; more than there may be.
        io.send_from(v4.port, &to_six, &[slice], 0, 1);
        io.send_from(v6.port, &to_four, &[slice; 3], 150, 2);
        io.send_from(closed, &to_four, &[slice], 0, 3);
        io.send_from(Port(u16::MAX), &to_four, &[slice], 30, 4);
        io.send_from(v4.port, &to_four, &[slice; SLICES_MAX + 1], 0, 5);
        let large = words(&mut io, &[7; DATAGRAM_MAX - 99]);
        io.send_from(v4.port, &to_four, &[slice, large], 0, 6);
        io.send_from(v4.port, &to_four, &[slice], 0, 7);
        io.send_from(v6.port, &to_six, &[slice], 0, 8);
        assert_eq!(came(&mut io), []);
        let mut refused: Vec<Refusal> = std::iter::from_fn(|| io.refused()).collect();
        refused.sort_by_key(|refusal| refusal.tag);
        let lost = |tag, datagrams, bytes| Refusal { tag, datagrams, bytes };
        let too_much = 100 * (SLICES_MAX as u32 + 1);
        let expected = [
            lost(1, 1, 100),
            lost(2, 2, 300),
            lost(3, 1, 100),
            lost(4, 4, 100),
            lost(5, 1, too_much),
            lost(6, 1, DATAGRAM_MAX as u32 + 1),
        ];
        assert_eq!(refused, expected);
        let egress = io.egress();
        assert_eq!((egress.sent, egress.bytes, egress.busy, egress.failed), (2, 200, 0, 10));
        assert_eq!(place.heard_from(&mut io, 0), [(Some(v4.at), vec![7; 100])]);
        assert_eq!(place.heard_from(&mut io, six), [(Some(v6.at), vec![7; 100])]);
        assert_eq!(said(&mut io), [], "none of it had left");
    }

    fn where_nobody_listens_the_network_says_so<P>() {
        let (mut place, mut io) = P::new(2);
        let six = place.add_v6_peer();
        for (family, peer, kind, code) in [(Family::V4, 1, 3, 3), (Family::V6, six, 1, 4)] {
            let (relayed, other) = (place.open(&mut io, family), place.open(&mut io, family));
            let there = place.leave(&mut io, peer);
            let expected = Unreachable { port: relayed.port, to: there, kind, code, info: 0 };
            for round in 0..5 {
                assert_eq!(came(&mut io), []);
                assert_eq!(said(&mut io), [], "each once, round {round}");
                let slice = words(&mut io, b"is anybody there?");
                io.send_from(relayed.port, &there, &[slice], 0, 0);
                // Of what its own socket sends a shard hears nothing.
                io.send(&there, &[slice], 0, 0);
                assert_eq!(came(&mut io), []);
                assert_eq!(said(&mut io), [expected], "round {round}");
                // It takes nothing from anyone else, and nothing from this one later.
                assert_eq!(came(&mut io), []);
                let slice = words(&mut io, b"anybody else?");
                for port in [relayed.port, other.port] {
                    io.send_from(port, &place.addr(peer), &[slice], 0, 9);
                }
                place.send_to(&mut io, peer, relayed, b"yes", 0);
                let heard = came(&mut io);
                assert_eq!(heard, [(relayed.port, place.addr(peer), b"yes".to_vec())]);
                assert_eq!((place.heard_from(&mut io, peer).len(), io.refused()), (2, None));
            }
        }
    }

    fn an_error_costs_others_at_most_the_one_send_that_hears_of_it_first<P>() {
        let (mut place, mut io) = P::new(3);
        let (relayed, to) = (place.open(&mut io, Family::V4), place.addr(0));
        let there = [1, 2].map(|peer| place.leave(&mut io, peer));
        assert_eq!(came(&mut io), []);
        let (mut heard, mut told) = (Vec::new(), 0);
        for round in 0..20u8 {
            for n in 0..4 {
                let slice = words(&mut io, &[round, n]);
                io.send_from(relayed.port, &there[usize::from(n % 2)], &[slice], 0, 0);
                io.send_from(relayed.port, &to, &[slice], 0, 0);
                io.send_from(relayed.port, &to, &[slice, slice, slice], 2, 0);
            }
            assert_eq!(came(&mut io), []);
            heard.extend(place.heard_from(&mut io, 0).into_iter().map(|(_, bytes)| bytes));
            told += said(&mut io).len();
        }
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for (round, n) in (0..20).flat_map(|round| (0..4).map(move |n| (round, n))) {
            expected.extend(std::iter::repeat_n(vec![round, n], 4));
        }
        // In the first round, before anything of this port was known.
        assert_eq!(heard[heard.len() - 19 * 16..], expected[16..]);
        assert!(heard.len() >= expected.len() - 4, "{} of {}", heard.len(), expected.len());
        assert_eq!(heard.len() as u64 + 80, io.egress().sent);
        assert!(io.egress().failed <= 4 && told >= 40, "{told} told, {:?}", io.egress());
    }

    fn what_the_network_said_is_bounded_in_a_cycle_and_gone_with_its_port<P>() {
        const PORTS: usize = CYCLE_REPORTS_MAX + 40;
        let (mut place, mut io) = P::new(1);
        let ports: Vec<Port> =
            (0..PORTS).map(|_| place.open(&mut io, Family::V4).port).collect();
        let there = place.leave(&mut io, 0);
        assert_eq!(came(&mut io), []);
        let slice = words(&mut io, b"is anybody there?");
        for port in &ports {
            io.send_from(*port, &there, &[slice], 0, 0);
        }
        assert_eq!(came(&mut io), []);
        let first = said(&mut io);
        assert!((1..=CYCLE_REPORTS_MAX).contains(&first.len()), "{}", first.len());
        // One of which it has been told, and one of which it would be.
        let told: Vec<Port> = first.iter().map(|report| report.port).collect();
        let later = *ports.iter().find(|port| !told.contains(port)).unwrap();
        io.close(later);
        io.close(told[0]);
        let mut all = told;
        for _ in 0..PORTS {
            assert_eq!(came(&mut io), []);
            all.extend(said(&mut io).iter().map(|report| report.port));
        }
        all.sort();
        let expected: Vec<Port> = ports.into_iter().filter(|port| *port != later).collect();
        assert_eq!(all, expected);
    }

    fn an_unfragmented_datagram_leaves_at_once_behind_what_is_queued<P>() {
        let (mut place, mut io) = P::new(1);
        let six = place.add_v6_peer();
        for (family, peer) in [(Family::V4, 0), (Family::V6, six)] {
            let relayed = place.open(&mut io, family);
            assert_eq!(came(&mut io), []);
            let to = place.addr(peer);
            let [one, two, three] = [&b"one"[..], b"two", b"three"].map(|it| words(&mut io, it));
            let before = io.egress();
            io.send_from(relayed.port, &to, &[one], 0, 0);
            io.send_other_df(relayed.port, &to, &[two, three]);
            io.send_from(relayed.port, &to, &[one, one], 0, 0);
            assert_eq!(came(&mut io), []);
            let heard = place.heard_from(&mut io, peer).into_iter();
            let heard: Vec<Vec<u8>> = heard.map(|(from, bytes)| {
                assert_eq!(from, Some(relayed.at));
                bytes
            }).collect();
            assert_eq!(heard, [&b"one"[..], b"twothree", b"oneone"]);
            let egress = io.egress();
            assert_eq!((egress.sent - before.sent, egress.bytes - before.bytes), (3, 3 + 8 + 6));
        }
        // From the data port all leave so; from nobody's nothing does.
        let slice = words(&mut io, b"hello");
        io.send_other_df(Port::DATA, &place.addr(0), &[slice]);
        io.send_other_df(Port(u16::MAX), &place.addr(0), &[slice]);
        assert_eq!(came(&mut io), []);
        assert_eq!(place.heard_from(&mut io, 0), [(None, b"hello".to_vec())]);
        assert_eq!((io.egress().sent, io.egress().failed, io.refused()), (7, 1, None));
    }
}
