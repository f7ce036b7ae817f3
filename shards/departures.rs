//! What has its verdict and is about to leave: gathered for each session until the cycle has taken in
//! what it takes in.
//!
//! ```text
//!   receive:  s1 a | s2 b | s1 c | s1 V | s2 d          a..d small, V a burst of large ones
//!   bursts:   lane 0:  s1 [a c]  s2 [b d]               lane 1:  s1 [V]
//!   send:     to each of s1 its share of a c, to each of s2 of b d; then V to each of s1
//! ```
//! Frames are named, not copied: they lie in the receive buffers. A sender's frames keep their order, in
//! wire v1 those of one stream: what is small and comes behind something large goes behind it. A session
//! of very many members does not wait here; it [marches](crate::march).

use elara_core::NodeId;
use elara_core::limits::{CYCLE_SENDS_MAX, SEGMENTS_MAX, SLICE_MEMBERS_MAX};
use elara_core::wire::Class;

use crate::cost::{self, LANES, SEGMENT, SEND};
use crate::io::{Io, Slice};
use crate::march::Marches;
use crate::plan::Plan;
use crate::run::Run;

/// Who sent a frame, and what decides who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passing {
    /// The sender's number; wire v0 has none.
    pub(crate) number: u32,
    pub(crate) node: NodeId,
    pub(crate) class: Class,
    pub(crate) stream: Option<u16>,
}

impl Passing {
    /// Whether the two keep their order: of one sender, in wire v1 of one stream.
    pub(crate) fn follows(&self, other: &Self, wire: Wire) -> bool {
        match wire {
            Wire::V0 => self.node == other.node,
            Wire::V1 => self == other,
        }
    }
}

/// Who is in a set, at a glance: no is no, yes is perhaps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glance(u64);

impl Glance {
    #[inline]
    pub(crate) const fn add(&mut self, id: u64) {
        self.0 |= 1 << (id & 63);
    }

    #[inline]
    pub(crate) const fn may_have(self, id: u64) -> bool {
        self.0 >> (id & 63) & 1 != 0
    }

    /// All of them.
    #[inline]
    pub(crate) fn of(ids: impl Iterator<Item = u64>) -> Self {
        let mut all = Self::default();
        ids.for_each(|id| all.add(id));
        all
    }
}

/// A run, and for whom it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(crate) run: Run,
    pub(crate) passing: Passing,
}

/// Where a session is: its wire, and its slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) wire: Wire,
    pub(crate) slot: u32,
}

/// What a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    V0,
    V1,
}

/// What a session knows of its own departures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outlet {
    /// Its burst of this cycle in each lane, counted from 1; 0: none.
    bursts: [u32; LANES],
    /// Its march, counted from 1; 0: none.
    pub(crate) march: u32,
    /// How far the march is among the members.
    pub(crate) progress: Progress,
}

/// How far a march is, in each lane: members below the cursor have been served, those from the end on came
/// later and are not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) cursors: [u32; LANES],
    pub(crate) ends: [u32; LANES],
}

/// The runs of one session and lane, as a chain.
#[derive(Clone, Copy, Debug)]
struct Burst {
    site: Site,
    first: u32,
    last: u32,
    audience: u64,
    /// Whose frames are in it.
    senders: Glance,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    departure: Departure,
    next: u32,
}

/// The end of a chain; the chain of a burst that has left.
const NONE: u32 = u32::MAX;

/// Everything that is about to leave.
#[derive(Debug)]
pub(crate) struct Departures {
    links: Vec<Link>,
    bursts: [Vec<Burst>; LANES],
    pub(crate) marches: Marches,
    /// About what this cycle costs so far, in units of [`cost`].
    pub(crate) spent: u64,
    /// What is being sent right now, and for whom it is put together.
    pub(crate) scratch: Scratch,
}

/// Memory used again and again.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) departures: Vec<Departure>,
    pub(crate) shared: Plan,
    pub(crate) own: Plan,
}

impl Departures {
    /// Nothing is, and there is room for all that a cycle takes on.
    pub(crate) fn new() -> Self {
        let sessions = || Vec::with_capacity(CYCLE_SENDS_MAX + SEGMENTS_MAX);
        Self {
            links: Vec::with_capacity(CYCLE_SENDS_MAX + SEGMENTS_MAX),
            bursts: [sessions(), sessions()],
            marches: Marches::default(),
            spent: 0,
            scratch: Scratch {
                departures: Vec::with_capacity(CYCLE_SENDS_MAX + SEGMENTS_MAX),
                shared: Plan::new(),
                own: Plan::new(),
            },
        }
    }

