//! How fast someone may go: the generic cell rate algorithm, one number per limit.
//!
//! ```text
//!   due = max(due, now) + cost of this one          allowed while due - now <= tolerance
//! ```
//! `due` is when the next one would be on time if all came evenly; nothing ticks, nothing is refilled.

use elara_core::crypto::Claims;
use elara_core::limits::{Pace, V1_BURST, V1_KBPS_DEFAULT, V1_PPS_DEFAULT};
use elara_core::time::{Instant, Span};

/// One limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    due: Instant,
}

impl Meter {
    /// Nothing has been taken.
    pub(super) const NEW: Self = Self { due: Instant::ZERO };

    /// Takes one within `pace`; false, and nothing taken, when that is too fast.
    pub(super) fn take(&mut self, pace: Pace, now: Instant) -> bool {
        let each = 1_000_000_000 / pace.per_s;
        self.spend(each, Span::from_nanos(each * pace.burst), now)
    }

    /// Whether one could be taken.
    pub(super) fn has(&self, pace: Pace, now: Instant) -> bool {
        Self { ..*self }.take(pace, now)
    }

    fn spend(&mut self, nanos: u64, tolerance: Span, now: Instant) -> bool {
        let due = self.due.max(now) + Span::from_nanos(nanos);
        let allowed = due.since(now) <= tolerance;
        if allowed {
            self.due = due;
        }
        allowed
    }
}

/// What one participant may send: bytes and datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    bytes: Meter,
    datagrams: Meter,
    /// Nanoseconds that 1,024 bytes take.
    per_kib: u64,
    /// Nanoseconds that a datagram takes.
    per_datagram: u32,
}

impl Allowance {
    /// Nobody has granted anything yet.
    pub(super) const NOTHING: Self =
        Self { bytes: Meter::NEW, datagrams: Meter::NEW, per_kib: 0, per_datagram: 0 };

    /// What a token grants, and what has been taken of it before; where the token leaves it to the relay,
    /// the relay's own rates.
    pub(super) fn granted_by(&self, claims: &Claims) -> Self {
        Self {
            // 8 bits a byte, 1,000,000 ns a kbit/s.
            per_kib: 1_024 * 8 * 1_000_000 / u64::from(Self::kbps(claims)),
            per_datagram: 1_000_000_000 / Self::pps(claims),
            ..*self
        }
    }

    /// The rate in kbit/s.
    pub(super) const fn kbps(claims: &Claims) -> u32 {
        if claims.max_kbps == 0 { V1_KBPS_DEFAULT } else { claims.max_kbps }
    }

    /// The rate in datagrams a second.
    pub(super) fn pps(claims: &Claims) -> u32 {
        if claims.max_pps == 0 { V1_PPS_DEFAULT } else { claims.max_pps.into() }
    }

    /// Takes a frame of `bytes` bytes that begins `datagrams` datagrams, 0 or 1; false when that is too
    /// fast. The slowest token still lets the longest frame pass, once in a while.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize, datagrams: u32, now: Instant) -> bool {
        let nanos = (bytes as u64 * self.per_kib) >> 10;
        let each = u64::from(self.per_datagram * datagrams);
        let room = |nanos: u64| Span::from_nanos(nanos.max(V1_BURST.as_nanos()));
        let before = self.datagrams;
        if !self.datagrams.spend(each, room(each), now) {
            return false;
        }
        let taken = self.bytes.spend(nanos, room(nanos), now);
        if !taken {
            self.datagrams = before;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use elara_core::SessionId;
    use elara_core::crypto::{Permissions, Subject};

    use super::*;

    fn claims(max_kbps: u32, max_pps: u16) -> Claims {
        Claims {
            kid: 1,
            session: SessionId(1),
            subject: Subject::Bearer([0; 32]),
            permissions: Permissions::SEND_ALL,
            not_before: 0,
            expires: 1,
            max_kbps,
            max_pps,
            priority: 0,
        }
    }

    /// Datagrams of `bytes` bytes that pass within ten seconds when one is tried every 100 us.
    fn passed(claims: &Claims, bytes: usize) -> u64 {
        let mut allowance = Allowance::NOTHING.granted_by(claims);
        let tries = (0..100_000).map(|n| Instant::ZERO + Span::from_micros(n * 100));
        tries.filter(|now| allowance.take(bytes, 1, *now)).count() as u64
    }

    #[test]
    fn a_rate_is_kept_over_time_and_a_burst_is_forgiven() {
        // 1,000 kbit/s are 125 datagrams of 1,000 bytes a second, and a quarter of a second at once.
        let by_bytes = passed(&claims(1_000, 60_000), 1_000);
        assert!((1_250..=1_250 + 33).contains(&by_bytes), "{by_bytes}");
        let by_count = passed(&claims(1_000_000, 50), 1_000);
        assert!((500..=513).contains(&by_count), "{by_count}");
    }

    #[test]
    fn even_the_slowest_token_lets_a_long_frame_pass_once() {
        let mut allowance = Allowance::NOTHING.granted_by(&claims(1, 1));
        assert!(allowance.take(1_232, 1, Instant::ZERO));
        assert!(!allowance.take(1_232, 1, Instant::ZERO + Span::from_secs(1)));
        assert!(allowance.take(1_232, 1, Instant::ZERO + Span::from_secs(10)));
    }

    #[test]
    fn a_token_that_says_nothing_gets_what_the_relay_gives() {
        let silent = claims(0, 0);
        assert_eq!((Allowance::kbps(&silent), Allowance::pps(&silent)), (50_000, 10_000));
    }

    #[test]
    fn a_pace_is_so_many_at_once_and_so_many_a_second() {
        let (pace, mut meter) = (Pace { per_s: 10, burst: 3 }, Meter::default());
        let at = |ms: u64| Instant::ZERO + Span::from_millis(ms);
        let taken: Vec<bool> = (0..5).map(|_| meter.take(pace, at(0))).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        assert!(!meter.has(pace, at(99)) && meter.has(pace, at(100)) && meter.take(pace, at(100)));
        assert!(!meter.take(pace, at(100)));
    }
}
