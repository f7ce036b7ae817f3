//! A room in which one user may have relayed addresses: a client, its peer, somebody else.

use std::net::SocketAddr;
use std::sync::Arc;

use elara_core::crypto::Secret;
use elara_core::stun::{Method, Writer, attribute};
use elara_core::turn::{Access, Config, Keys, Relay, User};
use elara_shards::io::Port;
use elara_shards::turn::TurnConfig;
use elara_shards::{ShardConfig, Verdict};

use super::ports::{PortPlace, Relayed};
use super::room::{Room, open_config};
use super::turn::{Heard, Talker, on_channel, over_udp};

/// Peers of a room: the client, its peer, somebody else.
pub const CLIENT: usize = 0;
pub const PEER: usize = 1;
pub const STRANGER: usize = 2;

/// Where the node of these tests listens, as far as it knows.
pub const LISTENER: &str = "127.0.0.1:9";

/// A room in which one user may have relayed addresses and reach loopback.
pub struct Hall<P: PortPlace> {
    pub room: Room<P>,
    pub talker: Talker,
}

impl<P: PortPlace> Hall<P> {
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let server = Config {
            users: vec![User::new("ada", "elara", "lovelace")],
            relays: vec![Relay { listen: "127.0.0.1".parse().unwrap(), external: None }],
            allow_peers: vec!["127.0.0.0/8".parse().unwrap()],
            bytes_per_second,
            ..Config::default()
        };
        let keys = Keys { nonce: Secret::new([3; 32]), hash: (5, 6) };
        let turn = TurnConfig {
            access: Access::new(Arc::new(server), &keys),
            keys,
            listeners: vec![LISTENER.parse().unwrap()],
            relays: true,
            binding: true,
        };
        let config = ShardConfig { turn: Some(turn), ..open_config() };
        Self { room: Room::with(3, config), talker: Talker::new("ada", "lovelace") }
    }

    /// Says something at the data port; the verdict on it, which must be one.
    pub fn say(&mut self, from: usize, datagram: &[u8]) -> Verdict {
        let before = self.room.settle();
        self.room.say(from, datagram);
        let after = self.room.settle();
        assert!(after.balanced(), "{}: {after:?}", P::NAME);
        let changed = |verdict: &Verdict| after.of(*verdict) > before.of(*verdict);
        let mut given = Verdict::ALL.iter().copied().filter(changed);
        let verdict = given.next().expect("every datagram has a verdict");
        assert_eq!(given.next(), None, "{}", P::NAME);
        verdict
    }

    /// One signed request of the client: the verdict on it, and the answer.
    pub fn request(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> (Verdict, Heard) {
        loop {
            let request = self.talker.request(method, &fill);
            let verdict = self.say(CLIENT, &request);
            let answer = Heard(self.room.heard(CLIENT).pop().expect("an answer"));
            if !self.talker.learn(&answer) {
                return (verdict, answer);
            }
            assert_eq!(verdict, Verdict::Declined, "who is asked for credentials is declined");
        }
    }

    pub fn address(&self, peer: usize) -> SocketAddr {
        self.room.place.addr(peer).into()
    }

    /// A relayed address with a channel to the peer.
    pub fn open(&mut self) -> Relayed {
        let (verdict, answer) = self.request(Method::ALLOCATE, over_udp);
        assert_eq!((verdict, answer.error()), (Verdict::Answered, 0));
        let at = answer.address(attribute::XOR_RELAYED_ADDRESS);
        let peer = self.address(PEER);
        assert_eq!(self.request(Method::CHANNEL_BIND, on_channel(0x4000, peer)).1.error(), 0);
        Relayed { port: Port(1), at }
    }

    /// A peer sends to the relayed address; the verdict on it.
    pub fn send_to(&mut self, from: usize, relayed: Relayed, bytes: &[u8]) -> Verdict {
        let before = self.room.settle();
        self.room.place.send_to(self.room.shard.io(), from, relayed, bytes, 0);
        let after = self.room.settle();
        let changed = |verdict: &&Verdict| after.of(**verdict) > before.of(**verdict);
        *Verdict::ALL.iter().find(changed).expect("every datagram has a verdict")
    }
}
