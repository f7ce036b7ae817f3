//! `elara serve --dev`: keys that live as long as the relay, and addresses to try it with.
//!
//! The relay's key never leaves memory. The issuer's stands in a file of a folder that only this user may
//! enter, so that `elara token mint` can make more addresses, and goes with the relay. What is printed
//! here lets people in: it is for the terminal of whoever asked, and never logged.

use std::fs::{self, DirBuilder};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use elara_core::SessionId;
use elara_core::crypto::{
    Claims, ExchangeKey, Identity, JoinAddress, Permissions, Secret, Subject, Token, base64url,
};
use elara_core::random::Random;
use elara_runtime::V1Config;
use elara_runtime::keys::{self, KeyKind, OsRandom};

use super::super::{Failure, time};

/// How long the addresses open the door, in seconds: a day, unless the relay ends before.
const VALID_S: u32 = 86_400;

/// The keys of one run.
pub(super) struct Dev {
    relay: ExchangeKey,
    issuer: Identity,
    session: SessionId,
    session_key: Secret<32>,
    folder: Folder,
}

impl Dev {
    /// Fresh keys, and the issuer's file.
    pub(super) fn new() -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let file = folder.issuer();
        let broke = |error: keys::KeyFileError| Failure::Broke(error.to_string());
        keys::create(&file, KeyKind::Issuer, false).map_err(broke)?;
        Ok(Self {
            relay: ExchangeKey::generate(&mut OsRandom),
            issuer: keys::load_issuer(&file).map_err(broke)?,
            session: session(),
            session_key: Secret::generate(&mut OsRandom),
            folder,
        })
    }

    /// Opens wire v1 with these keys, unless it has keys of its own.
    pub(super) fn open(&self, v1: &mut V1Config) {
        if !v1.is_open() {
            let issuer = self.issuer.public();
            v1.relay_keys = vec![self.relay.clone()];
            v1.issuers = vec![(keys::suggested_kid(issuer), *issuer)];
        }
    }

    /// Addresses of a relay at `listen` for so many guests, and how to make more of them.
    pub(super) fn facts(&self, listen: SocketAddr, guests: u16) -> Vec<String> {
        let relay = reachable(listen);
        let (address, own) = match guests {
            1 => ("this address lets one participant", "it opens"),
            _ => ("each of these addresses lets one participant", "they open"),
        };
        let session = self.session;
        let mut facts = vec![format!("dev: {address} into session {session}; {own} for a day")];
        facts.extend((0..guests).map(|_| self.address(relay).to_link().as_str().to_owned()));
        facts.push("dev: for more of them, while this relay runs:".to_owned());
        facts.push(format!(
            "elara token mint --issuer {} --session {session} --relay {relay} --relay-key {} \
             --session-key {}",
            self.folder.issuer().display(),
            text_of(self.relay.public().as_bytes()),
            text_of(self.session_key.expose()),
        ));
        facts
    }

    fn address(&self, relay: SocketAddr) -> JoinAddress {
        let mut serial = [0; 32];
        OsRandom.fill(&mut serial);
        let now = time::now();
        let claims = Claims {
            kid: keys::suggested_kid(self.issuer.public()),
            session: self.session,
            subject: Subject::Bearer(serial),
            permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
            not_before: now,
            expires: now.saturating_add(VALID_S),
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        JoinAddress {
            host: host(relay.ip()),
            port: relay.port(),
            session: self.session,
            relay: *self.relay.public(),
            token: Token::mint(&self.issuer, &claims),
            key: self.session_key.clone(),
        }
    }
}

/// Where someone on this machine reaches a relay that listens at `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = if listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A session nobody else is in.
fn session() -> SessionId {
    loop {
        let session = SessionId(OsRandom.next_u64());
        if !session.is_reserved() {
            return session;
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    base64url::write(&mut text, bytes);
    text
}

/// A folder for this user alone, that goes away with the relay.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let name = format!("elara-dev-{:016x}", OsRandom.next_u64());
        let path = std::env::temp_dir().join(name);
        // A name that is there already is an error: nobody can have made it ready for us.
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::Broke(format!(
                "no folder for the keys of --dev at {}: {error}",
                path.display()
            ))
        })?;
        Ok(Self(path))
    }

    fn issuer(&self) -> PathBuf {
        self.0.join("issuer.key")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_on_every_address_is_reached_on_this_machines() {
        for (listen, relay) in [
            ("[::]:7840", "127.0.0.1:7840"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::1]:7840", "[::1]:7840"),
            ("192.0.2.1:7840", "192.0.2.1:7840"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), relay);
        }
        assert_eq!(host("::1".parse().unwrap()), "[::1]");
    }

    #[test]
    fn keys_of_the_file_come_first() {
        let dev = Dev::new().unwrap();
        let mut v1 = V1Config::default();
        v1.bans.insert([7; 32]);
        dev.open(&mut v1);
        assert_eq!(v1.relay_keys[0].public(), dev.relay.public());
        assert_eq!(v1.bans.len(), 1);
        let opened = v1.clone();
        Dev::new().unwrap().open(&mut v1);
        assert_eq!(v1, opened);
    }

    #[test]
    fn the_folder_goes_with_the_relay() {
        let dev = Dev::new().unwrap();
        let file = dev.folder.issuer();
        assert!(file.exists());
        drop(dev);
        assert!(!file.exists() && !file.parent().unwrap().exists());
    }
}
