//! Entering and leaving: a welcome that is confirmed, an address that changes, silence, expiry, being
//! sent away.

use elara_core::crypto::token::CLOCK_SKEW_S;
use elara_core::crypto::{Permissions, Subject};
use elara_core::limits::{self, PATH_DATAGRAM_MIN, V1_SILENCE, V1_STALE};
use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_core::wire::v1::control::{
    Alert, Control, Kick, OwnStream, StreamsEntry, alert, phase, reason, roster_phase,
};
use elara_core::{ClientAddr, NodeId, SessionId};

use super::V1;
use super::ingress::Origin;
use super::participant::{Participant, Place, pages};
use super::roaming::Roaming;
use super::room::{Member, Room};
use crate::command::{Notice, Why};
use crate::forward::Forward;
use crate::io::Io;
use crate::verdict::Verdict;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// The first datagram of a new connection has verified: its sender is where it came from, with what
    /// its token grants. A verdict when there is no room left.
    #[cold]
    pub(super) fn activate(&mut self, number: u32, from: &ClientAddr) -> Option<Verdict> {
        let now = self.now;
        let v1 = &mut *self.v1;
        let them = v1.participants.get_mut(number)?;
        let (could_send, session, node) = (them.may_send(), them.session, them.node);
        them.adopt();
        them.seen = now;
        let can_send = them.may_send();
        let bearer =
            them.entry.active().map(|active| (active.claims.subject, active.claims.expires));
        if let Some((Subject::Bearer(serial), expires)) = bearer {
            v1.bearers.insert(serial, (*them.entry.id(), expires));
        }
        match them.place {
            Some(place) => {
                let room = v1.rooms.get_mut(place.room)?;
                let member = &mut room.members[place.member as usize];
                let moved = member.addr != *from;
                *member = Member::new(*from, number);
                room.senders = room.senders + usize::from(can_send) - usize::from(could_send);
                if moved {
                    self.note(Notice::Moved { session, node, addr: *from });
                }
            }
            None => {
                if let Err(full) = self.v1.has_room(session, can_send) {
                    let alert = Alert { code: alert::FULL.into(), arg: 0.into() };
                    self.send_control(number, from, 0, &[Control::Alert(&alert)]);
                    self.depart(number, Why::Gone);
                    return Some(full);
                }
                self.enter(number, from);
            }
        }
        self.v1.refresh_member(number);
        self.announce_member(number);
        self.v1.want_pages(number, pages::BOTH);
        self.v1.arm(number, self.calendar.seconds(), now);
        None
    }

    fn enter(&mut self, number: u32, from: &ClientAddr) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let (session, node) = (them.session, them.node);
        let (slot, opened) = match v1.by_id.get(&session) {
            Some(slot) => (*slot, false),
            None => (v1.rooms.insert(Room::new(session, now)), true),
        };
        v1.by_id.insert(session, slot);
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        them.place = Some(Place { room: slot, member: room.members.len() as u32 });
        room.members.push(Member::new(*from, number));
        room.senders += usize::from(them.may_send());
        v1.half_open -= 1;
        if opened {
            self.note(Notice::SessionOpened { session });
        }
        self.note(Notice::Joined { session, node, addr: *from });
    }

    /// The roster has news of a member: its line, or one more who only listens.
    pub(super) fn announce_member(&mut self, number: u32) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get(number) else { return };
        let Some(place) = them.place else { return };
        let Some(room) = v1.rooms.get_mut(place.room) else { return };
        if them.may_send() {
            room.roster.change(them.line(), now);
        } else {
            room.roster.change_footnote(now);
        }
        v1.arm_chores(place.room, now);
    }

    /// Someone silent is heard again.
    #[cold]
    pub(super) fn revive(&mut self, number: u32) {
        if let Some(them) = self.v1.participants.get_mut(number) {
            them.stale = false;
        }
        self.v1.refresh_member(number);
        self.announce_member(number);
        // It has missed what was told meanwhile.
        self.v1.want_pages(number, pages::BOTH);
        self.v1.arm(number, self.calendar.seconds(), self.now);
    }

    /// The newest datagram of its class, by the active connection: is its sender still where it was?
    #[inline]
    pub(super) fn locate(&mut self, number: u32, origin: &Origin) {
        let v1 = &mut *self.v1;
        let Some(them) = v1.participants.get_mut(number) else { return };
        let Some(place) = them.place else { return };
        let Some(room) = v1.rooms.get(place.room) else { return };
        let home = room.members[place.member as usize].addr;
        if home == origin.from {
            if let Some(roaming) = &mut them.roaming {
                roaming.handle_home();
            }
        } else if origin.datagram_len >= PATH_DATAGRAM_MIN {
            self.challenge(number, &home, &origin.from);
        }
    }

    #[cold]
    fn challenge(&mut self, number: u32, home: &ClientAddr, from: &ClientAddr) {
        let now = self.now;
        let fresh = self.v1.random.next_u64().to_le_bytes();
        let Some(them) = self.v1.participants.get_mut(number) else { return };
        let roaming = them.roaming.get_or_insert_with(|| Box::new(Roaming::new()));
        let Some(challenge) = roaming.handle_elsewhere(*from, fresh, now) else { return };
        for to in [from, home] {
            self.send_control(number, to, 0, &[Control::PathChallenge(&challenge)]);
        }
    }

    /// A challenge was answered, perhaps from where it was sent.
    pub(super) fn handle_path_response(&mut self, number: u32, from: &ClientAddr, value: &[u8; 8]) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let (session, node) = (them.session, them.node);
        let Some(roaming) = &mut them.roaming else { return };
        if !roaming.handle_response(from, value, now) {
            return;
        }
        let Some(place) = them.place else { return };
        if let Some(room) = v1.rooms.get_mut(place.room) {
            room.members[place.member as usize].addr = *from;
            self.note(Notice::Moved { session, node, addr: *from });
        }
    }

    /// Sends a participant away, and tells it why.
    pub(super) fn send_away(&mut self, number: u32, why: Why) {
        let Some(them) = self.v1.participants.get(number) else { return };
        let (node, id, place) = (them.node, *them.id(), them.place);
        let reason = match why {
            Why::Banned => reason::BANNED,
            Why::Expired => reason::EXPIRED,
            _ => reason::MODERATED,
        };
        let kick = Kick { node: node.0.into(), reason };
        self.tell_participant(number, &[Control::Kick(&kick)]);
        if why == Why::Kicked
            && let Some(room) = place.and_then(|place| self.v1.rooms.get_mut(place.room))
        {
            room.kick(id);
        }
        self.depart(number, why);
    }

    /// Sends away who is called `node` in `session`; false when nobody is.
    pub(crate) fn kick(&mut self, session: SessionId, node: NodeId) -> bool {
        let Some(number) = self.v1.find(session, node) else { return false };
        let inside = self.v1.participants.get(number).is_some_and(|them| them.place.is_some());
        self.send_away(number, Why::Kicked);
        inside
    }

    /// Forgets a participant, member or only half-open.
    pub(super) fn depart(&mut self, number: u32, why: Why) {
        let v1 = &mut *self.v1;
        let Some(them) = v1.participants.remove(number) else { return };
        v1.by_name.remove(&(them.session, them.node));
        v1.timers.cancel(number);
        match them.place {
            Some(place) => self.leave(&them, place, why),
            None => v1.half_open -= 1,
        }
    }

    fn leave(&mut self, them: &Participant, place: Place, why: Why) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(room) = v1.rooms.get_mut(place.room) else { return };
        room.members.swap_remove(place.member as usize);
        // The last member has taken the empty place.
        if let Some(moved) = room.members.get(place.member as usize)
            && let Some(moved) = v1.participants.get_mut(moved.participant)
        {
            moved.place = Some(place);
        }
        room.streams -= them.streams.len();
        if them.may_send() {
            room.senders -= 1;
            let mut line = them.line();
            line.phase = roster_phase::GONE;
            room.roster.change(line, now);
        } else {
            room.roster.change_footnote(now);
        }
        for stream in &them.streams {
            room.playbill.change(ended(them.node, stream), now);
        }
        let ended = room.members.is_empty();
        if ended {
            v1.rooms.remove(place.room);
            v1.by_id.remove(&them.session);
            v1.chores.cancel(place.room);
        } else {
            v1.arm_chores(place.room, now);
        }
        let (session, node) = (them.session, them.node);
        self.note(Notice::Left { session, node, why });
        if ended {
            self.note(Notice::SessionEnded { session });
        }
    }

    /// Looks at one participant whose time has come. False when there is none.
    pub(crate) fn expire_v1(&mut self) -> bool {
        let now = self.now;
        let Some(number) = self.v1.timers.expire(now) else { return false };
        let today = self.calendar.seconds();
        let Some(them) = self.v1.participants.get_mut(number) else { return true };
        let lapsed = them.entry.expire(now);
        let silent = now.since(them.seen);
        if lapsed || them.place.is_some() && silent >= V1_SILENCE {
            self.depart(number, Why::Silent);
            return true;
        }
        if them.place.is_some() {
            if today > them.expires.saturating_add(CLOCK_SKEW_S) {
                self.send_away(number, Why::Expired);
                return true;
            }
            if silent >= V1_STALE && !them.stale {
                them.stale = true;
                them.entry.cool();
                self.v1.refresh_member(number);
                self.announce_member(number);
            }
        }
        self.v1.arm(number, today, now);
        true
    }

    /// Goes on looking for participants that a reload has banned.
    pub(crate) fn sweep(&mut self) {
        let Some(from) = self.v1.sweep else { return };
        let end = self.v1.participants.end();
        let to = end.min(from.saturating_add(limits::CYCLE_SWEEP_MAX as u32));
        for number in from..to {
            let Some(access) = &self.v1.access else { break };
            let banned = self.v1.participants.get(number).is_some_and(|them| {
                let claims = them.entry.active().map(|active| &active.claims);
                access.is_banned(them.id(), claims)
            });
            if banned {
                self.send_away(number, Why::Banned);
            }
        }
        self.v1.sweep = (to < end).then_some(to);
    }

    pub(super) fn note(&mut self, notice: Notice) {
        self.counters.notice(&notice);
        (self.tell)(notice);
    }
}

