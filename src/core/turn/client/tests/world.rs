//! A TURN server by script, a network by chance, and a client between them; all of it from one seed.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::super::{Client, Credentials, Event, Family, Received};
use crate::limits::STUN_MESSAGE_MAX;
use crate::random::{GuessableKeys, Random, Seeded};
use crate::stun::{
    Algorithm, Class, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, attribute,
    channel_data, userhash,
};
use crate::time::{Instant, Span};

pub(super) const USER: &str = "ann";
pub(super) const PASSWORD: &str = "open sesame";
const REALM: &str = "elara.example";

/// A server for one client: it keeps the lifetimes of RFC 8656 and no others.
pub(super) struct Server {
    pub(super) password: &'static str,
    /// What it offers, and says in its nonce that it does.
    pub(super) offer: &'static [PasswordAlgorithm],
    /// It takes USERHASH, and says so.
    pub(super) anonymity: bool,
    /// It says that it offers and takes the offer out.
    pub(super) bid_down: bool,
    pub(super) nonce_life: Span,
    /// It does not sign what it answers to these.
    pub(super) unsigned: Option<Method>,
    pub(super) lifetime_s: u32,
    pub(super) refusals: BTreeMap<u16, u16>,
    /// An attribute it puts into every success.
    pub(super) oddity: Option<u16>,
    pub(super) allocation: Option<Allocation>,
    /// What it was asked and has dealt with, in order; retransmissions once.
    pub(super) asked: Vec<(Method, Option<Algorithm>)>,
    answered: BTreeMap<TransactionId, Vec<u8>>,
    nonces: u32,
    nonce_ends: Instant,
}

/// What it has granted, and until when.
pub(super) struct Allocation {
    pub(super) ends: Instant,
    pub(super) permissions: BTreeMap<IpAddr, Instant>,
    pub(super) channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

impl Server {
    fn new() -> Self {
        Self {
            password: PASSWORD,
            offer: &[],
            anonymity: false,
            bid_down: false,
            nonce_life: Span::from_secs(100_000),
            unsigned: None,
            lifetime_s: 600,
            refusals: BTreeMap::new(),
            oddity: None,
            allocation: None,
            asked: Vec::new(),
            answered: BTreeMap::new(),
            nonces: 0,
            nonce_ends: Instant::ZERO,
        }
    }

    pub(super) fn times_asked(&self, method: Method) -> usize {
        self.asked.iter().filter(|(asked, _)| *asked == method).count()
    }

    fn nonce(&mut self, now: Instant) -> String {
        if now >= self.nonce_ends {
            self.nonces += 1;
            self.nonce_ends = now + self.nonce_life;
        }
        let bits =
            u8::from(!self.offer.is_empty() || self.bid_down) | u8::from(self.anonymity) << 1;
        let letter = char::from(b'A' + bits);
        format!("obMatJos2AAA{letter}{}", self.nonces)
    }

    fn key(&self, message: &Message<'_>) -> Key {
        let (derived_by, integrity) = match message.password_algorithm() {
            Some(chosen) => (chosen.expect("one of ours"), Algorithm::Sha256),
            None => (PasswordAlgorithm::Md5, Algorithm::Sha1),
        };
        Key::long_term(USER, REALM, self.password, derived_by, integrity)
    }

    /// The answer to a request, if it has one.
    pub(super) fn answer(&mut self, datagram: &[u8], now: Instant) -> Option<Vec<u8>> {
        let message = Message::parse(datagram).expect("a client says what can be read");
        if message.class() != Class::Request {
            return None;
        }
        assert!(message.has_fingerprint());
        let id = message.transaction();
        if let Some(bytes) = self.answered.get(&id) {
            return Some(bytes.clone());
        }
        let mut out = [0; STUN_MESSAGE_MAX];
        let len = self.think(&message, now, &mut out).expect("an answer fits");
        let bytes = out[..len].to_vec();
        self.answered.insert(id, bytes.clone());
        Some(bytes)
    }

