//! Data frames, and what each of their two seals covers.
//!
//! ```text
//!  | header 30 | TLVs | epoch u16 | conn u8 | gen u8 | ciphertext | tag 16 | tag 16 |
//!  |<--------------- AAD, end to end --------------->|<-- text -->|< tag ->|
//!  |< AAD, hop, GCM ->|<---------------------- text ---------------------->|< tag ->|
//!  |<---------- AAD, hop, ChaCha20-Poly1305: the text is empty ----------->|< tag ->|
//! ```
//! Whoever seals or opens asks for a [`Sealed`] or a [`Seal`] and computes no offset. [`Frame`]
//! borrows from a datagram; [`FrameMut`] stands in a buffer, to be filled and sealed, or opened in
//! place.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::header::{Fault, Kind};
use super::seal::{Seal, Sealed, split_tag, split_tag_mut};
use super::tlv::Tlvs;
use crate::limits::{HEADER_LEN, KEY_NAME_LEN, TAG_LEN};
use crate::wire::header::{Class, Header, flags};

/// Which of the sender's keys sealed a data frame; stands in clear before the ciphertext.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct KeyName {
    /// Epoch of the session's secret: 0 while it is pre-shared.
    pub epoch: U16,
    /// The sender's connection.
    pub conn: u8,
    /// Step of the key's chain: 0 while the secret is pre-shared.
    pub generation: u8,
}

const _: () = assert!(size_of::<KeyName>() == KEY_NAME_LEN);

/// A well-formed v1 data frame, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The fixed header.
    pub header: &'a Header,
    /// What the class byte says.
    pub class: Class,
    /// STREAM and STATE.
    pub tlvs: Tlvs<'a>,
    /// The key that sealed `text`.
    pub key: &'a KeyName,
    /// The ciphertext, without its tag.
    pub text: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The data frame that `datagram` is.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first; [`Fault::Class`] for handshake and control.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Fault> {
        let header = Header::peek(datagram).ok_or(Fault::TooShort)?;
        let Kind::Data(class) = header.check_v1(datagram.len())? else {
            return Err(Fault::Class);
        };
        // `check_v1` has shown 30 <= header_len and header_len + 36 <= len, so no split here fails.
        let (head, body) = datagram
            .split_at_checked(usize::from(header.header_len.get()))
            .ok_or(Fault::HeaderLength)?;
        let tlvs = Tlvs::parse(head.get(HEADER_LEN..).ok_or(Fault::HeaderLength)?)?;
        check_class(class, &tlvs)?;
        let (key, rest) = KeyName::ref_from_prefix(body).map_err(|_| Fault::TooShort)?;
        let text_len = rest.len().checked_sub(2 * TAG_LEN).ok_or(Fault::TooShort)?;
        let text = rest.get(..text_len).ok_or(Fault::TooShort)?;
        Ok(Self { header, class, tlvs, key, text, bytes: datagram })
    }

    /// The whole frame.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The TLV region, as a proof covers it.
    #[must_use]
    pub fn tlv_bytes(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..self.header_len()]
    }

    /// What the author sealed for the members: AAD is `frame[..header_len + 4]`.
    #[inline]
    #[must_use]
    pub fn end_to_end(&self) -> Sealed<'a> {
        let (front, _) = split_tag(self.bytes);
        let (front, tag) = split_tag(front);
        Sealed { aad: &front[..self.header_len() + KEY_NAME_LEN], text: self.text, tag }
    }

    /// What the client sealed for the relay, by the header's suite. Suite 0 covers all but the tag
    /// as AAD; the GCM suites take header and TLVs as AAD, and the body as the ciphertext.
    #[inline]
    #[must_use]
    pub fn hop(&self) -> Sealed<'a> {
        let (front, tag) = split_tag(self.bytes);
        let (aad, text) = front.split_at(hop_aad_len(self.header, front.len()));
        Sealed { aad, text, tag }
    }

    fn header_len(&self) -> usize {
        usize::from(self.header.header_len.get())
    }
}

/// A v1 data frame in a buffer, to be filled and sealed, or opened in place.
///
/// ```
/// use elara_core::limits::V1_FRAME_MAX;
/// use elara_core::wire::v1::{Frame, FrameMut, KeyName, Kind, Tlvs};
/// use elara_core::wire::{Class, Header};
/// use elara_core::{NodeId, SessionId};
///
/// let mut buffer = [0; V1_FRAME_MAX];
/// let header = Header::v1(1, SessionId(1), NodeId(2), Kind::Data(Class::Core));
/// let key = KeyName { epoch: 0.into(), conn: 3, generation: 0 };
/// let mut frame = FrameMut::begin(&mut buffer, &header, &Tlvs::EMPTY, key, 80)?;
/// let seal = frame.end_to_end(); // aad: 34 bytes, text: 14 to fill and seal, tag
/// seal.text.fill(7);
/// assert_eq!(Frame::parse(frame.finish())?.text, [7; 14]);
/// # Ok::<(), elara_core::wire::v1::Fault>(())
/// ```
#[derive(Debug)]
pub struct FrameMut<'b> {
    /// Passed [`Frame::parse`], or written so that it does.
    bytes: &'b mut [u8],
    header: Header,
}

