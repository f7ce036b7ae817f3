//! What is going to happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use elara_core::time::Instant;

/// Events to come; those of one time happen in the order in which they were put down.
pub(crate) struct Agenda<E> {
    events: BinaryHeap<Reverse<(Instant, u64, E)>>,
    /// Events so far.
    count: u64,
}

impl<E: Ord> Agenda<E> {
    pub(crate) const fn new() -> Self {
        Self { events: BinaryHeap::new(), count: 0 }
    }

    pub(crate) fn put(&mut self, at: Instant, event: E) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    /// Takes off the next.
    pub(crate) fn take(&mut self) -> Option<(Instant, E)> {
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
