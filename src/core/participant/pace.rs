//! How fast published frames leave: as fast as the relay grants, so that it drops none.
//!
//! The generic cell rate algorithm, as relays meter: `due` is when everything sent so far would have left
//! at the granted rate, and the next datagram may leave when that is less than a burst ahead.
//! Control counts and never waits; however much of it there is, a published frame waits for one of it at
//! most.

use crate::crypto::handshake::Terms;
use crate::limits::PACE_BURST;
use crate::time::{Instant, Span};

/// Two meters: bytes and datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    bytes_due: Instant,
    datagrams_due: Instant,
}

impl Pace {
    /// When the next datagram may leave.
    pub(super) fn ready(&self) -> Instant {
        self.bytes_due.max(self.datagrams_due) - PACE_BURST
    }

    /// A published datagram leaves. Rates of 0 are no limits.
    pub(super) fn spend(&mut self, len: usize, terms: &Terms, now: Instant) {
        let (bytes, datagram) = costs(len, terms);
        self.bytes_due = self.bytes_due.max(now) + bytes;
        self.datagrams_due = self.datagrams_due.max(now) + datagram;
    }

    /// Another datagram leaves.
    pub(super) fn spend_control(&mut self, len: usize, terms: &Terms, now: Instant) {
        let (bytes, datagram) = costs(len, terms);
        let spent = |due: Instant, cost: Span| {
            let most = now + PACE_BURST + cost;
            due.max((due.max(now) + cost).min(most))
        };
        self.bytes_due = spent(self.bytes_due, bytes);
        self.datagrams_due = spent(self.datagrams_due, datagram);
    }
}

/// What a datagram of `len` costs of each meter.
fn costs(len: usize, terms: &Terms) -> (Span, Span) {
    // 8 bits a byte, 1,000,000 ns a kbit/s.
    let bytes = (len as u64 * 8_000_000).checked_div(terms.max_kbps.into()).unwrap_or(0);
    let datagram = 1_000_000_000_u64.checked_div(terms.max_pps.into()).unwrap_or(0);
    (Span::from_nanos(bytes), Span::from_nanos(datagram))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientAddr;

    fn terms(max_kbps: u32, max_pps: u32) -> Terms {
        Terms {
            max_frame: 1_232,
            idle_s: 1,
            ping_ms: 1,
            max_kbps,
            max_pps,
            observed: ClientAddr::new([0; 16], 0, 0),
            relay_clock_us: 0,
            roster_version: 0,
        }
    }

    fn sent_in_a_second(max_kbps: u32, max_pps: u32, len: usize) -> usize {
        let terms = terms(max_kbps, max_pps);
        let (mut pace, mut sent) = (Pace::default(), 0);
        for us in 0..1_000_000 {
            let now = Instant::from_nanos(1_000_000_000) + Span::from_micros(us);
            if pace.ready() <= now {
                pace.spend(len, &terms, now);
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn what_leaves_is_the_granted_rate_and_a_burst() {
        // 4,000 kbit/s are 500 datagrams of 1,000 bytes, and 5 at once.
        assert_eq!(sent_in_a_second(4_000, 0, 1_000), 505);
        assert_eq!(sent_in_a_second(0, 200, 1_000), 202);
        assert_eq!(sent_in_a_second(0, 0, 1_000), 1_000_000);
    }

    #[test]
    fn control_above_the_rate_does_not_starve_what_is_published() {
        let (terms, mut pace) = (terms(0, 2), Pace::default());
        let at = |ms| Instant::from_nanos(1_000_000_000) + Span::from_millis(ms);
        // Ten a second for a minute, where two are granted.
        (0..600).for_each(|n| pace.spend_control(80, &terms, at(n * 100)));
        assert_eq!(pace.ready(), at(59_900 + 500));
    }
}
