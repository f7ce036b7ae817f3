//! epoll, recvmmsg and sendmmsg: the back end for kernels and containers without io_uring, and the yardstick.
//!
//! Receives into consecutive buffers of one pool during a cycle, so that everything sent in it can be sent
//! from there; sends are queued and handed over in batches, always without waiting.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::{
    LASTING_BUFFER, LASTING_BUFFERS, RECEIVE_BUFFERS, SEGMENTS_MAX, SEND_ARENA, V1_FRAME_MAX,
};
use elara_core::time::{Instant, Span, UnixMillis};

use super::arena::Arena;
use super::lasting::Lasting;
use super::ledger::{Ledger, weigh};
use super::meter::Meter;
use super::{Io, Refusal, Slice, Strain, Train, Wait, is_lasting, pieces};
use crate::counters::{Egress, Reason};
use crate::sys::cpu;
use crate::sys::message::Family;
use crate::sys::mmsg::{RecvBatch, SendBatch};
use crate::sys::wait::{Bell, Poll};

/// Bytes of one receive buffer: room for the longest train.
const BUFFER: usize = 65_536;
/// Messages per recvmmsg; more buys nothing.
const RECEIVE_BATCH: usize = 8;
/// Messages per sendmmsg.
const SEND_BATCH: usize = 64;
/// Slices in all of them together: a batch of single frames, or a few sends of very many slices.
const SEND_SLICES: usize = 2 * if SEND_BATCH > SEGMENTS_MAX { SEND_BATCH } else { SEGMENTS_MAX };

// The arena is emptied with every batch, so the batch is full first.
const _: () = assert!(SEND_BATCH * V1_FRAME_MAX <= SEND_ARENA);

const SOCKET: u64 = 0;
const BELL: u64 = 1;

/// The system-call back end of one shard.
pub struct Syscall {
    socket: UdpSocket,
    bell: Bell,
    poll: Poll,
    inbox: RecvBatch,
    /// Buffers `..next` hold messages the shard has seen this cycle, `next..filled` such it has not.
    next: usize,
    filled: usize,
    /// What the last cycle left of its last train; its buffer lies below `next`.
    rest: Option<Train>,
    /// Why receiving cannot go on, to be told by the next `enter`.
    broken: Option<io::Error>,
    outbox: SendBatch,
    queued: Vec<Queued>,
    slices: Vec<Slice>,
    /// What queued sends carry that never was in the inbox.
    arena: Arena,
    lasting: Lasting,
    /// The buffers that outlive a cycle, numbered on from the inbox's.
    kept: Box<[u8]>,
    ledger: Ledger,
    meter: Meter,
    now: Instant,
}

#[derive(Clone, Copy)]
struct Queued {
    to: ClientAddr,
    /// Where in `slices` its slices end; they begin where the one before ends.
    end: usize,
    segment: u16,
    send: Refusal,
}

impl Syscall {
    /// A back end over `socket`, woken by `bell`.
    ///
    /// # Errors
    /// What epoll and fcntl answer.
    pub fn new(socket: UdpSocket, bell: &Bell) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let family = Family::of(&socket.local_addr()?);
        let poll = Poll::new(2)?;
        poll.watch(socket.as_fd(), SOCKET)?;
        poll.watch(bell.as_fd(), BELL)?;
        Ok(Self {
            socket,
            bell: bell.clone(),
            poll,
            inbox: RecvBatch::new(RECEIVE_BUFFERS, BUFFER),
            next: 0,
            filled: 0,
            rest: None,
            broken: None,
            outbox: SendBatch::new(SEND_BATCH, SEND_SLICES, family),
            queued: Vec::with_capacity(SEND_BATCH),
            slices: Vec::with_capacity(SEND_SLICES),
            arena: Arena::new(),
            lasting: Lasting::new(RECEIVE_BUFFERS as u16),
            kept: vec![0; LASTING_BUFFERS * LASTING_BUFFER].into(),
            ledger: Ledger::new(),
            meter: Meter::default(),
            now: cpu::monotonic(),
        })
    }

    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    fn flush(&mut self) {
        if self.queued.is_empty() {
            return;
        }
        let mut sending = self.outbox.begin();
        let mut first = 0;
        for queued in &self.queued {
            let slices = &self.slices[first..queued.end];
            first = queued.end;
            let bytes = slices.iter().map(|slice| match self.arena.bytes(*slice) {
                Some(own) => own,
                None => slice_of(&self.inbox, &self.kept, *slice),
            });
            let pushed = sending.push(Some(&queued.to), bytes, queued.segment);
            assert!(pushed, "a batch has room for a whole queue");
        }
        sending.flush_telling(self.socket.as_fd(), |message, why| {
            self.ledger.refuse(self.queued[message].send, why);
        });
        self.queued.clear();
        self.slices.clear();
        self.arena.clear();
    }

    /// Makes room in the queue for one more send of so many slices.
    #[inline]
    fn make_room(&mut self, slices: usize) {
        if self.queued.len() == SEND_BATCH || self.slices.len() + slices > SEND_SLICES {
            self.flush();
        }
    }

    fn queue(&mut self, to: &ClientAddr, segment: u16, send: Refusal) {
        self.queued.push(Queued { to: *to, end: self.slices.len(), segment, send });
    }
}

