//! `elara demo`: a relay and two hundred participants in one process, on loopback, for a few seconds.

use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use elara_load::{LoadError, Plan, Progress, Quantiles, Report};
use elara_runtime::{Compat, Counters, Node, NodeConfig, NodeHandle, V0Compat};
use tokio::sync::mpsc;

use super::say::{self, number, strong};
use super::signals::Signals;
use super::{Failure, control};

/// Sessions, and participants of each.
const SESSIONS: u32 = 20;
const PARTICIPANTS: u32 = 10;
/// Before the measured window, and after it.
const WARMUP: Duration = Duration::from_millis(500);
const DRAIN: Duration = Duration::from_millis(500);
/// How long the shards may take to end.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What `elara demo` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Demo {
    /// How long it lasts, in seconds
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=3_600))]
    seconds: u64,
}

const EXAMPLE: &str = "\
Example:
  elara demo --seconds 20   twenty seconds of two hundred people talking; Ctrl-C ends it earlier";

impl Demo {
    /// Runs the demo.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        control()?.block_on(demo(Duration::from_secs(self.seconds)))
    }
}

async fn demo(length: Duration) -> Result<(), Failure> {
    let config = NodeConfig {
        bind_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        compat: Compat { v0: V0Compat::loopback(), ..Compat::default() },
        ..NodeConfig::default()
    };
    let mut node = Node::new(config).await?;
    let signals = Signals::catch()?;
    let plan = Plan {
        target: node.local_addr(),
        sessions: SESSIONS,
        participants: PARTICIPANTS,
        duration: length - WARMUP - DRAIN,
        warmup: WARMUP,
        drain: DRAIN,
        ..Plan::voice()
    };
    say::fact(format_args!(
        "A relay with {} on this machine, and {} people in {} rooms. One in each room talks: {} \
         frames a second, {} bytes each.",
        plural(node.cpus().len() as u64, "shard"),
        strong(plan.members()),
        strong(plan.sessions),
        plan.rate,
        plan.size,
    ));
    let handle = node.handle();
    let report = {
        let (mut run, mut talk) = (pin!(node.run()), pin!(talk(&handle, plan, signals)));
        tokio::select! {
            // Well ended, it was told to: the talk is over in a moment.
            ended = &mut run => { ended?; talk.await }
            report = &mut talk => { run.await?; report }
        }
    };
    let report = report.map_err(|error| Failure::Broke(error.to_string()))?;
    let mut total = Counters::default();
    node.last_counters().iter().for_each(|shard| total.add(shard));
    summary(&report, &total).into_iter().for_each(say::fact);
    Ok(())
}

/// Lets the participants talk while the relay runs, shows how it goes, and stops the relay.
async fn talk(handle: &NodeHandle, plan: Plan, mut signals: Signals) -> Result<Report, LoadError> {
    let (tell, mut told) = mpsc::unbounded_channel(); // Five messages a second.
    let enough = Arc::new(AtomicBool::new(false));
    let generator = {
        let enough = Arc::clone(&enough);
        // A relay that never serves is reported by whoever runs it.
        let _ = handle.running().await;
        thread::spawn(move || {
            elara_load::run_until(&plan, &enough, &mut |progress| {
                let _ = tell.send(progress);
            })
        })
    };
    let mut screen = Screen::new();
    loop {
        tokio::select! {
            progress = told.recv() => match progress {
                Some(progress) => screen.show(handle, &progress).await,
                None => break,
            },
            _ = signals.next() => enough.store(true, Ordering::Relaxed),
        }
    }
    screen.clear();
    // It has dropped its end of the channel, so it is done.
    let report = generator.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let _ = handle.shutdown(SHUTDOWN).await;
    report
}

/// The live line: rewritten in place on a terminal, one line a second elsewhere.
struct Screen {
    terminal: bool,
    /// The last line's time and what the relay had counted then.
    before: (Duration, Counters),
}

impl Screen {
    fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), before: (Duration::ZERO, Counters::default()) }
    }

    async fn show(&mut self, handle: &NodeHandle, progress: &Progress) {
        let passed = progress.elapsed.saturating_sub(self.before.0);
        if !self.terminal && passed < Duration::from_secs(1) {
            return;
        }
        let Ok(shards) = handle.counters().await else { return };
        let mut counters = Counters::default();
        shards.iter().for_each(|shard| counters.add(shard));
        let line = live(progress, passed, &self.before.1, &counters);
        self.before = (progress.elapsed, counters);
        if self.terminal {
            let mut stdout = io::stdout().lock();
            let _ = write!(stdout, "\r\x1b[K{line}").and_then(|()| stdout.flush());
        } else {
            say::fact(line);
        }
    }

    fn clear(&self) {
        if self.terminal {
            let mut stdout = io::stdout().lock();
            let _ = write!(stdout, "\r\x1b[K").and_then(|()| stdout.flush());
        }
    }
}

