//! How a client reaches its relay: from here to there, or by a TURN server.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use elara_core::limits::TURN_LOGIN_LIFE_S;
use elara_core::time::UnixMillis;
use elara_core::turn::client::Credentials;
use zeroize::Zeroizing;

/// The port of `stun:` and `turn:` where none is said (RFC 8489 section 18.6, RFC 7065 section 3.2).
pub(super) const STUN_PORT: u16 = 3_478;

/// How datagrams get to the relay.
#[derive(Clone, Debug, Default)]
pub enum Reach {
    /// From here to there.
    #[default]
    Direct,
    /// By this TURN server, always.
    Turn(TurnServer),
    /// From here to there; and by this TURN server when nothing comes back. While the client joins, that
    /// is two seconds after it began, and 1.5 later for each further address the relay has; afterwards,
    /// whenever nothing has answered for five, the other of the two is tried.
    Auto(TurnServer),
}

impl Reach {
    /// The TURN server, if there is one.
    pub(super) const fn server(&self) -> Option<&TurnServer> {
        match self {
            Self::Direct => None,
            Self::Turn(server) | Self::Auto(server) => Some(server),
        }
    }

    pub(super) const fn is_auto(&self) -> bool {
        matches!(self, Self::Auto(_))
    }
}

/// How datagrams get to the relay at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// From here to there.
    #[default]
    Direct,
    /// By a TURN server.
    Turn {
        /// The server.
        server: SocketAddr,
        /// What the relay takes for this client's address.
        relayed: SocketAddr,
        /// What the server takes for it: its server-reflexive address.
        mapped: SocketAddr,
    },
}

/// A TURN server, and what it knows its users by.
///
/// ```
/// use elara_runtime::{Reach, TurnServer};
///
/// let server = TurnServer::new("turn:turn.example:3478")?;
/// let by_password = Reach::Auto(server.clone().password("ann", "open sesame"));
/// let by_shared_secret = Reach::Turn(server.secret(b"north", "ann"));
/// # Ok::<(), elara_runtime::BadTurnServer>(())
/// ```
#[derive(Clone)]
pub struct TurnServer {
    pub(super) host: String,
    pub(super) port: u16,
    login: Login,
}

#[derive(Clone)]
enum Login {
    Nobody,
    User(Credentials),
    /// Credentials are made from the secret when they are needed.
    Secret {
        secret: Zeroizing<Vec<u8>>,
        name: String,
    },
}

/// Why a text names no TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadTurnServer {
    /// It does not begin with `turn:`.
    Scheme,
    /// It asks for TLS or TCP, and there is only UDP.
    Transport,
    /// It names no host.
    Host,
    /// What follows the host is no port from 1 to 65535.
    Port,
}

impl TurnServer {
    /// The server that `uri` names: `turn:host` or `turn:host:port` (RFC 7065). Without a port it is 3478,
    /// and it asks nobody for credentials unless some are given.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn new(uri: &str) -> Result<Self, BadTurnServer> {
        let uri = uri.trim();
        if uri.starts_with("turns:") {
            return Err(BadTurnServer::Transport);
        }
        let rest = uri.strip_prefix("turn:").ok_or(BadTurnServer::Scheme)?;
        let place = match rest.split_once('?') {
            Some((place, "transport=udp")) => place,
            Some(_) => return Err(BadTurnServer::Transport),
            None => rest,
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self { host: host.to_owned(), port, login: Login::Nobody })
    }

    /// With a user it knows and their password.
    #[must_use]
    pub fn password(self, user: &str, password: &str) -> Self {
        Self { login: Login::User(Credentials::new(user, password)), ..self }
    }

    /// With the secret it shares with those who make credentials that are valid for a time
    /// (draft-uberti-behave-turn-rest). They are made here, for a day, and again before that is over.
    /// `name` is for the server's quotas and logs, and may be empty.
    #[must_use]
    pub fn secret(self, secret: &[u8], name: &str) -> Self {
        let secret = Zeroizing::new(secret.to_vec());
        Self { login: Login::Secret { secret, name: name.to_owned() }, ..self }
    }

    /// What to show it at this moment.
    pub(super) fn credentials(&self, today: UnixMillis) -> Option<Credentials> {
        match &self.login {
            Login::Nobody => None,
            Login::User(credentials) => Some(credentials.clone()),
            Login::Secret { secret, name } => {
                let expires = today.seconds().saturating_add(TURN_LOGIN_LIFE_S);
                Some(Credentials::time_limited(secret, name, expires))
            }
        }
    }

    /// Whether what it is shown ends.
    pub(super) const fn is_time_limited(&self) -> bool {
        matches!(self.login, Login::Secret { .. })
    }
}

