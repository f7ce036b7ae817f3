//! Which attributes exist: the rule that readers and the writer share.

use super::attribute::{FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};

/// How far a message has been read or written, as far as that decides what may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything.
    Open,
    /// Behind MESSAGE-INTEGRITY.
    Sha1,
    /// Behind MESSAGE-INTEGRITY-SHA256.
    Sha256,
    /// Behind FINGERPRINT.
    Ended,
}

impl Sight {
    /// Whether an attribute of `kind` exists at this place; if so, what follows is judged from behind it.
    #[inline]
    pub(super) fn sees(&mut self, kind: u16) -> bool {
        let next = match (*self, kind) {
            (Self::Ended, _) => return false,
            (_, FINGERPRINT) => Self::Ended,
            // RFC 8489 section 14.6: behind it only FINGERPRINT.
            (Self::Open | Self::Sha1, MESSAGE_INTEGRITY_SHA256) => Self::Sha256,
            // RFC 8489 section 14.5: behind it only those two.
            (Self::Open, MESSAGE_INTEGRITY) => Self::Sha1,
            (Self::Open, _) => Self::Open,
            (Self::Sha1 | Self::Sha256, _) => return false,
        };
        *self = next;
        true
    }
}
