//! The opened body, and how long a frame is: nine lengths, so that size tells little and equal
//! frames gather into one send.
//!
//! ```text
//!  | kind u8 | content | 80 | 00 .. |      fills the frame up to its tags
//! ```
//! The last byte that is not zero is the 80; so content may end in anything, and one body has one
//! meaning. [`Shape`] knows what fits where:
//!
//! | frame | no TLVs | STREAM | STATE | both |
//! |---|---|---|---|---|
//! | 80 | 12 | - | - | - |
//! | 120 | 52 | 38 | 10 | - |
//! | 160 | 92 | 78 | 50 | 36 |
//! | 240 | 172 | 158 | 130 | 116 |
//! | 320 | 252 | 238 | 210 | 196 |
//! | 480 | 412 | 398 | 370 | 356 |
//! | 640 | 572 | 558 | 530 | 516 |
//! | 960 | 892 | 878 | 850 | 836 |
//! | 1,232 | 1,164 | 1,150 | 1,122 | 1,108 |

use super::tlv::Tlvs;
use crate::limits::{V1_OVERHEAD, V1_PADDED};
use crate::wire::writer::NoRoom;

/// Ends the content.
const END: u8 = 0x80;
/// Bytes of kind and end mark.
const MARKS_LEN: usize = 2;

/// What a body contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BodyKind {
    /// An event with its proof, or a part of one.
    Event = 1,
    /// A frame of a stream, or a piece of one.
    Media = 2,
}

/// Why an opened body means nothing. Its seal held, so its author wrote it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyFault {
    /// No 80 stands before the zeros at the end.
    NoEnd,
    /// The kind is neither 1 nor 2.
    Kind,
}

/// An opened body, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// What it contains.
    pub kind: BodyKind,
    /// The content.
    pub content: &'a [u8],
}

impl<'a> Opened<'a> {
    /// The meaning of `body`.
    ///
    /// # Errors
    /// [`BodyFault::NoEnd`] when no end mark stands behind a kind, [`BodyFault::Kind`].
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyFault> {
        let end = body.iter().rposition(|byte| *byte != 0).ok_or(BodyFault::NoEnd)?;
        match &body[..=end] {
            [kind, content @ .., END] => {
                let kind = match kind {
                    1 => BodyKind::Event,
                    2 => BodyKind::Media,
                    _ => return Err(BodyFault::Kind),
                };
                Ok(Self { kind, content })
            }
            _ => Err(BodyFault::NoEnd),
        }
    }

    /// Fills `body` to its last byte.
    ///
    /// # Errors
    /// [`NoRoom`] when kind, content and end mark are longer than `body`.
    pub fn fill(&self, body: &mut [u8]) -> Result<(), NoRoom> {
        let (first, rest) = body.split_first_mut().ok_or(NoRoom)?;
        let (content, rest) = rest.split_at_mut_checked(self.content.len()).ok_or(NoRoom)?;
        let (end, zeros) = rest.split_first_mut().ok_or(NoRoom)?;
        *first = self.kind as u8;
        content.copy_from_slice(self.content);
        *end = END;
        zeros.fill(0);
        Ok(())
    }
}

/// Which TLVs a frame has and how long it may be: what decides how much content fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Bytes of a frame that are neither content nor padding.
    spent: usize,
    /// The largest padded length allowed; an index into [`V1_PADDED`].
    largest: usize,
}

impl Shape {
    /// Frames with `tlvs`, up to 1,232 bytes.
    #[must_use]
    pub const fn of(tlvs: &Tlvs<'_>) -> Self {
        Self { spent: V1_OVERHEAD + tlvs.encoded_len() + MARKS_LEN, largest: V1_PADDED.len() - 1 }
    }

    /// The same, in frames of at most `frame_max` bytes, as a relay's WELCOME may wish. Below 80
    /// there are no frames at all: `None`.
    #[must_use]
    pub fn within(self, frame_max: usize) -> Option<Self> {
        let lengths = V1_PADDED.iter().filter(|len| **len <= frame_max).count();
        Some(Self { largest: self.largest.min(lengths.checked_sub(1)?), ..self })
    }

    /// The largest content one frame takes; `None` when even an empty one does not fit.
    #[must_use]
    pub const fn content_max(&self) -> Option<usize> {
        V1_PADDED[self.largest].checked_sub(self.spent)
    }

