//! Sealed datagrams that wait to be sent, Core frames that may have to be sent again, and the indexes
//! of what is published.
//!
//! ```text
//!   push ──▶ waiting ──▶ pop ──▶ the socket
//!               ▲          '──▶ kept: the last 32 of class Core
//!               '── the relay says it is missing ──'
//! ```
//! Core frames go before all others. A retransmission is the same bytes again: the relay's window lets
//! one of them through.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::SendError;
use crate::limits::{CORE_KEPT, CORE_RESENDS, OUTBOX_MAX, PUBLISHED_MAX, V1_FRAME_MAX};

/// A frame that was written: its length, its connection and, of class Core, its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) len: usize,
    pub(super) conn: u8,
    pub(super) core: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Datagram>,
    /// Those of class Core, which go first.
    core: VecDeque<Datagram>,
    kept: VecDeque<Datagram>,
    spare: Vec<Vec<u8>>,
    /// The next index of each stream and layer.
    indexes: Vec<Index>,
    /// Above every index of a stream and layer that was forgotten: where others begin, so that none is
    /// used twice.
    floor: u32,
    /// Counts uses: the clock by which indexes age.
    clock: u64,
}

#[derive(Debug)]
struct Index {
    inlet: (u16, u8),
    next: u32,
    used: u64,
}

#[derive(Debug)]
struct Datagram {
    bytes: Vec<u8>,
    conn: u8,
    core: Option<u32>,
    /// How often it may go out again.
    resends: u8,
}

impl Outbox {
    /// The next datagram, copied into `out`: its length, and its connection if it is of class Core.
    pub(super) fn pop(&mut self, out: &mut [u8]) -> Option<(usize, Option<u8>)> {
        let datagram = self.core.pop_front().or_else(|| self.waiting.pop_front())?;
        let (len, core) = (datagram.bytes.len(), datagram.core.map(|_| datagram.conn));
        out[..len].copy_from_slice(&datagram.bytes);
        if core.is_some() {
            if self.kept.len() >= CORE_KEPT
                && let Some(oldest) = self.kept.pop_front()
            {
                self.spare.push(oldest.bytes);
            }
            self.kept.push_back(datagram);
        } else {
            self.spare.push(datagram.bytes);
        }
        Some((len, core))
    }

    /// The relay has not seen Core frame `seq` of connection `conn`: whether it goes out again.
    pub(super) fn missing(&mut self, conn: u8, seq: u32) -> bool {
        let is = |kept: &Datagram| kept.conn == conn && kept.core == Some(seq) && kept.resends > 0;
        let at = self.kept.iter().position(is);
        let Some(mut datagram) = at.and_then(|at| self.kept.remove(at)) else { return false };
        datagram.resends -= 1;
        self.core.push_front(datagram);
        true
    }

    /// The number of the first Core frame of `conn` that has not gone out.
    pub(super) fn first_core(&self, conn: u8) -> Option<u32> {
        let is = |waiting: &&Datagram| waiting.conn == conn && waiting.resends == CORE_RESENDS;
        self.core.iter().find(is)?.core
    }

    /// Drops what was sealed for connections that are no more: how many datagrams that waited.
    pub(super) fn retain(&mut self, lives: impl Fn(u8) -> bool) -> u64 {
        let before = self.waiting.len() + self.core.len();
        for queue in [&mut self.waiting, &mut self.core, &mut self.kept] {
            queue.retain(|datagram| lives(datagram.conn));
        }
        (before - self.waiting.len() - self.core.len()) as u64
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.core.clear();
        self.kept.clear();
        self.spare.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.core.is_empty()
    }

    pub(super) fn check_room(&self, frames: usize) -> Result<(), SendError> {
        let waiting = self.waiting.len() + self.core.len();
        if waiting + frames > OUTBOX_MAX { Err(SendError::Full) } else { Ok(()) }
    }

