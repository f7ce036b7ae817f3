//! `elara turn`: credentials for TURN, and whether a TURN server works.

mod check;
mod user;

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
  elara turn user alice                            a password for alice, and the line for turn.users
  elara turn user --secret turn.key --ttl 1h alice
                                                   a credential that runs out in an hour
  elara turn check --server turn.example.org:3478 --user alice --password PASSWORD
                                                   whether that server relays, step by step";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a user of TURN, or a credential that runs out
    User(user::User),
    /// Try a TURN server out: does it let in, does it relay
    Check(check::Check),
}

impl Turn {
    /// Does what it was told.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::User(user) => user.run(),
            Command::Check(check) => check.run(),
        }
    }
}
