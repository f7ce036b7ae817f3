//! The floor: a forwarder without any logic, to measure a relay against.
//!
//! It checks nothing, forgets nobody and holds no bound. It learns a port's group from the session id
//! at bytes 4..12 of the first datagram heard from it, and from then on one array look-up by source
//! port, or one in a hash table by the whole address, says who else gets the bytes. What is left is what
//! the kernel charges for the technique, on the same kind of socket with the same options.
//!
//! | technique | in | out |
//! |---|---|---|
//! | `naive` | `recvfrom`, one datagram a call (so no GRO) | `sendto`, one a call |
//! | `mmsg` | epoll, `recvmmsg` | `sendmmsg`, a message for each datagram and receiver |
//! | `io_uring` | multishot receive into a buffer ring | a send operation for each |
//! | `mmsg_gso`, `uring_gso` | the same, all that waits | what came in a turn in one send a receiver |
//! | `mmsg_bundle`, `uring_bundle` | the same | what came within `--hold-ms` in one datagram a receiver |
//!
//! Runs as a process of its own, pinned to one cpu, until it is killed. For each line on its stdin it says
//! what it has taken in and sent.

mod bundle;
mod counts;
mod gather;
mod groups;
mod mmsg;
mod naive;
mod uring;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use elara_core::limits::SOCKET_BUFFER_BYTES;
use elara_core::time::Span;
use elara_shards::socket;
use elara_shards::sys::message::Family;
use elara_shards::sys::{cpu, options};

pub(super) use self::counts::Counted;
use self::counts::Counts;
use self::groups::Groups;

/// How a floor moves datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Technique {
    /// One datagram a call, as a first program would do it.
    #[value(name = "naive")]
    Naive,
    /// Many datagrams a call.
    #[value(name = "mmsg")]
    Mmsg,
    /// One ring.
    #[value(name = "io_uring")]
    IoUring,
    /// Many sends a call, one send a receiver.
    #[value(name = "mmsg_gso")]
    MmsgGso,
    /// One ring, one send a receiver.
    #[value(name = "uring_gso")]
    UringGso,
    /// Many datagrams a call, one datagram a receiver.
    #[value(name = "mmsg_bundle")]
    MmsgBundle,
    /// One ring, one datagram a receiver.
    #[value(name = "uring_bundle")]
    UringBundle,
}

impl Technique {
    /// Its name, as it is typed and printed.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Mmsg => "mmsg",
            Self::IoUring => "io_uring",
            Self::MmsgGso => "mmsg_gso",
            Self::UringGso => "uring_gso",
            Self::MmsgBundle => "mmsg_bundle",
            Self::UringBundle => "uring_bundle",
        }
    }
}

/// What the forwarder's process is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How it moves datagrams.
    #[arg(long)]
    technique: Technique,
    /// How long a frame may wait to share a datagram, in milliseconds, where the technique bundles.
    #[arg(long, default_value_t = 0)]
    hold_ms: u64,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Tell senders apart by their whole address instead of their port, where each frame is a send of
    /// its own.
    #[arg(long)]
    by_address: bool,
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
    let counts = Arc::new(Counts::default());
    counts::answer(&counts);
    let groups = if options.by_address { Groups::by_address() } else { Groups::new() };
    serve(options.technique, Span::from_millis(options.hold_ms), &socket, groups, &counts)
}

/// Techniques that put sends together know senders by their ports only.
fn serve(
    technique: Technique,
    hold: Span,
    socket: &UdpSocket,
    groups: Groups,
    counts: &Counts,
) -> io::Result<()> {
    match technique {
        Technique::Naive => naive::serve(socket, groups, counts),
        Technique::Mmsg => mmsg::serve(socket, groups, counts),
        Technique::IoUring => uring::serve(socket, groups, counts),
        Technique::MmsgGso => mmsg::gather(socket, counts),
        Technique::UringGso => uring::gather(socket, counts),
        Technique::MmsgBundle => mmsg::bundle(socket, hold, counts),
        Technique::UringBundle => uring::bundle(socket, hold, counts),
    }
}

