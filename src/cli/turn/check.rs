//! `elara turn check`: tries a STUN and TURN server out, and says step by step what works.
//!
//! ```text
//!   alice ──┐                ┌── relayed address of alice ◀──▶ a socket of this machine
//!           ├── the server ──┤           ▲
//!   bob ────┘                └── relayed address of bob
//! ```
//! What is refused by design, peers on loopback and private addresses, is no failure: it is said, with
//! what would allow it, and the steps that need it are left out.

mod report;
mod scene;
mod steps;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use elara_core::turn::client::Credentials;
use tokio::net::lookup_host;

use super::super::{Failure, control, say, time};
use report::Report;
use steps::Steps;

/// Longest file with a secret that is read, in bytes.
const SECRET_MAX: u64 = 1 << 10;
/// How long the credentials of this check are valid, in seconds.
const VALID_S: u32 = 600;
/// RFC 8489 section 18.6.
const STUN_PORT: u16 = 3_478;

/// What `elara turn check` is told.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// The server: host:port, or turn:host:port; without a port it is 3478
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7840")]
    server: String,
    /// User the server knows; with --secret, a name for its logs
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The user's password
    #[arg(long, value_name = "PASSWORD", requires = "user", conflicts_with = "secret")]
    password: Option<String>,
    /// File with a secret that the server shares with those who make credentials
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  elara turn check                                    STUN of a relay on this machine
  elara turn check --secret /etc/elara/turn.key       TURN too, by a credential of its secret
  elara turn check --server turn.example.org --user alice --password PASSWORD
                                                      any other server

The exit status is 1 when something that should work does not.";

/// The password is a secret.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Check {
    /// Tries everything and tells.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let credentials = self.credentials()?;
        let (host, port) = place(&self.server).map_err(Failure::Asked)?;
        let runtime = control()?;
        let report = runtime.block_on(async {
            let addr = look_up(host, port).await?;
            let mut report = Report::new(format!("{host}:{port}"), addr, !self.json);
            let steps = Steps::new(addr, credentials).await;
            steps
                .map_err(|error| {
                    Failure::Broke(format!(
                        "no socket towards {addr}: {error}; check this machine's network"
                    ))
                })?
                .run(&mut report)
                .await;
            Ok::<_, Failure>(report)
        })?;
        if self.json {
            say::json(&report);
        } else {
            say::fact(report.summary());
        }
        match report.failed() {
            0 => Ok(()),
            failed => Err(Failure::Broke(format!("{failed} of {} steps failed", report.len()))),
        }
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        match (&self.user, &self.password, &self.secret) {
            (Some(user), Some(password), _) => Ok(Some(Credentials::new(user, password))),
            (name, None, Some(file)) => {
                let secret = secret(file).map_err(Failure::Asked)?;
                let expires = time::now().saturating_add(VALID_S);
                let name = name.as_deref().unwrap_or("check");
                Ok(Some(Credentials::time_limited(secret.as_bytes(), name, expires)))
            }
            (Some(_), None, None) => {
                Err(Failure::Asked("--user wants --password or --secret beside it".to_owned()))
            }
            (None, ..) => Ok(None),
        }
    }
}

/// How the line of a secret begins that `elara keygen turn` made; what follows is the secret.
const OURS: &str = "elara-turn-secret-v1 ";

/// The shared secret in a file: all of it as it stands, but the white space around it.
fn secret(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let long = fs::metadata(file).is_ok_and(|facts| facts.len() > SECRET_MAX);
    if long {
        return Err(format!("{shown} is longer than {SECRET_MAX} bytes: it is no TURN secret"));
    }
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read the TURN secret {shown}: {error}"))?;
    let line = text.trim();
    match line.strip_prefix(OURS).unwrap_or(line) {
        "" => Err(format!("{shown} is empty: it must hold the secret of the TURN server")),
        secret => Ok(secret.to_owned()),
    }
}

/// `turn:host:port` and what may be left out of it.
fn place(server: &str) -> Result<(&str, u16), String> {
    let bare = server.trim();
    let bare = bare.strip_prefix("turn:").or_else(|| bare.strip_prefix("stun:")).unwrap_or(bare);
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (bare, None),
    };
    let port = match port.map(str::parse) {
        None => Some(STUN_PORT),
        Some(port) => port.ok().filter(|port| *port > 0),
    };
    match port {
        Some(port) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok((host, port)),
        _ => {
            Err(format!("--server {server} is not a host and port, such as turn.example.org:3478"))
        }
    }
}

async fn look_up(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unknown = |why: &dyn fmt::Display| {
        Failure::Broke(format!(
            "no address for {host}: {why}; check the name and this machine's DNS"
        ))
    };
    let mut addrs = lookup_host((bare, port)).await.map_err(|error| unknown(&error))?;
    addrs.next().ok_or_else(|| unknown(&"the name has none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        for (server, expected) in [
            ("127.0.0.1:7840", ("127.0.0.1", 7_840)),
            ("turn:turn.example.org", ("turn.example.org", 3_478)),
            ("stun:turn.example.org:19302", ("turn.example.org", 19_302)),
            ("[::1]:7840", ("[::1]", 7_840)),
            ("[::1]", ("[::1]", 3_478)),
            ("::1", ("::1", 3_478)),
        ] {
            assert_eq!(place(server), Ok(expected), "{server}");
        }
        for server in ["", ":3478", "host:0", "host:99999", "host:port", "a host"] {
            let why = place(server).unwrap_err();
            assert!(why.contains("not a host and port"), "{why}");
        }
    }
}
