//! `cargo xtask`: everything the project does to itself. One door for people and for machines.

#![deny(unsafe_code)]

mod bench;
mod ci;
mod count;
mod needs;
mod shell;
mod source;
mod steps;
mod tidy;
mod tree;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::shell::Places;

/// The commands, as documentation may name them.
const COMMANDS: [&str; 6] = ["ci", "tidy", "bench", "count", "soak", "vectors"];

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything the project does to itself", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// What a change must pass, from formatting to interoperability.
    Ci(Chosen),
    /// Taste as a test: the rules we agreed on.
    Tidy {
        /// Run this rule only.
        rule: Option<String>,
    },
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Instructions of one operation, beside the recorded ones. Fails where they grew by more than 5 %.
    Count(count::Options),
    /// The gate's questions, asked for hours.
    Soak(Chosen),
    /// Write the golden vectors again, from the published 0.2.0 crates.
    Vectors,
    /// The bare forwarder that `bench floor` measures beside the relay.
    #[command(hide = true)]
    FloorForwarder(bench::forwarder::Options),
    /// The bare forwarder that `bench turn` measures beside TURN servers.
    #[command(hide = true)]
    TurnFloor(bench::turn::floor::Options),
    /// What the admin listener at an address counts: for `bench floor`, in whose namespace it is.
    #[command(hide = true)]
    Metrics {
        /// Where it listens.
        admin: std::net::SocketAddr,
    },
    /// The sender of forged datagrams that `bench flood` lets loose on the relay.
    #[command(hide = true)]
    Forger(bench::forger::Options),
}

#[derive(Args)]
struct Chosen {
    /// Run only these steps.
    #[arg(long, value_delimiter = ',', value_name = "STEP,..")]
    only: Vec<String>,
    /// Say what the steps are, and run none.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<bool, String> {
    match task {
        Task::FloorForwarder(options) => bench::forwarder::run(&options).map(|()| true),
        Task::TurnFloor(options) => bench::turn::floor::run(&options).map(|()| true),
        Task::Metrics { admin } => bench::print_metrics(admin).map(|()| true),
        Task::Ci(chosen) => steps(ci::GATE, &chosen, "cargo xtask ci", needs::meet),
        Task::Forger(options) => bench::forger::run(&options).map(|()| true),
        Task::Soak(chosen) => steps(ci::SOAK, &chosen, "cargo xtask soak", || Ok(())),
        Task::Tidy { rule } => tidy::run(&Places::find()?.root, rule.as_deref()),
        Task::Vectors => ci::vectors(&Places::find()?).show(|_| {}),
        Task::Bench(bench) => bench::run(&bench, &Places::find()?),
        Task::Count(options) => count::run(&options, &Places::find()?),
    }
}

fn steps(
    steps: &[steps::Step],
    chosen: &Chosen,
    command: &str,
    prepare: fn() -> Result<(), String>,
) -> Result<bool, String> {
    if chosen.list {
        steps::list(steps);
        return Ok(true);
    }
    prepare()?;
    steps::run(steps, &chosen.only, command, &Places::find()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_the_ones_we_name() {
        let cli = Cli::command();
        let shown: Vec<&str> = cli
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(shown, COMMANDS);
    }
}
