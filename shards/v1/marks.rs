//! MARK and REPORT: what was sent to a receiver, and what of it arrived.
//!
//! Everyone gets identical bytes, so nothing in a frame counts them per receiver; MARK does. It goes
//! only to receivers that were sent frames since the last one: every 200 ms to one that loses some,
//! every second to one that loses nothing.

use elara_core::limits::MARK_QUIET;
use elara_core::wire::v1::control::Report;

/// Marks whose reports may still come.
const REMEMBERED: usize = 4;

/// The marks of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// The number of the last one; 0 before the first.
    last: u32,
    /// `sent` of the last ones, by number.
    sent: [u64; REMEMBERED],
    /// Datagrams that had not arrived, by the newest report.
    lost: u64,
    reported: u32,
    lossy: bool,
    /// How often one was due and left out.
    quiet: u8,
}

impl Marks {
    /// Whether the one that is due is to be sent.
    pub(super) const fn is_wanted(&mut self) -> bool {
        self.quiet += 1;
        let wanted = self.lossy || self.last == 0 || self.quiet >= MARK_QUIET;
        if wanted {
            self.quiet = 0;
        }
        wanted
    }

    /// The number of the next one, which says `sent`.
    pub(super) const fn begin(&mut self, sent: u64) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.sent[self.last as usize % REMEMBERED] = sent;
        self.last
    }

    /// A report came: false when it is about no mark that is remembered, or not the newest.
    pub(super) fn handle(&mut self, report: &Report) -> bool {
        let n = report.n.get();
        let known = n > self.reported && n <= self.last && self.last - n < REMEMBERED as u32;
        if known {
            // Nobody receives more than was sent, whatever they say.
            let lost = self.sent[n as usize % REMEMBERED].saturating_sub(report.received.get());
            self.lossy = lost > self.lost;
            self.lost = lost;
            self.reported = n;
        }
        known
    }

    /// Datagrams lost on the way to the receiver, by its newest report.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(n: u32, received: u64) -> Report {
        Report { n: n.into(), received: received.into(), arrival_us: 0.into() }
    }

    #[test]
    fn a_clean_receiver_is_marked_seldom_and_a_losing_one_always() {
        let mut marks = Marks::default();
        assert!(marks.is_wanted(), "the first");
        assert_eq!(marks.begin(10), 1);
        assert!(marks.handle(&report(1, 10)));
        let wanted: Vec<bool> = (0..10).map(|_| marks.is_wanted()).collect();
        assert_eq!(wanted.iter().filter(|wanted| **wanted).count(), 2);
        marks.begin(20);
        assert!(marks.handle(&report(2, 17)) && marks.lost() == 3);
        assert!((0..5).all(|_| marks.is_wanted()));
        marks.begin(30);
        assert!(marks.handle(&report(3, 27)) && marks.lost() == 3);
        assert!(!marks.is_wanted(), "nothing more was lost");
    }

    #[test]
    fn reports_of_no_mark_and_counts_that_cannot_be_change_nothing() {
        let mut marks = Marks::default();
        assert!(!marks.handle(&report(0, 0)) && !marks.handle(&report(1, 0)));
        (0..10).for_each(|n| _ = marks.begin(n * 10));
        assert!(!marks.handle(&report(6, 0)), "too long ago");
        assert!(marks.handle(&report(9, u64::MAX)) && marks.lost() == 0);
        assert!(!marks.handle(&report(9, 0)) && !marks.handle(&report(8, 0)), "late");
        assert!(!marks.handle(&report(11, 0)), "not sent yet");
    }
}
