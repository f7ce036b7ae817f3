//! A relay passes a frame on once to each receiver, however often it comes and from wherever.

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The frame that left before.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for (digest, addrs) in step.errands() {
        let Some(frame) = step.ledger.find(digest) else { continue };
        let before = step.mirror.passed(digest);
        let room = step.mirror.rooms.get(&frame.session);
        for addr in &addrs {
            let times = before.iter().chain(&addrs).filter(|other| *other == addr).count();
            let seats = room.into_iter().flatten().filter(|(node, _)| **node != frame.node);
            // Several members may share an address.
            let there = seats.filter(|(_, seat)| seat.addrs.contains(addr)).count();
            if times > there.max(1) {
                return Err(format!("frame {digest:016x} was passed on to {addr} again"));
            }
        }
    }
    Ok(())
}
