//! What the kernel has to say: one completion, read.

use elara_core::ClientAddr;

use crate::counters::{Reason, Refusal};

/// One thing the kernel has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// A message, in a buffer the caller owns until it is recycled.
    Received {
        /// Which socket it came to.
        slot: u16,
        /// The buffer.
        buffer: u16,
        /// Where in it the payload begins.
        start: u32,
        /// How long the payload is.
        len: u16,
        /// Who sent it.
        from: ClientAddr,
        /// Bytes of each datagram in it; 0 when the whole is one.
        segment: u16,
        /// The buffer was too short for it.
        truncated: bool,
    },
    /// A buffer that came back with nothing in it that can be used: recycle it.
    Spoiled {
        /// The buffer.
        buffer: u16,
    },
    /// Receiving on a socket has ended: [`owe`](super::Ring::owe) it, recycle, and
    /// [`arm`](super::Ring::arm).
    Ended {
        /// The socket.
        slot: u16,
        /// Why, as an errno; `None` when no buffer was free.
        error: Option<i32>,
    },
    /// The bell has rung.
    Woken,
    /// A send was refused.
    Refused {
        /// From which socket.
        slot: u16,
        /// What it carried, and its tag.
        send: Refusal,
        /// Why.
        why: Reason,
    },
    /// Something between ring and kernel.
    Internal,
}
