//! The addresses that peers see: one IP address of this node per family, as it listens and as it is known.

use core::net::{IpAddr, SocketAddr};

use super::config::{Config, Relay};
use crate::ClientAddr;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, which includes IPv4 mapped into IPv6.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[inline]
    #[must_use]
    pub const fn of(addr: &ClientAddr) -> Self {
        if u128::from_be_bytes(*addr.ip_bytes()) >> 32 == 0xFFFF { Self::V4 } else { Self::V6 }
    }

    /// Its number in REQUESTED-ADDRESS-FAMILY and its like.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    pub(super) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.number() == number)
    }
}

/// One thing per family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Each<T> {
    pub(super) v4: T,
    pub(super) v6: T,
}

impl<T> Each<T> {
    #[inline]
    pub(super) const fn of(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    #[inline]
    pub(super) const fn of_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Where relayed addresses of one family are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    inside: ClientAddr,
    outside: ClientAddr,
}

impl Home {
    fn new(relay: &Relay) -> Self {
        let plain = |ip: IpAddr| ClientAddr::from(SocketAddr::new(ip, 0));
        let inside = plain(relay.listen);
        Self { inside, outside: relay.external.map_or(inside, plain) }
    }

    /// What is bound.
    #[inline]
    pub(super) const fn inside(&self, port: u16) -> ClientAddr {
        ClientAddr::new(*self.inside.ip_bytes(), port, 0)
    }

    /// What peers and clients are told, and what permissions are about.
    #[inline]
    pub(super) const fn outside(&self, port: u16) -> ClientAddr {
        ClientAddr::new(*self.outside.ip_bytes(), port, 0)
    }

    /// Whether an address is of this IP address, in either form.
    #[inline]
    pub(super) fn holds(&self, addr: &ClientAddr) -> bool {
        [&self.outside, &self.inside].into_iter().any(|own| own.ip_bytes() == addr.ip_bytes())
    }
}

/// Those of both families.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Homes(Each<Option<Home>>);

impl Homes {
    pub(super) fn new(config: &Config) -> Self {
        let mut homes = Self::default();
        for relay in &config.relays {
            let home = Home::new(relay);
            *homes.0.of_mut(Family::of(&home.outside)) = Some(home);
        }
        homes
    }

    #[inline]
    pub(super) const fn of(&self, family: Family) -> Option<&Home> {
        self.0.of(family).as_ref()
    }

    /// Whether an address is one of ours, and if so in the form that everyone knows: a datagram that went
    /// round through the kernel comes from the other one.
    #[inline]
    pub(super) fn outward(&self, addr: ClientAddr) -> (ClientAddr, bool) {
        match self.of(Family::of(&addr)) {
            Some(home) if home.holds(&addr) => (home.outside(addr.port()), true),
            _ => (addr, false),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use super::*;

    fn addr(text: &str) -> ClientAddr {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn a_family_is_seen_through_the_mapping() {
        for (text, family) in [
            ("192.0.2.1:1", Family::V4),
            ("[::ffff:192.0.2.1]:1", Family::V4),
            ("[::192.0.2.1]:1", Family::V6),
            ("[2001:db8::1]:1", Family::V6),
        ] {
            assert_eq!(Family::of(&addr(text)), family, "{text}");
        }
        assert_eq!(
            [0, 1, 2, 3].map(Family::numbered),
            [None, Some(Family::V4), Some(Family::V6), None]
        );
    }

    #[test]
    fn an_address_of_ours_is_known_in_both_forms_and_told_in_one() {
        let relay = Relay {
            listen: "10.0.0.5".parse().unwrap(),
            external: Some("198.51.100.5".parse().unwrap()),
        };
        let homes = Homes::new(&Config { relays: vec![relay], ..Config::default() });
        let known = (addr("198.51.100.5:50000"), true);
        assert_eq!(homes.outward(addr("10.0.0.5:50000")), known);
        assert_eq!(homes.outward(addr("198.51.100.5:50000")), known);
        assert_eq!(homes.outward(addr("10.0.0.6:50000")), (addr("10.0.0.6:50000"), false));
        assert_eq!(homes.outward(addr("[2001:db8::1]:1")), (addr("[2001:db8::1]:1"), false));
        assert_eq!(homes.of(Family::V4).unwrap().inside(7), addr("10.0.0.5:7"));
    }
}
