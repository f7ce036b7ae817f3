//! The data plane: one pinned thread per cpu, each with its own socket, its own io_uring and its own
//! slice of the sessions.
//!
//! The laws of a shard:
//!
//! - A session has one owner shard. Nothing here takes a lock; commands, reports and counters cross
//!   threads through a bounded [`mailbox`], and nothing else does.
//! - The hot path ([`forward`]) neither allocates, logs, blocks, reads a clock nor fails: every
//!   datagram ends in a [`Verdict`], and every verdict is counted.
//! - One type, [`Shard`], is simulated, benchmarked and shipped. What it runs on is a [`Io`]: io_uring,
//!   recvmmsg/sendmmsg, or a network in memory. Nothing above `Io` knows which.
//! - `unsafe` has one address: `sys`.
//!
//! ```text
//!   kernel ──▶ Io::receive ──▶ forward ──▶ Io::send ──▶ kernel         one cycle, one clock read
//!                                │ ▲
//!                         sessions, counters
//!                                ▲ │
//!   control ──▶ mailbox: Command ┘ └ Report ──▶ mailbox ──▶ control
//! ```

#![deny(unsafe_code)]

pub mod access;
pub mod command;
mod cost;
pub mod counters;
mod departures;
mod egress;
pub mod forward;
pub mod io;
pub mod load;
pub mod mailbox;
mod march;
mod plan;
mod run;
pub mod sessions;
pub mod shard;
mod slab;
pub mod socket;
pub mod start;
pub mod steer;
pub mod sys;
mod v1;
pub mod verdict;

pub use access::Access;
pub use command::{Command, Notice, Report};
pub use counters::Counters;
pub use io::Io;
pub use shard::{Shard, ShardConfig};
pub use verdict::Verdict;
