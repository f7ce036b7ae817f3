//! The part `[v1]` of a configuration file: names of key files, issuers, bans.
//!
//! Relay keys stand in files of their own, so that a configuration can be copied and shown; a relative
//! name is looked up beside the configuration. What is wrong with a key is never said by repeating it.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use elara_core::crypto::{PublicKey, base64url};
use elara_runtime::{ConfigError, NodeConfig, V1Config, keys};
use serde::Deserialize;
use toml::Spanned;

use super::Located;
use super::values::Whole;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Form {
    relay_keys: Option<Spanned<Vec<Spanned<String>>>>,
    issuers: Option<Spanned<Vec<Spanned<Issuer>>>>,
    bans: Option<Spanned<Vec<Spanned<String>>>>,
}

/// An issuer's public key, and its number unless it is the one that follows from the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issuer {
    kid: Option<Whole>,
    key: String,
}

impl Form {
    /// Reads the key files, looked up from `folder`, and the rest.
    pub(super) fn fill(&self, folder: &Path) -> Result<V1Config, Located> {
        let relay_keys = each(self.relay_keys.as_ref(), |name| {
            keys::load_relay(&folder.join(name)).map_err(|error| error.to_string())
        })?;
        let issuers = each(self.issuers.as_ref(), |issuer| {
            let key = PublicKey(key("v1.issuers", &issuer.key)?);
            let kid = match issuer.kid {
                Some(Whole(kid)) => NodeConfig::check("v1.issuers.kid", kid)
                    .map_err(|error| error.to_string())? as u16,
                None => keys::suggested_kid(&key),
            };
            Ok((kid, key))
        })?;
        let bans: HashSet<[u8; 32]> =
            each(self.bans.as_ref(), |ban| key("v1.bans", ban))?.into_iter().collect();
        Ok(V1Config { relay_keys, issuers, bans })
    }

    /// Where the setting stands that an error of the whole is about.
    pub(super) fn place_of(&self, error: &ConfigError) -> Option<Range<usize>> {
        let (relay_keys, issuers) = (self.relay_keys.as_ref(), self.issuers.as_ref());
        let whole = (relay_keys.map(Spanned::span), issuers.map(Spanned::span));
        match error {
            ConfigError::RelayKeyTwice { index } => Some(relay_keys?.get_ref()[*index].span()),
            ConfigError::KidTwice { index, .. } => Some(issuers?.get_ref()[*index].span()),
            // One of the two may be missing; then the other stands there alone.
            ConfigError::RelayKeys { .. } | ConfigError::NoRelayKey => whole.0.or(whole.1),
            ConfigError::Issuers { .. } | ConfigError::NoIssuer => whole.1.or(whole.0),
            ConfigError::Bans { .. } => self.bans.as_ref().map(Spanned::span),
            _ => None,
        }
    }
}

/// What `read` makes of each entry of a list that may be left out.
fn each<E, T>(
    list: Option<&Spanned<Vec<Spanned<E>>>>,
    read: impl Fn(&E) -> Result<T, String>,
) -> Result<Vec<T>, Located> {
    let entries = list.map_or(&[][..], |list| list.get_ref());
    let located =
        |entry: &Spanned<E>| read(entry.get_ref()).map_err(|sentence| (sentence, entry.span()));
    entries.iter().map(located).collect()
}

/// 32 bytes of base64url. It may be a secret that came to the wrong place, so nobody hears it again.
fn key(list: &str, text: &str) -> Result<[u8; 32], String> {
    base64url::read(text).ok_or_else(|| {
        format!("{list} has an entry that is not a key: it must be 43 letters of base64url")
    })
}
