//! When all have been silent for long enough, nothing is left.

use elara_shards::Counters;

use crate::checkers::Broken;

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
