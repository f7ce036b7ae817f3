//! The fixed header, wire v0: thirty bytes seen in place.
//!
//! [`Header`] is a view: `ref_from_prefix` on a datagram costs a length check and no copy. Reading
//! a field never fails; [`Header::check_v0`] says whether the frame as a whole is one that wire v0 allows.

use zerocopy::little_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::{NodeId, SessionId};
use crate::limits::{HEADER_LEN, TAG_LEN, V0_FRAME_MAX, V0_FRAME_MIN};

/// The thirty bytes every frame begins with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Header {
    /// Version in the upper nibble, cipher suite in the lower.
    pub version_suite: u8,
    /// See [`flags`].
    pub flags: u8,
    /// Bytes of header and TLVs together: where the payload begins.
    pub header_len: U16,
    /// The session.
    pub session: U64,
    /// The sender's node.
    pub node: U64,
    /// See [`Class`]; a byte, because what strangers send need not be one of them.
    pub class: u8,
    /// See [`profile`]; any byte is legal.
    pub profile: u8,
    /// The sender's time, in units of 100 us, relative to its state clock.
    pub time_hint: I32,
    /// v0: sequence number in the upper 16 bits, replay-window hint in the lower 16.
    /// v1: the sequence number, one counter per connection, direction and class.
    pub seq_window: U32,
}

const _: () = assert!(size_of::<Header>() == HEADER_LEN);

/// Bits of [`Header::flags`].
pub mod flags {
    /// Sent over several paths.
    pub const MULTIPATH: u8 = 0x01;
    /// Passed on by a relay.
    pub const RELAY: u8 = 0x02;
    /// A piece of a larger frame.
    pub const FRAGMENT: u8 = 0x04;
    /// Repairs an earlier loss.
    pub const REPAIR: u8 = 0x08;
    /// Wants to be ahead of others.
    pub const PRIORITY: u8 = 0x10;
    /// TLV extensions follow the fixed header.
    pub const EXTENSION: u8 = 0x20;
    /// The payload is compressed.
    pub const COMPRESSED: u8 = 0x40;
    /// Reserved in v0.
    pub const RESERVED: u8 = 0x80;
    /// v1: the lowest bit of the connection's number, by which the receiver picks the hop key.
    pub const PARITY: u8 = RESERVED;
}

/// Values of [`Header::profile`] that have a name.
pub mod profile {
    /// Text.
    pub const TEXTUAL: u8 = 0x00;
    /// Who is here and how, v1.
    pub const PRESENCE: u8 = 0x01;
    /// Entries that are added and stay, v1.
    pub const FEED: u8 = 0x02;
    /// Voice, the least that is understood.
    pub const VOICE_MINIMAL: u8 = 0x10;
    /// Voice, the usual.
    pub const VOICE_STANDARD: u8 = 0x11;
    /// Voice, the best.
    pub const VOICE_HIGH: u8 = 0x12;
    /// Video, the smallest picture.
    pub const VIDEO_LOW: u8 = 0x20;
    /// Video, the usual.
    pub const VIDEO_STANDARD: u8 = 0x21;
    /// Video, the best.
    pub const VIDEO_HIGH: u8 = 0x22;
    /// A livestream: one source, many receivers.
    pub const STREAM_ASYMMETRIC: u8 = 0x30;
    /// An agent's presence.
    pub const AGENT: u8 = 0x40;
    /// Anything else.
    pub const CUSTOM: u8 = 0xFF;
}

/// What a frame is worth when not everything fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Identity, membership, text: never dropped by choice.
    Core = 0,
    /// Voice and live state: late is worse than lost.
    Perceptual = 1,
    /// Better quality, when there is room.
    Enhancement = 2,
    /// Decoration.
    Cosmetic = 3,
    /// What mends earlier losses.
    Repair = 4,
}

impl Class {
    /// All classes, in wire order.
    pub const ALL: [Self; 5] =
        [Self::Core, Self::Perceptual, Self::Enhancement, Self::Cosmetic, Self::Repair];

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The class a byte names, if it names one.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Core),
            1 => Some(Self::Perceptual),
            2 => Some(Self::Enhancement),
            3 => Some(Self::Cosmetic),
            4 => Some(Self::Repair),
            _ => None,
        }
    }
}

/// Why bytes are not a v0 frame, or a frame's payload not a run of event blocks.
/// All of these are the sender's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Shorter than a header and a tag.
    TooShort,
    /// Longer than [`V0_FRAME_MAX`].
    TooLong,
    /// The version nibble is not 0.
    Version,
    /// The suite nibble names no suite.
    Suite,
    /// `header_len` points inside the fixed header or past the payload's end.
    HeaderLength,
    /// The class byte names no class.
    Class,
    /// A TLV's length reaches past the header's end.
    Extension,
    /// A field of an event block reaches past the payload's end.
    Event,
    /// A version vector's length is not a multiple of sixteen bytes.
    VersionVector,
    /// A delta is not exactly one mutation: an unknown operation, cut short, or bytes left over.
    Mutation,
}

