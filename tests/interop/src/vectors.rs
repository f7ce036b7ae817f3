//! The sixty-four frames of `tests/vectors/v0.txt`, made by the published 0.2.0 crates.
//!
//! Each is three lines: `# ` and what it shows; its fields as `name=value`, whatever is zero or
//! absent left out; its bytes in hex. The fields are written here from what went *into* 0.2.0, so a
//! reader that agrees with them has understood the bytes. The main workspace replays the file in
//! both directions without these crates (`tests/wire_vectors.rs`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use elara_core::random::{Random, Seeded};
use v0_core::{EventType, MutationOp, NodeId, PacketClass, SessionId, StateId, VersionVector};
use v0_crypto::SecureFrameProcessor;
use v0_wire::{AUTH_TAG_SIZE, Extensions, FixedHeader, Frame, FrameBuilder, FrameFlags};

use crate::hex;
use crate::theirs::{CLASSES, EXTENSIONS, Encoder, PROFILES, SUITES, event_types, extensions};

const SESSION: SessionId = SessionId(0x5E55_1017_0000_0001);
const NODE: NodeId = NodeId(0x0A0B_0C0D_0E0F_1011);

/// Where the file stands.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/v0.txt")
}

/// The whole file.
pub fn text() -> String {
    let mut text = String::from(
        "# Wire v0: frames made by the published 0.2.0 crates. Three lines each: what it shows, its\n\
         # fields (zero or absent ones left out; numbers decimal, except in hex: flags, profile, ids,\n\
         # payload, tag), its bytes. Written by `cargo run --manifest-path tests/interop/Cargo.toml`.\n",
    );
    for (shows, fields, bytes) in Vectors::default().all() {
        writeln!(text, "\n# {shows}\n{}\n{}", fields.join(" "), hex(&bytes))
            .expect("a String grows");
    }
    text
}

type Vector = (String, Vec<String>, Vec<u8>);

#[derive(Default)]
struct Vectors {
    encoder: Encoder,
    all: Vec<Vector>,
}

/// What a payload is told as.
enum Payload {
    Opaque(Vec<u8>),
    Blocks(Vec<(EventType, StateId, VersionVector, MutationOp)>),
}

impl Vectors {
    fn all(mut self) -> Vec<Vector> {
        self.headers();
        self.extensions();
        self.events();
        self.sealed();
        self.odd();
        assert_eq!(self.all.len(), 64);
        self.all
    }

    fn headers(&mut self) {
        let nothing = || Payload::Opaque(Vec::new());
        self.plain("the smallest frame: a header and a tag", |_| {}, Extensions::new(), nothing());
        for class in &CLASSES[1..] {
            let shows = format!("class {class:?}");
            self.plain(&shows, |header| header.class = *class, Extensions::new(), nothing());
        }
        for profile in &PROFILES[1..] {
            let shows = format!("profile {profile:?}");
            self.plain(&shows, |header| header.profile = *profile, Extensions::new(), nothing());
        }
        for suite in &SUITES[1..] {
            let shows = format!("cipher {suite:?}");
            self.plain(&shows, |header| header.crypto_suite = *suite, Extensions::new(), nothing());
        }
        for (bit, name) in [
            (FrameFlags::MULTIPATH, "multipath"),
            (FrameFlags::RELAY, "relay"),
            (FrameFlags::FRAGMENT, "fragment"),
            (FrameFlags::REPAIR, "repair"),
            (FrameFlags::PRIORITY, "priority"),
            (FrameFlags::EXTENSION, "extension, though there is none"),
            (FrameFlags::COMPRESSED, "compressed"),
            (0x80, "reserved"),
        ] {
            let shows = format!("flag {name}");
            let set = |header: &mut FixedHeader| header.flags = FrameFlags::new(bit);
            self.plain(&shows, set, Extensions::new(), nothing());
        }
        for (shows, time) in
            [("the earliest time hint", i32::MIN), ("the latest time hint", i32::MAX)]
        {
            self.plain(shows, |header| header.time_hint = time, Extensions::new(), nothing());
        }
        let set = |header: &mut FixedHeader| header.seq_window = 0xABCD_0102;
        self.plain(
            "sequence in the upper half, window in the lower",
            set,
            Extensions::new(),
            nothing(),
        );
        let longest = random_bytes(1, 1_400 - 46);
        self.plain("the longest frame", |_| {}, Extensions::new(), Payload::Opaque(longest));
    }

