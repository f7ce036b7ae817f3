//! A relay for one session, as small as one can be: it answers, copies, and remembers what it was
//! told. Built from core's own machines; everything it decides is visible to the tests.

use std::collections::BTreeMap;

use elara_core::crypto::exchange::ExchangeKey;
use elara_core::crypto::handshake::{Admission, Entry, RelayKeys, Terms};
use elara_core::crypto::hop::Scratch;
use elara_core::crypto::token::Issuers;
use elara_core::crypto::{Inst, PublicKey, Suite};
use elara_core::limits::{GET_EVERY, RESET_EVERY, V1_FRAME_MAX};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::time::{Instant, UnixMillis};
use elara_core::wire::v1::control::{
    Ack, Kick, Mark, Move, OwnStream, Pong, Report, Roster, RosterEntry, Streams, StreamsEntry,
    Wish, get, kind, phase, roster_phase,
};
use elara_core::wire::v1::header::{CLASS_CONTROL, CLASS_HANDSHAKE};
use elara_core::wire::v1::{Control, ControlMut, ControlWriter, Controls, Frame, Granted, Kind};
use elara_core::wire::{Class, Header};
use elara_core::{ClientAddr, NodeId, SessionId};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

/// Roster entries a page carries here: few, so that there are several pages.
const PER_PAGE: usize = 2;

/// Where a participant sends from.
pub(crate) type Address = u16;

pub(crate) struct Relay {
    keys: RelayKeys,
    issuers: Issuers,
    session: SessionId,
    random: GuessableKeys<Seeded>,
    pub(crate) seats: BTreeMap<NodeId, Seat>,
    pub(crate) roster_version: u32,
    pub(crate) streams_version: u32,
    pub(crate) terms: Terms,
    /// Asked of everyone: HELLO is answered with BUSY.
    pub(crate) busy_ms: Option<u32>,
    resets: BTreeMap<NodeId, Instant>,
    out: Vec<(Address, Vec<u8>)>,
    pub(crate) deaf_to_pings: bool,
    /// Roster lines gather until [`Relay::tell_held`].
    pub(crate) hold_deltas: bool,
    held: Vec<RosterEntry>,
}

/// One participant as the relay sees it.
pub(crate) struct Seat {
    id: PublicKey,
    entry: Entry,
    pub(crate) address: Address,
    pub(crate) conn: u8,
    inst: Inst,
    subscribe: Granted,
    mine: Granted,
    pub(crate) wishes: Option<Vec<Wish>>,
    pub(crate) hold_ms: u8,
    pub(crate) streams: Vec<OwnStream>,
    sent: u64,
    bytes: u64,
    digest: u64,
    marks: u32,
    marked: Vec<u64>,
    pub(crate) reports: Vec<Report>,
    pub(crate) path_responses: Vec<(Address, [u8; 8])>,
    pub(crate) gets: Vec<u8>,
    /// When pages went out.
    paged: Option<Instant>,
    pub(crate) pings: u32,
    pub(crate) connections: u32,
    pub(crate) left: bool,
}

impl Relay {
    pub(crate) fn new(key: ExchangeKey, issuers: Issuers, session: SessionId) -> Self {
        Self {
            keys: RelayKeys::new(key),
            issuers,
            session,
            random: GuessableKeys(Seeded::new(99)),
            seats: BTreeMap::new(),
            roster_version: 1,
            streams_version: 1,
            terms: Terms {
                max_frame: V1_FRAME_MAX as u16,
                idle_s: 600,
                ping_ms: 1_000,
                max_kbps: 0,
                max_pps: 0,
                observed: ClientAddr::new([7; 16], 7, 0),
                relay_clock_us: 0,
                roster_version: 1,
            },
            busy_ms: None,
            resets: BTreeMap::new(),
            out: Vec::new(),
            deaf_to_pings: false,
            hold_deltas: false,
            held: Vec::new(),
        }
    }

    /// Forgets everyone, as a restart does. The static key stays.
    pub(crate) fn restart(&mut self) {
        self.seats.clear();
        self.resets.clear();
        (self.roster_version, self.streams_version) = (1, 1);
    }

    /// What it wants sent, and where to.
    pub(crate) fn take(&mut self) -> Vec<(Address, Vec<u8>)> {
        core::mem::take(&mut self.out)
    }

