//! What a shard says of its own load: how much of a cpu it works, and that it loses datagrams.

mod support;

use elara_core::time::Span;
use elara_shards::Io;
use support::frames::frame;
use support::room::{InMemory, Place, Room};

/// A tenth of a second passes, of which the shard's thread works `ms` milliseconds; the load it then counts.
fn load_after(room: &mut Room<InMemory>, ms: u64) -> u64 {
    let io = room.shard.io();
    let worked = io.strain().worked.as_nanos() + Span::from_millis(ms).as_nanos();
    io.set_worked(Span::from_nanos(worked));
    room.pass(100);
    room.settle().load
}

fn two_who_talk() -> Room<InMemory> {
    let mut room = Room::<InMemory>::new(2);
    for peer in 0..2 {
        room.say(peer, &frame(1, peer as u64, b"hello"));
        room.settle();
    }
    room
}

#[test]
fn load_is_how_much_of_a_cpu_was_worked_in_the_last_tenth_of_a_second() {
    let mut room = two_who_talk();
    let loads: Vec<u64> =
        [0, 30, 100, 45, 0].into_iter().map(|ms| load_after(&mut room, ms)).collect();
    assert_eq!(loads, [0, 300, 1_000, 450, 0]);
    assert_eq!(room.settle().overflowed, 0);
}

#[test]
fn what_never_came_in_for_want_of_room_is_counted_and_is_load() {
    let mut room = two_who_talk();
    room.place.narrow(room.shard.io(), 1_000);
    let before = room.settle();
    for _ in 0..20 {
        room.place.flood(room.shard.io(), 0, &frame(1, 0, &[7; 54]));
    }
    assert_eq!(load_after(&mut room, 1), 1_000);
    let after = room.settle();
    assert_eq!((after.datagrams - before.datagrams, after.overflowed), (10, 10));
    assert!(after.balanced(), "what never came in is no part of a balance");
    assert_eq!(load_after(&mut room, 1), 10, "only while it goes on");
}

#[test]
fn a_socket_that_takes_nothing_more_is_load() {
    let mut room = two_who_talk();
    room.shard.io().mischief().busy = 1_000_000;
    room.say(0, &frame(1, 0, b"is anybody there?"));
    assert_eq!(load_after(&mut room, 1), 1_000);
    room.shard.io().mischief().busy = 0;
    room.say(0, &frame(1, 0, b"there you are"));
    assert_eq!(load_after(&mut room, 1), 10);
}
