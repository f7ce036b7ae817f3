//! What the arguments say about who comes in, and how: wire v0 for everyone, wire v1 with tokens, or RTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use elara_core::crypto::{ExchangePublic, JoinAddress, Suite, base64url};
use elara_load::rtp::Wiring;
use elara_load::{Pass, Wire};
use elara_runtime::keys;

#[derive(Args)]
pub(crate) struct Options {
    /// What participants speak [v1 where there is --issuer-key or --join, otherwise v0]
    #[arg(long, value_enum)]
    wire: Option<Spoken>,
    /// Wire v1: join addresses into one session, one for each participant; with --issuer-key one is
    /// enough, for its relay
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    join: Vec<String>,
    /// Wire v1: the issuer's key file, to mint a token for each participant with
    #[arg(long, value_name = "FILE")]
    issuer_key: Option<PathBuf>,
    /// Wire v1: the number by which the relay knows the issuer [what `elara keygen issuer` said]
    #[arg(long, value_name = "N", requires = "issuer_key")]
    kid: Option<u16>,
    /// Wire v1: the relay's public key [that of --join]
    #[arg(long, value_name = "BASE64URL")]
    relay_key: Option<String>,
    /// Wire v1: how participants encrypt
    #[arg(long, value_enum, default_value_t = Cipher::AesGcm)]
    suite: Cipher,
    /// Wire v1: further participants that join, stay a second and leave while the load runs, per second
    #[arg(long, value_name = "R")]
    pub(crate) join_rate: Option<f64>,
    /// Wire v1: milliseconds that small frames to a participant may wait to share a datagram, 0 to 5
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) hold: u8,
    /// RTP: where the relay hears the sender of each session
    #[arg(
        long,
        value_name = "ADDRESS,..",
        value_delimiter = ',',
        requires = "rtp_port",
        conflicts_with_all = ["wire", "join", "issuer_key", "relay_key"]
    )]
    rtp: Vec<SocketAddr>,
    /// RTP: the first participant's port, the others' follow; the first of each session sends
    #[arg(long, value_name = "PORT", requires = "rtp")]
    rtp_port: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Spoken {
    V0,
    V1,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cipher {
    AesGcm,
    Chacha,
}

/// What the arguments come to.
pub(crate) struct Entry {
    pub(crate) wire: Wire,
    pub(crate) pass: Option<Pass>,
    pub(crate) wiring: Option<Wiring>,
    /// The relay, when an address says it.
    pub(crate) target: Option<String>,
}

impl Options {
    pub(crate) const fn suite(&self) -> Suite {
        match self.suite {
            Cipher::AesGcm => Suite::AesGcm,
            Cipher::Chacha => Suite::ChaChaPoly,
        }
    }

    /// Reads keys and addresses. `targeted` says that a relay is named besides.
    ///
    /// # Errors
    /// A sentence that says what is missing, or wrong, and where.
    pub(crate) fn read(&self, targeted: bool) -> Result<Entry, String> {
        if let Some(wiring) = self.wiring() {
            if targeted {
                return Err("--rtp names the relay already: leave its address out".into());
            }
            let target = wiring.to.first().map(ToString::to_string);
            return Ok(Entry { wire: Wire::Rtp, pass: None, wiring: Some(wiring), target });
        }
        let keyed = self.issuer_key.is_some() || !self.join.is_empty() || self.relay_key.is_some();
        if self.wire == Some(Spoken::V0) || self.wire.is_none() && !keyed {
            if keyed {
                return Err("--wire v0 takes no keys and no join addresses: leave one out".into());
            }
            return Ok(Entry { wire: Wire::V0, pass: None, wiring: None, target: None });
        }
        let addresses = self.addresses()?;
        if targeted && !addresses.is_empty() {
            return Err("--join names the relay already: leave its address out".into());
        }
        let target = addresses.first().map(|first| format!("{}:{}", first.host, first.port));
        let pass = match &self.issuer_key {
            None if addresses.is_empty() => None,
            None => Some(Pass::addresses(&addresses).map_err(|mistake| mistake.to_string())?),
            Some(file) => {
                let issuer = keys::load_issuer(file).map_err(|error| error.to_string())?;
                let relay = self.relay(&addresses)?;
                let suggested = keys::suggested_kid(issuer.public());
                Some(Pass::minted(relay, issuer, self.kid.unwrap_or(suggested)))
            }
        };
        Ok(Entry { wire: Wire::V1, pass, wiring: None, target })
    }

    fn wiring(&self) -> Option<Wiring> {
        Some(Wiring { to: self.rtp.clone(), first_port: self.rtp_port? })
    }

    fn addresses(&self) -> Result<Vec<JoinAddress>, String> {
        let read = |(at, text): (usize, &String)| {
            text.parse().map_err(|fault| {
                format!(
                    "--join: address {} is none ({fault:?}): it looks like \
                     elara://host:port/SESSION?k=..#t=..&e=.., in quotes because of the &",
                    at + 1
                )
            })
        };
        self.join.iter().enumerate().map(read).collect()
    }

    fn relay(&self, addresses: &[JoinAddress]) -> Result<ExchangePublic, String> {
        match (&self.relay_key, addresses.first()) {
            (Some(text), _) => base64url::read(text).map(ExchangePublic).ok_or_else(|| {
                format!("--relay-key {text} is no public key: it has 43 letters of base64url")
            }),
            (None, Some(first)) => Ok(first.relay),
            (None, None) => {
                Err("--issuer-key needs the relay's public key too: give --relay-key, or \
                                 a join address (elara serve prints both)"
                    .into())
            }
        }
    }
}