#[inline]
fn slice_of<'b>(inbox: &'b RecvBatch, kept: &'b [u8], slice: Slice) -> &'b [u8] {
    let (buffer, start) = (usize::from(slice.buffer), slice.start as usize);
    let buffer = match buffer.checked_sub(RECEIVE_BUFFERS) {
        None => inbox.buffer(buffer),
        Some(lasting) => &kept[lasting * LASTING_BUFFER..],
    };
    &buffer[start..start + slice.len()]
}

impl Io for Syscall {
    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.flush();
        self.lasting.settle();
        // What the shard's budget left behind stays where it lies, and is handed out first.
        if self.next == self.filled && self.rest.is_none() {
            self.next = 0;
            self.filled = 0;
        }
        let timeout = match wait {
            _ if self.filled > 0 => Some(Span::ZERO),
            Wait::No => Some(Span::ZERO),
            Wait::Forever => None,
            Wait::Until(deadline) => Some(deadline.since(self.now)),
        };
        // A cycle with nothing to wait for goes straight to recvmmsg, which answers the same question.
        if timeout != Some(Span::ZERO) {
            let mut rung = false;
            for token in self.poll.wait(timeout)? {
                rung |= token == BELL;
            }
            if rung {
                self.bell.silence();
            }
        }
        Ok(())
    }

    fn now(&mut self) -> Instant {
        self.now = cpu::monotonic();
        self.now
    }

    fn calendar(&mut self) -> UnixMillis {
        cpu::calendar()
    }

    #[inline]
    fn receive(&mut self) -> Option<Train> {
        if let Some(rest) = self.rest.take() {
            return Some(rest);
        }
        loop {
            while self.next < self.filled {
                let slot = self.next;
                self.next += 1;
                let message = self.inbox.message(slot);
                if let Some(from) = message.from {
                    let len = message.len.min(BUFFER - 1) as u16;
                    let slice = Slice { buffer: slot as u16, len, start: 0 };
                    let (segment, truncated) = (message.segment, message.truncated);
                    return Some(Train { from, slice, segment, truncated });
                }
            }
            if self.filled == self.inbox.slots() {
                return None;
            }
            match self.inbox.receive(self.socket.as_fd(), self.filled, RECEIVE_BATCH) {
                Ok(0) => return None,
                Ok(received) => self.filled += received,
                Err(error) => {
                    self.broken = Some(error).filter(is_lasting);
                    return None;
                }
            }
        }
    }

    fn put_back(&mut self, rest: Train) {
        self.rest = Some(rest);
    }

    #[inline]
    fn bytes(&self, slice: Slice) -> &[u8] {
        slice_of(&self.inbox, &self.kept, slice)
    }

    #[inline]
    fn send(&mut self, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        if segment > 0 && !self.ledger.cuts() {
            pieces(slices, segment).for_each(|piece| self.send(to, &[piece], 0, tag));
            return;
        }
        let send = weigh(slices.iter().map(Slice::len).sum(), segment, tag);
        self.ledger.queue(&send);
        if slices.len().max(send.datagrams as usize) > SEGMENTS_MAX {
            self.ledger.refuse(send, Reason::Failed);
            return;
        }
        self.make_room(slices.len());
        self.slices.extend_from_slice(slices);
        self.queue(to, segment, send);
    }

    #[inline]
    fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) {
        assert!(bytes.len() <= V1_FRAME_MAX, "a shard makes no frame that long");
        let send = weigh(bytes.len(), 0, tag);
        self.ledger.queue(&send);
        self.make_room(1);
        let slice = self.arena.keep(bytes).expect("the arena holds a batch of the longest frames");
        self.slices.push(slice);
        self.queue(to, 0, send);
    }

    #[inline]
    fn refused(&mut self) -> Option<Refusal> {
        self.ledger.refused()
    }

    fn reserve(&mut self) -> Option<u16> {
        self.lasting.reserve()
    }

    fn keep(&mut self, buffer: u16, at: usize, slice: Slice) -> Slice {
        let from = &self.inbox.buffer(usize::from(slice.buffer))[slice.start as usize..];
        let to = &mut self.kept[(usize::from(buffer) - RECEIVE_BUFFERS) * LASTING_BUFFER..];
        to[..LASTING_BUFFER][at..at + slice.len()].copy_from_slice(&from[..slice.len()]);
        Slice { buffer, start: at as u32, ..slice }
    }

    fn release(&mut self, buffer: u16) {
        self.lasting.release(buffer);
    }

    fn strain(&mut self) -> Strain {
        self.meter.read(self.socket.as_fd())
    }

    fn egress(&self) -> Egress {
        self.ledger.egress()
    }

    /// Buffers are the shard's alone and come back every cycle: they never run out.
    fn starved(&self) -> u64 {
        0
    }
}
