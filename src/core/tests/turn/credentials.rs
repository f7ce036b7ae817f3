//! Who is let in: long-term credentials (RFC 8489 section 9.2), time-limited ones, stale nonces, bidding
//! down.

use elara_core::stun::attribute::{
    MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS,
    REALM, REQUESTED_TRANSPORT, USERHASH, USERNAME,
};
use elara_core::stun::{Algorithm, Method, PasswordAlgorithm, Writer, userhash};
use elara_core::turn::{ChannelRange, Config, SharedSecret, ToPeer};
use ring::hmac;

use crate::world::{BEGINNING_S, Client, PEER, RELAY_V4, Said, UDP, World, config, put, relay};

const AT: &str = "203.0.113.1:40000";
const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

/// The credentials an issuer gives out.
fn issued(at: &str, secret: &str, name: &str) -> Client {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let code = hmac::sign(&key, name.as_bytes());
    Client { password: base64(code.as_ref()), name: name.to_owned(), ..Client::new(at, name) }
}

fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        for at in 0..4 {
            let letter = letters[(u32::from_be_bytes(word) >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

fn with_secrets(secrets: &[&str]) -> World {
    let secrets = secrets.iter().map(|secret| SharedSecret::new(secret.as_bytes())).collect();
    World::new(Config { secrets, users: vec![], relays: vec![relay(RELAY_V4)], ..config() })
}

/// A request whose credentials are written by `write`, and signed.
fn with(
    client: &mut Client,
    world: &mut World,
    write: impl FnOnce(&Client, &mut Writer<'_>),
) -> Said {
    let id = client.next();
    let (key, this) = (client.key(), client.clone());
    let request = client.plain_as(id, Method::ALLOCATE, |writer| {
        put(writer, &[(REQUESTED_TRANSPORT, &UDP)]);
        write(&this, writer);
        writer.sign(&key);
    });
    world.ask(client.addr, &request)
}

#[test]
fn a_challenge_has_realm_nonce_and_algorithms_and_no_word_more() {
    let mut world = World::new(config());
    let mut anna = Client::new(AT, "anna");
    let request = anna.plain(Method::ALLOCATE, |_| {});
    let said = world.ask(anna.addr, &request);
    let kinds: Vec<u16> = said.message().attributes().map(|attribute| attribute.kind).collect();
    assert_eq!(kinds, [0x0009, REALM, NONCE, PASSWORD_ALGORITHMS]);
    assert_eq!(said.message().get(0x0009).unwrap().len(), 4, "no reason phrase");
    assert_eq!(said.message().get(PASSWORD_ALGORITHMS), Some(&OFFERED[..]));
    assert!(said.message().get(NONCE).unwrap().starts_with(b"obMatJos2AAAD"));
    for method in [Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let request = anna.plain(method, |_| {});
        assert_eq!(world.ask(anna.addr, &request).error, 401);
    }
}

/// RFC 8489 section 9.2.4: MESSAGE-INTEGRITY without what it needs is 400, with no word about credentials.
#[test]
fn half_of_the_credentials_is_400() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    for left_out in [USERNAME, REALM, NONCE] {
        let said = with(&mut anna, &mut world, |anna, writer| {
            let all = [(USERNAME, anna.name.as_bytes()), (REALM, b"elara"), (NONCE, &anna.nonce)];
            all.iter().filter(|part| part.0 != left_out).for_each(|part| put(writer, &[*part]));
        });
        assert_eq!(said.error, 400);
        let kinds: Vec<u16> = said.message().attributes().map(|attribute| attribute.kind).collect();
        assert_eq!(kinds, [0x0009], "unsigned, without realm and nonce");
    }
}

#[test]
fn wrong_credentials_are_401_and_challenged_anew() {
    let mut world = World::new(config());
    let anna = Client::greeted(&mut world, AT, "anna");
    for mut wrong in [
        Client { password: "another".into(), ..anna.clone() },
        Client { name: "berta".into(), ..anna.clone() },
        Client { name: "nobody".into(), ..anna.clone() },
        Client { name: String::new(), ..anna.clone() },
        Client { realm: "elsewhere".into(), ..anna.clone() },
        Client { derived_by: PasswordAlgorithm::Sha256, ..anna.clone() },
    ] {
        let said = wrong.allocate(&mut world, &[]);
        assert_eq!(said.error, 401, "{} {}", wrong.name, wrong.realm);
        assert!(said.message().has(NONCE) && said.message().has_integrity().is_none());
    }
    assert_eq!(world.server.counts().allocations, 0);
}

#[test]
fn both_integrities_and_both_password_algorithms_are_understood() {
    for integrity in [Algorithm::Sha1, Algorithm::Sha256] {
        for derived_by in PasswordAlgorithm::ALL {
            let mut world = World::new(config());
            let anna = Client::greeted(&mut world, AT, "anna");
            let mut anna = Client { integrity, derived_by, ..anna };
            let said = with(&mut anna, &mut world, |anna, writer| {
                named(anna, writer);
                writer.put_password_algorithm(derived_by);
                put(writer, &[(PASSWORD_ALGORITHMS, &OFFERED)]);
            });
            assert_eq!(said.error, 0, "{integrity:?} {derived_by:?}");
            assert_eq!(said.message().has_integrity(), Some(integrity), "answered in kind");
            assert!(said.message().verify(&anna.key()));
        }
    }
}

fn named(client: &Client, writer: &mut Writer<'_>) {
    let credentials = [
        (USERNAME, client.name.as_bytes()),
        (REALM, client.realm.as_bytes()),
        (NONCE, &client.nonce),
    ];
    put(writer, &credentials);
}

/// RFC 8489 section 9.2.1: somebody between takes the better algorithm out of the challenge.
#[test]
fn bidding_down_is_noticed() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    // The client was offered MD5 alone, and repeats that.
    for offered in [&[0, 1, 0, 0][..], &[0, 1, 0, 0, 0, 2, 0, 0], &[], &[0, 2, 0, 0, 0, 1, 0]] {
        let said = with(&mut anna, &mut world, |anna, writer| {
            named(anna, writer);
            writer.put_password_algorithm(PasswordAlgorithm::Md5);
            put(writer, &[(PASSWORD_ALGORITHMS, offered)]);
        });
        assert_eq!(said.error, 400, "{offered:?}");
    }
    // One of the two alone, or a choice that was not offered.
    for attributes in [
        &[(PASSWORD_ALGORITHM, &[0, 1, 0, 0][..])][..],
        &[(PASSWORD_ALGORITHMS, &OFFERED)],
        &[(PASSWORD_ALGORITHM, &[0, 3, 0, 0]), (PASSWORD_ALGORITHMS, &OFFERED)],
    ] {
        let said = with(&mut anna, &mut world, |anna, writer| {
            named(anna, writer);
            put(writer, attributes);
        });
        assert_eq!(said.error, 400, "{attributes:?}");
    }
    // The bit that says there are algorithms was taken out of the nonce too: then it is not ours.
    let mut bid_down = anna.clone();
    bid_down.nonce[12] = b'A';
    assert_eq!(bid_down.allocate(&mut world, &[]).error, 438);
    assert_eq!(
        anna.allocate(&mut world, &[]).error,
        0,
        "who never heard of algorithms may use MD5"
    );
}

#[test]
fn a_nonce_is_stale_after_an_hour_and_the_next_one_comes_with_the_news() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    world.pass(3_601);
    let said = anna.allocate(&mut world, &[]);
    assert_eq!(said.error, 438);
    assert!(said.message().has(PASSWORD_ALGORITHMS));
    anna.learn(&said);
    assert_eq!(anna.allocate(&mut world, &[]).error, 0);
}

#[test]
fn a_nonce_is_good_where_it_was_sent_and_nowhere_else() {
    let mut world = World::new(config());
    let anna = Client::greeted(&mut world, AT, "anna");
    let mut moved = Client { addr: Client::new("203.0.113.9:1", "anna").addr, ..anna };
    assert_eq!(moved.allocate(&mut world, &[]).error, 438);
}

#[test]
fn a_user_may_hide_its_name_where_all_names_are_known() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.nonce[12], b'D', "offered");
    let said = with(&mut anna, &mut world, |anna, writer| {
        put(
            writer,
            &[(USERHASH, &userhash("anna", "elara")), (REALM, b"elara"), (NONCE, &anna.nonce)],
        );
    });
    assert_eq!(said.error, 0);
    // By either name it is the same user.
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    let mut world = with_secrets(&["north"]);
    let client = Client::greeted(&mut world, AT, "anna");
    assert_eq!(client.nonce[12], b'B', "not offered where names are made up by issuers");
}

