//! Frames whose author the roster does not name yet: they wait half a second, and then go.
//!
//! A newcomer's first frames may overtake the roster's line about it, and so may the first ones
//! of a new connection.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::ids::NodeId;
use crate::limits::{UNKNOWN_FRAMES_FOR, UNKNOWN_FRAMES_MAX, UNKNOWN_FRAMES_PER_NODE};
use crate::time::Instant;

/// The frames that wait, the oldest first; their bytes are bounded by their number.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    frames: VecDeque<Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    until: Instant,
    node: NodeId,
    pub(super) frame: Vec<u8>,
}

impl Unknown {
    /// Keeps a copy of a frame that says it is of `node`; `false` when there is no room.
    pub(super) fn keep(&mut self, node: NodeId, frame: &[u8], now: Instant) -> bool {
        let of_node = self.frames.iter().filter(|waiting| waiting.node == node).count();
        let fits = self.frames.len() < UNKNOWN_FRAMES_MAX && of_node < UNKNOWN_FRAMES_PER_NODE;
        if fits {
            let frame = frame.to_vec();
            self.frames.push_back(Waiting { until: now + UNKNOWN_FRAMES_FOR, node, frame });
        }
        fits
    }

    /// Takes all frames out, to be tried again.
    pub(super) fn take(&mut self) -> VecDeque<Waiting> {
        core::mem::take(&mut self.frames)
    }

    /// Puts back what was taken out and still has no author.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.frames.push_back(waiting);
    }

    /// When the oldest goes.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.frames.front().map(|waiting| waiting.until)
    }

    /// Drops what has waited long enough; how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.frames.len();
        self.frames.retain(|waiting| now < waiting.until);
        (before - self.frames.len()) as u64
    }
}
