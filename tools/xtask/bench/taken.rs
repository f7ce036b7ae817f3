//! How a measurement in rounds was taken.

use serde::Serialize;

use super::machine::Machine;

/// What stands before the rows of a report.
#[derive(Serialize)]
pub(super) struct Taken {
    pub command: String,
    #[serde(flatten)]
    pub machine: Machine,
    pub rounds: u32,
    pub seconds: u32,
}

impl Taken {
    /// On this machine, at this moment.
    pub(super) fn now(command: String, rounds: u32, seconds: u32) -> Self {
        Self { command, machine: Machine::read(), rounds, seconds }
    }

    /// The line under a table of `what`.
    pub(super) fn caption(&self, what: &str) -> String {
        let Self { command, machine, rounds, seconds } = self;
        let shows = format!("{what}, median [least, greatest] of {rounds} rounds of {seconds} s");
        machine.caption(command, &shows)
    }
}
