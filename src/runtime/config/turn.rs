//! TURN as an operator says it: who may use it, where it relays, how much.
//!
//! Off until there is a secret or a user. Neither comes out again: `Debug` shows names at most.

mod address;
mod user;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use elara_core::Cidr;
use elara_core::limits::{
    Range, TURN_ALLOCATIONS, TURN_ALLOW_PEERS_MAX, TURN_BYTES_PER_S, TURN_CHANNELS,
    TURN_LIFETIME_DEFAULT_S, TURN_LIFETIME_MAX_S, TURN_NODE_ALLOCATIONS, TURN_PER_USER,
    TURN_PERMISSIONS, TURN_PORT_DEFAULT, TURN_PORT_MIN, TURN_REALM_MAX, TURN_SECRETS_MAX,
    TURN_USERS_MAX,
};
use elara_core::turn::{self, ChannelRange};

pub use self::address::{BadExternalIp, ExternalIp};
pub use self::user::{BadUser, TurnUser};

use super::second;
use crate::error::TurnError;
use crate::keys::TurnSecret;

/// The realm of credentials when nothing else is said.
const REALM: &str = "elara";

/// TURN (RFC 8656) on the node's own port. Default: off, because nobody has a credential.
///
/// ```
/// use elara_runtime::{NodeConfig, TurnConfig, TurnUser};
///
/// let alice = TurnUser::new("alice", "elara", "correct horse").unwrap();
/// let turn = TurnConfig { users: vec![alice], ..TurnConfig::default() };
/// let config = NodeConfig { turn, ..NodeConfig::default() };
/// // The default address, [::], names no interface to relay from.
/// assert!(config.validate().unwrap_err().to_string().contains("turn.relay"));
/// let bind_addr = "192.0.2.1:7840".parse().unwrap();
/// assert!(NodeConfig { bind_addr, ..config }.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnConfig {
    /// Whether TURN is served. Default `None`: if there is a secret or a user. `Some(true)` without either is
    /// refused.
    pub enabled: Option<bool>,
    /// What passwords are of: a name for this server and others with the same users. Default `elara`; 1 to
    /// 255 bytes.
    pub realm: String,
    /// What time-limited credentials are signed with, the newest first. Default: none; at most 8.
    pub secrets: Vec<TurnSecret>,
    /// Who has a password that does not run out, for this realm. Default: nobody; at most 65,536.
    pub users: Vec<TurnUser>,
    /// Addresses of this machine that relayed addresses are on, at most one of each family. Default: none,
    /// which means that of [`NodeConfig::bind_addr`](crate::NodeConfig::bind_addr).
    pub relay: Vec<IpAddr>,
    /// What clients are told in place of a relay address that a NAT translates; at most one of each family.
    pub external_ip: Vec<ExternalIp>,
    /// Ports of relayed addresses. Default 49,152 to 65,535; never below 1,024.
    pub ports: RangeInclusive<u16>,
    /// How long an allocation lives whose client asks for no time or for less, in seconds. Default 600; 60 to
    /// 3,600, and no longer than `lifetime_max_s`.
    pub lifetime_s: u32,
    /// The longest an allocation lives without being refreshed, in seconds. Default 3,600; 60 to 86,400.
    pub lifetime_max_s: u32,
    /// Allocations of the node, divided over its shards, none of which has more than 16,384. Default 10,000;
    /// 1 to 65,536. One more is refused with 508.
    pub allocations: usize,
    /// Allocations one user may have on one shard. Default 64; 1 to 16,384. One more is refused with 486.
    pub allocations_per_user: usize,
    /// Peer addresses one allocation may permit. Default 256; 1 to 1,024.
    pub permissions: usize,
    /// Channels one allocation may bind. Default 256; 1 to 1,024.
    pub channels: usize,
    /// Bytes a second that one allocation may relay, both directions together. Default 0: any number.
    /// Otherwise 1,000 to 100,000,000,000. More are dropped.
    pub bytes_per_second: u64,
    /// Blocks of peers that are allowed although such peers are denied (see [`turn::DENIED`]). Default: none;
    /// at most 64, none of them wider than a block that is denied.
    pub allow_peers: Vec<Cidr>,
    /// Which channel numbers clients may bind. Default: those of RFC 8656.
    pub channel_range: ChannelRange,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            enabled: None,
            realm: REALM.to_owned(),
            secrets: Vec::new(),
            users: Vec::new(),
            relay: Vec::new(),
            external_ip: Vec::new(),
            ports: TURN_PORT_DEFAULT,
            lifetime_s: TURN_LIFETIME_DEFAULT_S.default as u32,
            lifetime_max_s: TURN_LIFETIME_MAX_S.default as u32,
            allocations: TURN_NODE_ALLOCATIONS.default as usize,
            allocations_per_user: TURN_PER_USER.default as usize,
            permissions: TURN_PERMISSIONS.default as usize,
            channels: TURN_CHANNELS.default as usize,
            bytes_per_second: TURN_BYTES_PER_S.default,
            allow_peers: Vec::new(),
            channel_range: ChannelRange::Rfc8656,
        }
    }
}

