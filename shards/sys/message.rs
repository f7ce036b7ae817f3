//! Addresses and control messages, in the shape the kernel reads and writes them.

use std::mem::size_of;
use std::net::{Ipv4Addr, SocketAddr};

use elara_core::ClientAddr;

/// The address family of a socket. A v6 socket is dual-stack and speaks v4 in mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// AF_INET.
    V4,
    /// AF_INET6.
    V6,
}

impl Family {
    /// The family of a socket bound to `addr`.
    #[must_use]
    pub const fn of(addr: &SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    /// Bytes of this family's `sockaddr`.
    #[must_use]
    pub const fn addr_len(self) -> u32 {
        match self {
            Self::V4 => size_of::<libc::sockaddr_in>() as u32,
            Self::V6 => size_of::<libc::sockaddr_in6>() as u32,
        }
    }
}

/// A `sockaddr_in` or `sockaddr_in6`, whichever the socket's family says.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
pub struct RawAddr([u8; size_of::<libc::sockaddr_in6>()]);

// The offsets used below are those of both structures on Linux.
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in, sin_port) == 2);
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in, sin_addr) == 4);
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in6, sin6_port) == 2);
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in6, sin6_addr) == 8);
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24);

impl RawAddr {
    /// All zero: no address.
    pub const EMPTY: Self = Self([0; 28]);

    /// `addr` as a socket of `family` wants it. A v6 address on a v4 socket becomes port 0, which
    /// the kernel refuses to send to.
    #[inline]
    #[must_use]
    pub fn encode(addr: &ClientAddr, family: Family) -> Self {
        let mut raw = Self::EMPTY;
        let port = addr.port().to_be_bytes();
        match family {
            Family::V4 => {
                raw.0[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                if addr.ip_bytes()[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] {
                    raw.0[2..4].copy_from_slice(&port);
                    raw.0[4..8].copy_from_slice(&addr.ip_bytes()[12..]);
                }
            }
            Family::V6 => {
                raw.0[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                raw.0[2..4].copy_from_slice(&port);
                raw.0[8..24].copy_from_slice(addr.ip_bytes());
                raw.0[24..28].copy_from_slice(&addr.scope().to_ne_bytes());
            }
        }
        raw
    }

    /// The address the kernel wrote into `bytes`, by the family it wrote.
    #[inline]
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<ClientAddr> {
        let family = u16::from_ne_bytes(*bytes.first_chunk()?);
        if i32::from(family) == libc::AF_INET6 {
            let bytes: &[u8; 28] = bytes.first_chunk()?;
            let port = u16::from_be_bytes([bytes[2], bytes[3]]);
            let ip: [u8; 16] = *bytes[8..].first_chunk()?;
            Some(ClientAddr::new(ip, port, u32::from_ne_bytes(*bytes[24..].first_chunk()?)))
        } else if i32::from(family) == libc::AF_INET {
            let bytes: &[u8; 8] = bytes.first_chunk()?;
            let mut ip = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0];
            ip[12..].copy_from_slice(&bytes[4..8]);
            Some(ClientAddr::new(ip, u16::from_be_bytes([bytes[2], bytes[3]]), 0))
        } else {
            None
        }
    }

    /// The bytes, for [`RawAddr::decode`].
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 28] {
        &self.0
    }

    pub(super) const fn as_ptr(&self) -> *const libc::sockaddr {
        self.0.as_ptr().cast()
    }

    pub(super) const fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Room for one control message with a payload of up to eight bytes, aligned as `cmsghdr` wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Control([u8; 24]);

const _: () = assert!(size_of::<libc::cmsghdr>() == 16);

impl Control {
    /// All zero: no control message.
    pub const EMPTY: Self = Self([0; 24]);
    /// Its size, as `msg_controllen` wants it.
    pub const LEN: usize = size_of::<Self>();

