//! Noise IK: `Noise_IK_25519_{ChaChaPoly,AESGCM}_SHA256`, one round trip.
//!
//! ```text
//!   <- s                                    the client knows the relay's key beforehand
//!   -> e, es, s, ss   payload 338           HELLO: 32 + 48 + 354 bytes
//!   <- e, ee, se      payload 80            WELCOME: 32 + 96 bytes
//! ```
//! The state machine is the crate snow's; the primitives it runs on are this crate's, and the one
//! random thing it needs, an ephemeral key, is drawn from the caller's source beforehand. Held
//! against the published cacophony vectors for both suites.

use alloc::boxed::Box;
use core::fmt;

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};

use crate::crypto::exchange::{EXCHANGE_LEN, ExchangeKey, ExchangePublic};
use crate::crypto::hash::{HASH_LEN, Sha256};
use crate::crypto::hop::Split;
use crate::crypto::secret::Secret;
use crate::crypto::suite::{AeadKey, KEY_LEN, Nonce, Suite};
use crate::limits::TAG_LEN;
use crate::random::SecureRandom;

/// The message is not part of this handshake: forged, damaged, or for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NoiseFailed;

/// What message 1 adds to its payload: an ephemeral key, a sealed static one, a tag.
pub(super) const FIRST_ADDS: usize = EXCHANGE_LEN + EXCHANGE_LEN + TAG_LEN + TAG_LEN;
/// What message 2 adds to its payload: an ephemeral key and a tag.
pub(super) const SECOND_ADDS: usize = EXCHANGE_LEN + TAG_LEN;

/// The client between HELLO and WELCOME.
pub(super) struct Initiator(Box<HandshakeState>);

impl Initiator {
    /// Begins a handshake: writes message 1, with `payload` sealed in it, into `message`.
    ///
    /// # Panics
    /// When `message` is not exactly [`FIRST_ADDS`] longer than `payload`.
    pub(super) fn begin(
        suite: Suite,
        (local, relay): (&ExchangeKey, &ExchangePublic),
        prologue: &[u8],
        payload: &[u8],
        message: &mut [u8],
        random: &mut impl SecureRandom,
    ) -> Result<Self, NoiseFailed> {
        assert_eq!(message.len(), payload.len() + FIRST_ADDS, "message 1 has one length");
        let mut state = builder(suite, Secret::generate(random))
            .local_private_key(local.secret().expose())?
            .remote_public_key(relay.as_bytes())?
            .prologue(prologue)?
            .build_initiator()?;
        state.write_message(payload, message)?;
        Ok(Self(Box::new(state)))
    }

    /// Reads message 2: writes its payload and returns the keys. A message that fails changes
    /// nothing, so the right one may still come.
    pub(super) fn finish(
        &mut self,
        message: &[u8],
        payload: &mut [u8],
    ) -> Result<Split, NoiseFailed> {
        if message.len() != payload.len() + SECOND_ADDS {
            return Err(NoiseFailed);
        }
        self.0.read_message(message, payload)?;
        Ok(split(&mut self.0))
    }
}

/// The relay between HELLO and WELCOME.
pub(super) struct Responder {
    state: Box<HandshakeState>,
    /// The client's static key: proven to be its own, if not yet whose.
    pub(super) client: ExchangePublic,
}

impl Responder {
    /// Reads message 1 and writes its payload.
    pub(super) fn read(
        suite: Suite,
        local: &ExchangeKey,
        prologue: &[u8],
        message: &[u8],
        payload: &mut [u8],
        random: &mut impl SecureRandom,
    ) -> Result<Self, NoiseFailed> {
        if message.len() != payload.len() + FIRST_ADDS {
            return Err(NoiseFailed);
        }
        let mut state = builder(suite, Secret::generate(random))
            .local_private_key(local.secret().expose())?
            .prologue(prologue)?
            .build_responder()?;
        state.read_message(message, payload)?;
        let client = state.get_remote_static().and_then(|key| key.try_into().ok());
        let client = ExchangePublic(client.ok_or(NoiseFailed)?);
        Ok(Self { state: Box::new(state), client })
    }

    /// Writes message 2, with `payload` sealed in it, and returns the keys.
    ///
    /// # Panics
    /// When `message` is not exactly [`SECOND_ADDS`] longer than `payload`.
    pub(super) fn finish(
        mut self,
        payload: &[u8],
        message: &mut [u8],
    ) -> Result<Split, NoiseFailed> {
        assert_eq!(message.len(), payload.len() + SECOND_ADDS, "message 2 has one length");
        self.state.write_message(payload, message)?;
        Ok(split(&mut self.state))
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder(..)")
    }
}

