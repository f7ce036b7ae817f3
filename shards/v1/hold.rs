//! Small frames wait a moment, to share a datagram: a send costs the same whatever it carries.
//!
//! ```text
//!   frames of the room, in order:   a  b  c  d  e  f  g          copied once, when they come
//!   those who granted 2 ms:                     ^ told up to here, the rest is due at d + 2 ms
//!   those who granted 5 ms:         ^ ........................... at a + 5 ms
//! ```
//! A receiver grants with SUBSCRIBE how long its small frames may wait. All who grant the same are
//! a cohort: one place in the row, one deadline, and mostly one content, which is put together once. A
//! frame waits no longer than its receiver granted, and a tick of the timer.

use elara_core::SessionId;
use elara_core::limits::{
    BUNDLE_FRAMES_MAX, CYCLE_SENDS_MAX, HELD_BYTES_MAX, HELD_FRAMES_MAX, HOLD_MS_MAX, V1_FRAME_MAX,
};
use elara_core::time::{Instant, Span};
use elara_core::wire::header::Class;
use elara_core::wire::v1::bundle::{BundleHead, Packing};

use super::ingress::{Passing, digest};

/// Frames that share a datagram, as a rule.
const HELD_TOGETHER: u64 = 8;
/// The cohorts: by milliseconds granted; nobody is in the first.
const COHORTS: usize = HOLD_MS_MAX as usize + 1;

/// What waits in a room.
#[derive(Debug)]
pub(super) struct Hold {
    frames: Vec<Held>,
    bytes: Vec<u8>,
    cohorts: [Cohort; COHORTS],
}

/// One frame that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) passing: Passing,
    start: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cohort {
    members: usize,
    /// Frames before this one have been sent to it.
    next: usize,
    due: Option<Instant>,
}

/// A datagram put together from frames that waited.
#[derive(Clone, Debug, Default)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    /// What its Core frames add to the digest.
    pub(super) core_digest: u64,
}

impl Hold {
    pub(super) fn new() -> Self {
        Self { frames: Vec::new(), bytes: Vec::new(), cohorts: [Cohort::default(); COHORTS] }
    }

    /// A member joins the cohort of those who grant `ms`, from the next frame on; 0 is none.
    pub(super) fn join(&mut self, ms: u8) {
        let end = self.frames.len();
        if let Some(cohort) = self.cohort(ms) {
            if cohort.members == 0 {
                cohort.next = end;
            }
            cohort.members += 1;
        }
    }

    /// A member leaves that cohort.
    pub(super) fn leave(&mut self, ms: u8) {
        if let Some(cohort) = self.cohort(ms) {
            cohort.members -= 1;
            if cohort.members == 0 {
                cohort.due = None;
            }
        }
    }

    /// Whether anyone lets frames wait.
    pub(super) fn has_members(&self) -> bool {
        self.cohorts.iter().any(|cohort| cohort.members > 0)
    }

    /// Whether `frames` more frames of `bytes` bytes together still find room; else everything must go
    /// first. In a room of many no more waits than one cycle may send.
    pub(super) fn has_room(&self, frames: usize, bytes: usize) -> bool {
        let members: usize = self.cohorts.iter().map(|cohort| cohort.members).sum();
        let packets = (CYCLE_SENDS_MAX / members.max(1)).max(1);
        self.frames.len() + frames <= HELD_FRAMES_MAX
            && self.bytes.len() + bytes <= HELD_BYTES_MAX.min(packets * V1_FRAME_MAX)
    }

    /// About how many sends it will be that so many more frames have been taken in.
    pub(super) fn owed(&self, frames: u64) -> u64 {
        let members: usize = self.cohorts.iter().map(|cohort| cohort.members).sum();
        (members as u64 * frames).div_ceil(HELD_TOGETHER)
    }

    /// Keeps a copy of a frame.
    pub(super) fn push(&mut self, passing: Passing, frame: &[u8], now: Instant) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        self.frames.push(Held { passing, start, len: frame.len() });
        for (ms, cohort) in self.cohorts.iter_mut().enumerate() {
            if cohort.members > 0 {
                let due = now + Span::from_millis(ms as u64);
                cohort.due = cohort.due.or(Some(due));
            }
        }
    }

    /// When the first cohort is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.cohorts.iter().filter_map(|cohort| cohort.due).min()
    }

    /// A cohort that is due at `now`, and where its frames begin; it counts as served.
    pub(super) fn serve(&mut self, now: Instant) -> Option<(u8, usize)> {
        let end = self.frames.len();
        let due = |cohort: &Cohort| cohort.due.is_some_and(|due| due <= now);
        let ms = self.cohorts.iter().position(due)?;
        let cohort = &mut self.cohorts[ms];
        let first = std::mem::replace(&mut cohort.next, end);
        cohort.due = None;
        Some((ms as u8, first))
    }

    /// The frames from `first` on.
    pub(super) fn frames(&self, first: usize) -> &[Held] {
        &self.frames[first..]
    }

    /// Puts the frames that `wanted` yields together, in order, in as few datagrams as they fit; answers
    /// how many of `packets` they fill. Allocates only when there were never so many.
    pub(super) fn pack<'f>(
        &self,
        session: SessionId,
        wanted: impl Iterator<Item = &'f Held>,
        packets: &mut Vec<Packet>,
    ) -> usize {
        let mut count = 0;
        let mut parts = Parts::new();
        for held in wanted {
            let frame = &self.bytes[held.start..held.start + held.len];
            if !parts.take(frame) {
                parts.close(session, packets, &mut count);
                let _ = parts.take(frame);
            }
            if held.passing.class() == Class::Core {
                parts.core_digest = parts.core_digest.wrapping_add(digest(frame, 0));
            }
        }
        parts.close(session, packets, &mut count);
        count
    }

    /// Forgets what everyone has been sent.
    pub(super) fn clear(&mut self) {
        let end = self.frames.len();
        if self.cohorts.iter().all(|cohort| cohort.members == 0 || cohort.next == end) {
            self.frames.clear();
            self.bytes.clear();
            self.cohorts.iter_mut().for_each(|cohort| cohort.next = 0);
        }
    }

    fn cohort(&mut self, ms: u8) -> Option<&mut Cohort> {
        self.cohorts.get_mut(usize::from(ms)).filter(|_| ms > 0)
    }
}

