//! epoll, recvmmsg and sendmmsg: the back end for kernels and containers without io_uring, and the yardstick.
//!
//! Receives into consecutive buffers of one pool during a cycle, so that everything sent in it can be sent
//! from there; sends are queued and handed over in batches, always without waiting.
//!
//! The sockets that have something are read in turn, some messages of each. As long as there is only the
//! shard's own, nobody asks the kernel which those are unless there is time to wait.

mod turns;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::{
    LASTING_BUFFER, LASTING_BUFFERS, NOTE_BUFFERS, RECEIVE_BUFFERS, RELAY_SOCKETS_MAX, SEND_ARENA,
    SLICES_MAX, V1_FRAME_MAX,
};
use elara_core::time::{Instant, Span, UnixMillis};

use super::arena::Arena;
use super::cut::cut;
use super::lasting::Lasting;
use super::ledger::{Ledger, weigh};
use super::meter::Meter;
use super::notes::Notes;
use super::sockets::Sockets;
use super::{Io, Port, Refusal, Slice, Strain, Train, Unreachable, Wait, is_lasting, is_possible};
use crate::counters::{Egress, Reason};
use crate::sys::cpu;
use crate::sys::message::Family;
use crate::sys::mmsg::{RecvBatch, SendBatch};
use crate::sys::wait::{Bell, Poll};
use turns::Turns;

/// Bytes of one receive buffer: room for the longest train.
const BUFFER: usize = 65_536;
/// Messages per recvmmsg; more buys nothing.
const RECEIVE_BATCH: usize = 8;
/// Messages per sendmmsg.
const SEND_BATCH: usize = 64;
/// Slices in all of them together: a batch of single frames, or a few sends of very many slices.
const SEND_SLICES: usize = 2 * SLICES_MAX;
/// Sockets that one wait names at most; the next one names others first.
const READY: usize = 256;

// The arena is emptied with every batch, so the batch is full first.
const _: () = assert!(SEND_BATCH * V1_FRAME_MAX <= SEND_ARENA);
const _: () = assert!(SEND_BATCH <= SEND_SLICES);

/// What the poll calls the bell; sockets it calls by their port.
const BELL: u64 = u64::MAX;
/// Whose message it is that came to a socket which has been closed since.
const NOBODY: Port = Port(u16::MAX);

/// The system-call back end of one shard.
pub struct Syscall {
    socket: UdpSocket,
    bell: Bell,
    poll: Poll,
    inbox: RecvBatch,
    /// To which port each message came.
    came_to: Box<[Port]>,
    /// Buffers `..next` hold messages the shard has seen this cycle, `next..filled` such it has not.
    next: usize,
    filled: usize,
    /// What the last cycle left of its last train; its buffer lies below `next`.
    rest: Option<Train>,
    /// Which sockets are to be read.
    turns: Turns,
    /// Why receiving cannot go on, to be told by the next `enter`.
    broken: Option<io::Error>,
    outbox: SendBatch,
    queued: Vec<Queued>,
    slices: Vec<Slice>,
    /// What queued sends carry that never was in the inbox.
    arena: Arena,
    lasting: Lasting,
    notes: Notes,
    /// The buffers that outlive a cycle, numbered on from the inbox's, and behind them those for notes.
    kept: Box<[u8]>,
    relays: Sockets,
    /// Ports that are closed and have their numbers until the next `enter`.
    closed: Vec<Port>,
    ledger: Ledger,
    meter: Meter,
    now: Instant,
    family: Family,
}

