//! The floors of the syscall back end: epoll, `recvmmsg`, `sendmmsg`.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_core::limits::{RECEIVE_BUFFERS, SEGMENTS_MAX};
use elara_core::time::Span;
use elara_shards::sys::cpu::monotonic;
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::{RecvBatch, SendBatch};
use elara_shards::sys::wait::Poll;

use super::bundle::{Batch, Waiting};
use super::counts::Counts;
use super::gather::{BATCH, Piece, Turn};
use super::groups::Groups;

/// As the relay's back end has it.
const RECEIVE_BATCH: usize = 8;
const SEND_BATCH: usize = 64;
const BUFFER: usize = 65_536;

/// One send for each datagram and receiver.
pub(super) fn serve(socket: &UdpSocket, mut groups: Groups, counts: &Counts) -> io::Result<()> {
    let mut inbox = Inbox::new(socket, RECEIVE_BATCH)?;
    let mut outbox = SendBatch::new(SEND_BATCH, SEND_BATCH, Family::of(&socket.local_addr()?));
    loop {
        let received = inbox.receive(socket, None)?;
        let mut sending = outbox.begin();
        for slot in 0..received {
            let message = inbox.batch.message(slot);
            let Some(from) = message.from else { continue };
            let train = &inbox.batch.buffer(slot)[..message.len];
            let step = if message.segment == 0 { train.len() } else { message.segment.into() };
            for datagram in train.chunks(step.max(1)) {
                counts.take(1);
                for to in groups.others(from, datagram) {
                    if !sending.push(Some(to), [datagram], 0) {
                        counts.flushed(sending.flush(socket.as_fd()));
                        sending = outbox.begin();
                        let _ = sending.push(Some(to), [datagram], 0);
                    }
                }
            }
        }
        counts.flushed(sending.flush(socket.as_fd()));
    }
}

/// What came in a turn in one send for each receiver.
pub(super) fn gather(socket: &UdpSocket, counts: &Counts) -> io::Result<()> {
    let mut inbox = Inbox::new(socket, RECEIVE_BUFFERS)?;
    let (mut groups, mut turn) = (Groups::new(), Turn::new());
    let slices = BATCH * SEGMENTS_MAX;
    let mut outbox = SendBatch::new(BATCH, slices, Family::of(&socket.local_addr()?));
    loop {
        for slot in 0..inbox.receive(socket, None)? {
            let message = inbox.batch.message(slot);
            let Some(from) = message.from else { continue };
            let len = message.len as u16;
            let segment = if message.segment == 0 { len } else { message.segment };
            counts.take(len.div_ceil(segment.max(1)).into());
            if let Some(group) = groups.group(from, &inbox.batch.buffer(slot)[..message.len]) {
                let slot = slot as u16;
                turn.take(group, Piece { port: from.port(), slot, start: 0, len, segment });
            }
        }
        let batch = &inbox.batch;
        let bytes = |piece: &Piece| &batch.buffer(piece.slot.into())[..piece.len.into()];
        turn.drain(&groups, |sends| {
            let mut sending = outbox.begin();
            for (to, pieces, segment) in sends.iter() {
                let pushed = sending.push(Some(to), pieces.iter().map(bytes), segment);
                debug_assert!(pushed, "a batch is no longer than the kernel's");
            }
            counts.flushed(sending.flush(socket.as_fd()));
        });
    }
}

/// What came within `hold` in one datagram for each receiver.
pub(super) fn bundle(socket: &UdpSocket, hold: Span, counts: &Counts) -> io::Result<()> {
    let mut inbox = Inbox::new(socket, RECEIVE_BUFFERS)?;
    let (mut groups, mut waiting) = (Groups::new(), Waiting::new(hold));
    let mut outbox = SendBatch::new(SEND_BATCH, SEND_BATCH, Family::of(&socket.local_addr()?));
    let mut frames = Vec::with_capacity(SEND_BATCH);
    let mut send = |batch: &Batch| {
        let mut sending = outbox.begin();
        frames.clear();
        for (to, datagram, count) in batch.iter() {
            let pushed = sending.push(Some(to), [datagram], 0);
            debug_assert!(pushed, "a batch is no longer than the kernel's");
            counts.send(count.into());
            frames.push(count);
        }
        sending.flush_telling(socket.as_fd(), |at, _| counts.refuse(frames[at].into()));
    };
    loop {
        let timeout = waiting.due().map(|due| due.since(monotonic()));
        let received = inbox.receive(socket, timeout)?;
        let now = monotonic();
        for slot in 0..received {
            let message = inbox.batch.message(slot);
            let Some(from) = message.from else { continue };
            let train = &inbox.batch.buffer(slot)[..message.len];
            let step = if message.segment == 0 { train.len() } else { message.segment.into() };
            for frame in train.chunks(step.max(1)) {
                counts.take(1);
                if let Some(group) = groups.group(from, frame) {
                    waiting.take(group, from.port(), frame, now);
                }
            }
        }
        waiting.drain(&groups, now, &mut send);
    }
}

/// What one turn receives.
struct Inbox {
    poll: Poll,
    batch: RecvBatch,
}

impl Inbox {
    fn new(socket: &UdpSocket, slots: usize) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let poll = Poll::new(1)?;
        poll.watch(socket.as_fd(), 0)?;
        Ok(Self { poll, batch: RecvBatch::new(slots, BUFFER) })
    }

    /// Takes all that waits, as far as there is room; first waits for it, at most `timeout`.
    fn receive(&mut self, socket: &UdpSocket, timeout: Option<Span>) -> io::Result<usize> {
        let mut asleep = false;
        let mut filled = 0;
        loop {
            let received = self.batch.receive(socket.as_fd(), filled, RECEIVE_BATCH)?;
            filled += received;
            if filled == 0 && !asleep {
                let _ = self.poll.wait(timeout)?;
                asleep = timeout.is_some();
            } else if received < RECEIVE_BATCH || filled == self.batch.slots() {
                return Ok(filled);
            }
        }
    }
}
