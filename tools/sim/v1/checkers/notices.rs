//! Members come, move and go only for a reason: whoever joins or moves has just proven to be there, with
//! a token that lets them in, and receives where it moves to; whoever is gone has said so, was sent away by
//! someone who may, was banned, has a token that ran out, or was silent for ten minutes.

use elara_core::limits::V1_SILENCE;
use elara_core::time::Instant;
use elara_core::{ClientAddr, NodeId, SessionId};
use elara_shards::Notice;
use elara_shards::command::Why;

use super::{Books, Step};
use crate::checkers::Broken;
use crate::v1::club::today;

/// Seconds for which clocks may differ when a token is looked at.
const SKEW_S: u64 = 60;

/// # Errors
/// The notice without a reason.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for notice in &step.notices {
        let sound = match *notice {
            Notice::SessionOpened { .. } | Notice::SessionEnded { .. } => true,
            Notice::Joined { session, node, addr } => {
                heard(step, session, node, addr)
                    && lets_in(step, session, node)
                    && !step.ledger.banned.contains(&(session, node))
            }
            Notice::Moved { session, node, addr } => {
                heard(step, session, node, addr) && step.ledger.has_been_at(session, node, addr)
            }
            Notice::Left { session, node, why } => may_leave(step, session, node, why),
        };
        if !sound {
            return Err(format!("there is no reason for {notice:?}"));
        }
    }
    Ok(())
}

/// Whether a genuine frame came from there.
fn heard(step: &Step<'_>, session: SessionId, node: NodeId, addr: ClientAddr) -> bool {
    let there = step.heard.iter().filter(|heard| heard.from == addr);
    there.flat_map(|heard| &heard.frames).any(|piece| {
        piece.hearing.genuine
            && piece.sealed.is_some_and(|sealed| (sealed.session, sealed.node) == (session, node))
    })
}

/// Whether a connection that has just begun has a token that is good.
fn lets_in(step: &Step<'_>, session: SessionId, node: NodeId) -> bool {
    let pieces = step.heard.iter().flat_map(|heard| &heard.frames);
    pieces.filter(|piece| piece.hearing.activates).filter_map(|piece| piece.sealed).any(|sealed| {
        let good = step.ledger.claims(sealed.line).is_some_and(|claims| {
            claims.session == session
                && u64::from(claims.expires) + SKEW_S + 10 >= u64::from(today(step.at))
        });
        (sealed.session, sealed.node) == (session, node) && good
    })
}

fn may_leave(step: &Step<'_>, session: SessionId, node: NodeId, why: Why) -> bool {
    let name = (session, node);
    match why {
        Why::Gone => step.ledger.leaving.contains(&name),
        Why::Kicked => step.ledger.kicked.contains(&name),
        Why::Banned => step.ledger.banned.contains(&name),
        Why::Expired => step
            .mirror
            .expires(name, step.ledger)
            .is_some_and(|expires| expires + SKEW_S < u64::from(today(step.at))),
        Why::Silent => {
            silent_since(step, name).is_some_and(|heard| step.at.since(heard) >= V1_SILENCE)
        }
        Why::Replaced => false,
    }
}

fn silent_since(step: &Step<'_>, (session, node): (SessionId, NodeId)) -> Option<Instant> {
    step.mirror.seat(session, node).map(|seat| seat.surely_heard())
}
