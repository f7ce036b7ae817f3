//! The workloads with a shard: ten members over the network in memory, a cycle of one millisecond.
//!
//! The functions of the memory network are left out by `cargo xtask count`. What remains of it in the
//! counts is what the compiler put into the shard's functions, and its copies, which are memcpy's: a
//! datagram goes into the queue, from there into a receive buffer, and out of it for each receiver.

use elara_core::ClientAddr;
use elara_core::time::Span;
use elara_core::wire::Class;
use elara_core::wire::v1::control::{Control, Subscribe, Wish};
use elara_shards::{Io, Verdict};

use crate::support::frames::frame_of;
use crate::support::guest::Club;
use crate::support::room::{InMemory, Place, Room};
use crate::ten::{PEERS, entered, entered_v0};
use crate::{MOST, Operation};

/// How long small frames may wait where they may.
const HOLD_MS: u8 = 2;

/// One operation is one cycle with a few datagrams in.
struct Forwarding {
    room: Room<InMemory>,
    frames: Vec<(ClientAddr, Vec<u8>)>,
    each: usize,
    next: usize,
    /// Forwarded before the first operation.
    before: u64,
    /// Datagrams that left.
    left: usize,
    /// How many at least must have left of so many copies.
    expected: fn(usize) -> std::ops::RangeInclusive<usize>,
}

impl Forwarding {
    fn new(mut room: Room<InMemory>, frames: Vec<(ClientAddr, Vec<u8>)>, each: usize) -> Self {
        assert_eq!(frames.len(), each * MOST);
        let before = room.settle().of(Verdict::Forwarded);
        room.shard.io().clear_sent();
        Self {
            room,
            frames,
            each,
            next: 0,
            before,
            left: 0,
            expected: |copies| copies..=usize::MAX,
        }
    }
}

impl Operation for Forwarding {
    fn perform(&mut self) {
        let shard = &mut self.room.shard;
        for (from, frame) in &self.frames[self.next..self.next + self.each] {
            assert!(shard.io().deliver(from, frame));
        }
        self.next += self.each;
        let now = shard.io().now() + Span::from_millis(1);
        shard.io().set_now(now);
        shard.cycle().expect("memory does not fail");
        shard.io().settle();
        self.left += shard.io().sent().len();
        shard.io().clear_sent();
    }

    fn check(&mut self, done: usize) {
        self.room.pass(10);
        self.left += self.room.shard.io().sent().len();
        let counters = self.room.shard.counters();
        assert!(counters.balanced());
        assert_eq!(counters.of(Verdict::Forwarded) - self.before, self.next as u64);
        let expected = (self.expected)(done * self.each * (PEERS - 1));
        assert!(expected.contains(&self.left), "{} left, not {expected:?}", self.left);
    }
}

/// Wire v0: one says `each` frames of `len` bytes.
pub(crate) fn v0(each: usize, len: usize) -> Box<dyn Operation> {
    let room = entered_v0();
    let from = room.place.addr(0);
    let frames = vec![(from, frame_of(1, 0, len, 7)); each * MOST];
    Box::new(Forwarding::new(room, frames, each))
}

/// A club whose members may say as much as there is.
fn club() -> Club {
    let mut club = Club::new();
    (club.claims.max_kbps, club.claims.max_pps) = (u32::MAX, u16::MAX);
    club
}

/// Wire v1, AES-GCM: one says `each` frames of `len` bytes.
pub(crate) fn v1(each: usize, len: usize) -> Box<dyn Operation> {
    let (room, mut guests) = entered(&mut club());
    let from = room.place.addr(0);
    let frame = |_| (from, guests[0].data(Class::Perceptual, len));
    let frames = (0..each * MOST).map(frame).collect();
    Box::new(Forwarding::new(room, frames, each))
}

/// Wire v1, AES-GCM: three speak, and everyone lets small frames wait to share a datagram.
pub(crate) fn held() -> Box<dyn Operation> {
    const SPEAKERS: usize = 3;
    let (mut room, mut guests) = entered(&mut club());
    for (peer, guest) in guests.iter_mut().enumerate() {
        let everything = [Wish::EVERYTHING];
        let subscribe = Control::Subscribe(Subscribe::new(9, HOLD_MS, &everything));
        room.say(peer, &guest.control(&[subscribe]));
        drop(room.heard(peer));
    }
    let frame = |number: usize| {
        let speaker = number % SPEAKERS;
        (room.place.addr(speaker), guests[speaker].data(Class::Perceptual, 120))
    };
    let frames = (0..SPEAKERS * MOST).map(frame).collect();
    let mut forwarding = Forwarding::new(room, frames, SPEAKERS);
    // In steady state a bundle has several; the last ones may be in company of fewer.
    forwarding.expected = |copies| copies / 10..=copies / 2;
    Box::new(forwarding)
}
