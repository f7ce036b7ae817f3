//! Wire v0 is what the published 0.2.0 crates do: 10,000 frames of theirs through our code and
//! 10,000 of ours through theirs, byte for byte; and where we are stricter, exactly how.
//!
//! A failure prints the seed: `ELARA_SEED=.. cargo test --manifest-path tests/interop/Cargo.toml`.

use std::collections::BTreeSet;

use elara_core::limits::{HEADER_LEN, V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::random::{Random, Seeded};
use elara_core::wire::{
    Event, Extensions, Frame, FrameWriter, Header, Mutation, VersionVector, Versions,
};
use elara_core::{NodeId, SessionId, StateId};
use elara_interop::theirs::{Block, Sample, Theirs};
use elara_interop::{hex, ours, seed, theirs};

const FRAMES: u32 = 10_000;

#[test]
fn ten_thousand_frames_of_theirs_are_read_right_and_written_again_to_the_same_bytes() {
    let seed = seed();
    let mut theirs = Theirs::new(seed);
    let mut seen = Seen::default();
    for number in 0..FRAMES {
        let sample = theirs.frame();
        seen.note(&sample);
        let said = || format!("seed {seed}, frame {number}: {}", hex(&sample.bytes));
        let frame = Frame::parse(&sample.bytes).unwrap_or_else(|why| panic!("{why:?}, {}", said()));
        assert_same_header(frame.header, &sample, &said);
        assert_same_extensions(&Extensions::from(frame.tlvs), &sample.extensions, &said);
        assert_eq!(frame.payload, sample.payload, "{}", said());
        assert_eq!(written_again(&frame, &sample.blocks, &said), sample.bytes, "{}", said());
    }
    seen.assert_complete();
}

#[test]
fn ten_thousand_frames_of_ours_are_read_and_written_again_by_theirs_to_the_same_bytes() {
    let seed = seed();
    let mut random = Seeded::new(seed);
    for number in 0..FRAMES {
        let bytes = ours::frame(&mut random);
        let said = || format!("seed {seed}, frame {number}: {}", hex(&bytes));
        let theirs = v0_wire::Frame::parse(&bytes)
            .unwrap_or_else(|why| panic!("0.2.0 refuses: {why}, {}", said()));
        let again = theirs.serialize().unwrap_or_else(|why| panic!("{why}, {}", said()));
        assert_eq!(again, bytes, "{}", said());
    }
}

#[test]
fn a_profile_without_a_name_survives_us_and_is_folded_by_them() {
    let mut bytes = ours::frame(&mut Seeded::new(1));
    bytes[21] = 0x77;
    assert_eq!(Frame::parse(&bytes).unwrap().header.profile, 0x77);
    let theirs = v0_wire::Frame::parse(&bytes).unwrap().serialize().unwrap();
    assert_eq!((theirs[21], &theirs[22..]), (0xFF, &bytes[22..]));
}

#[test]
fn we_refuse_what_they_refuse_and_three_things_more() {
    let seed = seed();
    let (mut theirs, mut random) = (Theirs::new(seed), Seeded::new(!seed));
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..FRAMES {
        let mut bytes = theirs.frame().bytes;
        damage(&mut bytes, &mut random);
        let header_len =
            bytes.get(2..4).map_or(0, |len| usize::from(len[0]) | usize::from(len[1]) << 8);
        let stricter = bytes.first().is_some_and(|first| first >> 4 != 0)
            || header_len < HEADER_LEN
            || bytes.len() > V0_FRAME_MAX;
        let expected = v0_wire::Frame::parse(&bytes).ok().filter(|_| !stricter);
        let found = Frame::parse(&bytes).ok();
        let said = || format!("seed {seed}, frame {number}: {}", hex(&bytes));
        assert_eq!(found.is_some(), expected.is_some(), "{}", said());
        let (Some(found), Some(expected)) = (found, expected) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        assert_same_extensions(&Extensions::from(found.tlvs), &expected.extensions, &said);
        assert_eq!(found.payload, expected.payload, "{}", said());
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn mutations_are_read_as_they_read_them() {
    let seed = seed();
    let mut random = Seeded::new(seed);
    for number in 0..FRAMES {
        let mut bytes = vec![0; random.below(14) as usize];
        random.fill(&mut bytes);
        if let Some(operation) = bytes.first_mut() {
            *operation %= 8;
        }
        // A small length, so that it often fits.
        for at in [1, 2, 5, 6] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte %= if at % 2 == 1 { 8 } else { 2 };
            }
        }
        let theirs = v0_core::MutationOp::decode(&bytes).map(|(op, used)| (op.encode(), used));
        let ours = Mutation::parse_prefix(&bytes).ok().map(|(mutation, rest)| {
            let mut out = vec![0; mutation.encoded_len()];
            mutation.encode(&mut out).unwrap();
            (out, bytes.len() - rest.len())
        });
        assert_eq!(ours, theirs, "seed {seed}, case {number}: {}", hex(&bytes));
    }
}

#[test]
fn version_vectors_of_three_nodes_compare_as_theirs_do() {
    let all: Vec<[u64; 3]> = (0..64).map(|n| [n & 3, n >> 2 & 3, n >> 4 & 3]).collect();
    let pairs = |counts: &[u64; 3]| -> Vec<(u64, u64)> {
        // Absent and zero are two spellings; a 3 stands for zero that is spelt out.
        let spelt = counts.iter().zip(1..).filter(|(count, _)| **count != 0);
        spelt.map(|(count, node)| (node, count % 3)).collect()
    };
    for a in &all {
        for b in &all {
            let ours = |c| pairs(c).into_iter().map(|(n, c)| (NodeId(n), c)).collect();
            let (x, y): (VersionVector, VersionVector) = (ours(a), ours(b));
            let theirs = |c| {
                let pairs = pairs(c).into_iter().map(|(n, c)| (v0_core::NodeId(n), c));
                v0_core::VersionVector::from_compact(pairs.collect())
            };
            let (s, t) = (theirs(a), theirs(b));
            assert_eq!(x.happens_before(&y), s.happens_before(&t), "{x:?} {y:?}");
            assert_eq!(x.concurrent(&y), s.concurrent(&t), "{x:?} {y:?}");
            let (ours, theirs) = (x.merge(&y), s.merge(&t));
            for node in 0..5 {
                assert_eq!(ours.count_of(NodeId(node)), theirs.get(v0_core::NodeId(node)));
            }
        }
    }
}

#[test]
fn a_repeated_node_in_a_vector_counts_as_they_count_it() {
    let entries = [(5u64, 1u64), (3, 9), (5, 2)];
    let bytes: Vec<u8> = entries
        .iter()
        .flat_map(|(node, count)| [node.to_le_bytes(), count.to_le_bytes()])
        .flatten()
        .collect();
    let theirs = v0_core::VersionVector::from_compact(
        entries.iter().map(|&(node, count)| (v0_core::NodeId(node), count)).collect(),
    );
    let ours = Versions::parse(&bytes).unwrap();
    for node in [3, 4, 5] {
        assert_eq!(ours.count_of(NodeId(node)), theirs.get(v0_core::NodeId(node)));
    }
}

#[test]
fn events_of_ours_change_the_state_of_their_node() {
    let mut node = v0_runtime::Node::new();
    let mut frames = Vec::new();
    for (instance, &kind) in elara_core::wire::EventType::ALL.iter().enumerate() {
        // Ends and visual frames have effects of their own; the rest sets what it says.
        if kind == elara_core::wire::EventType::STREAM_END {
            continue;
        }
        let seen: VersionVector = [(NodeId(3), 5), (NodeId(1), 2)].into_iter().collect();
        let value = [kind.0; 9];
        let event = Event {
            kind,
            state: StateId::of_kind(0x0100, instance as u64),
            versions: seen.as_versions(),
            mutation: Mutation::Set(&value),
        };
        let mut out = [0; V0_FRAME_MAX];
        let header = Header::v0(SessionId(5), NodeId(9));
        let bytes = FrameWriter::new(&mut out, &header).unwrap().event(&event).unwrap().finish();
        node.queue_incoming(v0_wire::Frame::parse(bytes).unwrap());
        frames.push((event.state, value));
    }
    node.tick();
    for (state, value) in frames {
        let atom = node.state_engine().field().get(v0_core::StateId(state.0));
        assert_eq!(atom.map(|atom| &atom.value[..]), Some(&value[..]), "{state}");
    }
}

/// Writes `frame` again from typed parts alone: numbers, extensions, events.
fn written_again(frame: &Frame<'_>, blocks: &[Block], said: &dyn Fn() -> String) -> Vec<u8> {
    let mut header = Header::v0(frame.header.session_id(), frame.header.node_id());
    header.version_suite = frame.header.suite();
    header.flags = frame.header.flags;
    header.class = frame.header.class().expect("parsed frames have a class") as u8;
    header.profile = frame.header.profile;
    header.time_hint.set(frame.header.time_hint.get());
    header.set_seq_window(frame.header.seq(), frame.header.window());
    let mut out = [0; V0_FRAME_MAX];
    let extensions = Extensions::from(frame.tlvs);
    let mut writer = FrameWriter::with_extensions(&mut out, &header, &extensions).unwrap();
    if blocks.is_empty() {
        return writer.payload(frame.payload).unwrap().finish().to_vec();
    }
    let events: Vec<Event<'_>> = frame
        .events()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|why| panic!("{why:?}, {}", said()));
    assert_eq!(events.len(), blocks.len(), "{}", said());
    for (event, block) in events.iter().zip(blocks) {
        assert_same_event(event, block, said);
        // The vector takes the long way, through the value.
        let seen = VersionVector::from(event.versions);
        writer = writer.event(&Event { versions: seen.as_versions(), ..*event }).unwrap();
    }
    writer.finish().to_vec()
}

