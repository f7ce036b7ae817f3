//! The fixed header as v1 reads it: kinds of frame, parity, a 32-bit sequence.
//!
//! The bytes are [`Header`]'s, shared with v0; [`Header::check_v1`] says whether they begin a v1
//! frame. v0 readers refuse the two classes that v1 adds.

use zerocopy::little_endian::{I32, U16, U32, U64};

use crate::ids::{NodeId, SessionId};
use crate::limits::{HEADER_LEN, KEY_NAME_LEN, TAG_LEN, V1_FRAME_MAX, V1_HEADER_LEN_MAX};
use crate::wire::header::{Class, Header, flags, profile};

/// Class byte of a handshake frame; its profile byte says which message.
pub const CLASS_HANDSHAKE: u8 = 0xF0;
/// Class byte of a control frame.
pub const CLASS_CONTROL: u8 = 0xF1;

/// What a v1 frame is, by its class byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Someone's content, sealed end to end.
    Data(Class),
    /// A step of the handshake.
    Handshake,
    /// Control messages, sealed between a client and its relay.
    Control,
}

impl Kind {
    /// The kind a class byte names, if it names one.
    #[inline]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            CLASS_HANDSHAKE => Some(Self::Handshake),
            CLASS_CONTROL => Some(Self::Control),
            _ => match Class::from_byte(byte) {
                Some(class) => Some(Self::Data(class)),
                None => None,
            },
        }
    }

    /// The class byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Data(class) => class as u8,
            Self::Handshake => CLASS_HANDSHAKE,
            Self::Control => CLASS_CONTROL,
        }
    }
}

/// Why bytes are not a v1 frame. All of these are the sender's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Shorter than its own fixed parts.
    TooShort,
    /// Longer than [`V1_FRAME_MAX`].
    TooLong,
    /// The version nibble is not 1.
    Version,
    /// The suite nibble names no suite. A bundle, read as a frame, ends here.
    Suite,
    /// A flag is set that v1 forbids.
    Flags,
    /// The class byte names no class, or not the one this reader is for.
    Class,
    /// `header_len` is outside 30..=94, or not 30 in a handshake or control frame.
    HeaderLength,
    /// The TLVs are not STREAM, STATE, both in this order, or none; or one has a wrong length.
    Extension,
    /// STREAM: a bit without a meaning is set.
    StreamBits,
    /// STATE: the rule is neither register nor log.
    Rule,
    /// STATE: a time to live above [`TTL_MAX`](crate::limits::TTL_MAX).
    Lifetime,
    /// STATE: a register with an item other than 0.
    Item,
    /// STATE: no parts, more than [`PARTS_MAX`](crate::limits::PARTS_MAX), a part that is not one of
    /// them, or several of them outside class Core.
    Parts,
}

/// The header of a v1 frame.
impl Header {
    /// A v1 header without TLVs: profile textual, no flags, sequence 0.
    #[must_use]
    pub const fn v1(suite: u8, session: SessionId, node: NodeId, kind: Kind) -> Self {
        Self {
            version_suite: 0x10 | suite & 0x0F,
            flags: 0,
            header_len: U16::new(HEADER_LEN as u16),
            session: U64::new(session.0),
            node: U64::new(node.0),
            class: kind.byte(),
            profile: profile::TEXTUAL,
            time_hint: I32::ZERO,
            seq_window: U32::ZERO,
        }
    }

    /// v1 sequence number: counts per connection, direction and class, from 0, and never wraps.
    #[inline]
    #[must_use]
    pub fn seq_v1(&self) -> u32 {
        self.seq_window.get()
    }

    /// Sets the v1 sequence number.
    pub fn set_seq_v1(&mut self, seq: u32) {
        self.seq_window = U32::new(seq);
    }

    /// v1: whether the connection's number is odd.
    #[inline]
    #[must_use]
    pub const fn parity(&self) -> bool {
        self.flags & flags::PARITY != 0
    }

    /// Sets [`flags::PARITY`] to the lowest bit of `conn`.
    pub const fn set_parity_of(&mut self, conn: u8) {
        self.flags = self.flags & !flags::PARITY | (conn & 1) << 7;
    }

