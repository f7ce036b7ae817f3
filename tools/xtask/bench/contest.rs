//! One run: a contestant on cpu 0, the load generator on cpu 1, and what came of it.

use std::fmt;
use std::net::SocketAddr;

use clap::ValueEnum;
use serde_json::Value;

use super::forwarder::Technique;
use super::process::{DevRelay, LOAD_CPU, Running};
use crate::shell::{Places, Run, run as program};

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

    /// Bytes of a frame; wire v1 has its own idea of a large one.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Voice => 120,
            Self::Video => 1_200,
        }
    }

    const fn shape(self) -> [&'static str; 10] {
        let (model, sessions, burst) = match self {
            Self::Voice => ("voice", "100", "1"),
            Self::Video => ("video", "20", "10"),
        };
        [
            "--model",
            model,
            "--sessions",
            sessions,
            "--participants",
            "10",
            "--senders",
            "1",
            "--burst",
            burst,
        ]
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
                let args = ["floor-forwarder", "--technique", technique.name()];
                program(places.binary("xtask"), args.into_iter().chain(listen))
            }
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Relay(io) => format!("relay {io}"),
            Self::Floor(technique) => format!("floor {}", technique.name()),
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
    /// Datagrams that must not exist: of another session, changed, back at their sender, complaints.
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
    let running = Running::start(&contestant.command(places), "listening on")?;
    let load = Load { workload, rate, seconds, size: workload.size(), more: Vec::new() };
    let report = load.run(&Target::V0(running.addr), running.pid(), places)?;
    read(&report).ok_or_else(|| format!("elara-load said no cost: {report}"))
}

/// What the generator is told.
pub(super) struct Load {
    pub workload: Workload,
    /// Sends per second and sender.
    pub rate: f64,
    pub seconds: u32,
    /// Bytes of a frame.
    pub size: usize,
    /// Further arguments.
    pub more: Vec<String>,
}

/// Whom it loads, and in which wire.
pub(super) enum Target<'a> {
    V0(SocketAddr),
    V1(&'a DevRelay),
}

impl Load {
    /// The generator's command against the process `pid`.
    pub(super) fn command(&self, target: &Target<'_>, pid: u32, places: &Places) -> Run {
        let mut args: Vec<String> = match target {
            Target::V0(addr) => vec![addr.to_string()],
            Target::V1(relay) => ["--issuer-key", &relay.issuer, "--join", &relay.address]
                .map(str::to_owned)
                .to_vec(),
        };
        args.extend(self.workload.shape().map(str::to_owned));
        for (flag, value) in [
            ("--size", self.size.to_string()),
            ("--rate", self.rate.to_string()),
            ("--duration", self.seconds.to_string()),
            ("--pid", pid.to_string()),
            ("--cpu", LOAD_CPU.to_string()),
        ] {
            args.extend([flag.to_owned(), value]);
        }
        args.push("--json".to_owned());
        let args = args.into_iter().chain(self.more.iter().cloned());
        program(places.binary("elara-load"), args)
    }

    /// Runs it to its end and answers its report.
    pub(super) fn run(
        &self,
        target: &Target<'_>,
        pid: u32,
        places: &Places,
    ) -> Result<Value, String> {
        let text = self.command(target, pid, places).read()?;
        serde_json::from_str(&text).map_err(|error| format!("elara-load: {error}: {text}"))
    }
}

/// In which ways the generator was the limit, as it says.
pub(super) fn limits(report: &Value) -> Vec<String> {
    let limits = report["bottleneck"].as_array().map_or(&[][..], Vec::as_slice);
    limits.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What elara-load found, as far as it matters here; `None` when it measured no cost.
pub(super) fn read(report: &Value) -> Option<Sample> {
    let count = |name: &str| report[name].as_u64();
    let number = |name: &str| report[name].as_f64();
    Some(Sample {
        cost_ns: number("relay_cpu_ns_per_delivered")?,
        busy: number("relay_cpu_share")?,
        seconds: number("measured_s")?,
        delivered: count("delivered")?,
        lost: count("lost")?,
        wrong: ["wrong_session", "corrupt", "echoed", "alerts", "kicked"]
            .into_iter()
            .filter_map(count)
            .sum(),
        limits: limits(report),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
}
