//! Wire v1 in a shard: who is in, what they may, and what the relay tells them.
//!
//! ```text
//!   HELLO ──▶ desk: cheap checks, a queue ──▶ Noise, token ──▶ half-open
//!                                                                  │ first datagram that verifies
//!   data ──▶ ingress: look up, window, tag, permission ──▶ fan-out ◀─ member of a room
//!   control ─▶ ingress ──▶ control: ping, wishes, streams, kick, .. ──▶ answers
//!   chores: deltas and pages of roster and streams, marks        timers: stale, gone, expired
//! ```
//! | module | owns |
//! |---|---|
//! | `ingress` | a frame: what it is, whose, whether it is genuine |
//! | `desk` | HELLO to WELCOME, and every other answer to strangers |
//! | `membership` | entering, and what a new connection changes |
//! | `whereabouts` | at home, elsewhere, silent |
//! | `leaving` | a goodbye, being sent away, silence, expiry |
//! | `control` | what participants say to the relay |
//! | `chores` | what the relay says of its own accord |
//! | `fanout` | what leaves for the members of a room |
//! | `gather` | small frames that wait, and leave in bundles |
//! | `hold`, `pack`, `roaming`, `rates`, `marks`, `bulletin`, `prefixes` | one machine each, without I/O |
//! | `participant`, `room`, `slab` | the tables |
//!
//! The methods stand on [`Forward`](crate::forward::Forward), which has the back end and the cycle's
//! clock reading. Nothing here makes state for bytes that have not been verified, except half-open
//! entries, which a token has paid for.

mod bulletin;
mod chores;
mod control;
mod desk;
mod egress;
mod fanout;
mod gather;
mod hold;
mod ingress;
mod leaving;
mod marks;
mod membership;
mod pack;
mod participant;
mod prefixes;
mod rates;
mod roaming;
mod room;
mod whereabouts;

use std::collections::VecDeque;
use std::sync::Arc;

use elara_core::crypto::{KeyStream, PublicKey, Scratch, Secret};
use elara_core::keyed::Keyed;
use elara_core::limits::{self, CHORE_TICK, HOLD_TICK, TIMER_TICK};
use elara_core::time::wheel::Wheel;
use elara_core::time::{Instant, Span};
use elara_core::{NodeId, SessionId};
use hashbrown::HashMap;

use crate::access::Access;
use crate::command::{ParticipantView, SessionLine, SessionView};
use crate::io::Refusal;

use crate::slab::Slab;
use desk::Desk;
use pack::{Packet, empty_packets};
use participant::Participant;
use room::Room;

pub(crate) use ingress::Known;

/// Everything a shard knows of wire v1.
#[derive(Debug)]
pub(crate) struct V1 {
    /// Who may enter; `None`: v1 is closed.
    access: Option<Arc<Access>>,
    /// Participants one session may have.
    peers_max: usize,
    by_name: HashMap<(SessionId, NodeId), u32, Keyed>,
    by_id: HashMap<SessionId, u32, Keyed>,
    participants: Slab<Participant>,
    rooms: Slab<Room>,
    /// Participants that have not spoken yet.
    half_open: usize,
    /// Who showed a bearer token first, and until when that matters, in seconds since 1970.
    bearers: HashMap<[u8; 32], (PublicKey, u32), Keyed>,
    desk: Desk,
    /// When expired ones were last thrown out, in seconds since 1970.
    bearers_sorted: u32,
    /// When to look at a participant, by number.
    timers: Wheel,
    /// When to look at a room, by number.
    chores: Wheel,
    /// When frames that wait in a room are due, by its number.
    holds: Wheel,
    /// Datagrams put together for many, and for one.
    shared: Vec<Packet>,
    single: Vec<Packet>,
    /// Rooms with chores that are due, in turn.
    busy_rooms: VecDeque<u32>,
    /// Participants that wait for pages.
    page_queue: VecDeque<u32>,
    /// More frames are due than one cycle sends.
    serving: bool,
    /// More participants are due to be looked at.
    pub(crate) expiring: bool,
    /// Where the search for banned participants goes on; `None` when it is done.
    sweep: Option<u32>,
    random: KeyStream,
    scratch: Box<Scratch>,
}

impl V1 {
    pub(crate) fn new(
        access: Option<Arc<Access>>,
        peers_max: usize,
        hash_keys: (u64, u64),
        seed: &Secret<32>,
        now: Instant,
    ) -> Self {
        let keyed = Keyed(hash_keys.0, hash_keys.1);
        let slots = |longest: Span, tick: Span| (longest.as_nanos() / tick.as_nanos()) as usize + 1;
        Self {
            access,
            peers_max,
            by_name: HashMap::with_hasher(keyed),
            by_id: HashMap::with_hasher(keyed),
            participants: Slab::new(),
            rooms: Slab::new(),
            half_open: 0,
            bearers: HashMap::with_hasher(keyed),
            bearers_sorted: 0,
            desk: Desk::new(keyed),
            timers: Wheel::new(TIMER_TICK, slots(limits::V1_SILENCE, TIMER_TICK), now),
            chores: Wheel::new(CHORE_TICK, slots(Span::from_secs(1), CHORE_TICK), now),
            holds: Wheel::new(HOLD_TICK, 16, now),
            shared: empty_packets(),
            single: empty_packets(),
            busy_rooms: VecDeque::new(),
            page_queue: VecDeque::new(),
            serving: false,
            expiring: false,
            sweep: None,
            random: KeyStream::new(seed),
            scratch: Box::default(),
        }
    }

