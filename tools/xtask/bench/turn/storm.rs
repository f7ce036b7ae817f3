//! `--refresh-storm`: very many allocations, all of which want to live on.
//!
//! Refreshes go out one after the other at one pace, whatever comes back, and each once: one that was not
//! answered when its client's next is due, or a second after the last, is lost. With a new nonce one is
//! asked again, and is not.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use elara_shards::sys::cpu::process_cpu_nanos;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::super::Published;
use super::super::contest::Sinks;
use super::super::report::Spread;
use super::super::table;
use super::super::taken::Taken;
use super::client::{Came, Clients, Step};
use super::contestant::{Contestant, Servers};
use super::scene::CLIENTS;
use super::side::Side;
use crate::shell::Places;

/// Refreshes sent in a row, at most.
const ROW: u64 = 16;
/// How long after the last one an answer may come.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_micros(50);
/// In the usual storm everybody is heard once in so many seconds.
const PASS: u32 = 5;

/// How hard it blows.
#[derive(Clone, Copy)]
pub(super) struct Storm {
    pub(super) allocations: u32,
    /// Refreshes a second, from everybody together.
    pub(super) rate: u32,
    pub(super) rounds: u32,
    pub(super) seconds: u32,
}

impl Storm {
    /// At `rate`, or everybody once in five seconds.
    ///
    /// # Errors
    /// When an answer would have less than a second.
    pub(super) fn new(
        allocations: u32,
        rate: Option<f64>,
        rounds: u32,
        seconds: u32,
    ) -> Result<Self, String> {
        let rate = rate.map_or(allocations / PASS, |rate| rate as u32).max(1);
        if rate > allocations {
            return Err(format!(
                "{rate} refreshes a second of {allocations} allocations leave an answer less than a \
                 second: a lower --rate, or more --refresh-storm"
            ));
        }
        Ok(Self { allocations, rate, rounds, seconds })
    }

    /// Lets it loose on each server in each round.
    ///
    /// # Errors
    /// When a server cannot be started, or refuses an allocation.
    pub(super) fn run(
        self,
        taken: Taken,
        servers: &Servers,
        places: &Places,
    ) -> Result<Report, String> {
        let mut order: Vec<usize> = (0..servers.there.len()).collect();
        let mut samples = vec![Vec::new(); order.len()];
        for round in 1..=self.rounds {
            for index in order.iter().copied() {
                let server = servers.there[index];
                let sample =
                    self.blow(server, places).map_err(|error| format!("{server}: {error}"))?;
                eprintln!("{server:<13} round {round}/{}: {sample}", self.rounds);
                samples[index].push(sample);
            }
            order.reverse();
        }
        let rows = servers.there.iter().zip(&samples);
        let rows = rows.map(|(server, samples)| Row::new(*server, self, samples)).collect();
        let (coturn, absent) = (servers.coturn.clone(), servers.absent.clone());
        Ok(Report { taken, coturn, absent, rows })
    }

    fn blow(self, server: Contestant, places: &Places) -> Result<Sample, String> {
        let wrong = |error: std::io::Error| format!("the clients: {error}");
        let started = server.start(places)?;
        let mut side = Side::open(CLIENTS, self.allocations, Sinks::Plain).map_err(wrong)?;
        let mut clients = Clients::new(started.addr(), self.allocations);
        let begun = Instant::now();
        clients.allocate(&mut side)?;
        let set_up = begun.elapsed();
        let all = u64::from(self.rate) * u64::from(self.seconds);
        // Everybody at least once.
        let all = all.max(self.allocations.into());
        let allocated_per_s = f64::from(self.allocations) / set_up.as_secs_f64();
        let mut sample = Sample { allocated_per_s, ..Sample::new() };
        let before = process_cpu_nanos(started.pid()).map_err(wrong)?;
        let (begun, mut last) = (Instant::now(), Instant::now());
        while sample.sent < all || (sample.open() > 0 && last.elapsed() < PATIENCE) {
            let due = (begun.elapsed().as_nanos() * u128::from(self.rate) / 1_000_000_000) as u64;
            let row = due.min(all).saturating_sub(sample.sent).min(ROW);
            for _ in 0..row {
                let who = (sample.sent % u64::from(self.allocations)) as u32;
                sample.lost += u64::from(clients.is_asking(who));
                clients.ask(who, Step::Refresh, &mut side);
                sample.sent += 1;
                last = Instant::now();
            }
            let heard = clients.hear(&mut side, |_, came, took| sample.take(&came, took));
            if heard.map_err(wrong)? == 0 && row == 0 {
                thread::sleep(PAUSE);
            }
        }
        sample.lost += sample.open();
        let cpu_ns = process_cpu_nanos(started.pid()).map_err(wrong)? - before;
        sample.cost_ns = cpu_ns as f64 / sample.sent as f64;
        Ok(sample)
    }
}

/// What one run showed.
#[derive(Clone)]
struct Sample {
    allocated_per_s: f64,
    sent: u64,
    granted: u64,
    lost: u64,
    refused: u64,
    /// Asked again with a new nonce.
    again: u64,
    /// The server's cpu-nanoseconds for each that was sent.
    cost_ns: f64,
    latency: Histogram<u64>,
}

