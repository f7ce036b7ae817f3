//! Who has received what: one sliding window of sequence numbers for each receiver and sender.
//!
//! Exact and bounded. A window is a ring of bits, one a sequence number, that ends at the highest
//! number seen; it answers whether an arrival is new, out of order, a repetition, or too late to
//! tell. All windows lie in one allocation made at the start.

/// What an arrival is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first copy, after all earlier ones, `skipped` numbers ahead.
    New {
        /// Numbers passed over that have not come yet.
        skipped: u32,
    },
    /// The first copy, but a later frame came before it (RFC 4737 section 3: reordered).
    Reordered,
    /// It came before.
    Duplicate,
    /// Behind the window: nobody knows any more.
    TooLate,
}

/// The windows of all pairs.
pub(crate) struct Windows {
    bits: Box<[u64]>,
    /// One past the highest number seen, for each pair.
    next: Box<[u64]>,
    /// Sequence numbers a window holds, less one. A power of two less one, at least 63.
    mask: u64,
}

impl Windows {
    /// `pairs` windows of `frames` numbers each.
    pub(crate) fn new(pairs: usize, frames: u64) -> Self {
        assert!(frames.is_power_of_two() && frames >= 64, "a ring of whole words");
        let words = pairs * (frames / 64) as usize;
        Self {
            bits: vec![0; words].into_boxed_slice(),
            next: vec![0; pairs].into_boxed_slice(),
            mask: frames - 1,
        }
    }

    /// Notes that `sequence` arrived at `pair`.
    #[inline]
    pub(crate) fn note(&mut self, pair: usize, sequence: u32) -> Arrival {
        let sequence = u64::from(sequence);
        let next = self.next[pair];
        if sequence >= next {
            let skipped = sequence - next;
            for passed in (next..sequence).rev().take(self.mask as usize) {
                let (word, bit) = self.place(pair, passed);
                self.bits[word] &= !bit;
            }
            let (word, bit) = self.place(pair, sequence);
            self.bits[word] |= bit;
            self.next[pair] = sequence + 1;
            return Arrival::New { skipped: skipped as u32 };
        }
        if next - sequence > self.mask + 1 {
            return Arrival::TooLate;
        }
        let (word, bit) = self.place(pair, sequence);
        if self.bits[word] & bit != 0 {
            return Arrival::Duplicate;
        }
        self.bits[word] |= bit;
        Arrival::Reordered
    }

    fn place(&self, pair: usize, sequence: u64) -> (usize, u64) {
        let slot = sequence & self.mask;
        let words = (self.mask + 1) / 64;
        (pair * words as usize + (slot / 64) as usize, 1 << (slot % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use elara_core::random::{Random, Seeded};

    use super::*;

    #[test]
    fn a_window_tells_new_from_reordered_from_repeated() {
        let mut windows = Windows::new(2, 64);
        assert_eq!(windows.note(1, 2), Arrival::New { skipped: 2 });
        assert_eq!(windows.note(1, 0), Arrival::Reordered);
        assert_eq!(windows.note(1, 0), Arrival::Duplicate);
        assert_eq!(windows.note(1, 2), Arrival::Duplicate);
        assert_eq!(windows.note(1, 3), Arrival::New { skipped: 0 });
        assert_eq!(windows.note(0, 3), Arrival::New { skipped: 3 }, "pairs are apart");
    }

    #[test]
    fn the_last_number_inside_is_known_and_the_first_outside_is_not() {
        let mut windows = Windows::new(1, 64);
        assert_eq!(windows.note(0, 64), Arrival::New { skipped: 64 });
        assert_eq!(windows.note(0, 0), Arrival::TooLate);
        assert_eq!(windows.note(0, 1), Arrival::Reordered);
    }

    #[test]
    fn the_highest_number_is_a_number() {
        let mut windows = Windows::new(1, 64);
        assert_eq!(windows.note(0, u32::MAX), Arrival::New { skipped: u32::MAX });
        assert_eq!(windows.note(0, u32::MAX), Arrival::Duplicate);
        assert_eq!(windows.note(0, u32::MAX - 63), Arrival::Reordered);
        assert_eq!(windows.note(0, u32::MAX - 64), Arrival::TooLate);
    }

    /// Loss, repetition, reordering and long silences, against a set that remembers everything.
    #[test]
    fn windows_agree_with_a_set_that_forgets_nothing() {
        const PAIRS: usize = 3;
        for (seed, frames) in [(1, 64), (2, 128), (3, 1_024)] {
            let mut random = Seeded::new(seed);
            let mut windows = Windows::new(PAIRS, frames);
            let mut seen = [const { BTreeSet::<u32>::new() }; PAIRS];
            let mut head = [0u32; PAIRS];
            for step in 0..60_000 {
                let pair = random.below(PAIRS as u64) as usize;
                let sequence = if random.chance(400_000) {
                    head[pair].saturating_sub(random.below(frames * 5 / 4) as u32)
                } else {
                    let leap = if random.chance(2_000) { frames * 3 } else { 3 };
                    head[pair] + random.below(leap) as u32
                };
                head[pair] = head[pair].max(sequence);
                let known = &mut seen[pair];
                let highest = known.last().copied();
                let expected = match highest {
                    Some(highest) if u64::from(highest) >= u64::from(sequence) + frames => {
                        Arrival::TooLate
                    }
                    _ if known.contains(&sequence) => Arrival::Duplicate,
                    Some(highest) if sequence < highest => Arrival::Reordered,
                    Some(highest) => Arrival::New { skipped: sequence - highest - 1 },
                    None => Arrival::New { skipped: sequence },
                };
                known.insert(sequence);
                let answer = windows.note(pair, sequence);
                assert_eq!(answer, expected, "seed {seed}, step {step}, sequence {sequence}");
            }
        }
    }
}