    /// `UDP_SEGMENT`: the kernel cuts what is sent every `segment` bytes.
    #[inline]
    #[must_use]
    pub fn segment(segment: u16) -> Self {
        let mut control = Self::EMPTY;
        control.0[..8].copy_from_slice(&18usize.to_ne_bytes()); // CMSG_LEN(2)
        control.0[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        control.0[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
        control.0[16..18].copy_from_slice(&segment.to_ne_bytes());
        control
    }

    /// The bytes, for [`gro_segment`].
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    pub(super) const fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// `IP_PKTINFO`: the address that a datagram is sent from, aligned as `cmsghdr` wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Source([u8; 32]);

const _: () = assert!(size_of::<libc::in_pktinfo>() == 12);
const _: () = assert!(std::mem::offset_of!(libc::in_pktinfo, ipi_spec_dst) == 4);

impl Source {
    /// All zero: no control message.
    pub const EMPTY: Self = Self([0; 32]);
    /// Its size, as `msg_controllen` wants it.
    pub const LEN: usize = size_of::<Self>();

    /// From `ip`, which must be an address of this machine; by whichever interface.
    #[inline]
    #[must_use]
    pub fn of(ip: Ipv4Addr) -> Self {
        let mut source = Self::EMPTY;
        source.0[..8].copy_from_slice(&28usize.to_ne_bytes()); // CMSG_LEN(12)
        source.0[8..12].copy_from_slice(&libc::IPPROTO_IP.to_ne_bytes());
        source.0[12..16].copy_from_slice(&libc::IP_PKTINFO.to_ne_bytes());
        source.0[20..24].copy_from_slice(&ip.octets()); // ipi_spec_dst
        source
    }

    pub(super) const fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// The segment size of a received train: the payload of `UDP_GRO`, the only control message our
/// sockets ask for. 0 when the kernel wrote none: one datagram.
#[inline]
#[must_use]
pub fn gro_segment(control: &[u8]) -> u16 {
    let Some(message) = control.first_chunk::<20>() else { return 0 };
    let word = |at: usize| {
        i32::from_ne_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]])
    };
    if word(8) == libc::SOL_UDP && word(12) == libc::UDP_GRO {
        u16::try_from(word(16)).unwrap_or(0)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_shape() {
        for text in ["127.0.0.1:7840", "[2001:db8::7]:1", "[fe80::1%9]:65535"] {
            let addr = ClientAddr::from(text.parse::<SocketAddr>().unwrap());
            let raw = RawAddr::encode(&addr, Family::V6);
            assert_eq!(RawAddr::decode(raw.as_bytes()), Some(addr), "{text}");
        }
        let v4 = ClientAddr::from("192.0.2.1:9".parse::<SocketAddr>().unwrap());
        let raw = RawAddr::encode(&v4, Family::V4);
        assert_eq!(RawAddr::decode(&raw.as_bytes()[..16]), Some(v4));
        assert_eq!(RawAddr::decode(&[0; 28]), None);
        assert_eq!(RawAddr::decode(&raw.as_bytes()[..7]), None);
    }

    #[test]
    fn a_v6_address_on_a_v4_socket_goes_nowhere() {
        let addr = ClientAddr::from("[2001:db8::7]:1".parse::<SocketAddr>().unwrap());
        let raw = RawAddr::encode(&addr, Family::V4);
        assert_eq!(raw.as_bytes()[2..8], [0; 6]);
    }

    #[test]
    fn only_udp_gro_is_read_as_a_segment_size() {
        let mut control = Control::segment(1_200);
        assert_eq!(gro_segment(control.as_bytes()), 0, "UDP_SEGMENT is not UDP_GRO");
        control.0[12..16].copy_from_slice(&libc::UDP_GRO.to_ne_bytes());
        assert_eq!(gro_segment(control.as_bytes()), 1_200);
        assert_eq!(gro_segment(&control.as_bytes()[..19]), 0);
        assert_eq!(gro_segment(&[]), 0);
    }
}
