//! CreatePermission: whose data a client takes, and for how long (RFC 8656 sections 9 and 10).

use elara_core::stun::Method;
use elara_core::stun::attribute::XOR_PEER_ADDRESS;
use elara_core::turn::{Answer, Config, Refusal, ToClient};

use crate::world::{Client, PEER, World, addr, config, put, silence, told};

const AT: &str = "203.0.113.1:40000";

#[test]
fn a_permission_is_for_an_ip_address_and_both_directions() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Refused(Refusal::NoPermission)));
    assert_eq!(silence(&anna.send(&mut world, PEER, b"x")), Refusal::NoPermission);
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    // Any port of it.
    for peer in [PEER, "198.51.100.7:1", "198.51.100.7:65535"] {
        assert!(matches!(anna.send(&mut world, peer, b"x"), Answer::Relay { .. }), "{peer}");
        let to = world.hears(relayed, peer, 3);
        assert_eq!(told(to, anna.addr, b"abc"), addr(peer));
    }
    let stranger = "198.51.100.8:4000";
    assert!(matches!(world.hears(relayed, stranger, 1), ToClient::Refused(Refusal::NoPermission)));
    assert_eq!(silence(&anna.send(&mut world, stranger, b"x")), Refusal::NoPermission);
}

#[test]
fn it_lasts_five_minutes_and_data_does_not_refresh_it() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    for _ in 0..299 {
        world.skip(1);
        assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Indication { .. }));
        assert!(matches!(anna.send(&mut world, PEER, b"x"), Answer::Relay { .. }));
    }
    world.skip(1);
    // Over, though nobody has swept.
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Refused(Refusal::NoPermission)));
    assert_eq!(silence(&anna.send(&mut world, PEER, b"x")), Refusal::NoPermission);
    assert_eq!(world.server.counts().permissions, 1);
    world.pass(1);
    assert_eq!(world.server.counts().permissions, 0);
}

#[test]
fn asking_again_refreshes_it() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    for _ in 0..3 {
        assert_eq!(anna.permit(&mut world, &[PEER]), 0);
        world.pass(200);
        assert_eq!(anna.refresh(&mut world, 600), 0);
    }
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Indication { .. }));
    assert_eq!(world.server.counts().permissions, 1);
}

#[test]
fn several_peers_are_permitted_in_one_request() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    let peers: Vec<String> = (1..=40).map(|n| format!("198.51.100.{}:{n}", n % 20)).collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    assert_eq!(anna.permit(&mut world, &peers), 0);
    assert_eq!(world.server.counts().permissions, 20);
    for peer in peers {
        assert!(matches!(world.hears(relayed, peer, 1), ToClient::Indication { .. }), "{peer}");
    }
}

/// Section 10.2: all of them or none.
#[test]
fn one_bad_peer_spoils_the_request() {
    let mut world = World::new(Config { permissions_max: 3, ..config() });
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER, "10.0.0.1:1"]), 403);
    assert_eq!(anna.permit(&mut world, &[PEER, "[2001:db8:9::7]:1"]), 443);
    let many = ["198.51.100.1:1", "198.51.100.2:1", "198.51.100.3:1", "198.51.100.4:1"];
    assert_eq!(anna.permit(&mut world, &many), 508);
    let malformed = anna.call(&mut world, Method::CREATE_PERMISSION, |writer| {
        writer.put_address_xor(XOR_PEER_ADDRESS, addr(PEER));
        put(writer, &[(XOR_PEER_ADDRESS, &[0, 1, 2])]);
    });
    assert_eq!(malformed.error, 400);
    assert_eq!(anna.permit(&mut world, &[]), 400);
    assert_eq!(world.server.counts().permissions, 0);
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Refused(Refusal::NoPermission)));
}

#[test]
fn a_full_allocation_still_refreshes_what_it_has() {
    let mut world = World::new(Config { permissions_max: 2, ..config() });
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &["198.51.100.1:1", "198.51.100.2:1"]), 0);
    assert_eq!(anna.permit(&mut world, &["198.51.100.3:1"]), 508);
    assert_eq!(anna.permit(&mut world, &["198.51.100.2:1", "198.51.100.3:1"]), 508);
    assert_eq!(anna.bind(&mut world, 0x4000, "198.51.100.3:1"), 508, "it would need one too");
    assert_eq!(anna.permit(&mut world, &["198.51.100.2:9", "198.51.100.1:9"]), 0);
    // What is over makes room, though nobody has swept.
    world.skip(300);
    assert_eq!(anna.permit(&mut world, &["198.51.100.3:1", "198.51.100.4:1"]), 0);
    assert_eq!(world.server.counts().permissions, 2);
}
