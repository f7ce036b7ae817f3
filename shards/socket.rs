//! The data port: one UDP socket per shard on one address, steered by the kernel. And relay sockets: one for
//! each address that TURN hands out.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use elara_core::limits::{RELAY_SOCKET_BUFFER_BYTES, SOCKET_BUFFER_BYTES};
use socket2::{Domain, Protocol, Socket, Type};

use crate::steer;
use crate::sys::message::Family;
use crate::sys::options;

/// Binds `shards` sockets to `addr` as one SO_REUSEPORT group, in shard order, with the steering program
/// attached. An IPv6 address is dual-stack: `[::]` hears IPv4 too. Port 0 takes a free port, the same
/// for all.
///
/// # Errors
/// What the kernel refuses: an address that is not ours, a port in use by another program.
///
/// # Panics
/// When `shards` is 0.
pub fn bind(addr: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    assert!(shards > 0, "a node has at least one shard");
    // Two nodes on one port would share it silently, as one group. The first socket binds without
    // SO_REUSEPORT to find out, and only then lets the others in.
    let first = open(addr)?;
    first.bind(&addr.into())?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    let mut sockets = vec![UdpSocket::from(first)];
    for _ in 1..shards {
        let socket = open(bound)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound.into())?;
        sockets.push(UdpSocket::from(socket));
    }
    if shards > 1 {
        options::attach_steering(sockets[0].as_fd(), &steer::program(shards))?;
    }
    Ok(sockets)
}

/// Binds a relay socket to `local`: of one family, alone on its address, told what the network says of what
/// it sends, and sending what may be cut into fragments on its way.
///
/// # Errors
/// What the kernel refuses: an address in use, or not ours; no descriptor left.
pub fn relay(local: SocketAddr) -> io::Result<UdpSocket> {
    let (socket, family) = new(local)?;
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    options::set_buffers(socket.as_fd(), RELAY_SOCKET_BUFFER_BYTES);
    options::set_gro(socket.as_fd())?;
    options::set_fragmentable(socket.as_fd(), family)?;
    options::set_reports(socket.as_fd(), family)?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

fn new(addr: SocketAddr) -> io::Result<(Socket, Family)> {
    let family = Family::of(&addr);
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    Ok((socket, family))
}

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let (socket, family) = new(addr)?;
    if family == Family::V6 {
        socket.set_only_v6(false)?;
    }
    options::set_buffers(socket.as_fd(), SOCKET_BUFFER_BYTES);
    options::set_gro(socket.as_fd())?;
    options::set_pmtu_probe(socket.as_fd(), family)?;
    Ok(socket)
}
