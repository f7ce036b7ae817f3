//! Socket options that std and socket2 do not name.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::Family;
use crate::steer::Instruction;

/// Lets the kernel glue datagrams of equal size and one source into trains (UDP_GRO).
///
/// # Errors
/// What setsockopt answers.
pub fn set_gro(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, &1i32)
}

/// Sends with DF set and believes no path-MTU report: 4 to 9 % cheaper a send, and nobody can shrink our
/// packets with a forged ICMP (IP_PMTUDISC_PROBE).
///
/// # Errors
/// What setsockopt answers.
pub fn set_pmtu_probe(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    // A dual-stack socket takes both: the v4 option rules its mapped traffic.
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_PROBE)?;
    match family {
        Family::V4 => Ok(()),
        Family::V6 => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_PROBE)
        }
    }
}

/// Lets what is too long for the way be cut into fragments, here and further on: the opposite of
/// [`set_pmtu_probe`], and what a relay socket has when nobody asks for more. A send costs about 4 % more.
///
/// IPv4: DF clear, the MTU of our own card (IP_PMTUDISC_OMIT); unlike IP_PMTUDISC_DONT it still tells of ICMP
/// "fragmentation needed", which answers datagrams that were sent in between with DF set. IPv6, which only
/// its sender can cut: the MTU that the way is known to have (IPV6_PMTUDISC_DONT).
///
/// # Errors
/// What setsockopt answers.
pub fn set_fragmentable(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_OMIT)?;
    match family {
        Family::V4 => Ok(()),
        Family::V6 => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_DONT)
        }
    }
}

/// Has the kernel keep what the network says of sent datagrams, for [`reports`](super::reports) (IP_RECVERR).
///
/// # Errors
/// What setsockopt answers.
pub fn set_reports(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, &1i32),
        Family::V6 => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &1i32),
    }
}

/// Asks for `bytes` of receive and send buffer, past the system's limit when privileged.
/// Never fails: the kernel grants what it grants.
pub fn set_buffers(socket: BorrowedFd<'_>, bytes: usize) {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    for (force, usual) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        if set(socket, libc::SOL_SOCKET, force, &bytes).is_err() {
            let _ = set(socket, libc::SOL_SOCKET, usual, &bytes);
        }
    }
}

/// Attaches a steering program to the SO_REUSEPORT group `socket` belongs to.
///
/// # Errors
/// What setsockopt answers.
pub fn attach_steering(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|op| libc::sock_filter { code: op.code, jt: op.jump_true, jf: op.jump_false, k: op.k })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: filter.as_ptr().cast_mut(),
    };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

/// Messages the kernel has dropped at `socket` since it was opened; begins anew after 2^32. Asked with
/// SO_MEMINFO, which costs the path of a datagram nothing; SO_RXQ_OVFL, which brings the same number with
/// every datagram, would.
///
/// Mostly this is the receive queue that was full. The kernel also counts here (`sk_drops`,
/// net/ipv4/udp.c) what it had no memory for because all UDP sockets together have too much
/// (`net.ipv4.udp_mem`), what had a wrong checksum, what a socket filter or an IPsec policy refused, and
/// what could not be copied to the reader. A shard's socket has no filter, and wrong checksums mostly end
/// in the network card: what remains is loss for want of room. Each counts a message: a train that was
/// glued together before it reached the socket is one.
///
/// # Errors
/// What getsockopt answers; kernels before 4.12 do not know the option.
pub fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // linux/sock_diag.h: an array of u32; newer kernels may have more, and fill what there is room for.
    const DROPS: usize = 8; // SK_MEMINFO_DROPS
    let mut counts = [0u32; DROPS + 1];
    let mut len = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: `counts` is as many writable bytes as `len` says, and the kernel writes no more.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counts.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if answer == 0 { Ok(counts[DROPS]) } else { Err(io::Error::last_os_error()) }
}

fn set<T>(socket: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is a live `T` of exactly the length given; the kernel copies it. The one `T` that
    // holds a pointer, `sock_fprog`, points at instructions that outlive this call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of_val(value) as u32,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