    pub(crate) fn hear(&mut self, from: Address, bytes: &[u8], now: Instant, calendar: UnixMillis) {
        let Some(header) = Header::peek(bytes) else { return };
        match header.class {
            CLASS_HANDSHAKE => self.hello(from, bytes, now, calendar),
            CLASS_CONTROL => self.control(from, header.node_id(), bytes, now),
            _ => self.data(from, header.node_id(), bytes, now),
        }
    }

    fn hello(&mut self, from: Address, bytes: &[u8], now: Instant, calendar: UnixMillis) {
        let Ok(hello) = self.keys.check_hello(bytes) else { return };
        if let Some(retry_ms) = self.busy_ms {
            self.out.push((from, self.keys.busy(hello, retry_ms).as_bytes().to_vec()));
            return;
        }
        let node = hello.header.node_id();
        let entry = self.seats.get(&node).map(|seat| &seat.entry);
        if let Some(welcome) = entry.and_then(|entry| entry.duplicate(hello, now)) {
            let welcome = welcome.to_vec();
            self.out.push((from, welcome));
            return;
        }
        let Ok(guest) = self.keys.read(hello, &mut self.random) else { return };
        let admission = Admission {
            issuers: &self.issuers,
            now: calendar,
            entry,
            bearer_owner: None,
            banned: false,
        };
        let Ok(claims) = guest.admit(&admission) else { return };
        let terms = Terms { roster_version: self.roster_version, ..self.terms };
        let id = guest.id();
        let seat = self.seats.entry(node).or_insert_with(|| Seat::new(id, from));
        if let Ok(welcome) = seat.entry.welcome(&self.keys, guest, claims, &terms, now) {
            self.out.push((from, welcome.to_vec()));
        }
    }

    fn control(&mut self, from: Address, node: NodeId, bytes: &[u8], now: Instant) {
        let mut scratch = Scratch::new();
        let Some(seat) = self.seats.get_mut(&node) else {
            return self.reset(from, node, bytes, now);
        };
        let Ok((arrival, text)) = seat.entry.control(bytes, &mut scratch, now) else { return };
        if arrival.activated {
            self.activate(from, node);
        }
        let text = text.to_vec();
        for message in Controls::parse(&text).flatten() {
            self.message(from, node, arrival.conn, &message, now);
        }
    }

    fn message(
        &mut self,
        from: Address,
        node: NodeId,
        conn: u8,
        message: &Control<'_>,
        now: Instant,
    ) {
        let Some(seat) = self.seats.get_mut(&node) else { return };
        match message {
            Control::Ping(_) if self.deaf_to_pings => {}
            Control::Ping(ping) => {
                seat.pings += 1;
                let us = U64::new(now.as_nanos() / 1_000);
                let next_core = ping.next_core.get();
                let missing = seat
                    .entry
                    .connection(conn)
                    .map_or(0, |by| by.link.receiving.missing(Class::Core as u8, next_core));
                let pong = Pong {
                    id: ping.id,
                    t_client_us: ping.t_client_us,
                    t_relay_rx_us: us,
                    t_relay_tx_us: us,
                    missing: U32::new(missing),
                };
                self.say(node, &[Control::Pong(&pong)]);
            }
            Control::Subscribe(subscribe) => {
                let first = seat.subscribe.version() == 0;
                if seat.subscribe.handle(subscribe.version()) {
                    seat.wishes = Some(subscribe.entries().to_vec());
                    seat.hold_ms = subscribe.hold_ms();
                }
                let version = U32::new(seat.subscribe.version());
                self.say(node, &[Control::Ack(&Ack { message: kind::SUBSCRIBE, version })]);
                if first {
                    self.pages(node, now);
                }
            }
            Control::StreamsMine(mine) => {
                if seat.mine.handle(mine.version()) {
                    seat.streams = mine.entries().to_vec();
                    self.streams_version += 1;
                    let entries: Vec<_> =
                        mine.entries().iter().map(|own| stream_entry(node, own)).collect();
                    let delta = Streams::new(self.streams_version, 0, 0, &entries);
                    self.tell_all(&Control::Streams(delta));
                }
                let version = U32::new(self.seats[&node].mine.version());
                self.say(node, &[Control::Ack(&Ack { message: kind::STREAMS_MINE, version })]);
            }
            Control::Get(asked) => {
                let newest = match asked.what {
                    get::ROSTER => self.roster_version,
                    get::STREAMS => self.streams_version,
                    _ => return,
                };
                let soon = |at| now.since(at) < GET_EVERY;
                if asked.arg.get() != newest.into() {
                    seat.gets.push(asked.what);
                    if !seat.paged.is_some_and(soon) {
                        self.pages(node, now);
                    }
                }
            }
            Control::PathResponse(value) => seat.path_responses.push((from, **value)),
            Control::Report(report) => seat.reports.push(**report),
            Control::Leave(_) => {
                seat.left = true;
                self.remove(node);
            }
            Control::Kick(kick) => self.kick(kick.node_id(), kick.reason),
            Control::KeyframeRequest(request) => {
                self.say(request.stream_id().node, &[Control::KeyframeRequest(request)]);
            }
            _ => {}
        }
    }

