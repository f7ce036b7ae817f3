//! What has arrived on a connection, and the REPORT that answers a MARK.
//!
//! A REPORT goes out at once when loss or delay have changed since the last one, in either
//! direction, and otherwise at most once a second: what the last MARK said is what is reported.

use zerocopy::little_endian::U64;

use crate::limits::{REPORT_DELAY_STEP, REPORT_EVERY};
use crate::time::Instant;
use crate::wire::v1::control::{Mark, Report};

/// Counts since the connection became active.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    counting: bool,
    datagrams: u64,
    /// The wrapping sum of the last eight bytes of every Core frame that has opened.
    digest: u64,
    /// By how much the relay's digest differs from ours, as of its last MARK.
    difference: u64,
    answer: Option<Report>,
    /// How many were missing as of the last MARK, and how late it was.
    marked: (u64, i64),
    /// The same as of the last MARK that was reported.
    said: (u64, i64),
    reported: Option<Instant>,
    urgent: bool,
}

impl Receipts {
    /// Counting begins with the datagram that is being handled.
    pub(super) const fn begin(&mut self) {
        if !self.counting {
            self.counting = true;
            self.datagrams = 0;
        }
    }

    pub(super) const fn datagram(&mut self) {
        self.datagrams += self.counting as u64;
    }

    /// The datagram being handled proved the connection and was not counted before that.
    pub(super) const fn first_datagram(&mut self) {
        if self.datagrams == 0 {
            self.datagrams = 1;
        }
    }

    pub(super) fn core_frame(&mut self, frame: &[u8]) {
        if let Some(last) = frame.last_chunk().filter(|_| self.counting) {
            self.digest = self.digest.wrapping_add(u64::from_le_bytes(*last));
        }
    }

    /// A MARK came. True when the relay's digest has moved away from ours since the last one.
    pub(super) fn mark(&mut self, mark: &Mark, now: Instant) -> bool {
        let arrival_us = now.as_nanos() / 1_000;
        let received = self.datagrams.min(mark.sent.get());
        let missing = mark.sent.get() - received;
        let delay_us = arrival_us.wrapping_sub(mark.relay_us.get()) as i64;
        let step = REPORT_DELAY_STEP.as_nanos() / 1_000;
        let stepped = self.reported.is_none()
            || missing != self.said.0
            || delay_us.wrapping_sub(self.said.1).unsigned_abs() > step;
        self.urgent |= stepped;
        self.answer = Some(Report {
            n: mark.n,
            received: U64::new(received),
            arrival_us: U64::new(arrival_us),
        });
        self.marked = (missing, delay_us);
        let difference = mark.core_digest.get().wrapping_sub(self.digest);
        let moved = difference != self.difference && difference != 0;
        self.difference = difference;
        moved
    }

    /// When the report goes out.
    pub(super) fn due(&self) -> Option<Instant> {
        self.answer?;
        match self.reported {
            Some(reported) if !self.urgent => Some(reported + REPORT_EVERY),
            _ => Some(Instant::ZERO),
        }
    }

    pub(super) const fn answer(&self) -> Option<&Report> {
        self.answer.as_ref()
    }

    pub(super) const fn said(&mut self, now: Instant) {
        self.answer = None;
        self.urgent = false;
        self.said = self.marked;
        self.reported = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use zerocopy::little_endian::U32;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn mark(n: u32, sent: u64, at_ms: u64, digest: u64) -> Mark {
        Mark {
            n: U32::new(n),
            sent: U64::new(sent),
            bytes: U64::ZERO,
            relay_us: U64::new(at_ms * 1_000),
            core_digest: U64::new(digest),
        }
    }

    fn counting(datagrams: u64) -> Receipts {
        let mut receipts = Receipts::default();
        receipts.begin();
        (0..datagrams).for_each(|_| receipts.datagram());
        receipts
    }

    #[test]
    fn a_report_answers_at_once_when_something_has_changed_and_else_once_a_second() {
        let mut receipts = counting(5);
        receipts.mark(&mark(1, 5, 0, 0), at(10));
        assert!(receipts.due() <= Some(at(10)), "the first mark is always answered");
        let report = receipts.answer().unwrap();
        assert_eq!((report.n.get(), report.received.get()), (1, 5));
        receipts.said(at(10));
        receipts.datagram();
        receipts.mark(&mark(2, 6, 200, 0), at(210));
        assert_eq!(receipts.due(), Some(at(1_010)));
        receipts.datagram();
        receipts.mark(&mark(3, 9, 400, 0), at(410));
        assert!(receipts.due() <= Some(at(410)), "two are lost");
        receipts.said(at(410));
        receipts.datagram();
        receipts.mark(&mark(4, 10, 600, 0), at(610));
        assert_eq!(receipts.due(), Some(at(1_410)), "the same two are no news");
        (0..2).for_each(|_| receipts.datagram());
        receipts.mark(&mark(5, 10, 800, 0), at(810));
        assert!(receipts.due() <= Some(at(810)), "they were late, not lost");
        receipts.said(at(810));
        receipts.mark(&mark(6, 10, 1_000, 0), at(1_031));
        assert!(receipts.due() <= Some(at(1_031)), "a queue has grown by 21 ms");
    }

    #[test]
    fn a_delay_that_creeps_is_reported_when_it_has_come_far_enough() {
        let mut receipts = counting(1);
        receipts.mark(&mark(1, 1, 0, 0), at(10));
        receipts.said(at(10));
        receipts.mark(&mark(2, 1, 200, 0), at(225));
        assert_eq!(receipts.due(), Some(at(1_010)));
        receipts.mark(&mark(3, 1, 400, 0), at(435));
        assert!(receipts.due() <= Some(at(435)), "25 ms more than was reported");
    }

    #[test]
    fn a_count_above_what_was_sent_is_none_missing() {
        let mut receipts = counting(9);
        receipts.mark(&mark(1, 4, 0, 0), at(0));
        assert_eq!(receipts.answer().unwrap().received.get(), 4);
    }

    #[test]
    fn a_digest_that_differs_is_told_once() {
        let mut receipts = counting(1);
        receipts.core_frame(&[9, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!receipts.mark(&mark(1, 1, 0, 1), at(0)));
        assert!(receipts.mark(&mark(2, 1, 0, 6), at(0)), "a frame of 5 is missing");
        assert!(!receipts.mark(&mark(3, 1, 0, 6), at(0)));
        receipts.core_frame(&[5, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!receipts.mark(&mark(4, 1, 0, 6), at(0)), "it has come");
    }
}
