//! A server, the sockets it opened, and clients that speak to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use elara_core::ClientAddr;
use elara_core::crypto::Secret;
use elara_core::limits::{STUN_MESSAGE_MAX, TURN_DATA_HEAD_MAX};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::stun::attribute::{
    CHANNEL_NUMBER, DATA, LIFETIME, NONCE, REALM, REQUESTED_TRANSPORT, USERNAME, XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
};
use elara_core::stun::{
    Algorithm, Class, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, channel_data,
};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::turn::{
    Access, Answer, Config, Keys, OpenError, Ports, Refusal, Relay, Server, Socket, ToClient,
    ToPeer, User,
};

/// When the world begins: its calendar.
pub(crate) const BEGINNING_S: u64 = 1_700_000_000;

/// Where the server relays.
pub(crate) const RELAY_V4: &str = "192.0.2.1";
pub(crate) const RELAY_V6: &str = "2001:db8:5::1";

/// A peer out on the internet.
pub(crate) const PEER: &str = "198.51.100.7:4000";
pub(crate) const PEER_V6: &str = "[2001:db8:9::7]:4000";

/// REQUESTED-TRANSPORT.
pub(crate) const UDP: [u8; 4] = [17, 0, 0, 0];
/// Families as attributes have them.
pub(crate) const V4: [u8; 4] = [1, 0, 0, 0];
pub(crate) const V6: [u8; 4] = [2, 0, 0, 0];

