//! Small frames wait a moment, to share a datagram: a send costs the same whatever it carries.
//!
//! ```text
//!   frames of the room, in order:   a  b  c  d  e  f  g          copied once, when they come
//!   those who granted 2 ms:                     ^ told up to here, the rest is due at d + 2 ms
//!   those who granted 5 ms:         ^ ........................... at a + 5 ms
//! ```
//! A receiver grants with SUBSCRIBE how long its small frames may wait. All who grant the same are
//! a cohort: one place in the row, one deadline, and mostly one content, which is put together once. A
//! frame waits no longer than its receiver granted, and a tick of the timer; when a datagram is full, it
//! waits no longer at all. Those who grant nothing are a cohort too, which waits a tick where the shard
//! is loaded and the room lively.

use std::ops::Range;

use elara_core::limits::{
    BUNDLE_HEAD_LEN, CYCLE_SENDS_MAX, HELD_BYTES_MAX, HELD_FRAMES_MAX, HOLD_MS_MAX, HOLD_TICK,
    V1_FRAME_MAX,
};
use elara_core::time::{Instant, Span};

use crate::departures::{Departure, Passing};
use crate::io::Slice;
use crate::run::Run;

/// The cohorts, by milliseconds granted.
const COHORTS: usize = HOLD_MS_MAX as usize + 1;

/// What waits in a room.
#[derive(Debug)]
pub(super) struct Hold {
    frames: Vec<Departure>,
    bytes: Vec<u8>,
    cohorts: [Cohort; COHORTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Cohort {
    /// Those who grant nothing are not counted.
    members: usize,
    /// Frames before this one have been sent to it.
    next: usize,
    /// Frames before this one fill datagrams.
    ready: usize,
    /// Bytes that the datagram behind those has.
    filled: usize,
    /// When what is behind those is due.
    due: Option<Instant>,
}

impl Hold {
    pub(super) const fn new() -> Self {
        let cohort = Cohort { members: 0, next: 0, ready: 0, filled: 0, due: None };
        Self { frames: Vec::new(), bytes: Vec::new(), cohorts: [cohort; COHORTS] }
    }

    /// A member joins the cohort of those who grant `ms`, from the next frame on.
    pub(super) fn join(&mut self, ms: u8) {
        let end = self.frames.len();
        if let Some(cohort) = self.cohort(ms) {
            if cohort.members == 0 {
                cohort.skip_to(end);
            }
            cohort.members += 1;
        }
    }

    /// A member leaves that cohort.
    pub(super) fn leave(&mut self, ms: u8) {
        let end = self.frames.len();
        if let Some(cohort) = self.cohort(ms) {
            cohort.members -= 1;
            if cohort.members == 0 {
                cohort.skip_to(end);
            }
        }
    }

    /// Whether anyone lets frames wait.
    pub(super) fn has_members(&self) -> bool {
        self.cohorts.iter().any(|cohort| cohort.members > 0)
    }

    /// Whether frames wait for those who grant nothing.
    pub(super) const fn holds_all(&self) -> bool {
        self.cohorts[0].due.is_some()
    }

    /// Whether `frames` more frames of `bytes` bytes together still find room, in a session of `members`;
    /// else everything must go first. In a room of many no more waits than one cycle may send.
    pub(super) fn has_room(&self, frames: usize, bytes: usize, members: usize) -> bool {
        let packets = (CYCLE_SENDS_MAX / members.max(1)).max(1);
        self.frames.len() + frames <= HELD_FRAMES_MAX
            && self.bytes.len() + bytes <= HELD_BYTES_MAX.min(packets * V1_FRAME_MAX)
    }

    /// Keeps a copy of a frame; `all`: also for those who grant nothing.
    pub(super) fn push(&mut self, passing: Passing, frame: &[u8], all: bool, now: Instant) {
        let (start, len) = (self.bytes.len() as u32, frame.len() as u16);
        self.bytes.extend_from_slice(frame);
        let run = Run::of(Slice { buffer: 0, len, start });
        self.frames.push(Departure { run, passing });
        let end = self.frames.len();
        for (ms, cohort) in self.cohorts.iter_mut().enumerate() {
            if ms == 0 && !all {
                cohort.skip_to(end);
            } else if ms == 0 || cohort.members > 0 {
                cohort.take(end, frame.len(), now + wait_of(ms));
            }
        }
    }

    /// When the first cohort is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.cohorts.iter().filter_map(|cohort| cohort.due).min()
    }

    /// Whether frames fill a datagram, and need not wait for their time.
    pub(super) fn is_ready(&self) -> bool {
        self.cohorts.iter().any(|cohort| cohort.ready > cohort.next)
    }

    /// A cohort with frames that are due at `now` or fill datagrams, and these; they count as served.
    pub(super) fn serve(&mut self, now: Instant) -> Option<(u8, Range<usize>)> {
        let end = self.frames.len();
        let is_due = |cohort: &Cohort| cohort.due.is_some_and(|due| due <= now);
        let ms =
            self.cohorts.iter().position(|cohort| is_due(cohort) || cohort.ready > cohort.next)?;
        let cohort = &mut self.cohorts[ms];
        let first = cohort.next;
        if is_due(cohort) {
            cohort.skip_to(end);
        } else {
            cohort.next = cohort.ready;
        }
        Some((ms as u8, first..cohort.next))
    }

    /// Some of the frames; they lie in [`Hold::bytes`].
    pub(super) fn frames(&self, which: Range<usize>) -> &[Departure] {
        &self.frames[which]
    }

    /// Where the frames lie.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what everyone has been sent.
    pub(super) fn clear(&mut self) {
        if self.cohorts.iter().all(|cohort| cohort.due.is_none()) {
            self.frames.clear();
            self.bytes.clear();
            self.cohorts.iter_mut().for_each(|cohort| cohort.skip_to(0));
        }
    }

    fn cohort(&mut self, ms: u8) -> Option<&mut Cohort> {
        self.cohorts.get_mut(usize::from(ms)).filter(|_| ms > 0)
    }
}

impl Cohort {
    /// One more frame waits, the last before `end`; not for long when the next such would not fit its
    /// datagram.
    fn take(&mut self, end: usize, len: usize, due: Instant) {
        let share = len + size_of::<u16>();
        if BUNDLE_HEAD_LEN + self.filled + share > V1_FRAME_MAX {
            (self.ready, self.filled, self.due) = (end - 1, 0, None);
        }
        self.filled += share;
        self.due = self.due.or(Some(due));
        if BUNDLE_HEAD_LEN + self.filled + share > V1_FRAME_MAX {
            (self.ready, self.filled, self.due) = (end, 0, None);
        }
    }

