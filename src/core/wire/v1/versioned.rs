//! Wishes and pages that carry a version: what is new, what is known, what is missing.
//!
//! *Wishes* (SUBSCRIBE, STREAMS_MINE): the sender states all it wants under a version that grows and
//! repeats it until the ACK comes ([`Wished`]); the receiver keeps the greatest ([`Granted`]).
//!
//! *Pages* (ROSTER, STREAMS): a whole state comes as `pages` pages of one version, a change as a
//! delta of the next one; [`Pages`] says what to do with each, and when to ask GET.
//!
//! Machines over numbers only: contents, timers and retries are their callers'. Versions begin at 1,
//! 0 is "nothing yet", and all of them begin anew with a connection.

/// A wish on its way, at the side that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wished {
    version: u32,
    taken: u32,
}

impl Wished {
    /// The wish has changed: the version to state it under.
    pub const fn change(&mut self) -> u32 {
        self.version = self.version.saturating_add(1);
        self.version
    }

    /// The version to state the wish under, while it is to be repeated.
    #[must_use]
    pub const fn pending(&self) -> Option<u32> {
        if self.taken < self.version { Some(self.version) } else { None }
    }

    /// An ACK came. One of a version that was never stated is nobody's: `false`.
    pub const fn handle_ack(&mut self, version: u32) -> bool {
        if version > self.version {
            return false;
        }
        if version > self.taken {
            self.taken = version;
        }
        true
    }
}

/// The greatest wish heard, at the side that grants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    version: u32,
}

impl Granted {
    /// A wish came under `version`: whether it replaces the one held. Whatever the answer, ACK
    /// [`Self::version`], so that a sender whose ACK was lost hears it again.
    pub const fn handle(&mut self, version: u32) -> bool {
        let newer = version > self.version;
        if newer {
            self.version = version;
        }
        newer
    }

    /// The version held, to be put into an ACK; 0 when there is none.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }
}

/// What to do with a page or delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it says what is known.
    Known,
    /// Apply the delta to what is held.
    Apply,
    /// Put the page aside, with those of its version before it.
    Collect {
        /// It is the first of its version: forget what was put aside before.
        first: bool,
    },
    /// Put the page aside likewise; then what was put aside replaces what is held.
    Complete {
        /// It is the first of its version: forget what was put aside before.
        first: bool,
    },
    /// Something between is missing: ask GET with [`Pages::version`].
    Missing,
    /// It contradicts an earlier page of its version; drop it.
    Contradiction,
}

/// Pages and deltas of one kind, as a receiver takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    held: u32,
    /// The newest version of which a page has come. Nothing is being collected unless it is greater
    /// than `held`.
    collecting: u32,
    pages: u8,
    /// Bit n: page n of `collecting` has come.
    seen: [u64; 4],
}

impl Pages {
    /// The version held in full, 0 for none: what a GET says.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.held
    }

    /// Whether the other side, which is at `version`, knows more: ask GET.
    #[must_use]
    pub const fn lags(&self, version: u32) -> bool {
        self.held < version
    }

    /// A page came (`page < pages`), or a delta (`pages` is 0).
    pub const fn handle(&mut self, version: u32, page: u8, pages: u8) -> Turn {
        if version <= self.held {
            return Turn::Known;
        }
        if pages == 0 {
            if version - self.held > 1 {
                return Turn::Missing;
            }
            self.held = version;
            return Turn::Apply;
        }
        if page >= pages {
            return Turn::Contradiction;
        }
        if version < self.collecting {
            return Turn::Known;
        }
        let first = version != self.collecting;
        if first {
            (self.collecting, self.pages, self.seen) = (version, pages, [0; 4]);
        }
        if pages != self.pages {
            return Turn::Contradiction;
        }
        let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
        if self.seen[word] & bit != 0 {
            return Turn::Known;
        }
        self.seen[word] |= bit;
        if self.seen_count() < pages as u32 {
            return Turn::Collect { first };
        }
        self.held = version;
        Turn::Complete { first }
    }

    const fn seen_count(&self) -> u32 {
        let [a, b, c, d] = self.seen;
        a.count_ones() + b.count_ones() + c.count_ones() + d.count_ones()
    }
}