    fn data(&mut self, from: Address, node: NodeId, bytes: &[u8], now: Instant) {
        let Some(seat) = self.seats.get_mut(&node) else {
            return self.reset(from, node, bytes, now);
        };
        let Ok(arrival) = seat.entry.data(bytes, &mut Scratch::new(), now) else { return };
        if arrival.activated {
            self.activate(from, node);
        }
        let Ok(frame) = Frame::parse(bytes) else { return };
        let stream = frame.tlvs.stream.map_or(0, |stream| stream.stream.get());
        for (other, seat) in &mut self.seats {
            let wanted = |wish: &Wish| wish.covers(node, stream, frame.class as u8);
            if *other != node && seat.wishes.iter().flatten().any(wanted) {
                if frame.class == Class::Core {
                    let last = bytes.last_chunk().map(|last| u64::from_le_bytes(*last));
                    seat.digest = seat.digest.wrapping_add(last.unwrap_or_default());
                }
                seat.count(bytes.len());
                self.out.push((seat.address, bytes.to_vec()));
            }
        }
    }

    fn activate(&mut self, from: Address, node: NodeId) {
        let Some(seat) = self.seats.get_mut(&node) else { return };
        let Some(active) = seat.entry.active() else { return };
        (seat.conn, seat.inst, seat.address) = (active.link.conn, active.link.inst, from);
        (seat.subscribe, seat.mine, seat.wishes) = Default::default();
        (seat.sent, seat.bytes, seat.digest, seat.marks) = (0, 0, 0, 0);
        seat.marked.clear();
        seat.connections += 1;
        let entry = self.seats[&node].line(node, roster_phase::ACTIVE);
        self.tell_line(entry);
    }

    fn remove(&mut self, node: NodeId) {
        let Some(seat) = self.seats.remove(&node) else { return };
        let entry = seat.line(node, roster_phase::GONE);
        self.tell_line(entry);
    }

    fn tell_line(&mut self, entry: RosterEntry) {
        self.held.push(entry);
        if !self.hold_deltas {
            self.tell_held();
        }
    }

    /// The roster lines that were held, in one delta.
    pub(crate) fn tell_held(&mut self) {
        let held = core::mem::take(&mut self.held);
        self.roster_version += 1;
        self.tell_all(&Control::Roster(Roster::new(self.roster_version, 0, 0, 0, &held)));
    }

    /// Removes a participant, and says so.
    pub(crate) fn kick(&mut self, node: NodeId, reason: u8) {
        self.say(node, &[Control::Kick(&Kick { node: U64::new(node.0), reason })]);
        self.remove(node);
    }

    fn reset(&mut self, from: Address, node: NodeId, bytes: &[u8], now: Instant) {
        let recent = self.resets.get(&node).is_some_and(|at| now.since(*at) < RESET_EVERY);
        if !recent && let Some(suite) = Suite::from_nibble(bytes[0] & 0x0F) {
            self.resets.insert(node, now);
            let reset = self.keys.reset(suite, self.session, node);
            self.out.push((from, reset.as_bytes().to_vec()));
        }
    }

