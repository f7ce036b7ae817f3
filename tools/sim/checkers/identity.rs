//! Egress bytes are ingress bytes: whatever leaves came in, in the same cycle, byte for byte.

use super::{Broken, Step};

/// # Errors
/// When bytes leave that did not come in.
pub fn check(step: &Step<'_>) -> Result<(), Broken> {
    for copy in &step.sent {
        if copy.source.is_none_or(|source| step.heard[source].bytes != copy.bytes) {
            let (len, to) = (copy.bytes.len(), copy.to);
            return Err(format!("{len} bytes left to {to} that did not come in this cycle"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scenes;

    #[test]
    fn changed_bytes_are_told_from_those_that_came() {
        let mut step = scenes::two_frames_to_bob();
        assert_eq!(super::check(&step), Ok(()));
        step.sent[1].bytes = b"something else";
        assert!(super::check(&step).is_err(), "a digest alone does not convince");
        step.sent[1].source = None;
        assert!(super::check(&step).is_err());
    }
}
