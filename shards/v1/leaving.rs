//! Leaving: a goodbye, being sent away, silence, a token that runs out.

use elara_core::crypto::token::CLOCK_SKEW_S;
use elara_core::limits::{self, V1_SILENCE, V1_STALE};
use elara_core::time::{Instant, Span};
use elara_core::wire::v1::control::{Control, Kick, reason};
use elara_core::{NodeId, SessionId};

use super::V1;
use super::membership::{ended, gone};
use super::participant::{Participant, Place};
use crate::command::{Notice, Why};
use crate::forward::Forward;
use crate::io::Io;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
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
        let (empty, len) = (place.member as usize, room.members.len());
        if let Some(hold) = &mut room.hold {
            hold.leave(room.members[empty].hold);
        }
        for (from, to) in room.outlet.progress.close_gap(empty, len) {
            room.members.swap(from, to);
            if let Some(moved) = v1.participants.get_mut(room.members[to].participant) {
                moved.place = Some(Place { member: to as u32, ..place });
            }
        }
        room.members.pop();
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
}

impl V1 {
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
