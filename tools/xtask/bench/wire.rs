//! `cargo xtask bench wire`: what a delivered datagram costs over wire v1, beside wire v0.
//!
//! Frames of the same length at the same rate through the same relay, started anew for each run; per round
//! each wire once, in an order that turns. Over v1 everything that wire costs is in it: a tag checked
//! for each datagram that comes, MARK and REPORT, PING and PONG. The rate is that of `bench floor`:
//! where the floor that sends as the relay does is about half busy.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::choice::Choice;
use super::contest::{self, Sample};
use super::load::{Load, Target};
use super::process::DevRelay;
use super::report::{Spread, cost, notes};
use super::table;
use super::taken::Taken;
use super::workload::{Case, Io, Wire, Workload};
use super::{Output, Published};
use crate::ci;
use crate::shell::Places;

/// What `bench wire` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    choice: Choice,
}

/// The wires, v0 first.
const WIRES: [(&str, &[&str]); 3] =
    [("v0", &[]), ("v1 AES-GCM", &["--suite", "aes-gcm"]), ("v1 ChaCha20", &["--suite", "chacha"])];

/// Runs the bench.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    ci::build().perform()?;
    let Choice { rounds, seconds, .. } = options.choice;
    let command = options.choice.command("wire");
    let mut report = Report { taken: Taken::now(command, rounds, seconds), rows: Vec::new() };
    let mut clean = true;
    for workload in options.choice.workloads() {
        let rate = options.choice.rate(workload, places)?;
        for io in options.choice.ios() {
            let mut samples = [const { Vec::new() }; WIRES.len()];
            for round in 0..rounds {
                for turn in 0..WIRES.len() {
                    let wire = (turn + round as usize) % WIRES.len();
                    let sample = measure(wire, workload, io, rate, seconds, places)?;
                    let name = WIRES[wire].0;
                    eprintln!("{workload} {io} round {}/{rounds}: {name:<12} {sample}", round + 1);
                    clean &= sample.wrong == 0;
                    samples[wire].push(sample);
                }
            }
            let rows = WIRES.iter().zip(&samples);
            report
                .rows
                .extend(rows.map(|((wire, _), of)| Row::new(workload, io, wire, of, &samples[0])));
        }
    }
    options.output.put(&report, places)?;
    Ok(clean)
}

fn measure(
    wire: usize,
    workload: Workload,
    io: Io,
    rate: f64,
    seconds: u32,
    places: &Places,
) -> Result<Sample, String> {
    let relay = DevRelay::start(io, places)?;
    let more = WIRES[wire].1.iter().map(|arg| (*arg).to_owned()).collect();
    let load = Load { workload, rate, seconds, size: size(workload), more };
    let target = if wire == 0 { Target::V0(relay.running.addr) } else { Target::V1(&relay) };
    let report = load.run(&target, relay.running.pid(), places)?;
    contest::read(&report).ok_or_else(|| format!("elara-load said no cost: {report}"))
}

/// A length that both wires have: v1 pads its frames, and 1,200 is none of its lengths.
fn size(workload: Workload) -> usize {
    Case { wire: Wire::V1, ..Case::v0(workload) }.size()
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    taken: Taken,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    workload: String,
    io: String,
    wire: &'static str,
    size_bytes: usize,
    delivered_per_s: u64,
    relay_busy: f64,
    /// Cpu-nanoseconds per delivered datagram.
    relay_ns: Spread,
    /// Over v0: of medians, with the least and the greatest of any round.
    ratio: Spread,
    lost: u64,
    notes: Vec<String>,
}

impl Row {
    fn new(
        workload: Workload,
        io: Io,
        wire: &'static str,
        samples: &[Sample],
        v0: &[Sample],
    ) -> Self {
        let delivered: u64 = samples.iter().map(|sample| sample.delivered).sum();
        let seconds: f64 = samples.iter().map(|sample| sample.seconds).sum();
        Self {
            workload: workload.to_string(),
            io: io.to_string(),
            wire,
            size_bytes: size(workload),
            delivered_per_s: (delivered as f64 / seconds).round() as u64,
            relay_busy: Spread::of(samples.iter().map(|sample| sample.busy)).median,
            relay_ns: cost(samples),
            ratio: Spread::ratio(samples, v0),
            lost: samples.iter().map(|sample| sample.lost).sum(),
            notes: notes(wire, samples),
        }
    }

    fn cells(&self) -> [String; 9] {
        [
            self.workload.clone(),
            self.io.clone(),
            self.wire.to_owned(),
            self.size_bytes.to_string(),
            self.delivered_per_s.to_string(),
            format!("{:.0} %", self.relay_busy * 100.0),
            self.relay_ns.to_string(),
            self.ratio.times(),
            self.lost.to_string(),
        ]
    }
}

const COLUMNS: [&str; 9] = [
    "workload",
    "io",
    "wire",
    "bytes",
    "deliveries/s",
    "relay busy",
    "relay ns",
    "over v0",
    "lost",
];

impl Published for Report {
    const NAME: &'static str = "wire";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            text += &format!("\n{}, {}: {}.\n", row.workload, row.io, row.notes.join("; "));
        }
        text + &self.taken.caption("Cpu-nanoseconds per delivered datagram")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<6} {:<8} {:<12} {:>5} B {:>8}/s {:>3.0} % busy  {:<20} {:.2} [{:.2}, {:.2}] of v0",
                row.workload,
                row.io,
                row.wire,
                row.size_bytes,
                row.delivered_per_s,
                row.relay_busy * 100.0,
                row.relay_ns,
                row.ratio.median,
                row.ratio.min,
                row.ratio.max,
            )?;
            row.notes.iter().try_for_each(|note| writeln!(f, "       ! {note}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_ratio_of_medians_over_v0() {
        let samples = |costs: [f64; 3]| {
            costs.map(|cost_ns| Sample { cost_ns, seconds: 1.0, delivered: 9, ..Sample::default() })
        };
        let (v0, v1) = (samples([100.0, 110.0, 120.0]), samples([110.0, 121.0, 132.0]));
        let row = Row::new(Workload::Video, Io::Uring, "v1 AES-GCM", &v1, &v0);
        assert!((row.ratio.median - 1.1).abs() < 1e-9);
        assert_eq!((row.size_bytes, row.delivered_per_s), (1_232, 9));
        let report =
            Report { taken: Taken::now("cargo xtask bench wire".into(), 3, 1), rows: vec![row] };
        let text = report.markdown();
        assert!(
            text.contains("**1.10** [1.10, 1.10]") && text.contains("`cargo xtask bench wire`")
        );
    }
}
