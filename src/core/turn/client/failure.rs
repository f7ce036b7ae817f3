//! Why a STUN or TURN server does not do what it is asked, in words.
//!
//! Each reads on from the server's name: `turn:relay.example:3478` *does not answer*.

use core::fmt;
use core::net::SocketAddr;

use crate::stun::Method;

/// Why a request has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing has answered, sent seven times within 40 s.
    NoAnswer,
    /// The network says that nothing listens there.
    NotListening,
    /// Something has answered that does not know the password.
    Unproven,
    /// The credentials are not taken (401).
    Credentials,
    /// Credentials are asked for, and there are none (401).
    CredentialsWanted,
    /// It asks for credentials and does not say by what realm and nonce.
    Challenge,
    /// Its nonce says that it offers password algorithms, and the offer is not there: someone between may
    /// have taken it out (RFC 8489 section 9.2.1).
    BidDown,
    /// It offers no password algorithm that this client knows.
    Algorithms,
    /// It calls each nonce stale that it gives (438).
    Stale,
    /// User, realm and nonce do not fit one datagram.
    TooLong,
    /// Its answer lacks what such an answer must have, or has what this client must know and does not.
    Malformed,
    /// It wants its clients elsewhere (300).
    Redirected {
        /// Where, if it says so.
        to: Option<SocketAddr>,
    },
    /// It does not know of this allocation any more (437).
    Lost,
    /// It refuses.
    Refused {
        /// What was asked.
        method: Method,
        /// Its error code.
        code: u16,
    },
}

impl Failure {
    /// What an answer with this error code means for a request of `method`.
    pub(super) const fn of(method: Method, code: u16) -> Self {
        match (method, code) {
            (_, 401) => Self::Credentials,
            (Method::ALLOCATE, 437) => Self::Refused { method, code },
            (_, 437) => Self::Lost,
            _ => Self::Refused { method, code },
        }
    }

    /// Whether asking the same server the same again is in vain until someone changes something.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::NoAnswer
                | Self::NotListening
                | Self::Lost
                | Self::Stale
                | Self::Refused { code: 437 | 486 | 500 | 508, .. }
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "does not answer: check host and port, and that UDP gets there and back",
            Self::NotListening => "has nothing that listens on that port: start it, or check the port",
            Self::Unproven => {
                "answers, but what answers does not know the password: check user and password, and who is \
                 in between"
            }
            Self::Credentials => {
                "does not take these credentials (401): check user and password or secret, and the clocks \
                 where they are valid for a time"
            }
            Self::CredentialsWanted => "asks for credentials (401): give user and password, or a secret",
            Self::Challenge => {
                "asks for credentials and does not say for what realm: it may be no TURN server"
            }
            Self::BidDown => {
                "promises password algorithms and offers none: someone in between may have taken the offer \
                 out"
            }
            Self::Algorithms => "offers no password algorithm that is known here (MD5, SHA-256)",
            Self::Stale => "calls each nonce stale that it has just given (438): its clock may be wrong",
            Self::TooLong => "has a realm and a nonce too long for one datagram with this user's name",
            Self::Malformed => "gives an answer that is not what RFC 8656 says: it may be no TURN server",
            Self::Redirected { to: Some(to) } => {
                return write!(f, "sends its clients elsewhere (300): name {to} as the server");
            }
            Self::Redirected { to: None } => "sends its clients elsewhere (300) and does not say where",
            Self::Lost => "does not know of this allocation any more (437): it has started again, or a NAT \
                           in between has given this client another address",
            Self::Refused { method, code } => return refused(f, *method, *code),
        })
    }
}

impl core::error::Error for Failure {}

fn refused(f: &mut fmt::Formatter<'_>, method: Method, code: u16) -> fmt::Result {
    let why = match (method, code) {
        (_, 400) => "calls the request malformed",
        (Method::ALLOCATE, 403) => "allows no allocations from here",
        (_, 403) => {
            "does not relay to this peer: its operator can allow it (elara: allow_peers under [turn]; \
             coturn: allowed-peer-ip)"
        }
        (_, 420) => "does not know something that is needed here",
        (Method::ALLOCATE, 437) => {
            "has an allocation for this address and port already: send from another port"
        }
        (_, 440) => {
            "has no relayed addresses of the family we came by: come by the other, or add one (turn.relay)"
        }
        (_, 441) => "wants the credentials that the allocation was made with",
        (_, 442) => "does not relay UDP",
        (_, 443) => {
            "has an allocation of the other address family for this client than this peer has"
        }
        (_, 486) => {
            "has as many allocations of this user as there may be: end one, or raise its quota"
        }
        (_, 500) => "has trouble of its own: try again",
        (_, 508) => "has no room: try again in a minute, or widen its range of ports",
        _ => "refuses",
    };
    write!(f, "{why} ({code})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_code_means_what_was_asked() {
        assert_eq!(Failure::of(Method::REFRESH, 437), Failure::Lost);
        let taken = Failure::of(Method::ALLOCATE, 437);
        assert!(taken.to_string().ends_with("send from another port (437)"), "{taken}");
        let denied = Failure::of(Method::CHANNEL_BIND, 403).to_string();
        assert!(denied.contains("allow_peers") && denied.ends_with("(403)"), "{denied}");
        assert_eq!(Failure::of(Method::ALLOCATE, 599).to_string(), "refuses (599)");
    }

    #[test]
    fn what_time_may_mend_is_not_final() {
        for code in [437, 486, 500, 508] {
            assert!(!Failure::of(Method::ALLOCATE, code).is_final(), "{code}");
        }
        for code in [400, 401, 403, 420, 440, 441, 442] {
            assert!(Failure::of(Method::ALLOCATE, code).is_final(), "{code}");
        }
        assert!(!Failure::NoAnswer.is_final() && Failure::BidDown.is_final());
    }
}
