//! The readers and writers of wire v1.
//!
//! Every target claims the same three things: no bytes make it panic; what it accepts is written
//! again to the same bytes; reading those tells the same.

use elara_core::limits::{
    BUNDLE_FRAMES_MAX, BUNDLE_FRAMES_MIN, PARTS_MAX, TAG_LEN, V1_FRAME_MAX, V1_OVERHEAD,
};
use elara_core::wire::header::flags;
use elara_core::wire::v1::{
    Bundle, BundleHead, Control, ControlFault, ControlFrame, ControlMut, ControlWriter, Controls,
    Fault, Frame, FrameMut, Kind, Opened, Proof, ProvenEvent, Shape, SignedEvent, State, Tlvs,
};
use elara_core::wire::{Header, NoRoom};
use elara_core::{NodeId, SessionId, StateId};

/// A v1 data frame: its views, its seals, and the same frame written from its parts.
pub fn fuzz_frame_v1(bytes: &[u8]) {
    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(why) => {
            match Header::peek(bytes).map(|header| header.check_v1(bytes.len())) {
                None => assert_eq!(why, Fault::TooShort),
                Some(Err(reason)) => assert_eq!(why, reason),
                Some(Ok(Kind::Data(_))) => assert!(why != Fault::TooShort && why != Fault::Class),
                Some(Ok(_)) => assert_eq!(why, Fault::Class),
            }
            return;
        }
    };
    let tlvs = frame.tlvs;
    assert!(bytes.len() <= V1_FRAME_MAX);
    assert_eq!(V1_OVERHEAD + tlvs.encoded_len() + frame.text.len(), bytes.len());
    assert!(tlvs.state.is_none_or(|state| state.part < state.parts && state.parts <= PARTS_MAX));
    let (end_to_end, hop) = (frame.end_to_end(), frame.hop());
    assert_eq!([end_to_end.aad, end_to_end.text, end_to_end.tag, hop.tag].concat(), bytes);
    assert_eq!([hop.aad, hop.text, hop.tag].concat(), bytes);

    let mut out = [0xEE; V1_FRAME_MAX];
    let mut again = FrameMut::begin(&mut out, frame.header, &tlvs, *frame.key, bytes.len())
        .expect("what was read can be begun");
    let seal = again.end_to_end();
    seal.text.copy_from_slice(end_to_end.text);
    *seal.tag = *end_to_end.tag;
    *again.hop().tag = *hop.tag;
    let again = again.finish();
    // The writer sets two flags by itself.
    assert_eq!((again[1] ^ bytes[1]) & !(flags::EXTENSION | flags::PARITY), 0);
    again[1] = bytes[1];
    assert_eq!(again, bytes);
    fuzz_body_v1(frame.text);
}

/// A control frame's text: every message, and a frame written from them.
pub fn fuzz_control_v1(bytes: &[u8]) {
    let header = Header::v1(1, SessionId(1), NodeId(2), Kind::Control);
    let mut out = [0xEE; V1_FRAME_MAX];
    let mut writer = ControlWriter::new(&mut out, &header).expect("a frame has room");
    let (mut sound, mut all) = (Vec::new(), true);
    for message in Controls::parse(bytes) {
        let message = match message {
            Ok(message) => message,
            Err(why) => {
                all = false;
                if let ControlFault::Length(kind) | ControlFault::Value(kind) = why {
                    assert!((0x01..=0x12).contains(&kind));
                }
                continue;
            }
        };
        let (front, list) = message.value();
        let value = [front, list].concat();
        assert_eq!(Control::parse(message.kind(), &value), Ok(message));
        assert_eq!(message.encoded_len(), 3 + value.len());
        let len = writer.text().len();
        match writer.put(&message) {
            Ok(()) => sound.push(message),
            Err(NoRoom) => {
                assert!(len + message.encoded_len() > V1_FRAME_MAX - 46);
                all = false;
            }
        }
        match message {
            Control::Pong(pong) => assert!(pong.missing(40).all(|seq| seq < 40)),
            Control::Nack(nack) => {
                let mut copy = *nack;
                copy.bitmap.set(0);
                assert!(nack.missing().all(|number| copy.mark(number)));
                assert!(copy.missing().eq(nack.missing()));
            }
            Control::Move(to) => _ = to.addr(),
            _ => {}
        }
    }
    assert!(!all || writer.text() == bytes);
    let mut frame = writer.finish();
    frame.seal().tag.fill(7);
    let frame = frame.finish();
    let read = ControlFrame::parse(frame).expect("what we write, we read");
    assert!(Controls::parse(read.sealed.text).eq(sound.into_iter().map(Ok)));
    // The same bytes as a whole frame.
    if let Ok(read) = ControlFrame::parse(bytes) {
        let mut copy = bytes.to_vec();
        let mut again = ControlMut::parse(&mut copy).expect("what was read once");
        let seal = again.seal();
        assert_eq!((seal.aad, &*seal.text), (read.sealed.aad, read.sealed.text));
        assert_eq!(seal.tag, read.sealed.tag);
    }
}

