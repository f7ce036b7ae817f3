//! The floor: a forwarder without any logic, to measure a relay against.
//!
//! It checks nothing, counts nothing, forgets nobody and holds no bound. It learns a port's group from
//! the session id at bytes 4..12 of the first datagram heard from it, and from then on one array
//! look-up by source port says who else gets the bytes. What is left is what the kernel charges for the
//! technique, on the same kind of socket with the same options.
//!
//! | technique | in | out |
//! |---|---|---|
//! | `naive` | `recvfrom`, one datagram a call (so no GRO) | `sendto`, one a call |
//! | `mmsg` | epoll, `recvmmsg` | `sendmmsg` |
//! | `io_uring` | multishot receive into a buffer ring | one send operation a datagram |
//!
//! Runs as a process of its own, pinned to one cpu, until it is killed.

mod mmsg;
mod naive;
mod uring;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use clap::{Args, ValueEnum};
use elara_core::ClientAddr;
use elara_core::limits::SOCKET_BUFFER_BYTES;
use elara_shards::socket;
use elara_shards::sys::message::Family;
use elara_shards::sys::{cpu, options};

/// How a floor moves datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Technique {
    /// One datagram a call, as a first program would do it.
    Naive,
    /// Many datagrams a call.
    Mmsg,
    /// One ring.
    #[value(name = "io_uring")]
    IoUring,
}

/// What the forwarder's process is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How it moves datagrams.
    #[arg(long)]
    technique: Technique,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The cpu it is pinned to.
    #[arg(long)]
    cpu: Option<usize>,
}

/// Forwards until killed.
///
/// # Errors
/// When the socket cannot be had, or the kernel refuses the technique.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    forward(options).map_err(|error| format!("the floor: {error}"))
}

fn forward(options: &Options) -> io::Result<()> {
    if let Some(cpu) = options.cpu {
        cpu::pin(cpu)?;
    }
    let socket = open(options.technique, options.listen)?;
    println!("listening on {}", socket.local_addr()?);
    serve(options.technique, &socket)
}

fn serve(technique: Technique, socket: &UdpSocket) -> io::Result<()> {
    match technique {
        Technique::Naive => naive::serve(socket),
        Technique::Mmsg => mmsg::serve(socket),
        Technique::IoUring => uring::serve(socket),
    }
}

/// The relay's own kind of socket; `naive` has its buffers and path-MTU setting, but cannot read trains.
fn open(technique: Technique, listen: SocketAddr) -> io::Result<UdpSocket> {
    if technique != Technique::Naive {
        return Ok(socket::bind(listen, 1)?.remove(0));
    }
    let socket = UdpSocket::bind(listen)?;
    options::set_buffers(socket.as_fd(), SOCKET_BUFFER_BYTES);
    options::set_pmtu_probe(socket.as_fd(), family(&socket)?)?;
    Ok(socket)
}

fn family(socket: &UdpSocket) -> io::Result<Family> {
    Ok(match socket.local_addr()? {
        SocketAddr::V4(_) => Family::V4,
        SocketAddr::V6(_) => Family::V6,
    })
}

/// Who forwards to whom, by source port. The load comes from one host, so a port is an identity.
struct Groups {
    /// For each port, its group; `STRANGER` when it has not been heard yet.
    group_of: Box<[u32]>,
    members: Vec<Vec<ClientAddr>>,
    by_session: HashMap<[u8; 8], u32>,
}

const STRANGER: u32 = u32::MAX;

impl Groups {
    fn new() -> Self {
        Self {
            group_of: vec![STRANGER; 1 << 16].into(),
            members: Vec::new(),
            by_session: HashMap::new(),
        }
    }

    /// Everyone a datagram from `from` goes to.
    #[inline]
    fn others<'a>(
        &'a mut self,
        from: ClientAddr,
        datagram: &[u8],
    ) -> impl Iterator<Item = &'a ClientAddr> + use<'a> {
        let mut group = self.group_of[usize::from(from.port())];
        if group == STRANGER {
            group = self.learn(from, datagram);
        }
        let members = self.members.get(group as usize).map_or(&[][..], Vec::as_slice);
        members.iter().filter(move |member| member.port() != from.port())
    }

    #[cold]
    fn learn(&mut self, from: ClientAddr, datagram: &[u8]) -> u32 {
        let Some(session) = datagram.get(4..12) else { return STRANGER };
        let session = session.try_into().expect("4..12 are eight bytes");
        let group = *self.by_session.entry(session).or_insert_with(|| {
            self.members.push(Vec::new());
            self.members.len() as u32 - 1
        });
        self.members[group as usize].push(from);
        self.group_of[usize::from(from.port())] = group;
        group
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(session: u8, body: u8) -> [u8; 46] {
        let mut frame = [body; 46];
        frame[4..12].copy_from_slice(&[session, 0, 0, 0, 0, 0, 0, 0]);
        frame
    }

    #[test]
    fn a_port_stays_in_the_group_it_was_first_heard_for() {
        let mut groups = Groups::new();
        let from = |port| ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        let mut ports = |port, session| -> Vec<u16> {
            groups.others(from(port), &frame(session, 0)).map(ClientAddr::port).collect()
        };
        assert!(ports(1, 7).is_empty());
        assert_eq!(ports(2, 7), [1]);
        assert!(ports(3, 8).is_empty());
        assert_eq!(ports(1, 8), [2], "already learned: the bytes are not looked at");
        assert_eq!(groups.others(from(9), &[0; 11]).count(), 0, "too short to name a session");
    }

    #[test]
    fn every_technique_forwards_to_the_others_and_not_back() {
        for technique in Technique::value_variants() {
            let floor = open(*technique, "127.0.0.1:0".parse().unwrap()).unwrap();
            let addr = floor.local_addr().unwrap();
            // Serves until the test process ends.
            std::thread::spawn(move || serve(*technique, &floor));
            let client = || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(addr).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                socket
            };
            let (alice, bob, carol) = (client(), client(), client());
            let hears = |socket: &UdpSocket, body: u8| {
                let mut heard = [0; 64];
                assert_eq!(socket.recv(&mut heard).unwrap(), 46, "{technique:?}");
                assert_eq!(heard[..46], frame(1, body), "{technique:?}");
            };
            alice.send(&frame(1, 0xA)).unwrap();
            bob.send(&frame(1, 0xB)).unwrap();
            hears(&alice, 0xB);
            carol.send(&frame(1, 0xC)).unwrap();
            hears(&alice, 0xC);
            hears(&bob, 0xC);
            bob.send(&frame(1, 0xD)).unwrap();
            hears(&carol, 0xD); // and not the one it sent before
        }
    }
}