fn assert_same_event(event: &Event<'_>, block: &Block, said: &dyn Fn() -> String) {
    assert_eq!(event.kind.0, block.kind.to_byte(), "{}", said());
    assert_eq!(event.kind.name().map(pascal), Some(format!("{:?}", block.kind)), "{}", said());
    assert_eq!(event.state.0, block.state.0, "{}", said());
    let compact = block.version.to_compact();
    assert_eq!(event.versions.entries().len(), compact.len(), "{}", said());
    for (node, count) in compact {
        assert_eq!(event.versions.count_of(NodeId(node.0)), count, "{}", said());
    }
    let mut delta = vec![0; event.mutation.encoded_len()];
    event.mutation.encode(&mut delta).unwrap();
    assert_eq!(delta, block.mutation.encode(), "{}", said());
}

/// `TEXT_APPEND` as `TextAppend`.
fn pascal(name: &str) -> String {
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
    name.split('_').map(word).collect()
}

fn assert_same_header(header: &Header, sample: &Sample, said: &dyn Fn() -> String) {
    let theirs = &sample.header;
    assert_eq!(header.version(), theirs.version, "{}", said());
    assert_eq!(header.suite(), theirs.crypto_suite.to_nibble(), "{}", said());
    assert_eq!(header.flags, theirs.flags.0, "{}", said());
    assert_eq!(header.header_len.get(), theirs.header_len, "{}", said());
    assert_eq!(header.session_id().0, theirs.session_id.0, "{}", said());
    assert_eq!(header.node_id().0, theirs.node_id.0, "{}", said());
    assert_eq!(header.class, theirs.class.to_byte(), "{}", said());
    assert_eq!(header.profile, sample.profile, "{}", said());
    assert_eq!(header.time_hint.get(), theirs.time_hint, "{}", said());
    assert_eq!((header.seq(), header.window()), (theirs.seq(), theirs.window()), "{}", said());
}

