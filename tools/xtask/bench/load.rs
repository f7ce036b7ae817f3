//! The load generator: what it is told, and what it says.

use std::net::SocketAddr;

use serde_json::Value;

use super::process::{DevRelay, LOAD_CPU};
use super::workload::Workload;
use crate::shell::{Places, Run, run as program};

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
    /// Where it hears the sender of each session, and the port of the first participant.
    Rtp(&'a [SocketAddr], u16),
}

impl Load {
    /// The generator's command against the process `pid`.
    pub(super) fn command(&self, target: &Target<'_>, pid: u32, places: &Places) -> Run {
        let mut args: Vec<String> = match target {
            Target::V0(addr) => vec![addr.to_string()],
            Target::V1(relay) => ["--issuer-key", &relay.issuer, "--join", &relay.address]
                .map(str::to_owned)
                .to_vec(),
            Target::Rtp(to, first_port) => {
                let to: Vec<String> = to.iter().map(ToString::to_string).collect();
                let port = first_port.to_string();
                ["--rtp", &to.join(","), "--rtp-port", &port].map(str::to_owned).to_vec()
            }
        };
        let shape = self.workload.shape();
        let shape = match target {
            Target::Rtp(to, _) => shape.in_sessions(to.len() as u32),
            Target::V0(_) | Target::V1(_) => shape,
        };
        args.extend(shape.arguments());
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

    /// Runs it to its end, over loopback, and answers its report.
    pub(super) fn run(
        &self,
        target: &Target<'_>,
        pid: u32,
        places: &Places,
    ) -> Result<Value, String> {
        report(&self.command(target, pid, places).read()?)
    }
}

/// What the generator printed.
pub(super) fn report(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("elara-load: {error}: {text}"))
}

/// In which ways the generator was the limit, as it says.
pub(super) fn limits(report: &Value) -> Vec<String> {
    let limits = report["bottleneck"].as_array().map_or(&[][..], Vec::as_slice);
    limits.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_rtp_there_are_as_many_sessions_as_addresses() {
        let to = ["127.0.0.1:5004", "127.0.0.1:5006"].map(|addr| addr.parse().unwrap());
        let load =
            Load { workload: Workload::Video, rate: 30.0, seconds: 1, size: 1_200, more: vec![] };
        let places = Places { root: ".".into(), target: "target".into() };
        let typed = load.command(&Target::Rtp(&to, 20_000), 7, &places).to_string();
        let told =
            "--rtp 127.0.0.1:5004,127.0.0.1:5006 --rtp-port 20000 --model video --sessions 2 ";
        assert!(typed.contains(told), "{typed}");
    }
}
