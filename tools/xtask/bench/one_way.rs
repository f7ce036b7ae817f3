//! A run whose deliveries nobody hears: a device drops them, and the contestant says what it has sent.
//!
//! Everyone comes in over the way back; then that leads to the device, and the load begins. Clocks and
//! counters are read while nothing moves, before the load and after it, so they cover exactly the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use elara_shards::sys::cpu::process_cpu_nanos;
use serde_json::Value;

use super::contest::{Sample, Scene, Started, wrong};
use super::forwarder::Counted;
use super::load::{limits, report};
use super::process::{number, sum};
use super::workload::{Case, Wire};
use crate::shell::Run;

/// Frames of 120 bytes that a bundle carries at most: what a refused one may have cost.
const BUNDLED: u64 = 10;

/// Runs the load against `started`.
///
/// # Errors
/// When the generator cannot be started or understood, or the contestant does not say what it has sent.
pub(super) fn run(
    command: &Run,
    started: &mut Started,
    scene: &Scene<'_>,
) -> Result<Sample, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("`{command}`: {error}");
    let mut child = command.command();
    child.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut load = Loading(child.spawn().map_err(|error| wrong(&error))?);
    let mut output = BufReader::new(load.0.stdout.take().expect("it was asked to be piped"));
    let mut line = String::new();
    output.read_line(&mut line).map_err(|error| wrong(&error))?;
    if line.trim() != "ready" {
        return Err(wrong(&"it was not ready"));
    }
    let diverted = scene.lab.divert()?;
    let pid = started.pid();
    let mut reading = || -> Result<Reading, String> {
        let cpu_ns = process_cpu_nanos(pid).map_err(|error| format!("its clock: {error}"))?;
        Ok(Reading { counted: started.counted(scene.case)?, packets: diverted.packets()?, cpu_ns })
    };
    let before = reading()?;
    let mut input = load.0.stdin.take().expect("it was asked to be piped");
    input.write_all(b"\n").map_err(|error| wrong(&error))?;
    let mut text = String::new();
    output.read_to_string(&mut text).map_err(|error| wrong(&error))?;
    let report = report(&text)?;
    let after = reading()?;
    sample(&report, scene.case, &before, &after)
        .ok_or_else(|| format!("elara-load said too little: {report}"))
}

/// The generator, which ends with us.
struct Loading(Child);

impl Drop for Loading {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What stood where while nothing moved.
struct Reading {
    counted: Counted,
    packets: u64,
    cpu_ns: u64,
}

/// What lies between two readings. `None` when the generator says too little.
fn sample(report: &Value, case: Case, before: &Reading, after: &Reading) -> Option<Sample> {
    let count = |name: &str| report[name].as_u64();
    let others = u64::from(case.workload.shape().participants) - 1;
    // A keep-alive of wire v0 is forwarded as everything is; of wire v1 it is a PING, for the relay.
    let keep_alives = if case.wire == Wire::V0 { count("keep_alives")? } else { 0 };
    let due = (count("offered")?.checked_sub(count("unsent")?)? + keep_alives) * others;
    let delivered = after.counted.sent - before.counted.sent;
    let packets = after.packets - before.packets;
    Some(Sample {
        cost_ns: (after.cpu_ns - before.cpu_ns) as f64 / delivered.max(1) as f64,
        busy: report["relay_cpu_share"].as_f64()?,
        seconds: report["measured_s"].as_f64()?,
        delivered,
        lost: due.saturating_sub(delivered),
        wrong: wrong(report),
        datagrams_per_packet: Some(delivered as f64 / packets.max(1) as f64),
        limits: limits(report),
    })
}

/// What the relay's metrics say it has taken in and sent, in frames. A refused datagram does not say how many
/// it carried: in wire v1, where it may have been a bundle, it counts as ten.
pub(super) fn counted(metrics: &str, case: Case) -> Option<Counted> {
    let of = |name: &str| number(metrics, name);
    let taken = sum(metrics, "forwarded")?;
    let refused = of("elara_copies_busy_total")? + of("elara_copies_failed_total")?;
    let refused = if case.wire == Wire::V1 { refused * BUNDLED } else { refused };
    let sent = of("elara_copied_frames_total")?.saturating_sub(refused);
    Some(Counted { taken, sent, refused })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::workload::Workload;

    fn reading(sent: u64, packets: u64, cpu_ns: u64) -> Reading {
        Reading { counted: Counted { taken: 0, sent, refused: 0 }, packets, cpu_ns }
    }

    #[test]
    fn a_sample_is_what_lies_between_two_readings() {
        let report = json!({
            "offered": 110, "unsent": 10, "keep_alives": 1, "relay_cpu_share": 0.5, "measured_s": 2.0,
            "bottleneck": null,
        });
        let (before, after) = (reading(1_000, 50, 7), reading(1_900, 140, 900_007));
        let voice = Case::v0(Workload::Voice);
        let sample = sample(&report, voice, &before, &after).unwrap();
        assert_eq!((sample.delivered, sample.lost, sample.cost_ns), (900, 9, 1_000.0));
        assert_eq!(sample.datagrams_per_packet, Some(10.0));
    }

    const METRICS: &str = "\
        elara_datagrams_total{shard=\"0\",verdict=\"forwarded\"} 100\n\
        elara_copies_busy_total{shard=\"0\"} 1\n\
        elara_copies_failed_total{shard=\"0\"} 2\n\
        elara_copied_frames_total{shard=\"0\"} 900\n";

    #[test]
    fn a_relay_is_counted_in_frames() {
        let v0 = Case::v0(Workload::Bigroom);
        let plain = counted(METRICS, v0).unwrap();
        assert_eq!(plain, Counted { taken: 100, sent: 897, refused: 3 });
        let bundles = counted(METRICS, Case { wire: Wire::V1, ..v0 }).unwrap();
        assert_eq!(bundles, Counted { taken: 100, sent: 870, refused: 30 });
        assert_eq!(counted("", v0), None);
    }
}
