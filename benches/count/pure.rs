//! The workloads without a shard: reading, sealing, checking and opening one frame.

use std::hint::black_box;

use elara_core::crypto::hop::Receiving;
use elara_core::crypto::{Scratch, Suite};
use elara_core::limits::{V0_FRAME_MAX, V1_FRAME_MAX};
use elara_core::wire::v1::tlv::{Stream, Tlvs};
use elara_core::wire::v1::{FrameMut, KeyName, Kind};
use elara_core::wire::{self, Class, Header};
use elara_core::{NodeId, SessionId};

use crate::extended::extended;
use crate::hop::{secret, sender, untagged};
use crate::support::people::{People, voice};
use crate::{MOST, Operation};

pub(crate) fn v0_header() -> Box<dyn Operation> {
    let frame = extended(&mut [0; V0_FRAME_MAX]).to_vec();
    Box::new(move || {
        let datagram = black_box(&frame[..]);
        let header = Header::peek(datagram).expect("thirty bytes");
        assert!(black_box(header.check_v0(datagram.len())).is_ok());
    })
}

pub(crate) fn v0_frame() -> Box<dyn Operation> {
    let frame = extended(&mut [0; V0_FRAME_MAX]).to_vec();
    Box::new(move || assert!(black_box(wire::Frame::parse(black_box(&frame))).is_ok()))
}

/// A data frame with STREAM, unsealed.
fn streaming() -> Vec<u8> {
    let mut out = [0; V1_FRAME_MAX];
    let header = Header::v1(1, SessionId(0x5E55_1017), NodeId(7), Kind::Data(Class::Perceptual));
    let stream = Stream { stream: 1.into(), bits: 0, layer: 0, frame: 9.into(), index: 9.into() };
    let tlvs = Tlvs { stream: Some(&stream), state: None };
    let key = KeyName { epoch: 0.into(), conn: 1, generation: 0 };
    FrameMut::begin(&mut out, &header, &tlvs, key, 240).expect("room").finish().to_vec()
}

pub(crate) fn v1_header() -> Box<dyn Operation> {
    let frame = streaming();
    Box::new(move || {
        let datagram = black_box(&frame[..]);
        let header = Header::peek(datagram).expect("thirty bytes");
        assert!(black_box(header.check_v1(datagram.len())).is_ok());
    })
}

pub(crate) fn v1_frame() -> Box<dyn Operation> {
    let frame = streaming();
    Box::new(move || assert!(black_box(wire::v1::Frame::parse(black_box(&frame))).is_ok()))
}

pub(crate) fn verify(suite: Suite, len: usize) -> Box<dyn Operation> {
    let (sealer, mut sending) = sender(suite);
    let frames: Vec<Vec<u8>> = (0..MOST)
        .map(|_| {
            let mut frame = untagged(suite, len);
            sending.data(&sealer, &mut frame).expect("it has the room");
            frame
        })
        .collect();
    let (mut receiving, mut scratch) = (Receiving::new(secret(suite)), Scratch::new());
    let mut next = 0;
    Box::new(move || {
        assert!(receiving.data(&frames[next], &mut scratch).is_ok());
        next += 1;
    })
}

pub(crate) fn seal(suite: Suite, len: usize) -> Box<dyn Operation> {
    let (sealer, mut sending) = sender(suite);
    // What lies in the frame is sealed again and again: the same work each time.
    let mut frame = untagged(suite, len);
    Box::new(move || assert!(sending.data(&sealer, black_box(&mut frame)).is_ok()))
}

pub(crate) fn open(suite: Suite, len: usize) -> Box<dyn Operation> {
    let mut room = People::of(suite, 2);
    let now = room.now();
    // The longest content of a frame of that length is what it takes to fill it.
    let content = vec![7; len - 82];
    let mut out = [0; V1_FRAME_MAX];
    let frames: Vec<Vec<u8>> = (0..MOST as u32)
        .map(|number| {
            let sealed = room.people[0].seal_frame(&voice(number), &content, &mut out);
            assert_eq!(sealed, Ok(len));
            out[..len].to_vec()
        })
        .collect();
    let mut next = 0;
    Box::new(move || {
        let listener = &mut room.people[1];
        listener.handle_datagram(&frames[next], now).expect("it opens");
        assert!(black_box(listener.poll_event()).is_some());
        next += 1;
    })
}
