//! The sockets: one for each member of each session, connected to the relay, never blocking. Who only hears
//! RTP is connected to nobody: it may come from any port of the relay's.
//!
//! All memory for sending, receiving and waiting is taken when the swarm opens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use elara_core::limits::SEGMENTS_MAX;
use elara_core::time::Span;
use elara_shards::counters::Egress;
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::{RecvBatch, SendBatch};
use elara_shards::sys::options;
use elara_shards::sys::wait::Poll;

use crate::error::{LoadError, kernel};
use crate::plan::Plan;
use crate::rtp::Wiring;

/// What a socket may hold for us while we look elsewhere, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;
/// Messages taken from one socket before the next one has its turn.
const MESSAGES: usize = 8;
/// Room for the longest train GRO builds.
const MESSAGE_LEN: usize = 1 << 16;
/// Sockets one wait names.
const READY: usize = 256;

/// The sockets of all members.
pub(crate) struct Swarm {
    sockets: Vec<UdpSocket>,
    family: Family,
    poll: Poll,
    ready: Vec<u32>,
    inbox: RecvBatch,
    outbox: SendBatch,
    /// Bytes of a frame.
    size: usize,
    /// Frames one message carries.
    train: usize,
}

impl Swarm {
    /// Opens and connects all sockets.
    pub(crate) fn open(plan: &Plan) -> Result<Self, LoadError> {
        let (family, any) = match plan.target {
            SocketAddr::V4(_) => (Family::V4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            SocketAddr::V6(_) => (Family::V6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        };
        let poll = Poll::new(READY).map_err(kernel("opening epoll"))?;
        let mut sockets = Vec::with_capacity(plan.members() as usize);
        for member in 0..plan.members() {
            let Seat { port, relay } = Seat::of(plan, member as u32);
            let socket =
                UdpSocket::bind((any, port)).map_err(kernel("opening one more UDP socket"))?;
            if let Some(relay) = relay {
                socket.connect(relay).map_err(kernel("connecting to the target"))?;
            }
            socket.set_nonblocking(true).map_err(kernel("making a socket non-blocking"))?;
            options::set_buffers(socket.as_fd(), SOCKET_BUFFER);
            if plan.gro {
                options::set_gro(socket.as_fd())
                    .map_err(kernel("asking for UDP_GRO (--gro off does without)"))?;
            }
            poll.watch(socket.as_fd(), member).map_err(kernel("watching a socket"))?;
            sockets.push(socket);
        }
        Ok(Self {
            sockets,
            family,
            poll,
            ready: Vec::with_capacity(READY),
            inbox: RecvBatch::new(MESSAGES, MESSAGE_LEN),
            outbox: SendBatch::new(SEGMENTS_MAX, SEGMENTS_MAX, family),
            size: plan.size,
            train: if plan.gso { plan.frames_per_train() } else { 1 },
        })
    }

    /// Waits until members have something to receive, at most `timeout`, and says how many.
    pub(crate) fn wait(&mut self, timeout: Span) -> Result<usize, LoadError> {
        self.ready.clear();
        let ready = self.poll.wait(Some(timeout)).map_err(kernel("waiting for datagrams"))?;
        self.ready.extend(ready.map(|member| member as u32));
        Ok(self.ready.len())
    }

    /// The member the last wait named at `index`.
    pub(crate) fn ready(&self, index: usize) -> u32 {
        self.ready[index]
    }

    /// Takes what waits at `member`; some may stay for the next wait.
    #[inline]
    pub(crate) fn receive(&mut self, member: u32) -> Result<Received<'_>, LoadError> {
        let socket = &self.sockets[member as usize];
        match self.inbox.receive(socket.as_fd(), 0, MESSAGES) {
            Ok(messages) => Ok(Received { inbox: &self.inbox, messages, refused: false }),
            // What ICMP says about earlier sends: the relay is gone, or not yet there.
            Err(error) if is_refusal(&error) => {
                Ok(Received { inbox: &self.inbox, messages: 0, refused: true })
            }
            Err(error) => Err(kernel("receiving")(error)),
        }
    }

    /// Sends a burst of load frames from `member`, as trains where the plan allows.
    #[inline]
    pub(crate) fn send_burst(&mut self, member: u32, burst: &[u8]) -> Egress {
        let message = self.size * self.train;
        self.send(member, burst, message, if self.train > 1 { self.size as u16 } else { 0 })
    }

    /// Sends one frame from `member`.
    pub(crate) fn send_frame(&mut self, member: u32, frame: &[u8]) -> Egress {
        self.send(member, frame, frame.len(), 0)
    }

    fn send(&mut self, member: u32, bytes: &[u8], message: usize, segment: u16) -> Egress {
        let socket = self.sockets[member as usize].as_fd();
        let mut egress = Egress::default();
        for group in bytes.chunks(message * SEGMENTS_MAX) {
            let mut batch = self.outbox.begin();
            for bytes in group.chunks(message) {
                let fits = batch.push(None, [bytes], segment);
                debug_assert!(fits, "a group is at most one batch");
            }
            let part = batch.flush(socket);
            egress.sent += part.sent;
            egress.busy += part.busy;
            egress.failed += part.failed;
        }
        egress
    }

    /// The port of each socket, and the family they share.
    pub(crate) fn ports(&self) -> (Family, Vec<u16>) {
        let port = |socket: &UdpSocket| socket.local_addr().map_or(0, |addr| addr.port());
        (self.family, self.sockets.iter().map(port).collect())
    }
}

/// A member's port, 0 where any will do, and whom it speaks to.
struct Seat {
    port: u16,
    relay: Option<SocketAddr>,
}

impl Seat {
    fn of(plan: &Plan, member: u32) -> Self {
        let Some(Wiring { to, first_port }) = plan.wired() else {
            return Self { port: 0, relay: Some(plan.target) };
        };
        let (session, place) = (member / plan.participants, member % plan.participants);
        let relay = if place == 0 { to.get(session as usize).copied() } else { None };
        Self { port: first_port + member as u16, relay }
    }
}

/// What one [`Swarm::receive`] took.
pub(crate) struct Received<'swarm> {
    inbox: &'swarm RecvBatch,
    messages: usize,
    /// The network says that nobody listens at the target.
    pub(crate) refused: bool,
}