/// A bundle: its frames, and the same bundle joined and gathered from them.
pub fn fuzz_bundle_v1(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else { return };
    let frames: Vec<_> = bundle.iter().collect();
    assert!((BUNDLE_FRAMES_MIN..=BUNDLE_FRAMES_MAX).contains(&frames.len()));
    assert_eq!(bundle.count(), frames.len());
    let mut nodes = Vec::new();
    for frame in &frames {
        let header = Header::peek(frame).expect("a frame in a bundle has a header");
        assert_eq!(header.session_id(), bundle.session);
        assert!(Bundle::parse(frame).is_err(), "never nested");
        nodes.push(header.node_id());
        if header.check_v1(frame.len()).is_ok() {
            fuzz_frame_v1(frame);
        }
    }
    nodes.dedup();
    assert_eq!(bundle.one_sender(), nodes.len() == 1);
    let head = BundleHead::new(bundle.session, &frames).expect("what was read can be written");
    assert_eq!(head.gather(&frames).collect::<Vec<_>>().concat(), bytes);
    let mut out = vec![0xEE; bytes.len()];
    assert_eq!(BundleHead::join(&mut out, bundle.session, &frames).as_deref(), Ok(bytes));
    out.pop();
    assert_eq!(BundleHead::join(&mut out, bundle.session, &frames), Err(NoRoom));
}

/// An opened body: its padding, and the event it may hold.
pub fn fuzz_body_v1(bytes: &[u8]) {
    fuzz_event_v1(bytes);
    let Ok(opened) = Opened::parse(bytes) else {
        // Only what begins with a known kind and ends in 80 means something.
        let end = bytes.iter().rposition(|byte| *byte != 0);
        let marked = end.is_some_and(|end| end > 0 && bytes[end] == 0x80);
        return assert!(!marked || !matches!(bytes[0], 1 | 2));
    };
    let mut again = vec![0xEE; bytes.len()];
    opened.fill(&mut again).expect("what was opened fits");
    assert_eq!(again, bytes);
    let mut short = vec![0; opened.content.len() + 1];
    assert_eq!(opened.fill(&mut short), Err(NoRoom));
    let shape = Shape::of(&Tlvs::EMPTY);
    match shape.frame_len(opened.content.len()) {
        Some(len) => assert!(len >= V1_OVERHEAD + opened.content.len() + 2),
        None => assert!(shape.content_max().is_some_and(|most| opened.content.len() > most)),
    }
    fuzz_event_v1(opened.content);
}

/// An event with its proof, under a STATE of the state that it names.
fn fuzz_event_v1(content: &[u8]) {
    let Some(state) = content.get(1..9).and_then(|bytes| bytes.first_chunk()) else { return };
    let state = State::register(StateId::from_bytes(*state), 1, [3; 16]);
    let tlvs = Tlvs { stream: None, state: Some(&state) };
    assert!(ProvenEvent::parse(content, &Tlvs::EMPTY).is_err());
    let Ok(read) = ProvenEvent::parse(content, &tlvs) else { return };
    let mut again = vec![0; content.len()];
    assert_eq!(ProvenEvent::encode(&read.event, read.proof, &mut again), Ok(content.len()));
    assert_eq!(again, content);
    let proof_len = if read.proof == Proof::None { 1 } else { 65 };
    assert_eq!(read.block.len() + proof_len, content.len());
    let signed = SignedEvent {
        session: SessionId(1),
        id_pub: &[9; 32],
        time_hint: -1,
        tlv_bytes: &[0; TAG_LEN],
        block: read.block,
    };
    let mut out = vec![0; signed.encoded_len()];
    assert_eq!(signed.encode(&mut out), Ok(out.len()));
    assert!(out.ends_with(read.block));
}
