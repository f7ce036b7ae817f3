//! Every accepted frame is sent exactly once to every other participant of its session. Copies that
//! found the socket busy or had no route were sent too: the back end counts them.

use super::{Broken, Errand, Step};

/// # Errors
/// When a copy is missing, or one too many.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    let (mut due, mut done) = (step.errands_due(), step.errands_done());
    if due == done {
        return Ok(());
    }
    due.sort_unstable();
    done.sort_unstable();
    let differs = due.iter().zip(&done).find(|(due, done)| due != done);
    let (missing, surplus) = match differs {
        None if due.len() == done.len() => return Ok(()),
        None => (due.get(done.len()), done.get(due.len())),
        Some((due, done)) if due < done => (Some(due), None),
        Some((_, done)) => (None, Some(done)),
    };
    let tell = |errand: &Errand| format!("frame {:016x} to {}", errand.2, errand.0);
    match (missing, surplus) {
        (Some(errand), _) => Err(format!("no copy of {} left", tell(errand))),
        (_, Some(errand)) => Err(format!("a copy too many of {} left", tell(errand))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes;

    #[test]
    fn a_missing_copy_and_one_too_many_are_told_apart() {
        let mut step = scenes::two_frames_to_bob();
        assert_eq!(super::check(&step), Ok(()));
        let copy = step.sent.pop().unwrap();
        assert!(super::check(&step).unwrap_err().contains("no copy"));
        step.sent.push(scenes::again(&copy));
        step.sent.push(copy);
        assert!(super::check(&step).unwrap_err().contains("too many"));
    }

    #[test]
    fn order_is_another_laws_business() {
        let mut step = scenes::two_frames_to_bob();
        step.sent.swap(0, 1);
        assert_eq!(super::check(&step), Ok(()));
    }
}