    /// Queues the bytes that `write` fills.
    pub(super) fn push(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<Sealed, SendError>,
    ) -> Result<(), SendError> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.resize(V1_FRAME_MAX, 0);
        let Sealed { len, conn, core } = write(&mut bytes)?;
        bytes.truncate(len);
        let queue = if core.is_some() { &mut self.core } else { &mut self.waiting };
        queue.push_back(Datagram { bytes, conn, core, resends: CORE_RESENDS });
        Ok(())
    }

    /// The index that the next datagram of this stream and layer has. Where there are too many, the one
    /// unused for longest makes room, of streams that are not `published`.
    pub(super) fn index(
        &mut self,
        inlet: (u16, u8),
        published: impl Fn(u16) -> bool,
    ) -> Result<&mut u32, SendError> {
        let at = match self.indexes.iter().position(|index| index.inlet == inlet) {
            Some(at) => at,
            None => {
                if self.indexes.len() >= PUBLISHED_MAX {
                    self.forget_index(published)?;
                }
                self.indexes.push(Index { inlet, next: self.floor, used: 0 });
                self.indexes.len() - 1
            }
        };
        self.clock += 1;
        self.indexes[at].used = self.clock;
        Ok(&mut self.indexes[at].next)
    }

    #[cold]
    fn forget_index(&mut self, published: impl Fn(u16) -> bool) -> Result<(), SendError> {
        let indexes = self.indexes.iter().enumerate();
        let free = indexes.filter(|(_, index)| !published(index.inlet.0));
        let longest = free.min_by_key(|(_, index)| index.used).map(|(at, _)| at);
        let forgotten = self.indexes.swap_remove(longest.ok_or(SendError::TooManyStreams)?);
        self.floor = self.floor.max(forgotten.next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outbox: &mut Outbox, core: Option<(u8, u32)>) {
        outbox
            .push(|out| {
                out[0] = core.map_or(0xFF, |(_, seq)| seq as u8);
                let (conn, core) = core.map_or((7, None), |(conn, seq)| (conn, Some(seq)));
                Ok(Sealed { len: 80, conn, core })
            })
            .unwrap();
    }

    #[test]
    fn a_missing_core_frame_goes_out_again_before_others_and_not_for_ever() {
        let (mut outbox, mut out) = (Outbox::default(), [0; V1_FRAME_MAX]);
        push(&mut outbox, None);
        (0..3).for_each(|seq| push(&mut outbox, Some((7, seq))));
        assert_eq!((outbox.first_core(7), outbox.first_core(6)), (Some(0), None));
        assert!(!outbox.missing(7, 1), "it has not gone out at all");
        let popped: Vec<_> = core::iter::from_fn(|| outbox.pop(&mut out)).collect();
        assert_eq!(popped, [(80, Some(7)), (80, Some(7)), (80, Some(7)), (80, None)]);
        assert_eq!(outbox.first_core(7), None);
        assert!(!outbox.missing(6, 1) && !outbox.missing(7, 3));
        for _ in 0..CORE_RESENDS {
            push(&mut outbox, None);
            assert!(outbox.missing(7, 1));
            assert_eq!((outbox.first_core(7), outbox.pop(&mut out)), (None, Some((80, Some(7)))));
            assert_eq!(out[0], 1);
            assert_eq!(outbox.pop(&mut out), Some((80, None)));
        }
        assert!(!outbox.missing(7, 1), "given up");
    }

    #[test]
    fn what_was_sealed_for_a_connection_that_has_ended_goes() {
        let (mut outbox, mut out) = (Outbox::default(), [0; V1_FRAME_MAX]);
        push(&mut outbox, Some((6, 0)));
        outbox.pop(&mut out);
        push(&mut outbox, Some((6, 1)));
        push(&mut outbox, Some((7, 0)));
        push(&mut outbox, None);
        assert_eq!(outbox.retain(|conn| conn == 7), 1);
        assert!(!outbox.missing(6, 0), "nobody would take it");
        assert_eq!(outbox.retain(|_| false), 2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_stream_that_ended_makes_room_for_another_and_no_index_comes_twice() {
        let mut outbox = Outbox::default();
        for stream in 0..PUBLISHED_MAX as u16 {
            *outbox.index((stream, 0), |_| true).unwrap() += u32::from(stream) + 1;
        }
        let refused = outbox.index((999, 0), |_| true).err();
        assert_eq!(refused, Some(SendError::TooManyStreams));
        assert_eq!(outbox.index((0, 0), |_| true), Ok(&mut 1));
        assert_eq!(outbox.index((999, 0), |stream| stream < 9), Ok(&mut 10), "the ninth has gone");
        assert_eq!(outbox.index((1, 0), |_| true), Ok(&mut 2));
        assert_eq!(outbox.index((9, 0), |stream| stream < 99), Ok(&mut 100));
    }

    #[test]
    fn the_newest_core_frames_are_kept() {
        let (mut outbox, mut out) = (Outbox::default(), [0; V1_FRAME_MAX]);
        for seq in 0..100 {
            push(&mut outbox, Some((0, seq)));
            outbox.pop(&mut out);
        }
        let kept: Vec<u32> = (0..100).filter(|seq| outbox.missing(0, *seq)).collect();
        assert_eq!(kept, (68..100).collect::<Vec<_>>());
    }
}
