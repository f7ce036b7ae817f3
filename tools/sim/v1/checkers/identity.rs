//! What a relay passes on is, byte for byte, a frame that a member sealed, that came in this cycle by a
//! connection that stands, and that its sender may send. Everything else it sends is its own: control or
//! an answer.

use super::{Books, Step};
use crate::checkers::Broken;
use crate::v1::frames::Kind;

/// # Errors
/// The first frame that should not have left.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    let candidates = step.candidates();
    for left in &step.sent {
        match left.kind {
            Kind::Data if candidates.contains_key(&left.digest) => {}
            Kind::Data => {
                let origin = match step.ledger.find(left.digest) {
                    None => "that nobody sealed",
                    Some(_) => "that nobody may pass on now",
                };
                return Err(format!("a frame {:016x} left for {} {origin}", left.digest, left.to));
            }
            Kind::Control | Kind::Handshake => {}
            Kind::Other => {
                return Err(format!(
                    "{} bytes that are no frame left for {}",
                    left.bytes.len(),
                    left.to
                ));
            }
        }
    }
    Ok(())
}
