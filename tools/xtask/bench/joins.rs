//! `cargo xtask bench joins`: how long forwarding takes while participants pour in.
//!
//! A handshake is some hundred microseconds of arithmetic on the thread that forwards. Voice over wire v1
//! at its nominal rate, in turn without and with visitors that join, stay a second and leave; what
//! is compared is the time from when a frame was due to when it was heard. The generator makes the
//! other half of every handshake on its own cpu, behind the load in the line.

use std::fmt;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::load::{Load, Target, limits};
use super::process::DevRelay;
use super::report::Spread;
use super::table;
use super::taken::Taken;
use super::workload::{Io, Workload};
use super::{Output, Published, chosen, names};
use crate::ci;
use crate::shell::Places;

/// What `bench joins` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds; without and with, once each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Joins per second.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Only these back ends of the relay.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "IO,..")]
    io: Vec<Io>,
}

/// Runs the bench.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    ci::build().perform()?;
    let mut report = Report {
        taken: Taken::now(options.command(), options.rounds, options.seconds),
        rows: Vec::new(),
    };
    for io in chosen(&options.io) {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            // Every other round backwards, so that neither is always the first.
            for turn in 0..2 {
                let visited = (turn + round) % 2 == 0;
                let joins = if visited { options.rate } else { 0 };
                let sample = measure(io, joins, options.seconds, places)?;
                eprintln!("{io} round {round}/{}: {joins:>5} joins/s  {sample}", options.rounds);
                if visited { with.push(sample) } else { without.push(sample) }
            }
        }
        report.rows.push(Row::new(io, 0, &without));
        report.rows.push(Row::new(io, options.rate, &with));
    }
    options.output.put(&report, places)?;
    Ok(true)
}

fn measure(io: Io, joins: u32, seconds: u32, places: &Places) -> Result<Sample, String> {
    let relay = DevRelay::start(io, places)?;
    let workload = Workload::Voice;
    let more = if joins > 0 { vec!["--join-rate".into(), joins.to_string()] } else { Vec::new() };
    let load = Load { workload, rate: workload.rate(), seconds, size: workload.size(), more };
    let report = load.run(&Target::V1(&relay), relay.running.pid(), places)?;
    Sample::read(&report).ok_or_else(|| format!("elara-load said no latency: {report}"))
}

/// What one run showed; times in microseconds.
#[derive(Clone, Default)]
struct Sample {
    p50: f64,
    p99: f64,
    p999: f64,
    busy: f64,
    lost: u64,
    joined_per_s: f64,
    join_p50: f64,
    join_p99: f64,
    limits: Vec<String>,
}

impl Sample {
    fn read(report: &Value) -> Option<Self> {
        let us = |of: &Value, name: &str| Some(of[name].as_f64()? / 1e3);
        let latency = &report["latency_ns"];
        let visits = &report["visits"];
        Some(Self {
            p50: us(latency, "p50")?,
            p99: us(latency, "p99")?,
            p999: us(latency, "p999")?,
            busy: report["relay_cpu_share"].as_f64()?,
            lost: report["lost"].as_u64()?,
            joined_per_s: visits["joined_per_s"].as_f64().unwrap_or(0.0),
            join_p50: us(&visits["latency_ns"], "p50").unwrap_or(0.0),
            join_p99: us(&visits["latency_ns"], "p99").unwrap_or(0.0),
            limits: limits(report),
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, busy, lost, .. } = self;
        write!(f, "p50 {p50:.0} us, p99 {p99:.0} us, {:.0} % busy, {lost} lost", busy * 100.0)?;
        if self.joined_per_s > 0.0 {
            let (per_s, p50, p99) = (self.joined_per_s, self.join_p50, self.join_p99);
            write!(f, "; {per_s:.0} joined/s, p50 {p50:.0} us, p99 {p99:.0} us")?;
        }
        if self.limits.is_empty() {
            return Ok(());
        }
        write!(f, ", the generator was the limit: {}", self.limits.join(", "))
    }
}

impl Options {
    fn command(&self) -> String {
        let Self { rounds, seconds, rate, io, .. } = self;
        format!(
            "cargo xtask bench joins --rounds {rounds} --seconds {seconds} --rate {rate}{}",
            names("--io", io)
        )
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    taken: Taken,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    io: String,
    /// Joins a second that were due.
    joins_per_s: u32,
    /// And that happened.
    joined_per_s: Spread,
    /// From due to heard, in microseconds.
    p50_us: Spread,
    p99_us: Spread,
    p999_us: Spread,
    relay_busy: Spread,
    /// From due to the first PONG, in microseconds.
    join_p50_us: Spread,
    join_p99_us: Spread,
    lost: u64,
    /// Runs in which the generator was the limit, and in which ways.
    limited: Vec<String>,
}

impl Row {
    fn new(io: Io, joins_per_s: u32, samples: &[Sample]) -> Self {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        Self {
            io: io.to_string(),
            joins_per_s,
            joined_per_s: of(|sample| sample.joined_per_s),
            p50_us: of(|sample| sample.p50),
            p99_us: of(|sample| sample.p99),
            p999_us: of(|sample| sample.p999),
            relay_busy: of(|sample| sample.busy * 100.0),
            join_p50_us: of(|sample| sample.join_p50),
            join_p99_us: of(|sample| sample.join_p99),
            lost: samples.iter().map(|sample| sample.lost).sum(),
            limited: samples
                .iter()
                .filter(|sample| !sample.limits.is_empty())
                .map(|sample| sample.limits.join(", "))
                .collect(),
        }
    }