#[derive(Clone, Copy)]
struct Queued {
    port: Port,
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
        let poll = Poll::new(READY)?;
        poll.watch(socket.as_fd(), u64::from(Port::DATA.0))?;
        poll.watch(bell.as_fd(), BELL)?;
        // How many there may be shows when one is opened.
        let _ = cpu::raise_descriptor_limit();
        Ok(Self {
            socket,
            bell: bell.clone(),
            poll,
            inbox: RecvBatch::new(RECEIVE_BUFFERS, BUFFER),
            came_to: [Port::DATA; RECEIVE_BUFFERS].into(),
            next: 0,
            filled: 0,
            rest: None,
            turns: Turns::new(),
            broken: None,
            outbox: SendBatch::new(SEND_BATCH, SEND_SLICES, family),
            queued: Vec::with_capacity(SEND_BATCH),
            slices: Vec::with_capacity(SEND_SLICES),
            arena: Arena::new(),
            lasting: Lasting::new(RECEIVE_BUFFERS as u16),
            notes: Notes::new((RECEIVE_BUFFERS + LASTING_BUFFERS) as u16),
            kept: vec![0; (LASTING_BUFFERS + NOTE_BUFFERS) * LASTING_BUFFER].into(),
            relays: Sockets::new(RELAY_SOCKETS_MAX),
            closed: Vec::new(),
            ledger: Ledger::new(),
            meter: Meter::default(),
            now: cpu::monotonic(),
            family,
        })
    }

    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    fn flush(&mut self) {
        let (mut done, mut first) = (0, 0);
        // One system call sends from one socket: those of one port that stand together.
        while let Some(Queued { port, .. }) = self.queued.get(done).copied() {
            let run = self.queued[done..].iter().take_while(|queued| queued.port == port).count();
            let own = (self.socket.as_fd(), self.family);
            // What is queued has an open port: closing one hands over what is queued.
            let (socket, family) = self.relays.find(port).unwrap_or(own);
            let mut sending = self.outbox.begin_for(family);
            for queued in &self.queued[done..done + run] {
                let slices = &self.slices[first..queued.end];
                first = queued.end;
                let bytes = slices.iter().map(|slice| match self.arena.bytes(*slice) {
                    Some(own) => own,
                    None => slice_of(&self.inbox, &self.kept, *slice),
                });
                let pushed = sending.push(Some(&queued.to), bytes, queued.segment);
                assert!(pushed, "a batch has room for a whole queue");
            }
            let refused = |message: usize, why| {
                self.ledger.refuse(port, self.queued[done + message].send, why);
            };
            if port == Port::DATA {
                sending.flush_telling(socket, refused);
            } else if sending.flush_relayed(socket, refused) {
                self.relays.suspect(port);
            }
            done += run;
        }
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

    fn queue(&mut self, port: Port, to: &ClientAddr, segment: u16, send: Refusal) {
        self.queued.push(Queued { port, to: *to, end: self.slices.len(), segment, send });
    }

    /// So many messages have come to a port, into the next buffers.
    #[inline]
    fn came(&mut self, port: Port, messages: usize) {
        self.came_to[self.filled..self.filled + messages].fill(port);
        self.filled += messages;
    }

    /// Reads some of what has come to a relay socket, whose turn it is.
    fn read(&mut self, port: Port) {
        let received = match self.relays.find(port) {
            Some((socket, _)) => self.inbox.receive(socket, self.filled, RECEIVE_BATCH),
            None => Ok(0),
        };
        match received {
            Ok(received) if received == RECEIVE_BATCH => {
                self.came(port, received);
                self.turns.next();
            }
            Ok(received) => {
                self.came(port, received);
                self.turns.leave();
                if received == 0 {
                    // It was named for something else: an error.
                    self.relays.suspect(port);
                }
            }
            Err(_) => {
                self.turns.leave();
                self.relays.suspect(port);
            }
        }
    }

    /// Cuts a send that no device can be asked to cut.
    #[cold]
    fn send_pieces(
        &mut self,
        port: Port,
        to: &ClientAddr,
        slices: &[Slice],
        segment: u16,
        tag: u32,
    ) {
        let send = weigh(slices.iter().map(Slice::len).sum(), segment, tag);
        if is_possible(slices.len(), &send) {
            cut(slices, segment, |parts| self.send_from(port, to, parts, 0, tag));
        } else {
            self.ledger.queue(&send);
            self.ledger.refuse(port, send, Reason::Failed);
        }
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
        self.notes.clear();
        self.relays.enter();
        self.closed.drain(..).for_each(|port| self.relays.free(port));
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
        // A cycle with nothing to wait for goes straight to recvmmsg, which answers the same question for one
        // socket.
        if timeout != Some(Span::ZERO) || !self.relays.is_empty() {
            let mut rung = false;
            for token in self.poll.wait(timeout)? {
                match u16::try_from(token) {
                    Ok(port) => self.turns.join(Port(port)),
                    Err(_) => rung |= token == BELL,
                }
            }
            if rung {
                self.bell.silence();
            }
        }
        self.turns.join(Port::DATA);
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
                let port = self.came_to[slot];
                let message = self.inbox.message(slot);
                if let Some(from) = message.from
                    && port != NOBODY
                {
                    let len = message.len.min(BUFFER - 1) as u16;
                    let slice = Slice { buffer: slot as u16, len, start: 0 };
                    let (segment, truncated) = (message.segment, message.truncated);
                    return Some(Train { port, from, slice, segment, truncated });
                }
            }
            if self.filled == self.inbox.slots() {
                return None;
            }
            match self.turns.first()? {
                Port::DATA => {
                    match self.inbox.receive(self.socket.as_fd(), self.filled, RECEIVE_BATCH) {
                        Ok(0) => self.turns.leave(),
                        Ok(received) => {
                            self.came(Port::DATA, received);
                            self.turns.next();
                        }
                        Err(error) => {
                            self.turns.leave();
                            self.broken = Some(error).filter(is_lasting);
                        }
                    }
                }
                port => self.read(port),
            }
        }
    }

    fn put_back(&mut self, rest: Train) {
        let is_open = rest.port == Port::DATA || self.relays.find(rest.port).is_some();
        self.rest = Some(rest).filter(|_| is_open);
    }

    #[inline]
    fn bytes(&self, slice: Slice) -> &[u8] {
        slice_of(&self.inbox, &self.kept, slice)
    }

    #[inline]
    fn send_from(&mut self, port: Port, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        if segment > 0 && !self.ledger.cuts(port) {
            return self.send_pieces(port, to, slices, segment, tag);
        }
        let send = weigh(slices.iter().map(Slice::len).sum(), segment, tag);
        self.ledger.queue(&send);
        let is_open = port == Port::DATA || self.relays.find(port).is_some();
        if !is_open || !is_possible(slices.len(), &send) {
            self.ledger.refuse(port, send, Reason::Failed);
            return;
        }
        self.make_room(slices.len());
        self.slices.extend_from_slice(slices);
        self.queue(port, to, segment, send);
    }

    fn send_other_df(&mut self, port: Port, to: &ClientAddr, slices: &[Slice]) {
        // What is queued leaves first.
        self.flush();
        let send = weigh(slices.iter().map(Slice::len).sum(), 0, 0);
        self.ledger.queue(&send);
        let bytes = slices.iter().map(|slice| slice_of(&self.inbox, &self.kept, *slice));
        let refused = match self.relays.find(port) {
            Some(socket) => {
                let (refused, heard) = self.outbox.send_unfragmented(socket, to, bytes);
                if heard {
                    self.relays.heard(port, to);
                }
                refused
            }
            None if port == Port::DATA => {
                self.outbox.send_fragmentable((self.socket.as_fd(), self.family), to, bytes)
            }
            None => Some(Reason::Failed),
        };
        if let Some(why) = refused {
            self.ledger.refuse(port, send, why);
        }
    }

    fn note(&mut self, bytes: &[u8]) -> Option<Slice> {
        let (buffer, at) = self.notes.place(bytes.len())?;
        let lasting = &mut self.kept[(usize::from(buffer) - RECEIVE_BUFFERS) * LASTING_BUFFER..];
        lasting[at..at + bytes.len()].copy_from_slice(bytes);
        Some(Slice { buffer, len: bytes.len() as u16, start: at as u32 })
    }

    fn open(&mut self, local: SocketAddr) -> io::Result<Port> {
        let port = self.relays.open(local)?;
        let Some((socket, _)) = self.relays.find(port) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match self.poll.watch(socket, u64::from(port.0)) {
            Ok(()) => {
                self.turns.meet(port);
                self.closed.reserve(usize::from(port.0));
                Ok(port)
            }
            Err(error) => {
                self.relays.free(port);
                Err(error)
            }
        }
    }

    fn close(&mut self, port: Port) {
        if self.relays.find(port).is_none() {
            return;
        }
        self.flush();
        self.relays.close(port);
        self.closed.push(port);
        self.rest.take_if(|rest| rest.port == port);
        let unread = &mut self.came_to[self.next..self.filled];
        unread.iter_mut().filter(|came_to| **came_to == port).for_each(|it| *it = NOBODY);
    }

    fn unreachable(&mut self) -> Option<Unreachable> {
        self.relays.unreachable()
    }

    #[inline]
    fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) {
        assert!(bytes.len() <= V1_FRAME_MAX, "a shard makes no frame that long");
        let send = weigh(bytes.len(), 0, tag);
        self.ledger.queue(&send);
        self.make_room(1);
        let slice = self.arena.keep(bytes).expect("the arena holds a batch of the longest frames");
        self.slices.push(slice);
        self.queue(Port::DATA, to, 0, send);
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

#[cfg(test)]
mod tests;
