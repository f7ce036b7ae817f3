//! `elara turn`: what there is to do about TURN.

mod check;

use clap::{Args, Subcommand};

use super::Failure;

/// What `elara turn` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Turn {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  elara turn check --server turn.example.org:3478 --user alice --password PASSWORD
                                                   whether that server relays, step by step";

#[derive(Debug, Subcommand)]
enum Command {
    /// Try a TURN server out: does it let in, does it relay
    Check(check::Check),
}

impl Turn {
    /// Does what it was told.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Check(check) => check.run(),
        }
    }
}