/// What the relay counted between two looks, and what the participants hear.
fn live(progress: &Progress, passed: Duration, before: &Counters, after: &Counters) -> String {
    let per_s = |before: u64, after: u64| {
        let rate = after.saturating_sub(before) as f64 / passed.as_secs_f64().max(0.001);
        number(rate.round() as u64)
    };
    let median = progress
        .latency_p50
        .map_or_else(String::new, |p50| format!(", heard after {}", time(p50.as_nanos() as u64)));
    format!(
        "{:4.1} s  {} in {}, {} frames/s in, {} frames/s out{median}, {} lost",
        progress.elapsed.as_secs_f64(),
        plural(after.participants, "person"),
        plural(after.sessions, "room"),
        per_s(before.datagrams, after.datagrams),
        per_s(before.egress.sent, after.egress.sent),
        number(progress.lost),
    )
}

/// What a person may want to tell others.
fn summary(report: &Report, relay: &Counters) -> Vec<String> {
    let sent = report.offered - report.unsent;
    let mut lines = vec![
        String::new(),
        format!(
            "In {:.1} s they said {} frames, each to {} others: {} copies, {} lost.",
            report.measured_s,
            strong(number(sent)),
            report.plan.participants - 1,
            strong(number(report.delivered)),
            strong(number(report.lost)),
        ),
    ];
    if let Some(latency) = &report.latency_ns {
        lines.push("From when a frame was due to when it was heard:".to_owned());
        lines.extend(bars(latency));
    }
    let balance = if relay.balanced() { "they balance" } else { "they do NOT balance" };
    lines.push(format!(
        "The relay's books: {} datagrams in, {} forwarded, {} with nobody to hear, {} refused; \
         {} copies out. To the last one, {balance}.",
        number(relay.datagrams),
        number(relay.of(elara_runtime::Verdict::Forwarded)),
        number(relay.of(elara_runtime::Verdict::Alone)),
        number(relay.refused()),
        number(relay.copies),
    ));
    if report.bottleneck.is_some() {
        lines.push(
            "This machine had little time for the talkers, so the relay can do better than this."
                .to_owned(),
        );
    }
    lines.push(format!("Your own relay for this machine:  {}", strong("elara serve --dev")));
    lines
}

/// A bar for each quantile, logarithmic: else the slowest would leave the others no room.
fn bars(latency: &Quantiles) -> impl Iterator<Item = String> + use<> {
    const LONGEST: usize = 40;
    let rows = [
        ("half", latency.p50),
        ("9 in 10", latency.p90),
        ("99 in 100", latency.p99),
        ("999 in 1000", latency.p999),
        ("all", latency.max),
    ];
    let logarithm = |ns: u64| (ns.max(1_000) as f64 / 1_000.0).log2() + 1.0;
    let scale = LONGEST as f64 / logarithm(latency.max);
    rows.into_iter().map(move |(name, ns)| {
        let bar = "█".repeat((logarithm(ns) * scale).round() as usize);
        format!("  {name:>11}  {:>8}  {bar}", time(ns))
    })
}

/// Nanoseconds as a person says them.
fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

fn plural(count: u64, noun: &str) -> String {
    match (count, noun) {
        (1, noun) => format!("1 {noun}"),
        (_, "person") => format!("{} people", number(count)),
        _ => format!("{} {noun}s", number(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let shown = [0, 84_200, 999_999, 1_500_000, 2_000_000_000].map(time);
        assert_eq!(shown, ["0 µs", "84 µs", "999 µs", "1.5 ms", "2.0 s"]);
    }

    #[test]
    fn bars_grow_and_the_longest_fits_a_line() {
        let latency =
            Quantiles { p50: 80_000, p90: 200_000, p99: 2_000_000, p999: 9_000_000, max: 1 << 34 };
        let lengths: Vec<usize> =
            bars(&latency).map(|bar| bar.chars().filter(|c| *c == '█').count()).collect();
        assert!(lengths.is_sorted() && lengths[0] > 0, "{lengths:?}");
        assert_eq!(lengths.last(), Some(&40));
    }

    #[test]
    fn the_live_line_says_rates() {
        let progress = Progress {
            elapsed: Duration::from_millis(3_200),
            total: Duration::from_secs(8),
            sent: 1,
            delivered: 9,
            lost: 0,
            latency_p50: Some(Duration::from_micros(84)),
        };
        let mut after =
            Counters { datagrams: 500, participants: 200, sessions: 20, ..Counters::default() };
        after.egress.sent = 4_500;
        assert_eq!(
            live(&progress, Duration::from_millis(500), &Counters::default(), &after),
            " 3.2 s  200 people in 20 rooms, 1,000 frames/s in, 9,000 frames/s out, \
             heard after 84 µs, 0 lost"
        );
    }
}
