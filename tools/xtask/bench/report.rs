//! Rows of medians and ratios, as text, as JSON and as the published table.

use std::fmt;

use serde::Serialize;

use super::contest::{LOSS_MAX, Sample, Scene};
use super::search::Found;
use super::table;
use super::taken::Taken;
use super::workload::Io;

/// A whole run.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub taken: Taken,
    pub rows: Vec<Row>,
}

/// One workload on one back end, beside its floors.
#[derive(Serialize)]
pub(super) struct Row {
    pub workload: String,
    /// Protocol version.
    pub wire: String,
    /// What lies between relay and receivers: loopback, a pair of virtual cards, a card that segments.
    pub path: String,
    /// How deliveries are received, `-` where they are dropped on the way.
    pub sinks: String,
    pub io: String,
    /// Bytes of a frame.
    pub size_bytes: usize,
    /// How long receivers let small frames wait, in milliseconds.
    pub hold_ms: u8,
    /// Sends per second and sender.
    pub rate: f64,
    /// Frames the relay delivered per second, all rounds together.
    pub delivered_per_s: u64,
    /// Share of its cpu the relay used, median.
    pub relay_busy: f64,
    /// Cpu-nanoseconds per delivered frame.
    pub relay_ns: Spread,
    pub floor: &'static str,
    pub floor_ns: Spread,
    pub naive_ns: Spread,
    /// Relay over floor: of medians, with the least and the greatest of any round.
    pub ratio: Spread,
    /// Relay over the naive floor, likewise.
    pub ratio_naive: Spread,
    /// Where a device sees what leaves: frames of the relay's in each packet it saw, median.
    pub frames_per_packet: Option<f64>,
    /// Deliveries the relay's runs lost, all rounds together.
    pub lost: u64,
    /// What keeps the row from meaning what it says; empty: nothing.
    pub notes: Vec<String>,
}

/// A median and what lies around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        let end = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Self { median, min: end(values.first()), max: end(values.last()) }
    }

    /// `relay` over `floor`, round by round; the median is that of the medians.
    pub(super) fn ratio(relay: &[Sample], floor: &[Sample]) -> Self {
        let pairs = relay.iter().zip(floor).map(|(relay, floor)| relay.cost_ns / floor.cost_ns);
        Self { median: cost(relay).median / cost(floor).median, ..Self::of(pairs) }
    }

    /// As a ratio, for the page.
    pub(super) fn times(&self) -> String {
        format!("**{:.2}** [{:.2}, {:.2}]", self.median, self.min, self.max)
    }
}

pub(super) fn cost(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.cost_ns))
}

impl Row {
    pub(super) fn new(
        scene: &Scene<'_>,
        io: Io,
        found: &Found,
        relay: &[Sample],
        floor: &[Sample],
        naive: &[Sample],
    ) -> Self {
        let delivered: u64 = relay.iter().map(|sample| sample.delivered).sum();
        let seconds: f64 = relay.iter().map(|sample| sample.seconds).sum();
        let case = scene.case;
        let name = io.technique(case.manner()).name();
        let runs = [("the relay", relay), (name, floor), ("naive", naive)];
        Self {
            workload: case.name(),
            wire: case.wire.to_string(),
            path: scene.lab.path.to_string(),
            sinks: scene.sinks(),
            io: io.to_string(),
            size_bytes: case.size(),
            hold_ms: case.hold_ms,
            rate: found.rate,
            delivered_per_s: (delivered as f64 / seconds).round() as u64,
            relay_busy: Spread::of(relay.iter().map(|sample| sample.busy)).median,
            relay_ns: cost(relay),
            floor: name,
            floor_ns: cost(floor),
            naive_ns: cost(naive),
            ratio: Spread::ratio(relay, floor),
            ratio_naive: Spread::ratio(relay, naive),
            lost: relay.iter().map(|sample| sample.lost).sum(),
            frames_per_packet: frames_per_packet(relay),
            notes: found
                .note
                .iter()
                .cloned()
                .chain(runs.iter().flat_map(|(who, samples)| notes(who, samples)))
                .collect(),
        }
    }

