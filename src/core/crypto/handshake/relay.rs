//! The relay's side without memory: what it can say about a HELLO by looking at it.
//!
//! Everything here follows from the relay's static key, so all shards, and the relay after a
//! restart, say the same. The steps are types: a [`Hello`] reference comes from `check_hello`, a
//! [`Guest`] from `read`, and only a guest that was admitted is welcomed.

use core::fmt;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::entry::Entry;
use super::frames::{
    Busy, Cookie, Doorbell, Hello, HelloPayload, Kind, Reset, Retry, header, suite_of,
};
use super::noise::Responder;
use crate::crypto::exchange::{BadCertificate, Certificate, ExchangeKey, ExchangePublic};
use crate::crypto::hash::{expand, hmac16};
use crate::crypto::identity::PublicKey;
use crate::crypto::secret::{Secret, equal};
use crate::crypto::suite::Suite;
use crate::crypto::token::{BadToken, Claims, Issuers, Subject, Token};
use crate::ids::{ClientAddr, NodeId, SessionId};
use crate::limits::COOKIE_VALID_S;
use crate::random::SecureRandom;
use crate::time::UnixMillis;

/// Why a HELLO is not answered with WELCOME. Peers cause all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HelloRefused {
    /// Not exactly 512 bytes.
    Length,
    /// The header is not a HELLO's, or names no suite, or a session that is never issued.
    Header,
    /// Its sender does not know the relay's public key.
    Mac1,
    /// No cookie, a stale one, or one given to another: answer with RETRY.
    Cookie,
    /// Noise says that it was not sealed for this relay.
    Noise,
    /// Its `e2e_mode` names no mode.
    Mode,
    /// Its `hello_ms` is not above the last accepted: an old HELLO again.
    HelloReplayed,
    /// This identity, or this bearer token, may not enter.
    Banned,
    /// The token does not let it in.
    Token(BadToken),
    /// The bearer token belongs to the identity that showed it first.
    BearerTaken,
    /// The static key is not certified by the identity.
    Certificate(BadCertificate),
    /// The header's node is not the identity's label.
    NodeId,
    /// Another identity with the same label is here: one in 2^64, or an attack.
    NodeTaken,
}

/// How the members of a session share keys: what a client says it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum E2eMode {
    /// A session key from the join address.
    PreShared = 0,
    /// A group protocol.
    Group = 1,
}

/// A relay's static key, and the keys that follow from it.
#[derive(Debug)]
pub struct RelayKeys {
    key: ExchangeKey,
    doorbell: Doorbell,
    cookie: Secret<32>,
    reset: Secret<32>,
}

impl RelayKeys {
    /// The keys of the relay whose static key is `key`.
    #[must_use]
    pub fn new(key: ExchangeKey) -> Self {
        Self {
            doorbell: Doorbell::of(key.public()),
            cookie: expand(key.secret(), &[b"ELARA1 cookie"]),
            reset: expand(key.secret(), &[b"ELARA1 reset"]),
            key,
        }
    }

    /// The key that stands in join addresses.
    #[must_use]
    pub const fn public(&self) -> &ExchangePublic {
        self.key.public()
    }

    /// The HELLO that `datagram` is, from someone who knows the join address. One HMAC.
    ///
    /// # Errors
    /// [`HelloRefused::Length`], [`HelloRefused::Header`], [`HelloRefused::Mac1`].
    pub fn check_hello<'d>(&self, datagram: &'d [u8]) -> Result<&'d Hello, HelloRefused> {
        let hello = Hello::ref_from_bytes(datagram).map_err(|_| HelloRefused::Length)?;
        suite_of(&hello.header, Kind::Hello).ok_or(HelloRefused::Header)?;
        if self.doorbell.rang(hello) { Ok(hello) } else { Err(HelloRefused::Mac1) }
    }

    /// Whether `hello` carries a cookie that was given to `from` within the last 30 s.
    ///
    /// # Errors
    /// [`HelloRefused::Cookie`].
    pub fn check_cookie(
        &self,
        hello: &Hello,
        from: &ClientAddr,
        now: UnixMillis,
    ) -> Result<(), HelloRefused> {
        let cookie = &hello.cookie;
        let seconds = cookie.seconds.get();
        if seconds.abs_diff(now.seconds()) > COOKIE_VALID_S {
            return Err(HelloRefused::Cookie);
        }
        let expected = self.cookie_for(hello, from, seconds);
        let same = equal(expected.as_bytes(), cookie.as_bytes());
        if same { Ok(()) } else { Err(HelloRefused::Cookie) }
    }

    /// The answer to a HELLO that lacks a cookie: one for `from`.
    #[must_use]
    pub fn retry(&self, hello: &Hello, from: &ClientAddr, now: UnixMillis) -> Retry {
        let mut retry = Retry {
            header: answer_to(hello, Kind::Retry),
            attempt: hello.attempt,
            cookie: self.cookie_for(hello, from, now.seconds()),
            mac: [0; 16],
        };
        retry.mac = self.doorbell.mac0(retry.as_bytes());
        retry
    }

    /// The answer to a HELLO there is no time for.
    #[must_use]
    pub fn busy(&self, hello: &Hello, retry_ms: u32) -> Busy {
        let mut busy = Busy {
            header: answer_to(hello, Kind::Busy),
            attempt: hello.attempt,
            retry_ms: U32::new(retry_ms),
            mac: [0; 16],
        };
        busy.mac = self.doorbell.mac0(busy.as_bytes());
        busy
    }

    /// The answer to a frame of a connection that is not known; to be sent only for frames at
    /// least as long, and seldom.
    #[must_use]
    pub fn reset(&self, suite: Suite, session: SessionId, node: NodeId) -> Reset {
        let mut reset = Reset {
            header: header(Kind::Reset, suite, session, node),
            reset_token: self.reset_token(session, node),
            mac: [0; 16],
        };
        reset.mac = self.doorbell.mac0(reset.as_bytes());
        reset
    }

    /// What a genuine RESET for this participant carries.
    pub(super) fn reset_token(&self, session: SessionId, node: NodeId) -> [u8; 16] {
        let parts: [&[u8]; 3] = [b"ELARA1 reset", &session.to_bytes(), &node.to_bytes()];
        hmac16(self.reset.expose(), &parts)
    }

    /// Reads what HELLO seals: two X25519 agreements. The guest's static key is its own; nothing
    /// else it says is proven yet.
    ///
    /// # Errors
    /// [`HelloRefused::Noise`] and [`HelloRefused::Mode`].
    pub fn read(
        &self,
        hello: &Hello,
        random: &mut impl SecureRandom,
    ) -> Result<Guest, HelloRefused> {
        let suite = suite_of(&hello.header, Kind::Hello).ok_or(HelloRefused::Header)?;
        let mut payload = HelloPayload::new_zeroed();
        let noise = Responder::read(
            suite,
            &self.key,
            &hello.prologue(),
            &hello.noise,
            payload.as_mut_bytes(),
            random,
        );
        let noise = noise.map_err(|_| HelloRefused::Noise)?;
        let mode = match payload.e2e_mode {
            0 => E2eMode::PreShared,
            1 => E2eMode::Group,
            _ => return Err(HelloRefused::Mode),
        };
        let mut ephemeral = [0; 32];
        ephemeral.copy_from_slice(hello.ephemeral());
        Ok(Guest {
            noise,
            suite,
            mode,
            session: hello.header.session_id(),
            node: hello.header.node_id(),
            attempt: hello.attempt,
            ephemeral,
            payload,
        })
    }

    fn cookie_for(&self, hello: &Hello, from: &ClientAddr, seconds: u32) -> Cookie {
        let parts: [&[u8]; 6] = [
            b"ELARA1 cookie",
            &seconds.to_le_bytes(),
            from.ip_bytes(),
            &from.port().to_le_bytes(),
            &hello.header.session_id().to_bytes(),
            &hello.header.node_id().to_bytes(),
        ];
        let mac = hmac16(self.cookie.expose(), &parts);
        Cookie { seconds: U32::new(seconds), mac, ..Cookie::NONE }
    }
}

