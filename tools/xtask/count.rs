//! `cargo xtask count`: instructions of one operation, beside the recorded ones. A gate.
//!
//! Time is noise on a shared machine; instructions are not. `benches/count.rs` runs in valgrind's callgrind
//! twice for each workload, with few operations and with many, and what the second run has more of,
//! divided by the operations it did more, is what one costs: preparation is the same in both. The same
//! program on the same libraries counts the same, within some hundred instructions a run: under 1 % of the
//! smallest workload, and nothing of the others.
//!
//! What is recorded stands in `benches/instructions.toml`. Above it by more than 5 % fails.

mod baseline;
mod callgrind;
mod report;

use std::fmt::Display;
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::bench::publish;
use crate::needs::on_path;
use crate::shell::{Places, cargo, run as program};
use baseline::{Baseline, Machine};
use callgrind::{Profile, Valgrind};
use report::{Report, Row};

/// Operations of the two runs.
const FEW: u32 = 100;
const MANY: u32 = 1_100;

/// What `count` is told.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask count\n  cargo xtask count --only forward --functions \
    \x20  # where they go\n  cargo xtask count --record               # what is counted is the new measure"
)]
pub(crate) struct Options {
    /// Only workloads whose names begin so.
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    only: Vec<String>,
    /// Write what is counted into benches/instructions.toml and docs/PERFORMANCE.md.
    #[arg(long, conflicts_with = "only")]
    record: bool,
    /// Say which functions the instructions are spent in.
    #[arg(long)]
    functions: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What the program says about itself.
#[derive(Deserialize)]
struct About {
    most: u32,
    features: Vec<String>,
    workloads: Vec<Workload>,
}

/// One workload of `benches/count.rs`.
#[derive(Deserialize)]
struct Workload {
    name: String,
    /// One operation, in words.
    operation: String,
    /// Whether which code runs depends on the cpu's features.
    cipher: bool,
}

/// The gate, with nothing chosen.
pub(crate) fn gate(places: &Places) -> Result<bool, String> {
    let options = Options { only: Vec::new(), record: false, functions: false, json: false };
    run(&options, places)
}

/// Builds, counts, compares, prints. False when something grew, or has nothing to be compared with.
///
/// # Errors
/// When valgrind is missing, or something cannot be built, run or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    let missing = "valgrind is missing, and it is what counts: apt-get install valgrind";
    let valgrind = Valgrind::new(on_path("valgrind").ok_or(missing)?);
    let baseline = match Baseline::read(&places.root) {
        // Whoever records wants a new one, whatever is wrong with the old.
        Err(_) if options.record => None,
        read => Some(read?),
    };
    eprintln!("building benches/count.rs as the relay ships");
    let bench = ["bench", "--package", "elara", "--bench", "count", "--no-run"];
    let built = cargo(bench.into_iter().chain(["--message-format=json-render-diagnostics"]));
    let messages = built.read_aloud()?;
    let counted = executable(&messages, &places.root)?;
    let about: About = serde_json::from_str(&valgrind.about(&counted)?)
        .map_err(|error| format!("{counted} --about: {error}"))?;
    assert!(about.most >= MANY, "benches/count.rs prepares for the greater number");
    let machine = Machine::read(about.features)?;
    let chosen = chosen(&about.workloads, &options.only)?;
    let comparison = baseline.as_ref().map(|baseline| baseline.compare(&machine));
    let mut rows = Vec::new();
    // Whoever reads JSON gets nothing else on stdout, and whoever waits sees that it goes on.
    let show =
        |line: &dyn Display| if options.json { eprintln!("{line}") } else { println!("{line}") };
    show(&report::HEAD);
    for workload in chosen {
        let few = valgrind.profile(&counted, &workload.name, FEW)?;
        let many = valgrind.profile(&counted, &workload.name, MANY)?;
        let one = Profile::of_one(&few, &many, MANY - FEW);
        let recorded = baseline.as_ref().and_then(|it| it.instructions.get(&workload.name));
        let row = Row::new(workload, one, recorded.copied(), comparison.as_ref());
        show(&row);
        rows.push(row);
    }
    let gone = match &baseline {
        Some(baseline) if options.only.is_empty() => baseline.beyond(&about.workloads),
        _ => Vec::new(),
    };
    let report = Report { machine, differs: comparison.unwrap_or_default(), rows, gone };
    if options.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        println!("{json}");
    }
    if options.record {
        let recorded = report.baseline();
        recorded.write(&places.root)?;
        let table = recorded.markdown();
        publish::performance("instructions", &table, &places.root)?;
        eprintln!("recorded in {} and docs/PERFORMANCE.md", baseline::PATH);
        return Ok(true);
    }
    if !options.json {
        report.conclude(options.functions);
    }
    Ok(report.passes())
}

/// The bench's executable in cargo's messages, relative to the root: a path's length moves the stack, and
/// the stack's place changes counts a little.
fn executable(messages: &str, root: &Path) -> Result<String, String> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == "count");
    let path = built.find_map(|message| message["executable"].as_str().map(str::to_owned));
    let path = path.ok_or("cargo built no benches/count.rs")?;
    let relative = Path::new(&path).strip_prefix(root).unwrap_or_else(|_| Path::new(&path));
    Ok(relative.display().to_string())
}

/// The workloads whose names begin with one of `only`; all, when there is none.
fn chosen<'a>(all: &'a [Workload], only: &[String]) -> Result<Vec<&'a Workload>, String> {
    let begins = |workload: &Workload, start: &String| workload.name.starts_with(start.as_str());
    if let Some(nobody) = only.iter().find(|start| !all.iter().any(|work| begins(work, start))) {
        let names: Vec<&str> = all.iter().map(|workload| workload.name.as_str()).collect();
        return Err(format!("no workload begins with `{nobody}`; there are {}", names.join(", ")));
    }
    let wanted = |work: &&Workload| only.is_empty() || only.iter().any(|start| begins(work, start));
    Ok(all.iter().filter(wanted).collect())
}

/// A line of what a program prints, for the machine's facts.
fn line(name: &str, args: &[&str]) -> Result<String, String> {
    Ok(program(name, args.iter().copied()).read()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(name: &str) -> Workload {
        Workload { name: name.into(), operation: String::new(), cipher: false }
    }

    #[test]
    fn workloads_are_chosen_by_how_their_names_begin() {
        let all = [workload("parse/v0"), workload("parse/v1"), workload("seal/120")];
        let names = |only: &[&str]| -> Result<Vec<String>, String> {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            Ok(chosen(&all, &only)?.iter().map(|workload| workload.name.clone()).collect())
        };
        assert_eq!(names(&[]).unwrap().len(), 3);
        assert_eq!(names(&["parse"]).unwrap(), ["parse/v0", "parse/v1"]);
        assert_eq!(names(&["seal", "parse/v1"]).unwrap(), ["parse/v1", "seal/120"]);
        let error = names(&["parse", "pass"]).unwrap_err();
        assert!(error.contains("`pass`") && error.contains("parse/v0, parse/v1, seal/120"));
    }

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = "{\"target\":{\"name\":\"elara\"},\"executable\":null}\nnoise\n\
            {\"target\":{\"name\":\"count\"},\"executable\":\"/a/target/release/deps/count-1\"}\n";
        let found = executable(messages, Path::new("/a"));
        assert_eq!(found.unwrap(), "target/release/deps/count-1");
        assert!(executable("", Path::new("/a")).is_err());
    }
}
