//! What does a participant cost: ns per frame sealed into the caller's buffer, and ns per frame taken in,
//! opened and delivered to the application?
//!
//! Two participants of suite 1 who have joined a shard over the network in memory; no kernel. Frames of
//! voice (content of 160 bytes, 240 on the wire) and full ones (1,150, 1,232). `participant/datagram` takes
//! garbage with a good header: what a flood costs a client.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use elara_core::limits::V1_FRAME_MAX;
use support::people::{People, voice};

const BATCH: u64 = 64;

fn participant(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("participant");
    let mut room = People::enter(2);
    let now = room.now();
    let [speaker, listener] = &mut room.people[..] else { panic!("two people") };
    let mut number = 0;
    for len in [160, 1_150] {
        let content = vec![7; len];
        let mut out = [0; V1_FRAME_MAX];
        group.bench_function(BenchmarkId::new("seal", len), |bencher| {
            bencher.iter(|| {
                number += 1;
                speaker.seal_frame(&voice(number), &content, &mut out).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("open", len), |bencher| {
            bencher.iter_custom(|frames| {
                let (mut time, mut left) = (Duration::ZERO, frames);
                while left > 0 {
                    let batch = left.min(BATCH);
                    let frames: Vec<Vec<u8>> = (0..batch)
                        .map(|_| {
                            number += 1;
                            let len = speaker.seal_frame(&voice(number), &content, &mut out);
                            out[..len.unwrap()].to_vec()
                        })
                        .collect();
                    let start = Instant::now();
                    for frame in &frames {
                        listener.handle_datagram(frame, now).unwrap();
                        listener.poll_event().unwrap();
                    }
                    time += start.elapsed();
                    left -= batch;
                }
                time
            });
        });
    }
    let mut out = [0; V1_FRAME_MAX];
    let len = speaker.seal_frame(&voice(0), &[7; 160], &mut out).unwrap();
    out[len - 20] ^= 1;
    group.bench_function("datagram/forged", |bencher| {
        bencher.iter(|| listener.handle_datagram(&out[..len], now).unwrap_err());
    });
    out[12] ^= 1;
    group.bench_function("datagram/stranger", |bencher| {
        bencher.iter(|| listener.handle_datagram(&out[..len], now).is_ok());
    });
    group.finish();
}

criterion_group!(benches, participant);
criterion_main!(benches);
