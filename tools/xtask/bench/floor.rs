//! `cargo xtask bench floor`: what the relay costs beside forwarders that do nothing.
//!
//! Absolute times are noise across machines; a ratio taken in one run is not. So every contestant of a
//! row gets the same load, in turn, round after round, and what is published is the ratio of medians with
//! its spread.
//!
//! A row's floor sends as the relay does there: frame by frame, what came in a turn in one send for each
//! receiver, or what came within a moment in one datagram. Beside it stands `naive`, one send a frame.
//! The load is that of [`search`]; contestants are on cpu 0, the generator on cpu 1, and a [`Path`] lies
//! between them.

use clap::Args;

use super::contest::{self, Contestant, Sample, Scene, Sinks};
use super::forwarder::Technique;
use super::path::{Lab, Path};
use super::publish;
use super::report::{Report, Row};
use super::search::{Found, search};
use super::taken::Taken;
use super::workload::{Case, Io, Wire, Workload};
use super::{chosen, names};
use crate::ci;
use crate::shell::Places;

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench floor
      every workload in both wires over loopback, in about a quarter of an hour
  cargo xtask bench floor --only bigroom --wire v1 --path ifb --rounds 5 --seconds 3
      a big room towards a card that segments, with frames that wait 0, 1 and 5 ms
  cargo xtask bench floor --all --json
      every workload, wire, path, kind of sink and back end, in some hours, for a program to read

--path veth and ifb make network namespaces, and need root for it.";

/// What `bench floor` is told.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write the table into docs/PERFORMANCE.md and the number into README.md.
    #[arg(long)]
    publish: bool,
    /// Every path and kind of sink, 5 rounds of 3 seconds, where nothing else is said.
    #[arg(long)]
    all: bool,
    /// Rounds; every contestant runs once in each [3, with --all 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Measured seconds of each run [1, with --all 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    seconds: Option<u32>,
    /// Only these workloads.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOAD,..")]
    only: Vec<Workload>,
    /// Only these wires.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WIRE,..")]
    wire: Vec<Wire>,
    /// Over these paths [lo]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PATH,..")]
    path: Vec<Path>,
    /// Received like this [plain]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SINKS,..")]
    sinks: Vec<Sinks>,
    /// Only these back ends of the relay.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "IO,..")]
    io: Vec<Io>,
    /// Sends per second and sender, instead of searching for a rate.
    #[arg(long)]
    rate: Option<f64>,
}

/// Builds, measures, prints. False when a datagram came that must not exist.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    // First what may not be had, then what takes time.
    let labs: Vec<Lab> = options.paths().into_iter().map(Lab::open).collect::<Result<_, _>>()?;
    ci::build().perform()?;
    let (rounds, seconds) = (options.rounds(), options.seconds());
    let mut report = Report::new(Taken::now(options.command(), rounds, seconds));
    let mut clean = true;
    for lab in &labs {
        for sinks in options.sinks_of(lab.path) {
            for case in Case::all(&chosen(&options.only), &chosen(&options.wire)) {
                let scene = Scene { case, sinks, lab, places };
                let rows = rows(&scene, options, &mut clean)?;
                report.rows.extend(rows);
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        println!("{report}");
    }
    if options.publish {
        publish::write(&report, &places.root)?;
    }
    Ok(clean)
}

/// The rows of a scene, one for each back end.
fn rows(scene: &Scene<'_>, options: &Options, clean: &mut bool) -> Result<Vec<Row>, String> {
    let told = |rate| Ok(Found { rate, note: None });
    let found = options.rate.map_or_else(|| search(scene), told)?;
    let ios = chosen(&options.io);
    let contestants = line_up(scene.case, &ios);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contestants.len()];
    let rounds = options.rounds();
    for round in 1..=rounds {
        // Every other round backwards, so that nobody is always the first or the last.
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for index in order {
            let contestant = contestants[index];
            let sample = contest::run(contestant, scene, found.rate, options.seconds())?;
            eprintln!("{scene} round {round}/{rounds}: {contestant:<18} {sample}");
            *clean &= sample.wrong == 0;
            samples[index].push(sample);
        }
    }
    let of = |wanted: Contestant| {
        let index = contestants.iter().position(|contestant| *contestant == wanted);
        &samples[index.expect("everyone a row needs is in the line-up")][..]
    };
    let row = |io: &Io| {
        let floor = Contestant::Floor(io.technique(scene.case.manner()));
        let naive = of(Contestant::Floor(Technique::Naive));
        Row::new(scene, *io, &found, of(Contestant::Relay(*io)), of(floor), naive)
    };
    Ok(ios.iter().map(row).collect())
}

