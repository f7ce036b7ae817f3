//! Golden vectors of wire v1, made from the specification's text: read, told and built again.
//!
//! `tests/vectors/v1-wire.txt` holds three lines a thing: what it shows, its fields, its bytes.
//! `tests/vectors/v1_wire.py` writes it and knows nothing of this crate. Reading the bytes must tell
//! the same fields, and building from the fields must give the same bytes.

use std::collections::HashMap;

use elara_core::limits::{TAG_LEN, V1_FRAME_MAX, V1_OVERHEAD};
use elara_core::wire::header::flags;
use elara_core::wire::v1::control::{
    Ack, Alert, Get, KeyframeRequest, Kick, Leave, Mark, Move, Nack, OwnStream, Ping, Pong, Report,
    Roster, RosterEntry, Streams, StreamsEntry, StreamsMine, Subscribe, Wish,
};
use elara_core::wire::v1::{
    BodyKind, Bundle, BundleHead, Control, ControlFrame, ControlWriter, Controls, Frame, FrameMut,
    KeyName, Kind, Opened, Proof, ProvenEvent, SignedEvent, State, Stream, Tlvs,
};
use elara_core::wire::{Event, EventType, Header, Mutation, VersionVector};
use elara_core::{NodeId, SessionId, StateId};
use zerocopy::little_endian::{U16, U32, U64};

const VECTORS: &str = include_str!("../../../tests/vectors/v1-wire.txt");
const SESSION: SessionId = SessionId(0x5E55_1017_0000_0001);
const NODE: NodeId = NodeId(0x0A0B_0C0D_0E0F_1011);

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
    assert_eq!(vectors.len(), 38);
    vectors
}

#[test]
fn every_vector_tells_the_fields_that_went_into_it() {
    for Vector { shows, fields, bytes } in vectors() {
        assert_eq!(tell(fields.split(' ').next().unwrap(), &bytes), fields, "{shows}");
    }
}

#[test]
fn every_vector_is_built_from_its_fields_to_the_same_bytes() {
    for Vector { shows, fields, bytes } in vectors() {
        assert_eq!(hex(&build(fields)), hex(&bytes), "{shows}");
    }
}

#[test]
fn every_control_message_has_a_vector() {
    let kinds = vectors().into_iter().filter(|vector| vector.fields.starts_with("message"));
    let mut kinds: Vec<_> = kinds.map(|vector| vector.bytes[0]).collect();
    kinds.dedup();
    assert_eq!(kinds, (0x01..=0x13).collect::<Vec<_>>());
}

/// The fields of a vector that is a `what`.
fn tell(what: &str, bytes: &[u8]) -> String {
    match what {
        "message" => {
            let mut messages = Controls::parse(bytes);
            let told = tell_message(&messages.next().unwrap().unwrap());
            assert!(messages.next().is_none());
            format!("message {told}")
        }
        "frame" => tell_frame(bytes),
        "control" => {
            let frame = ControlFrame::parse(bytes).unwrap();
            assert!(Controls::parse(frame.sealed.text).all(|message| message.is_ok()));
            let (suite, seq) = (frame.header.suite(), frame.header.seq_v1());
            let (text, tag) = (hex(frame.sealed.text), hex(frame.sealed.tag));
            format!("control suite={suite} seq={seq} text={text} tag={tag}")
        }
        "bundle" => {
            let bundle = Bundle::parse(bytes).unwrap();
            assert_eq!((bundle.session, bundle.one_sender()), (SESSION, true));
            let frames = bundle.iter().map(|frame| format!(" frame={}", hex(frame)));
            format!("bundle{}", frames.collect::<String>())
        }
        "body" => {
            let opened = Opened::parse(bytes).unwrap();
            let (kind, len) = (opened.kind as u8, bytes.len());
            format!("body kind={kind} len={len} content={}", hex(opened.content))
        }
        "event" => {
            let state = State::log(StateId(0x0008_0000_0000_0009), 17, 0, [0; 16]);
            let tlvs = Tlvs { stream: None, state: Some(&state) };
            let ProvenEvent { event, proof, .. } = ProvenEvent::parse(bytes, &tlvs).unwrap();
            let [seen] = event.versions.entries() else { panic!("one entry") };
            let Mutation::Append(value) = event.mutation else { panic!("an append") };
            let proof = match proof {
                Proof::None => String::new(),
                Proof::Ed25519(signature) => hex(signature),
            };
            let (kind, state, count) = (event.kind.0, event.state.0, seen.count());
            let (seen, value) = (seen.node().0, hex(value));
            format!(
                "event kind={kind} state={state} seen={seen}/{count} append={value} proof={proof}"
            )
        }
        // Nobody reads signed bytes; they are cut at their fixed places.
        "signed" => {
            let (context, rest) = bytes.split_at(13);
            let (session, rest) = rest.split_at(8);
            let (id_pub, rest) = rest.split_at(32);
            let (time, rest) = rest.split_at(4);
            let (tlvs, block) = rest.split_at(42);
            assert_eq!((context, session), (&b"ELARA1 event\0"[..], &SESSION.to_bytes()[..]));
            assert!(Tlvs::parse(tlvs).is_ok() && Event::parse_prefix(block).unwrap().1.is_empty());
            let time = i32::from_le_bytes(time.try_into().unwrap());
            let [id_pub, tlvs, block] = [id_pub, tlvs, block].map(hex);
            format!("signed id_pub={id_pub} time={time} tlvs={tlvs} block={block}")
        }
        _ => panic!("a thing nobody knows: {what}"),
    }
}

