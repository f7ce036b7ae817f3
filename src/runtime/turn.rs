//! TURN between the configuration and the shards: what they are told at the start, and what later.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use elara_core::Cidr;
use elara_core::crypto::Secret;
use elara_core::turn::{Access, Config, Keys};
use elara_shards::socket;
use elara_shards::turn::TurnConfig;
use tokio::sync::Mutex;
use tracing::warn;

use crate::config::{self, NodeConfig};
use crate::error::TurnError;
use crate::keys::OsRandom;

/// What shards are told of STUN and TURN; `None` when both are closed.
pub(crate) fn for_shards(
    config: &NodeConfig,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    shards: usize,
    hash_keys: (u64, u64),
) -> Option<TurnConfig> {
    let server = config.turn.for_shards(listen, shards);
    let relays = server.is_some();
    let server = server.or_else(|| config.stun.then(Config::default))?;
    let keys = Keys { nonce: Secret::generate(&mut OsRandom), hash: hash_keys };
    let access = Access::new(Arc::new(server), &keys);
    let listeners = [Some(listen), admin].into_iter().flatten().collect();
    Some(TurnConfig { access, keys, listeners, relays, binding: config.stun })
}

/// Whether relay sockets can be had where they shall be.
///
/// # Errors
/// [`TurnError::RelayElsewhere`].
pub(crate) fn check_here(turn: &TurnConfig) -> Result<(), TurnError> {
    let elsewhere = |addr: &IpAddr| {
        let tried = socket::relay((*addr, 0).into());
        tried.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    let mut relays = turn.access.config().relays.iter().map(|relay| relay.listen);
    relays.find(elsewhere).map_or(Ok(()), |addr| Err(TurnError::RelayElsewhere { addr }))
}

/// Says what an operator may not have had in mind.
pub(crate) fn warn(turn: &config::TurnConfig) {
    let own = |block: &&Cidr| Cidr::LOOPBACK.iter().any(|loopback| block.lies_in(loopback));
    for block in turn.allow_peers.iter().filter(own).filter(|_| turn.is_open()) {
        warn!(%block, "turn.allow_peers has loopback: TURN users reach what listens there");
    }
}

/// What a node keeps that serves TURN, to tell its shards when something changes.
pub(crate) struct TurnDesk {
    keys: Keys,
    listen: SocketAddr,
    /// What the shards go by. Kept here, so that none of them frees it; held while they are told, one
    /// change after the other.
    pub(crate) access: Mutex<Access>,
}

impl TurnDesk {
    /// `None` when TURN is closed. The node listens on `listen`.
    pub(crate) fn new(turn: &TurnConfig, listen: SocketAddr) -> Option<Self> {
        let (keys, access) = (turn.keys.clone(), Mutex::new(turn.access.clone()));
        turn.relays.then_some(Self { keys, listen, access })
    }

    /// What `shards` shards that go by `now` are to go by next; `None` when `config`, which is sound, closes
    /// TURN.
    pub(crate) fn renewed(
        &self,
        now: &Access,
        config: &NodeConfig,
        shards: usize,
    ) -> Option<Access> {
        let next = config.turn.for_shards(self.listen, shards)?;
        Some(now.renewed(&next, &self.keys))
    }
}
