//! The TURN server: any sequence of messages, data and time.
//!
//! ```text
//!   input: steps, each  op 8 | length 8 | body ..
//!   op:    client 2 bits | what 3 bits
//!   what:  0 the body as it is          1..=4 a signed Allocate, Refresh, CreatePermission, ChannelBind
//!          5 a Send indication          6 the body as ChannelData         7 a peer's data, ICMP, or time
//!   body of 1..=5: attributes, each  name 8 | length 8 | value ..
//! ```
//! Claims: nothing panics; no bound is passed; what is answered is a well-formed answer to a request; data
//! reaches no peer that the client asked no permission for, nor one that nobody may reach; and in the end
//! everything that was opened is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use elara_core::ClientAddr;
use elara_core::crypto::Secret;
use elara_core::limits::{STUN_MESSAGE_MAX, TURN_DATA_HEAD_MAX};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, CHANNEL_NUMBER, DATA, DONT_FRAGMENT, EVEN_PORT, LIFETIME, NONCE,
    REALM, REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN, USERNAME,
    XOR_PEER_ADDRESS,
};
use elara_core::stun::{
    Algorithm, Class, Icmp, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
    channel_data,
};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::turn::{
    Access, Answer, Config, Keys, OpenError, Ports, Relay, Server, Socket, ToClient, ToPeer, User,
};

const CLIENTS: usize = 4;
const ALLOCATIONS: usize = 3;
const PERMISSIONS: usize = 12;
const CHANNELS: usize = 10;
const NAMES: [&str; CLIENTS] = ["anna", "anna", "berta", "carla"];
const METHODS: [Method; 4] =
    [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND];

/// A sequence of steps against a small server.
pub fn fuzz_turn(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes;
    while let Some((&[op, len], after)) = rest.split_first_chunk() {
        let body = &after[..after.len().min(len.into())];
        rest = &after[body.len()..];
        world.step(usize::from(op & 3), op >> 2 & 7, body);
        world.agree();
    }
    world.pass(100_000);
    let left = world.server.counts();
    assert_eq!(
        (left.allocations, left.permissions, left.channels, left.reservations),
        (0, 0, 0, 0)
    );
    assert!(world.kernel.0.is_empty());
}

/// Sockets that are open.
#[derive(Default)]
struct Kernel(BTreeMap<u16, SocketAddr>);

impl Ports for Kernel {
    fn open(&mut self, local: SocketAddr) -> Result<Socket, OpenError> {
        if self.0.values().any(|open| *open == local) {
            return Err(OpenError::InUse);
        }
        if self.0.len() > 6 {
            return Err(OpenError::Full);
        }
        let socket = (0..).find(|socket| !self.0.contains_key(socket)).expect("few are open");
        self.0.insert(socket, local);
        Ok(Socket(socket))
    }

    fn close(&mut self, Socket(socket): Socket) {
        assert!(self.0.remove(&socket).is_some(), "what is closed was open");
    }
}

struct World {
    server: Server,
    kernel: Kernel,
    random: GuessableKeys<Seeded>,
    now: Instant,
    unix: UnixMillis,
    /// Whom each client was ever permitted.
    asked: [BTreeSet<IpAddr>; CLIENTS],
    transactions: u64,
}

impl World {
    fn new() -> Self {
        let user = |name: &&str| User::new(name, "elara", "password");
        let relay = |listen: &str, external: Option<&str>| Relay {
            listen: listen.parse().expect("an address"),
            external: external.map(|ip| ip.parse().expect("an address")),
        };
        let config = Config {
            users: NAMES[1..].iter().map(user).collect(),
            relays: vec![relay("10.0.0.5", Some("192.0.2.1")), relay("2001:db8:5::1", None)],
            ports: 50_000..=50_015,
            allocations_max: ALLOCATIONS,
            permissions_max: PERMISSIONS,
            channels_max: CHANNELS,
            bytes_per_second: Some(100_000),
            ..Config::default()
        };
        let keys = Keys { nonce: Secret::new([7; 32]), hash: (1, 2) };
        let now = Instant::ZERO + Span::from_secs(1_000);
        let listeners = ["10.0.0.5:7840".parse().expect("an address")];
        Self {
            server: Server::new(Access::new(Arc::new(config), &keys), &keys, &listeners, now),
            kernel: Kernel::default(),
            random: GuessableKeys(Seeded::new(1)),
            now,
            unix: UnixMillis(1_700_000_000_000),
            asked: Default::default(),
            transactions: 0,
        }
    }

