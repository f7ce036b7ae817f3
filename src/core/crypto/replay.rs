//! Replay windows: each number is accepted once, late ones for as long as the window is wide.
//!
//! RFC 6479: a ring of bits with one word more than the window needs, so that moving forward clears
//! whole words. The order is *check, verify, set*, and the types hold it: [`Window::set`] wants the
//! [`Fresh`] that only [`Window::check`] gives, and what stands between them is the tag.
//! ```text
//!            too old | ... window ... | highest | ahead: always fresh
//!   bits:  [word][word]..[word][word]   seq / 32 mod WORDS picks the word
//! ```
//! Numbers are 32 bits and never wrap: who has used them up makes new keys. Words are 32 bits too: a
//! relay keeps six windows for each participant, and nothing in them is padding.

/// A window of `32 * (WORDS - 1)` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window<const WORDS: usize> {
    bits: [u32; WORDS],
    /// The highest number set; 0 while there is none, whose bit then says so.
    highest: u32,
}

/// 256 numbers: what the relay keeps for each connection and class.
pub type HopWindow = Window<9>;
/// 1,024 numbers: what a receiver keeps for each sender's media, whose paths reorder more.
pub type MediaWindow = Window<33>;

/// A number that has not been seen, as far as `check` can know: its frame may still be forged.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a number counts as seen only once it is set"]
pub struct Fresh(u32);

/// Why a number is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stale {
    /// Seen before.
    Replayed,
    /// So far behind that nobody remembers.
    TooOld,
}

impl<const WORDS: usize> Window<WORDS> {
    /// How far behind the highest number a late one may be.
    pub const WIDTH: u64 = 32 * (WORDS as u64 - 1);

    /// A window that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { bits: [0; WORDS], highest: 0 }
    }

    /// Whether `seq` may be accepted. Changes nothing.
    ///
    /// # Errors
    /// See [`Stale`].
    #[inline]
    pub const fn check(&self, seq: u32) -> Result<Fresh, Stale> {
        if seq > self.highest {
            return Ok(Fresh(seq));
        }
        if seq as u64 + Self::WIDTH <= self.highest as u64 {
            return Err(Stale::TooOld);
        }
        let (word, bit) = Self::place(seq);
        if self.bits[word] & bit == 0 { Ok(Fresh(seq)) } else { Err(Stale::Replayed) }
    }

    /// Remembers a number whose frame has been verified; true when it is the newest so far.
    #[inline]
    pub fn set(&mut self, Fresh(seq): Fresh) -> bool {
        // Equal only as the very first: what has been set is not fresh.
        let newest = seq >= self.highest;
        if newest {
            let (from, to) = (self.highest / 32 + 1, seq / 32);
            // Words entered for the first time since they last went round; all of them at most once.
            for word in from..=to.min(from + WORDS as u32 - 1) {
                self.bits[word as usize % WORDS] = 0;
            }
            self.highest = seq;
        }
        let (word, bit) = Self::place(seq);
        self.bits[word] |= bit;
        newest
    }

    /// Of the 32 numbers before `next`, those that have not been set: bit 0 is `next - 1`. Numbers that
    /// have left the window count as set, and those below 0 do not exist.
    #[must_use]
    pub fn missing_before(&self, next: u32) -> u32 {
        (0..u32::BITS).fold(0, |missing, bit| {
            let unset = next.checked_sub(bit + 1).is_some_and(|seq| self.check(seq).is_ok());
            missing | u32::from(unset) << bit
        })
    }

    const fn place(seq: u32) -> (usize, u32) {
        ((seq / 32) as usize % WORDS, 1 << (seq % 32))
    }
}

