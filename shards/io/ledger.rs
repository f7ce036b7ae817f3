//! The accounts of a back end's sends: what was queued, and what came back refused.

use super::Port;
use super::refusals::Refusals;
use crate::counters::{Egress, Reason, Refusal};

/// Whatever was queued and not refused has been sent. Holds between cycles; a refusal is booked when the
/// kernel tells.
#[derive(Debug)]
pub(super) struct Ledger {
    queued: u64,
    bytes: u64,
    busy: u64,
    failed: u64,
    /// Some device has refused to cut what the shard's own socket sent.
    uncut: bool,
    /// The same of relay sockets: where those send to, strangers choose.
    uncut_relayed: bool,
    refusals: Refusals,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            queued: 0,
            bytes: 0,
            busy: 0,
            failed: 0,
            uncut: false,
            uncut_relayed: false,
            refusals: Refusals::new(),
        }
    }

    /// Books a send as sent, until it is refused.
    #[inline]
    pub(super) const fn queue(&mut self, send: &Refusal) {
        self.queued += send.datagrams as u64;
        self.bytes += send.bytes as u64;
    }

    pub(super) fn refuse(&mut self, port: Port, send: Refusal, why: Reason) {
        self.bytes = self.bytes.saturating_sub(u64::from(send.bytes));
        match why {
            Reason::Busy => self.busy += u64::from(send.datagrams),
            Reason::Failed | Reason::Uncut => self.failed += u64::from(send.datagrams),
        }
        let uncut = if port == Port::DATA { &mut self.uncut } else { &mut self.uncut_relayed };
        *uncut |= why == Reason::Uncut && send.datagrams > 1;
        self.refusals.push(send);
    }

    /// Whether the kernel can be asked to cut what `port` sends. Once a device could not, the back end cuts
    /// itself: one send for each datagram, which costs more and arrives.
    #[inline]
    pub(super) fn cuts(&self, port: Port) -> bool {
        if port == Port::DATA { !self.uncut } else { !self.uncut_relayed }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_that_cannot_cut_is_enough_for_the_kind_of_socket_it_hit() {
        const RELAY: Port = Port(7);
        for (port, other) in [(Port::DATA, RELAY), (RELAY, Port::DATA)] {
            let mut ledger = Ledger::new();
            for (datagrams, why) in [(1, Reason::Uncut), (9, Reason::Busy), (9, Reason::Failed)] {
                ledger.refuse(port, Refusal { tag: 0, datagrams, bytes: 9 }, why);
                assert!(ledger.cuts(port), "{why:?}");
            }
            ledger.refuse(port, Refusal { tag: 0, datagrams: 2, bytes: 9 }, Reason::Uncut);
            assert!(!ledger.cuts(port) && ledger.cuts(other));
            assert_eq!((ledger.egress().busy, ledger.egress().failed), (9, 12));
        }
    }
}
