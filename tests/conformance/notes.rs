//! What a shard writes itself between received bytes: headers before payloads, in one gathered send.

use elara_core::limits::{LASTING_BUFFER, NOTE_BUFFERS, SEGMENTS_MAX, SLICES_MAX};
use elara_shards::io::{Io, Port, Slice, Wait};
use elara_shards::sys::message::Family;

use crate::ports::{came, trains};
use crate::support::room::{InMemory, OverSyscall, OverUring};

on_every_back_end! {
    fn headers_stand_between_payloads_in_one_send_that_is_cut<P>() {
        let (mut place, mut io) = P::new(2);
        let relayed = place.open(&mut io, Family::V4);
        assert_eq!(came(&mut io), []);
        let burst: Vec<Vec<u8>> =
            (0..32).map(|n| vec![n; if n == 31 { 500 } else { 1_200 }]).collect();
        place.send_to(&mut io, 0, relayed, &burst.concat(), 1_200);
        let mut slices = Vec::new();
        for train in trains(&mut io) {
            for payload in train.datagrams() {
                let header = [0x40, 1, (payload.len() >> 8) as u8, payload.len() as u8];
                slices.extend([io.note(&header).unwrap(), payload]);
            }
        }
        assert_eq!(slices.len(), 64);
        io.send(&place.addr(1), &slices, 1_204, 0);
        // The other way about: the payloads without their headers, from the port.
        let payloads: Vec<Slice> = slices.into_iter().skip(1).step_by(2).collect();
        io.send_from(relayed.port, &place.addr(0), &payloads, 1_200, 0);
        assert_eq!(came(&mut io), []);
        let framed = burst.iter().map(|payload| {
            let len = (payload.len() as u16).to_be_bytes();
            [&[0x40, 1][..], &len, payload].concat()
        });
        assert_eq!(place.heard(&mut io, 1), framed.collect::<Vec<_>>());
        let plain = burst.into_iter().map(|payload| (Some(relayed.at), payload));
        assert_eq!(place.heard_from(&mut io, 0), plain.collect::<Vec<_>>());
        assert_eq!(io.egress().sent, 64);
    }

    fn one_send_has_two_slices_for_each_datagram_and_no_more<P>() {
        let (mut place, mut io) = P::new(1);
        io.enter(Wait::No).unwrap();
        let slices: Vec<Slice> =
            (0..SLICES_MAX as u8).map(|n| io.note(&[n]).unwrap()).collect();
        let to = place.addr(0);
        io.send(&to, &slices, 2, 1);
        io.send(&to, &slices, 0, 2);
        // One slice more, and one datagram more.
        let more = [&slices[..], &slices[..1]].concat();
        io.send(&to, &more, 3, 3);
        io.send(&to, &slices[..SEGMENTS_MAX + 1], 1, 4);
        assert_eq!(came(&mut io), []);
        let whole: Vec<u8> = (0..SLICES_MAX as u8).collect();
        let mut expected: Vec<Vec<u8>> = whole.chunks(2).map(<[u8]>::to_vec).collect();
        expected.push(whole);
        assert_eq!(place.heard(&mut io, 0), expected);
        let mut refused: Vec<u32> = std::iter::from_fn(|| io.refused()).map(|it| it.tag).collect();
        refused.sort_unstable();
        assert_eq!(refused, [3, 4]);
        let failed = SLICES_MAX.div_ceil(3) + SEGMENTS_MAX + 1;
        assert_eq!((io.egress().sent, io.egress().failed), (65, failed as u64));
    }

    fn notes_are_good_for_their_cycle_and_then_there_is_room_again<P>() {
        const NOTE: usize = 1_000;
        let (mut place, mut io) = P::new(1);
        for round in 0..3u8 {
            io.enter(Wait::No).unwrap();
            while io.receive().is_some() {}
            let all: Vec<Slice> =
                std::iter::from_fn(|| io.note(&[round; NOTE])).collect();
            assert_eq!(all.len(), NOTE_BUFFERS * (LASTING_BUFFER / NOTE));
            assert!(io.note(&[1; LASTING_BUFFER]).is_none() && io.note(&[]).is_some());
            // What is sent in between, and hands everything over, takes no note away.
            for slice in all.iter().step_by(20) {
                io.send(&place.addr(0), &[*slice], 0, 0);
            }
            assert!(all.iter().all(|slice| io.bytes(*slice) == [round; NOTE]));
            io.send_from(Port::DATA, &place.addr(0), &all[..2], 0, 0);
            io.enter(Wait::No).unwrap();
            let mut expected = vec![vec![round; NOTE]; all.len().div_ceil(20)];
            expected.push(vec![round; 2 * NOTE]);
            assert_eq!(place.heard(&mut io, 0), expected);
        }
    }
}
