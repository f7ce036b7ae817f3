//! Bundling: small frames that come within a moment share a datagram.
//!
//! Frames are copied when they come, and once more behind the front of a bundle for those who hear
//! them: once for everyone who has sent none of them, and once for each who has. The front is
//! that of wire v1; the load generator reads it in front of frames of v0.

use std::ops::Range;

use elara_core::limits::{BUNDLE_FRAMES_MAX, V1_FRAME_MAX};
use elara_core::time::{Instant, Span};
use elara_core::wire::v1::BundleHead;
use elara_core::wire::v1::bundle::Packing;
use elara_core::{ClientAddr, SessionId};

use super::groups::Groups;

/// Datagrams put together before they are sent.
const BATCH: usize = 64;

/// What waits, by group.
pub(super) struct Waiting {
    hold: Span,
    groups: Vec<Room>,
    /// The groups in which something waits, the longest first.
    touched: Vec<u32>,
    batch: Batch,
}

#[derive(Default)]
struct Room {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    since: Option<Instant>,
}

struct Frame {
    port: u16,
    bytes: Range<usize>,
}

/// Datagrams that are ready to go.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    list: Vec<(ClientAddr, Datagram)>,
}

/// Where a datagram lies, and how many frames it carries.
#[derive(Clone)]
struct Datagram {
    bytes: Range<usize>,
    frames: u32,
}

impl Batch {
    /// To whom, what, and how many frames that is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ClientAddr, &[u8], u32)> {
        self.list
            .iter()
            .map(|(to, datagram)| (to, &self.bytes[datagram.bytes.clone()], datagram.frames))
    }
}

impl Waiting {
    pub(super) fn new(hold: Span) -> Self {
        Self { hold, groups: Vec::new(), touched: Vec::new(), batch: Batch::default() }
    }

    /// Takes a frame in.
    #[inline]
    pub(super) fn take(&mut self, group: u32, port: u16, frame: &[u8], now: Instant) {
        if self.groups.len() <= group as usize {
            self.groups.resize_with(group as usize + 1, Room::default);
        }
        let room = &mut self.groups[group as usize];
        if room.since.is_none() {
            room.since = Some(now);
            self.touched.push(group);
        }
        let start = room.bytes.len();
        room.bytes.extend_from_slice(frame);
        room.frames.push(Frame { port, bytes: start..room.bytes.len() });
    }

    /// When the first of what waits must go.
    pub(super) fn due(&self) -> Option<Instant> {
        let first = *self.touched.first()?;
        self.groups[first as usize].since.map(|since| since + self.hold)
    }

    /// Hands everything that is due at `now` to `send`, in batches.
    pub(super) fn drain(&mut self, groups: &Groups, now: Instant, mut send: impl FnMut(&Batch)) {
        while self.due().is_some_and(|due| due <= now) {
            let group = self.touched.remove(0);
            let room = &mut self.groups[group as usize];
            room.serve(groups.members(group), &mut self.batch, &mut send);
            room.frames.clear();
            room.bytes.clear();
            room.since = None;
        }
    }
}

impl Room {
    fn serve(&self, members: &[ClientAddr], batch: &mut Batch, send: &mut impl FnMut(&Batch)) {
        let mut datagrams = Vec::new();
        batch.bytes.clear();
        self.pack(None, &mut batch.bytes, &mut datagrams);
        let (shared, shared_end) = (datagrams.clone(), batch.bytes.len());
        for to in members {
            let own = self.frames.iter().any(|frame| frame.port == to.port());
            let theirs = if own {
                datagrams.clear();
                self.pack(Some(to.port()), &mut batch.bytes, &mut datagrams);
                &datagrams
            } else {
                &shared
            };
            for datagram in theirs {
                batch.list.push((*to, datagram.clone()));
                if batch.list.len() == BATCH {
                    send(batch);
                    batch.list.clear();
                }
            }
            // What was packed for those before may go once it has been sent.
            if batch.list.is_empty() {
                batch.bytes.truncate(shared_end);
            }
        }
        if !batch.list.is_empty() {
            send(batch);
            batch.list.clear();
        }
    }

