//! What must hold for every frame, and for every byte string: the wire's laws, 10,000 cases each.
//!
//! *Identity*: what is written is read back as it was. *Faithfulness*: what arbitrary bytes parse as
//! is written again as the same bytes. That holds
//! - for frames always, TLV region and tag taken as bytes;
//! - for the TLV region through [`Extensions`] only where 0.2.0's own serializer wrote it: known
//!   types of the right length, each once, ascending, then FF and nothing behind it;
//! - for each event block and each mutation always, NaN weights included;
//! - for a version vector as a view always, as a [`VersionVector`] only where it stood sorted and
//!   without repetitions.
//!
//! *Calm*: no bytes, and no cut through a frame, make any reader panic. A failure prints the
//! smallest case; it is kept beside this file.

use elara_core::limits::{HEADER_LEN, TAG_LEN, V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::wire::header::flags;
use elara_core::wire::tlv::{Fragment, SwarmRole};
use elara_core::wire::version::VersionEntry;
use elara_core::wire::{
    Class, Event, EventType, Events, Extensions, Frame, FrameWriter, Header, Mutation, Tlvs,
    VersionVector, Versions,
};
use elara_core::{NodeId, SessionId, StateId};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn header() -> impl Strategy<Value = Header> {
    (0u8..3, any::<u8>(), any::<u64>(), any::<u64>(), 0u8..5, any::<u8>(), any::<(i32, u32)>())
        .prop_map(|(suite, flags, session, node, class, profile, (time, seq))| {
            let mut header = Header::v0(SessionId(session), NodeId(node));
            (header.version_suite, header.flags) = (suite, flags);
            (header.class, header.profile) = (class, profile);
            header.time_hint.set(time);
            header.seq_window.set(seq);
            header
        })
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

/// Extensions and the bytes their causality reference borrows.
fn extensions() -> impl Strategy<Value = (Extensions<'static>, Option<Vec<u8>>)> {
    let numbers = (of(any::<u32>()), of(any::<u16>()), of(select(&SwarmRole::ALL[..])));
    let more = (of(any::<u8>()), of(any::<u64>()), of(any::<u16>()), of(any::<u8>()));
    let last = (of(any::<(u16, u16)>()), of(any::<u16>()), of(any::<u8>()), of(bytes(255)));
    (numbers, more, last).prop_map(|(numbers, more, (fragment, path, priority, causality))| {
        let extensions = Extensions {
            ratchet: numbers.0,
            key_epoch: numbers.1,
            swarm_role: numbers.2,
            relay_hop: more.0,
            interest: more.1,
            redundancy_group: more.2,
            compression: more.3,
            fragment: fragment.map(|(index, total)| Fragment { index, total }),
            path,
            priority,
            causality: None,
        };
        (extensions, causality)
    })
}

/// A TLV region as a careless sender might write it, often well-formed.
fn region() -> impl Strategy<Value = Vec<u8>> {
    let tlv = (any::<u8>(), bytes(9))
        .prop_map(|(kind, value)| [&[kind % 14, value.len() as u8][..], &value].concat());
    let tail = prop_oneof![Just(vec![]), Just(vec![0xFF]), bytes(3)];
    (vec(tlv, 0..6), tail).prop_map(|(tlvs, tail)| [tlvs.concat(), tail].concat())
}

/// An operation (its byte), a number and a value: what [`mutation`] makes a mutation of.
fn operand() -> impl Strategy<Value = (u8, u64, Vec<u8>)> {
    (1u8..=6, any::<u64>(), bytes(40))
}

fn mutation((operation, number, value): &(u8, u64, Vec<u8>)) -> Mutation<'_> {
    match operation {
        1 => Mutation::Set(value),
        2 => Mutation::Increment(*number as i64),
        3 => Mutation::Append(value),
        4 => Mutation::Merge(value),
        5 => Mutation::Delete,
        _ => Mutation::Blend { value, weight: f32::from_bits(*number as u32) },
    }
}

fn kind() -> impl Strategy<Value = EventType> {
    prop_oneof![3 => select(EventType::ALL), 1 => any::<u8>().prop_map(EventType)]
}

/// Few nodes and small counts, so that vectors meet.
fn vector() -> impl Strategy<Value = VersionVector> {
    vec((0u64..5, 0u64..4), 0..7)
        .prop_map(|pairs| pairs.into_iter().map(|(node, count)| (NodeId(node), count)).collect())
}

/// Bytes with the shape of a frame, then damaged in a few places.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let body = (header(), region(), bytes(120));
    (body, vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)).prop_map(
        |((header, region, payload), damage)| {
            let mut out = [0; V0_FRAME_MAX];
            let mut frame = FrameWriter::with_tlv_bytes(&mut out, &header, &region)
                .and_then(|frame| frame.payload(&payload))
                .unwrap()
                .finish()
                .to_vec();
            for (at, byte) in damage {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            frame
        },
    )
}

