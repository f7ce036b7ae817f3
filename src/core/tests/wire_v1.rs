//! What must hold for wire v1, for everything written and for every byte string: 10,000 cases each.
//!
//! *Identity*: what is written is read back as it was. *Faithfulness*: what arbitrary bytes parse as
//! is written again as the same bytes. That holds
//! - for data frames, but for the two flags that the writer sets by itself: EXTENSION (there are
//!   TLVs) and PARITY (of the connection named before the ciphertext);
//! - for TLV regions, bundles, opened bodies and events with their proof always;
//! - for control texts message by message, unknown types included, malformed ones left out.
//!
//! *Calm*: no bytes, and no cut through anything written, make any reader panic. A failure prints
//! the smallest case; it is kept beside this file.

#[path = "wire_v1/honest.rs"]
mod honest;

use elara_core::limits::{BUNDLE_FRAMES_MAX, PARTS_MAX, TAG_LEN, V1_FRAME_MAX};
use elara_core::wire::header::flags;
use elara_core::wire::v1::versioned::pages_for;
use elara_core::wire::v1::{
    BodyKind, Bundle, BundleHead, Control, ControlFrame, ControlMut, ControlWriter, Controls,
    Frame, FrameMut, KeyName, Kind, Opened, Packing, Pages, Pieces, Proof, ProvenEvent, Shape,
    SignedEvent, State, Stream, Tlvs, Turn,
};
use elara_core::wire::{Class, Header, VersionVector};
use elara_core::{NodeId, SessionId, StateId};
use honest::{
    Written, bytes, control_header, damage, damaged, event, frame, message, seen, state, text,
    tlvs, write,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// Reads everything there is to read in `bytes`, as every kind of thing they might be.
fn read_all(bytes: &[u8]) {
    if let Ok(frame) = Frame::parse(bytes) {
        let (end_to_end, hop) = (frame.end_to_end(), frame.hop());
        assert_eq!(end_to_end.aad.len() + end_to_end.text.len() + 2 * TAG_LEN, bytes.len());
        assert_eq!(hop.aad.len() + hop.text.len() + TAG_LEN, bytes.len());
        let _ = ProvenEvent::parse(end_to_end.text, &frame.tlvs);
    }
    if let Ok(frame) = ControlFrame::parse(bytes) {
        let _ = Controls::parse(frame.sealed.text).count();
    }
    let mut copy = bytes.to_vec();
    let _ = FrameMut::parse(&mut copy).map(|mut frame| frame.hop().text.len());
    let _ = ControlMut::parse(&mut copy).map(|mut frame| frame.seal().text.len());
    if let Ok(bundle) = Bundle::parse(bytes) {
        let _ = (bundle.one_sender(), bundle.iter().map(Frame::parse).count());
    }
    let _ = Controls::parse(bytes).count();
    let _ = (Tlvs::parse(bytes), Opened::parse(bytes));
    let state = State::register(StateId(0), 0, [0; 16]);
    let _ = ProvenEvent::parse(bytes, &Tlvs { stream: None, state: Some(&state) });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_frame_is_read_as_it_was_written(written in frame(900)) {
        let bytes = written.bytes();
        let read = Frame::parse(&bytes).unwrap();
        let mut expected = written.header;
        expected.header_len.set(30 + written.tlvs().encoded_len() as u16);
        expected.flags &= !flags::EXTENSION;
        if written.tlvs() != Tlvs::EMPTY {
            expected.flags |= flags::EXTENSION;
        }
        expected.set_parity_of(written.key.conn);
        prop_assert_eq!(read.header, &expected);
        prop_assert_eq!((read.tlvs, read.key), (written.tlvs(), &written.key));
        prop_assert_eq!(read.text, &written.text[..]);
        prop_assert_eq!(Kind::Data(read.class), expected.check_v1(bytes.len()).unwrap());
        prop_assert_eq!(read.end_to_end().tag, &written.tags[..TAG_LEN]);
        prop_assert_eq!(read.hop().tag, &written.tags[TAG_LEN..]);
        prop_assert_eq!(read.header.seq_v1(), written.header.seq_v1());
    }

    #[test]
    fn whatever_parses_as_a_frame_is_written_again_to_the_same_bytes(
        written in frame(200),
        damage in damage(),
    ) {
        let bytes = damaged(written.bytes(), &damage);
        if let Ok(read) = Frame::parse(&bytes) {
            let tags = &bytes[bytes.len() - 2 * TAG_LEN..];
            let mut again =
                write(read.header, &read.tlvs, *read.key, bytes.len(), read.text, tags);
            let own = flags::EXTENSION | flags::PARITY;
            prop_assert_eq!((again[1] ^ bytes[1]) & !own, 0);
            again[1] = bytes[1];
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn whatever_parses_as_tlvs_is_written_again_to_the_same_bytes(
        (stream, state) in tlvs(),
        damage in damage(),
        raw in bytes(60),
    ) {
        let tlvs = Tlvs { stream: stream.as_ref(), state: state.as_ref() };
        let mut out = [0; 56];
        let len = tlvs.encode(&mut out).unwrap();
        prop_assert_eq!(Tlvs::parse(&out[..len]), Ok(tlvs));
        for region in [damaged(out[..len].to_vec(), &damage), raw] {
            if let Ok(read) = Tlvs::parse(&region) {
                let mut again = [0; 56];
                prop_assert_eq!(read.encode(&mut again), Ok(region.len()));
                prop_assert_eq!(&again[..region.len()], &region[..]);
            }
        }
    }

    #[test]
    fn control_messages_are_read_as_they_were_written(
        header in control_header(),
        messages in vec(message(), 0..5),
    ) {
        let mut out = [0xEE; V1_FRAME_MAX];
        let mut writer = ControlWriter::new(&mut out, &header).unwrap();
        let mut put = Vec::new();
        for (kind, value) in messages {
            let message = Control::parse(kind, &value).unwrap();
            prop_assert_eq!((message.kind(), message.encoded_len()), (kind, 3 + value.len()));
            if writer.put(&message).is_ok() {
                put.push((kind, value));
            }
        }
        let expected = text(&put);
        prop_assert_eq!(writer.text(), &expected[..]);
        let frame = writer.finish().finish();
        let read = ControlFrame::parse(frame).unwrap();
        prop_assert_eq!(read.sealed.text, &expected[..]);
        prop_assert_eq!((read.sealed.aad, read.header), (&frame[..30], &header));
        let read: Vec<_> = Controls::parse(&expected).map(Result::unwrap).collect();
        let sent: Vec<_> =
            put.iter().map(|(kind, value)| Control::parse(*kind, value).unwrap()).collect();
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn whatever_parses_as_control_is_written_again_to_the_same_bytes(
        messages in vec(message(), 0..5),
        damage in damage(),
        tail in bytes(5),
    ) {
        let text = damaged([text(&messages), tail].concat(), &damage);
        let mut at = 0;
        for message in Controls::parse(&text) {
            // A walk by hand, over the lengths alone.
            let Some(&[_, low, high]) = text[at..].first_chunk() else {
                prop_assert!(message.is_err());
                break;
            };
            let end = at + 3 + usize::from(u16::from_le_bytes([low, high]));
            if end > text.len() {
                prop_assert!(message.is_err());
                break;
            }
            if let Ok(message) = message {
                let (front, list) = message.value();
                prop_assert_eq!([&text[at..at + 3], front, list].concat(), &text[at..end]);
                prop_assert_eq!(message.kind(), text[at]);
            }
            at = end;
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written(
        frames in vec(frame(120), 0..9),
        session in any::<u64>(),
        damage in damage(),
    ) {
        let session = SessionId(session);
        let mut frames: Vec<_> = frames.iter().map(Written::bytes).collect();
        for frame in &mut frames {
            frame[4..12].copy_from_slice(&session.to_bytes());
        }
        let mut packing = Packing::new(V1_FRAME_MAX);
        frames.retain(|frame| packing.take(frame.len()));
        let slices: Vec<_> = frames.iter().map(Vec::as_slice).collect();
        let mut out = [0xEE; V1_FRAME_MAX];
        let Ok(joined) = BundleHead::join(&mut out, session, &slices) else {
            prop_assert!(frames.len() < 2);
            return Ok(());
        };
        prop_assert_eq!(joined.len(), packing.bundle_len());
        let head = BundleHead::new(session, &slices).unwrap();
        prop_assert_eq!(&*joined, head.gather(&slices).collect::<Vec<_>>().concat());
        let read = Bundle::parse(joined).unwrap();
        prop_assert_eq!((read.session, read.count()), (session, frames.len()));
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), slices);

        let bytes = damaged(joined.to_vec(), &damage);
        if let Ok(read) = Bundle::parse(&bytes) {
            let frames: Vec<_> = read.iter().collect();
            prop_assert!((2..=BUNDLE_FRAMES_MAX).contains(&frames.len()));
            prop_assert!(frames.iter().all(|frame| Bundle::parse(frame).is_err()));
            let mut out = [0; V1_FRAME_MAX];
            prop_assert_eq!(&*BundleHead::join(&mut out, read.session, &frames).unwrap(), bytes);
        }
    }

    #[test]
    fn content_is_opened_as_it_was_padded(
        (stream, state) in tlvs(),
        content in bytes(1_200),
        media in any::<bool>(),
        frame_max in 0usize..1_400,
    ) {
        let tlvs = Tlvs { stream: stream.as_ref(), state: state.as_ref() };
        let kind = if media { BodyKind::Media } else { BodyKind::Event };
        let Some(shape) = Shape::of(&tlvs).within(frame_max) else {
            prop_assert!(frame_max < 80);
            return Ok(());
        };
        let Some(len) = shape.frame_len(content.len()) else {
            prop_assert!(shape.content_max().is_none_or(|most| content.len() > most));
            return Ok(());
        };
        prop_assert!(len <= frame_max);
        let header = Header::v1(1, SessionId(1), NodeId(2), Kind::Data(Class::Core));
        let key = KeyName { epoch: 0.into(), conn: 1, generation: 0 };
        let mut out = [0xEE; V1_FRAME_MAX];
        let mut frame = FrameMut::begin(&mut out, &header, &tlvs, key, len).unwrap();
        let opened = Opened { kind, content: &content };
        opened.fill(frame.end_to_end().text).unwrap();
        prop_assert_eq!(Opened::parse(Frame::parse(frame.finish()).unwrap().text), Ok(opened));
    }

    #[test]
    fn whatever_opens_is_padded_again_to_the_same_bytes(
        mut body in bytes(60),
        zeros in 0usize..40,
        mark in any::<bool>(),
    ) {
        if let (Some(first), true) = (body.first_mut(), mark) {
            *first = 1 + *first % 2;
            body.push(0x80);
        }
        body.resize(body.len() + zeros, 0);
        match Opened::parse(&body) {
            Ok(opened) => {
                let mut again = vec![0xEE; body.len()];
                opened.fill(&mut again).unwrap();
                prop_assert_eq!(again, body);
            }
            Err(_) => prop_assert!(!mark || body.len() == zeros),
        }
    }

    #[test]
    fn pieces_put_together_are_the_content(
        content in bytes(6_000),
        (stream, state) in tlvs(),
        frame_max in 80usize..1_400,
    ) {
        let tlvs = Tlvs { stream: stream.as_ref(), state: state.as_ref() };
        let shape = Shape::of(&tlvs).within(frame_max).unwrap();
        if let Ok(pieces) = Pieces::of_event(&content, shape) {
            prop_assert!(pieces.len() <= usize::from(PARTS_MAX));
            let count = pieces.len();
            let mut whole = Vec::new();
            for (number, piece) in pieces.enumerate() {
                prop_assert_eq!((piece.number, piece.count), (number, count));
                prop_assert!(shape.frame_len(piece.content.len()).is_some());
                let said = piece.state(State::register(StateId(1), 1, [0; 16]));
                prop_assert!(said.check().is_ok());
                whole.extend_from_slice(piece.content);
            }
            prop_assert_eq!(&whole, &content);
        }
        if let Ok(pieces) = Pieces::of_media(&content, shape) {
            prop_assert!(pieces.clone().all(|piece| shape.frame_len(piece.content.len()).is_some()));
            prop_assert_eq!(pieces.flat_map(|piece| piece.content.to_vec()).collect::<Vec<_>>(), content);
        }
    }

    #[test]
    fn an_event_and_its_proof_are_read_as_they_were_written(
        kind in any::<u8>(),
        state in state(),
        seen in seen(),
        value in bytes(80),
        signature in of(vec(any::<u8>(), 64)),
        damage in damage(),
    ) {
        let event = event(kind, state.state.get(), &seen, &value);
        let tlvs = Tlvs { stream: None, state: Some(&state) };
        let signature: Option<[u8; 64]> = signature.map(|bytes| bytes.try_into().unwrap());
        let proof = signature.as_ref().map_or(Proof::None, Proof::Ed25519);
        let mut out = [0; 400];
        let len = ProvenEvent::encode(&event, proof, &mut out).unwrap();
        let read = ProvenEvent::parse(&out[..len], &tlvs).unwrap();
        prop_assert_eq!((read.event, read.proof), (event, proof));

        let bytes = damaged(out[..len].to_vec(), &damage);
        if let Ok(read) = ProvenEvent::parse(&bytes, &tlvs) {
            let mut again = [0; 400];
            prop_assert_eq!(ProvenEvent::encode(&read.event, read.proof, &mut again), Ok(bytes.len()));
            prop_assert_eq!(&again[..bytes.len()], &bytes[..]);
        }
    }

    #[test]
    fn two_events_that_differ_are_signed_as_different_bytes(
        a in (tlvs(), state(), any::<(u64, i32)>(), bytes(20)),
        b in (tlvs(), state(), any::<(u64, i32)>(), bytes(20)),
    ) {
        // The TLVs of an event end in STATE, so blocks, however chosen, cannot shift into them.
        let signed = |((stream, _), state, (session, time_hint), value): &(_, _, (u64, i32), Vec<u8>)| {
            let (stream, state): (&Option<Stream>, &State) = (stream, state);
            let tlvs = Tlvs { stream: stream.as_ref(), state: Some(state) };
            let mut region = [0; 56];
            let len = tlvs.encode(&mut region).unwrap();
            let none = VersionVector::new();
            let mut block = [0; 64];
            let block_len = event(0x10, state.state.get(), &none, value).encode(&mut block).unwrap();
            let signed = SignedEvent {
                session: SessionId(*session),
                id_pub: &[7; 32],
                time_hint: *time_hint,
                tlv_bytes: &region[..len],
                block: &block[..block_len],
            };
            let mut out = vec![0; signed.encoded_len()];
            assert_eq!(signed.encode(&mut out), Ok(out.len()));
            // Read back the only way there is: fixed fields, TLVs up to STATE, the block.
            let region_at = 13 + 8 + 32 + 4;
            let has_stream = out[region_at] == 0x10;
            let block_at = region_at + 42 + if has_stream { 14 } else { 0 };
            assert_eq!(Tlvs::parse(&out[region_at..block_at]), Ok(tlvs));
            assert_eq!(&out[block_at..], &block[..block_len]);
            out
        };
        let (x, y) = (signed(&a), signed(&b));
        let same = (a.0.0, a.1, a.2, &a.3) == (b.0.0, b.1, b.2, &b.3);
        prop_assert_eq!(x == y, same);
    }

    #[test]
    fn pages_complete_exactly_when_all_of_one_version_have_come(
        heard in vec((1u32..6, 0u8..4, 0u8..4), 0..60),
    ) {
        // Slow and obviously right: all pages heard so far of the newest set, and what is held.
        let (mut pages, mut held) = (Pages::default(), 0u32);
        let mut set: (u32, u8, Vec<u8>) = (0, 0, Vec::new());
        for (version, page, count) in heard {
            let turn = pages.handle(version, page, count);
            if version <= held {
                prop_assert_eq!(turn, Turn::Known);
            } else if count == 0 {
                let next = version == held + 1;
                prop_assert_eq!(turn, if next { Turn::Apply } else { Turn::Missing });
                held = if next { version } else { held };
            } else if page >= count {
                prop_assert_eq!(turn, Turn::Contradiction);
            } else if version < set.0 {
                prop_assert_eq!(turn, Turn::Known);
            } else {
                let first = version > set.0;
                if first {
                    set = (version, count, Vec::new());
                }
                if count != set.1 {
                    prop_assert_eq!(turn, Turn::Contradiction);
                } else if set.2.contains(&page) {
                    prop_assert_eq!(turn, Turn::Known);
                } else {
                    set.2.push(page);
                    if set.2.len() == usize::from(count) {
                        prop_assert_eq!(turn, Turn::Complete { first });
                        held = version;
                    } else {
                        prop_assert_eq!(turn, Turn::Collect { first });
                    }
                }
            }
            prop_assert_eq!(pages.version(), held);
        }
    }

    #[test]
    fn so_many_pages_hold_all_entries_and_one_less_does_not(
        entries in 0usize..6_000,
        per_page in 1usize..300,
    ) {
        match pages_for(entries, per_page) {
            Some(pages) => {
                prop_assert!(usize::from(pages) * per_page >= entries);
                prop_assert!(pages == 1 || usize::from(pages - 1) * per_page < entries);
            }
            None => prop_assert!(255 * per_page < entries),
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        raw in bytes(200),
        first in prop_oneof![0x10u8..=0x13, any::<u8>()],
        frame in frame(60),
        damage in damage(),
    ) {
        read_all(&raw);
        read_all(&[&[first], &raw[..]].concat());
        read_all(&damaged(frame.bytes(), &damage));
    }

    #[test]
    fn no_cut_makes_a_reader_panic(
        frames in (frame(40), frame(40)),
        messages in vec(message(), 1..4),
        damage in damage(),
    ) {
        let (a, mut b) = (frames.0.bytes(), frames.1.bytes());
        b[4..12].copy_from_slice(&a[4..12]);
        let session = SessionId(frames.0.header.session.get());
        let mut out = [0; V1_FRAME_MAX];
        let bundle = BundleHead::join(&mut out, session, &[&a, &b]).unwrap();
        for whole in [damaged(a.clone(), &damage), bundle.to_vec(), text(&messages)] {
            for end in 0..whole.len() {
                read_all(&whole[..end]);
            }
        }
    }
}
