//! Guests of wire v1, made of core's machines with nothing in between: each step can be left out, done
//! twice or done wrong. And the club they want to enter: a relay's keys, an issuer.

use std::collections::HashSet;
use std::sync::Arc;

use elara_core::crypto::exchange::Certificate;
use elara_core::crypto::handshake::{
    Client, E2eMode, Heard, Link, Membership, RETRY_LEN, RelayKeys, Terms, WELCOME_LEN,
};
use elara_core::crypto::seal::Sealer;
use elara_core::crypto::{
    Claims, EpochSecret, ExchangeKey, Identity, Issuers, Permissions, Scratch, Secret, Subject,
    Suite, Token,
};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::time::{Instant, UnixMillis};
use elara_core::wire::Header;
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{Control, ControlWriter, Controls, Ping, Subscribe, Wish};
use elara_core::wire::v1::header::CLASS_HANDSHAKE;
use elara_core::wire::v1::{Bundle, FrameMut, KeyName, Kind, Tlvs};
use elara_core::{NodeId, SessionId};
use elara_shards::{Access, Counters, ShardConfig};

use super::room::{Place, Room, open_config};

/// The session of a club when nothing else is said.
pub const SESSION: SessionId = SessionId(0x0123_4567_89AB_CDEF);
/// What everyone may, when nothing else is said.
pub const MEMBER: Permissions = Permissions::SEND_ALL.and(Permissions::RECEIVE);

/// Who lets in: a relay's keys and an issuer's.
pub struct Club {
    random: GuessableKeys<Seeded>,
    pub relay: ExchangeKey,
    pub issuer: Identity,
    /// More keys the relay answers to.
    pub older: Vec<ExchangeKey>,
    pub bans: HashSet<[u8; 32]>,
    /// What the next guests' tokens say.
    pub claims: Claims,
    pub suite: Suite,
}

impl Club {
    pub fn new() -> Self {
        let mut random = GuessableKeys(Seeded::new(77));
        let relay = ExchangeKey::generate(&mut random);
        let issuer = Identity::generate(&mut random);
        let claims = Claims {
            kid: 1,
            session: SESSION,
            subject: Subject::Bearer([0; 32]),
            permissions: MEMBER,
            not_before: 0,
            expires: u32::MAX,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        let (older, bans, suite) = (Vec::new(), HashSet::new(), Suite::AesGcm);
        Self { random, relay, issuer, older, bans, claims, suite }
    }

    /// A club whose guests speak `suite`.
    pub fn of(suite: Suite) -> Self {
        Self { suite, ..Self::new() }
    }

    pub fn access(&self) -> Arc<Access> {
        let mut issuers = Issuers::new();
        issuers.add(1, *self.issuer.public()).unwrap();
        let keys = std::iter::once(&self.relay).chain(&self.older);
        let relay = keys.map(|key| RelayKeys::new(key.clone())).collect();
        Arc::new(Access { relay, issuers, bans: self.bans.clone() })
    }

    pub fn config(&self) -> ShardConfig {
        ShardConfig { v1: Some(self.access()), ..open_config() }
    }

    /// A guest whose token is bound to it and says `claims` otherwise.
    pub fn guest(&mut self) -> Guest {
        let identity = Identity::generate(&mut self.random);
        let claims = Claims { subject: Subject::Bound(*identity.public()), ..self.claims };
        self.guest_with(identity, &claims)
    }

    /// A guest with a token that says exactly `claims`.
    pub fn guest_with(&mut self, identity: Identity, claims: &Claims) -> Guest {
        let key = ExchangeKey::generate(&mut self.random);
        let membership = Membership {
            suite: self.suite,
            session: claims.session,
            relay: *self.relay.public(),
            id: *identity.public(),
            certificate: Certificate::sign(&identity, key.public(), u32::MAX),
            key,
            token: Token::mint(&self.issuer, claims),
            caps: 0,
            mode: E2eMode::PreShared,
        };
        Guest::new(membership, identity)
    }
}

/// One who wants to enter, or has.
pub struct Guest {
    pub identity: Identity,
    pub membership: Membership,
    pub client: Client,
    pub link: Option<Box<Link>>,
    pub terms: Option<Terms>,
    sealer: Option<Sealer>,
    random: GuessableKeys<Seeded>,
    scratch: Scratch,
    /// Grows with every HELLO.
    clock: u64,
}

impl Guest {
    pub fn new(membership: Membership, identity: Identity) -> Self {
        let node = identity.node_id();
        Self {
            identity,
            client: Client::new(membership.clone()),
            membership,
            link: None,
            terms: None,
            sealer: None,
            random: GuessableKeys(Seeded::new(node.0)),
            scratch: Scratch::new(),
            clock: 1_800_000_000_000,
        }
    }

    pub fn node(&self) -> NodeId {
        self.identity.node_id()
    }

    /// A new HELLO.
    pub fn hello(&mut self) -> Vec<u8> {
        self.clock += 5_000;
        let now = Instant::from_nanos(self.clock * 1_000_000);
        self.client.rest();
        self.client.connect(now);
        let hello = self.client.poll_hello(now, UnixMillis(self.clock), &mut self.random);
        hello.expect("a HELLO is due").to_vec()
    }

    /// The HELLO that a RETRY asked for.
    pub fn hello_again(&mut self) -> Vec<u8> {
        let now = Instant::from_nanos(self.clock * 1_000_000);
        let hello = self.client.poll_hello(now, UnixMillis(self.clock + 1), &mut self.random);
        hello.expect("a HELLO is due").to_vec()
    }

