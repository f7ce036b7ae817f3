//! Addresses in attributes: family, port and IP, in the open or XORed (RFC 8489 sections 14.1, 14.2).
//!
//! ```text
//!  | 0 | family 8 | port 16 | IP, 4 or 16 bytes |
//! ```
//! XORed, the port goes with the first two bytes of the mask and the IP with as many of it as it has; the
//! mask is the magic cookie and the transaction, bytes 4 to 20 of the message.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{HEADER_LEN, Malformed};

/// The numbers of address families, in addresses, REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY.
pub mod family {
    /// IPv4.
    pub const IPV4: u8 = 1;
    /// IPv6.
    pub const IPV6: u8 = 2;
}

/// Bytes of the longest address.
const LONGEST: usize = 20;

/// What addresses are XORed with.
#[derive(Clone, Copy)]
pub(super) struct Mask(u128);

impl Mask {
    /// None: the address stands in the open.
    pub(super) const OPEN: Self = Self(0);

    /// That of the message with this header.
    pub(super) fn of(head: &[u8; HEADER_LEN]) -> Self {
        let [_, _, _, _, mask @ ..] = *head;
        Self(u128::from_be_bytes(mask))
    }

    const fn port(self) -> u16 {
        (self.0 >> 112) as u16
    }

    const fn v4(self) -> u32 {
        (self.0 >> 96) as u32
    }

    const fn v6(self) -> u128 {
        self.0
    }
}

/// The address that `value` spells.
///
/// # Errors
/// [`Malformed::Family`] for a family without a name, [`Malformed::Size`] for a length its family does not
/// have.
pub(super) fn read(value: &[u8], mask: Mask) -> Result<SocketAddr, Malformed> {
    // The first byte is to be ignored.
    let (&[_, number, high, low], ip) = value.split_first_chunk().ok_or(Malformed::Size)?;
    let ip = match number {
        family::IPV4 => {
            let ip: [u8; 4] = ip.try_into().map_err(|_| Malformed::Size)?;
            IpAddr::V4(Ipv4Addr::from_bits(u32::from_be_bytes(ip) ^ mask.v4()))
        }
        family::IPV6 => {
            let ip: [u8; 16] = ip.try_into().map_err(|_| Malformed::Size)?;
            IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(ip) ^ mask.v6()))
        }
        _ => return Err(Malformed::Family),
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes([high, low]) ^ mask.port()))
}

/// An address as bytes.
pub(super) struct Spelled {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Spelled {
    /// `addr` under `mask`. IPv4 mapped into IPv6 is written as the IPv4 address it is.
    pub(super) fn new(addr: SocketAddr, mask: Mask) -> Self {
        let mut bytes = [0; LONGEST];
        let (number, len) = match addr.ip().to_canonical() {
            IpAddr::V4(ip) => {
                bytes[4..8].copy_from_slice(&(ip.to_bits() ^ mask.v4()).to_be_bytes());
                (family::IPV4, 8)
            }
            IpAddr::V6(ip) => {
                bytes[4..].copy_from_slice(&(ip.to_bits() ^ mask.v6()).to_be_bytes());
                (family::IPV6, LONGEST)
            }
        };
        bytes[1] = number;
        bytes[2..4].copy_from_slice(&(addr.port() ^ mask.port()).to_be_bytes());
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 section 2.2 and 2.3: both addresses of the sample responses.
    const HEAD: [u8; HEADER_LEN] = [
        0x01, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6,
        0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    #[test]
    fn the_addresses_of_rfc_5769_are_unmasked_and_masked() {
        let v4 = [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let v6 = [
            0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let mask = Mask::of(&HEAD);
        for (bytes, addr) in [
            (&v4[..], "192.0.2.1:32853"),
            (&v6[..], "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(read(bytes, mask), Ok(addr));
            assert_eq!(Spelled::new(addr, mask).as_bytes(), bytes);
        }
    }

    #[test]
    fn a_mapped_address_is_written_as_what_it_is() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        let spelled = Spelled::new(mapped, Mask::OPEN);
        assert_eq!(spelled.as_bytes(), [0, 1, 0, 7, 192, 0, 2, 1]);
    }

    #[test]
    fn a_mapped_address_is_read_as_it_stands() {
        // Whoever decides about peers sees what was said; see CVE-2026-27624.
        let mut bytes = [0; 20];
        bytes[1] = family::IPV6;
        bytes[14..].copy_from_slice(&[0xFF, 0xFF, 127, 0, 0, 1]);
        let read = read(&bytes, Mask::OPEN).unwrap();
        assert_eq!(read, "[::ffff:127.0.0.1]:0".parse().unwrap());
    }
}
