//! The books of a run: what was offered, what came, how late.
//!
//! A load frame counts when it was *due* inside the measured window, however late it left or came.
//! What must never happen (a frame in the wrong session, a changed byte) counts whenever it happens.
//! Nothing here allocates after [`Tally::new`].

use std::ops::Range;

use elara_shards::counters::Egress;
use hdrhistogram::Histogram;

use crate::frame::Seen;
use crate::plan::Plan;
use crate::window::{Arrival, Windows};

/// Times beyond a minute are recorded as a minute.
const TIME_MAX: u64 = 60_000_000_000;

/// Plain counts. Frames are what senders send, datagrams what receivers get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Frames due in the window.
    pub(crate) offered: u64,
    /// Of these, frames the kernel took.
    pub(crate) sent: u64,
    /// Of these, frames our own send buffer had no room for.
    pub(crate) busy: u64,
    /// Load datagrams that arrived as they should, each once, whenever they were due.
    pub(crate) arrived: u64,
    /// Of these, those due in the window.
    pub(crate) delivered: u64,
    /// Further copies of them.
    pub(crate) duplicates: u64,
    /// Of the delivered, those that came after a later one.
    pub(crate) reordered: u64,
    /// Came so late that nobody knows whether they came before; lost.
    pub(crate) too_late: u64,
    /// See [`Seen`].
    pub(crate) wrong_session: u64,
    /// See [`Seen`].
    pub(crate) corrupt: u64,
    /// See [`Seen`].
    pub(crate) echoed: u64,
    /// See [`Seen`].
    pub(crate) foreign: u64,
    /// See [`Seen`].
    pub(crate) control: u64,
    /// See [`Seen`].
    pub(crate) alerts: u64,
    /// See [`Seen`].
    pub(crate) kicked: u64,
    /// Sequence numbers passed over and not seen since, warm-up included: what looks lost so far.
    pub(crate) gaps: i64,
    /// Datagrams that arrived as they should, keep-alives included; each once, as far as that is known.
    pub(crate) useful: u64,
}

/// The books.
pub(crate) struct Tally {
    /// Scheduled times that count, in nanoseconds.
    pub(crate) window: Range<u64>,
    /// From scheduled send to arrival, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// From scheduled send to actual send, in nanoseconds.
    pub(crate) lateness: Histogram<u64>,
    /// The rest.
    pub(crate) counts: Counts,
    windows: Windows,
    senders: u32,
}

impl Tally {
    /// Empty books for this plan.
    pub(crate) fn new(plan: &Plan, window: Range<u64>) -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, TIME_MAX, 3).expect("constant bounds that are valid");
        let pairs = plan.members() * u64::from(plan.senders);
        Self {
            window,
            latency: histogram(),
            lateness: histogram(),
            counts: Counts::default(),
            windows: Windows::new(pairs as usize, plan.reorder_frames()),
            senders: plan.senders,
        }
    }

    /// Notes a send of `frames` frames due at `scheduled` that left at `now`.
    #[inline]
    pub(crate) fn sent(&mut self, frames: u32, scheduled: u64, now: u64, egress: Egress) {
        if self.window.contains(&scheduled) {
            self.counts.offered += u64::from(frames);
            self.counts.sent += egress.sent;
            self.counts.busy += egress.busy;
            let late = now.saturating_sub(scheduled);
            self.lateness.saturating_record_n(late, u64::from(frames));
        }
    }

    /// Notes what `receiver` received at `now`.
    #[inline]
    pub(crate) fn arrived(&mut self, receiver: u32, seen: Seen, now: u64) {
        let counts = &mut self.counts;
        let (sender, scheduled, sequence) = match seen {
            Seen::Load { sender, scheduled, sequence } => (sender, scheduled, sequence),
            Seen::KeepAlive(_) => return counts.useful += 1,
            Seen::WrongSession => return counts.wrong_session += 1,
            Seen::Echo => return counts.echoed += 1,
            Seen::Foreign => return counts.foreign += 1,
            Seen::Corrupt => return counts.corrupt += 1,
            Seen::Forgotten => return counts.too_late += 1,
            Seen::Control => return counts.control += 1,
            Seen::Alert => return counts.alerts += 1,
            Seen::Kicked => return counts.kicked += 1,
        };
        let pair = receiver as usize * self.senders as usize + sender as usize;
        let arrival = self.windows.note(pair, sequence);
        match arrival {
            Arrival::New { skipped } => counts.gaps += i64::from(skipped),
            Arrival::Reordered => counts.gaps -= 1,
            Arrival::Duplicate | Arrival::TooLate => {}
        }
        let once = u64::from(!matches!(arrival, Arrival::Duplicate | Arrival::TooLate));
        counts.arrived += once;
        counts.useful += once;
        if !self.window.contains(&scheduled) {
            return;
        }
        match arrival {
            Arrival::Duplicate => return counts.duplicates += 1,
            Arrival::TooLate => return counts.too_late += 1,
            Arrival::Reordered => counts.reordered += 1,
            Arrival::New { .. } => {}
        }
        counts.delivered += 1;
        self.latency.saturating_record(now.saturating_sub(scheduled));
    }
}