    /// What tells it from the others.
    fn title(&self) -> String {
        let Self { workload, wire, path, sinks, io, .. } = self;
        format!("{workload}, {wire}, {path}, {sinks}, {io}")
    }

    fn cells(&self) -> [String; 12] {
        [
            self.workload.clone(),
            self.wire.clone(),
            self.path.clone(),
            self.sinks.clone(),
            self.io.clone(),
            self.delivered_per_s.to_string(),
            format!("{:.0} %", self.relay_busy * 100.0),
            self.relay_ns.to_string(),
            format!("{} ({})", self.floor_ns, self.floor),
            self.naive_ns.to_string(),
            self.ratio.times(),
            self.lost.to_string(),
        ]
    }
}

const COLUMNS: [&str; 12] = [
    "workload",
    "wire",
    "path",
    "sinks",
    "io",
    "deliveries/s",
    "relay busy",
    "relay ns",
    "floor ns",
    "naive ns",
    "relay / floor",
    "lost",
];

/// The median over runs, where a device counted.
fn frames_per_packet(samples: &[Sample]) -> Option<f64> {
    let counted = samples.iter().filter_map(|sample| sample.datagrams_per_packet);
    let median = Spread::of(counted).median;
    (!median.is_nan()).then_some(median)
}

/// What must be said about a contestant's runs.
pub(super) fn notes(who: &str, samples: &[Sample]) -> Vec<String> {
    let mut notes = Vec::new();
    let worst = samples.iter().map(Sample::loss).fold(0.0, f64::max);
    if worst > LOSS_MAX {
        notes.push(format!("{who} lost up to {:.2} %", worst * 100.0));
    }
    let limited: Vec<&Sample> = samples.iter().filter(|sample| !sample.limits.is_empty()).collect();
    if !limited.is_empty() {
        let mut why: Vec<&str> =
            limited.iter().flat_map(|sample| &sample.limits).map(String::as_str).collect();
        why.sort_unstable();
        why.dedup();
        let (runs, why) = (limited.len(), why.join(", "));
        notes.push(format!("the generator was the limit in {runs} runs of {who} ({why})"));
    }
    let wrong: u64 = samples.iter().map(|sample| sample.wrong).sum();
    if wrong > 0 {
        notes.push(format!("{who} delivered {wrong} datagrams that must not exist"));
    }
    notes
}

impl Report {
    pub(super) const fn new(taken: Taken) -> Self {
        Self { taken, rows: Vec::new() }
    }

