//! The part `[turn]` of a configuration file: who may use TURN, where it relays, how much.
//!
//! Secrets stand in files of their own, as relay keys do; a relative name is looked up beside the
//! configuration. Users stand here, because a name belongs to each; whoever else may read the file then
//! stops the start. What is wrong with either is said with its line and never by repeating it: a secret
//! that was written where a name belongs is one all the same.

use std::fmt;
use std::fs::Metadata;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use elara_core::turn::ChannelRange;
use elara_runtime::keys::{self, KeyFileError, TurnSecret};
use elara_runtime::{BadExternalIp, ExternalIp, TurnConfig, TurnError, TurnUser};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use toml::{Spanned, Value};

use super::values::Block;
use super::{Located, Number};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Form {
    enabled: Option<Spanned<bool>>,
    realm: Option<Spanned<String>>,
    secrets: Option<Spanned<Hidden>>,
    users: Option<Spanned<Hidden>>,
    relay: Option<Spanned<Vec<Spanned<Ip>>>>,
    external_ip: Option<Spanned<Vec<Spanned<External>>>>,
    ports: Option<Spanned<Ports>>,
    lifetime: Number,
    lifetime_max: Number,
    allocations: Number,
    allocations_per_user: Number,
    permissions: Number,
    channels: Number,
    bytes_per_second: Number,
    allow_peers: Option<Spanned<Vec<Spanned<Block>>>>,
    channel_range: Option<Channels>,
}

impl Form {
    /// Reads the files of secrets, looked up from `folder`, and the rest.
    pub(super) fn fill(&self, folder: &Path) -> Result<TurnConfig, Located> {
        let mut turn = TurnConfig { enabled: get(&self.enabled).copied(), ..TurnConfig::default() };
        if let Some(realm) = get(&self.realm) {
            turn.realm.clone_from(realm);
        }
        turn.secrets = each(&self.secrets, |name| secret(&folder.join(name)))?;
        turn.users = each(&self.users, |line| {
            let bad = |error| format!("turn.users has an entry that names nobody: {error}");
            TurnUser::read(line, &turn.realm).map_err(bad)
        })?;
        turn.relay = list(&self.relay).iter().map(|ip| ip.get_ref().0).collect();
        turn.external_ip = list(&self.external_ip).iter().map(|ip| ip.get_ref().0).collect();
        if let Some(Ports(ports)) = get(&self.ports) {
            turn.ports = ports.clone();
        }
        // The casts are safe: every bound fits its field.
        self.lifetime.fill("turn.lifetime", |n| turn.lifetime_s = n as u32)?;
        self.lifetime_max.fill("turn.lifetime_max", |n| turn.lifetime_max_s = n as u32)?;
        self.allocations.fill("turn.allocations", |n| turn.allocations = n as usize)?;
        self.allocations_per_user
            .fill("turn.allocations_per_user", |n| turn.allocations_per_user = n as usize)?;
        self.permissions.fill("turn.permissions", |n| turn.permissions = n as usize)?;
        self.channels.fill("turn.channels", |n| turn.channels = n as usize)?;
        self.bytes_per_second.fill("turn.bytes_per_second", |n| turn.bytes_per_second = n)?;
        turn.allow_peers = list(&self.allow_peers).iter().map(|block| block.get_ref().0).collect();
        if let Some(channels) = self.channel_range {
            turn.channel_range = match channels {
                Channels::Rfc8656 => ChannelRange::Rfc8656,
                Channels::Rfc5766 => ChannelRange::Rfc5766,
            };
        }
        Ok(turn)
    }

