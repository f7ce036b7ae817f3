//! A relay that can be embedded: [`Node`] binds, serves and stops; [`NodeHandle`] asks it.
//!
//! ```no_run
//! use elara_core::NodeId;
//! use elara_runtime::{Node, NodeConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Create node configuration
//! let config = NodeConfig {
//!     node_id: NodeId::generate(),
//!     bind_addr: "0.0.0.0:0".parse()?,
//!     ..Default::default()
//! };
//!
//! // Create and start node
//! let mut node = Node::new(config).await?;
//!
//! // Start event loop
//! node.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The work is done by the shards, one pinned thread per cpu (see [`elara_shards`]). This crate is
//! what stands around them:
//!
//! ```text
//!   NodeHandle ──▶ switchboard ──▶ mailbox: Command ──▶ shard        one thread each
//!       ▲              │ tickets                          │
//!       └── answers ◀──┴───── supervisor ◀── Report ◀─────┘
//!            notices   │         └── starts, pins, watches, ends the threads
//!                      └── admin: /livez, /metrics                    a thread of its own
//! ```
//!
//! A datagram never comes here. Everything in this crate may wait, allocate and take a simple lock;
//! nothing in a shard does, and no shard ever waits for anything here.

#![forbid(unsafe_code)]

mod admin;
mod client;
mod config;
mod error;
mod handle;
pub mod keys;
mod node;
mod notices;
mod session;
mod supervisor;
mod switchboard;
mod turn;

pub use client::{
    BadTurnServer, Client, ClientError, ClientNotice, ClientNotices, ClientOptions,
    IntoJoinAddress, MediaFrame, Member, PublishError, PublishOptions, Publisher, Reach, Roster,
    Selector, Subscription, TokenTrouble, TurnServer, TurnTried, Via, reflexive_addr,
};
pub use config::{
    BadExternalIp, BadUser, Compat, DegradationConfig, ExternalIp, NodeConfig, TurnConfig,
    TurnUser, V0Compat, V1Config,
};
pub use error::{ConfigError, HandleError, NodeError, TurnError};
pub use handle::NodeHandle;
pub use node::Node;
pub use notices::{Heard, Notices};
pub use session::{Participant, Session, SessionState, Stream, StreamKind, StreamPhase};

pub use elara_core::participant::{ClockSample, Counters as ClientCounters, Media};
pub use elara_core::turn::client::Failure as TurnFailure;
pub use elara_shards::command::{Notice, SessionLine, Why};
pub use elara_shards::io::{Backend, Choice};
pub use elara_shards::{Counters, Verdict};
