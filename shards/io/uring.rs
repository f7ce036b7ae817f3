//! io_uring: multishot receive into a provided buffer ring, GRO trains split in place, sends that never wait.
//!
//! Buffers recycle one cycle later: everything sent from them has left the process by then, because every
//! send carries MSG_DONTWAIT and ends inside `io_uring_enter`. A multishot posts at most a few dozen
//! messages before it yields, so [`Io::receive`] asks again before it says "no more": a burst
//! stays whole, within the shard's budget.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::{
    LASTING_BUFFERS, RECEIVE_BUFFERS, SEGMENTS_MAX, SEND_QUEUE, V1_FRAME_MAX,
};
use elara_core::time::{Instant, UnixMillis};

use super::lasting::Lasting;
use super::ledger::{Ledger, weigh};
use super::meter::Meter;
use super::{Io, Refusal, Slice, Strain, Train, Wait, is_lasting, pieces};
use crate::counters::{Egress, Reason};
use crate::sys::cpu;
use crate::sys::message::Family;
use crate::sys::ring::{Completion, Ring};
use crate::sys::wait::Bell;

/// The io_uring back end of one shard.
pub struct Uring {
    ring: Ring,
    /// Buffers the shard is reading from, to be recycled at the next `enter`.
    held: Vec<u16>,
    /// What the last cycle left of its last train; its buffer is not in `held`.
    rest: Option<Train>,
    /// Why receiving cannot go on, to be told by the next `enter`.
    broken: Option<io::Error>,
    lasting: Lasting,
    ledger: Ledger,
    meter: Meter,
    starved: u64,
    /// Receiving has ended and must be armed again once buffers are back.
    ended: bool,
    now: Instant,
    socket: UdpSocket,
}

impl Uring {
    /// A back end over `socket`, woken by `bell`. Must be used on the thread that made it.
    ///
    /// # Errors
    /// When the kernel has no io_uring, forbids it, or is older than 6.1.
    pub fn new(socket: UdpSocket, bell: &Bell) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let family = Family::of(&socket.local_addr()?);
        let (buffers, lasting) = (RECEIVE_BUFFERS as u16, LASTING_BUFFERS as u16);
        let ring = Ring::new(socket.as_fd(), family, bell, buffers, SEND_QUEUE as u32, lasting)?;
        Ok(Self {
            ring,
            held: Vec::with_capacity(RECEIVE_BUFFERS),
            rest: None,
            broken: None,
            lasting: Lasting::new(RECEIVE_BUFFERS as u16),
            ledger: Ledger::new(),
            meter: Meter::default(),
            starved: 0,
            ended: false,
            now: cpu::monotonic(),
            socket,
        })
    }

    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Gives back what the last cycle read from, once its sends have left. While the kernel cannot take
    /// them (out of memory, say), the buffers stay: otherwise others' bytes would leave in their place.
    fn recycle(&mut self) {
        if !self.ring.is_settled() {
            return;
        }
        for buffer in self.held.drain(..) {
            self.ring.recycle(buffer);
        }
        self.ring.publish();
        self.lasting.settle();
        if self.ended {
            self.ended = false;
            self.ring.arm();
        }
    }
}

impl Io for Uring {
    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if self.ended {
            // Nothing arrives before receiving is armed again, and that needs the buffers back first.
            self.ring.submit()?;
            self.recycle();
        }
        match wait {
            Wait::No => self.ring.submit()?,
            Wait::Forever => self.ring.wait(None)?,
            // Counted from the cycle's one clock reading: what the cycle took, the wait is longer.
            Wait::Until(deadline) if deadline > self.now => {
                self.ring.wait(Some(deadline.since(self.now)))?;
            }
            Wait::Until(_) => self.ring.submit()?,
        }
        self.recycle();
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
            self.held.push(rest.slice.buffer);
            return Some(rest);
        }
        loop {
            match self.ring.complete() {
                Some(Completion::Received { buffer, start, len, from, segment, truncated }) => {
                    self.held.push(buffer);
                    let slice = Slice { buffer, len, start };
                    return Some(Train { from, slice, segment, truncated });
                }
                Some(Completion::Spoiled { buffer }) => self.held.push(buffer),
                Some(Completion::Ended { error }) => {
                    self.ended = true;
                    self.starved += 1;
                    self.broken = error.map(io::Error::from_raw_os_error).filter(is_lasting);
                }
                Some(Completion::Woken) => {}
                Some(Completion::Refused { send, why }) => self.ledger.refuse(send, why),
                None => {
                    if !self.ring.has_more() {
                        return None;
                    }
                    self.ring.submit().ok()?;
                }
            }
        }
    }

    fn put_back(&mut self, rest: Train) {
        let last = self.held.pop();
        debug_assert_eq!(
            last,
            Some(rest.slice.buffer),
            "only the train just received can be put back"
        );
        self.rest = Some(rest);
    }

    #[inline]
    fn bytes(&self, slice: Slice) -> &[u8] {
        self.ring.bytes(slice.buffer, slice.start, slice.len)
    }

    #[inline]
    fn send(&mut self, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        if segment > 0 && !self.ledger.cuts() {
            pieces(slices, segment).for_each(|piece| self.send(to, &[piece], 0, tag));
            return;
        }
        let send = weigh(slices.iter().map(Slice::len).sum(), segment, tag);
        self.ledger.queue(&send);
        let parts = slices.iter().map(|slice| (slice.buffer, slice.start, slice.len));
        let possible = slices.len().max(send.datagrams as usize) <= SEGMENTS_MAX;
        if !possible || !self.ring.send(to, parts, segment, tag) {
            self.ledger.refuse(send, if possible { Reason::Busy } else { Reason::Failed });
        }
    }

    #[inline]
    fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) {
        assert!(bytes.len() <= V1_FRAME_MAX, "a shard makes no frame that long");
        let send = weigh(bytes.len(), 0, tag);
        self.ledger.queue(&send);
        if !self.ring.send_bytes(to, bytes, tag) {
            self.ledger.refuse(send, Reason::Busy);
        }
    }

    #[inline]
    fn refused(&mut self) -> Option<Refusal> {
        self.ledger.refused()
    }

    fn reserve(&mut self) -> Option<u16> {
        self.lasting.reserve()
    }

    fn keep(&mut self, buffer: u16, at: usize, slice: Slice) -> Slice {
        let start = self.ring.keep(buffer, at, (slice.buffer, slice.start, slice.len));
        Slice { buffer, start, ..slice }
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

    fn starved(&self) -> u64 {
        self.starved
    }
}
