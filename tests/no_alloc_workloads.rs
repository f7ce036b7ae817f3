//! The workloads of the benchmarks allocate nothing, in either wire, over every back end: a counting
//! allocator around every cycle, and everyone hears all that is said.
//!
//! Before it counts, everyone has entered, spoken, waited, been sent a MARK and reported: by then everything
//! has grown to its size. While it counts, everyone is marked again, and in a big room most frames wait.

mod support;

use elara_shards::Verdict;
use elara_shards::sys::counting::Counting;
use support::crowd::{Crowd, Shape, Wire};
use support::room::{Place, on_every_back_end};

#[global_allocator]
static HEAP: Counting = Counting;

/// Bytes of a frame of voice, of a picture, and of something between, in wire v0.
const VOICE: usize = 120;
const PICTURE: usize = 1_200;
const TEXT: usize = 200;
/// Frames of a picture.
const BURST: usize = 10;

/// What `rounds` rounds of it allocate, once all there is has its size: nothing.
fn allocates_nothing<P: Place>(shape: Shape, wire: Wire, rounds: u64, round: fn(&mut Crowd<P>)) {
    let mut crowd = Crowd::<P>::enter(shape, wire);
    crowd.warm_up(round);
    let (before, said) = (crowd.room.settle(), crowd.said);
    crowd.allocations = 0;
    for _ in 0..rounds {
        round(&mut crowd);
        crowd.deliver();
    }
    crowd.mark(round);
    let (allocations, said) = (crowd.allocations, crowd.said - said);
    let after = crowd.room.settle();
    assert_eq!(allocations, 0, "over {}: {said} frames, {after:?}", P::NAME);
    assert_eq!(after.of(Verdict::Forwarded) - before.of(Verdict::Forwarded), said);
    assert_eq!(
        (after.egress.busy, after.egress.failed),
        (before.egress.busy, before.egress.failed)
    );
    assert!(said >= rounds && after.balanced(), "{after:?}");
}

/// Sessions of ten, three of whom speak.
fn voice<P: Place>(wire: Wire) {
    let shape = Shape { sessions: 10, members: 10, speakers: 10 };
    allocates_nothing::<P>(shape, wire, 50, |crowd| {
        crowd.firsts(3).for_each(|peer| crowd.say(peer, VOICE, 1));
    });
}

/// One session of fifty who all speak, each when it likes: in each round seven cycles or so.
fn big_room<P: Place>(wire: Wire) {
    let shape = Shape { sessions: 1, members: 50, speakers: 50 };
    allocates_nothing::<P>(shape, wire, 20, |crowd| {
        for peer in crowd.firsts(50) {
            crowd.say(peer, VOICE, 1);
            if peer % 7 == 6 {
                crowd.cycle(false);
            }
        }
        // Ten frames fill a datagram: with these the last is not full, and waits as long as it may.
        crowd.firsts(3).for_each(|peer| crowd.say(peer, VOICE, 1));
    });
}

/// Sessions of ten, one of whom shows pictures.
fn video<P: Place>(wire: Wire) {
    let shape = Shape { sessions: 5, members: 10, speakers: 10 };
    allocates_nothing::<P>(shape, wire, 30, |crowd| {
        crowd.firsts(1).for_each(|peer| crowd.say(peer, PICTURE, BURST));
    });
}

/// One who shows pictures to a thousand.
fn livestream<P: Place>(wire: Wire) {
    let shape = Shape { sessions: 1, members: 1_001, speakers: 1 };
    allocates_nothing::<P>(shape, wire, 5, |crowd| crowd.say(0, PICTURE, BURST));
}

/// Two and two who talk.
fn pairs<P: Place>(wire: Wire) {
    let shape = Shape { sessions: 10, members: 2, speakers: 2 };
    allocates_nothing::<P>(shape, wire, 20, |crowd| {
        for len in [VOICE, TEXT, PICTURE] {
            crowd.firsts(2).for_each(|peer| crowd.say(peer, len, 1));
        }
    });
}

const V1: Wire = Wire::V1 { hold_ms: 0 };

on_every_back_end! {
    fn voice_in_v0<P>() { voice::<P>(Wire::V0) }

    fn voice_in_v1<P>() { voice::<P>(V1) }

    fn a_big_room_in_v0<P>() { big_room::<P>(Wire::V0) }

    fn a_big_room_in_v1<P>() { big_room::<P>(V1) }

    fn a_big_room_that_grants_a_millisecond<P>() { big_room::<P>(Wire::V1 { hold_ms: 1 }) }

    fn a_big_room_that_grants_five_milliseconds<P>() { big_room::<P>(Wire::V1 { hold_ms: 5 }) }

    fn video_in_v0<P>() { video::<P>(Wire::V0) }

    fn video_in_v1<P>() { video::<P>(V1) }

    fn a_livestream_in_v0<P>() { livestream::<P>(Wire::V0) }

    fn a_livestream_in_v1<P>() { livestream::<P>(V1) }

    fn pairs_in_v0<P>() { pairs::<P>(Wire::V0) }

    fn pairs_in_v1<P>() { pairs::<P>(V1) }
}