impl Header {
    /// A plain v0 header: class Core, profile textual, no flags, no TLVs.
    #[must_use]
    pub fn v0(session: SessionId, node: NodeId) -> Self {
        Self {
            version_suite: 0,
            flags: 0,
            header_len: U16::new(HEADER_LEN as u16),
            session: U64::new(session.0),
            node: U64::new(node.0),
            class: Class::Core as u8,
            profile: profile::TEXTUAL,
            time_hint: I32::ZERO,
            seq_window: U32::ZERO,
        }
    }

    /// The header at the beginning of `datagram`, in place; `None` below thirty bytes.
    #[inline]
    #[must_use]
    pub fn peek(datagram: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(datagram).ok().map(|(header, _)| header)
    }

    /// Protocol version: the upper nibble of byte 0.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version_suite >> 4
    }

    /// Cipher suite: the lower nibble of byte 0 (0 ChaCha20-Poly1305, 1 AES-256-GCM, 2 reserved).
    #[inline]
    #[must_use]
    pub const fn suite(&self) -> u8 {
        self.version_suite & 0x0F
    }

    /// The session this frame belongs to.
    #[inline]
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        SessionId(self.session.get())
    }

    /// The node that says it sent this frame.
    #[inline]
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(self.node.get())
    }

    /// The class, if the byte names one.
    #[inline]
    #[must_use]
    pub const fn class(&self) -> Option<Class> {
        Class::from_byte(self.class)
    }

    /// v0 sequence number: the upper half of `seq_window`.
    #[must_use]
    pub fn seq(&self) -> u16 {
        (self.seq_window.get() >> 16) as u16
    }

    /// v0 window hint: the lower half of `seq_window`.
    #[must_use]
    pub fn window(&self) -> u16 {
        self.seq_window.get() as u16
    }

    /// Sets both halves of `seq_window`.
    pub fn set_seq_window(&mut self, seq: u16, window: u16) {
        self.seq_window = U32::new(u32::from(seq) << 16 | u32::from(window));
    }

    /// Whether a frame of `frame_len` bytes with this header is one wire v0 allows.
    /// TLVs are not walked: a relay passes them on unread.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first.
    #[inline]
    pub fn check_v0(&self, frame_len: usize) -> Result<(), Malformed> {
        if frame_len < V0_FRAME_MIN {
            return Err(Malformed::TooShort);
        }
        if frame_len > V0_FRAME_MAX {
            return Err(Malformed::TooLong);
        }
        if self.version() != 0 {
            return Err(Malformed::Version);
        }
        if self.suite() > 2 {
            return Err(Malformed::Suite);
        }
        let header_len = usize::from(self.header_len.get());
        if header_len < HEADER_LEN || header_len > frame_len - TAG_LEN {
            return Err(Malformed::HeaderLength);
        }
        if self.class > Class::Repair as u8 {
            return Err(Malformed::Class);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> [u8; V0_FRAME_MIN] {
        let mut bytes = [0; V0_FRAME_MIN];
        let header = Header::v0(SessionId(0x1122_3344_5566_7788), NodeId(9));
        bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
        bytes
    }

    #[test]
    fn every_field_stands_where_the_drawing_says() {
        let mut header =
            Header::v0(SessionId(0x0807_0605_0403_0201), NodeId(0x1817_1615_1413_1211));
        header.version_suite = 0x01;
        header.flags = flags::EXTENSION;
        header.class = Class::Repair as u8;
        header.profile = profile::VIDEO_HIGH;
        header.time_hint = I32::new(-2);
        header.set_seq_window(0xABCD, 0x0100);
        let expected = [
            0x01, 0x20, 30, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
            0x18, 4, 0x22, 0xFE, 0xFF, 0xFF, 0xFF, 0x00, 0x01, 0xCD, 0xAB,
        ];
        assert_eq!(header.as_bytes(), expected);
        assert_eq!((header.seq(), header.window()), (0xABCD, 0x0100));
    }

    #[test]
    fn a_minimal_frame_passes_and_one_byte_less_does_not() {
        let bytes = frame();
        let header = Header::peek(&bytes).unwrap();
        assert_eq!(header.check_v0(bytes.len()), Ok(()));
        assert_eq!(header.check_v0(bytes.len() - 1), Err(Malformed::TooShort));
        assert_eq!(header.check_v0(V0_FRAME_MAX), Ok(()));
        assert_eq!(header.check_v0(V0_FRAME_MAX + 1), Err(Malformed::TooLong));
        assert_eq!(Header::peek(&bytes[..HEADER_LEN - 1]), None);
    }

    #[test]
    fn each_broken_field_is_named() {
        let broken = |index: usize, value: u8| {
            let mut bytes = frame();
            bytes[index] = value;
            Header::peek(&bytes).unwrap().check_v0(bytes.len())
        };
        assert_eq!(broken(0, 0x10), Err(Malformed::Version));
        assert_eq!(broken(0, 0x03), Err(Malformed::Suite));
        assert_eq!(broken(2, 29), Err(Malformed::HeaderLength));
        assert_eq!(broken(2, 31), Err(Malformed::HeaderLength));
        assert_eq!(broken(20, 5), Err(Malformed::Class));
        assert_eq!(broken(21, 0x77), Ok(()), "any profile is legal");
    }
}
