//! Data that is not on a channel, data for other clients of the same server, what ICMP says, and how fast.

use elara_core::limits::{STUN_MESSAGE_MAX, TURN_DATA_HEAD_MAX};
use elara_core::stun::attribute::{
    DATA, DONT_FRAGMENT, ICMP, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS,
};
use elara_core::stun::{Class, Icmp, Message, Method};
use elara_core::turn::{Answer, Config, Refusal, Relay, Socket, ToClient, ToPeer};

use crate::world::{
    Client, PEER, PEER_V6, RELAY_V6, World, addr, client_addr, config, put, relay, silence, told,
};

const AT: &str = "203.0.113.1:40000";
const BERTA: &str = "203.0.113.2:40000";

#[test]
fn a_send_indication_is_relayed_and_never_answered() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    for data in [&b""[..], b"x", &[0x40; 1_200], b"\0\x01\0\0\x21\x12\xA4\x42"] {
        let answer = anna.send(&mut world, PEER, data);
        let Answer::Relay { socket, to, dont_fragment, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((socket, to), (world.socket_at(relayed), client_addr(PEER)));
        assert!(!dont_fragment);
    }
}

/// RFC 8656 section 11.2: what lacks something, or says something that is not understood, is dropped.
#[test]
fn half_an_indication_goes_nowhere() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    let mut sent = |attributes: &[(u16, &[u8])], with_peer: bool| {
        let bytes = anna.indication(|writer| {
            if with_peer {
                writer.put_address_xor(XOR_PEER_ADDRESS, addr(PEER));
            }
            put(writer, attributes);
        });
        silence(&world.hand(anna.addr, &bytes))
    };
    assert_eq!(sent(&[], true), Refusal::Malformed, "no data");
    assert_eq!(sent(&[(DATA, b"x")], false), Refusal::Malformed, "no peer");
    assert_eq!(sent(&[(XOR_PEER_ADDRESS, &[0, 1, 0]), (DATA, b"x")], false), Refusal::Malformed);
    assert_eq!(sent(&[(DATA, b"x"), (0x7777, b"")], true), Refusal::Unknown);
    let stranger = client_addr("203.0.113.3:1");
    let bytes = anna.indication(|writer| {
        writer.put_address_xor(XOR_PEER_ADDRESS, addr(PEER)).put(DATA, b"x");
    });
    assert_eq!(silence(&world.hand(stranger, &bytes)), Refusal::NoAllocation);
}

/// Section 11.2 and 14: the DF bit, where it can be set.
#[test]
fn dont_fragment_is_obeyed_or_the_data_dropped() {
    for can in [true, false] {
        let mut world = World::new(Config { dont_fragment: can, ..config() });
        let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
        assert_eq!(anna.permit(&mut world, &[PEER]), 0);
        let bytes = anna.indication(|writer| {
            writer
                .put_address_xor(XOR_PEER_ADDRESS, addr(PEER))
                .put(DONT_FRAGMENT, &[])
                .put(DATA, b"x");
        });
        let answer = world.hand(anna.addr, &bytes);
        match answer {
            Answer::Relay { dont_fragment: true, .. } => assert!(can),
            answer => assert_eq!((can, silence(&answer)), (false, Refusal::Unknown)),
        }
    }
}

/// Section 13: into and within IPv6 it is ignored.
#[test]
fn dont_fragment_is_ignored_where_there_is_ipv6() {
    for at in [AT, "[2001:db8:7::1]:40000"] {
        let mut world = World::new(config());
        let mut anna = Client::greeted(&mut world, at, "anna");
        assert_eq!(anna.allocate(&mut world, &[(0x8000, &[2, 0, 0, 0])]).error, 0);
        assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 0);
        for peer in [PEER, PEER_V6] {
            let bytes = anna.indication(|writer| {
                writer
                    .put_address_xor(XOR_PEER_ADDRESS, addr(peer))
                    .put(DONT_FRAGMENT, &[])
                    .put(DATA, b"x");
            });
            let Answer::Relay { dont_fragment, .. } = world.hand(anna.addr, &bytes) else {
                panic!("{at} to {peer}")
            };
            assert_eq!(dont_fragment, at == AT && peer == PEER, "{at} to {peer}");
        }
    }
}