fn builder<'a>(suite: Suite, ephemeral: Secret<EXCHANGE_LEN>) -> Builder<'a> {
    let name = match suite {
        Suite::ChaChaPoly => "Noise_IK_25519_ChaChaPoly_SHA256",
        Suite::AesGcm => "Noise_IK_25519_AESGCM_SHA256",
    };
    let params: NoiseParams = name.parse().expect("snow knows both names");
    Builder::with_resolver(params, Box::new(Primitives { ephemeral }))
}

fn split(state: &mut HandshakeState) -> Split {
    let mut h = [0; HASH_LEN];
    h.copy_from_slice(&state.get_handshake_hash()[..HASH_LEN]);
    let (ki, kr) = state.dangerously_get_raw_split();
    Split { ki: Secret::new(ki), kr: Secret::new(kr), h }
}

impl From<Error> for NoiseFailed {
    fn from(_: Error) -> Self {
        Self
    }
}

/// What snow asks for its primitives.
struct Primitives {
    ephemeral: Secret<EXCHANGE_LEN>,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneKey(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519(None)) as _)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha256::new()) as _)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        let suite = match choice {
            CipherChoice::ChaChaPoly => Suite::ChaChaPoly,
            CipherChoice::AESGCM => Suite::AesGcm,
        };
        Some(Box::new(SuiteCipher { suite, key: None }))
    }
}

/// Gives its 32 bytes once: a handshake makes one ephemeral key.
struct OneKey(Option<Secret<EXCHANGE_LEN>>);

impl Random for OneKey {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        let key = self.0.take().ok_or(Error::Rng)?;
        let fits = dest.len() == EXCHANGE_LEN;
        if !fits {
            return Err(Error::Rng);
        }
        dest.copy_from_slice(key.expose());
        Ok(())
    }
}

struct X25519(Option<ExchangeKey>);

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        EXCHANGE_LEN
    }

    fn priv_len(&self) -> usize {
        EXCHANGE_LEN
    }

    fn set(&mut self, privkey: &[u8]) {
        let mut secret = Secret::new([0; EXCHANGE_LEN]);
        secret.expose_mut().copy_from_slice(privkey);
        self.0 = Some(ExchangeKey::from_secret(secret));
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Secret::new([0; EXCHANGE_LEN]);
        rng.try_fill_bytes(secret.expose_mut())?;
        self.0 = Some(ExchangeKey::from_secret(secret));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.0.as_ref().map_or(&[0; EXCHANGE_LEN], |key| key.public().as_bytes())
    }

    fn privkey(&self) -> &[u8] {
        self.0.as_ref().map_or(&[0; EXCHANGE_LEN], |key| key.secret().expose())
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs = pubkey.first_chunk::<EXCHANGE_LEN>().ok_or(Error::Dh)?;
        let ours = self.0.as_ref().ok_or(Error::Dh)?;
        let shared = ours.agree(&ExchangePublic(*theirs)).ok_or(Error::Dh)?;
        out.get_mut(..EXCHANGE_LEN).ok_or(Error::Dh)?.copy_from_slice(shared.expose());
        Ok(())
    }
}

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        HASH_LEN
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..HASH_LEN].copy_from_slice(&self.finish());
    }
}

struct SuiteCipher {
    suite: Suite,
    key: Option<AeadKey>,
}

impl SuiteCipher {
    /// Noise specification section 12: the counter is little-endian for ChaChaPoly, big-endian for
    /// AESGCM, after four zeros.
    const fn nonce(&self, counter: u64) -> Nonce {
        let [a, b, c, d, e, f, g, h] = match self.suite {
            Suite::ChaChaPoly => counter.to_le_bytes(),
            Suite::AesGcm => counter.to_be_bytes(),
        };
        [0, 0, 0, 0, a, b, c, d, e, f, g, h]
    }
}

impl Cipher for SuiteCipher {
    fn name(&self) -> &'static str {
        match self.suite {
            Suite::ChaChaPoly => "ChaChaPoly",
            Suite::AesGcm => "AESGCM",
        }
    }

    fn set(&mut self, key: &[u8; KEY_LEN]) {
        self.key = Some(AeadKey::new(self.suite, key));
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let key = self.key.as_ref().expect("snow sets a key before it encrypts");
        let (text, tag) = out[..plaintext.len() + TAG_LEN].split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        tag.copy_from_slice(&key.seal(self.nonce(nonce), authtext, text));
        plaintext.len() + TAG_LEN
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let key = self.key.as_ref().ok_or(Error::Decrypt)?;
        let (text, tag) = ciphertext.split_last_chunk().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        out.copy_from_slice(text);
        key.open(self.nonce(nonce), authtext, out, tag).map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}

#[cfg(test)]
mod tests;
