//! A whole v0 frame: header, TLVs, payload, tag, seen in place or written into a buffer.
//!
//! ```text
//!  | header 30 | TLVs (header_len - 30) | payload | tag 16, zeros |      46..1400 bytes
//! ```
//! [`Frame::parse`] accepts what 0.2.0's parser accepts, less three things nobody may rely on: a
//! version other than 0, a `header_len` inside the fixed header, more than 1,400 bytes. Like 0.2.0 it
//! looks at the TLVs only when the flag [`flags::EXTENSION`] says that there are some; without the
//! flag those bytes are opaque and kept. It does not look at the tag: v0 seals inside the payload.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

use super::event::{Event, Events};
use super::tlv::{Extensions, Tlvs};
use super::writer::{NoRoom, Writer};
use crate::limits::{HEADER_LEN, TAG_LEN, V0_FRAME_MAX};
use crate::wire::header::{Header, Malformed, flags};

/// A well-formed v0 frame, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The fixed header.
    pub header: &'a Header,
    /// The extensions; [`Tlvs::EMPTY`] when the header's flag says there are none.
    pub tlvs: Tlvs<'a>,
    /// Everything between fixed header and payload, whatever the flag says.
    pub tlv_bytes: &'a [u8],
    /// A ciphertext with its own tag, or plain event blocks.
    pub payload: &'a [u8],
    /// Zeros from every sender known.
    pub tag: &'a [u8; TAG_LEN],
}

impl<'a> Frame<'a> {
    /// The frame that `datagram` is.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let header = Header::peek(datagram).ok_or(Malformed::TooShort)?;
        header.check_v0(datagram.len())?;
        // `check_v0` has shown HEADER_LEN <= header_len <= len - TAG_LEN, so none of these fail.
        let (front, tag) = datagram.split_last_chunk().ok_or(Malformed::TooShort)?;
        let (head, payload) = front
            .split_at_checked(usize::from(header.header_len.get()))
            .ok_or(Malformed::HeaderLength)?;
        let tlv_bytes = head.get(HEADER_LEN..).ok_or(Malformed::HeaderLength)?;
        let tlvs = if header.flags & flags::EXTENSION != 0 {
            Tlvs::parse(tlv_bytes)?
        } else {
            Tlvs::EMPTY
        };
        Ok(Self { header, tlvs, tlv_bytes, payload, tag })
    }

    /// The payload read as plain event blocks. On a sealed payload this yields nonsense, harmlessly.
    #[must_use]
    pub const fn events(&self) -> Events<'a> {
        Events::parse(self.payload)
    }
}

/// Writes one frame from front to back: the header, then the payload in as many pieces as it has.
///
/// ```
/// use elara_core::limits::V0_FRAME_MAX;
/// use elara_core::wire::{Frame, FrameWriter, Header};
/// use elara_core::{NodeId, SessionId};
///
/// let mut buffer = [0; V0_FRAME_MAX];
/// let header = Header::v0(SessionId(1), NodeId(2));
/// let bytes = FrameWriter::new(&mut buffer, &header)?.payload(b"hello")?.finish();
/// assert_eq!(Frame::parse(bytes).unwrap().payload, b"hello");
/// # Ok::<(), elara_core::wire::NoRoom>(())
/// ```
#[derive(Debug)]
pub struct FrameWriter<'b> {
    writer: Writer<'b>,
}

impl<'b> FrameWriter<'b> {
    /// Begins a frame without TLVs. `header_len` is set here, whatever `header` says.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` cannot hold a header and a tag.
    pub fn new(out: &'b mut [u8], header: &Header) -> Result<Self, NoRoom> {
        Self::begin(out, *header, 0)
    }

    /// Begins a frame with `extensions`; sets the flag [`flags::EXTENSION`] if there are any.
    ///
    /// # Errors
    /// [`NoRoom`] when header, extensions and tag exceed `out` or 1,400 bytes.
    pub fn with_extensions(
        out: &'b mut [u8],
        header: &Header,
        extensions: &Extensions<'_>,
    ) -> Result<Self, NoRoom> {
        let mut header = *header;
        if !extensions.is_empty() {
            header.flags |= flags::EXTENSION;
        }
        let mut frame = Self::begin(out, header, extensions.encoded_len())?;
        extensions.write(&mut frame.writer)?;
        Ok(frame)
    }

    /// Begins a frame whose TLV region is `tlv_bytes`, as they stand: neither they nor the
    /// header's flags are looked at.
    ///
    /// # Errors
    /// [`NoRoom`] when header, region and tag exceed `out` or 1,400 bytes.
    pub fn with_tlv_bytes(
        out: &'b mut [u8],
        header: &Header,
        tlv_bytes: &[u8],
    ) -> Result<Self, NoRoom> {
        Self::begin(out, *header, tlv_bytes.len())?.payload(tlv_bytes)
    }