/// Appends attributes.
pub(crate) fn put(writer: &mut Writer<'_>, attributes: &[(u16, &[u8])]) {
    for (kind, value) in attributes {
        writer.put(*kind, value);
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn client_addr(text: &str) -> ClientAddr {
    addr(text).into()
}

/// Both families, users anna, berta and carla.
pub(crate) fn config() -> Config {
    let user = |name: &str| User::new(name, "elara", &password(name));
    Config {
        users: ["anna", "berta", "carla"].map(user).into(),
        relays: vec![relay(RELAY_V4), relay(RELAY_V6)],
        ..Config::default()
    }
}

pub(crate) fn relay(listen: &str) -> Relay {
    Relay { listen: listen.parse().unwrap(), external: None }
}

fn password(name: &str) -> String {
    format!("password of {name}")
}

/// The kernel's side of relay sockets.
#[derive(Default)]
pub(crate) struct Kernel {
    pub(crate) open: BTreeMap<u16, SocketAddr>,
    /// Taken by somebody else.
    pub(crate) taken: BTreeSet<SocketAddr>,
    /// Everything but these is taken, if there are any.
    pub(crate) only: BTreeSet<u16>,
    /// Sockets there may be.
    pub(crate) most: Option<usize>,
    /// Sockets asked for.
    pub(crate) asked: usize,
}

impl Ports for Kernel {
    fn open(&mut self, local: SocketAddr) -> Result<Socket, OpenError> {
        self.asked += 1;
        if self.most.is_some_and(|most| self.open.len() >= most) {
            return Err(OpenError::Full);
        }
        let other = !self.only.is_empty() && !self.only.contains(&local.port());
        if other || self.taken.contains(&local) || self.open.values().any(|open| *open == local) {
            return Err(OpenError::InUse);
        }
        let socket = (0..).find(|socket| !self.open.contains_key(socket)).unwrap();
        self.open.insert(socket, local);
        Ok(Socket(socket))
    }

    fn close(&mut self, Socket(socket): Socket) {
        assert!(self.open.remove(&socket).is_some(), "what is closed was open");
    }
}

pub(crate) struct World {
    pub(crate) server: Server,
    access: Access,
    keys: Keys,
    pub(crate) kernel: Kernel,
    pub(crate) random: GuessableKeys<Seeded>,
    pub(crate) now: Instant,
    pub(crate) unix: UnixMillis,
    pub(crate) out: Box<[u8; STUN_MESSAGE_MAX]>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        Self::seeded(config, 1)
    }

    pub(crate) fn seeded(config: Config, seed: u64) -> Self {
        let keys = Keys { nonce: Secret::new([7; 32]), hash: (1, 2) };
        let now = Instant::ZERO + Span::from_secs(1_000);
        let access = Access::new(Arc::new(config), &keys);
        let listeners = [addr("192.0.2.1:7840"), addr("[2001:db8:5::1]:7840")];
        Self {
            server: Server::new(access.clone(), &keys, &listeners, now),
            access,
            keys,
            kernel: Kernel::default(),
            random: GuessableKeys(Seeded::new(seed)),
            now,
            unix: UnixMillis(BEGINNING_S * 1_000),
            out: Box::new([0xEE; STUN_MESSAGE_MAX]),
        }
    }

    /// Another shard of the same node.
    pub(crate) fn another_shard(&self) -> Self {
        let (access, keys) = (self.access.clone(), self.keys.clone());
        Self {
            server: Server::new(access.clone(), &keys, &[], self.now),
            access,
            keys,
            kernel: Kernel::default(),
            random: GuessableKeys(Seeded::new(2)),
            out: Box::new([0xEE; STUN_MESSAGE_MAX]),
            ..*self
        }
    }

    /// The operator has changed the configuration.
    pub(crate) fn reload(&mut self, config: &Config) {
        self.access = self.access.renewed(config, &self.keys);
        self.server.reload(self.access.clone());
    }

    /// Time passes, and what is over is ended.
    pub(crate) fn pass(&mut self, secs: u64) {
        self.skip(secs);
        self.server.expire(self.now, usize::MAX, &mut self.kernel);
    }

    /// Time passes, and the shard is too busy to end anything.
    pub(crate) fn skip(&mut self, secs: u64) {
        self.now = self.now + Span::from_secs(secs);
        self.unix.0 += secs * 1_000;
    }

    /// A message of whatever kind.
    pub(crate) fn hand(&mut self, from: ClientAddr, bytes: &[u8]) -> Answer {
        let Self { server, kernel, random, now, unix, out, .. } = self;
        server.handle(*now, *unix, &from, bytes, kernel, random, out)
    }

    /// A request that is answered.
    pub(crate) fn ask(&mut self, from: ClientAddr, bytes: &[u8]) -> Said {
        match self.hand(from, bytes) {
            Answer::Reply { len, error } => {
                let said = Said { bytes: self.out[..len].to_vec(), error };
                let (asked, answer) = (Message::parse(bytes).unwrap(), said.message());
                assert_eq!(answer.transaction(), asked.transaction());
                assert_eq!(answer.method(), asked.method());
                assert_eq!(answer.has_fingerprint(), asked.has_fingerprint());
                let class = if error == 0 { Class::Success } else { Class::Error };
                assert_eq!(answer.class(), class);
                assert_eq!(answer.error_code(), (error > 0).then_some(Ok(error)));
                said
            }
            other => panic!("an answer, not {other:?}"),
        }
    }

    /// What the kernel has open, by port.
    pub(crate) fn socket_at(&self, at: SocketAddr) -> Socket {
        let found = self.kernel.open.iter().find(|(_, open)| **open == at);
        Socket(*found.unwrap_or_else(|| panic!("nothing is open at {at}")).0)
    }

    /// A peer sends to a relayed address that is told as it is bound.
    pub(crate) fn hears(&mut self, relayed: SocketAddr, peer: &str, bytes: usize) -> ToClient {
        let socket = self.socket_at(relayed);
        self.server.from_peer(self.now, socket, &client_addr(peer), bytes)
    }

    /// A client sends on a channel.
    pub(crate) fn on_channel(&mut self, from: ClientAddr, number: u16, data: &[u8]) -> ToPeer {
        let mut datagram = channel_data::header(number, data.len() as u16).to_vec();
        datagram.extend_from_slice(data);
        let (to, read) = self.server.channel_data(self.now, &from, &datagram);
        assert_eq!(read, data);
        to
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: u16,
}

impl Said {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }

    pub(crate) fn relayed(&self) -> SocketAddr {
        assert_eq!(self.error, 0);
        self.message().address(XOR_RELAYED_ADDRESS).unwrap().unwrap()
    }

    pub(crate) fn relayed_all(&self) -> Vec<SocketAddr> {
        self.message().addresses(XOR_RELAYED_ADDRESS).map(Result::unwrap).collect()
    }

    pub(crate) fn lifetime(&self) -> u32 {
        assert_eq!(self.error, 0);
        self.message().u32(LIFETIME).unwrap().unwrap()
    }
}

/// A client and what it has learned.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) addr: ClientAddr,
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) derived_by: PasswordAlgorithm,
    pub(crate) integrity: Algorithm,
    pub(crate) realm: String,
    pub(crate) nonce: Vec<u8>,
    pub(crate) transactions: u64,
}

