//! What went wrong elsewhere, and does not here. Each test is named after its incident; those that are
//! about bytes alone stand in `stun/incidents.rs`, those about which peers are denied in `turn/peers.rs`
//! once more.

use elara_core::limits::{TURN_BINDINGS_PER_PREFIX, TURN_PERMISSIONS, TURN_REPLIES_PER_PREFIX};
use elara_core::stun::attribute::{
    DATA, NONCE, REALM, REQUESTED_TRANSPORT, SOFTWARE, USERNAME, XOR_PEER_ADDRESS,
};
use elara_core::stun::{Class, Method, TransactionId, Writer};
use elara_core::turn::{Answer, Config, Counts, Refusal, Relay, ToClient, ToPeer};

use crate::world::{
    Client, PEER, RELAY_V6, UDP, World, addr, client_addr, config, put, relay, silence,
};

const AT: &str = "203.0.113.1:40000";

/// Everything that names a peer is refused one of these, and nothing of it stays.
fn unreachable_by_any_means(world: &mut World, anna: &mut Client, peer: &str) {
    let before = world.server.counts();
    assert_eq!(anna.permit(world, &[peer]), 403, "CreatePermission {peer}");
    assert_eq!(anna.bind(world, 0x4000, peer), 403, "ChannelBind {peer}");
    assert_eq!(silence(&anna.send(world, peer, b"x")), Refusal::NoPermission, "Send {peer}");
    assert_eq!(world.server.counts(), before);
}

/// CVE-2020-26262 (coturn before 4.5.2): peers 0.0.0.0, `::` and `::1` reached what listened on loopback.
#[test]
fn cve_2020_26262_zero_and_loopback() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    for peer in ["0.0.0.0:80", "127.0.0.1:80", "127.1.2.3:80"] {
        unreachable_by_any_means(&mut world, &mut anna, peer);
    }
    let mut world = World::new(Config { relays: vec![relay(RELAY_V6)], ..config() });
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.allocate(&mut world, &[(0x0017, &[2, 0, 0, 0])]).error, 0);
    for peer in ["[::1]:80", "[::]:80", "[::2]:80"] {
        unreachable_by_any_means(&mut world, &mut anna, peer);
    }
}

/// CVE-2026-27624 (coturn before 4.9.0): `::ffff:127.0.0.1` passed the table of denied peers.
#[test]
fn cve_2026_27624_mapped_addresses() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.allocate(&mut world, &[(0x8000, &[2, 0, 0, 0])]).error, 0);
    for peer in ["[::ffff:127.0.0.1]:80", "[::ffff:10.0.0.1]:80", "[::ffff:0.0.0.0]:80"] {
        assert_eq!(anna.permit_literally(&mut world, peer), 403, "{peer}");
    }
    for peer in
        ["[64:ff9b::7f00:1]:80", "[64:ff9b::a00:1]:80", "[2002:7f00:1::]:80", "[::127.0.0.1]:80"]
    {
        unreachable_by_any_means(&mut world, &mut anna, peer);
    }
    assert_eq!(world.server.counts().permissions, 0);
}

/// coturn #1947: cloud metadata, link-local, unique local and site-local addresses were open by default.
/// RFC 8656 section 21.4: so must be neither 6to4 nor Teredo.
#[test]
fn coturn_1947_what_is_open_by_default() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.allocate(&mut world, &[(0x8000, &[2, 0, 0, 0])]).error, 0);
    for peer in [
        "169.254.169.254:80",
        "10.0.0.1:5432",
        "192.168.0.1:80",
        "100.100.100.200:80",
        "224.0.0.1:1",
        "[fe80::1]:80",
        "[fc00::1]:80",
        "[fd00:ec2::254]:80",
        "[fec0::1]:80",
        "[2001::1]:80",
        "[2002:c633:6407::1]:80",
        "[ff02::1]:1",
    ] {
        unreachable_by_any_means(&mut world, &mut anna, peer);
    }
}