impl Sample {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        Self {
            allocated_per_s: 0.0,
            sent: 0,
            granted: 0,
            lost: 0,
            refused: 0,
            again: 0,
            cost_ns: 0.0,
            latency: latency.expect("these bounds are within what a histogram takes"),
        }
    }

    fn take(&mut self, came: &Came, took: Duration) {
        match came {
            Came::Granted => {
                self.granted += 1;
                self.latency.saturating_record(took.as_nanos() as u64);
            }
            Came::Again => self.again += 1,
            Came::Refused(_) => self.refused += 1,
        }
    }

    /// Sent, and neither answered nor lost.
    const fn open(&self) -> u64 {
        self.sent - self.granted - self.refused - self.lost
    }

    fn us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allocated_per_s, sent, lost, refused, again, cost_ns, .. } = self;
        write!(
            f,
            "{allocated_per_s:.0} allocated/s; {sent} refreshes, {lost} lost, {refused} refused, "
        )?;
        write!(f, "{again} asked again, {cost_ns:.0} ns, ")?;
        write!(f, "p50 {:.0} us, p99 {:.0} us", self.us(0.5), self.us(0.99))
    }
}

#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    taken: Taken,
    coturn: Option<String>,
    absent: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    server: String,
    allocations: u32,
    /// Refreshes a second.
    rate: u32,
    allocated_per_s: Spread,
    /// All rounds together.
    sent: u64,
    lost: u64,
    refused: u64,
    asked_again: u64,
    cost_ns: Spread,
    p50_us: Spread,
    p99_us: Spread,
}

impl Row {
    fn new(server: Contestant, storm: Storm, samples: &[Sample]) -> Self {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        let sum = |value: fn(&Sample) -> u64| samples.iter().map(value).sum();
        Self {
            server: server.to_string(),
            allocations: storm.allocations,
            rate: storm.rate,
            allocated_per_s: of(|sample| sample.allocated_per_s),
            sent: sum(|sample| sample.sent),
            lost: sum(|sample| sample.lost),
            refused: sum(|sample| sample.refused),
            asked_again: sum(|sample| sample.again),
            cost_ns: of(|sample| sample.cost_ns),
            p50_us: of(|sample| sample.us(0.5)),
            p99_us: of(|sample| sample.us(0.99)),
        }
    }

    fn cells(&self) -> [String; 10] {
        [
            self.server.clone(),
            self.allocations.to_string(),
            self.allocated_per_s.to_string(),
            self.rate.to_string(),
            self.sent.to_string(),
            format!("**{}**", self.lost),
            self.refused.to_string(),
            self.cost_ns.to_string(),
            self.p50_us.to_string(),
            self.p99_us.to_string(),
        ]
    }
}

const COLUMNS: [&str; 10] = [
    "server",
    "allocations",
    "allocated/s",
    "refreshes/s",
    "refreshes",
    "lost",
    "refused",
    "ns each",
    "p50 us",
    "p99 us",
];

impl Report {
    /// Whether everybody was answered.
    pub(super) fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| row.refused == 0)
    }
}

impl Published for Report {
    const NAME: &'static str = "turn-refresh";

    fn markdown(&self) -> String {
        let mut text = table::markdown(COLUMNS, self.rows.iter().map(Row::cells));
        let coturn = self.coturn.iter().map(|coturn| format!("coturn calls itself {coturn}"));
        let servers: Vec<String> = coturn.chain(self.absent.iter().cloned()).collect();
        if !servers.is_empty() {
            text += &format!("\n{}.\n", servers.join("; "));
        }
        text + &self
            .taken
            .caption("Cpu-nanoseconds of the server for each, and from asked to granted")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.taken.machine)?;
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String; 10]| {
            cells.iter().try_for_each(|cell| write!(f, "{:<18} ", cell.replace("**", "")))?;
            writeln!(f)
        };
        line(f, &COLUMNS.map(str::to_owned))?;
        self.rows.iter().try_for_each(|row| line(f, &row.cells()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_leaves_time_for_an_answer() {
        let usual = Storm::new(10_000, None, 1, 10).unwrap();
        assert_eq!(usual.rate, 2_000);
        let error = Storm::new(100, Some(101.0), 1, 10).err().unwrap();
        assert!(error.contains("a lower --rate"), "{error}");
    }

    #[test]
    fn what_is_neither_answered_nor_lost_is_open() {
        let mut sample = Sample { sent: 4, ..Sample::new() };
        sample.take(&Came::Granted, Duration::from_micros(80));
        sample.take(&Came::Again, Duration::ZERO);
        sample.take(&Came::Refused(437), Duration::ZERO);
        assert_eq!((sample.open(), sample.again), (2, 1));
        assert!((79.0..=81.0).contains(&sample.us(0.5)));
        sample.lost += 2;
        let storm = Storm::new(1_000, None, 1, 1).unwrap();
        let row = Row::new(Contestant::Coturn, storm, &[sample]);
        assert_eq!(row.cells()[4..7], ["4", "**2**", "1"].map(str::to_owned));
    }
}
