//! Bundles: several frames of one session in one datagram.
//!
//! ```text
//!  | 13 | count u8 | 00 00 | session u64 | length u16 x count | frame | frame | .. |      12 + 2n + ..
//! ```
//! [`Bundle::parse`] looks at everything that can be seen without reading a frame: exact length,
//! no bundle inside, every frame of the same session. What comes out is one datagram's worth of
//! bytes each, to be checked as any datagram is. A handshake never travels in a bundle.
//!
//! Writing is in two ways: [`BundleHead`] is the front alone, to be gathered with frames that stay
//! where they are; [`BundleHead::join`] copies all into one buffer. [`Packing`] says what still fits.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::header::CLASS_HANDSHAKE;
use crate::ids::SessionId;
use crate::limits::{
    BUNDLE_FRAMES_MAX, BUNDLE_FRAMES_MIN, BUNDLE_HEAD_LEN, HEADER_LEN, TAG_LEN, V1_FRAME_MAX,
};
use crate::wire::header::Header;
use crate::wire::writer::{NoRoom, Writer};

/// First byte of a bundle: version 1, and a suite that no frame has.
pub const BUNDLE: u8 = 0x13;

const LENGTH_LEN: usize = 2;
const FRAME_MIN: usize = HEADER_LEN + TAG_LEN;

/// Why bytes are not a bundle. All of these are the sender's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BundleFault {
    /// Shorter than its front, lengths included.
    TooShort,
    /// Longer than [`V1_FRAME_MAX`].
    TooLong,
    /// The first byte is not 13.
    Version,
    /// Fewer than 2 or more than 32 frames.
    Count,
    /// The two bytes behind the count are not zero.
    Reserved,
    /// A frame is shorter than a header and a tag, or the frames do not end where the bundle does.
    Length,
    /// What stands inside is a bundle, or no v1 frame.
    Nested,
    /// What stands inside is a handshake.
    Handshake,
    /// A frame belongs to another session than the bundle.
    Session,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Front {
    first: u8,
    count: u8,
    reserved: [u8; 2],
    session: U64,
}

const _: () = assert!(size_of::<Front>() == BUNDLE_HEAD_LEN);

/// A well-formed bundle, borrowed from its datagram. Iterating yields its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    /// The session of the bundle and of every frame in it.
    pub session: SessionId,
    lengths: &'a [U16],
    frames: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// The bundle that `datagram` is. A frame in it begins with a v1 header of the bundle's
    /// session; whether the frame is well-formed beyond that, its own reader says.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, BundleFault> {
        if datagram.len() > V1_FRAME_MAX {
            return Err(BundleFault::TooLong);
        }
        let (front, rest) = Front::ref_from_prefix(datagram).map_err(|_| BundleFault::TooShort)?;
        if front.first != BUNDLE {
            return Err(BundleFault::Version);
        }
        let count = usize::from(front.count);
        if !(BUNDLE_FRAMES_MIN..=BUNDLE_FRAMES_MAX).contains(&count) {
            return Err(BundleFault::Count);
        }
        if front.reserved != [0; 2] {
            return Err(BundleFault::Reserved);
        }
        let (lengths, frames) =
            <[U16]>::ref_from_prefix_with_elems(rest, count).map_err(|_| BundleFault::TooShort)?;
        let bundle = Self { session: SessionId(front.session.get()), lengths, frames };
        if lengths.iter().map(|length| usize::from(length.get())).sum::<usize>() != frames.len() {
            return Err(BundleFault::Length);
        }
        bundle.iter().try_for_each(|frame| bundle.check(frame))?;
        Ok(bundle)
    }

    /// How many frames: 2 to 32.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.lengths.len()
    }

    /// The frames, in the order they stand. Upward, the first one that fails its checks ends the
    /// bundle: whoever handles them stops there.
    #[must_use]
    pub const fn iter(&self) -> BundleIter<'a> {
        BundleIter { lengths: self.lengths, rest: self.frames }
    }

    /// Whether every frame names the same sender, as upward it must.
    #[must_use]
    pub fn one_sender(&self) -> bool {
        let mut nodes = self.iter().filter_map(|frame| Some(Header::peek(frame)?.node));
        let first = nodes.next();
        nodes.all(|node| Some(node) == first)
    }

    fn check(&self, frame: &[u8]) -> Result<(), BundleFault> {
        if frame.len() < FRAME_MIN {
            return Err(BundleFault::Length);
        }
        let header = Header::peek(frame).ok_or(BundleFault::Length)?;
        if !(0x10..BUNDLE).contains(&header.version_suite) {
            return Err(BundleFault::Nested);
        }
        if header.class == CLASS_HANDSHAKE {
            return Err(BundleFault::Handshake);
        }
        if header.session_id() != self.session {
            return Err(BundleFault::Session);
        }
        Ok(())
    }
}

