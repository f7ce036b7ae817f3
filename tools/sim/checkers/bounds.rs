//! Tables hold what they should and never more than they may; a cycle takes in no more than its budget;
//! nothing is left unsaid.

use elara_core::limits::CYCLE_TRAINS_MAX;

use super::{Broken, Step};

/// # Errors
/// The table that holds something else than it should, or too much.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    let (counters, model) = (&step.counters, step.model);
    let sessions = model.sessions.len();
    let participants: usize = model.sessions.values().map(|session| session.members.len()).sum();
    if (counters.sessions, counters.participants) != (sessions as u64, participants as u64) {
        return Err(format!(
            "the tables hold {} sessions and {} participants, and should hold {sessions} and {participants}",
            counters.sessions, counters.participants
        ));
    }
    if counters.joined - counters.left != counters.participants {
        return Err(format!(
            "{} joined and {} left, but {participants} are there",
            counters.joined, counters.left
        ));
    }
    if counters.notices_lost > 0 {
        return Err("notices were lost although somebody reads them".to_owned());
    }
    if step.trains > CYCLE_TRAINS_MAX as u64 {
        return Err(format!("{} trains in one cycle are more than its budget", step.trains));
    }
    if step.heard.is_empty() {
        return Ok(());
    }
    let fullest = model.sessions.values().map(|session| session.members.len()).max();
    if fullest.is_some_and(|members| members > model.max_peers) {
        return Err(format!("a session has more than {} participants", model.max_peers));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scenes;

    #[test]
    fn a_leaked_participant_is_found() {
        let mut step = scenes::two_frames_to_bob();
        assert_eq!(super::check(&step), Ok(()));
        step.counters.participants += 1;
        assert!(super::check(&step).is_err());
    }

    #[test]
    fn who_joined_and_has_not_left_is_there() {
        let mut step = scenes::two_frames_to_bob();
        step.counters.left = 1;
        assert!(super::check(&step).unwrap_err().contains("joined"));
    }
}