    /// Takes in an answer to a HELLO.
    pub fn answered(&mut self, frame: &[u8]) -> Heard {
        let now = Instant::from_nanos(self.clock * 1_000_000);
        self.client.handle_frame(frame, now).expect("an answer to this guest")
    }

    /// Takes in a WELCOME.
    pub fn welcomed(&mut self, frame: &[u8]) {
        let Heard::Welcome(link, terms) = self.answered(frame) else { panic!("no WELCOME") };
        let secret = EpochSecret::from_session_key(&Secret::new([5; 32]));
        let id = self.identity.public();
        self.sealer = Some(Sealer::new(link.suite, &secret, id, &link.inst, link.conn));
        (self.link, self.terms) = (Some(link), Some(terms));
    }

    /// A control frame.
    pub fn control(&mut self, messages: &[Control<'_>]) -> Vec<u8> {
        let link = self.link.as_mut().expect("a guest that was welcomed");
        let mut out = [0; 1_232];
        let (session, node) = (self.membership.session, self.identity.node_id());
        let header = Header::v1(link.suite as u8, session, node, Kind::Control);
        let mut writer = ControlWriter::new(&mut out, &header).unwrap();
        messages.iter().for_each(|message| writer.put(message).unwrap());
        let frame = writer.finish().finish();
        link.sending.control(frame).unwrap();
        frame.to_vec()
    }

    /// A ping that asks for everything: what a guest says first.
    pub fn greeting(&mut self) -> Vec<u8> {
        let ping = Ping { id: 1.into(), t_client_us: 2.into(), next_core: 0.into() };
        let wishes = [Wish::EVERYTHING];
        let subscribe = Subscribe::new(1, 0, &wishes);
        self.control(&[Control::Ping(&ping), Control::Subscribe(subscribe)])
    }

    /// A data frame of `len` bytes without TLVs.
    pub fn data(&mut self, class: Class, len: usize) -> Vec<u8> {
        self.data_with(class, len, &Tlvs::EMPTY)
    }

    /// A data frame of `len` bytes.
    pub fn data_with(&mut self, class: Class, len: usize, tlvs: &Tlvs<'_>) -> Vec<u8> {
        let link = self.link.as_mut().expect("a guest that was welcomed");
        let mut out = [0; 1_232];
        let (session, node) = (self.membership.session, self.identity.node_id());
        let header = Header::v1(link.suite as u8, session, node, Kind::Data(class));
        let key = KeyName { epoch: 0.into(), conn: link.conn, generation: 0 };
        let frame = FrameMut::begin(&mut out, &header, tlvs, key, len).unwrap().finish();
        link.sending.data(self.sealer.as_ref().unwrap(), frame).unwrap();
        frame.to_vec()
    }

    /// The messages of all control frames among `datagrams`: type and value each. Data frames are left
    /// alone.
    pub fn opened(&mut self, datagrams: &[Vec<u8>]) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        for datagram in datagrams.iter().filter(|datagram| datagram[20] == 0xF1) {
            let link = self.link.as_mut().expect("a guest that was welcomed");
            let (_, text) = link.receiving.control(datagram, &mut self.scratch).expect("sealed");
            for message in Controls::parse(text) {
                let message = message.expect("the relay writes what it may");
                let (front, list) = message.value();
                messages.push((message.kind(), [front, list].concat()));
            }
        }
        messages
    }
}

/// The data frames among `datagrams`, those in bundles one by one.
pub fn data_of(datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let frames = datagrams.iter().flat_map(|datagram| match Bundle::parse(datagram) {
        Ok(bundle) => bundle.iter().map(<[u8]>::to_vec).collect(),
        Err(_) => vec![datagram.clone()],
    });
    frames.filter(|frame| frame[20] <= 4).collect()
}

/// What guests do in a room.
pub trait Party {
    /// Peer `peer` enters as `guest`, up to its first control frame, and asks for everything. Answers what
    /// it heard after WELCOME.
    fn enter(&mut self, peer: usize, guest: &mut Guest) -> Vec<Vec<u8>>;

    /// As [`Party::enter`], but only up to WELCOME.
    fn knock(&mut self, peer: usize, guest: &mut Guest);

    /// Says something and answers the counters once it has settled.
    fn after(&mut self, peer: usize, bytes: &[u8]) -> Counters;
}

impl<P: Place> Party for Room<P> {
    fn enter(&mut self, peer: usize, guest: &mut Guest) -> Vec<Vec<u8>> {
        self.knock(peer, guest);
        let greeting = guest.greeting();
        self.say(peer, &greeting);
        self.heard(peer)
    }

    fn knock(&mut self, peer: usize, guest: &mut Guest) {
        let hello = guest.hello();
        self.say(peer, &hello);
        loop {
            let heard = self.heard(peer);
            let answer = |len: usize| {
                let is_one = |it: &&Vec<u8>| it.len() == len && it[20] == CLASS_HANDSHAKE;
                heard.iter().find(is_one)
            };
            if let Some(welcome) = answer(WELCOME_LEN) {
                return guest.welcomed(welcome);
            }
            if let Some(retry) = answer(RETRY_LEN) {
                assert!(matches!(guest.answered(retry), Heard::Retry));
                let again = guest.hello_again();
                self.say(peer, &again);
                continue;
            }
            // Where many enter at once, its turn comes.
            assert!(self.shard.counters().hellos_waiting > 0, "no WELCOME");
            self.place.elapse(self.shard.io());
            self.cycle();
        }
    }

    fn after(&mut self, peer: usize, bytes: &[u8]) -> Counters {
        self.say(peer, bytes);
        self.settle()
    }
}
