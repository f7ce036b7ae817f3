//! STUN and TURN in a shard, over all three back ends: every verdict, and the books.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use elara_core::crypto::Secret;
use elara_core::limits::TURN_REPLIES_PER_PREFIX;
use elara_core::stun::{Class, Method, Writer, attribute};
use elara_core::turn::{Config, Keys, Relay, User};
use elara_shards::io::Port;
use elara_shards::turn::TurnConfig;
use elara_shards::{ShardConfig, Verdict};
use support::ports::{PortPlace, Relayed};
use support::room::{InMemory, OverSyscall, OverUring, Room, open_config};
use support::turn::{Heard, Talker, channel_data_of, on_channel, over_udp};

/// Peers of a room: the client, its peer, somebody else.
const CLIENT: usize = 0;
const PEER: usize = 1;
const STRANGER: usize = 2;

/// Where the node of these tests listens, as far as it knows.
const LISTENER: &str = "127.0.0.1:9";

/// A room in which one user may have relayed addresses and reach loopback.
struct Hall<P: PortPlace> {
    room: Room<P>,
    talker: Talker,
}

impl<P: PortPlace> Hall<P> {
    fn new(bytes_per_second: Option<u64>) -> Self {
        let server = Config {
            users: vec![User::new("ada", "elara", "lovelace")],
            relays: vec![Relay { listen: "127.0.0.1".parse().unwrap(), external: None }],
            allow_peers: vec!["127.0.0.0/8".parse().unwrap()],
            bytes_per_second,
            ..Config::default()
        };
        let turn = TurnConfig {
            server: Arc::new(server),
            keys: Keys { nonce: Secret::new([3; 32]), hash: (5, 6) },
            listeners: vec![LISTENER.parse().unwrap()],
            relays: true,
        };
        let config = ShardConfig { turn: Some(turn), ..open_config() };
        Self { room: Room::with(3, config), talker: Talker::new("ada", "lovelace") }
    }

    /// Says something at the data port; the verdict on it, which must be one.
    fn say(&mut self, from: usize, datagram: &[u8]) -> Verdict {
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
    fn request(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> (Verdict, Heard) {
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

    fn address(&self, peer: usize) -> SocketAddr {
        self.room.place.addr(peer).into()
    }

    /// A relayed address with a channel to the peer.
    fn open(&mut self) -> Relayed {
        let (verdict, answer) = self.request(Method::ALLOCATE, over_udp);
        assert_eq!((verdict, answer.error()), (Verdict::Answered, 0));
        let at = answer.address(attribute::XOR_RELAYED_ADDRESS);
        let peer = self.address(PEER);
        assert_eq!(self.request(Method::CHANNEL_BIND, on_channel(0x4000, peer)).1.error(), 0);
        Relayed { port: Port(1), at }
    }

    /// A peer sends to the relayed address; the verdict on it.
    fn send_to(&mut self, from: usize, relayed: Relayed, bytes: &[u8]) -> Verdict {
        let before = self.room.settle();
        self.room.place.send_to(self.room.shard.io(), from, relayed, bytes, 0);
        let after = self.room.settle();
        let changed = |verdict: &&Verdict| after.of(**verdict) > before.of(**verdict);
        *Verdict::ALL.iter().find(changed).expect("every datagram has a verdict")
    }
}

fn data_has_its_verdicts<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let relayed = hall.open();
    let on = |channel, data: &[u8]| channel_data_of(channel, data);
    assert_eq!(hall.say(CLIENT, &on(0x4000, b"to the peer")), Verdict::Relayed);
    assert_eq!(hall.room.heard(PEER), [b"to the peer".to_vec()], "{}", P::NAME);
    assert_eq!(hall.send_to(PEER, relayed, b"and back"), Verdict::Relayed);
    assert_eq!(hall.room.heard(CLIENT), [on(0x4000, b"and back")], "{}", P::NAME);
    assert_eq!(hall.say(CLIENT, &on(0x4001, b"on another")), Verdict::NoChannel);
    assert_eq!(hall.say(STRANGER, &on(0x4000, b"without")), Verdict::NoAllocation);
    assert_eq!(hall.say(CLIENT, &on(0x5000, b"beyond")), Verdict::Unrecognised);
    let indication = hall.talker.indication("192.0.2.1:1".parse().unwrap(), b"to nobody", false);
    assert_eq!(hall.say(CLIENT, &indication), Verdict::NoPermission);
    // Loopback may be reached, but not where the node itself listens.
    let indication = hall.talker.indication(LISTENER.parse().unwrap(), b"to you", false);
    assert_eq!(hall.say(CLIENT, &indication), Verdict::PeerDenied);
    let counters = hall.room.settle();
    assert_eq!((counters.allocations, counters.permissions, counters.channels), (1, 1, 1));
    let relayed = (b"to the peer".len() + b"and back".len()) as u64;
    assert_eq!((counters.relayed, counters.relayed_bytes), (2, relayed));
}

fn messages_have_their_verdicts<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let binding = hall.talker.plain(Class::Request, Method::BINDING, |_| {});
    assert_eq!(hall.say(STRANGER, &binding), Verdict::Answered);
    let answer = Heard(hall.room.heard(STRANGER).pop().unwrap());
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), hall.address(STRANGER));
    let nothing = hall.talker.plain(Class::Request, Method::ALLOCATE, over_udp);
    assert_eq!(hall.say(STRANGER, &nothing), Verdict::Declined);
    let answer = hall.talker.plain(Class::Success, Method::BINDING, |_| {});
    assert_eq!(hall.say(STRANGER, &answer), Verdict::StunIgnored);
    hall.open();
    let empty = hall.talker.plain(Class::Indication, Method::SEND, |_| {});
    assert_eq!(hall.say(CLIENT, &empty), Verdict::BadStun);
}

