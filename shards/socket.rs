//! The data port: one UDP socket per shard on one address, steered by the kernel.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use elara_core::limits::SOCKET_BUFFER_BYTES;
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

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let (domain, family) = match addr {
        SocketAddr::V4(_) => (Domain::IPV4, Family::V4),
        SocketAddr::V6(_) => (Domain::IPV6, Family::V6),
    };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if family == Family::V6 {
        socket.set_only_v6(false)?;
    }
    options::set_buffers(socket.as_fd(), SOCKET_BUFFER_BYTES);
    options::set_gro(socket.as_fd())?;
    options::set_pmtu_probe(socket.as_fd(), family)?;
    Ok(socket)
}
