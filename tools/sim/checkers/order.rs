//! What one participant says reaches each other one in the order the relay heard it. Frames of
//! different speakers may overtake each other.

use super::{Broken, Step};

/// # Errors
/// When two frames of one speaker leave to one receiver in another order than they came.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    let (mut due, mut done) = (step.errands_due(), step.errands_done());
    if due == done {
        return Ok(());
    }
    // Stable: within one speaker and receiver, order is what it was.
    due.sort_by_key(|(to, speaker, _)| (*to, *speaker));
    done.sort_by_key(|(to, speaker, _)| (*to, *speaker));
    match due.iter().zip(&done).find(|(due, done)| due != done) {
        Some((due, _)) => Err(format!("frame {:016x} left to {} out of turn", due.2, due.0)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes;

    #[test]
    fn two_frames_of_one_speaker_keep_their_order() {
        let mut step = scenes::two_frames_to_bob();
        assert_eq!(super::check(&step), Ok(()));
        step.sent.swap(0, 1);
        assert!(super::check(&step).is_err());
    }

    #[test]
    fn two_speakers_may_overtake_each_other() {
        let mut step = scenes::two_frames_to_bob();
        step.heard[1].speaker = 1;
        step.sent.swap(0, 1);
        assert_eq!(super::check(&step), Ok(()));
    }
}
