//! A frame goes to members of its session who may receive, have asked for it and are not silent, where
//! they are; never to its sender, and to nobody twice.

use elara_core::ClientAddr;

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The first copy that went to someone else.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for (digest, addrs) in step.errands() {
        let Some(frame) = step.ledger.find(digest) else { continue };
        let mut welcome: Vec<ClientAddr> = Vec::new();
        for (node, seat) in step.mirror.rooms.get(&frame.session).into_iter().flatten() {
            let (may, _) = step.mirror.deserves(frame, *node, seat, step.ledger, step.at);
            if may {
                welcome.extend(&seat.addrs);
            }
        }
        for addr in addrs {
            match welcome.iter().position(|other| *other == addr) {
                Some(place) => welcome.swap_remove(place),
                None => {
                    return Err(format!(
                        "frame {digest:016x} of node {} went to {addr}, where nobody should get it",
                        frame.node
                    ));
                }
            };
        }
    }
    Ok(())
}
