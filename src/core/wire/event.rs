//! Event blocks: what a plain payload consists of, and what a sealed one opens to.
//!
//! ```text
//!  | type u8 | state_id u64 | vv_len u16 (bytes) | n x (node u64, count u64) | delta_len u16 | delta |
//! ```
//! [`Events`] reads a payload block by block and stops where 0.2.0 stops: fewer than thirteen bytes
//! left are nobody's, and after the first malformed block there is no next one. One departure: a
//! block of a type nobody knows is yielded with its byte, where 0.2.0 drops it and all behind it.

use core::fmt;

use super::mutation::Mutation;
use super::version::Versions;
use super::writer::{NoRoom, Writer};
use crate::ids::StateId;
use crate::wire::header::Malformed;

/// Bytes of the shortest block: every field, nothing in it. Less than that is no block.
const BLOCK_MIN: usize = 13;

/// What kind of event; any byte can arrive, and is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(pub u8);

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $byte:literal,)*) => {
        impl EventType {
            $($(#[$doc])* pub const $name: Self = Self($byte);)*

            /// All types that have a name, ascending.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name, if the byte has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($byte => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

event_types! {
    /// A state atom begins.
    STATE_CREATE = 0x01,
    /// A state atom changes.
    STATE_UPDATE = 0x02,
    /// A state atom ends.
    STATE_DELETE = 0x03,
    /// Someone may from here on.
    AUTHORITY_GRANT = 0x10,
    /// Someone may no more.
    AUTHORITY_REVOKE = 0x11,
    /// A participant enters.
    SESSION_JOIN = 0x20,
    /// A participant leaves.
    SESSION_LEAVE = 0x21,
    /// A participant asks for, or gives, the session as it stands.
    SESSION_SYNC = 0x22,
    /// A clock is told.
    TIME_SYNC = 0x30,
    /// A clock is corrected.
    TIME_CORRECTION = 0x31,
    /// A state atom is asked for.
    STATE_REQUEST = 0x40,
    /// A state atom is given.
    STATE_RESPONSE = 0x41,
    /// A gap is filled.
    GAP_FILL = 0x42,
    /// Text is written.
    TEXT_APPEND = 0x80,
    /// Text is changed.
    TEXT_EDIT = 0x81,
    /// Text is taken back.
    TEXT_DELETE = 0x82,
    /// Text is answered with a sign.
    TEXT_REACT = 0x83,
    /// A piece of voice.
    VOICE_FRAME = 0x90,
    /// Voice is muted or not.
    VOICE_MUTE = 0x91,
    /// Someone is here, away, busy.
    PRESENCE_UPDATE = 0xA0,
    /// Someone begins to type.
    TYPING_START = 0xA1,
    /// Someone stops typing.
    TYPING_STOP = 0xA2,
    /// A whole picture.
    VISUAL_KEYFRAME = 0xB0,
    /// A change to a picture.
    VISUAL_DELTA = 0xB1,
    /// A stream begins.
    STREAM_START = 0xC0,
    /// A stream ends.
    STREAM_END = 0xC1,
    /// A feed grows.
    FEED_APPEND = 0xD0,
    /// A feed's entry is taken back.
    FEED_DELETE = 0xD1,
}

impl EventType {
    /// Whether this is the protocol's own business rather than a profile's.
    #[must_use]
    pub const fn is_core_protocol(self) -> bool {
        self.0 < 0x80
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "EventType({:#04x})", self.0),
        }
    }
}

/// One event: what changes, how, and what its author had seen. Who and when stand in the header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// The type.
    pub kind: EventType,
    /// The state atom it changes.
    pub state: StateId,
    /// What the author had seen.
    pub versions: Versions<'a>,
    /// What it does to the atom.
    pub mutation: Mutation<'a>,
}

impl<'a> Event<'a> {
    /// The block at the front of `bytes`, and what follows it.
    ///
    /// # Errors
    /// [`Malformed::Event`] for a field past the end, [`Malformed::VersionVector`],
    /// [`Malformed::Mutation`].
    pub fn parse_prefix(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (&kind, rest) = bytes.split_first().ok_or(Malformed::Event)?;
        let (&state, rest) = rest.split_first_chunk().ok_or(Malformed::Event)?;
        let (versions, rest) = field(rest)?;
        let (delta, rest) = field(rest)?;
        let event = Self {
            kind: EventType(kind),
            state: StateId::from_bytes(state),
            versions: Versions::parse(versions)?,
            mutation: Mutation::parse(delta)?,
        };
        Ok((event, rest))
    }

    /// Bytes that [`Self::encode`] writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        BLOCK_MIN + self.versions.as_bytes().len() + self.mutation.encoded_len()
    }

    /// Writes the block and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is too short, or vector or delta exceed 65,535 bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        self.write(&mut writer)?;
        Ok(writer.len())
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        let delta_len = u16::try_from(self.mutation.encoded_len()).map_err(|_| NoRoom)?;
        writer.put(&[self.kind.0])?;
        writer.put(&self.state.to_bytes())?;
        writer.put_with_len16(self.versions.as_bytes())?;
        writer.put(&delta_len.to_le_bytes())?;
        self.mutation.write(writer)
    }
}

