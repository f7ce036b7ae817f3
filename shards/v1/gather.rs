//! What waited leaves: for each cohort whose time has come, bundles to each of its members.

use elara_core::limits::{CYCLE_SENDS_MAX, HELD_FRAME_MAX, MARK_EVERY};
use elara_core::time::Instant;

use super::V1;
use super::hold::{Held, Hold};
use super::ingress::{Passing, is_wanted};
use super::room::Member;
use crate::command::Notice;
use crate::forward::Forward;
use crate::io::{Io, Slice};

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Keeps the frames of a run, cut every `segment` bytes, for those who let small frames wait.
    pub(super) fn hold_frames(&mut self, slot: u32, passing: &Passing, run: Slice, segment: u16) {
        let frames = self.io.bytes(run).chunks(if segment == 0 {
            run.len().max(1)
        } else {
            usize::from(segment)
        });
        let v1 = &mut *self.v1;
        let Some(hold) = v1.rooms.get_mut(slot).and_then(|room| room.hold.as_deref_mut()) else {
            return;
        };
        let before = hold.due();
        let mut count = 0;
        for frame in frames {
            hold.push(*passing, frame, self.now);
            count += 1;
        }
        v1.owed += hold.owed(count);
        if let Some(due) = hold.due()
            && before.is_none_or(|before| due < before)
        {
            v1.holds.skip_to(self.now);
            v1.holds.arm(slot, due);
        }
    }

    /// Sends what is due, room by room, until a cycle's worth is sent: then the others come next.
    pub(crate) fn serve_holds(&mut self) {
        let wall = self.counters.copies + CYCLE_SENDS_MAX as u64;
        while self.counters.copies < wall
            && let Some(slot) = self.v1.holds.expire(self.now)
        {
            self.serve_room(slot, false);
        }
    }

    /// Sends all that waits: nobody will be there to send it later.
    pub(crate) fn serve_all_holds(&mut self) {
        for slot in 0..self.v1.rooms.end() {
            self.serve_room(slot, true);
        }
    }

    /// Sends what waits in a room: what is due, or all of it.
    pub(super) fn serve_room(&mut self, slot: u32, all: bool) {
        let hold = self.v1.rooms.get_mut(slot).and_then(|room| room.hold.take());
        let Some(mut hold) = hold else { return };
        let deadline = if all { Instant::from_nanos(u64::MAX) } else { self.now };
        while let Some((ms, first)) = hold.serve(deadline) {
            self.serve_cohort(slot, &hold, ms, first);
        }
        hold.clear();
        let due = hold.due();
        let v1 = &mut *self.v1;
        if let Some(room) = v1.rooms.get_mut(slot) {
            room.hold = Some(hold);
            if let Some(due) = due {
                v1.holds.arm(slot, due);
            }
        }
    }

    /// A member grants that its small frames wait for `ms` milliseconds. What waits goes first: it has been
    /// sent some of that already, or else would never be.
    pub(super) fn grant(&mut self, number: u32, ms: u8) {
        let place = self.v1.participants.get(number).and_then(|them| them.place);
        let Some(place) = place else { return };
        let Some(room) = self.v1.rooms.get(place.room) else { return };
        if room.members[place.member as usize].hold != ms {
            self.serve_room(place.room, true);
            self.v1.grant(number, ms);
        }
    }

    fn serve_cohort(&mut self, slot: u32, hold: &Hold, ms: u8, first: usize) {
        let v1 = &mut *self.v1;
        let frames = hold.frames(first);
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        let session = room.id;
        let classes = frames.iter().fold(0, |all, held| all | 1 << held.passing.class() as u8);
        // Most members want all of it and have sent none of it: put together once.
        let shared = hold.pack(session, frames.iter(), &mut v1.shared);
        let mut copies = 0;
        for member in room.members.iter_mut().filter(|member| member.hold == ms) {
            let own = |held: &Held| held.passing.number() == member.participant;
            let (packets, count) = if member.takes_all(classes) && !frames.iter().any(own) {
                (&v1.shared, shared)
            } else {
                let participants = &v1.participants;
                let wanted = frames
                    .iter()
                    .filter(|held| !own(held) && is_wanted(participants, member, &held.passing));
                let count = hold.pack(session, wanted, &mut v1.single);
                (&v1.single, count)
            };
            for packet in &packets[..count] {
                self.io.send_bytes(&member.addr, &packet.bytes, member.tag());
                member.count(1, packet.bytes.len());
                member.core_digest = member.core_digest.wrapping_add(packet.core_digest);
                member.fresh = true;
            }
            copies += count as u64;
        }
        self.counters.copies += copies;
        if copies > 0 && room.marks_due.is_none() {
            room.marks_due = Some(self.now + MARK_EVERY);
            v1.arm_chores(slot, self.now);
        }
    }
}

impl V1 {
    /// A member grants that its small frames wait for `ms` milliseconds.
    pub(super) fn grant(&mut self, number: u32, ms: u8) {
        let Some(place) = self.participants.get(number).and_then(|them| them.place) else { return };
        let Some(room) = self.rooms.get_mut(place.room) else { return };
        let member: &mut Member = &mut room.members[place.member as usize];
        if member.hold == ms {
            return;
        }
        let before = std::mem::replace(&mut member.hold, ms);
        let hold = room.hold.get_or_insert_with(|| Box::new(Hold::new()));
        hold.leave(before);
        hold.join(ms);
    }
}

/// Whether frames of this length wait for others: two of them must fit a datagram.
pub(super) const fn may_wait(len: usize) -> bool {
    len <= HELD_FRAME_MAX
}
