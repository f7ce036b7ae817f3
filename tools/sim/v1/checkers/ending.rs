//! Who is silent for too long goes, and whose token has run out; when all have been silent for long
//! enough, nothing is left.

use elara_core::time::Instant;
use elara_shards::Counters;

use crate::checkers::Broken;
use crate::v1::ledger::Ledger;
use crate::v1::mirror::Mirror;

/// # Errors
/// When someone should have left by now.
pub(crate) fn check_overdue(mirror: &Mirror, ledger: &Ledger, now: Instant) -> Result<(), Broken> {
    match mirror.overdue(ledger, now) {
        Some((session, node)) => Err(format!(
            "node {node} of session {session} is silent, or may not stay, and is there"
        )),
        None => Ok(()),
    }
}

/// # Errors
/// When a table is not empty.
pub(crate) fn check_empty(counters: &Counters) -> Result<(), Broken> {
    let Counters { sessions, participants, half_open, hellos_waiting, .. } = *counters;
    match (sessions, participants, half_open, hellos_waiting) {
        (0, 0, 0, 0) => Ok(()),
        _ => Err(format!(
            "{sessions} sessions, {participants} participants, {half_open} half-open and \
             {hellos_waiting} HELLOs are left although all have been silent"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_of_any_kind_is_found() {
        assert_eq!(check_empty(&Counters::default()), Ok(()));
        for leak in [
            Counters { sessions: 1, ..Counters::default() },
            Counters { participants: 1, ..Counters::default() },
            Counters { half_open: 1, ..Counters::default() },
            Counters { hellos_waiting: 1, ..Counters::default() },
        ] {
            assert!(check_empty(&leak).is_err());
        }
    }
}
