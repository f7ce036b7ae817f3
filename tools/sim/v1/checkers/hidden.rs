//! Nothing that leaves a relay can be read: no marker of a sealed content, no identity, no token.

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// What can be read, and where it went.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for left in &step.sent {
        if let Some(what) = step.ledger.canaries.find(left.bytes) {
            return Err(format!("{what} was sent to {} in clear", left.to));
        }
    }
    Ok(())
}
