//! A room: one shard and a handful of peers around it, over any back end, on one thread.
//!
//! The test says something as a peer and lets the room settle: every datagram that is under way has then
//! been received, forwarded and delivered. Loopback delivers within the sender's system call, so a
//! room over real sockets needs neither threads nor waiting.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use elara_core::crypto::Secret;
use elara_core::time::{Instant, Span};
use elara_core::{Cidr, ClientAddr, NodeId, SessionId};
use elara_shards::command::SessionView;
use elara_shards::io::memory::{Capacity, Memory, Outcome};
use elara_shards::io::syscall::Syscall;
use elara_shards::io::uring::Uring;
use elara_shards::mailbox::{Receiver, Sender, mailbox};
use elara_shards::shard::V0Policy;
use elara_shards::sys::cpu::raise_descriptor_limit;
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::SendBatch;
use elara_shards::sys::options::set_buffers;
use elara_shards::sys::wait::Bell;
use elara_shards::{Access, Command, Counters, Io, Report, Shard, ShardConfig, socket};

/// How a back end is made and what is around it.
pub trait Place {
    /// The back end.
    type Io: Io;

    /// The back end's name, for messages.
    const NAME: &'static str;

    /// A place with `peers` peers.
    fn new(peers: usize) -> (Self, Self::Io)
    where
        Self: Sized;

    /// Peer `from` sends bytes to the relay: one datagram, or a train cut every `segment` bytes.
    fn send(&mut self, io: &mut Self::Io, from: usize, bytes: &[u8], segment: u16);

    /// Peer `from` sends one datagram, which is lost if the relay's receive queue has no room for it.
    fn flood(&mut self, io: &mut Self::Io, from: usize, bytes: &[u8]);

    /// The relay's receive queue holds no more than about so many bytes from here on.
    fn narrow(&mut self, io: &mut Self::Io, bytes: usize);

    /// What peer `to` has received since the last time, datagram by datagram.
    fn heard(&mut self, io: &mut Self::Io, to: usize) -> Vec<Vec<u8>>;

    /// Tells `each` what anyone has received since the last time: which peer, and the datagram.
    fn drain(&mut self, io: &mut Self::Io, each: &mut dyn FnMut(usize, &[u8]));

    /// A millisecond passes in which the shard works. Where the clock is real it does so by itself.
    fn elapse(&mut self, io: &mut Self::Io);

    /// The address the relay sees of a peer.
    fn addr(&self, peer: usize) -> ClientAddr;

    /// Gives a peer another address; what was on its way to the old one is lost.
    fn rebind(&mut self, peer: usize);
}

/// A shard with peers around it.
pub struct Room<P: Place> {
    pub place: P,
    pub shard: Shard<P::Io>,
    commands: Sender<Command>,
    reports: Receiver<Report>,
}

/// A config that opens v0 for everyone the tests can be.
pub fn open_config() -> ShardConfig {
    ShardConfig {
        index: 0,
        shards: 1,
        max_peers: 100,
        v0: Some(V0Policy { open: Cidr::PRIVATE.to_vec(), per_ip: 64 }),
        v1: None,
        turn: None,
        hash_keys: (1, 2),
        seed: Secret::new([1; 32]),
    }
}

impl<P: Place> Room<P> {
    pub fn new(peers: usize) -> Self {
        Self::with(peers, open_config())
    }

    pub fn with(peers: usize, config: ShardConfig) -> Self {
        let (place, io) = P::new(peers);
        // The room cycles only when there is work, so nobody needs waking.
        let bell = Arc::new(Bell::new().unwrap());
        let (commands, inbox) = mailbox(64, bell.clone() as _);
        let (outbox, reports) = mailbox(1 << 16, bell as _);
        Self { place, shard: Shard::new(io, config, inbox, outbox), commands, reports }
    }

    /// Peer `from` says `bytes` in one datagram.
    pub fn say(&mut self, from: usize, bytes: &[u8]) {
        self.say_train(from, bytes, 0);
    }

