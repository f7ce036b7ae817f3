//! Whose tokens a relay believes.

use alloc::vec::Vec;

use crate::crypto::identity::PublicKey;
use crate::limits::ISSUERS_MAX;

/// The issuers a relay believes: at most [`ISSUERS_MAX`] public keys by their ids, several so that
/// an operator can bring in a new key before the old one goes.
#[derive(Clone, Debug, Default)]
pub struct Issuers {
    keys: Vec<(u16, PublicKey)>,
}

/// There is room for [`ISSUERS_MAX`] issuers, each id once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssuerRefused {
    /// The id has a key.
    IdTaken,
    /// There are as many as there may be.
    Full,
}

impl Issuers {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { keys: Vec::new() }
    }

    /// Believes `key` under `kid`.
    ///
    /// # Errors
    /// See [`IssuerRefused`].
    pub fn add(&mut self, kid: u16, key: PublicKey) -> Result<(), IssuerRefused> {
        if self.key(kid).is_some() {
            return Err(IssuerRefused::IdTaken);
        }
        if self.keys.len() == ISSUERS_MAX {
            return Err(IssuerRefused::Full);
        }
        self.keys.push((kid, key));
        Ok(())
    }

    /// The key of `kid`.
    #[must_use]
    pub fn key(&self, kid: u16) -> Option<&PublicKey> {
        self.keys.iter().find(|(id, _)| *id == kid).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_bounded_and_their_ids_unique() {
        let mut issuers = Issuers::new();
        for kid in 0..ISSUERS_MAX as u16 {
            assert_eq!(issuers.add(kid, PublicKey([kid as u8; 32])), Ok(()));
        }
        assert_eq!(issuers.add(3, PublicKey([0; 32])), Err(IssuerRefused::IdTaken));
        assert_eq!(issuers.add(999, PublicKey([0; 32])), Err(IssuerRefused::Full));
    }
}
