//! A relay, an issuer and a guest that meet: what the handshake's tests are set in.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::super::*;
use crate::crypto::bounds::CONTROL;
use crate::crypto::exchange::{Certificate, ExchangeKey};
use crate::crypto::identity::Identity;
use crate::crypto::token::{Claims, Issuers, Permissions, Subject, Token};
use crate::limits::HEADER_LEN;
use crate::random::{GuessableKeys, Seeded};
use crate::time::{Instant, Span, UnixMillis};
use crate::wire::Header;
use crate::{ClientAddr, NodeId, SessionId};

pub(super) type Keys = GuessableKeys<Seeded>;

pub(super) const SESSION: SessionId = SessionId(0x0123_4567_89AB_CDEF);
pub(super) const NOON: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const TERMS: Terms = Terms {
    max_frame: 1_232,
    idle_s: 600,
    ping_ms: 1_000,
    max_kbps: 4_000,
    max_pps: 2_000,
    observed: ClientAddr::new([9; 16], 4_242, 0),
    relay_clock_us: 77,
    roster_version: 5,
};

pub(super) fn at(ms: u64) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

pub(super) fn address(port: u16) -> ClientAddr {
    ClientAddr::new([1; 16], port, 0)
}

pub(super) struct Scene {
    pub(super) random: Keys,
    pub(super) relay: RelayKeys,
    pub(super) issuer: Identity,
    pub(super) issuers: Issuers,
    pub(super) identity: Identity,
    pub(super) membership: Membership,
    pub(super) claims: Claims,
}

impl Scene {
    pub(super) fn new(suite: Suite) -> Self {
        let mut random = GuessableKeys(Seeded::new(11));
        let relay = RelayKeys::new(ExchangeKey::generate(&mut random));
        let issuer = Identity::generate(&mut random);
        let identity = Identity::generate(&mut random);
        let key = ExchangeKey::generate(&mut random);
        let mut issuers = Issuers::new();
        issuers.add(1, *issuer.public()).unwrap();
        let now = NOON.seconds();
        let claims = Claims {
            kid: 1,
            session: SESSION,
            subject: Subject::Bound(*identity.public()),
            permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
            not_before: now - 10,
            expires: now + 3_600,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        let membership = Membership {
            suite,
            session: SESSION,
            relay: *relay.public(),
            id: *identity.public(),
            certificate: Certificate::sign(&identity, key.public(), now + 86_400),
            key,
            token: Token::mint(&issuer, &claims),
            caps: 0,
            mode: E2eMode::PreShared,
        };
        Self { random, relay, issuer, issuers, identity, membership, claims }
    }

    pub(super) fn client(&self) -> Client {
        let mut client = Client::new(self.membership.clone());
        client.connect(at(0));
        client
    }

    pub(super) fn hello(&mut self, client: &mut Client, now: Instant) -> Vec<u8> {
        let calendar = UnixMillis(NOON.0 + now.as_nanos() / 1_000_000);
        client.poll_hello(now, calendar, &mut self.random).expect("a HELLO is due").to_vec()
    }

    pub(super) fn admission<'a>(&'a self, entry: Option<&'a Entry>) -> Admission<'a> {
        Admission { issuers: &self.issuers, now: NOON, entry, bearer_owner: None, banned: false }
    }

    pub(super) fn read(&mut self, hello: &[u8]) -> Result<Guest, HelloRefused> {
        self.relay.read(self.relay.check_hello(hello)?, &mut self.random)
    }

    /// All that a relay does with a HELLO that needs no cookie.
    pub(super) fn answer(
        &mut self,
        entry: &mut Entry,
        hello: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, HelloRefused> {
        let checked = self.relay.check_hello(hello)?;
        if let Some(welcome) = entry.duplicate(checked, now) {
            return Ok(welcome.to_vec());
        }
        let guest = self.read(hello)?;
        let claims = guest.admit(&self.admission(Some(entry)))?;
        let welcome = entry.welcome(&self.relay, guest, claims, &TERMS, now)?;
        Ok(welcome.to_vec())
    }

    /// A client that has been welcomed: its link, the relay's entry.
    pub(super) fn welcomed(&mut self) -> (Client, Box<Link>, Entry) {
        let mut client = self.client();
        let mut entry = Entry::new(self.membership.id);
        let link = self.reconnect(&mut client, &mut entry, at(0));
        (client, link, entry)
    }

    pub(super) fn reconnect(
        &mut self,
        client: &mut Client,
        entry: &mut Entry,
        now: Instant,
    ) -> Box<Link> {
        client.connect(now);
        let hello = self.hello(client, now);
        let welcome = self.answer(entry, &hello, now).unwrap();
        match client.handle_frame(&welcome, now) {
            Ok(Heard::Welcome(link, terms)) => {
                assert_eq!(terms, TERMS);
                link
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ping(&self, link: &mut Link) -> Vec<u8> {
        let mut frame = frame(self.membership.suite, CONTROL, 60);
        link.sending.control(&mut frame).unwrap();
        frame
    }
}

pub(super) fn frame(suite: Suite, class: u8, len: usize) -> Vec<u8> {
    let mut header = Header::v0(SESSION, NodeId(1));
    header.version_suite = suite.first_byte();
    header.class = class;
    let mut frame = vec![0; len];
    frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
    frame
}

pub(super) fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut broken = bytes.to_vec();
    broken[bit / 8] ^= 1 << (bit % 8);
    broken
}