    fn cells(&self) -> [String; 8] {
        let joins = |spread: &Spread| match self.joins_per_s {
            0 => "-".to_owned(),
            _ => spread.to_string(),
        };
        [
            self.io.clone(),
            joins(&self.joined_per_s),
            self.p50_us.to_string(),
            self.p99_us.to_string(),
            self.p999_us.to_string(),
            format!("{:.0} %", self.relay_busy.median),
            joins(&self.join_p99_us),
            self.lost.to_string(),
        ]
    }

    fn note(&self) -> Option<String> {
        let first = self.limited.first()?;
        let (runs, joins) = (self.limited.len(), self.joins_per_s);
        Some(format!(
            "{}, {joins} joins/s: the generator was the limit in {runs} runs ({first})",
            self.io
        ))
    }
}

const COLUMNS: [&str; 8] =
    ["io", "joined/s", "p50 us", "p99 us", "p99.9 us", "relay busy", "join p99 us", "lost"];

impl Published for Report {
    const NAME: &'static str = "joins";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        for note in self.rows.iter().filter_map(Row::note) {
            text += &format!("\n{note}.\n");
        }
        text + &self
            .taken
            .caption("Voice over v1, 45,000 deliveries/s; microseconds from due to heard")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String; 8]| {
            let [first, cells @ ..] = cells;
            write!(f, "{first:<8}")?;
            cells.iter().try_for_each(|cell| write!(f, " {cell:<20}"))?;
            writeln!(f)
        };
        line(f, &COLUMNS.map(str::to_owned))?;
        self.rows.iter().try_for_each(|row| line(f, &row.cells()))?;
        self.rows.iter().filter_map(Row::note).try_for_each(|note| writeln!(f, "! {note}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_has_joins_only_where_there_were_visits() {
        let mut report = json!({
            "latency_ns": {"p50": 100_000, "p99": 300_000, "p999": 400_000},
            "relay_cpu_share": 0.3, "lost": 2, "bottleneck": null, "visits": null,
        });
        let sample = Sample::read(&report).unwrap();
        assert_eq!((sample.p99, sample.lost, sample.joined_per_s), (300.0, 2, 0.0));
        report["visits"] =
            json!({"joined_per_s": 990.0, "latency_ns": {"p50": 500_000, "p99": 900_000}});
        let sample = Sample::read(&report).unwrap();
        assert_eq!((sample.joined_per_s, sample.join_p99), (990.0, 900.0));
        let without = Row::new(Io::Uring, 0, &[Sample::default()]);
        assert_eq!(without.cells()[1], "-");
        let with = Row::new(Io::Uring, 1_000, &[sample]);
        assert_eq!(with.cells()[6], "900 [900, 900]");
    }
}
