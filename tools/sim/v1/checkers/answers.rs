//! An address that has proven nothing is never sent more bytes than came from it: WELCOME, RETRY, BUSY,
//! RESET and challenges make nobody's traffic larger.

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The address that was sent too much.
pub(crate) fn check(step: &Step<'_>, books: &mut Books) -> Result<(), Broken> {
    let Books { credit, .. } = books;
    for heard in &step.heard {
        credit.entry(heard.from).or_default().0 += heard.bytes.len() as u64;
    }
    for left in &step.sent {
        let (came, went) = credit.entry(left.to).or_default();
        *went += left.bytes.len() as u64;
        if went > came && !step.mirror.proven.contains(&left.to) {
            return Err(format!("{} was sent {went} bytes for the {came} it sent", left.to));
        }
    }
    Ok(())
}
