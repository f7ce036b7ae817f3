//! Small frames that may wait: kept when they come, and sent when their time has come.

use elara_core::limits::CYCLE_SENDS_MAX;
use elara_core::time::Instant;

use super::fanout::Audience;
use super::hold::Hold;
use crate::command::Notice;
use crate::departures::Departure;
use crate::forward::Forward;
use crate::io::Io;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// From how many granted milliseconds on members wait for these frames; `None` when nobody does. Makes
    /// room for them where somebody does.
    pub(super) fn wait(&mut self, slot: u32, departures: &[Departure]) -> Option<u8> {
        let room = self.v1.rooms.get(slot)?;
        let hold = room.hold.as_ref()?;
        // Whoever grants nothing waits a tick where that saves a loaded shard much.
        let all = self.loaded && room.lively || hold.holds_all();
        let waits = if all { 0 } else { 1 };
        if waits > 0 && !hold.has_members() {
            return None;
        }
        let frames = departures.iter().map(|it| it.run.frames() as usize).sum();
        let bytes = departures.iter().map(|it| it.run.slice().len()).sum();
        let members = room.members.len();
        if !hold.has_room(frames, bytes, members) {
            self.serve_room(slot, true);
            let hold = self.v1.rooms.get(slot)?.hold.as_ref()?;
            // More than may wait at all leaves at once.
            if !hold.has_room(frames, bytes, members) {
                return None;
            }
        }
        Some(waits)
    }

    /// Keeps frames for those who let them wait; `all`: for everyone.
    pub(super) fn hold_frames(&mut self, slot: u32, departures: &[Departure], all: bool) {
        let v1 = &mut *self.v1;
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        let Some(hold) = room.hold.as_deref_mut() else { return };
        let before = hold.due();
        for Departure { run, passing } in departures {
            for frame in run.each() {
                hold.push(*passing, self.io.bytes(frame), all, self.now);
            }
        }
        if hold.is_ready() {
            self.serve_room(slot, false);
        } else if let Some(due) = hold.due()
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
        self.v1.serving = self.counters.copies >= wall;
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
        while let Some((ms, frames)) = hold.serve(deadline) {
            let audience = Audience { places: 0..usize::MAX, least: ms, below: Some(ms + 1) };
            self.send_bundles(slot, &audience, hold.frames(frames), Some(hold.bytes()));
        }
        hold.clear();
        let due = hold.due();
        let v1 = &mut *self.v1;
        if let Some(room) = v1.rooms.get_mut(slot) {
            room.hold = Some(hold);
            if let Some(due) = due {
                v1.holds.skip_to(self.now);
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
        if room.members[place.member as usize].hold == ms {
            return;
        }
        self.serve_room(place.room, true);
        let Some(room) = self.v1.rooms.get_mut(place.room) else { return };
        let before = std::mem::replace(&mut room.members[place.member as usize].hold, ms);
        let hold = room.hold.get_or_insert_with(|| Box::new(Hold::new()));
        hold.leave(before);
        hold.join(ms);
    }
}
