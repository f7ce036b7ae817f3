//! Who may use the server: users with keys of their own, and bearers of time-limited credentials.
//!
//! ```text
//!   user             known by USERNAME or USERHASH; keys are stored, never passwords
//!   "expiry:user"    password = base64(HMAC-SHA1(secret, username)), for each secret until one fits
//! ```
//! Nothing is remembered about either: a request proves itself anew. USERHASH needs names that are known
//! beforehand, so it is offered only where there are no secrets.

use alloc::vec::Vec;
use core::str;

use hashbrown::HashMap;
use ring::hmac;

use super::base64;
use super::config::Config;
use crate::crypto::Secret;
use crate::crypto::hash::sha256;
use crate::keyed::Keyed;
use crate::limits::STUN_USERNAME_MAX;
use crate::stun::attribute::{USERHASH, USERNAME};
use crate::stun::{Algorithm, Key, Message, PasswordAlgorithm, userhash};

/// A name, cut down to sixteen bytes of its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; 16]);

impl Name {
    pub(super) fn of(text: &str) -> Self {
        let mut name = [0; 16];
        name.copy_from_slice(&sha256(&[text.as_bytes()])[..16]);
        Self(name)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The credentials: later requests for an allocation must come with the same.
    pub(super) user: Name,
    /// Whom allocations are counted for: credentials of another hour are the same user's.
    pub(super) account: Name,
    /// When the credentials end, in seconds since 1970.
    expires_s: Option<u64>,
}

impl Identity {
    /// Whether the credentials still hold.
    pub(super) fn holds(&self, unix_s: u64) -> bool {
        self.expires_s.is_none_or(|expires| unix_s < expires)
    }
}

/// Who asks, and the key that has shown it: the answer is signed with it.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) identity: Identity,
    pub(super) key: Key,
}

/// A user with keys of its own.
#[derive(Debug)]
struct Known {
    name: Name,
    md5: Secret<16>,
    sha256: Secret<32>,
}

/// Everyone's credentials.
#[derive(Debug)]
pub(super) struct Credentials {
    realm: alloc::string::String,
    secrets: Vec<hmac::Key>,
    /// By USERHASH.
    users: HashMap<[u8; 32], Known, Keyed>,
}

impl Credentials {
    pub(super) fn new(config: &Config, keyed: Keyed) -> Self {
        let secret = |secret: &super::SharedSecret| {
            hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose())
        };
        let mut users = HashMap::with_hasher(keyed);
        for user in &config.users {
            let known = Known {
                name: Name::of(&user.name),
                md5: Secret::new(user.key_md5),
                sha256: Secret::new(user.key_sha256),
            };
            users.insert(userhash(&user.name, &config.realm), known);
        }
        Self {
            realm: config.realm.clone(),
            secrets: config.secrets.iter().map(secret).collect(),
            users,
        }
    }

    /// The realm all of them belong to.
    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether USERHASH is offered.
    pub(super) fn offers_anonymity(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Who sent `message`, if its MESSAGE-INTEGRITY shows it.
    pub(super) fn prove(
        &self,
        message: &Message<'_>,
        derived_by: PasswordAlgorithm,
    ) -> Option<Proven> {
        let integrity = message.has_integrity()?;
        let Some(name) = message.get(USERNAME) else {
            let known = self.users.get(message.get(USERHASH)?)?;
            return known.prove(message, derived_by, integrity);
        };
        let name = str::from_utf8(name).ok().filter(|name| name.len() <= STUN_USERNAME_MAX)?;
        match self.users.get(&userhash(name, &self.realm)) {
            Some(known) => known.prove(message, derived_by, integrity),
            None => self.prove_limited(message, name, derived_by, integrity),
        }
    }

    fn prove_limited(
        &self,
        message: &Message<'_>,
        name: &str,
        derived_by: PasswordAlgorithm,
        integrity: Algorithm,
    ) -> Option<Proven> {
        let (expiry, user) = name.split_once(':').unwrap_or((name, ""));
        if expiry.is_empty() || !expiry.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let identity = Identity {
            user: Name::of(name),
            account: Name::of(if user.is_empty() { name } else { user }),
            expires_s: Some(expiry.parse().ok()?),
        };
        self.secrets.iter().find_map(|secret| {
            let mut code = [0; 20];
            code.copy_from_slice(hmac::sign(secret, name.as_bytes()).as_ref());
            let letters: [u8; 28] = base64::encode(&code);
            let password = str::from_utf8(&letters).ok()?;
            let key = Key::long_term(name, &self.realm, password, derived_by, integrity);
            message.verify(&key).then_some(Proven { identity, key })
        })
    }
}

