//! Where a shard's notes lie: bytes of its own that leave among others', until the cycle is over.

use elara_core::limits::{LASTING_BUFFER, NOTE_BUFFERS};

/// Buffers from a first one on, filled from the front and emptied at once. The bytes are the back end's.
pub(super) struct Notes {
    first: u16,
    buffer: u16,
    used: usize,
}

impl Notes {
    /// The first of the buffers is called `first`.
    pub(super) const fn new(first: u16) -> Self {
        Self { first, buffer: 0, used: 0 }
    }

    /// A place for so many bytes: in which buffer, and where in it. `None` when there is no room for them.
    #[inline]
    pub(super) const fn place(&mut self, len: usize) -> Option<(u16, usize)> {
        // One without bytes has a place too: a slice of it begins inside its buffer.
        let room = if len == 0 { 1 } else { len };
        let (mut buffer, mut at) = (self.buffer, self.used);
        if at + room > LASTING_BUFFER {
            (buffer, at) = (buffer + 1, 0);
        }
        if buffer as usize >= NOTE_BUFFERS || room > LASTING_BUFFER {
            return None;
        }
        (self.buffer, self.used) = (buffer, at + len);
        Some((self.first + buffer, at))
    }

    /// Everything that was queued has left.
    #[inline]
    pub(super) const fn clear(&mut self) {
        (self.buffer, self.used) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_lie_one_behind_the_other_and_none_in_two_buffers() {
        let mut notes = Notes::new(7);
        assert_eq!((notes.place(4), notes.place(36)), (Some((7, 0)), Some((7, 4))));
        assert_eq!(notes.place(LASTING_BUFFER - 40), Some((7, 40)), "full to the last byte");
        assert_eq!(notes.place(0), Some((8, 0)));
        assert_eq!(notes.place(LASTING_BUFFER - 2), Some((8, 0)));
        assert_eq!(notes.place(4), Some((9, 0)));
        notes.clear();
        assert_eq!(notes.place(1), Some((7, 0)));
    }

    #[test]
    fn when_all_are_full_there_is_no_place_until_they_are_cleared() {
        let mut notes = Notes::new(7);
        assert_eq!(notes.place(LASTING_BUFFER + 1), None);
        for buffer in 0..NOTE_BUFFERS as u16 {
            assert_eq!(notes.place(LASTING_BUFFER), Some((7 + buffer, 0)));
        }
        assert_eq!((notes.place(1), notes.place(0)), (None, None));
        notes.clear();
        assert!(notes.place(1).is_some());
    }
}
