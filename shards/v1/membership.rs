//! Entering and leaving: a welcome that is confirmed, an address that changes, silence, expiry, being
//! sent away.

use elara_core::crypto::Permissions;
use elara_core::crypto::handshake::Arrival;
use elara_core::crypto::token::CLOCK_SKEW_S;
use elara_core::limits::{self, PATH_DATAGRAM_MIN, V1_SILENCE, V1_STALE};
use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_core::wire::v1::control::{
    Control, Kick, OwnStream, RosterEntry, StreamsEntry, phase, reason, roster_phase,
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
    /// The first datagram of a new connection has verified: its sender is in, with what its token grants.
    /// It has received WELCOME where that was sent; from anywhere else it is asked to show that it
    /// receives there (`docs/adr/0030`). A verdict when it may not stay.
    #[cold]
    pub(super) fn activate(&mut self, number: u32, from: &ClientAddr) -> Option<Verdict> {
        self.flush();
        let now = self.now;
        let v1 = &mut *self.v1;
        let them = v1.participants.get_mut(number)?;
        let (could_send, session, node) = (them.may_send(), them.session, them.node);
        them.adopt();
        them.seen = now;
        let (proven, again) = (them.welcomed_at == *from, them.place.is_some());
        let banned = {
            let claims = them.entry.active().map(|active| &active.claims);
            v1.access.as_ref().is_some_and(|access| access.is_banned(them.id(), claims))
        };
        if banned {
            self.send_away(number, Why::Banned);
            return Some(Verdict::Banned);
        }
        if let Some(place) = them.place {
            them.stale &= !proven;
            let room = v1.rooms.get_mut(place.room)?;
            let member = &mut room.members[place.member as usize];
            let moved = proven && member.addr != *from;
            let home = if proven { *from } else { member.addr };
            // Where it was it is as good as before: a member that never answered there still has not.
            let (heard, hold, known) = (member.heard, member.hold, proven || member.proven);
            *member = Member { heard, hold, ..Member::new(home, number, known, now) };
            if proven {
                member.heard = now;
            }
            if moved {
                self.note(Notice::Moved { session, node, addr: *from });
            }
            self.change_rights(number, could_send);
        } else {
            let sender = them.may_send();
            let full = match self.sessions.find(session) {
                Some(_) => Some(Verdict::OtherWire),
                None => self.v1.has_room(session, sender).err(),
            };
            if full.is_some() {
                self.depart(number, Why::Gone);
                return full;
            }
            self.enter(number, from, proven);
        }
        self.v1.refresh_member(number);
        self.announce_member(number);
        if again {
            // Its next frames are sealed under keys that only the roster names.
            self.hurry_roster(number);
        }
        self.v1.want_pages(number, pages::BOTH);
        self.v1.arm(number, self.calendar.seconds(), now);
        None
    }

    fn hurry_roster(&mut self, number: u32) {
        let v1 = &mut *self.v1;
        let place = v1.participants.get(number).and_then(|them| them.place);
        if let Some(place) = place
            && let Some(room) = v1.rooms.get_mut(place.room)
        {
            room.roster.hurry(self.now);
            v1.arm_chores(place.room, self.now);
        }
    }

    fn enter(&mut self, number: u32, from: &ClientAddr, proven: bool) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let (session, node) = (them.session, them.node);
        let known = v1.by_id.get(&session).copied();
        let slot = known.unwrap_or_else(|| {
            let slot = v1.rooms.insert(Room::new(session, now));
            v1.by_id.insert(session, slot);
            slot
        });
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        them.place = Some(Place { room: slot, member: room.members.len() as u32 });
        room.members.push(Member::new(*from, number, proven, now));
        room.senders += usize::from(them.may_send());
        v1.half_open -= 1;
        if known.is_none() {
            self.note(Notice::SessionOpened { session });
        }
        self.note(Notice::Joined { session, node, addr: *from });
    }

    /// A member's new token lets it send where the old one did not, or the other way round.
    fn change_rights(&mut self, number: u32, could_send: bool) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let Some(room) = them.place.and_then(|place| v1.rooms.get_mut(place.room)) else { return };
        let can_send = them.may_send();
        room.senders = room.senders + usize::from(can_send) - usize::from(could_send);
        if could_send && !can_send {
            room.roster.change(gone(them), now);
            let streams = std::mem::take(&mut them.streams);
            room.streams -= streams.len();
            for stream in &streams {
                room.playbill.change(ended(them.node, stream), now);
            }
        }
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

    /// Someone who was silent is heard at home again.
    #[cold]
    fn revive(&mut self, number: u32) {
        self.flush();
        let Some(them) = self.v1.participants.get_mut(number) else { return };
        them.stale = false;
        let sends = them.may_send();
        self.v1.refresh_member(number);
        if sends {
            self.announce_member(number);
        }
        // It has missed what was told meanwhile.
        self.v1.want_pages(number, pages::BOTH);
        self.v1.arm(number, self.calendar.seconds(), self.now);
    }

    /// A frame was taken in: is its sender still where it was? Only the newest of its class, by the active
    /// connection, says so.
    #[inline]
    pub(super) fn locate(
        &mut self,
        number: u32,
        origin: &Origin,
        arrival: &Arrival,
        multipath: bool,
    ) {
        let v1 = &mut *self.v1;
        let Some(them) = v1.participants.get_mut(number) else { return };
        let Some(place) = them.place else { return };
        let Some(room) = v1.rooms.get_mut(place.room) else { return };
        let member = &mut room.members[place.member as usize];
        let newest = arrival.active && arrival.received.newest && !multipath;
        if member.addr == origin.from && member.proven {
            member.heard = self.now;
            if let Some(roaming) = them.roaming.as_mut().filter(|_| newest) {
                roaming.handle_home();
            }
            if them.stale {
                self.revive(number);
            }
        } else if newest && origin.datagram_len >= PATH_DATAGRAM_MIN {
            self.challenge(number, &origin.from);
        }
    }

    /// Asks whoever speaks for a participant from elsewhere to show that it receives there, and tells the
    /// participant at home, whose next word ends the matter.
    #[cold]
    fn challenge(&mut self, number: u32, from: &ClientAddr) {
        let now = self.now;
        let [there, home] = std::array::from_fn(|_| self.v1.random.next_u64().to_le_bytes());
        let Some(them) = self.v1.participants.get_mut(number) else { return };
        let roaming = them.roaming.get_or_insert_with(|| Box::new(Roaming::new()));
        let Some(there) = roaming.handle_elsewhere(*from, there, now) else { return };
        self.send_control(number, from, 0, &[Control::PathChallenge(&there)]);
        self.tell_participant(number, &[Control::PathChallenge(&home)]);
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
        let Some(room) = v1.rooms.get_mut(place.room) else { return };
        let member = &mut room.members[place.member as usize];
        let (moved, first) = (member.addr != *from, !member.proven);
        (member.addr, member.heard, member.proven) = (*from, now, true);
        if moved {
            self.note(Notice::Moved { session, node, addr: *from });
        }
        if first || self.v1.participants.get(number).is_some_and(|them| them.stale) {
            self.revive(number);
        }
    }

    /// Sends a participant away, and tells it why.
    pub(super) fn send_away(&mut self, number: u32, why: Why) {
        let Some(them) = self.v1.participants.get(number) else { return };
        let (node, id, session) = (them.node, *them.id(), them.session);
        let reason = match why {
            Why::Banned => reason::BANNED,
            Why::Expired => reason::EXPIRED,
            _ => reason::MODERATED,
        };
        let kick = Kick { node: node.0.into(), reason };
        self.tell_participant(number, &[Control::Kick(&kick)]);
        if why == Why::Kicked
            && let Some(slot) = self.v1.by_id.get(&session)
            && let Some(room) = self.v1.rooms.get_mut(*slot)
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
        let left = room.members.swap_remove(place.member as usize);
        if let Some(hold) = &mut room.hold {
            hold.leave(left.hold);
        }
        // The last member has taken the empty place.
        if let Some(moved) = room.members.get(place.member as usize)
            && let Some(moved) = v1.participants.get_mut(moved.participant)
        {
            moved.place = Some(place);
        }
        room.streams -= them.streams.len();
        if them.may_send() {
            room.senders -= 1;
            room.roster.change(gone(them), now);
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
            v1.holds.cancel(place.room);
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
            let heard = self.v1.heard_home(number);
            let Some(them) = self.v1.participants.get_mut(number) else { return true };
            if now.since(heard) >= V1_STALE && !them.stale {
                them.stale = true;
                them.entry.cool();
                let sends = them.may_send();
                self.v1.refresh_member(number);
                if sends {
                    self.announce_member(number);
                }
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
        if room.members.len() >= self.peers_max {
            return Err(Verdict::SessionFull);
        }
        if sender { self.has_room_for_sender(session) } else { Ok(()) }
    }

    /// Whether one more member of `session` may send.
    ///
    /// # Errors
    /// [`Verdict::SessionFull`].
    pub(super) fn has_room_for_sender(&self, session: SessionId) -> Result<(), Verdict> {
        let room = self.by_id.get(&session).and_then(|slot| self.rooms.get(*slot));
        let full = room.is_some_and(|room| room.senders >= limits::V1_SENDERS_MAX);
        if full { Err(Verdict::SessionFull) } else { Ok(()) }
    }

    /// When a member was last heard from its address.
    fn heard_home(&self, number: u32) -> Instant {
        let place = self.participants.get(number).and_then(|them| them.place);
        let room = place.and_then(|place| Some((place, self.rooms.get(place.room)?)));
        room.map_or(Instant::ZERO, |(place, room)| room.members[place.member as usize].heard)
    }

    /// Looks at a participant again when something about it may end by itself.
    pub(super) fn arm(&mut self, number: u32, today: u32, now: Instant) {
        let Some(them) = self.participants.get(number) else { return };
        let silence = them.place.map(|_| {
            let gone = them.seen + V1_SILENCE;
            let stale = self.heard_home(number) + V1_STALE;
            let last = u64::from(them.expires) + u64::from(CLOCK_SKEW_S);
            let token = (last + 1).saturating_sub(today.into());
            let next = if them.stale { gone } else { gone.min(stale) };
            next.min(now + Span::from_secs(token))
        });
        let due = [them.entry.poll_timeout(), silence].into_iter().flatten().min();
        self.timers.skip_to(now);
        match due {
            Some(due) => self.timers.arm(number, due),
            None => self.timers.cancel(number),
        }
    }
}

/// The line that says that someone has gone.
fn gone(them: &Participant) -> RosterEntry {
    RosterEntry { phase: roster_phase::GONE, ..them.line() }
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
