//! One run: a contestant on cpu 0, the load generator on cpu 1, and what came of it.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use elara_shards::sys::cpu;
use serde_json::Value;

use super::forwarder::Technique;
use crate::shell::{Places, Run, run as program};

const RELAY_CPU: usize = 0;
const LOAD_CPU: usize = 1;
/// How long a contestant may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// Loss up to here is "nothing".
pub(super) const LOSS_MAX: f64 = 1e-4;

/// A shape of traffic, from docs/PERFORMANCE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// 100 sessions of 10, one speaking, frames of 120 B.
    Voice,
    /// 20 sessions of 10, one sending, bursts of 10 frames of 1,200 B.
    Video,
}

impl Workload {
    /// Sends per second and sender, as people would have it.
    pub(super) const fn rate(self) -> f64 {
        match self {
            Self::Voice => 50.0,
            Self::Video => 30.0,
        }
    }

    const fn shape(self) -> [&'static str; 12] {
        match self {
            Self::Voice => [
                "--model",
                "voice",
                "--sessions",
                "100",
                "--participants",
                "10",
                "--senders",
                "1",
                "--size",
                "120",
                "--burst",
                "1",
            ],
            Self::Video => [
                "--model",
                "video",
                "--sessions",
                "20",
                "--participants",
                "10",
                "--senders",
                "1",
                "--size",
                "1200",
                "--burst",
                "10",
            ],
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Voice => "voice",
            Self::Video => "video",
        })
    }
}

/// What the relay runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Io {
    /// io_uring.
    Uring,
    /// recvmmsg and sendmmsg.
    Syscall,
}

impl Io {
    /// The floor that uses the kernel the same way.
    pub(super) const fn technique(self) -> Technique {
        match self {
            Self::Uring => Technique::IoUring,
            Self::Syscall => Technique::Mmsg,
        }
    }
}

impl fmt::Display for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uring => "uring",
            Self::Syscall => "syscall",
        })
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// `elara serve`.
    Relay(Io),
    /// A forwarder that does nothing.
    Floor(Technique),
}

impl Contestant {
    fn command(self, places: &Places) -> Run {
        let listen = ["--listen", "127.0.0.1:0"];
        match self {
            Self::Relay(io) => {
                let io = io.to_string();
                let args = ["serve", "--dev", "--admin", "off", "--shards", "1", "--io", &io];
                program(places.binary("elara"), args.into_iter().chain(listen))
            }
            Self::Floor(technique) => {
                let args = ["floor-forwarder", "--technique", technique_name(technique)];
                program(places.binary("xtask"), args.into_iter().chain(listen))
            }
        }
    }
}

pub(super) const fn technique_name(technique: Technique) -> &'static str {
    match technique {
        Technique::Naive => "naive",
        Technique::Mmsg => "mmsg",
        Technique::IoUring => "io_uring",
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Relay(io) => format!("relay {io}"),
            Self::Floor(technique) => format!("floor {}", technique_name(*technique)),
        })
    }
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Nanoseconds of cpu, user and system, per delivered datagram.
    pub cost_ns: f64,
    /// Share of its cpu the contestant used.
    pub busy: f64,
    /// Measured seconds.
    pub seconds: f64,
    /// Deliveries that came.
    pub delivered: u64,
    /// Deliveries that did not.
    pub lost: u64,
    /// Datagrams that must not exist: of another session, changed, or back at their sender.
    pub wrong: u64,
    /// In which ways the load generator could not keep up, in its words.
    pub limits: Vec<String>,
}

impl Sample {
    /// Deliveries lost, as a share of those that were due.
    pub(super) fn loss(&self) -> f64 {
        self.lost as f64 / (self.delivered + self.lost).max(1) as f64
    }

    /// Whether the figures mean what they say.
    pub(super) fn is_clean(&self) -> bool {
        self.loss() <= LOSS_MAX && self.limits.is_empty()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6.0} ns, {:>3.0} % busy", self.cost_ns, self.busy * 100.0)?;
        if self.loss() > LOSS_MAX {
            write!(f, ", lost {:.3} %", self.loss() * 100.0)?;
        }
        if !self.limits.is_empty() {
            write!(f, ", the generator was the limit: {}", self.limits.join(", "))?;
        }
        Ok(())
    }
}

