//! One request on its way: the same bytes, sent again until an answer comes or the last pause is over.
//!
//! ```text
//!   0   0.5  1.5    3.5        7.5                15.5 s ..  31.5         39.5
//!   |----|----|------|----------|-------------------|---- .. --|------------|
//!   sent                     RTO, doubling                   seventh      given up
//! ```

use alloc::vec::Vec;

use super::Failure;
use crate::limits::{STUN_LAST_PAUSES, STUN_RTO, STUN_SENDS_MAX};
use crate::stun::{Method, TransactionId};
use crate::time::{Instant, Span};

/// A request (RFC 8489 section 6.2.1).
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) method: Method,
    /// It carries MESSAGE-INTEGRITY, and so must what answers it.
    pub(super) signed: bool,
    /// An answer came that did not prove itself.
    pub(super) doubted: bool,
    /// How often the server has asked for credentials, or for a fresh nonce, since this was first asked.
    pub(super) challenges: u32,
    bytes: Vec<u8>,
    sends: u32,
    next: Instant,
}

/// What is to be done about a request.
pub(super) enum Step<'a> {
    Wait,
    Send(&'a [u8]),
    /// Nothing that counts has answered.
    GiveUp(Failure),
}

impl Transaction {
    /// The request with these bytes, to be sent at once.
    pub(super) const fn new(
        id: TransactionId,
        method: Method,
        bytes: Vec<u8>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            method,
            signed: false,
            doubted: false,
            challenges: 0,
            bytes,
            sends: 0,
            next: now,
        }
    }

    /// When [`Self::poll`] says something else than to wait.
    pub(super) const fn due(&self) -> Instant {
        self.next
    }

    pub(super) fn poll(&mut self, now: Instant) -> Step<'_> {
        if self.next > now {
            return Step::Wait;
        }
        if self.sends >= STUN_SENDS_MAX {
            // RFC 8489 section 9.2.5: where all answers were discarded, that is what is told.
            let why = if self.doubted { Failure::Unproven } else { Failure::NoAnswer };
            return Step::GiveUp(why);
        }
        self.sends += 1;
        let pauses = match self.sends {
            STUN_SENDS_MAX => STUN_LAST_PAUSES,
            sends => 1 << (sends - 1),
        };
        self.next = now + Span::from_nanos(STUN_RTO.as_nanos() * pauses);
        Step::Send(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Span::from_millis(millis)
    }

    #[test]
    fn a_request_is_sent_when_rfc_8489_says() {
        let id = TransactionId([7; 12]);
        let mut request = Transaction::new(id, Method::BINDING, [1, 2, 3].into(), at(0));
        for millis in [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500] {
            assert_eq!(request.due(), at(millis));
            if millis > 0 {
                assert!(matches!(request.poll(at(millis - 1)), Step::Wait));
            }
            assert!(matches!(request.poll(at(millis)), Step::Send([1, 2, 3])));
            assert!(matches!(request.poll(at(millis)), Step::Wait));
        }
        assert!(matches!(request.poll(at(39_499)), Step::Wait));
        assert!(matches!(request.poll(at(39_500)), Step::GiveUp(Failure::NoAnswer)));
    }

    #[test]
    fn who_looks_late_does_not_send_twice_at_once() {
        let id = TransactionId([7; 12]);
        let mut request = Transaction::new(id, Method::BINDING, [1].into(), at(0));
        assert!(matches!(request.poll(at(60_000)), Step::Send(_)));
        assert!(matches!(request.poll(at(60_499)), Step::Wait));
        assert!(matches!(request.poll(at(60_500)), Step::Send(_)));
    }

    #[test]
    fn what_was_only_doubted_is_told_as_that() {
        let id = TransactionId([7; 12]);
        let mut request = Transaction::new(id, Method::REFRESH, [1].into(), at(0));
        request.doubted = true;
        let mut now = at(0);
        while !matches!(request.poll(now), Step::GiveUp(Failure::Unproven)) {
            now = request.due();
        }
        assert_eq!(now, at(39_500));
    }
}
