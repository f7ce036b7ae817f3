//! What is around a back end's relay ports: addresses for them, and peers of either family.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use elara_core::ClientAddr;
use elara_shards::io::{Io, Port};
use elara_shards::sys::message::Family;

use super::room::{InMemory, Loopback, OverSyscall, OverUring, Place};

/// A relay port, and the address it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    pub port: Port,
    pub at: SocketAddr,
}

/// Something a peer has heard: from which relayed address, `None` when from the data port; and what.
pub type Heard = (Option<SocketAddr>, Vec<u8>);

/// A place with relay ports.
pub trait PortPlace: Place {
    /// An address for a relay port that nobody has.
    fn spare(&mut self, family: Family) -> SocketAddr;

    /// One more peer, of IPv6: its number.
    fn add_v6_peer(&mut self) -> usize;

    /// Peer `from` sends bytes to a relay port: one datagram, or a train cut every `segment` bytes.
    fn send_to(
        &mut self,
        io: &mut Self::Io,
        from: usize,
        relayed: Relayed,
        bytes: &[u8],
        segment: u16,
    );

    /// What peer `to` has received since the last time, datagram by datagram.
    fn heard_from(&mut self, io: &mut Self::Io, to: usize) -> Vec<Heard>;

    /// A peer goes elsewhere, and nobody listens where it was: there.
    fn leave(&mut self, io: &mut Self::Io, peer: usize) -> ClientAddr;

    /// A relay port at a spare address.
    fn open(&mut self, io: &mut Self::Io, family: Family) -> Relayed {
        let at = self.spare(family);
        Relayed { port: io.open(at).expect("a spare address can be opened"), at }
    }
}

/// Addresses given out in this process.
static SPARE: AtomicU32 = AtomicU32::new(0);

impl Loopback {
    /// IPv4 has sixteen million loopback addresses, of which each call takes its own, far from what other
    /// processes use. IPv6 has one, and ports below those the kernel gives out.
    fn spare(family: Family) -> SocketAddr {
        let number = SPARE.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        match family {
            Family::V4 => {
                let host = 1 << 22 | (process & 0x3FF) << 12 | number & 0xFFF;
                (Ipv4Addr::from_bits(127 << 24 | host), 49_152 + (number >> 12) as u16).into()
            }
            Family::V6 => {
                let begin = process.wrapping_mul(61).wrapping_add(number);
                let ports = (0..20_000).map(|step| 10_000 + (begin.wrapping_add(step) % 20_000));
                let mut spare = ports.map(|port| (Ipv6Addr::LOCALHOST, port as u16).into());
                spare
                    .find(|at: &SocketAddr| UdpSocket::bind(at).is_ok())
                    .expect("some port is free")
            }
        }
    }

    fn add_v6_peer(&mut self) -> usize {
        self.peers.push(bound(Family::V6));
        self.peers.len() - 1
    }

    fn send_to(&mut self, from: usize, to: SocketAddr, bytes: &[u8], segment: u16) {
        let mut sending = self.batch.begin_for(Family::of(&to));
        assert!(sending.push(Some(&to.into()), [bytes], segment));
        let egress = sending.flush(self.peers[from].as_fd());
        assert_eq!(egress.busy + egress.failed, 0, "the test's own sending works");
    }

    fn heard_from(&self, to: usize) -> Vec<Heard> {
        let mut buffer = [0; 65_536];
        std::iter::from_fn(|| match self.peers[to].recv_from(&mut buffer) {
            Ok((len, from)) => {
                Some((Some(from).filter(|from| *from != self.relay), buffer[..len].to_vec()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("a peer's socket: {error}"),
        })
        .collect()
    }

    fn leave(&mut self, peer: usize) -> ClientAddr {
        let there = self.peers[peer].local_addr().unwrap();
        self.peers[peer] = bound(Family::of(&there));
        there.into()
    }
}

fn bound(family: Family) -> UdpSocket {
    let socket = match family {
        Family::V4 => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)),
        Family::V6 => UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)),
    };
    let socket = socket.unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

macro_rules! loopback {
    ($place:ident) => {
        impl PortPlace for $place {
            fn spare(&mut self, family: Family) -> SocketAddr {
                Loopback::spare(family)
            }

            fn add_v6_peer(&mut self) -> usize {
                self.0.add_v6_peer()
            }

            fn send_to(
                &mut self,
                _: &mut Self::Io,
                from: usize,
                relayed: Relayed,
                bytes: &[u8],
                segment: u16,
            ) {
                self.0.send_to(from, relayed.at, bytes, segment);
            }

            fn heard_from(&mut self, _: &mut Self::Io, to: usize) -> Vec<Heard> {
                self.0.heard_from(to)
            }

            fn leave(&mut self, _: &mut Self::Io, peer: usize) -> ClientAddr {
                self.0.leave(peer)
            }
        }
    };
}

loopback!(OverUring);
loopback!(OverSyscall);

impl PortPlace for InMemory {
    fn spare(&mut self, family: Family) -> SocketAddr {
        let number = SPARE.fetch_add(1, Ordering::Relaxed);
        match family {
            Family::V4 => (Ipv4Addr::from_bits(10 << 24 | number), 49_152).into(),
            Family::V6 => {
                (Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number)), 49_152).into()
            }
        }
    }

    fn add_v6_peer(&mut self) -> usize {
        let port = self.fresh().port();
        self.addrs.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into());
        self.addrs.len() - 1
    }

    fn send_to(
        &mut self,
        io: &mut Self::Io,
        from: usize,
        relayed: Relayed,
        bytes: &[u8],
        segment: u16,
    ) {
        // What is sent to an address that is closed reaches nobody.
        let Some(port) = io.port_at(relayed.at) else { return };
        assert_eq!(port, relayed.port);
        let step = if segment == 0 { bytes.len().max(1) } else { usize::from(segment) };
        let datagrams = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(step).collect() };
        for datagram in datagrams {
            assert!(io.deliver_to(port, &self.addrs[from], datagram), "the queue has room");
        }
    }

    fn heard_from(&mut self, io: &mut Self::Io, to: usize) -> Vec<Heard> {
        Self::heard_from(self, io, to)
    }

    fn leave(&mut self, io: &mut Self::Io, peer: usize) -> ClientAddr {
        let there = self.addrs[peer];
        self.addrs[peer] = if there.ip().is_ipv4() {
            self.fresh()
        } else {
            SocketAddr::from((there.ip(), self.fresh().port())).into()
        };
        io.mischief().deaf.push(there);
        there
    }
}