fn assert_same_extensions(
    ours: &Extensions<'_>,
    theirs: &v0_wire::Extensions,
    said: &dyn Fn() -> String,
) {
    assert_eq!(ours.ratchet, theirs.ratchet_id, "{}", said());
    assert_eq!(ours.key_epoch, theirs.key_epoch, "{}", said());
    let role = theirs.swarm_role.map(|role| role as u8);
    assert_eq!(ours.swarm_role.map(|role| role as u8), role, "{}", said());
    assert_eq!(ours.relay_hop, theirs.relay_hop, "{}", said());
    assert_eq!(ours.interest, theirs.interest_mask, "{}", said());
    assert_eq!(ours.redundancy_group, theirs.redundancy_group, "{}", said());
    assert_eq!(ours.compression, theirs.compression_hint, "{}", said());
    let fragment = theirs.fragment_info.map(|piece| (piece.index, piece.total));
    assert_eq!(ours.fragment.map(|piece| (piece.index, piece.total)), fragment, "{}", said());
    assert_eq!(ours.path, theirs.path_id, "{}", said());
    assert_eq!(ours.priority, theirs.priority_hint, "{}", said());
    assert_eq!(ours.causality, theirs.causality_ref.as_deref(), "{}", said());
}

/// Flips, cuts or lengthens; mostly in the header and the TLVs, where there is something to break.
fn damage(bytes: &mut Vec<u8>, random: &mut Seeded) {
    for _ in 0..=random.below(2) {
        match random.below(8) {
            0 => bytes.truncate(random.below(bytes.len() as u64 + 1) as usize),
            1 => bytes.resize(bytes.len() + random.below(200) as usize, 0x0B),
            2 if bytes.len() > 3 => bytes[2] = random.next_u64() as u8,
            3 if bytes.len() > 20 => bytes[20] = random.below(7) as u8,
            4 if !bytes.is_empty() => bytes[0] = random.below(4) as u8,
            _ if bytes.len() > 100 => {
                bytes[HEADER_LEN + random.below(70) as usize] = random.next_u64() as u8
            }
            _ => {}
        }
    }
}

