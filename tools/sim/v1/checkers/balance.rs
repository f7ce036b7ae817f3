//! Counters balance: what came in, what left and what became of it is counted as it happened.

use elara_core::limits::{CYCLE_SENDS_MAX, CYCLE_TRAINS_MAX};
use elara_shards::io::memory::Outcome;
use elara_shards::{Counters, Notice, Verdict};

use super::{Books, Step};
use crate::checkers::Broken;
use crate::v1::frames::{self, Kind, handshake};

/// # Errors
/// The counter that does not say what happened.
pub(crate) fn check(step: &Step<'_>, books: &mut Books) -> Result<(), Broken> {
    let (then, now) = (&step.counted, &step.counters);
    if !now.balanced() {
        return Err("counters do not balance".to_owned());
    }
    let agree = |name: &str, count: fn(&Counters) -> u64, happened: u64| {
        let counted = count(now) - count(then);
        if counted == happened {
            return Ok(());
        }
        Err(format!(
            "{name} was counted {counted} times in a cycle, and should have been {happened}"
        ))
    };
    let of_kind = |kind| step.sent.iter().filter(move |left| left.kind == kind);
    let answers = |wanted| {
        let answers = of_kind(Kind::Handshake);
        answers.filter(|left| frames::profile_of(left.bytes) == wanted).count() as u64
    };
    let outcome = |wanted| step.sent.iter().filter(move |left| left.outcome == wanted);
    let bytes = |counted: usize| counted as u64;
    agree("datagrams", |c| c.datagrams, step.heard.len() as u64)?;
    agree("trains", |c| c.trains, step.trains)?;
    agree("bytes", |c| c.bytes, bytes(step.heard.iter().map(|heard| heard.bytes.len()).sum()))?;
    agree("copies", |c| c.copies, step.sent.len() as u64)?;
    agree("control", |c| c.control_sent, of_kind(Kind::Control).count() as u64)?;
    agree("answers", |c| c.answers_sent, of_kind(Kind::Handshake).count() as u64)?;
    let answered = of_kind(Kind::Handshake).map(|left| left.bytes.len()).sum();
    agree("answer bytes", |c| c.answer_bytes, bytes(answered))?;
    agree("sent", |c| c.egress.sent, outcome(Outcome::Sent).count() as u64)?;
    agree("busy", |c| c.egress.busy, outcome(Outcome::Busy).count() as u64)?;
    agree("failed", |c| c.egress.failed, outcome(Outcome::Failed).count() as u64)?;
    let taken = outcome(Outcome::Sent).map(|left| left.bytes.len()).sum();
    agree("egress bytes", |c| c.egress.bytes, bytes(taken))?;
    agree("cycles", |c| c.cycles, 1)?;
    let said =
        |wanted: fn(&Notice) -> bool| step.notices.iter().filter(|n| wanted(n)).count() as u64;
    agree("joined", |c| c.joined, said(|notice| matches!(notice, Notice::Joined { .. })))?;
    agree("moved", |c| c.moved, said(|notice| matches!(notice, Notice::Moved { .. })))?;
    agree("left", |c| c.left, said(|notice| matches!(notice, Notice::Left { .. })))?;
    agree("retried", |c| c.of(Verdict::HelloRetried), answers(handshake::RETRY))?;
    agree("welcomed", welcomed, answers(handshake::WELCOME))?;
    let again = books.again(step);
    agree("welcomed again", |c| c.of(Verdict::WelcomedAgain), again)?;
    check_forwarded(step)?;
    let wall = now.copies - then.copies >= CYCLE_SENDS_MAX as u64;
    // What leaves outside of receiving may pass the wall without leaving datagrams behind.
    let spent = step.trains >= CYCLE_TRAINS_MAX as u64 || wall;
    if now.overruns - then.overruns > u64::from(spent) {
        return Err("an overrun was counted that was none".to_owned());
    }
    Ok(())
}

const fn welcomed(counters: &Counters) -> u64 {
    counters.of(Verdict::Welcomed) + counters.of(Verdict::WelcomedAgain)
}

/// A frame that came alone and left at once was forwarded; what may have been is known too.
fn check_forwarded(step: &Step<'_>) -> Result<(), Broken> {
    let errands: Vec<u64> = step.errands().into_iter().map(|(digest, _)| digest).collect();
    let candidates = step.candidates();
    let counted = step.counters.of(Verdict::Forwarded) - step.counted.of(Verdict::Forwarded);
    let (mut least, mut most) = (0, 0);
    let mut seen = Vec::new();
    for heard in &step.heard {
        if let [piece] = heard.frames.as_slice()
            && piece.alone
            && errands.contains(&piece.digest)
            && !step.mirror.waits(piece.digest)
            && !seen.contains(&piece.digest)
        {
            least += 1;
        }
        let may = heard.frames.iter().any(|piece| candidates.contains_key(&piece.digest));
        most += u64::from(may);
        seen.extend(heard.frames.iter().map(|piece| piece.digest));
    }
    if !(least..=most).contains(&counted) {
        return Err(format!(
            "{counted} datagrams were counted as forwarded, not {least} to {most}"
        ));
    }
    Ok(())
}

impl Books {
    /// How many WELCOMEs of this cycle had left before.
    fn again(&mut self, step: &Step<'_>) -> u64 {
        let mut again = 0;
        for (.., welcome) in step.welcomes() {
            again += u64::from(!self.offered.insert(welcome));
        }
        again
    }
}