/// Frames that will share a datagram.
struct Parts<'f> {
    frames: [&'f [u8]; BUNDLE_FRAMES_MAX],
    packing: Packing,
    core_digest: u64,
}

impl<'f> Parts<'f> {
    const fn new() -> Self {
        let packing = Packing::new(V1_FRAME_MAX);
        Self { frames: [&[]; BUNDLE_FRAMES_MAX], packing, core_digest: 0 }
    }

    fn take(&mut self, frame: &'f [u8]) -> bool {
        let at = self.packing.count();
        let fits = self.packing.take(frame.len());
        if fits {
            self.frames[at] = frame;
        }
        fits
    }

    /// Writes the datagram of what was taken, if anything was, and begins anew.
    fn close(&mut self, session: SessionId, packets: &mut Vec<Packet>, count: &mut usize) {
        let frames = &self.frames[..self.packing.count()];
        if !frames.is_empty() {
            if packets.len() == *count {
                packets.push(Packet::default());
            }
            let packet = &mut packets[*count];
            *count += 1;
            packet.core_digest = self.core_digest;
            packet.bytes.clear();
            // One frame travels alone.
            match BundleHead::new(session, frames) {
                Ok(head) => {
                    head.gather(frames).for_each(|part| packet.bytes.extend_from_slice(part))
                }
                Err(_) => packet.bytes.extend_from_slice(frames[0]),
            }
        }
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use elara_core::NodeId;
    use elara_core::wire::Header;
    use elara_core::wire::v1::{Bundle, Kind};
    use zerocopy::IntoBytes;

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn frame(node: u64, len: usize) -> Vec<u8> {
        let header = Header::v1(1, SESSION, NodeId(node), Kind::Data(Class::Core));
        let mut frame = vec![node as u8; len];
        frame[..30].copy_from_slice(header.as_bytes());
        frame
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn push(hold: &mut Hold, node: u64, len: usize, ms: u64) {
        hold.push(Passing::of(node as u32, NodeId(node), Class::Core), &frame(node, len), at(ms));
    }

    #[test]
    fn each_cohort_has_its_own_deadline_and_place() {
        let mut hold = Hold::new();
        hold.join(2);
        hold.join(5);
        push(&mut hold, 1, 120, 0);
        push(&mut hold, 2, 120, 1);
        assert_eq!((hold.due(), hold.serve(at(1))), (Some(at(2)), None));
        assert_eq!(hold.serve(at(2)), Some((2, 0)));
        hold.clear();
        assert_eq!(hold.frames(0).len(), 2, "the others have not been served");
        push(&mut hold, 3, 120, 3);
        assert_eq!(hold.due(), Some(at(5)));
        let served = [hold.serve(at(5)), hold.serve(at(5)), hold.serve(at(5))];
        assert_eq!(served, [Some((2, 2)), Some((5, 0)), None]);
        hold.clear();
        assert!(hold.frames(0).is_empty() && hold.due().is_none());
    }

    #[test]
    fn who_comes_later_gets_what_comes_later() {
        let mut hold = Hold::new();
        hold.join(5);
        push(&mut hold, 1, 120, 0);
        hold.join(1);
        push(&mut hold, 2, 120, 2);
        assert_eq!(hold.serve(at(3)), Some((1, 1)));
        hold.leave(5);
        hold.leave(1);
        assert!(hold.due().is_none() && !hold.has_members());
        hold.clear();
        assert!(hold.frames(0).is_empty());
    }

    #[test]
    fn the_more_members_the_less_waits() {
        let mut hold = Hold::new();
        hold.join(5);
        assert!(hold.has_room(HELD_FRAMES_MAX, 1) && !hold.has_room(HELD_FRAMES_MAX + 1, 1));
        assert!(hold.has_room(1, HELD_BYTES_MAX) && !hold.has_room(1, HELD_BYTES_MAX + 1));
        (0..CYCLE_SENDS_MAX).for_each(|_| hold.join(5));
        assert!(hold.has_room(10, V1_FRAME_MAX) && !hold.has_room(10, V1_FRAME_MAX + 1));
        assert_eq!(hold.owed(16), 2 * (CYCLE_SENDS_MAX as u64 + 1));
    }

    #[test]
    fn ten_small_frames_are_one_datagram_and_one_alone_is_itself() {
        let mut hold = Hold::new();
        hold.join(5);
        (0..11).for_each(|node| push(&mut hold, node, 120, 0));
        let mut packets = Vec::new();
        assert_eq!(hold.pack(SESSION, hold.frames(0).iter(), &mut packets), 2);
        let bundle = Bundle::parse(&packets[0].bytes).unwrap();
        assert_eq!((bundle.count(), packets[0].bytes.len()), (10, 1_232));
        assert!(bundle.iter().enumerate().all(|(node, bytes)| bytes == frame(node as u64, 120)));
        assert_eq!(packets[1].bytes, frame(10, 120));
        assert_eq!(packets[1].core_digest, u64::from_le_bytes([10; 8]));
        assert_eq!(hold.pack(SESSION, hold.frames(0)[..2].iter(), &mut packets), 1);
        assert_eq!(packets.len(), 2, "what was there is used again");
    }
}
