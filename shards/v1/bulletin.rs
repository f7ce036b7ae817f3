//! What a room tells all its members under a growing version: its roster, its streams.
//!
//! ```text
//!   change ──▶ changes (gathered 100 ms) ──▶ delta: version + 1, at most a frame full ──▶ each member
//!                  │ full
//!                  └──▶ version + 1, and everyone is sent the whole again
//! ```
//! One delta is on its way at a time: what changes meanwhile waits for the next. Who misses one sees
//! the gap in the versions and asks for the whole.

use std::collections::VecDeque;

use elara_core::limits::{CHANGES_MAX, DELTA_GATHER};
use elara_core::time::Instant;

/// The news of one kind, with entries `E`.
#[derive(Debug)]
pub(super) struct Bulletin<E> {
    version: u32,
    changes: VecDeque<E>,
    /// Something besides the entries has changed.
    footnote: bool,
    /// When the next delta is due; `None` while nothing has changed.
    due: Option<Instant>,
    on_its_way: Option<Delta<E>>,
}

/// One step of the version.
#[derive(Debug)]
pub(super) struct Delta<E> {
    pub(super) version: u32,
    pub(super) entries: Vec<E>,
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

impl<E> Bulletin<E> {
    pub(super) const fn new() -> Self {
        Self { version: 1, changes: VecDeque::new(), footnote: false, due: None, on_its_way: None }
    }

    /// The version that a whole has at this moment.
    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// An entry has changed, come or gone.
    pub(super) fn change(&mut self, entry: E, now: Instant) {
        if self.changes.len() <= CHANGES_MAX {
            self.changes.push_back(entry);
        }
        self.due.get_or_insert(now + DELTA_GATHER);
    }

    /// Something besides the entries has changed.
    pub(super) fn change_footnote(&mut self, now: Instant) {
        self.footnote = true;
        self.due.get_or_insert(now + DELTA_GATHER);
    }

    /// When [`Self::poll`] has something; `None` while nothing waits.
    pub(super) const fn due(&self) -> Option<Instant> {
        if self.on_its_way.is_some() { Some(Instant::ZERO) } else { self.due }
    }

    /// Makes the next delta of at most `most` entries for `members` members, when it is due.
    pub(super) fn poll(&mut self, most: usize, members: usize, now: Instant) -> News {
        if self.on_its_way.is_some() {
            return News::Delta;
        }
        if self.due.is_none_or(|due| now < due) {
            return News::None;
        }
        self.version = self.version.saturating_add(1);
        self.footnote = false;
        if self.changes.len() > CHANGES_MAX {
            self.changes = VecDeque::new();
            self.due = None;
            return News::Whole;
        }
        let entries = self.changes.drain(..most.min(self.changes.len())).collect();
        self.due = (!self.changes.is_empty()).then_some(now);
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
        self.on_its_way = Some(Delta { version: self.version, entries, untold: members });
        News::Delta
    }

    /// The delta on its way, to be told on; back with [`Self::put_back`].
    pub(super) const fn take(&mut self) -> Option<Delta<E>> {
        self.on_its_way.take()
    }

    /// It goes on in another cycle; or it has reached everyone.
    pub(super) fn put_back(&mut self, delta: Delta<E>) {
        if delta.untold > 0 {
            self.on_its_way = Some(delta);
        }
    }
}

#[cfg(test)]
mod tests {
    use elara_core::time::Span;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn changes_gather_and_go_in_steps_of_the_version() {
        let mut bulletin = Bulletin::new();
        (0..5).for_each(|entry| bulletin.change(entry, at(10 + entry)));
        assert_eq!(bulletin.due(), Some(at(110)));
        assert_eq!(bulletin.poll(3, 7, at(109)), News::None);
        assert_eq!(bulletin.poll(3, 7, at(110)), News::Delta);
        let mut delta = bulletin.take().unwrap();
        assert_eq!((delta.version, delta.untold), (2, 7));
        assert_eq!(delta.entries, [0, 1, 2]);
        delta.untold = 4;
        bulletin.put_back(delta);
        assert_eq!(bulletin.poll(3, 9, at(111)), News::Delta, "the same, where it stopped");
        let mut delta = bulletin.take().unwrap();
        assert_eq!((delta.version, delta.untold), (2, 4));
        delta.untold = 0;
        bulletin.put_back(delta);
        assert_eq!(bulletin.poll(3, 9, at(111)), News::Delta, "the rest waits no longer");
        assert_eq!(bulletin.take().map(|delta| delta.entries), Some(vec![3, 4]));
        assert_eq!((bulletin.due(), bulletin.version()), (None, 3));
    }

    #[test]
    fn a_footnote_is_a_delta_without_entries() {
        let mut bulletin = Bulletin::<u8>::new();
        bulletin.change_footnote(at(0));
        assert_eq!(bulletin.poll(3, 1, at(100)), News::Delta);
        assert!(bulletin.take().unwrap().entries.is_empty());
    }

    #[test]
    fn too_much_to_tell_is_told_as_a_whole() {
        let mut bulletin = Bulletin::new();
        (0..=CHANGES_MAX).for_each(|entry| bulletin.change(entry, at(0)));
        bulletin.change(9, at(1));
        assert_eq!(bulletin.poll(18, 3, at(100)), News::Whole);
        assert_eq!((bulletin.version(), bulletin.due()), (2, None));
    }
}
