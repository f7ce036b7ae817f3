//! Conversations between a client and a relay, and everything that is not part of one.
//!
//! Here are the scene and what a client says and hears; `refusals` has what neither side lets
//! in, `connections` what follows a welcome.

mod connections;
mod refusals;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::*;
use crate::crypto::exchange::{BadCertificate, Certificate, ExchangeKey};
use crate::crypto::hop::{Refusal, Scratch};
use crate::crypto::identity::{Identity, PublicKey};
use crate::crypto::seal::{EpochSecret, Sealer};
use crate::crypto::secret::Secret;
use crate::crypto::token::{BadToken, Claims, Issuers, Permissions, Subject, Token};
use crate::limits::HEADER_LEN;
use crate::random::{GuessableKeys, Seeded};
use crate::time::{Instant, Span, UnixMillis};
use crate::wire::v1::header::CLASS_CONTROL;
use crate::wire::{Header, v1};
use crate::{ClientAddr, NodeId, SessionId};

type Keys = GuessableKeys<Seeded>;

const SESSION: SessionId = SessionId(0x0123_4567_89AB_CDEF);
const NOON: UnixMillis = UnixMillis(1_800_000_000_000);
const TERMS: Terms = Terms {
    max_frame: 1_232,
    idle_s: 600,
    ping_ms: 1_000,
    max_kbps: 4_000,
    max_pps: 2_000,
    observed: ClientAddr::new([9; 16], 4_242, 0),
    relay_clock_us: 77,
    roster_version: 5,
};

fn at(ms: u64) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

fn address(port: u16) -> ClientAddr {
    ClientAddr::new([1; 16], port, 0)
}

struct Scene {
    random: Keys,
    relay: RelayKeys,
    issuer: Identity,
    issuers: Issuers,
    identity: Identity,
    membership: Membership,
    claims: Claims,
}

impl Scene {
    fn new(suite: Suite) -> Self {
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

    fn client(&self) -> Client {
        let mut client = Client::new(self.membership.clone());
        client.connect(at(0));
        client
    }

    fn hello(&mut self, client: &mut Client, now: Instant) -> Vec<u8> {
        let calendar = UnixMillis(NOON.0 + now.as_nanos() / 1_000_000);
        client.poll_hello(now, calendar, &mut self.random).expect("a HELLO is due").to_vec()
    }

    fn admission<'a>(&'a self, entry: Option<&'a Entry>) -> Admission<'a> {
        Admission { issuers: &self.issuers, now: NOON, entry, bearer_owner: None, banned: false }
    }

    fn read(&mut self, hello: &[u8]) -> Result<Guest, HelloRefused> {
        self.relay.read(self.relay.check_hello(hello)?, &mut self.random)
    }

    /// All that a relay does with a HELLO that needs no cookie.
    fn answer(
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
    fn welcomed(&mut self) -> (Client, Box<Link>, Entry) {
        let mut client = self.client();
        let mut entry = Entry::new(self.membership.id);
        let link = self.reconnect(&mut client, &mut entry, at(0));
        (client, link, entry)
    }

    fn reconnect(&mut self, client: &mut Client, entry: &mut Entry, now: Instant) -> Box<Link> {
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

    fn ping(&self, link: &mut Link) -> Vec<u8> {
        let mut frame = frame(self.membership.suite, CLASS_CONTROL, 60);
        link.sending.control(&mut frame).unwrap();
        frame
    }
}

fn frame(suite: Suite, class: u8, len: usize) -> Vec<u8> {
    let kind = v1::Kind::from_byte(class).expect("a class");
    let header = Header::v1(suite as u8, SESSION, NodeId(1), kind);
    let mut frame = vec![0; len];
    frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
    frame
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut broken = bytes.to_vec();
    broken[bit / 8] ^= 1 << (bit % 8);
    broken
}

#[test]
fn a_client_enters_and_both_sides_hear_each_other() {
    for suite in Suite::ALL {
        let mut scene = Scene::new(suite);
        let (client, mut link, mut entry) = scene.welcomed();
        assert!(!client.is_asking() && entry.active().is_none());
        let mut scratch = Scratch::new();

        let ping = scene.ping(&mut link);
        let (arrival, messages) = entry.control(&ping, &mut scratch, at(100)).unwrap();
        assert_eq!((arrival.activated, arrival.active, arrival.conn), (true, true, 0));
        assert_eq!(messages, [0; 14]);
        let connection = entry.active_mut().expect("active");
        assert_eq!((connection.claims, connection.link.inst), (scene.claims, link.inst));

        let mut pong = frame(suite, CLASS_CONTROL, 80);
        connection.link.sending.control(&mut pong).unwrap();
        assert!(link.receiving.control(&pong, &mut scratch).is_ok());

        let secret = EpochSecret::from_session_key(&Secret::new([7; 32]));
        let sealer = Sealer::new(suite, &secret, &scene.membership.id, &link.inst, link.conn);
        let mut voice = frame(suite, 1, 120);
        link.sending.data(&sealer, &mut voice).unwrap();
        let arrival = entry.data(&voice, &mut scratch, at(101)).unwrap();
        assert!(!arrival.activated && arrival.active && arrival.received.newest);
        assert_eq!(entry.poll_timeout(), None);
    }
}

#[test]
fn a_lost_welcome_is_given_again() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let mut entry = Entry::new(scene.membership.id);
    let first = scene.hello(&mut client, at(0));
    let lost = scene.answer(&mut entry, &first, at(0)).unwrap();
    assert!(client.poll_hello(at(199), NOON, &mut scene.random).is_none());
    let again = scene.hello(&mut client, at(300));
    assert_eq!(again, first, "a repetition is the same bytes");
    assert_eq!(scene.answer(&mut entry, &again, at(300)).unwrap(), lost);
    assert!(matches!(client.handle_frame(&lost, at(301)), Ok(Heard::Welcome(..))));
}

#[test]
fn pauses_double_to_a_second_give_or_take_a_fifth() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        scene.hello(&mut client, now);
        let next = client.poll_timeout().unwrap();
        pauses.push(next.since(now).as_nanos() / 1_000_000);
        now = next;
    }
    for (pause, middle) in pauses.iter().zip([250, 500, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000]) {
        assert!((middle * 4 / 5..=middle * 6 / 5).contains(pause), "{pauses:?}");
    }
}