#[test]
fn what_an_issuer_gave_out_is_good_until_it_ends() {
    let mut world = with_secrets(&["north"]);
    let name = format!("{}:anna", BEGINNING_S + 1_000);
    let mut anna = issued(AT, "north", &name);
    anna.greet(&mut world);
    assert_eq!(anna.allocate(&mut world, &[]).error, 0);
    world.pass(500);
    assert_eq!(anna.refresh(&mut world, 600), 0);
    world.pass(500);
    // Expired: it is used to its end, and lasts no longer.
    assert_eq!(anna.refresh(&mut world, 600), 401);
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(anna.refresh(&mut world, 0), 0, "and may be given back");
    assert_eq!(anna.allocate(&mut world, &[]).error, 401);
    assert_eq!(world.server.counts().allocations, 0);
}

#[test]
fn secrets_are_rotated_without_a_gap() {
    let mut world = with_secrets(&["new", "old"]);
    let name = format!("{}:anna", BEGINNING_S + 1_000);
    for (n, (secret, error)) in [("new", 0), ("old", 0), ("older", 401)].into_iter().enumerate() {
        let mut anna = issued(&format!("203.0.113.1:{}", n + 1), secret, &name);
        anna.greet(&mut world);
        assert_eq!(anna.allocate(&mut world, &[]).error, error, "{secret}");
    }
}

