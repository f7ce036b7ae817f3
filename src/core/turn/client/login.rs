//! Credentials, and what a server has answered about them: realm, nonce, algorithms (RFC 8489 section 9.2).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use super::Failure;
use crate::limits::{STUN_TEXT_MAX, STUN_USERNAME_MAX, TURN_ALGORITHMS_MAX};
use crate::stun::{Algorithm, Key, Message, PasswordAlgorithm, Writer, attribute, userhash};

/// Who asks a TURN server, and what proves it.
///
/// Text other than ASCII must be prepared by OpaqueString (RFC 8265) by whoever gives it.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A user the server knows, and their password.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) }
    }

    /// A user the server need not know: valid until `expires`, in seconds since 1970, by the secret it
    /// shares with whoever makes these (draft-uberti-behave-turn-rest). `name` is for its quotas and logs.
    #[must_use]
    pub fn time_limited(secret: &[u8], name: &str, expires: u32) -> Self {
        let user = if name.is_empty() { format!("{expires}") } else { format!("{expires}:{name}") };
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        let password = Zeroizing::new(base64(hmac::sign(&key, user.as_bytes()).as_ref()));
        Self { user, password }
    }

    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, in the open: for whoever hands it on.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// How requests are signed.
#[derive(Debug, Default)]
pub(super) struct Login {
    credentials: Option<Credentials>,
    challenge: Option<Challenge>,
}

/// What a server has said about credentials, and the key that follows from it.
#[derive(Debug)]
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
    /// The offer as it came, which is repeated: so the server sees whether someone changed it.
    offer: Option<(Vec<u8>, PasswordAlgorithm)>,
    /// The server takes this for the user's name.
    userhash: Option<[u8; 32]>,
    key: Key,
}

impl Login {
    pub(super) const fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, challenge: None }
    }

    /// Whether requests are signed.
    pub(super) const fn is_challenged(&self) -> bool {
        self.challenge.is_some()
    }

    /// Whether `message`, a 401, asks for what a signed request has shown.
    pub(super) fn has_shown(&self, message: &Message<'_>) -> bool {
        let realm = message.get(attribute::REALM);
        self.challenge.as_ref().is_some_and(|shown| realm == Some(shown.realm.as_bytes()))
    }

    /// Takes in a 401 or 438: from here on requests are signed by what it says.
    pub(super) fn challenge(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        let Some(Credentials { user, password }) = &self.credentials else {
            return Err(Failure::CredentialsWanted);
        };
        let realm = message.text(attribute::REALM).and_then(Result::ok);
        let realm = realm.ok_or(Failure::Challenge)?;
        // Its server's business, so whatever it is made of.
        let nonce = message.get(attribute::NONCE);
        let nonce = nonce.filter(|nonce| (1..=STUN_TEXT_MAX).contains(&nonce.len()));
        let nonce = nonce.ok_or(Failure::Challenge)?;
        if user.len() > STUN_USERNAME_MAX {
            return Err(Failure::TooLong);
        }
        let features = Features::of(nonce);
        let offer = match message.get(attribute::PASSWORD_ALGORITHMS) {
            // RFC 8489 section 9.2.5: with this bit and without an offer, nothing is sent again.
            None if features.password_algorithms() => return Err(Failure::BidDown),
            None => None,
            Some(offer) if offer.len() > TURN_ALGORITHMS_MAX => return Err(Failure::TooLong),
            Some(offer) => {
                let first = message.password_algorithms().next();
                Some((offer.to_vec(), first.ok_or(Failure::Algorithms)?))
            }
        };
        // RFC 8489 section 9.2.5: who was offered algorithms signs with SHA-256 only.
        let (derived_by, integrity) = match &offer {
            Some((_, algorithm)) => (*algorithm, Algorithm::Sha256),
            None => (PasswordAlgorithm::Md5, Algorithm::Sha1),
        };
        self.challenge = Some(Challenge {
            userhash: features.username_anonymity().then(|| userhash(user, realm)),
            key: Key::long_term(user, realm, password, derived_by, integrity),
            realm: realm.to_owned(),
            nonce: nonce.to_vec(),
            offer,
        });
        Ok(())
    }

    /// Puts who asks, and signs; puts nothing where nobody has asked for it.
    pub(super) fn sign(&self, writer: &mut Writer<'_>) {
        let (Some(credentials), Some(challenge)) = (&self.credentials, &self.challenge) else {
            return;
        };
        match &challenge.userhash {
            Some(hash) => writer.put(attribute::USERHASH, hash),
            None => writer.put(attribute::USERNAME, credentials.user.as_bytes()),
        };
        writer.put(attribute::REALM, challenge.realm.as_bytes());
        writer.put(attribute::NONCE, &challenge.nonce);
        if let Some((offer, chosen)) = &challenge.offer {
            writer.put(attribute::PASSWORD_ALGORITHMS, offer);
            writer.put_password_algorithm(*chosen);
        }
        writer.sign(&challenge.key);
    }

    /// Whether an answer to a signed request comes from someone who knows the password.
    pub(super) fn proves(&self, message: &Message<'_>) -> bool {
        let Some(challenge) = &self.challenge else { return false };
        // RFC 8489 section 9.2.5: an answer whose nonce promises an offer that is not there is none.
        let promised = message.get(attribute::NONCE).map(Features::of);
        let bid_down = promised.is_some_and(|features| features.password_algorithms())
            && message.get(attribute::PASSWORD_ALGORITHMS).is_none();
        !bid_down && message.verify(&challenge.key)
    }
}