/// Each back end with the floor of its technique beside it, and the naive floor.
fn line_up(case: Case, ios: &[Io]) -> Vec<Contestant> {
    let floor = |io: Io| Contestant::Floor(io.technique(case.manner()));
    let pairs = ios.iter().flat_map(|io| [Contestant::Relay(*io), floor(*io)]);
    pairs.chain([Contestant::Floor(Technique::Naive)]).collect()
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.all { 5 } else { 3 })
    }

    fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.all { 3 } else { 1 })
    }

    fn paths(&self) -> Vec<Path> {
        if self.path.is_empty() && !self.all { vec![Path::Lo] } else { chosen(&self.path) }
    }

    /// The kinds of sinks of a path; where nothing arrives there is nothing to choose.
    fn sinks_of(&self, path: Path) -> Vec<Sinks> {
        if path == Path::Ifb || self.sinks.is_empty() && !self.all {
            return vec![Sinks::Plain];
        }
        chosen(&self.sinks)
    }

    /// The command that repeats this.
    fn command(&self) -> String {
        let (rounds, seconds) = (self.rounds(), self.seconds());
        let mut command = "cargo xtask bench floor".to_owned();
        if self.all {
            command += " --all";
        }
        command += &format!(" --rounds {rounds} --seconds {seconds}");
        command += &names("--only", &self.only);
        command += &names("--wire", &self.wire);
        command += &names("--path", &self.path);
        command += &names("--sinks", &self.sinks);
        command += &names("--io", &self.io);
        if let Some(rate) = self.rate {
            command += &format!(" --rate {rate}");
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Line::try_parse_from(line.split(' ')).unwrap().options
    }

    #[test]
    fn everyone_a_row_needs_is_in_the_line_up() {
        let case = Case::v0(Workload::Video);
        let both = line_up(case, &[Io::Uring, Io::Syscall]);
        assert_eq!(both.len(), 5);
        assert!(both.contains(&Contestant::Floor(Technique::UringGso)));
        assert_eq!(line_up(case, &[Io::Syscall]).len(), 3);
    }

    #[test]
    fn what_is_not_said_is_loopback_in_a_quarter_of_an_hour_or_all_of_it() {
        let usual = options("floor");
        assert_eq!((usual.rounds(), usual.seconds(), usual.paths()), (3, 1, vec![Path::Lo]));
        assert_eq!(usual.sinks_of(Path::Lo), [Sinks::Plain]);
        let all = options("floor --all --seconds 2");
        assert_eq!((all.rounds(), all.seconds(), all.paths().len()), (5, 2, 3));
        assert_eq!(all.sinks_of(Path::Veth), [Sinks::Plain, Sinks::Gro]);
        assert_eq!(all.sinks_of(Path::Ifb).len(), 1);
    }

    #[test]
    fn a_command_repeats_what_was_chosen() {
        let typed = "--rounds 2 --seconds 1 --only bigroom,pair --wire v1 --path lo,ifb --sinks gro \
                     --io syscall --rate 70";
        let command = options(&format!("floor {typed}")).command();
        assert_eq!(command, format!("cargo xtask bench floor {typed}"));
    }
}
