//! What grew, as text, as JSON and as the published table.

use std::fmt;

use serde::Serialize;

use super::super::Published;
use super::super::contest::Sample;
use super::super::report::{Spread, cost, notes};
use super::super::table;
use super::super::taken::Taken;
use super::super::workload::{Io, Manner};

/// A whole run.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) taken: Taken,
    /// By back end, then in the order of the numbers of sessions.
    pub(super) rows: Vec<Row>,
}

/// How many there are.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Size {
    pub(super) sessions: u32,
    /// Of each session.
    pub(super) participants: u32,
}

/// One back end at one number of sessions.
#[derive(Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    size: Size,
    io: String,
    /// Cpu-nanoseconds per delivered datagram.
    relay_ns: Spread,
    floor: &'static str,
    floor_ns: Spread,
    /// Cost over that at the first number of sessions: of medians, with the least and the greatest of any
    /// round.
    relay_growth: Spread,
    floor_growth: Spread,
    /// Relay growth over floor growth, likewise: what the goal is about.
    growth_over_floor: Spread,
    /// Relay over floor, likewise.
    ratio: Spread,
    /// Datagrams the relay delivered per second, all rounds together.
    delivered_per_s: u64,
    /// Share of its cpu the relay used, median.
    relay_busy: f64,
    /// Deliveries the relay's runs lost, all rounds together.
    lost: u64,
    /// What keeps the row from meaning what it says; empty: nothing.
    notes: Vec<String>,
}

impl Row {
    /// From the rounds of relay and floor at this size, and those at the first.
    pub(super) fn new(size: Size, io: Io, at: &[Vec<Sample>; 2], first: &[Vec<Sample>; 2]) -> Self {
        let [relay, floor] = at;
        let relay_growth = Spread::ratio(relay, &first[0]);
        let floor_growth = Spread::ratio(floor, &first[1]);
        let rounds = (0..relay.len()).map(|round| {
            let grown = |who: usize| at[who][round].cost_ns / first[who][round].cost_ns;
            grown(0) / grown(1)
        });
        let median = relay_growth.median / floor_growth.median;
        let technique = io.technique(Manner::Single).name();
        let delivered: u64 = relay.iter().map(|sample| sample.delivered).sum();
        let seconds: f64 = relay.iter().map(|sample| sample.seconds).sum();
        Self {
            size,
            io: io.to_string(),
            relay_ns: cost(relay),
            floor: technique,
            floor_ns: cost(floor),
            relay_growth,
            floor_growth,
            growth_over_floor: Spread { median, ..Spread::of(rounds) },
            ratio: Spread::ratio(relay, floor),
            delivered_per_s: (delivered as f64 / seconds).round() as u64,
            relay_busy: Spread::of(relay.iter().map(|sample| sample.busy)).median,
            lost: relay.iter().map(|sample| sample.lost).sum(),
            notes: [notes("the relay", relay), notes(technique, floor)].concat(),
        }
    }

    fn title(&self) -> String {
        format!("{} sessions, {}", self.size.sessions, self.io)
    }

    fn cells(&self) -> [String; 11] {
        let times = |spread: &Spread| {
            format!("{:.2} [{:.2}, {:.2}]", spread.median, spread.min, spread.max)
        };
        [
            self.size.sessions.to_string(),
            (u64::from(self.size.sessions) * u64::from(self.size.participants)).to_string(),
            self.io.clone(),
            format!("{:.0} %", self.relay_busy * 100.0),
            self.relay_ns.to_string(),
            format!("{} ({})", self.floor_ns, self.floor),
            times(&self.relay_growth),
            times(&self.floor_growth),
            self.growth_over_floor.times(),
            times(&self.ratio),
            self.lost.to_string(),
        ]
    }

    /// How much more than its floor it grew, as a sentence.
    fn sentence(&self, from: u32) -> String {
        let percent = |spread: &Spread| (spread.median - 1.0) * 100.0;
        format!(
            "From {from} to {} sessions on {} the relay's cost grew by {:.0} %, its floor's by {:.0} %: \
             {:+.0} % against the floor",
            self.size.sessions,
            self.io,
            percent(&self.relay_growth),
            percent(&self.floor_growth),
            percent(&self.growth_over_floor),
        )
    }
}