    fn step(&mut self, client: usize, what: u8, body: &[u8]) {
        match what {
            0 => {
                self.hand(client, body);
            }
            1..=4 => self.request(client, METHODS[usize::from(what) - 1], body),
            5 => {
                let id = self.transaction();
                let message =
                    written(Class::Indication, Method::SEND, id, |writer| attributes(writer, body));
                self.hand(client, &message);
            }
            6 => {
                let (to, data) = self.server.channel_data(self.now, &addr(client), body);
                assert!(
                    data.is_empty()
                        || channel_data::read(body).is_some_and(|(_, read)| read == data)
                );
                match to {
                    ToPeer::Via { to, .. } => self.reaches(client, to),
                    ToPeer::Hairpin(to) => told(to, data.len()),
                    ToPeer::Refused(_) => {}
                }
            }
            _ => self.elsewhere(body),
        }
    }

    /// A request with credentials and the nonce of the hour.
    fn request(&mut self, client: usize, method: Method, body: &[u8]) {
        let id = self.transaction();
        let challenge = written(Class::Request, method, id, |_| {});
        let challenge = self.hand(client, &challenge).expect("strangers at loopback are answered");
        let challenge = Message::parse(&challenge).expect("what we answer, we read");
        let (realm, nonce) = (challenge.get(REALM), challenge.get(NONCE));
        let (realm, nonce) = realm.zip(nonce).expect("a challenge has both");
        let key = Key::long_term(
            NAMES[client],
            "elara",
            "password",
            PasswordAlgorithm::Md5,
            Algorithm::Sha1,
        );
        // Of two requests in a row the second may be the first one again.
        let id = if body.len() % 3 == 0 { id } else { self.transaction() };
        let request = written(Class::Request, method, id, |writer| {
            attributes(writer, body);
            writer
                .put(USERNAME, NAMES[client].as_bytes())
                .put(REALM, realm)
                .put(NONCE, nonce)
                .sign(&key);
        });
        let Ok(asked) = Message::parse(&request) else { return };
        let Some(answer) = self.hand(client, &request) else { return };
        let answer = Message::parse(&answer).expect("what we answer, we read");
        if answer.class() == Class::Success && method != Method::REFRESH {
            assert!(answer.verify(&key));
            let peers = asked.addresses(XOR_PEER_ADDRESS).filter_map(Result::ok);
            self.asked[client].extend(peers.map(|peer| outward(peer.ip().to_canonical())));
        }
    }

    /// A message, and the answer to it.
    fn hand(&mut self, client: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0xEE; STUN_MESSAGE_MAX];
        let Self { server, kernel, random, now, unix, .. } = self;
        match server.handle(*now, *unix, &addr(client), bytes, kernel, random, &mut out) {
            Answer::Reply { len, error } => {
                let (asked, answer) = (Message::parse(bytes), Message::parse(&out[..len]));
                let (asked, answer) = asked.ok().zip(answer.ok()).expect("both are messages");
                assert_eq!(asked.class(), Class::Request);
                assert_eq!(answer.transaction(), asked.transaction());
                assert_eq!(answer.error_code(), (error > 0).then_some(Ok(error)));
                return Some(out[..len].to_vec());
            }
            Answer::Relay { to, data, .. } => {
                assert!(data.end <= bytes.len());
                self.reaches(client, to);
            }
            Answer::Hairpin { to, data } => told(to, bytes[data].len()),
            Answer::Silent(_) => {}
        }
        None
    }

    /// What a client sends reaches whom it has asked a permission for, and nobody who may not be reached.
    fn reaches(&self, client: usize, to: ClientAddr) {
        let ip = to.ip();
        assert!(self.asked[client].contains(&outward(ip)), "{to} was not asked for");
        assert!(!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast(), "{to}");
        let IpAddr::V4(v4) = ip else { return };
        assert!(!v4.is_link_local() && !v4.is_broadcast(), "{to}");
        let home = ip.to_string() == "10.0.0.5" && (50_000..=50_015).contains(&to.port());
        assert!(!v4.is_private() || home, "{to}");
    }

    fn elsewhere(&mut self, body: &[u8]) {
        let [a, b, c, ..] = *body else { return self.pass(body.len() as u64 * 150) };
        let (socket, peer) = (Socket(u16::from(a) % 8), ClientAddr::from(peer(b)));
        let (len, mut out) = (usize::from(c) * 100, [0; STUN_MESSAGE_MAX]);
        told(self.server.from_peer(self.now, socket, &peer, len), len);
        let icmp = Icmp { kind: c, code: a, info: 0 };
        if let Some((_, len)) = self.server.unreachable(self.now, socket, &peer, icmp, &mut out) {
            assert!(Message::parse(&out[..len]).is_ok());
        }
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now + Span::from_secs(secs);
        self.unix.0 += secs * 1_000;
        self.server.expire(self.now, usize::MAX, &mut self.kernel);
    }

    fn agree(&self) {
        let counts = self.server.counts();
        assert!(counts.allocations <= ALLOCATIONS);
        assert!(counts.permissions <= PERMISSIONS * counts.allocations);
        assert!(counts.channels <= CHANNELS * counts.allocations);
        assert!(self.kernel.0.len() <= 2 * counts.allocations + counts.reservations);
        assert!(self.kernel.0.len() >= counts.allocations + counts.reservations);
    }

    fn transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }
}

