//! Join addresses: all a client needs to enter a session, in one line.
//!
//! ```text
//!   elara://host:port/SESSION?k=RELAY_PUB#t=TOKEN&e=KEY
//! ```
//! SESSION is sixteen hexadecimal digits; the rest base64url without padding: the relay's static
//! X25519 key (32 bytes), a token (128), the session key (32) which never leaves the client. What
//! stands after `#` are secrets. `Display` and `Debug` leave it out, so that an address can be
//! logged; [`JoinAddress::to_link`] writes it in full, for handing on.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use super::base64url;
use super::exchange::ExchangePublic;
use super::secret::Secret;
use super::token::Token;
use crate::ids::SessionId;

const SCHEME: &str = "elara://";

/// Where a session is, which relay is the right one, and what opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinAddress {
    /// The relay's name or address, an IPv6 address in its brackets.
    pub host: String,
    /// The relay's UDP port.
    pub port: u16,
    /// The session.
    pub session: SessionId,
    /// The relay's static key: who answers without it is not the relay.
    pub relay: ExchangePublic,
    /// What lets its holder in.
    pub token: Token,
    /// What members read each other with.
    pub key: Secret<32>,
}

/// What is wrong with a join address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadAddress {
    /// It does not begin with `elara://`.
    Scheme,
    /// No host, or letters that no host has.
    Host,
    /// No port in 1..=65535.
    Port,
    /// Not sixteen hexadecimal digits, or a session id that is never issued.
    Session,
    /// `k=` is missing or is not a key of 32 bytes.
    RelayKey,
    /// `t=` is missing or is not a token of 128 bytes.
    Token,
    /// `e=` is missing or is not a key of 32 bytes.
    SessionKey,
    /// Something stands there that has no meaning, or stands there twice.
    Unknown,
}

impl JoinAddress {
    /// The address in full, secrets and all; wiped when dropped.
    #[must_use]
    pub fn to_link(&self) -> Zeroizing<String> {
        // 43 letters each for the keys and 171 for the token: room for all, so that no shorter
        // copy is left behind by growing.
        let mut link = Zeroizing::new(String::with_capacity(self.host.len() + 320));
        let written = self.write_public(&mut *link);
        written.expect("a string takes what is written");
        link.push_str("#t=");
        base64url::write(&mut link, &self.token.0);
        link.push_str("&e=");
        base64url::write(&mut link, self.key.expose());
        link
    }

    fn write_public(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let mut relay = String::new();
        base64url::write(&mut relay, &self.relay.0);
        write!(out, "{SCHEME}{}:{}/{}?k={relay}", self.host, self.port, self.session)
    }
}

impl FromStr for JoinAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let rest = text.strip_prefix(SCHEME).ok_or(BadAddress::Scheme)?;
        let (rest, fragment) = rest.split_once('#').ok_or(BadAddress::Token)?;
        let (rest, query) = rest.split_once('?').ok_or(BadAddress::RelayKey)?;
        let (authority, session) = rest.split_once('/').ok_or(BadAddress::Session)?;
        let (host, port) = authority.rsplit_once(':').ok_or(BadAddress::Port)?;
        let [relay] = named(query, ["k"])?;
        let [token, key] = named(fragment, ["t", "e"])?;
        Ok(Self {
            host: read_host(host)?,
            port: read_port(port)?,
            session: read_session(session)?,
            relay: relay
                .and_then(base64url::read)
                .map(ExchangePublic)
                .ok_or(BadAddress::RelayKey)?,
            token: token.and_then(base64url::read).map(Token).ok_or(BadAddress::Token)?,
            key: key.and_then(base64url::read).map(Secret::new).ok_or(BadAddress::SessionKey)?,
        })
    }
}

/// The values of `names` in a list like `a=1&b=2`, in any order, each at most once.
fn named<'t, const N: usize>(
    list: &'t str,
    names: [&str; N],
) -> Result<[Option<&'t str>; N], BadAddress> {
    let mut values = [None; N];
    for pair in list.split('&') {
        let (name, value) = pair.split_once('=').ok_or(BadAddress::Unknown)?;
        let at = names.iter().position(|&known| known == name).ok_or(BadAddress::Unknown)?;
        if values[at].replace(value).is_some() {
            return Err(BadAddress::Unknown);
        }
    }
    Ok(values)
}

fn read_host(host: &str) -> Result<String, BadAddress> {
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fits = match inside {
        Some(ip) => ip.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.len() <= 253 && host.bytes().all(letter)
        }
    };
    if fits { Ok(host.into()) } else { Err(BadAddress::Host) }
}

