//! elara: a relay that keeps sessions of text, voice, video and presence alive on bad networks.
//!
//! This package is the binary `elara`, and the front door to the libraries it is made of:
//!
//! | crate | what it is |
//! |---|---|
//! | [`elara_core`] | the protocol as pure code: no I/O, no clock, no unsafe |
//! | [`elara_shards`] | the data plane: one pinned thread per cpu |
//! | [`elara_runtime`] | a node that can be embedded |
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

#![forbid(unsafe_code)]

pub use elara_core;
pub use elara_runtime;
pub use elara_shards;
