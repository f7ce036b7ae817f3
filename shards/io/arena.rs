//! Datagrams of the shard's own making, kept until the sends that carry them are handed over.

use elara_core::limits::{RECEIVE_BUFFERS, SEND_ARENA};

use super::Slice;

/// The buffer number of slices that lie in an arena.
const ARENA: u16 = u16::MAX;

const _: () = assert!(RECEIVE_BUFFERS < ARENA as usize);

/// `limits::SEND_ARENA` bytes, filled from the front and emptied at once.
pub(super) struct Arena(Vec<u8>);

impl Arena {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(SEND_ARENA))
    }

    /// Copies `bytes`; the slice is good until [`Arena::clear`]. `None` when there is no room for them.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Option<Slice> {
        let start = self.0.len();
        if start + bytes.len() > SEND_ARENA {
            return None;
        }
        let len = u16::try_from(bytes.len()).ok()?;
        self.0.extend_from_slice(bytes);
        Some(Slice { buffer: ARENA, len, start: start as u32 })
    }

    /// The bytes of a slice; `None` when it lies in a receive buffer.
    #[inline]
    pub(super) fn bytes(&self, slice: Slice) -> Option<&[u8]> {
        let start = slice.start as usize;
        (slice.buffer == ARENA).then(|| &self.0[start..start + slice.len()])
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_the_same_until_it_is_cleared() {
        let mut arena = Arena::new();
        let (one, two) = (arena.keep(b"one").unwrap(), arena.keep(b"two").unwrap());
        assert_eq!((arena.bytes(one), arena.bytes(two)), (Some(&b"one"[..]), Some(&b"two"[..])));
        assert_eq!(arena.bytes(Slice { buffer: 3, len: 1, start: 0 }), None);
        arena.clear();
        assert_eq!(arena.keep(b"three").unwrap().start, 0);
    }

    #[test]
    fn an_arena_is_full_to_the_last_byte_and_no_further() {
        let mut arena = Arena::new();
        for _ in 0..SEND_ARENA / 1_024 - 1 {
            arena.keep(&[1; 1_024]).unwrap();
        }
        assert!(arena.keep(&[2; 1_025]).is_none());
        assert!(arena.keep(&[2; 1_024]).is_some());
        assert!(arena.keep(&[3]).is_none());
        assert!(arena.keep(&[]).is_some(), "nothing always fits");
    }
}
