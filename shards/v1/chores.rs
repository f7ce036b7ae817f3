//! What the relay says of its own accord: who is here, what is on, how much was sent.
//!
//! Work is cut into control frames and a cycle has a budget of them, so that a room of thousands
//! never stands in the way of forwarding. Whole sets of pages are the exception: they are one version and
//! leave together.

use elara_core::limits::{CYCLE_CONTROL_MAX, MARK_EVERY};
use elara_core::wire::v1::control::{Control, Mark, Roster, RosterEntry, Streams, StreamsEntry};
use elara_core::wire::v1::versioned::pages_for;

use super::bulletin::News;
use super::membership::line;
use super::participant::pages;
use crate::command::Notice;
use crate::forward::Forward;
use crate::io::Io;

/// Bytes of a MARK as it leaves: header, front, value, tag.
const MARK_LEN: u64 = 30 + 3 + 36 + 16;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Pages for who waits for them, then the rooms whose chores are due, while the budget lasts.
    pub(crate) fn do_chores(&mut self) {
        let mut budget = CYCLE_CONTROL_MAX;
        while budget > 0
            && let Some(number) = self.v1.page_queue.pop_front()
        {
            self.send_pages(number, &mut budget);
        }
        while let Some(room) = self.v1.chores.expire(self.now) {
            self.v1.busy_rooms.push_back(room);
        }
        for _ in 0..self.v1.busy_rooms.len() {
            if budget == 0 {
                break;
            }
            let Some(room) = self.v1.busy_rooms.pop_front() else { break };
            if self.tend(room, &mut budget) {
                self.v1.busy_rooms.push_back(room);
            } else {
                self.v1.arm_chores(room, self.now);
            }
        }
    }

    /// One room's chores. True when the budget ended before they did.
    fn tend(&mut self, room: u32, budget: &mut usize) -> bool {
        self.tell_roster(room, budget)
            || self.tell_streams(room, budget)
            || self.send_marks(room, budget)
    }

    fn tell_roster(&mut self, slot: u32, budget: &mut usize) -> bool {
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        match room.roster.poll(Roster::ENTRIES_MAX, room.members.len(), self.now) {
            News::None => return false,
            News::Whole => {
                self.want_pages_everywhere(slot, pages::ROSTER);
                return false;
            }
            News::Delta => {}
        }
        let others = room.others();
        let Some(mut delta) = room.roster.take() else { return false };
        let version = delta.version;
        let entries = std::mem::take(&mut delta.entries);
        let message = Control::Roster(Roster::new(version, 0, 0, others, &entries));
        delta.untold = self.tell_members(slot, delta.untold, &message, budget);
        delta.entries = entries;
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        room.roster.put_back(delta);
        room.roster.due().is_some_and(|due| due <= self.now)
    }

    fn tell_streams(&mut self, slot: u32, budget: &mut usize) -> bool {
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        match room.playbill.poll(Streams::ENTRIES_MAX, room.members.len(), self.now) {
            News::None => return false,
            News::Whole => {
                self.want_pages_everywhere(slot, pages::STREAMS);
                return false;
            }
            News::Delta => {}
        }
        let Some(mut delta) = room.playbill.take() else { return false };
        let entries = std::mem::take(&mut delta.entries);
        let message = Control::Streams(Streams::new(delta.version, 0, 0, &entries));
        delta.untold = self.tell_members(slot, delta.untold, &message, budget);
        delta.entries = entries;
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        room.playbill.put_back(delta);
        room.playbill.due().is_some_and(|due| due <= self.now)
    }

    /// Tells the members below `untold`, downwards; answers below which place nobody has been told.
    fn tell_members(
        &mut self,
        slot: u32,
        untold: usize,
        message: &Control<'_>,
        budget: &mut usize,
    ) -> usize {
        let mut untold = untold;
        while untold > 0 && *budget > 0 {
            let Some(room) = self.v1.rooms.get(slot) else { return 0 };
            untold = untold.min(room.members.len());
            if untold == 0 {
                break;
            }
            untold -= 1;
            let number = room.members[untold].participant;
            if self.v1.participants.get(number).is_some_and(|them| !them.stale) {
                self.tell_participant(number, &[*message]);
                *budget -= 1;
            }
        }
        untold
    }

    fn want_pages_everywhere(&mut self, slot: u32, wanted: u8) {
        let v1 = &mut *self.v1;
        let members = v1.rooms.get(slot).map_or(0, |room| room.members.len());
        for place in 0..members {
            let Some(room) = v1.rooms.get(slot) else { return };
            let number = room.members[place].participant;
            v1.want_pages(number, wanted);
        }
    }

    /// Marks for those who have been sent frames since their last.
    fn send_marks(&mut self, slot: u32, budget: &mut usize) -> bool {
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        if room.marks_due.is_none_or(|due| self.now < due) {
            return false;
        }
        if room.unmarked == 0 {
            room.unmarked = room.members.len();
        }
        let mut place = room.unmarked.min(room.members.len());
        while place > 0 && *budget > 0 {
            place -= 1;
            *budget -= usize::from(self.send_mark(slot, place));
        }
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        room.unmarked = place;
        if place > 0 {
            return true;
        }
        let fresh = room.members.iter().any(|member| member.fresh);
        room.marks_due = fresh.then_some(self.now + MARK_EVERY);
        false
    }

    /// The mark of the member at `place`, if it is to have one.
    fn send_mark(&mut self, slot: u32, place: usize) -> bool {
        let v1 = &mut *self.v1;
        let Some(room) = v1.rooms.get_mut(slot) else { return false };
        let member = &mut room.members[place];
        if !member.fresh {
            return false;
        }
        let number = member.participant;
        let Some(them) = v1.participants.get_mut(number) else { return false };
        let marks = them.marks.get_or_insert_default();
        if !marks.is_wanted() {
            return false;
        }
        member.fresh = false;
        let (sent, bytes) = (member.sent + 1, member.bytes + MARK_LEN);
        let mark = Mark {
            n: marks.begin(sent).into(),
            sent: sent.into(),
            bytes: bytes.into(),
            relay_us: (self.now.as_nanos() / 1_000).into(),
            core_digest: member.core_digest.into(),
        };
        self.tell_participant(number, &[Control::Mark(&mark)]);
        true
    }

    /// Everything a participant waits for, whole.
    fn send_pages(&mut self, number: u32, budget: &mut usize) {
        let Some(them) = self.v1.participants.get_mut(number) else { return };
        let wanted = std::mem::take(&mut them.awaits);
        let Some(place) = them.place.filter(|_| !them.stale) else { return };
        if wanted & pages::ROSTER != 0 {
            self.send_roster(number, place.room, budget);
        }
        if wanted & pages::STREAMS != 0 {
            self.send_streams(number, place.room, budget);
        }
    }

    fn send_roster(&mut self, number: u32, slot: u32, budget: &mut usize) {
        let Some(room) = self.v1.rooms.get(slot) else { return };
        let (version, others) = (room.roster.version(), room.others());
        let lines: Vec<RosterEntry> = room
            .members
            .iter()
            .filter_map(|member| self.v1.participants.get(member.participant))
            .filter(|them| them.may_send())
            .map(|them| them.line())
            .collect();
        let most = Roster::ENTRIES_MAX;
        let Some(count) = pages_for(lines.len(), most) else { return };
        for page in 0..count {
            let from = usize::from(page) * most;
            let lines = &lines[from..lines.len().min(from + most)];
            let roster = Roster::new(version, page, count, others, lines);
            self.tell_participant(number, &[Control::Roster(roster)]);
            *budget = budget.saturating_sub(1);
        }
    }

    fn send_streams(&mut self, number: u32, slot: u32, budget: &mut usize) {
        let Some(room) = self.v1.rooms.get(slot) else { return };
        let version = room.playbill.version();
        let lines: Vec<StreamsEntry> = room
            .members
            .iter()
            .filter_map(|member| self.v1.participants.get(member.participant))
            .flat_map(|them| them.streams.iter().map(|stream| line(them.node, stream)))
            .collect();
        let most = Streams::ENTRIES_MAX;
        let Some(count) = pages_for(lines.len(), most) else { return };
        for page in 0..count {
            let from = usize::from(page) * most;
            let lines = &lines[from..lines.len().min(from + most)];
            let streams = Streams::new(version, page, count, lines);
            self.tell_participant(number, &[Control::Streams(streams)]);
            *budget = budget.saturating_sub(1);
        }
    }
}
