//! `cargo xtask bench turn`: what a TURN server costs beside a floor, and beside coturn.
//!
//! One to one: clients send ChannelData to peers, peers to clients, clients to each other; datagram by
//! datagram from many allocations, or in trains from one. A [`generator`] in this process is all clients
//! and all peers; it is on cpu 1, contestants are on cpu 0. In each row
//!
//! 1. each contestant's highest loss-free rate is [searched](search) for,
//! 2. then all take turns, round after round, forwards and backwards: each started anew, asked for its
//!    allocations, and loaded at that rate for its cost, and at half of it for its latency.
//!
//! A forwarder gets cheaper per datagram the busier it is; so each is measured where it is as busy as it
//! can be.

mod client;
mod contestant;
pub(crate) mod floor;
mod generator;
mod report;
mod scene;
mod search;
mod side;
mod storm;

use std::time::Duration;

use clap::Args;
use elara_shards::sys::cpu;

use self::contestant::{Contestant, Servers};
use self::generator::{Generator, UNDER_WAY_MAX, Window};
use self::report::{Measured, Report, Round, Row};
use self::scene::{ALLOCATIONS_MAX, SIZE_MAX, SIZE_MIN, Scene, Traffic, Wanted};
use self::search::{Found, Length, Probe, highest};
use self::storm::Storm;
use super::contest::Sinks;
use super::process::LOAD_CPU;
use super::taken::Taken;
use super::workload::Io;
use super::{Output, chosen, names};
use crate::ci;
use crate::shell::Places;

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench turn
      every way, 120 to 1,200 bytes, 1 to 1,000 allocations, trains, in less than half an hour
  cargo xtask bench turn --only up,c2c --size 120 --allocations 50 --io uring
      two rows, one back end, in two minutes
  cargo xtask bench turn --only trains-up --sinks gro --rounds 5 --seconds 3
      trains of 32 towards a peer that reads trains
  cargo xtask bench turn --allocations 10000 --size 120
      very many allocations
  cargo xtask bench turn --refresh-storm 10000 --seconds 10
      how many refreshes of 10,000 allocations get lost

coturn stands beside elara where its turnserver is: apt-get install coturn.";

/// What `bench turn` is told.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    /// Every size with every number of allocations, 5 rounds of 3 seconds, where nothing else is said.
    #[arg(long)]
    all: bool,
    /// Rounds; every contestant runs once in each [3, with --all 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Measured seconds of each run [1, with --all 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    seconds: Option<u32>,
    /// Only this traffic.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TRAFFIC,..")]
    only: Vec<Traffic>,
    /// Bytes of payload [120,200,1200; trains of 1200]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "BYTES,..",
        value_parser = clap::value_parser!(u16).range(i64::from(SIZE_MIN)..=i64::from(SIZE_MAX))
    )]
    size: Vec<u16>,
    /// Numbers of allocations; two at least from client to client [50; 1 and 1000 with 120 bytes]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "COUNT,..",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(ALLOCATIONS_MAX))
    )]
    allocations: Vec<u32>,
    /// How trains are received.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SINKS,..")]
    sinks: Vec<Sinks>,
    /// Only these back ends of elara.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "IO,..")]
    io: Vec<Io>,
    /// Datagrams a second for everyone, instead of searching; refreshes with --refresh-storm.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Only refresh this many allocations, and count what is lost.
    #[arg(
        long,
        value_name = "ALLOCATIONS",
        conflicts_with_all = ["all", "only", "size", "allocations", "sinks"],
        value_parser = clap::value_parser!(u32).range(100..=i64::from(ALLOCATIONS_MAX))
    )]
    refresh_storm: Option<u32>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1.0..=1e8).contains(&rate) => Ok(rate),
        _ => Err("not a number of datagrams a second, 1 to 100000000".into()),
    }
}

/// Load before a window that is searched with, and before one that is measured.
const SHORT_WARMUP: Duration = Duration::from_millis(100);
const WARMUP: Duration = Duration::from_millis(300);
/// How long one is that is searched with, and one that confirms what was found.
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(1);

/// Builds, measures, prints. False when a datagram came that must not exist, or a contestant failed.
///
/// # Errors
/// When something cannot be built, started or understood, or what was asked for makes no sense.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    let (rounds, seconds) = (options.rounds(), options.seconds());
    let scenes = options.wanted().scenes()?;
    let storm = options.refresh_storm.map(|n| Storm::new(n, options.rate, rounds, seconds));
    let storm = storm.transpose()?;
    ci::build().perform()?;
    // Before this process keeps to one cpu: it says how many there are.
    let taken = Taken::now(options.command(), rounds, seconds);
    cpu::pin(LOAD_CPU).map_err(|error| format!("the generator: {error}"))?;
    let servers = Servers::find(&chosen(&options.io), places);
    if let Some(storm) = storm {
        if servers.there.is_empty() {
            return Err("there is no TURN server to refresh anything at".into());
        }
        let report = storm.run(taken, &servers, places)?;
        options.output.put(&report, places)?;
        return Ok(report.is_clean());
    }
    let (mut report, mut clean) = (Report::new(taken, &servers, options.rate), true);
    for scene in scenes {
        report.rows.push(row(scene, &servers.there, options, places, &mut clean)?);
    }
    options.output.put(&report, places)?;
    Ok(clean)
}