/// As it is written, without what proves anything.
impl fmt::Display for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "turn:[{}]:{}", self.host, self.port)
        } else {
            write!(f, "turn:{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnServer({self}, ..)")
    }
}

impl FromStr for TurnServer {
    type Err = BadTurnServer;

    fn from_str(text: &str) -> Result<Self, BadTurnServer> {
        Self::new(text)
    }
}

impl fmt::Display for BadTurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "not a TURN server: it must read turn:host:port",
            Self::Transport => "TURN is spoken over UDP only: write turn:host:port",
            Self::Host => "no host after turn:, as in turn:turn.example:3478",
            Self::Port => "no port from 1 to 65535 after the host, as in turn:turn.example:3478",
        })
    }
}

impl Error for BadTurnServer {}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn host_and_port(place: &str) -> Result<(&str, u16), BadTurnServer> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(BadTurnServer::Port)?)),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@[]".contains(c)) {
        return Err(BadTurnServer::Host);
    }
    let port = match port {
        // `+1` is a number to `parse`, and no port.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().unwrap_or(0),
        Some(_) => 0,
        None => STUN_PORT,
    };
    if port == 0 { Err(BadTurnServer::Port) } else { Ok((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_rfc_7065_says() {
        for (uri, written) in [
            ("turn:turn.example:5349", "turn:turn.example:5349"),
            (" turn:turn.example ", "turn:turn.example:3478"),
            ("turn:192.0.2.1:3478?transport=udp", "turn:192.0.2.1:3478"),
            ("turn:[2001:db8::1]:1", "turn:[2001:db8::1]:1"),
            ("turn:[::1]", "turn:[::1]:3478"),
        ] {
            assert_eq!(TurnServer::new(uri).unwrap().to_string(), written, "{uri}");
        }
        for (uri, why) in [
            ("stun:turn.example", BadTurnServer::Scheme),
            ("turn.example:3478", BadTurnServer::Scheme),
            ("turns:turn.example", BadTurnServer::Transport),
            ("turn:turn.example?transport=tcp", BadTurnServer::Transport),
            ("turn:", BadTurnServer::Host),
            ("turn::3478", BadTurnServer::Host),
            ("turn:ann@turn.example", BadTurnServer::Host),
            ("turn://turn.example", BadTurnServer::Host),
            ("turn:turn.example:0", BadTurnServer::Port),
            ("turn:turn.example:+1", BadTurnServer::Port),
            ("turn:turn.example:65536", BadTurnServer::Port),
            ("turn:[::1]3478", BadTurnServer::Port),
        ] {
            assert_eq!(TurnServer::new(uri).unwrap_err(), why, "{uri}");
        }
    }

    #[test]
    fn nothing_that_proves_anything_is_shown() {
        let server = TurnServer::new("turn:turn.example").unwrap();
        for server in [server.clone().password("ann", "sesame"), server.secret(b"sesame", "ann")] {
            assert_eq!(format!("{server:?}"), "TurnServer(turn:turn.example:3478, ..)");
        }
    }

    #[test]
    fn credentials_by_a_secret_last_a_day() {
        let server = TurnServer::new("turn:turn.example").unwrap().secret(b"north", "ann");
        let credentials = server.credentials(UnixMillis(1_000_000_000)).unwrap();
        assert_eq!(credentials.user(), "1086400:ann");
        assert!(server.is_time_limited());
    }
}
