//! `elara token mint`: an issuer signs who may enter a session, to do what, and until when.

use std::path::PathBuf;

use clap::Args;
use elara_core::SessionId;
use elara_core::crypto::join::BadAddress;
use elara_core::crypto::{
    Claims, ExchangePublic, JoinAddress, Permissions, PublicKey, Secret, Subject, Token,
};
use elara_core::random::Random;
use elara_runtime::keys::{self, OsRandom};
use serde::Serialize;

use super::super::{Failure, say, time};
use super::fields::{CLASSES, Fields};
use super::{key, text_of};

/// What `elara token mint` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Mint {
    /// Key file of the issuer, made by elara keygen issuer
    #[arg(long, value_name = "FILE")]
    issuer: PathBuf,
    /// Number by which relays know the issuer's key [default: what elara keygen printed]
    #[arg(long, value_name = "N")]
    kid: Option<u16>,
    /// Session it opens, sixteen hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = session)]
    session: SessionId,
    /// Public key of the one node it lets in [default: the first node that shows it]
    #[arg(long, allow_hyphen_values = true, value_name = "PUBLIC_KEY", value_parser = node)]
    node: Option<PublicKey>,
    #[command(flatten)]
    grants: Grants,
    /// How long it is valid: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = time::span)]
    valid: u32,
    /// First moment it is valid: 2026-01-31T12:00:00Z, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    not_before: Option<u32>,
    /// Most kbit/s its holder may send; 0 leaves it to the relay
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_kbps: u32,
    /// Most datagrams a second its holder may send; 0 leaves it to the relay
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_pps: u16,
    /// Who stays when not all can: higher first
    #[arg(long, value_name = "N", default_value_t = 0)]
    priority: u16,
    #[command(flatten)]
    place: Place,
    /// For programs: the token, its fields, the address
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  elara token mint --issuer issuer.key --session 5e55101700000001
      a token for the first who shows it, to send and receive everything for an hour
  elara token mint --issuer issuer.key --session 5e55101700000001 --receive --valid 1d \\
      --relay relay.example.org:7840 --relay-key PUBLIC_KEY
      a join address for a listener

Without --may, --receive, --commit and --kick its holder may send every class and receive.";

/// What its holder may do.
#[derive(Args, Debug)]
struct Grants {
    /// Classes its holder may send: core, perceptual, enhancement, cosmetic, repair, or all
    #[arg(long, value_name = "CLASS,..", value_parser = class, value_delimiter = ',')]
    may: Vec<Permissions>,
    /// Its holder may receive
    #[arg(long)]
    receive: bool,
    /// Its holder may commit changes of the group
    #[arg(long)]
    commit: bool,
    /// Its holder may send others away
    #[arg(long)]
    kick: bool,
}

impl Grants {
    fn permissions(&self) -> Permissions {
        let flags = [
            (self.receive, Permissions::RECEIVE),
            (self.commit, Permissions::COMMIT),
            (self.kick, Permissions::KICK),
        ];
        let flags = flags.into_iter().filter_map(|(given, permission)| given.then_some(permission));
        let all = self.may.iter().copied().chain(flags).reduce(Permissions::and);
        all.unwrap_or(Permissions::SEND_ALL.and(Permissions::RECEIVE))
    }
}

/// Where the session is: what makes a token a join address.
#[derive(Args, Debug)]
struct Place {
    /// Relay the session is on; prints a join address
    #[arg(long, value_name = "HOST:PORT", requires = "relay_key")]
    relay: Option<String>,
    /// The relay's public key, as elara keygen relay printed it
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "PUBLIC_KEY",
        requires = "relay",
        value_parser = relay_key
    )]
    relay_key: Option<ExchangePublic>,
    /// What members read each other with, the same for all of them [default: a fresh one]
    #[arg(long, allow_hyphen_values = true, value_name = "KEY", requires = "relay")]
    session_key: Option<Hidden>,
}

/// A secret argument: nothing shows it, not even a complaint about it.
#[derive(Clone)]
struct Hidden(String);

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// What programs get.
#[derive(Serialize)]
struct Minted<'a> {
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(flatten)]
    fields: Fields,
}

