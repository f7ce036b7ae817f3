//! What a TURN server is told: who may use it, where it relays, and how much of everything.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use ring::hmac;
use zeroize::Zeroizing;

use super::base64;
use crate::Cidr;
use crate::limits::{
    Range, TURN_ALLOCATIONS, TURN_ALLOW_PEERS_MAX, TURN_BYTES_PER_S, TURN_CHANNELS,
    TURN_LIFETIME_DEFAULT_S, TURN_LIFETIME_MAX_S, TURN_PER_USER, TURN_PERMISSIONS,
    TURN_PORT_DEFAULT, TURN_PORT_MIN, TURN_REALM_MAX, TURN_SECRETS_MAX, TURN_USERS_MAX,
};
use crate::stun;

/// What a server is told. All numbers are those of one shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose credentials are asked for. Part of every long-term key: another realm, other keys.
    pub realm: String,
    /// Secrets shared with whoever issues time-limited credentials, the newest first.
    pub secrets: Vec<SharedSecret>,
    /// Users with keys of their own.
    pub users: Vec<User>,
    /// Where peers are met, at most one per family; where there are no users there need be none.
    pub relays: Vec<Relay>,
    /// Ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// Seconds an allocation lasts when its client asks for no more.
    pub lifetime_default_s: u32,
    /// Seconds it lasts at most without a refresh.
    pub lifetime_max_s: u32,
    /// Allocations at once. Full: 508.
    pub allocations_max: usize,
    /// Allocations of one user at once. Full: 486.
    pub allocations_per_user: usize,
    /// Permissions of one allocation. Full: 508.
    pub permissions_max: usize,
    /// Channels of one allocation. Full: 508.
    pub channels_max: usize,
    /// Bytes a second of one allocation, both directions together. More: dropped.
    pub bytes_per_second: Option<u64>,
    /// Peers that are reached although the table of denied addresses has them.
    pub allow_peers: Vec<Cidr>,
    /// Which numbers channels may have.
    pub channel_range: ChannelRange,
    /// Whether datagrams can be sent with the DF bit. If not: DONT-FRAGMENT is unknown.
    pub dont_fragment: bool,
}

/// Nobody may use it: without a secret or a user it answers every request with 401.
impl Default for Config {
    fn default() -> Self {
        Self {
            realm: String::from("elara"),
            secrets: vec![],
            users: vec![],
            relays: vec![],
            ports: TURN_PORT_DEFAULT,
            lifetime_default_s: TURN_LIFETIME_DEFAULT_S.default as u32,
            lifetime_max_s: TURN_LIFETIME_MAX_S.default as u32,
            allocations_max: TURN_ALLOCATIONS.default as usize,
            allocations_per_user: TURN_PER_USER.default as usize,
            permissions_max: TURN_PERMISSIONS.default as usize,
            channels_max: TURN_CHANNELS.default as usize,
            bytes_per_second: None,
            allow_peers: vec![],
            channel_range: ChannelRange::Rfc8656,
            dont_fragment: true,
        }
    }
}

/// Where peers are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relay {
    /// What relay sockets are bound to: an address of this host, not the unspecified one.
    pub listen: IpAddr,
    /// What peers are told instead, where a NAT maps one IP address to the other and keeps ports.
    pub external: Option<IpAddr>,
}

/// Which numbers channels may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelRange {
    /// 0x4000 to 0x4FFF, so that ChannelData can be told from what else arrives (RFC 7983).
    #[default]
    Rfc8656,
    /// 0x4000 to 0x7FFF: clients of RFC 5766 choose anywhere in it.
    Rfc5766,
}

impl ChannelRange {
    /// The numbers.
    #[must_use]
    pub const fn numbers(self) -> RangeInclusive<u16> {
        match self {
            Self::Rfc8656 => 0x4000..=0x4FFF,
            Self::Rfc5766 => 0x4000..=0x7FFF,
        }
    }
}

