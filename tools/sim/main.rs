//! `elara-sim`: runs seeds, says what they did, and stops at the first violation.
//!
//! What it prints for a seed is the same on every machine, every time.

use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

use clap::Parser;
use elara_sim::{Faults, Options, Summary, Wire, run};

/// Runs the shipped shard in seeded worlds and checks it after every cycle.
#[derive(Parser)]
#[command(name = "elara-sim", version)]
struct Arguments {
    /// Run one seed.
    #[arg(long, required_unless_present = "seeds")]
    seed: Option<u64>,
    /// Run many seeds, from the first up to but not including the second.
    #[arg(long, value_name = "A..B", value_parser = parse_range, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    /// Only wire v0, or only v1; otherwise a seed tells both its stories.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    wire: Option<u8>,
    /// Simulated seconds of traffic per seed; 148 seconds of growing silence follow.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Shards, instead of as many as the seed says.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=64))]
    shards: Option<u64>,
    /// Print every event.
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shards = arguments.shards.map(|shards| shards as usize);
    let wires = Wire::ALL
        .into_iter()
        .filter(|wire| arguments.wire.is_none_or(|only| only == wire.number()));
    let wires: Vec<Wire> = wires.collect();
    let options = |seed, wire| Options { seed, wire, seconds: arguments.seconds, shards };
    match (arguments.seed, &arguments.seeds) {
        (Some(seed), _) => run_one(wires.iter().map(|wire| options(seed, *wire)), arguments.trace),
        (None, Some(seeds)) => run_many(seeds.clone(), &wires, options),
        (None, None) => ExitCode::FAILURE,
    }
}

fn run_one(stories: impl Iterator<Item = Options>, trace: bool) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout());
    for options in stories {
        let result = if trace { run(options, Some(&mut out)) } else { run(options, None) };
        let written = match &result {
            Ok(summary) => write!(out, "{summary}\n{}", summary.faults),
            Err(violation) => writeln!(out, "{violation}"),
        };
        if result.is_err() || written.and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run_many(seeds: Range<u64>, wires: &[Wire], options: impl Fn(u64, Wire) -> Options) -> ExitCode {
    let mut totals = Totals::default();
    for seed in seeds.clone() {
        for wire in wires {
            match run(options(seed, *wire), None) {
                Ok(summary) => totals.add(&summary),
                Err(violation) => {
                    println!("{violation}");
                    return ExitCode::FAILURE;
                }
            }
        }
        totals.seeds += 1;
        if totals.seeds.is_multiple_of(25) {
            eprintln!("{} of {} seeds", totals.seeds, seeds.end - seeds.start);
        }
    }
    totals.print();
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    simulated_ns: u64,
    datagrams: u64,
    copies: u64,
    deliveries: u64,
    cycles: u64,
    pairs_healed: u64,
    faults: Faults,
    trace: u64,
}

impl Totals {
    fn add(&mut self, summary: &Summary) {
        self.simulated_ns += summary.simulated_ns;
        self.datagrams += summary.datagrams;
        self.copies += summary.copies;
        self.deliveries += summary.deliveries;
        self.cycles += summary.cycles;
        self.pairs_healed += summary.pairs_healed;
        self.faults.merge(&summary.faults);
        self.trace = self.trace.rotate_left(1) ^ summary.trace;
    }

    fn print(&self) {
        println!("{:>12} seeds, no violation", self.seeds);
        println!("{:>12} seconds simulated", self.simulated_ns / 1_000_000_000);
        println!("{:>12} cycles", self.cycles);
        println!("{:>12} datagrams in", self.datagrams);
        println!("{:>12} copies out", self.copies);
        println!("{:>12} frames handed to participants", self.deliveries);
        println!("{:>12} pairs that had to hear each other after a healing", self.pairs_healed);
        print!("{}", self.faults);
        println!("trace {:016x}", self.trace);
    }
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").and_then(|(from, to)| {
        let range = from.parse().ok()?..to.parse().ok()?;
        (range.start < range.end).then_some(range)
    });
    bounds
        .ok_or_else(|| "write it as 0..300: the first seed, and the one after the last".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn a_range_of_seeds_is_not_empty() {
        assert_eq!(parse_range("3..7"), Ok(3..7));
        for text in ["", "7", "7..7", "7..3", "a..b", "1..", "..2"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }
}
