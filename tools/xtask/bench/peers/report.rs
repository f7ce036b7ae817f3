//! Everybody's cost beside that of the best peer, as text, as JSON and as the published table.

use std::fmt;

use serde::Serialize;

use super::contestant::{Contestant, Shown};
use crate::bench::Published;
use crate::bench::contest::{Sample, Sinks};
use crate::bench::report::{Spread, cost, notes};
use crate::bench::table;
use crate::bench::taken::Taken;

/// A whole run.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) taken: Taken,
    /// Who the peers are.
    pub(super) versions: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// Who could not take part, and what else must be said of all.
    pub(super) notes: Vec<String>,
}

/// At which load somebody was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Load {
    /// The same for all, which everybody bears.
    Same,
    /// Near the highest rate at which it loses nothing, each its own.
    Own,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Same => "same",
            Self::Own => "own",
        })
    }
}

/// A contestant at a load.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) contestant: String,
    pub(super) peer: bool,
    /// How deliveries are received.
    pub(super) sinks: String,
    pub(super) load: Load,
    /// Bytes of a frame.
    pub(super) size_bytes: usize,
    /// Sessions that share the load.
    pub(super) sessions: u16,
    /// Datagrams delivered per second, all rounds together.
    pub(super) delivered_per_s: u64,
    /// Share of its cpu the contestant used, median.
    pub(super) busy: f64,
    /// Cpu-nanoseconds of its process per delivered datagram.
    pub(super) ns: Spread,
    /// How many times as much the best peer's cost, of medians, with the least and the greatest of any round;
    /// null without peers.
    pub(super) best_peer_over: Option<Spread>,
    pub(super) lost: u64,
    /// What keeps the row from meaning what it says; empty: nothing.
    pub(super) notes: Vec<String>,
}

/// What one contestant showed, round by round, with the same sinks and at the same kind of load as others.
pub(super) struct Heat<'a> {
    pub(super) contestant: &'a Contestant,
    pub(super) shown: Vec<Shown>,
    /// What must be said of its load.
    pub(super) note: Option<String>,
}

