//! Which of the buffers that outlive a cycle are in use.

use elara_core::limits::LASTING_BUFFERS;

/// Numbers from a first one on. What is released can be reserved again when its sends have left.
pub(super) struct Lasting {
    free: Vec<u16>,
    released: Vec<u16>,
}

impl Lasting {
    /// All are free; the first is called `first`.
    pub(super) fn new(first: u16) -> Self {
        let all = first..first + LASTING_BUFFERS as u16;
        Self { free: all.rev().collect(), released: Vec::with_capacity(LASTING_BUFFERS) }
    }

    pub(super) fn reserve(&mut self) -> Option<u16> {
        self.free.pop()
    }

    pub(super) fn release(&mut self, buffer: u16) {
        debug_assert!(!self.free.contains(&buffer) && !self.released.contains(&buffer));
        self.released.push(buffer);
    }

    /// Everything that was queued has left.
    #[inline]
    pub(super) fn settle(&mut self) {
        self.free.append(&mut self.released);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_free_again_when_its_sends_have_left() {
        let mut lasting = Lasting::new(100);
        let all: Vec<u16> = std::iter::from_fn(|| lasting.reserve()).collect();
        assert_eq!(all.len(), LASTING_BUFFERS);
        assert_eq!((all[0], lasting.reserve()), (100, None));
        lasting.release(107);
        assert_eq!(lasting.reserve(), None);
        lasting.settle();
        assert_eq!((lasting.reserve(), lasting.reserve()), (Some(107), None));
    }
}