impl<'b> FrameMut<'b> {
    /// Begins a frame of `frame_len` bytes at the front of `out`: header, TLVs and key name are
    /// written, everything behind them is zeroed. `header_len`, [`flags::EXTENSION`] (there are
    /// TLVs) and [`flags::PARITY`] (of `key.conn`) are set here, whatever `header` says.
    ///
    /// # Errors
    /// What a reader would say of the frame; [`Fault::TooShort`] also when `out` is shorter than
    /// `frame_len`.
    pub fn begin(
        out: &'b mut [u8],
        header: &Header,
        tlvs: &Tlvs<'_>,
        key: KeyName,
        frame_len: usize,
    ) -> Result<Self, Fault> {
        let mut header = *header;
        // At most 86.
        let header_len = HEADER_LEN + tlvs.encoded_len();
        header.header_len = U16::new(header_len as u16);
        header.flags &= !flags::EXTENSION;
        if header_len > HEADER_LEN {
            header.flags |= flags::EXTENSION;
        }
        header.set_parity_of(key.conn);
        let Kind::Data(class) = header.check_v1(frame_len)? else {
            return Err(Fault::Class);
        };
        tlvs.check()?;
        check_class(class, tlvs)?;
        let bytes = out.get_mut(..frame_len).ok_or(Fault::TooShort)?;
        let (head, body) = bytes.split_at_mut(header_len);
        head[..HEADER_LEN].copy_from_slice(header.as_bytes());
        tlvs.encode(&mut head[HEADER_LEN..]).map_err(|_| Fault::HeaderLength)?;
        body.fill(0);
        body[..KEY_NAME_LEN].copy_from_slice(key.as_bytes());
        Ok(Self { bytes, header })
    }

    /// The data frame that `datagram` is, to be opened in place.
    ///
    /// # Errors
    /// What [`Frame::parse`] says.
    pub fn parse(datagram: &'b mut [u8]) -> Result<Self, Fault> {
        let header = *Frame::parse(datagram)?.header;
        Ok(Self { bytes: datagram, header })
    }

    /// The header, as it stands.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The TLV region, as a proof covers it.
    #[must_use]
    pub fn tlv_bytes(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..self.header_len()]
    }

    /// What the author seals for the members, see [`Frame::end_to_end`]. Before sealing, `text` is
    /// the opened body.
    #[must_use]
    pub fn end_to_end(&mut self) -> Seal<'_> {
        let aad_len = self.header_len() + KEY_NAME_LEN;
        let (front, _) = split_tag_mut(self.bytes);
        let (front, tag) = split_tag_mut(front);
        let (aad, text) = front.split_at_mut(aad_len);
        Seal { aad, text, tag }
    }

    /// What the client seals for the relay, see [`Frame::hop`]. With GCM, sealing turns the body
    /// into something that only a second seal turns back: `docs/WIRE.md` section 3.3.
    #[must_use]
    pub fn hop(&mut self) -> Seal<'_> {
        let header = self.header;
        let (front, tag) = split_tag_mut(self.bytes);
        let (aad, text) = front.split_at_mut(hop_aad_len(&header, front.len()));
        Seal { aad, text, tag }
    }

    /// The frame's bytes.
    #[must_use]
    pub const fn finish(self) -> &'b mut [u8] {
        self.bytes
    }

    fn header_len(&self) -> usize {
        usize::from(self.header.header_len.get())
    }
}

/// Content is cut into parts only where losing one of them is not an option.
#[inline]
fn check_class(class: Class, tlvs: &Tlvs<'_>) -> Result<(), Fault> {
    if class != Class::Core && tlvs.state.is_some_and(|state| state.parts > 1) {
        return Err(Fault::Parts);
    }
    Ok(())
}