    /// The length of the frame that takes `content_len` bytes of content: the smallest that does.
    /// `None` when none does; cut it, see [`split`](super::split).
    #[must_use]
    pub fn frame_len(&self, content_len: usize) -> Option<usize> {
        let wanted = content_len.checked_add(self.spent)?;
        V1_PADDED[..=self.largest].iter().copied().find(|len| wanted <= *len)
    }
}

/// Whether `frame_len` is one of the nine.
#[must_use]
pub fn is_padded_len(frame_len: usize) -> bool {
    V1_PADDED.binary_search(&frame_len).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::tlv::tests::{ATOM, PIECE};
    use super::*;
    use crate::limits::V1_FRAME_MAX;

    fn shapes() -> [Shape; 4] {
        let (stream, state) = (Some(&PIECE), Some(&ATOM));
        [(None, None), (stream, None), (None, state), (stream, state)]
            .map(|(stream, state)| Shape::of(&Tlvs { stream, state }))
    }

    #[test]
    fn the_table_above_is_true() {
        let table =
            include_str!("body.rs").lines().skip_while(|line| *line != "//! |---|---|---|---|---|");
        let mut rows = 0;
        for row in table.skip(1).map_while(|line| line.strip_prefix("//! | ")) {
            let mut cells = row.split('|').map(|cell| cell.trim().replace(',', ""));
            let frame_len: usize = cells.next().unwrap().parse().unwrap();
            assert_eq!(frame_len, V1_PADDED[rows]);
            for (shape, cell) in shapes().into_iter().zip(cells) {
                let most = shape.within(frame_len).unwrap().content_max();
                assert_eq!(most, cell.parse().ok(), "{row}");
                if let Some(most) = most {
                    assert_eq!(shape.frame_len(most), Some(frame_len));
                    assert_ne!(shape.frame_len(most + 1), Some(frame_len));
                }
            }
            rows += 1;
        }
        assert_eq!(rows, V1_PADDED.len());
    }

    #[test]
    fn a_frame_is_the_smallest_that_takes_its_content() {
        for shape in shapes() {
            let most = shape.content_max().unwrap();
            for content in 0..=most {
                let len = shape.frame_len(content).unwrap();
                assert!(is_padded_len(len) && len >= content + shape.spent);
                let smaller = V1_PADDED.iter().rev().find(|smaller| **smaller < len);
                assert!(smaller.is_none_or(|smaller| *smaller < content + shape.spent));
            }
            assert_eq!(shape.frame_len(most), Some(V1_FRAME_MAX));
            assert_eq!((shape.frame_len(most + 1), shape.frame_len(usize::MAX)), (None, None));
        }
    }

    #[test]
    fn a_narrower_path_has_fewer_lengths() {
        let plain = Shape::of(&Tlvs::EMPTY);
        assert_eq!(plain.within(79), None);
        assert_eq!(plain.within(80).unwrap().content_max(), Some(12));
        assert_eq!(plain.within(1_231).unwrap().content_max(), Some(892));
        assert_eq!(plain.within(65_535), Some(plain));
        let narrow = plain.within(320).unwrap();
        assert_eq!((narrow.within(960), narrow.frame_len(253)), (Some(narrow), None));
    }

    #[test]
    fn one_body_has_one_meaning_whatever_its_content_ends_in() {
        for content in [&[][..], &[0], &[0x80], &[0x80, 0], &[1, 0x80, 0x80, 0, 0]] {
            let opened = Opened { kind: BodyKind::Event, content };
            for len in 0..20 {
                let mut body = [0xEE; 20];
                let filled = opened.fill(&mut body[..len]);
                assert_eq!(filled.is_ok(), len >= content.len() + 2);
                if filled.is_ok() {
                    assert_eq!(Opened::parse(&body[..len]), Ok(opened));
                }
                assert_eq!(body[len..], [0xEE; 20][len..]);
            }
        }
    }

    #[test]
    fn what_has_no_end_mark_means_nothing() {
        for body in [&[][..], &[0], &[0; 40], &[1], &[0x80], &[0x80, 0, 0], &[1, 2, 0x81, 0]] {
            assert_eq!(Opened::parse(body), Err(BodyFault::NoEnd), "{body:?}");
        }
        for kind in [0, 3, 0x80, 0xFF] {
            assert_eq!(Opened::parse(&[kind, 5, 0x80, 0]), Err(BodyFault::Kind));
        }
    }
}
