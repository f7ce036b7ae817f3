//! What a room tells all its members under a growing version: its roster, its streams.
//!
//! ```text
//!   change ──▶ changes (gathered, the last of each name) ──▶ delta: version + 1, a frame full
//!                  │ too many
//!                  └──▶ version + 1, and everyone is sent the whole again
//! ```
//! One delta is on its way at a time: what changes meanwhile waits for the next. Who misses one sees
//! the gap in the versions and asks for the whole, which is made once for a version, however many ask.

use std::collections::BTreeMap;

use elara_core::limits::{CHANGES_MAX, DELTA_GATHER, FOOTNOTE_GATHER, WHOLE_EVERY};
use elara_core::time::Instant;
use elara_core::wire::v1::control::{RosterEntry, StreamsEntry};

/// A line of a bulletin.
pub(super) trait Line {
    /// What it is about: a newer line about the same replaces it.
    fn name(&self) -> (u64, u16);
}

impl Line for RosterEntry {
    fn name(&self) -> (u64, u16) {
        (self.node.get(), 0)
    }
}

impl Line for StreamsEntry {
    fn name(&self) -> (u64, u16) {
        (self.node.get(), self.stream.get())
    }
}

/// The news of one kind.
#[derive(Debug)]
pub(super) struct Bulletin<L> {
    version: u32,
    changes: BTreeMap<(u64, u16), L>,
    /// When the next delta is due; `None` while nothing has changed.
    due: Option<Instant>,
    /// When everyone may be sent the whole again.
    next_whole: Instant,
    on_its_way: Option<Delta<L>>,
    /// All lines, as they were when someone asked for this version.
    whole: Option<Box<[L]>>,
}

/// One step of the version.
#[derive(Debug)]
pub(super) struct Delta<L> {
    pub(super) version: u32,
    pub(super) lines: Vec<L>,
    /// Members below this place have not been told. Downwards, because who leaves makes room for the
    /// last, who has been told.
    pub(super) untold: usize,
}

/// What has become due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    None,
    /// A delta is on its way.
    Delta,
    /// There is too much to tell: everyone needs the whole.
    Whole,
}

impl<L: Line> Bulletin<L> {
    pub(super) const fn new() -> Self {
        Self {
            version: 1,
            changes: BTreeMap::new(),
            due: None,
            next_whole: Instant::ZERO,
            on_its_way: None,
            whole: None,
        }
    }

    /// The version that a whole has at this moment.
    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// A line has changed, come or gone.
    pub(super) fn change(&mut self, line: L, now: Instant) {
        if self.changes.len() <= CHANGES_MAX {
            self.changes.insert(line.name(), line);
        }
        self.is_due_by(now + DELTA_GATHER);
    }

    /// What has changed cannot wait for other news.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.is_due_by(now);
    }

    /// Something besides the lines has changed: it can wait for some that do.
    pub(super) fn change_footnote(&mut self, now: Instant) {
        self.is_due_by(now + FOOTNOTE_GATHER);
    }

    fn is_due_by(&mut self, due: Instant) {
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// When [`Self::poll`] has something; `None` while nothing waits.
    pub(super) const fn due(&self) -> Option<Instant> {
        if self.on_its_way.is_some() { Some(Instant::ZERO) } else { self.due }
    }

    /// Makes the next delta of at most `most` lines for `members` members, when it is due.
    pub(super) fn poll(&mut self, most: usize, members: usize, now: Instant) -> News {
        if self.on_its_way.is_some() {
            return News::Delta;
        }
        if self.due.is_none_or(|due| now < due) {
            return News::None;
        }
        let too_many = self.changes.len() > CHANGES_MAX;
        if too_many && now < self.next_whole {
            self.due = Some(self.next_whole);
            return News::None;
        }
        self.version = self.version.saturating_add(1);
        self.whole = None;
        if too_many {
            self.changes.clear();
            self.due = None;
            self.next_whole = now + WHOLE_EVERY;
            return News::Whole;
        }
        let mut lines = Vec::with_capacity(most.min(self.changes.len()));
        while lines.len() < most
            && let Some((_, line)) = self.changes.pop_first()
        {
            lines.push(line);
        }
        self.due = (!self.changes.is_empty()).then_some(now);
        self.on_its_way = Some(Delta { version: self.version, lines, untold: members });
        News::Delta
    }

    /// The delta on its way, to be told on; back with [`Self::put_back`].
    pub(super) const fn take(&mut self) -> Option<Delta<L>> {
        self.on_its_way.take()
    }

    /// It goes on in another cycle; or it has reached everyone.
    pub(super) fn put_back(&mut self, delta: Delta<L>) {
        if delta.untold > 0 {
            self.on_its_way = Some(delta);
        }
    }

    /// All lines of this version, to be sent; back with [`Self::put_back_whole`]. `None` when nobody has
    /// asked for this version before.
    pub(super) const fn take_whole(&mut self) -> Option<Box<[L]>> {
        self.whole.take()
    }

    /// Keeps the lines for the next who asks.
    pub(super) fn put_back_whole(&mut self, whole: Box<[L]>) {
        self.whole = Some(whole);
    }
}