fn answer_to(hello: &Hello, kind: Kind) -> crate::wire::Header {
    let mut header = hello.header;
    header.profile = kind as u8;
    header
}

/// What a relay knows beyond its keys when it decides about a guest.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// Whose tokens are good.
    pub issuers: &'a Issuers,
    /// The calendar.
    pub now: UnixMillis,
    /// The participant's entry, if (session, node) has one.
    pub entry: Option<&'a Entry>,
    /// For a bearer token: who showed its serial first, if anybody has.
    pub bearer_owner: Option<&'a PublicKey>,
    /// Whether the guest's identity or its token's serial is banned.
    pub banned: bool,
}

/// Someone at the door: HELLO has been read, and claims what it claims.
pub struct Guest {
    pub(super) noise: Responder,
    pub(super) suite: Suite,
    pub(super) session: SessionId,
    pub(super) node: NodeId,
    pub(super) attempt: [u8; 8],
    pub(super) ephemeral: [u8; 32],
    mode: E2eMode,
    payload: HelloPayload,
}

impl Guest {
    /// Who it says it is.
    #[must_use]
    pub const fn id(&self) -> PublicKey {
        PublicKey(self.payload.id)
    }

    /// The token it shows.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.payload.token
    }

    /// The session it wants to enter.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The node it says it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// How it shares keys with other members.
    #[must_use]
    pub const fn mode(&self) -> E2eMode {
        self.mode
    }

    /// What it says it can do; unknown bits mean nothing.
    #[must_use]
    pub const fn caps(&self) -> u32 {
        self.payload.caps.get()
    }

    /// The number of its last connection, if it had one.
    pub(super) fn last_conn(&self) -> Option<u8> {
        Some(self.payload.last_conn).filter(|&conn| conn != super::NO_CONN)
    }

    pub(super) const fn hello_ms(&self) -> u64 {
        self.payload.hello_ms.get()
    }

    /// Whether the guest may enter; what its token grants. Two signatures, checked last.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn admit(&self, admission: &Admission<'_>) -> Result<Claims, HelloRefused> {
        let Admission { issuers, now, entry, bearer_owner, banned } = *admission;
        let id = self.id();
        if entry.is_some_and(|entry| *entry.id() == id && self.hello_ms() <= entry.hello_ms()) {
            return Err(HelloRefused::HelloReplayed);
        }
        if banned {
            return Err(HelloRefused::Banned);
        }
        let seconds = now.seconds();
        let claims = self.token().verify(issuers, self.session, &id, seconds);
        let claims = claims.map_err(HelloRefused::Token)?;
        let taken = bearer_owner.is_some_and(|owner| *owner != id);
        if taken && matches!(claims.subject, Subject::Bearer(_)) {
            return Err(HelloRefused::BearerTaken);
        }
        let certificate = Certificate {
            not_after: self.payload.cert_not_after.get(),
            signature: self.payload.cert_signature,
        };
        let certified = certificate.verify(&id, &self.noise.client, seconds);
        certified.map_err(HelloRefused::Certificate)?;
        if self.node != id.node_id() {
            return Err(HelloRefused::NodeId);
        }
        if entry.is_some_and(|entry| *entry.id() != id) {
            return Err(HelloRefused::NodeTaken);
        }
        Ok(claims)
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guest({} at {}, ..)", self.node, self.session)
    }
}