/// Pages that `entries` entries need at `per_page` each: at least one, and `None` above 255 or when
/// nothing fits a page.
#[must_use]
pub const fn pages_for(entries: usize, per_page: usize) -> Option<u8> {
    if per_page == 0 {
        return None;
    }
    match entries.div_ceil(per_page) {
        0 => Some(1),
        pages if pages <= u8::MAX as usize => Some(pages as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Seeded};

    #[test]
    fn a_wish_is_repeated_until_its_own_ack_comes() {
        let mut wish = Wished::default();
        assert_eq!(wish.pending(), None);
        assert_eq!((wish.change(), wish.change(), wish.pending()), (1, 2, Some(2)));
        assert!(wish.handle_ack(1) && wish.pending() == Some(2), "an old wish was heard");
        assert!(!wish.handle_ack(3) && wish.pending() == Some(2), "nobody wished that");
        assert!(wish.handle_ack(2) && wish.pending().is_none());
        assert!(wish.handle_ack(1) && wish.pending().is_none(), "late news");
        assert_eq!((wish.change(), wish.pending()), (3, Some(3)));
    }

    #[test]
    fn the_greatest_wish_wins_in_any_order() {
        let mut granted = Granted::default();
        let heard = [2, 1, 2, 5, 0, 4].map(|version| granted.handle(version));
        assert_eq!(heard, [true, false, false, true, false, false]);
        assert_eq!(granted.version(), 5);
    }

    #[test]
    fn a_wish_arrives_over_a_link_that_loses_and_reorders() {
        let mut random = Seeded::new(3);
        for _ in 0..100 {
            let (mut wish, mut granted) = (Wished::default(), Granted::default());
            let mut late = 0;
            (0..7).for_each(|_| _ = wish.change());
            while let Some(version) = wish.pending() {
                for heard in [late, version] {
                    if random.chance(500_000) {
                        granted.handle(heard);
                        if random.chance(500_000) {
                            wish.handle_ack(granted.version());
                        }
                    }
                }
                late = version;
                if random.chance(200_000) && version < 50 {
                    wish.change();
                }
            }
            assert_eq!(Some(granted.version()), Some(wish.version));
        }
    }

    #[test]
    fn a_set_is_complete_when_all_pages_of_one_version_are_there() {
        let mut pages = Pages::default();
        assert_eq!(pages.handle(4, 2, 3), Turn::Collect { first: true });
        assert_eq!(pages.handle(4, 2, 3), Turn::Known);
        assert_eq!(pages.handle(4, 0, 3), Turn::Collect { first: false });
        assert_eq!(pages.version(), 0);
        assert_eq!(pages.handle(4, 1, 3), Turn::Complete { first: false });
        assert_eq!((pages.version(), pages.handle(4, 1, 3)), (4, Turn::Known));
        assert_eq!(pages.handle(9, 0, 1), Turn::Complete { first: true });
    }

    #[test]
    fn a_newer_version_drops_the_pages_put_aside() {
        let mut pages = Pages::default();
        pages.handle(4, 0, 2);
        assert_eq!(pages.handle(5, 1, 2), Turn::Collect { first: true });
        assert_eq!(pages.handle(4, 1, 2), Turn::Known, "an older set is not gone back to");
        assert_eq!(pages.handle(5, 0, 2), Turn::Complete { first: false });
    }

    #[test]
    fn a_delta_follows_its_predecessor_or_asks() {
        let mut pages = Pages::default();
        assert_eq!(pages.handle(2, 0, 0), Turn::Missing);
        assert!(pages.lags(2));
        assert_eq!(pages.handle(2, 0, 1), Turn::Complete { first: true });
        assert_eq!(pages.handle(3, 0, 0), Turn::Apply);
        assert_eq!(pages.handle(3, 0, 0), Turn::Known);
        assert_eq!(pages.handle(5, 0, 0), Turn::Missing);
        assert_eq!((pages.version(), pages.lags(5), pages.lags(3)), (3, true, false));
        // A delta that completes what pages of the same version were collected for ends that.
        assert_eq!(pages.handle(4, 0, 2), Turn::Collect { first: true });
        assert_eq!(pages.handle(4, 0, 0), Turn::Apply);
        assert_eq!(pages.handle(4, 1, 2), Turn::Known);
        assert_eq!(pages.handle(5, 1, 2), Turn::Collect { first: true });
    }

    #[test]
    fn pages_that_contradict_each_other_are_dropped() {
        let mut pages = Pages::default();
        assert_eq!(pages.handle(1, 3, 3), Turn::Contradiction);
        pages.handle(1, 0, 3);
        assert_eq!(pages.handle(1, 1, 2), Turn::Contradiction);
        assert_eq!(pages.handle(1, 1, 3), Turn::Collect { first: false });
    }

    #[test]
    fn even_255_pages_come_together_in_any_order() {
        let mut random = Seeded::new(1);
        let mut pages = Pages::default();
        let mut turns = 0;
        while pages.version() == 0 {
            let page = random.below(255) as u8;
            let turn = pages.handle(u32::MAX, page, 255);
            turns += u32::from(turn != Turn::Known);
        }
        assert_eq!(turns, 255);
        assert_eq!(pages.handle(u32::MAX, 0, 0), Turn::Known);
    }

    #[test]
    fn no_entries_still_fill_a_page() {
        assert_eq!([0, 1, 18, 19].map(|n| pages_for(n, 18)), [1, 1, 1, 2].map(Some));
        assert_eq!((pages_for(255 * 18, 18), pages_for(255 * 18 + 1, 18)), (Some(255), None));
        assert_eq!(pages_for(1, 0), None);
    }
}
