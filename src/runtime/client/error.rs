//! What can go wrong for a participant, each as a sentence about who must act.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use elara_core::NodeId;
use elara_core::crypto::join::BadAddress;
use elara_core::limits::{OWN_STREAMS_MAX, PUBLISHED_MAX, WISHES_MAX};
use elara_core::turn::client::Failure as TurnFailure;
use elara_core::wire::v1::control::reason;

/// Why a client is not in its session, or cannot do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The join address cannot be read.
    Address(BadAddress),
    /// The token in the join address lets nobody in, or not this identity, or not now.
    Token(TokenTrouble),
    /// The relay's host has no address.
    Resolve {
        /// The host.
        host: String,
        /// What the resolver answered; `None` when it knows the host and no address.
        source: Option<io::Error>,
    },
    /// There is no socket that could reach the relay.
    Socket {
        /// The relay's address.
        relay: SocketAddr,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Nothing has answered before the deadline.
    NoAnswer {
        /// The relay, as the join address names it.
        relay: String,
        /// Where it was asked.
        tried: Vec<SocketAddr>,
        /// For how long.
        waited: Duration,
        /// The machine there says that nothing listens on the port.
        refused: bool,
        /// How asking by a TURN server went, where there is one.
        turn: Option<TurnTried>,
    },
    /// The TURN server, by which the relay was to be reached, does not do what it is asked.
    Turn {
        /// The server.
        server: String,
        /// Why; it reads on from the server's name.
        why: TurnFailure,
    },
    /// A STUN server does not say where it sees this client.
    Stun {
        /// The server, or the relay.
        server: String,
        /// Why; it reads on from the server's name.
        why: TurnFailure,
    },
    /// The relay has answered that it is busy until the deadline was over.
    Busy {
        /// The relay, as the join address names it.
        relay: String,
        /// For how long.
        waited: Duration,
    },
    /// There is no room in the session, or at the relay.
    Full,
    /// The relay has removed this participant.
    Removed {
        /// See [`reason`].
        reason: u8,
    },
    /// This client has left, or was removed before.
    Over,
    /// So many streams are published or subscribed to already.
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// The number is another stream's of this client.
    StreamTaken {
        /// The number.
        stream: u16,
    },
}

/// What became of asking a relay by a TURN server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnTried {
    /// The server.
    pub server: String,
    /// Why it did not hand anything on, if it did not; it reads on from the server's name.
    pub why: Option<String>,
}

/// What is wrong with a token, as its holder can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenTrouble {
    /// It is no token of this version.
    Unreadable,
    /// It is for another session than its address.
    Session,
    /// It is bound to another identity.
    Bound {
        /// Whose it is.
        to: NodeId,
        /// Who shows it.
        shown_by: NodeId,
    },
    /// It has run out, so many seconds ago.
    Expired {
        /// How long ago, in seconds.
        ago_s: u32,
    },
    /// It is not valid yet.
    NotYet {
        /// In how many seconds it is.
        in_s: u32,
    },
}

impl ClientError {
    pub(super) const TOO_MANY_STREAMS: Self =
        Self::TooMany { what: "published streams", most: OWN_STREAMS_MAX };
    pub(super) const TOO_MANY_SUBSCRIPTIONS: Self =
        Self::TooMany { what: "subscriptions", most: WISHES_MAX };
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => {
                write!(f, "the join address {}; ask for it again and copy it whole", broken(*why))
            }
            Self::Token(trouble) => trouble.fmt(f),
            Self::Resolve { host, source: Some(source) } => {
                write!(f, "no address for {host}: {source}; check the name and this machine's DNS")
            }
            Self::Resolve { host, source: None } => {
                write!(f, "no address for {host}; check the name and this machine's DNS")
            }
            Self::Socket { relay, source } => {
                write!(f, "no socket towards {relay}: {source}; check this machine's network")
            }
            Self::NoAnswer { relay, tried, waited, refused: true, turn } => write!(
                f,
                "nothing listens at {relay} ({}), asked for {}: start the relay, or check the port{}",
                Listed(tried),
                Seconds(*waited),
                AndTurn(turn.as_ref())
            ),
            Self::NoAnswer { relay, tried, waited, refused: false, turn } => write!(
                f,
                "no answer from {relay} ({}) within {}: it may be down, or UDP blocked on the way; a \
                 relay is also silent when the address names another relay's key, or a token it \
                 does not accept{}",
                Listed(tried),
                Seconds(*waited),
                AndTurn(turn.as_ref())
            ),
            Self::Turn { server, why } | Self::Stun { server, why } => write!(f, "{server} {why}"),
            Self::Busy { relay, waited } => {
                write!(f, "{relay} says it is busy, for {}: try again later", Seconds(*waited))
            }
            Self::Full => {
                f.write_str("there is no room in the session; its operator sets max_peers")
            }
            Self::Removed { reason } => {
                write!(f, "the relay has removed this participant: {}", why_removed(*reason))
            }
            Self::Over => f.write_str("this client has left; join again for another"),
            Self::TooMany { what, most } => {
                write!(f, "there are {most} {what} of this client already; drop one first")
            }
            Self::StreamTaken { stream } => {
                write!(f, "stream {stream} is published by this client already; choose another")
            }
        }
    }
}

