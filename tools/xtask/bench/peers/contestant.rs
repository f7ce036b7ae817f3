//! Who is measured: the relay, its floors, and peers, each as a process of its own under the same load.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::Value;

use super::daemon::installed;
use super::seats::Seats;
use super::wired::Wired;
use super::{janus, quilkin, rtpengine};
use crate::bench::contest::{self, Sample, Scene, Sinks, Started, WARMUP, read};
use crate::bench::forwarder::Technique;
use crate::bench::load::{Load, Target, report};
use crate::bench::path::Lab;
use crate::bench::process::Running;
use crate::bench::workload::{Case, Io, Manner, Wire, Workload};
use crate::shell::{Places, Run, cargo, run};

/// Deliveries still under way when the window ends, as a share: more is a queue that grows.
const UNDER_WAY_MAX: f64 = 0.015;
/// The workload. Its sessions have this many participants, one of whom sends.
pub(super) const WORKLOAD: Workload = Workload::Video;

/// What takes part, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Who {
    /// The relay: both wires, both back ends.
    Elara,
    /// What came in a turn in one send for each receiver, without any logic.
    Floor,
    /// One send a frame, without any logic.
    Naive,
    /// Janus' VideoRoom: plain RTP in, plain RTP out.
    Janus,
    /// rtpengine in user space: publish and subscribe.
    Rtpengine,
    /// A relay of a page on the published 0.2.0 crates.
    Crates,
    /// Quilkin, one session with the load of all.
    Quilkin,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Elara => "elara",
            Self::Floor => "floor",
            Self::Naive => "naive",
            Self::Janus => "janus",
            Self::Rtpengine => "rtpengine",
            Self::Crates => "crates",
            Self::Quilkin => "quilkin",
        })
    }
}

impl Who {
    /// Those of its kind that can be measured here, or why there are none.
    ///
    /// # Errors
    /// A sentence that says how it would take part.
    pub(super) fn contestants(self, places: &Places) -> Result<Vec<Contestant>, String> {
        let floor = |io: Io| Contestant::Floor(io.technique(Manner::Gather));
        let peer = |program: &str, how: &str| {
            let file = installed(program)
                .ok_or_else(|| format!("{program} is left out: it is not installed here ({how})"));
            file.map(|file| vec![Contestant::Peer(self, file)])
        };
        match self {
            Self::Elara => {
                let both = |wire| [Io::Uring, Io::Syscall].map(|io| Contestant::Relay(wire, io));
                Ok([both(Wire::V0), both(Wire::V1)].concat())
            }
            Self::Floor => Ok([Io::Uring, Io::Syscall].map(floor).to_vec()),
            Self::Naive => Ok(vec![Contestant::Floor(Technique::Naive)]),
            Self::Janus => peer("janus", "Debian: apt-get install janus"),
            Self::Rtpengine => peer("rtpengine", "Debian: apt-get install rtpengine-daemon"),
            Self::Quilkin => peer(
                "quilkin",
                "RUSTFLAGS=\"-C target-cpu=native\" cargo install quilkin --version 0.10.0 --locked",
            ),
            Self::Crates => {
                build_crates(places).perform().map_err(|error| {
                    format!("the relay on the 0.2.0 crates is left out: {error}")
                })?;
                let file = places.target.join("interop/release/relay");
                Ok(vec![Contestant::Peer(self, file)])
            }
        }
    }
}

fn build_crates(places: &Places) -> Run {
    let manifest = "tests/interop/Cargo.toml";
    cargo(["build", "--release", "--bin", "relay", "--manifest-path", manifest])
        .env("CARGO_TARGET_DIR", places.target_of("interop"))
}

/// One who is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// `elara serve`.
    Relay(Wire, Io),
    /// A forwarder that does nothing.
    Floor(Technique),
    /// Somebody else's program.
    Peer(Who, PathBuf),
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Relay(wire, io) => format!("elara {wire} {io}"),
            Self::Floor(technique) => format!("floor {}", technique.name()),
            Self::Peer(Who::Crates, _) => "0.2.0 crates".into(),
            Self::Peer(who, _) => who.to_string(),
        })
    }
}

/// A contestant that runs.
enum Live {
    Ours(Started),
    Learner(Running),
    Wired(Wired),
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) sample: Sample,
    /// Share of the deliveries that came after the window.
    pub(super) under_way: f64,
}

impl Shown {
    /// Whether nothing was lost, nothing piled up, and the generator was not the limit.
    pub(super) fn is_clean(&self) -> bool {
        self.sample.is_clean() && self.under_way <= UNDER_WAY_MAX
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sample.fmt(f)?;
        if self.under_way > UNDER_WAY_MAX {
            write!(f, ", {:.1} % still under way at the end", self.under_way * 100.0)?;
        }
        Ok(())
    }
}

impl Contestant {
    /// Whether it is somebody else's.
    pub(super) const fn is_peer(&self) -> bool {
        matches!(self, Self::Peer(..))
    }

    /// Bytes of a frame.
    pub(super) fn size(&self) -> usize {
        self.case().size()
    }

    /// Sessions that the load consists of.
    pub(super) fn sessions(&self) -> u16 {
        match self {
            Self::Peer(Who::Quilkin, _) => 1,
            _ => WORKLOAD.shape().sessions as u16,
        }
    }

    /// What it says of its version.
    pub(super) fn version(&self) -> Option<String> {
        match self {
            Self::Peer(Who::Crates, _) => Some("0.2.0".into()),
            Self::Peer(_, file) => {
                let script = "\"$1\" --version 2>&1; true";
                let file = file.display().to_string();
                let said = run("sh", ["-c", script, "version", &file]).read().ok()?;
                version(&said).map(str::to_owned)
            }
            Self::Relay(..) | Self::Floor(_) => None,
        }
    }

