//! All or nobody: a frame that is passed on goes to every member who must get it.

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The member who was left out.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    let candidates = step.candidates();
    for (digest, mut addrs) in step.errands() {
        // What came before this cycle has gone to all but those who let it wait.
        let Some(frame) = candidates.get(&digest) else { continue };
        if step.mirror.waits(digest) || !step.mirror.passed(digest).is_empty() {
            continue;
        }
        for (node, seat) in step.mirror.rooms.get(&frame.session).into_iter().flatten() {
            let (_, must) = step.mirror.deserves(frame, *node, seat, step.ledger, step.at);
            let Some(addr) = seat.addr().filter(|_| must) else { continue };
            match addrs.iter().position(|other| other == addr) {
                Some(place) => addrs.swap_remove(place),
                None => {
                    return Err(format!(
                        "frame {digest:016x} of node {} was not sent to node {node} at {addr}",
                        frame.node
                    ));
                }
            };
        }
    }
    Ok(())
}
