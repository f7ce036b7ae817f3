//! A participant at a new address: believed when it answers from there.
//!
//! ```text
//!   verified, newest of its class, from elsewhere ──▶ pending: a challenge there, another to the old address
//!   the pending address's PATH_RESPONSE from there ──▶ switched
//!   newer traffic from the old address, or 3 s     ──▶ dropped: someone copied a datagram
//! ```
//! The two challenges differ, so that a copied answer of the old address switches nothing: whoever can
//! only copy what a participant sends never gets its downlink.

use elara_core::ClientAddr;
use elara_core::limits::{CHALLENGES_PER_PARTICIPANT, PATH_SWITCHES_PER_MIN, PATH_WAIT};
use elara_core::time::{Instant, Span};

use super::rates::Meter;

/// Between two switches on average.
const SWITCH_EVERY: Span = Span::from_nanos(60_000_000_000 / PATH_SWITCHES_PER_MIN);
/// So many at once.
const SWITCHES_AT_ONCE: u64 = 2;

/// Where a participant may be, besides where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roaming {
    pending: Option<Pending>,
    challenges: Meter,
    /// When the next switch would be on time if they came evenly.
    due: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    addr: ClientAddr,
    challenge: [u8; 8],
    until: Instant,
}

impl Roaming {
    pub(super) const fn new() -> Self {
        Self { pending: None, challenges: Meter::NEW, due: Instant::ZERO }
    }

    /// A verified datagram came from `from`, which is not where the participant is. The challenge to send
    /// there, if one is; `fresh` makes a random one.
    pub(super) fn handle_elsewhere(
        &mut self,
        from: ClientAddr,
        fresh: impl FnOnce() -> [u8; 8],
        now: Instant,
    ) -> Option<[u8; 8]> {
        let too_often = SWITCH_EVERY.as_nanos() * (SWITCHES_AT_ONCE - 1);
        if self.due.since(now).as_nanos() > too_often {
            return None;
        }
        if !self.challenges.take(CHALLENGES_PER_PARTICIPANT, now) {
            return None;
        }
        let pending = match &mut self.pending {
            Some(pending) if pending.addr == from && now < pending.until => pending,
            _ => self.pending.insert(Pending {
                addr: from,
                challenge: fresh(),
                until: now + PATH_WAIT,
            }),
        };
        Some(pending.challenge)
    }

    /// A newer datagram came from where the participant is: it has not gone anywhere.
    pub(super) const fn handle_home(&mut self) {
        self.pending = None;
    }

    /// Whether this response, from `from`, proves that the participant is there.
    pub(super) fn handle_response(
        &mut self,
        from: &ClientAddr,
        response: &[u8; 8],
        now: Instant,
    ) -> bool {
        let proven = self.pending.is_some_and(|pending| {
            pending.addr == *from && pending.challenge == *response && now < pending.until
        });
        if proven {
            self.pending = None;
            self.due = self.due.max(now) + SWITCH_EVERY;
        }
        proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn addr(port: u16) -> ClientAddr {
        ClientAddr::new([9; 16], port, 0)
    }

    #[test]
    fn an_address_is_believed_when_it_answers() {
        let mut roaming = Roaming::new();
        assert_eq!(roaming.handle_elsewhere(addr(2), || [7; 8], at(0)), Some([7; 8]));
        assert_eq!(
            roaming.handle_elsewhere(addr(2), || [8; 8], at(1)),
            Some([7; 8]),
            "the same again"
        );
        assert!(!roaming.handle_response(&addr(1), &[7; 8], at(2)), "from the old address");
        assert!(!roaming.handle_response(&addr(2), &[8; 8], at(2)), "not what was asked");
        assert!(roaming.handle_response(&addr(2), &[7; 8], at(2)));
        assert!(!roaming.handle_response(&addr(2), &[7; 8], at(2)), "once");
    }

    #[test]
    fn newer_traffic_from_home_and_time_end_it() {
        let mut roaming = Roaming::new();
        roaming.handle_elsewhere(addr(2), || [7; 8], at(0));
        roaming.handle_home();
        assert!(!roaming.handle_response(&addr(2), &[7; 8], at(1)));
        roaming.handle_elsewhere(addr(2), || [7; 8], at(2));
        assert!(!roaming.handle_response(&addr(2), &[7; 8], at(3_002)));
        assert_eq!(roaming.handle_elsewhere(addr(2), || [6; 8], at(3_002)), Some([6; 8]));
    }

    #[test]
    fn challenges_are_few_however_many_addresses_there_are() {
        let mut roaming = Roaming::new();
        let ask = |n: u16| roaming.handle_elsewhere(addr(n % 7), || [1; 8], at(n.into()));
        let asked = (0..1_000).filter_map(ask).count();
        assert!((5..=8).contains(&asked), "{asked} in a second");
    }

    #[test]
    fn twenty_switches_a_minute_and_two_at_once() {
        let mut roaming = Roaming::new();
        let mut switches = 0;
        for ms in (0..60_000).step_by(10) {
            let port = if ms % 20 == 0 { 1 } else { 2 };
            if let Some(challenge) = roaming.handle_elsewhere(addr(port), || [1; 8], at(ms)) {
                switches += u32::from(roaming.handle_response(&addr(port), &challenge, at(ms)));
            }
        }
        assert!((20..=22).contains(&switches), "{switches}");
    }
}
