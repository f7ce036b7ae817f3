//! Names that cannot be mixed up: nodes, sessions, streams, state atoms, and addresses.
//!
//! All protocol ids are 64-bit labels, little-endian on the wire. A [`NodeId`] is a label, not a
//! proof: whoever needs proof checks a signature.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::limits::RESERVED_SESSION_LOW;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The id `id`.
            #[must_use]
            pub const fn new(id: u64) -> Self {
                Self(id)
            }

            /// The eight bytes that stand on the wire (little-endian).
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 8] {
                self.0.to_le_bytes()
            }

            /// Reads the eight bytes that stand on the wire (little-endian).
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 8]) -> Self {
                Self(u64::from_le_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }
    };
}

id! {
    /// A node: the first eight bytes of SHA-256 of its Ed25519 public key.
    NodeId
}
id! {
    /// A session: everyone who sends and hears under it shares one reality, and one shard.
    SessionId
}
id! {
    /// A state atom inside a session: a type (16 bits) and an instance (48 bits).
    StateId
}

impl NodeId {
    /// A fresh random id, from the operating system.
    ///
    /// # Panics
    /// When the operating system has no randomness to give (Linux: never after boot).
    #[cfg(feature = "os-random")]
    #[must_use]
    pub fn generate() -> Self {
        Self(getrandom::u64().expect("the operating system gives random bytes"))
    }
}

impl SessionId {
    /// Whether frames of this session could be taken for STUN; such ids are never issued.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.0 as u32 == RESERVED_SESSION_LOW
    }
}

impl StateId {
    /// The atom `instance` (its low 48 bits) of type `kind`.
    #[must_use]
    pub const fn of_kind(kind: u16, instance: u64) -> Self {
        Self((kind as u64) << 48 | instance & 0x0000_FFFF_FFFF_FFFF)
    }

    /// The type: the upper 16 bits.
    #[must_use]
    pub const fn kind(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The instance: the lower 48 bits.
    #[must_use]
    pub const fn instance(self) -> u64 {
        self.0 & 0x0000_FFFF_FFFF_FFFF
    }
}

/// A stream: the node that publishes it and the number that node gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The publisher.
    pub node: NodeId,
    /// The publisher's own number for it.
    pub stream: u16,
}

/// Where a client's datagrams come from and go to: IPv6, or IPv4 in its mapped form
/// (`::ffff:a.b.c.d`), so that one address has one spelling on a dual-stack socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddr {
    ip: [u8; 16],
    /// The interface of a link-local address; 0 otherwise.
    scope: u32,
    port: u16,
}

impl ClientAddr {
    /// The address of a 16-byte IP, a port and an interface scope (0 unless link-local).
    #[must_use]
    pub const fn new(ip: [u8; 16], port: u16, scope: u32) -> Self {
        Self { ip, scope, port }
    }

    /// The IP address as sixteen bytes, IPv4 mapped.
    #[must_use]
    pub const fn ip_bytes(&self) -> &[u8; 16] {
        &self.ip
    }

    /// The IP address, IPv4 where it is mapped.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        Ipv6Addr::from_bits(u128::from_be_bytes(self.ip)).to_canonical()
    }

    /// The UDP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The interface of a link-local address; 0 otherwise.
    #[must_use]
    pub const fn scope(&self) -> u32 {
        self.scope
    }

    /// Whether the address is loopback, `::1` or (mapped) `127.0.0.0/8`.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        match self.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        }
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(v4) => Self::new(v4.ip().to_ipv6_mapped().octets(), v4.port(), 0),
            SocketAddr::V6(v6) => Self::new(v6.ip().octets(), v6.port(), v6.scope_id()),
        }
    }
}

impl From<ClientAddr> for SocketAddr {
    fn from(addr: ClientAddr) -> Self {
        match addr.ip() {
            IpAddr::V4(ip) => Self::from((ip, addr.port)),
            IpAddr::V6(ip) => Self::V6(SocketAddrV6::new(ip, addr.port, 0, addr.scope)),
        }
    }
}

impl From<(Ipv4Addr, u16)> for ClientAddr {
    fn from((ip, port): (Ipv4Addr, u16)) -> Self {
        Self::new(ip.to_ipv6_mapped().octets(), port, 0)
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_little_endian_on_the_wire() {
        assert_eq!(NodeId(0x0102_0304_0506_0708).to_bytes(), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(SessionId::from_bytes([1, 0, 0, 0, 0, 0, 0, 0]), SessionId(1));
    }

    #[test]
    fn a_state_id_is_a_kind_and_an_instance() {
        let id = StateId::of_kind(0xABCD, u64::MAX);
        assert_eq!((id.kind(), id.instance()), (0xABCD, 0x0000_FFFF_FFFF_FFFF));
    }

    #[test]
    fn one_address_has_one_spelling() {
        let plain: SocketAddr = "192.0.2.7:7840".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:7840".parse().unwrap();
        assert_eq!(ClientAddr::from(plain), ClientAddr::from(mapped));
        assert_eq!(SocketAddr::from(ClientAddr::from(mapped)), plain);
    }

    #[test]
    fn loopback_is_seen_through_the_mapping() {
        for (addr, loopback) in [
            ("127.3.2.1:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("[::1]:1", true),
            ("10.0.0.1:1", false),
            ("[fe80::1%3]:1", false),
        ] {
            let addr = ClientAddr::from(addr.parse::<SocketAddr>().unwrap());
            assert_eq!(addr.is_loopback(), loopback, "{addr}");
        }
    }

    #[test]
    fn sessions_that_look_like_stun_are_reserved() {
        assert!(SessionId(0xFFFF_FFFF_42A4_1221).is_reserved());
        assert_eq!(SessionId(0x42A4_1221).to_bytes()[..4], [0x21, 0x12, 0xA4, 0x42]);
        assert!(!SessionId(0x42A4_1221_0000_0000).is_reserved());
    }
}
