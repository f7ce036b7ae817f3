//! The accounts of a back end's sends: what was queued, and what came back refused.

use super::refusals::Refusals;
use crate::counters::{Egress, Refusal};

/// Whatever was queued and not refused has been sent. Holds between cycles; a refusal is booked when the
/// kernel tells.
#[derive(Debug)]
pub(super) struct Ledger {
    queued: u64,
    bytes: u64,
    busy: u64,
    failed: u64,
    refusals: Refusals,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { queued: 0, bytes: 0, busy: 0, failed: 0, refusals: Refusals::new() }
    }

    /// Books a send as sent, until it is refused.
    #[inline]
    pub(super) const fn queue(&mut self, send: &Refusal) {
        self.queued += send.datagrams as u64;
        self.bytes += send.bytes as u64;
    }

    pub(super) fn refuse(&mut self, send: Refusal, busy: bool) {
        self.bytes = self.bytes.saturating_sub(u64::from(send.bytes));
        if busy {
            self.busy += u64::from(send.datagrams);
        } else {
            self.failed += u64::from(send.datagrams);
        }
        self.refusals.push(send);
    }

    /// The next refusal that is somebody's.
    #[inline]
    pub(super) fn refused(&mut self) -> Option<Refusal> {
        self.refusals.pop()
    }

    pub(super) const fn egress(&self) -> Egress {
        let refused = self.busy + self.failed;
        Egress {
            sent: self.queued.saturating_sub(refused),
            bytes: self.bytes,
            busy: self.busy,
            failed: self.failed,
        }
    }
}

/// What a send of `bytes` bytes, cut every `segment` bytes (0: not at all), is in the books: the refusal
/// it becomes should the kernel not take it.
#[inline]
pub(super) const fn weigh(bytes: usize, segment: u16, tag: u32) -> Refusal {
    let datagrams = match segment {
        0 => 1,
        _ if bytes == 0 => 1,
        _ => bytes.div_ceil(segment as usize),
    };
    Refusal { tag, datagrams: datagrams as u32, bytes: bytes as u32 }
}