impl Mint {
    /// Mints, and prints the token or the address, alone on one line.
    pub(super) fn run(self) -> Result<(), Failure> {
        let issuer = keys::load_issuer(&self.issuer).map_err(|error| Failure::asked(&error))?;
        let claims = self.claims(issuer.public(), time::now()).map_err(Failure::Asked)?;
        let token = Token::mint(&issuer, &claims);
        let address = self.place.address(claims.session, token).map_err(Failure::Asked)?;
        let link = address.as_ref().map(JoinAddress::to_link);
        let link = link.as_ref().map(|link| link.as_str());
        if self.json {
            let fields = Fields::from(&claims);
            let minted = Minted { token: text_of(&token.0), address: link, fields };
            say::json(&minted);
        } else {
            say::fact(link.unwrap_or(&text_of(&token.0)));
        }
        Ok(())
    }

    fn claims(&self, issuer: &PublicKey, now: u32) -> Result<Claims, String> {
        let not_before = self.not_before.unwrap_or(now);
        let expires = not_before.checked_add(self.valid).ok_or_else(|| {
            let last = time::show(u32::MAX);
            format!("--valid is too long: tokens can name no time after {last}")
        })?;
        if expires <= now {
            let ended = time::show(expires);
            return Err(format!("it would have expired at {ended}: choose a later --not-before"));
        }
        let bearer = || {
            let mut serial = [0; 32];
            OsRandom.fill(&mut serial);
            Subject::Bearer(serial)
        };
        Ok(Claims {
            kid: self.kid.unwrap_or_else(|| keys::suggested_kid(issuer)),
            session: self.session,
            subject: self.node.map_or_else(bearer, Subject::Bound),
            permissions: self.grants.permissions(),
            not_before,
            expires,
            max_kbps: self.max_kbps,
            max_pps: self.max_pps,
            priority: self.priority,
        })
    }
}

impl Place {
    fn address(&self, session: SessionId, token: Token) -> Result<Option<JoinAddress>, String> {
        let (Some(relay), Some(relay_key)) = (&self.relay, self.relay_key) else {
            return Ok(None);
        };
        let wrong =
            || format!("--relay {relay} is not a host and port, such as relay.example:7840");
        let (host, port) = relay.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let session_key = match &self.session_key {
            Some(Hidden(text)) => {
                Secret::new(key(text).map_err(|error| format!("--session-key is {error}"))?)
            }
            None => Secret::generate(&mut OsRandom),
        };
        let address = JoinAddress {
            host: host.to_owned(),
            port,
            session,
            relay: relay_key,
            token,
            key: session_key,
        };
        // What cannot be read back must not be handed on.
        match address.to_link().parse::<JoinAddress>() {
            Ok(_) => Ok(Some(address)),
            Err(BadAddress::Host | BadAddress::Port) => Err(wrong()),
            Err(other) => unreachable!("every other part is of its own type: {other:?}"),
        }
    }
}

fn session(text: &str) -> Result<SessionId, String> {
    let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = hex.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(SessionId);
    let id = id.ok_or("not a session: it must be sixteen hexadecimal digits")?;
    if id.is_reserved() {
        return Err("a session that is never issued, because its frames look like STUN".to_owned());
    }
    Ok(id)
}

fn node(text: &str) -> Result<PublicKey, String> {
    key(text).map(PublicKey)
}

fn relay_key(text: &str) -> Result<ExchangePublic, String> {
    key(text).map(ExchangePublic)
}

fn class(text: &str) -> Result<Permissions, String> {
    if text == "all" {
        return Ok(Permissions::SEND_ALL);
    }
    let class = CLASSES.iter().find(|(name, _)| *name == text);
    let class = class.map(|(_, class)| Permissions::send(*class as u8));
    class.ok_or_else(|| {
        let names = CLASSES.map(|(name, _)| name).join(", ");
        format!("not a class: choose from {names}, or all")
    })
}
