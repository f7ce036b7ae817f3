//! What was counted beside what is recorded: the rows, the judgement, and what to do about it.

use std::fmt;

use serde::Serialize;

use super::Workload;
use super::baseline::{Baseline, Differs, Machine};
use super::callgrind::Profile;

/// How much more than recorded fails, and how much less is worth recording.
const TOLERANCE: f64 = 0.05;

/// What stands above the rows.
pub(super) const HEAD: &str = "workload                      now   recorded    change";

/// One workload.
#[derive(Serialize)]
pub(super) struct Row {
    name: String,
    operation: String,
    /// Instructions of one operation.
    instructions: f64,
    baseline: Option<f64>,
    /// Beyond the recorded count, as a part of it.
    change: Option<f64>,
    judgement: Judgement,
    #[serde(skip)]
    profile: Profile,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Judgement {
    /// Within 5 %.
    Same,
    /// Above: the gate fails.
    Grew,
    /// Below: so much that it should be recorded.
    Faster,
    /// Nothing is recorded for it: the gate fails.
    New,
    /// The machine differs in what matters.
    NotCompared,
}

impl Row {
    pub(super) fn new(
        workload: &Workload,
        profile: Profile,
        baseline: Option<f64>,
        differs: Option<&Differs>,
    ) -> Self {
        let Workload { name, operation, cipher } = workload;
        let excused = differs
            .is_some_and(|differs| differs.all.is_some() || *cipher && differs.ciphers.is_some());
        let change = baseline.map(|baseline| profile.total / baseline - 1.0);
        Self {
            name: name.clone(),
            operation: operation.clone(),
            instructions: profile.total,
            baseline,
            change,
            judgement: judge(change, excused),
            profile,
        }
    }
}

fn judge(change: Option<f64>, excused: bool) -> Judgement {
    match change {
        None => Judgement::New,
        Some(_) if excused => Judgement::NotCompared,
        Some(change) if change > TOLERANCE => Judgement::Grew,
        Some(change) if change < -TOLERANCE => Judgement::Faster,
        Some(_) => Judgement::Same,
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, instructions, baseline, change, judgement, .. } = self;
        write!(f, "{name:<22} {instructions:>10.1} ")?;
        match baseline {
            Some(baseline) => write!(f, "{baseline:>10.1} ")?,
            None => write!(f, "{:>10} ", "-")?,
        }
        match change {
            Some(change) => write!(f, "{:>+7.1} %", change * 100.0)?,
            None => write!(f, "{:>9}", "-")?,
        }
        f.write_str(match judgement {
            Judgement::Same => "",
            Judgement::Grew => "  GREW",
            Judgement::Faster => "  faster: record it",
            Judgement::New => "  nothing recorded",
            Judgement::NotCompared => "  not compared",
        })
    }
}

/// All of them.
#[derive(Serialize)]
pub(super) struct Report {
    pub machine: Machine,
    pub differs: Differs,
    pub rows: Vec<Row>,
    /// Recorded, but no workload.
    pub gone: Vec<String>,
}

impl Report {
    /// Whether nothing grew, and all there is has its recorded count.
    pub(super) fn passes(&self) -> bool {
        let well = |row: &Row| !matches!(row.judgement, Judgement::Grew | Judgement::New);
        self.gone.is_empty() && self.rows.iter().all(well)
    }

    /// What was counted, to be the measure from here on.
    pub(super) fn baseline(&self) -> Baseline {
        // As many digits as are written.
        let rounded = |count: f64| (count * 10.0).round() / 10.0;
        let counts = self.rows.iter().map(|row| (row.name.clone(), rounded(row.instructions)));
        Baseline { machine: self.machine.clone(), instructions: counts.collect() }
    }

    /// Prints what follows from the rows, and the functions of those that grew, or of all.
    pub(super) fn conclude(&self, functions: bool) {
        print!("{self}");
        let wanted = |row: &&Row| functions || row.judgement == Judgement::Grew;
        for row in self.rows.iter().filter(wanted) {
            println!("\n{}, of {:.1}:", row.name, row.instructions);
            for (function, cost) in row.profile.dearest() {
                println!("{cost:>10.1}  {function}");
            }
        }
    }

    fn named(&self, judgement: Judgement) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.judgement == judgement).collect()
    }
}

