//! The sockets of a check: clients of the server, and peers; driven together by one thread.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use elara_core::limits::STUN_MESSAGE_MAX;
use elara_core::time::{Instant, Span};
use elara_core::turn::client::{
    Client, Credentials, Discovery, Event, Failure, Family, Granted, Received,
};
use elara_runtime::keys::OsRandom;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

/// How long the server has for each thing it is asked.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long data may take before it is sent again; how often it is sent.
const DATA_AGAIN: Duration = Duration::from_millis(500);
const DATA_SENDS: usize = 6;
/// Data that waits to be looked at, of one socket. Full: the oldest goes.
const HEARD_MAX: usize = 16;

/// A client of the server, by a socket of its own.
pub(super) struct Party {
    socket: UdpSocket,
    pub(super) client: Client,
    events: VecDeque<Event>,
    heard: VecDeque<Vec<u8>>,
}

/// A socket that is nobody's client.
pub(super) struct Peer {
    pub(super) socket: UdpSocket,
    discovery: Option<Discovery>,
    heard: VecDeque<Vec<u8>>,
}

/// All of them, and the time.
pub(super) struct Scene {
    server: SocketAddr,
    origin: tokio::time::Instant,
    pub(super) parties: Vec<Party>,
    pub(super) peers: Vec<Peer>,
}

/// Who says something to whom.
#[derive(Clone, Copy, Debug)]
pub(super) enum Saying {
    /// A client, by its channel or by indications, to an address.
    Party { from: usize, to: SocketAddr, by_channel: bool },
    /// A peer to a relayed address.
    Peer { from: usize, to: SocketAddr },
}

/// Who is to hear it. From where does not count: behind a NAT that may be another address than its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hearing {
    Party(usize),
    Peer(usize),
}

impl Scene {
    pub(super) fn new(server: SocketAddr) -> Self {
        let origin = tokio::time::Instant::now();
        Self { server, origin, parties: Vec::new(), peers: Vec::new() }
    }

    fn now(&self) -> Instant {
        let elapsed = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    async fn socket(&self) -> io::Result<UdpSocket> {
        let any = if self.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        UdpSocket::bind(any).await
    }

    /// Adds a client that asks for an allocation at once: its number.
    pub(super) async fn enter(&mut self, credentials: Option<Credentials>) -> io::Result<usize> {
        let socket = self.socket().await?;
        socket.connect(self.server).await?;
        let client = Client::new(credentials, Family::of(self.server.ip()), self.now());
        let (events, heard) = (VecDeque::new(), VecDeque::new());
        self.parties.push(Party { socket, client, events, heard });
        Ok(self.parties.len() - 1)
    }

    /// Adds a peer: its number.
    pub(super) async fn stand_by(&mut self) -> io::Result<usize> {
        let socket = self.socket().await?;
        self.peers.push(Peer { socket, discovery: None, heard: VecDeque::new() });
        Ok(self.peers.len() - 1)
    }

    /// Where the server sees a peer. A party that is told that nothing listens there tells it too.
    pub(super) async fn reflexive(
        &mut self,
        peer: usize,
        party: Option<usize>,
    ) -> Result<SocketAddr, Failure> {
        self.peers[peer].discovery = Some(Discovery::new(self.now()));
        let nobody = Event::Failed(Failure::NotListening);
        let outcome = |scene: &mut Self| {
            if party.is_some_and(|party| scene.parties[party].events.contains(&nobody)) {
                return Some(Err(Failure::NotListening));
            }
            scene.peers[peer].discovery.as_ref().and_then(Discovery::outcome)
        };
        let outcome = self.until(PATIENCE, outcome).await;
        self.peers[peer].discovery = None;
        outcome.unwrap_or(Err(Failure::NoAnswer))
    }

    /// What comes of a client's wish for an allocation.
    pub(super) async fn allocated(&mut self, party: usize) -> Result<Granted, Failure> {
        let wanted = |event: &Event| match event {
            Event::Ready(granted) => Some(Ok(*granted)),
            Event::Failed(why) => Some(Err(*why)),
            _ => None,
        };
        self.event(party, wanted).await.unwrap_or(Err(Failure::NoAnswer))
    }

    /// Asks for a permission: what comes of it.
    pub(super) async fn permit(&mut self, party: usize, ip: IpAddr) -> Result<(), Failure> {
        let now = self.now();
        self.parties[party].client.permit(ip, now);
        let wanted = |event: &Event| match event {
            Event::Permitted { peer } if *peer == ip => Some(Ok(())),
            Event::NotPermitted { peer, why } if *peer == ip => Some(Err(*why)),
            Event::Failed(why) => Some(Err(*why)),
            _ => None,
        };
        self.event(party, wanted).await.unwrap_or(Err(Failure::NoAnswer))
    }

    /// Asks for a channel: its number.
    pub(super) async fn bind(&mut self, party: usize, addr: SocketAddr) -> Result<u16, Failure> {
        let now = self.now();
        self.parties[party].client.bind(addr, now);
        let wanted = |event: &Event| match event {
            Event::Bound { peer, channel } if *peer == addr => Some(Ok(*channel)),
            Event::NotBound { peer, why } if *peer == addr => Some(Err(*why)),
            Event::Failed(why) => Some(Err(*why)),
            _ => None,
        };
        self.event(party, wanted).await.unwrap_or(Err(Failure::NoAnswer))
    }

    /// Gives an allocation back; whether the server has said that it is gone.
    pub(super) async fn close(&mut self, party: usize) -> bool {
        let now = self.now();
        self.parties[party].client.close(now);
        let wanted = |event: &Event| matches!(event, Event::Closed).then_some(());
        self.event(party, wanted).await.is_some()
    }

    async fn event<T>(&mut self, party: usize, wanted: impl Fn(&Event) -> Option<T>) -> Option<T> {
        self.until(PATIENCE, |scene| scene.parties[party].events.iter().find_map(&wanted)).await
    }

    /// Says `words` until they are heard; whether they are.
    pub(super) async fn converse(&mut self, said: Saying, heard: Hearing, words: &[u8]) -> bool {
        for _ in 0..DATA_SENDS {
            self.say(said, words).await;
            let came = self.until(DATA_AGAIN, |scene| {
                let queue = match heard {
                    Hearing::Party(at) => &mut scene.parties[at].heard,
                    Hearing::Peer(at) => &mut scene.peers[at].heard,
                };
                queue.drain(..).any(|what| what == words).then_some(())
            });
            if came.await.is_some() {
                return true;
            }
        }
        false
    }

    /// What the kernel does not take is lost.
    async fn say(&self, saying: Saying, words: &[u8]) {
        match saying {
            Saying::Peer { from, to } => {
                let _ = self.peers[from].socket.send_to(words, to).await;
            }
            Saying::Party { from, to, by_channel: true } => {
                let Party { socket, client, .. } = &self.parties[from];
                if let Some(header) = client.header(&to, words.len() as u16) {
                    let _ = socket.send(&[&header, words].concat()).await;
                }
            }
            Saying::Party { from, to, by_channel: false } => {
                let Party { socket, client, .. } = &self.parties[from];
                let mut out = [0; STUN_MESSAGE_MAX];
                if let Some(len) = client.indicate(to, words, &mut OsRandom, &mut out) {
                    let _ = socket.send(&out[..len]).await;
                }
            }
        }
    }

    /// Runs everything until `done` has something, or for `patience`.
    async fn until<T>(
        &mut self,
        patience: Duration,
        mut done: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            self.flush().await;
            if let Some(outcome) = done(self) {
                return Some(outcome);
            }
            if tokio::time::Instant::now() >= give_up {
                return None;
            }
            let parties = self.parties.iter().filter_map(|party| party.client.next_due());
            let asking = self.peers.iter().filter_map(|peer| peer.discovery.as_ref()?.next_due());
            let due = parties.chain(asking).min().map(|due| due.since(Instant::ZERO));
            let due = due.map_or(give_up, |due| self.origin + std(due)).min(give_up);
            tokio::select! {
                () = self.readable() => self.receive(),
                () = sleep_until(due) => {}
            }
        }
    }

