//! Forwarding allocates nothing: a counting allocator around a shard, over every back end.
//!
//! Learning a participant may allocate; a datagram of one that is known may not, nor may refusing one.
//! Only the cycles are counted, not what the test does around them.

mod support;

use elara_shards::Verdict;
use elara_shards::sys::counting::Counting;
use support::frames::frame_of;
use support::room::{InMemory, OverSyscall, OverUring, Place, Room};

#[global_allocator]
static HEAP: Counting = Counting;

fn forwarding_allocates_nothing<P: Place>() {
    let mut room = Room::<P>::new(10);
    for round in 0..2 {
        for peer in 0..10 {
            room.say(peer, &frame_of(1, peer as u64, 120, round));
        }
        room.settle();
    }
    let voice = frame_of(1, 0, 120, 7);
    let burst = frame_of(1, 1, 1_200, 8).repeat(10);
    let garbage = [0x80; 60];
    let mut allocations = 0;
    let before = room.shard.counters();
    for _ in 0..100 {
        for _ in 0..5 {
            room.say(0, &voice);
            room.say(2, &garbage);
        }
        room.say_train(1, &burst, 1_200);
        allocations += counted(&mut room);
        // The next cycle hands over what this one has queued.
        room.say(0, &voice);
        allocations += counted(&mut room);
        (0..10).for_each(|peer| drop(room.heard(peer)));
    }
    let after = room.settle();
    assert_eq!(after.of(Verdict::Forwarded) - before.of(Verdict::Forwarded), 1_600, "{}", P::NAME);
    assert_eq!(after.of(Verdict::Unrecognised) - before.of(Verdict::Unrecognised), 500);
    assert_eq!(after.egress.sent - before.egress.sent, 1_600 * 9);
    assert_eq!(allocations, 0, "over {}", P::NAME);
}

/// What one cycle allocates. Everything said is in the socket by now, so it need not wait.
fn counted<P: Place>(room: &mut Room<P>) -> u64 {
    let start = Counting::on_this_thread();
    room.cycle();
    Counting::on_this_thread() - start
}

#[test]
fn forwarding_allocates_nothing_over_uring() {
    forwarding_allocates_nothing::<OverUring>();
}

#[test]
fn forwarding_allocates_nothing_over_syscall() {
    forwarding_allocates_nothing::<OverSyscall>();
}

#[test]
fn forwarding_allocates_nothing_over_memory() {
    forwarding_allocates_nothing::<InMemory>();
}
