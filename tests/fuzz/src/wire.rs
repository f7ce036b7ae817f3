//! The readers and writers of wire v0.
//!
//! Every reader target claims the same three things: no bytes make it panic; what it accepts is
//! written again to the same bytes; reading those tells the same.

use elara_core::limits::{HEADER_LEN, TAG_LEN, V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::wire::header::flags;
use elara_core::wire::tlv::{Fragment, SwarmRole, kind};
use elara_core::wire::{
    Event, EventType, Events, Extensions, Frame, FrameWriter, Header, Malformed, Mutation, NoRoom,
    Tlvs, VersionVector, Versions,
};
use elara_core::{NodeId, StateId};

/// The fixed header: every accessor, and the check at the bytes' own length and just beside it.
pub fn fuzz_header(bytes: &[u8]) {
    let Some(header) = Header::peek(bytes) else {
        assert!(bytes.len() < HEADER_LEN);
        return;
    };
    let mut copy = *header;
    copy.set_seq_window(header.seq(), header.window());
    assert_eq!(&copy, header);
    assert_eq!(header.session_id().to_bytes(), bytes[4..12]);
    assert_eq!(header.node_id().to_bytes(), bytes[12..20]);
    assert_eq!(header.version() << 4 | header.suite(), bytes[0]);
    for len in [bytes.len(), bytes.len() + 1, V0_FRAME_MIN - 1, V0_FRAME_MIN, V0_FRAME_MAX + 1] {
        if header.check_v0(len).is_ok() {
            assert!((V0_FRAME_MIN..=V0_FRAME_MAX).contains(&len));
            assert!(header.class().is_some());
            let header_len = usize::from(header.header_len.get());
            assert!((HEADER_LEN..=len - TAG_LEN).contains(&header_len));
        }
    }
}

/// A whole frame and everything in it.
pub fn fuzz_frame(bytes: &[u8]) {
    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(why) => {
            let checked = Header::peek(bytes).map(|header| header.check_v0(bytes.len()));
            match checked {
                None => assert_eq!(why, Malformed::TooShort),
                Some(Err(reason)) => assert_eq!(why, reason),
                Some(Ok(())) => assert_eq!(why, Malformed::Extension),
            }
            return;
        }
    };
    let parts = HEADER_LEN + frame.tlv_bytes.len() + frame.payload.len() + TAG_LEN;
    assert_eq!(parts, bytes.len());
    fuzz_event(frame.payload);
    let mut out = [0; V0_FRAME_MAX];
    let again = FrameWriter::with_tlv_bytes(&mut out, frame.header, frame.tlv_bytes)
        .and_then(|writer| writer.payload(frame.payload))
        .expect("a frame that was read fits a frame")
        .finish_with_tag(frame.tag);
    assert_eq!(again, bytes);

    // Typed, the TLVs may shrink to what is known, and then stay as they are. They grow only by the
    // end marker a region may lack; of the longest frames that makes one too long.
    let extensions = Extensions::from(frame.tlvs);
    let mut out = [0; V0_FRAME_MAX];
    let again = FrameWriter::with_extensions(&mut out, frame.header, &extensions)
        .and_then(|writer| writer.payload(frame.payload));
    let Ok(again) = again else {
        let unended = extensions.encoded_len() == frame.tlv_bytes.len() + 1;
        return assert!(unended && bytes.len() == V0_FRAME_MAX);
    };
    let again = Frame::parse(again.finish()).expect("what we write, we read");
    assert_eq!((Extensions::from(again.tlvs), again.payload), (extensions, frame.payload));
}

/// A TLV region.
pub fn fuzz_tlv(bytes: &[u8]) {
    let Ok(tlvs) = Tlvs::parse(bytes) else { return };
    let mut walked = Vec::new();
    for tlv in tlvs {
        assert_ne!(tlv.kind, kind::END);
        walked.extend([tlv.kind, tlv.value.len() as u8]);
        walked.extend(tlv.value);
    }
    assert!(bytes.starts_with(&walked));
    let rest = &bytes[walked.len()..];
    assert!(rest.len() < 2 || rest[0] == kind::END);
    let extensions = Extensions::from(tlvs);
    let mut out = vec![0; extensions.encoded_len()];
    assert_eq!(extensions.encode(&mut out), Ok(out.len()));
    assert_eq!(Extensions::from(Tlvs::parse(&out).expect("what we write, we read")), extensions);
    if let Some(short) = out.len().checked_sub(1) {
        assert_eq!(extensions.encode(&mut vec![0; short]), Err(NoRoom));
    }
}

/// A payload of event blocks.
pub fn fuzz_event(bytes: &[u8]) {
    let mut written = Vec::new();
    for event in Events::parse(bytes) {
        let Ok(event) = event else { break };
        let mut out = vec![0; event.encoded_len()];
        assert_eq!(event.encode(&mut out), Ok(out.len()));
        written.extend(out);
        assert!(bytes.starts_with(&written));
    }
    if let Ok((event, rest)) = Event::parse_prefix(bytes) {
        assert_eq!(event.encoded_len() + rest.len(), bytes.len());
    }
}