/// coturn #1946 and the Slack relay of 2020: the relay's own endpoints, and the network behind it, as peers.
#[test]
fn coturn_1946_and_slack_2020_own_endpoints() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    // The node's own address has relayed ports for peers, and nothing else.
    assert_eq!(anna.permit(&mut world, &["192.0.2.1:7840"]), 0);
    for peer in ["192.0.2.1:7840", "192.0.2.1:22", "192.0.2.1:49151", "192.0.2.1:0"] {
        assert_eq!(anna.bind(&mut world, 0x4000, peer), 403, "{peer}");
        assert_eq!(silence(&anna.send(&mut world, peer, b"x")), Refusal::Denied, "{peer}");
    }
}

/// CVE-2025-69217: nonces and relay ports came from a generator that could be predicted. Here both follow
/// from what the caller's generator gives and from secret keys, and from nothing else.
#[test]
fn cve_2025_69217_nothing_follows_from_what_was_seen() {
    let ports = |seed| -> Vec<u16> {
        let mut world = World::seeded(config(), seed);
        (1..=8)
            .map(|n| Client::allocated(&mut world, &format!("203.0.113.1:{n}"), "anna").1.port())
            .collect()
    };
    assert_eq!(ports(1), ports(1));
    let (one, other) = (ports(1), ports(2));
    assert!(one.iter().all(|port| !other.contains(port)), "{one:?} {other:?}");
    // A nonce is another for each address and each second, in all of its code.
    let mut world = World::new(config());
    let mut nonces = vec![];
    for n in 1..=4 {
        nonces.push(Client::greeted(&mut world, &format!("203.0.113.1:{n}"), "anna").nonce);
        world.pass(1);
    }
    for (n, nonce) in nonces.iter().enumerate() {
        for other in &nonces[n + 1..] {
            let same = nonce[21..].iter().zip(&other[21..]).filter(|(a, b)| a == b).count();
            assert!(same < 8, "{same} of 20 letters");
        }
    }
}

/// coturn #1999, #2002: a request without credentials cost a socket and 18 KB for a minute.
#[test]
fn coturn_1999_a_stranger_costs_nothing() {
    let mut world = World::new(config());
    for n in 1..=1_000 {
        let mut stranger = Client::new(&format!("127.0.0.1:{n}"), "anna");
        stranger.greet(&mut world);
        stranger.password = "guessed".into();
        assert_eq!(stranger.allocate(&mut world, &[]).error, 401);
    }
    assert_eq!(world.server.counts(), Counts::default());
    assert_eq!((world.kernel.asked, world.server.next_expiry()), (0, None));
}

/// coturn #1957: 401s were reflected to whoever was named as the source.
#[test]
fn coturn_1957_answers_to_strangers_are_counted() {
    let mut world = World::new(config());
    let answered = |world: &mut World, n: u32| {
        let mut stranger = Client::new(&format!("198.51.100.{}:{}", n % 250, 1 + n), "anna");
        let request = stranger.plain(Method::ALLOCATE, |_| {});
        match world.hand(stranger.addr, &request) {
            Answer::Reply { len, .. } => Some((request.len(), len)),
            answer => {
                assert_eq!(silence(&answer), Refusal::Flood);
                None
            }
        }
    };
    let sizes: Vec<_> = (0..10_000).filter_map(|n| answered(&mut world, n)).collect();
    assert_eq!(sizes.len() as u64, TURN_REPLIES_PER_PREFIX.burst);
    // Every kind of answer that needs no credentials.
    let victim = client_addr("198.51.100.9:9");
    let mut client = Client::new("198.51.100.9:9", "anna");
    let requests = [
        client.plain(Method::REFRESH, |_| {}),
        client.signed(Method::ALLOCATE, |_| {}),
        client.plain(Method::ALLOCATE, |writer| put(writer, &[(0x0008, &[0; 20])])),
    ];
    for request in requests {
        assert_eq!(silence(&world.hand(victim, &request)), Refusal::Flood);
    }
    world.pass(1);
    let sizes: Vec<_> = (0..10_000).filter_map(|n| answered(&mut world, n)).collect();
    assert_eq!(sizes.len() as u64, TURN_REPLIES_PER_PREFIX.per_s);
    // A client with an allocation is not kept waiting by strangers next door.
    let (mut anna, _) = Client::allocated(&mut world, "203.0.113.1:1", "anna");
    let mut stranger = Client::new("203.0.113.2:1", "anna");
    while matches!(
        world.hand(stranger.addr, &stranger.plain(Method::ALLOCATE, |_| {})),
        Answer::Reply { .. }
    ) {}
    assert_eq!(anna.refresh(&mut world, 600), 0);
}