impl TurnConfig {
    /// Whether TURN is served.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.enabled.unwrap_or_else(|| self.has_credentials())
    }

    fn has_credentials(&self) -> bool {
        !self.secrets.is_empty() || !self.users.is_empty()
    }

    /// Checks all but the numbers, of a node that listens on `listen`.
    pub(crate) fn validate(&self, listen: SocketAddr) -> Result<(), TurnError> {
        if self.enabled == Some(true) && !self.has_credentials() {
            return Err(TurnError::NoCredential);
        }
        if !is_realm(&self.realm) {
            return Err(TurnError::Realm);
        }
        self.check_credentials()?;
        let (first, last) = (*self.ports.start(), *self.ports.end());
        if first < TURN_PORT_MIN || last < first {
            return Err(TurnError::Ports { first, last });
        }
        let (lifetime, max) = (self.lifetime_s, self.lifetime_max_s);
        if lifetime > max {
            return Err(TurnError::LifetimeUpsideDown { lifetime, max });
        }
        if (1..TURN_BYTES_PER_S.min).contains(&self.bytes_per_second) {
            return Err(TurnError::BytesPerSecond { value: self.bytes_per_second });
        }
        if self.allow_peers.len() > TURN_ALLOW_PEERS_MAX {
            return Err(TurnError::AllowPeers { count: self.allow_peers.len() });
        }
        for (index, block) in self.allow_peers.iter().enumerate() {
            let wider = |denied: &&Cidr| *denied != block && denied.lies_in(block);
            if let Some(denied) = turn::DENIED.iter().find(wider) {
                return Err(TurnError::AllowPeer { block: *block, denied: *denied, index });
            }
        }
        self.check_addresses(listen)
    }

    fn check_credentials(&self) -> Result<(), TurnError> {
        let Self { secrets, users, .. } = self;
        if secrets.len() > TURN_SECRETS_MAX {
            return Err(TurnError::Secrets { count: secrets.len() });
        }
        if let Some(index) = second(secrets, |secret| secret) {
            return Err(TurnError::SecretTwice { index });
        }
        if users.len() > TURN_USERS_MAX {
            return Err(TurnError::Users { count: users.len() });
        }
        let mut names: Vec<(&str, usize)> =
            users.iter().enumerate().map(|(index, user)| (user.name(), index)).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(TurnError::UserTwice { index: pair[1].1 }),
            None => Ok(()),
        }
    }

    /// What each of `shards` shards of a node that listens on `listen` is told; `None` when TURN is off.
    /// Sound where [`NodeConfig::validate`](crate::NodeConfig::validate) finds it so.
    #[must_use]
    pub fn for_shards(&self, listen: SocketAddr, shards: usize) -> Option<turn::Config> {
        self.is_open().then(|| {
            let share = (self.allocations / shards) as u64;
            turn::Config {
                realm: self.realm.clone(),
                secrets: self.secrets.iter().map(TurnSecret::for_shards).collect(),
                users: self.users.iter().map(TurnUser::for_shards).collect(),
                relays: self.relays(listen),
                ports: self.ports.clone(),
                lifetime_default_s: self.lifetime_s,
                lifetime_max_s: self.lifetime_max_s,
                allocations_max: share.clamp(TURN_ALLOCATIONS.min, TURN_ALLOCATIONS.max) as usize,
                allocations_per_user: self.allocations_per_user,
                permissions_max: self.permissions,
                channels_max: self.channels,
                bytes_per_second: (self.bytes_per_second > 0).then_some(self.bytes_per_second),
                allow_peers: self.allow_peers.clone(),
                channel_range: self.channel_range,
                dont_fragment: true,
            }
        })
    }

    /// What the number under `key` may be; `None` when no number has that key.
    pub(super) fn bounds(key: &str) -> Option<RangeInclusive<u64>> {
        let range = match key {
            "turn.lifetime" => TURN_LIFETIME_DEFAULT_S,
            "turn.lifetime_max" => TURN_LIFETIME_MAX_S,
            "turn.allocations" => TURN_NODE_ALLOCATIONS,
            "turn.allocations_per_user" => TURN_PER_USER,
            "turn.permissions" => TURN_PERMISSIONS,
            "turn.channels" => TURN_CHANNELS,
            // Or at least its minimum, which [`Self::validate`] asks for.
            "turn.bytes_per_second" => Range { min: 0, ..TURN_BYTES_PER_S },
            _ => return None,
        };
        Some(range.min..=range.max)
    }

    /// Every number with its key.
    pub(super) fn numbers(&self) -> [(&'static str, u64); 7] {
        [
            ("turn.lifetime", self.lifetime_s.into()),
            ("turn.lifetime_max", self.lifetime_max_s.into()),
            ("turn.allocations", self.allocations as u64),
            ("turn.allocations_per_user", self.allocations_per_user as u64),
            ("turn.permissions", self.permissions as u64),
            ("turn.channels", self.channels as u64),
            ("turn.bytes_per_second", self.bytes_per_second),
        ]
    }
}

/// A realm stands in quotes elsewhere, so that none can be in it.
fn is_realm(realm: &str) -> bool {
    let strange = |c: char| c.is_control() || c == '"';
    (1..=TURN_REALM_MAX).contains(&realm.len()) && !realm.contains(strange)
}

#[cfg(test)]
mod tests;
