//! `cargo xtask bench`: what the relay costs, measured against something in the same run.
//!
//! Absolute times are noise across machines; a ratio taken in one run is not. So whatever is compared
//! gets the same load in turn, round after round, and what is published is medians with their spread.
//! Relay on cpu 0, load on cpu 1, over loopback, and for `floor` over other paths too.
//!
//! | command | asks |
//! |---|---|
//! | `floor` | what the relay costs beside forwarders that do nothing |
//! | `wire` | what wire v1 costs beside v0 |
//! | `joins` | how long forwarding takes while participants pour in |
//! | `flood` | what a forged datagram costs, and whether anybody notices |
//! | `growth` | what more sessions do to the cost of each datagram |
//! | `memory` | what an idle participant keeps |
//! | `peers` | what other people's relays cost under the same load |
//! | `turn` | what a TURN server costs beside a floor and coturn |

mod choice;
mod contest;
mod flood;
mod floor;
pub(crate) mod forger;
pub(crate) mod forwarder;
mod growth;
mod joins;
mod load;
mod machine;
mod memory;
mod one_way;
mod path;
mod peers;
mod process;
pub(crate) mod publish;
mod report;
mod search;
mod table;
mod taken;
pub(crate) mod turn;
mod wire;
mod workload;

use std::fmt;
use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::shell::Places;

/// The benches.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The relay beside bare forwarders without any logic, in the same run.
    Floor(floor::Options),
    /// Wire v1 beside wire v0: the same load, the same relay, in turn.
    Wire(wire::Options),
    /// Forwarding with and without participants that join all the time.
    Joins(joins::Options),
    /// Forged datagrams beside an honest load: what they cost, and what it loses.
    Flood(flood::Options),
    /// Few sessions and very many: what the same load costs, beside a floor with as many destinations.
    Growth(growth::Options),
    /// What idle participants of wire v1 keep in memory.
    Memory(memory::Options),
    /// Other people's relays, the floors and ours: video 1 to 9, one load, in one run.
    Peers(peers::Options),
    /// TURN, one to one: elara beside a bare forwarder and coturn, in the same run.
    Turn(turn::Options),
}

/// Builds, measures, prints. False when a datagram came that must not exist.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(bench: &Bench, places: &Places) -> Result<bool, String> {
    match bench {
        Bench::Floor(options) => floor::run(options, places),
        Bench::Wire(options) => wire::run(options, places),
        Bench::Joins(options) => joins::run(options, places),
        Bench::Flood(options) => flood::run(options, places),
        Bench::Growth(options) => growth::run(options, places),
        Bench::Memory(options) => memory::run(options, places),
        Bench::Peers(options) => peers::run(options, places),
        Bench::Turn(options) => turn::run(options, places),
    }
}

/// Prints what the admin listener at `admin` counts.
///
/// # Errors
/// When it does not answer.
pub(crate) fn print_metrics(admin: SocketAddr) -> Result<(), String> {
    process::metrics(admin).map(|text| print!("{text}"))
}

/// Where the result goes.
#[derive(Args)]
struct Output {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write the table into docs/PERFORMANCE.md.
    #[arg(long)]
    publish: bool,
}

/// A result: JSON for programs, text for people, a table for the page, between the markers of its name.
trait Published: Serialize + fmt::Display {
    const NAME: &'static str;

    fn markdown(&self) -> String;
}

impl Output {
    fn put<R: Published>(&self, report: &R, places: &Places) -> Result<(), String> {
        if self.json {
            let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
            println!("{json}");
        } else {
            println!("{report}");
        }
        if self.publish {
            publish::performance(R::NAME, &report.markdown(), &places.root)?;
        }
        Ok(())
    }
}

/// What was asked for, or everything.
fn chosen<T: ValueEnum + Copy>(asked: &[T]) -> Vec<T> {
    if asked.is_empty() { T::value_variants().to_vec() } else { asked.to_vec() }
}

/// ` FLAG a,b` as it was typed, or nothing.
fn names<T: fmt::Display>(flag: &str, asked: &[T]) -> String {
    let names: Vec<String> = asked.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!(" {flag} {}", names.join(",")) }
}
