//! Who may enter by wire v1: the relay's keys, the issuers it believes, whom it has banned.
//!
//! Made by control, read by shards, never changed: a reload replaces the whole with
//! [`Command::Access`](crate::Command::Access).

use std::collections::HashSet;

use elara_core::crypto::handshake::RelayKeys;
use elara_core::crypto::token::{Issuers, Subject};
use elara_core::crypto::{Claims, PublicKey};

/// Who may enter.
#[derive(Debug)]
pub struct Access {
    /// The relay's static keys, the current one first: join addresses may still name one before it. 1 to
    /// [`RELAY_KEYS_MAX`](elara_core::limits::RELAY_KEYS_MAX).
    pub relay: Vec<RelayKeys>,
    /// Whose tokens are good.
    pub issuers: Issuers,
    /// Node keys and serials of bearer tokens that may not enter, and that leave when they are inside. At
    /// most [`BANS_MAX`](elara_core::limits::BANS_MAX).
    pub bans: HashSet<[u8; 32]>,
}

impl Access {
    /// Whether this identity, or the bearer token it came with, is banned.
    #[must_use]
    pub fn is_banned(&self, id: &PublicKey, claims: Option<&Claims>) -> bool {
        let serial = match claims.map(|claims| claims.subject) {
            Some(Subject::Bearer(serial)) => self.bans.contains(&serial),
            _ => false,
        };
        serial || self.bans.contains(id.as_bytes())
    }
}
