//! `cargo xtask bench flood`: what a forged datagram costs the relay, and whether anybody notices.
//!
//! Beside a moderate voice load over wire v1, from the same cpu as that load, forged datagrams of one kind
//! at a time are sent to the relay on the other cpu. Per kind: the relay's cpu time with the flood
//! minus without it, by the datagrams the relay counted as that kind; and what the load lost. The kernel's
//! share is in it, and on loopback it is most of it; our own is what `cargo bench --bench v1 -- flood`
//! measures.

use std::fmt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::forger::Kind;
use super::load::{Load, Target, limits};
use super::process::{DevRelay, LOAD_CPU};
use super::report::Spread;
use super::table;
use super::taken::Taken;
use super::workload::{Io, Workload};
use super::{Output, Published, chosen, names};
use crate::ci;
use crate::shell::{Places, run as program};

/// What `bench flood` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds; without a flood, and with each kind, once in each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    seconds: u32,
    /// Forged datagrams a second.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: u32,
    /// Send them as trains (UDP_SEGMENT), which the relay's kernel takes in as such: cheaper for both, and
    /// as a flood from one place comes out of a network card that gathers.
    #[arg(long)]
    trains: bool,
    /// Only these kinds.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,..")]
    only: Vec<Kind>,
    /// What the relay runs on.
    #[arg(long, value_enum, default_value_t = Io::Uring)]
    io: Io,
}

/// The honest load: sends per second and sender.
const LOAD_RATE: f64 = 10.0;
/// Time for the load to come in before the flood begins, and for both to be under way before it is counted.
const LEAD: Duration = Duration::from_millis(1_500);
/// The load's warm-up, in seconds: the flood begins within it.
const WARMUP_S: u32 = 3;
/// How long before the end of the load's window counting ends.
const TRAIL: Duration = Duration::from_millis(500);

/// Runs the bench.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    ci::build().perform()?;
    let kinds = chosen(&options.only);
    let mut calm: Vec<Sample> = Vec::new();
    let mut floods: Vec<Vec<Sample>> = vec![Vec::new(); kinds.len()];
    for round in 1..=options.rounds {
        let relay = DevRelay::start(options.io, places)?;
        let without = measure(&relay, None, options, places)?;
        eprintln!("round {round}/{}: without a flood   {without}", options.rounds);
        for (kind, samples) in kinds.iter().zip(&mut floods) {
            let mut sample = measure(&relay, Some(*kind), options, places)?;
            let spent = (sample.busy - without.busy) * 1e9;
            sample.cost_ns = spent / sample.forged_per_s.max(1.0);
            eprintln!("round {round}/{}: {kind:<18} {sample}", options.rounds);
            samples.push(sample);
        }
        calm.push(without);
    }
    let mut rows = vec![Row::new("none".into(), &calm)];
    rows.extend(kinds.iter().zip(&floods).map(|(kind, of)| Row::new(kind.to_string(), of)));
    let report = Report {
        taken: Taken::now(options.command(), options.rounds, options.seconds),
        asked_per_s: options.rate,
        rows,
    };
    options.output.put(&report, places)?;
    Ok(true)
}

