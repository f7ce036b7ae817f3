//! Who lets in: a relay's keys, an issuer's, and what a shard believes of them.

use std::collections::HashSet;
use std::sync::Arc;

use elara_core::crypto::exchange::Certificate;
use elara_core::crypto::handshake::{E2eMode, Membership, RelayKeys};
use elara_core::crypto::{
    Claims, ExchangeKey, Identity, Issuers, Permissions, Secret, Subject, Suite, Token,
};
use elara_core::limits::RELAY_KEYS_MAX;
use elara_core::random::{GuessableKeys, Random, Seeded};
use elara_core::time::{Instant, UnixMillis};
use elara_core::{NodeId, SessionId};
use elara_shards::Access;

/// What the calendar says when the clock says zero: 15 January 2027.
const CALENDAR_MS: u64 = 1_800_000_000_000;

/// The wall clock.
pub(crate) const fn calendar(now: Instant) -> UnixMillis {
    UnixMillis(CALENDAR_MS + now.as_nanos() / 1_000_000)
}

/// The wall clock, in seconds since 1970.
pub(crate) const fn today(now: Instant) -> u32 {
    (calendar(now).0 / 1_000) as u32
}

/// The keys of a world, all of which the world knows.
pub(crate) struct Club {
    random: GuessableKeys<Seeded>,
    /// The relay's, the current one first.
    relay: Vec<ExchangeKey>,
    issuer: Identity,
    /// One whom the relay does not believe.
    quack: Identity,
    pub(crate) bans: HashSet<[u8; 32]>,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Expired,
    NotYet,
    OtherSession,
    OtherIssuer,
    OtherHolder,
    Certificate,
}

impl Flaw {
    pub(crate) const ALL: [Self; 6] = [
        Self::Expired,
        Self::NotYet,
        Self::OtherSession,
        Self::OtherIssuer,
        Self::OtherHolder,
        Self::Certificate,
    ];
}

impl Club {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = GuessableKeys(Seeded::new(seed));
        let relay = vec![ExchangeKey::generate(&mut random)];
        let issuer = Identity::generate(&mut random);
        let quack = Identity::generate(&mut random);
        Self { random, relay, issuer, quack, bans: HashSet::new() }
    }

    pub(crate) fn access(&self) -> Arc<Access> {
        let mut issuers = Issuers::new();
        let added = issuers.add(1, *self.issuer.public());
        debug_assert!(added.is_ok(), "an empty list has room for one");
        let relay = self.relay.iter().map(|key| RelayKeys::new(key.clone())).collect();
        Arc::new(Access { relay, issuers, bans: self.bans.clone() })
    }

    /// The relay gets a new key, and answers to the one before as well.
    pub(crate) fn rotate(&mut self) {
        self.relay.insert(0, ExchangeKey::generate(&mut self.random));
        self.relay.truncate(RELAY_KEYS_MAX);
    }

    /// Whether the relay answers to more than one key.
    pub(crate) const fn has_rotated(&self) -> bool {
        self.relay.len() > 1
    }

    /// What a token says that lets in whoever has `identity`, from long ago to far away.
    pub(crate) fn claims(
        &mut self,
        identity: &Identity,
        session: SessionId,
        permissions: Permissions,
    ) -> Claims {
        // One in four is for whoever shows it first.
        let subject = if self.random.chance(250_000) {
            let mut serial = [0; 32];
            self.random.fill(&mut serial);
            Subject::Bearer(serial)
        } else {
            Subject::Bound(*identity.public())
        };
        Claims {
            kid: 1,
            session,
            subject,
            permissions,
            not_before: 0,
            expires: u32::MAX,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        }
    }

    pub(crate) fn identity(&mut self) -> Identity {
        Identity::generate(&mut self.random)
    }

    /// What a client needs to enter with a token that says `claims`.
    pub(crate) fn membership(
        &mut self,
        identity: &Identity,
        claims: &Claims,
        suite: Suite,
    ) -> Membership {
        let key = ExchangeKey::generate(&mut self.random);
        let relay = self.relay.first().map(|key| *key.public());
        Membership {
            suite,
            session: claims.session,
            relay: relay.unwrap_or_else(|| *key.public()),
            id: *identity.public(),
            certificate: Certificate::sign(identity, key.public(), u32::MAX),
            key,
            token: Token::mint(&self.issuer, claims),
            caps: 0,
            mode: E2eMode::PreShared,
        }
    }

    /// The same for one whom the relay must not let in.
    pub(crate) fn flawed(&mut self, flaw: Flaw, session: SessionId, now: Instant) -> Membership {
        let identity = self.identity();
        let permissions = Permissions::SEND_ALL.and(Permissions::RECEIVE);
        let mut claims = self.claims(&identity, session, permissions);
        claims.subject = Subject::Bound(*identity.public());
        match flaw {
            Flaw::Expired => claims.expires = today(now) - 3_600,
            Flaw::NotYet => claims.not_before = today(now) + 3_600,
            Flaw::OtherSession => claims.session = SessionId(session.0 ^ 1),
            Flaw::OtherHolder => claims.subject = Subject::Bound(*self.quack.public()),
            Flaw::OtherIssuer | Flaw::Certificate => {}
        }
        let mut membership = self.membership(&identity, &claims, Suite::AesGcm);
        membership.session = session;
        match flaw {
            Flaw::OtherIssuer => membership.token = Token::mint(&self.quack, &claims),
            Flaw::Certificate => {
                let key = membership.key.public();
                membership.certificate = Certificate::sign(&self.quack, key, u32::MAX);
            }
            _ => {}
        }
        membership
    }
}

/// The key that all members of a session share, and no relay has.
pub(crate) fn session_key(session: SessionId) -> Secret<32> {
    let mut random = Seeded::new(session.0 ^ 0x005E_5510_7E11);
    let mut key = [0; 32];
    random.fill(&mut key);
    Secret::new(key)
}

/// Someone's own randomness.
pub(crate) const fn randomness(node: NodeId) -> GuessableKeys<Seeded> {
    GuessableKeys(Seeded::new(node.0))
}
