//! Content larger than a frame: parts of an event, pieces of a media frame. Arithmetic only.
//!
//! All pieces but the last are as long as a frame allows, so their frames are equal and gather into
//! one send; the last frame is the smallest that takes the rest. Pieces put behind each other in
//! order are the content. Empty content is one empty piece.

use super::body::Shape;
use super::tlv::{State, Stream, bits};
use crate::limits::{EVENT_CONTENT_MAX, MEDIA_CONTENT_MAX, PARTS_MAX};

/// Content that cannot be sent: its length, or that of its frames, forbids it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TooLarge;

/// How content is cut. Iterating yields the pieces in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    /// At least 1.
    most: usize,
    number: usize,
    count: usize,
}

/// One piece of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Which, from 0.
    pub number: usize,
    /// Of how many, at least 1.
    pub count: usize,
    /// Its content.
    pub content: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// The parts of an event, proof included: at most 32, of at most 16 KiB together.
    ///
    /// # Errors
    /// [`TooLarge`]. See [`event_max`].
    pub fn of_event(content: &'a [u8], shape: Shape) -> Result<Self, TooLarge> {
        if content.len() > event_max(shape) {
            return Err(TooLarge);
        }
        Self::new(content, shape)
    }

    /// The pieces of a media frame of at most 512 KiB.
    ///
    /// # Errors
    /// [`TooLarge`]. See [`media_max`].
    pub fn of_media(content: &'a [u8], shape: Shape) -> Result<Self, TooLarge> {
        if content.len() > media_max(shape) {
            return Err(TooLarge);
        }
        Self::new(content, shape)
    }

    fn new(content: &'a [u8], shape: Shape) -> Result<Self, TooLarge> {
        let most = match shape.content_max() {
            None => return Err(TooLarge),
            // Room for an end mark and nothing else still carries what is empty.
            Some(0) if content.is_empty() => 1,
            Some(0) => return Err(TooLarge),
            Some(most) => most,
        };
        let count = content.len().div_ceil(most).max(1);
        Ok(Self { rest: Some(content), most, number: 0, count })
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.rest?;
        let (content, rest) = rest.split_at(self.most.min(rest.len()));
        self.rest = (!rest.is_empty()).then_some(rest);
        let piece = Piece { number: self.number, count: self.count, content };
        self.number += 1;
        Some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.number;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Pieces<'_> {}
impl core::iter::FusedIterator for Pieces<'_> {}

impl Piece<'_> {
    /// `state` for this part of an event.
    #[must_use]
    pub const fn state(&self, state: State) -> State {
        // An event has at most 32 parts.
        State { part: self.number as u8, parts: self.count as u8, ..state }
    }

    /// `stream` for this piece of a media frame: first and last set or not, and the piece's index.
    /// `stream.index` is that of the frame's first datagram; it wraps.
    #[must_use]
    pub fn stream(&self, stream: Stream) -> Stream {
        let mut set = stream.bits & !(bits::FIRST | bits::LAST);
        if self.number == 0 {
            set |= bits::FIRST;
        }
        if self.number + 1 == self.count {
            set |= bits::LAST;
        }
        // A media frame has at most 512 Ki pieces.
        let index = stream.index.get().wrapping_add(self.number as u32).into();
        Stream { bits: set, index, ..stream }
    }
}

/// The largest event, block and proof together, that frames of `shape` carry.
#[must_use]
pub fn event_max(shape: Shape) -> usize {
    let most = shape.content_max().unwrap_or(0);
    EVENT_CONTENT_MAX.min(most * usize::from(PARTS_MAX))
}