/// Bytes of AAD of the hop seal, in front of a tag: WIRE section 3.3.
#[inline]
fn hop_aad_len(header: &Header, front_len: usize) -> usize {
    match header.suite() {
        0 => front_len,
        _ => usize::from(header.header_len.get()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tlv::tests::{ATOM, PIECE};
    use super::*;
    use crate::ids::{NodeId, SessionId};
    use crate::limits::{V1_FRAME_MAX, V1_OVERHEAD};
    use alloc::vec::Vec;
    use core::ops::Range;

    const KEY: KeyName = KeyName { epoch: U16::new(0x0201), conn: 3, generation: 4 };

    fn header(suite: u8) -> Header {
        Header::v1(suite, SessionId(7), NodeId(9), Kind::Data(Class::Core))
    }

    /// A frame whose bytes behind the header count up, so that a slice says where it was cut.
    fn counting(suite: u8, tlvs: &Tlvs<'_>, len: usize) -> Vec<u8> {
        let mut out = [0; V1_FRAME_MAX];
        let frame = FrameMut::begin(&mut out, &header(suite), tlvs, KEY, len).unwrap().finish();
        for (at, byte) in frame.iter_mut().enumerate().skip(HEADER_LEN + tlvs.encoded_len()) {
            *byte = at as u8;
        }
        frame.to_vec()
    }

    #[test]
    fn each_seal_covers_what_the_drawing_says() {
        let tlvs = Tlvs { stream: Some(&PIECE), state: Some(&ATOM) };
        for (suite, hop_aad) in [(0, 0..224), (1, 0..86), (2, 0..86)] {
            let bytes = counting(suite, &tlvs, 240);
            let mut copy = bytes.clone();
            let cut = |range: Range<usize>| &bytes[range];
            let frame = Frame::parse(&bytes).unwrap();
            let end_to_end = frame.end_to_end();
            assert_eq!((end_to_end.aad, end_to_end.text), (cut(0..90), cut(90..208)));
            assert_eq!(end_to_end.tag, cut(208..224));
            let hop = frame.hop();
            assert_eq!((hop.aad, hop.text), (cut(hop_aad.clone()), cut(hop_aad.end..224)));
            assert_eq!(hop.tag, cut(224..240));
            assert_eq!((frame.tlv_bytes(), frame.as_bytes()), (cut(30..86), cut(0..240)));
            let mut writing = FrameMut::parse(&mut copy).unwrap();
            assert_eq!(writing.tlv_bytes(), cut(30..86));
            let seal = writing.end_to_end();
            assert_eq!(
                (seal.aad, &*seal.text, &*seal.tag),
                (cut(0..90), cut(90..208), end_to_end.tag)
            );
            let seal = writing.hop();
            assert_eq!((seal.aad, &*seal.text, &*seal.tag), (hop.aad, hop.text, hop.tag));
        }
    }

    #[test]
    fn the_overhead_is_66_bytes_and_less_is_no_frame() {
        let mut out = [0xEE; V1_OVERHEAD];
        let frame =
            FrameMut::begin(&mut out, &header(1), &Tlvs::EMPTY, KEY, V1_OVERHEAD).unwrap().finish();
        assert_eq!(Frame::parse(frame).unwrap().text, []);
        assert_eq!(frame[30..], [&[1, 2, 3, 4][..], &[0; 32]].concat());
        assert_eq!(Frame::parse(&frame[..65]), Err(Fault::TooShort));
        assert_eq!(Frame::parse(&frame[..29]), Err(Fault::TooShort));
        assert_eq!(Frame::parse(&[]), Err(Fault::TooShort));
    }

    #[test]
    fn a_frame_that_could_not_be_read_is_not_begun() {
        let mut out = [0; 2_000];
        let mut begin = |header: &Header, tlvs: &Tlvs<'_>, len| {
            FrameMut::begin(&mut out, header, tlvs, KEY, len).map(|_| ()).err()
        };
        let core = header(0);
        assert_eq!(begin(&core, &Tlvs::EMPTY, 80), None);
        assert_eq!(begin(&core, &Tlvs::EMPTY, V1_FRAME_MAX + 1), Some(Fault::TooLong));
        assert_eq!(begin(&core, &Tlvs::EMPTY, V1_OVERHEAD - 1), Some(Fault::TooShort));
        let stream = Tlvs { stream: Some(&PIECE), state: None };
        assert_eq!(begin(&core, &stream, 79), Some(Fault::TooShort));
        assert_eq!(begin(&header(3), &stream, 80), Some(Fault::Suite));
        let control = Header::v1(0, SessionId(7), NodeId(9), Kind::Control);
        assert_eq!(begin(&control, &Tlvs::EMPTY, 80), Some(Fault::Class));
        let parted = Tlvs { stream: None, state: Some(&ATOM) };
        let perceptual = Header { class: Class::Perceptual as u8, ..core };
        assert_eq!(begin(&core, &parted, 240), None);
        assert_eq!(begin(&perceptual, &parted, 240), Some(Fault::Parts));
        let mut short = [0; 79];
        assert_eq!(
            FrameMut::begin(&mut short, &core, &Tlvs::EMPTY, KEY, 80).err(),
            Some(Fault::TooShort)
        );
    }

    #[test]
    fn parts_belong_to_core() {
        let mut bytes = counting(0, &Tlvs { stream: None, state: Some(&ATOM) }, 160);
        assert!(Frame::parse(&bytes).is_ok());
        bytes[20] = Class::Repair as u8;
        assert_eq!(Frame::parse(&bytes), Err(Fault::Parts));
    }

    #[test]
    fn the_flags_say_what_the_frame_has() {
        let bytes = counting(0, &Tlvs { stream: Some(&PIECE), state: None }, 120);
        assert_eq!(bytes[1], flags::EXTENSION | flags::PARITY);
        assert_eq!(counting(0, &Tlvs::EMPTY, 120)[1], flags::PARITY);
    }
}
