//! What an honest sender might write on wire v1, and what the way might do to it.

use elara_core::limits::{PARTS_MAX, TAG_LEN, TTL_MAX, V1_FRAME_MAX, V1_OVERHEAD};
use elara_core::wire::header::flags;
use elara_core::wire::v1::control::kind;
use elara_core::wire::v1::{FrameMut, KeyName, Kind, State, Stream, Tlvs};
use elara_core::wire::{Class, Event, EventType, Header, Mutation, VersionVector};
use elara_core::{NodeId, SessionId, StateId};
use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::Index;

pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    (0u8..3, any::<u8>(), any::<u64>(), any::<u64>(), 0u8..5, any::<u8>(), any::<(i32, u32)>())
        .prop_map(|(suite, flags, session, node, class, profile, (time, seq))| {
            let kind = Kind::from_byte(class).unwrap();
            let mut header = Header::v1(suite, SessionId(session), NodeId(node), kind);
            (header.flags, header.profile) = (flags & !flags::RELAY, profile);
            header.time_hint.set(time);
            header.set_seq_v1(seq);
            header
        })
}

pub(crate) fn control_header() -> impl Strategy<Value = Header> {
    header().prop_map(|header| Header { class: Kind::Control.byte(), ..header })
}

pub(crate) fn stream() -> impl Strategy<Value = Stream> {
    any::<(u16, u8, u8, u32, u32)>().prop_map(|(stream, bits, layer, frame, index)| Stream {
        stream: stream.into(),
        bits: bits & 0x0F,
        layer,
        frame: frame.into(),
        index: index.into(),
    })
}

pub(crate) fn state() -> impl Strategy<Value = State> {
    (
        any::<(u64, u64, u32, bool)>(),
        uniform16(any::<u8>()),
        0..=TTL_MAX,
        1..=PARTS_MAX,
        any::<u8>(),
    )
        .prop_map(|((state, clock, item, log), inst, ttl, parts, part)| {
            let whole = if log {
                State::log(StateId(state), item, clock, inst)
            } else {
                State::register(StateId(state), clock, inst)
            };
            State { ttl, parts, part: part % parts, ..whole }
        })
}

pub(crate) fn tlvs() -> impl Strategy<Value = (Option<Stream>, Option<State>)> {
    (of(stream()), of(state()))
}

pub(crate) fn key() -> impl Strategy<Value = KeyName> {
    any::<(u16, u8, u8)>().prop_map(|(epoch, conn, generation)| KeyName {
        epoch: epoch.into(),
        conn,
        generation,
    })
}

/// A data frame as an honest sender might write it, sealed by nobody.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) header: Header,
    pub(crate) stream: Option<Stream>,
    pub(crate) state: Option<State>,
    pub(crate) key: KeyName,
    pub(crate) text: Vec<u8>,
    pub(crate) tags: [u8; 2 * TAG_LEN],
}

impl Written {
    pub(crate) fn tlvs(&self) -> Tlvs<'_> {
        Tlvs { stream: self.stream.as_ref(), state: self.state.as_ref() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let tlvs = self.tlvs();
        let len = V1_OVERHEAD + tlvs.encoded_len() + self.text.len();
        write(&self.header, &tlvs, self.key, len, &self.text, &self.tags)
    }
}

pub(crate) fn write(
    header: &Header,
    tlvs: &Tlvs<'_>,
    key: KeyName,
    len: usize,
    text: &[u8],
    tags: &[u8],
) -> Vec<u8> {
    let mut out = [0xEE; V1_FRAME_MAX];
    let mut frame = FrameMut::begin(&mut out, header, tlvs, key, len).unwrap();
    let seal = frame.end_to_end();
    seal.text.copy_from_slice(text);
    seal.tag.copy_from_slice(&tags[..TAG_LEN]);
    frame.hop().tag.copy_from_slice(&tags[TAG_LEN..]);
    frame.finish().to_vec()
}

pub(crate) fn frame(text_max: usize) -> impl Strategy<Value = Written> {
    let tags = (uniform16(any::<u8>()), uniform16(any::<u8>()));
    (header(), tlvs(), key(), bytes(text_max), tags).prop_map(
        |(mut header, (stream, state), key, text, tags)| {
            if state.is_some_and(|state| state.parts > 1) {
                header.class = Class::Core as u8;
            }
            let tags = [tags.0, tags.1].concat().try_into().unwrap();
            Written { header, stream, state, key, text, tags }
        },
    )
}

pub(crate) fn damaged(mut bytes: Vec<u8>, damage: &[(Index, u8)]) -> Vec<u8> {
    for (at, byte) in damage {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    bytes
}

pub(crate) fn damage() -> impl Strategy<Value = Vec<(Index, u8)>> {
    let byte = prop_oneof![any::<u8>(), Just(0), Just(0x13), Just(0xF1), Just(46)];
    vec((any::<Index>(), byte), 0..3)
}

/// Type and value of a sound message.
pub(crate) fn message() -> impl Strategy<Value = (u8, Vec<u8>)> {
    (0x01u8..=0x14, 0usize..4, vec(any::<u8>(), 300)).prop_map(|(kind, entries, mut value)| {
        let len = match kind {
            kind::PING => 16,
            kind::PONG => 32,
            kind::PATH_CHALLENGE | kind::PATH_RESPONSE => 8,
            kind::SUBSCRIBE => 5 + 14 * entries,
            kind::ROSTER => 10 + 62 * entries,
            kind::LEAVE => 1,
            kind::ALERT => 6,
            kind::KICK | kind::GET => 9,
            kind::MOVE => 50,
            kind::STREAMS_MINE => 4 + 5 * entries,
            kind::ACK => 5,
            kind::STREAMS => 6 + 13 * entries,
            kind::MARK => 36,
            kind::REPORT => 20,
            kind::NACK => 25,
            kind::KEYFRAME_REQUEST => 10,
            _ => entries * 9,
        };
        match kind {
            kind::SUBSCRIBE => value[4] %= 6,
            kind::ROSTER | kind::STREAMS if value[5] == 0 => value[4] = 0,
            kind::ROSTER | kind::STREAMS => value[4] %= value[5],
            kind::NACK => value[9] %= 2,
            _ => {}
        }
        value.truncate(len);
        (kind, value)
    })
}

/// The text these messages are, each as its type, length and value.
pub(crate) fn text(messages: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let one = |(kind, value): &(u8, Vec<u8>)| {
        [&[*kind][..], &(value.len() as u16).to_le_bytes(), value].concat()
    };
    messages.iter().flat_map(one).collect()
}

pub(crate) fn event<'a>(
    kind: u8,
    state: u64,
    seen: &'a VersionVector,
    value: &'a [u8],
) -> Event<'a> {
    Event {
        kind: EventType(kind),
        state: StateId(state),
        versions: seen.as_versions(),
        mutation: Mutation::Set(value),
    }
}

pub(crate) fn seen() -> impl Strategy<Value = VersionVector> {
    vec(any::<(u64, u64)>(), 0..=8)
        .prop_map(|pairs| pairs.into_iter().map(|(node, count)| (NodeId(node), count)).collect())
}