    fn think(&mut self, message: &Message<'_>, now: Instant, out: &mut [u8]) -> Option<usize> {
        let method = message.method();
        let nonce = self.nonce(now);
        if !self.offer.is_empty() && message.has_integrity().is_some() {
            // RFC 8489 section 9.2.5: the first one known, and the offer as it came.
            assert_eq!(message.password_algorithm(), Some(Ok(self.offer[0])));
            assert!(message.password_algorithms().eq(self.offer.iter().copied()));
        }
        let key = self.key(message);
        let nobody = match message.get(attribute::USERHASH) {
            Some(hash) => hash != userhash(USER, REALM),
            None => message.text(attribute::USERNAME) != Some(Ok(USER)) || self.anonymity,
        };
        let code = if message.has_integrity().is_none() || nobody || !message.verify(&key) {
            Some(401)
        } else if message.text(attribute::NONCE) != Some(Ok(&nonce)) {
            Some(438)
        } else {
            None
        };
        if let Some(code) = code {
            let mut writer = Writer::answer(out, message, Class::Error);
            writer.put_error(code);
            writer.put(attribute::REALM, REALM.as_bytes());
            writer.put(attribute::NONCE, nonce.as_bytes());
            if !self.offer.is_empty() {
                writer.put_password_algorithms(self.offer);
            }
            return writer.finish();
        }
        self.asked.push((method, message.has_integrity()));
        let refusal = self.refusals.get(&method.0).copied();
        let outcome = refusal.map_or_else(|| self.grant(message, now), Err);
        let class = if outcome.is_ok() { Class::Success } else { Class::Error };
        let mut writer = Writer::answer(out, message, class);
        match outcome {
            Ok(lifetime) => {
                if method == Method::ALLOCATE {
                    writer.put_address_xor(attribute::XOR_RELAYED_ADDRESS, relayed());
                    writer.put_address_xor(attribute::XOR_MAPPED_ADDRESS, mapped());
                }
                if let Some(lifetime) = lifetime {
                    writer.put_u32(attribute::LIFETIME, lifetime);
                }
                if let Some(kind) = self.oddity {
                    writer.put_u32(kind, 0);
                }
            }
            Err(300) => {
                writer.put_error(300).put_address(attribute::ALTERNATE_SERVER, elsewhere());
            }
            Err(code) => {
                writer.put_error(code);
            }
        }
        if self.unsigned != Some(method) {
            writer.sign(&key);
        }
        writer.finish()
    }

    /// What the request does: its lifetime, or the error code.
    fn grant(&mut self, message: &Message<'_>, now: Instant) -> Result<Option<u32>, u16> {
        self.expire(now);
        if message.method() == Method::ALLOCATE {
            assert_eq!(message.u8(attribute::REQUESTED_TRANSPORT), Some(Ok(17)));
            if self.allocation.is_some() {
                return Err(437);
            }
            let ends = now + Span::from_secs(self.lifetime_s.into());
            let (permissions, channels) = (BTreeMap::new(), BTreeMap::new());
            self.allocation = Some(Allocation { ends, permissions, channels });
            return Ok(Some(self.lifetime_s));
        }
        let lifetime_s = self.lifetime_s;
        let Some(allocation) = &mut self.allocation else { return Err(437) };
        let peer = message.address(attribute::XOR_PEER_ADDRESS);
        match message.method() {
            Method::REFRESH if message.u32(attribute::LIFETIME) == Some(Ok(0)) => {
                self.allocation = None;
                return Ok(Some(0));
            }
            Method::REFRESH => {
                allocation.ends = now + Span::from_secs(lifetime_s.into());
                return Ok(Some(lifetime_s));
            }
            Method::CREATE_PERMISSION => {}
            Method::CHANNEL_BIND => {
                let number = message.u16(attribute::CHANNEL_NUMBER).unwrap().unwrap();
                assert!((0x4000..0x5000).contains(&number), "RFC 8656 section 12");
                let peer = peer.unwrap().unwrap();
                let bound = allocation.channels.insert(number, (peer, now + Span::from_secs(600)));
                assert!(bound.is_none_or(|(before, _)| before == peer), "a channel has one peer");
            }
            other => panic!("{other:?} is no client's request"),
        }
        let ip = peer.unwrap().unwrap().ip();
        allocation.permissions.insert(ip, now + Span::from_secs(300));
        Ok(None)
    }

    /// Forgets what has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.allocation.as_ref().is_some_and(|allocation| allocation.ends <= now) {
            self.allocation = None;
        }
        if let Some(allocation) = &mut self.allocation {
            allocation.permissions.retain(|_, ends| *ends > now);
            allocation.channels.retain(|_, (_, ends)| *ends > now);
        }
    }
}

/// What has arrived at the client, besides answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Data(SocketAddr, Vec<u8>),
    Unreachable(SocketAddr, u8, u8),
}