/// Reads everything there is to read in `bytes`, as every kind of thing they might be.
fn read_all(bytes: &[u8]) {
    if let Ok(frame) = Frame::parse(bytes) {
        let _ = frame.events().count();
        let _ = Extensions::from(frame.tlvs);
    }
    if let Ok(tlvs) = Tlvs::parse(bytes) {
        let _ = (tlvs.iter().count(), Extensions::from(tlvs).encoded_len());
    }
    let _ = Events::parse(bytes).count();
    let _ = (Mutation::parse(bytes), Event::parse_prefix(bytes));
    let _ = Versions::parse(bytes).map(VersionVector::from);
}

/// The bytes of `frame`, written from its parts.
fn written(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = [0; V0_FRAME_MAX];
    FrameWriter::with_tlv_bytes(&mut out, frame.header, frame.tlv_bytes)
        .and_then(|writer| writer.payload(frame.payload))
        .unwrap()
        .finish_with_tag(frame.tag)
        .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_frame_is_read_as_it_was_written(
        header in header(),
        (extensions, causality) in extensions(),
        payload in bytes(900),
    ) {
        let extensions = Extensions { causality: causality.as_deref(), ..extensions };
        let mut out = [0; V0_FRAME_MAX];
        let bytes = FrameWriter::with_extensions(&mut out, &header, &extensions)
            .and_then(|frame| frame.payload(&payload))
            .unwrap()
            .finish();
        prop_assert_eq!(bytes.len(), V0_FRAME_MIN + extensions.encoded_len() + payload.len());
        let frame = Frame::parse(bytes).unwrap();
        let mut expected = header;
        expected.header_len.set((HEADER_LEN + extensions.encoded_len()) as u16);
        if !extensions.is_empty() {
            expected.flags |= flags::EXTENSION;
        }
        prop_assert_eq!(frame.header, &expected);
        prop_assert_eq!(Extensions::from(frame.tlvs), extensions);
        prop_assert_eq!((frame.payload, frame.tag), (&payload[..], &[0; TAG_LEN]));
        prop_assert_eq!((frame.header.seq(), frame.header.window()), (header.seq(), header.window()));
        prop_assert!(Class::from_byte(header.class) == frame.header.class());
    }

    #[test]
    fn a_frame_longer_than_1400_bytes_is_never_written(
        header in header(),
        region in bytes(1_000),
        payload in bytes(1_000),
    ) {
        let mut out = [0; 4_096];
        let written = FrameWriter::with_tlv_bytes(&mut out, &header, &region)
            .and_then(|frame| frame.payload(&payload))
            .map(|frame| frame.finish().len());
        let len = V0_FRAME_MIN + region.len() + payload.len();
        prop_assert_eq!(written.ok(), (len <= V0_FRAME_MAX).then_some(len));
    }

    #[test]
    fn whatever_parses_as_a_frame_is_written_again_to_the_same_bytes(frame in damaged()) {
        if let Ok(parsed) = Frame::parse(&frame) {
            prop_assert_eq!(written(&parsed), frame);
        }
    }

    #[test]
    fn extensions_are_read_as_they_were_written((extensions, causality) in extensions()) {
        let extensions = Extensions { causality: causality.as_deref(), ..extensions };
        let mut out = [0; 512];
        let len = extensions.encode(&mut out).unwrap();
        let tlvs = Tlvs::parse(&out[..len]).unwrap();
        prop_assert_eq!(Extensions::from(tlvs), extensions);
        // What was written in canonical form is faithful through the typed form, too.
        let mut again = [0; 512];
        prop_assert_eq!(Extensions::from(tlvs).encode(&mut again), Ok(len));
        prop_assert_eq!(&again[..len], &out[..len]);
    }

    #[test]
    fn every_tlv_is_seen_where_it_stands(region in region()) {
        if let Ok(tlvs) = Tlvs::parse(&region) {
            let walked: Vec<u8> = tlvs
                .iter()
                .flat_map(|tlv| [&[tlv.kind, tlv.value.len() as u8][..], tlv.value].concat())
                .collect();
            prop_assert!(region.starts_with(&walked));
            let rest = &region[walked.len()..];
            prop_assert!(rest.len() < 2 || rest[0] == 0xFF, "stopped early at {:?}", rest);
            // One by one or all at once, the same is read.
            let one_by_one = Extensions {
                ratchet: tlvs.ratchet(),
                key_epoch: tlvs.key_epoch(),
                swarm_role: tlvs.swarm_role(),
                relay_hop: tlvs.relay_hop(),
                interest: tlvs.interest(),
                redundancy_group: tlvs.redundancy_group(),
                compression: tlvs.compression(),
                fragment: tlvs.fragment(),
                path: tlvs.path(),
                priority: tlvs.priority(),
                causality: tlvs.causality(),
            };
            prop_assert_eq!(Extensions::from(tlvs), one_by_one);
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written(
        kind in kind(),
        state in any::<u64>(),
        seen in vector(),
        operand in operand(),
    ) {
        let versions = seen.as_versions();
        let event = Event { kind, state: StateId(state), versions, mutation: mutation(&operand) };
        let mut out = [0; 256];
        let len = event.encode(&mut out).unwrap();
        prop_assert_eq!(len, event.encoded_len());
        let (read, rest) = Event::parse_prefix(&out[..len]).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!((read.kind, read.state, read.versions), (event.kind, event.state, versions));
        prop_assert_eq!(VersionVector::from(read.versions), seen.clone());
        let mut again = [0; 256];
        prop_assert_eq!(read.encode(&mut again), Ok(len));
        prop_assert_eq!(&again[..len], &out[..len]);
    }

    #[test]
    fn a_mutation_is_read_as_it_was_written(operand in operand()) {
        let mutation = mutation(&operand);
        let mut out = [0; 64];
        let len = mutation.encode(&mut out).unwrap();
        let read = Mutation::parse(&out[..len]).unwrap();
        // NaN is unlike itself, so bytes are compared where a weight is.
        prop_assert!(read == mutation || operand.0 == 6);
        let mut again = [0; 64];
        prop_assert_eq!(read.encode(&mut again), Ok(len));
        prop_assert_eq!(&again[..len], &out[..len]);
    }

    #[test]
    fn the_events_of_any_payload_are_written_again_to_the_same_bytes(
        operands in vec((kind(), vector(), operand()), 0..4),
        damage in of((any::<prop::sample::Index>(), any::<u8>())),
        tail in bytes(20),
    ) {
        let mut payload = Vec::new();
        for (kind, seen, operand) in &operands {
            let (versions, mutation) = (seen.as_versions(), mutation(operand));
            let event = Event { kind: *kind, state: StateId(7), versions, mutation };
            let mut out = [0; 256];
            let len = event.encode(&mut out).unwrap();
            payload.extend_from_slice(&out[..len]);
        }
        payload.extend_from_slice(&tail);
        if let (Some((at, byte)), false) = (damage, payload.is_empty()) {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let mut out = [0; 2_048];
        let mut len = 0;
        for event in Events::parse(&payload).map_while(Result::ok) {
            len += event.encode(&mut out[len..]).unwrap();
        }
        prop_assert!(payload.starts_with(&out[..len]));
    }

    #[test]
    fn a_version_vector_is_read_as_it_was_written(seen in vector(), raw in bytes(64)) {
        let bytes = seen.as_versions().as_bytes();
        prop_assert_eq!(VersionVector::from(Versions::parse(bytes).unwrap()), seen.clone());
        if let Ok(view) = Versions::parse(&raw) {
            prop_assert_eq!(view.as_bytes(), &raw[..]);
            let value = VersionVector::from(view);
            for entry in view.entries() {
                prop_assert_eq!(value.count_of(entry.node()), view.count_of(entry.node()));
            }
        }
    }

    #[test]
    fn version_vectors_are_a_lattice(a in vector(), b in vector(), c in vector()) {
        // By definition: a <= b when no node counts more in a.
        let below = |a: &VersionVector, b: &VersionVector| {
            let all = |entry: &VersionEntry| entry.count() <= b.count_of(entry.node());
            a.as_versions().entries().iter().all(all)
        };
        prop_assert_eq!(a == b, below(&a, &b) && below(&b, &a));
        prop_assert_eq!(a.happens_before(&b), below(&a, &b) && !below(&b, &a));
        prop_assert_eq!(a.concurrent(&b), !below(&a, &b) && !below(&b, &a));
        prop_assert_eq!(a.concurrent(&b), b.concurrent(&a));
        // The merge is the least upper bound: commutative, associative, idempotent.
        let join = a.merge(&b);
        prop_assert!(below(&a, &join) && below(&b, &join));
        prop_assert!(below(&join, &c) || !below(&a, &c) || !below(&b, &c));
        prop_assert_eq!(&join, &b.merge(&a));
        prop_assert_eq!(join.merge(&c), a.merge(&b.merge(&c)));
        prop_assert_eq!(a.merge(&a), a);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(raw in bytes(200), frame in damaged()) {
        read_all(&raw);
        read_all(&frame);
    }

    #[test]
    fn no_cut_makes_a_reader_panic(frame in damaged()) {
        for end in 0..frame.len() {
            read_all(&frame[..end]);
        }
    }
}
