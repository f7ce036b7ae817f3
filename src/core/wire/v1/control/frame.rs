//! Control frames: the header, messages sealed for one client or for the relay, a tag.
//!
//! ```text
//!  | header 30 | messages, up to 1,186 bytes | tag 16 |
//!  |<-- AAD -->|<--------- text ------------>|<-tag-->|
//! ```

use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

use super::{Control, FRONT_LEN};
use crate::limits::{HEADER_LEN, TAG_LEN, V1_FRAME_MAX};
use crate::wire::header::Header;
use crate::wire::v1::header::{Fault, Kind};
use crate::wire::v1::seal::{Seal, Sealed, split_tag, split_tag_mut};
use crate::wire::writer::{NoRoom, Writer};

/// A well-formed v1 control frame, still sealed, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFrame<'a> {
    /// The fixed header.
    pub header: &'a Header,
    /// AAD is the header, the text opens to messages.
    pub sealed: Sealed<'a>,
}

impl<'a> ControlFrame<'a> {
    /// The control frame that `datagram` is.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first; [`Fault::Class`] for any other kind.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Fault> {
        let header = Header::peek(datagram).ok_or(Fault::TooShort)?;
        let Kind::Control = header.check_v1(datagram.len())? else {
            return Err(Fault::Class);
        };
        let (front, tag) = split_tag(datagram);
        let (aad, text) = front.split_at(HEADER_LEN);
        Ok(Self { header, sealed: Sealed { aad, text, tag } })
    }
}

/// A v1 control frame in a buffer, to be sealed, or opened in place.
#[derive(Debug)]
pub struct ControlMut<'b> {
    /// Passed [`ControlFrame::parse`], or written so that it does.
    bytes: &'b mut [u8],
}

impl<'b> ControlMut<'b> {
    /// Begins a control frame around `text_len` bytes of messages, zeroed. `header_len` is set
    /// here, whatever `header` says.
    ///
    /// # Errors
    /// What a reader would say of the frame; [`Fault::TooShort`] also when `out` is too short.
    pub fn begin(out: &'b mut [u8], header: &Header, text_len: usize) -> Result<Self, Fault> {
        let header = Header { header_len: U16::new(HEADER_LEN as u16), ..*header };
        let frame_len = text_len.saturating_add(HEADER_LEN + TAG_LEN);
        let Kind::Control = header.check_v1(frame_len)? else {
            return Err(Fault::Class);
        };
        let bytes = out.get_mut(..frame_len).ok_or(Fault::TooShort)?;
        bytes.fill(0);
        bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
        Ok(Self { bytes })
    }

    /// The control frame that `datagram` is, to be opened in place.
    ///
    /// # Errors
    /// What [`ControlFrame::parse`] says.
    pub fn parse(datagram: &'b mut [u8]) -> Result<Self, Fault> {
        ControlFrame::parse(datagram)?;
        Ok(Self { bytes: datagram })
    }

    /// AAD is the header, the text is the messages.
    #[must_use]
    pub fn seal(&mut self) -> Seal<'_> {
        let (front, tag) = split_tag_mut(self.bytes);
        let (aad, text) = front.split_at_mut(HEADER_LEN);
        Seal { aad, text, tag }
    }

    /// The frame's bytes.
    #[must_use]
    pub const fn finish(self) -> &'b mut [u8] {
        self.bytes
    }
}

/// Writes one control frame from front to back: the header, then messages; ready to be sealed.
///
/// ```
/// use elara_core::limits::V1_FRAME_MAX;
/// use elara_core::wire::Header;
/// use elara_core::wire::v1::control::{Control, ControlWriter, Controls, Leave};
/// use elara_core::wire::v1::Kind;
/// use elara_core::{NodeId, SessionId};
///
/// let mut buffer = [0; V1_FRAME_MAX];
/// let header = Header::v1(1, SessionId(1), NodeId(2), Kind::Control);
/// let mut writer = ControlWriter::new(&mut buffer, &header).unwrap();
/// writer.put(&Control::PathResponse(&[7; 8]))?;
/// writer.put(&Control::Leave(&Leave { reason: 0 }))?;
/// let mut frame = writer.finish();
/// assert_eq!(Controls::parse(frame.seal().text).count(), 2);
/// # Ok::<(), elara_core::wire::NoRoom>(())
/// ```
#[derive(Debug)]
pub struct ControlWriter<'b> {
    /// At most a frame long.
    out: &'b mut [u8],
    /// Header and messages so far.
    len: usize,
}

