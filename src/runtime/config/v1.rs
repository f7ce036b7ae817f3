//! Who may enter by wire v1, as an operator says it: the relay's keys, the issuers it believes, the bans.
//!
//! Secrets do not come out again: `Debug` shows public halves and counts, and two settings are equal
//! when their public halves are.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use elara_core::crypto::handshake::RelayKeys;
use elara_core::crypto::{ExchangeKey, Issuers, PublicKey};
use elara_core::limits::{BANS_MAX, ISSUERS_MAX, RELAY_KEYS_MAX};
use elara_shards::Access;

use super::second;
use crate::error::ConfigError;

/// Who may enter by wire v1. Default: nobody, because there is no relay key.
///
/// ```
/// use elara_core::crypto::{ExchangeKey, Identity};
/// use elara_runtime::keys::OsRandom;
/// use elara_runtime::{NodeConfig, V1Config};
///
/// let issuer = Identity::generate(&mut OsRandom); // Kept away from relays: they need its public half.
/// let v1 = V1Config {
///     relay_keys: vec![ExchangeKey::generate(&mut OsRandom)],
///     issuers: vec![(1, *issuer.public())],
///     ..V1Config::default()
/// };
/// assert!(NodeConfig { v1, ..NodeConfig::default() }.validate().is_ok());
/// ```
#[derive(Clone, Default)]
pub struct V1Config {
    /// The relay's static keys, the current one first: 1 or 2, all different; none keeps wire v1 closed.
    /// The second is the key before, while join addresses that name it are about.
    pub relay_keys: Vec<ExchangeKey>,
    /// Whose tokens are good: public keys by the number tokens name them by (kid). 1 to 16 where there is
    /// a relay key, none where there is not.
    pub issuers: Vec<(u16, PublicKey)>,
    /// Public keys of nodes and serials of bearer tokens that may not enter. At most 65,536.
    pub bans: HashSet<[u8; 32]>,
}

impl V1Config {
    /// Whether anybody may enter.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.relay_keys.is_empty()
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let Self { relay_keys, issuers, bans } = self;
        if relay_keys.len() > RELAY_KEYS_MAX {
            return Err(ConfigError::RelayKeys { count: relay_keys.len() });
        }
        if let Some(index) = second(relay_keys, |key| key.public()) {
            return Err(ConfigError::RelayKeyTwice { index });
        }
        if relay_keys.is_empty() != issuers.is_empty() {
            return Err(if issuers.is_empty() {
                ConfigError::NoIssuer
            } else {
                ConfigError::NoRelayKey
            });
        }
        if issuers.len() > ISSUERS_MAX {
            return Err(ConfigError::Issuers { count: issuers.len() });
        }
        if let Some(index) = second(issuers, |(kid, _)| kid) {
            return Err(ConfigError::KidTwice { kid: issuers[index].0, index });
        }
        if bans.len() > BANS_MAX {
            return Err(ConfigError::Bans { count: bans.len() });
        }
        Ok(())
    }

    /// The same for shards; `None` when nobody may enter.
    ///
    /// # Panics
    /// When [`Self::validate`] would have refused it.
    pub(crate) fn access(&self) -> Option<Arc<Access>> {
        let mut issuers = Issuers::new();
        for (kid, key) in &self.issuers {
            issuers.add(*kid, *key).expect("validated");
        }
        let relay = self.relay_keys.iter().cloned().map(RelayKeys::new).collect();
        let access = Access { relay, issuers, bans: self.bans.clone() };
        self.is_open().then(|| Arc::new(access))
    }
}

impl PartialEq for V1Config {
    fn eq(&self, other: &Self) -> bool {
        let keys = self.relay_keys.iter().map(ExchangeKey::public);
        keys.eq(other.relay_keys.iter().map(ExchangeKey::public))
            && self.issuers == other.issuers
            && self.bans == other.bans
    }
}

impl Eq for V1Config {}

impl fmt::Debug for V1Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V1Config")
            .field("relay_keys", &self.relay_keys) // A key's own `Debug` shows its public half.
            .field("issuers", &self.issuers)
            .field("bans", &self.bans.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use elara_core::crypto::Secret;

    use super::*;

    fn relay_key(number: u8) -> ExchangeKey {
        ExchangeKey::from_secret(Secret::new([number; 32]))
    }

    fn open() -> V1Config {
        V1Config {
            relay_keys: vec![relay_key(1), relay_key(2)],
            issuers: vec![(1, PublicKey([1; 32])), (2, PublicKey([2; 32]))],
            bans: HashSet::from([[7; 32]]),
        }
    }

    #[test]
    fn a_sound_door_opens_for_those_it_names() {
        let v1 = open();
        assert_eq!(v1.validate(), Ok(()));
        let access = v1.access().unwrap();
        let keys: Vec<_> = access.relay.iter().map(RelayKeys::public).collect();
        assert_eq!(keys, v1.relay_keys.iter().map(ExchangeKey::public).collect::<Vec<_>>());
        assert_eq!(access.issuers.key(2), Some(&PublicKey([2; 32])));
        assert!(access.is_banned(&PublicKey([7; 32]), None));
    }

    #[test]
    fn a_door_without_keys_is_closed() {
        assert_eq!(V1Config::default().validate(), Ok(()));
        assert!(V1Config::default().access().is_none());
    }

    #[test]
    fn each_mistake_names_its_key_and_the_way_out() {
        let many = |count: u16| (0..count).map(|kid| (kid, PublicKey([1; 32]))).collect();
        let ban = |number: u32| {
            let mut ban = [0; 32];
            ban[..4].copy_from_slice(&number.to_le_bytes());
            ban
        };
        let bans = (0..=BANS_MAX as u32).map(ban).collect();
        for (v1, key, words) in [
            (
                V1Config { relay_keys: [1, 2, 3].map(relay_key).to_vec(), ..open() },
                "v1.relay_keys",
                "at most 2",
            ),
            (
                V1Config { relay_keys: [1, 1].map(relay_key).to_vec(), ..open() },
                "v1.relay_keys",
                "same key twice",
            ),
            (V1Config { issuers: vec![], ..open() }, "v1.issuers", "name one"),
            (V1Config { relay_keys: vec![], ..open() }, "v1.relay_keys", "elara keygen relay"),
            (V1Config { issuers: many(17), ..open() }, "v1.issuers", "at most 16"),
            (
                V1Config {
                    issuers: vec![(5, PublicKey([1; 32])), (5, PublicKey([2; 32]))],
                    ..open()
                },
                "v1.issuers",
                "kid = 5",
            ),
            (V1Config { bans, ..open() }, "v1.bans", "at most 65536"),
        ] {
            let error = v1.validate().unwrap_err();
            assert_eq!(error.key(), key, "{error}");
            let sentence = error.to_string();
            assert!(sentence.contains(key) && sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn secrets_are_neither_shown_nor_compared() {
        let shown = format!("{:?}", open());
        assert!(shown.contains("ExchangePublic") && !shown.contains("Secret"), "{shown}");
        assert_eq!(open(), open());
        assert_ne!(open(), V1Config { relay_keys: vec![relay_key(2), relay_key(1)], ..open() });
    }
}