/// The largest media frame that frames of `shape` carry.
#[must_use]
pub fn media_max(shape: Shape) -> usize {
    match shape.content_max() {
        None | Some(0) => 0,
        Some(_) => MEDIA_CONTENT_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tlv::Tlvs;
    use super::super::tlv::tests::{ATOM, PIECE};
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn state_shape() -> Shape {
        Shape::of(&Tlvs { stream: None, state: Some(&ATOM) })
    }

    fn stream_shape() -> Shape {
        Shape::of(&Tlvs { stream: Some(&PIECE), state: None })
    }

    #[test]
    fn the_largest_event_takes_fifteen_frames() {
        let content = vec![1; EVENT_CONTENT_MAX];
        let pieces = Pieces::of_event(&content, state_shape()).unwrap();
        let lens: Vec<_> = pieces.map(|piece| piece.content.len()).collect();
        assert_eq!((lens.len(), lens[0], lens[14]), (15, 1_122, 16_384 - 14 * 1_122));
        let longer = vec![1; EVENT_CONTENT_MAX + 1];
        assert_eq!(Pieces::of_event(&longer, state_shape()).err(), Some(TooLarge));
        let both = Shape::of(&Tlvs { stream: Some(&PIECE), state: Some(&ATOM) });
        assert_eq!(Pieces::of_event(&content, both.within(640).unwrap()).unwrap().len(), 32);
        // Narrower frames carry less; below 120 bytes a STATE frame carries nothing.
        let narrow = state_shape().within(120).unwrap();
        assert_eq!(event_max(narrow), 320);
        assert_eq!(Pieces::of_event(&content[..320], narrow).unwrap().len(), 32);
        assert_eq!(Pieces::of_event(&content[..321], narrow).err(), Some(TooLarge));
        assert_eq!(Pieces::of_event(&[], state_shape().within(80).unwrap()).err(), Some(TooLarge));
    }

    #[test]
    fn pieces_put_together_are_the_content_and_all_but_the_last_are_full() {
        let content: Vec<_> = (0..5_000).map(|byte| byte as u8).collect();
        for len in (0..5_000).step_by(37).chain([1_150, 1_151, 2_300, 2_301]) {
            let pieces: Vec<_> =
                Pieces::of_media(&content[..len], stream_shape()).unwrap().collect();
            let whole: Vec<_> = pieces.iter().flat_map(|piece| piece.content).copied().collect();
            assert_eq!(whole, content[..len]);
            for (number, piece) in pieces.iter().enumerate() {
                assert_eq!((piece.number, piece.count), (number, pieces.len()));
                assert!(piece.content.len() == 1_150 || number + 1 == pieces.len());
            }
        }
    }

    #[test]
    fn first_and_last_and_index_say_where_a_piece_belongs() {
        let stream = Stream { index: 7.into(), bits: bits::KEY | bits::LAST, ..PIECE };
        let content = vec![1; 3 * 1_150];
        let pieces = Pieces::of_media(&content, stream_shape()).unwrap();
        let said: Vec<_> = pieces
            .map(|piece| piece.stream(stream))
            .map(|stream| (stream.bits, stream.index.get()))
            .collect();
        assert_eq!(
            said,
            [(bits::KEY | bits::FIRST, 7), (bits::KEY, 8), (bits::KEY | bits::LAST, 9)]
        );
        let alone = Pieces::of_media(&[], stream_shape()).unwrap().next().unwrap();
        assert_eq!(alone.stream(stream).bits, bits::KEY | bits::FIRST | bits::LAST);
        let parts = Pieces::of_event(&content, state_shape()).unwrap();
        let said: Vec<_> = parts.map(|part| part.state(ATOM)).collect();
        assert!(said.iter().all(|state| state.check().is_ok() && state.parts == 4));
        assert_eq!(said.iter().map(|state| state.part).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_media_frame_ends_where_the_cache_does() {
        let content = vec![0; MEDIA_CONTENT_MAX + 1];
        let most = &content[..MEDIA_CONTENT_MAX];
        assert_eq!(Pieces::of_media(most, stream_shape()).unwrap().len(), 456);
        assert_eq!(Pieces::of_media(&content, stream_shape()).err(), Some(TooLarge));
        assert_eq!(Pieces::of_media(&[], stream_shape().within(80).unwrap()).err(), Some(TooLarge));
    }
}
