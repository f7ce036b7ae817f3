//! A relay passes a frame on once to each receiver, however often it comes and from wherever.

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The frame that left before.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for (digest, addrs) in step.errands() {
        let Some(frame) = step.ledger.find(digest) else { continue };
        let before = step.mirror.passed(digest);
        for addr in &addrs {
            let times = before.iter().chain(&addrs).filter(|other| *other == addr).count();
            // Several members may share an address.
            let there = step.mirror.seats_at(frame.session, frame.node, *addr);
            if times > there.max(1) {
                return Err(format!("frame {digest:016x} was passed on to {addr} again"));
            }
        }
    }
    Ok(())
}
