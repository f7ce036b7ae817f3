//! Who sits where: the ports of a session's sender and hearers, as peers are told.

use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;

/// Below what the kernel gives away by itself, and away from [`PEERS_PORTS`].
const FIRST_PORTS: Range<u16> = 20_000..28_000;
/// Ports a peer may take.
pub(super) const PEERS_PORTS: Range<u16> = 30_000..32_000;

/// Participants of sessions of one size, in a row of ports. The first of each session sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seats {
    pub(super) sessions: u16,
    pub(super) participants: u16,
    pub(super) first_port: u16,
}

impl Seats {
    /// Seats at ports that are free.
    ///
    /// # Errors
    /// When so many cannot be had in a row.
    pub(super) fn find(sessions: u16, participants: u16) -> Result<Self, String> {
        let count = sessions * participants;
        let free = |first: &u16| {
            let mut ports = *first..*first + count;
            ports.all(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok())
        };
        let first = FIRST_PORTS.step_by(count.into()).find(free);
        let first_port = first.ok_or_else(|| {
            let Range { start, end } = FIRST_PORTS;
            format!("no {count} UDP ports in a row are free between {start} and {end}")
        })?;
        Ok(Self { sessions, participants, first_port })
    }

    /// The port a session's sender sends from.
    pub(super) const fn sender(&self, session: u16) -> u16 {
        self.first_port + session * self.participants
    }

    /// The ports its hearers hear at.
    pub(super) const fn hearers(&self, session: u16) -> Range<u16> {
        let sender = self.sender(session);
        sender + 1..sender + self.participants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_port_and_nobody_shares_one() {
        let seats = Seats { sessions: 2, participants: 10, first_port: 20_000 };
        assert_eq!((seats.sender(0), seats.hearers(0)), (20_000, 20_001..20_010));
        assert_eq!((seats.sender(1), seats.hearers(1)), (20_010, 20_011..20_020));
    }

    #[test]
    fn ports_that_are_taken_are_passed_over() {
        let first = Seats::find(1, 10).unwrap();
        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, first.first_port + 3));
        let second = Seats::find(1, 10).unwrap();
        // Where somebody else took it in between, there is nothing to pass over.
        assert!(taken.is_err() || second.first_port != first.first_port);
        assert!(second.first_port + 10 <= PEERS_PORTS.start);
    }
}