impl<'a> IntoIterator for Bundle<'a> {
    type Item = &'a [u8];
    type IntoIter = BundleIter<'a>;

    fn into_iter(self) -> BundleIter<'a> {
        self.iter()
    }
}

/// The frames of a [`Bundle`].
#[derive(Clone, Debug)]
pub struct BundleIter<'a> {
    lengths: &'a [U16],
    rest: &'a [u8],
}

impl<'a> Iterator for BundleIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, lengths) = self.lengths.split_first()?;
        let (frame, rest) = self.rest.split_at_checked(usize::from(length.get()))?;
        (self.lengths, self.rest) = (lengths, rest);
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.lengths.len(), Some(self.lengths.len()))
    }
}

impl ExactSizeIterator for BundleIter<'_> {}
impl core::iter::FusedIterator for BundleIter<'_> {}

/// How far a bundle has been filled: frames are offered one by one until one does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    count: usize,
    len: usize,
    most: usize,
}

impl Packing {
    /// Nothing yet, in a datagram of at most `datagram_max` bytes (and at most 1,232).
    #[must_use]
    pub const fn new(datagram_max: usize) -> Self {
        let most = if datagram_max < V1_FRAME_MAX { datagram_max } else { V1_FRAME_MAX };
        Self { count: 0, len: BUNDLE_HEAD_LEN, most }
    }

    /// Takes a frame of `frame_len` bytes in, if it fits behind those that are in.
    #[must_use]
    pub const fn take(&mut self, frame_len: usize) -> bool {
        let len = self.len.saturating_add(LENGTH_LEN).saturating_add(frame_len);
        let fits = self.count < BUNDLE_FRAMES_MAX && len <= self.most && frame_len >= FRAME_MIN;
        if fits {
            self.count += 1;
            self.len = len;
        }
        fits
    }

    /// Frames taken in; below 2 they travel alone.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the bundle so far.
    #[must_use]
    pub const fn bundle_len(&self) -> usize {
        self.len
    }
}

/// The front of a bundle: what a gathered send puts before the frames.
#[derive(Clone, Copy, Debug)]
pub struct BundleHead {
    bytes: [u8; BUNDLE_HEAD_LEN + BUNDLE_FRAMES_MAX * LENGTH_LEN],
    len: usize,
}

impl BundleHead {
    /// The front for `frames`, all of `session`. Only their lengths are looked at.
    ///
    /// # Errors
    /// [`NoRoom`] when there are fewer than 2 or more than 32, one is shorter than a header and a
    /// tag, or the bundle would exceed 1,232 bytes.
    pub fn new(session: SessionId, frames: &[&[u8]]) -> Result<Self, NoRoom> {
        let mut packing = Packing::new(V1_FRAME_MAX);
        if !frames.iter().all(|frame| packing.take(frame.len())) || frames.len() < BUNDLE_FRAMES_MIN
        {
            return Err(NoRoom);
        }
        // At most 32.
        let count = frames.len() as u8;
        let front = Front { first: BUNDLE, count, reserved: [0; 2], session: U64::new(session.0) };
        let mut bytes = [0; BUNDLE_HEAD_LEN + BUNDLE_FRAMES_MAX * LENGTH_LEN];
        let (fixed, lengths) = bytes.split_at_mut(BUNDLE_HEAD_LEN);
        fixed.copy_from_slice(front.as_bytes());
        for (length, frame) in lengths.chunks_exact_mut(LENGTH_LEN).zip(frames) {
            // At most 1,232.
            length.copy_from_slice(&(frame.len() as u16).to_le_bytes());
        }
        Ok(Self { bytes, len: BUNDLE_HEAD_LEN + frames.len() * LENGTH_LEN })
    }

