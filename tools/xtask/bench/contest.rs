//! One run: a contestant on cpu 0, the load generator on cpu 1, and what came of it.

use std::fmt;

use clap::ValueEnum;
use serde_json::Value;

use super::forwarder::{Counted, Technique};
use super::load::{Load, Target, limits, report};
use super::one_way;
use super::path::{Lab, Path};
use super::process::{DevRelay, Running};
use super::workload::{Case, Io, Wire};
use crate::shell::{Places, Run, run as program};

/// Loss up to here is "nothing".
pub(super) const LOSS_MAX: f64 = 1e-4;

/// What all contestants of a row have in common.
pub(super) struct Scene<'a> {
    pub(super) case: Case,
    pub(super) sinks: Sinks,
    pub(super) lab: &'a Lab,
    pub(super) places: &'a Places,
}

/// How the generator's sockets receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sinks {
    /// Datagram by datagram.
    Plain,
    /// As trains (UDP_GRO).
    Gro,
}

impl fmt::Display for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Gro => "gro",
        })
    }
}

impl Scene<'_> {
    /// How what is delivered is received: not at all, where a device drops it.
    pub(super) fn sinks(&self) -> String {
        if self.lab.path == Path::Ifb { "-".into() } else { self.sinks.to_string() }
    }
}

impl fmt::Display for Scene<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.case, self.lab.path, self.sinks())
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

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Relay(io) => format!("relay {io}"),
            Self::Floor(technique) => format!("floor {}", technique.name()),
        })
    }
}

/// A contestant that runs.
pub(super) enum Started {
    Relay(DevRelay),
    Floor(Running),
}

impl Started {
    /// Starts it where the scene has its contestants.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn new(contestant: Contestant, scene: &Scene<'_>) -> Result<Self, String> {
        let Scene { case, lab, places, .. } = scene;
        match contestant {
            Contestant::Relay(io) => DevRelay::start_at(lab, io, places).map(Self::Relay),
            Contestant::Floor(technique) => {
                let (hold, listen) = (case.hold_ms.to_string(), lab.listen());
                let args = ["floor-forwarder", "--technique", technique.name(), "--hold-ms", &hold];
                let args = args.into_iter().chain(["--listen", listen]);
                let command = lab.at_relay(program(places.binary("xtask"), args));
                Running::start(&command, "listening on").map(Self::Floor)
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Relay(relay) => relay.running.pid(),
            Self::Floor(running) => running.pid(),
        }
    }

    /// A floor does no handshakes: it is loaded in v0, with frames as long as those of the case.
    pub(super) fn target(&self, case: Case) -> Target<'_> {
        match self {
            Self::Relay(relay) if case.wire == Wire::V1 => Target::V1(relay),
            Self::Relay(relay) => Target::V0(relay.running.addr),
            Self::Floor(running) => Target::V0(running.addr),
        }
    }

    /// What it has taken in and sent so far, in frames.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) fn counted(&mut self, case: Case) -> Result<Counted, String> {
        match self {
            Self::Relay(relay) => one_way::counted(&relay.metrics()?, case)
                .ok_or_else(|| "the relay's metrics lack what bench floor counts".to_owned()),
            Self::Floor(running) => {
                let line = running.ask()?;
                serde_json::from_str(&line).map_err(|error| format!("the floor: {error}: {line}"))
            }
        }
    }
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Nanoseconds of cpu, user and system, per delivered frame.
    pub cost_ns: f64,
    /// Share of its cpu the contestant used.
    pub busy: f64,
    /// Measured seconds.
    pub seconds: f64,
    /// Deliveries that came, in frames.
    pub delivered: u64,
    /// Deliveries that did not.
    pub lost: u64,
    /// Datagrams that must not exist: of another session, changed, back at their sender, complaints.
    pub wrong: u64,
    /// Where a device sees what leaves: datagrams in each packet that it saw.
    pub datagrams_per_packet: Option<f64>,
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
        if let Some(datagrams) = self.datagrams_per_packet {
            write!(f, ", {datagrams:.1} frames a packet")?;
        }
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
    scene: &Scene<'_>,
    rate: f64,
    seconds: u32,
) -> Result<Sample, String> {
    let mut started = Started::new(contestant, scene)?;
    let command = load(&started, scene, rate, seconds);
    if scene.lab.path == Path::Ifb {
        return one_way::run(&command, &mut started, scene);
    }
    let report = report(&command.read()?)?;
    read(&report).ok_or_else(|| format!("elara-load said no cost: {report}"))
}

/// Load before the window, in seconds.
pub(super) const WARMUP: &str = "0.5";

fn load(started: &Started, scene: &Scene<'_>, rate: f64, seconds: u32) -> Run {
    let Scene { case, sinks, lab, places } = scene;
    let gro = if *sinks == Sinks::Gro { "on" } else { "off" };
    let mut more = vec!["--gro", gro];
    let hold = case.hold_ms.to_string();
    let target = started.target(*case);
    if matches!(target, Target::V1(_)) {
        more.extend(["--hold", &hold]);
    }
    match lab.path {
        Path::Ifb => more.extend(["--one-way", "--warmup", "0"]),
        Path::Lo | Path::Veth => more.extend(["--warmup", WARMUP]),
    }
    let more = more.into_iter().map(str::to_owned).collect();
    let load = Load { workload: case.workload, rate, seconds, size: case.size(), more };
    lab.at_load(load.command(&target, started.pid(), places))
}

/// What elara-load found, as far as it matters here; `None` when it measured no cost.
pub(super) fn read(report: &Value) -> Option<Sample> {
    let count = |name: &str| report[name].as_u64();
    let number = |name: &str| report[name].as_f64();
    // Who delivers nothing has spent all of it for nothing: rtpengine gives its streams up when it drowns.
    let drowned = count("delivered") == Some(0);
    let whole = || number("relay_cpu_ns").filter(|_| drowned);
    Some(Sample {
        cost_ns: number("relay_cpu_ns_per_delivered").or_else(whole)?,
        busy: number("relay_cpu_share")?,
        seconds: number("measured_s")?,
        delivered: count("delivered")?,
        lost: count("lost")?,
        wrong: wrong(report),
        datagrams_per_packet: None,
        limits: limits(report),
    })
}

/// Datagrams that must not exist.
pub(super) fn wrong(report: &Value) -> u64 {
    ["wrong_session", "corrupt", "echoed", "alerts", "kicked"]
        .into_iter()
        .filter_map(|name| report[name].as_u64())
        .sum()
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

    #[test]
    fn who_delivers_nothing_has_lost_everything() {
        let report = json!({
            "relay_cpu_ns_per_delivered": null, "relay_cpu_ns": 35_000_000, "relay_cpu_share": 0.035,
            "measured_s": 1.0, "delivered": 0, "lost": 311_400, "bottleneck": null,
        });
        let sample = read(&report).unwrap();
        assert_eq!((sample.loss(), sample.cost_ns), (1.0, 35_000_000.0));
    }
}