#[test]
fn credentials_of_another_hour_are_the_same_user_and_another_key() {
    let mut world = with_secrets(&["north"]);
    let names = [1, 2].map(|n| format!("{}:anna", BEGINNING_S + n * 3_000));
    let mut early = issued(AT, "north", &names[0]);
    early.greet(&mut world);
    assert_eq!(early.allocate(&mut world, &[]).error, 0);
    let mut late = Client {
        nonce: early.nonce.clone(),
        realm: early.realm.clone(),
        ..issued(AT, "north", &names[1])
    };
    assert_eq!(late.refresh(&mut world, 600), 441);
    // The quota is the user's.
    let mut world = World::new(Config {
        secrets: vec![SharedSecret::new(b"north")],
        allocations_per_user: 1,
        ..config()
    });
    for (n, error) in [(0, 0), (1, 486)] {
        let mut anna = issued(&format!("203.0.113.1:{}", n + 1), "north", &names[n]);
        anna.greet(&mut world);
        assert_eq!(anna.allocate(&mut world, &[]).error, error);
    }
}

#[test]
fn a_reload_changes_who_is_let_in_and_keeps_what_is_there() {
    let secrets = |secrets: &[&str]| Config {
        secrets: secrets.iter().map(|secret| SharedSecret::new(secret.as_bytes())).collect(),
        users: vec![],
        relays: vec![relay(RELAY_V4)],
        ..config()
    };
    let mut world = World::new(secrets(&["old"]));
    let name = format!("{}:anna", BEGINNING_S + 10_000);
    let mut anna = issued(AT, "old", &name);
    anna.greet(&mut world);
    let relayed = anna.allocate(&mut world, &[]).relayed();
    world.reload(&secrets(&["new", "old"]));
    assert_eq!(anna.refresh(&mut world, 600), 0);
    let mut berta = issued("203.0.113.2:1", "new", &name.replace("anna", "berta"));
    berta.greet(&mut world);
    assert_eq!(berta.allocate(&mut world, &[]).error, 0);
    // Later the old secret is forgotten, fewer channels are allowed, and what is asked of tables that are
    // there changes nothing.
    let config = Config {
        ports: 2_000..=2_001,
        allocations_max: 1,
        channels_max: 1,
        channel_range: ChannelRange::Rfc5766,
        ..secrets(&["new"])
    };
    world.reload(&config);
    assert_eq!(anna.refresh(&mut world, 600), 401);
    world.socket_at(relayed);
    assert_eq!(berta.refresh(&mut world, 600), 0);
    let mut carla = issued("203.0.113.3:1", "new", &name.replace("anna", "carla"));
    carla.greet(&mut world);
    assert!(carla.allocate(&mut world, &[]).relayed().port() >= 49_152);
    assert_eq!(carla.bind(&mut world, 0x5000, PEER), 400);
    assert_eq!(carla.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(carla.bind(&mut world, 0x4001, "198.51.100.8:4000"), 508);
    assert_eq!(anna.refresh(&mut world, 0), 401);
}

#[test]
fn a_server_without_credentials_lets_nobody_in() {
    let mut world = World::new(Config { users: vec![], ..config() });
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.allocate(&mut world, &[]).error, 401);
}

