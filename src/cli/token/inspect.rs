//! `elara token inspect`: what a token says, whether it is genuine, whether it is valid.

use std::fmt;
use std::io::{self, Read};

use clap::Args;
use elara_core::crypto::join::BadAddress;
use elara_core::crypto::token::{BadToken, TOKEN_LEN};
use elara_core::crypto::{Claims, JoinAddress, PublicKey, Token, base64url};
use serde::Serialize;

use super::super::{Failure, say, time};
use super::fields::{Fields, Life, facts};
use super::{key, text_of};

/// Longest text that is looked at: a join address has 253 letters of host and some 320 more.
const TEXT_MAX: u64 = 4 << 10;

/// What `elara token inspect` is told.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Inspect {
    /// A token, a join address, or - to read one from standard input
    #[arg(value_name = "TOKEN|ADDRESS")]
    what: String,
    /// Public key of the issuer that should have signed it
    #[arg(long, allow_hyphen_values = true, value_name = "PUBLIC_KEY", value_parser = issuer_key)]
    issuer_key: Option<PublicKey>,
    /// For programs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  elara token inspect TOKEN                            what it says; nothing is proven by that
  elara token inspect - --issuer-key PUBLIC_KEY        whether it opens the door now

With --issuer-key the exit status is 1 unless the signature holds and the token is valid now.";

/// The token is a secret.
impl fmt::Debug for Inspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspect").field("issuer_key", &self.issuer_key).finish_non_exhaustive()
    }
}

/// What programs get.
#[derive(Serialize)]
struct Inspected {
    /// Of a join address: `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay_key: Option<String>,
    #[serde(flatten)]
    fields: Fields,
    /// Whether it holds; null when no issuer's key was given.
    signature: Option<bool>,
    now: Life,
}

impl Inspect {
    /// Reads, checks and tells.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let text = self.text()?;
        let (address, token) = read(text.trim()).map_err(Failure::Asked)?;
        let claims = token.claims().map_err(|error| Failure::Asked(unreadable(error)))?;
        if let Some(address) = address.as_ref().filter(|address| address.session != claims.session)
        {
            return Err(Failure::Asked(format!(
                "the address is of session {}, but its token opens {}: they do not belong together",
                address.session, claims.session
            )));
        }
        let signature = self.issuer_key.map(|issuer| token.verify_signature(&issuer).is_ok());
        let now = time::now();
        let life = Life::at(&claims, now);
        if self.json {
            say::json(&Inspected {
                relay: address.as_ref().map(place),
                relay_key: address.as_ref().map(|address| text_of(address.relay.as_bytes())),
                fields: Fields::from(&claims),
                signature,
                now: life,
            });
        } else {
            tell(address.as_ref(), &claims, signature, now).into_iter().for_each(say::fact);
        }
        match (signature, life) {
            (None, _) | (Some(true), Life::Valid) => Ok(()),
            (Some(false), _) => {
                Err(Failure::Broke("this issuer did not sign the token so".to_owned()))
            }
            (Some(true), _) => Err(Failure::Broke(format!(
                "the token is genuine, but {}",
                life.sentence(&claims, now)
            ))),
        }
    }

    fn text(&self) -> Result<String, Failure> {
        if self.what != "-" {
            return Ok(self.what.clone());
        }
        let mut text = String::new();
        let read = io::stdin().lock().take(TEXT_MAX).read_to_string(&mut text);
        read.map_err(|error| Failure::Asked(format!("cannot read standard input: {error}")))?;
        Ok(text)
    }
}

fn read(text: &str) -> Result<(Option<JoinAddress>, Token), String> {
    if text.contains("://") {
        let address: JoinAddress = text.parse().map_err(|error| wrong(error).to_owned())?;
        let token = address.token;
        return Ok((Some(address), token));
    }
    let token = base64url::read::<TOKEN_LEN>(text).map(Token);
    let token = token.ok_or_else(|| {
        format!(
            "that is neither a token (171 letters of base64url; this has {}) nor a join address \
             (elara://host:port/SESSION?k=..#t=..&e=..)",
            text.chars().count()
        )
    })?;
    Ok((None, token))
}

/// What is wrong with an address, without a word of it: most of it is secret.
const fn wrong(error: BadAddress) -> &'static str {
    match error {
        BadAddress::Scheme => "the address does not begin with elara://",
        BadAddress::Host => "the address has no host, or one with letters no host has",
        BadAddress::Port => "the address has no port: it is host:port, with a port from 1 to 65535",
        BadAddress::Session => {
            "the address names no session: sixteen hexadecimal digits between / and ?"
        }
        BadAddress::RelayKey => "the address has no relay key: ?k= and 43 letters of base64url",
        BadAddress::Token => {
            "the address has no token: #t= and 171 letters of base64url; was it quoted in the shell?"
        }
        BadAddress::SessionKey => {
            "the address has no session key: &e= and 43 letters; was it quoted in the shell?"
        }
        BadAddress::Unknown => "the address has a part without a meaning, or a part twice",
    }
}

fn unreadable(error: BadToken) -> String {
    match error {
        BadToken::Version => "the token is of a version that this elara does not know".to_owned(),
        BadToken::Kind => "the token is neither bound nor bearer: it is damaged".to_owned(),
        other => format!("the token cannot be read: {other:?}"),
    }
}

fn tell(
    address: Option<&JoinAddress>,
    claims: &Claims,
    signature: Option<bool>,
    now: u32,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(address) = address {
        lines.push(format!("relay: {}", place(address)));
        lines.push(format!("relay public key: {}", text_of(address.relay.as_bytes())));
        lines.push("session key: there, not shown".to_owned());
    }
    lines.extend(facts(claims));
    let signature = match signature {
        None => "not checked: name the issuer with --issuer-key",
        Some(true) => "holds",
        Some(false) => "does not hold under this key",
    };
    lines.push(format!("signature: {signature}"));
    lines.push(format!("now: {}", Life::at(claims, now).sentence(claims, now)));
    lines
}

fn place(address: &JoinAddress) -> String {
    format!("{}:{}", address.host, address.port)
}

fn issuer_key(text: &str) -> Result<PublicKey, String> {
    key(text).map(PublicKey)
}
