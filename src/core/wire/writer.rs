//! Bytes going out: a cursor over the caller's buffer that checks every step.
//!
//! The encoders of this module's siblings share it. A failed step writes nothing of its own bytes;
//! what earlier steps wrote stays in the buffer and means nothing.

/// What was to be written does not fit: the buffer is too short, or a length is too large for its
/// field. The caller must split its content or bring a longer buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoRoom;

/// How far a buffer has been filled, and where it must stop.
#[derive(Debug)]
pub(super) struct Writer<'b> {
    out: &'b mut [u8],
    len: usize,
    /// At most `out.len()`.
    limit: usize,
}

impl<'b> Writer<'b> {
    pub(super) const fn new(out: &'b mut [u8]) -> Self {
        let limit = out.len();
        Self { out, len: 0, limit }
    }

    /// A writer that stops `tail` bytes before the end of `out` until [`Self::finish`].
    pub(super) fn leaving(out: &'b mut [u8], tail: usize) -> Result<Self, NoRoom> {
        let limit = out.len().checked_sub(tail).ok_or(NoRoom)?;
        Ok(Self { out, len: 0, limit })
    }

    /// Bytes written.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends `bytes`.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let room = &mut self.out[self.len..self.limit];
        room.get_mut(..bytes.len()).ok_or(NoRoom)?.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    /// Appends the length of `bytes` as a u16, then `bytes`.
    pub(super) fn put_with_len16(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let len = u16::try_from(bytes.len()).map_err(|_| NoRoom)?;
        self.put(&len.to_le_bytes())?;
        self.put(bytes)
    }

    /// Appends the tail that room was left for, and returns all bytes written.
    pub(super) fn finish(self, tail: &[u8]) -> &'b mut [u8] {
        let end = self.len + tail.len();
        assert!(end - self.len <= self.out.len() - self.limit, "the tail is longer than its room");
        self.out[self.len..end].copy_from_slice(tail);
        &mut self.out[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_step_that_does_not_fit_moves_nothing() {
        let mut out = [0; 4];
        let mut writer = Writer::new(&mut out);
        assert_eq!(writer.put(&[1, 2, 3]), Ok(()));
        assert_eq!(writer.put(&[4, 5]), Err(NoRoom));
        assert_eq!((writer.len(), writer.put(&[6])), (3, Ok(())));
        assert_eq!(out, [1, 2, 3, 6]);
    }

    #[test]
    fn the_tail_finds_its_room_even_in_a_full_buffer() {
        let mut out = [0; 5];
        assert_eq!(Writer::leaving(&mut out, 6).err(), Some(NoRoom));
        let mut writer = Writer::leaving(&mut out, 2).unwrap();
        assert_eq!((writer.put(&[1, 2, 3]), writer.put(&[4])), (Ok(()), Err(NoRoom)));
        assert_eq!(writer.finish(&[8, 9]), [1, 2, 3, 8, 9]);
    }

    #[test]
    fn a_length_wider_than_its_field_is_refused() {
        let mut out = vec![0; 70_000];
        let content = vec![7; 65_536];
        assert_eq!(Writer::new(&mut out).put_with_len16(&content), Err(NoRoom));
        assert_eq!(Writer::new(&mut out).put_with_len16(&content[1..]), Ok(()));
        assert_eq!(out[..3], [0xFF, 0xFF, 7]);
    }
}
