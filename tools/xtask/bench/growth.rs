//! `cargo xtask bench growth`: what more sessions do to the cost of each datagram.
//!
//! However many sessions there are, one shard gets the same frames a second, from senders drawn at random
//! over all of them. So what grows is how much of the memory a frame needs is not in the cache. The kernel,
//! too, sends to more destinations then: beside the relay stands a floor that knows as many.
//!
//! Contestants are on cpu 0; the [`crowd`] is this process, on cpu 1. Each run starts its contestant anew,
//! and measures at once: the relay forgets who is silent for a minute.

mod crowd;
mod draws;
mod report;

use std::io;
use std::net::SocketAddr;

use clap::Args;
use elara_core::limits::{V0_FRAME_MAX, V0_FRAME_MIN, V0_PARTICIPANTS_MAX};
use elara_shards::sys::cpu;

use self::crowd::Crowd;
use self::report::{Report, Row, Size};
use super::contest::Sample;
use super::process::{DevRelay, LOAD_CPU, Running};
use super::taken::Taken;
use super::workload::{Io, Manner};
use super::{Output, chosen, names};
use crate::ci;
use crate::shell::{Places, run as program};

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench growth
      10, 1,000 and 100,000 sessions of ten, in less than five minutes
  cargo xtask bench growth --participants 2 --rate 50000
      one to one
  cargo xtask bench growth --sessions 10,100000 --io uring --rounds 5 --seconds 5 --publish
      one back end, longer, into docs/PERFORMANCE.md";

/// What `bench growth` is told.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds; every contestant runs once in each, at each number of sessions.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    seconds: u32,
    /// Numbers of sessions; growth is counted from the first.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "COUNT,..",
        default_values_t = [10, 1_000, 100_000],
        value_parser = clap::value_parser!(u32).range(10..=131_072)
    )]
    sessions: Vec<u32>,
    /// Participants of each session.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    participants: u32,
    /// Frames a second into the relay, from all sessions together.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    rate: u32,
    /// Bytes of a frame, or up to 15 more: frames of one session that meet must not share a send.
    #[arg(
        long,
        default_value_t = 120,
        value_parser = clap::value_parser!(u16).range(V0_FRAME_MIN as i64 + 1..=(V0_FRAME_MAX - 15) as i64)
    )]
    size: u16,
    /// Only these back ends of the relay.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "IO,..")]
    io: Vec<Io>,
}

/// Builds, measures, prints. False when a datagram came that must not exist.
///
/// # Errors
/// When something cannot be built, started or understood, or there would be too many participants.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    options.check()?;
    ci::build().perform()?;
    // Before this process keeps to one cpu: it says how many there are.
    let taken = Taken::now(options.command(), options.rounds, options.seconds);
    cpu::pin(LOAD_CPU).map_err(|error| format!("the crowd: {error}"))?;
    let ios = chosen(&options.io);
    let contestants: Vec<Contestant> =
        ios.iter().flat_map(|io| [Contestant::Relay(*io), Contestant::Floor(*io)]).collect();
    // By number of sessions, then by contestant, then by round.
    let mut samples = vec![vec![Vec::new(); contestants.len()]; options.sessions.len()];
    // What one contestant grows by is measured in a row, as a busy machine changes by the minute.
    let mut order: Vec<(usize, usize)> = (0..contestants.len())
        .flat_map(|who| (0..options.sessions.len()).map(move |size| (who, size)))
        .collect();
    for round in 1..=options.rounds {
        for (who, size) in order.iter().copied() {
            let (contestant, sessions) = (contestants[who], options.sessions[size]);
            let sample = contestant.measure(sessions, options, places)?;
            let (rounds, name) = (options.rounds, contestant.name());
            eprintln!("{name:<15} round {round}/{rounds}: {sessions:>6} sessions, {sample}");
            samples[size][who].push(sample);
        }
        // Every other round backwards, so that nobody is always the first or the last.
        order.reverse();
    }
    let clean = samples.iter().flatten().flatten().all(|sample| sample.wrong == 0);
    let (smallest, mut rows) = (&samples[0], Vec::new());
    for (index, io) in ios.iter().enumerate() {
        for (sessions, samples) in options.sessions.iter().zip(&samples) {
            let size = Size { sessions: *sessions, participants: options.participants };
            let of = |samples: &[Vec<Sample>], at: usize| samples[2 * index + at].clone();
            let at = [of(samples, 0), of(samples, 1)];
            let first = [of(smallest, 0), of(smallest, 1)];
            rows.push(Row::new(size, *io, &at, &first));
        }
    }
    options.output.put(&Report { taken, rows }, places)?;
    Ok(clean)
}