fn read_port(port: &str) -> Result<u16, BadAddress> {
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadAddress::Port);
    }
    port.parse().ok().filter(|&port| port != 0).ok_or(BadAddress::Port)
}

fn read_session(session: &str) -> Result<SessionId, BadAddress> {
    if session.len() != 16 || !session.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(BadAddress::Session);
    }
    let id = u64::from_str_radix(session, 16).map(SessionId).map_err(|_| BadAddress::Session)?;
    if id.is_reserved() { Err(BadAddress::Session) } else { Ok(id) }
}

/// Without what stands after `#`.
impl fmt::Display for JoinAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_public(f)?;
        f.write_str("#..")
    }
}

/// Without what stands after `#`.
impl fmt::Debug for JoinAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    fn address(host: &str) -> JoinAddress {
        JoinAddress {
            host: host.into(),
            port: 7840,
            session: SessionId(0x0123_4567_89AB_CDEF),
            relay: ExchangePublic(core::array::from_fn(|i| i as u8)),
            token: Token(core::array::from_fn(|i| 0xFF - i as u8)),
            key: Secret::new([0x5A; 32]),
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for host in ["relay.example", "192.0.2.1", "[2001:db8::1]", "localhost"] {
            let address = address(host);
            let link = address.to_link();
            assert_eq!(link.parse(), Ok(address), "{}", *link);
        }
    }

    #[test]
    fn an_address_looks_as_the_specification_draws_it() {
        let link = address("h").to_link();
        let start =
            "elara://h:7840/0123456789abcdef?k=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#t=__79";
        assert!(link.starts_with(start), "{}", *link);
        assert!(link.ends_with("&e=WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo"));
    }

    #[test]
    fn what_is_logged_has_no_secret() {
        let address = address("h");
        let shown = address.to_string();
        assert!(shown.ends_with("GxwdHh8#.."), "{shown}");
        assert_eq!(format!("{address:?}"), format!("JoinAddress({shown})"));
    }

    #[test]
    fn each_cause_is_named() {
        let link = address("relay.example").to_link();
        let broken = |from: &str, to: &str| {
            assert!(link.contains(from), "{from}");
            link.replacen(from, to, 1).parse::<JoinAddress>().err()
        };
        let reserved = "0000000042a41221";
        for (from, to, cause) in [
            ("elara://", "https://", BadAddress::Scheme),
            ("elara://", "ELARA://", BadAddress::Scheme),
            ("relay.example", "", BadAddress::Host),
            ("relay.example", "relay example", BadAddress::Host),
            ("relay.example", "[192.0.2.1]", BadAddress::Host),
            ("relay.example", "user@host", BadAddress::Host),
            (":7840", "", BadAddress::Port),
            ("7840", "0", BadAddress::Port),
            ("7840", "65536", BadAddress::Port),
            ("7840", "+784", BadAddress::Port),
            ("0123456789abcdef", "123456789abcdef", BadAddress::Session),
            ("0123456789abcdef", "+123456789abcdef", BadAddress::Session),
            ("0123456789abcdef", reserved, BadAddress::Session),
            ("/0123456789abcdef", "", BadAddress::Session),
            ("?k=A", "?k=", BadAddress::RelayKey),
            ("?k=", "?q=", BadAddress::Unknown),
            ("#t=_", "#t=", BadAddress::Token),
            ("#t=", "#x=", BadAddress::Unknown),
            ("&e=", "&t=", BadAddress::Unknown),
            ("&e=W", "&e=", BadAddress::SessionKey),
            ("&e=", "&&e=", BadAddress::Unknown),
        ] {
            assert_eq!(broken(from, to), Some(cause), "{from} -> {to}");
        }
        let without_key = link.split("&e=").next().unwrap();
        assert_eq!(without_key.parse::<JoinAddress>(), Err(BadAddress::SessionKey));
        let without_secrets = link.split('#').next().unwrap();
        assert_eq!(without_secrets.parse::<JoinAddress>(), Err(BadAddress::Token));
    }

    #[test]
    fn secrets_may_stand_in_any_order() {
        let link = address("h").to_link();
        let (public, secrets) = link.split_once('#').unwrap();
        let (token, key) = secrets.split_once('&').unwrap();
        assert_eq!(format!("{public}#{key}&{token}").parse(), Ok(address("h")));
    }
}
