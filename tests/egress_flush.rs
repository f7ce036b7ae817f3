//! Strangers do not make a shard send before it has gathered.
mod support;

use elara_core::Cidr;
use elara_core::wire::header::Class;
use elara_shards::ShardConfig;
use elara_shards::shard::V0Policy;
use support::frames::frame_of;
use support::guest::{Club, Guest, Party};
use support::room::{InMemory, Room};

fn entered(v0: Option<V0Policy>) -> (Room<InMemory>, Vec<Guest>) {
    let mut club = Club::new();
    let config = ShardConfig { v0, ..club.config() };
    let mut room = Room::<InMemory>::with(4, config);
    let mut guests: Vec<Guest> = (0..3).map(|_| club.guest()).collect();
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.enter(peer, guest);
    }
    (0..3).for_each(|peer| drop(room.heard(peer)));
    (room, guests)
}

fn datagrams(between: impl Fn(&mut Room<InMemory>, &mut Vec<Guest>)) -> usize {
    let closed = V0Policy { open: Vec::<Cidr>::new(), per_ip: 64 };
    let (mut room, mut guests) = entered(Some(closed));
    for _ in 0..4 {
        let frame = guests[0].data(Class::Perceptual, 120);
        room.say(0, &frame);
        between(&mut room, &mut guests);
    }
    room.heard(1).len()
}

#[test]
fn nothing_between() {
    assert_eq!(datagrams(|_, _| ()), 1);
}

#[test]
fn a_stranger_of_wire_v0_who_is_refused_changes_nothing() {
    assert_eq!(datagrams(|room, _| room.say(3, &frame_of(9, 9, 60, 0))), 1);
}

#[test]
fn a_forged_control_frame_changes_nothing() {
    let forged = |room: &mut Room<InMemory>, guests: &mut Vec<Guest>| {
        let mut frame = guests[2].control(&[]);
        let last = frame.len() - 1;
        frame[last] ^= 1;
        room.say(3, &frame);
    };
    assert_eq!(datagrams(forged), 1);
}