/// What follows from the rows; nothing, when all is as recorded.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let excused = self.named(Judgement::NotCompared).len();
        for why in [&self.differs.all, &self.differs.ciphers].into_iter().flatten() {
            writeln!(f, "{excused} of {} were not compared: {why}", self.rows.len())?;
        }
        self.differs.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        for row in self.named(Judgement::Grew) {
            let (baseline, more) =
                (row.baseline.unwrap_or_default(), row.change.unwrap_or_default());
            let Row { name, instructions, operation, .. } = row;
            let (by, percent) = (instructions - baseline, more * 100.0);
            writeln!(f, "{name} grew by {by:.0} instructions, {percent:.1} % ({operation})")?;
        }
        for name in &self.gone {
            writeln!(f, "{name} is recorded and is no workload: cargo xtask count --record")?;
        }
        if !self.named(Judgement::New).is_empty() {
            writeln!(f, "what has nothing recorded is not guarded: cargo xtask count --record")?;
        }
        if !self.named(Judgement::Grew).is_empty() {
            writeln!(
                f,
                "Where they go: below, and for the commit before: cargo xtask count --only NAME \
                 --functions.\nIf that is the price of something worth it: cargo xtask count \
                 --record, and say in the commit what it buys."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, cipher: bool, count: f64, baseline: Option<f64>, differs: &Differs) -> Row {
        let workload = Workload { name: name.into(), operation: "one".into(), cipher };
        let functions = [("costly".to_owned(), count)].into();
        Row::new(&workload, Profile { total: count, functions }, baseline, Some(differs))
    }

    fn report(rows: Vec<Row>, differs: Differs) -> Report {
        let [arch, rustc, valgrind, libc] = [""; 4].map(str::to_owned);
        let machine = Machine { arch, rustc, valgrind, libc, features: Vec::new() };
        Report { machine, differs, rows, gone: Vec::new() }
    }

    #[test]
    fn five_percent_is_borne_and_more_is_not() {
        let judged = |count| row("a", false, count, Some(1_000.0), &Differs::default()).judgement;
        assert_eq!(judged(1_049.9), Judgement::Same);
        assert_eq!(judged(1_050.1), Judgement::Grew);
        assert_eq!(judged(950.1), Judgement::Same);
        assert_eq!(judged(949.9), Judgement::Faster);
    }

    #[test]
    fn what_grew_fails_and_is_named_with_how_much() {
        let same = Differs::default();
        let rows = vec![
            row("seal/120", true, 110.0, Some(100.0), &same),
            row("parse/v0", false, 50.0, Some(100.0), &same),
        ];
        let report = report(rows, same);
        assert!(!report.passes());
        let text = report.to_string();
        assert!(text.contains("seal/120 grew by 10 instructions, 10.0 % (one)"), "{text}");
        assert!(report.rows[1].to_string().ends_with("-50.0 %  faster: record it"));
        assert_eq!(report.baseline().instructions["seal/120"], 110.0);
    }

    #[test]
    fn what_is_faster_passes() {
        let rows = vec![row("a", false, 50.0, Some(100.0), &Differs::default())];
        assert!(report(rows, Differs::default()).passes());
    }

    #[test]
    fn what_has_nothing_recorded_or_is_gone_fails() {
        let rows = || vec![row("a", false, 50.0, None, &Differs::default())];
        assert!(!report(rows(), Differs::default()).passes());
        let gone = Report { gone: vec!["b".into()], ..report(Vec::new(), Differs::default()) };
        assert!(!gone.passes() && gone.to_string().contains("b is recorded"));
    }

    #[test]
    fn on_another_cpu_only_what_has_no_cipher_is_compared_and_the_rest_is_said() {
        let differs = Differs { ciphers: Some("no avx2".into()), ..Differs::default() };
        let rows = vec![
            row("seal", true, 900.0, Some(100.0), &differs),
            row("parse", false, 900.0, Some(100.0), &differs),
        ];
        let judged: Vec<Judgement> = rows.iter().map(|row| row.judgement).collect();
        assert_eq!(judged, [Judgement::NotCompared, Judgement::Grew]);
        let text = report(rows, differs).to_string();
        assert!(text.contains("1 of 2 were not compared: no avx2"), "{text}");
    }
}
