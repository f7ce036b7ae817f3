//! Frames whose author the roster does not name yet: they wait half a second, and then go.
//!
//! A newcomer's first frames may overtake the roster's line about it, and so may the first ones
//! of a new connection.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::limits::{UNKNOWN_FRAMES_FOR, UNKNOWN_FRAMES_MAX};
use crate::time::Instant;

/// The frames that wait, the oldest first; their bytes are bounded by their number.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    frames: VecDeque<(Instant, Vec<u8>)>,
}

impl Unknown {
    /// Keeps a copy of `frame`; `false` when there is no room.
    pub(super) fn keep(&mut self, frame: &[u8], now: Instant) -> bool {
        let fits = self.frames.len() < UNKNOWN_FRAMES_MAX;
        if fits {
            self.frames.push_back((now + UNKNOWN_FRAMES_FOR, frame.to_vec()));
        }
        fits
    }

    /// Takes all frames out, to be tried again.
    pub(super) fn take(&mut self) -> VecDeque<(Instant, Vec<u8>)> {
        core::mem::take(&mut self.frames)
    }

    /// Puts back what was taken out and still has no author.
    pub(super) fn put_back(&mut self, frame: (Instant, Vec<u8>)) {
        self.frames.push_back(frame);
    }

    /// When the oldest goes.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.frames.front().map(|(until, _)| *until)
    }

    /// Drops what has waited long enough; how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.frames.len();
        self.frames.retain(|(until, _)| now < *until);
        (before - self.frames.len()) as u64
    }
}
