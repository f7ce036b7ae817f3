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
mod tests {
    use super::*;
    use crate::crypto::hex::bytes;
    use crate::random::{GuessableKeys, Random as _, Seeded};

    /// A source that gives what it was told to.
    struct Told([u8; 32], usize);

    impl crate::random::Random for Told {
        fn next_u64(&mut self) -> u64 {
            let word = self.0[self.1..self.1 + 8].try_into().unwrap();
            self.1 += 8;
            u64::from_le_bytes(word)
        }
    }

    impl SecureRandom for Told {}

    fn key(hex: &str) -> ExchangeKey {
        ExchangeKey::from_secret(Secret::new(bytes(hex)))
    }

    /// The cacophony vectors for IK, as snow 0.10 ships them; keys and payloads are the same for
    /// all its patterns.
    fn cacophony(suite: Suite, hash: &str, first: &str, second: &str) {
        let init = key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
        let resp = key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
        let init_e = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
        let resp_e = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
        let (mut init_e, mut resp_e) = (Told(bytes(init_e), 0), Told(bytes(resp_e), 0));
        let prologue = b"John Galt";
        let keys = (&init, resp.public());
        let mut message = [0; 16 + FIRST_ADDS];
        let payload = b"Ludwig von Mises";
        let mut initiator =
            Initiator::begin(suite, keys, prologue, payload, &mut message, &mut init_e).unwrap();
        assert_eq!(message, bytes(first));

        let mut heard = [0; 16];
        let responder =
            Responder::read(suite, &resp, prologue, &message, &mut heard, &mut resp_e).unwrap();
        assert_eq!((&heard, responder.client), (payload, *init.public()));
        let payload = b"Murray Rothbard";
        let mut message = [0; 15 + SECOND_ADDS];
        let theirs = responder.finish(payload, &mut message).unwrap();
        assert_eq!(message, bytes(second));

        let mut heard = [0; 15];
        let ours = initiator.finish(&message, &mut heard).unwrap();
        assert_eq!((&heard, ours.h), (payload, bytes(hash)));
        assert_eq!((&ours.ki, &ours.kr, ours.h), (&theirs.ki, &theirs.kr, theirs.h));
        assert_ne!(ours.ki, ours.kr);
    }

    #[test]
    fn cacophony_ik_25519_aesgcm_sha256() {
        cacophony(
            Suite::AesGcm,
            "669c8640d9e42a3cda2f232f78597ceefb01daa6e3df81181ccce6fc6b5026bf",
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444e417bc55c7a8166\
             c993356c1be41ef67818a292426f301556c7f26b21d25ddb097153891a9a956cff47b83e63ad8d70\
             1c1342c209cff1ca5ecd43402762ac249e3bd3a4c0a145fe07cb5dae28ea13a3",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843af2ccf9972e22afc\
             67aeafcd25162f7f98c363b7762e3e4cb7d272e39f27a5",
        );
    }

    #[test]
    fn cacophony_ik_25519_chachapoly_sha256() {
        cacophony(
            Suite::ChaChaPoly,
            "0b0f68fb0c27e03ce9b97565995ed4838cc0581b762ef72b062f6a546419fad7",
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944718da798efbcd915\
             28520204f904b9bd6c7413dccdc214d951e15253e39987f18146e8cd0873654207148333479d4d16\
             c289f0294b29960a72f48e0b7bba2e89083169825e59642148d492020664ccf7",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088435361e70b2ed446e6\
             c9ec387d1d6b3b840f194e373979d241b203c4acafccf5",
        );
    }

    /// Message 3 of the vectors is the first transport message, sealed by ki under counter 0.
    #[test]
    fn the_raw_split_is_what_transport_messages_use() {
        let mut random = GuessableKeys(Seeded::new(3));
        for suite in Suite::ALL {
            let init = ExchangeKey::generate(&mut random);
            let resp = ExchangeKey::generate(&mut random);
            let mut first = [0; FIRST_ADDS];
            let keys = (&init, resp.public());
            let mut ours =
                Initiator::begin(suite, keys, b"", b"", &mut first, &mut random).unwrap();
            let theirs = Responder::read(suite, &resp, b"", &first, &mut [], &mut random).unwrap();
            let mut second = [0; SECOND_ADDS];
            let split = theirs.finish(b"", &mut second).unwrap();
            ours.finish(&second, &mut []).unwrap();
            let mut transport = ours.0.into_transport_mode().unwrap();
            let mut sent = [0; 5 + TAG_LEN];
            transport.write_message(b"hello", &mut sent).unwrap();
            let cipher = SuiteCipher { suite, key: Some(AeadKey::new(suite, split.ki.expose())) };
            let mut heard = [0; 5];
            assert_eq!(cipher.decrypt(0, &[], &sent, &mut heard).unwrap(), 5);
            assert_eq!(&heard, b"hello");
        }
    }

    #[test]
    fn nothing_of_either_message_can_be_changed() {
        let mut random = GuessableKeys(Seeded::new(4));
        let suite = Suite::AesGcm;
        let (init, resp) = (ExchangeKey::generate(&mut random), ExchangeKey::generate(&mut random));
        let mut first = [0; 4 + FIRST_ADDS];
        let keys = (&init, resp.public());
        let mut ours =
            Initiator::begin(suite, keys, b"p", b"ping", &mut first, &mut random).unwrap();
        let mut read = |prologue: &[u8], message: &[u8]| {
            Responder::read(suite, &resp, prologue, message, &mut [0; 4], &mut random)
        };
        // The top bit of an X25519 point is not part of it (RFC 7748 section 5), yet hashed.
        for bit in 0..8 * first.len() {
            let mut broken = first;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(read(b"p", &broken).is_err(), "bit {bit}");
        }
        assert!(read(b"q", &first).is_err());
        assert!(read(b"p", &first[1..]).is_err());
        let responder = read(b"p", &first).unwrap();
        let mut second = [0; 4 + SECOND_ADDS];
        responder.finish(b"pong", &mut second).unwrap();
        for bit in 0..8 * second.len() {
            let mut broken = second;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(ours.finish(&broken, &mut [0; 4]).is_err(), "bit {bit}");
        }
        assert!(ours.finish(&second, &mut [0; 4]).is_ok(), "after a thousand forgeries");
        let _ = random.next_u64();
    }
}
