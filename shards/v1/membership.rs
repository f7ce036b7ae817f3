//! Entering: a welcome that is confirmed, and what a new connection changes.

use elara_core::crypto::Permissions;
use elara_core::limits;
use elara_core::wire::v1::control::{OwnStream, RosterEntry, StreamsEntry, phase, roster_phase};
use elara_core::{ClientAddr, NodeId, SessionId};

use super::V1;
use super::participant::{Participant, Place, pages};
use super::room::{Member, Room};
use crate::command::{Notice, Why};
use crate::departures::{Site, Wire};
use crate::forward::Forward;
use crate::io::Io;
use crate::verdict::Verdict;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// The first datagram of a new connection has verified: its sender is in, with what its token grants.
    /// It has received WELCOME where that was sent; from anywhere else it is asked to show that it
    /// receives there (`docs/adr/0030`). A verdict when it may not stay.
    #[cold]
    pub(super) fn activate(&mut self, number: u32, from: &ClientAddr) -> Option<Verdict> {
        let now = self.now;
        self.flush_before(number);
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

    /// Sends what the session is about to that a participant is in, or enters.
    fn flush_before(&mut self, number: u32) {
        let session = self.v1.participants.get(number).map(|them| them.session);
        let slot = session.and_then(|session| self.v1.by_id.get(&session).copied());
        let Some(slot) = slot else { return };
        self.flush_session(Site { wire: Wire::V1, slot });
        let hold = self.v1.rooms.get(slot).and_then(|room| room.hold.as_ref());
        // Who comes now would be one of those for whom it waits.
        if hold.is_some_and(|hold| hold.holds_all()) {
            self.serve_room(slot, true);
        }
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
            // Enough for all rooms to stand in line for their chores at once.
            v1.busy_rooms.reserve(v1.rooms.len().saturating_sub(v1.busy_rooms.len()));
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
}

/// The line that says that someone has gone.
pub(super) fn gone(them: &Participant) -> RosterEntry {
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
