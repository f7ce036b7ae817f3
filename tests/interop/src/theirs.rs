//! Frames from a seed, every byte made by the published 0.2.0 crates.
//!
//! Event blocks come out of a real 0.2.0 node (its encoder is private, its outgoing queue is not),
//! sealed payloads out of its `SecureFrameProcessor`, frames out of its `FrameBuilder`. The one thing
//! it cannot write, a profile byte without a name, is written over byte 21 afterwards.

use elara_core::random::{Random, Seeded};
use v0_core::{
    Event, EventType, MutationOp, NodeId, PacketClass, RepresentationProfile, SessionId, StateId,
    TimeIntent, VersionVector,
};
use v0_crypto::{Identity, SecureFrameProcessor};
use v0_runtime::{Node, NodeConfig};
use v0_wire::{
    CryptoSuite, Extensions, FixedHeader, FragmentInfo, Frame, FrameBuilder, FrameFlags,
    MAX_FRAME_SIZE, MIN_FRAME_SIZE, SwarmRole,
};

/// Every event type 0.2.0 knows: whatever byte it gives a name.
pub fn event_types() -> Vec<EventType> {
    (0..=u8::MAX).filter_map(EventType::from_byte).collect()
}

/// Every profile 0.2.0 has a name for.
pub const PROFILES: [RepresentationProfile; 10] = [
    RepresentationProfile::Textual,
    RepresentationProfile::VoiceMinimal,
    RepresentationProfile::VoiceStandard,
    RepresentationProfile::VoiceHigh,
    RepresentationProfile::VideoLow,
    RepresentationProfile::VideoStandard,
    RepresentationProfile::VideoHigh,
    RepresentationProfile::StreamAsymmetric,
    RepresentationProfile::Agent,
    RepresentationProfile::Custom,
];

/// Every class.
pub const CLASSES: [PacketClass; 5] = [
    PacketClass::Core,
    PacketClass::Perceptual,
    PacketClass::Enhancement,
    PacketClass::Cosmetic,
    PacketClass::Repair,
];

/// Every suite.
pub const SUITES: [CryptoSuite; 3] =
    [CryptoSuite::Suite0, CryptoSuite::Suite1, CryptoSuite::Suite2];

/// How many extensions 0.2.0 knows, the end marker aside.
pub const EXTENSIONS: u32 = 11;

/// Turns events into the bytes a 0.2.0 node sends for them.
pub struct Encoder {
    node: Node,
}

impl Encoder {
    /// An encoder whose node has an identity of its own.
    pub fn new() -> Self {
        let identity = Identity::from_bytes(&[7; 32]);
        let mut node = Node::with_identity(identity, NodeConfig::default());
        node.join_session_unsecured(SessionId::new(1));
        Self { node }
    }