    /// Writes the header of a frame whose TLVs will be `tlv_len` bytes.
    fn begin(out: &'b mut [u8], mut header: Header, tlv_len: usize) -> Result<Self, NoRoom> {
        let header_len = HEADER_LEN.saturating_add(tlv_len);
        header.header_len = U16::new(u16::try_from(header_len).map_err(|_| NoRoom)?);
        let room = out.len().min(V0_FRAME_MAX);
        let mut writer = Writer::leaving(&mut out[..room], TAG_LEN)?;
        writer.put(header.as_bytes())?;
        Ok(Self { writer })
    }

    /// Appends `bytes` to the payload.
    ///
    /// # Errors
    /// [`NoRoom`] when the frame would exceed its buffer or 1,400 bytes.
    pub fn payload(mut self, bytes: &[u8]) -> Result<Self, NoRoom> {
        self.writer.put(bytes)?;
        Ok(self)
    }

    /// Appends an event block to the payload.
    ///
    /// # Errors
    /// [`NoRoom`] when the frame would exceed its buffer or 1,400 bytes.
    pub fn event(mut self, event: &Event<'_>) -> Result<Self, NoRoom> {
        event.write(&mut self.writer)?;
        Ok(self)
    }

    /// Ends the frame with a tag of zeros, as v0 has it, and returns its bytes.
    #[must_use]
    pub fn finish(self) -> &'b mut [u8] {
        self.finish_with_tag(&[0; TAG_LEN])
    }

    /// Ends the frame with `tag`: for writing again what someone else wrote.
    #[must_use]
    pub fn finish_with_tag(self, tag: &[u8; TAG_LEN]) -> &'b mut [u8] {
        self.writer.finish(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, SessionId};
    use crate::limits::V0_FRAME_MIN;
    use crate::wire::tlv::kind;

    fn header() -> Header {
        Header::v0(SessionId(7), NodeId(9))
    }

    #[test]
    fn the_smallest_frame_is_a_header_and_a_tag() {
        let mut out = [0xEE; V0_FRAME_MIN];
        let bytes = FrameWriter::new(&mut out, &header()).unwrap().finish();
        let frame = Frame::parse(bytes).unwrap();
        assert_eq!((frame.payload, frame.tag), (&[][..], &[0; TAG_LEN]));
        assert_eq!(Frame::parse(&bytes[..V0_FRAME_MIN - 1]), Err(Malformed::TooShort));
        assert_eq!(Frame::parse(&[]), Err(Malformed::TooShort));
        let mut short = [0; V0_FRAME_MIN - 1];
        assert_eq!(FrameWriter::new(&mut short, &header()).err(), Some(NoRoom));
    }

    #[test]
    fn the_longest_frame_is_1400_bytes_however_long_the_buffer() {
        let mut out = [0; 2_000];
        let payload = [1; V0_FRAME_MAX - V0_FRAME_MIN + 1];
        let longest = &payload[1..];
        let bytes =
            FrameWriter::new(&mut out, &header()).unwrap().payload(longest).unwrap().finish();
        assert_eq!((bytes.len(), Frame::parse(bytes).unwrap().payload), (V0_FRAME_MAX, longest));
        let longer = FrameWriter::new(&mut out, &header()).unwrap().payload(&payload);
        assert_eq!(longer.err(), Some(NoRoom));
        let region = [0; 70_000];
        assert!(FrameWriter::with_tlv_bytes(&mut out, &header(), &region).is_err());
    }

    #[test]
    fn extensions_raise_their_flag_and_none_do_not() {
        let mut out = [0; V0_FRAME_MAX];
        let none = Extensions::default();
        let bytes = FrameWriter::with_extensions(&mut out, &header(), &none).unwrap().finish();
        assert_eq!((bytes.len(), bytes[1]), (V0_FRAME_MIN, 0));
        let hop = Extensions { relay_hop: Some(3), ..none };
        let bytes = FrameWriter::with_extensions(&mut out, &header(), &hop)
            .and_then(|frame| frame.payload(b"body"))
            .unwrap()
            .finish();
        let frame = Frame::parse(bytes).unwrap();
        assert_eq!(frame.header.flags, flags::EXTENSION);
        assert_eq!(frame.tlv_bytes, [kind::RELAY_HOP, 1, 3, kind::END]);
        assert_eq!((frame.tlvs.relay_hop(), frame.payload), (Some(3), &b"body"[..]));
    }

    #[test]
    fn without_the_flag_tlv_bytes_are_opaque_and_kept() {
        let broken = [kind::CAUSALITY, 200, 1];
        let mut out = [0; V0_FRAME_MAX];
        let bytes = FrameWriter::with_tlv_bytes(&mut out, &header(), &broken).unwrap().finish();
        let frame = Frame::parse(bytes).unwrap();
        assert_eq!((frame.tlvs, frame.tlv_bytes), (Tlvs::EMPTY, &broken[..]));
        bytes[1] = flags::EXTENSION;
        assert_eq!(Frame::parse(bytes), Err(Malformed::Extension));
    }
}
