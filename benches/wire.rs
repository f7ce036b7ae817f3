//! What does it cost to read and to write a v0 frame? In ns a frame, on one cpu.
//!
//! - `read/header`: what a relay does to every datagram: the header in place and its check.
//! - `read/frame`: a frame with every extension, TLVs walked; and one asked for a late extension.
//! - `read/events`: a payload of eight blocks, as a participant reads it.
//! - `write/frame`: the same frames, into a buffer that is there already.
//!
//! `cargo bench --bench wire`. What we do badly: a single extension is found by walking the region
//! again, and it must be the last of its kind, so its price is another whole walk.

#[path = "common/extended.rs"]
mod extended;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use elara_core::limits::V0_FRAME_MAX;
use elara_core::wire::{
    Event, EventType, Events, Extensions, Frame, FrameWriter, Header, Mutation, VersionVector,
};
use elara_core::{NodeId, StateId};
use extended::{EVERY, extended, header};

fn seen() -> VersionVector {
    (1..=4).map(|node| (NodeId(node), node * 100)).collect()
}

fn event(seen: &VersionVector) -> Event<'_> {
    Event {
        kind: EventType::TEXT_APPEND,
        state: StateId::of_kind(1, 7),
        versions: seen.as_versions(),
        mutation: Mutation::Append(b"a line of text, as people write them"),
    }
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    let mut out = [0; V0_FRAME_MAX];
    let plain = FrameWriter::new(&mut out, &header()).unwrap().payload(&[7; 160]).unwrap().finish();
    let plain = &*plain;
    group.bench_function("header", |b| {
        b.iter(|| {
            let datagram = black_box(plain);
            Header::peek(datagram).map(|header| header.check_v0(datagram.len()))
        });
    });
    group.bench_function("frame/plain", |b| b.iter(|| Frame::parse(black_box(plain)).is_ok()));

    let mut out = [0; V0_FRAME_MAX];
    let extended = extended(&mut out);
    group.bench_function("frame/eleven TLVs", |b| {
        b.iter(|| Frame::parse(black_box(extended)).is_ok());
    });
    group.bench_function("frame/priority behind nine TLVs", |b| {
        b.iter(|| Frame::parse(black_box(extended)).map(|frame| frame.tlvs.priority()));
    });
    group.bench_function("frame/all extensions", |b| {
        b.iter(|| Frame::parse(black_box(extended)).map(|frame| Extensions::from(frame.tlvs)));
    });

    let seen = seen();
    let block = event(&seen);
    let mut payload = vec![0; block.encoded_len()];
    block.encode(&mut payload).unwrap();
    let payload = payload.repeat(8);
    group.bench_function("events/eight blocks", |b| {
        b.iter(|| Events::parse(black_box(&payload)).filter(Result::is_ok).count());
    });
    group.finish();
}

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    let mut out = [0; V0_FRAME_MAX];
    let header = header();
    let payload = [7; 160];
    group.bench_function("frame/plain", |b| {
        b.iter(|| {
            let frame = FrameWriter::new(&mut out, black_box(&header));
            frame.and_then(|frame| frame.payload(black_box(&payload))).unwrap().finish().len()
        });
    });
    group.bench_function("frame/eleven TLVs", |b| {
        b.iter(|| {
            let frame = FrameWriter::with_extensions(&mut out, black_box(&header), &EVERY);
            frame.and_then(|frame| frame.payload(black_box(&payload))).unwrap().finish().len()
        });
    });
    let seen = seen();
    let block = event(&seen);
    group.bench_function("frame/one event", |b| {
        b.iter(|| {
            let frame = FrameWriter::new(&mut out, black_box(&header));
            frame.and_then(|frame| frame.event(black_box(&block))).unwrap().finish().len()
        });
    });
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
