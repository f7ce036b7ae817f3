//! What can go wrong around the shards, each as a sentence about who must act.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use elara_core::Cidr;
use elara_core::limits::{BANS_MAX, ISSUERS_MAX, RELAY_KEYS_MAX, V0_OPEN_BLOCKS_MAX};

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
            Self::AdminPublic { addr } => write!(
                f,
                "admin = {addr} is no address of this machine alone: it answers whoever asks, so \
                 choose 127.0.0.1 or [::1]"
            ),
        }
    }
}

impl Error for ConfigError {}

/// Why a node did not start, or ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeError {
    /// The configuration cannot be.
    Config(ConfigError),
    /// The address cannot be listened on.
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The admin listener's address cannot be had.
    Admin {
        /// The address.
        addr: SocketAddr,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The back end that was asked for is not available.
    Io(io::Error),
    /// The operating system refused what a node needs to run: a thread, a descriptor.
    System {
        /// What was asked for.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A shard panicked: a bug in elara. The node has ended with it.
    ShardPanicked {
        /// Which shard.
        shard: usize,
        /// What it said.
        message: String,
    },
    /// The kernel refused a shard in a way no retry mends. The node has ended with it.
    ShardFailed {
        /// Which shard.
        shard: usize,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A shard ended without being told to: a bug in elara. The node has ended with it.
    ShardEnded {
        /// Which shard.
        shard: usize,
    },
    /// A shard did not end in time; its thread was left behind.
    ShardStuck {
        /// Which shard.
        shard: usize,
    },
    /// [`Node::run`](crate::Node::run) was called again. A node runs once.
    Finished,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind { addr, source } => {
                write!(f, "cannot listen on {addr}: {}", bind_advice(*addr, source))
            }
            Self::Admin { addr, source } => write!(
                f,
                "the admin listener cannot have {addr}: {} (--admin ADDR, or off)",
                bind_advice(*addr, source)
            ),
            Self::Io(source) => write!(
                f,
                "io_uring is not available here ({source}): choose auto or syscall, or allow it"
            ),
            Self::System { what, source } => write!(f, "no {what}: {source}"),
            Self::ShardPanicked { shard, message } => {
                write!(f, "shard {shard} panicked, so the node has ended: {message}")
            }
            Self::ShardFailed { shard, source } => {
                write!(f, "shard {shard} failed, so the node has ended: {source}")
            }
            Self::ShardEnded { shard } => {
                write!(f, "shard {shard} ended without being told to, so the node has ended")
            }
            Self::ShardStuck { shard } => {
                write!(f, "shard {shard} did not end in time; its thread was left behind")
            }
            Self::Finished => f.write_str("this node has run before; make a new one"),
        }
    }
}

/// What the kernel's answer to bind means for whoever chose the address.
fn bind_advice(addr: SocketAddr, source: &io::Error) -> String {
    /// The address family is not there (Linux, every architecture).
    const EAFNOSUPPORT: i32 = 97;
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {} is in use; stop what listens there, or choose another", addr.port())
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}; choose one it has", addr.ip())
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {} is not allowed for this user; choose one above 1023", addr.port())
        }
        _ if source.raw_os_error() == Some(EAFNOSUPPORT) && addr.is_ipv6() => {
            format!("this machine has no IPv6; try 0.0.0.0:{}", addr.port())
        }
        _ => source.to_string(),
    }
}

impl Error for NodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Bind { source, .. }
            | Self::Admin { source, .. }
            | Self::Io(source)
            | Self::System { source, .. }
            | Self::ShardFailed { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<ConfigError> for NodeError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Why a [`NodeHandle`](crate::NodeHandle) got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandleError {
    /// The node has stopped, or was dropped.
    Stopped,
    /// A shard took too long to take the question or to answer it. Ask again later.
    Busy {
        /// Which shard.
        shard: usize,
    },
    /// The node had not ended at the deadline.
    Late,
    /// What it was told cannot be.
    Config(ConfigError),
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the node has stopped"),
            Self::Busy { shard } => {
                write!(f, "shard {shard} is too busy to answer; ask again later")
            }
            Self::Late => f.write_str("the node had not ended at the deadline"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl Error for HandleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_error_names_the_address_and_the_way_out() {
        let bind = |source: io::Error, addr: &str| {
            NodeError::Bind { addr: addr.parse().unwrap(), source }.to_string()
        };
        assert_eq!(
            bind(io::ErrorKind::AddrInUse.into(), "127.0.0.1:7840"),
            "cannot listen on 127.0.0.1:7840: port 7840 is in use; \
             stop what listens there, or choose another"
        );
        assert!(bind(io::ErrorKind::PermissionDenied.into(), "[::]:53").contains("above 1023"));
        let admin = NodeError::Admin {
            addr: "127.0.0.1:7841".parse().unwrap(),
            source: io::ErrorKind::AddrInUse.into(),
        };
        assert_eq!(
            admin.to_string(),
            "the admin listener cannot have 127.0.0.1:7841: port 7841 is in use; \
             stop what listens there, or choose another (--admin ADDR, or off)"
        );
        assert!(bind(io::Error::from_raw_os_error(97), "[::]:7840").contains("try 0.0.0.0:7840"));
    }
}