    /// Sends what is due.
    async fn flush(&mut self) {
        let now = self.now();
        let mut out = [0; STUN_MESSAGE_MAX];
        for Party { socket, client, events, .. } in &mut self.parties {
            while let Some(len) = client.poll_transmit(now, &mut OsRandom, &mut out) {
                // What does not leave is sent again like what is lost.
                if socket.send(&out[..len]).await.is_err_and(|error| is_refusal(&error)) {
                    client.handle_refusal();
                }
            }
            events.extend(std::iter::from_fn(|| client.poll_event()));
        }
        for Peer { socket, discovery, .. } in &mut self.peers {
            let Some(discovery) = discovery else { continue };
            while let Some(len) = discovery.poll_transmit(now, &mut OsRandom, &mut out) {
                let _ = socket.send_to(&out[..len], self.server).await;
            }
        }
    }

    async fn readable(&self) {
        poll_fn(|cx| {
            let parties = self.parties.iter().map(|party| &party.socket);
            let mut sockets = parties.chain(self.peers.iter().map(|peer| &peer.socket));
            if sockets.any(|socket| socket.poll_recv_ready(cx).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Takes in what is there.
    fn receive(&mut self) {
        let now = self.now();
        let mut room = [0; 2_048];
        for Party { socket, client, heard, .. } in &mut self.parties {
            loop {
                match socket.try_recv(&mut room) {
                    Ok(len) => {
                        if let Received::Data { bytes, .. } =
                            client.handle_datagram(&room[..len], now)
                        {
                            keep(heard, bytes);
                        }
                    }
                    Err(error) if is_refusal(&error) => client.handle_refusal(),
                    Err(_) => break,
                }
            }
        }
        for Peer { socket, discovery, heard } in &mut self.peers {
            while let Ok((len, from)) = socket.try_recv_from(&mut room) {
                let answer = from == self.server
                    && discovery
                        .as_mut()
                        .is_some_and(|it| it.handle_datagram(&room[..len]).is_ok());
                if !answer {
                    keep(heard, &room[..len]);
                }
            }
        }
    }
}

fn keep(heard: &mut VecDeque<Vec<u8>>, bytes: &[u8]) {
    if heard.len() >= HEARD_MAX {
        heard.pop_front();
    }
    heard.push_back(bytes.to_vec());
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

const fn std(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}