    /// The block of one event.
    pub fn block(
        &mut self,
        kind: EventType,
        state: StateId,
        version: VersionVector,
        mutation: MutationOp,
    ) -> Vec<u8> {
        let event = Event::new(self.node.node_id(), 0, kind, state, mutation)
            .with_version(version)
            .with_time_intent(TimeIntent::new(0));
        self.node.queue_local_event(event);
        self.node.tick();
        let frame = self.node.pop_outgoing().expect("a node sends the event it was given");
        assert!(self.node.pop_outgoing().is_none(), "one event is one frame");
        frame.payload
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// What 0.2.0 put into an event block.
pub struct Block {
    pub kind: EventType,
    pub state: StateId,
    pub version: VersionVector,
    pub mutation: MutationOp,
}

/// A frame of 0.2.0 and what went into it.
pub struct Sample {
    pub bytes: Vec<u8>,
    pub header: FixedHeader,
    /// Byte 21 as it stands; `header.profile` folds bytes without a name into one.
    pub profile: u8,
    pub extensions: Extensions,
    pub payload: Vec<u8>,
    /// The blocks the payload consists of; empty when it is sealed or opaque.
    pub blocks: Vec<Block>,
}

/// The generator.
pub struct Theirs {
    random: Seeded,
    encoder: Encoder,
    made: u32,
}

impl Theirs {
    /// The frames that belong to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: Seeded::new(seed), encoder: Encoder::new(), made: 0 }
    }

    /// The next frame. The first thirteen have no extension, each alone, and all.
    pub fn frame(&mut self) -> Sample {
        let which = match self.made {
            0 => 0,
            n @ 1..=EXTENSIONS => 1 << (n - 1),
            12 => (1 << EXTENSIONS) - 1,
            _ if self.random.chance(300_000) => 0,
            _ => self.random.below(1 << EXTENSIONS) as u32,
        };
        self.made += 1;
        let extensions = extensions(which, &mut self.random);
        let room = MAX_FRAME_SIZE - MIN_FRAME_SIZE - extension_size(&extensions);
        match self.random.below(3) {
            0 => self.opaque(extensions, room),
            1 => self.events(extensions, room),
            _ => self.sealed(extensions, room),
        }
    }

    fn header(&mut self) -> FixedHeader {
        let random = &mut self.random;
        let mut header =
            FixedHeader::new(SessionId::new(random.next_u64()), NodeId::new(random.next_u64()));
        header.crypto_suite = pick(random, &SUITES);
        header.flags = FrameFlags::new(random.next_u64() as u8);
        header.class = pick(random, &CLASSES);
        header.profile = pick(random, &PROFILES);
        header.time_hint = random.next_u64() as i32;
        header.seq_window = random.next_u64() as u32;
        header
    }

    fn opaque(&mut self, extensions: Extensions, room: usize) -> Sample {
        let payload = content(&mut self.random, room);
        self.plain(extensions, payload, Vec::new())
    }

    fn events(&mut self, extensions: Extensions, room: usize) -> Sample {
        let (mut payload, mut blocks) = (Vec::new(), Vec::new());
        for _ in 0..=self.random.below(4) {
            let block = block(&mut self.random);
            let (version, mutation) = (block.version.clone(), block.mutation.clone());
            let bytes = self.encoder.block(block.kind, block.state, version, mutation);
            if payload.len() + bytes.len() > room {
                break;
            }
            payload.extend(bytes);
            blocks.push(block);
        }
        self.plain(extensions, payload, blocks)
    }

    fn plain(&mut self, extensions: Extensions, payload: Vec<u8>, blocks: Vec<Block>) -> Sample {
        let header = self.header();
        let frame = FrameBuilder::new(header).extensions(extensions).payload(payload).build();
        let mut bytes = frame.serialize().expect("the payload was cut to fit");
        if self.random.chance(200_000) {
            bytes[21] = self.random.next_u64() as u8;
        }
        Sample::new(bytes, blocks)
    }

    fn sealed(&mut self, extensions: Extensions, room: usize) -> Sample {
        let header = self.header();
        let mut key = [0; 32];
        self.random.fill(&mut key);
        let mut processor = SecureFrameProcessor::new(header.session_id, header.node_id, key);
        let payload = content(&mut self.random, room - 16);
        let mut seal = |payload: &[u8]| {
            let (class, profile) = (header.class, header.profile);
            processor.encrypt_frame(class, profile, header.time_hint, extensions.clone(), payload)
        };
        // A few frames ahead, so that sequence numbers and ratchet have moved.
        for _ in 0..self.random.below(3) {
            seal(b"earlier").expect("a short frame is sealed");
        }
        Sample::new(seal(&payload).expect("the payload was cut to fit"), Vec::new())
    }
}

impl Sample {
    /// What 0.2.0 reads in bytes that 0.2.0 wrote.
    fn new(bytes: Vec<u8>, blocks: Vec<Block>) -> Self {
        let Frame { header, extensions, payload, .. } =
            Frame::parse(&bytes).expect("0.2.0 reads what it wrote");
        Self { profile: bytes[21], bytes, header, extensions, payload, blocks }
    }
}

/// The extensions whose bit is set in `which`, lowest type first, with any values.
pub fn extensions(which: u32, random: &mut Seeded) -> Extensions {
    let mut any = |bit: u32| (which & 1 << bit != 0).then(|| random.next_u64());
    let mut extensions = Extensions::new();
    extensions.ratchet_id = any(0).map(|n| n as u32);
    extensions.key_epoch = any(1).map(|n| n as u16);
    extensions.swarm_role = any(2).and_then(|n| SwarmRole::from_byte((n % 5) as u8));
    extensions.relay_hop = any(3).map(|n| n as u8);
    extensions.interest_mask = any(4);
    extensions.redundancy_group = any(5).map(|n| n as u16);
    extensions.compression_hint = any(6).map(|n| n as u8);
    extensions.fragment_info = any(7).map(|n| FragmentInfo::new(n as u16, (n >> 16) as u16));
    extensions.path_id = any(8).map(|n| n as u16);
    extensions.priority_hint = any(9).map(|n| n as u8);
    extensions.causality_ref = any(10).map(|n| {
        let mut reference = vec![0; (n % 256) as usize];
        Seeded::new(n).fill(&mut reference);
        reference
    });
    extensions
}

fn extension_size(extensions: &Extensions) -> usize {
    if extensions.is_empty() { 0 } else { extensions.serialized_size() }
}

/// An event block of any type, with any mutation.
fn block(random: &mut Seeded) -> Block {
    let kind = pick(random, &event_types());
    let state = StateId::new(random.next_u64());
    let mut version = VersionVector::new();
    for _ in 0..random.below(5) {
        version.set(NodeId::new(random.below(9) << random.below(60)), random.next_u64());
    }
    let room = if random.chance(50_000) { 1_200 } else { 90 };
    let mutation = match random.below(6) {
        0 => MutationOp::Set(content(random, room)),
        1 => MutationOp::Increment(random.next_u64() as i64),
        2 => MutationOp::Append(content(random, room)),
        3 => MutationOp::Merge(content(random, room)),
        4 => MutationOp::Delete,
        _ => MutationOp::Blend {
            value: content(random, room),
            weight: f32::from_bits(random.next_u64() as u32),
        },
    };
    Block { kind, state, version, mutation }
}

/// Up to `most` random bytes; none and the most of them come up more often than chance has it.
pub fn content(random: &mut Seeded, most: usize) -> Vec<u8> {
    let len = match random.below(20) {
        0 => 0,
        1 => most,
        _ => random.below(most as u64 + 1) as usize,
    };
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// One of `choices`.
pub fn pick<T: Copy>(random: &mut Seeded, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize]
}
