//! Claims about TURN's settings: when it is on, what shards get, and what is said of a mistake.

use super::*;

fn listen(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn secret(number: u32) -> TurnSecret {
    TurnSecret::new(&format!("a secret of sixteen {number}")).unwrap()
}

fn user(name: &str) -> TurnUser {
    TurnUser::new(name, REALM, "correct horse").unwrap()
}

fn open() -> TurnConfig {
    TurnConfig { secrets: vec![secret(1)], users: vec![user("alice")], ..TurnConfig::default() }
}

const LISTEN: &str = "192.0.2.1:7840";

#[test]
fn it_is_off_until_somebody_could_use_it() {
    let off = TurnConfig::default();
    assert_eq!(off.validate(listen("[::]:7840")), Ok(()));
    assert!(!off.is_open() && off.for_shards(listen(LISTEN), 1).is_none());
    assert!(TurnConfig { secrets: vec![secret(1)], ..off.clone() }.is_open());
    assert!(TurnConfig { users: vec![user("alice")], ..off }.is_open());
    let shut = TurnConfig { enabled: Some(false), ..open() };
    assert_eq!(shut.validate(listen("[::]:7840")), Ok(()), "what is off needs no address");
    assert!(shut.for_shards(listen(LISTEN), 1).is_none());
}

#[test]
fn a_shard_gets_its_share_of_the_allocations_and_everything_else_whole() {
    let turn = TurnConfig {
        realm: "example.org".to_owned(),
        relay: vec![ip("::ffff:192.0.2.7"), ip("2001:db8::7")],
        external_ip: vec!["203.0.113.7".parse().unwrap()],
        ports: 50_000..=50_999,
        lifetime_s: 300,
        lifetime_max_s: 900,
        allocations: 10,
        allocations_per_user: 5,
        permissions: 6,
        channels: 7,
        bytes_per_second: 80_000,
        allow_peers: vec!["10.1.0.0/16".parse().unwrap()],
        channel_range: ChannelRange::Rfc5766,
        ..open()
    };
    assert_eq!(turn.validate(listen("[::]:7840")), Ok(()));
    let shard = turn.for_shards(listen("[::]:7840"), 4).unwrap();
    assert_eq!(shard.check(), Ok(()));
    assert_eq!((shard.realm.as_str(), shard.secrets.len()), ("example.org", 1));
    let (alice, expected) = (&shard.users[0], turn::User::new("alice", REALM, "correct horse"));
    assert_eq!(alice.name, "alice");
    assert_eq!((alice.key_md5, alice.key_sha256), (expected.key_md5, expected.key_sha256));
    let relays: Vec<_> = shard.relays.iter().map(|relay| (relay.listen, relay.external)).collect();
    assert_eq!(relays, [(ip("192.0.2.7"), Some(ip("203.0.113.7"))), (ip("2001:db8::7"), None)]);
    assert_eq!((shard.ports.clone(), shard.allocations_max), (50_000..=50_999, 2));
    assert_eq!((shard.lifetime_default_s, shard.lifetime_max_s), (300, 900));
    let counts = (shard.allocations_per_user, shard.permissions_max, shard.channels_max);
    assert_eq!((counts, shard.bytes_per_second), ((5, 6, 7), Some(80_000)));
    assert_eq!(
        (&shard.allow_peers, shard.channel_range),
        (&turn.allow_peers, ChannelRange::Rfc5766)
    );
    let of_many = turn.for_shards(listen(LISTEN), 16).unwrap();
    assert_eq!((of_many.allocations_max, of_many.check()), (1, Ok(())), "none gets nothing");
}

#[test]
fn where_nothing_is_said_it_relays_from_where_it_listens() {
    let shard = open().for_shards(listen("[::ffff:192.0.2.1]:7840"), 1).unwrap();
    assert_eq!(shard.check(), Ok(()));
    let relays: Vec<_> = shard.relays.iter().map(|relay| (relay.listen, relay.external)).collect();
    assert_eq!((relays, shard.bytes_per_second), (vec![(ip("192.0.2.1"), None)], None));
    let named = "192.0.2.1=203.0.113.7".parse().unwrap();
    let turn = TurnConfig { external_ip: vec![named], ..open() };
    assert_eq!(turn.validate(listen(LISTEN)), Ok(()));
    let shard = turn.for_shards(listen(LISTEN), 1).unwrap();
    assert_eq!(shard.check(), Ok(()));
    assert_eq!(shard.relays[0].external, Some(ip("203.0.113.7")));
}

#[test]
fn each_mistake_names_its_key_and_the_way_out() {
    let relay = |text: &[&str]| text.iter().map(|text| ip(text)).collect::<Vec<_>>();
    let external = |text: &[&str]| text.iter().map(|text| text.parse().unwrap()).collect();
    let blocks = |text: &[&str]| text.iter().map(|text| text.parse().unwrap()).collect();
    // One user often: that they are too many is said first.
    let users = vec![user("alice"); TURN_USERS_MAX + 1];
    let nobody = TurnConfig { enabled: Some(true), ..TurnConfig::default() };
    for (turn, key, words) in [
        (nobody, "turn.enabled", "elara keygen turn"),
        (TurnConfig { realm: String::new(), ..open() }, "turn.realm", "1 to"),
        (TurnConfig { realm: "x".repeat(TURN_REALM_MAX + 1), ..open() }, "turn.realm", "1 to"),
        (TurnConfig { realm: "\"".to_owned(), ..open() }, "turn.realm", "no quote"),
        (
            TurnConfig { secrets: (0..9).map(secret).collect(), ..open() },
            "turn.secrets",
            "at most 8",
        ),
        (TurnConfig { secrets: vec![secret(1); 2], ..open() }, "turn.secrets", "same secret twice"),
        (TurnConfig { users, ..open() }, "turn.users", "at most 65536"),
        (
            TurnConfig { users: ["a", "b", "a"].map(user).to_vec(), ..open() },
            "turn.users",
            "one name twice",
        ),
        (TurnConfig { relay: relay(&["224.0.0.1"]), ..open() }, "turn.relay", "this machine"),
        (TurnConfig { relay: relay(&["::"]), ..open() }, "turn.relay", "this machine"),
        (
            TurnConfig { relay: relay(&["192.0.2.1", "::ffff:192.0.2.2"]), ..open() },
            "turn.relay",
            "second IPv4 address",
        ),
        (
            TurnConfig { external_ip: external(&["0.0.0.0"]), ..open() },
            "turn.external_ip",
            "others see",
        ),
        (
            TurnConfig { external_ip: external(&["203.0.113.1", "203.0.113.2"]), ..open() },
            "turn.external_ip",
            "at most one of each family",
        ),
        (
            TurnConfig { external_ip: external(&["2001:db8::1"]), ..open() },
            "turn.external_ip",
            "no address of turn.relay",
        ),
        (
            TurnConfig { external_ip: external(&["192.0.2.2=203.0.113.2"]), ..open() },
            "turn.external_ip",
            "one of turn.relay",
        ),
        (TurnConfig { ports: 1_023..=2_000, ..open() }, "turn.ports", "at least 1024"),
        (
            TurnConfig { ports: RangeInclusive::new(50_001, 50_000), ..open() },
            "turn.ports",
            "50001-50000",
        ),
        (
            TurnConfig { lifetime_s: 901, lifetime_max_s: 900, ..open() },
            "turn.lifetime",
            "turn.lifetime_max = 900",
        ),
        (
            TurnConfig { allow_peers: blocks(&["10.0.0.0/8"; 65]), ..open() },
            "turn.allow_peers",
            "at most 64",
        ),
        (
            TurnConfig { allow_peers: blocks(&["10.0.0.0/8", "0.0.0.0/0"]), ..open() },
            "turn.allow_peers",
            "0.0.0.0/0, which would lift all of 0.0.0.0/8",
        ),
    ] {
        let error = turn.validate(listen(LISTEN)).unwrap_err();
        assert_eq!(error.key(), key, "{error}");
        let sentence = error.to_string();
        assert!(sentence.contains(key) && sentence.contains(words), "{sentence}");
    }
    let public = TurnConfig { allow_peers: blocks(&["198.51.100.4", "10.0.0.0/8"]), ..open() };
    assert_eq!(public.validate(listen(LISTEN)), Ok(()), "perhaps an address of its own");
    let error = open().validate(listen("[::]:7840")).unwrap_err();
    assert_eq!(error.key(), "turn.relay");
    assert!(error.to_string().contains("listen = [::]:7840 names no single address"), "{error}");
}

#[test]
fn every_number_of_turn_has_bounds_that_hold_its_default() {
    for (key, default) in TurnConfig::default().numbers() {
        assert!(TurnConfig::bounds(key).unwrap().contains(&default), "{key}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", open());
    assert!(shown.contains("alice") && !shown.contains("sixteen"), "{shown}");
    let keys = open().users[0].line();
    let digits = &keys[keys.len() - 64..];
    assert!(
        !shown.contains(digits)
            && !format!("{:?}", open().for_shards(listen(LISTEN), 1)).contains(digits)
    );
}

#[test]
fn an_external_address_is_one_or_stands_for_one() {
    let read = |text: &str| text.parse::<ExternalIp>();
    let plain = read("203.0.113.7").unwrap();
    assert_eq!((plain.internal, plain.external), (None, ip("203.0.113.7")));
    let pair = read("fd00::5=2001:db8::7").unwrap();
    assert_eq!((pair.internal, pair.external), (Some(ip("fd00::5")), ip("2001:db8::7")));
    for text in [
        "",
        "=",
        "203.0.113.7=",
        "203.0.113.7/10.0.0.5",
        "203.0.113.7:1",
        "a=b",
        "1.1.1.1=2.2.2.2=3.3.3.3",
    ] {
        assert_eq!(read(text), Err(BadExternalIp), "{text}");
    }
}
