//! io_uring: multishot receive into a provided buffer ring, GRO trains split in place, sends that never
//! wait.
//!
//! Buffers recycle one cycle later: everything sent from them has left the process by then, because every
//! send carries MSG_DONTWAIT and ends inside `io_uring_enter`. A multishot posts at most a few dozen
//! messages before it yields, so [`Io::receive`] asks again before it says "no more": a burst
//! stays whole, within the shard's budget.
//!
//! All sockets are registered files and receive into the same buffers, each by a multishot of its own. When
//! buffers run out, every multishot that wanted one has ended; they are armed again when buffers are back,
//! the shard's own socket first, the others in turn and no more of them in a cycle than there are buffers.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use elara_core::ClientAddr;
use elara_core::limits::{
    CYCLE_ARMS_MAX, LASTING_BUFFERS, NOTE_BUFFERS, RECEIVE_BUFFERS, RELAY_SOCKETS_MAX, SEND_QUEUE,
    SLICES_MAX, V1_FRAME_MAX,
};
use elara_core::time::{Instant, UnixMillis};

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
use crate::sys::mmsg::SendBatch;
use crate::sys::ring::{Completion, Ring, Sizes};
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
    notes: Notes,
    ledger: Ledger,
    meter: Meter,
    starved: u64,
    now: Instant,
    socket: UdpSocket,
    relays: Sockets,
    /// For what goes past the ring.
    aside: SendBatch,
    family: Family,
}