fn tell_frame(bytes: &[u8]) -> String {
    let frame = Frame::parse(bytes).unwrap();
    let header = frame.header;
    assert_eq!((header.session_id(), header.node_id()), (SESSION, NODE));
    assert_eq!(header.parity(), frame.key.conn & 1 == 1);
    let clear = header.flags & !(flags::PARITY | flags::EXTENSION);
    let mut told = format!(
        "frame suite={} class={} profile={} flags={clear} time={} seq={}",
        header.suite(),
        header.class,
        header.profile,
        header.time_hint,
        header.seq_v1(),
    );
    if let Some(stream) = frame.tlvs.stream {
        told += &format!(" stream={}", stream.tell().join(",").replace('=', ":"));
    }
    if let Some(state) = frame.tlvs.state {
        told += &format!(" state={}", state.tell().join(",").replace('=', ":"));
    }
    let KeyName { epoch, conn, generation } = frame.key;
    told += &format!(" epoch={epoch} conn={conn} gen={generation}");
    let (tag, hop) = (frame.end_to_end().tag, frame.hop().tag);
    told + &format!(" text={} tag={} hop={}", hex(frame.text), hex(tag), hex(hop))
}

/// The bytes that `fields` tell of.
fn build(fields: &str) -> Vec<u8> {
    let (what, fields) = fields.split_once(' ').unwrap();
    let mut out = [0xEE; V1_FRAME_MAX];
    match what {
        "message" => {
            let header = Header::v1(0, SESSION, NODE, Kind::Control);
            let mut writer = ControlWriter::new(&mut out, &header).unwrap();
            put_message(&mut writer, fields);
            writer.text().to_vec()
        }
        "frame" => build_frame(&Fields::of(fields)),
        "control" => {
            let fields = Fields::of(fields);
            let mut header = Header::v1(fields.read("suite"), SESSION, NODE, Kind::Control);
            header.seq_window = fields.read("seq");
            let mut writer = ControlWriter::new(&mut out, &header).unwrap();
            let text = fields.bytes("text");
            Controls::parse(&text).for_each(|message| writer.put(&message.unwrap()).unwrap());
            let mut frame = writer.finish();
            *frame.seal().tag = fields.read("tag");
            frame.finish().to_vec()
        }
        "bundle" => {
            let frames: Vec<_> = fields
                .split(' ')
                .map(|field| unhex(field.strip_prefix("frame=").unwrap()))
                .collect();
            let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
            BundleHead::join(&mut out, SESSION, &frames).unwrap().to_vec()
        }
        "body" => {
            let fields = Fields::of(fields);
            let kind = match fields.read::<u8>("kind") {
                1 => BodyKind::Event,
                _ => BodyKind::Media,
            };
            let body = &mut out[..fields.read::<U32>("len").get() as usize];
            Opened { kind, content: &fields.bytes("content") }.fill(body).unwrap();
            body.to_vec()
        }
        "event" => {
            let fields = Fields::of(fields);
            let (node, count) = fields.text("seen").split_once('/').unwrap();
            let seen: VersionVector =
                [(NodeId(node.parse().unwrap()), count.parse().unwrap())].into_iter().collect();
            let value = fields.bytes("append");
            let event = Event {
                kind: EventType(fields.read("kind")),
                state: StateId(fields.read::<U64>("state").get()),
                versions: seen.as_versions(),
                mutation: Mutation::Append(&value),
            };
            let proof = fields.bytes("proof");
            let proof = proof.first_chunk().map_or(Proof::None, Proof::Ed25519);
            let len = ProvenEvent::encode(&event, proof, &mut out).unwrap();
            out[..len].to_vec()
        }
        "signed" => {
            let fields = Fields::of(fields);
            let signed = SignedEvent {
                session: SESSION,
                id_pub: &fields.read("id_pub"),
                time_hint: fields.text("time").parse().unwrap(),
                tlv_bytes: &fields.bytes("tlvs"),
                block: &fields.bytes("block"),
            };
            let len = signed.encode(&mut out).unwrap();
            out[..len].to_vec()
        }
        _ => panic!("a thing nobody knows: {what}"),
    }
}