/// The same of Binding requests, plain ones included: the shard asks before it answers them.
#[test]
fn coturn_1957_answers_to_binding_requests_are_counted() {
    let mut world = World::new(config());
    let mut stranger = Client::new("198.51.100.9:9", "anna");
    let request = stranger.plain(Method::BINDING, |writer| put(writer, &[(USERNAME, b"a")]));
    let most = TURN_BINDINGS_PER_PREFIX.burst;
    for n in 0..most {
        if n % 2 == 0 {
            assert!(world.server.admits_binding(world.now, &stranger.addr));
        } else {
            assert_eq!(world.ask(stranger.addr, &request).error, 0);
        }
    }
    assert!(!world.server.admits_binding(world.now, &stranger.addr));
    assert_eq!(silence(&world.hand(stranger.addr, &request)), Refusal::Flood);
    assert!(world.server.admits_binding(world.now, &client_addr("198.51.101.9:9")));
    stranger.greet(&mut world);
}

/// coturn #1829: reason phrases and SOFTWARE made answers longer than they need be.
#[test]
fn coturn_1829_answers_are_short() {
    let mut world = World::new(config());
    let mut anna = Client::new(AT, "anna");
    let request =
        anna.plain(Method::ALLOCATE, |writer| put(writer, &[(REQUESTED_TRANSPORT, &UDP)]));
    let said = world.ask(anna.addr, &request);
    assert!(said.bytes.len() <= 100, "{} bytes to {}", said.bytes.len(), request.len());
    assert!(!said.message().has(SOFTWARE));
}

/// coturn #1957 once more: what is no request is never answered, so that two servers cannot be set on each
/// other.
#[test]
fn responses_and_indications_are_never_answered() {
    let mut world = World::new(config());
    let (anna, _) = Client::allocated(&mut world, AT, "anna");
    for method in 0..0x1000 {
        for class in [Class::Indication, Class::Success, Class::Error] {
            let mut out = [0; 64];
            let id = TransactionId([7; 12]);
            let mut writer = Writer::new(&mut out, class, Method(method), id);
            let len = writer.put(USERNAME, b"anna").finish().unwrap();
            let answer = world.hand(anna.addr, &out[..len]);
            let expected = match (class, Method(method)) {
                (Class::Indication, Method::SEND) => Refusal::Malformed,
                (Class::Indication, _) => Refusal::Ignored,
                _ => Refusal::Unasked,
            };
            assert_eq!(silence(&answer), expected, "{class:?} {method:#05x}");
        }
    }
}

/// CVE-2026-43994 (coturn before 4.10: an OAuth token overflowed the stack before authentication),
/// GHSA-34rh-wp3j-6cxc (pion: a malformed address panicked), RUSTSEC-2026-0037 (quinn: unwrap on a peer's
/// input), coturn #1844 and #1964 (lengths cut down to 16 bits): every attribute at every length, before
/// and after authentication.
#[test]
fn cve_2026_43994_and_its_like_every_attribute_at_every_length() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, "127.0.0.1:40000", "anna");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    let kinds = (0x0000..0x0040).chain(0x8000..0x8040);
    let methods = [
        Method::BINDING,
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
    ];
    for kind in kinds.filter(|kind| ![0x0008, 0x001C, 0x8028].contains(kind)) {
        for len in (0..=40).chain([255, 735, 1_500]) {
            let value = vec![0xFF; len];
            for method in methods {
                let request = anna.plain(method, |writer| put(writer, &[(kind, &value)]));
                world.hand(anna.addr, &request);
                let request = anna.signed(method, |writer| {
                    put(writer, &[(REQUESTED_TRANSPORT, &UDP), (kind, &value)]);
                });
                world.hand(anna.addr, &request);
            }
            let bytes = anna.indication(|writer| {
                put(writer, &[(kind, &value)]);
                writer.put_address_xor(XOR_PEER_ADDRESS, addr(PEER)).put(DATA, b"x");
            });
            world.hand(anna.addr, &bytes);
            let len = world.server.counts().allocations;
            if len == 0 {
                // A LIFETIME of some length said goodbye.
                assert_eq!(anna.allocate(&mut world, &[]).error, 0);
            }
        }
    }
}