/// What a nonce says that its server can do (RFC 8489 sections 9.2 and 18.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Features(u32);

impl Features {
    /// The text a nonce with features begins with; four letters of base64 follow.
    const COOKIE: &[u8] = b"obMatJos2";

    fn of(nonce: &[u8]) -> Self {
        let letters = nonce.strip_prefix(Self::COOKIE).and_then(<[u8]>::first_chunk::<4>);
        let value = |letter: u8| BASE64.iter().position(|known| *known == letter);
        let bits = letters.and_then(|letters| {
            letters.iter().try_fold(0, |bits, letter| Some(bits << 6 | value(*letter)? as u32))
        });
        Self(bits.unwrap_or_default())
    }

    const fn password_algorithms(self) -> bool {
        self.0 & 1 != 0
    }

    const fn username_anonymity(self) -> bool {
        self.0 & 2 != 0
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for letter in 0..4 {
            let six = word >> (18 - 6 * letter) & 0x3F;
            text.push(if letter > chunk.len() { '=' } else { char::from(BASE64[six as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    /// Computed with Python: `base64.b64encode(hmac.new(b"north", b"1700000000:ann", "sha1").digest())`.
    #[test]
    fn a_password_for_a_time_is_what_others_compute() {
        let ann = Credentials::time_limited(b"north", "ann", 1_700_000_000);
        assert_eq!(
            (ann.user(), ann.password()),
            ("1700000000:ann", "jeamH6dA5l2I9g3jmieza7CzEDo=")
        );
        let nobody = Credentials::time_limited(b"north", "", 1_700_000_000);
        assert_eq!(
            (nobody.user(), nobody.password()),
            ("1700000000", "CWyHi3zCeWqXBir9thl4m+iZPRY=")
        );
        assert_eq!(format!("{ann:?}"), "Credentials(..)");
    }

    #[test]
    fn features_are_read_off_the_nonce_of_rfc_8489_b_1() {
        let features = Features::of(b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
        assert!(features.username_anonymity() && !features.password_algorithms());
        assert_eq!(Features::of(b"obMatJos2AAAB"), Features(1));
        for plain in [&b"f//499k954d6OL34oL9FSTvy64sA"[..], b"obMatJos2AAA", b"obMatJos2A\0AC.."] {
            assert_eq!(Features::of(plain), Features(0), "{plain:?}");
        }
    }
}