#[test]
fn data_of_a_peer_is_told_with_its_address_and_padded_with_zeros() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let v6 = [(0x8000, &[2, 0, 0, 0][..])];
    let relayed = anna.allocate(&mut world, &v6).relayed_all();
    assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 0);
    for (relayed, peer) in [(relayed[0], PEER), (relayed[1], PEER_V6)] {
        for len in 0..9 {
            let to = world.hears(relayed, peer, len);
            assert_eq!(told(to, anna.addr, &[7; 8][..len]), addr(peer));
        }
    }
}

#[test]
fn each_indication_of_a_train_has_an_identifier_of_its_own() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let ToClient::Indication { mut head, .. } = world.hears(relayed, PEER, 32 * 4) else {
            panic!()
        };
        for _ in 0..32 {
            let mut out = [0; TURN_DATA_HEAD_MAX];
            let head = head.write(4, &mut out).unwrap();
            let message = [&out[..head.len], b"data"].concat();
            assert!(seen.insert(Message::parse(&message).unwrap().transaction()));
        }
    }
    let ToClient::Indication { mut head, .. } = world.hears(relayed, PEER, 4) else { panic!() };
    let mut out = [0; TURN_DATA_HEAD_MAX];
    assert!(head.write(65_507, &mut out).is_some());
    assert!(head.write(65_536, &mut out).is_none(), "longer than a length can say");
}

/// RFC 8656 section 11.5: types 3 and 11 of ICMP, 1 to 3 of ICMPv6, about whom there is a permission for.
#[test]
fn icmp_about_a_permitted_peer_is_told() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let v6 = [(0x8000, &[2, 0, 0, 0][..])];
    let relayed = anna.allocate(&mut world, &v6).relayed_all();
    assert_eq!(anna.permit(&mut world, &[PEER, PEER_V6]), 0);
    for (relayed, peer, told) in
        [(relayed[0], PEER, &[3, 11][..]), (relayed[1], PEER_V6, &[1, 2, 3])]
    {
        let socket = world.socket_at(relayed);
        for kind in 0..=255 {
            let mut out = [0xEE; STUN_MESSAGE_MAX];
            let icmp = Icmp { kind, code: 4, info: 1_400 };
            let said =
                world.server.unreachable(world.now, socket, &client_addr(peer), icmp, &mut out);
            let Some((client, len)) = said else {
                assert!(!told.contains(&kind), "{peer} {kind}");
                continue;
            };
            assert!(told.contains(&kind), "{peer} {kind}");
            assert_eq!(client, anna.addr);
            let message = Message::parse(&out[..len]).unwrap();
            assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
            assert_eq!(message.icmp(), Some(Ok(icmp)));
            assert_eq!(message.address(XOR_PEER_ADDRESS), Some(Ok(addr(peer))));
            assert!(message.has(ICMP) && !message.has(DATA));
        }
    }
}

#[test]
fn icmp_about_anyone_else_is_not_told() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    let socket = world.socket_at(relayed);
    let unreachable = |world: &mut World, socket, peer| {
        let (mut out, icmp) = ([0; STUN_MESSAGE_MAX], Icmp { kind: 3, code: 3, info: 0 });
        world.server.unreachable(world.now, socket, &client_addr(peer), icmp, &mut out).is_some()
    };
    assert!(unreachable(&mut world, socket, PEER));
    assert!(!unreachable(&mut world, socket, "198.51.100.8:1"));
    assert!(!unreachable(&mut world, socket, PEER_V6));
    assert!(!unreachable(&mut world, Socket(999), PEER));
    world.skip(300);
    assert!(!unreachable(&mut world, socket, PEER), "the permission is over");
}

/// Two clients of one server talk to each other's relayed address.
fn pair(config: Config) -> (World, [(Client, String); 2]) {
    let mut world = World::new(config);
    let clients = [(AT, "anna"), (BERTA, "berta")].map(|(at, name)| {
        let (client, relayed) = Client::allocated(&mut world, at, name);
        (client, relayed.to_string())
    });
    (world, clients)
}

