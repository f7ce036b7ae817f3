//! How many nanoseconds of user space does one forwarded datagram cost, with 1 to 100,000 sessions?
//!
//! The shipped shard over the network in memory: no kernel, so what is measured is our own code: take
//! in, classify, look up, fan out. Datagrams come from senders drawn at random over all sessions, so
//! large tables are cold. Only the cycles are timed; delivering into the memory network is not, but
//! copying 120 bytes out of its queue, where the kernel would, is.
//!
//! `fan_out_9`: sessions of ten, every datagram leaves nine times. `one_to_one`: sessions of two.
//! `refused`: what a datagram costs that nobody may send.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use elara_core::crypto::Secret;
use elara_core::random::{Random, Seeded};
use elara_core::wire::Header;
use elara_core::{Cidr, ClientAddr, NodeId, SessionId, time};
use elara_shards::io::memory::{Capacity, Memory};
use elara_shards::mailbox::{Receiver, mailbox};
use elara_shards::shard::V0Policy;
use elara_shards::sys::wait::Bell;
use elara_shards::{Report, Shard, ShardConfig};
use zerocopy::IntoBytes;

/// Datagrams one cycle finds waiting: a busy shard.
const BATCH: usize = 64;
const FRAME: usize = 120;

struct World {
    shard: Shard<Memory>,
    reports: Receiver<Report>,
    random: Seeded,
    sessions: u64,
    peers: u64,
}

/// Addresses are all different, and none is loopback, as in life.
fn addr(session: u64, peer: u64, peers: u64) -> ClientAddr {
    let n = session * peers + peer;
    ClientAddr::from((
        Ipv4Addr::from(0x0A00_0000 + (n / 50_000) as u32),
        (n % 50_000) as u16 + 1_024,
    ))
}

fn frame(session: u64, peer: u64) -> [u8; FRAME] {
    let mut bytes = [0; FRAME];
    // Ids as they are issued: spread over 64 bits.
    let session = SessionId((session + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Header::v0(session, NodeId(peer)).write_to_prefix(&mut bytes).expect("a header fits");
    bytes
}

impl World {
    fn new(sessions: u64, peers: u64) -> Self {
        let capacity = Capacity {
            queue_datagrams: 2 * BATCH,
            queue_bytes: 4 * BATCH * FRAME,
            buffer_bytes: 2_048,
            sent_datagrams: 0,
            sent_bytes: 0,
            ..Capacity::default()
        };
        let bell = Arc::new(Bell::new().expect("an eventfd"));
        let (_, commands) = mailbox(1, bell.clone() as _);
        let (outbox, reports) = mailbox(1_024, bell as _);
        let config = ShardConfig {
            index: 0,
            shards: 1,
            max_peers: peers as usize,
            v0: Some(V0Policy { open: Cidr::PRIVATE.to_vec(), per_ip: 65_536 }),
            v1: None,
            turn: None,
            hash_keys: (1, 2),
            seed: Secret::new([1; 32]),
        };
        let io = Memory::new(capacity, 1, time::Instant::ZERO);
        let mut world = Self {
            shard: Shard::new(io, config, commands, outbox),
            reports,
            random: Seeded::new(7),
            sessions,
            peers,
        };
        for session in 0..sessions {
            for peer in 0..peers {
                world.deliver(session, peer);
            }
            world.cycle();
        }
        assert_eq!(world.shard.counters().participants, sessions * peers);
        world
    }

    fn deliver(&mut self, session: u64, peer: u64) {
        let from = addr(session, peer, self.peers);
        assert!(self.shard.io().deliver(&from, &frame(session, peer)), "the queue has room");
    }

    fn cycle(&mut self) {
        self.shard.cycle().expect("memory does not fail");
        while self.reports.take().is_some() {}
    }

    /// Time to forward `datagrams`, a batch a cycle.
    fn forward(&mut self, datagrams: u64) -> Duration {
        let mut time = Duration::ZERO;
        let mut left = datagrams;
        while left > 0 {
            let batch = left.min(BATCH as u64);
            for _ in 0..batch {
                let session = self.random.below(self.sessions);
                let peer = self.random.below(self.peers);
                self.deliver(session, peer);
            }
            let start = Instant::now();
            self.shard.cycle().expect("memory does not fail");
            time += start.elapsed();
            left -= batch;
        }
        self.shard.io().settle();
        assert!(self.shard.counters().balanced());
        time
    }
}

/// Under `cargo test` the benches only prove that they run.
fn sizes() -> &'static [u64] {
    match std::env::args().any(|argument| argument == "--bench") {
        true => &[1, 10, 1_000, 10_000, 100_000],
        false => &[1, 10],
    }
}

fn forwarding(criterion: &mut Criterion) {
    for (name, peers) in [("fan_out_9", 10), ("one_to_one", 2)] {
        let mut group = criterion.benchmark_group(format!("forward/{name}"));
        group.throughput(Throughput::Elements(1));
        for sessions in sizes() {
            let mut world = World::new(*sessions, peers);
            group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
                bencher.iter_custom(|datagrams| world.forward(datagrams));
            });
        }
        group.finish();
    }
}

fn refusing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward/refused");
    group.throughput(Throughput::Elements(1));
    let stranger = ClientAddr::from((Ipv4Addr::new(198, 51, 100, 1), 9));
    for (name, first) in [("unrecognised", 0x80), ("closed", 0x00)] {
        let mut world = World::new(100, 10);
        let mut bytes = frame(7, 7);
        bytes[0] = first;
        bytes[2] = 30;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|datagrams| {
                let mut time = Duration::ZERO;
                let mut left = datagrams;
                while left > 0 {
                    let batch = left.min(BATCH as u64);
                    for _ in 0..batch {
                        assert!(world.shard.io().deliver(&stranger, &bytes));
                    }
                    let start = Instant::now();
                    world.shard.cycle().expect("memory does not fail");
                    time += start.elapsed();
                    left -= batch;
                }
                time
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = forwarding, refusing
}
criterion_main!(benches);
