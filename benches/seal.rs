//! What does a tag cost on the hop, and what a seal? In ns a frame, on one cpu, both suites.
//!
//! - `verify`: what a relay does to every data frame it takes, with a good tag and with a bad one.
//! - `raw`: the cipher call inside it, over the same bytes and without a copy: the floor.
//! - `send`: what a sender does to every data frame: its number, the seal end to end, and the tag,
//!   which with AES-GCM is two seals more.
//!
//! `cargo bench --bench seal`. Frames of 120 and of 1,200 bytes, as voice and video have them. The goal
//! is `verify` at most 1.3 times `raw`; the last lines say the ratio, measured in alternating
//! rounds, so that a busy machine is busy for both. What we do badly: with a bad tag ring wipes what it
//! decrypted, so a long forged frame of AES-GCM costs some 5 % more than a good one.

#[path = "common/hop.rs"]
mod hop;

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use elara_core::crypto::hop::HopKey;
use elara_core::crypto::suite::{Nonce, Tag};
use elara_core::crypto::{AeadKey, Scratch, Suite};
use elara_core::limits::{HEADER_LEN, TAG_LEN, V1_OVERHEAD};
use hop::{secret, sender, untagged};

const LENGTHS: [usize; 2] = [120, 1_200];

#[derive(Clone, Copy)]
struct Case {
    suite: Suite,
    len: usize,
    good: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, len, good } = self;
        write!(f, "{suite:?}/{len}/{}", if *good { "good" } else { "bad" })
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let all = Suite::ALL.into_iter().flat_map(|suite| LENGTHS.map(|len| (suite, len)));
    all.flat_map(|(suite, len)| [true, false].map(|good| Case { suite, len, good }))
}

/// Our side: the whole check of a frame.
struct Ours {
    key: HopKey,
    frame: Vec<u8>,
    scratch: Scratch,
}

impl Ours {
    fn new(case: Case) -> Self {
        let (key, mut frame) = (secret(case.suite).expand(), untagged(case.suite, case.len));
        key.tag(&mut frame).expect("it has the room");
        frame[case.len - 1] ^= u8::from(!case.good);
        let mut ours = Self { key, frame, scratch: Scratch::new() };
        assert_eq!(ours.check(), case.good);
        ours
    }

    fn check(&mut self) -> bool {
        self.key.verify(black_box(&self.frame), &mut self.scratch).is_ok()
    }
}

/// The floor: the cipher call alone. Opening AES-GCM turns the bytes into others and the others back,
/// so with a tag for each the call succeeds every time without anything being copied.
struct Raw {
    key: AeadKey,
    aad: Vec<u8>,
    text: Vec<u8>,
    tags: [Tag; 2],
    turn: usize,
}

/// Number 0 of class 0 leaves the iv as it is.
const NONCE: Nonce = [7; 12];

impl Raw {
    fn new(case: Case) -> Self {
        let key = AeadKey::new(case.suite, &[7; 32]);
        let mut front = untagged(case.suite, case.len - TAG_LEN);
        let mut text = match case.suite {
            Suite::AesGcm => front.split_off(HEADER_LEN),
            Suite::ChaChaPoly => Vec::new(),
        };
        // The first seal leaves the others, the second the bytes again.
        let others = key.seal(NONCE, &front, &mut text);
        let bytes = key.seal(NONCE, &front, &mut text);
        let mut raw = Self { key, aad: front, text, tags: [bytes, others], turn: 0 };
        if !case.good {
            raw.tags.iter_mut().for_each(|tag| tag[TAG_LEN - 1] ^= 1);
        }
        assert_eq!((raw.check(), raw.check()), (case.good, case.good));
        raw
    }

    fn check(&mut self) -> bool {
        let tag = &self.tags[self.turn];
        self.turn ^= 1;
        self.key.open(NONCE, black_box(&self.aad), black_box(&mut self.text), tag).is_ok()
    }
}

fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("hop");
    for case in cases() {
        group.throughput(Throughput::Bytes(case.len as u64));
        let mut ours = Ours::new(case);
        group.bench_function(BenchmarkId::new("verify", case), |b| b.iter(|| ours.check()));
        let mut raw = Raw::new(case);
        group.bench_function(BenchmarkId::new("raw", case), |b| b.iter(|| raw.check()));
    }
    group.finish();
}

fn send(c: &mut Criterion) {
    let mut group = c.benchmark_group("send");
    for (suite, len) in Suite::ALL.into_iter().flat_map(|suite| LENGTHS.map(|len| (suite, len))) {
        assert!(len > V1_OVERHEAD);
        group.throughput(Throughput::Bytes(len as u64));
        let (sealer, mut sending) = sender(suite);
        // What lies in the frame is sealed again and again: the same work each time.
        let mut frame = untagged(suite, len);
        group.bench_function(BenchmarkId::from_parameter(format!("{suite:?}/{len}")), |b| {
            b.iter(|| sending.data(&sealer, black_box(&mut frame)).is_ok());
        });
    }
    group.finish();
}

/// The medians of alternating rounds, and their ratio.
fn ratios() {
    const ROUNDS: usize = 301;
    const CALLS: u32 = 1_000;
    println!("hop: a whole check beside its cipher call, ns");
    for case in cases() {
        let (mut ours, mut raw) = (Ours::new(case), Raw::new(case));
        let mut rounds = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
        for _ in 0..ROUNDS {
            rounds[0].push(timed(CALLS, || ours.check()));
            rounds[1].push(timed(CALLS, || raw.check()));
        }
        let [ours, raw] = rounds.map(|mut round| {
            round.sort_unstable_by(f64::total_cmp);
            round[ROUNDS / 2]
        });
        println!("{:<24} {ours:7.0} / {raw:7.0} = {:.2}", case.to_string(), ours / raw);
    }
}

/// ns a call.
fn timed(calls: u32, mut call: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

criterion_group!(benches, verify, send);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    ratios();
}
