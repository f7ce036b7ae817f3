//! Who is silent is forgotten in time, and when all are, nothing is left.

use elara_core::time::Instant;
use elara_shards::Counters;

use super::Broken;
use crate::model::Model;

/// # Errors
/// When someone should have been forgotten by now.
pub fn check_overdue(model: &Model, now: Instant) -> Result<(), Broken> {
    match model.overdue(now) {
        Some((session, node)) => {
            Err(format!("node {node} of session {session} is silent and should be forgotten"))
        }
        None => Ok(()),
    }
}

/// # Errors
/// When a table is not empty although everyone has been silent for long enough.
pub fn check_empty(counters: &Counters, model: &Model) -> Result<(), Broken> {
    if (counters.sessions, counters.participants) != (0, 0) {
        return Err(format!(
            "{} sessions and {} participants are left although all have been silent",
            counters.sessions, counters.participants
        ));
    }
    if !model.sessions.is_empty() {
        return Err("a session never ended".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use super::*;
    use elara_core::time::Span;

    #[test]
    fn whoever_stays_too_long_is_found() {
        let model = scenes::model();
        let at = |secs| Instant::ZERO + Span::from_secs(secs);
        assert_eq!(check_overdue(&model, at(60)), Ok(()));
        assert!(check_overdue(&model, at(62)).is_err());
    }

    #[test]
    fn a_leak_is_found() {
        let mut model = scenes::model();
        model.sessions.clear();
        assert_eq!(check_empty(&Counters::default(), &model), Ok(()));
        let leak = Counters { sessions: 1, ..Counters::default() };
        assert!(check_empty(&leak, &model).is_err());
        assert!(check_empty(&Counters::default(), &scenes::model()).is_err());
    }
}
