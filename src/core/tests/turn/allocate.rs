//! Allocate: the checks of RFC 8656 section 7.2 in their order, and what is given when all of them pass.

use elara_core::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, DONT_FRAGMENT, EVEN_PORT, LIFETIME, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN, XOR_MAPPED_ADDRESS,
};
use elara_core::stun::{Method, Writer};
use elara_core::turn::{Config, Refusal, ToClient};

use crate::world::{Client, PEER, RELAY_V4, UDP, V4, V6, World, client_addr, config, put, relay};

const AT: &str = "203.0.113.1:40000";

/// What fails every check from the `from`th on: the first one that looks says so.
fn failing(from: u32) -> impl FnOnce(&mut Writer<'_>) {
    move |writer| {
        match from {
            ..=3 => {}
            4 => put(writer, &[(REQUESTED_TRANSPORT, &[6, 0, 0, 0])]),
            _ => put(writer, &[(REQUESTED_TRANSPORT, &UDP)]),
        }
        for (last, kind, value) in [
            (5, DONT_FRAGMENT, &[][..]),
            (6, RESERVATION_TOKEN, &[9; 8]),
            (7, REQUESTED_ADDRESS_FAMILY, &V6),
            (9, EVEN_PORT, &[0x80]),
            (10, ADDITIONAL_ADDRESS_FAMILY, &V4),
        ] {
            if from <= last {
                put(writer, &[(kind, value)]);
            }
        }
    }
}

/// RFC 8656 section 7.2: the checks are made in the order they stand. Each request here fails all that come
/// after the one that refuses it.
#[test]
fn section_7_2_the_first_check_that_fails_is_the_one_that_answers() {
    let config = Config { dont_fragment: false, relays: vec![relay(RELAY_V4)], ..config() };
    let mut world = World::new(config);
    let mut anna = Client::new(AT, "anna");
    // Check 1: credentials.
    let request = anna.plain(Method::ALLOCATE, failing(1));
    let challenge = world.ask(anna.addr, &request);
    assert_eq!(challenge.error, 401);
    anna.learn(&challenge);
    // Check 3: REQUESTED-TRANSPORT is missing, or of another protocol.
    assert_eq!(error(&mut anna, &mut world, 3), 400);
    assert_eq!(error(&mut anna, &mut world, 4), 442);
    // Check 4: DONT-FRAGMENT, where nothing can be sent with the DF bit.
    assert_eq!(error(&mut anna, &mut world, 5), 420);
    // Check 5: RESERVATION-TOKEN beside what it excludes.
    assert_eq!(error(&mut anna, &mut world, 6), 400);
    // Check 6: both families' attributes.
    assert_eq!(error(&mut anna, &mut world, 7), 400);
    // Check 8: a reservation for two families.
    assert_eq!(error(&mut anna, &mut world, 9), 400);
    // Check 9: IPv4 in addition.
    assert_eq!(error(&mut anna, &mut world, 10), 400);
    // Check 2: the 5-tuple is in use.
    assert_eq!(anna.allocate(&mut world, &[]).error, 0);
    assert_eq!(error(&mut anna, &mut world, 3), 437);
    assert_eq!(world.server.counts().allocations, 1);
}

fn error(client: &mut Client, world: &mut World, from: u32) -> u16 {
    client.call(world, Method::ALLOCATE, failing(from)).error
}

#[test]
fn section_7_2_check_2_a_used_5_tuple_is_437_and_the_same_request_is_answered_the_same() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let lifetime = 900_u32.to_be_bytes();
    let request = anna.signed(Method::ALLOCATE, |writer| {
        put(writer, &[(REQUESTED_TRANSPORT, &UDP), (EVEN_PORT, &[0x80]), (LIFETIME, &lifetime)]);
    });
    let said = world.ask(anna.addr, &request);
    assert_eq!(said.error, 0);
    world.pass(35);
    let again = world.ask(anna.addr, &request);
    assert_eq!(again, said, "RFC 8656 section 5: byte for byte");
    assert_eq!(anna.allocate(&mut world, &[]).error, 437);
    // The same words of somebody else are not the same request.
    let mut berta =
        Client { addr: anna.addr, nonce: anna.nonce.clone(), ..Client::new(AT, "berta") };
    berta.realm = anna.realm.clone();
    let id = said.message().transaction();
    let request = berta.signed_as(id, Method::ALLOCATE, |writer| {
        put(writer, &[(REQUESTED_TRANSPORT, &UDP)]);
    });
    assert_eq!(world.ask(berta.addr, &request).error, 437);
    assert_eq!(world.server.counts().allocations, 1);
}

