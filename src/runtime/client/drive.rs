//! The client's task: it owns the socket and runs the machine.
//!
//! ```text
//!   flush: everything there is to send, in trains ──▶ wait: datagram, timer, call ──▶ take in ──▶ flush
//! ```
//! Roaming: after [`Client::rebind`](super::Client::rebind), a socket error, or while nothing
//! answers, another socket takes over; the old ones are heard for 3 s more, because the relay
//! sends there until it has proven the new address.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use elara_core::limits::{OLD_CONNECTION, OLD_SOCKETS_MAX, REBIND_EVERY, TARGET_TURN};
use elara_core::time::Span;
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::notices::ClientNotice;
use super::shared::{Core, Shared, Stage, calendar};
use super::socket::{Room, Socket, Train};

/// Where the relay is.
pub(super) struct Targets {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addrs: Vec<SocketAddr>,
    /// Which of them is being asked.
    pub(super) at: usize,
    /// Where to send from.
    pub(super) local: Option<SocketAddr>,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    targets: Targets,
    socket: Arc<Socket>,
    /// Those before, the oldest first, and until when each is heard.
    old: Vec<(Arc<Socket>, Instant)>,
    rebound: Option<Instant>,
    /// When another address is tried, while none has answered.
    turn: Option<Instant>,
    resolving: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
    room: Room,
    train: Train,
}

/// Why the task goes on.
enum Woken {
    Datagrams,
    OldDatagrams,
    Time,
    Call,
    Resolved(Vec<SocketAddr>),
}

