//! The floors of the io_uring back end: multishot receive, one send operation a send.

use std::io;
use std::iter;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::{RECEIVE_BUFFERS, SEND_QUEUE};
use elara_core::time::Span;
use elara_shards::sys::cpu::monotonic;
use elara_shards::sys::message::Family;
use elara_shards::sys::ring::{Completion, Ring, Sizes};
use elara_shards::sys::wait::Bell;

use super::bundle::{Batch, Waiting};
use super::counts::Counts;
use super::gather::{Piece, Sends, Turn};
use super::groups::Groups;

/// One send for each datagram and receiver.
pub(super) fn serve(socket: &UdpSocket, mut groups: Groups, counts: &Counts) -> io::Result<()> {
    let mut floor = Floor::new(socket)?;
    loop {
        floor.enter(None)?;
        while let Some(train) = floor.next(counts) {
            for (start, len) in train.datagrams() {
                counts.take(1);
                let part = (train.buffer, start, len);
                for to in groups.others(train.from, floor.ring.bytes(part.0, part.1, part.2)) {
                    let queued = floor.ring.send(0, to, iter::once(part), 0, 1);
                    counts.send(1);
                    if !queued {
                        counts.refuse(1);
                    }
                }
            }
        }
    }
}

/// What came in a turn in one send for each receiver.
pub(super) fn gather(socket: &UdpSocket, counts: &Counts) -> io::Result<()> {
    let mut floor = Floor::new(socket)?;
    let (mut groups, mut turn) = (Groups::new(), Turn::new());
    loop {
        floor.enter(None)?;
        while let Some(train) = floor.next_of_turn(counts)? {
            let Train { buffer, start, len, segment, from } = train;
            counts.take(len.div_ceil(segment).into());
            if let Some(group) = groups.group(from, floor.ring.bytes(buffer, start, len)) {
                let port = from.port();
                turn.take(group, Piece { port, slot: buffer, start, len, segment });
            }
        }
        let ring = &mut floor.ring;
        turn.drain(&groups, |sends: &Sends| {
            for (to, pieces, segment) in sends.iter() {
                let part = |piece: &Piece| (piece.slot, piece.start, piece.len);
                let bytes: u32 = pieces.iter().map(|piece| u32::from(piece.len)).sum();
                let frames = bytes.div_ceil(segment.into());
                let queued = ring.send(0, to, pieces.iter().map(part), segment, frames);
                counts.send(frames.into());
                if !queued {
                    counts.refuse(frames.into());
                }
            }
        });
    }
}

/// What came within `hold` in one datagram for each receiver.
pub(super) fn bundle(socket: &UdpSocket, hold: Span, counts: &Counts) -> io::Result<()> {
    let mut floor = Floor::new(socket)?;
    let (mut groups, mut waiting) = (Groups::new(), Waiting::new(hold));
    loop {
        floor.enter(waiting.due().map(|due| due.since(monotonic())))?;
        let now = monotonic();
        while let Some(train) = floor.next_of_turn(counts)? {
            for (start, len) in train.datagrams() {
                counts.take(1);
                let frame = floor.ring.bytes(train.buffer, start, len);
                if let Some(group) = groups.group(train.from, frame) {
                    waiting.take(group, train.from.port(), frame, now);
                }
            }
        }
        let ring = &mut floor.ring;
        waiting.drain(&groups, now, |batch: &Batch| {
            for (to, datagram, frames) in batch.iter() {
                let queued = ring.send_bytes(to, datagram, frames);
                counts.send(frames.into());
                if !queued {
                    counts.refuse(frames.into());
                }
            }
        });
    }
}

/// A ring, and what it has lent us.
struct Floor {
    ring: Ring,
    held: Vec<u16>,
}

/// What one receive brought.
#[derive(Clone, Copy)]
struct Train {
    buffer: u16,
    start: u32,
    len: u16,
    /// Bytes of each datagram but the last, at least 1.
    segment: u16,
    from: ClientAddr,
}

impl Train {
    /// Where each of its datagrams begins, and how long it is.
    fn datagrams(self) -> impl Iterator<Item = (u32, u16)> {
        let Self { start, len, segment, .. } = self;
        (0..len)
            .step_by(segment.into())
            .map(move |offset| (start + u32::from(offset), segment.min(len - offset)))
    }
}

impl Floor {
    fn new(socket: &UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let family = Family::of(&socket.local_addr()?);
        let (buffers, sends) = (RECEIVE_BUFFERS as u16, SEND_QUEUE as u32);
        let sizes = Sizes { buffers, lasting: 0, sends, sockets: 0 };
        let ring = Ring::new(socket.as_fd(), family, &Bell::new()?, sizes)?;
        Ok(Self { ring, held: Vec::with_capacity(RECEIVE_BUFFERS) })
    }

    /// Sends what is queued, waits for something to do, at most `timeout`, and gives buffers back.
    fn enter(&mut self, timeout: Option<Span>) -> io::Result<()> {
        if self.ring.is_owed() {
            // Nothing comes before receiving is armed again, and that needs the buffers back first.
            self.ring.submit()?;
        } else {
            self.ring.wait(timeout)?;
        }
        if self.ring.is_settled() {
            // What was sent from these has left: a send ends inside the call above.
            self.held.drain(..).for_each(|buffer| self.ring.recycle(buffer));
            self.ring.publish();
            self.ring.arm(0);
        }
        Ok(())
    }

    /// The next train that has been received.
    #[inline]
    fn next(&mut self, counts: &Counts) -> Option<Train> {
        loop {
            match self.ring.complete()? {
                Completion::Received { buffer, start, len, from, segment, .. } => {
                    self.held.push(buffer);
                    let segment = if segment == 0 { len.max(1) } else { segment };
                    return Some(Train { buffer, start, len, segment, from });
                }
                Completion::Spoiled { buffer } => self.held.push(buffer),
                Completion::Ended { slot, .. } => self.ring.owe(slot),
                Completion::Refused { send, .. } => counts.refuse(send.tag.into()),
                Completion::Woken | Completion::Internal => {}
            }
        }
    }

    /// The next train, also when the kernel has to be asked for it: a burst stays whole.
    #[inline]
    fn next_of_turn(&mut self, counts: &Counts) -> io::Result<Option<Train>> {
        loop {
            let train = self.next(counts);
            if train.is_some() || !self.ring.has_more() {
                return Ok(train);
            }
            self.ring.submit()?;
        }
    }
}