/// Who is measured.
#[derive(Clone, Copy)]
enum Contestant {
    /// `elara serve`.
    Relay(Io),
    /// The floor of the same technique, one send a copy.
    Floor(Io),
}

/// A contestant that runs, and ends with this.
enum Started {
    Relay(DevRelay),
    Floor(Running),
}

impl Contestant {
    fn name(self) -> String {
        match self {
            Self::Relay(io) => format!("relay {io}"),
            Self::Floor(io) => format!("floor {}", io.technique(Manner::Single).name()),
        }
    }

    fn start(self, places: &Places) -> Result<Started, String> {
        match self {
            Self::Relay(io) => DevRelay::start(io, places).map(Started::Relay),
            Self::Floor(io) => {
                let technique = io.technique(Manner::Single).name();
                let args = ["floor-forwarder", "--technique", technique, "--by-address"];
                let command = program(places.binary("xtask"), args);
                Running::start(&command, "listening on").map(Started::Floor)
            }
        }
    }

    /// Starts it, introduces everyone, loads it.
    fn measure(self, sessions: u32, options: &Options, places: &Places) -> Result<Sample, String> {
        let wrong = |error: io::Error| format!("the crowd: {error}");
        let started = self.start(places)?;
        let running = started.running();
        let SocketAddr::V4(_) = running.addr else { return Err("it listens on IPv6".into()) };
        let (participants, size) = (options.participants, options.size.into());
        let mut crowd = Crowd::new(running.addr, sessions, participants, size).map_err(wrong)?;
        let unheard = crowd.introduce(&self.name()).map_err(wrong)?;
        if unheard > 0 {
            eprintln!("! {unheard} copies of introductions did not come: somebody may be unknown");
        }
        crowd.load(options.rate, options.seconds, running.pid()).map_err(wrong)
    }
}

impl Started {
    fn running(&self) -> &Running {
        match self {
            Self::Relay(relay) => &relay.running,
            Self::Floor(running) => running,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), String> {
        let most = self.sessions.iter().max().copied().unwrap_or_default();
        let everyone = u64::from(most) * u64::from(self.participants);
        if everyone > V0_PARTICIPANTS_MAX as u64 {
            return Err(format!(
                "{most} sessions of {} are {everyone} participants, and a shard keeps at most \
                 {V0_PARTICIPANTS_MAX}: fewer --sessions, or fewer --participants",
                self.participants
            ));
        }
        Ok(())
    }

    /// The command that repeats this.
    fn command(&self) -> String {
        let Self { rounds, seconds, participants, rate, size, .. } = self;
        let mut command = format!("cargo xtask bench growth --rounds {rounds} --seconds {seconds}");
        command += &names("--sessions", &self.sessions);
        command += &format!(" --participants {participants} --rate {rate} --size {size}");
        command + &names("--io", &self.io)
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
    fn more_participants_than_a_shard_keeps_are_refused() {
        assert!(options("growth").check().is_ok());
        let error = options("growth --sessions 10,100000 --participants 20").check().unwrap_err();
        assert!(error.contains("100000 sessions of 20 are 2000000"), "{error}");
        assert!(Line::try_parse_from(["growth", "--sessions", "9"]).is_err());
    }

    #[test]
    fn a_command_repeats_what_was_chosen() {
        let typed = "--rounds 2 --seconds 4 --sessions 10,100000 --participants 2 --rate 50000 \
                     --size 1200 --io syscall";
        let command = options(&format!("growth {typed}")).command();
        assert_eq!(command, format!("cargo xtask bench growth {typed}"));
    }
}