const COLUMNS: [&str; 11] = [
    "sessions",
    "participants",
    "io",
    "relay busy",
    "relay ns",
    "floor ns",
    "relay growth",
    "floor growth",
    "growth / floor's",
    "relay / floor",
    "lost",
];

impl Report {
    /// For each back end, from its first number of sessions to its last.
    fn sentences(&self) -> Vec<String> {
        let ends = self.rows.chunk_by(|a, b| a.io == b.io).filter(|rows| rows.len() > 1);
        ends.map(|rows| rows[rows.len() - 1].sentence(rows[0].size.sessions)).collect()
    }
}

impl Published for Report {
    const NAME: &'static str = "growth";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        for sentence in self.sentences() {
            text += &format!("\n{sentence}.\n");
        }
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            text += &format!("\n{}: {}.\n", row.title(), row.notes.join("; "));
        }
        text + &self.taken.caption("Cpu-nanoseconds per delivered datagram")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        writeln!(f, "cpu-ns per delivered datagram: median [least, greatest]")?;
        let widths = [8, 12, 7, 10, 18, 29, 17, 17, 21, 17, 0];
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String; 11]| {
            let mut cells = cells.iter().zip(widths);
            cells.try_for_each(|(cell, width)| write!(f, "{cell:<width$} "))?;
            writeln!(f)
        };
        line(f, &COLUMNS.map(str::to_owned))?;
        for row in &self.rows {
            line(f, &row.cells().map(|cell| cell.replace("**", "")))?;
            row.notes.iter().try_for_each(|note| writeln!(f, "  ! {note}"))?;
        }
        self.sentences().iter().try_for_each(|sentence| writeln!(f, "{sentence}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::Machine;
    use super::*;

    fn samples(costs: [f64; 3]) -> Vec<Sample> {
        let sample =
            |cost_ns| Sample { cost_ns, delivered: 1_000, seconds: 1.0, ..Sample::default() };
        costs.map(sample).to_vec()
    }

    fn report() -> Report {
        let machine = Machine {
            cpu: "A Fine CPU".into(),
            cpus: 2,
            kernel: "6.18".into(),
            commit: "abc".into(),
            date: "2025-01-01".into(),
        };
        let command = "cargo xtask bench growth".into();
        let first = [samples([200.0, 220.0, 210.0]), samples([200.0, 200.0, 190.0])];
        let last = [samples([260.0, 252.0, 240.0]), samples([220.0, 210.0, 240.0])];
        let size = |sessions| Size { sessions, participants: 10 };
        Report {
            taken: Taken { command, machine, rounds: 3, seconds: 1 },
            rows: vec![
                Row::new(size(10), Io::Uring, &first, &first),
                Row::new(size(100_000), Io::Uring, &last, &first),
            ],
        }
    }

    #[test]
    fn growth_is_of_medians_and_its_spread_of_rounds() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let report = report();
        assert!(near(report.rows[0].growth_over_floor.median, 1.0));
        let last = &report.rows[1];
        assert!(near(last.relay_growth.median, 1.2) && near(last.floor_growth.median, 1.1));
        assert!(near(last.growth_over_floor.median, 1.2 / 1.1));
        assert!(near(last.growth_over_floor.max, 1.3 / 1.1), "of the first round");
        assert!(near(last.ratio.median, 252.0 / 220.0));
    }

    #[test]
    fn the_result_is_a_sentence_and_every_row_has_every_column() {
        let text = report().markdown();
        let sentence = "From 10 to 100000 sessions on uring the relay's cost grew by 20 %, its \
                        floor's by 10 %: +9 % against the floor.";
        assert!(text.contains(sentence), "{text}");
        let mut lines = text.lines().filter(|line| line.starts_with('|'));
        assert!(lines.all(|line| line.matches('|').count() == 12));
        assert!(text.contains("| 100000 | 1000000 | uring |"));
    }
}
