//! Keys of MESSAGE-INTEGRITY, and what they are made of (RFC 8489 sections 9.1, 9.2, 14.4 to 14.6, 18.5).
//!
//! A key is derived once and kept; passwords are not. MD5 runs here and nowhere else.
//!
//! User names, realms and passwords count as they stand. The RFC prepares them first (OpaqueString,
//! RFC 8265; before it SASLprep): ASCII passes through that unchanged, other text must come here prepared.

use core::fmt;

use md5::{Digest, Md5};
use ring::hmac;

use super::{ATTRIBUTE_HEAD, HEADER_LEN};
use crate::crypto::Secret;
use crate::crypto::hash::sha256;

/// Which MESSAGE-INTEGRITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MESSAGE-INTEGRITY: HMAC-SHA1, 20 bytes.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256: HMAC-SHA256, 32 bytes; others may cut it down to 16.
    Sha256,
}

impl Algorithm {
    /// Bytes of the whole HMAC.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether a value of `width` bytes can be one: RFC 8489 section 14.6 allows a SHA-256 to be cut to
    /// a multiple of four from 16 on.
    pub(super) const fn admits(self, width: usize) -> bool {
        match self {
            Self::Sha1 => width == 20,
            Self::Sha256 => width >= 16 && width <= 32 && width.is_multiple_of(4),
        }
    }
}

/// How a long-term key is derived from a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum PasswordAlgorithm {
    /// [`password_md5`]: all that RFC 5389 knew.
    Md5 = 1,
    /// [`password_sha256`].
    Sha256 = 2,
}

impl PasswordAlgorithm {
    /// Both, the better one first: the order in which a server offers them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The algorithm of this number, if it is one of ours.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Md5),
            2 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The number as it stands in PASSWORD-ALGORITHM, and no parameters.
    pub(super) const fn to_bytes(self) -> [u8; 4] {
        let [high, low] = (self as u16).to_be_bytes();
        [high, low, 0, 0]
    }
}

/// A key, ready to sign and verify. What ring keeps of it is not wiped when dropped.
#[derive(Clone)]
pub struct Key {
    hmac: hmac::Key,
    algorithm: Algorithm,
}

impl Key {
    /// A key of these bytes as they are: a [`password_md5`] or [`password_sha256`] that was stored.
    #[must_use]
    pub fn raw(bytes: &[u8], integrity: Algorithm) -> Self {
        let hmac = match integrity {
            Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => hmac::HMAC_SHA256,
        };
        Self { hmac: hmac::Key::new(hmac, bytes), algorithm: integrity }
    }

    /// The key of long-term credentials (RFC 8489 section 9.2.2).
    #[must_use]
    pub fn long_term(
        username: &str,
        realm: &str,
        password: &str,
        derived_by: PasswordAlgorithm,
        integrity: Algorithm,
    ) -> Self {
        match derived_by {
            PasswordAlgorithm::Md5 => {
                Self::raw(password_md5(username, realm, password).expose(), integrity)
            }
            PasswordAlgorithm::Sha256 => {
                Self::raw(password_sha256(username, realm, password).expose(), integrity)
            }
        }
    }

    /// The key of short-term credentials: the password itself (RFC 8489 section 9.1.1).
    #[must_use]
    pub fn short_term(password: &str, integrity: Algorithm) -> Self {
        Self::raw(password.as_bytes(), integrity)
    }

    /// Which MESSAGE-INTEGRITY it is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The HMAC behind `covered`, of which `width` bytes will stand there. It covers the header with the
    /// length that a message ending there would have.
    pub(super) fn tag(&self, head: &[u8; HEADER_LEN], covered: &[u8], width: usize) -> hmac::Tag {
        let mut head = *head;
        // Both callers hold a message that is longer still, and no longer than its length can say.
        let length = (covered.len() + ATTRIBUTE_HEAD + width) as u16;
        [head[2], head[3]] = length.to_be_bytes();
        let mut context = hmac::Context::with_key(&self.hmac);
        context.update(&head);
        context.update(covered);
        context.sign()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, ..)", self.algorithm)
    }
}

/// MD5 of `username:realm:password`: what a server keeps for clients of RFC 5389.
#[must_use]
pub fn password_md5(username: &str, realm: &str, password: &str) -> Secret<16> {
    let mut md5 = Md5::new();
    for part in [username, ":", realm, ":", password] {
        md5.update(part);
    }
    Secret::new(md5.finalize().into())
}

/// SHA-256 of `username:realm:password`: what a server keeps for clients of RFC 8489.
#[must_use]
pub fn password_sha256(username: &str, realm: &str, password: &str) -> Secret<32> {
    let parts = [username, ":", realm, ":", password];
    Secret::new(sha256(&parts.map(str::as_bytes)))
}

/// What stands in USERHASH instead of the user's name: SHA-256 of `username:realm` (RFC 8489 section 14.4).
#[must_use]
pub fn userhash(username: &str, realm: &str) -> [u8; 32] {
    sha256(&[username, ":", realm].map(str::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex::bytes;
    use alloc::format;

    #[test]
    fn the_long_term_key_of_rfc_8489() {
        // Section 9.2.2 has it for the user "user", the realm "realm" and the password "pass".
        let key = password_md5("user", "realm", "pass");
        assert_eq!(*key.expose(), bytes("8493fbc53ba582fb4c044c456bdc40eb"));
    }

    #[test]
    fn the_userhash_of_rfc_8489_appendix_b_1() {
        let hash = userhash("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}", "example.org");
        let expected = "4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704";
        assert_eq!(hash, bytes(expected));
    }

    #[test]
    fn a_key_tells_its_algorithm_and_nothing_else() {
        let key = Key::short_term("secret", Algorithm::Sha1);
        assert_eq!(format!("{key:?}"), "Key(Sha1, ..)");
    }

    #[test]
    fn a_sha_256_may_be_cut_to_sixteen_bytes_in_steps_of_four_and_a_sha_1_not_at_all() {
        let admitted = |algorithm: Algorithm| (0..64).filter(move |len| algorithm.admits(*len));
        assert!(admitted(Algorithm::Sha256).eq([16, 20, 24, 28, 32]));
        assert!(admitted(Algorithm::Sha1).eq([20]));
    }

    #[test]
    fn numbers_of_password_algorithms_are_those_of_iana() {
        for number in 0..=u16::MAX {
            let known = PasswordAlgorithm::from_number(number);
            assert_eq!(
                known.map(|known| known as u16),
                (1..=2).contains(&number).then_some(number)
            );
        }
    }
}