impl Uring {
    /// A back end over `socket`, woken by `bell`. Must be used on the thread that made it.
    ///
    /// # Errors
    /// When the kernel has no io_uring, forbids it, or is older than 6.1.
    pub fn new(socket: UdpSocket, bell: &Bell) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let family = Family::of(&socket.local_addr()?);
        // A ring has no more registered files than the process may have descriptors.
        let descriptors = usize::try_from(cpu::raise_descriptor_limit()).unwrap_or(usize::MAX);
        let sockets = RELAY_SOCKETS_MAX.min(descriptors.saturating_sub(1));
        let sizes = Sizes {
            buffers: RECEIVE_BUFFERS as u16,
            lasting: (LASTING_BUFFERS + NOTE_BUFFERS) as u16,
            sends: SEND_QUEUE as u32,
            sockets: sockets as u32,
        };
        let ring = Ring::new(socket.as_fd(), family, bell, sizes)?;
        Ok(Self {
            ring,
            held: Vec::with_capacity(RECEIVE_BUFFERS),
            rest: None,
            broken: None,
            lasting: Lasting::new(RECEIVE_BUFFERS as u16),
            notes: Notes::new((RECEIVE_BUFFERS + LASTING_BUFFERS) as u16),
            ledger: Ledger::new(),
            meter: Meter::default(),
            starved: 0,
            now: cpu::monotonic(),
            socket,
            relays: Sockets::new(sockets),
            aside: SendBatch::new(1, SLICES_MAX, family),
            family,
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
        self.notes.clear();
        self.let_go();
    }

    /// Lets go of closed sockets with which the kernel is done. The ring is settled: all that was queued
    /// from them has left.
    fn let_go(&mut self) {
        while self.ring.is_finished()
            && let Some(slot) = self.ring.next_free()
        {
            self.relays.free(Port(slot));
        }
    }

    /// Receiving on a socket has ended: for want of a buffer, or because of what the network said.
    #[cold]
    fn ended(&mut self, port: Port, error: Option<i32>) {
        let error = error.map(io::Error::from_raw_os_error);
        self.starved += u64::from(error.is_none() || port == Port::DATA);
        if port == Port::DATA {
            self.broken = error.filter(is_lasting);
        } else if let Some(error) = error {
            self.relays.suspect(port);
            // One that is no good stays silent until it is closed. What ICMP can say is not for ever.
            if is_lasting(&error) && error.raw_os_error() != Some(libc::EOPNOTSUPP) {
                return;
            }
        }
        self.ring.owe(port.0);
    }

    /// A send that was refused may have been told what the network said of an earlier one.
    fn suspect(&mut self, port: Port, why: Reason) {
        if port != Port::DATA && why != Reason::Busy {
            self.relays.suspect(port);
        }
    }

    /// Sends past the ring, at once and behind what is queued, from a socket that may be told of an error in
    /// between: in the ring that would be the end of the send it hits.
    #[cold]
    fn send_aside(
        &mut self,
        port: Port,
        to: &ClientAddr,
        slices: &[Slice],
        segment: u16,
        send: Refusal,
    ) {
        if !self.ring.is_settled() {
            let _ = self.ring.submit();
        }
        let Some(socket) = self.relays.find(port) else { return };
        let bytes = slices.iter().map(|it| self.ring.bytes(it.buffer, it.start, it.len));
        let (refused, heard) = self.aside.send_relayed(socket, to, bytes, segment);
        if let Some(why) = refused {
            self.ledger.refuse(port, send, why);
        }
        if heard {
            self.relays.suspect(port);
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

impl Io for Uring {
    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.relays.enter();
        if self.ring.is_owed() {
            // Nothing arrives before receiving is armed again, and that needs the buffers back first.
            self.ring.submit()?;
            if self.ring.is_settled() {
                self.recycle();
                self.ring.arm(CYCLE_ARMS_MAX);
            }
        }
        match wait {
            // Who is not armed yet has something that waits.
            _ if self.ring.is_owed() => self.ring.submit()?,
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
        // Asked once, the kernel posts what it has. Its flag alone proves nothing: a cpu that queues work
        // raises it behind the work, perhaps when that is done already, and then it stays up.
        let mut asked = false;
        loop {
            let completion = self.ring.complete();
            asked &= completion.is_none();
            match completion {
                Some(Completion::Received {
                    slot,
                    buffer,
                    start,
                    len,
                    from,
                    segment,
                    truncated,
                }) => {
                    self.held.push(buffer);
                    let slice = Slice { buffer, len, start };
                    return Some(Train { port: Port(slot), from, slice, segment, truncated });
                }
                Some(Completion::Spoiled { buffer }) => self.held.push(buffer),
                Some(Completion::Ended { slot, error }) => self.ended(Port(slot), error),
                Some(Completion::Woken | Completion::Internal) => {}
                Some(Completion::Refused { slot, send, why }) => {
                    self.ledger.refuse(Port(slot), send, why);
                    self.suspect(Port(slot), why);
                }
                None if !asked && self.ring.has_more() => {
                    asked = true;
                    self.ring.submit().ok()?;
                }
                None if self.ring.is_finished() => {
                    self.ring.submit().ok()?;
                    if !self.ring.is_settled() {
                        return None;
                    }
                    self.let_go();
                }
                None => return None,
            }
        }
    }

    fn put_back(&mut self, rest: Train) {
        if rest.port != Port::DATA && self.relays.find(rest.port).is_none() {
            // It was closed meanwhile. The buffer goes back with the others.
            return;
        }
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
    fn send_from(&mut self, port: Port, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        if segment > 0 && !self.ledger.cuts(port) {
            return self.send_pieces(port, to, slices, segment, tag);
        }
        let send = weigh(slices.iter().map(Slice::len).sum(), segment, tag);
        self.ledger.queue(&send);
        let parts = slices.iter().map(|slice| (slice.buffer, slice.start, slice.len));
        let possible = is_possible(slices.len(), &send);
        if possible && port != Port::DATA && self.relays.troubled(port).is_some() {
            return self.send_aside(port, to, slices, segment, send);
        }
        if !possible || !self.ring.send(port.0, to, parts, segment, tag) {
            let is_open = port == Port::DATA || self.relays.find(port).is_some();
            let why = if possible && is_open { Reason::Busy } else { Reason::Failed };
            self.ledger.refuse(port, send, why);
        }
    }

    fn send_other_df(&mut self, port: Port, to: &ClientAddr, slices: &[Slice]) {
        // What is queued leaves first.
        let _ = self.ring.submit();
        let send = weigh(slices.iter().map(Slice::len).sum(), 0, 0);
        self.ledger.queue(&send);
        let bytes = slices.iter().map(|it| self.ring.bytes(it.buffer, it.start, it.len));
        let refused = match self.relays.find(port) {
            Some(socket) => {
                let (refused, heard) = self.aside.send_unfragmented(socket, to, bytes);
                if heard {
                    self.relays.heard(port, to);
                }
                refused
            }
            None if port == Port::DATA => {
                self.aside.send_fragmentable((self.socket.as_fd(), self.family), to, bytes)
            }
            None => Some(Reason::Failed),
        };
        if let Some(why) = refused {
            self.ledger.refuse(port, send, why);
        }
    }

    fn note(&mut self, bytes: &[u8]) -> Option<Slice> {
        let (buffer, at) = self.notes.place(bytes.len())?;
        let start = self.ring.write(buffer, at, bytes);
        Some(Slice { buffer, len: bytes.len() as u16, start })
    }

    fn open(&mut self, local: SocketAddr) -> io::Result<Port> {
        let port = self.relays.open(local)?;
        let Some((socket, family)) = self.relays.find(port) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match self.ring.attach(port.0, socket, family) {
            Ok(()) => Ok(port),
            Err(error) => {
                self.relays.free(port);
                Err(error)
            }
        }
    }

    fn close(&mut self, port: Port) {
        if self.relays.close(port) {
            self.ring.detach(port.0);
            let rest = self.rest.take_if(|rest| rest.port == port);
            self.held.extend(rest.map(|rest| rest.slice.buffer));
        }
    }

    fn unreachable(&mut self) -> Option<Unreachable> {
        self.relays.unreachable()
    }

    #[inline]
    fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) {
        assert!(bytes.len() <= V1_FRAME_MAX, "a shard makes no frame that long");
        let send = weigh(bytes.len(), 0, tag);
        self.ledger.queue(&send);
        if !self.ring.send_bytes(to, bytes, tag) {
            self.ledger.refuse(Port::DATA, send, Reason::Busy);
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

#[cfg(test)]
mod tests;
