//! Bytes that must not be seen: wiped when dropped, silent in `Debug`, compared in constant time.
//!
//! What ring makes of a key (round keys, an Ed25519 pair) lies in ring's own types, which are not
//! wiped; this module answers for the bytes we hold ourselves.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::SecureRandom;

/// `N` secret bytes.
#[derive(Clone)]
pub struct Secret<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes `bytes` in. The caller's own copy, if it keeps one, is the caller's to wipe.
    #[must_use]
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Fresh secret bytes.
    #[must_use]
    pub fn generate(random: &mut impl SecureRandom) -> Self {
        let mut secret = Self::new([0; N]);
        random.fill(&mut *secret.0);
        secret
    }

    /// The bytes, in the open: for key schedules, and for printing a join address.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Takes the same time wherever the difference lies.
impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        equal(&*self.0, &*other.0)
    }
}

impl<const N: usize> Eq for Secret<N> {}

/// Whether two byte strings are equal, in a time that tells their lengths and nothing else.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{GuessableKeys, Seeded};
    use alloc::format;

    #[test]
    fn debug_tells_nothing() {
        let secret = Secret::new([0xAB; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn equality_sees_every_bit_and_the_length() {
        let secret = Secret::<32>::generate(&mut GuessableKeys(Seeded::new(1)));
        for bit in 0..256 {
            let mut other = secret.clone();
            other.expose_mut()[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(secret, other);
        }
        assert_eq!(secret, secret.clone());
        assert!(!equal(&[0; 3], &[0; 4]));
    }
}
