//! Golden frames of wire v0, made by the published 0.2.0 crates: read, told and built again.
//!
//! `tests/vectors/v0.txt` holds three lines a frame: what it shows, its fields, its bytes. The fields
//! come from what went into 0.2.0. So reading the bytes must tell the same fields, and building from
//! the fields must give the same bytes, and neither direction can lean on the other.
//! `tests/interop` makes the file and holds that it is what 0.2.0 makes.

use std::fmt::Write as _;

use elara_core::limits::{TAG_LEN, V0_FRAME_MAX};
use elara_core::wire::tlv::{Fragment, SwarmRole};
use elara_core::wire::{
    Event, EventType, Extensions, Frame, FrameWriter, Header, Mutation, VersionVector,
};
use elara_core::{NodeId, SessionId, StateId};

const VECTORS: &str = include_str!("vectors/v0.txt");

struct Vector {
    shows: &'static str,
    fields: &'static str,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let paragraphs = VECTORS.split("\n\n").skip(1);
    let vectors: Vec<_> = paragraphs
        .map(|paragraph| {
            let lines: Vec<_> = paragraph.lines().collect();
            let [shows, fields, bytes] = lines[..] else { panic!("three lines: {paragraph}") };
            Vector { shows, fields, bytes: unhex(bytes) }
        })
        .collect();
    assert_eq!(vectors.len(), 64);
    vectors
}

#[test]
fn every_vector_tells_the_fields_that_went_into_it() {
    for Vector { shows, fields, bytes } in vectors() {
        let frame = Frame::parse(&bytes).unwrap_or_else(|why| panic!("{shows}: {why:?}"));
        assert_eq!(tell(&frame), fields, "{shows}");
    }
}

#[test]
fn every_vector_is_built_from_its_fields_to_the_same_bytes() {
    for Vector { shows, fields, bytes } in vectors() {
        assert_eq!(hex(&build(fields)), hex(&bytes), "{shows}");
    }
}

#[test]
fn no_vector_survives_losing_its_last_byte_unnoticed() {
    for Vector { shows, bytes, .. } in vectors() {
        let whole = Frame::parse(&bytes).unwrap();
        let cut = Frame::parse(&bytes[..bytes.len() - 1]);
        assert!(cut.is_err() || cut.is_ok_and(|cut| cut.payload != whole.payload), "{shows}");
    }
}

/// The fields of `frame`, zero and absent ones left out.
fn tell(frame: &Frame<'_>) -> String {
    let header = frame.header;
    let mut told = format!("session={} node={}", header.session_id(), header.node_id());
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(told, " {name}={value}").unwrap();
        }
    };
    let number = |number: i64| (number != 0).then(|| number.to_string());
    tell("suite", number(header.suite().into()));
    tell("flags", (header.flags != 0).then(|| hex(&[header.flags])));
    tell("class", number(header.class.into()));
    tell("profile", (header.profile != 0).then(|| hex(&[header.profile])));
    tell("time", number(header.time_hint.get().into()));
    tell("seq", number(header.seq().into()));
    tell("window", number(header.window().into()));

    let extensions = Extensions::from(frame.tlvs);
    let mut canonical = vec![0; extensions.encoded_len()];
    extensions.encode(&mut canonical).unwrap();
    if canonical == frame.tlv_bytes {
        tell("ratchet", extensions.ratchet.map(|n| n.to_string()));
        tell("key_epoch", extensions.key_epoch.map(|n| n.to_string()));
        tell("role", extensions.swarm_role.map(|role| (role as u8).to_string()));
        tell("hop", extensions.relay_hop.map(|n| n.to_string()));
        tell("interest", extensions.interest.map(|n| n.to_string()));
        tell("group", extensions.redundancy_group.map(|n| n.to_string()));
        tell("compression", extensions.compression.map(|n| n.to_string()));
        tell("fragment", extensions.fragment.map(|it| format!("{}/{}", it.index, it.total)));
        tell("path", extensions.path.map(|n| n.to_string()));
        tell("priority", extensions.priority.map(|n| n.to_string()));
        tell("causality", extensions.causality.map(hex));
    } else {
        tell("tlv", Some(hex(frame.tlv_bytes)));
    }

    // A payload is told as events where events are all there is to it.
    let events: Vec<_> = frame.events().map_while(Result::ok).collect();
    let all = events.iter().map(Event::encoded_len).sum::<usize>() == frame.payload.len();
    if all {
        events.iter().for_each(|event| tell("event", Some(tell_event(event))));
    } else {
        tell("payload", Some(hex(frame.payload)));
    }
    tell("tag", (*frame.tag != [0; TAG_LEN]).then(|| hex(frame.tag)));
    told
}