/// One mutation.
pub fn fuzz_mutation(bytes: &[u8]) {
    let prefix = Mutation::parse_prefix(bytes);
    let whole = Mutation::parse(bytes);
    assert_eq!(whole.is_ok(), prefix.is_ok_and(|(_, rest)| rest.is_empty()));
    let Ok((mutation, rest)) = prefix else { return };
    let mut out = vec![0; mutation.encoded_len()];
    assert_eq!(mutation.encode(&mut out), Ok(out.len()));
    assert_eq!([&out, rest].concat(), bytes);
    out.pop();
    assert_eq!(mutation.encode(&mut out), Err(NoRoom));
}

/// Two version vectors: bytes cut in the middle.
pub fn fuzz_version(bytes: &[u8]) {
    assert_eq!(Versions::parse(bytes).is_ok(), bytes.len().is_multiple_of(16));
    let half = bytes.len() / 32 * 16;
    let (Ok(a), Ok(b)) = (Versions::parse(&bytes[..half]), Versions::parse(&bytes[half..2 * half]))
    else {
        return;
    };
    assert_eq!([a.as_bytes(), b.as_bytes()].concat(), bytes[..2 * half]);
    let (x, y) = (VersionVector::from(a), VersionVector::from(b));
    let again = VersionVector::from(x.as_versions());
    assert_eq!(again.as_versions(), x.as_versions());
    for entry in a.entries() {
        assert_eq!(x.count_of(entry.node()), a.count_of(entry.node()));
    }
    let join = x.merge(&y);
    assert!(x <= join && y <= join && join == y.merge(&x));
    let relations =
        [x == y, x.happens_before(&y), y.happens_before(&x), x.concurrent(&y)].map(u8::from);
    assert_eq!(relations.iter().sum::<u8>(), 1, "exactly one relation holds");
    assert_eq!(x.concurrent(&y), join != x && join != y);
}

/// Writers: the bytes say what to write, and what was written must read as that.
pub fn fuzz_write(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut header = Header::v0(elara_core::SessionId(script.u64()), NodeId(script.u64()));
    header.version_suite = script.u8() % 3;
    header.flags = script.u8();
    header.class = script.u8() % 5;
    header.profile = script.u8();
    header.time_hint.set(script.u64() as i32);
    header.set_seq_window(script.u64() as u16, script.u64() as u16);
    let which = script.u64();
    let there = |bit: u32| which & 1 << bit != 0;
    let extensions = Extensions {
        ratchet: there(0).then(|| script.u64() as u32),
        key_epoch: there(1).then(|| script.u64() as u16),
        swarm_role: SwarmRole::from_byte(script.u8()).filter(|_| there(2)),
        relay_hop: there(3).then(|| script.u8()),
        interest: there(4).then(|| script.u64()),
        redundancy_group: there(5).then(|| script.u64() as u16),
        compression: there(6).then(|| script.u8()),
        fragment: there(7)
            .then(|| Fragment { index: script.u64() as u16, total: script.u64() as u16 }),
        path: there(8).then(|| script.u64() as u16),
        priority: there(9).then(|| script.u8()),
        causality: there(10).then(|| script.slice()),
    };
    let mut out = vec![0; script.u64() as usize % 2_000];
    let room = out.len().min(V0_FRAME_MAX);
    let mut len = V0_FRAME_MIN + extensions.encoded_len();
    let Ok(mut writer) = FrameWriter::with_extensions(&mut out, &header, &extensions) else {
        assert!(len > room || extensions.causality.is_some_and(|bytes| bytes.len() > 255));
        return;
    };
    let mut vectors = Vec::new();
    for _ in 0..script.u8() % 4 {
        let entries = (0..script.u8() % 4).map(|_| (NodeId(script.u64()), script.u64()));
        vectors.push(entries.collect::<VersionVector>());
    }
    let events: Vec<_> = vectors.iter().map(|seen| script.event(seen)).collect();
    for event in &events {
        len += event.encoded_len();
        match writer.event(event) {
            Ok(more) => writer = more,
            Err(NoRoom) => return assert!(len > room),
        }
    }
    let written = writer.finish();
    assert_eq!(written.len(), len);
    let frame = Frame::parse(written).expect("what we write, we read");
    header.header_len = frame.header.header_len;
    header.flags |= frame.header.flags & flags::EXTENSION;
    assert_eq!(frame.header, &header);
    assert_eq!(Extensions::from(frame.tlvs), extensions);
    let read: Vec<_> = frame.events().map(|event| event.expect("what we write, we read")).collect();
    assert_eq!(read.len(), events.len());
    for (read, event) in read.iter().zip(&events) {
        let bytes = |event: &Event<'_>| {
            let mut block = vec![0; event.encoded_len()];
            event.encode(&mut block).map(|_| block)
        };
        assert_eq!(bytes(read), bytes(event));
    }
}

/// Bytes as a source of choices; zeros once they are used up.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.u8()))
    }

    fn slice(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8()) << 2 | usize::from(self.u8() & 3);
        let (slice, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        slice
    }

    fn event<'e>(&mut self, seen: &'e VersionVector) -> Event<'e>
    where
        'a: 'e,
    {
        Event {
            kind: EventType(self.u8()),
            state: StateId(self.u64()),
            versions: seen.as_versions(),
            mutation: match self.u8() % 6 {
                0 => Mutation::Set(self.slice()),
                1 => Mutation::Increment(self.u64() as i64),
                2 => Mutation::Append(self.slice()),
                3 => Mutation::Merge(self.slice()),
                4 => Mutation::Delete,
                _ => Mutation::Blend {
                    weight: f32::from_bits(self.u64() as u32),
                    value: self.slice(),
                },
            },
        }
    }
}