    /// The table and what must stand beside it, for docs/PERFORMANCE.md.
    pub(super) fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            text += &format!("\n{}: {}.\n", row.title(), row.notes.join("; "));
        }
        text + &self.taken.caption("Cpu-nanoseconds per delivered frame")
    }

    /// The one number of the README: the worst row, not the best. A ratio below one is luck, and no relay
    /// beats its floor.
    pub(super) fn headline(&self) -> Option<String> {
        let worst = self.rows.iter().max_by(|a, b| a.ratio.median.total_cmp(&b.ratio.median))?;
        let over = match worst.path.as_str() {
            "lo" => "loopback",
            "veth" => "a pair of virtual cards",
            _ => "a card that segments",
        };
        Some(format!(
            "Forwarding a frame costs elara at most **{:.2} times** what the same kernel charges\n\
             a bare forwarder without any logic: {} in wire {} on {}, {:.0} ns of cpu against {:.0} ns,\n\
             over {over}, at {} deliveries a second; the worst of {} rows. Measured by\n\
             `{}`.\n",
            worst.ratio.median,
            worst.workload,
            worst.wire,
            worst.io,
            worst.relay_ns.median,
            worst.floor_ns.median,
            worst.delivered_per_s,
            self.rows.len(),
            self.taken.command
        ))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.0} [{:.0}, {:.0}]", self.median, self.min, self.max))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        writeln!(
            f,
            "cpu-ns per delivered frame: median [least, greatest] of {} rounds",
            self.taken.rounds
        )?;
        writeln!(
            f,
            "{:<20} {:<4} {:<4} {:<5} {:<7} {:>9} {:>5}  {:<20} {:<20} {:<20} relay/floor",
            "workload", "wire", "path", "sinks", "io", "out/s", "busy", "relay", "floor", "naive"
        )?;
        for row in &self.rows {
            let Row { workload, wire, path, sinks, io, relay_ns, floor_ns, naive_ns, .. } = row;
            let (busy, ratio) = (row.relay_busy * 100.0, row.ratio);
            write!(f, "{workload:<20} {wire:<4} {path:<4} {sinks:<5} {io:<7} ")?;
            write!(f, "{:>9} {busy:>4.0}%  {relay_ns:<20} ", row.delivered_per_s)?;
            write!(f, "{floor_ns:<20} {naive_ns:<20} {:.2} ", ratio.median)?;
            writeln!(f, "[{:.2}, {:.2}] of {}", ratio.min, ratio.max, row.floor)?;
            for note in &row.notes {
                writeln!(f, "         ! {note}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contest::Sinks;
    use crate::bench::machine::Machine;
    use crate::bench::path::Lab;
    use crate::bench::workload::{Case, Workload};
    use crate::shell::Places;

    fn sample(cost_ns: f64) -> Sample {
        Sample { cost_ns, seconds: 1.0, delivered: 1_000, ..Sample::default() }
    }

    fn report() -> Report {
        let machine = Machine {
            cpu: "A Fine CPU".into(),
            cpus: 2,
            kernel: "6.18".into(),
            commit: "abc".into(),
            date: "2025-01-01".into(),
        };
        let mut report = Report::new(Taken {
            command: "cargo xtask bench floor".into(),
            machine,
            rounds: 3,
            seconds: 1,
        });
        let samples = |costs: [f64; 3]| costs.map(sample);
        let places = Places { root: ".".into(), target: "target".into() };
        let (case, lab) = (Case::v0(Workload::Voice), &Lab::loopback());
        let scene = Scene { case, sinks: Sinks::Plain, lab, places: &places };
        report.rows.push(Row::new(
            &scene,
            Io::Uring,
            &Found { rate: 200.0, note: Some("a note".into()) },
            &samples([330.0, 300.0, 360.0]),
            &samples([300.0, 300.0, 310.0]),
            &samples([400.0, 400.0, 400.0]),
        ));
        report
    }

    #[test]
    fn a_spread_is_median_least_and_greatest() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread(&[4.0, 1.0]).median, 2.5);
    }

    #[test]
    fn a_ratio_is_of_medians_and_its_spread_of_rounds() {
        let ratio = report().rows[0].ratio;
        assert!((ratio.median - 1.1).abs() < 1e-9);
        assert!((ratio.min - 1.0).abs() < 1e-9);
        assert!((ratio.max - 360.0 / 310.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_that_lost_or_was_limited_says_so() {
        let lossy = Sample { lost: 1, limits: vec!["cpu".into()], wrong: 2, ..sample(1.0) };
        let said = notes("naive", &[lossy]).join("; ");
        for part in [
            "naive lost up to 0.10 %",
            "the limit in 1 runs of naive (cpu)",
            "2 datagrams that must not exist",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(notes("naive", &[sample(1.0)]).is_empty());
    }

    #[test]
    fn every_published_row_has_every_column_and_its_command() {
        let text = report().markdown();
        let columns: Vec<usize> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.matches('|').count())
            .collect();
        assert_eq!(columns, [13, 13, 13]);
        assert!(text.contains("\nvoice, v0, lo, plain, uring: a note.\n"));
        assert!(text.contains("`cargo xtask bench floor` at abc, 2025-01-01; A Fine CPU"));
        assert!(report().headline().unwrap().contains("**1.10 times**"));
    }
}