#[test]
fn section_7_2_check_3_the_transport_is_udp() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let mut asked = |value: &[u8]| {
        let write = |writer: &mut Writer<'_>| put(writer, &[(REQUESTED_TRANSPORT, value)]);
        anna.call(&mut world, Method::ALLOCATE, write).error
    };
    assert_eq!(asked(&[6, 0, 0, 0]), 442, "TCP");
    assert_eq!(asked(&[0, 0, 0, 0]), 442);
    assert_eq!(asked(&[17]), 400, "cut short");
    assert_eq!(asked(&[17, 0, 0, 0, 0]), 400);
    assert_eq!(asked(&[17, 1, 2, 3]), 0, "reserved bits are ignored");
}

#[test]
fn section_7_2_check_4_dont_fragment_is_understood_where_it_can_be_obeyed() {
    for (can, error) in [(true, 0), (false, 420)] {
        let mut world = World::new(Config { dont_fragment: can, ..config() });
        let mut anna = Client::greeted(&mut world, AT, "anna");
        let said = anna.allocate(&mut world, &[(DONT_FRAGMENT, &[])]);
        assert_eq!(said.error, error);
        let unknown: Vec<u16> = said.message().unknown_attributes().collect();
        assert_eq!(unknown, if can { vec![] } else { vec![DONT_FRAGMENT] });
    }
}

/// Section 3.7: where IPv4 becomes IPv6 nobody sees whether what came had the DF bit.
#[test]
fn section_7_2_check_4_dont_fragment_is_not_had_from_ipv4_into_ipv6() {
    let fragment = (DONT_FRAGMENT, &[][..]);
    for (at, family, error) in [
        ("203.0.113.1:40000", (REQUESTED_ADDRESS_FAMILY, &V6[..]), 420),
        ("203.0.113.1:40000", (ADDITIONAL_ADDRESS_FAMILY, &V6[..]), 420),
        ("203.0.113.1:40000", (REQUESTED_ADDRESS_FAMILY, &V4[..]), 0),
        ("[2001:db8:7::1]:40000", (REQUESTED_ADDRESS_FAMILY, &V6[..]), 0),
        ("[2001:db8:7::1]:40000", (ADDITIONAL_ADDRESS_FAMILY, &V6[..]), 0),
    ] {
        let mut world = World::new(config());
        let mut anna = Client::greeted(&mut world, at, "anna");
        assert_eq!(anna.allocate(&mut world, &[fragment, family]).error, error, "{at}, {family:?}");
    }
}

#[test]
fn section_7_2_check_5_a_token_is_a_reservation_that_waits() {
    let mut world = World::new(config());
    let (mut anna, even, token) = with_reservation(&mut world);
    for (kind, value) in
        [(EVEN_PORT, &[0][..]), (REQUESTED_ADDRESS_FAMILY, &V4), (ADDITIONAL_ADDRESS_FAMILY, &V6)]
    {
        let mut second = Client { addr: client_addr("203.0.113.1:40001"), ..anna.clone() };
        second.greet(&mut world);
        let said = second.allocate(&mut world, &[(RESERVATION_TOKEN, &token), (kind, value)]);
        assert_eq!(said.error, 400, "{kind:04x}");
    }
    let mut second = Client::greeted(&mut world, "203.0.113.1:40001", "anna");
    let mut with =
        |world: &mut World, token: &[u8]| second.allocate(world, &[(RESERVATION_TOKEN, token)]);
    assert_eq!(with(&mut world, &token[..7]).error, 400);
    assert_eq!(with(&mut world, &[0; 8]).error, 508, "unknown");
    let said = with(&mut world, &token);
    assert_eq!(said.relayed().port(), even + 1);
    assert_eq!(said.message().get(RESERVATION_TOKEN), None);
    // Taken once.
    let mut third = Client::greeted(&mut world, "203.0.113.1:40002", "anna");
    let said = third.allocate(&mut world, &[(RESERVATION_TOKEN, &token)]);
    assert_eq!(said.error, 508);
    assert_eq!(anna.refresh(&mut world, 0), 0);
}