/// What the generator has shown so far, so that "all of them" is counted and not hoped.
#[derive(Default)]
struct Seen {
    classes: BTreeSet<u8>,
    profiles: BTreeSet<u8>,
    suites: BTreeSet<u8>,
    flags: u8,
    kinds: BTreeSet<u8>,
    mutations: BTreeSet<u8>,
    sizes: BTreeSet<usize>,
}

impl Seen {
    fn note(&mut self, sample: &Sample) {
        self.classes.insert(sample.header.class.to_byte());
        self.profiles.insert(sample.profile);
        self.suites.insert(sample.header.crypto_suite.to_nibble());
        self.flags |= sample.header.flags.0;
        self.kinds.extend(sample.blocks.iter().map(|block| block.kind.to_byte()));
        self.mutations.extend(sample.blocks.iter().map(|block| block.mutation.encode()[0]));
        self.sizes.insert(sample.bytes.len());
    }

    fn assert_complete(&self) {
        assert_eq!(self.classes.len(), theirs::CLASSES.len());
        assert!(theirs::PROFILES.iter().all(|profile| self.profiles.contains(&profile.to_byte())));
        assert!(self.profiles.len() > 100, "bytes without a name among them");
        assert_eq!((self.suites.len(), self.flags), (theirs::SUITES.len(), 0xFF));
        assert_eq!(self.kinds.len(), theirs::event_types().len());
        let ours: BTreeSet<u8> =
            elara_core::wire::EventType::ALL.iter().map(|kind| kind.0).collect();
        assert_eq!(self.kinds, ours);
        assert_eq!(self.mutations, BTreeSet::from([1, 2, 3, 4, 5, 6]));
        assert_eq!(self.sizes.first(), Some(&V0_FRAME_MIN));
        assert_eq!(self.sizes.last(), Some(&V0_FRAME_MAX));
    }
}
