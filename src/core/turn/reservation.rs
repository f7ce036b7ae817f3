//! Ports that EVEN-PORT set aside for a second allocation (RFC 8656 sections 7.2, 18.7 and 18.9).

use alloc::collections::VecDeque;

use super::Socket;
use super::credentials::Name;
use super::home::Family;
use crate::crypto::secret::equal;
use crate::limits::{TURN_RESERVATION_FOR, TURN_RESERVATIONS_MAX};
use crate::time::Instant;

/// What names a reservation: random.
pub(super) type Token = [u8; 8];

/// A relayed address that waits for its owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reservation {
    pub(super) token: Token,
    /// Whose it is: a token that leaks is of no use to others.
    pub(super) account: Name,
    pub(super) family: Family,
    pub(super) socket: Socket,
    pub(super) port: u16,
    until: Instant,
}

/// All of a shard, the oldest first: each lasts as long as the others.
#[derive(Debug, Default)]
pub(super) struct Reservations(VecDeque<Reservation>);

impl Reservations {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= TURN_RESERVATIONS_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sets a port aside. Whoever calls has made sure that there is room.
    pub(super) fn reserve(
        &mut self,
        (token, account): (Token, Name),
        (family, socket, port): (Family, Socket, u16),
        now: Instant,
    ) {
        let until = now + TURN_RESERVATION_FOR;
        self.0.push_back(Reservation { token, account, family, socket, port, until });
    }

    /// The family of the port that waits for `account` under `token`; `None` when none does.
    pub(super) fn family(&self, token: &[u8], account: &Name, now: Instant) -> Option<Family> {
        let place = self.place(token, account, now)?;
        self.0.get(place).map(|held| held.family)
    }

    /// Takes that port.
    pub(super) fn claim(
        &mut self,
        token: &[u8],
        account: &Name,
        now: Instant,
    ) -> Option<Reservation> {
        let place = self.place(token, account, now)?;
        self.0.remove(place)
    }

    /// Takes a port that nobody has claimed in time.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Reservation> {
        self.0.front().filter(|oldest| oldest.until <= now)?;
        self.0.pop_front()
    }

    /// When the first of them ends.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.front().map(|oldest| oldest.until)
    }

    fn place(&self, token: &[u8], account: &Name, now: Instant) -> Option<usize> {
        self.0.iter().position(|held| {
            equal(&held.token, token) && held.account == *account && held.until > now
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Span::from_secs(secs)
    }

    #[test]
    fn a_port_waits_thirty_seconds_for_its_owner_and_is_taken_once() {
        let (anna, berta) = (Name::of("anna"), Name::of("berta"));
        let mut reservations = Reservations::default();
        let port = |n: u8| ([n; 8], (Family::V4, Socket(n.into()), 50_000 + u16::from(n)));
        for n in 0..3 {
            let (token, place) = port(n);
            reservations.reserve((token, anna), place, at(n.into()));
        }
        let family = |token: &[u8], account, secs| reservations.family(token, account, at(secs));
        assert_eq!(family(&[1; 8], &anna, 30), Some(Family::V4));
        assert_eq!(family(&[1; 8], &anna, 31), None, "over");
        assert_eq!(family(&[1; 8], &berta, 2), None, "of another");
        assert_eq!((family(&[1; 7], &anna, 2), family(&[7; 8], &anna, 2)), (None, None));
        assert_eq!(reservations.claim(&[1; 8], &anna, at(2)).unwrap().port, 50_001);
        assert!(reservations.claim(&[1; 8], &anna, at(2)).is_none());
        assert_eq!(reservations.earliest(), Some(at(30)));
        assert!(reservations.expire(at(29)).is_none());
        assert_eq!(reservations.expire(at(60)).unwrap().socket, Socket(0));
        assert_eq!(reservations.expire(at(60)).unwrap().socket, Socket(2));
        assert_eq!((reservations.len(), reservations.earliest()), (0, None));
    }
}
