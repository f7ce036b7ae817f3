//! Servers beside their floor, as text, as JSON and as the published table.

use std::fmt;

use serde::Serialize;

use super::super::Published;
use super::super::contest::Sample;
use super::super::report::{Spread, cost, notes};
use super::super::table;
use super::super::taken::Taken;
use super::contestant::{Contestant, Servers};
use super::scene::Scene;
use super::search::Found;

/// A whole run.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) taken: Taken,
    /// What coturn calls itself, where it was there.
    coturn: Option<String>,
    /// Who was not there.
    absent: Vec<String>,
    /// Datagrams a second, where everyone got the same and nothing was searched.
    rate: Option<f64>,
    pub(super) rows: Vec<Row>,
}

/// What one round showed of one contestant.
#[derive(Clone)]
pub(super) struct Round {
    /// At its highest loss-free rate.
    pub(super) full: Sample,
    /// At half of that.
    pub(super) half: Sample,
    /// There, from due to heard, in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// Everybody in one scene.
#[derive(Serialize)]
pub(super) struct Row {
    traffic: String,
    /// Bytes of payload.
    size_bytes: u16,
    allocations: u32,
    /// How trains are received.
    sinks: String,
    /// The floor of the row first.
    contestants: Vec<Entry>,
    /// What keeps the row from meaning what it says; empty: nothing.
    notes: Vec<String>,
}

/// One contestant in one scene.
#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(skip)]
    who: Contestant,
    /// The highest rate at which it lost nothing, in datagrams a second.
    highest_per_s: f64,
    /// Share of its cpu it used there, median.
    busy: f64,
    /// Cpu-nanoseconds per relayed datagram at that rate.
    cost_ns: Spread,
    /// And at half of it.
    half_cost_ns: Spread,
    /// From due to heard at half of it, in microseconds.
    p50_us: Spread,
    p99_us: Spread,
    /// Over the row's floor, of medians, with the least and the greatest of any round.
    over_floor: Spread,
    /// coturn over it, likewise.
    coturn_over: Option<Spread>,
    /// Datagrams its runs lost, all rounds together.
    lost: u64,
}

/// A contestant, the rate it was found to bear, and its rounds.
pub(super) type Measured = (Contestant, Found, Vec<Round>);

impl Row {
    /// From what was `measured`, the row's floor first. `failed` says who could not be, and why.
    pub(super) fn new(scene: Scene, measured: &[Measured], failed: Vec<String>) -> Self {
        let full = |rounds: &[Round]| -> Vec<Sample> {
            rounds.iter().map(|round| round.full.clone()).collect()
        };
        let coturn = measured.iter().find(|(who, ..)| *who == Contestant::Coturn);
        let coturn = coturn.map(|(_, _, rounds)| full(rounds));
        let floor = full(&measured[0].2);
        let mut said = failed;
        let mut entries = Vec::new();
        for (who, found, rounds) in measured {
            let of = |value: fn(&Round) -> f64| Spread::of(rounds.iter().map(value));
            let samples = full(rounds);
            let name = who.to_string();
            said.extend(found.note.iter().map(|note| format!("{name}: {note}")));
            said.extend(notes(&name, &samples));
            entries.push(Entry {
                name,
                who: *who,
                highest_per_s: found.rate,
                busy: of(|round| round.full.busy).median,
                cost_ns: cost(&samples),
                half_cost_ns: of(|round| round.half.cost_ns),
                p50_us: of(|round| round.p50_us),
                p99_us: of(|round| round.p99_us),
                over_floor: Spread::ratio(&samples, &floor),
                coturn_over: coturn.as_ref().map(|coturn| Spread::ratio(coturn, &samples)),
                lost: rounds.iter().map(|round| round.full.lost + round.half.lost).sum(),
            });
        }
        Self {
            traffic: scene.traffic.to_string(),
            size_bytes: scene.size,
            allocations: scene.allocations,
            sinks: if scene.traffic.in_trains() { scene.sinks.to_string() } else { "plain".into() },
            contestants: entries,
            notes: said,
        }
    }

    fn title(&self) -> String {
        let Self { traffic, size_bytes, allocations, sinks, .. } = self;
        format!("{traffic}, {size_bytes} B, {allocations}, {sinks}")
    }

