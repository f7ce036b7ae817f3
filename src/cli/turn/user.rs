//! `elara turn user`: who may use a relay's TURN, for good or until a credential runs out.
//!
//! For good, a user has a password; what stands in the configuration is a line from which it cannot be read.
//! For a while, a shared secret signs: the username says until when, the password is its signature, and
//! nothing has to be configured for it. Both are printed for whoever asked, and logged nowhere.

mod password;

use std::path::PathBuf;

use clap::Args;
use elara_core::limits::STUN_USERNAME_MAX;
use elara_core::turn::SharedSecret;
use elara_runtime::keys::{self, TurnSecret};
use elara_runtime::{TurnConfig, TurnUser};
use serde::Serialize;

use super::super::{Failure, say, time};

/// What `elara turn user` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct User {
    /// Who it is for
    #[arg(value_name = "NAME", required_unless_present = "secret")]
    name: Option<String>,
    /// The relay's realm, which the password is for [default: elara]
    #[arg(long, value_name = "REALM", conflicts_with = "secret")]
    realm: Option<String>,
    /// Ask for the password, or take the first line of standard input; without this it is made up
    #[arg(long, conflicts_with = "secret")]
    ask: bool,
    /// File with a secret of the relay's turn.secrets: sign a credential that runs out
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// How long the credential lets in: 90s, 15m, 1h, 7d [default: 1d]
    #[arg(long, value_name = "SPAN", requires = "secret", value_parser = time::span)]
    ttl: Option<u32>,
    /// For programs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  elara turn user alice                   makes up a password; the line goes into turn.users
  elara turn user --realm example.org --ask alice
                                          asks for the password, for a relay with realm = \"example.org\"
  elara turn user --secret turn.key --ttl 1h alice
                                          a username and a password for the next hour

The realm is part of what a line is made of: with another turn.realm it lets nobody in.";

/// A day: a page is mostly closed sooner, and what is stolen tomorrow is worth nothing.
const TTL_S: u32 = 86_400;

/// A user for good, as programs read it.
#[derive(Serialize)]
struct Lasting<'a> {
    username: &'a str,
    realm: &'a str,
    /// One that was made up here.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    line: &'a str,
}

/// A credential that runs out, as programs read it.
#[derive(Serialize)]
struct Passing {
    username: String,
    password: String,
    /// Seconds it has left.
    ttl: u32,
    /// When it ends, in seconds since 1970.
    expires: u32,
}

impl User {
    /// Makes what was asked for and prints it.
    pub(super) fn run(&self) -> Result<(), Failure> {
        match (&self.secret, &self.name) {
            (Some(file), name) => {
                let secret = keys::load_turn(file).map_err(|error| Failure::asked(&error))?;
                let ttl = self.ttl.unwrap_or(TTL_S);
                let passing =
                    sign(&secret, name.as_deref(), time::now(), ttl).map_err(Failure::Asked)?;
                self.tell_passing(&passing);
                Ok(())
            }
            (None, Some(name)) => self.lasting(name),
            (None, None) => unreachable!("clap asks for a name"),
        }
    }

    fn lasting(&self, name: &str) -> Result<(), Failure> {
        let default = TurnConfig::default().realm;
        let realm = self.realm.as_deref().unwrap_or(&default);
        let password = if self.ask { password::asked(name)? } else { password::made_up() };
        let user = TurnUser::new(name, realm, &password)
            .map_err(|error| Failure::Asked(format!("that is no user: {error}")))?;
        let line = user.line();
        let shown = (!self.ask).then_some(password.as_str());
        if self.json {
            say::json(&Lasting { username: name, realm, password: shown, line: line.as_str() });
            return Ok(());
        }
        say::fact(format_args!("username: {name}"));
        say::fact(format_args!("realm: {realm}"));
        if let Some(password) = shown {
            say::fact(format_args!("password: {password}"));
        }
        say::fact(format_args!("line for turn.users: {}", line.as_str()));
        Ok(())
    }

    fn tell_passing(&self, passing: &Passing) {
        if self.json {
            say::json(passing);
            return;
        }
        say::fact(format_args!("username: {}", passing.username));
        say::fact(format_args!("password: {}", passing.password));
        say::fact(format_args!("expires: {}", time::show(passing.expires)));
    }
}

/// The credential of `name` for `ttl` seconds from `now` on: what draft-uberti-behave-turn-rest-00 describes.
fn sign(secret: &TurnSecret, name: Option<&str>, now: u32, ttl: u32) -> Result<Passing, String> {
    let expires = now.checked_add(ttl).ok_or_else(|| {
        let last = time::show(u32::MAX);
        format!("--ttl is too long: a credential can name no time after {last}")
    })?;
    let name = name.map_or_else(String::new, |name| format!(":{name}"));
    let username = format!("{expires}{name}");
    if username.len() > STUN_USERNAME_MAX || username.chars().any(char::is_control) {
        return Err(format!(
            "that is no name: with the time before it, it must have at most {STUN_USERNAME_MAX} bytes and no \
             control character"
        ));
    }
    let password = SharedSecret::new(secret.expose().as_bytes()).password(&username);
    Ok(Passing { username, password, ttl, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl dgst -sha1 -hmac` says it.
    #[test]
    fn a_credential_is_what_others_sign_with_the_same_secret() {
        let secret = TurnSecret::new("another server's secret").unwrap();
        let alice = sign(&secret, Some("alice"), 1_000_000_000, 3_600).unwrap();
        assert_eq!((alice.username.as_str(), alice.expires), ("1000003600:alice", 1_000_003_600));
        assert_eq!(alice.password, "1J88fcGfav2eK806eJR/+MHwfDA=");
        let nobody = sign(&secret, None, 1_000_000_000, 3_600).unwrap();
        assert_eq!((nobody.username.as_str(), nobody.ttl), ("1000003600", 3_600));
        assert_eq!(nobody.password, "TY6YzuTIMd9kFmXfPuVeLrNYAu4=");
    }

    #[test]
    fn what_no_server_would_take_is_not_signed() {
        let secret = TurnSecret::new("another server's secret").unwrap();
        let long = "x".repeat(STUN_USERNAME_MAX - 10);
        for (name, ttl, words) in [
            (long.as_str(), 60, "at most 508 bytes"),
            ("al\nice", 60, "no control character"),
            ("alice", u32::MAX, "--ttl is too long"),
        ] {
            let refused = sign(&secret, Some(name), 1_000_000_000, ttl).map(drop).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        assert!(sign(&secret, Some(&long[1..]), 1_000_000_000, 60).is_ok());
    }
}
