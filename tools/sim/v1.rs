//! Worlds of wire v1: the shipped shard among honest participants, hostile members and strangers.
//!
//! ```text
//!   honest: core's Participant ─▶ ledger ─▶ uplinks ─▶ steering ─▶ Shard<Memory> ─▶ downlinks ─▶ honest
//!   insiders: core's Client, Link ─▶ ledger ──▶                       │     ▲
//!   strangers: captured, flipped, forged ─────▶     Mirror believes the same, checkers compare
//! ```
//! The world knows every key. What is sealed is entered in the [`ledger`] before it goes out, so that of
//! every frame that reaches a shard it is known whether it is genuine and what may become of it, without
//! asking the code under test.

mod abuse;
mod attacks;
mod canary;
mod checkers;
mod club;
mod content;
mod frames;
mod honest;
mod insider;
mod lane;
mod ledger;
mod mirror;
mod plan;
mod seasons;
mod storms;
mod world;

use crate::trace::Sink;
use crate::{Options, Summary, Violation};

/// Runs one seed to its end.
///
/// # Errors
/// The first violation.
pub(crate) fn run<'a>(
    options: Options,
    sink: Option<&'a mut Sink<'a>>,
) -> Result<Summary, Box<Violation>> {
    world::World::new(options, sink).run()
}