    /// Whether a frame of `frame_len` bytes with this header is one wire v1 allows, and its kind.
    /// TLVs and everything behind them are not looked at.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first.
    #[inline]
    pub fn check_v1(&self, frame_len: usize) -> Result<Kind, Fault> {
        if frame_len < HEADER_LEN + TAG_LEN {
            return Err(Fault::TooShort);
        }
        if frame_len > V1_FRAME_MAX {
            return Err(Fault::TooLong);
        }
        if self.version() != 1 {
            return Err(Fault::Version);
        }
        if self.suite() > 2 {
            return Err(Fault::Suite);
        }
        // A relay forwards v1 frames as they came: none can carry a relay's mark.
        if self.flags & flags::RELAY != 0 {
            return Err(Fault::Flags);
        }
        let kind = Kind::from_byte(self.class).ok_or(Fault::Class)?;
        let header_len = usize::from(self.header_len.get());
        match kind {
            Kind::Data(_) => {
                if !(HEADER_LEN..=V1_HEADER_LEN_MAX).contains(&header_len) {
                    return Err(Fault::HeaderLength);
                }
                if header_len + KEY_NAME_LEN + TAG_LEN + TAG_LEN > frame_len {
                    return Err(Fault::TooShort);
                }
            }
            Kind::Handshake | Kind::Control => {
                if header_len != HEADER_LEN {
                    return Err(Fault::HeaderLength);
                }
            }
        }
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::V1_OVERHEAD;
    use crate::wire::Malformed;

    fn header(kind: Kind) -> Header {
        Header::v1(1, SessionId(7), NodeId(9), kind)
    }

    const CORE: Kind = Kind::Data(Class::Core);

    #[test]
    fn a_class_byte_names_one_kind_and_back() {
        let named = (0..=255).filter_map(|byte| Some((byte, Kind::from_byte(byte)?)));
        assert_eq!(named.clone().count(), 7);
        assert!(named.into_iter().all(|(byte, kind)| kind.byte() == byte));
    }

    #[test]
    fn v0_refuses_what_v1_adds() {
        for kind in [Kind::Handshake, Kind::Control] {
            let mut v0 = header(kind);
            v0.version_suite = 0;
            assert_eq!(v0.check_v0(100), Err(Malformed::Class));
        }
        assert_eq!(header(CORE).check_v0(100), Err(Malformed::Version));
    }

    #[test]
    fn the_shortest_and_the_longest_pass_and_one_byte_beyond_does_not() {
        for (kind, least) in [(CORE, V1_OVERHEAD), (Kind::Handshake, 46), (Kind::Control, 46)] {
            let header = header(kind);
            assert_eq!(header.check_v1(least), Ok(kind));
            assert_eq!(header.check_v1(least - 1), Err(Fault::TooShort));
            assert_eq!(header.check_v1(V1_FRAME_MAX), Ok(kind));
            assert_eq!(header.check_v1(V1_FRAME_MAX + 1), Err(Fault::TooLong));
        }
    }

    #[test]
    fn a_header_ends_between_30_and_94_and_at_30_without_content() {
        for header_len in 0..200 {
            let check = |kind| {
                let mut header = header(kind);
                header.header_len = U16::new(header_len);
                header.check_v1(400)
            };
            assert_eq!(check(CORE).is_ok(), (30..=94).contains(&header_len), "{header_len}");
            for kind in [Kind::Handshake, Kind::Control] {
                assert_eq!(check(kind).is_ok(), header_len == 30, "{header_len}");
            }
        }
        let mut long = header(CORE);
        long.header_len = U16::new(94);
        assert_eq!(long.check_v1(94 + 36), Ok(CORE));
        assert_eq!(long.check_v1(94 + 35), Err(Fault::TooShort));
    }

    #[test]
    fn each_broken_field_is_named() {
        let broken = |change: fn(&mut Header)| {
            let mut header = header(CORE);
            change(&mut header);
            header.check_v1(100).err()
        };
        assert_eq!(broken(|it| it.version_suite = 0x00), Some(Fault::Version));
        assert_eq!(broken(|it| it.version_suite = 0x20), Some(Fault::Version));
        assert_eq!(broken(|it| it.version_suite = 0x13), Some(Fault::Suite));
        assert_eq!(broken(|it| it.flags = flags::RELAY), Some(Fault::Flags));
        assert_eq!(broken(|it| it.class = 5), Some(Fault::Class));
        assert_eq!(broken(|it| it.class = 0xF2), Some(Fault::Class));
        assert_eq!(broken(|it| it.flags = !flags::RELAY), None);
        assert_eq!(broken(|it| it.profile = 0x77), None, "any profile is legal");
    }

    #[test]
    fn parity_and_sequence_stand_where_the_receiver_looks() {
        let mut header = header(CORE);
        header.flags = flags::PRIORITY;
        header.set_parity_of(7);
        header.set_seq_v1(0x0403_0201);
        let bytes = zerocopy::IntoBytes::as_bytes(&header);
        assert_eq!((bytes[0], bytes[1], &bytes[26..]), (0x11, 0x90, &[1, 2, 3, 4][..]));
        assert!(header.parity() && header.seq_v1() == 0x0403_0201);
        header.set_parity_of(8);
        assert!(!header.parity() && header.flags == flags::PRIORITY);
    }
}
