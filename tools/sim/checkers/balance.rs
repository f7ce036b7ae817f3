//! Counters balance: every datagram has the verdict the model says, every copy an outcome, and nothing
//! is counted that did not happen.

use elara_core::limits::CYCLE_TRAINS_MAX;
use elara_shards::Verdict;
use elara_shards::io::memory::Outcome;

use super::{Broken, Step};

/// # Errors
/// The counter that does not say what happened.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    let (then, now) = (&step.counted, &step.counters);
    if !now.balanced() {
        return Err("counters do not balance".to_owned());
    }
    let mut verdicts = [0; Verdict::COUNT];
    for heard in &step.heard {
        verdicts[heard.ruling.verdict as usize] += 1;
    }
    for verdict in Verdict::ALL {
        let (counted, due) = (now.of(*verdict) - then.of(*verdict), verdicts[*verdict as usize]);
        agree(verdict.label(), counted, due)?;
    }
    let outcomes = |outcome| step.sent.iter().filter(move |copy| copy.outcome == outcome);
    let heard_bytes: usize = step.heard.iter().map(|heard| heard.bytes.len()).sum();
    let sent_bytes: usize = outcomes(Outcome::Sent).map(|copy| copy.bytes.len()).sum();
    agree("datagrams", now.datagrams - then.datagrams, step.heard.len() as u64)?;
    agree("trains", now.trains - then.trains, step.trains)?;
    let overran = step.trains >= CYCLE_TRAINS_MAX as u64;
    agree("overruns", now.overruns - then.overruns, u64::from(overran))?;
    agree("bytes", now.bytes - then.bytes, heard_bytes as u64)?;
    agree("copies", now.copies - then.copies, step.sent.len() as u64)?;
    let (egress, before) = (now.egress, then.egress);
    agree("sent", egress.sent - before.sent, outcomes(Outcome::Sent).count() as u64)?;
    agree("busy", egress.busy - before.busy, outcomes(Outcome::Busy).count() as u64)?;
    agree("failed", egress.failed - before.failed, outcomes(Outcome::Failed).count() as u64)?;
    agree("egress bytes", egress.bytes - before.bytes, sent_bytes as u64)?;
    agree("cycles", now.cycles - then.cycles, 1)
}

fn agree(name: &str, counted: u64, happened: u64) -> Result<(), Broken> {
    if counted == happened {
        return Ok(());
    }
    Err(format!("{name} was counted {counted} times in a cycle, and should have been {happened}"))
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use elara_shards::Verdict;

    #[test]
    fn a_verdict_that_was_not_given_is_missed() {
        let mut step = scenes::two_frames_to_bob();
        assert_eq!(super::check(&step), Ok(()));
        step.heard[0].ruling.verdict = Verdict::Stray;
        assert!(super::check(&step).unwrap_err().contains("forwarded"));
    }

    #[test]
    fn a_copy_that_was_not_counted_is_missed() {
        let mut step = scenes::two_frames_to_bob();
        step.sent.pop();
        assert!(super::check(&step).unwrap_err().contains("copies"));
    }
}
