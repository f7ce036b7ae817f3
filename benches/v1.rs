//! What does wire v1 cost in user space: a frame that is passed on, beside one of v0; and a flood, by what
//! it is made of?
//!
//! The shipped shard over the network in memory, no kernel. Only the cycles are timed. Datagrams come in
//! batches of 64; what the memory network itself costs, copying out of its queue where the kernel would, is
//! `v1/flood/noise`: to be taken off.
//!
//! `v1/forward`: ten members, every datagram leaves nine times; in ns per delivered datagram.
//! `v1/flood`: in ns per datagram that goes nowhere. `v1/handshake`: one HELLO to its WELCOME.

#[path = "../tests/support/mod.rs"]
mod support;
#[path = "common/ten.rs"]
mod ten;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use elara_core::ClientAddr;
use elara_core::crypto::hash::{hmac16, sha256};
use elara_core::crypto::{ExchangeKey, Secret, Suite};
use elara_core::time::Span;
use elara_core::wire::header::Class;
use elara_shards::io::memory::Memory;
use elara_shards::{Io, Shard, Verdict};
use support::frames::frame_of;
use support::guest::Club;
use support::room::{InMemory, Place, Room};
use ten::{PEERS, entered, entered_v0};

const BATCH: u64 = 64;
const FORWARDED: Option<Verdict> = Some(Verdict::Forwarded);

/// Time of the cycles that take `datagrams` in, which `make` makes; the verdict all of them get, if it is
/// one. The shard's clock goes on by `step` a batch.
fn timed(
    shard: &mut Shard<Memory>,
    from: ClientAddr,
    datagrams: u64,
    verdict: Option<Verdict>,
    step: Span,
    mut make: impl FnMut() -> Vec<u8>,
) -> Duration {
    let given = |shard: &Shard<Memory>| verdict.map_or(0, |verdict| shard.counters().of(verdict));
    let before = given(shard);
    let (mut time, mut left) = (Duration::ZERO, datagrams);
    while left > 0 {
        let batch = left.min(BATCH);
        for _ in 0..batch {
            assert!(shard.io().deliver(&from, &make()));
        }
        let now = shard.io().now() + step;
        shard.io().set_now(now);
        let start = Instant::now();
        shard.cycle().expect("memory does not fail");
        time += start.elapsed();
        shard.io().settle();
        shard.io().clear_sent();
        left -= batch;
    }
    let expected = if verdict.is_some() { datagrams } else { 0 };
    assert_eq!(given(shard) - before, expected, "all of them {verdict:?}");
    time
}

fn forwarding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("v1/forward");
    // Nine copies each.
    group.throughput(Throughput::Elements(PEERS as u64 - 1));
    for len in [120, 1_232] {
        let mut room = entered_v0();
        let from = room.place.addr(0);
        group.bench_function(BenchmarkId::new("v0", len), |bencher| {
            bencher.iter_custom(|datagrams| {
                let frame = frame_of(1, 0, len, 7);
                let make = || frame.clone();
                timed(&mut room.shard, from, datagrams, FORWARDED, Span::ZERO, make)
            });
        });
        for suite in Suite::ALL {
            let mut club = Club::of(suite);
            club.claims.max_kbps = u32::MAX;
            club.claims.max_pps = u16::MAX;
            let (mut room, mut guests) = entered(&mut club);
            let from = room.place.addr(0);
            group.bench_function(BenchmarkId::new(format!("{suite:?}"), len), |bencher| {
                bencher.iter_custom(|datagrams| {
                    let (mut time, mut left) = (Duration::ZERO, datagrams);
                    while left > 0 {
                        let some = left.min(5_000 * BATCH);
                        let alice = &mut guests[0];
                        let make = || alice.data(Class::Perceptual, len);
                        // A batch a millisecond is within what the token allows.
                        let step = Span::from_millis(1);
                        time += timed(&mut room.shard, from, some, FORWARDED, step, make);
                        left -= some;
                        // Nobody is to be taken for gone.
                        for (peer, guest) in guests.iter_mut().enumerate() {
                            room.say(peer, &guest.control(&[]));
                        }
                        room.settle();
                    }
                    time
                });
            });
        }
    }
    group.finish();
}