#[test]
fn a_reservation_lasts_thirty_seconds_and_is_its_users_own() {
    let mut world = World::new(config());
    let (_, even, token) = with_reservation(&mut world);
    let claim = |world: &mut World, name: &str, at: &str| {
        let mut client = Client::greeted(world, at, name);
        client.allocate(world, &[(RESERVATION_TOKEN, &token)]).error
    };
    world.pass(29);
    assert_eq!(claim(&mut world, "berta", "203.0.113.2:1"), 508, "a token is no one else's");
    let other: std::net::SocketAddr = format!("{RELAY_V4}:{}", even + 1).parse().unwrap();
    world.socket_at(other);
    assert_eq!(world.server.counts().reservations, 1);
    world.skip(1);
    assert_eq!(claim(&mut world, "anna", "203.0.113.1:2"), 508, "over, though nobody has looked");
    world.pass(1);
    assert_eq!(world.server.counts().reservations, 0);
    assert_eq!(world.kernel.open.len(), 1, "and closed");
}

/// Anna's client, its even port, and the token for the next one.
fn with_reservation(world: &mut World) -> (Client, u16, [u8; 8]) {
    let mut anna = Client::greeted(world, AT, "anna");
    let said = anna.allocate(world, &[(EVEN_PORT, &[0x80])]);
    let even = said.relayed().port();
    assert!(even.is_multiple_of(2));
    let token = said.message().array(RESERVATION_TOKEN).unwrap().unwrap();
    (anna, even, token)
}

#[test]
fn section_7_2_check_8_a_pair_of_ports_is_had_or_508() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    // Every second port is somebody else's: there are even ports, and no pairs.
    world.kernel.taken = (49_152..=65_535)
        .filter(|port| port % 2 == 1)
        .map(|port| format!("{RELAY_V4}:{port}").parse().unwrap())
        .collect();
    assert_eq!(anna.allocate(&mut world, &[(EVEN_PORT, &[0x80])]).error, 508);
    assert_eq!(world.kernel.open.len(), 0, "the even half is given back");
    let said = anna.allocate(&mut world, &[(EVEN_PORT, &[0])]);
    assert!(said.relayed().port().is_multiple_of(2));
    assert_eq!(said.message().get(RESERVATION_TOKEN), None);
    let malformed = Client::greeted(&mut world, "203.0.113.1:2", "anna")
        .allocate(&mut world, &[(EVEN_PORT, &[0, 0])]);
    assert_eq!(malformed.error, 400);
}

#[test]
fn section_7_2_check_10_a_quota_is_a_users_not_an_addresss() {
    let mut world = World::new(Config { allocations_per_user: 2, ..config() });
    let (mut first, _) = Client::allocated(&mut world, "203.0.113.1:1", "anna");
    Client::allocated(&mut world, "203.0.113.2:1", "anna");
    let mut third = Client::greeted(&mut world, "203.0.113.3:1", "anna");
    assert_eq!(third.allocate(&mut world, &[]).error, 486);
    Client::allocated(&mut world, "203.0.113.1:2", "berta");
    assert_eq!(first.refresh(&mut world, 0), 0);
    assert_eq!(third.allocate(&mut world, &[]).error, 0, "what is given back can be had again");
}

#[test]
fn a_full_server_is_508() {
    let mut world = World::new(Config { allocations_max: 2, ..config() });
    Client::allocated(&mut world, "203.0.113.1:1", "anna");
    Client::allocated(&mut world, "203.0.113.2:1", "berta");
    let mut carla = Client::greeted(&mut world, "203.0.113.3:1", "carla");
    assert_eq!(carla.allocate(&mut world, &[]).error, 508);
    assert_eq!(world.kernel.open.len(), 2, "nothing was opened for her");
    world.pass(601);
    assert_eq!(carla.allocate(&mut world, &[]).error, 0);
}

