//! The rate at which contestants are compared: busy, and nothing lost.
//!
//! A forwarder gets cheaper per datagram the busier it is, so cost is compared at one load. The floor that
//! sends as the relay does is asked, on system calls, until it is 45 to 65 % busy and loses nothing.
//! Where the generator gives up before that, the highest clean rate is taken, and said.

use super::contest::{self, Contestant, Sample, Scene};
use super::workload::Io;

/// Busy share of the yardstick that the search aims at, and the band it accepts.
const AIM: f64 = 0.55;
const BAND: std::ops::RangeInclusive<f64> = 0.45..=0.65;
const PROBES: u32 = 8;

/// What a search came to.
pub(super) struct Found {
    /// Sends per second and sender.
    pub(super) rate: f64,
    /// What must be said about it.
    pub(super) note: Option<String>,
}

/// Sends per second and sender at which the floor of the scene's technique is busy but loses nothing.
///
/// # Errors
/// When a run could not happen.
pub(super) fn search(scene: &Scene<'_>) -> Result<Found, String> {
    let yardstick = Contestant::Floor(Io::Syscall.technique(scene.case.manner()));
    let mut aim = Aim::new(scene.case.workload.rate());
    for _ in 0..PROBES {
        let sample = contest::run(yardstick, scene, aim.rate, 1)?;
        eprintln!("{scene} search at {:.0}/s a sender: {yardstick} {sample}", aim.rate);
        if aim.take(&sample) {
            break;
        }
    }
    Ok(Found { rate: aim.best, note: aim.note() })
}

/// A search for a rate: up while there is room, down when something gives, never below nominal.
struct Aim {
    /// What people would have.
    nominal: f64,
    /// To be tried next.
    rate: f64,
    /// The highest that was clean.
    best: f64,
    /// How busy that left the yardstick; `None` before one was clean.
    busy: Option<f64>,
    /// The lowest that was not.
    wall: f64,
}

impl Aim {
    fn new(nominal: f64) -> Self {
        Self { nominal, rate: nominal, best: nominal, busy: None, wall: f64::INFINITY }
    }

    /// Learns from a sample at `rate`. True when the search is over.
    fn take(&mut self, sample: &Sample) -> bool {
        let busy = sample.busy.max(0.01);
        let clean = sample.is_clean() && busy <= *BAND.end();
        if clean {
            (self.best, self.busy) = (self.rate, Some(busy));
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

    /// What is not as it should be with the best rate.
    fn note(&self) -> Option<String> {
        match self.busy {
            None => Some("no rate was clean, so this is the nominal one".into()),
            Some(busy) if busy < *BAND.start() => Some(format!(
                "the highest clean rate found left the floor {:.0} % busy",
                busy * 100.0
            )),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(busy: f64, lost: u64) -> Sample {
        Sample { busy, delivered: 100_000, lost, ..Sample::default() }
    }

    /// A forwarder that is `busy` at rate 1 and loses past `wall`, searched from `from`.
    fn found(from: f64, busy: f64, wall: f64) -> (f64, Option<String>) {
        let mut aim = Aim::new(from);
        for _ in 0..PROBES {
            let lost = if aim.rate > wall { 1_000 } else { 0 };
            if aim.take(&sample((aim.rate * busy).min(1.0), lost)) {
                break;
            }
        }
        (aim.best, aim.note())
    }

    #[test]
    fn the_search_ends_where_the_yardstick_is_busy_and_loses_nothing() {
        let (rate, note) = found(50.0, 0.002, f64::INFINITY);
        assert!(BAND.contains(&(rate * 0.002)) && note.is_none(), "{rate}");
        let (rate, note) = found(50.0, 0.002, 150.0);
        assert!((100.0..=150.0).contains(&rate), "a generator that gives up first: {rate}");
        assert!(note.unwrap().contains("% busy"));
        let (rate, note) = found(50.0, 0.002, 10.0);
        assert_eq!(rate, 50.0, "never below nominal");
        assert!(note.unwrap().contains("no rate was clean"));
    }
}
