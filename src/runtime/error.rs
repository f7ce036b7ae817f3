//! What can go wrong around the shards, each as a sentence about who must act.

mod config;
mod turn;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

pub use self::config::ConfigError;
pub use self::turn::TurnError;

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
