//! The highest rate at which a contestant loses nothing, each its own.
//!
//! Beside the cost at one load for all, a peer may be judged at its best: a forwarder is the cheaper per
//! datagram the busier it is. The search climbs as far as the share of the cpu that was used says there
//! is room, and where a run was not clean it halves what lies between.

use super::contestant::Shown;

/// Rates that one search tries, at most.
const PROBES: u32 = 12;
/// The search ends when what was clean and what was not are this close.
const CLOSE: f64 = 1.06;
/// Of the highest clean rate, where a contestant is measured: at the very edge every other run would lose.
const NEAR: f64 = 0.9;
/// Of the least such rate, what everybody bears.
const BORNE: f64 = 0.8;
/// A contestant that was less busy than this was not at its limit.
const BUSY: f64 = 0.8;

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ceiling {
    /// Bursts a second and session at which nothing was lost; `None` when something always was.
    pub(super) rate: Option<f64>,
    /// What must be said about it.
    pub(super) note: Option<String>,
}

impl Ceiling {
    /// Where it is measured near its own limit.
    pub(super) fn near(&self) -> Option<f64> {
        self.rate.map(|rate| (rate * NEAR).floor().max(1.0))
    }

    /// A rate that each of these bears.
    pub(super) fn borne<'a>(ceilings: impl Iterator<Item = &'a Self>) -> Option<f64> {
        let least = ceilings.filter_map(|ceiling| ceiling.rate).reduce(f64::min)?;
        Some((least * BORNE).floor().max(1.0))
    }

    /// Searches from `nominal` on, with what `probe` shows at a rate.
    ///
    /// # Errors
    /// When a run could not happen.
    pub(super) fn search(
        nominal: f64,
        mut probe: impl FnMut(f64) -> Result<Shown, String>,
    ) -> Result<Self, String> {
        let mut climb = Climb { next: nominal, best: None, wall: None };
        for _ in 0..PROBES {
            let mut shown = probe(climb.next)?;
            if !shown.is_clean() {
                // A machine stumbles; a limit is there the second time as well.
                shown = probe(climb.next)?;
            }
            if climb.take(shown) {
                break;
            }
        }
        Ok(climb.end())
    }
}

/// A search under way.
struct Climb {
    next: f64,
    /// The highest rate that was clean.
    best: Option<(f64, Shown)>,
    /// The lowest that was not.
    wall: Option<(f64, Shown)>,
}

impl Climb {
    /// Learns from what was shown at the next rate. True when the search is over.
    fn take(&mut self, shown: Shown) -> bool {
        let (rate, busy) = (self.next, shown.sample.busy.max(0.01));
        if shown.is_clean() {
            self.best = Some((rate, shown));
        } else {
            self.wall = Some((rate, shown));
        }
        let best = self.best.as_ref().map(|(rate, _)| *rate);
        let wall = self.wall.as_ref().map(|(rate, _)| *rate);
        self.next = match (best, wall) {
            (Some(best), Some(wall)) => f64::midpoint(best, wall),
            (None, Some(wall)) => wall / 2.0,
            // What it uses grows slower than what it is given.
            _ => rate * (1.0 / busy).clamp(1.2, 4.0),
        };
        self.next = self.next.round().max(1.0);
        let close = best.zip(wall).is_some_and(|(best, wall)| wall <= best * CLOSE);
        close || Some(self.next) == best || Some(self.next) == wall
    }

    fn end(self) -> Ceiling {
        let percent = |shown: &Shown| shown.sample.busy * 100.0;
        let limits = |shown: &Shown| shown.sample.limits.join(", ");
        let note = match (&self.best, &self.wall) {
            (None, _) => Some("no rate was clean".into()),
            (Some((_, best)), Some((_, wall)))
                if best.sample.busy < BUSY && !wall.sample.limits.is_empty() =>
            {
                Some(format!(
                    "not its limit: the generator gave up first ({}) and left it {:.0} % busy",
                    limits(wall),
                    percent(best)
                ))
            }
            (Some((_, best)), _) if best.sample.busy < BUSY => {
                Some(format!("it lost or fell behind from {:.0} % busy on", percent(best)))
            }
            _ => None,
        };
        Ceiling { rate: self.best.map(|(rate, _)| rate), note }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contest::Sample;

    fn shown(busy: f64, lost: u64, limits: &[&str]) -> Shown {
        let limits = limits.iter().map(|limit| (*limit).to_owned()).collect();
        let sample = Sample { busy, delivered: 100_000, lost, limits, ..Sample::default() };
        Shown { sample, under_way: 0.0 }
    }

    /// Somebody busy by `each` of a cpu for every burst, who loses from `wall` on, and a generator that
    /// gives up at `generator`.
    fn found(each: f64, wall: f64, generator: f64) -> (Ceiling, usize) {
        let mut probes = 0;
        let ceiling = Ceiling::search(30.0, |rate| {
            probes += 1;
            let limits: &[&str] = if rate >= generator { &["cpu"] } else { &[] };
            Ok(shown((rate * each).min(1.0), if rate >= wall { 1_000 } else { 0 }, limits))
        });
        (ceiling.unwrap(), probes)
    }

    #[test]
    fn the_highest_clean_rate_is_found_and_measured_a_little_below() {
        let (ceiling, probes) = found(0.001, 970.0, f64::INFINITY);
        let rate = ceiling.rate.unwrap();
        assert!((970.0 / CLOSE..970.0).contains(&rate), "{rate}");
        assert_eq!((ceiling.note.as_deref(), ceiling.near()), (None, Some((rate * NEAR).floor())));
        assert!(probes <= 2 * PROBES as usize);
    }

    #[test]
    fn a_ceiling_that_is_not_its_own_says_so() {
        let (ceiling, _) = found(0.001, f64::INFINITY, 500.0);
        let note = ceiling.note.unwrap();
        assert!(note.contains("gave up first (cpu)") && note.contains("% busy"), "{note}");
        let (ceiling, _) = found(0.001, 400.0, f64::INFINITY);
        let note = ceiling.note.unwrap();
        assert!(note.contains("lost or fell behind"), "{note}");
    }

    #[test]
    fn who_always_loses_has_none_and_holds_nobody_back() {
        let (nobody, _) = found(0.001, 0.0, f64::INFINITY);
        assert_eq!((nobody.rate, nobody.near()), (None, None));
        let (low, _) = found(0.01, 9.0, f64::INFINITY);
        assert!((8.0 / CLOSE..9.0).contains(&low.rate.unwrap()), "below nominal: {low:?}");
        let of = |rate| Ceiling { rate: Some(rate), note: None };
        let all = [of(300.0), nobody, of(100.0)];
        assert_eq!(Ceiling::borne(all.iter()), Some(80.0));
        assert_eq!(Ceiling::borne([].iter()), None);
    }
}