/// One run of the load, with or without a flood.
fn measure(
    relay: &DevRelay,
    kind: Option<Kind>,
    options: &Options,
    places: &Places,
) -> Result<Sample, String> {
    let workload = Workload::Voice;
    let more = vec!["--warmup".into(), WARMUP_S.to_string()];
    let seconds = options.seconds;
    let load = Load { workload, rate: LOAD_RATE, seconds, size: workload.size(), more };
    let command = load.command(&Target::V1(relay), relay.running.pid(), places);
    let mut child = command.command();
    let begun = Instant::now();
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("`{command}`: {error}"))?;
    let window = Duration::from_secs((WARMUP_S + seconds).into());
    let mut forged_per_s = 0.0;
    if let Some(kind) = kind {
        thread::sleep(LEAD);
        let forger = forger(relay, kind, options, places);
        let flood = thread::spawn(move || forger.read());
        thread::sleep(LEAD.saturating_sub(begun.elapsed().saturating_sub(LEAD)));
        let (before, from) = (relay.counted(kind.verdicts())?, Instant::now());
        thread::sleep((window - TRAIL).saturating_sub(begun.elapsed()));
        let after = relay.counted(kind.verdicts())?;
        forged_per_s = (after - before) as f64 / from.elapsed().as_secs_f64();
        flood.join().expect("the flood's thread does not panic")?;
    }
    let output = child.wait_with_output().map_err(|error| format!("`{command}`: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("`{command}`: {error}: {said}"))?;
    Sample::read(&report, forged_per_s).ok_or_else(|| format!("elara-load said no cost: {report}"))
}

/// The command that floods until a little after the load's window.
fn forger(relay: &DevRelay, kind: Kind, options: &Options, places: &Places) -> crate::shell::Run {
    let mut args = vec!["forger".to_owned()];
    for (flag, value) in [
        ("--kind", kind.to_string()),
        ("--join", relay.address.clone()),
        ("--rate", options.rate.to_string()),
        ("--seconds", (WARMUP_S + options.seconds - 1).to_string()),
        ("--cpu", LOAD_CPU.to_string()),
    ] {
        args.extend([flag.to_owned(), value]);
    }
    args.extend(options.trains.then(|| "--trains".to_owned()));
    program(places.binary("xtask"), args)
}

/// What one run showed.
#[derive(Clone, Default)]
struct Sample {
    /// Share of its cpu the relay used.
    busy: f64,
    /// Forged datagrams the relay took in, a second.
    forged_per_s: f64,
    /// Cpu-nanoseconds of the relay for each of them.
    cost_ns: f64,
    loss: f64,
    /// Of what was lost, datagrams that the relay's socket had no room for.
    socket_drops: u64,
    p99_us: f64,
    limits: Vec<String>,
}

impl Sample {
    fn read(report: &Value, forged_per_s: f64) -> Option<Self> {
        Some(Self {
            busy: report["relay_cpu_share"].as_f64()?,
            forged_per_s,
            cost_ns: 0.0,
            loss: report["loss_ratio"].as_f64()?,
            socket_drops: report["relay_socket_drops"].as_u64().unwrap_or(0),
            p99_us: report["latency_ns"]["p99"].as_f64()? / 1e3,
            limits: limits(report),
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { busy, forged_per_s, cost_ns, loss, socket_drops, p99_us, limits } = self;
        write!(f, "{:>3.0} % busy, p99 {p99_us:.0} us, lost {:.3} %", busy * 100.0, loss * 100.0)?;
        if *forged_per_s > 0.0 {
            write!(f, "; {forged_per_s:.0} forged/s at {cost_ns:.0} ns")?;
        }
        if *socket_drops > 0 {
            write!(f, ", {socket_drops} dropped at the relay's socket")?;
        }
        if !limits.is_empty() {
            write!(f, ", the generator was the limit: {}", limits.join(", "))?;
        }
        Ok(())
    }
}

impl Options {
    fn command(&self) -> String {
        let Self { rounds, seconds, rate, io, .. } = self;
        let trains = if self.trains { " --trains" } else { "" };
        format!(
            "cargo xtask bench flood --rounds {rounds} --seconds {seconds} --rate {rate} --io {io}{trains}{}",
            names("--only", &self.only)
        )
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    taken: Taken,
    asked_per_s: u32,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    kind: String,
    forged_per_s: Spread,
    /// Cpu-nanoseconds of the relay per forged datagram it took in, the kernel's included.
    cost_ns: Spread,
    /// Share of its cpu the relay used, in per cent.
    relay_busy: Spread,
    /// Honest deliveries lost, in per cent.
    lost: Spread,
    p99_us: Spread,
    /// Runs in which the generator was a limit.
    limited: usize,
}

impl Row {
    fn new(kind: String, samples: &[Sample]) -> Self {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        Self {
            kind,
            forged_per_s: of(|sample| sample.forged_per_s),
            cost_ns: of(|sample| sample.cost_ns),
            relay_busy: of(|sample| sample.busy * 100.0),
            lost: of(|sample| sample.loss * 100.0),
            p99_us: of(|sample| sample.p99_us),
            limited: samples.iter().filter(|sample| !sample.limits.is_empty()).count(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let forged = |text: String| if self.forged_per_s.max > 0.0 { text } else { "-".into() };
        [
            self.kind.clone(),
            forged(format!("{:.0}", self.forged_per_s.median)),
            forged(self.cost_ns.to_string()),
            format!("{:.0} %", self.relay_busy.median),
            format!("{:.3} % [{:.3}, {:.3}]", self.lost.median, self.lost.min, self.lost.max),
            self.p99_us.to_string(),
        ]
    }
}

const COLUMNS: [&str; 6] =
    ["flood", "taken in/s", "ns each", "relay busy", "honest load lost", "its p99 us"];

impl Report {
    fn note(&self) -> Option<String> {
        let limited: usize = self.rows.iter().map(|row| row.limited).sum();
        (limited > 0).then(|| format!("The generator was a limit in {limited} runs"))
    }
}

impl Published for Report {
    const NAME: &'static str = "flood";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        text += &self.note().map_or_else(String::new, |note| format!("\n{note}.\n"));
        text + &self.taken.caption(&format!(
            "Asked for {} a second; cpu-nanoseconds of the relay per forged datagram, kernel included",
            self.asked_per_s
        ))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String; 6]| {
            cells.iter().try_for_each(|cell| write!(f, "{cell:<23} "))?;
            writeln!(f)
        };
        line(f, &COLUMNS.map(str::to_owned))?;
        self.rows.iter().try_for_each(|row| line(f, &row.cells()))?;
        self.note().map_or(Ok(()), |note| writeln!(f, "! {note}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn a_row_without_a_flood_has_no_cost() {
        let calm = Row::new("none".into(), &[Sample { busy: 0.2, ..Sample::default() }]);
        assert_eq!(calm.cells()[1..4], ["-", "-", "20 %"]);
        let flood = Sample { forged_per_s: 150_000.0, cost_ns: 900.0, ..Sample::default() };
        let flood = Row::new("bad-mac1".into(), &[flood]);
        assert_eq!(flood.cells()[1..3], ["150000", "900 [900, 900]"]);
    }

    #[test]
    fn every_kind_has_verdicts_to_be_counted_by() {
        for kind in Kind::value_variants() {
            for verdict in kind.verdicts() {
                let known =
                    elara_shards::Verdict::ALL.iter().any(|known| known.label() == *verdict);
                assert!(known, "{kind}: {verdict}");
            }
        }
    }
}
