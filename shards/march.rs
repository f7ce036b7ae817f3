//! Sessions of very many: what they send reaches their members in slices, a slice a cycle.
//!
//! Ten thousand sends take some twenty milliseconds, and nobody else's voice shall wait that long. So
//! frames of such a session are copied once, into a buffer that outlives the cycle, and each cycle sends
//! them to the next members in line. What comes meanwhile waits for the next round and gathers there.
//!
//! ```text
//!   going:  frames 1..4  ──▶ members  0 ........ cursor | ........ n      each lane its own cursor
//!   next:   frames 5..   copied as they come
//! ```
//! A member that leaves gives its place to one on its side of the cursor ([`Outlet::close_gap`]), so
//! everyone is served exactly once.

use std::collections::VecDeque;

use elara_core::limits::{HELD_FRAMES_MAX, LASTING_BUFFER, MARCHES_MAX};

use crate::cost::LANES;
use crate::departures::{Departure, Outlet, Passing, Site};
use crate::io::{Io, Slice};
use crate::run::Run;
use crate::slab::Slab;

/// Every session that marches.
#[derive(Debug, Default)]
pub(crate) struct Marches {
    marches: Slab<March>,
    /// In each lane, whose turn it is.
    queues: [VecDeque<u32>; LANES],
}

/// One session's.
#[derive(Debug)]
struct March {
    site: Site,
    lanes: [Lane; LANES],
}

#[derive(Debug, Default)]
struct Lane {
    going: Batch,
    next: Batch,
}

/// Frames that go to everyone together.
#[derive(Debug, Default)]
struct Batch {
    buffer: Option<u16>,
    used: usize,
    departures: Vec<Departure>,
}

/// A session whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) lane: usize,
    pub(crate) site: Site,
    number: u32,
}

impl Marches {
    /// Whether anything is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Copies a frame, to be sent to everyone in turn. False when the session has too much waiting, or
    /// all sessions together have.
    pub(crate) fn take<I: Io>(
        &mut self,
        io: &mut I,
        site: Site,
        outlet: &mut Outlet,
        lane: usize,
        passing: Passing,
        slice: Slice,
    ) -> bool {
        if outlet.march == 0 {
            if self.marches.len() >= MARCHES_MAX {
                return false;
            }
            let lanes = Default::default();
            outlet.march = self.marches.insert(March { site, lanes }) + 1;
        }
        let number = outlet.march - 1;
        let Some(march) = self.marches.get_mut(number) else { return false };
        let idle = march.lanes[lane].is_empty();
        let taken = march.lanes[lane].next.take(io, passing, slice);
        if taken && idle {
            self.queues[lane].push_back(number);
        } else if march.lanes.iter().all(Lane::is_empty) {
            self.marches.remove(number);
            outlet.march = 0;
        }
        taken
    }

    /// Whose turn it is, the first lane first. A lane that has sent what was going takes up what waits.
    pub(crate) fn turn(&mut self, lane: usize) -> Option<Turn> {
        let number = *self.queues[lane].front()?;
        let march = self.marches.get(number)?;
        Some(Turn { lane, site: march.site, number })
    }

    /// What goes to the members whose turn it is.
    pub(crate) fn copy_going(&mut self, turn: &Turn, outlet: &mut Outlet, to: &mut Vec<Departure>) {
        let Some(march) = self.marches.get_mut(turn.number) else { return };
        let lane = &mut march.lanes[turn.lane];
        if lane.going.departures.is_empty() {
            std::mem::swap(&mut lane.going, &mut lane.next);
            outlet.cursors[turn.lane] = 0;
        }
        to.clear();
        to.extend_from_slice(&lane.going.departures);
    }

    /// A slice has been sent: the next session's turn comes. `done`: it was the last.
    pub(crate) fn end_turn<I: Io>(&mut self, io: &mut I, turn: &Turn, done: bool) -> bool {
        let queue = &mut self.queues[turn.lane];
        queue.pop_front();
        let Some(march) = self.marches.get_mut(turn.number) else { return true };
        let lane = &mut march.lanes[turn.lane];
        if done {
            lane.going.clear(io);
        }
        if !lane.is_empty() {
            queue.push_back(turn.number);
        } else if march.lanes.iter().all(Lane::is_empty) {
            self.marches.remove(turn.number);
            return true;
        }
        false
    }