#[test]
fn after_four_seconds_a_hello_is_made_anew() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let first = scene.hello(&mut client, at(0));
    let second = scene.hello(&mut client, at(4_000));
    assert_ne!(first[30..38], second[30..38]);
    let mut entry = Entry::new(scene.membership.id);
    let old = scene.answer(&mut entry, &first, at(4_000)).unwrap();
    let refused = client.handle_frame(&old, at(4_001)).err();
    assert_eq!(refused, Some(ClientRefused::NotAwaited));
    assert!(scene.answer(&mut entry, &second, at(4_000)).is_ok(), "the newest wins");
    let older = scene.answer(&mut entry, &first, at(4_000)).err();
    assert_eq!(older, Some(HelloRefused::HelloReplayed));
}

#[test]
fn under_load_a_cookie_is_asked_for_and_shown() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    let hello = scene.relay.check_hello(&bytes).unwrap();
    let here = address(1);
    let later = |s: u64| UnixMillis(NOON.0 + s * 1_000);
    let checked = |hello, from: &ClientAddr, now| scene.relay.check_cookie(hello, from, now);
    assert_eq!(checked(hello, &here, NOON), Err(HelloRefused::Cookie));

    let retry = scene.relay.retry(hello, &here, NOON);
    for bit in 0..8 * RETRY_LEN {
        let broken = flipped(retry.as_bytes(), bit);
        assert!(client.handle_frame(&broken, at(1)).is_err(), "bit {bit}");
    }
    assert!(matches!(client.handle_frame(retry.as_bytes(), at(1)), Ok(Heard::Retry)));
    assert_eq!(client.poll_timeout(), Some(at(1)), "at once");
    let second = client.poll_hello(at(1), later(0), &mut scene.random).unwrap().to_vec();
    assert_ne!((&bytes[30..38], &bytes[62..94]), (&second[30..38], &second[62..94]), "anew");
    let hello = scene.relay.check_hello(&second).unwrap();
    let checked = |from: &ClientAddr, now| scene.relay.check_cookie(hello, from, now);
    assert_eq!(checked(&here, later(30)), Ok(()));
    assert_eq!(checked(&here, later(31)), Err(HelloRefused::Cookie));
    assert_eq!(checked(&address(2), NOON), Err(HelloRefused::Cookie));
    let elsewhere = ClientAddr::new([2; 16], 1, 0);
    assert_eq!(checked(&elsewhere, NOON), Err(HelloRefused::Cookie));
    let mut entry = Entry::new(scene.membership.id);
    assert!(scene.answer(&mut entry, &second, at(2)).is_ok());
}

