//! One socket that is many: clients or peers, each with an address of its own in 127.0.0.0/8.
//!
//! Bound to no address it hears what is sent to any, and what it sends says which it comes from; where
//! there is only one, it is bound to that one's. Whoever measures a server reads and writes in batches,
//! and never waits.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::SOCKET_BUFFER_BYTES;
use elara_shards::counters::Egress;
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::{RecvBatch, SendBatch};
use elara_shards::sys::options;

use super::super::contest::Sinks;
use super::scene::address;

/// Messages of one system call.
pub(super) const BATCH: usize = 64;

pub(super) struct Side {
    socket: UdpSocket,
    port: u16,
    first: u8,
    alone: bool,
    inbox: RecvBatch,
    outbox: SendBatch,
}

impl Side {
    /// `count` of those whose first has this second octet.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub(super) fn open(first: u8, count: u32, sinks: Sinks) -> io::Result<Self> {
        let alone = count == 1;
        let ip = if alone { address(first, 0) } else { Ipv4Addr::UNSPECIFIED };
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        options::set_buffers(socket.as_fd(), SOCKET_BUFFER_BYTES);
        let buffer = match sinks {
            Sinks::Plain => 2_048,
            Sinks::Gro => {
                options::set_gro(socket.as_fd())?;
                65_536
            }
        };
        let port = socket.local_addr()?.port();
        let (inbox, outbox) =
            (RecvBatch::new(BATCH, buffer), SendBatch::new(BATCH, BATCH, Family::V4));
        Ok(Self { socket, port, first, alone, inbox, outbox })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Where the `n`-th of them is.
    pub(super) const fn addr(&self, n: u32) -> SocketAddrV4 {
        SocketAddrV4::new(address(self.first, n), self.port)
    }

    /// Says each of these, at most [`BATCH`]: who, to whom, what; cut every `segment` bytes when that is
    /// not 0, which only somebody alone may ask for.
    pub(super) fn say<'a>(
        &mut self,
        words: impl Iterator<Item = (u32, &'a ClientAddr, &'a [u8])>,
        segment: u16,
    ) -> Egress {
        debug_assert!(self.alone || segment == 0);
        let mut sending = self.outbox.begin();
        for (who, to, bytes) in words {
            let pushed = if self.alone {
                sending.push(Some(to), [bytes], segment)
            } else {
                sending.push_from(address(self.first, who), to, bytes)
            };
            debug_assert!(pushed, "a batch is no longer than its slots");
        }
        sending.flush(self.socket.as_fd())
    }

    /// Takes what waits, as far as there is room, and answers how many messages came.
    ///
    /// # Errors
    /// What recvmmsg answers.
    #[inline]
    pub(super) fn hear(&mut self) -> io::Result<usize> {
        self.inbox.receive(self.socket.as_fd(), 0, BATCH)
    }

    /// The message in `slot` of what was heard last: from whom, its bytes, and of how many bytes each
    /// datagram in it is.
    #[inline]
    pub(super) fn heard(&self, slot: usize) -> (Option<ClientAddr>, &[u8], usize) {
        let message = self.inbox.message(slot);
        let bytes = &self.inbox.buffer(slot)[..message.len];
        let segment = if message.segment == 0 { message.len } else { message.segment.into() };
        (message.from, bytes, segment.max(1))
    }
}

/// As the batches want it.
pub(super) fn client_addr(addr: SocketAddrV4) -> ClientAddr {
    ClientAddr::from(SocketAddr::V4(addr))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{CLIENTS, PEERS};
    use super::*;

    /// The next message that comes.
    fn next(side: &mut Side) -> (ClientAddr, Vec<u8>, usize) {
        while side.hear().unwrap() == 0 {}
        let (from, bytes, segment) = side.heard(0);
        (from.unwrap(), bytes.to_vec(), segment)
    }

    #[test]
    fn everybody_speaks_from_an_address_of_their_own() {
        let mut clients = Side::open(CLIENTS, 300, Sinks::Plain).unwrap();
        let mut peers = Side::open(PEERS, 300, Sinks::Plain).unwrap();
        let to = client_addr(peers.addr(258));
        assert_eq!(clients.say([(257, &to, &b"hello"[..])].into_iter(), 0).sent, 1);
        let (from, bytes, _) = next(&mut peers);
        assert_eq!((from, &bytes[..]), (client_addr(clients.addr(257)), &b"hello"[..]));
        assert_eq!(peers.say([(258, &from, &b"well"[..])].into_iter(), 0).sent, 1);
        assert_eq!(next(&mut clients).0, to);
    }

    #[test]
    fn whoever_is_alone_speaks_and_hears_in_trains() {
        let mut client = Side::open(CLIENTS, 1, Sinks::Plain).unwrap();
        let mut peer = Side::open(PEERS, 1, Sinks::Gro).unwrap();
        let to = client_addr(peer.addr(0));
        assert_eq!(client.say([(0, &to, &[7; 300][..])].into_iter(), 100).sent, 3);
        let (from, bytes, segment) = next(&mut peer);
        assert_eq!((from, bytes.len(), segment), (client_addr(client.addr(0)), 300, 100));
    }
}
