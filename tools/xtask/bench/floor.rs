//! `cargo xtask bench floor`: what the relay costs beside forwarders that do nothing.
//!
//! Absolute times are noise across machines; a ratio taken in one run is not. So every contestant of a
//! workload gets the same load, in turn, round after round, and what is published is the ratio of
//! medians with its spread.
//!
//! **The load.** A forwarder gets cheaper per datagram the busier it is, so cost is compared at one load. For
//! each workload the sending rate is searched with the `mmsg` floor until that is 45 to 65 % busy and
//! loses nothing; all contestants then get exactly that rate.
//!
//! **The cpus.** Contestant on cpu 0, load generator on cpu 1, over loopback.

use clap::Args;

use super::choice::Choice;
use super::contest::{self, Contestant, Io, Sample, Workload};
use super::forwarder::Technique;
use super::publish;
use super::report::{Report, Row};
use super::taken::Taken;
use crate::ci;
use crate::shell::Places;

/// What `bench floor` is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choice: Choice,
    /// Write the table into docs/PERFORMANCE.md and the number into README.md.
    #[arg(long)]
    publish: bool,
}

/// Builds, measures, prints. False when a datagram came that must not exist.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    ci::build().perform()?;
    let Choice { rounds, seconds, .. } = options.choice;
    let ios = options.choice.ios();
    let mut report = Report::new(Taken::now(options.choice.command("floor"), rounds, seconds));
    let mut clean = true;
    for workload in options.choice.workloads() {
        let rate = options.choice.rate(workload, places)?;
        let contestants = line_up(&ios);
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contestants.len()];
        for round in 1..=rounds {
            // Every other round backwards, so that nobody is always the first or the last.
            let mut order: Vec<usize> = (0..contestants.len()).collect();
            if round % 2 == 0 {
                order.reverse();
            }
            for index in order {
                let contestant = contestants[index];
                let sample = contest::run(contestant, workload, rate, seconds, places)?;
                eprintln!("{workload} round {round}/{rounds}: {contestant:<16} {sample}");
                clean &= sample.wrong == 0;
                samples[index].push(sample);
            }
        }
        let of = |wanted: Contestant| {
            let index = contestants.iter().position(|contestant| *contestant == wanted);
            &samples[index.expect("everyone a row needs is in the line-up")][..]
        };
        for io in &ios {
            let floor = of(Contestant::Floor(io.technique()));
            let naive = of(Contestant::Floor(Technique::Naive));
            report.rows.push(Row::new(
                workload,
                *io,
                rate,
                of(Contestant::Relay(*io)),
                floor,
                naive,
            ));
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

/// Each back end with the floor of its technique beside it, and the naive floor.
fn line_up(ios: &[Io]) -> Vec<Contestant> {
    let pairs =
        ios.iter().flat_map(|io| [Contestant::Relay(*io), Contestant::Floor(io.technique())]);
    pairs.chain([Contestant::Floor(Technique::Naive)]).collect()
}

/// Busy share of the yardstick that the search aims at, and the band it accepts.
const AIM: f64 = 0.55;
const BAND: std::ops::RangeInclusive<f64> = 0.45..=0.65;
const PROBES: u32 = 8;

/// Sends per second and sender at which the `mmsg` floor is busy but loses nothing.
pub(super) fn search(workload: Workload, places: &Places) -> Result<f64, String> {
    let yardstick = Contestant::Floor(Technique::Mmsg);
    let mut aim = Aim::new(workload.rate());
    for _ in 0..PROBES {
        let sample = contest::run(yardstick, workload, aim.rate, 1, places)?;
        eprintln!("{workload} search at {:.0}/s a sender: {sample}", aim.rate);
        if aim.take(&sample) {
            break;
        }
    }
    Ok(aim.best)
}

/// A search for a rate: up while there is room, down when something gives, never below nominal.
struct Aim {
    /// What people would have.
    nominal: f64,
    /// To be tried next.
    rate: f64,
    /// The highest that was clean.
    best: f64,
    /// The lowest that was not.
    wall: f64,
}

impl Aim {
    fn new(nominal: f64) -> Self {
        Self { nominal, rate: nominal, best: nominal, wall: f64::INFINITY }
    }

    /// Learns from a sample at `rate`. True when the search is over.
    fn take(&mut self, sample: &Sample) -> bool {
        let busy = sample.busy.max(0.01);
        let clean = sample.is_clean() && busy <= *BAND.end();
        if clean {
            self.best = self.rate;
            if BAND.contains(&busy) {
                return true;
            }
        } else {
            self.wall = self.wall.min(self.rate);
        }
        let step = if clean { AIM / busy } else { (AIM / busy).min(0.8) };
        let mut next = self.rate * step.clamp(0.5, 4.0);
        if next >= self.wall {
            next = f64::midpoint(self.best, self.wall);
        }
        next = next.max(self.nominal);
        let settled = (next - self.rate).abs() < self.rate * 0.03;
        self.rate = next.round();
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(busy: f64, lost: u64) -> Sample {
        Sample { busy, delivered: 100_000, lost, ..Sample::default() }
    }

    /// A forwarder that is `busy` at rate 1 and loses past `wall`, searched from `from`.
    fn found(from: f64, busy: f64, wall: f64) -> f64 {
        let mut aim = Aim::new(from);
        for _ in 0..PROBES {
            let lost = if aim.rate > wall { 1_000 } else { 0 };
            if aim.take(&sample((aim.rate * busy).min(1.0), lost)) {
                break;
            }
        }
        aim.best
    }

    #[test]
    fn the_search_ends_where_the_yardstick_is_busy_and_loses_nothing() {
        let busy = found(50.0, 0.002, f64::INFINITY) * 0.002;
        assert!(BAND.contains(&busy), "{busy}");
        let rate = found(50.0, 0.002, 150.0);
        assert!((100.0..=150.0).contains(&rate), "a generator that gives up first: {rate}");
        assert_eq!(found(50.0, 0.002, 10.0), 50.0, "never below nominal");
    }

    #[test]
    fn everyone_a_row_needs_is_in_the_line_up() {
        let both = line_up(&[Io::Uring, Io::Syscall]);
        assert_eq!(both.len(), 5);
        assert_eq!(line_up(&[Io::Syscall]).len(), 3);
    }
}
