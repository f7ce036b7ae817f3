//! How loaded a shard is: what its thread worked of the time that passed, and whether it could keep up.
//!
//! Pure arithmetic over readings that [`Io::strain`](crate::Io::strain) makes now and then. A shard that
//! overflows, or whose sends find the socket full, is loaded whatever its clock says: it may have no
//! more of a cpu to work with.

use elara_core::limits::{LOAD_EVERY, LOADED_ABOVE, LOADED_BELOW};
use elara_core::time::Instant;

use crate::io::Strain;

/// As much load as there is, in permille.
const FULL: u64 = 1_000;

/// The load between the last two readings.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    read: Instant,
    strain: Strain,
    /// Datagrams refused as busy when the last reading was made.
    busy: u64,
    permille: u64,
    loaded: bool,
}

impl Load {
    /// No load, counted from a first reading.
    #[must_use]
    pub const fn new(now: Instant, strain: Strain, busy: u64) -> Self {
        Self { read: now, strain, busy, permille: 0, loaded: false }
    }

    /// Whether the next reading is due: `limits::LOAD_EVERY` after the last.
    #[inline]
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        now.since(self.read) >= LOAD_EVERY
    }

    /// Takes in a reading: the strain, and how many datagrams have been refused as busy so far
    /// ([`Egress::busy`](crate::counters::Egress::busy)). Readings at one instant are one.
    pub fn sample(&mut self, now: Instant, strain: Strain, busy: u64) {
        let passed = now.since(self.read).as_nanos();
        if passed == 0 {
            return;
        }
        let worked = strain.worked.as_nanos().saturating_sub(self.strain.worked.as_nanos());
        let behind = strain.overflowed > self.strain.overflowed || busy > self.busy;
        // Too large only after 200 days of work between two readings.
        let share = worked.saturating_mul(FULL) / passed;
        self.permille = if behind { FULL } else { share.min(FULL) };
        self.loaded = self.permille >= if self.loaded { LOADED_BELOW } else { LOADED_ABOVE };
        (self.read, self.strain, self.busy) = (now, strain, busy);
    }

    /// The last reading.
    #[must_use]
    pub const fn strain(&self) -> Strain {
        self.strain
    }

    /// How much of a cpu was worked between the last two readings, in permille; 1,000 when something
    /// overflowed or was refused as busy meanwhile.
    #[must_use]
    pub const fn permille(&self) -> u64 {
        self.permille
    }

    /// Whether the shard has much to do: from `limits::LOADED_ABOVE` on, until it is less than
    /// `limits::LOADED_BELOW`.
    #[inline]
    #[must_use]
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }
}

#[cfg(test)]
mod tests {
    use elara_core::time::Span;

    use super::*;

    /// A shard that is read every 100 ms.
    struct Reader {
        load: Load,
        now: Instant,
        strain: Strain,
        busy: u64,
    }

    impl Reader {
        fn new() -> Self {
            let (now, strain) = (Instant::from_nanos(7), Strain::default());
            Self { load: Load::new(now, strain, 0), now, strain, busy: 0 }
        }

        /// After the next 100 ms, of which `ms` were worked: the load, and whether it is much.
        fn after(&mut self, ms: u64) -> (u64, bool) {
            self.now = self.now + LOAD_EVERY;
            let worked = self.strain.worked.as_nanos() + Span::from_millis(ms).as_nanos();
            self.strain.worked = Span::from_nanos(worked);
            self.load.sample(self.now, self.strain, self.busy);
            (self.load.permille(), self.load.is_loaded())
        }
    }

    #[test]
    fn load_is_what_was_worked_of_the_time_that_passed() {
        let mut reader = Reader::new();
        assert_eq!(reader.after(0), (0, false));
        assert_eq!(reader.after(12), (120, false));
        assert_eq!(reader.after(100), (1_000, true));
        assert_eq!(reader.after(103), (1_000, true), "no more than there is");
        assert_eq!(reader.load.strain(), reader.strain);
    }

    #[test]
    fn much_begins_at_half_and_ends_below_a_quarter() {
        let mut reader = Reader::new();
        let mut much = |ms| reader.after(ms).1;
        let heard: Vec<bool> =
            [49, 50, 26, 25, 24, 26, 49, 50].into_iter().map(&mut much).collect();
        assert_eq!(heard, [false, true, true, true, false, false, false, true]);
    }

    #[test]
    fn who_overflows_or_finds_the_socket_full_is_loaded_whatever_it_worked() {
        let mut reader = Reader::new();
        reader.strain.overflowed += 1;
        assert_eq!(reader.after(1), (1_000, true));
        assert_eq!(reader.after(1), (10, false), "only while it grows");
        reader.busy += 3;
        assert_eq!(reader.after(1), (1_000, true));
        assert_eq!(reader.after(30), (300, true));
        assert_eq!(reader.after(1), (10, false));
    }

    #[test]
    fn a_reading_is_due_when_the_last_is_old_and_two_at_one_instant_are_one() {
        let mut reader = Reader::new();
        reader.after(60);
        let now = reader.now;
        assert!(!reader.load.is_due(now) && reader.load.is_due(now + LOAD_EVERY));
        reader.load.sample(now, Strain::default(), 9);
        assert_eq!((reader.load.permille(), reader.load.strain()), (600, reader.strain));
    }

    #[test]
    fn a_long_sleep_is_little_load() {
        let mut reader = Reader::new();
        reader.now = reader.now + Span::from_secs(86_400);
        assert_eq!(reader.after(100), (0, false));
    }
}
