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
//! A member that leaves gives its place to one on its side of the cursor ([`Progress::close_gap`]), so
//! everyone is served exactly once; who comes after a round has begun is not in it.

use std::collections::VecDeque;

use elara_core::limits::{HELD_FRAMES_MAX, LASTING_BUFFER, MARCHES_MAX};

use crate::cost::{self, LANES};
use crate::departures::{Departure, Glance, Outlet, Passing, Progress, Site, Wire};
use crate::io::{Io, Slice};
use crate::run::Run;
use crate::slab::Slab;

/// Every session that marches.
#[derive(Debug, Default)]
pub(crate) struct Marches {
    marches: Slab<March>,
    /// Marches that have ended, for their memory.
    spare: Vec<[Lane; LANES]>,
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
    /// Whose they are.
    senders: Glance,
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
        passing: Passing,
        slice: Slice,
    ) -> bool {
        if outlet.march == 0 {
            if self.marches.len() >= MARCHES_MAX {
                return false;
            }
            let lanes = self.spare.pop().unwrap_or_default();
            outlet.march = self.marches.insert(March { site, lanes }) + 1;
            outlet.progress = Progress::default();
        }
        let number = outlet.march - 1;
        let Some(march) = self.marches.get_mut(number) else { return false };
        let behind = |batch: &Batch| batch.has_of(&passing, site.wire);
        let large = &march.lanes[1];
        let lane = match cost::lane(slice.len()) {
            0 if behind(&large.going) || behind(&large.next) => 1,
            lane => lane,
        };
        let idle = march.lanes[lane].is_empty();
        let taken = march.lanes[lane].next.take(io, passing, slice);
        if taken && idle {
            self.queues[lane].push_back(number);
        } else if march.lanes.iter().all(Lane::is_empty) {
            self.remove(number);
            outlet.march = 0;
        }
        taken
    }

    fn remove(&mut self, number: u32) {
        if let Some(march) = self.marches.remove(number) {
            self.spare.push(march.lanes);
        }
    }

    /// Whether anything is on its way in a lane.
    pub(crate) fn has(&self, lane: usize) -> bool {
        !self.queues[lane].is_empty()
    }

    /// Whose turn it is in a lane.
    pub(crate) fn turn(&self, lane: usize) -> Option<Turn> {
        let number = *self.queues[lane].front()?;
        let march = self.marches.get(number)?;
        Some(Turn { lane, site: march.site, number })
    }

    /// What goes to the members whose turn it is. A lane that has sent what was going takes up what waits,
    /// for who is a member now: `members` of them.
    pub(crate) fn copy_going(
        &mut self,
        turn: &Turn,
        outlet: &mut Outlet,
        members: usize,
        to: &mut Vec<Departure>,
    ) {
        let Some(march) = self.marches.get_mut(turn.number) else { return };
        let lane = &mut march.lanes[turn.lane];
        if lane.going.departures.is_empty() {
            std::mem::swap(&mut lane.going, &mut lane.next);
            outlet.progress.cursors[turn.lane] = 0;
            outlet.progress.ends[turn.lane] = members as u32;
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
            self.remove(turn.number);
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
            self.remove(turn.number);
        }
    }
}

impl Turn {
    /// Whether that is the march of the session whose outlet this is. One of a session that ended before
    /// is not.
    pub(crate) const fn is_of(&self, outlet: &Outlet) -> bool {
        outlet.march == self.number + 1
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.going.departures.is_empty() && self.next.departures.is_empty()
    }
}

impl Batch {
    /// Whether something is in it that a frame of `passing` must not overtake.
    fn has_of(&self, passing: &Passing, wire: Wire) -> bool {
        self.senders.may_have(passing.node.0)
            && self.departures.iter().any(|it| passing.follows(&it.passing, wire))
    }

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
        self.senders.add(passing.node.0);
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
        (self.used, self.senders) = (0, Glance::default());
        self.departures.clear();
    }
}

impl Progress {
    /// The member at `gone`, of `len`, leaves: who moves where, in order, before the last place is
    /// dropped. Nobody crosses a cursor or an end, and these follow.
    pub(crate) fn close_gap(
        &mut self,
        gone: usize,
        len: usize,
    ) -> impl Iterator<Item = (usize, usize)> + use<> {
        const BOUNDS: usize = 2 * LANES;
        let mut bounds: [&mut u32; BOUNDS] = {
            let [a, b] = &mut self.cursors;
            let [c, d] = &mut self.ends;
            [a, b, c, d]
        };
        bounds.sort_unstable();
        let (mut hole, mut moves) = (gone, [None; BOUNDS + 1]);
        for (step, bound) in bounds.into_iter().enumerate() {
            if hole < *bound as usize {
                *bound -= 1;
                moves[step] = Some((*bound as usize, hole));
                hole = *bound as usize;
            }
        }
        moves[BOUNDS] = Some((len - 1, hole));
        moves.into_iter().flatten().filter(|(from, to)| from != to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is below each bound, before and after the one at `gone` has left.
    fn sides(bounds: [u32; 4], len: usize, gone: usize) -> [[Vec<usize>; 4]; 2] {
        let [a, b, c, d] = bounds;
        let mut progress = Progress { cursors: [a, b], ends: [c, d] };
        let mut members: Vec<usize> = (0..len).collect();
        let below = |members: &[usize], Progress { cursors, ends }: Progress| {
            [cursors[0], cursors[1], ends[0], ends[1]].map(|bound| {
                let mut below = members[..bound as usize].to_vec();
                below.retain(|member| *member != gone);
                below.sort_unstable();
                below
            })
        };
        let before = below(&members, progress);
        for (from, to) in progress.close_gap(gone, len) {
            members[to] = members[from];
        }
        members.pop();
        let mut all = members.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), len - 1, "{bounds:?} of {len}, {gone} leaves: {members:?}");
        [before, below(&members, progress)]
    }

    #[test]
    fn whoever_leaves_nobody_is_served_twice_or_forgotten() {
        for len in 1..5usize {
            let places = len as u32 + 1;
            for code in 0..places.pow(4) {
                let bounds = [0, 1, 2, 3].map(|digit| code / places.pow(digit) % places);
                for gone in 0..len {
                    let [before, after] = sides(bounds, len, gone);
                    assert_eq!(before, after, "{bounds:?} of {len}, {gone} leaves");
                }
            }
        }
    }
}
