//! What cannot be in a configuration: which setting, and what to write there.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

use elara_core::Cidr;
use elara_core::limits::{BANS_MAX, ISSUERS_MAX, RELAY_KEYS_MAX, V0_OPEN_BLOCKS_MAX};

use super::TurnError;

/// A setting that cannot be. Whoever wrote the configuration must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `node_id` is zero.
    NodeIdZero,
    /// A number is outside its bounds.
    OutOfRange {
        /// Its key, as a configuration file has it.
        key: &'static str,
        /// What it was.
        value: i128,
        /// The smallest it may be.
        min: u64,
        /// The largest it may be.
        max: u64,
    },
    /// A receiver would climb at a loss that makes it fall.
    LadderUpsideDown {
        /// `loss_up_permille`.
        up: u16,
        /// `loss_down_permille`.
        down: u16,
    },
    /// Wire v0 is opened for no block of addresses, or for too many.
    V0Blocks {
        /// How many there are.
        count: usize,
    },
    /// Wire v0 is opened for a public block without `open_public`.
    V0Public {
        /// The block.
        block: Cidr,
    },
    /// There are more relay keys than a relay answers to.
    RelayKeys {
        /// How many there are.
        count: usize,
    },
    /// One relay key stands there twice.
    RelayKeyTwice {
        /// Where the second one stands, from 0.
        index: usize,
    },
    /// There is a relay key, and no issuer whose tokens would let anybody in.
    NoIssuer,
    /// There are issuers, and no relay key for those who hold their tokens.
    NoRelayKey,
    /// There are more issuers than a relay believes.
    Issuers {
        /// How many there are.
        count: usize,
    },
    /// Two issuers have one number.
    KidTwice {
        /// The number.
        kid: u16,
        /// Where the second one stands, from 0.
        index: usize,
    },
    /// There are more bans than a relay keeps.
    Bans {
        /// How many there are.
        count: usize,
    },
    /// A relay that serves wire v1 is told to close it.
    V1Closes,
    /// TURN cannot be served like that.
    Turn(TurnError),
    /// The admin listener would be heard by other machines.
    AdminPublic {
        /// Its address.
        addr: SocketAddr,
    },
}

impl ConfigError {
    /// The key of the setting that must change, as a configuration file has it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NodeIdZero => "node_id",
            Self::OutOfRange { key, .. } => key,
            Self::LadderUpsideDown { .. } => "degradation_config.loss_up_permille",
            Self::V0Blocks { .. } | Self::V0Public { .. } => "compat.v0",
            Self::RelayKeys { .. }
            | Self::RelayKeyTwice { .. }
            | Self::NoRelayKey
            | Self::V1Closes => "v1.relay_keys",
            Self::NoIssuer | Self::Issuers { .. } | Self::KidTwice { .. } => "v1.issuers",
            Self::Bans { .. } => "v1.bans",
            Self::Turn(error) => error.key(),
            Self::AdminPublic { .. } => "admin",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeIdZero => {
                write!(f, "node_id is zero, which names nobody: leave it out for a fresh one")
            }
            Self::OutOfRange { key, value, min, max } => {
                write!(f, "{key} = {value} is out of range: it must be {min} to {max}")
            }
            Self::LadderUpsideDown { up, down } => write!(
                f,
                "degradation_config.loss_up_permille = {up} must be less than \
                 loss_down_permille = {down}, or quality would fall and climb at once"
            ),
            Self::V0Blocks { count: 0 } => {
                write!(f, "compat.v0 is open for no addresses: name a block, or write \"off\"")
            }
            Self::V0Blocks { count } => write!(
                f,
                "compat.v0 is open for {count} blocks of addresses: at most {V0_OPEN_BLOCKS_MAX}"
            ),
            Self::V0Public { block } => write!(
                f,
                "compat.v0 is open for {block}, which is not private: wire v0 proves no sender, so \
                 anyone could aim it at others; name private blocks only, or set open_public = true"
            ),
            Self::RelayKeys { count } => write!(
                f,
                "v1.relay_keys has {count} keys: at most {RELAY_KEYS_MAX}, the current one and the one \
                 before"
            ),
            Self::RelayKeyTwice { .. } => {
                write!(f, "v1.relay_keys has the same key twice: leave the second one out")
            }
            Self::NoIssuer => write!(
                f,
                "v1.issuers is empty, so nobody could enter: name one whose tokens are good, as \
                 elara keygen issuer shows it"
            ),
            Self::NoRelayKey => write!(
                f,
                "v1.relay_keys is empty, so v1.issuers lets nobody in: name a key file made by \
                 elara keygen relay"
            ),
            Self::Issuers { count } => {
                write!(f, "v1.issuers has {count} issuers: at most {ISSUERS_MAX}")
            }
            Self::KidTwice { kid, .. } => write!(
                f,
                "v1.issuers has kid = {kid} twice: give the second one another number, and mint its \
                 tokens with --kid"
            ),
            Self::Bans { count } => write!(f, "v1.bans has {count} entries: at most {BANS_MAX}"),
            Self::V1Closes => write!(
                f,
                "v1.relay_keys is empty: a relay that runs cannot close wire v1; restart it"
            ),
            Self::Turn(error) => error.fmt(f),
            Self::AdminPublic { addr } => write!(
                f,
                "admin = {addr} is no address of this machine alone: it answers whoever asks, so \
                 choose 127.0.0.1 or [::1]"
            ),
        }
    }
}

impl Error for ConfigError {}

impl From<TurnError> for ConfigError {
    fn from(error: TurnError) -> Self {
        Self::Turn(error)
    }
}
