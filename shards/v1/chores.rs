//! What the relay says of its own accord: who is here, what is on, how much was sent.
//!
//! Work is cut into control frames and a cycle has a budget of them, so that a room of thousands
//! never stands in the way of forwarding. Whole sets of pages are the exception: they are one version and
//! leave together.

use elara_core::limits::{CYCLE_CONTROL_MAX, MARK_EVERY, V1_SENDERS_MAX};
use elara_core::wire::v1::control::{Control, Mark, Roster, Streams};
use elara_core::wire::v1::versioned::pages_for;

use super::bulletin::News;
use super::membership::line;
use super::participant::pages;
use super::room::Room;
use crate::command::Notice;
use crate::forward::Forward;
use crate::io::Io;

/// Bytes of a MARK as it leaves: header, front, value, tag.
const MARK_LEN: u64 = 30 + 3 + 36 + 16;
/// Members that may be looked at for the price of a control frame.
const LOOKS: usize = 32;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Pages for who waits for them, with half of the budget; then the rooms whose chores are due.
    pub(crate) fn do_chores(&mut self) {
        let mut budget = CYCLE_CONTROL_MAX / 2;
        while budget > 0
            && let Some(number) = self.v1.page_queue.pop_front()
        {
            self.send_pages(number, &mut budget);
        }
        while let Some(slot) = self.v1.chores.expire(self.now) {
            if let Some(room) = self.v1.rooms.get_mut(slot).filter(|room| !room.busy) {
                room.busy = true;
                self.v1.busy_rooms.push_back(slot);
            }
        }
        let mut budget = budget + CYCLE_CONTROL_MAX / 2;
        for _ in 0..self.v1.busy_rooms.len() {
            if budget == 0 {
                break;
            }
            let Some(slot) = self.v1.busy_rooms.pop_front() else { break };
            if self.tend(slot, &mut budget) {
                self.v1.busy_rooms.push_back(slot);
            } else if let Some(room) = self.v1.rooms.get_mut(slot) {
                room.busy = false;
                self.v1.arm_chores(slot, self.now);
            }
        }
    }

    /// One room's chores. True when the budget ended before they did.
    fn tend(&mut self, slot: u32, budget: &mut usize) -> bool {
        let marks = self.send_marks(slot, budget);
        let roster = self.tell_roster(slot, budget);
        let streams = self.tell_streams(slot, budget);
        marks || roster || streams
    }

    fn tell_roster(&mut self, slot: u32, budget: &mut usize) -> bool {
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        let news = room.roster.poll(Roster::ENTRIES_MAX, room.members.len(), self.now);
        if news == News::Whole {
            self.want_pages_everywhere(slot, pages::ROSTER);
        } else if let Some(mut delta) = room.roster.take() {
            let others = room.others();
            let roster = Roster::new(delta.version, 0, 0, others, &delta.lines);
            delta.untold = self.tell_members(slot, delta.untold, &Control::Roster(roster), budget);
            let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
            room.roster.put_back(delta);
        }
        self.is_due(slot, |room| room.roster.due())
    }

    fn tell_streams(&mut self, slot: u32, budget: &mut usize) -> bool {
        let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
        let news = room.playbill.poll(Streams::ENTRIES_MAX, room.members.len(), self.now);
        if news == News::Whole {
            self.want_pages_everywhere(slot, pages::STREAMS);
        } else if let Some(mut delta) = room.playbill.take() {
            let streams = Streams::new(delta.version, 0, 0, &delta.lines);
            delta.untold =
                self.tell_members(slot, delta.untold, &Control::Streams(streams), budget);
            let Some(room) = self.v1.rooms.get_mut(slot) else { return false };
            room.playbill.put_back(delta);
        }
        self.is_due(slot, |room| room.playbill.due())
    }

    fn is_due(
        &self,
        slot: u32,
        due: impl FnOnce(&Room) -> Option<elara_core::time::Instant>,
    ) -> bool {
        self.v1.rooms.get(slot).and_then(due).is_some_and(|due| due <= self.now)
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
        while *budget > 0 {
            let Some(room) = self.v1.rooms.get(slot) else { return 0 };
            untold = untold.min(room.members.len());
            let Some(place) = untold.checked_sub(1) else { break };
            untold = place;
            self.tell_participant(room.members[place].participant, &[*message]);
            *budget -= 1;
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
            room.feel_pulse();
        }
        let mut place = room.unmarked.min(room.members.len());
        while place > 0 && *budget > 0 {
            place -= 1;
            let sent = self.send_mark(slot, place);
            *budget -= usize::from(sent || place % LOOKS == 0);
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
        if them.stale {
            member.fresh = false;
            return false;
        }
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
        let Some(room) = self.v1.rooms.get_mut(slot) else { return };
        let (version, others) = (room.roster.version(), room.others());
        let whole = room.roster.take_whole().unwrap_or_else(|| {
            *budget = budget.saturating_sub(room.members.len() / LOOKS);
            let them = |number| self.v1.participants.get(number);
            let members = room.members.iter().filter_map(|member| them(member.participant));
            let senders = members.filter(|them| them.may_send());
            senders.map(|them| them.line()).take(V1_SENDERS_MAX).collect()
        });
        if let Some(count) = pages_for(whole.len(), Roster::ENTRIES_MAX) {
            for page in 0..count {
                let lines = page_of(&whole, page, Roster::ENTRIES_MAX);
                let roster = Roster::new(version, page, count, others, lines);
                self.tell_participant(number, &[Control::Roster(roster)]);
                *budget = budget.saturating_sub(1);
            }
        }
        // Kept while others wait, who may want the same.
        if !self.v1.page_queue.is_empty()
            && let Some(room) = self.v1.rooms.get_mut(slot)
        {
            room.roster.put_back_whole(whole);
        }
    }

    fn send_streams(&mut self, number: u32, slot: u32, budget: &mut usize) {
        let Some(room) = self.v1.rooms.get_mut(slot) else { return };
        let version = room.playbill.version();
        let whole = room.playbill.take_whole().unwrap_or_else(|| {
            *budget = budget.saturating_sub(room.members.len() / LOOKS);
            let them = |number| self.v1.participants.get(number);
            let members = room.members.iter().filter_map(|member| them(member.participant));
            members
                .flat_map(|them| them.streams.iter().map(|stream| line(them.node, stream)))
                .collect()
        });
        if let Some(count) = pages_for(whole.len(), Streams::ENTRIES_MAX) {
            for page in 0..count {
                let lines = page_of(&whole, page, Streams::ENTRIES_MAX);
                let streams = Streams::new(version, page, count, lines);
                self.tell_participant(number, &[Control::Streams(streams)]);
                *budget = budget.saturating_sub(1);
            }
        }
        // Kept while others wait, who may want the same.
        if !self.v1.page_queue.is_empty()
            && let Some(room) = self.v1.rooms.get_mut(slot)
        {
            room.playbill.put_back_whole(whole);
        }
    }
}

/// The lines of page `page`, when a page holds `most`.
fn page_of<L>(whole: &[L], page: u8, most: usize) -> &[L] {
    let from = (usize::from(page) * most).min(whole.len());
    &whole[from..whole.len().min(from + most)]
}
