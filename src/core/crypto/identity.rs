//! Who someone is: an Ed25519 key pair, and the public key others know it by.
//!
//! A [`NodeId`] is derived from the public key and is a label; only a signature proves anything.
//! Signing is deterministic (RFC 8032), so nothing here needs randomness after the key is made.

use core::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::hash::sha256;
use super::secret::Secret;
use crate::ids::NodeId;
use crate::random::SecureRandom;

/// Bytes of an Ed25519 public key.
pub const PUBLIC_KEY_LEN: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// An Ed25519 signature.
pub type Signature = [u8; SIGNATURE_LEN];

/// The signature is not this key's over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BadSignature;

/// An Ed25519 public key. Any 32 bytes can be one; a key nobody holds simply verifies nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; PUBLIC_KEY_LEN]);

impl PublicKey {
    /// The bytes that stand on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }

    /// The label this key goes by: the first eight bytes of its SHA-256.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[&self.0]);
        NodeId::from_bytes([a, b, c, d, e, f, g, h])
    }

    /// Checks `signature` over `message`; some tens of microseconds.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(message, signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey(of {})", self.node_id())
    }
}

/// An Ed25519 key pair: a participant's identity, or an issuer's.
pub struct Identity {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Identity {
    /// The identity that follows from `seed` (RFC 8032's private key).
    #[must_use]
    pub fn from_seed(seed: &Secret<32>) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        let pair = pair.expect("every seed of 32 bytes makes a key pair");
        let mut public = [0; PUBLIC_KEY_LEN];
        public.copy_from_slice(pair.public_key().as_ref());
        Self { pair, public: PublicKey(public) }
    }

    /// A fresh identity.
    #[must_use]
    pub fn generate(random: &mut impl SecureRandom) -> Self {
        Self::from_seed(&Secret::generate(random))
    }

    /// What others know this identity by.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The label of [`Self::public`].
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.public.node_id()
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {}, ..)", self.node_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex::bytes;
    use alloc::format;

    /// RFC 8032 section 7.1, test 3.
    fn rfc_identity() -> Identity {
        Identity::from_seed(&Secret::new(bytes(
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        )))
    }

    #[test]
    fn rfc_8032_test_3() {
        let identity = rfc_identity();
        let public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
        assert_eq!(identity.public().0, bytes(public));
        let signature = bytes(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        );
        assert_eq!(identity.sign(&[0xaf, 0x82]), signature);
        assert_eq!(identity.public().verify(&[0xaf, 0x82], &signature), Ok(()));
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let identity = rfc_identity();
        let signature = identity.sign(b"message");
        for bit in 0..8 * SIGNATURE_LEN {
            let mut broken = signature;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(identity.public().verify(b"message", &broken), Err(BadSignature), "{bit}");
        }
        assert_eq!(identity.public().verify(b"massage", &signature), Err(BadSignature));
    }

    #[test]
    fn a_node_is_the_first_eight_bytes_of_its_keys_hash() {
        let public = rfc_identity().public;
        let hash = sha256(&[&public.0]);
        assert_eq!(public.node_id().to_bytes(), hash[..8]);
    }

    #[test]
    fn debug_tells_the_label_only() {
        let identity = rfc_identity();
        let label = identity.node_id();
        assert_eq!(format!("{identity:?}"), format!("Identity(of {label}, ..)"));
    }
}