    /// Peer `from` says several datagrams of `segment` bytes at once.
    pub fn say_train(&mut self, from: usize, bytes: &[u8], segment: u16) {
        self.place.send(self.shard.io(), from, bytes, segment);
    }

    /// One cycle. It waits when nothing is under way: say something first.
    pub fn cycle(&mut self) {
        self.shard.cycle().expect("the back end works");
    }

    /// One cycle that does not wait.
    pub fn cycle_at_once(&mut self) {
        self.nudge();
        self.cycle();
        while self.reports.take().is_some() {}
    }

    /// Cycles until nothing is under way, and answers the counters.
    pub fn settle(&mut self) -> Counters {
        let mut before = None;
        loop {
            self.cycle_at_once();
            let counters = self.shard.counters();
            let now = (counters.datagrams, counters.egress);
            if before.replace(now) == Some(now) {
                return counters;
            }
        }
    }

    /// Tells the shard to stop, and lets it.
    pub fn stop(&mut self) {
        self.commands.post(Command::Stop).expect("there is room");
        self.shard.run().expect("the back end works");
    }

    /// What a peer has received from a shard that has stopped.
    pub fn left(&mut self, to: usize) -> Vec<Vec<u8>> {
        self.place.heard(self.shard.io(), to)
    }

    /// A session as the shard describes it.
    pub fn view(&mut self, session: SessionId) -> Option<SessionView> {
        self.settle();
        self.commands.post(Command::Session { ticket: 1, session }).expect("there is room");
        self.cycle();
        let reports = std::iter::from_fn(|| self.reports.take());
        let views = reports.filter_map(|report| match report {
            Report::Session { view, .. } => Some(view),
            _ => None,
        });
        views.last().expect("an answer")
    }

    /// Asks the shard to send a participant away.
    pub fn kick(&mut self, session: SessionId, node: NodeId) -> bool {
        self.commands.post(Command::Kick { ticket: 1, session, node }).expect("there is room");
        self.cycle();
        let reports = std::iter::from_fn(|| self.reports.take());
        let found = reports.filter_map(|report| match report {
            Report::Kicked { found, .. } => Some(found),
            _ => None,
        });
        found.last().expect("an answer")
    }

    /// From here on, these may enter.
    pub fn replace_access(&mut self, access: Arc<Access>) {
        self.commands.post(Command::Access(access)).expect("there is room");
        self.settle();
    }

    /// A command in the mailbox keeps the next cycle from waiting. This one is answered without allocating.
    fn nudge(&self) {
        let nobodys = SessionId(u64::MAX);
        let command = Command::Session { ticket: 0, session: nobodys };
        self.commands.post(command).expect("there is room");
    }

    /// What a peer has received since the last time.
    pub fn heard(&mut self, to: usize) -> Vec<Vec<u8>> {
        self.settle();
        self.place.heard(self.shard.io(), to)
    }

    /// Tells `each` what anyone has received since the last time, as far as it has left.
    pub fn drain(&mut self, mut each: impl FnMut(usize, &[u8])) {
        self.place.drain(self.shard.io(), &mut each);
    }
}

impl Room<InMemory> {
    /// `ms` milliseconds pass, one by one.
    pub fn tick(&mut self, ms: u64) {
        for _ in 0..ms {
            let now = self.shard.io().now() + Span::from_millis(1);
            self.shard.io().set_now(now);
            self.nudge();
            self.cycle();
        }
        self.settle();
    }

    /// `ms` milliseconds pass, in steps of ten, while everyone else is silent.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            let now = self.shard.io().now() + Span::from_millis(10);
            self.shard.io().set_now(now);
            self.nudge();
            self.cycle();
        }
        self.settle();
    }
}