fn build_frame(fields: &Fields<'_>) -> Vec<u8> {
    let kind = Kind::from_byte(fields.read("class")).unwrap();
    let mut header = Header::v1(fields.read("suite"), SESSION, NODE, kind);
    header.profile = fields.read("profile");
    header.flags = fields.read("flags");
    header.time_hint.set(fields.text("time").parse().unwrap());
    header.seq_window = fields.read("seq");
    let stream = fields.find("stream").map(|told| Stream::read(&Fields::inner(told)));
    let state = fields.find("state").map(|told| State::read(&Fields::inner(told)));
    let tlvs = Tlvs { stream: stream.as_ref(), state: state.as_ref() };
    let key = KeyName {
        epoch: fields.read("epoch"),
        conn: fields.read("conn"),
        generation: fields.read("gen"),
    };
    let text = fields.bytes("text");
    let len = V1_OVERHEAD + tlvs.encoded_len() + text.len();
    let mut out = [0xEE; V1_FRAME_MAX];
    let mut frame = FrameMut::begin(&mut out, &header, &tlvs, key, len).unwrap();
    let seal = frame.end_to_end();
    seal.text.copy_from_slice(&text);
    *seal.tag = fields.read::<[u8; TAG_LEN]>("tag");
    *frame.hop().tag = fields.read::<[u8; TAG_LEN]>("hop");
    frame.finish().to_vec()
}

/// Fields by name.
struct Fields<'a>(HashMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    /// `name=value name=value ..`
    fn of(told: &'a str) -> Self {
        Self(told.split(' ').filter_map(|field| field.split_once('=')).collect())
    }

    /// `name:value,name:value,..`, what a field that is a structure holds.
    fn inner(told: &'a str) -> Self {
        Self(told.split(',').filter_map(|field| field.split_once(':')).collect())
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn text(&self, name: &str) -> &'a str {
        self.find(name).unwrap_or_else(|| panic!("a field {name}"))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    fn read<T: Field>(&self, name: &str) -> T {
        T::read(self.text(name))
    }
}

/// A value as the vectors spell it.
trait Field {
    fn tell(&self) -> String;
    fn read(text: &str) -> Self;
}

macro_rules! numbers {
    ($($type:ty: $native:ty),*) => {$(
        impl Field for $type {
            fn tell(&self) -> String {
                <$native>::from(*self).to_string()
            }

            fn read(text: &str) -> Self {
                text.parse::<$native>().unwrap().into()
            }
        }
    )*};
}

numbers!(u8: u8, u32: u32, U16: u16, U32: u32, U64: u64);

impl<const N: usize> Field for [u8; N] {
    fn tell(&self) -> String {
        hex(self)
    }

    fn read(text: &str) -> Self {
        unhex(text).try_into().unwrap()
    }
}