fn bandwidth_is_bounded<P: PortPlace>() {
    let mut hall = Hall::<P>::new(Some(4_000));
    hall.open();
    let data = channel_data_of(0x4000, &[1; 900]);
    assert_eq!(hall.say(CLIENT, &data), Verdict::Relayed);
    assert_eq!(
        hall.say(CLIENT, &data),
        Verdict::OverBandwidth,
        "a quarter of a second's worth is gone"
    );
}

/// A train of one channel leaves as one send, and one of two channels as two.
fn trains_stay_whole<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let relayed = hall.open();
    let datagram = channel_data_of(0x4000, &[5; 200]);
    hall.room.say_train(CLIENT, &datagram.repeat(10), datagram.len() as u16);
    assert_eq!(hall.room.heard(PEER), vec![vec![5; 200]; 10], "{}", P::NAME);
    let before = hall.room.settle();
    hall.room.place.send_to(hall.room.shard.io(), PEER, relayed, &[6; 2_000], 200);
    let after = hall.room.settle();
    assert_eq!(after.of(Verdict::Relayed) - before.of(Verdict::Relayed), 10);
    assert_eq!(
        hall.room.heard(CLIENT),
        vec![channel_data_of(0x4000, &[6; 200]); 10],
        "{}",
        P::NAME
    );
    // Something else among them, and a channel that is not there.
    let mut mixed = datagram.repeat(3);
    mixed[datagram.len() + 1] = 9;
    hall.room.say_train(CLIENT, &mixed, datagram.len() as u16);
    let last = hall.room.settle();
    assert_eq!(last.of(Verdict::Relayed) - after.of(Verdict::Relayed), 2);
    assert_eq!(last.of(Verdict::NoChannel), 1, "{}", P::NAME);
    assert!(last.balanced());
}

/// What came before a Refresh that ends everything still leaves.
fn what_is_under_way_outlives_its_allocation<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    hall.open();
    let last = channel_data_of(0x4000, b"goodbye");
    let end = hall.talker.request(Method::REFRESH, |writer| {
        writer.put_u32(attribute::LIFETIME, 0);
    });
    hall.room.say(CLIENT, &last);
    hall.room.say(CLIENT, &end);
    assert_eq!(hall.room.heard(PEER), [b"goodbye".to_vec()], "{}", P::NAME);
    assert_eq!(hall.room.settle().allocations, 0);
}

macro_rules! everywhere {
    ($($test:ident = $check:ident;)*) => {$(
        #[test]
        fn $test() {
            $check::<InMemory>();
            $check::<OverUring>();
            $check::<OverSyscall>();
        }
    )*};
}

everywhere! {
    every_datagram_of_data_has_its_verdict = data_has_its_verdicts;
    every_message_has_its_verdict = messages_have_their_verdicts;
    an_allocation_goes_no_faster_than_it_may = bandwidth_is_bounded;
    a_train_is_relayed_whole_and_in_order = trains_stay_whole;
    what_came_before_the_end_still_leaves = what_is_under_way_outlives_its_allocation;
}

#[test]
fn strangers_have_their_answers_counted_out() {
    let mut hall = Hall::<InMemory>::new(None);
    let most = TURN_REPLIES_PER_PREFIX.burst;
    let ask = hall.talker.plain(Class::Request, Method::ALLOCATE, over_udp);
    for _ in 0..=most {
        // From a /24 of the internet: loopback is not counted out.
        let from: SocketAddr = "192.0.2.7:3478".parse().unwrap();
        assert!(hall.room.shard.io().deliver(&from.into(), &ask));
        hall.room.settle();
    }
    let counters = hall.room.settle();
    assert_eq!(counters.of(Verdict::Declined), most);
    assert_eq!(counters.of(Verdict::StunLimited), 1);
}

#[test]
fn an_allocation_that_nobody_refreshes_ends() {
    let mut hall = Hall::<InMemory>::new(None);
    hall.open();
    hall.room.pass(599_000);
    assert_eq!(hall.room.settle().allocations, 1);
    hall.room.pass(3_000);
    let counters = hall.room.settle();
    assert_eq!((counters.allocations, counters.permissions, counters.channels), (0, 0, 0));
    assert_eq!(hall.say(CLIENT, &channel_data_of(0x4000, b"late")), Verdict::NoAllocation);
}
