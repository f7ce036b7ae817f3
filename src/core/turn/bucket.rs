//! How fast someone may go: the generic cell rate algorithm, one instant per limit.
//!
//! ```text
//!   due = max(due, now) + cost of this one          allowed while due - now <= tolerance
//! ```
//! `due` is when the next one would be on time if all came evenly; nothing ticks, nothing is refilled.
//! [`Bucket`] counts the bytes of an allocation, both directions together; [`Replies`] counts answers to
//! those who have proven nothing, by the neighbourhood they claim to come from and for the whole shard.

use alloc::boxed::Box;
use alloc::vec;

use crate::ClientAddr;
use crate::keyed::Keyed;
use crate::limits::{Pace, TURN_BURST, TURN_PREFIXES};
use crate::time::{Instant, Span};

/// What bytes cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tariff {
    /// Nanoseconds that 1,024 bytes take; 0 when nobody counts.
    per_kib: u64,
}

impl Tariff {
    /// So many bytes a second; `None` is no limit.
    pub(super) fn new(bytes_per_s: Option<u64>) -> Self {
        Self { per_kib: bytes_per_s.map_or(0, |rate| 1_024_000_000_000 / rate.max(1)) }
    }
}

/// The bytes of one allocation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    due: Instant,
}

impl Bucket {
    /// Takes `bytes`; false, and nothing taken, when that is too fast. Even the slowest tariff lets a whole
    /// train pass, once in a while.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize, tariff: Tariff, now: Instant) -> bool {
        let nanos = (bytes as u64).saturating_mul(tariff.per_kib) >> 10;
        spend(&mut self.due, nanos, nanos.max(TURN_BURST.as_nanos()), now)
    }
}

/// Answers to those who have proven nothing.
#[derive(Debug)]
pub(super) struct Replies {
    prefixes: Box<[Instant]>,
    shard: Instant,
    keyed: Keyed,
    per_prefix: Pace,
    per_shard: Pace,
}

impl Replies {
    pub(super) fn new(keyed: Keyed, per_prefix: Pace, per_shard: Pace) -> Self {
        let prefixes = vec![Instant::ZERO; TURN_PREFIXES].into_boxed_slice();
        Self { prefixes, shard: Instant::ZERO, keyed, per_prefix, per_shard }
    }

    /// Whether one more answer may go there. Loopback is trusted to be itself.
    ///
    /// An IPv4 address counts with its /24, an IPv6 address with its /56. Prefixes share places by a keyed
    /// hash: nobody gets more for it, and nobody can aim at another's place.
    pub(super) fn admit(&mut self, to: &ClientAddr, now: Instant) -> bool {
        if to.is_loopback() {
            return true;
        }
        let bytes = if to.ip().is_ipv4() { 15 } else { 7 };
        let prefix = to.ip_bytes().get(..bytes).unwrap_or_default();
        let place = self.keyed.hash(prefix) as usize % TURN_PREFIXES;
        let Some(due) = self.prefixes.get_mut(place) else { return false };
        take(due, self.per_prefix, now) && take(&mut self.shard, self.per_shard, now)
    }
}

fn take(due: &mut Instant, pace: Pace, now: Instant) -> bool {
    let each = 1_000_000_000 / pace.per_s;
    spend(due, each, each * pace.burst, now)
}

#[inline]
fn spend(due: &mut Instant, nanos: u64, tolerance: u64, now: Instant) -> bool {
    let next = (*due).max(now) + Span::from_nanos(nanos);
    let allowed = next.since(now).as_nanos() <= tolerance;
    if allowed {
        *due = next;
    }
    allowed
}

#[cfg(test)]
mod tests {
    extern crate std;
    use alloc::format;
    use std::net::SocketAddr;

    use super::*;
    use crate::limits::{TURN_REPLIES_PER_PREFIX, TURN_REPLIES_PER_SHARD};

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Span::from_millis(millis)
    }

    fn addr(text: &str) -> ClientAddr {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn a_rate_is_kept_over_time_and_a_burst_is_forgiven() {
        // 100,000 bytes a second are 100 datagrams of 1,000 bytes, and a quarter of a second at once.
        let (tariff, mut bucket) = (Tariff::new(Some(100_000)), Bucket::default());
        let passed = (0..10_000).filter(|ms| bucket.take(1_000, tariff, at(*ms))).count();
        assert!((1_000..=1_026).contains(&passed), "{passed}");
    }

    #[test]
    fn no_limit_is_no_limit_and_the_slowest_still_lets_a_train_pass() {
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(65_507, Tariff::new(None), at(0))));
        let (tariff, mut bucket) = (Tariff::new(Some(1)), Bucket::default());
        assert!(bucket.take(65_507, tariff, at(0)));
        assert!(!bucket.take(1, tariff, at(60_000)));
        assert!(!bucket.take(usize::MAX, Tariff::new(Some(1)), at(60_000)));
    }

    /// coturn #1957: strangers made a server reflect 401s towards an address of their choice.
    #[test]
    fn neighbours_share_and_strangers_do_not() {
        let mut replies =
            Replies::new(Keyed(1, 2), TURN_REPLIES_PER_PREFIX, TURN_REPLIES_PER_SHARD);
        let burst = TURN_REPLIES_PER_PREFIX.burst;
        let mut asked = |text: &str| replies.admit(&addr(text), at(0));
        assert!((0..burst).all(|n| asked(&format!("192.0.2.{}:{}", n % 256, 1_000 + n))));
        assert!(!asked("192.0.2.99:1"), "the /24 has had its share");
        assert!(asked("192.0.3.99:1"));
        assert!((0..burst).all(|n| asked(&format!("[2001:db8:0:{n:x}::1]:1"))));
        assert!(!asked("[2001:db8:0:ff::1]:1"), "the /56 likewise");
        assert!((0..10_000).all(|_| asked("127.0.0.1:1")), "loopback is not counted");
    }

    #[test]
    fn all_prefixes_together_get_what_the_shard_gives() {
        let mut replies =
            Replies::new(Keyed(1, 2), TURN_REPLIES_PER_PREFIX, TURN_REPLIES_PER_SHARD);
        let from = |n: u32| addr(&format!("{}.{}.{}.1:1", 1 + n / 65_536, n / 256 % 256, n % 256));
        let admitted = (0..100_000).filter(|n| replies.admit(&from(*n), at(0))).count() as u64;
        assert_eq!(admitted, TURN_REPLIES_PER_SHARD.burst);
    }
}
