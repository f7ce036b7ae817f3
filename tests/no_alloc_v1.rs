//! Wire v1 allocates nothing for those it knows, nor for those it refuses: a counting allocator around a
//! shard, over every back end.
//!
//! Entering, leaving and asking for things may allocate; frames, pings and forgeries may not.

mod support;

use elara_core::limits::HELD_FRAMES_MAX;
use elara_core::wire::header::Class;
use elara_core::wire::v1::BundleHead;
use elara_core::wire::v1::control::{Control, Ping, Subscribe, Wish};
use elara_shards::Verdict;
use elara_shards::sys::counting::Counting;
use support::guest::{Club, Guest, Party, SESSION};
use support::room::{InMemory, OverSyscall, OverUring, Place, Room};

#[global_allocator]
static HEAP: Counting = Counting;

fn known_and_refused_frames_allocate_nothing<P: Place>() {
    let mut club = Club::new();
    let mut room = Room::<P>::with(8, club.config());
    let mut guests: Vec<Guest> = (0..8).map(|_| club.guest()).collect();
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.enter(peer, guest);
    }
    // Half of them let small frames wait.
    for (peer, guest) in guests.iter_mut().enumerate().skip(4) {
        let everything = [Wish::EVERYTHING];
        let wish = guest.control(&[Control::Subscribe(Subscribe::new(2, 1, &everything))]);
        room.say(peer, &wish);
    }
    // So often that every key is warm and every queue has its size.
    for _ in 0..HELD_FRAMES_MAX / 8 + 2 {
        for (peer, guest) in guests.iter_mut().enumerate() {
            let frame = guest.data(Class::Perceptual, 120);
            room.say(peer, &frame);
        }
        room.settle();
    }
    (0..8).for_each(|peer| drop(room.heard(peer)));

    let before = room.settle();
    let mut allocations = 0;
    for round in 0..50 {
        let alice = &mut guests[0];
        let frame = alice.data(Class::Core, 120);
        let mut forged = alice.data(Class::Core, 1_232);
        forged[700] ^= 1;
        let mut stranger = frame.clone();
        stranger[12] ^= 1;
        let ping = Ping { id: round.into(), t_client_us: 1.into(), next_core: 0.into() };
        let ping = alice.control(&[Control::Ping(&ping)]);
        let parts = [alice.data(Class::Repair, 80), alice.data(Class::Repair, 80)];
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut out = [0; 1_232];
        let bundle = BundleHead::join(&mut out, SESSION, &parts).unwrap();
        for datagram in [&frame[..], &frame, &forged, &stranger, &ping, bundle] {
            room.say(0, datagram);
        }
        let start = Counting::on_this_thread();
        room.cycle();
        allocations += Counting::on_this_thread() - start;
        (0..8).for_each(|peer| drop(room.heard(peer)));
    }
    let after = room.settle();
    for (verdict, times) in [
        (Verdict::Forwarded, 100),
        (Verdict::Replayed, 50),
        (Verdict::BadTag, 50),
        (Verdict::UnknownParticipant, 50),
        (Verdict::Control, 50),
    ] {
        assert_eq!(after.of(verdict) - before.of(verdict), times, "{verdict:?} over {}", P::NAME);
    }
    assert_eq!(allocations, 0, "over {}", P::NAME);
}

#[test]
fn known_and_refused_frames_allocate_nothing_over_uring() {
    known_and_refused_frames_allocate_nothing::<OverUring>();
}

#[test]
fn known_and_refused_frames_allocate_nothing_over_syscall() {
    known_and_refused_frames_allocate_nothing::<OverSyscall>();
}

#[test]
fn known_and_refused_frames_allocate_nothing_over_memory() {
    known_and_refused_frames_allocate_nothing::<InMemory>();
}