impl<'b> ControlWriter<'b> {
    /// Begins a frame without messages. `header_len` is set here, whatever `header` says.
    ///
    /// # Errors
    /// What [`ControlMut::begin`] says.
    pub fn new(out: &'b mut [u8], header: &Header) -> Result<Self, Fault> {
        let most = out.len().min(V1_FRAME_MAX);
        let out = &mut out[..most];
        let _ = ControlMut::begin(out, header, 0)?;
        Ok(Self { out, len: HEADER_LEN })
    }

    /// Appends `message`. Nothing is appended when it does not fit. Values are written as they stand:
    /// one that its reader would refuse is the caller's mistake, asserted in debug builds.
    ///
    /// # Errors
    /// [`NoRoom`] when the buffer is full or the text would exceed 1,186 bytes: begin another frame.
    pub fn put(&mut self, message: &Control<'_>) -> Result<(), NoRoom> {
        let mut writer = Writer::leaving(&mut self.out[self.len..], TAG_LEN)?;
        let (front, list) = message.value();
        let len = u16::try_from(front.len() + list.len()).map_err(|_| NoRoom)?;
        writer.put(&[message.kind()])?;
        writer.put(&len.to_le_bytes())?;
        writer.put(front)?;
        writer.put(list)?;
        let end = self.len + writer.len();
        debug_assert_eq!(
            Control::parse(message.kind(), &self.out[self.len + FRONT_LEN..end]).err(),
            None,
            "a message that its reader would refuse"
        );
        self.len = end;
        Ok(())
    }

    /// The messages so far.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.out[HEADER_LEN..self.len]
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == HEADER_LEN
    }

    /// The control frame of these messages, not yet sealed.
    #[must_use]
    pub fn finish(self) -> ControlMut<'b> {
        let bytes = &mut self.out[..self.len + TAG_LEN];
        bytes[self.len..].fill(0);
        ControlMut { bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Controls, Leave};
    use super::*;
    use crate::ids::{NodeId, SessionId};
    use crate::wire::v1::Frame;

    #[test]
    fn a_control_frame_is_a_header_messages_and_a_tag() {
        let header = Header::v1(1, SessionId(7), NodeId(9), Kind::Control);
        let mut out = [0xEE; 100];
        assert_eq!(ControlMut::begin(&mut out, &header, 55).err(), Some(Fault::TooShort));
        assert_eq!(ControlMut::begin(&mut out, &header, usize::MAX).err(), Some(Fault::TooLong));
        let mut frame = ControlMut::begin(&mut out, &header, 3).unwrap();
        let seal = frame.seal();
        seal.text.copy_from_slice(b"abc");
        seal.tag.fill(9);
        assert_eq!(seal.aad, header.as_bytes());
        let bytes = frame.finish();
        let read = ControlFrame::parse(bytes).unwrap().sealed;
        assert_eq!((read.aad, read.text, read.tag), (header.as_bytes(), &b"abc"[..], &[9; 16]));
        assert_eq!(Frame::parse(bytes), Err(Fault::Class));
        assert_eq!(ControlFrame::parse(&bytes[..45]), Err(Fault::TooShort));
        assert_eq!(&*ControlMut::parse(bytes).unwrap().seal().text, b"abc");
        bytes[20] = 0;
        assert_eq!(ControlFrame::parse(bytes), Err(Fault::TooShort));
        assert_eq!(ControlFrame::parse(&[&*bytes, &[0; 40]].concat()), Err(Fault::Class));
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_the_text_as_it_was() {
        let header = Header::v1(1, SessionId(1), NodeId(2), Kind::Control);
        let mut out = [0xEE; 2_000];
        let mut writer = ControlWriter::new(&mut out, &header).unwrap();
        assert!(writer.is_empty());
        let mut count = 0;
        while writer.put(&Control::PathChallenge(&[1; 8])).is_ok() {
            count += 1;
        }
        assert_eq!((count, writer.text().len()), (107, 107 * 11));
        assert_eq!(Controls::parse(writer.text()).filter(Result::is_ok).count(), 107);
        let long = [0; 70_000];
        assert_eq!(writer.put(&Control::Unknown { kind: 0x20, value: &long }), Err(NoRoom));
        assert_eq!(writer.put(&Control::Leave(&Leave { reason: 0 })), Ok(()));
        let frame = writer.finish().finish();
        assert_eq!(
            (frame.len(), &frame[30 + 107 * 11 + 4..]),
            (30 + 107 * 11 + 4 + 16, &[0; 16][..])
        );
        let mut short = [0; 45];
        assert_eq!(ControlWriter::new(&mut short, &header).err(), Some(Fault::TooShort));
        let mut least = [0; 49];
        let mut writer = ControlWriter::new(&mut least, &header).unwrap();
        assert_eq!(writer.put(&Control::Leave(&Leave { reason: 0 })), Err(NoRoom));
    }
}