    /// Packs all frames but those of `receiver` behind what is in `bytes`.
    fn pack(&self, receiver: Option<u16>, bytes: &mut Vec<u8>, datagrams: &mut Vec<Datagram>) {
        let mut parts = [&[][..]; BUNDLE_FRAMES_MAX];
        let mut packing = Packing::new(V1_FRAME_MAX);
        let mut close = |parts: &[&[u8]]| {
            let start = bytes.len();
            if let Ok(head) = BundleHead::new(SessionId(0), parts) {
                bytes.extend_from_slice(head.as_bytes());
            }
            // One frame travels alone.
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            datagrams.push(Datagram { bytes: start..bytes.len(), frames: parts.len() as u32 });
        };
        for frame in self.frames.iter().filter(|frame| Some(frame.port) != receiver) {
            let frame = &self.bytes[frame.bytes.clone()];
            if !packing.take(frame.len()) {
                if packing.count() > 0 {
                    close(&parts[..packing.count()]);
                }
                packing = Packing::new(V1_FRAME_MAX);
                if !packing.take(frame.len()) {
                    close(&[frame]);
                    continue;
                }
            }
            parts[packing.count() - 1] = frame;
        }
        if packing.count() > 0 {
            close(&parts[..packing.count()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Span = Span::from_millis(5);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000) + Span::from_millis(ms)
    }

    /// A group of these ports.
    fn group(ports: Range<u16>) -> Groups {
        let mut groups = Groups::new();
        for port in ports {
            let from = ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
            assert_eq!(groups.group(from, &[7; 12]), Some(0));
        }
        groups
    }

    /// To whom, bytes and frames of each datagram.
    fn drained(waiting: &mut Waiting, groups: &Groups, now: Instant) -> Vec<(u16, usize, u32)> {
        let mut sends = Vec::new();
        waiting.drain(groups, now, |batch| {
            sends.extend(batch.iter().map(|(to, bytes, frames)| (to.port(), bytes.len(), frames)));
        });
        sends
    }

    #[test]
    fn frames_wait_no_longer_than_they_may_and_nobody_hears_their_own() {
        let groups = group(1..4);
        let mut waiting = Waiting::new(HOLD);
        waiting.take(0, 1, &[1; 120], at(0));
        waiting.take(0, 2, &[2; 120], at(3));
        assert_eq!(waiting.due(), Some(at(5)));
        assert_eq!(drained(&mut waiting, &groups, at(4)), []);
        let both = 12 + 2 * 2 + 240;
        assert_eq!(drained(&mut waiting, &groups, at(5)), [(1, 120, 1), (2, 120, 1), (3, both, 2)]);
        assert_eq!((waiting.due(), drained(&mut waiting, &groups, at(9))), (None, vec![]));
    }

    #[test]
    fn ten_frames_of_120_fill_a_datagram_and_what_is_too_long_travels_alone() {
        let groups = group(1..3);
        let mut waiting = Waiting::new(HOLD);
        for _ in 0..11 {
            waiting.take(0, 1, &[1; 120], at(0));
        }
        waiting.take(0, 1, &[1; 1_300], at(0));
        let sends = drained(&mut waiting, &groups, at(5));
        assert_eq!(sends, [(2, V1_FRAME_MAX, 10), (2, 120, 1), (2, 1_300, 1)]);
    }

    #[test]
    fn a_room_of_many_goes_in_batches_and_everyone_gets_all() {
        let groups = group(1..151);
        let mut waiting = Waiting::new(Span::ZERO);
        for port in 1..51 {
            waiting.take(0, port, &[port as u8; 120], at(0));
        }
        let mut batches = 0;
        let mut heard = vec![0; 151];
        waiting.drain(&groups, at(0), |batch| {
            batches += 1;
            for (to, bytes, frames) in batch.iter() {
                heard[usize::from(to.port())] += frames;
                assert!(
                    bytes.len() <= V1_FRAME_MAX && !bytes.contains(&(to.port() as u8))
                        || frames > 1
                );
            }
        });
        assert_eq!(batches, (150 * 5usize).div_ceil(BATCH));
        assert!(heard[1..51].iter().all(|count| *count == 49));
        assert!(heard[51..].iter().all(|count| *count == 50));
    }
}
