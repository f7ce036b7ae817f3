//! Frames that leave together: neighbours in a receive buffer, of one length, for the same receivers.
//!
//! ```text
//!   received train:  | frame | frame | frame | frame | fr |       one buffer, cut every `segment` bytes
//!   run:             |<----------- slice ------------>|<->|       the last may be shorter, and ends it
//!   to each receiver: one send of the slice, which the kernel cuts again (UDP_SEGMENT)
//! ```
//! A send costs some two microseconds whatever it carries, a further segment some hundred nanoseconds: so
//! a sender's burst leaves as it came. Nothing waits for a run to grow; it ends with its train.

use elara_core::limits::{DATAGRAM_MAX, SEGMENTS_MAX, TAG_LEN, V1_FRAME_MAX};

use crate::io::Slice;

/// Neighbouring frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    slice: Slice,
    /// Bytes of each frame but perhaps the last.
    segment: u16,
    frames: u16,
}

impl Run {
    /// One frame.
    pub(crate) const fn of(frame: Slice) -> Self {
        Self { slice: frame, segment: frame.len, frames: 1 }
    }

    /// Takes `frame` in, if it is the next; false, and nothing changed, if it is not.
    #[inline]
    pub(crate) fn extend(&mut self, frame: Slice) -> bool {
        let whole = self.slice.len() == usize::from(self.segment) * usize::from(self.frames);
        let next = self.slice.is_before(&frame);
        let fits = self.slice.len() + frame.len() <= DATAGRAM_MAX
            && usize::from(self.frames) < SEGMENTS_MAX;
        let joins = whole && next && fits && 0 < frame.len && frame.len <= self.segment;
        if joins {
            self.slice.len += frame.len;
            self.frames += 1;
        }
        joins
    }

    /// The bytes of all of them.
    pub(crate) const fn slice(&self) -> Slice {
        self.slice
    }

    /// How many there are.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames as u64
    }

    /// Bytes of each of them but perhaps the last.
    pub(crate) const fn frame_len(&self) -> u16 {
        self.segment
    }

    /// Each of them.
    #[inline]
    pub(crate) fn each(&self) -> impl Iterator<Item = Slice> + use<> {
        let (whole, step) = (self.slice, self.segment);
        (0..self.frames).map(move |index| {
            let offset = index * step;
            Slice {
                len: step.min(whole.len - offset),
                start: whole.start + u32::from(offset),
                ..whole
            }
        })
    }

    /// Where the kernel is to cut; 0 when there is one frame.
    pub(crate) const fn segment(&self) -> u16 {
        if self.frames > 1 { self.segment } else { 0 }
    }
}

/// The wrapping sum of the last eight bytes of each frame, which are half of its tag.
pub(crate) fn digest(frames: &[u8], segment: u16) -> u64 {
    const { assert!(TAG_LEN >= 8 && V1_FRAME_MAX > TAG_LEN) };
    let len = if segment == 0 { frames.len() } else { usize::from(segment) };
    let tails = frames.chunks(len.max(1)).filter_map(|frame| frame.last_chunk());
    tails.fold(0, |sum, tail| sum.wrapping_add(u64::from_le_bytes(*tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(start: u32, len: u16) -> Slice {
        Slice { buffer: 3, len, start }
    }

    #[test]
    fn equal_neighbours_join_and_a_shorter_one_is_the_last() {
        let mut run = Run::of(frame(100, 50));
        assert_eq!((run.frames(), run.segment()), (1, 0));
        assert!(run.extend(frame(150, 50)) && run.extend(frame(200, 20)));
        assert_eq!((run.frames(), run.segment(), run.slice()), (3, 50, frame(100, 120)));
        assert!(!run.extend(frame(220, 20)) && !run.extend(frame(220, 50)));
    }

    #[test]
    fn what_is_longer_empty_or_elsewhere_does_not_join() {
        let run = Run::of(frame(100, 50));
        let joins = |frame| Run { ..run }.extend(frame);
        assert!(!joins(frame(150, 51)) && !joins(frame(151, 50)) && !joins(frame(150, 0)));
        assert!(!joins(Slice { buffer: 4, ..frame(150, 50) }));
        assert!(joins(frame(150, 50)));
    }

    #[test]
    fn a_run_is_no_longer_than_the_kernel_takes() {
        let mut run = Run::of(frame(0, 10));
        let joined = (1..100).filter(|n| run.extend(frame(n * 10, 10))).count();
        assert_eq!(joined + 1, SEGMENTS_MAX);
        let mut run = Run::of(frame(0, 1_400));
        let joined = (1..100).filter(|n| run.extend(frame(n * 1_400, 1_400))).count();
        assert_eq!(joined + 1, DATAGRAM_MAX / 1_400);
    }
}