/// A secret shared with an issuer of credentials: `username` is `expiry` or `expiry:user`, the password
/// base64 of HMAC-SHA1 of it (draft-uberti-behave-turn-rest).
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    /// Takes a copy of `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The password of `username`, `expiry` or `expiry:user`, as an issuer computes it.
    #[must_use]
    pub fn password(&self, username: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let mut code = [0; 20];
        code.copy_from_slice(hmac::sign(&key, username.as_bytes()).as_ref());
        base64::encode::<20, 28>(&code).into_iter().map(char::from).collect()
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// A user with keys of its own. What is kept opens this realm; the password is not in it.
#[derive(Clone)]
pub struct User {
    /// What stands in USERNAME.
    pub name: String,
    /// MD5 of `name:realm:password`, for clients of RFC 5389: nearly all of them.
    pub key_md5: [u8; 16],
    /// SHA-256 of `name:realm:password`, for clients of RFC 8489.
    pub key_sha256: [u8; 32],
}

impl User {
    /// The user of this name and password in `realm`.
    #[must_use]
    pub fn new(name: &str, realm: &str, password: &str) -> Self {
        Self {
            name: String::from(name),
            key_md5: *stun::password_md5(name, realm, password).expose(),
            key_sha256: *stun::password_sha256(name, realm, password).expose(),
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({:?}, ..)", self.name)
    }
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No realm, or one that is too long.
    Realm,
    /// More secrets than are tried, or an empty one.
    Secrets,
    /// More users than are kept, or two of one name.
    Users,
    /// No relay address, two of one family, the unspecified one, or an external one of another family.
    Relays,
    /// Ports below 1024, or none.
    Ports,
    /// A number outside its bounds, by its name.
    Bounds(&'static str, Range),
    /// More blocks of allowed peers than are kept.
    AllowPeers,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Realm => write!(f, "realm: name one, of at most {TURN_REALM_MAX} bytes"),
            Self::Secrets => {
                write!(f, "secrets: at most {TURN_SECRETS_MAX}, none of them empty")
            }
            Self::Users => write!(f, "users: at most {TURN_USERS_MAX}, each name once"),
            Self::Relays => f.write_str(
                "relays: one address of this host per family, not the unspecified one, each with an \
                 external address of the same family or none",
            ),
            Self::Ports => write!(f, "ports: a range that begins at {TURN_PORT_MIN} or above"),
            Self::Bounds(name, Range { min, max, .. }) => {
                write!(f, "{name}: a number from {min} to {max}")
            }
            Self::AllowPeers => write!(f, "allow_peers: at most {TURN_ALLOW_PEERS_MAX} blocks"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Checks everything that [`super::Server`] relies on.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let holds = |holds: bool, error| if holds { Ok(()) } else { Err(error) };
        holds((1..=TURN_REALM_MAX).contains(&self.realm.len()), ConfigError::Realm)?;
        let whole = self.secrets.iter().all(|secret| !secret.expose().is_empty());
        holds(whole && self.secrets.len() <= TURN_SECRETS_MAX, ConfigError::Secrets)?;
        let mut names: Vec<&str> = self.users.iter().map(|user| user.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let distinct = names.len() == self.users.len();
        holds(distinct && names.len() <= TURN_USERS_MAX, ConfigError::Users)?;
        holds(self.has_relays(), ConfigError::Relays)?;
        let ports = *self.ports.start() >= TURN_PORT_MIN && !self.ports.is_empty();
        holds(ports, ConfigError::Ports)?;
        holds(self.allow_peers.len() <= TURN_ALLOW_PEERS_MAX, ConfigError::AllowPeers)?;
        for (name, value, range) in [
            ("lifetime_default", u64::from(self.lifetime_default_s), TURN_LIFETIME_DEFAULT_S),
            ("lifetime_max", u64::from(self.lifetime_max_s), TURN_LIFETIME_MAX_S),
            ("allocations_max", self.allocations_max as u64, TURN_ALLOCATIONS),
            ("allocations_per_user", self.allocations_per_user as u64, TURN_PER_USER),
            ("permissions_max", self.permissions_max as u64, TURN_PERMISSIONS),
            ("channels_max", self.channels_max as u64, TURN_CHANNELS),
            (
                "bytes_per_second",
                self.bytes_per_second.unwrap_or(TURN_BYTES_PER_S.max),
                TURN_BYTES_PER_S,
            ),
        ] {
            let within = (range.min..=range.max).contains(&value);
            holds(within, ConfigError::Bounds(name, range))?;
        }
        let above = Range { min: self.lifetime_default_s.into(), ..TURN_LIFETIME_MAX_S };
        let ordered = self.lifetime_default_s <= self.lifetime_max_s;
        holds(ordered, ConfigError::Bounds("lifetime_max", above))
    }

    fn has_relays(&self) -> bool {
        let of = |v4: bool| self.relays.iter().filter(|relay| relay.listen.is_ipv4() == v4).count();
        let sound = |relay: &Relay| {
            let family = |ip: IpAddr| ip.to_canonical().is_ipv4();
            !relay.listen.is_unspecified()
                && relay.listen.is_ipv4() == family(relay.listen)
                && relay.external.is_none_or(|ip| family(ip) == family(relay.listen))
        };
        let nobody = self.secrets.is_empty() && self.users.is_empty();
        (nobody || !self.relays.is_empty())
            && of(true) <= 1
            && of(false) <= 1
            && self.relays.iter().all(sound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    fn relay(listen: &str) -> Relay {
        Relay { listen: listen.parse().unwrap(), external: None }
    }

    fn sound() -> Config {
        Config { relays: vec![relay("192.0.2.1"), relay("2001:db8::1")], ..Config::default() }
    }

    #[test]
    fn what_is_silent_is_sound_as_soon_as_whoever_may_use_it_has_a_relay() {
        assert_eq!(sound().check(), Ok(()));
        assert_eq!(Config::default().check(), Ok(()), "nobody needs one");
        let users = vec![User::new("u", "elara", "p")];
        let config = Config { users, ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::Relays));
    }

    #[test]
    fn what_is_not_sound_is_named() {
        let secret = || SharedSecret::new(b"s");
        let user = || User::new("u", "elara", "p");
        let external = |listen: &str, external: &str| Relay {
            external: Some(external.parse().unwrap()),
            ..relay(listen)
        };
        for (config, error) in [
            (Config { realm: String::new(), ..sound() }, ConfigError::Realm),
            (Config { realm: "r".repeat(TURN_REALM_MAX + 1), ..sound() }, ConfigError::Realm),
            (Config { secrets: vec![SharedSecret::new(b"")], ..sound() }, ConfigError::Secrets),
            (
                Config { secrets: vec![secret(); TURN_SECRETS_MAX + 1], ..sound() },
                ConfigError::Secrets,
            ),
            (Config { users: vec![user(), user()], ..sound() }, ConfigError::Users),
            (Config { relays: vec![relay("0.0.0.0")], ..sound() }, ConfigError::Relays),
            (
                Config { relays: vec![relay("192.0.2.1"), relay("192.0.2.2")], ..sound() },
                ConfigError::Relays,
            ),
            (
                Config { relays: vec![external("192.0.2.1", "2001:db8::1")], ..sound() },
                ConfigError::Relays,
            ),
            (Config { ports: 1_023..=2_000, ..sound() }, ConfigError::Ports),
            #[allow(clippy::reversed_empty_ranges)]
            (Config { ports: 3_000..=2_000, ..sound() }, ConfigError::Ports),
            (
                Config { allocations_max: 0, ..sound() },
                ConfigError::Bounds("allocations_max", TURN_ALLOCATIONS),
            ),
            (
                Config { bytes_per_second: Some(0), ..sound() },
                ConfigError::Bounds("bytes_per_second", TURN_BYTES_PER_S),
            ),
            (
                Config { lifetime_default_s: 601, lifetime_max_s: 600, ..sound() },
                ConfigError::Bounds("lifetime_max", Range { min: 601, ..TURN_LIFETIME_MAX_S }),
            ),
        ] {
            assert_eq!(config.check(), Err(error), "{error}");
            assert!(error.to_string().contains(':'), "it says where: {error}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secrets = vec![SharedSecret::new(b"north")];
        let users = vec![User::new("anna", "elara", "north")];
        let printed = format!("{:?}", Config { secrets, users, ..sound() });
        assert!(printed.contains("SharedSecret(..)") && printed.contains("User(\"anna\", ..)"));
        assert!(!printed.contains("110, 111"), "no bytes of it: {printed}");
    }
}