    /// All pages of roster and streams for one participant, each in a datagram of its own.
    fn pages(&mut self, node: NodeId, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&node) {
            seat.paged = Some(now);
        }
        let lines: Vec<_> =
            self.seats.iter().map(|(node, seat)| seat.line(*node, roster_phase::ACTIVE)).collect();
        let pages = lines.chunks(PER_PAGE).count() as u8;
        for (page, entries) in lines.chunks(PER_PAGE).enumerate() {
            let roster = Roster::new(self.roster_version, page as u8, pages, 0, entries);
            self.say(node, &[Control::Roster(roster)]);
        }
        let streams: Vec<_> = self
            .seats
            .iter()
            .flat_map(|(node, seat)| seat.streams.iter().map(|own| stream_entry(*node, own)))
            .collect();
        let streams = Streams::new(self.streams_version, 0, 1, &streams);
        self.say(node, &[Control::Streams(streams)]);
    }

    /// A MARK for everyone.
    pub(crate) fn mark(&mut self, now: Instant) {
        for node in self.seats.keys().copied().collect::<Vec<_>>() {
            let seat = self.seats.get_mut(&node).unwrap();
            seat.marks += 1;
            seat.marked.push(seat.sent + 1);
            let mark = Mark {
                n: U32::new(seat.marks),
                sent: U64::new(seat.sent + 1),
                bytes: U64::new(seat.bytes),
                relay_us: U64::new(now.as_nanos() / 1_000),
                core_digest: U64::new(seat.digest),
            };
            self.say(node, &[Control::Mark(&mark)]);
        }
    }

    /// Challenges a participant's address.
    pub(crate) fn challenge(&mut self, node: NodeId, value: [u8; 8]) {
        self.say(node, &[Control::PathChallenge(&value)]);
    }

    /// Tells a participant to go elsewhere.
    pub(crate) fn send_away(&mut self, node: NodeId, to: &Move) {
        self.say(node, &[Control::Move(to)]);
    }

    fn tell_all(&mut self, message: &Control<'_>) {
        for node in self.seats.keys().copied().collect::<Vec<_>>() {
            self.say(node, &[*message]);
        }
    }

    /// Says any bytes, sealed as the relay seals: what a hostile one could.
    pub(crate) fn say_bytes(&mut self, node: NodeId, text: &[u8]) {
        let Some(seat) = self.seats.get_mut(&node) else { return };
        let Some(active) = seat.entry.active_mut() else { return };
        let suite = active.link.suite as u8;
        let header = Header::v1(suite, self.session, NodeId(1), Kind::Control);
        let mut out = [0; V1_FRAME_MAX];
        let mut frame = ControlMut::begin(&mut out, &header, text.len()).unwrap();
        frame.seal().text.copy_from_slice(text);
        let frame = frame.finish();
        active.link.sending.control(frame).unwrap();
        let frame = frame.to_vec();
        self.out.push((seat.address, frame));
    }

    pub(crate) fn say(&mut self, node: NodeId, messages: &[Control<'_>]) {
        let Some(seat) = self.seats.get_mut(&node) else { return };
        let Some(active) = seat.entry.active_mut() else { return };
        let suite = active.link.suite as u8;
        let header = Header::v1(suite, self.session, NodeId(1), Kind::Control);
        let mut out = [0; V1_FRAME_MAX];
        let mut writer = ControlWriter::new(&mut out, &header).unwrap();
        messages.iter().for_each(|message| writer.put(message).unwrap());
        let frame = writer.finish().finish();
        active.link.sending.control(frame).unwrap();
        let frame = frame.to_vec();
        seat.count(frame.len());
        self.out.push((seat.address, frame));
    }
}

impl Seat {
    fn new(id: PublicKey, address: Address) -> Self {
        Self {
            id,
            entry: Entry::new(id),
            address,
            conn: 0,
            inst: Inst([0; 16]),
            subscribe: Granted::default(),
            mine: Granted::default(),
            wishes: None,
            hold_ms: 0,
            streams: Vec::new(),
            sent: 0,
            bytes: 0,
            digest: 0,
            marks: 0,
            marked: Vec::new(),
            reports: Vec::new(),
            path_responses: Vec::new(),
            gets: Vec::new(),
            paged: None,
            pings: 0,
            connections: 0,
            left: false,
        }
    }

    /// What its MARK `n` said was sent.
    pub(crate) fn sent_at_mark(&self, n: u32) -> u64 {
        self.marked[n as usize - 1]
    }

    fn count(&mut self, bytes: usize) {
        self.sent += 1;
        self.bytes += bytes as u64;
    }

    fn line(&self, node: NodeId, phase: u8) -> RosterEntry {
        RosterEntry {
            node: U64::new(node.0),
            id_pub: self.id.0,
            inst: self.inst.0,
            conn: self.conn,
            phase,
            perms: U32::new(0x1F),
        }
    }
}

fn stream_entry(node: NodeId, own: &OwnStream) -> StreamsEntry {
    let OwnStream { stream, kind, profile, .. } = *own;
    let stream = U16::new(stream.get());
    StreamsEntry { node: U64::new(node.0), stream, kind, profile, phase: phase::ACTIVE }
}