impl<const WORDS: usize> Default for Window<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Seeded};
    use alloc::collections::BTreeSet;

    /// The same rules, without cleverness.
    #[derive(Default)]
    struct Model {
        seen: BTreeSet<u32>,
    }

    impl Model {
        fn check(&self, seq: u32, width: u64) -> Result<(), Stale> {
            let next = self.seen.last().map_or(0, |&last| u64::from(last) + 1);
            if u64::from(seq) + width < next {
                Err(Stale::TooOld)
            } else if self.seen.contains(&seq) {
                Err(Stale::Replayed)
            } else {
                Ok(())
            }
        }
    }

    fn walk_beside_the_model<const WORDS: usize>(seed: u64, steps: u32) {
        let mut random = Seeded::new(seed);
        let (mut window, mut model) = (Window::<WORDS>::new(), Model::default());
        let width = Window::<WORDS>::WIDTH;
        let mut near: u32 = 0;
        for step in 0..steps {
            let reach = width * 2;
            let seq = match random.below(1_000) {
                0 => near.saturating_add(random.below(width * 8) as u32),
                1..=99 => near.saturating_add(random.below(80) as u32),
                100..=499 => near.saturating_add(1),
                _ => near.saturating_sub(random.below(reach) as u32),
            };
            let told = window.check(seq);
            let expected = model.check(seq, width);
            assert_eq!(
                told.as_ref().map(|_| ()).map_err(|&w| w),
                expected,
                "seed {seed} step {step}"
            );
            // One frame in eight is forged: checked, and then not set.
            if let (Ok(fresh), false) = (told, random.chance(125_000)) {
                let newest = window.set(fresh);
                assert_eq!(newest, model.seen.last().is_none_or(|&last| seq > last), "step {step}");
                model.seen.insert(seq);
                near = near.max(seq);
                // The model need not remember what is too old for ever.
                while model
                    .seen
                    .first()
                    .is_some_and(|&s| u64::from(s) + 2 * width < u64::from(near))
                {
                    model.seen.pop_first();
                }
            }
        }
    }

    #[test]
    fn a_million_steps_agree_with_a_set() {
        walk_beside_the_model::<9>(1, 1_000_000);
    }

    #[test]
    fn the_wide_window_agrees_with_a_set() {
        walk_beside_the_model::<33>(2, 300_000);
    }

    #[test]
    fn the_last_number_is_a_number_like_others() {
        let mut window = HopWindow::new();
        for seq in [u32::MAX - 300, u32::MAX - 1, u32::MAX, u32::MAX - 255] {
            let fresh = window.check(seq).unwrap();
            window.set(fresh);
            assert_eq!(window.check(seq), Err(Stale::Replayed), "{seq}");
        }
        assert_eq!(window.check(u32::MAX - 256), Err(Stale::TooOld));
        assert_eq!(window.check(0), Err(Stale::TooOld));
    }

    #[test]
    fn the_first_number_is_new_once_whichever_it_is() {
        for first in [0, 1, 31, 32, 255, 256, 1 << 20] {
            let mut window = HopWindow::new();
            let fresh = window.check(first).unwrap();
            assert!(window.set(fresh), "{first} is the newest");
            assert_eq!(window.check(first), Err(Stale::Replayed));
            if let (Some(before), true) = (first.checked_sub(1), first < 256) {
                assert!(window.check(before).is_ok(), "{before} may be late");
            }
        }
    }

    #[test]
    fn exactly_256_numbers_are_remembered() {
        let mut window = HopWindow::new();
        let fresh = window.check(1_000).unwrap();
        assert!(window.set(fresh));
        assert_eq!(window.check(744), Err(Stale::TooOld));
        let fresh = window.check(745).unwrap();
        assert!(!window.set(fresh), "late, not newest");
        assert_eq!(window.check(745), Err(Stale::Replayed));
    }

    #[test]
    fn what_is_missing_is_told_backwards_from_the_next() {
        let mut window = HopWindow::new();
        assert_eq!((window.missing_before(0), window.missing_before(3)), (0, 0b111));
        for seq in [0, 1, 3, 4] {
            let fresh = window.check(seq).unwrap();
            window.set(fresh);
        }
        assert_eq!(window.missing_before(5), 0b100, "2 is missing");
        assert_eq!(window.missing_before(7), 0b1_0011, "5 and 6 as well");
        let fresh = window.check(1_000).unwrap();
        window.set(fresh);
        assert_eq!(window.missing_before(7), 0, "nobody remembers");
    }

    #[test]
    fn checking_without_setting_changes_nothing() {
        let mut window = HopWindow::new();
        let fresh = window.check(9).unwrap();
        window.set(fresh);
        let before = window;
        assert!(window.check(4_000_000_000).is_ok());
        assert_eq!(window, before);
    }
}
