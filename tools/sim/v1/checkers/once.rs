//! A relay passes a frame on once, however often it comes and from wherever.

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The frame that left before.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for (digest, _) in step.errands() {
        if step.mirror.passed.contains(&digest) {
            return Err(format!("frame {digest:016x} was passed on again"));
        }
    }
    Ok(())
}
