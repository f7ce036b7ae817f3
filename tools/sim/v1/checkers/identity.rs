//! What a relay passes on is, byte for byte, a frame that a member sealed, that came by a connection that
//! stands, in this cycle or a moment ago, and that its sender may send. Everything else it sends is its
//! own: control or an answer.

use super::{Books, Step};
use crate::checkers::Broken;
use crate::v1::frames::Kind;

/// # Errors
/// The first frame that should not have left.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    let candidates = step.candidates();
    for left in &step.sent {
        for digest in left.data.iter().flatten() {
            if !candidates.contains_key(digest) && !step.mirror.waits(*digest) {
                let origin = match step.ledger.find(*digest) {
                    None => "that nobody sealed",
                    Some(_) => "that nobody may pass on now",
                };
                return Err(format!("a frame {digest:016x} left for {} {origin}", left.to));
            }
        }
        let known = left.data.is_some() || matches!(left.kind, Kind::Control | Kind::Handshake);
        if !known {
            let len = left.bytes.len();
            return Err(format!("{len} bytes that are no frame left for {}", left.to));
        }
    }
    Ok(())
}