    const fn case(&self) -> Case {
        match self {
            Self::Relay(wire, _) => Case { wire: *wire, ..Case::v0(WORKLOAD) },
            Self::Floor(_) | Self::Peer(..) => Case::v0(WORKLOAD),
        }
    }

    /// Starts it, loads it with `rate` bursts a second in each of the workload's sessions, ends it.
    ///
    /// # Errors
    /// When it or the generator cannot be started or understood.
    pub(super) fn measure(
        &self,
        sinks: Sinks,
        rate: f64,
        seconds: u32,
        places: &Places,
    ) -> Result<Shown, String> {
        let started = self.start(places)?;
        let gro = if sinks == Sinks::Gro { "on" } else { "off" };
        let more = ["--gro", gro, "--warmup", WARMUP].map(str::to_owned).to_vec();
        // Fewer sessions share the same load.
        let rate = rate * f64::from(WORKLOAD.shape().sessions) / f64::from(self.sessions());
        let load = Load { workload: WORKLOAD, rate, seconds, size: self.size(), more };
        let (target, pid) = match &started {
            Live::Ours(started) => (started.target(self.case()), started.pid()),
            Live::Learner(running) => (Target::V0(running.addr), running.pid()),
            Live::Wired(wired) => (Target::Rtp(&wired.to, wired.first_port), wired.daemon.pid()),
        };
        let report = report(&load.command(&target, pid, places).read()?)?;
        shown(&report).ok_or_else(|| format!("elara-load said no cost: {report}"))
    }

    fn start(&self, places: &Places) -> Result<Live, String> {
        let ours = |contestant| {
            // What comes from a namespace of its own is another bench's question.
            let (case, lab) = (self.case(), &Lab::loopback());
            let scene = Scene { case, sinks: Sinks::Plain, lab, places };
            Started::new(contestant, &scene).map(Live::Ours)
        };
        match self {
            Self::Relay(_, io) => ours(contest::Contestant::Relay(*io)),
            Self::Floor(technique) => ours(contest::Contestant::Floor(*technique)),
            Self::Peer(Who::Crates, file) => {
                let command = run(file.display().to_string(), [""; 0]);
                Running::start(&command, "listening on").map(Live::Learner)
            }
            Self::Peer(who, file) => {
                let dir = places.target.join("bench-peers");
                std::fs::create_dir_all(&dir)
                    .map_err(|error| format!("{}: {error}", dir.display()))?;
                let seats = Seats::find(self.sessions(), WORKLOAD.shape().participants as u16)?;
                let start = match who {
                    Who::Janus => janus::start,
                    Who::Rtpengine => rtpengine::start,
                    _ => quilkin::start,
                };
                start(file, seats, &dir).map(Live::Wired)
            }
        }
    }
}

/// What elara-load found, as far as it matters here; `None` when it measured no cost.
fn shown(report: &Value) -> Option<Shown> {
    let sample = read(report)?;
    let late = report["in_flight_at_end"].as_u64()?;
    Some(Shown { under_way: late as f64 / sample.delivered.max(1) as f64, sample })
}

/// The first word that looks like a version.
fn version(said: &str) -> Option<&str> {
    let looks = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    let trim = |word| str::trim_matches(word, |c: char| !c.is_ascii_alphanumeric());
    said.split_whitespace().map(trim).find(looks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everybody_has_the_name_they_are_typed_with() {
        for who in Who::value_variants() {
            assert_eq!(who.to_string(), who.to_possible_value().unwrap().get_name());
        }
    }

    #[test]
    fn the_relay_runs_four_ways_and_who_is_not_installed_says_how_to_be() {
        let places = Places { root: ".".into(), target: "target".into() };
        let names = |who: Who| -> Vec<String> {
            who.contestants(&places).unwrap().iter().map(ToString::to_string).collect()
        };
        let ours = ["elara v0 uring", "elara v0 syscall", "elara v1 uring", "elara v1 syscall"];
        assert_eq!(names(Who::Elara), ours);
        assert_eq!(names(Who::Floor), ["floor uring_gso", "floor mmsg_gso"]);
        assert_eq!(names(Who::Naive), ["floor naive"]);
        for (who, how) in [
            (Who::Janus, "apt-get install janus"),
            (Who::Rtpengine, "apt-get install rtpengine-daemon"),
            (Who::Quilkin, "cargo install quilkin"),
        ] {
            match who.contestants(&places) {
                Ok(contestants) => assert_eq!(names(who), [who.to_string()], "{contestants:?}"),
                Err(sentence) => assert!(sentence.contains(how), "{sentence}"),
            }
        }
    }

    #[test]
    fn a_queue_that_grows_is_not_clean() {
        let report = |in_flight: u64| {
            json!({
                "relay_cpu_ns_per_delivered": 3_000.0, "relay_cpu_share": 0.3, "measured_s": 1.0,
                "delivered": 10_000, "lost": 0, "in_flight_at_end": in_flight, "bottleneck": null,
            })
        };
        assert!(shown(&report(150)).unwrap().is_clean());
        let piled = shown(&report(151)).unwrap();
        assert!(
            !piled.is_clean() && piled.to_string().contains("1.5 % still under way"),
            "{piled}"
        );
        assert!(shown(&json!({"delivered": 1})).is_none());
    }

    #[test]
    fn a_version_is_the_first_word_that_looks_like_one() {
        assert_eq!(version("Version: 10.5.3.5-1\n"), Some("10.5.3.5-1"));
        assert_eq!(version("Janus commit: abc\nJanus version: 1102 (1.1.2)"), Some("1.1.2"));
        assert_eq!(version("no such option"), None);
    }
}