/// Measures everybody in one scene. Who fails is left out of it, and said; without its floor a row is
/// nothing.
fn row(
    scene: Scene,
    servers: &[Contestant],
    options: &Options,
    places: &Places,
    clean: &mut bool,
) -> Result<Row, String> {
    let mut measured: Vec<Measured> = Vec::new();
    let mut failed = Vec::new();
    let mut fails = |who: Contestant, error: String| {
        if let Contestant::Floor(_) = who {
            return Err(error);
        }
        eprintln!("! {scene}: {who} failed: {error}");
        failed.push(format!("{who} failed"));
        *clean = false;
        Ok(())
    };
    for who in Contestant::line_up(scene, servers) {
        let told = |rate| Ok(Found { rate, note: None });
        match options.rate.map_or_else(|| search(who, scene, places), told) {
            Ok(found) => measured.push((who, found, Vec::new())),
            Err(error) => fails(who, error)?,
        }
    }
    let rounds = options.rounds();
    for round in 1..=rounds {
        for (who, found, of) in &mut measured {
            match measure(*who, scene, found.rate, options.seconds(), places) {
                Ok(it) => {
                    let Round { full, half, p50_us, p99_us } = &it;
                    eprintln!(
                        "{scene} round {round}/{rounds}: {who:<26} {full} at {:.0}/s; at half {half}, \
                         p50 {p50_us:.0} us, p99 {p99_us:.0} us",
                        found.rate
                    );
                    of.push(it);
                }
                Err(error) => fails(*who, error)?,
            }
        }
        measured.retain(|(_, _, of)| of.len() == round as usize);
        // Every other round backwards, so that nobody is always the first or the last.
        measured.reverse();
    }
    if rounds % 2 == 1 {
        measured.reverse();
    }
    let wrong = |(_, _, of): &Measured| of.iter().any(|it| it.full.wrong + it.half.wrong > 0);
    let strange = measured.iter().any(wrong);
    let row = Row::new(scene, &measured, failed);
    *clean &= !strange;
    Ok(row)
}

/// The highest rate at which `who` loses nothing.
fn search(who: Contestant, scene: Scene, places: &Places) -> Result<Found, String> {
    let mut generator = Generator::open(scene)?;
    let started = who.face(scene, &mut generator, places)?;
    let found = highest(|rate, length| {
        let (warmup, long) = match length {
            Length::Short => (SHORT_WARMUP, SHORT),
            Length::Long => (WARMUP, LONG),
        };
        let window = generator.measure(started.pid(), rate, warmup, long)?;
        let Window { sample, under_way, .. } = window;
        let clean = sample.is_clean() && under_way <= UNDER_WAY_MAX;
        Ok(Probe { sample, clean })
    })?;
    let note = found.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
    eprintln!("{scene}: {who} bears {:.0}/s{note}", found.rate);
    Ok(found)
}

/// One run of `who`: its cost at `rate`, its latency at half of that.
fn measure(
    who: Contestant,
    scene: Scene,
    rate: f64,
    seconds: u32,
    places: &Places,
) -> Result<Round, String> {
    let mut generator = Generator::open(scene)?;
    let started = who.face(scene, &mut generator, places)?;
    let long = Duration::from_secs(seconds.into());
    let full = generator.measure(started.pid(), rate, WARMUP, long)?;
    let half = generator.measure(started.pid(), rate / 2.0, WARMUP, long)?;
    let us = |quantile| half.latency.value_at_quantile(quantile) as f64 / 1e3;
    let (p50_us, p99_us) = (us(0.5), us(0.99));
    Ok(Round { full: full.sample, half: half.sample, p50_us, p99_us })
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.all { 5 } else { 3 })
    }

    fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.all { 3 } else { 1 })
    }

    fn wanted(&self) -> Wanted<'_> {
        let Self { only, size, allocations, sinks, all, .. } = self;
        Wanted { traffic: only, sizes: size, allocations, sinks, all: *all }
    }

    /// The command that repeats this.
    fn command(&self) -> String {
        let (rounds, seconds) = (self.rounds(), self.seconds());
        let mut command = "cargo xtask bench turn".to_owned();
        if self.all {
            command += " --all";
        }
        command += &format!(" --rounds {rounds} --seconds {seconds}");
        command += &names("--only", &self.only);
        command += &names("--size", &self.size);
        command += &names("--allocations", &self.allocations);
        command += &names("--sinks", &self.sinks);
        command += &names("--io", &self.io);
        if let Some(rate) = self.rate {
            command += &format!(" --rate {rate}");
        }
        if let Some(allocations) = self.refresh_storm {
            command += &format!(" --refresh-storm {allocations}");
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

    fn refusal(line: &str) -> String {
        Line::try_parse_from(line.split(' ')).err().unwrap().to_string()
    }

    #[test]
    fn a_command_repeats_what_was_chosen() {
        for typed in [
            "--all --rounds 2 --seconds 1 --only up,trains-down --size 120,200 --allocations 1,50 \
             --sinks gro --io syscall --rate 70000",
            "--rounds 3 --seconds 10 --rate 500 --refresh-storm 1000",
        ] {
            let command = options(&format!("turn {typed}")).command();
            assert_eq!(command, format!("cargo xtask bench turn {typed}"));
        }
    }

    #[test]
    fn a_mistake_says_what_would_be_right() {
        assert!(refusal("turn --only sideways").contains("c2c"));
        assert!(refusal("turn --size 15").contains("16..=1400"));
        assert!(refusal("turn --allocations 10001").contains("10000"));
        assert!(refusal("turn --rate fast").contains("not a number of datagrams a second"));
        let storm = refusal("turn --refresh-storm 1000 --only up");
        assert!(storm.contains("cannot be used with"), "{storm}");
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let usual = options("turn");
        assert_eq!((usual.rounds(), usual.seconds()), (3, 1));
        assert_eq!(options("turn --all").seconds(), 3);
        assert!(usual.wanted().scenes().unwrap().len() < 20);
    }
}
