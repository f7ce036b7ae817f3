//! Nothing leaves to an address that is not, when the frame is heard, that of another participant of
//! its session; so nothing goes back to its sender either.

use super::{Broken, Step};

/// # Errors
/// When a copy leaves to its sender, or to a stranger.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    for copy in &step.sent {
        let same = step.heard.iter().filter(|heard| heard.digest == copy.digest);
        if same.clone().any(|heard| heard.ruling.receivers.contains(&copy.to)) {
            continue;
        }
        let to = copy.to;
        if same.clone().any(|heard| heard.from == to) {
            return Err(format!("a frame left to {to}, where it came from"));
        }
        return Err(format!("a frame left to {to}, which is nobody's address in its session"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scenes;

    #[test]
    fn strangers_and_the_sender_get_nothing() {
        let mut step = scenes::two_frames_to_bob();
        assert_eq!(super::check(&step), Ok(()));
        step.sent[0].to = scenes::addr(77);
        assert!(super::check(&step).unwrap_err().contains("nobody's"));
        step.sent[0].to = scenes::ALICE;
        assert!(super::check(&step).unwrap_err().contains("where it came from"));
    }
}