#[cfg(test)]
mod tests {
    use elara_core::random::{Random, Seeded};

    use super::*;

    fn load(sender: u32, sequence: u32) -> Seen {
        Seen::Load { sender, scheduled: 1_000 + u64::from(sequence), sequence }
    }

    fn tally(window: Range<u64>) -> Tally {
        let plan = Plan { sessions: 1, participants: 4, senders: 2, ..Plan::voice() };
        Tally::new(&plan, window)
    }

    #[test]
    fn only_what_was_due_in_the_window_counts() {
        let mut tally = tally(1_010..1_020);
        for sequence in 0..30 {
            let egress = Egress { sent: 1, ..Egress::default() };
            tally.sent(1, 1_000 + u64::from(sequence), 2_000, egress);
            for receiver in 1..4 {
                tally.arrived(receiver, load(0, sequence), 2_000);
            }
        }
        let counts = tally.counts;
        assert_eq!((counts.offered, counts.sent, counts.delivered), (10, 10, 30));
        assert_eq!((counts.useful, counts.arrived, counts.gaps), (90, 90, 0));
        assert_eq!((tally.latency.len(), tally.lateness.len()), (30, 10));
    }

    #[test]
    fn time_runs_from_the_schedule_not_from_the_send() {
        let mut tally = tally(0..u64::MAX);
        tally.sent(3, 1_000, 501_000, Egress::default());
        tally.arrived(1, load(0, 0), 901_000);
        assert!(tally.lateness.equivalent(tally.lateness.max(), 500_000));
        assert!(tally.latency.equivalent(tally.latency.max(), 900_000));
        assert_eq!((tally.lateness.len(), tally.latency.len()), (3, 1));
    }

    #[test]
    fn what_must_never_happen_counts_whenever_it_happens() {
        let mut tally = tally(0..0);
        let wrong = [Seen::WrongSession, Seen::Corrupt, Seen::Echo, Seen::Foreign, Seen::Kicked];
        for seen in wrong.into_iter().chain([Seen::KeepAlive(2), load(0, 0)]) {
            tally.arrived(1, seen, 5);
        }
        let expected = Counts {
            wrong_session: 1,
            corrupt: 1,
            echoed: 1,
            foreign: 1,
            kicked: 1,
            useful: 2,
            arrived: 1,
            ..Counts::default()
        };
        assert_eq!(tally.counts, expected);
    }

    /// A channel that loses, repeats and reorders, and a plain count of what it did.
    #[test]
    fn the_books_agree_with_what_the_channel_did() {
        for seed in 1..=5 {
            let mut random = Seeded::new(seed);
            let mut tally = tally(0..u64::MAX);
            let (mut lost, mut repeated) = (0, 0);
            let mut under_way = Vec::new();
            for sequence in 0..20_000 {
                for sender in 0..2 {
                    for receiver in (0..4).filter(|receiver| *receiver != sender) {
                        if random.chance(30_000) {
                            lost += 1;
                            continue;
                        }
                        under_way.push((receiver, load(sender, sequence)));
                        if random.chance(20_000) {
                            repeated += 1;
                            under_way.push((receiver, load(sender, sequence)));
                        }
                    }
                }
                while under_way.len() > 100 {
                    let picked = random.below(100) as usize;
                    let (receiver, seen) = under_way.swap_remove(picked);
                    tally.arrived(receiver, seen, 30_000);
                }
            }
            for (receiver, seen) in under_way {
                tally.arrived(receiver, seen, 30_000);
            }
            let counts = tally.counts;
            assert_eq!(counts.delivered, 20_000 * 2 * 3 - lost, "seed {seed}");
            assert_eq!((counts.duplicates, counts.too_late), (repeated, 0), "seed {seed}");
            assert!(counts.reordered > 0);
        }
    }
}