/// The rows of those who ran beside each other.
pub(super) fn rows(heats: &[Heat<'_>], sinks: Sinks, load: Load) -> Vec<Row> {
    let samples: Vec<Vec<Sample>> = heats
        .iter()
        .map(|heat| heat.shown.iter().map(|shown| shown.sample.clone()).collect())
        .collect();
    let peers =
        heats.iter().zip(&samples).filter(|(heat, of)| heat.contestant.is_peer() && !of.is_empty());
    let best = peers
        .map(|(_, of)| of)
        .min_by(|one, other| cost(one).median.total_cmp(&cost(other).median));
    let row = |(heat, of): (&Heat<'_>, &Vec<Sample>)| {
        let name = heat.contestant.to_string();
        let delivered: u64 = of.iter().map(|sample| sample.delivered).sum();
        let seconds: f64 = of.iter().map(|sample| sample.seconds).sum();
        let queued = heat.shown.iter().filter(|shown| shown.sample.is_clean() && !shown.is_clean());
        let queued = queued.count();
        let queued = (queued > 0).then(|| format!("{name} fell behind in {queued} runs"));
        Row {
            peer: heat.contestant.is_peer(),
            sinks: sinks.to_string(),
            load,
            size_bytes: heat.contestant.size(),
            sessions: heat.contestant.sessions(),
            delivered_per_s: (delivered as f64 / seconds).round() as u64,
            busy: Spread::of(of.iter().map(|sample| sample.busy)).median,
            ns: cost(of),
            best_peer_over: best.map(|best| Spread::ratio(best, of)),
            lost: of.iter().map(|sample| sample.lost).sum(),
            notes: heat.note.iter().cloned().chain(notes(&name, of)).chain(queued).collect(),
            contestant: name,
        }
    };
    let ran = heats.iter().zip(&samples).filter(|(_, of)| !of.is_empty());
    ran.map(row).collect()
}

impl Row {
    /// What tells it from the others.
    fn title(&self) -> String {
        format!("{}, {} sinks, {} load", self.contestant, self.sinks, self.load)
    }

    fn cells(&self) -> [String; 9] {
        [
            if self.peer { format!("*{}*", self.contestant) } else { self.contestant.clone() },
            self.load.to_string(),
            self.sinks.clone(),
            format!("{} x {} B", self.sessions, self.size_bytes),
            self.delivered_per_s.to_string(),
            format!("{:.0} %", self.busy * 100.0),
            self.ns.to_string(),
            self.best_peer_over.map_or_else(|| "-".into(), |ratio| ratio.times()),
            self.lost.to_string(),
        ]
    }
}

const COLUMNS: [&str; 9] = [
    "contestant",
    "load",
    "sinks",
    "sessions",
    "deliveries/s",
    "busy",
    "ns",
    "best peer / it",
    "lost",
];

impl Published for Report {
    const NAME: &'static str = "peers";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            text += &format!("\n{}: {}.\n", row.title(), row.notes.join("; "));
        }
        for note in &self.notes {
            text += &format!("\n{note}.\n");
        }
        if !self.versions.is_empty() {
            text += &format!("\nPeers, in italics: {}.\n", self.versions.join(", "));
        }
        text + &self.taken.caption("Cpu-nanoseconds of the server's process per delivered datagram")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        let rounds = self.taken.rounds;
        writeln!(f, "cpu-ns per delivered datagram: median [least, greatest] of {rounds} rounds")?;
        writeln!(
            f,
            "{:<18} {:<4} {:<5} {:>8} {:>9} {:>5}  {:<20} best peer / it",
            "contestant", "load", "sinks", "sessions", "out/s", "busy", "ns"
        )?;
        for row in &self.rows {
            let Row { contestant, load, sinks, sessions, delivered_per_s, ns, .. } = row;
            write!(f, "{contestant:<18} {load:<4} {sinks:<5} {sessions:>8} {delivered_per_s:>9} ")?;
            write!(f, "{:>4.0}%  {ns:<20} ", row.busy * 100.0)?;
            match row.best_peer_over {
                Some(Spread { median, min, max }) => {
                    writeln!(f, "{median:.2} [{min:.2}, {max:.2}]")?;
                }
                None => writeln!(f, "-")?,
            }
            row.notes.iter().try_for_each(|note| writeln!(f, "       ! {note}"))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "! {note}"))?;
        writeln!(f, "peers: {}", self.versions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::contestant::Who;
    use crate::bench::workload::{Io, Wire};

    fn shown(costs: &[f64]) -> Vec<Shown> {
        let of = |cost_ns: &f64| Shown {
            sample: Sample { cost_ns: *cost_ns, seconds: 1.0, delivered: 9, ..Sample::default() },
            under_way: 0.0,
        };
        costs.iter().map(of).collect()
    }

    #[test]
    fn everybody_stands_beside_the_best_peer_of_their_heat() {
        let [ours, janus, other] = [
            Contestant::Relay(Wire::V1, Io::Uring),
            Contestant::Peer(Who::Janus, "janus".into()),
            Contestant::Peer(Who::Rtpengine, "rtpengine".into()),
        ];
        let heat = |contestant, costs: &[f64]| Heat { contestant, shown: shown(costs), note: None };
        let heats = [
            heat(&ours, &[100.0, 110.0, 120.0]),
            Heat { note: Some("not its limit".into()), ..heat(&janus, &[330.0, 300.0, 360.0]) },
            heat(&other, &[500.0, 500.0, 500.0]),
            heat(&other, &[]),
        ];
        let rows = rows(&heats, Sinks::Gro, Load::Own);
        assert_eq!(rows.len(), 3, "who did not run has no row");
        let ratio = rows[0].best_peer_over.unwrap();
        assert!((ratio.median - 3.0).abs() < 1e-9, "of medians: {ratio:?}");
        assert!((ratio.min - 300.0 / 110.0).abs() < 1e-9 && (ratio.max - 3.3).abs() < 1e-9);
        assert_eq!(rows[1].best_peer_over.unwrap().median, 1.0);
        assert_eq!((rows[0].size_bytes, rows[1].size_bytes, rows[0].sessions), (1_232, 1_200, 20));

        let report = Report {
            taken: Taken::now("cargo xtask bench peers".into(), 3, 1),
            versions: vec!["janus 1.1.2".into()],
            rows,
            notes: vec!["quilkin is left out: it is not installed here".into()],
        };
        let text = report.markdown();
        for part in [
            "| elara v1 uring | own | gro | 20 x 1232 B | 9 | 0 % | 110 [100, 120] | **3.00** [2.73, 3.30] |",
            "| *janus* | own |",
            "\njanus, gro sinks, own load: not its limit.\n",
            "\nquilkin is left out: it is not installed here.\n",
            "Peers, in italics: janus 1.1.2.",
            "`cargo xtask bench peers`",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn without_peers_there_is_nothing_to_compare_with() {
        let ours = Contestant::Relay(Wire::V0, Io::Syscall);
        let heats = [Heat { contestant: &ours, shown: shown(&[100.0]), note: None }];
        assert_eq!(rows(&heats, Sinks::Plain, Load::Same)[0].best_peer_over, None);
    }
}
