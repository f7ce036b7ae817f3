//! IPv4, IPv6, and both at once (RFC 8656 sections 7.2, 8.2, 9, 18.12; RFC 6156 before it).

use elara_core::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, LIFETIME, REQUESTED_ADDRESS_FAMILY,
};
use elara_core::turn::{Answer, Config, Refusal, ToClient};

use crate::world::{
    Client, PEER, PEER_V6, RELAY_V4, RELAY_V6, V4, V6, World, client_addr, config, relay, silence,
    told,
};

const AT: &str = "203.0.113.1:40000";

fn only(ip: &str) -> World {
    World::new(Config { relays: vec![relay(ip)], ..config() })
}

/// Section 7.2, check 7.
#[test]
fn a_family_that_is_not_served_is_440() {
    for (relay, family, error) in [
        (RELAY_V4, None, 0),
        (RELAY_V4, Some(V4), 0),
        (RELAY_V4, Some(V6), 440),
        (RELAY_V6, Some(V6), 0),
        (RELAY_V6, Some(V4), 440),
        (RELAY_V6, None, 440),
        (RELAY_V4, Some([3, 0, 0, 0]), 440),
        (RELAY_V4, Some([0, 0, 0, 0]), 440),
    ] {
        let mut world = only(relay);
        let mut anna = Client::greeted(&mut world, AT, "anna");
        let wanted: Vec<(u16, &[u8])> =
            family.iter().map(|family| (REQUESTED_ADDRESS_FAMILY, &family[..])).collect();
        let said = anna.allocate(&mut world, &wanted);
        assert_eq!(said.error, error, "{relay} {family:?}");
        if error == 0 {
            assert_eq!(said.relayed().ip().to_string(), relay);
        }
    }
    let mut world = only(RELAY_V4);
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.allocate(&mut world, &[(REQUESTED_ADDRESS_FAMILY, &[1])]).error, 400);
}

#[test]
fn both_families_are_one_allocation_with_two_addresses() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let said = anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]);
    let relayed = said.relayed_all();
    assert_eq!(
        relayed.iter().map(|addr| addr.ip().to_string()).collect::<Vec<_>>(),
        [RELAY_V4, RELAY_V6]
    );
    assert_eq!(said.message().get(ADDRESS_ERROR_CODE), None);
    assert_eq!(world.server.counts().allocations, 1);
    assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 0);
    for (relayed, peer) in [(relayed[0], PEER), (relayed[1], PEER_V6)] {
        let to = world.hears(relayed, peer, 3);
        assert_eq!(told(to, anna.addr, b"abc").to_string(), peer);
    }
    for (relayed, peer) in [(relayed[0], PEER), (relayed[1], PEER_V6)] {
        let answer = anna.send(&mut world, peer, b"x");
        let Answer::Relay { socket, to, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((socket, to), (world.socket_at(relayed), client_addr(peer)));
    }
}

/// Section 18.12: one of two is a success, and ADDRESS-ERROR-CODE says why it is one.
#[test]
fn one_address_of_two_comes_with_the_reason() {
    let mut world = only(RELAY_V4);
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let said = anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]);
    assert_eq!(said.relayed_all().len(), 1);
    assert_eq!(said.message().get(ADDRESS_ERROR_CODE), Some(&[2, 0, 4, 40][..]));

    // One socket is left.
    let mut world = World::new(config());
    world.kernel.most = Some(1);
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let said = anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]);
    assert_eq!((said.error, said.relayed_all().len()), (0, 1));
    assert_eq!(said.message().get(ADDRESS_ERROR_CODE), Some(&[2, 0, 5, 8][..]));

    // No port of IPv4 is left.
    let mut world = World::new(config());
    world.kernel.taken =
        (49_152..=65_535).map(|port| format!("{RELAY_V4}:{port}").parse().unwrap()).collect();
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let said = anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]);
    assert_eq!(said.relayed().ip().to_string(), RELAY_V6);
    assert_eq!(said.message().get(ADDRESS_ERROR_CODE), Some(&[1, 0, 5, 8][..]));

    // None at all.
    let mut world = World::new(config());
    world.kernel.most = Some(0);
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]).error, 508);
}

