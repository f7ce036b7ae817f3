//! What a floor has taken in and sent, for whoever cannot hear its deliveries.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use elara_shards::counters::Egress;
use serde::{Deserialize, Serialize};

/// The counters. Only the serving thread writes them.
#[derive(Default)]
pub(super) struct Counts {
    taken: AtomicU64,
    sent: AtomicU64,
    refused: AtomicU64,
}

/// What they say at one moment, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::bench) struct Counted {
    /// Taken in.
    pub(in crate::bench) taken: u64,
    /// Copies that the kernel took.
    pub(in crate::bench) sent: u64,
    /// Copies that it did not.
    pub(in crate::bench) refused: u64,
}

impl Counts {
    #[inline]
    pub(super) fn take(&self, frames: u64) {
        add(&self.taken, frames);
    }

    #[inline]
    pub(super) fn send(&self, frames: u64) {
        add(&self.sent, frames);
    }

    /// So many of what counts as sent were refused.
    #[inline]
    pub(super) fn refuse(&self, frames: u64) {
        add(&self.refused, frames);
        add(&self.sent, frames.wrapping_neg());
    }

    /// What a batch of datagrams of one frame each came to.
    #[inline]
    pub(super) fn flushed(&self, egress: Egress) {
        add(&self.sent, egress.sent);
        add(&self.refused, egress.busy + egress.failed);
    }

    fn read(&self) -> Counted {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counted { taken: of(&self.taken), sent: of(&self.sent), refused: of(&self.refused) }
    }
}

/// An ordinary add: nobody else writes.
#[inline]
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// For each line on stdin, prints what `counts` say, as one line of JSON.
pub(super) fn answer(counts: &Arc<Counts>) {
    let counts = Arc::clone(counts);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::to_string(&counts.read()) {
                Ok(line) => println!("{line}"),
                Err(error) => eprintln!("{error}"),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_was_not_sent() {
        let counts = Counts::default();
        counts.take(3);
        counts.send(27);
        counts.refuse(9);
        counts.flushed(Egress { sent: 5, busy: 1, failed: 2, ..Egress::default() });
        let counted = counts.read();
        assert_eq!(counted, Counted { taken: 3, sent: 23, refused: 12 });
        let line = serde_json::to_string(&counted).unwrap();
        assert_eq!(serde_json::from_str::<Counted>(&line).unwrap(), counted);
    }
}