    /// A line of the page for each of elara's back ends, or one without elara.
    fn cells(&self) -> Vec<[String; 14]> {
        let of = |who: fn(Contestant) -> bool| self.contestants.iter().filter(move |e| who(e.who));
        let elaras: Vec<&Entry> = of(|who| matches!(who, Contestant::Elara(_))).collect();
        let coturn = of(|who| who == Contestant::Coturn).next();
        let mut floors =
            of(|who| matches!(who, Contestant::Floor(_) | Contestant::Each(_))).map(|floor| {
                format!("{} ({})", floor.cost_ns, floor.name.trim_start_matches("floor "))
            });
        let (floor, other) = (or_dash(floors.next()), or_dash(floors.next()));
        let own = self.contestants.first();
        let line = |elara: Option<&Entry>| {
            let three = |value: fn(&Entry) -> String| {
                [elara, own, coturn].map(|entry| or_dash(entry.map(value))).join(" / ")
            };
            let io = elara.and_then(|elara| elara.name.strip_prefix("elara ").map(str::to_owned));
            [
                self.traffic.clone(),
                self.size_bytes.to_string(),
                self.allocations.to_string(),
                self.sinks.clone(),
                or_dash(io),
                or_dash(elara.map(|elara| elara.cost_ns.to_string())),
                floor.clone(),
                other.clone(),
                or_dash(coturn.map(|coturn| coturn.cost_ns.to_string())),
                or_dash(elara.map(|elara| elara.over_floor.times())),
                or_dash(coturn.map(|coturn| coturn.over_floor.times())),
                or_dash(elara.and_then(|elara| elara.coturn_over.map(|over| over.times()))),
                three(|entry| format!("{:.0}k", entry.highest_per_s / 1e3)),
                three(|entry| format!("{:.0}, {:.0}", entry.p50_us.median, entry.p99_us.median)),
            ]
        };
        if elaras.is_empty() {
            return vec![line(None)];
        }
        elaras.into_iter().map(|elara| line(Some(elara))).collect()
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

const COLUMNS: [&str; 14] = [
    "traffic",
    "bytes",
    "allocations",
    "sinks",
    "io",
    "elara ns",
    "floor ns",
    "other floor ns",
    "coturn ns",
    "elara / floor",
    "coturn / floor",
    "coturn / elara",
    "most a second: elara / floor / coturn",
    "p50, p99 us at half: elara / floor / coturn",
];

impl Report {
    pub(super) fn new(taken: Taken, servers: &Servers, rate: Option<f64>) -> Self {
        let (coturn, absent) = (servers.coturn.clone(), servers.absent.clone());
        Self { taken, coturn, absent, rate, rows: Vec::new() }
    }

    /// What its figures are.
    fn shows(&self) -> String {
        let rate = match self.rate {
            Some(rate) => format!("everyone at {rate} a second"),
            None => "each at its highest loss-free rate".to_owned(),
        };
        format!("Cpu-nanoseconds per relayed datagram, {rate}")
    }

    /// Who stood beside elara, and who was not there.
    fn servers(&self) -> Vec<String> {
        let coturn = self.coturn.iter().map(|coturn| format!("coturn calls itself {coturn}"));
        coturn.chain(self.absent.iter().cloned()).collect()
    }
}

impl Published for Report {
    const NAME: &'static str = "turn";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().flat_map(Row::cells));
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            text += &format!("\n{}: {}.\n", row.title(), row.notes.join("; "));
        }
        let servers = self.servers();
        if !servers.is_empty() {
            text += &format!("\n{}.\n", servers.join("; "));
        }
        text + &self.taken.caption(&self.shows())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        self.servers().iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "{}: median [least, greatest]", self.shows())?;
        for row in &self.rows {
            writeln!(f, "{}", row.title())?;
            for entry in &row.contestants {
                let Entry { name, highest_per_s, cost_ns, half_cost_ns, over_floor, .. } = entry;
                write!(f, "  {name:<26} {highest_per_s:>8.0}/s {:>4.0}%", entry.busy * 100.0)?;
                write!(f, "  {cost_ns:<20} at half {half_cost_ns:<20}")?;
                write!(f, " {:.2} of the floor", over_floor.median)?;
                let over = entry.coturn_over.filter(|_| entry.who != Contestant::Coturn);
                if let Some(over) = over {
                    write!(f, ", coturn {:.2} of it", over.median)?;
                }
                let (p50, p99) = (entry.p50_us.median, entry.p99_us.median);
                writeln!(f, "; p50 {p50:.0} us, p99 {p99:.0} us, {} lost", entry.lost)?;
            }
            row.notes.iter().try_for_each(|note| writeln!(f, "  ! {note}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contest::Sinks;
    use super::super::super::machine::Machine;
    use super::super::super::workload::Io;
    use super::super::floor::Technique;
    use super::super::scene::Traffic;
    use super::*;

    fn measured(who: Contestant, rate: f64, costs: [f64; 3]) -> Measured {
        let round = |cost_ns| {
            let full = Sample { cost_ns, delivered: 1_000, seconds: 1.0, ..Sample::default() };
            let half = Sample { cost_ns: cost_ns * 1.3, ..full.clone() };
            Round { full, half, p50_us: 17.0, p99_us: 500.0 }
        };
        (who, Found { rate, note: None }, costs.map(round).to_vec())
    }

    fn report(more: &[Measured]) -> Report {
        let mut measured = vec![
            measured(Contestant::Floor(Technique::Mmsg), 289_000.0, [3_500.0, 3_400.0, 3_600.0]),
            measured(Contestant::Each(Technique::Mmsg), 250_000.0, [3_900.0; 3]),
            measured(Contestant::Coturn, 207_400.0, [4_760.0, 4_700.0, 4_800.0]),
        ];
        measured.extend_from_slice(more);
        let scene = Scene { traffic: Traffic::Up, size: 120, allocations: 50, sinks: Sinks::Plain };
        let machine = Machine {
            cpu: "A Fine CPU".into(),
            cpus: 2,
            kernel: "6.18".into(),
            commit: "abc".into(),
            date: "2025-01-01".into(),
        };
        let command = "cargo xtask bench turn".into();
        let failed = vec!["somebody was not there".to_owned()];
        Report {
            taken: Taken { command, machine, rounds: 3, seconds: 1 },
            coturn: Some("Coturn-4.6.1".into()),
            absent: Vec::new(),
            rate: None,
            rows: vec![Row::new(scene, &measured, failed)],
        }
    }

    #[test]
    fn a_server_stands_beside_its_floor_and_beside_coturn() {
        let elara = measured(Contestant::Elara(Io::Uring), 280_000.0, [3_800.0, 3_808.0, 3_850.0]);
        let report = report(&[elara]);
        let entries = &report.rows[0].contestants;
        assert!((entries[2].over_floor.median - 4_760.0 / 3_500.0).abs() < 1e-9);
        assert!((entries[3].coturn_over.unwrap().median - 1.25).abs() < 1e-9);
        let text = report.markdown();
        for part in [
            "| up | 120 | 50 | plain | uring | 3808 [3800, 3850] | 3500 [3400, 3600] (mmsg) |",
            "| 3900 [3900, 3900] (mmsg, a socket each) | 4760 [4700, 4800] | **1.09** [1.07, 1.12] |",
            "| 280k / 289k / 207k | 17, 500 / 17, 500 / 17, 500 |",
            "\nup, 120 B, 50, plain: somebody was not there.\n",
            "\ncoturn calls itself Coturn-4.6.1.\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn without_elara_there_is_a_line_with_the_others() {
        let report = report(&[]);
        let text = report.markdown();
        assert!(
            text.contains("| up | 120 | 50 | plain | - | - | 3500 [3400, 3600] (mmsg) |"),
            "{text}"
        );
        assert!(text.contains("| - / 289k / 207k |"), "{text}");
        let mut lines = text.lines().filter(|line| line.starts_with('|'));
        assert!(lines.all(|line| line.matches('|').count() == COLUMNS.len() + 1));
        assert!(report.to_string().contains("coturn"));
    }

    #[test]
    fn two_back_ends_are_two_lines() {
        let elara = |io| measured(Contestant::Elara(io), 280_000.0, [3_800.0; 3]);
        let report = report(&[elara(Io::Uring), elara(Io::Syscall)]);
        assert_eq!(report.rows[0].cells().len(), 2);
    }
}