/// RFC 8489 section 14.6: where both are there, the SHA-256 counts; what stands behind is not seen.
#[test]
fn of_two_integrities_the_better_one_counts() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    anna.integrity = Algorithm::Sha256;
    let said = with(&mut anna, &mut world, |anna, writer| {
        named(anna, writer);
        put(writer, &[(MESSAGE_INTEGRITY, &[0; 20])]);
    });
    assert_eq!(said.error, 0, "the SHA-1 is wrong and does not matter");
    let mut berta = Client::greeted(&mut world, "203.0.113.2:1", "berta");
    berta.integrity = Algorithm::Sha1;
    let id = berta.next();
    let (key, this) = (berta.key(), berta.clone());
    let request = berta.plain_as(id, Method::ALLOCATE, |writer| {
        put(writer, &[(REQUESTED_TRANSPORT, &UDP)]);
        named(&this, writer);
        writer.sign(&key);
        put(writer, &[(MESSAGE_INTEGRITY_SHA256, &[0; 32])]);
    });
    assert_eq!(world.ask(berta.addr, &request).error, 401);
}

/// What is there may be refreshed, however little may be added.
#[test]
fn a_reload_of_fewer_permissions_cuts_nobody_off() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    let others = ["198.51.100.8:4000", "198.51.100.9:4000"];
    assert_eq!(anna.permit(&mut world, &others), 0);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    world.reload(&Config { permissions_max: 1, channels_max: 1, ..config() });
    assert_eq!(anna.permit(&mut world, &others), 0);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(anna.permit(&mut world, &["198.51.100.10:4000"]), 508);
}

#[test]
fn a_reload_takes_back_peers_that_are_no_longer_allowed() {
    let allowing = |blocks: &[&str]| Config {
        allow_peers: blocks.iter().map(|block| block.parse().unwrap()).collect(),
        ..config()
    };
    let (inside, port) = ("10.1.1.1:22", format!("{RELAY_V4}:22"));
    let own = format!("{RELAY_V4}/32");
    let mut world = World::new(allowing(&["10.0.0.0/8", &own]));
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    for (number, peer) in [(0x4000, inside), (0x4001, &port), (0x4002, PEER)] {
        assert_eq!(anna.bind(&mut world, number, peer), 0, "{peer}");
    }
    world.reload(&allowing(&["192.168.0.0/16"]));
    let counts = world.server.counts();
    assert_eq!((counts.permissions, counts.channels), (2, 1), "its own address may be relayed to");
    for (number, stays) in [(0x4000, false), (0x4001, false), (0x4002, true)] {
        let to = world.on_channel(anna.addr, number, b"x");
        assert_eq!(matches!(to, ToPeer::Via { .. }), stays, "{number:x}: {to:?}");
    }
    assert_eq!(anna.bind(&mut world, 0x4000, inside), 403);
    assert_eq!(anna.bind(&mut world, 0x4001, &port), 403);
}

#[test]
fn another_rate_begins_at_once() {
    let at = |bytes_per_second| Config { bytes_per_second, ..config() };
    let mut world = World::new(at(Some(1_000)));
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    let passes = |world: &mut World| {
        matches!(world.on_channel(anna.addr, 0x4000, &[0; 60_000]), ToPeer::Via { .. })
    };
    assert!(passes(&mut world) && !passes(&mut world));
    world.reload(&at(None));
    assert!(passes(&mut world) && passes(&mut world));
}
