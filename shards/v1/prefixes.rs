//! What each neighbourhood of addresses may ask for: counters by prefix, in a table that never grows.
//!
//! An IPv4 address counts with its /24, an IPv6 address with its /56: who has one address there usually has
//! all of them. The place in the table is a keyed hash, so nobody can aim at another's place.

use elara_core::ClientAddr;
use elara_core::keyed::Keyed;
use elara_core::limits::{HELLO_PER_PREFIX, HELLO_PER_PREFIX_COOKIE, PREFIXES, RESET_PER_PREFIX};
use elara_core::time::Instant;

use super::rates::Meter;

#[derive(Clone, Copy, Debug, Default)]
struct Prefix {
    strangers: Meter,
    proven: Meter,
    resets: Meter,
}

/// The counters.
#[derive(Debug)]
pub(super) struct Prefixes {
    table: Box<[Prefix]>,
    keyed: Keyed,
}

impl Prefixes {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self { table: vec![Prefix::default(); PREFIXES].into(), keyed }
    }

    /// A HELLO, before anything is known about its source. Loopback is trusted to be itself.
    pub(super) fn admit_stranger(&mut self, from: &ClientAddr, now: Instant) -> bool {
        from.is_loopback() || self.of(from).strangers.take(HELLO_PER_PREFIX, now)
    }

    /// A HELLO whose cookie shows that its source receives what is sent there.
    pub(super) fn admit_proven(&mut self, from: &ClientAddr, now: Instant) -> bool {
        from.is_loopback() || self.of(from).proven.take(HELLO_PER_PREFIX_COOKIE, now)
    }

    /// A RESET towards this source.
    pub(super) fn admit_reset(&mut self, from: &ClientAddr, now: Instant) -> bool {
        from.is_loopback() || self.of(from).resets.take(RESET_PER_PREFIX, now)
    }

    fn of(&mut self, from: &ClientAddr) -> &mut Prefix {
        let place = self.keyed.hash(prefix(from)) as usize % PREFIXES;
        &mut self.table[place]
    }
}

/// The bytes of an address that stand for its neighbourhood.
fn prefix(from: &ClientAddr) -> &[u8] {
    let mapped = from.ip().is_ipv4();
    &from.ip_bytes()[..if mapped { 15 } else { 7 }]
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn addr(text: &str) -> ClientAddr {
        ClientAddr::from(text.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn neighbours_share_and_strangers_do_not() {
        let mut prefixes = Prefixes::new(Keyed(1, 2));
        let mut asked = |text: &str| prefixes.admit_stranger(&addr(text), Instant::ZERO);
        assert!((0..40).all(|n| asked(&format!("192.0.2.{n}:{}", 1_000 + n))));
        assert!(!asked("192.0.2.99:1"), "the /24 has had its forty");
        assert!(asked("192.0.3.99:1"));
        assert!((0..40).all(|n| asked(&format!("[2001:db8:0:{n:x}::1]:1"))));
        assert!(!asked("[2001:db8:0:ff::1]:1"), "the /56 likewise");
        assert!((0..1_000).all(|_| asked("127.0.0.1:1")), "loopback is not counted");
    }

    #[test]
    fn a_cookie_opens_another_account() {
        let mut prefixes = Prefixes::new(Keyed(1, 2));
        let from = addr("192.0.2.1:1");
        while prefixes.admit_stranger(&from, Instant::ZERO) {}
        let proven = (0..1_000).filter(|_| prefixes.admit_proven(&from, Instant::ZERO)).count();
        assert_eq!(proven, 400);
        assert!(prefixes.admit_reset(&from, Instant::ZERO));
    }
}