#[test]
fn a_hairpin_is_one_hop_and_asks_both_sides_permissions() {
    let (mut world, [(mut anna, annas), (mut berta, bertas)]) = pair(config());
    assert_eq!(silence(&anna.send(&mut world, &bertas, b"hi")), Refusal::NoPermission, "hers");
    assert_eq!(anna.permit(&mut world, &[&bertas]), 0);
    let answer = anna.send(&mut world, &bertas, b"hi");
    let Answer::Hairpin { to: ToClient::Refused(refusal), .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(refusal, Refusal::NoPermission, "and Berta's");
    assert_eq!(berta.permit(&mut world, &[&annas]), 0);
    let Answer::Hairpin { to, data } = anna.send(&mut world, &bertas, b"hi") else { panic!() };
    assert_eq!(data.len(), 2);
    assert_eq!(told(to, berta.addr, b"hi"), addr(&annas));
    // With channels.
    assert_eq!(anna.bind(&mut world, 0x4000, &bertas), 0);
    let ToPeer::Hairpin(to) = world.on_channel(anna.addr, 0x4000, b"hi") else { panic!() };
    assert_eq!(told(to, berta.addr, b"hi"), addr(&annas));
    assert_eq!(berta.bind(&mut world, 0x4123, &annas), 0);
    let to = world.on_channel(anna.addr, 0x4000, b"hi");
    assert!(
        matches!(to, ToPeer::Hairpin(ToClient::Channel { client, number: 0x4123 }) if client == berta.addr)
    );
    // Nothing of it was left to the kernel; and when it is over, what has its port then is nobody's peer.
    assert_eq!(berta.refresh(&mut world, 0), 0);
    let to = world.on_channel(anna.addr, 0x4000, b"hi");
    assert!(matches!(to, ToPeer::Refused(Refusal::Denied)), "{to:?}");
    assert_eq!(silence(&anna.send(&mut world, &bertas, b"hi")), Refusal::Denied);
    assert_eq!(anna.bind(&mut world, 0x4000, &bertas), 403);
}

#[test]
fn to_a_relayed_address_of_another_shard_it_goes_through_the_kernel() {
    let (mut world, [(mut anna, _), _]) = pair(config());
    let mut other = world.another_shard();
    let (mut carla, carlas) = Client::allocated(&mut other, "203.0.113.3:40000", "carla");
    let carlas = carlas.to_string();
    assert_eq!(anna.bind(&mut world, 0x4000, &carlas), 0);
    let to = world.on_channel(anna.addr, 0x4000, b"hi");
    assert!(matches!(to, ToPeer::Via { to, .. } if to == client_addr(&carlas)), "{to:?}");
    assert_eq!(carla.refresh(&mut other, 0), 0);
    let to = world.on_channel(anna.addr, 0x4000, b"hi");
    assert!(matches!(to, ToPeer::Refused(Refusal::Denied)), "{to:?}");
}

#[test]
fn a_hairpin_knows_the_address_inside_and_the_one_outside() {
    let outside = Relay { external: Some("192.0.2.200".parse().unwrap()), ..relay("10.0.0.5") };
    let (mut world, [(mut anna, annas), (mut berta, bertas)]) =
        pair(Config { relays: vec![outside], ..config() });
    assert!(annas.starts_with("192.0.2.200:"));
    let inside = bertas.replace("192.0.2.200", "10.0.0.5");
    for bertas in [&bertas, &inside] {
        assert_eq!(anna.permit(&mut world, &[bertas]), 0, "{bertas}");
        assert_eq!(berta.permit(&mut world, &[&annas]), 0);
        let Answer::Hairpin { to, .. } = anna.send(&mut world, bertas, b"hi") else { panic!() };
        assert_eq!(told(to, berta.addr, b"hi"), addr(&annas));
    }
    // What another shard sends comes through the kernel, from the address inside.
    let relayed = addr(&inside);
    let annas_inside = annas.replace("192.0.2.200", "10.0.0.5");
    let to = world.hears(relayed, &annas_inside, 2);
    assert_eq!(told(to, berta.addr, b"hi"), addr(&annas));
    // And what goes there, goes to the address inside.
    let mut other = world.another_shard();
    let (_, elsewhere) = Client::allocated(&mut other, "203.0.113.3:40000", "carla");
    let answer = anna.send(&mut world, &elsewhere.to_string(), b"hi");
    let inside = client_addr(&format!("10.0.0.5:{}", elsewhere.port()));
    assert!(matches!(answer, Answer::Relay { to, .. } if to == inside), "{answer:?}");
}

#[test]
fn a_client_may_talk_to_itself_and_no_loop_comes_of_it() {
    let (mut world, [(mut anna, annas), _]) = pair(config());
    assert_eq!(anna.bind(&mut world, 0x4000, &annas), 0);
    let to = world.on_channel(anna.addr, 0x4000, b"hi");
    assert!(
        matches!(to, ToPeer::Hairpin(ToClient::Channel { client, number: 0x4000 }) if client == anna.addr)
    );
}

#[test]
fn a_hairpin_between_families_does_not_exist() {
    let mut world = World::new(Config { relays: vec![relay(RELAY_V6)], ..config() });
    let v6 = [(0x0017, &[2, 0, 0, 0][..])];
    let [anna, berta] = [(AT, "anna"), (BERTA, "berta")].map(|(at, name)| {
        let mut client = Client::greeted(&mut world, at, name);
        let relayed = client.allocate(&mut world, &v6).relayed().to_string();
        (client, relayed)
    });
    let ((mut anna, annas), (mut berta, bertas)) = (anna, berta);
    assert_eq!(anna.bind(&mut world, 0x4000, &bertas), 0);
    assert_eq!(berta.permit(&mut world, &[&annas]), 0);
    let ToPeer::Hairpin(to) = world.on_channel(anna.addr, 0x4000, b"hi") else { panic!() };
    assert_eq!(told(to, berta.addr, b"hi"), addr(&annas));
    assert_eq!(anna.permit(&mut world, &["192.0.2.1:50000"]), 443);
}

#[test]
fn an_allocation_goes_as_fast_as_it_may_both_directions_together() {
    // A quarter of a second at once.
    let (mut world, [(mut anna, annas), (mut berta, bertas)]) =
        pair(Config { bytes_per_second: Some(40_000), ..config() });
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    let relayed = addr(&annas);
    let (mut out, mut back) = (0, 0);
    for _ in 0..20 {
        out += usize::from(matches!(
            world.on_channel(anna.addr, 0x4000, &[0; 1_000]),
            ToPeer::Via { .. }
        ));
        back += usize::from(matches!(world.hears(relayed, PEER, 1_000), ToClient::Channel { .. }));
    }
    assert_eq!((out, back), (5, 5));
    assert_eq!(silence(&anna.send(&mut world, PEER, &[0; 1_000])), Refusal::OverRate);
    let to = world.on_channel(anna.addr, 0x4000, &[0; 1_000]);
    assert!(matches!(to, ToPeer::Refused(Refusal::OverRate)));
    // A hairpin is counted on both sides, as if it had gone round.
    world.pass(1);
    assert_eq!(anna.permit(&mut world, &[&bertas]), 0);
    assert_eq!(berta.permit(&mut world, &[&annas]), 0);
    let passed = (0..20).filter(|_| {
        matches!(
            anna.send(&mut world, &bertas, &[0; 1_000]),
            Answer::Hairpin { to: ToClient::Indication { .. }, .. }
        )
    });
    assert_eq!(passed.count(), 10);
    let to = world.hears(addr(&bertas), &annas, 1_000);
    assert!(matches!(to, ToClient::Refused(Refusal::OverRate)), "Berta's is empty too");
    // A train is taken whole.
    world.pass(10);
    assert!(matches!(world.hears(relayed, PEER, 64_000), ToClient::Channel { .. }));
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Refused(Refusal::OverRate)));
}

#[test]
fn a_binding_request_with_credentials_is_answered_without_them() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let request = anna.signed(Method::BINDING, |_| {});
    let said = world.ask(anna.addr, &request);
    assert_eq!(said.message().address(XOR_MAPPED_ADDRESS), Some(Ok(anna.addr.into())));
    let request = anna.plain(Method::BINDING, |writer| put(writer, &[(0x0003, &[0; 4])]));
    let said = world.ask(anna.addr, &request);
    assert_eq!(said.error, 420);
    assert_eq!(said.message().unknown_attributes().collect::<Vec<_>>(), [0x0003]);
}

#[test]
fn a_fingerprint_is_answered_with_a_fingerprint() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    let (id, key) = (anna.next(), anna.key());
    let credentials = anna.clone();
    let request = anna.plain_as(id, Method::REFRESH, |writer| {
        writer.put(0x0006, credentials.name.as_bytes()).put(0x0014, b"elara");
        writer.put(0x0015, &credentials.nonce).sign(&key).fingerprint();
    });
    assert_eq!(world.ask(anna.addr, &request).error, 437);
    let request = anna.plain(Method::ALLOCATE, |writer| {
        writer.fingerprint();
    });
    assert_eq!(world.ask(anna.addr, &request).error, 401);
}