impl fmt::Display for TokenTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token in the join address ")?;
        match self {
            Self::Unreadable => f.write_str("is none that this version knows")?,
            Self::Session => f.write_str("is for another session")?,
            Self::Bound { to, shown_by } => {
                return write!(
                    f,
                    "is bound to node {to} and this is {shown_by}: use that identity, or ask for a \
                     token of your own"
                );
            }
            Self::Expired { ago_s } => write!(f, "ran out {ago_s} s ago")?,
            Self::NotYet { in_s } => {
                return write!(f, "is valid in {in_s} s: wait, or set this machine's clock right");
            }
        }
        f.write_str("; ask whoever gave it for a new address")
    }
}

const fn broken(why: BadAddress) -> &'static str {
    match why {
        BadAddress::Scheme => "does not begin with elara://",
        BadAddress::Host => "names no host",
        BadAddress::Port => "names no port from 1 to 65535 after its host",
        BadAddress::Session => "names no session: sixteen hexadecimal digits after the first /",
        BadAddress::RelayKey => "lacks the relay's key (k=)",
        BadAddress::Token => "lacks a whole token (#t=); a shell may have cut it: quote it",
        BadAddress::SessionKey => "lacks the session's key (e=); a shell may have cut it: quote it",
        BadAddress::Unknown => "has a part that means nothing, or one twice",
    }
}

/// What [`Removed`](ClientError::Removed) and
/// [`ClientNotice::Removed`](super::ClientNotice::Removed) mean by their number.
pub(super) const fn why_removed(code: u8) -> &'static str {
    match code {
        reason::MODERATED => "someone with the right to said so",
        reason::BANNED => "the operator has banned it",
        reason::EXPIRED => "its token has run out",
        reason::REPLACED => "the same identity has joined from elsewhere",
        _ => "it gave no reason",
    }
}

struct Listed<'a>(&'a [SocketAddr]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, addr) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{addr}")?;
        }
        Ok(())
    }
}

/// What a TURN server has to do with it.
struct AndTurn<'a>(Option<&'a TurnTried>);

impl fmt::Display for AndTurn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(TurnTried { server, why: None }) => {
                write!(f, "; {server} has handed on what was said, and nothing came back")
            }
            Some(TurnTried { server, why: Some(why) }) => write!(f, "; and {server} {why}"),
        }
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", (self.0.as_millis() as f64) / 1e3)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Socket { source, .. } | Self::Resolve { source: Some(source), .. } => {
                Some(source)
            }
            Self::Turn { why, .. } | Self::Stun { why, .. } => Some(why),
            _ => None,
        }
    }
}

impl From<BadAddress> for ClientError {
    fn from(why: BadAddress) -> Self {
        Self::Address(why)
    }
}

/// Why a frame was not published. It is gone; what is live has no use for yesterday's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// It is larger than a frame of a stream may be.
    TooLarge {
        /// How large it is, in bytes.
        len: usize,
        /// How large it may be, in bytes.
        most: usize,
    },
    /// More is published than the socket takes: send less.
    Full,
    /// There is no connection at this moment; another is on its way.
    NotConnected,
    /// As many layers of published streams as there may be have sent something.
    TooManyStreams,
    /// The client has left, or was removed.
    Over,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { len, most } => {
                write!(f, "a frame of {len} bytes is larger than the {most} there may be; cut it")
            }
            Self::Full => f.write_str("more is published than can be sent; send less"),
            Self::NotConnected => {
                f.write_str("there is no connection at this moment; the client is making one")
            }
            Self::TooManyStreams => write!(
                f,
                "there are {PUBLISHED_MAX} layers of published streams already; end a stream first"
            ),
            Self::Over => f.write_str("this client has left"),
        }
    }
}

impl Error for PublishError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_names_what_is_wrong_where_and_what_to_do() {
        let tried = vec!["127.0.0.1:7840".parse().unwrap(), "[::1]:7840".parse().unwrap()];
        let (relay, waited) = ("localhost:7840".to_owned(), Duration::from_millis(2_500));
        let error = ClientError::NoAnswer { relay, tried, waited, refused: true, turn: None };
        assert_eq!(
            error.to_string(),
            "nothing listens at localhost:7840 (127.0.0.1:7840, [::1]:7840), asked for 2.5 s: \
             start the relay, or check the port"
        );
        let server = "turn:turn.example:3478".to_owned();
        let (relay, tried) = ("192.0.2.1:7840".to_owned(), vec!["192.0.2.1:7840".parse().unwrap()]);
        let turn = Some(TurnTried { server: server.clone(), why: Some("does not answer".into()) });
        let error = ClientError::NoAnswer { relay, tried, waited, refused: false, turn };
        let words = "does not accept; and turn:turn.example:3478 does not answer";
        assert!(error.to_string().ends_with(words), "{error}");
        let error = ClientError::Turn { server, why: TurnFailure::Credentials };
        assert_eq!(
            error.to_string(),
            "turn:turn.example:3478 does not take these credentials (401): check user and password or \
             secret, and the clocks where they are valid for a time"
        );
        let error = ClientError::from(BadAddress::SessionKey).to_string();
        assert!(error.contains("e=") && error.contains("quote it"), "{error}");
        let error = ClientError::Token(TokenTrouble::Expired { ago_s: 90 }).to_string();
        assert!(error.contains("90 s ago") && error.contains("new address"), "{error}");
        let error = ClientError::TOO_MANY_STREAMS.to_string();
        assert!(error.contains("32 published streams"), "{error}");
    }
}
