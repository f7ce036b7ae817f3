//! X25519 keys for the handshake, and the certificate that ties a static one to an identity.
//!
//! Signing and agreeing use different keys: the identity may live in hardware that only signs, and
//! a stolen static key is worth something only until its certificate ends.

use core::fmt;

use x25519_dalek::{PublicKey as Point, StaticSecret as Scalar};

use super::identity::{Identity, PublicKey, Signature};
use super::secret::{Secret, equal};
use crate::random::SecureRandom;

/// Bytes of an X25519 key, either half.
pub const EXCHANGE_LEN: usize = 32;

/// The public half of an X25519 key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangePublic(pub [u8; EXCHANGE_LEN]);

impl ExchangePublic {
    /// The bytes that stand on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; EXCHANGE_LEN] {
        &self.0
    }
}

impl fmt::Debug for ExchangePublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "ExchangePublic({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// An X25519 key pair (RFC 7748), static or ephemeral.
#[derive(Clone)]
pub struct ExchangeKey {
    secret: Secret<EXCHANGE_LEN>,
    public: ExchangePublic,
}

impl ExchangeKey {
    /// The pair of a private key; any 32 bytes are one, they are clamped where they are used.
    #[must_use]
    pub fn from_secret(secret: Secret<EXCHANGE_LEN>) -> Self {
        let public = Point::from(&Scalar::from(*secret.expose()));
        Self { secret, public: ExchangePublic(public.to_bytes()) }
    }

    /// A fresh pair.
    #[must_use]
    pub fn generate(random: &mut impl SecureRandom) -> Self {
        Self::from_secret(Secret::generate(random))
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &ExchangePublic {
        &self.public
    }

    /// The private half.
    #[must_use]
    pub const fn secret(&self) -> &Secret<EXCHANGE_LEN> {
        &self.secret
    }

    /// The secret shared with the holder of `theirs`. `None` when theirs is one of the few points
    /// that give the same secret to everyone (RFC 7748 section 6.1).
    #[must_use]
    pub fn agree(&self, theirs: &ExchangePublic) -> Option<Secret<EXCHANGE_LEN>> {
        let shared = Scalar::from(*self.secret.expose()).diffie_hellman(&Point::from(theirs.0));
        let contributory = !equal(shared.as_bytes(), &[0; EXCHANGE_LEN]);
        contributory.then(|| Secret::new(shared.to_bytes()))
    }
}

impl fmt::Debug for ExchangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeKey({:?}, ..)", self.public)
    }
}

/// An identity's word that a static key is its own until a day: Ed25519 over
/// `"ELARA1 static\0" | s_pub 32 | cert_not_after u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The last second it is valid, since 1970.
    pub not_after: u32,
    /// The identity's signature.
    pub signature: Signature,
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadCertificate {
    /// Its last second is over: the client must sign a new one.
    Expired,
    /// The signature is not the identity's over this key and time.
    Signature,
}

const CERTIFICATE_LABEL: &[u8; 14] = b"ELARA1 static\0";
const CERTIFIED_LEN: usize = CERTIFICATE_LABEL.len() + EXCHANGE_LEN + 4;

impl Certificate {
    /// `identity` certifies `key` until `not_after`, in seconds since 1970.
    #[must_use]
    pub fn sign(identity: &Identity, key: &ExchangePublic, not_after: u32) -> Self {
        Self { not_after, signature: identity.sign(&certified(key, not_after)) }
    }

    /// Whether `identity` says at second `now` that `key` is its own. The signature comes last.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn verify(
        &self,
        identity: &PublicKey,
        key: &ExchangePublic,
        now: u32,
    ) -> Result<(), BadCertificate> {
        if now > self.not_after {
            return Err(BadCertificate::Expired);
        }
        let signed = identity.verify(&certified(key, self.not_after), &self.signature);
        signed.map_err(|_| BadCertificate::Signature)
    }
}

fn certified(key: &ExchangePublic, not_after: u32) -> [u8; CERTIFIED_LEN] {
    let mut message = [0; CERTIFIED_LEN];
    let (label, rest) = message.split_at_mut(CERTIFICATE_LABEL.len());
    let (point, time) = rest.split_at_mut(EXCHANGE_LEN);
    label.copy_from_slice(CERTIFICATE_LABEL);
    point.copy_from_slice(&key.0);
    time.copy_from_slice(&not_after.to_le_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex::bytes;
    use crate::random::{GuessableKeys, Seeded};

    #[test]
    fn rfc_7748_section_6_1() {
        let alice = ExchangeKey::from_secret(Secret::new(bytes(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        )));
        let bob = ExchangeKey::from_secret(Secret::new(bytes(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        )));
        let bob_public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
        assert_eq!(bob.public().0, bytes(bob_public));
        let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
        assert_eq!(alice.agree(bob.public()), Some(Secret::new(bytes(shared))));
    }

    #[test]
    fn both_sides_agree() {
        let mut random = GuessableKeys(Seeded::new(1));
        let (a, b) = (ExchangeKey::generate(&mut random), ExchangeKey::generate(&mut random));
        assert_eq!(a.agree(b.public()), b.agree(a.public()));
        assert!(a.agree(b.public()).is_some());
    }

    #[test]
    fn points_that_give_everyone_the_same_secret_are_refused() {
        let key = ExchangeKey::generate(&mut GuessableKeys(Seeded::new(1)));
        let one = bytes("0100000000000000000000000000000000000000000000000000000000000000");
        let order_8 = bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
        for point in [[0; 32], one, order_8] {
            assert_eq!(key.agree(&ExchangePublic(point)), None);
        }
    }

    #[test]
    fn a_certificate_binds_identity_key_and_time() {
        let mut random = GuessableKeys(Seeded::new(2));
        let (identity, other) = (Identity::generate(&mut random), Identity::generate(&mut random));
        let key = *ExchangeKey::generate(&mut random).public();
        let certificate = Certificate::sign(&identity, &key, 1_000);
        let verify = |c: &Certificate, id: &Identity, k| c.verify(id.public(), &k, 1_000);
        assert_eq!(verify(&certificate, &identity, key), Ok(()));
        assert_eq!(verify(&certificate, &other, key), Err(BadCertificate::Signature));
        let mut another = key;
        another.0[31] ^= 1;
        assert_eq!(verify(&certificate, &identity, another), Err(BadCertificate::Signature));
        let longer = Certificate { not_after: 1_001, ..certificate };
        assert_eq!(verify(&longer, &identity, key), Err(BadCertificate::Signature));
        let late = certificate.verify(identity.public(), &key, 1_001);
        assert_eq!(late, Err(BadCertificate::Expired));
    }
}