#[cfg(test)]
mod tests {
    use elara_core::time::Span;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Word(u64, char);

    impl Line for Word {
        fn name(&self) -> (u64, u16) {
            (self.0, 0)
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn changes_gather_and_go_in_steps_of_the_version() {
        let mut bulletin = Bulletin::new();
        (0..5).for_each(|name| bulletin.change(Word(name, 'a'), at(10 + name)));
        bulletin.change(Word(1, 'b'), at(20));
        assert_eq!(bulletin.due(), Some(at(110)));
        assert_eq!(bulletin.poll(3, 7, at(109)), News::None);
        assert_eq!(bulletin.poll(3, 7, at(110)), News::Delta);
        let mut delta = bulletin.take().unwrap();
        assert_eq!((delta.version, delta.untold), (2, 7));
        assert_eq!(delta.lines, [Word(0, 'a'), Word(1, 'b'), Word(2, 'a')], "the last of each");
        delta.untold = 4;
        bulletin.put_back(delta);
        assert_eq!(bulletin.poll(3, 9, at(111)), News::Delta, "the same, where it stopped");
        let mut delta = bulletin.take().unwrap();
        assert_eq!((delta.version, delta.untold), (2, 4));
        delta.untold = 0;
        bulletin.put_back(delta);
        assert_eq!(bulletin.poll(3, 9, at(111)), News::Delta, "the rest waits no longer");
        assert_eq!(bulletin.take().map(|delta| delta.lines.len()), Some(2));
        assert_eq!((bulletin.due(), bulletin.version()), (None, 3));
    }

    #[test]
    fn a_footnote_waits_longer_and_is_a_delta_without_lines() {
        let mut bulletin = Bulletin::<Word>::new();
        bulletin.change_footnote(at(0));
        assert_eq!(bulletin.poll(3, 1, at(999)), News::None);
        assert_eq!(bulletin.poll(3, 1, at(1_000)), News::Delta);
        assert!(bulletin.take().unwrap().lines.is_empty());
        bulletin.change(Word(1, 'a'), at(1_500));
        bulletin.hurry(at(1_500));
        assert_eq!(bulletin.poll(3, 1, at(1_500)), News::Delta);
        bulletin.take();
        bulletin.change_footnote(at(2_000));
        bulletin.change(Word(1, 'a'), at(2_010));
        assert_eq!(bulletin.poll(3, 1, at(2_110)), News::Delta, "with a line, sooner");
    }

    #[test]
    fn too_much_to_tell_is_told_as_a_whole_once_a_second() {
        let mut bulletin = Bulletin::new();
        let overflow = |bulletin: &mut Bulletin<Word>, now| {
            (0..=CHANGES_MAX as u64 + 5).for_each(|name| bulletin.change(Word(name, 'a'), now));
        };
        overflow(&mut bulletin, at(0));
        assert_eq!(bulletin.poll(18, 3, at(100)), News::Whole);
        assert_eq!((bulletin.version(), bulletin.due()), (2, None));
        overflow(&mut bulletin, at(150));
        assert_eq!(bulletin.poll(18, 3, at(300)), News::None);
        assert_eq!(bulletin.poll(18, 3, at(1_100)), News::Whole);
    }

    #[test]
    fn a_whole_is_kept_for_its_version() {
        let mut bulletin = Bulletin::new();
        assert!(bulletin.take_whole().is_none());
        bulletin.put_back_whole([Word(1, 'a')].into());
        let whole = bulletin.take_whole().unwrap();
        bulletin.put_back_whole(whole);
        bulletin.change(Word(1, 'b'), at(0));
        bulletin.poll(18, 1, at(100));
        assert!(bulletin.take_whole().is_none());
    }
}
