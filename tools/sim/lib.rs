//! The shipped shard in a seeded world.
//!
//! One number decides everything: how many shards, who takes part, what they say, and what the network,
//! the kernel and strangers do to them. Time is virtual and jumps from event to event, so a minute of
//! trouble takes a fraction of a second, and a failure is repeated from the number it printed.
//! `docs/SIMULATION.md` says what is simulated, what is checked after every cycle, and what is not.
//!
//! ```text
//!   participants ─▶ uplinks ─▶ steering ─▶ Shard<Memory> ─▶ downlinks ─▶ participants
//!     strangers ──▶                          │      ▲
//!                                     Model judges the same, checkers compare
//! ```

mod agenda;
mod cast;
pub mod checkers;
mod chronicle;
mod digest;
pub mod faults;
mod frames;
mod host;
mod lane;
pub mod model;
pub mod network;
mod parcels;
mod plan;
mod seasons;
pub mod trace;
mod trouble;
mod v1;
mod weather;
mod world;

use std::fmt;

use elara_core::time::Instant;

pub use faults::{Fault, Faults};
pub use trace::Sink;

/// A version of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Wire v0: addresses are trusted.
    V0,
    /// Wire v1: keys are.
    V1,
}

impl Wire {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V0, Self::V1];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number that decides everything else.
    pub seed: u64,
    /// Which wire is spoken: each has a story of its own for a seed.
    pub wire: Wire,
    /// Simulated seconds of traffic; a vigil and a night follow.
    pub seconds: u64,
    /// Shards, instead of as many as the seed says.
    pub shards: Option<usize>,
}

/// What a run that violated nothing was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// The wire.
    pub wire: Wire,
    /// Simulated time, vigil and night included, in nanoseconds.
    pub simulated_ns: u64,
    /// How many shards.
    pub shards: usize,
    /// How many participants the plan had (strangers not counted).
    pub participants: usize,
    /// Datagrams the shards received.
    pub datagrams: u64,
    /// Copies that left them.
    pub copies: u64,
    /// Frames handed to participants.
    pub deliveries: u64,
    /// Cycles of all shards.
    pub cycles: u64,
    /// Pairs of participants checked after a healing.
    pub pairs_healed: u64,
    /// What was done to them.
    pub faults: Faults,
    /// A digest of everything that happened, in order.
    pub trace: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {} wire {}: {} s simulated, {} shards, {} participants, {} datagrams, {} copies, \
             {} deliveries, {} faults, {} pairs healed, trace {:016x}",
            self.seed,
            self.wire.number(),
            self.simulated_ns / 1_000_000_000,
            self.shards,
            self.participants,
            self.datagrams,
            self.copies,
            self.deliveries,
            self.faults.total(),
            self.pairs_healed,
            self.trace,
        )
    }
}

/// A law was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What was run.
    pub options: Options,
    /// When, since the world began.
    pub at: Instant,
    /// Which law: the name of a checker.
    pub law: &'static str,
    /// What happened, in one sentence.
    pub sentence: String,
    /// The last events before it, oldest first.
    pub tail: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, wire, seconds, shards } = self.options;
        let wire = wire.number();
        writeln!(f, "The last events:")?;
        for line in &self.tail {
            writeln!(f, "  {line}")?;
        }
        let at = self.at.as_nanos() as f64 / 1e9;
        writeln!(f, "Law `{}` broken at {at:.6} s: {}.", self.law, self.sentence)?;
        write!(
            f,
            "cargo run --release -p elara-sim -- --seed {seed} --wire {wire} --seconds {seconds}"
        )?;
        shards.map_or(Ok(()), |shards| write!(f, " --shards {shards}"))
    }
}

/// Runs one seed to its end. Every event goes to `sink`, if there is one.
///
/// # Errors
/// The first violation.
pub fn run<'a>(
    options: Options,
    sink: Option<&'a mut Sink<'a>>,
) -> Result<Summary, Box<Violation>> {
    match options.wire {
        Wire::V0 => world::World::new(options, sink).run(),
        Wire::V1 => v1::run(options, sink),
    }
}