impl Received<'_> {
    /// The datagrams in order, trains taken apart.
    #[inline]
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.messages).flat_map(|slot| {
            let message = self.inbox.message(slot);
            let bytes = &self.inbox.buffer(slot)[..message.len];
            let step = if message.segment == 0 { message.len } else { message.segment.into() };
            // An empty datagram is a datagram too, and `chunks` would not see it.
            let empty = message.len == 0;
            bytes.chunks(step.max(1)).chain(empty.then_some(bytes))
        })
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(target: SocketAddr) -> Plan {
        Plan { target, sessions: 1, participants: 2, size: 100, ..Plan::voice() }
    }

    /// Sends a burst of `frames` to a plain socket, and answers what that received.
    fn burst(frames: usize, gso: bool) -> Vec<Vec<u8>> {
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        options::set_buffers(relay.as_fd(), SOCKET_BUFFER);
        let plan = Plan { gso, ..plan(relay.local_addr().unwrap()) };
        let mut swarm = Swarm::open(&plan).unwrap();
        let bytes: Vec<u8> = (0..frames * 100).map(|at| (at / 100) as u8).collect();
        assert_eq!(swarm.send_burst(1, &bytes).sent, frames as u64);
        let mut buffer = [0; 2_000];
        let mut take = || {
            let (len, _) = relay.recv_from(&mut buffer).unwrap();
            buffer[..len].to_vec()
        };
        (0..frames).map(|_| take()).collect()
    }

    #[test]
    fn a_burst_arrives_as_its_frames_with_and_without_trains() {
        // 200 is more than one train and more than one batch.
        for (frames, gso) in [(1, true), (10, true), (200, true), (10, false), (200, false)] {
            let received = burst(frames, gso);
            let expected: Vec<_> = (0..frames).map(|at| vec![at as u8; 100]).collect();
            assert_eq!(received, expected, "{frames} frames, gso {gso}");
        }
    }

    #[test]
    fn a_train_that_arrives_is_taken_apart() {
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        for gro in [true, false] {
            let plan = Plan { gro, ..plan(relay.local_addr().unwrap()) };
            let mut swarm = Swarm::open(&plan).unwrap();
            assert_eq!(swarm.send_frame(0, &[1; 60]).sent, 1);
            let (_, member) = relay.recv_from(&mut [0; 100]).unwrap();
            let train: Vec<u8> = (0..950).map(|at| (at / 100) as u8).collect();
            let mut batch = SendBatch::new(1, 1, Family::V4);
            let mut sending = batch.begin();
            assert!(sending.push(Some(&member.into()), [&train[..]], 100));
            assert_eq!(sending.flush(relay.as_fd()).sent, 10);
            let mut received: Vec<Vec<u8>> = Vec::new();
            while received.len() < 10 {
                assert!(swarm.wait(Span::from_secs(10)).unwrap() > 0, "gro {gro}: lost");
                received.extend(swarm.receive(0).unwrap().datagrams().map(<[u8]>::to_vec));
            }
            assert!(received.iter().map(Vec::as_slice).eq(train.chunks(100)), "gro {gro}");
        }
    }

    #[test]
    fn what_the_relay_sends_is_received_by_its_member() {
        let relay = UdpSocket::bind("[::1]:0").unwrap();
        let mut swarm = Swarm::open(&plan(relay.local_addr().unwrap())).unwrap();
        assert_eq!(swarm.send_frame(1, &[1; 60]).sent, 1);
        let (_, member) = relay.recv_from(&mut [0; 100]).unwrap();
        relay.send_to(&[], member).unwrap();
        relay.send_to(b"hello", member).unwrap();
        let mut received: Vec<Vec<u8>> = Vec::new();
        while received.len() < 2 {
            for index in 0..swarm.wait(Span::from_secs(10)).unwrap() {
                assert_eq!(swarm.ready(index), 1);
                received.extend(swarm.receive(1).unwrap().datagrams().map(<[u8]>::to_vec));
            }
        }
        assert_eq!(received, [&b""[..], b"hello"]);
    }
}