    fn extensions(&mut self) {
        let names = [
            "ratchet",
            "key epoch",
            "swarm role",
            "relay hop",
            "interest mask",
            "redundancy group",
            "compression hint",
            "fragment",
            "path",
            "priority hint",
            "causality reference",
        ];
        let body = || Payload::Opaque(b"body".to_vec());
        for (bit, name) in (0..EXTENSIONS).zip(names) {
            let extensions = extensions(1 << bit, &mut Seeded::new(u64::from(bit)));
            self.plain(&format!("extension {name}"), |_| {}, extensions, body());
        }
        let every = extensions((1 << EXTENSIONS) - 1, &mut Seeded::new(99));
        self.plain("every extension", |_| {}, every, body());
        let with_reference = |reference: Vec<u8>| {
            let mut extensions = Extensions::new();
            extensions.causality_ref = Some(reference);
            extensions
        };
        self.plain("an empty causality reference", |_| {}, with_reference(vec![]), body());
        let longest = with_reference(random_bytes(2, 255));
        self.plain("the longest causality reference", |_| {}, longest, body());
    }

    fn events(&mut self) {
        for (name, mutation) in [
            ("Set", MutationOp::Set(b"value".to_vec())),
            ("Increment", MutationOp::Increment(-2)),
            ("Append", MutationOp::Append(b"more".to_vec())),
            ("Merge", MutationOp::Merge(vec![])),
            ("Delete", MutationOp::Delete),
            ("Blend", MutationOp::Blend { value: vec![1, 2], weight: 0.25 }),
        ] {
            let block = (EventType::StateUpdate, state(1), VersionVector::new(), mutation);
            let shows = format!("one event block, mutation {name}");
            self.plain(&shows, |_| {}, Extensions::new(), Payload::Blocks(vec![block]));
        }
        let mut seen = VersionVector::new();
        for node in [9, 1, 0xFFFF_FFFF_FFFF_FFFF, 4] {
            seen.set(NodeId::new(node), node.wrapping_mul(3));
        }
        let block =
            (EventType::TextAppend, state(2), seen, MutationOp::Append(b"what I saw".to_vec()));
        let shows = "a version vector of four nodes";
        self.plain(shows, |_| {}, Extensions::new(), Payload::Blocks(vec![block]));
        let one_of_each = event_types().into_iter().map(|kind| {
            let mutation = MutationOp::Set(vec![kind.to_byte()]);
            (kind, state(u64::from(kind.to_byte())), VersionVector::new(), mutation)
        });
        let blocks = Payload::Blocks(one_of_each.collect());
        self.plain("a block of every event type", |_| {}, Extensions::new(), blocks);
        let block = (
            EventType::VisualKeyframe,
            StateId::from_type_instance(0x20, u64::MAX),
            VersionVector::new(),
            MutationOp::Set(random_bytes(3, 600)),
        );
        let every = extensions((1 << EXTENSIONS) - 1, &mut Seeded::new(98));
        let set = |header: &mut FixedHeader| header.class = PacketClass::Perceptual;
        self.plain("a key frame behind every extension", set, every, Payload::Blocks(vec![block]));
    }