impl V1 {
    /// Whether one more may become a member of `session`.
    ///
    /// # Errors
    /// The verdict of the table that is full.
    pub(super) fn has_room(&self, session: SessionId, sender: bool) -> Result<(), Verdict> {
        let Some(room) = self.by_id.get(&session).and_then(|slot| self.rooms.get(*slot)) else {
            let full = self.rooms.len() >= limits::V1_SESSIONS_MAX;
            return if full { Err(Verdict::SessionsFull) } else { Ok(()) };
        };
        let full = room.members.len() >= self.peers_max
            || sender && room.senders >= limits::V1_SENDERS_MAX;
        if full { Err(Verdict::SessionFull) } else { Ok(()) }
    }

    /// Looks at a participant again when something about it may end by itself.
    pub(super) fn arm(&mut self, number: u32, today: u32, now: Instant) {
        let Some(them) = self.participants.get(number) else { return };
        let silence = them.place.map(|_| {
            let patience = if them.stale { V1_SILENCE } else { V1_STALE };
            let last = u64::from(them.expires) + u64::from(CLOCK_SKEW_S);
            let token = (last + 1).saturating_sub(today.into());
            (them.seen + patience).min(now + Span::from_secs(token))
        });
        let due = [them.entry.poll_timeout(), silence].into_iter().flatten().min();
        self.timers.skip_to(now);
        match due {
            Some(due) => self.timers.arm(number, due),
            None => self.timers.cancel(number),
        }
    }
}

/// The line that says that a stream has ended.
pub(super) fn ended(node: NodeId, stream: &OwnStream) -> StreamsEntry {
    StreamsEntry { phase: phase::ENDED, ..line(node, stream) }
}

/// A participant's stream as others see it.
pub(super) fn line(node: NodeId, stream: &OwnStream) -> StreamsEntry {
    let OwnStream { stream, kind, profile, phase } = *stream;
    StreamsEntry { node: node.0.into(), stream, kind, profile, phase }
}

/// What a member may ask of others.
pub(super) const KICK: Permissions = Permissions::KICK;