    /// Where the setting stands that an error of the whole is about.
    pub(super) fn place_of(&self, error: &TurnError) -> Option<Range<usize>> {
        let hidden = |list: &Option<Spanned<Hidden>>, index: usize| {
            Some(list.as_ref()?.get_ref().0.get(index)?.span())
        };
        match *error {
            TurnError::NoCredential | TurnError::Opens | TurnError::Closes => span(&self.enabled),
            TurnError::Realm => span(&self.realm),
            TurnError::Secrets { .. } => span(&self.secrets),
            TurnError::SecretTwice { index } => hidden(&self.secrets, index),
            TurnError::Users { .. } => span(&self.users),
            TurnError::UserTwice { index } => hidden(&self.users, index),
            // Whatever turned it on.
            TurnError::NoRelay { .. } | TurnError::RelayElsewhere { .. } => span(&self.relay)
                .or_else(|| span(&self.enabled))
                .or_else(|| span(&self.secrets))
                .or_else(|| span(&self.users)),
            TurnError::RelayAddress { index, .. } | TurnError::RelayTwice { index, .. } => {
                entry(&self.relay, index)
            }
            TurnError::ExternalAddress { index, .. }
            | TurnError::ExternalTwice { index, .. }
            | TurnError::ExternalOfNone { index, .. } => entry(&self.external_ip, index),
            TurnError::Ports { .. } => span(&self.ports),
            TurnError::LifetimeUpsideDown { .. } => {
                self.lifetime.place().or_else(|| self.lifetime_max.place())
            }
            TurnError::BytesPerSecond { .. } => self.bytes_per_second.place(),
            TurnError::AllowPeers { .. } => span(&self.allow_peers),
            TurnError::AllowPeer { index, .. } => entry(&self.allow_peers, index),
        }
    }
}

/// A secret out of its file.
fn secret(path: &Path) -> Result<TurnSecret, String> {
    keys::load_turn(path).map_err(|error| match error {
        // What names no file may be the secret itself.
        KeyFileError::Io { source, .. } => format!(
            "turn.secrets has an entry whose file cannot be read ({source}): a secret stands in a file of \
             its own, made by elara keygen turn, and its name stands here"
        ),
        other => other.to_string(),
    })
}

/// Why a configuration that names users, in a file like this one, may not be used.
pub(super) fn exposed(
    turn: &TurnConfig,
    file: &Metadata,
    shown: &dyn fmt::Display,
) -> Option<String> {
    const OTHERS: u32 = 0o077;
    let mode = file.mode() & 0o7777;
    let open = file.is_file() && mode & OTHERS != 0 && !turn.users.is_empty();
    open.then(|| {
        format!(
            "{shown} has turn.users, whose lines let in whoever reads them, and is open to others (mode \
             {mode:04o}): chmod 600 {shown}"
        )
    })
}

fn get<T>(setting: &Option<Spanned<T>>) -> Option<&T> {
    setting.as_ref().map(Spanned::get_ref)
}

fn span<T>(setting: &Option<Spanned<T>>) -> Option<Range<usize>> {
    setting.as_ref().map(Spanned::span)
}

fn list<T>(setting: &Option<Spanned<Vec<T>>>) -> &[T] {
    get(setting).map_or(&[], Vec::as_slice)
}

fn entry<T>(setting: &Option<Spanned<Vec<Spanned<T>>>>, index: usize) -> Option<Range<usize>> {
    list(setting).get(index).map(Spanned::span)
}

/// What `read` makes of each text of a list that may be left out.
fn each<T>(
    texts: &Option<Spanned<Hidden>>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Located> {
    let entries = get(texts).map_or(&[][..], |Hidden(entries)| entries);
    let located = |entry: &Spanned<Value>| {
        let text = entry
            .get_ref()
            .as_str()
            .ok_or_else(|| "each entry must be a text in quotes".to_owned());
        text.and_then(&read).map_err(|sentence| (sentence, entry.span()))
    };
    entries.iter().map(located).collect()
}

/// A list of texts that may be secret. Anything is taken, so that no complaint of the parser has a word of
/// it.
struct Hidden(Vec<Spanned<Value>>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Hidden;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Hidden, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = texts.next_element()? {
                    list.push(text);
                }
                Ok(Hidden(list))
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Hidden, E> {
                Err(E::custom("it must be a list, in brackets, even of one"))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Channels {
    Rfc8656,
    Rfc5766,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Ip(IpAddr);

impl TryFrom<String> for Ip {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("\"{text}\" is not an IP address"))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct External(ExternalIp);

impl TryFrom<String> for External {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error: BadExternalIp| format!("\"{text}\" will not do: {error}"))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Ports(RangeInclusive<u16>);

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let port =
            |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let ports = text.split_once('-').and_then(|(first, last)| Some(port(first)?..=port(last)?));
        ports
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is no range of ports, such as 49152-65535"))
    }
}

#[cfg(test)]
mod tests;