/// Conversations over a [`Place`], each held on every back end.
// Not every test has some for all of them.
#[allow(unused_macros)]
macro_rules! on_every_back_end {
    ($($(#[$doc:meta])* fn $name:ident<$place:ident>() $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::support::room::{InMemory, OverSyscall, OverUring, Place};

            $(#[$doc])*
            fn conversation<$place: Place>() $body

            #[test]
            fn over_uring() { conversation::<OverUring>() }

            #[test]
            fn over_syscall() { conversation::<OverSyscall>() }

            #[test]
            fn over_memory() { conversation::<InMemory>() }
        }
    )*};
}

#[allow(unused_imports)]
pub(crate) use on_every_back_end;

/// A place made of real sockets on loopback.
pub struct Loopback {
    pub(super) relay: SocketAddr,
    pub(super) peers: Vec<UdpSocket>,
    pub(super) batch: SendBatch,
}

impl Loopback {
    fn around(peers: usize) -> (Self, UdpSocket) {
        let descriptors = raise_descriptor_limit();
        assert!(descriptors > peers as u64, "{peers} sockets want a higher hard limit: ulimit -Hn");
        let relay = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
        let place = Self {
            relay: relay.local_addr().unwrap(),
            peers: (0..peers).map(|_| peer()).collect(),
            batch: SendBatch::new(1, 1, Family::V4),
        };
        (place, relay)
    }

    fn send(&mut self, from: usize, bytes: &[u8], segment: u16) {
        let to = ClientAddr::from(self.relay);
        let mut sending = self.batch.begin();
        assert!(sending.push(Some(&to), [bytes], segment));
        let egress = sending.flush(self.peers[from].as_fd());
        assert_eq!(egress.busy + egress.failed, 0, "the test's own sending works");
    }

    fn heard(&self, to: usize) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        read(&self.peers[to], &mut [0; 65_536], |datagram| heard.push(datagram.to_vec()));
        heard
    }

    fn drain(&self, each: &mut dyn FnMut(usize, &[u8])) {
        let mut buffer = [0; 65_536];
        for (peer, socket) in self.peers.iter().enumerate() {
            read(socket, &mut buffer, |datagram| each(peer, datagram));
        }
    }

    fn addr(&self, peer: usize) -> ClientAddr {
        self.peers[peer].local_addr().unwrap().into()
    }
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Reads all that waits in a peer's socket.
fn read(socket: &UdpSocket, buffer: &mut [u8], mut each: impl FnMut(&[u8])) {
    loop {
        match socket.recv(buffer) {
            Ok(len) => each(&buffer[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("a peer's socket: {error}"),
        }
    }
}

/// Loopback around the io_uring back end.
pub struct OverUring(pub(super) Loopback);

/// Loopback around the system-call back end.
pub struct OverSyscall(pub(super) Loopback);

macro_rules! loopback {
    ($place:ident, $io:ident, $name:literal) => {
        impl Place for $place {
            type Io = $io;
            const NAME: &'static str = $name;

            fn new(peers: usize) -> (Self, $io) {
                let (place, relay) = Loopback::around(peers);
                (Self(place), $io::new(relay, &Bell::new().unwrap()).unwrap())
            }

            fn send(&mut self, _: &mut $io, from: usize, bytes: &[u8], segment: u16) {
                self.0.send(from, bytes, segment);
            }

            fn flood(&mut self, _: &mut $io, from: usize, bytes: &[u8]) {
                self.0.send(from, bytes, 0);
            }

            fn narrow(&mut self, io: &mut $io, bytes: usize) {
                set_buffers(io.socket().as_fd(), bytes);
            }

            fn heard(&mut self, _: &mut $io, to: usize) -> Vec<Vec<u8>> {
                self.0.heard(to)
            }

            fn drain(&mut self, _: &mut $io, each: &mut dyn FnMut(usize, &[u8])) {
                self.0.drain(each);
            }

            fn elapse(&mut self, _: &mut $io) {}

            fn addr(&self, peer: usize) -> ClientAddr {
                self.0.addr(peer)
            }

            fn rebind(&mut self, at: usize) {
                self.0.peers[at] = peer();
            }
        }
    };
}

loopback!(OverUring, Uring, "uring");
loopback!(OverSyscall, Syscall, "syscall");

/// A place in memory: no kernel at all.
pub struct InMemory {
    pub(super) addrs: Vec<ClientAddr>,
    /// What has left the relay: from which relayed address, for whom, and what.
    delivered: Vec<(Option<SocketAddr>, ClientAddr, Vec<u8>)>,
    ports: u16,
}

impl InMemory {
    /// `peers` more.
    pub fn add_peers(&mut self, peers: usize) {
        for _ in 0..peers {
            let addr = self.fresh();
            self.addrs.push(addr);
        }
    }

    pub(super) fn fresh(&mut self) -> ClientAddr {
        self.ports += 1;
        ClientAddr::from((Ipv4Addr::LOCALHOST, self.ports))
    }

    /// What peer `to` has received since the last time, and from which relayed address.
    pub(super) fn heard_from(
        &mut self,
        io: &mut Memory,
        to: usize,
    ) -> Vec<(Option<SocketAddr>, Vec<u8>)> {
        let sent = io.sent().filter(|sent| sent.outcome == Outcome::Sent);
        self.delivered.extend(sent.map(|sent| (sent.from, sent.to, sent.bytes.to_vec())));
        io.clear_sent();
        let addr = self.addrs[to];
        let taken = self.delivered.extract_if(.., |(_, to, _)| *to == addr);
        taken.map(|(from, _, bytes)| (from, bytes)).collect()
    }
}

impl Place for InMemory {
    type Io = Memory;
    const NAME: &'static str = "memory";

    fn new(peers: usize) -> (Self, Memory) {
        let mut place = Self { addrs: Vec::new(), delivered: Vec::new(), ports: 1_000 };
        place.addrs = (0..peers).map(|_| place.fresh()).collect();
        let mut io = Memory::new(Capacity::default(), 1, Instant::ZERO);
        io.mischief().unreachable = vec![super::nowhere()];
        (place, io)
    }

    fn send(&mut self, io: &mut Memory, from: usize, bytes: &[u8], segment: u16) {
        let step = if segment == 0 { bytes.len().max(1) } else { usize::from(segment) };
        if bytes.is_empty() {
            assert!(io.deliver(&self.addrs[from], bytes));
        }
        for datagram in bytes.chunks(step) {
            assert!(io.deliver(&self.addrs[from], datagram), "the receive queue has room");
        }
    }

    fn flood(&mut self, io: &mut Memory, from: usize, bytes: &[u8]) {
        io.deliver(&self.addrs[from], bytes);
    }

    fn narrow(&mut self, io: &mut Memory, bytes: usize) {
        io.mischief().queue_bytes = bytes;
    }

    fn heard(&mut self, io: &mut Memory, to: usize) -> Vec<Vec<u8>> {
        self.heard_from(io, to).into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn drain(&mut self, io: &mut Memory, each: &mut dyn FnMut(usize, &[u8])) {
        let peers: HashMap<ClientAddr, usize> =
            self.addrs.iter().enumerate().map(|(peer, addr)| (*addr, peer)).collect();
        let mut tell = |to: &ClientAddr, bytes: &[u8]| {
            if let Some(peer) = peers.get(to) {
                each(*peer, bytes);
            }
        };
        self.delivered.drain(..).for_each(|(_, to, bytes)| tell(&to, &bytes));
        let sent = io.sent().filter(|sent| sent.outcome == Outcome::Sent);
        sent.for_each(|sent| tell(&sent.to, sent.bytes));
        io.clear_sent();
    }

    fn elapse(&mut self, io: &mut Memory) {
        let span = Span::from_millis(1);
        let worked = io.strain().worked.as_nanos() + span.as_nanos();
        io.set_worked(Span::from_nanos(worked));
        let now = io.now() + span;
        io.set_now(now);
    }

    fn addr(&self, peer: usize) -> ClientAddr {
        self.addrs[peer]
    }

    fn rebind(&mut self, peer: usize) {
        self.addrs[peer] = self.fresh();
    }
}
