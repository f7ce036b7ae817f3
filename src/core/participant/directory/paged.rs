//! A set that comes in pages and deltas: those put aside, and when to ask for the whole.

use alloc::vec::Vec;

use crate::limits::{GET_AGAIN, PAGES_PATIENCE};
use crate::time::Instant;
use crate::wire::v1::{Pages, Turn};

/// A set that comes in pages: those put aside, and when to ask for them.
#[derive(Debug)]
pub(in super::super) struct Paged<E> {
    pages: Pages,
    aside: Vec<E>,
    wanted: Option<Instant>,
    asked: Option<Instant>,
    heard: Option<Instant>,
}

impl<E> Default for Paged<E> {
    fn default() -> Self {
        Self { pages: Pages::default(), aside: Vec::new(), wanted: None, asked: None, heard: None }
    }
}

/// What a page or delta brings about.
pub(super) enum Step<E> {
    Nothing,
    /// Changes to what is held.
    Delta,
    /// All there is.
    Whole(Vec<E>),
}

impl<E: Copy> Paged<E> {
    /// Another connection: versions begin anew, and what is held may be old.
    pub(in super::super) fn renew(&mut self, now: Instant) {
        self.pages = Pages::default();
        self.aside = Vec::new();
        self.wanted = Some(now + PAGES_PATIENCE);
        self.heard = Some(now);
    }

    /// Something says that what is held is not all there is.
    pub(in super::super) fn want(&mut self, at: Instant) {
        self.wanted = Some(self.wanted.map_or(at, |wanted| wanted.min(at)));
    }

    /// When to ask.
    pub(in super::super) fn due(&self) -> Option<Instant> {
        let wanted = self.wanted?;
        Some(self.asked.map_or(wanted, |asked| wanted.max(asked + GET_AGAIN)))
    }

    /// The version held in full: what a request says.
    pub(in super::super) const fn version(&self) -> u32 {
        self.pages.version()
    }

    pub(in super::super) const fn said(&mut self, now: Instant) {
        // Answered or not: the answer clears it, and without one it is asked again.
        if self.wanted.is_some() {
            self.wanted = Some(now);
        }
        self.asked = Some(now);
    }

    /// Whether to ask: because something is missing, or with a ping to be sure, when nothing has come
    /// for long. Who holds what the relay holds is not answered; so a lost delta that no later one
    /// follows is found.
    pub(in super::super) fn asks(&self, pings: bool, now: Instant) -> bool {
        let quiet = |at: Option<Instant>| at.is_none_or(|at| at + GET_AGAIN <= now);
        let sure = pings && quiet(self.heard) && quiet(self.asked);
        sure || self.due().is_some_and(|due| due <= now)
    }

    pub(super) fn step(&mut self, front: (u32, u8, u8), entries: &[E], now: Instant) -> Step<E> {
        let (version, page, pages) = front;
        self.heard = Some(now);
        let (first, whole) = match self.pages.handle(version, page, pages) {
            Turn::Known => {
                if !self.pages.lags(version) && self.aside.is_empty() {
                    self.wanted = None;
                }
                return Step::Nothing;
            }
            Turn::Contradiction => return Step::Nothing,
            Turn::Missing => {
                self.want(now);
                return Step::Nothing;
            }
            Turn::Apply => {
                self.wanted = None;
                self.aside = Vec::new();
                return Step::Delta;
            }
            Turn::Collect { first } => (first, false),
            Turn::Complete { first } => (first, true),
        };
        if first {
            self.aside.clear();
        }
        self.aside.extend_from_slice(entries);
        if !whole {
            self.want(now + PAGES_PATIENCE);
            return Step::Nothing;
        }
        self.wanted = None;
        Step::Whole(core::mem::take(&mut self.aside))
    }
}
