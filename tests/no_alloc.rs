//! Forwarding allocates nothing: a counting allocator around a shard, over every back end, and around
//! the tags it will check.
//!
//! Learning a participant may allocate; a datagram of one that is known may not, nor may refusing one.
//! Nor may a datagram the shard made itself, or one the kernel refuses.
//! Only the cycles are counted, not what the test does around them.

mod support;

use elara_core::crypto::hop::HopSecret;
use elara_core::crypto::{
    EpochSecret, Inst, PublicKey, Receiving, Scratch, Sealer, Secret, Sending, Suite,
};
use elara_core::limits::{HEADER_LEN, SEND_ARENA, V1_FRAME_MAX};
use elara_core::wire::v1::Kind;
use elara_core::wire::{Class, Header};
use elara_core::{NodeId, SessionId};
use elara_shards::Verdict;
use elara_shards::io::{Io, Wait};
use elara_shards::sys::counting::Counting;
use support::frames::frame_of;
use support::room::{InMemory, OverSyscall, OverUring, Place, Room};
use zerocopy::IntoBytes;

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

fn sending_our_own_allocates_nothing<P: Place>() {
    let (mut place, mut io) = P::new(1);
    let (to, nowhere) = (place.addr(0), support::nowhere());
    let own = [7; V1_FRAME_MAX];
    for round in 0..3 {
        let start = Counting::on_this_thread();
        for tag in 1..=(SEND_ARENA / V1_FRAME_MAX) as u32 {
            io.send_bytes(&to, &own, tag);
            io.send_bytes(&nowhere, &own, tag);
        }
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let refused = std::iter::from_fn(|| io.refused()).count();
        assert_eq!(Counting::on_this_thread() - start, 0, "over {}, round {round}", P::NAME);
        assert_eq!(refused, SEND_ARENA / V1_FRAME_MAX);
        drop(place.heard(&mut io, 0));
    }
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

#[test]
fn sending_our_own_allocates_nothing_over_uring() {
    sending_our_own_allocates_nothing::<OverUring>();
}

#[test]
fn sending_our_own_allocates_nothing_over_syscall() {
    sending_our_own_allocates_nothing::<OverSyscall>();
}

#[test]
fn sending_our_own_allocates_nothing_over_memory() {
    sending_our_own_allocates_nothing::<InMemory>();
}

/// Both ends of a connection's hop, cold, with frames that are written in place.
struct Hop {
    sealer: Sealer,
    sending: Sending,
    receiving: Receiving,
    scratch: Scratch,
    data: Vec<u8>,
    control: Vec<u8>,
}

impl Hop {
    fn new(suite: Suite) -> Self {
        let frame = |kind| {
            let mut frame = vec![0; 240];
            let header = Header::v1(suite as u8, SessionId(7), NodeId(9), kind);
            frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
            frame
        };
        let epoch = EpochSecret::from_session_key(&Secret::new([1; 32]));
        let secret = || HopSecret::new(suite, Secret::new([2; 44]));
        Self {
            sealer: Sealer::new(suite, &epoch, &PublicKey([3; 32]), &Inst([4; 16]), 1),
            sending: Sending::new(secret(), 1),
            receiving: Receiving::new(secret()),
            scratch: Scratch::new(),
            data: frame(Kind::Data(Class::Perceptual)),
            control: frame(Kind::Control),
        }
    }

    /// What it allocates to send and take one data frame, and to refuse a forged one before.
    fn data(&mut self) -> (u64, u64) {
        let start = Counting::on_this_thread();
        self.sending.data(&self.sealer, &mut self.data).unwrap();
        let sent = Counting::on_this_thread();
        self.data[200] ^= 1;
        assert!(self.receiving.data(&self.data, &mut self.scratch).is_err());
        assert_eq!(Counting::on_this_thread(), sent, "a forgery has no memory of ours");
        self.data[200] ^= 1;
        self.receiving.data(&self.data, &mut self.scratch).unwrap();
        (sent - start, Counting::on_this_thread() - sent)
    }

    /// The same for one control frame, both ways together.
    fn control(&mut self) -> u64 {
        let start = Counting::on_this_thread();
        self.sending.control(&mut self.control).unwrap();
        self.control[200] ^= 1;
        assert!(self.receiving.control(&self.control, &mut self.scratch).is_err());
        self.control[200] ^= 1;
        self.receiving.control(&self.control, &mut self.scratch).unwrap();
        Counting::on_this_thread() - start
    }
}

#[test]
fn the_hop_allocates_a_hot_key_once_and_nothing_else() {
    for suite in Suite::ALL {
        let mut hop = Hop::new(suite);
        for _ in 0..3 {
            assert_eq!(hop.control(), 0, "control goes through a cold key");
            assert_eq!(hop.data(), (1, 1), "the first data frame heats it at either end");
            for _ in 0..100 {
                assert_eq!((hop.control(), hop.data()), (0, (0, 0)));
            }
            hop.sending.cool();
            hop.receiving.cool();
        }
    }
}