fn flooding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("v1/flood");
    group.throughput(Throughput::Elements(1));
    let stranger = ClientAddr::from((Ipv4Addr::new(198, 51, 100, 1), 9));
    for suite in Suite::ALL {
        let mut club = Club::of(suite);
        let (mut room, mut guests) = entered(&mut club);
        // Its data flows, so its key is at hand. Forged in the name of one at rest, each costs an
        // expansion of the key more.
        let genuine = guests[0].data(Class::Perceptual, 120);
        room.say(0, &genuine);
        room.settle();
        for len in [120, 1_200] {
            // A frame longer than any padded length is as good a forgery.
            let mut forged = guests[0].data(Class::Perceptual, 120);
            forged.resize(len, 0);
            forged[110] ^= 1;
            let name = format!("bad_tag/{suite:?}");
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                bencher.iter_custom(|datagrams| {
                    let make = || forged.clone();
                    timed(
                        &mut room.shard,
                        stranger,
                        datagrams,
                        Some(Verdict::BadTag),
                        Span::ZERO,
                        make,
                    )
                });
            });
        }
    }
    let mut club = Club::new();
    let (mut room, mut guests) = entered(&mut club);
    // What the memory network itself costs: to be taken off the others of its length.
    for len in [120, 512, 1_200] {
        let noise = vec![0x80; len];
        group.bench_function(BenchmarkId::new("noise", len), |bencher| {
            bencher.iter_custom(|datagrams| {
                let (make, verdict) = (|| noise.clone(), Some(Verdict::Unrecognised));
                timed(&mut room.shard, stranger, datagrams, verdict, Span::ZERO, make)
            });
        });
    }
    let mut unknown = guests[0].data(Class::Perceptual, 120);
    unknown[4..12].copy_from_slice(&7u64.to_le_bytes());
    let seen = guests[0].data(Class::Perceptual, 120);
    room.say(0, &seen);
    room.settle();
    let mut elsewhere = Club::new();
    elsewhere.relay = ExchangeKey::from_secret(Secret::new([8; 32]));
    let bad_mac1 = elsewhere.guest().hello();
    for (name, bytes, verdict) in [
        ("unknown_session", unknown, Verdict::UnknownParticipant),
        ("replayed", seen, Verdict::Replayed),
        ("bad_mac1", bad_mac1, Verdict::BadMac1),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|datagrams| {
                let make = || bytes.clone();
                timed(&mut room.shard, stranger, datagrams, Some(verdict), Span::ZERO, make)
            });
        });
    }
    // HELLOs without a cookie, all different, to a relay that asks for cookies by now.
    let hello = club.guest().hello();
    let key = sha256(&[b"ELARA1 mac1", club.relay.public().as_bytes()]);
    let fresh = |n: u64| {
        let mut hello = hello.clone();
        hello[30..38].copy_from_slice(&n.to_le_bytes());
        let mac = hmac16(&key, &[&hello[..496]]);
        hello[496..].copy_from_slice(&mac);
        hello
    };
    let here = ClientAddr::from((Ipv4Addr::LOCALHOST, 9));
    for n in 0..1_000 {
        assert!(room.shard.io().deliver(&here, &fresh(n)));
        room.shard.cycle().expect("memory does not fail");
    }
    let mut n = 1_000;
    group.bench_function("hello_without_cookie/200k_per_s", |bencher| {
        bencher.iter_custom(|datagrams| {
            // 200,000 a second: 300 are computed, 20,000 answered with RETRY, the others refused.
            let step = Span::from_micros(320);
            timed(&mut room.shard, here, datagrams, None, step, || {
                n += 1;
                fresh(n)
            })
        });
    });
    group.finish();
}

fn welcoming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("v1/handshake");
    for suite in Suite::ALL {
        let mut club = Club::of(suite);
        let mut room = Room::<InMemory>::with(1, club.config());
        let here = room.place.addr(0);
        group.bench_function(format!("{suite:?}"), |bencher| {
            bencher.iter_custom(|hellos| {
                let mut time = Duration::ZERO;
                for _ in 0..hellos {
                    let hello = club.guest().hello();
                    // Slow enough that no cookie is asked for, and the half-open are few.
                    let now = room.shard.io().now() + Span::from_millis(20);
                    room.shard.io().set_now(now);
                    assert!(room.shard.io().deliver(&here, &hello));
                    let start = Instant::now();
                    room.shard.cycle().expect("memory does not fail");
                    time += start.elapsed();
                    room.shard.io().settle();
                    room.shard.io().clear_sent();
                }
                time
            });
        });
        let counters = room.shard.counters();
        assert_eq!(counters.of(Verdict::Welcomed), counters.datagrams);
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = forwarding, flooding, welcoming
}
criterion_main!(benches);