#[test]
fn no_socket_is_508_and_no_port_costs_no_more_than_a_few_tries() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    world.kernel.most = Some(0);
    assert_eq!(anna.allocate(&mut world, &[]).error, 508);
    assert_eq!(world.kernel.asked, 1, "another port would not help");
    world.kernel.most = None;
    world.kernel.only = [1].into();
    assert_eq!(anna.allocate(&mut world, &[]).error, 508);
    assert!(world.kernel.asked <= 1 + 16);
    assert_eq!(world.server.counts().allocations, 0);
}

#[test]
fn what_is_given_is_a_random_port_a_lifetime_and_the_clients_address() {
    let mut world = World::new(config());
    let mut seen = std::collections::BTreeSet::new();
    for n in 1..=60 {
        let mut anna = Client::greeted(&mut world, &format!("203.0.113.1:{n}"), "anna");
        let said = anna.allocate(&mut world, &[]);
        let relayed = said.relayed();
        assert_eq!(relayed.ip().to_string(), RELAY_V4);
        assert!(relayed.port() >= 49_152);
        assert_eq!(said.lifetime(), 600);
        assert_eq!(said.message().address(XOR_MAPPED_ADDRESS), Some(Ok(anna.addr.into())));
        seen.insert(relayed.port());
    }
    assert_eq!(seen.len(), 60);
    let steps = seen.iter().zip(seen.iter().skip(1)).map(|(a, b)| b - a);
    assert!(steps.max().unwrap() > 100, "all over the range");
}

/// Section 7.2: no less than the default, no more than the most.
#[test]
fn a_lifetime_is_what_is_asked_for_within_bounds() {
    for (asked, granted) in
        [(0_u32, 600), (1, 600), (600, 600), (601, 601), (3_600, 3_600), (u32::MAX, 3_600)]
    {
        let mut world = World::new(config());
        let mut anna = Client::greeted(&mut world, AT, "anna");
        let said = anna.allocate(&mut world, &[(LIFETIME, &asked.to_be_bytes())]);
        assert_eq!(said.lifetime(), granted, "asked for {asked}");
        world.pass(u64::from(granted) - 1);
        assert_eq!(world.server.counts().allocations, 1);
        world.pass(1);
        assert_eq!(world.server.counts().allocations, 0);
    }
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let said = anna.allocate(&mut world, &[(LIFETIME, &[0; 3])]);
    assert_eq!(said.error, 400);
}

#[test]
fn the_address_that_is_told_is_the_one_outside() {
    let mut inside = relay("10.0.0.5");
    inside.external = Some("198.51.100.5".parse().unwrap());
    let mut world = World::new(Config { relays: vec![inside], ..config() });
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(relayed.ip().to_string(), "198.51.100.5");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    let bound = format!("10.0.0.5:{}", relayed.port()).parse().unwrap();
    assert!(matches!(world.hears(bound, PEER, 10), ToClient::Indication { .. }));
}

#[test]
fn an_unknown_attribute_that_must_be_understood_is_420_signed_and_named() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let said = anna.allocate(&mut world, &[(0x7777, &[1]), (0xC057, &[2])]);
    assert_eq!(said.error, 420);
    assert_eq!(said.message().unknown_attributes().collect::<Vec<_>>(), [0x7777]);
}

#[test]
fn an_ended_allocation_leaves_its_5_tuple_free_at_once() {
    let mut world = World::new(config());
    let (mut anna, before) = Client::allocated(&mut world, AT, "anna");
    world.skip(600);
    assert!(matches!(world.hears(before, PEER, 1), ToClient::Refused(Refusal::NoAllocation)));
    let after = anna.allocate(&mut world, &[]).relayed();
    assert_ne!(before, after);
    assert_eq!(world.kernel.open.len(), 1, "though nobody had ended the first one");
}
