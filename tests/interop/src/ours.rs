//! Frames from a seed, every byte made by us.

use elara_core::limits::{V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::random::{Random, Seeded};
use elara_core::wire::tlv::{Fragment, SwarmRole};
use elara_core::wire::{
    Class, Event, EventType, Extensions, FrameWriter, Header, Mutation, VersionVector, header,
};
use elara_core::{NodeId, SessionId, StateId};

use crate::theirs::{content, pick};

/// Profiles that 0.2.0 gives back as it got them.
const PROFILES: [u8; 10] = [
    header::profile::TEXTUAL,
    header::profile::VOICE_MINIMAL,
    header::profile::VOICE_STANDARD,
    header::profile::VOICE_HIGH,
    header::profile::VIDEO_LOW,
    header::profile::VIDEO_STANDARD,
    header::profile::VIDEO_HIGH,
    header::profile::STREAM_ASYMMETRIC,
    header::profile::AGENT,
    header::profile::CUSTOM,
];

/// The next frame of `random`'s stream.
pub fn frame(random: &mut Seeded) -> Vec<u8> {
    let header = any_header(random);
    let mut reference = vec![0; random.below(256) as usize];
    random.fill(&mut reference);
    let which = if random.chance(300_000) { 0 } else { random.below(1 << 11) as u32 };
    let extensions = any_extensions(which, random, &reference);
    let mut out = [0; V0_FRAME_MAX];
    let frame = FrameWriter::with_extensions(&mut out, &header, &extensions)
        .expect("all extensions together fit a frame");
    let mut room = V0_FRAME_MAX - V0_FRAME_MIN - extensions.encoded_len();
    if random.chance(500_000) {
        let payload = content(random, room);
        return frame.payload(&payload).expect("cut to fit").finish().to_vec();
    }
    let mut frame = frame;
    for _ in 0..=random.below(4) {
        let seen: VersionVector =
            (0..random.below(5)).map(|_| (NodeId(random.next_u64()), random.next_u64())).collect();
        let value = content(random, 90);
        let event = Event {
            kind: pick(random, EventType::ALL),
            state: StateId(random.next_u64()),
            versions: seen.as_versions(),
            mutation: any_mutation(random, &value),
        };
        if event.encoded_len() <= room {
            room -= event.encoded_len();
            frame = frame.event(&event).expect("there is room");
        }
    }
    frame.finish().to_vec()
}

fn any_header(random: &mut Seeded) -> Header {
    let session = SessionId(random.next_u64());
    let mut header = Header::v0(session, NodeId(random.next_u64()));
    header.version_suite = random.below(3) as u8;
    header.flags = random.next_u64() as u8;
    header.class = pick(random, &Class::ALL) as u8;
    header.profile = pick(random, &PROFILES);
    header.time_hint.set(random.next_u64() as i32);
    header.set_seq_window(random.next_u64() as u16, random.next_u64() as u16);
    header
}

fn any_extensions<'a>(which: u32, random: &mut Seeded, reference: &'a [u8]) -> Extensions<'a> {
    let mut any = |bit: u32| (which & 1 << bit != 0).then(|| random.next_u64());
    Extensions {
        ratchet: any(0).map(|n| n as u32),
        key_epoch: any(1).map(|n| n as u16),
        swarm_role: any(2).and_then(|n| SwarmRole::from_byte((n % 5) as u8)),
        relay_hop: any(3).map(|n| n as u8),
        interest: any(4),
        redundancy_group: any(5).map(|n| n as u16),
        compression: any(6).map(|n| n as u8),
        fragment: any(7).map(|n| Fragment { index: n as u16, total: (n >> 16) as u16 }),
        path: any(8).map(|n| n as u16),
        priority: any(9).map(|n| n as u8),
        causality: any(10).map(|_| reference),
    }
}

fn any_mutation<'a>(random: &mut Seeded, value: &'a [u8]) -> Mutation<'a> {
    match random.below(6) {
        0 => Mutation::Set(value),
        1 => Mutation::Increment(random.next_u64() as i64),
        2 => Mutation::Append(value),
        3 => Mutation::Merge(value),
        4 => Mutation::Delete,
        _ => Mutation::Blend { value, weight: f32::from_bits(random.next_u64() as u32) },
    }
}