/// A u16 length, that many bytes, and what follows them.
fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (len, rest) = bytes.split_first_chunk().ok_or(Malformed::Event)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len))).ok_or(Malformed::Event)
}

/// The event blocks of a payload, in order; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Events<'a> {
    /// The blocks of `payload`.
    #[must_use]
    pub const fn parse(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < BLOCK_MIN {
            return None;
        }
        let parsed = Event::parse_prefix(self.rest);
        self.rest = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(event, _)| event))
    }
}

impl core::iter::FusedIterator for Events<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::wire::version::VersionVector;
    use alloc::format;
    use alloc::vec::Vec;

    const BLOCK: [u8; 34] = [
        0x80, 8, 7, 6, 5, 4, 3, 2, 1, 16, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0,
        3, 2, 0, b'h', b'i',
    ];

    #[test]
    fn a_block_reads_and_writes_the_bytes_in_the_drawing() {
        let seen: VersionVector = [(NodeId(9), 3)].into_iter().collect();
        let event = Event {
            kind: EventType::TEXT_APPEND,
            state: StateId(0x0102_0304_0506_0708),
            versions: seen.as_versions(),
            mutation: Mutation::Append(b"hi"),
        };
        let mut out = [0; BLOCK.len()];
        assert_eq!(event.encode(&mut out), Ok(BLOCK.len()));
        assert_eq!((out, event.encoded_len()), (BLOCK, BLOCK.len()));
        assert_eq!(Event::parse_prefix(&BLOCK), Ok((event, &[][..])));
    }

    #[test]
    fn a_block_cut_short_is_malformed_and_a_scrap_is_nobodys() {
        for short in 0..BLOCK.len() {
            let found: Vec<_> = Events::parse(&BLOCK[..short]).collect();
            if short < BLOCK_MIN {
                assert_eq!(found, []);
            } else {
                assert_eq!(found, [Err(Malformed::Event)], "{short}");
            }
        }
    }

    #[test]
    fn nothing_follows_a_malformed_block() {
        let mut payload = [BLOCK, BLOCK, BLOCK].concat();
        assert_eq!(Events::parse(&payload).filter(Result::is_ok).count(), 3);
        payload[BLOCK.len() + 29] = 7;
        let found: Vec<_> = Events::parse(&payload).map(|event| event.err()).collect();
        assert_eq!(found, [None, Some(Malformed::Mutation)]);
    }

    #[test]
    fn a_vector_length_in_bytes_must_be_a_multiple_of_sixteen() {
        let mut block = BLOCK;
        block[9] = 15;
        // Fifteen bytes of vector leave 3 as the low byte of the delta's length, 5 as the high one.
        block[27..29].copy_from_slice(&[0, 0]);
        block[26] = 5;
        assert_eq!(Event::parse_prefix(&block), Err(Malformed::VersionVector));
    }

    #[test]
    fn an_unknown_type_keeps_its_byte_and_known_ones_have_names() {
        let mut payload = [BLOCK, BLOCK].concat();
        payload[0] = 0x7E;
        let found: Vec<_> = Events::parse(&payload).map(|event| event.unwrap().kind).collect();
        assert_eq!(found, [EventType(0x7E), EventType::TEXT_APPEND]);
        assert_eq!(format!("{found:?}"), "[EventType(0x7e), TEXT_APPEND]");
        assert_eq!(EventType::ALL.len(), 28);
        assert!(EventType::ALL.is_sorted() && EventType::GAP_FILL.is_core_protocol());
    }
}
