//! Open-loop load over real UDP sockets, against any relay that speaks wire v0.
//!
//! What a relay must do to be measured: learn a participant from its first datagram by source
//! address, and forward each datagram byte for byte to all other participants of the session its
//! header names.
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
//! | [`stamp`] | what a frame carries to be recognised; `frame`: the frame around it |
//! | `swarm` | the sockets; `introduce`: how the relay learns them |
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
mod run;
pub mod schedule;
pub mod stamp;
mod swarm;
mod tally;
mod window;

pub use error::LoadError;
pub use plan::{Model, Plan, PlanError};
pub use report::{Bottleneck, Quantiles, Report};
pub use run::{Progress, run, run_until};
