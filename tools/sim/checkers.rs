//! The laws, one file each.
//!
//! After every cycle of a shard the world lays out what the shard was handed, what it sent and what it
//! counted, beside what the model says ([`Step`]); the laws in [`LAWS`] look at that. The laws about what
//! a shard *says* ([`notices`], [`views`]) look at each report, and those about time to come ([`healing`],
//! [`ending`]) at moments the world knows.

pub mod balance;
pub mod bounds;
pub mod clock;
pub mod completeness;
pub mod ending;
pub mod healing;
pub mod identity;
pub mod membership;
pub mod notices;
pub mod once;
pub mod order;
pub mod views;

use elara_core::ClientAddr;
use elara_core::time::Instant;
use elara_shards::Counters;
use elara_shards::io::memory::Outcome;

use crate::model::{Model, Ruling};

/// One cycle of one shard.
pub struct Step<'a> {
    /// The cycle's time, since the world began.
    pub at: Instant,
    /// The cycle's time before this one.
    pub before: Instant,
    /// What the shard was handed, in order.
    pub heard: Vec<Heard<'a>>,
    /// In how many messages that came.
    pub trains: u64,
    /// What it sent, in order, whatever became of it.
    pub sent: Vec<Copied<'a>>,
    /// What it counted until the cycle before.
    pub counted: Counters,
    /// What it has counted by the end of this one.
    pub counters: Counters,
    /// The tables as they should be after it.
    pub model: &'a Model,
}

/// A datagram that was handed to the shard.
pub struct Heard<'a> {
    /// From where.
    pub from: ClientAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Their digest.
    pub digest: u64,
    /// What it should meet with.
    pub ruling: Ruling,
    /// The first datagram of this cycle with the same session and node: who speaks.
    pub speaker: usize,
}

/// A datagram that the shard sent.
pub struct Copied<'a> {
    /// Where to.
    pub to: ClientAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Their digest.
    pub digest: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The first datagram of this cycle with the same bytes.
    pub source: Option<usize>,
}

/// What a law says when it is broken: one sentence.
pub type Broken = String;

/// A broken law: its name, and the sentence.
pub(crate) type Breach = (&'static str, Broken);

/// A law about one cycle.
pub type Law = fn(&Step<'_>) -> Result<(), Broken>;

/// The laws about one cycle, in the order that names a failure best.
pub const LAWS: [(&str, Law); 7] = [
    ("clock", clock::check),
    ("identity", identity::check),
    ("membership", membership::check),
    ("completeness", completeness::check),
    ("order", order::check),
    ("balance", balance::check),
    ("bounds", bounds::check),
];

/// Who should get which bytes, or who got them: receiver, speaker, digest of the bytes.
pub(crate) type Errand = (ClientAddr, usize, u64);

impl Step<'_> {
    /// Every copy that should leave, in the order the datagrams came.
    pub(crate) fn errands_due(&self) -> Vec<Errand> {
        self.heard
            .iter()
            .flat_map(|heard| {
                let errand = |to: &ClientAddr| (*to, heard.speaker, heard.digest);
                heard.ruling.receivers.iter().map(errand)
            })
            .collect()
    }

    /// Every copy that left, in the order it did.
    pub(crate) fn errands_done(&self) -> Vec<Errand> {
        self.sent
            .iter()
            .map(|copy| {
                let speaker = copy.source.map_or(usize::MAX, |source| self.heard[source].speaker);
                (copy.to, speaker, copy.digest)
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod scenes;