    /// Adds a frame to the run before it, if it lies beside that and goes where that goes: a short one
    /// may end a run of long ones.
    #[inline]
    pub(crate) fn extend(&mut self, outlet: &Outlet, passing: &Passing, slice: Slice) -> bool {
        (0..LANES).any(|lane| self.extend_in(lane, outlet, passing, slice))
    }

    #[inline]
    fn extend_in(&mut self, lane: usize, outlet: &Outlet, passing: &Passing, slice: Slice) -> bool {
        let Some(burst) = self.burst(lane, outlet) else { return false };
        let (last, audience) = (burst.last as usize, burst.audience);
        let departure = &mut self.links[last].departure;
        let joins = departure.passing == *passing && departure.run.extend(slice);
        self.spent += u64::from(joins) * SEGMENT * audience;
        joins
    }

    /// Takes a frame for at most `audience` receivers. False when the session has so many that the frames
    /// before it are still on their way, and there is no room for more.
    #[inline]
    pub(crate) fn push<I: Io>(
        &mut self,
        io: &mut I,
        site: Site,
        outlet: &mut Outlet,
        passing: Passing,
        slice: Slice,
        audience: u64,
    ) -> bool {
        if audience >= SLICE_MEMBERS_MAX as u64 || outlet.march > 0 {
            self.spent += SEND;
            return self.marches.take(io, site, outlet, passing, slice);
        }
        let mut lane = cost::lane(slice.len());
        if lane == 0 && self.follows_large(outlet, &passing, site.wire) {
            lane = 1;
        }
        let link = self.links.len() as u32;
        let departure = Departure { run: Run::of(slice), passing };
        self.links.push(Link { departure, next: NONE });
        self.spent += SEND * audience;
        match self.burst(lane, outlet) {
            Some(burst) => {
                burst.senders.add(passing.node.0);
                let last = std::mem::replace(&mut burst.last, link);
                self.links[last as usize].next = link;
            }
            None => {
                let mut senders = Glance::default();
                senders.add(passing.node.0);
                self.bursts[lane].push(Burst { site, first: link, last: link, audience, senders });
                outlet.bursts[lane] = self.bursts[lane].len() as u32;
            }
        }
        true
    }

    /// Whether something waits in lane 1 that must not be overtaken.
    #[inline]
    fn follows_large(&self, outlet: &Outlet, passing: &Passing, wire: Wire) -> bool {
        let Some(burst) = Self::burst_of(outlet, 1).map(|index| &self.bursts[1][index]) else {
            return false;
        };
        if !burst.senders.may_have(passing.node.0) {
            return false;
        }
        let mut next = burst.first;
        while let Some(link) = self.links.get(next as usize) {
            if passing.follows(&link.departure.passing, wire) {
                return true;
            }
            next = link.next;
        }
        false
    }

    /// The place of a session's burst in a lane, if it has one.
    #[inline]
    pub(crate) fn burst_of(outlet: &Outlet, lane: usize) -> Option<usize> {
        outlet.bursts[lane].checked_sub(1).map(|index| index as usize)
    }

    #[inline]
    fn burst(&mut self, lane: usize, outlet: &Outlet) -> Option<&mut Burst> {
        Self::burst_of(outlet, lane).map(|index| &mut self.bursts[lane][index])
    }

    /// Bursts there have been in a lane since [`Departures::clear`].
    #[inline]
    pub(crate) fn bursts(&self, lane: usize) -> usize {
        self.bursts[lane].len()
    }

    /// Whose burst that is, its runs written to `departures`; `None` when it has left.
    #[inline]
    pub(crate) fn take_burst(
        &mut self,
        lane: usize,
        index: usize,
        departures: &mut Vec<Departure>,
    ) -> Option<Site> {
        let burst = &mut self.bursts[lane][index];
        let mut next = std::mem::replace(&mut burst.first, NONE);
        if next == NONE {
            return None;
        }
        let site = burst.site;
        departures.clear();
        while next != NONE {
            let link = &self.links[next as usize];
            departures.push(link.departure);
            next = link.next;
        }
        Some(site)
    }

    /// Everything has left.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.links.clear();
        self.bursts.iter_mut().for_each(Vec::clear);
    }
}

impl Outlet {
    /// The burst in `lane` has left.
    #[inline]
    pub(crate) const fn forget(&mut self, lane: usize) {
        self.bursts[lane] = 0;
    }
}