fn tell_event(event: &Event<'_>) -> String {
    let seen = event.versions.entries().iter();
    let seen: Vec<_> = seen.map(|entry| format!("{}/{}", entry.node(), entry.count())).collect();
    let delta = match event.mutation {
        Mutation::Set(value) => format!("set:{}", hex(value)),
        Mutation::Increment(by) => format!("increment:{by}"),
        Mutation::Append(value) => format!("append:{}", hex(value)),
        Mutation::Merge(value) => format!("merge:{}", hex(value)),
        Mutation::Delete => "delete:".to_string(),
        Mutation::Blend { value, weight } => format!("blend:{weight}/{}", hex(value)),
    };
    format!("{:02x}:{}:{}:{delta}", event.kind.0, event.state, seen.join(","))
}

/// The frame that `fields` tell of.
fn build(fields: &str) -> Vec<u8> {
    let mut header = Header::v0(SessionId(0), NodeId(0));
    let mut extensions = Extensions::default();
    let (mut seq, mut window) = (0, 0);
    let (mut causality, mut region, mut payload) = (None, None, Vec::new());
    let mut tag = [0; TAG_LEN];
    for (name, value) in fields.split(' ').map(|field| field.split_once('=').unwrap()) {
        let number = || value.parse::<u64>().unwrap();
        let byte = || u8::from_str_radix(value, 16).unwrap();
        match name {
            "session" => header.session.set(u64::from_str_radix(value, 16).unwrap()),
            "node" => header.node.set(u64::from_str_radix(value, 16).unwrap()),
            "suite" => header.version_suite = number() as u8,
            "flags" => header.flags = byte(),
            "class" => header.class = number() as u8,
            "profile" => header.profile = byte(),
            "time" => header.time_hint.set(value.parse().unwrap()),
            "seq" => seq = number() as u16,
            "window" => window = number() as u16,
            "ratchet" => extensions.ratchet = Some(number() as u32),
            "key_epoch" => extensions.key_epoch = Some(number() as u16),
            "role" => extensions.swarm_role = SwarmRole::from_byte(number() as u8),
            "hop" => extensions.relay_hop = Some(number() as u8),
            "interest" => extensions.interest = Some(number()),
            "group" => extensions.redundancy_group = Some(number() as u16),
            "compression" => extensions.compression = Some(number() as u8),
            "fragment" => {
                let (index, total) = value.split_once('/').unwrap();
                let (index, total) = (index.parse().unwrap(), total.parse().unwrap());
                extensions.fragment = Some(Fragment { index, total });
            }
            "path" => extensions.path = Some(number() as u16),
            "priority" => extensions.priority = Some(number() as u8),
            "causality" => causality = Some(unhex(value)),
            "tlv" => region = Some(unhex(value)),
            "payload" => payload = unhex(value),
            "event" => payload.extend(build_event(value)),
            "tag" => tag = unhex(value).try_into().unwrap(),
            _ => panic!("a field nobody knows: {name}"),
        }
    }
    header.set_seq_window(seq, window);
    extensions.causality = causality.as_deref();
    let mut out = [0; V0_FRAME_MAX];
    let writer = match region {
        Some(region) => FrameWriter::with_tlv_bytes(&mut out, &header, &region),
        None => FrameWriter::with_extensions(&mut out, &header, &extensions),
    };
    writer.unwrap().payload(&payload).unwrap().finish_with_tag(&tag).to_vec()
}

fn build_event(told: &str) -> Vec<u8> {
    let parts: Vec<_> = told.split(':').collect();
    let [kind, state, seen, operation, operand] = parts[..] else { panic!("five parts: {told}") };
    let seen: VersionVector = seen
        .split(',')
        .filter_map(|entry| entry.split_once('/'))
        .map(|(node, count)| {
            (NodeId(u64::from_str_radix(node, 16).unwrap()), count.parse().unwrap())
        })
        .collect();
    let (weight, value) = match operand.split_once('/') {
        Some((weight, value)) => (weight.parse().unwrap(), unhex(value)),
        None if operation == "increment" => (0.0, Vec::new()),
        None => (0.0, unhex(operand)),
    };
    let event = Event {
        kind: EventType(u8::from_str_radix(kind, 16).unwrap()),
        state: StateId(u64::from_str_radix(state, 16).unwrap()),
        versions: seen.as_versions(),
        mutation: match operation {
            "set" => Mutation::Set(&value),
            "increment" => Mutation::Increment(operand.parse().unwrap()),
            "append" => Mutation::Append(&value),
            "merge" => Mutation::Merge(&value),
            "delete" => Mutation::Delete,
            "blend" => Mutation::Blend { value: &value, weight },
            _ => panic!("an operation nobody knows: {operation}"),
        },
    };
    let mut block = vec![0; event.encoded_len()];
    event.encode(&mut block).unwrap();
    block
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