/// Loopback: answers to strangers there are not counted.
fn addr(client: usize) -> ClientAddr {
    SocketAddr::from(([127, 0, 0, 1], 40_000 + client as u16)).into()
}

/// The relay's own address as everyone knows it.
fn outward(ip: IpAddr) -> IpAddr {
    if ip.to_string() == "10.0.0.5" { "192.0.2.1".parse().expect("an address") } else { ip }
}

/// Peers of all sorts: out there, our own, and forbidden ones.
fn peer(n: u8) -> SocketAddr {
    let text = match n % 16 {
        0 => "127.0.0.1:80",
        1 => "10.0.0.1:80",
        2 => "[::1]:80",
        3 => "[64:ff9b::7f00:1]:80",
        4 => "10.0.0.5:7840",
        5 => "192.0.2.1:7840",
        6 => "[2001:db8:9::7]:4000",
        7 => "[2001:db8:9::8]:4000",
        8 | 9 => return SocketAddr::from(([192, 0, 2, 1], 50_000 + u16::from(n / 16))),
        10 => return SocketAddr::from(([10, 0, 0, 5], 50_000 + u16::from(n / 16))),
        11 => "[2001:db8:5::1]:50004",
        _ => return SocketAddr::from(([198, 51, 100, n], 4_000)),
    };
    text.parse().expect("an address")
}

/// Attributes as the body spells them; those who need more than bytes have a short form.
fn attributes(writer: &mut Writer<'_>, mut body: &[u8]) {
    while let Some((&[name, len], after)) = body.split_first_chunk() {
        let value = &after[..after.len().min(len.into())];
        body = &after[value.len()..];
        let first = value.first().copied().unwrap_or_default();
        match name % 16 {
            0 => writer.put_address_xor(XOR_PEER_ADDRESS, peer(first)),
            1 => writer.put_u8(REQUESTED_TRANSPORT, 17),
            2 => writer.put_u16(CHANNEL_NUMBER, 0x4000 + u16::from(first)),
            3 => writer.put_u32(LIFETIME, u32::from(first) * 20),
            4 => writer.put_u8(REQUESTED_ADDRESS_FAMILY, first),
            5 => writer.put_u8(ADDITIONAL_ADDRESS_FAMILY, first),
            6 => writer.put_u8(EVEN_PORT, first),
            7 => writer.put(DATA, value),
            8 => writer.put(DONT_FRAGMENT, value),
            9 => writer.put(RESERVATION_TOKEN, value),
            10 => writer.put(XOR_PEER_ADDRESS, value),
            11 => writer.put(CHANNEL_NUMBER, value),
            12 => writer.put(LIFETIME, value),
            13 => writer.put(REQUESTED_TRANSPORT, value),
            14 => writer.put(u16::from(first), value),
            _ => writer.put(0x8000 + u16::from(first), value),
        };
    }
}

fn written(
    class: Class,
    method: Method,
    id: TransactionId,
    write: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut out = vec![0; 8_192];
    let mut writer = Writer::new(&mut out, class, method, id);
    write(&mut writer);
    // What cannot be written is a message cut short.
    let len = writer.finish().unwrap_or(19);
    out.truncate(len);
    out
}

/// A client can be told.
fn told(to: ToClient, len: usize) {
    match to {
        ToClient::Indication { mut head, .. } => {
            let mut out = [0; TURN_DATA_HEAD_MAX];
            let head = head.write(len, &mut out).expect("it fits");
            let mut message = out[..head.len].to_vec();
            message.resize(head.len + len + head.padding, 0);
            assert!(Message::parse(&message).is_ok_and(|message| message.get(DATA).is_some()));
        }
        ToClient::Channel { number, .. } => assert!(channel_data::NUMBERS.contains(&number)),
        ToClient::Refused(_) => {}
    }
}
