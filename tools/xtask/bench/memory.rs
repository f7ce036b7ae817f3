//! `cargo xtask bench memory`: what idle participants of wire v1 keep in memory.
//!
//! Runs `benches/memory.rs` once for each suite, as a process of its own, because memory once used by
//! one would be there for the other.

use std::fmt;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::machine::Machine;
use super::{Output, Published};
use crate::shell::{Places, cargo};

/// What `bench memory` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    /// Participants, in sessions of ten.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    participants: u32,
}

const SUITES: [(&str, &str); 2] = [("AES-GCM", "aes-gcm"), ("ChaCha20", "chacha")];

/// Runs the bench.
///
/// # Errors
/// When it cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    let participants = options.participants;
    let mut report = Report {
        command: format!("cargo xtask bench memory --participants {participants}"),
        machine: Machine::read(),
        rows: Vec::new(),
    };
    for (name, suite) in SUITES {
        let count = participants.to_string();
        let bench = ["bench", "--quiet", "--bench", "memory", "--", "--participants", &count];
        let text = cargo(bench.into_iter().chain(["--suite", suite])).read()?;
        let row = Row::read(name, &text).ok_or_else(|| format!("benches/memory.rs said {text}"))?;
        eprintln!("{row}");
        report.rows.push(row);
    }
    options.output.put(&report, places)?;
    Ok(true)
}

#[derive(Serialize)]
struct Report {
    command: String,
    #[serde(flatten)]
    machine: Machine,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    suite: &'static str,
    participants: u64,
    /// Resident bytes that came with them.
    bytes: u64,
    per_participant: f64,
}

impl Row {
    /// The last line that is JSON.
    fn read(suite: &'static str, text: &str) -> Option<Self> {
        let json: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
        let (participants, bytes) =
            (json["participants"].as_u64()?, json["resident_bytes"].as_u64()?);
        let per_participant = bytes as f64 / participants as f64;
        Some(Self { suite, participants, bytes, per_participant })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, participants, bytes, per_participant } = self;
        let mib = *bytes as f64 / f64::from(1 << 20);
        write!(f, "{suite:<9} {participants:>8} idle: {mib:.1} MiB, {per_participant:.0} B each")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl Published for Report {
    const NAME: &'static str = "memory";

    fn markdown(&self) -> String {
        let mut text = String::from(
            "| suite | participants | resident MiB | bytes each |\n|---|---|---|---|\n",
        );
        for row in &self.rows {
            let mib = row.bytes as f64 / f64::from(1 << 20);
            text += &format!(
                "| {} | {} | {mib:.1} | **{:.0}** |\n",
                row.suite, row.participants, row.per_participant
            );
        }
        text + &self.machine.caption(
            &self.command,
            "Resident memory of one shard that came with them, tables included, sessions of ten: \
             joined, subscribed, silent",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_json_is_the_result() {
        let text = "noise\n{\"participants\": 1000, \"resident_bytes\": 1228800}\n";
        let row = Row::read("AES-GCM", text).unwrap();
        assert_eq!(row.per_participant, 1_228.8);
        assert!(Row::read("AES-GCM", "noise").is_none());
    }
}