    /// The session is not there any more.
    pub(crate) fn abandon<I: Io>(&mut self, io: &mut I, turn: &Turn) {
        self.queues[turn.lane].pop_front();
        let Some(march) = self.marches.get_mut(turn.number) else { return };
        march.lanes[turn.lane].going.clear(io);
        march.lanes[turn.lane].next.clear(io);
        if march.lanes.iter().all(Lane::is_empty) {
            self.marches.remove(turn.number);
        }
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.going.departures.is_empty() && self.next.departures.is_empty()
    }
}

impl Batch {
    fn take<I: Io>(&mut self, io: &mut I, passing: Passing, slice: Slice) -> bool {
        let full = self.used + slice.len() > LASTING_BUFFER;
        if full || self.departures.len() == HELD_FRAMES_MAX {
            return false;
        }
        if self.buffer.is_none() {
            self.buffer = io.reserve();
        }
        let Some(buffer) = self.buffer else { return false };
        let copy = io.keep(buffer, self.used, slice);
        self.used += slice.len();
        let joins = self
            .departures
            .last_mut()
            .is_some_and(|last| last.passing == passing && last.run.extend(copy));
        if !joins {
            self.departures.push(Departure { run: Run::of(copy), passing });
        }
        true
    }

    fn clear<I: Io>(&mut self, io: &mut I) {
        if let Some(buffer) = self.buffer.take() {
            io.release(buffer);
        }
        self.used = 0;
        self.departures.clear();
    }
}

impl Outlet {
    /// The member at `gone`, of `len`, leaves: who moves where, in order, before the last place is
    /// dropped. Nobody crosses a cursor, and the cursors follow.
    pub(crate) fn close_gap(
        &mut self,
        gone: usize,
        len: usize,
    ) -> impl Iterator<Item = (usize, usize)> + use<> {
        let mut order: [usize; LANES] = std::array::from_fn(|lane| lane);
        order.sort_unstable_by_key(|lane| self.cursors[*lane]);
        let (mut hole, mut moves) = (gone, [None; LANES + 1]);
        for (step, lane) in order.into_iter().enumerate() {
            let cursor = &mut self.cursors[lane];
            if hole < *cursor as usize {
                *cursor -= 1;
                moves[step] = Some((*cursor as usize, hole));
                hole = *cursor as usize;
            }
        }
        moves[LANES] = Some((len - 1, hole));
        moves.into_iter().flatten().filter(|(from, to)| from != to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom each lane has served, before and after the one at `gone` has left.
    fn served(cursors: [u32; LANES], len: usize, gone: usize) -> [[Vec<usize>; LANES]; 2] {
        let mut outlet = Outlet::default();
        outlet.cursors = cursors;
        let mut members: Vec<usize> = (0..len).collect();
        let of = |members: &[usize], cursors: [u32; LANES]| {
            cursors.map(|cursor| {
                let mut served = members[..cursor as usize].to_vec();
                served.retain(|member| *member != gone);
                served.sort_unstable();
                served
            })
        };
        let before = of(&members, outlet.cursors);
        for (from, to) in outlet.close_gap(gone, len) {
            members[to] = members[from];
        }
        members.pop();
        let mut all = members.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), len - 1, "{cursors:?} of {len}, {gone} leaves: {members:?}");
        [before, of(&members, outlet.cursors)]
    }

    #[test]
    fn whoever_leaves_nobody_is_served_twice_or_forgotten() {
        for len in 1..7 {
            for first in 0..=len {
                for second in 0..=len {
                    for gone in 0..len {
                        let cursors = [first as u32, second as u32];
                        let [before, after] = served(cursors, len, gone);
                        assert_eq!(before, after, "{cursors:?} of {len}, {gone} leaves");
                    }
                }
            }
        }
    }
}
