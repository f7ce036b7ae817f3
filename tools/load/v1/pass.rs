//! What lets participants in: an issuer's key to mint tokens with, or join addresses, one each.

use std::fmt;
use std::sync::Arc;

use elara_core::SessionId;
use elara_core::crypto::exchange::Certificate;
use elara_core::crypto::handshake::{E2eMode, Membership};
use elara_core::crypto::{
    Claims, ExchangeKey, ExchangePublic, Identity, JoinAddress, Permissions, Secret, Subject,
    Suite, Token,
};
use elara_runtime::keys::OsRandom;

/// Where a run's tokens come from, and which relay they are shown to. `Debug` says nothing secret.
#[derive(Clone)]
pub struct Pass {
    relay: ExchangePublic,
    session_key: Secret<32>,
    tokens: Tokens,
}

#[derive(Clone)]
enum Tokens {
    /// Minted here, one for each participant, bound to it.
    Minted { issuer: Arc<Identity>, kid: u16 },
    /// The addresses' own, in order; all open this session.
    Given { session: SessionId, tokens: Vec<Token> },
}

/// Why join addresses do not make a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassError {
    /// There are none.
    Empty,
    /// This one, counted from 0, names another relay, session or session key than the first.
    Differs(usize),
    /// This one, counted from 0, has the token of an earlier one.
    Twice(usize),
}

impl Pass {
    /// Tokens minted with `issuer`'s key, which the relay knows as number `kid`. Members share a session
    /// key made for the run.
    #[must_use]
    pub fn minted(relay: ExchangePublic, issuer: Identity, kid: u16) -> Self {
        let tokens = Tokens::Minted { issuer: Arc::new(issuer), kid };
        Self { relay, session_key: Secret::generate(&mut OsRandom), tokens }
    }

    /// One participant for each address.
    ///
    /// # Errors
    /// [`PassError`]: all must lead into one session of one relay, each with a token of its own.
    pub fn addresses(addresses: &[JoinAddress]) -> Result<Self, PassError> {
        let first = addresses.first().ok_or(PassError::Empty)?;
        for (at, address) in addresses.iter().enumerate() {
            let same = address.session == first.session
                && address.relay == first.relay
                && (&address.host, address.port) == (&first.host, first.port)
                && address.key == first.key;
            if !same {
                return Err(PassError::Differs(at));
            }
            if addresses[..at].iter().any(|earlier| earlier.token == address.token) {
                return Err(PassError::Twice(at));
            }
        }
        let tokens = addresses.iter().map(|address| address.token).collect();
        Ok(Self {
            relay: first.relay,
            session_key: first.key.clone(),
            tokens: Tokens::Given { session: first.session, tokens },
        })
    }

    /// How many may enter, and where, if the addresses say so.
    #[must_use]
    pub fn given(&self) -> Option<(SessionId, usize)> {
        match &self.tokens {
            Tokens::Minted { .. } => None,
            Tokens::Given { session, tokens } => Some((*session, tokens.len())),
        }
    }

    /// What members read each other with.
    pub(crate) const fn session_key(&self) -> &Secret<32> {
        &self.session_key
    }

    /// Participant number `member`, with fresh keys, let into `session` until `expires` (seconds since
    /// 1970).
    pub(crate) fn membership(
        &self,
        member: u32,
        session: SessionId,
        suite: Suite,
        expires: u32,
    ) -> Membership {
        let identity = Identity::generate(&mut OsRandom);
        let key = ExchangeKey::generate(&mut OsRandom);
        let token = match &self.tokens {
            Tokens::Minted { issuer, kid } => {
                let claims = Claims {
                    kid: *kid,
                    session,
                    subject: Subject::Bound(*identity.public()),
                    permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
                    not_before: 0,
                    expires,
                    max_kbps: u32::MAX,
                    max_pps: u16::MAX,
                    priority: 0,
                };
                Token::mint(issuer, &claims)
            }
            Tokens::Given { tokens, .. } => tokens[member as usize],
        };
        Membership {
            suite,
            session,
            relay: self.relay,
            id: *identity.public(),
            certificate: Certificate::sign(&identity, key.public(), expires),
            key,
            token,
            caps: 0,
            mode: E2eMode::PreShared,
        }
    }
}

/// Equal are passes that show the same relay the same names.
impl PartialEq for Pass {
    fn eq(&self, other: &Self) -> bool {
        self.relay == other.relay
            && match (&self.tokens, &other.tokens) {
                (
                    Tokens::Minted { issuer, kid },
                    Tokens::Minted { issuer: other, kid: other_kid },
                ) => issuer.public() == other.public() && kid == other_kid,
                (
                    Tokens::Given { session, tokens },
                    Tokens::Given { session: other, tokens: other_tokens },
                ) => session == other && tokens == other_tokens,
                _ => false,
            }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tokens {
            Tokens::Minted { kid, .. } => write!(f, "Pass(minted, kid {kid})"),
            Tokens::Given { session, tokens } => {
                write!(f, "Pass({} addresses into {session})", tokens.len())
            }
        }
    }
}

impl std::error::Error for PassError {}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "--join: give at least two join addresses"),
            Self::Differs(at) => write!(
                f,
                "--join: address {} leads elsewhere than the first: all must name one relay, one \
                 session and one session key",
                at + 1
            ),
            Self::Twice(at) => write!(
                f,
                "--join: address {} has the token of an earlier one, and a token lets one \
                 participant in: mint one for each",
                at + 1
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(session: u64, serial: u8) -> JoinAddress {
        let issuer = Identity::from_seed(&Secret::new([1; 32]));
        let claims = Claims {
            kid: 1,
            session: SessionId(session),
            subject: Subject::Bearer([serial; 32]),
            permissions: Permissions::SEND_ALL,
            not_before: 0,
            expires: u32::MAX,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        JoinAddress {
            host: "127.0.0.1".into(),
            port: 7840,
            session: SessionId(session),
            relay: ExchangePublic([9; 32]),
            token: Token::mint(&issuer, &claims),
            key: Secret::new([5; 32]),
        }
    }

    #[test]
    fn addresses_into_one_session_are_a_pass_and_others_say_which_one_is_wrong() {
        let pass = Pass::addresses(&[address(1, 1), address(1, 2)]).unwrap();
        assert_eq!(pass.given(), Some((SessionId(1), 2)));
        assert_eq!(format!("{pass:?}"), "Pass(2 addresses into 0000000000000001)");
        let mistake = |addresses: &[JoinAddress]| Pass::addresses(addresses).unwrap_err();
        assert_eq!(mistake(&[]), PassError::Empty);
        assert_eq!(mistake(&[address(1, 1), address(2, 2)]), PassError::Differs(1));
        let elsewhere = JoinAddress { port: 1, ..address(1, 3) };
        assert_eq!(mistake(&[address(1, 1), address(1, 2), elsewhere]), PassError::Differs(2));
        assert_eq!(mistake(&[address(1, 1), address(1, 1)]), PassError::Twice(1));
    }

    #[test]
    fn a_minted_token_is_bound_to_who_shows_it() {
        let issuer = Identity::from_seed(&Secret::new([1; 32]));
        let public = *issuer.public();
        let pass = Pass::minted(ExchangePublic([9; 32]), issuer, 7);
        let membership = pass.membership(0, SessionId(3), Suite::AesGcm, 1_900_000_000);
        let claims = membership.token.claims().unwrap();
        assert_eq!((claims.kid, claims.session), (7, SessionId(3)));
        assert_eq!(claims.subject, Subject::Bound(membership.id));
        assert!(membership.token.verify_signature(&public).is_ok());
    }
}
