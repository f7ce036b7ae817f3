//! Open-loop load over real UDP sockets: wire v0 and RTP against any relay, wire v1 against elara.
//!
//! What a relay must do to be measured over wire v0: learn a participant from its first datagram by source
//! address, and forward each datagram byte for byte to all other participants of the session its
//! header names. Over wire v1 participants join with tokens, and their frames are sealed. Over RTP the relay
//! is told beforehand who sends and who hears.
//!
//! - **Open loop.** Senders follow an absolute schedule, whatever comes back. What is late is sent at once,
//!   and latency is measured from when it was *due*, so a relay that stalls cannot hide it.
//! - **Exact.** Loss, repetition and order are known for each receiver and sender; every byte of every
//!   delivery is checked.
//! - **Honest.** The report says when the generator itself was the limit.
//!
//! ```no_run
//! let plan = elara_load::Plan { target: "127.0.0.1:7840".parse()?, ..elara_load::Plan::voice() };
//! let report = elara_load::run(&plan, &mut |progress| eprintln!("{progress:?}"))?;
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | owns |
//! |---|---|
//! | [`plan`] | what to do, and what is wrong with it |
//! | [`schedule`] | when each sender is due |
//! | [`stamp`] | what a frame of wire v0 carries to be recognised; `frame`: the frame around it |
//! | `v1` | participants of wire v1: how they come in, what they send |
//! | [`rtp`] | packets for relays that speak neither wire |
//! | `speech` | what the participants say, in whichever wire |
//! | `swarm` | the sockets; `introduce`: how the relay learns them, wire v0 |
//! | `tally` | the books; `window`: who has received what |
//! | `run` | the loop |
//! | [`report`] | the result |

#![forbid(unsafe_code)]

mod drops;
mod error;
mod frame;
mod introduce;
pub mod plan;
pub mod report;
pub mod rtp;
mod run;
pub mod schedule;
mod speech;
pub mod stamp;
mod swarm;
mod tally;
mod v1;
mod window;

pub use error::LoadError;
pub use plan::{Model, Plan, PlanError, Wire};
pub use report::{Bottleneck, Quantiles, Report};
pub use run::{Progress, run, run_until, run_when};
pub use v1::{JoinFailures, Joins, Pass, PassError};