impl Client {
    /// A client at `at` that has not spoken yet.
    pub(crate) fn new(at: &str, name: &str) -> Self {
        Self {
            addr: client_addr(at),
            name: name.to_owned(),
            password: password(name),
            derived_by: PasswordAlgorithm::Md5,
            integrity: Algorithm::Sha1,
            realm: String::new(),
            nonce: vec![],
            transactions: 0,
        }
    }

    /// A client that has been challenged.
    pub(crate) fn greeted(world: &mut World, at: &str, name: &str) -> Self {
        let mut client = Self::new(at, name);
        client.greet(world);
        client
    }

    /// A client with an allocation, and its relayed address.
    pub(crate) fn allocated(world: &mut World, at: &str, name: &str) -> (Self, SocketAddr) {
        let mut client = Self::greeted(world, at, name);
        let relayed = client.allocate(world, &[]).relayed();
        (client, relayed)
    }

    /// Asks without credentials, and learns realm and nonce.
    pub(crate) fn greet(&mut self, world: &mut World) {
        let said = world.ask(self.addr, &self.plain(Method::ALLOCATE, |_| {}));
        assert_eq!(said.error, 401);
        self.learn(&said);
    }

    pub(crate) fn learn(&mut self, challenge: &Said) {
        let message = challenge.message();
        self.realm = message.text(REALM).unwrap().unwrap().to_owned();
        self.nonce = message.get(NONCE).unwrap().to_vec();
    }

    pub(crate) fn key(&self) -> Key {
        let Self { name, realm, password, derived_by, integrity, .. } = self;
        Key::long_term(name, realm, password, *derived_by, *integrity)
    }

    /// A request without credentials.
    pub(crate) fn plain(&mut self, method: Method, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let id = self.next();
        self.plain_as(id, method, write)
    }

