//! ChannelBind and ChannelData (RFC 8656 section 12).

use elara_core::stun::Method;
use elara_core::stun::attribute::{CHANNEL_NUMBER, XOR_PEER_ADDRESS};
use elara_core::turn::{ChannelRange, Config, Refusal, ToClient, ToPeer};

use crate::world::{Client, PEER, World, addr, client_addr, config};

const AT: &str = "203.0.113.1:40000";
const OTHER: &str = "198.51.100.7:4001";

fn refusal(to: &ToPeer) -> Refusal {
    match to {
        ToPeer::Refused(refusal) => *refusal,
        other => panic!("refused, not {other:?}"),
    }
}

#[test]
fn a_channel_carries_data_both_ways() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(refusal(&world.on_channel(anna.addr, 0x4000, b"hi")), Refusal::NoChannel);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    let ToPeer::Via { socket, to } = world.on_channel(anna.addr, 0x4000, b"hi") else { panic!() };
    assert_eq!((socket, to), (world.socket_at(relayed), client_addr(PEER)));
    let to = world.hears(relayed, PEER, 5);
    assert!(matches!(to, ToClient::Channel { client, number: 0x4000 } if client == anna.addr));
    // The permission is for the IP address, the channel for the port.
    assert!(matches!(world.hears(relayed, OTHER, 5), ToClient::Indication { .. }));
    // No data at all is data.
    assert!(matches!(world.on_channel(anna.addr, 0x4000, b""), ToPeer::Via { .. }));
    assert!(matches!(world.hears(relayed, PEER, 0), ToClient::Channel { .. }));
}

#[test]
fn channel_data_of_strangers_goes_nowhere() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    for from in ["203.0.113.1:40001", "203.0.113.2:40000", "[2001:db8::1]:40000"] {
        let to = world.on_channel(client_addr(from), 0x4000, b"hi");
        assert_eq!(refusal(&to), Refusal::NoAllocation, "{from}");
    }
    for datagram in [&[0x40, 0, 0][..], &[0x40, 0, 0, 2, 7], &[0x3F, 0xFF, 0, 0], &[0x80, 0, 0, 0]]
    {
        let (to, data) = world.server.channel_data(world.now, &anna.addr, datagram);
        assert_eq!((refusal(&to), data), (Refusal::Malformed, &[][..]));
    }
}

/// Section 12: 0x4000 to 0x4FFF. Clients of RFC 5766 choose up to 0x7FFF.
#[test]
fn numbers_are_those_of_the_rfc_that_was_chosen() {
    for (channel_range, upper, others) in
        [(ChannelRange::Rfc8656, 400, 400), (ChannelRange::Rfc5766, 0, 400)]
    {
        let mut world = World::new(Config { channel_range, ..config() });
        let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
        assert_eq!(anna.bind(&mut world, 0x4000, "198.51.100.1:1"), 0);
        assert_eq!(anna.bind(&mut world, 0x4FFF, "198.51.100.2:1"), 0);
        assert_eq!(anna.bind(&mut world, 0x5000, "198.51.100.3:1"), upper);
        assert_eq!(anna.bind(&mut world, 0x7FFF, "198.51.100.4:1"), upper);
        for number in [0, 0x3FFF, 0x8000, 0xFFFF] {
            assert_eq!(anna.bind(&mut world, number, "198.51.100.5:1"), others);
        }
    }
}

/// Section 12.2: one number, one peer; one peer, one number.
#[test]
fn a_number_has_one_peer_and_a_peer_one_number() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(anna.bind(&mut world, 0x4000, OTHER), 400);
    assert_eq!(anna.bind(&mut world, 0x4001, PEER), 400);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0, "the same again refreshes");
    assert_eq!(anna.bind(&mut world, 0x4001, OTHER), 0);
    assert_eq!(world.server.counts().channels, 2);
    // Another client's numbers are its own.
    let (mut berta, _) = Client::allocated(&mut world, "203.0.113.2:1", "berta");
    assert_eq!(berta.bind(&mut world, 0x4000, OTHER), 0);
}

