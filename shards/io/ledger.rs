//! The accounts of a back end's sends: what was queued, and what came back refused.

use crate::counters::Egress;

/// Whatever was queued and not refused has been sent. Holds between cycles; a refusal is booked when the
/// kernel tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    queued: u64,
    bytes: u64,
    busy: u64,
    failed: u64,
}

impl Ledger {
    #[inline]
    pub(super) const fn queue(&mut self, datagrams: u64, bytes: u64) {
        self.queued += datagrams;
        self.bytes += bytes;
    }

    pub(super) const fn refuse(&mut self, datagrams: u64, bytes: u64, busy: bool) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if busy {
            self.busy += datagrams;
        } else {
            self.failed += datagrams;
        }
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

/// How many datagrams `bytes` bytes make when cut every `segment` bytes (0: not at all).
#[inline]
pub(super) const fn datagrams(bytes: usize, segment: u16) -> u64 {
    match segment {
        0 => 1,
        _ if bytes == 0 => 1,
        _ => bytes.div_ceil(segment as usize) as u64,
    }
}
