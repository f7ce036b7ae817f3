//! Refresh: lasting longer, ending, and who may say so (RFC 8656 section 8).

use elara_core::stun::Method;
use elara_core::stun::attribute::LIFETIME;
use elara_core::turn::{Counts, Refusal};

use crate::world::{Client, PEER, World, config, silence};

const AT: &str = "203.0.113.1:40000";

#[test]
fn an_allocation_lasts_as_long_as_it_is_refreshed() {
    let mut world = World::new(config());
    let (mut anna, relayed) = Client::allocated(&mut world, AT, "anna");
    for _ in 0..20 {
        world.pass(599);
        if anna.refreshed(&mut world, &[]).error == 438 {
            anna.greet(&mut world);
            assert_eq!(anna.refreshed(&mut world, &[]).lifetime(), 600);
        }
    }
    world.socket_at(relayed);
    world.pass(600);
    assert_eq!(world.server.counts(), Counts::default());
    assert!(world.kernel.open.is_empty());
    assert_eq!(world.server.next_expiry(), None);
}

#[test]
fn a_refresh_grants_what_an_allocate_would() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    for (asked, granted) in [(1_u32, 600), (900, 900), (u32::MAX, 3_600)] {
        let said = anna.refreshed(&mut world, &[(LIFETIME, &asked.to_be_bytes())]);
        assert_eq!(said.lifetime(), granted);
    }
    assert_eq!(anna.refreshed(&mut world, &[(LIFETIME, &[0; 2])]).error, 400);
    // Shorter is allowed too: the last word counts.
    assert_eq!(anna.refresh(&mut world, 600), 0);
    world.pass(600);
    assert_eq!(world.server.counts().allocations, 0);
}

#[test]
fn a_lifetime_of_zero_ends_it_at_once() {
    let mut world = World::new(config());
    let (mut anna, _) = Client::allocated(&mut world, AT, "anna");
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 0);
    assert_eq!(anna.refresh(&mut world, 0), 0);
    assert_eq!((world.server.counts(), world.kernel.open.len()), (Counts::default(), 0));
    assert_eq!(silence(&anna.send(&mut world, PEER, b"x")), Refusal::NoAllocation);
    // Section 8.3: a client takes the 437 of a repeated goodbye for success.
    assert_eq!(anna.refresh(&mut world, 0), 437);
    assert_eq!(anna.allocate(&mut world, &[]).error, 0);
}

#[test]
fn without_an_allocation_everything_is_437() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    assert_eq!(anna.refresh(&mut world, 600), 437);
    assert_eq!(anna.permit(&mut world, &[PEER]), 437);
    assert_eq!(anna.bind(&mut world, 0x4000, PEER), 437);
    // Another port is another 5-tuple.
    Client::allocated(&mut world, "203.0.113.1:40001", "anna");
    assert_eq!(anna.refresh(&mut world, 600), 437);
}

/// Section 5: an allocation is its maker's.
#[test]
fn other_credentials_are_441() {
    let mut world = World::new(config());
    Client::allocated(&mut world, AT, "anna");
    let mut berta = Client::greeted(&mut world, AT, "berta");
    assert_eq!(berta.refresh(&mut world, 0), 441);
    assert_eq!(berta.permit(&mut world, &[PEER]), 441);
    assert_eq!(berta.bind(&mut world, 0x4000, PEER), 441);
    assert_eq!(world.server.counts(), Counts { allocations: 1, ..Counts::default() });
}

#[test]
fn what_is_over_ends_in_pieces_when_there_is_much_of_it() {
    let mut world = World::new(config());
    for n in 1..=50 {
        Client::allocated(&mut world, &format!("203.0.113.1:{n}"), "anna");
    }
    world.skip(600);
    for left in [40, 30, 20, 10, 0] {
        assert_eq!(world.server.expire(world.now, 10, &mut world.kernel), 10);
        assert_eq!((world.server.counts().allocations, world.kernel.open.len()), (left, left));
    }
    assert_eq!(world.server.expire(world.now, 10, &mut world.kernel), 0);
}

#[test]
fn a_shard_that_stops_closes_everything() {
    let mut world = World::new(config());
    for n in 1..=5 {
        let mut anna = Client::greeted(&mut world, &format!("203.0.113.1:{n}"), "anna");
        let even = [(elara_core::stun::attribute::EVEN_PORT, &[0x80][..])];
        assert_eq!(anna.allocate(&mut world, &even).error, 0);
    }
    assert_eq!(world.kernel.open.len(), 10);
    world.server.end_all(&mut world.kernel);
    assert_eq!((world.kernel.open.len(), world.server.counts()), (0, Counts::default()));
}

#[test]
fn an_unknown_method_is_not_answered() {
    let mut world = World::new(config());
    let mut anna = Client::greeted(&mut world, AT, "anna");
    for method in [Method(0x002), Method(0x00A), Method(0xFFF), Method::SEND, Method::DATA] {
        let request = anna.signed(method, |_| {});
        assert_eq!(silence(&world.hand(anna.addr, &request)), Refusal::Ignored, "{method:?}");
    }
}