    fn sealed(&mut self) {
        let mut processor = SecureFrameProcessor::new(SESSION, NODE, [0x42; 32]);
        for class in CLASSES {
            let shows = format!("sealed, class {class:?}");
            self.seal(&mut processor, &shows, class, Extensions::new(), b"opened by the right key");
        }
        let some = extensions(0b101_0000_0011, &mut Seeded::new(97));
        let shows = "sealed, with extensions, second of its class";
        self.seal(&mut processor, shows, PacketClass::Core, some, b"again");
        let content = random_bytes(4, 1_400 - 46 - 16);
        let shows = "sealed, the longest";
        self.seal(&mut processor, shows, PacketClass::Cosmetic, Extensions::new(), &content);
    }

    /// What 0.2.0 cannot write and yet reads: patched bytes, each shown to its parser.
    fn odd(&mut self) {
        let mut odd =
            |shows: &str, fields: &[&str], flags: u8, region: &[u8], profile: u8, tag: u8| {
                let mut header = FixedHeader::new(SESSION, NODE);
                header.flags = FrameFlags::new(flags);
                let frame = FrameBuilder::new(header)
                    .payload([region, b"body"].concat())
                    .auth_tag([tag; AUTH_TAG_SIZE])
                    .build();
                let mut bytes = frame.serialize().expect("a short frame");
                bytes[2] += region.len() as u8;
                bytes[21] = profile;
                let read = Frame::parse(&bytes).expect("0.2.0 reads it");
                assert_eq!(read.payload, b"body", "{shows}");
                let mut all = ids();
                all.extend(fields.iter().map(|field| (*field).to_string()));
                all.push(format!("payload={}", hex(b"body")));
                if tag != 0 {
                    all.push(format!("tag={}", hex(&[tag; AUTH_TAG_SIZE])));
                }
                self.all.push((shows.to_string(), all, bytes));
            };
        odd("a profile nobody has named", &["profile=77"], 0, &[], 0x77, 0);
        odd(
            "an unknown TLV before a known one",
            &["flags=20", "tlv=7e02aabb040103ff"],
            0x20,
            &[0x7E, 2, 0xAA, 0xBB, 4, 1, 3, 0xFF],
            0,
            0,
        );
        odd(
            "TLVs that end in a lone type byte",
            &["flags=20", "tlv=04010307"],
            0x20,
            &[4, 1, 3, 7],
            0,
            0,
        );
        odd("TLV bytes without the flag are opaque", &["tlv=0bc8"], 0, &[0x0B, 200], 0, 0);
        odd(
            "anything may follow the TLVs' end",
            &["flags=20", "tlv=040103ff0bc8"],
            0x20,
            &[4, 1, 3, 0xFF, 0x0B, 200],
            0,
            0,
        );
        odd("a tag that is not zero", &[], 0, &[], 0, 0xA5);
    }

    fn plain(
        &mut self,
        shows: &str,
        set: impl FnOnce(&mut FixedHeader),
        extensions: Extensions,
        payload: Payload,
    ) {
        let mut header = FixedHeader::new(SESSION, NODE);
        set(&mut header);
        let mut told = Vec::new();
        let bytes = match payload {
            Payload::Opaque(bytes) => {
                if !bytes.is_empty() {
                    told.push(format!("payload={}", hex(&bytes)));
                }
                bytes
            }
            Payload::Blocks(blocks) => {
                told.extend(blocks.iter().map(tell_block));
                let blocks = blocks.into_iter();
                let encode =
                    |(kind, state, seen, delta)| self.encoder.block(kind, state, seen, delta);
                blocks.flat_map(encode).collect()
            }
        };
        let frame =
            FrameBuilder::new(header.clone()).extensions(extensions.clone()).payload(bytes).build();
        let bytes = frame.serialize().expect("it fits a frame");
        let fields =
            [tell_header(&header, &extensions), tell_extensions(&extensions), told].concat();
        self.all.push((shows.to_string(), fields, bytes));
    }