#[test]
fn a_cookie_serves_one_session_and_node_and_all_of_it_counts() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    let mut hello = *scene.relay.check_hello(&bytes).unwrap();
    hello.cookie = scene.relay.retry(&hello, &address(1), NOON).cookie;
    let check = |hello: &Hello| scene.relay.check_cookie(hello, &address(1), NOON);
    assert_eq!(check(&hello), Ok(()));
    for bit in 0..8 * 24 {
        let mut broken = hello;
        broken.cookie.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&broken), Err(HelloRefused::Cookie), "bit {bit}");
    }
    for bit in (4 * 8)..(20 * 8) {
        let mut broken = hello;
        broken.header.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&broken), Err(HelloRefused::Cookie), "header bit {bit}");
    }
}

#[test]
fn a_second_retry_waits_for_the_clock() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    for round in 0..2 {
        let bytes = scene.hello(&mut client, at(round));
        let due = client.poll_timeout();
        let hello = scene.relay.check_hello(&bytes).unwrap();
        let retry = scene.relay.retry(hello, &address(1), NOON);
        assert!(matches!(client.handle_frame(retry.as_bytes(), at(1)), Ok(Heard::Retry)));
        let expected = if round == 0 { Some(at(1)) } else { due };
        assert_eq!(client.poll_timeout(), expected, "round {round}");
    }
}

#[test]
fn busy_is_believed_within_reason() {
    let mut scene = Scene::new(Suite::AesGcm);
    for (retry_ms, until) in [(7_000, 7_001), (u32::MAX, 60_001)] {
        let mut client = scene.client();
        let bytes = scene.hello(&mut client, at(0));
        let busy = scene.relay.busy(scene.relay.check_hello(&bytes).unwrap(), retry_ms);
        for bit in 0..8 * BUSY_LEN {
            let broken = flipped(busy.as_bytes(), bit);
            assert!(client.handle_frame(&broken, at(1)).is_err(), "bit {bit}");
        }
        let heard = client.handle_frame(busy.as_bytes(), at(1));
        assert!(matches!(heard, Ok(Heard::Busy(then)) if then == at(until)));
        client.connect(at(2));
        assert!(client.poll_hello(at(until - 1), NOON, &mut scene.random).is_none());
        assert!(client.poll_hello(at(until), NOON, &mut scene.random).is_some());
    }
}

#[test]
fn a_reset_makes_the_client_call_once_in_five_seconds() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (mut client, mut link, mut entry) = scene.welcomed();
    let node = scene.membership.id.node_id();
    let reset = scene.relay.reset(Suite::AesGcm, SESSION, node);
    for bit in 0..8 * RESET_LEN {
        let broken = flipped(reset.as_bytes(), bit);
        assert!(client.handle_frame(&broken, at(10)).is_err(), "bit {bit}");
    }
    assert!(matches!(client.handle_frame(reset.as_bytes(), at(10)), Ok(Heard::Reset)));
    assert!(client.is_asking());
    let again = client.handle_frame(reset.as_bytes(), at(5_009)).err();
    assert_eq!(again, Some(ClientRefused::TooSoon));
    assert!(matches!(client.handle_frame(reset.as_bytes(), at(5_010)), Ok(Heard::Reset)));
    let ping = scene.ping(&mut link);
    assert!(entry.control(&ping, &mut Scratch::new(), at(11)).is_ok(), "the old link goes on");

    let mut stranger = scene.client();
    let refused = stranger.handle_frame(reset.as_bytes(), at(0)).err();
    assert_eq!(refused, Some(ClientRefused::ResetToken));
}

#[test]
fn hello_ms_grows_even_when_the_calendar_does_not() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let read = |scene: &mut Scene, client: &mut Client, now, calendar| {
        client.connect(now);
        let bytes = client.poll_hello(now, calendar, &mut scene.random).unwrap().to_vec();
        client.rest();
        scene.read(&bytes).unwrap().hello_ms()
    };
    let first = read(&mut scene, &mut client, at(0), NOON);
    assert_eq!(read(&mut scene, &mut client, at(1), NOON), first + 1);
    assert_eq!(read(&mut scene, &mut client, at(2), UnixMillis(0)), first + 2);
}