    /// From here on, these may enter. Who is inside and banned is looked for over the next cycles.
    pub(crate) fn set_access(&mut self, access: Arc<Access>) {
        self.access = Some(access);
        self.sweep = Some(0);
    }

    /// Whether anyone can speak v1 here.
    pub(crate) const fn is_open(&self) -> bool {
        self.access.is_some()
    }

    /// Sessions with members.
    pub(crate) const fn sessions(&self) -> usize {
        self.rooms.len()
    }

    /// Participants that are members.
    pub(crate) const fn members(&self) -> usize {
        self.participants.len() - self.half_open
    }

    /// Participants that were welcomed and have not spoken.
    pub(crate) const fn half_open(&self) -> usize {
        self.half_open
    }

    /// HELLOs that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.desk.waiting()
    }

    /// Whether the session is one of v1.
    pub(crate) fn has_session(&self, session: SessionId) -> bool {
        self.by_id.contains_key(&session)
    }

    /// When there is something to do; `None` when only datagrams bring work.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        let busy = !self.busy_rooms.is_empty() || !self.page_queue.is_empty();
        if busy || self.sweep.is_some() || self.expiring || self.serving {
            return Some(now);
        }
        let wheels = [&self.timers, &self.chores, &self.holds].map(Wheel::next_tick);
        let turn = self.desk.next_turn(now);
        wheels.into_iter().chain([turn]).flatten().min()
    }

    /// The kernel did not take what was sent to someone.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        let number = refusal.tag.wrapping_sub(1);
        let Some(place) = self.participants.get(number).and_then(|them| them.place) else { return };
        let Some(room) = self.rooms.get_mut(place.room) else { return };
        let member = &mut room.members[place.member as usize];
        member.sent = member.sent.saturating_sub(refusal.datagrams.into());
        member.bytes = member.bytes.saturating_sub(refusal.bytes.into());
    }

    /// A session for people to look at.
    pub(crate) fn view(&self, session: SessionId, now: Instant) -> Option<SessionView> {
        let room = self.rooms.get(*self.by_id.get(&session)?)?;
        let participants = room.members.iter().filter_map(|member| {
            let them = self.participants.get(member.participant)?;
            let silent = now.since(them.seen);
            let lost = them.marks.as_ref().map_or(0, |marks| marks.lost());
            let sent = member.sent;
            Some(ParticipantView { node: them.node, addr: member.addr, silent, sent, lost })
        });
        Some(SessionView {
            session,
            age: now.since(room.opened),
            frames: room.frames,
            participants: participants.collect(),
        })
    }

    /// At most `most` sessions from slot `from` on, and the slot to go on from.
    pub(crate) fn page(
        &self,
        from: u32,
        most: usize,
    ) -> (impl Iterator<Item = SessionLine>, Option<u32>) {
        let end = self.rooms.end().min(from.saturating_add(most as u32));
        let rooms = (from..end).filter_map(|slot| self.rooms.get(slot));
        let lines = rooms
            .map(|room| SessionLine { session: room.id, participants: room.members.len() as u32 });
        (lines, (end < self.rooms.end()).then_some(end))
    }

    fn find(&self, session: SessionId, node: NodeId) -> Option<u32> {
        self.by_name.get(&(session, node)).copied()
    }

    /// Looks at a room again when its next chore is due.
    fn arm_chores(&mut self, room: u32, now: Instant) {
        let idle = self.rooms.get(room).filter(|room| !room.busy);
        if let Some(due) = idle.and_then(Room::chores_due) {
            self.chores.skip_to(now);
            self.chores.arm(room, due.max(now));
        }
    }

    /// Puts a participant in line for `wanted` pages.
    fn want_pages(&mut self, number: u32, wanted: u8) {
        if let Some(them) = self.participants.get_mut(number) {
            if them.awaits == 0 {
                self.page_queue.push_back(number);
            }
            them.awaits |= wanted;
        }
    }

    /// What a member is sent follows from what its participant asked for.
    fn refresh_member(&mut self, number: u32) {
        let Some(them) = self.participants.get(number) else { return };
        let Some(place) = them.place else { return };
        let appetite = them.appetite();
        if let Some(room) = self.rooms.get_mut(place.room) {
            let member = &mut room.members[place.member as usize];
            member.classes = if member.proven { appetite } else { 0 };
        }
    }
}
