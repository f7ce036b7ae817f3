//! The highest rate at which a contestant loses nothing.
//!
//! Up in steps while windows are clean, towards where the contestant would have no time left; then halved
//! between the best that was clean and the first that was not, until they are 6 % apart; then confirmed
//! by longer windows. A window is clean when at most 0.01 % is lost and no queue grows in it. One that is
//! not gets a second chance: this machine may have been elsewhere for a moment.

use super::super::contest::Sample;

/// Where to begin, in datagrams a second.
const FIRST: f64 = 40_000.0;
/// No further.
const LAST: f64 = 20_000_000.0;
/// Steps upwards, at least and at most.
const STEPS: std::ops::RangeInclusive<f64> = 1.3..=4.0;
/// How busy a step upwards aims to leave it: costs fall while the load rises, so it takes some.
const AIM: f64 = 0.9;
/// The two ends of a search that has ended are this close.
const CLOSE: f64 = 1.06;
/// Confirmations in a row, and what a rate loses that fails one.
const CONFIRMATIONS: u32 = 2;
const BACK: f64 = 0.94;
/// How often at most a rate may lose that.
const BACKS: u32 = 12;

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// Datagrams a second.
    pub(super) rate: f64,
    /// What must be said about it.
    pub(super) note: Option<String>,
}

/// A window at a rate: short ones to search with, longer ones to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Short,
    Long,
}

/// What a window showed, and whether it was clean.
pub(super) struct Probe {
    pub(super) sample: Sample,
    pub(super) clean: bool,
}

/// Searches with `probe`.
///
/// # Errors
/// As `probe`.
pub(super) fn highest(
    mut probe: impl FnMut(f64, Length) -> Result<Probe, String>,
) -> Result<Found, String> {
    let mut limited = None;
    let mut is_clean = |rate, length| -> Result<(bool, f64), String> {
        let mut last = probe(rate, length)?;
        if !last.clean {
            last = probe(rate, length)?;
        }
        if !last.clean && !last.sample.limits.is_empty() {
            limited = Some(last.sample.limits.join(", "));
        }
        Ok((last.clean, last.sample.busy))
    };
    let (mut best, mut wall, mut rate) = (0.0, f64::INFINITY, FIRST);
    while wall / f64::max(best, 1.0) > CLOSE && rate <= LAST {
        let (clean, busy) = is_clean(rate, Length::Short)?;
        if clean {
            best = rate
        } else {
            wall = rate
        }
        rate = match (best > 0.0, wall.is_finite()) {
            (true, true) => (best * wall).sqrt(),
            (true, false) => rate * (AIM / busy.max(0.01)).clamp(*STEPS.start(), *STEPS.end()),
            (false, _) => rate / STEPS.end(),
        };
        if rate < 1.0 {
            return Ok(Found { rate: FIRST, note: Some("no rate was clean".into()) });
        }
    }
    let (mut rate, mut confirmed, mut backs) = (best, 0, 0);
    while confirmed < CONFIRMATIONS {
        if is_clean(rate, Length::Long)?.0 {
            confirmed += 1;
            continue;
        }
        (confirmed, backs, rate) = (0, backs + 1, rate * BACK);
        if backs > BACKS {
            return Ok(Found { rate, note: Some("no rate was clean twice".into()) });
        }
    }
    let note = limited.map(|limits| format!("the generator was the limit ({limits})"));
    Ok(Found { rate: rate.round(), note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(busy: f64, limits: &[&str]) -> Sample {
        let limits = limits.iter().map(|limit| (*limit).to_owned()).collect();
        Sample { busy, limits, ..Sample::default() }
    }

    /// A server that is clean up to `most`; how often it was asked, and what was found.
    fn search(most: f64, limits: &[&str]) -> (Found, u32) {
        let mut asked = 0;
        let found = highest(|rate, _| {
            asked += 1;
            let clean = rate <= most;
            Ok(Probe {
                sample: sample((rate / most).min(1.0), if clean { &[] } else { limits }),
                clean,
            })
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn the_search_ends_just_below_where_something_is_lost() {
        for most in [3_000.0, 90_000.0, 280_000.0, 3_000_000.0] {
            let (found, asked) = search(most, &[]);
            assert!(found.rate <= most && found.rate * CLOSE >= most - 1.0, "{found:?}, {most}");
            assert!(found.note.is_none() && asked < 25, "{asked} probes for {most}");
        }
    }

    #[test]
    fn it_says_whose_limit_it_was() {
        let (found, _) = search(250_000.0, &["pace"]);
        assert_eq!(found.note.as_deref(), Some("the generator was the limit (pace)"));
    }

    #[test]
    fn a_window_that_was_not_clean_gets_a_second_chance() {
        let mut times = 0;
        let found = highest(|rate, _| {
            times += 1;
            let clean = rate <= 100_000.0 && times % 2 == 0;
            Ok(Probe { sample: sample(rate / 100_000.0, &[]), clean })
        });
        assert!(found.unwrap().rate > 100_000.0 / 1.2);
    }

    #[test]
    fn what_fails_when_confirmed_goes_back() {
        let found = highest(|rate, length| {
            let most = if length == Length::Long { 80_000.0 } else { 100_000.0 };
            Ok(Probe { sample: sample((rate / 100_000.0).min(1.0), &[]), clean: rate <= most })
        });
        let rate = found.unwrap().rate;
        assert!((80_000.0 * BACK - 1.0..=80_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn who_is_never_clean_is_not_searched_for_ever() {
        let found = highest(|_, _| Ok(Probe { sample: sample(0.1, &[]), clean: false })).unwrap();
        assert_eq!(found.note.as_deref(), Some("no rate was clean"));
    }
}
