//! The end of a cycle: what was taken in leaves.
//!
//! ```text
//!   lane 0 of all sessions ─▶ frames whose wait is over ─▶ lane 1 of all sessions ─▶ a slice of the marches
//! ```
//! So nobody's voice waits behind anybody's pictures, and nobody's anything behind ten thousand
//! copies for one session.

use std::ops::Range;

use elara_core::limits::LAST_SLICES_MAX;

use crate::command::Notice;
use crate::cost::{self, LANES, Way};
use crate::departures::{Departure, Departures, Glance, Outlet, Progress, Site, Wire};
use crate::forward::Forward;
use crate::io::Io;
use crate::sessions::Sessions;
use crate::v1::V1;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Sends what this cycle has taken in.
    pub(crate) fn send_departures(&mut self) {
        for lane in 0..LANES {
            self.send_lane(lane);
            if lane == 0 {
                self.turn.flush(self.io);
                self.serve_holds();
            }
        }
        self.departures.clear();
        self.send_slices(cost::SLICE);
    }

    /// Sends what has been taken in so far. To be called before anything changes who is a receiver.
    #[cold]
    pub(crate) fn flush(&mut self) {
        (0..LANES).for_each(|lane| self.send_lane(lane));
        self.departures.clear();
    }

    /// The same for one session.
    #[inline]
    pub(crate) fn flush_session(&mut self, site: Site) {
        for lane in 0..LANES {
            let outlet = outlet_of(self.sessions, self.v1, site);
            if let Some(index) = outlet.and_then(|(outlet, _)| Departures::burst_of(outlet, lane)) {
                self.send_burst(lane, index);
            }
        }
    }

    fn send_lane(&mut self, lane: usize) {
        for index in 0..self.departures.bursts(lane) {
            self.send_burst(lane, index);
        }
    }

    fn send_burst(&mut self, lane: usize, index: usize) {
        let mut departures = std::mem::take(&mut self.departures.scratch.departures);
        if let Some(site) = self.departures.take_burst(lane, index, &mut departures) {
            if let Some((outlet, _)) = outlet_of(self.sessions, self.v1, site) {
                outlet.forget(lane);
            }
            match site.wire {
                Wire::V0 => self.send_v0(site.slot, 0..usize::MAX, &departures),
                Wire::V1 => self.send_v1(site.slot, lane, &departures),
            }
        }
        self.departures.scratch.departures = departures;
    }

    /// Sends what is on its way to sessions of very many, as far as that takes no longer than it may:
    /// there will be no other cycle.
    pub(crate) fn send_last_slices(&mut self) {
        for _ in 0..LAST_SLICES_MAX {
            if self.departures.marches.is_idle() {
                break;
            }
            self.send_slices(cost::SLICE);
        }
    }

    /// Sends what `budget` allows to the next members of sessions of very many.
    fn send_slices(&mut self, budget: u64) {
        if self.departures.marches.is_idle() {
            return;
        }
        let mut departures = std::mem::take(&mut self.departures.scratch.departures);
        let mut left = budget;
        for lane in 0..LANES {
            // Voice goes first, but pictures are not starved.
            let kept = if lane == 0 && self.departures.marches.has(1) { budget / 4 } else { 0 };
            while left > kept && self.send_slice(lane, &mut left, &mut departures) {}
        }
        self.departures.scratch.departures = departures;
    }

    /// Gives one session its turn; false when none is waiting for one.
    fn send_slice(
        &mut self,
        lane: usize,
        budget: &mut u64,
        departures: &mut Vec<Departure>,
    ) -> bool {
        let Some(turn) = self.departures.marches.turn(lane) else { return false };
        let Site { wire, slot } = turn.site;
        let outlet = outlet_of(self.sessions, self.v1, turn.site);
        let outlet = outlet.filter(|(outlet, members)| *members > 0 && turn.is_of(outlet));
        let Some((outlet, members)) = outlet else {
            self.departures.marches.abandon(self.io, &turn);
            return true;
        };
        self.departures.marches.copy_going(&turn, outlet, members, departures);
        let each = cost_of(departures, wire);
        let Progress { cursors, ends } = &mut outlet.progress;
        let (first, last) = (cursors[lane] as usize, ends[lane] as usize);
        let count = (*budget).div_ceil(each) as usize;
        let end = last.min(first + count);
        cursors[lane] = end as u32;
        match wire {
            Wire::V0 => self.send_v0(slot, first..end, departures),
            Wire::V1 => self.send_v1_to(slot, first..end, None, departures),
        }
        *budget = budget.saturating_sub(each * (end - first).max(1) as u64);
        if self.departures.marches.end_turn(self.io, &turn, end == last)
            && let Some((outlet, _)) = outlet_of(self.sessions, self.v1, turn.site)
        {
            (outlet.march, outlet.progress) = (0, Progress::default());
        }
        true
    }

    /// Sends to those members of a v0 session: to each all but its own.
    #[inline]
    fn send_v0(&mut self, slot: u32, places: Range<usize>, departures: &[Departure]) {
        let Some(session) = self.sessions.slot_mut(slot) else { return };
        let places = places.start..places.end.min(session.members.len());
        let members = &session.members[places];
        let mut copies = 0;
        if let [Departure { run, passing }] = departures {
            for member in members.iter().filter(|member| member.node != passing.node) {
                self.io.send(&member.addr, &[run.slice()], run.segment(), 0);
                copies += run.frames();
            }
        } else {
            let scratch = &mut self.departures.scratch;
            scratch.shared.fill(self.io, departures.iter());
            let senders = Glance::of(departures.iter().map(|it| it.passing.node.0));
            for member in members {
                let others = |it: &&Departure| it.passing.node != member.node;
                let plan = if senders.may_have(member.node.0)
                    && !departures.iter().all(|it| others(&it))
                {
                    scratch.own.fill(self.io, departures.iter().filter(others));
                    &scratch.own
                } else {
                    &scratch.shared
                };
                plan.send(self.io, &member.addr, 0);
                copies += plan.frames;
            }
        }
        self.counters.copies += copies;
        self.counters.copied_frames += copies;
    }
}

/// What a session knows of its departures, and how many members it has; of wire v0 there are slots without
/// any, whose session has ended.
#[inline]
fn outlet_of<'a>(
    sessions: &'a mut Sessions,
    v1: &'a mut V1,
    site: Site,
) -> Option<(&'a mut Outlet, usize)> {
    match site.wire {
        Wire::V0 => {
            let session = sessions.slot_mut(site.slot)?;
            Some((&mut session.outlet, session.members.len()))
        }
        Wire::V1 => v1.outlet_mut(site.slot),
    }
}

/// About what it costs to send these to one member.
fn cost_of(departures: &[Departure], wire: Wire) -> u64 {
    let (way, frames, bytes) = way_of(departures, wire);
    let lengths = departures.windows(2).filter(|pair| {
        let [one, next] = [pair[0], pair[1]].map(|it| it.run.frame_len());
        one != next
    });
    cost::of(way, 1 + lengths.count(), frames, bytes)
}

/// How these leave for who wants them all; how many frames they are, and bytes.
#[inline]
pub(crate) fn way_of(departures: &[Departure], wire: Wire) -> (Way, usize, usize) {
    let (mut frames, mut bytes, mut longest) = (0, 0, 0);
    for Departure { run, .. } in departures {
        frames += run.frames() as usize;
        bytes += run.slice().len();
        longest = longest.max(usize::from(run.frame_len()));
    }
    (cost::way(departures.len(), frames, longest, wire == Wire::V1), frames, bytes)
}