impl Targets {
    /// The addresses of the relay's host.
    pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(lookup_host((bare, port)).await?.collect())
    }

    /// A socket for the address whose turn it is, or for the next one that takes one.
    pub(super) fn connect(&mut self) -> io::Result<Socket> {
        self.connect_from(self.local)
    }

    /// Another socket, while the one before is still open and may have the port.
    fn reconnect(&mut self) -> io::Result<Socket> {
        match self.connect() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                self.connect_from(self.local.map(|local| SocketAddr::new(local.ip(), 0)))
            }
            result => result,
        }
    }

    fn connect_from(&mut self, local: Option<SocketAddr>) -> io::Result<Socket> {
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..self.addrs.len() {
            match Socket::connect(self.addrs[self.at], local) {
                Ok(socket) => return Ok(socket),
                Err(error) => refused = error,
            }
            self.at = (self.at + 1) % self.addrs.len();
        }
        Err(refused)
    }
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, targets: Targets, socket: Arc<Socket>) -> Self {
        let turn = (targets.addrs.len() > 1).then(|| Instant::now() + std(TARGET_TURN));
        Self {
            shared,
            targets,
            socket,
            old: Vec::new(),
            rebound: None,
            turn,
            resolving: None,
            room: Room::new(),
            train: Train::new(),
        }
    }

    /// Runs until the client has left or was removed.
    pub(super) async fn run(mut self) {
        loop {
            self.flush().await;
            if self.shared.lock().participant.is_over() {
                break;
            }
            // What was told while sending is not slept over.
            self.attend();
            match self.wait().await {
                Woken::Datagrams => {
                    let socket = self.socket.clone();
                    self.receive(&socket);
                }
                Woken::OldDatagrams => {
                    for (socket, _) in self.old.clone() {
                        // What fails here has been replaced.
                        let _ = self.take_in(&socket);
                    }
                }
                Woken::Resolved(addrs) => self.resolved(addrs),
                Woken::Time | Woken::Call => {}
            }
            self.attend();
        }
    }

    /// Sends all there is.
    async fn flush(&mut self) {
        loop {
            let segments = self.socket.segments_max();
            let loaded = {
                let mut core = self.shared.lock();
                let (now, today) = (core.now(), calendar());
                let Core { participant, random, .. } = &mut *core;
                let poll = |out: &mut [u8]| participant.poll_transmit(now, today, random, out);
                let loaded = self.train.load(segments, poll);
                self.shared.dispatch(&mut core);
                loaded
            };
            if !loaded {
                break;
            }
            if let Err(error) = self.socket.send(&self.train).await {
                self.trouble(&error);
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let now = Instant::now();
        let pause = self.shared.lock().pause();
        let due =
            [pause.map(|pause| now + pause), self.turn, self.old.first().map(|(_, until)| *until)];
        // Something is due within a minute in every phase that is not the last.
        let due = due.into_iter().flatten().min().unwrap_or(now + Duration::from_secs(60));
        let old = poll_fn(|cx| {
            let mut readable = self.old.iter().map(|(socket, _)| socket.poll_readable(cx));
            if readable.any(|poll| poll.is_ready()) { Poll::Ready(()) } else { Poll::Pending }
        });
        let resolved = async {
            match &mut self.resolving {
                Some(resolving) => resolving.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.socket.readable() => Woken::Datagrams,
            () = old => Woken::OldDatagrams,
            () = sleep_until(due) => Woken::Time,
            () = self.shared.woken() => Woken::Call,
            addrs = resolved => {
                self.resolving = None;
                Woken::Resolved(addrs.ok().and_then(Result::ok).unwrap_or_default())
            }
        }
    }

    fn receive(&mut self, socket: &Socket) {
        if let Err(error) = self.take_in(socket) {
            self.trouble(&error);
        }
    }

    fn take_in(&mut self, socket: &Socket) -> io::Result<()> {
        let shared = &self.shared;
        let result = socket.receive(&mut self.room, |datagram| {
            let mut core = shared.lock();
            let now = core.now();
            // What is refused is counted, and nobody's to act on.
            let _ = core.participant.handle_datagram(datagram, now);
        });
        let mut core = shared.lock();
        shared.dispatch(&mut core);
        result
    }

    /// Does what the machine or the time asks for.
    fn attend(&mut self) {
        let now = Instant::now();
        self.old.retain(|(_, until)| now < *until);
        let asks = std::mem::take(&mut self.shared.lock().asks);
        if *self.shared.stages().borrow() != Stage::Joining {
            self.turn = None;
        }
        if self.turn.is_some_and(|turn| turn <= now) {
            self.turn = Some(now + std(TARGET_TURN));
            self.targets.at = (self.targets.at + 1) % self.targets.addrs.len();
            self.rebind();
        }
        if asks.rebind {
            self.rebind();
        }
        if asks.resolve && self.resolving.is_none() {
            let (host, port) = (self.targets.host.clone(), self.targets.port);
            let lookup = async move { Targets::resolve(&host, port).await };
            self.resolving = Some(tokio::spawn(lookup));
        }
    }

    /// Nothing answers. The relay's host may have other addresses than before, and this machine too:
    /// the next one is asked, from another socket.
    fn resolved(&mut self, addrs: Vec<SocketAddr>) {
        if !addrs.is_empty() {
            let asked = self.socket.relay();
            let at = addrs.iter().position(|addr| *addr == asked).map_or(0, |at| at + 1);
            self.targets.at = at % addrs.len();
            self.targets.addrs = addrs;
        }
        self.rebind();
    }

    /// The kernel refuses: nothing listens at the other end, or this end is no more.
    fn trouble(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            self.shared.lock().refused = true;
            return;
        }
        tracing::debug!(%error, "the client's socket fails");
        if self.rebound.is_none_or(|rebound| rebound.elapsed() >= std(REBIND_EVERY)) {
            self.rebind();
        }
    }

    /// Sends from another socket from this moment on.
    fn rebind(&mut self) {
        self.rebound = Some(Instant::now());
        let socket = match self.targets.reconnect() {
            Ok(socket) => Arc::new(socket),
            Err(error) => {
                tracing::debug!(%error, "no other socket for the client");
                return;
            }
        };
        let until = Instant::now() + std(OLD_CONNECTION);
        // Full: what goes is the newest one.
        self.old.truncate(OLD_SOCKETS_MAX - 1);
        self.old.push((std::mem::replace(&mut self.socket, socket.clone()), until));
        let mut core = self.shared.lock();
        if let Some(local) = socket.local_addr() {
            core.notify(ClientNotice::Rebound { local });
        }
        core.socket = Some(socket);
        let now = core.now();
        core.participant.address_changed(now);
    }
}

/// Whoever runs the task lets it go before the client has left, or lets go of it at that moment: nobody
/// else will say goodbye.
impl Drop for Driver {
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        core.say_goodbye();
        self.shared.dispatch(&mut core);
    }
}

const fn std(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}