/// The relay's own kind of socket; `naive` has its buffers and path-MTU setting, but cannot read trains.
fn open(technique: Technique, listen: SocketAddr) -> io::Result<UdpSocket> {
    if technique != Technique::Naive {
        return Ok(socket::bind(listen, 1)?.remove(0));
    }
    let socket = UdpSocket::bind(listen)?;
    options::set_buffers(socket.as_fd(), SOCKET_BUFFER_BYTES);
    options::set_pmtu_probe(socket.as_fd(), Family::of(&socket.local_addr()?))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use elara_shards::sys::mmsg::SendBatch;

    use super::*;

    fn frame(session: u8, body: u8) -> [u8; 46] {
        let mut frame = [body; 46];
        frame[4..12].copy_from_slice(&[session, 0, 0, 0, 0, 0, 0, 0]);
        frame
    }

    /// A floor in a thread that serves until the test process ends, and three clients of it.
    fn floor(technique: Technique) -> [UdpSocket; 3] {
        let floor = open(technique, "127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = floor.local_addr().unwrap();
        std::thread::spawn(move || {
            serve(technique, Span::ZERO, &floor, Groups::new(), &Counts::default())
        });
        std::array::from_fn(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(addr).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        })
    }

    /// Expects `body` next, but for the first word of all: who is heard in one turn with its hearer's first
    /// word is heard, or not.
    fn hears(socket: &UdpSocket, body: u8) {
        let mut heard = [0; 64];
        let mut next = || {
            assert_eq!(socket.recv(&mut heard).unwrap(), 46);
            heard[45]
        };
        let said = match next() {
            0xA => next(),
            other => other,
        };
        assert_eq!((said, &heard[..46]), (body, &frame(1, body)[..]));
    }

    #[test]
    fn every_technique_has_the_name_it_is_typed_with() {
        for technique in Technique::value_variants() {
            let typed = technique.to_possible_value().unwrap();
            assert_eq!(technique.name(), typed.get_name());
        }
    }

    #[test]
    fn every_technique_forwards_to_the_others_and_not_back() {
        for technique in Technique::value_variants() {
            let [alice, bob, carol] = floor(*technique);
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

    /// What Bob hears of a train of three, datagram by datagram.
    fn train(technique: Technique) -> Vec<Vec<u8>> {
        let [alice, bob, _] = floor(technique);
        alice.send(&frame(1, 0xA)).unwrap();
        bob.send(&frame(1, 0xB)).unwrap();
        hears(&alice, 0xB);
        let train = [frame(1, 1), frame(1, 2), frame(1, 3)].concat();
        let mut batch = SendBatch::new(1, 1, Family::V4);
        let mut sending = batch.begin();
        assert!(sending.push(None, [&train[..]], 46));
        assert_eq!(sending.flush(alice.as_fd()).sent, 3);
        let mut heard: Vec<Vec<u8>> = Vec::new();
        while heard.iter().map(Vec::len).sum::<usize>() < train.len() {
            let mut datagram = vec![0; 2_000];
            let len = bob.recv(&mut datagram).unwrap();
            datagram.truncate(len);
            if datagram != frame(1, 0xA) {
                heard.push(datagram);
            }
        }
        heard
    }

    #[test]
    fn a_train_arrives_frame_by_frame_or_in_one_bundle() {
        let frames = [1, 2, 3].map(|body| frame(1, body).to_vec());
        for technique in [Technique::Mmsg, Technique::MmsgGso, Technique::UringGso] {
            assert_eq!(train(technique), frames, "{technique:?}");
        }
        for technique in [Technique::MmsgBundle, Technique::UringBundle] {
            let heard = train(technique);
            let lens = heard.iter().map(Vec::len).collect::<Vec<_>>();
            assert_eq!(lens, [12 + 3 * 2 + 3 * 46], "{technique:?}");
            assert_eq!(heard[0][18..], frames.concat());
        }
    }
}