    pub(crate) fn plain_as(
        &self,
        id: TransactionId,
        method: Method,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Vec<u8> {
        written(Class::Request, method, id, write)
    }

    /// A request with credentials.
    pub(crate) fn signed(
        &mut self,
        method: Method,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Vec<u8> {
        let id = self.next();
        self.signed_as(id, method, write)
    }

    pub(crate) fn signed_as(
        &self,
        id: TransactionId,
        method: Method,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Vec<u8> {
        written(Class::Request, method, id, |writer| {
            write(writer);
            writer.put(USERNAME, self.name.as_bytes()).put(REALM, self.realm.as_bytes());
            writer.put(NONCE, &self.nonce).sign(&self.key());
        })
    }

    /// A request that is answered, and whose answer is signed unless it is a challenge.
    pub(crate) fn call(
        &mut self,
        world: &mut World,
        method: Method,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Said {
        let request = self.signed(method, write);
        let said = world.ask(self.addr, &request);
        if !matches!(said.error, 401 | 438) {
            assert!(said.message().verify(&self.key()), "signed: {}", said.error);
        }
        said
    }

    /// Asks for an allocation, with more attributes than the one it needs.
    pub(crate) fn allocate(&mut self, world: &mut World, more: &[(u16, &[u8])]) -> Said {
        self.call(world, Method::ALLOCATE, |writer| {
            put(writer, &[(REQUESTED_TRANSPORT, &UDP)]);
            put(writer, more);
        })
    }

    /// Refreshes, and says with which error.
    pub(crate) fn refresh(&mut self, world: &mut World, lifetime_s: u32) -> u16 {
        self.refreshed(world, &[(LIFETIME, &lifetime_s.to_be_bytes())]).error
    }

    pub(crate) fn refreshed(&mut self, world: &mut World, with: &[(u16, &[u8])]) -> Said {
        self.call(world, Method::REFRESH, |writer| put(writer, with))
    }

    /// Asks for permissions, and says with which error.
    pub(crate) fn permit(&mut self, world: &mut World, peers: &[&str]) -> u16 {
        let write = |writer: &mut Writer<'_>| {
            for peer in peers {
                writer.put_address_xor(XOR_PEER_ADDRESS, addr(peer));
            }
        };
        self.call(world, Method::CREATE_PERMISSION, write).error
    }

    /// Asks for a permission for an IPv6 address as it is written, whatever is in it.
    pub(crate) fn permit_literally(&mut self, world: &mut World, peer: &str) -> u16 {
        let id = self.next();
        let request = self.signed_as(id, Method::CREATE_PERMISSION, |writer| {
            writer.put(XOR_PEER_ADDRESS, &literally(peer, id));
        });
        world.ask(self.addr, &request).error
    }

    /// Binds a channel, and says with which error.
    pub(crate) fn bind(&mut self, world: &mut World, number: u16, peer: &str) -> u16 {
        let write = |writer: &mut Writer<'_>| {
            writer.put_u16(CHANNEL_NUMBER, number).put_address_xor(XOR_PEER_ADDRESS, addr(peer));
        };
        self.call(world, Method::CHANNEL_BIND, write).error
    }

    /// Sends a Send indication.
    pub(crate) fn send(&mut self, world: &mut World, peer: &str, data: &[u8]) -> Answer {
        let bytes = self.indication(|writer| {
            writer.put_address_xor(XOR_PEER_ADDRESS, addr(peer)).put(DATA, data);
        });
        let answer = world.hand(self.addr, &bytes);
        if let Answer::Relay { data: range, .. } | Answer::Hairpin { data: range, .. } = &answer {
            assert_eq!(&bytes[range.clone()], data);
        }
        answer
    }

    pub(crate) fn indication(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let id = self.next();
        written(Class::Indication, Method::SEND, id, write)
    }

    pub(crate) fn next(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = *b"elara.......";
        id[4..].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }
}

fn written(
    class: Class,
    method: Method,
    id: TransactionId,
    write: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut out = vec![0; 4_096];
    let mut writer = Writer::new(&mut out, class, method, id);
    write(&mut writer);
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

/// XOR-PEER-ADDRESS of an IPv6 address, without making an IPv4 address of it first.
pub(crate) fn literally(peer: &str, TransactionId(id): TransactionId) -> Vec<u8> {
    let SocketAddr::V6(peer) = addr(peer) else { panic!("{peer} is no IPv6 address") };
    let mask = [&[0x21, 0x12, 0xA4, 0x42], &id[..]].concat();
    let ip = peer.ip().octets().into_iter().zip(mask).map(|(byte, mask)| byte ^ mask);
    let [high, low] = (peer.port() ^ 0x2112).to_be_bytes();
    [0, 2, high, low].into_iter().chain(ip).collect()
}

/// What a client is told by an indication's head and its data: the peer and the data.
pub(crate) fn told(to: ToClient, client: ClientAddr, data: &[u8]) -> SocketAddr {
    let ToClient::Indication { client: told, mut head } = to else {
        panic!("an indication, not {to:?}");
    };
    assert_eq!(told, client);
    let mut out = [0; TURN_DATA_HEAD_MAX];
    let head = head.write(data.len(), &mut out).unwrap();
    let mut datagram = out[..head.len].to_vec();
    datagram.extend_from_slice(data);
    datagram.resize(datagram.len() + head.padding, 0);
    let message = Message::parse(&datagram).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    assert_eq!(message.get(DATA), Some(data));
    message.address(XOR_PEER_ADDRESS).unwrap().unwrap()
}

/// Why nothing was sent.
pub(crate) fn silence(answer: &Answer) -> Refusal {
    match answer {
        Answer::Silent(refusal) => *refusal,
        other => panic!("silence, not {other:?}"),
    }
}