#[test]
fn a_request_without_what_it_needs_is_400() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    let peer = addr(PEER);
    let mut bind = |write: &dyn Fn(&mut elara_core::stun::Writer<'_>)| {
        anna.call(&mut world, Method::CHANNEL_BIND, write).error
    };
    assert_eq!(
        bind(&|writer| {
            writer.put_u16(CHANNEL_NUMBER, 0x4000);
        }),
        400
    );
    assert_eq!(
        bind(&|writer| {
            writer.put_address_xor(XOR_PEER_ADDRESS, peer);
        }),
        400
    );
    assert_eq!(
        bind(&|writer| {
            writer.put(CHANNEL_NUMBER, &[0x40, 0]).put_address_xor(XOR_PEER_ADDRESS, peer);
        }),
        400
    );
    assert_eq!(
        bind(&|writer| {
            writer.put_u16(CHANNEL_NUMBER, 0x4000).put(XOR_PEER_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4]);
        }),
        400
    );
    assert_eq!(world.server.counts().channels, 0);
}

#[test]
fn a_channel_lasts_ten_minutes_and_its_permission_five() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.refresh(&mut world, 3_600), 0);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    world.skip(299);
    assert!(matches!(world.on_channel(anna.addr, 0x4000, b"x"), ToPeer::Via { .. }));
    world.skip(1);
    // Section 12.6: without a permission, data on the channel is dropped.
    assert_eq!(refusal(&world.on_channel(anna.addr, 0x4000, b"x")), Refusal::NoPermission);
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Refused(Refusal::NoPermission)));
    world.pass(1);
    assert_eq!((world.server.counts().channels, world.server.counts().permissions), (1, 0));
    // A permission opens it again.
    assert_eq!(anna.permit(&mut world, &[OTHER]), 0);
    assert!(matches!(world.on_channel(anna.addr, 0x4000, b"x"), ToPeer::Via { .. }));
    world.skip(298);
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Channel { .. }));
    world.skip(1);
    assert_eq!(anna.permit(&mut world, &[PEER]), 0);
    assert_eq!(refusal(&world.on_channel(anna.addr, 0x4000, b"x")), Refusal::NoChannel);
    assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Indication { .. }));
    world.pass(1);
    assert_eq!(world.server.counts().channels, 0);
}

#[test]
fn binding_again_refreshes_channel_and_permission() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.refresh(&mut world, 3_600), 0);
    for _ in 0..5 {
        assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
        world.pass(299);
        assert!(matches!(world.hears(relayed, PEER, 1), ToClient::Channel { .. }));
    }
    assert_eq!(world.server.counts().channels, 1);
}

#[test]
fn what_is_over_can_be_bound_anew_though_nobody_has_swept() {
    let mut world = World::new(Config { channels_max: 1, ..config() });
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.refresh(&mut world, 3_600), 0);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(anna.bind(&mut world, 0x4001, OTHER), 508);
    world.skip(600);
    assert_eq!(anna.bind(&mut world, 0x4000, OTHER), 0);
    assert_eq!(world.server.counts().channels, 1);
}

#[test]
fn many_channels_are_found_as_fast_and_as_surely_as_one() {
    let config = Config { channel_range: ChannelRange::Rfc5766, ..config() };
    let mut world = World::new(config);
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    // As coturn's client: anywhere in the range.
    let number = |n: u32| 0x4000 + (n * 7_919 % 0x4000) as u16;
    let peer = |n: u32| format!("198.51.{}.{}:{}", n / 100, n % 100, 1 + n);
    for n in 0..256 {
        assert_eq!(anna.bind(&mut world, number(n), &peer(n)), 0, "{n}");
    }
    assert_eq!(anna.bind(&mut world, 0x7FFE, PEER), 508);
    for n in 0..256 {
        let to = world.on_channel(anna.addr, number(n), b"x");
        assert!(matches!(to, ToPeer::Via { to, .. } if to == client_addr(&peer(n))), "{n}");
        let to = world.hears(relayed, &peer(n), 1);
        assert!(matches!(to, ToClient::Channel { number: told, .. } if told == number(n)), "{n}");
    }
}
