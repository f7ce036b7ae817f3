//! TURN between the configuration and the shards: what they are told at the start, and what later.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use elara_core::Cidr;
use elara_core::crypto::Secret;
use elara_core::turn::{Access, Keys};
use elara_shards::turn::TurnConfig;
use tracing::warn;

use crate::config::{self, NodeConfig};
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
    let server = server.or_else(|| config.stun.then(Arc::default))?;
    let keys = Keys { nonce: Secret::generate(&mut OsRandom), hash: hash_keys };
    let access = Access::new(server, &keys);
    let listeners = [Some(listen), admin].into_iter().flatten().collect();
    Some(TurnConfig { access, keys, listeners, relays, binding: config.stun })
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
    /// What the shards go by. Kept here, so that none of them frees it.
    access: Mutex<Access>,
}

impl TurnDesk {
    /// `None` when TURN is closed. The node listens on `listen`.
    pub(crate) fn new(turn: &TurnConfig, listen: SocketAddr) -> Option<Self> {
        let (keys, access) = (turn.keys.clone(), Mutex::new(turn.access.clone()));
        turn.relays.then_some(Self { keys, listen, access })
    }

    /// What `shards` shards are to go by next; `None` when `config`, which is sound, closes TURN.
    pub(crate) fn renewed(&self, config: &NodeConfig, shards: usize) -> Option<Access> {
        let now = self.access.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = config.turn.for_shards(self.listen, shards)?;
        Some(now.renewed(&next, &self.keys))
    }

    /// All shards go by `access`.
    pub(crate) fn replace(&self, access: Access) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }
}