    fn seal(
        &mut self,
        processor: &mut SecureFrameProcessor,
        shows: &str,
        class: PacketClass,
        extensions: Extensions,
        content: &[u8],
    ) {
        let profile = v0_core::RepresentationProfile::Textual;
        let bytes = processor
            .encrypt_frame(class, profile, -7, extensions.clone(), content)
            .expect("a short frame is sealed");
        // Sealing numbers the frame and fills in the window; those two are read back.
        let read = Frame::parse(&bytes).expect("0.2.0 reads what it wrote");
        let told = vec![format!("payload={}", hex(&read.payload))];
        let fields =
            [tell_header(&read.header, &extensions), tell_extensions(&extensions), told].concat();
        self.all.push((shows.to_string(), fields, bytes));
    }
}

fn ids() -> Vec<String> {
    vec![format!("session={:016x}", SESSION.0), format!("node={:016x}", NODE.0)]
}

fn tell_header(header: &FixedHeader, extensions: &Extensions) -> Vec<String> {
    let mut fields = ids();
    let extension = if extensions.is_empty() { 0 } else { FrameFlags::EXTENSION };
    let flags = header.flags.0 | extension;
    let mut tell = |name: &str, value: String, absent: bool| {
        if !absent {
            fields.push(format!("{name}={value}"));
        }
    };
    let suite = header.crypto_suite.to_nibble();
    tell("suite", suite.to_string(), suite == 0);
    tell("flags", format!("{flags:02x}"), flags == 0);
    let class = header.class.to_byte();
    tell("class", class.to_string(), class == 0);
    let profile = header.profile.to_byte();
    tell("profile", format!("{profile:02x}"), profile == 0);
    tell("time", header.time_hint.to_string(), header.time_hint == 0);
    tell("seq", header.seq().to_string(), header.seq() == 0);
    tell("window", header.window().to_string(), header.window() == 0);
    fields
}

fn tell_extensions(extensions: &Extensions) -> Vec<String> {
    [
        extensions.ratchet_id.map(|n| format!("ratchet={n}")),
        extensions.key_epoch.map(|n| format!("key_epoch={n}")),
        extensions.swarm_role.map(|role| format!("role={}", role as u8)),
        extensions.relay_hop.map(|n| format!("hop={n}")),
        extensions.interest_mask.map(|n| format!("interest={n}")),
        extensions.redundancy_group.map(|n| format!("group={n}")),
        extensions.compression_hint.map(|n| format!("compression={n}")),
        extensions.fragment_info.map(|piece| format!("fragment={}/{}", piece.index, piece.total)),
        extensions.path_id.map(|n| format!("path={n}")),
        extensions.priority_hint.map(|n| format!("priority={n}")),
        extensions.causality_ref.as_ref().map(|bytes| format!("causality={}", hex(bytes))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `event=type:state:node/count,..:operation:operand`
fn tell_block(
    (kind, state, seen, mutation): &(EventType, StateId, VersionVector, MutationOp),
) -> String {
    let mut seen = seen.to_compact();
    seen.sort_by_key(|(node, _)| node.0);
    let seen: Vec<String> =
        seen.iter().map(|(node, count)| format!("{:016x}/{count}", node.0)).collect();
    let delta = match mutation {
        MutationOp::Set(value) => format!("set:{}", hex(value)),
        MutationOp::Increment(by) => format!("increment:{by}"),
        MutationOp::Append(value) => format!("append:{}", hex(value)),
        MutationOp::Merge(value) => format!("merge:{}", hex(value)),
        MutationOp::Delete => "delete:".to_string(),
        MutationOp::Blend { value, weight } => format!("blend:{weight}/{}", hex(value)),
    };
    format!("event={:02x}:{:016x}:{}:{delta}", kind.to_byte(), state.0, seen.join(","))
}

fn state(instance: u64) -> StateId {
    StateId::from_type_instance(0x0001, instance)
}

fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Seeded::new(seed).fill(&mut bytes);
    bytes
}
