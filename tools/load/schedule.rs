//! The open loop: when each sender is due, whatever became of the sends before.
//!
//! Send `n` of a sender is due at `start + phase + n / rate`, computed from `n` each time, so nothing drifts
//! and nothing that is late moves what follows. The phases are spread over one period by a seed.
//! All senders share one rate, so their order within a period never changes: the schedule is a
//! list sorted once and walked round and round.

use elara_core::random::{Random, Seeded};
use elara_core::time::{Instant, Span};

/// One send that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which sender, `0..senders`.
    pub sender: u32,
    /// When.
    pub at: Instant,
}

/// The schedule of all senders, an iterator over [`Due`] in order of time.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    end: Instant,
    /// Thousandths of a send per second.
    millihertz: u64,
    /// Phase in nanoseconds, and the sender that has it; sorted.
    phases: Vec<(u64, u32)>,
    cursor: usize,
    cycle: u64,
    /// When the current cycle began: `start + cycle / rate`.
    base: Instant,
}

impl Schedule {
    /// `senders` senders, `rate` sends per second each, due in `start..start + length`.
    ///
    /// # Panics
    /// When `rate` is below one send in a thousand seconds.
    #[must_use]
    pub fn new(start: Instant, length: Span, senders: u32, rate: f64, seed: u64) -> Self {
        let millihertz = (rate * 1_000.0).round() as u64;
        assert!(millihertz > 0, "a plan that was validated has a rate");
        let mut random = Seeded::new(seed);
        let period = offset(1, millihertz);
        let mut phases: Vec<_> =
            (0..senders).map(|sender| (random.below(period), sender)).collect();
        phases.sort_unstable();
        Self { start, end: start + length, millihertz, phases, cursor: 0, cycle: 0, base: start }
    }

    /// The next send, if one is left.
    #[inline]
    #[must_use]
    pub fn peek(&self) -> Option<Due> {
        let (phase, sender) = *self.phases.get(self.cursor)?;
        let at = self.base + Span::from_nanos(phase);
        (at < self.end).then_some(Due { sender, at })
    }

    /// Drops what is due at `end` or after it: the run ends early.
    pub fn cut(&mut self, end: Instant) {
        self.end = self.end.min(end);
    }
}

impl Iterator for Schedule {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        let due = self.peek()?;
        self.cursor += 1;
        if self.cursor == self.phases.len() {
            self.cursor = 0;
            self.cycle += 1;
            self.base = self.start + Span::from_nanos(offset(self.cycle, self.millihertz));
        }
        Some(due)
    }
}

/// Nanoseconds from a sender's send 0 to its send `n`.
fn offset(n: u64, millihertz: u64) -> u64 {
    (u128::from(n) * 1_000_000_000_000 / u128::from(millihertz)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(5_000_000_000);

    fn of_sender(schedule: Schedule, sender: u32) -> Vec<u64> {
        schedule.filter(|due| due.sender == sender).map(|due| due.at.as_nanos()).collect()
    }

    #[test]
    fn an_hour_at_an_odd_rate_does_not_drift() {
        // 30000/1001 is not a whole number of anything; 29.97 is how people write it.
        let schedule = Schedule::new(START, Span::from_secs(3_600), 1, 29.97, 3);
        let times = of_sender(schedule, 0);
        assert_eq!(times.len(), 107_892);
        for (n, at) in times.iter().enumerate() {
            let exact = n as u128 * 100_000_000_000 / 2_997;
            assert_eq!(u128::from(at - times[0]), exact, "send {n}");
        }
    }

    #[test]
    fn the_order_is_the_order_of_time() {
        for (senders, rate) in [(1, 0.5), (7, 50.0), (1_000, 33.3), (3, 1e6)] {
            let length = Span::from_nanos((3e9 / rate) as u64 + 1);
            let mut last = START;
            for due in Schedule::new(START, length, senders, rate, 42) {
                assert!(due.at >= last, "{senders} senders at {rate}");
                last = due.at;
            }
        }
    }

    #[test]
    fn phases_are_spread_over_the_period_and_follow_the_seed() {
        let schedule = |seed| Schedule::new(START, Span::from_secs(1), 1_000, 50.0, seed);
        let first: Vec<Due> = schedule(1).take(1_000).collect();
        let mut senders: Vec<u32> = first.iter().map(|due| due.sender).collect();
        senders.sort_unstable();
        assert!(senders.iter().copied().eq(0..1_000), "everyone once a period");
        for quarter in 0..4 {
            let begin = START.as_nanos() + quarter * 5_000_000;
            let count = first
                .iter()
                .filter(|due| (begin..begin + 5_000_000).contains(&due.at.as_nanos()))
                .count();
            assert!((200..300).contains(&count), "quarter {quarter} has {count}");
        }
        assert!(schedule(1).eq(schedule(1)));
        assert!(!schedule(1).eq(schedule(2)));
    }

    #[test]
    fn nothing_is_due_at_the_end_or_after_a_cut() {
        let mut schedule = Schedule::new(START, Span::from_secs(1), 4, 50.0, 9);
        assert_eq!(schedule.clone().count(), 200);
        schedule.cut(START + Span::from_millis(500));
        assert!(schedule.clone().all(|due| due.at < START + Span::from_millis(500)));
        assert_eq!(schedule.count(), 100);
    }

    #[test]
    fn without_senders_nothing_is_due() {
        assert_eq!(Schedule::new(START, Span::from_secs(1), 0, 50.0, 9).next(), None);
    }
}