/// A structure as the vectors spell it: its fields in order.
trait Told {
    fn tell(&self) -> Vec<String>;
    fn read(fields: &Fields<'_>) -> Self;
}

macro_rules! told {
    ($($type:ident { $($field:ident),* })*) => {$(
        impl Told for $type {
            fn tell(&self) -> Vec<String> {
                vec![$(format!("{}={}", stringify!($field), Field::tell(&self.$field))),*]
            }

            fn read(fields: &Fields<'_>) -> Self {
                Self { $($field: fields.read(stringify!($field))),* }
            }
        }
    )*};
}

told! {
    Stream { stream, bits, layer, frame, index }
    State { state, rule, ttl, part, parts, item, clock, inst }
    Ping { id, t_client_us, next_core }
    Pong { id, t_client_us, t_relay_rx_us, t_relay_tx_us, missing }
    Leave { reason }
    Alert { code, arg }
    Kick { node, reason }
    Move { ip, port, relay_pub }
    Get { what, arg }
    Ack { message, version }
    Mark { n, sent, bytes, relay_us, core_digest }
    Report { n, received, arrival_us }
    Nack { node, conn, what, stream, layer, base, bitmap }
    KeyframeRequest { node, stream }
    Wish { node, stream, classes, profile_max, kbps_max }
    RosterEntry { node, id_pub, inst, conn, phase, perms }
    OwnStream { stream, kind, profile, phase }
    StreamsEntry { node, stream, kind, profile, phase }
}

macro_rules! messages {
    (
        fixed { $($fixed_name:literal => $fixed:ident,)* }
        lists { $($list_name:literal => $list:ident($($field:ident),*),)* }
    ) => {
        fn tell_message(message: &Control<'_>) -> String {
            let told = |name: &str, fields: Vec<String>| format!("{name} {}", fields.join(" "));
            match message {
                $(Control::$fixed(message) => told($fixed_name, message.tell()),)*
                $(Control::$list(message) => {
                    let mut fields =
                        vec![$(format!("{}={}", stringify!($field), message.$field())),*];
                    fields.extend(message.entries().iter().map(|entry| {
                        format!("entry={}", entry.tell().join(",").replace('=', ":"))
                    }));
                    told($list_name, fields)
                })*
                Control::PathChallenge(value) => format!("path_challenge value={}", hex(&value[..])),
                Control::PathResponse(value) => format!("path_response value={}", hex(&value[..])),
                Control::Unknown { value, .. } => format!("unknown value={}", hex(value)),
                other => panic!("a message nobody tells: {other:?}"),
            }
        }

        fn put_message(writer: &mut ControlWriter<'_>, told: &str) {
            let (name, told) = told.split_once(' ').unwrap();
            let entries: Vec<_> = told
                .split(' ')
                .filter_map(|field| field.strip_prefix("entry="))
                .collect();
            let fields = Fields::of(told);
            let put = match name {
                $($fixed_name => writer.put(&Control::$fixed(&$fixed::read(&fields))),)*
                $($list_name => {
                    let entries: Vec<_> =
                        entries.iter().map(|entry| Told::read(&Fields::inner(entry))).collect();
                    let message = $list::new($(fields.read(stringify!($field)),)* &entries);
                    writer.put(&Control::$list(message))
                })*
                "path_challenge" => writer.put(&Control::PathChallenge(&fields.read("value"))),
                "path_response" => writer.put(&Control::PathResponse(&fields.read("value"))),
                "unknown" => {
                    writer.put(&Control::Unknown { kind: 0x13, value: &fields.bytes("value") })
                }
                _ => panic!("a message nobody knows: {name}"),
            };
            put.unwrap();
        }
    };
}

messages! {
    fixed {
        "ping" => Ping,
        "pong" => Pong,
        "leave" => Leave,
        "alert" => Alert,
        "kick" => Kick,
        "move" => Move,
        "get" => Get,
        "ack" => Ack,
        "mark" => Mark,
        "report" => Report,
        "nack" => Nack,
        "keyframe_request" => KeyframeRequest,
    }
    lists {
        "subscribe" => Subscribe(version, hold_ms),
        "roster" => Roster(version, page, pages, others),
        "streams_mine" => StreamsMine(version),
        "streams" => Streams(version, page, pages),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
