//! A socket's error queue: what the network says of datagrams that were sent (IP_RECVERR, IPV6_RECVERR).
//!
//! ```text
//!   one message: name     whom the datagram was for
//!                control  cmsghdr 16 | sock_extended_err 16 | who complained, not looked at
//!                payload  the datagram itself, not looked at
//! ```
//! ICMP can be forged by anyone who guesses two ports: what comes from here is hearsay.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use elara_core::ClientAddr;

use super::message::RawAddr;

/// What one look into the queue brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A datagram did not arrive.
    Undelivered(Undelivered),
    /// Something else, which is gone from the queue.
    Other,
}

/// Why a datagram did not arrive, in the words of ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Where it was to go. Its port is 0 where an IPv4 socket of this machine could not send it.
    pub to: ClientAddr,
    /// Type; ICMPv6's where `to` is IPv6.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The MTU, when it was too long for the way; else mostly 0.
    pub info: u32,
}

/// ICMP "fragmentation needed", ICMPv6 "packet too big": type and code.
const TOO_LONG_V4: (u8, u8) = (3, 4);
const TOO_LONG_V6: (u8, u8) = (2, 0);

/// The oldest report in the queue of `socket`, taken out; `None` when there is none, or it cannot be read.
#[must_use]
pub fn next(socket: BorrowedFd<'_>) -> Option<Report> {
    let mut name = RawAddr::EMPTY;
    let mut control = Room::EMPTY;
    loop {
        // SAFETY: a msghdr is plain data; all zero means "nothing".
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = name.as_mut_ptr();
        header.msg_namelen = size_of::<RawAddr>() as u32;
        header.msg_iov = ptr::null_mut();
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = size_of::<Room>();
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: name and control are writable, as long as the header says, and outlive the call; there is
        // no room for a payload, and the header says so.
        let answer = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        if answer >= 0 {
            let (name_len, control_len) = (header.msg_namelen as usize, header.msg_controllen);
            let name = &name.as_bytes()[..name_len.min(size_of::<RawAddr>())];
            let control = &control.0[..control_len.min(size_of::<Room>())];
            return Some(read(name, control).map_or(Report::Other, Report::Undelivered));
        }
        // EAGAIN says that the queue is empty.
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// Room for the control messages of a report, aligned as `cmsghdr` wants it.
#[repr(C, align(8))]
struct Room([u8; 128]);

impl Room {
    const EMPTY: Self = Self([0; 128]);
}

const HEAD: usize = size_of::<libc::cmsghdr>();
type Extended = libc::sock_extended_err;

const _: () = assert!(HEAD == 16 && offset_of!(libc::cmsghdr, cmsg_level) == 8);
const _: () = assert!(offset_of!(libc::cmsghdr, cmsg_type) == 12);
const _: () = assert!(size_of::<Extended>() == 16 && offset_of!(Extended, ee_errno) == 0);
const _: () = assert!(offset_of!(Extended, ee_origin) == 4 && offset_of!(Extended, ee_type) == 5);
const _: () = assert!(offset_of!(Extended, ee_code) == 6 && offset_of!(Extended, ee_info) == 8);

/// What name and control messages of a report say.
fn read(name: &[u8], mut control: &[u8]) -> Option<Undelivered> {
    let to = RawAddr::decode(name)?;
    loop {
        let head: &[u8; HEAD] = control.first_chunk()?;
        let (len, kind) = head.split_at(8);
        let len = usize::from_ne_bytes(*len.first_chunk()?);
        let (level, kind) = kind.split_at(4);
        let which = (word(level)? as i32, word(kind)? as i32);
        let body = control.get(HEAD..len)?;
        if matches!(
            which,
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            return undelivered(to, which.0 == libc::IPPROTO_IPV6, body);
        }
        control = control.get(len.next_multiple_of(8)..)?;
    }
}

fn undelivered(to: ClientAddr, v6: bool, extended: &[u8]) -> Option<Undelivered> {
    let extended: &[u8; 16] = extended.first_chunk()?;
    let (errno, info) = (word(&extended[..4])? as i32, word(&extended[8..12])?);
    let [origin, kind, code] = [extended[4], extended[5], extended[6]];
    let (kind, code) = match origin {
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => (kind, code),
        // Our own card is the first hop.
        libc::SO_EE_ORIGIN_LOCAL if errno == libc::EMSGSIZE && v6 => TOO_LONG_V6,
        libc::SO_EE_ORIGIN_LOCAL if errno == libc::EMSGSIZE => TOO_LONG_V4,
        _ => return None,
    };
    Some(Undelivered { to, kind, code, info })
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    use super::super::message::Family;
    use super::super::options;
    use super::*;

    fn message(level: i32, kind: i32, body: &[u8]) -> Vec<u8> {
        let mut bytes = (HEAD + body.len()).to_ne_bytes().to_vec();
        bytes.extend([level.to_ne_bytes(), kind.to_ne_bytes()].concat());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn extended(errno: i32, origin: u8, kind: u8, code: u8, info: u32) -> Vec<u8> {
        let mut bytes = errno.to_ne_bytes().to_vec();
        bytes.extend([origin, kind, code, 0]);
        bytes.extend(info.to_ne_bytes());
        bytes.resize(32, 0);
        bytes
    }

    fn name(text: &str) -> (ClientAddr, [u8; 28]) {
        let addr: SocketAddr = text.parse().unwrap();
        let to = ClientAddr::from(addr);
        (to, *RawAddr::encode(&to, Family::of(&addr)).as_bytes())
    }

    #[test]
    fn icmp_of_either_family_is_read_wherever_it_stands() {
        let hops = message(libc::IPPROTO_IP, libc::IP_TTL, &64i32.to_ne_bytes());
        let v4 = extended(libc::ECONNREFUSED, libc::SO_EE_ORIGIN_ICMP, 3, 3, 0);
        let v4 = message(libc::IPPROTO_IP, libc::IP_RECVERR, &v4);
        let (to, raw) = name("192.0.2.1:9");
        let closed = Some(Undelivered { to, kind: 3, code: 3, info: 0 });
        assert_eq!(read(&raw, &v4), closed);
        assert_eq!(read(&raw, &[hops, v4].concat()), closed);
        let v6 = extended(libc::EMSGSIZE, libc::SO_EE_ORIGIN_ICMP6, 2, 0, 1_280);
        let v6 = message(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &v6);
        let (to, raw) = name("[2001:db8::1]:9");
        assert_eq!(read(&raw, &v6), Some(Undelivered { to, kind: 2, code: 0, info: 1_280 }));
    }

    #[test]
    fn a_card_that_is_too_small_speaks_as_a_hop_would() {
        let local = extended(libc::EMSGSIZE, libc::SO_EE_ORIGIN_LOCAL, 0, 0, 1_500);
        let (to, raw) = name("192.0.2.1:9");
        let said = read(&raw, &message(libc::IPPROTO_IP, libc::IP_RECVERR, &local));
        assert_eq!(said, Some(Undelivered { to, kind: 3, code: 4, info: 1_500 }));
        let (to, raw) = name("[2001:db8::1]:9");
        let said = read(&raw, &message(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &local));
        assert_eq!(said, Some(Undelivered { to, kind: 2, code: 0, info: 1_500 }));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_nothing() {
        let (_, raw) = name("192.0.2.1:9");
        let body = extended(libc::ECONNREFUSED, libc::SO_EE_ORIGIN_ICMP, 3, 3, 0);
        let whole = message(libc::IPPROTO_IP, libc::IP_RECVERR, &body);
        for len in 0..HEAD + body.len() {
            assert_eq!(read(&raw, &whole[..len]), None, "{len}");
        }
        assert_eq!(read(&[0; 28], &whole), None, "nobody it was for");
        let elsewhere = extended(0, libc::SO_EE_ORIGIN_TIMESTAMPING, 0, 0, 0);
        assert_eq!(read(&raw, &message(libc::IPPROTO_IP, libc::IP_RECVERR, &elsewhere)), None);
        assert_eq!(read(&raw, &message(libc::SOL_SOCKET, 1, &body)), None);
        // A length that would never move on, and one that leaves the message.
        for len in [0usize, 8, 15, usize::MAX, usize::MAX - 8] {
            let mut endless = whole.clone();
            endless[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(read(&raw, &endless), None, "{len}");
        }
    }

    #[test]
    fn a_port_where_nobody_listens_is_reported_once() {
        for (here, there) in [("127.0.0.1:0", "127.0.0.1:9"), ("[::1]:0", "[::1]:9")] {
            let socket = UdpSocket::bind(here).unwrap();
            let to: SocketAddr = there.parse().unwrap();
            options::set_reports(socket.as_fd(), Family::of(&to)).unwrap();
            assert_eq!(next(socket.as_fd()), None, "nothing has been sent");
            socket.send_to(b"is anybody there?", to).unwrap();
            let (kind, code) = if to.is_ipv4() { (3, 3) } else { (1, 4) };
            let said = Undelivered { to: to.into(), kind, code, info: 0 };
            assert_eq!(next(socket.as_fd()), Some(Report::Undelivered(said)));
            assert_eq!(next(socket.as_fd()), None);
        }
    }
}