impl Known {
    fn prove(
        &self,
        message: &Message<'_>,
        derived_by: PasswordAlgorithm,
        integrity: Algorithm,
    ) -> Option<Proven> {
        let key = match derived_by {
            PasswordAlgorithm::Md5 => Key::raw(self.md5.expose(), integrity),
            PasswordAlgorithm::Sha256 => Key::raw(self.sha256.expose(), integrity),
        };
        let identity = Identity { user: self.name, account: self.name, expires_s: None };
        message.verify(&key).then_some(Proven { identity, key })
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Somebody.
    pub(in crate::turn) fn anna() -> Identity {
        let anna = Name::of("anna");
        Identity { user: anna, account: anna, expires_s: None }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::stun::{Class, Method, TransactionId, Writer};
    use crate::turn::{SharedSecret, User};

    const KEYED: Keyed = Keyed(1, 2);

    fn signed(kind: u16, value: &[u8], key: &Key) -> Vec<u8> {
        let mut out = [0; 700];
        let id = TransactionId(*b"transaction.");
        let mut writer = Writer::new(&mut out, Class::Request, Method::ALLOCATE, id);
        let len = writer.put(kind, value).sign(key).finish().unwrap();
        out[..len].to_vec()
    }

    fn named(name: &str, key: &Key) -> Vec<u8> {
        signed(USERNAME, name.as_bytes(), key)
    }

    fn proven(credentials: &Credentials, bytes: &[u8], by: PasswordAlgorithm) -> Option<Identity> {
        let message = Message::parse(bytes).unwrap();
        credentials.prove(&message, by).map(|proven| proven.identity)
    }

    /// The password an issuer gives out, computed as it computes it.
    fn issued(secret: &str, name: &str) -> std::string::String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let mut code = [0; 20];
        code.copy_from_slice(hmac::sign(&key, name.as_bytes()).as_ref());
        let letters: [u8; 28] = base64::encode(&code);
        std::string::String::from_utf8(letters.to_vec()).unwrap()
    }

    #[test]
    fn a_user_is_known_under_both_names_and_both_algorithms() {
        let users = vec![User::new("anna", "elara", "north"), User::new("berta", "elara", "south")];
        let credentials = Credentials::new(&Config { users, ..Config::default() }, KEYED);
        for by in PasswordAlgorithm::ALL {
            for integrity in [Algorithm::Sha1, Algorithm::Sha256] {
                let key = Key::long_term("anna", "elara", "north", by, integrity);
                let by_hash = |name: &str| signed(USERHASH, &userhash(name, "elara"), &key);
                for request in [named("anna", &key), by_hash("anna")] {
                    assert_eq!(proven(&credentials, &request, by).unwrap().user, Name::of("anna"));
                }
                for request in [named("berta", &key), by_hash("berta"), by_hash("carla")] {
                    assert_eq!(proven(&credentials, &request, by), None);
                }
                let other = PasswordAlgorithm::ALL.into_iter().find(|other| *other != by).unwrap();
                assert_eq!(proven(&credentials, &named("anna", &key), other), None);
            }
        }
        assert!(credentials.offers_anonymity());
    }

    #[test]
    fn every_secret_is_good_and_nothing_else() {
        let secrets = vec![SharedSecret::new(b"new"), SharedSecret::new(b"old")];
        let credentials = Credentials::new(&Config { secrets, ..Config::default() }, KEYED);
        let by = PasswordAlgorithm::Md5;
        for (secret, name, account) in [
            ("new", "1700000000:anna", Some("anna")),
            ("old", "1700000000:anna", Some("anna")),
            ("new", "1700000000:anna:phone", Some("anna:phone")),
            ("new", "1700000000", Some("1700000000")),
            ("new", "1700000000:", Some("1700000000:")),
            ("older", "1700000000:anna", None),
            ("new", "+1700000000:anna", None),
            ("new", "99999999999999999999:anna", None),
            ("new", ":anna", None),
            ("new", "anna", None),
            ("new", "", None),
        ] {
            let password = issued(secret, name);
            let key = Key::long_term(name, "elara", &password, by, Algorithm::Sha1);
            let identity = proven(&credentials, &named(name, &key), by);
            assert_eq!(identity.map(|i| i.account), account.map(Name::of), "{secret} {name}");
        }
        assert!(!credentials.offers_anonymity());
    }

    #[test]
    fn credentials_end_when_they_say_so() {
        let identity = Identity { expires_s: Some(1_000), ..testing::anna() };
        assert!(identity.holds(999) && !identity.holds(1_000));
        assert!(testing::anna().holds(u64::MAX));
    }

    #[test]
    fn a_name_that_is_too_long_or_no_text_is_nobodys() {
        let long = "9".repeat(STUN_USERNAME_MAX + 1);
        let secrets = vec![SharedSecret::new(b"new")];
        let credentials = Credentials::new(&Config { secrets, ..Config::default() }, KEYED);
        let by = PasswordAlgorithm::Md5;
        let key = Key::long_term(&long, "elara", &issued("new", &long), by, Algorithm::Sha1);
        assert_eq!(proven(&credentials, &named(&long, &key), by), None);
        let request = signed(USERNAME, &[0xFF; 8], &key);
        assert_eq!(proven(&credentials, &request, by), None);
    }
}
