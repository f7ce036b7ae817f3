//! How bad a storm is: for a link, and at the kernel's edge.

use elara_core::ClientAddr;
use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_shards::io::memory::Mischief;

use crate::network::{Bursts, Impairment, Link};

/// Each impairment every other time, as bad as it gets at most.
pub(crate) fn impairment(random: &mut impl Random) -> Impairment {
    let mut up_to = |most: u64| match random.chance(500_000) {
        true => random.below(most + 1) as u32,
        false => 0,
    };
    Impairment {
        loss: up_to(500_000),
        bursts: Bursts { begin: up_to(50_000), end: 100_000, loss: 1_000_000 },
        reorder: up_to(300_000),
        duplicate: up_to(200_000),
        flip: up_to(50_000),
        delay: Span::ZERO,
        jitter: Span::from_micros(u64::from(up_to(50_000))),
    }
}

/// What a kernel may do; it has no route to `unreachable`.
pub(crate) fn mischief(unreachable: Vec<ClientAddr>, random: &mut impl Random) -> Mischief {
    let mut up_to = |most: u64| match random.chance(400_000) {
        true => random.below(most + 1) as u32,
        false => 0,
    };
    let (idle, split, truncate, busy) =
        (up_to(300_000), up_to(800_000), up_to(10_000), up_to(200_000));
    let busy_every = u64::from(up_to(20));
    let mut pick = |choices: &[usize]| choices[random.below(choices.len() as u64) as usize];
    Mischief {
        idle,
        batch: pick(&[1, 3, 16, usize::MAX]),
        train: pick(&[1, 2, 10, 64]),
        split,
        truncate,
        buffers: pick(&[1, 4, 16, usize::MAX]),
        queue_bytes: pick(&[4_000, 20_000, usize::MAX, usize::MAX]),
        busy,
        busy_every,
        unreachable,
        ..Mischief::default()
    }
}

/// How long a shard takes to get the processor.
pub(crate) fn latency(stormy: bool, random: &mut impl Random) -> Span {
    Span::from_micros(random.below(if stormy { 3_000 } else { 100 }))
}

/// How long partitions are.
pub(crate) struct Partitions {
    /// How many of a million may be as long as any; the others end within three seconds.
    pub(crate) long: u32,
    pub(crate) ms_max: u64,
}

impl Partitions {
    /// Cuts off a participant: one direction, or both.
    pub(crate) fn cut(&self, [up, down]: [&mut Link; 2], now: Instant, random: &mut impl Random) {
        let most = if random.chance(self.long) { self.ms_max } else { 3_000 };
        let until = now + Span::from_millis(100 + random.below(most - 99));
        let ways = random.below(3);
        if ways != 0 {
            up.cut_until = until;
        }
        if ways != 1 {
            down.cut_until = until;
        }
    }
}