/// Runs one contestant under one load.
///
/// # Errors
/// When either process cannot be started, or the generator's answer cannot be understood.
pub(super) fn run(
    contestant: Contestant,
    workload: Workload,
    rate: f64,
    seconds: u32,
    places: &Places,
) -> Result<Sample, String> {
    let running = Running::start(&contestant.command(places))?;
    let (target, pid) = (running.addr.to_string(), running.child.id().to_string());
    let (rate, duration) = (rate.to_string(), seconds.to_string());
    let cpu = LOAD_CPU.to_string();
    let mut args = vec![target.as_str()];
    args.extend(workload.shape());
    args.extend(["--rate", &rate, "--duration", &duration, "--pid", &pid, "--cpu", &cpu, "--json"]);
    let text = program(places.binary("elara-load"), args).read()?;
    let report =
        serde_json::from_str(&text).map_err(|error| format!("elara-load: {error}: {text}"))?;
    read(&report).ok_or_else(|| format!("elara-load said no cost: {text}"))
}

/// What elara-load found, as far as it matters here; `None` when it measured no cost.
fn read(report: &Value) -> Option<Sample> {
    let count = |name: &str| report[name].as_u64();
    let number = |name: &str| report[name].as_f64();
    let limits = report["bottleneck"].as_array().map_or(&[][..], Vec::as_slice);
    Some(Sample {
        cost_ns: number("relay_cpu_ns_per_delivered")?,
        busy: number("relay_cpu_share")?,
        seconds: number("measured_s")?,
        delivered: count("delivered")?,
        lost: count("lost")?,
        wrong: count("wrong_session")? + count("corrupt")? + count("echoed")?,
        limits: limits.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// A contestant's process; killed when dropped.
struct Running {
    child: Child,
    addr: SocketAddr,
}

impl Running {
    /// Starts it on its cpu and waits until it says where it listens.
    fn start(command: &Run) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| format!("`{command}`: {error}");
        // A child inherits the affinity of the thread that starts it, so a thread of our own is pinned.
        let started = thread::scope(|scope| {
            let start = || {
                cpu::pin(RELAY_CPU)?;
                command.command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
            };
            scope.spawn(start).join().expect("starting a process does not panic")
        });
        let mut child = started.map_err(|error| wrong(&error))?;
        let output = child.stdout.take().expect("it was asked to be piped");
        let (tell, told) = mpsc::channel();
        // Reads to the end, so that the child never waits for us to read.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(addr) = listening(&line) {
                    let _ = tell.send(addr);
                }
            }
        });
        match told.recv_timeout(PATIENCE) {
            Ok(addr) => Ok(Self { child, addr }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(wrong(&"it did not say where it listens"))
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line that contains `listening on ADDR:PORT`.
fn listening(line: &str) -> Option<SocketAddr> {
    line.split_once("listening on ")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_line_that_says_where_is_found() {
        let addr = listening("2025-01-01 INFO listening on 127.0.0.1:7840 shards=1");
        assert_eq!(addr, "127.0.0.1:7840".parse().ok());
        assert_eq!(listening("listening on port 7840"), None);
    }

    #[test]
    fn a_sample_is_what_the_generator_says() {
        let report = |bottleneck: Value| {
            json!({
                "relay_cpu_ns_per_delivered": 3_000.0, "relay_cpu_share": 0.3, "measured_s": 1.0,
                "delivered": 100_000, "lost": 5, "wrong_session": 0, "corrupt": 1, "echoed": 2,
                "bottleneck": bottleneck,
            })
        };
        let sample = read(&report(Value::Null)).unwrap();
        assert_eq!((sample.wrong, sample.is_clean()), (3, true));
        assert!(!read(&report(json!(["cpu"]))).unwrap().is_clean());
        assert!(read(&json!({"delivered": 1})).is_none(), "no cost");
    }

    #[test]
    fn a_process_that_says_nothing_is_an_error() {
        let error = Running::start(&program("sh", ["-c", "echo hello"])).err();
        assert!(error.is_some_and(|error| error.contains("listens")));
    }
}