    /// Nothing before `end` waits any more.
    fn skip_to(&mut self, end: usize) {
        (self.next, self.ready, self.filled, self.due) = (end, end, 0, None);
    }
}

/// How long frames wait for who grants so many milliseconds, on a shard that is loaded.
const fn wait_of(ms: usize) -> Span {
    if ms == 0 { HOLD_TICK } else { Span::from_millis(ms as u64) }
}

#[cfg(test)]
mod tests {
    use elara_core::NodeId;
    use elara_core::wire::Class;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn push_for(hold: &mut Hold, all: bool, ms: u64) {
        let passing = Passing { number: 1, node: NodeId(1), class: Class::Core, stream: None };
        hold.push(passing, &[7; 120], all, at(ms));
    }

    fn push(hold: &mut Hold, ms: u64) {
        push_for(hold, false, ms);
    }

    #[test]
    fn each_cohort_has_its_own_deadline_and_place() {
        let mut hold = Hold::new();
        hold.join(2);
        hold.join(5);
        push(&mut hold, 0);
        push(&mut hold, 1);
        assert_eq!((hold.due(), hold.serve(at(1))), (Some(at(2)), None));
        assert_eq!(hold.serve(at(2)), Some((2, 0..2)));
        hold.clear();
        assert_eq!(hold.frames.len(), 2, "the others have not been served");
        push(&mut hold, 3);
        assert_eq!(hold.due(), Some(at(5)));
        let served = [hold.serve(at(5)), hold.serve(at(5)), hold.serve(at(5))];
        assert_eq!(served, [Some((2, 2..3)), Some((5, 0..3)), None]);
        hold.clear();
        assert!(hold.frames.is_empty() && hold.due().is_none());
    }

    #[test]
    fn who_comes_later_gets_what_comes_later() {
        let mut hold = Hold::new();
        hold.join(5);
        push(&mut hold, 0);
        hold.join(1);
        push(&mut hold, 2);
        assert_eq!(hold.serve(at(3)), Some((1, 1..2)));
        hold.leave(5);
        hold.leave(1);
        assert!(hold.due().is_none() && !hold.has_members());
        hold.clear();
        assert!(hold.frames.is_empty());
    }

    #[test]
    fn what_fills_a_datagram_waits_no_longer() {
        let mut hold = Hold::new();
        hold.join(5);
        (0..9).for_each(|_| push(&mut hold, 0));
        assert_eq!((hold.due(), hold.is_ready()), (Some(at(5)), false));
        (0..3).for_each(|_| push(&mut hold, 1));
        assert!(hold.is_ready());
        assert_eq!((hold.serve(at(1)), hold.serve(at(1))), (Some((5, 0..10)), None));
        assert_eq!((hold.due(), hold.is_ready()), (Some(at(6)), false), "the rest waits on");
        assert_eq!(hold.serve(at(6)), Some((5, 10..12)));
    }

    #[test]
    fn whoever_grants_after_the_last_has_left_waits_as_granted() {
        let mut hold = Hold::new();
        hold.join(5);
        (0..9).for_each(|_| push(&mut hold, 0));
        hold.leave(5);
        hold.clear();
        hold.join(5);
        push(&mut hold, 1);
        assert_eq!(hold.due(), Some(at(6)));
    }

    #[test]
    fn who_grants_nothing_waits_a_tick_when_all_do() {
        let mut hold = Hold::new();
        hold.join(5);
        push(&mut hold, 0);
        assert!(!hold.holds_all());
        push_for(&mut hold, true, 1);
        assert!(hold.holds_all() && hold.due() == Some(at(2)));
        assert_eq!(hold.serve(at(2)), Some((0, 1..2)), "the first was sent when it came");
        push(&mut hold, 3);
        assert_eq!((hold.serve(at(4)), hold.serve(at(5))), (None, Some((5, 0..3))));
    }

    #[test]
    fn the_more_members_the_less_waits() {
        let hold = Hold::new();
        assert!(hold.has_room(HELD_FRAMES_MAX, 1, 2) && !hold.has_room(HELD_FRAMES_MAX + 1, 1, 2));
        assert!(hold.has_room(1, HELD_BYTES_MAX, 2) && !hold.has_room(1, HELD_BYTES_MAX + 1, 2));
        let many = CYCLE_SENDS_MAX;
        assert!(
            hold.has_room(10, V1_FRAME_MAX, many) && !hold.has_room(10, V1_FRAME_MAX + 1, many)
        );
    }
}