/// Section 7.2, checks 6 and 9.
#[test]
fn the_additional_family_is_ipv6_and_stands_alone() {
    for (more, error) in [
        (&[(ADDITIONAL_ADDRESS_FAMILY, &V4[..])][..], 400),
        (&[(ADDITIONAL_ADDRESS_FAMILY, &[7, 0, 0, 0])], 400),
        (&[(ADDITIONAL_ADDRESS_FAMILY, &[2])], 400),
        (&[(ADDITIONAL_ADDRESS_FAMILY, &V6), (REQUESTED_ADDRESS_FAMILY, &V4)], 400),
        (&[(ADDITIONAL_ADDRESS_FAMILY, &V6), (REQUESTED_ADDRESS_FAMILY, &V6)], 400),
        (&[(ADDITIONAL_ADDRESS_FAMILY, &V6)], 0),
    ] {
        let mut world = World::new(config());
        let mut anna = Client::greeted(&mut world, AT, "anna");
        assert_eq!(anna.allocate(&mut world, more).error, error, "{more:?}");
    }
}

/// Section 8.2: a Refresh is about the family it names, or about both; another family is 443.
#[test]
fn each_family_lasts_on_its_own() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let relayed = anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]).relayed_all();
    assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 0);
    world.pass(400);
    let said = anna.refreshed(&mut world, &[(REQUESTED_ADDRESS_FAMILY, &V6)]);
    assert_eq!(said.lifetime(), 600);
    assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 0);
    world.pass(200);
    assert_eq!(world.kernel.open.values().collect::<Vec<_>>(), [&relayed[1]], "IPv4 is over");
    assert_eq!(anna.permit(&mut world, &[PEER]), 443);
    assert_eq!(silence(&anna.send(&mut world, PEER, b"x")), Refusal::NoAllocation);
    assert!(matches!(world.hears(relayed[1], PEER_V6, 1), ToClient::Indication { .. }));
    assert_eq!(anna.refreshed(&mut world, &[(REQUESTED_ADDRESS_FAMILY, &V4)]).error, 443);
    let end = [(REQUESTED_ADDRESS_FAMILY, &V6[..]), (LIFETIME, &[0; 4])];
    assert_eq!(anna.refreshed(&mut world, &end).lifetime(), 0);
    assert_eq!((world.kernel.open.len(), world.server.counts().allocations), (0, 0));
}

#[test]
fn one_family_can_be_given_back_and_the_other_kept() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let relayed = anna.allocate(&mut world, &[(ADDITIONAL_ADDRESS_FAMILY, &V6)]).relayed_all();
    let end = [(REQUESTED_ADDRESS_FAMILY, &V6[..]), (LIFETIME, &[0; 4])];
    assert_eq!(anna.refreshed(&mut world, &end).lifetime(), 0);
    assert_eq!(world.kernel.open.values().collect::<Vec<_>>(), [&relayed[0]]);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER_V6), 443);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(anna.refreshed(&mut world, &[(REQUESTED_ADDRESS_FAMILY, &[1])]).error, 400);
    assert_eq!(anna.refreshed(&mut world, &[(REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0])]).error, 443);
}

/// Sections 9, 10.2 and 12.2: a peer of another family than the relayed address is 443.
#[test]
fn peers_are_of_the_relayed_addresss_family() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER_V6]), 443);
    assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 443);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER_V6), 443);
    assert_eq!(world.server.counts().permissions, 0);
    // IPv4 in an IPv6 coat is IPv4.
    assert_eq!(anna.permit_literally(&mut world, "[::ffff:198.51.100.7]:4000"), 0);
    assert!(matches!(anna.send(&mut world, PEER, b"x"), Answer::Relay { .. }));
}
