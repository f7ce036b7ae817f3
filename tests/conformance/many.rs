//! Very many relay ports: more than there are receive buffers, all of them with something to say.

use std::collections::HashMap;

use elara_core::limits::{CYCLE_TRAINS_MAX, RECEIVE_BUFFERS};
use elara_core::random::{Random, Seeded};
use elara_shards::io::{Io, Port, Train, Wait};
use elara_shards::sys::message::Family;

use crate::ports::{came, words};
use crate::support::ports::Relayed;
use crate::support::room::{InMemory, OverSyscall, OverUring};

const PORTS: usize = 1_000;

/// One cycle as a shard makes it: no more trains than its budget.
fn cycle<I: Io>(io: &mut I) -> Vec<Train> {
    io.enter(Wait::No).unwrap();
    std::iter::from_fn(|| io.receive()).take(CYCLE_TRAINS_MAX).collect()
}

on_every_back_end! {
    fn a_thousand_ports_are_heard_and_heard_from_each_as_itself<P>() {
        let (mut place, mut io) = P::new(4);
        let ports: Vec<Relayed> =
            (0..PORTS).map(|_| place.open(&mut io, Family::V4)).collect();
        let by_port: HashMap<Port, usize> =
            ports.iter().enumerate().map(|(n, relayed)| (relayed.port, n)).collect();
        assert_eq!(by_port.len(), PORTS, "each has its number");
        for round in 0..3u16 {
            for (n, relayed) in ports.iter().enumerate() {
                let bytes = [(n as u16).to_be_bytes(), round.to_be_bytes()].concat();
                place.send_to(&mut io, n % 4, *relayed, &bytes, 0);
            }
            let (mut heard, mut echoes) = (vec![0; PORTS], vec![0; PORTS]);
            let mut cycles = 0;
            while echoes.contains(&0) {
                let trains = cycle(&mut io);
                assert!(trains.len() <= RECEIVE_BUFFERS);
                for train in trains {
                    let n = by_port[&train.port];
                    let bytes = [(n as u16).to_be_bytes(), round.to_be_bytes()].concat();
                    assert_eq!(io.bytes(train.slice), bytes, "round {round}");
                    assert_eq!(train.from, place.addr(n % 4));
                    heard[n] += 1;
                    io.send_from(train.port, &train.from, &[train.slice], 0, 1);
                }
                cycles += 1;
                assert!(cycles < 40, "round {round}: nobody waits that long");
                for (from, bytes) in (0..4).flat_map(|peer| place.heard_from(&mut io, peer)) {
                    let n = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                    assert_eq!(from, Some(ports[n].at), "round {round}");
                    echoes[n] += 1;
                }
            }
            assert!(heard.iter().all(|times| *times == 1), "round {round}: each once");
            assert_eq!((echoes, cycle(&mut io)), (heard, vec![]), "round {round}");
            assert_eq!((io.refused(), io.unreachable()), (None, None));
        }
        // Where buffers are the shard's alone, they never run out.
        assert_eq!(io.starved() > 0, P::NAME != "syscall");
    }

    fn nobody_who_talks_much_keeps_the_others_from_being_heard<P>() {
        const QUIET: usize = 40;
        let (mut place, mut io) = P::new(2);
        let loud = place.open(&mut io, Family::V4);
        let quiet: Vec<Relayed> =
            (0..QUIET).map(|_| place.open(&mut io, Family::V4)).collect();
        assert_eq!(came(&mut io), []);
        for round in 0..3 {
            // Each of them fills what there are of buffers, and comes before the quiet ones.
            for n in 0..RECEIVE_BUFFERS + 50 {
                place.send(&mut io, n % 2, &[1; 40], 0);
                place.send_to(&mut io, n % 2, loud, &[2; 40], 0);
            }
            for relayed in &quiet {
                place.send_to(&mut io, 0, *relayed, b"excuse me", 0);
            }
            let mut waiting: Vec<Port> = quiet.iter().map(|relayed| relayed.port).collect();
            let mut others = HashMap::new();
            for _ in 0..5 {
                for train in cycle(&mut io) {
                    let datagrams = train.datagrams().count();
                    match waiting.iter().position(|port| *port == train.port) {
                        Some(at) => drop(waiting.swap_remove(at)),
                        None => *others.entry(train.port).or_insert(0) += datagrams,
                    }
                }
            }
            assert_eq!(waiting, [], "round {round}: {} of {QUIET} wait", waiting.len());
            assert!(others[&Port::DATA] > 0 && others[&loud.port] > 0, "round {round}: {others:?}");
            while !cycle(&mut io).is_empty() {}
        }
    }

    fn ports_come_and_go_by_the_hundred_while_others_talk<P>() {
        let (mut place, mut io) = P::new(4);
        let stays = place.open(&mut io, Family::V4);
        let addresses: Vec<_> = (0..400).map(|_| place.spare(Family::V4)).collect();
        let mut random = Seeded::new(7);
        for round in 0..12u8 {
            let ports: Vec<Relayed> = addresses
                .iter()
                .map(|at| Relayed { port: io.open(*at).expect("free again"), at: *at })
                .collect();
            for relayed in ports.iter().filter(|_| random.chance(700_000)) {
                place.send_to(&mut io, 0, *relayed, &[round], 0);
            }
            place.send_to(&mut io, 0, stays, &[round], 0);
            // Some cycles, or none, in which they are heard, and some of them starve.
            for _ in 0..round % 4 {
                for train in cycle(&mut io) {
                    assert_eq!(io.bytes(train.slice), [round]);
                }
            }
            let slice = words(&mut io, &[round]);
            for (n, relayed) in ports.iter().enumerate() {
                io.send_from(relayed.port, &place.addr(n % 4), &[slice], 0, 0);
                io.close(relayed.port);
            }
            while !cycle(&mut io).is_empty() {}
            let mut heard: Vec<_> =
                (0..4).flat_map(|peer| place.heard_from(&mut io, peer)).collect();
            heard.sort();
            let mut expected: Vec<_> =
                addresses.iter().map(|at| (Some(*at), vec![round])).collect();
            expected.sort();
            assert_eq!(heard, expected, "round {round}: all said farewell");
        }
        place.send_to(&mut io, 0, stays, b"all gone?", 0);
        assert_eq!(came(&mut io), [(stays.port, place.addr(0), b"all gone?".to_vec())]);
        assert!(place.open(&mut io, Family::V4).port.0 <= 401, "numbers are used again");
    }
}