    /// The bytes that stand before the first frame.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The slices of the bundle in order, nothing copied: this front, then `frames`.
    pub fn gather<'a>(
        &'a self,
        frames: &'a [&'a [u8]],
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        (0..frames.len() + 1).map(move |at| match at {
            0 => self.as_bytes(),
            _ => frames[at - 1],
        })
    }

    /// Writes the whole bundle of `frames` into `out`, and returns it.
    ///
    /// # Errors
    /// What [`Self::new`] says, and [`NoRoom`] when `out` is too short.
    pub fn join<'b>(
        out: &'b mut [u8],
        session: SessionId,
        frames: &[&[u8]],
    ) -> Result<&'b mut [u8], NoRoom> {
        let head = Self::new(session, frames)?;
        let mut writer = Writer::new(out);
        head.gather(frames).try_for_each(|slice| writer.put(slice))?;
        Ok(writer.finish(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::wire::header::Class;
    use crate::wire::v1::Kind;
    use alloc::vec;
    use alloc::vec::Vec;

    const SESSION: SessionId = SessionId(0x0807_0605_0403_0201);

    fn frame(len: usize) -> Vec<u8> {
        let header = Header::v1(1, SESSION, NodeId(9), Kind::Data(Class::Core));
        let mut frame = vec![0xEE; len];
        frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
        frame
    }

    fn bundle(frames: &[&[u8]]) -> Vec<u8> {
        let mut out = [0; V1_FRAME_MAX];
        BundleHead::join(&mut out, SESSION, frames).unwrap().to_vec()
    }

    #[test]
    fn the_front_stands_as_drawn_and_gathers_without_copying() {
        let frames = [frame(80), frame(46)];
        let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
        let head = BundleHead::new(SESSION, &frames).unwrap();
        assert_eq!(head.as_bytes(), [0x13, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 80, 0, 46, 0]);
        let slices: Vec<_> = head.gather(&frames).collect();
        assert!(slices.len() == 3 && slices[1].as_ptr() == frames[0].as_ptr());
        assert_eq!(slices.concat(), bundle(&frames));
        let bytes = bundle(&frames);
        let read = Bundle::parse(&bytes).unwrap();
        assert_eq!((read.session, read.count(), read.one_sender()), (SESSION, 2, true));
        assert_eq!(read.into_iter().collect::<Vec<_>>(), frames);
    }

    #[test]
    fn ten_frames_of_120_bytes_fill_a_datagram_exactly() {
        let frame = frame(120);
        let bytes = bundle(&[&frame[..]; 10]);
        assert_eq!(bytes.len(), 1_232);
        assert_eq!(Bundle::parse(&bytes).unwrap().count(), 10);
        assert_eq!(BundleHead::new(SESSION, &[&frame[..]; 11]).err(), Some(NoRoom));
        let mut packing = Packing::new(usize::MAX);
        assert_eq!((0..20).filter(|_| packing.take(120)).count(), 10);
        assert_eq!((packing.count(), packing.bundle_len()), (10, 1_232));
    }

    #[test]
    fn one_frame_travels_alone_and_33_do_not_travel() {
        let frame = frame(46);
        assert_eq!(BundleHead::new(SESSION, &[&frame[..]]).err(), Some(NoRoom));
        assert_eq!(BundleHead::new(SESSION, &[]).err(), Some(NoRoom));
        // In 1,232 bytes the count is never the narrower bound.
        let mut packing = Packing::new(V1_FRAME_MAX);
        assert_eq!((0..33).filter(|_| packing.take(46)).count(), 25);
        assert!(!Packing::new(V1_FRAME_MAX).take(45), "that is no frame");
        let mut narrow = Packing::new(200);
        assert_eq!((narrow.take(80), narrow.take(80), narrow.take(80)), (true, true, false));
    }

    #[test]
    fn each_broken_field_is_named() {
        let bytes = bundle(&[&frame(80), &frame(46)]);
        let broken = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            Bundle::parse(&bytes).err()
        };
        assert_eq!(broken(0, 0x12), Some(BundleFault::Version));
        assert_eq!(broken(1, 1), Some(BundleFault::Count));
        assert_eq!(broken(1, 33), Some(BundleFault::Count));
        assert_eq!(broken(1, 3), Some(BundleFault::Length));
        assert_eq!(broken(2, 1), Some(BundleFault::Reserved));
        assert_eq!(broken(3, 1), Some(BundleFault::Reserved));
        assert_eq!(broken(4, 0), Some(BundleFault::Session));
        assert_eq!(broken(12, 81), Some(BundleFault::Length));
        assert_eq!(broken(12, 79), Some(BundleFault::Length));
        assert_eq!(broken(16, 0x13), Some(BundleFault::Nested));
        assert_eq!(broken(16, 0x00), Some(BundleFault::Nested));
        assert_eq!(broken(20, 0), Some(BundleFault::Session));
        assert_eq!(broken(16 + 20, CLASS_HANDSHAKE), Some(BundleFault::Handshake));
        assert_eq!(broken(96 + 20, CLASS_HANDSHAKE), Some(BundleFault::Handshake));
        assert_eq!(broken(17, 0xFF), None, "the frame's own reader looks at that");
        let mut shifted = bytes.clone();
        (shifted[12], shifted[14]) = (81, 45);
        assert_eq!(Bundle::parse(&shifted), Err(BundleFault::Length));
        let mut two = bytes.clone();
        two[28] ^= 1;
        assert!(!Bundle::parse(&two).unwrap().one_sender());
    }

    #[test]
    fn a_bundle_cut_short_or_grown_is_none() {
        let bytes = bundle(&[&frame(80), &frame(46)]);
        for cut in 0..bytes.len() {
            let expected = if cut < 16 { BundleFault::TooShort } else { BundleFault::Length };
            assert_eq!(Bundle::parse(&bytes[..cut]), Err(expected), "{cut}");
        }
        assert_eq!(Bundle::parse(&[&bytes[..], &[0]].concat()), Err(BundleFault::Length));
        assert_eq!(Bundle::parse(&[0x13; V1_FRAME_MAX + 1]), Err(BundleFault::TooLong));
    }
}
