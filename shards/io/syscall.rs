//! epoll, recvmmsg and sendmmsg: the back end for kernels and containers without io_uring, and the yardstick.
//!
//! Receives into consecutive buffers of one pool during a cycle, so that everything sent in it can be sent
//! from there; sends are queued and handed over in batches, always without waiting.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::{RECEIVE_BUFFERS, SEGMENTS_MAX};
use elara_core::time::{Instant, Span};

use super::ledger::{Ledger, datagrams};
use super::{Io, Slice, Train, Wait, is_lasting};
use crate::counters::Egress;
use crate::sys::cpu::monotonic;
use crate::sys::message::Family;
use crate::sys::mmsg::{RecvBatch, SendBatch};
use crate::sys::wait::{Bell, Poll};

/// Bytes of one receive buffer: room for the longest train.
const BUFFER: usize = 65_536;
/// Messages per recvmmsg; more buys nothing.
const RECEIVE_BATCH: usize = 8;
/// Messages per sendmmsg.
const SEND_BATCH: usize = 64;

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
    ledger: Ledger,
    now: Instant,
}

#[derive(Clone, Copy)]
struct Queued {
    to: ClientAddr,
    /// Where in `slices` its slices end; they begin where the one before ends.
    end: usize,
    segment: u16,
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
            outbox: SendBatch::new(SEND_BATCH, SEND_BATCH.max(SEGMENTS_MAX) * 2, family),
            queued: Vec::with_capacity(SEND_BATCH),
            slices: Vec::with_capacity(SEND_BATCH.max(SEGMENTS_MAX) * 2),
            ledger: Ledger::default(),
            now: monotonic(),
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
        let (mut first, mut offered) = (0, 0);
        for queued in &self.queued {
            let slices = &self.slices[first..queued.end];
            first = queued.end;
            let bytes = slices.iter().map(|slice| slice_of(&self.inbox, *slice));
            if sending.push(Some(&queued.to), bytes, queued.segment) {
                offered += slices.iter().map(Slice::len).sum::<usize>() as u64;
            }
        }
        let egress = sending.flush(self.socket.as_fd());
        if egress.busy + egress.failed > 0 {
            // Bytes are booked with the first refusal; datagrams under their reason.
            let bytes = offered - egress.bytes;
            self.ledger.refuse(egress.busy, bytes, true);
            self.ledger.refuse(egress.failed, 0, false);
        }
        self.queued.clear();
        self.slices.clear();
    }
}

fn slice_of(inbox: &RecvBatch, slice: Slice) -> &[u8] {
    let start = slice.start as usize;
    &inbox.buffer(usize::from(slice.buffer))[start..start + slice.len()]
}

impl Io for Syscall {
    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.flush();
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
        self.now = monotonic();
        self.now
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
        slice_of(&self.inbox, slice)
    }

    #[inline]
    fn send(&mut self, to: &ClientAddr, slices: &[Slice], segment: u16) {
        let bytes: usize = slices.iter().map(Slice::len).sum();
        let count = datagrams(bytes, segment);
        self.ledger.queue(count, bytes as u64);
        if slices.len() > SEGMENTS_MAX {
            self.ledger.refuse(count, bytes as u64, false);
            return;
        }
        if self.queued.len() == SEND_BATCH
            || self.slices.len() + slices.len() > self.slices.capacity()
        {
            self.flush();
        }
        self.slices.extend_from_slice(slices);
        self.queued.push(Queued { to: *to, end: self.slices.len(), segment });
    }

    fn egress(&self) -> Egress {
        self.ledger.egress()
    }

    /// Buffers are the shard's alone and come back every cycle: they never run out.
    fn starved(&self) -> u64 {
        0
    }
}