/// CVE-2020-4067: padding leaked memory. The buffer an answer is written to is full of something else here.
#[test]
fn cve_2020_4067_padding_is_zero() {
    let mut world = World::new(Config { realm: "realms".into(), ..config() });
    let mut anna = Client::new(AT, "anna");
    let request = anna.plain(Method::ALLOCATE, |_| {});
    let said = world.ask(anna.addr, &request);
    let at = said.bytes.windows(6).position(|six| six == b"realms").unwrap();
    assert_eq!(said.bytes[at + 6..at + 8], [0, 0]);
    let at = said.bytes.windows(9).position(|nine| nine == b"obMatJos2").unwrap();
    let len = said.message().get(NONCE).unwrap().len();
    assert!(said.bytes[at + len..at + len.next_multiple_of(4)].iter().all(|byte| *byte == 0));
    assert!(said.message().has(REALM));
}

/// coturn #2017: one permission covers all ports of an address, and there was no end to permissions. Here an
/// allocation has so many, and finds them however many there are.
#[test]
fn coturn_2017_permissions_are_bounded() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    let peer = |n: u64| format!("198.51.{}.{}:1", n / 200, 1 + n % 200);
    for n in 0..TURN_PERMISSIONS.default {
        assert_eq!(anna.permit(&mut world, &[&peer(n)]), 0, "{n}");
    }
    assert_eq!(anna.permit(&mut world, &[&peer(TURN_PERMISSIONS.default)]), 508);
    assert_eq!(world.server.counts().permissions as u64, TURN_PERMISSIONS.default);
    for n in 0..TURN_PERMISSIONS.default {
        assert!(matches!(world.hears(relayed, &peer(n), 1), ToClient::Indication { .. }), "{n}");
    }
}

/// CVE-2018-4058 (coturn's relay to its own loopback) with the operator's own allow list: what is allowed by
/// name is reached, and a listener of this node never is.
#[test]
fn cve_2018_4058_an_allow_list_does_not_open_listeners() {
    let allow_peers = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.0/24".parse().unwrap()];
    let mut world = World::new(Config { allow_peers, ..config() });
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.bind(&mut world, 0x4000, "10.0.0.1:5432"), 0);
    assert!(matches!(world.on_channel(anna.addr, 0x4000, b"x"), ToPeer::Via { .. }));
    assert_eq!(anna.bind(&mut world, 0x4001, "192.0.2.1:22"), 0, "named by the operator");
    assert_eq!(anna.bind(&mut world, 0x4002, "192.0.2.1:7840"), 403);
    assert_eq!(silence(&anna.send(&mut world, "192.0.2.1:7840", b"x")), Refusal::Denied);
}

/// The same where the listener is known by its address inside, and the peer is named by the one outside.
#[test]
fn cve_2018_4058_a_listener_has_no_second_name() {
    let outside = Relay { external: Some("198.51.100.5".parse().unwrap()), ..relay("192.0.2.1") };
    let allow_peers = vec!["198.51.100.0/24".parse().unwrap(), "192.0.2.0/24".parse().unwrap()];
    let mut world = World::new(Config { relays: vec![outside], allow_peers, ..config() });
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    for peer in ["198.51.100.5:7840", "192.0.2.1:7840"] {
        assert_eq!(anna.bind(&mut world, 0x4000, peer), 403, "{peer}");
        assert_eq!(anna.permit(&mut world, &[peer]), 0);
        assert_eq!(silence(&anna.send(&mut world, peer, b"x")), Refusal::Denied, "{peer}");
    }
}
