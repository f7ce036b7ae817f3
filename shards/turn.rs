//! STUN and TURN in a shard: the machine of `elara_core::turn` between a back end's sockets.
//!
//! ```text
//!   STUN         ─▶ Binding: answered at once      others ─▶ Server::handle ─▶ answer, or a peer's data
//!   ChannelData  ─▶ Server::to_peer    ─▶ flows ─▶ relay socket ─▶ peer
//!   peer ─▶ relay socket ─▶ Server::from_peer ─▶ flows ─▶ data port ─▶ client
//! ```
//! | module | owns |
//! |---|---|
//! | `ingress` | a datagram: what becomes of it |
//! | `flows` | what leaves, gathered for each flow until the cycle ends |
//!
//! Payloads are never copied: headers are notes before them. A shard has the allocations of the clients that
//! the kernel steers to it, and the relay sockets of those.

mod flows;
mod ingress;

use std::io;
use std::net::SocketAddr;

use elara_core::crypto::hash::expand;
use elara_core::crypto::{KeyStream, Secret};
use elara_core::limits::{STUN_MESSAGE_MAX, TURN_EXPIRIES_MAX};
use elara_core::time::Instant;
use elara_core::turn::{Access, Counts, Keys, OpenError, Ports, Server, Socket};

use crate::io::{Io, Port};
use flows::Flows;

/// What a shard is told of STUN and TURN.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// What the server goes by. One without credentials lets nobody in.
    pub access: Access,
    /// What it keeps secret, the same on all shards.
    pub keys: Keys,
    /// Where this node listens: no peers are behind these.
    pub listeners: Vec<SocketAddr>,
    /// Whether there are relayed addresses to be had; if not, only Binding requests are answered.
    pub relays: bool,
    /// Whether Binding requests are answered.
    pub binding: bool,
}

/// Everything a shard knows of STUN and TURN.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None`: STUN is closed.
    server: Option<Box<Server>>,
    /// Whether there are relayed addresses to be had.
    relays: bool,
    /// Whether Binding requests are answered.
    binding: bool,
    /// Channels may have numbers above those of RFC 8656.
    wide: bool,
    random: KeyStream,
    /// What leaves at the end of the cycle.
    flows: Flows,
    /// Where a request lies while it is answered.
    inbox: Box<[u8; STUN_MESSAGE_MAX]>,
    /// Where an answer is put together.
    out: Box<[u8; STUN_MESSAGE_MAX]>,
    /// More has ended than one cycle looks at.
    expiring: bool,
}

impl Turn {
    pub(crate) fn new(config: Option<&TurnConfig>, seed: &Secret<32>, now: Instant) -> Self {
        let server = config.map(|config| {
            let TurnConfig { access, keys, listeners, .. } = config;
            Box::new(Server::new(access.clone(), keys, listeners, now))
        });
        Self {
            server,
            relays: config.is_some_and(|config| config.relays),
            binding: config.is_some_and(|config| config.binding),
            wide: config.is_some_and(|config| {
                config.relays && *config.access.config().channel_range.numbers().end() > 0x4FFF
            }),
            random: KeyStream::new(&expand(seed, &[b"ELARA turn"])),
            flows: Flows::new(),
            inbox: Box::new([0; STUN_MESSAGE_MAX]),
            out: Box::new([0; STUN_MESSAGE_MAX]),
            expiring: false,
        }
    }

    /// Goes by this from here on.
    pub(crate) fn reload(&mut self, access: Access) {
        if let Some(server) = &mut self.server {
            server.reload(access);
        }
    }

    /// When something ends; `now` when more has than one cycle looks at.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.expiring {
            return Some(now);
        }
        self.server.as_ref().and_then(|server| server.next_expiry())
    }

    /// Whether anything is answered here.
    pub(crate) const fn is_open(&self) -> bool {
        self.server.is_some()
    }

    /// Ends what is over, a cycle's worth of it.
    pub(crate) fn expire<I: Io>(&mut self, io: &mut I, now: Instant) {
        let Some(server) = &mut self.server else { return };
        let looked = server.expire(now, TURN_EXPIRIES_MAX, &mut Sockets(io));
        self.expiring = looked == TURN_EXPIRIES_MAX;
    }

    /// Sends what is left of the cycle.
    #[inline]
    pub(crate) fn flush<I: Io>(&mut self, io: &mut I) {
        if !self.flows.is_empty() {
            self.flows.flush(io);
        }
    }

    /// What is there.
    pub(crate) fn counts(&self) -> Counts {
        self.server.as_ref().map(|server| server.counts()).unwrap_or_default()
    }
}

/// For what needs none.
struct NoSockets;

impl Ports for NoSockets {
    fn open(&mut self, _: SocketAddr) -> Result<Socket, OpenError> {
        Err(OpenError::Other)
    }

    fn close(&mut self, _: Socket) {}
}

/// The back end's sockets, as the machine asks for them.
struct Sockets<'a, I>(&'a mut I);

impl<I: Io> Ports for Sockets<'_, I> {
    fn open(&mut self, local: SocketAddr) -> Result<Socket, OpenError> {
        match self.0.open(local) {
            Ok(Port(number)) => Ok(Socket(number)),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::AddrInUse => OpenError::InUse,
                io::ErrorKind::StorageFull => OpenError::Full,
                _ => OpenError::Other,
            }),
        }
    }

    fn close(&mut self, socket: Socket) {
        self.0.close(Port(socket.0));
    }
}
