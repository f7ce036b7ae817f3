//! What the senders have sent: the whole frames, for as long as one may still arrive.
//!
//! A relay passes frames of wire v1 on as they are, so a receiver need not open one to know that it is
//! genuine: it is if it is the same, byte for byte, as what was sent. That also says when it was due.
//! All memory is taken, and touched, at the start.

/// A ring of frames for each sender.
pub(crate) struct Sent {
    size: usize,
    /// Frames in a ring, less one: a power of two less one.
    mask: u64,
    frames: Box<[u8]>,
    /// When the frame was due, and its number plus one; 0 for none.
    notes: Box<[(u64, u64)]>,
}

/// What is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// The frame, and when it was due.
    Frame(&'a [u8], u64),
    /// It was sent too long ago.
    Forgotten,
    /// It was not sent.
    Unsent,
}

impl Sent {
    /// Rings of `keep` frames of `size` bytes for `senders` senders.
    pub(crate) fn new(senders: usize, keep: u64, size: usize) -> Self {
        assert!(keep.is_power_of_two(), "a ring is indexed by a mask");
        let slots = senders * keep as usize;
        // Not zero: pages that are written here are not first met while the clock runs.
        let frames = vec![0xA5; slots * size].into_boxed_slice();
        Self { size, mask: keep - 1, frames, notes: vec![(0, 0); slots].into_boxed_slice() }
    }

    /// Keeps a frame.
    #[inline]
    pub(crate) fn keep(&mut self, sender: usize, sequence: u32, scheduled: u64, frame: &[u8]) {
        let slot = self.slot(sender, sequence);
        self.notes[slot] = (scheduled, u64::from(sequence) + 1);
        self.frames[slot * self.size..][..self.size].copy_from_slice(frame);
    }

    /// What is known of frame number `sequence` of `sender`.
    #[inline]
    pub(crate) fn find(&self, sender: usize, sequence: u32) -> Known<'_> {
        let slot = self.slot(sender, sequence);
        let (scheduled, number) = self.notes[slot];
        let asked = u64::from(sequence) + 1;
        if number == asked {
            Known::Frame(&self.frames[slot * self.size..][..self.size], scheduled)
        } else if number > asked {
            Known::Forgotten
        } else {
            Known::Unsent
        }
    }

    const fn slot(&self, sender: usize, sequence: u32) -> usize {
        sender * (self.mask as usize + 1) + (sequence as u64 & self.mask) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_until_its_place_is_needed() {
        let mut sent = Sent::new(2, 4, 3);
        assert_eq!(sent.find(1, 0), Known::Unsent);
        for sequence in 0..5 {
            sent.keep(1, sequence, 100 + u64::from(sequence), &[sequence as u8; 3]);
        }
        assert_eq!(sent.find(1, 0), Known::Forgotten);
        assert_eq!(sent.find(1, 1), Known::Frame(&[1; 3], 101));
        assert_eq!(sent.find(1, 4), Known::Frame(&[4; 3], 104));
        assert_eq!((sent.find(1, 5), sent.find(0, 1)), (Known::Unsent, Known::Unsent));
    }
}
