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
        args.extend(self.workload.shape().arguments());
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
