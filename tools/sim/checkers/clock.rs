//! Time never goes back.

use super::{Broken, Step};

/// # Errors
/// When a cycle happened before the one before it.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    if step.at < step.before {
        return Err(format!("a cycle at {:?} follows one at {:?}", step.at, step.before));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use elara_core::time::{Instant, Span};

    #[test]
    fn a_cycle_may_not_precede_the_one_before() {
        let mut step = scenes::quiet();
        assert_eq!(super::check(&step), Ok(()));
        step.before = Instant::ZERO + Span::from_secs(9);
        step.at = Instant::ZERO;
        assert!(super::check(&step).is_err());
    }
}