pub(super) struct World {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) now: Instant,
    pub(super) random: Seeded,
    pub(super) keys: GuessableKeys<Seeded>,
    /// In a million, either way.
    pub(super) loss: u32,
    pub(super) doubling: u32,
    pub(super) events: Vec<Event>,
    pub(super) arrived: Vec<Arrived>,
    /// What the server was sent that is no request.
    pub(super) relayed: Vec<Vec<u8>>,
    /// Datagrams under way: when they arrive, in which order they left, whether at the server.
    sky: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    left: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let credentials = Credentials::new(USER, PASSWORD);
        Self::with(Client::new(Some(credentials), Family::V4, Instant::ZERO), seed)
    }

    pub(super) fn with(client: Client, seed: u64) -> Self {
        Self {
            client,
            server: Server::new(),
            now: Instant::ZERO,
            random: Seeded::new(seed),
            keys: GuessableKeys(Seeded::new(seed ^ 0xA5A5)),
            loss: 0,
            doubling: 0,
            events: Vec::new(),
            arrived: Vec::new(),
            relayed: Vec::new(),
            sky: BTreeMap::new(),
            left: 0,
        }
    }

    /// A datagram leaves; chance decides whether and when it arrives.
    fn leave(&mut self, to_server: bool, bytes: &[u8]) {
        let copies = 1 + u32::from(self.random.chance(self.doubling));
        for _ in 0..copies {
            if !self.random.chance(self.loss) {
                let delay = Span::from_millis(5 + self.random.below(80));
                self.left += 1;
                self.sky.insert((self.now + delay, self.left), (to_server, bytes.to_vec()));
            }
        }
    }

    pub(super) fn send_to_client(&mut self, bytes: &[u8]) {
        self.leave(false, bytes);
    }

    /// Lets the client say all it has.
    fn flush(&mut self) {
        let mut out = [0; STUN_MESSAGE_MAX];
        while let Some(len) = self.client.poll_transmit(self.now, &mut self.keys, &mut out) {
            self.leave(true, &out[..len]);
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
        assert!(
            self.client.next_due().is_none_or(|due| due > self.now),
            "nothing due is left over"
        );
    }

    /// What happens next happens; false when nothing will.
    fn turn(&mut self, until: Instant) -> bool {
        self.flush();
        let arrival = self.sky.keys().next().map(|(at, _)| *at);
        let next = arrival.into_iter().chain(self.client.next_due()).min();
        let Some(next) = next.filter(|next| *next <= until) else {
            self.now = until.max(self.now);
            return false;
        };
        self.now = next;
        while let Some(entry) = self.sky.first_entry().filter(|entry| entry.key().0 <= next) {
            let (to_server, bytes) = entry.remove();
            if to_server {
                self.arrive_at_server(&bytes);
            } else {
                self.arrive_at_client(&bytes);
            }
        }
        true
    }

    fn arrive_at_server(&mut self, bytes: &[u8]) {
        let request = bytes.first().is_some_and(|first| *first < 0x40);
        match request.then(|| self.server.answer(bytes, self.now)).flatten() {
            Some(answer) => self.leave(false, &answer),
            None => self.relayed.push(bytes.to_vec()),
        }
    }

    fn arrive_at_client(&mut self, bytes: &[u8]) {
        match self.client.handle_datagram(bytes, self.now) {
            Received::Data { peer, bytes } => {
                self.arrived.push(Arrived::Data(peer, bytes.to_vec()));
            }
            Received::Unreachable { peer, kind, code } => {
                self.arrived.push(Arrived::Unreachable(peer, kind, code));
            }
            Received::Answer | Received::Refused(_) => {}
        }
    }

    pub(super) fn run_for(&mut self, span: Span) {
        let until = self.now + span;
        while self.turn(until) {}
        self.flush();
    }

    /// Until this event, which must come within an hour.
    pub(super) fn run_until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let until = self.now + Span::from_secs(3_600);
        loop {
            self.flush();
            if let Some(event) = self.events.iter().find(|event| wanted(event)) {
                return *event;
            }
            assert!(self.turn(until), "it never happens; {:?}", self.events);
        }
    }

    /// Until it has failed: why.
    pub(super) fn run_until_failed(&mut self) -> super::super::Failure {
        match self.run_until(|event| matches!(event, Event::Failed(_))) {
            Event::Failed(why) => why,
            event => panic!("{event:?} is no failure"),
        }
    }

    /// ChannelData for the client, as the server sends it.
    pub(super) fn channel_data(&mut self, number: u16, data: &[u8]) {
        let header = channel_data::header(number, data.len() as u16);
        self.leave(false, &[&header, data].concat());
    }

    /// A Data indication for the client.
    pub(super) fn indication(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        let mut out = [0; STUN_MESSAGE_MAX];
        let mut writer =
            Writer::new(&mut out, Class::Indication, Method::DATA, TransactionId([9; 12]));
        write(&mut writer);
        let len = writer.finish().expect("an indication fits");
        self.leave(false, &out[..len]);
    }
}

pub(super) fn relayed() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 50_001))
}

pub(super) fn mapped() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 4_711))
}

pub(super) fn elsewhere() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 99], 3_478))
}

pub(super) fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 5], port))
}
