//! Blocks of addresses, as operators write them: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

use crate::ids::ClientAddr;

/// A block of IP addresses. IPv4 blocks are kept mapped, so one comparison serves both families.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: u128,
    /// Leading bits that must agree, 0..=128, counted in the mapped form.
    prefix: u8,
}

/// Why text is not a block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// The part before the slash is not an IP address.
    Address,
    /// The part after the slash is not a number of bits this family has.
    Prefix,
    /// Bits behind the prefix are set: `10.0.0.1/8`.
    HostBits,
}

impl Cidr {
    /// The blocks of loopback, both families.
    pub const LOOPBACK: [Self; 2] = [Self::v4([127, 0, 0, 0], 8), Self { network: 1, prefix: 128 }];

    /// Blocks that are private by definition: loopback, RFC 1918, RFC 4193, link-local, RFC 6598.
    pub const PRIVATE: [Self; 9] = [
        Self::LOOPBACK[0],
        Self::LOOPBACK[1],
        Self::v4([10, 0, 0, 0], 8),
        Self::v4([172, 16, 0, 0], 12),
        Self::v4([192, 168, 0, 0], 16),
        Self::v4([169, 254, 0, 0], 16),
        Self::v4([100, 64, 0, 0], 10),
        Self { network: 0xfc00 << 112, prefix: 7 },
        Self { network: 0xfe80 << 112, prefix: 10 },
    ];

    pub(crate) const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        Self { network: 0xFFFF_0000_0000 | u32::from_be_bytes(octets) as u128, prefix: 96 + prefix }
    }

    pub(crate) const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let [a, b, c, d, e, f, g, h] = segments;
        Self { network: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(), prefix }
    }

    /// Whether `addr` lies in the block.
    #[inline]
    #[must_use]
    pub const fn contains(&self, addr: &ClientAddr) -> bool {
        self.covers(u128::from_be_bytes(*addr.ip_bytes()))
    }

    /// Whether every address of the block is private (see [`Cidr::PRIVATE`]).
    #[must_use]
    pub fn is_private(&self) -> bool {
        Self::PRIVATE.iter().any(|private| self.lies_in(private))
    }

    /// Whether every address of the block is one of `other`.
    #[must_use]
    pub const fn lies_in(&self, other: &Self) -> bool {
        other.prefix <= self.prefix && other.covers(self.network)
    }

    const fn covers(&self, ip: u128) -> bool {
        // A shift by 128 is not defined; the block of everything has no bits to compare.
        self.prefix == 0 || (ip ^ self.network) >> (128 - self.prefix) == 0
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| CidrError::Address)?;
        let (mapped, skipped) = match ip {
            IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), 96),
            IpAddr::V6(v6) => (u128::from(v6), 0),
        };
        let prefix = match bits {
            None => 128,
            Some(bits) => match bits.parse::<u8>() {
                Ok(bits) if bits <= 128 - skipped => bits + skipped,
                _ => return Err(CidrError::Prefix),
            },
        };
        let host_bits = if prefix == 128 { 0 } else { u128::MAX >> prefix };
        if mapped & host_bits != 0 {
            return Err(CidrError::HostBits);
        }
        Ok(Self { network: mapped, prefix })
    }
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the part before the slash is not an IP address",
            Self::Prefix => {
                "the part after the slash is not a number of bits (IPv4 0..32, IPv6 0..128)"
            }
            Self::HostBits => {
                "there are bits set behind the prefix; write the first address of the block"
            }
        })
    }
}

impl core::error::Error for CidrError {}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Ipv6Addr::from(self.network);
        match ip.to_ipv4_mapped() {
            Some(v4) if self.prefix >= 96 => write!(f, "{v4}/{}", self.prefix - 96),
            _ => write!(f, "{ip}/{}", self.prefix),
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::net::SocketAddr;
    use std::string::ToString;

    use super::*;

    fn addr(text: &str) -> ClientAddr {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let block: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(block.contains(&addr("10.255.0.1:1")));
        assert!(block.contains(&addr("[::ffff:10.1.1.1]:1")));
        assert!(!block.contains(&addr("11.0.0.1:1")));
        let everything: Cidr = "::/0".parse().unwrap();
        assert!(
            everything.contains(&addr("8.8.8.8:1"))
                && everything.contains(&addr("[2001:db8::1]:1"))
        );
        let one: Cidr = "192.0.2.1".parse().unwrap();
        assert!(one.contains(&addr("192.0.2.1:9")) && !one.contains(&addr("192.0.2.2:9")));
    }

    #[test]
    fn what_is_not_a_block_is_named() {
        for (text, error) in [
            ("localhost", CidrError::Address),
            ("10.0.0.0/33", CidrError::Prefix),
            ("10.0.0.0/", CidrError::Prefix),
            ("::/129", CidrError::Prefix),
            ("10.0.0.1/8", CidrError::HostBits),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
        }
    }

    #[test]
    fn private_blocks_are_told_from_public_ones() {
        for text in ["127.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16", "::1", "fd00::/8", "fe80::/64"]
        {
            assert!(text.parse::<Cidr>().unwrap().is_private(), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "8.8.8.8", "172.0.0.0/8", "2000::/3"] {
            assert!(!text.parse::<Cidr>().unwrap().is_private(), "{text}");
        }
    }

    #[test]
    fn a_block_lies_in_those_that_hold_all_of_it() {
        let lies_in = |a: &str, b: &str| a.parse::<Cidr>().unwrap().lies_in(&b.parse().unwrap());
        for (inner, outer) in [
            ("10.1.0.0/16", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "::/0"),
            ("fd00::/8", "fc00::/7"),
        ] {
            assert!(lies_in(inner, outer), "{inner} {outer}");
            assert_eq!(lies_in(outer, inner), inner == outer, "{inner} {outer}");
        }
        assert!(!lies_in("11.0.0.0/16", "10.0.0.0/8") && !lies_in("::/96", "0.0.0.0/0"));
    }

    #[test]
    fn a_block_prints_as_it_was_written() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
    }
}
