//! The third back end: a network in memory, with a clock that someone else turns.
//!
//! Owns what a socket owns: a receive queue, receive buffers, a queue of sends. It promises what
//! [`Io`] asks and nothing kinder: buffers run out, trains are glued and split, `enter` comes back with
//! nothing, sends find the socket busy, as [`Mischief`] says and a seed decides. It waits for nobody:
//! `enter` notes what was asked ([`Memory::asked`]) and returns at once, and whoever turns the clock
//! decides when the next cycle runs. All memory is taken in [`Memory::new`].
//!
//! Relay ports have addresses, and nothing else of their own: what comes to any of them waits in a queue
//! beside the shard's, so that a flood of one is not a loss of the other.
//!
//! ```text
//!   deliver ─▶ queue ─▶ enter: buffers ─▶ receive ─▶ shard ─▶ send ─▶ settle ─▶ sent
//!              (bounded: dropped)                             (enter settles too)
//! ```
//! A [`Slice`] carries the generation of its buffer: bytes asked for after the next `enter` are a
//! panic here, where on a real ring they would be someone else's bytes.

mod mischief;
mod outbox;
mod pool;
mod ports;
mod queue;

use std::net::SocketAddr;

use elara_core::ClientAddr;
use elara_core::limits;
use elara_core::random::{Random, Seeded};
use elara_core::time::{Instant, Span, UnixMillis};

use super::lasting::Lasting;
use super::notes::Notes;
use super::{Io, Port, Refusal, Slice, Strain, Train, Unreachable, Wait};
use crate::counters::Egress;

pub use mischief::Mischief;
pub use outbox::{Outcome, Sent};

use outbox::{Origin, Outbox};
use pool::{LASTING, NOTES, Pool};
use ports::Ports;
use queue::Queue;

/// How much memory a [`Memory`] takes, once.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Receive buffers.
    pub buffers: usize,
    /// Bytes of each, at most 65,536.
    pub buffer_bytes: usize,
    /// Datagrams the receive queue holds; that of all relay ports together holds as many.
    pub queue_datagrams: usize,
    /// Their bytes.
    pub queue_bytes: usize,
    /// Sends queued before they are handed over on the spot.
    pub send_queue: usize,
    /// Datagrams kept for [`Memory::sent`]; 0: sends are judged and counted, and their bytes not kept.
    pub sent_datagrams: usize,
    /// Their bytes. Full is what a full send buffer is: `busy`.
    pub sent_bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            buffers: limits::RECEIVE_BUFFERS,
            buffer_bytes: 1 << 16,
            queue_datagrams: 4_096,
            queue_bytes: limits::SOCKET_BUFFER_BYTES,
            send_queue: limits::SEND_QUEUE,
            sent_datagrams: 1 << 16,
            sent_bytes: 64 << 20,
        }
    }
}

/// What the calendar of a new [`Memory`] says at [`Instant::ZERO`]: 15 January 2027.
const CALENDAR: UnixMillis = UnixMillis(1_800_000_000_000);

/// A socket that is only memory.
pub struct Memory {
    now: Instant,
    /// What the calendar said, and when.
    calendar: (UnixMillis, Instant),
    asked: Wait,
    queue: Queue,
    /// What comes to relay ports; without room before the first is opened.
    relayed: Queue,
    /// Datagrams and bytes it will have room for.
    relayed_room: (usize, usize),
    /// It is the relay ports' turn to get a buffer.
    relays_turn: bool,
    ports: Ports,
    pool: Pool,
    outbox: Outbox,
    lasting: Lasting,
    notes: Notes,
    mischief: Mischief,
    random: Seeded,
    strain: Strain,
    starved: u64,
    idle: u64,
    truncated: u64,
}

impl Memory {
    /// A quiet socket: kind until told otherwise.
    ///
    /// # Panics
    /// When a capacity cannot be: no buffers, or buffers longer than 65,536 bytes.
    #[must_use]
    pub fn new(capacity: Capacity, seed: u64, now: Instant) -> Self {
        Self {
            now,
            calendar: (CALENDAR, Instant::ZERO),
            asked: Wait::No,
            queue: Queue::new(capacity.queue_datagrams, capacity.queue_bytes),
            relayed: Queue::new(0, 0),
            relayed_room: (capacity.queue_datagrams, capacity.queue_bytes),
            relays_turn: false,
            ports: Ports::new(),
            pool: Pool::new(capacity.buffers, capacity.buffer_bytes),
            outbox: Outbox::new(capacity.send_queue, capacity.sent_datagrams, capacity.sent_bytes),
            lasting: Lasting::new(LASTING),
            notes: Notes::new(NOTES),
            mischief: Mischief::default(),
            random: Seeded::new(seed),
            strain: Strain::default(),
            starved: 0,
            idle: 0,
            truncated: 0,
        }
    }

    /// Turns the clock.
    ///
    /// # Panics
    /// When it would go back.
    pub fn set_now(&mut self, now: Instant) {
        assert!(now >= self.now, "the clock of a back end never goes back");
        self.now = now;
    }

    /// Sets the calendar: it says `moment` at the present, and goes on with the clock.
    pub const fn set_calendar(&mut self, moment: UnixMillis) {
        self.calendar = (moment, self.now);
    }

    /// Says how long the shard's thread has worked so far; not at all until told otherwise, for in memory
    /// work takes no time.
    ///
    /// # Panics
    /// When it would become less.
    pub fn set_worked(&mut self, worked: Span) {
        assert!(worked >= self.strain.worked, "nobody can work less than before");
        self.strain.worked = worked;
    }

    /// How unkind to be from here on.
    pub const fn mischief(&mut self) -> &mut Mischief {
        &mut self.mischief
    }

    /// A datagram arrives at the shard's own socket. False when its queue is full, and it is dropped.
    pub fn deliver(&mut self, from: &ClientAddr, datagram: &[u8]) -> bool {
        self.deliver_to(Port::DATA, from, datagram)
    }

    /// A datagram arrives at a port. False when its queue is full, or nobody has such a port, and it is
    /// dropped.
    pub fn deliver_to(&mut self, port: Port, from: &ClientAddr, datagram: &[u8]) -> bool {
        let Some(to) = self.ports.name(port) else { return false };
        let limit = self.mischief.queue_bytes;
        if port != Port::DATA {
            return self.relayed.push(to, from, datagram, limit);
        }
        let room = self.queue.push(to, from, datagram, limit);
        self.strain.overflowed += u64::from(!room);
        room
    }

    /// The network says something about what a relay port has sent. False when nobody has such a port, or too
    /// much waits to be heard.
    pub fn report(&mut self, report: Unreachable) -> bool {
        self.ports.report(report)
    }

    /// The address of an open relay port.
    #[must_use]
    pub fn local(&self, port: Port) -> Option<SocketAddr> {
        self.ports.local(port)
    }

    /// The open relay port that has an address.
    #[must_use]
    pub fn port_at(&self, local: SocketAddr) -> Option<Port> {
        self.ports.at(local)
    }

    /// Whether something has arrived that has not been received.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.relayed.is_empty() || self.pool.has_ready()
    }

    /// What the last `enter` was asked to wait for.
    #[must_use]
    pub const fn asked(&self) -> Wait {
        self.asked
    }

    /// What has been received since the last `enter`, in order; the slices are good until the next.
    #[must_use]
    pub fn handed(&self) -> &[Train] {
        self.pool.handed()
    }

    /// Judges the queued sends, as the next `enter` would.
    pub fn settle(&mut self) {
        self.outbox.settle(&self.pool, &mut self.ports, &self.mischief, &mut self.random);
    }

    /// The datagrams of all settled sends since the last [`Memory::clear_sent`], in order, whatever
    /// became of them.
    pub fn sent(&self) -> impl ExactSizeIterator<Item = Sent<'_>> {
        self.outbox.sent()
    }

    /// Forgets them: the wire has taken them.
    pub fn clear_sent(&mut self) {
        self.outbox.clear();
    }

    /// Datagrams that were counted `busy` because `sent` had no room to show them.
    #[must_use]
    pub const fn unseen(&self) -> u64 {
        self.outbox.unseen()
    }

    /// How often `enter` brought nothing although something waited, and how many messages were cut.
    #[must_use]
    pub const fn mischief_done(&self) -> (u64, u64) {
        (self.idle, self.truncated)
    }

    fn push(&mut self, origin: Origin, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        if !self.outbox.push(origin, to, slices, segment, tag) {
            self.settle();
            let queued = self.outbox.push(origin, to, slices, segment, tag);
            assert!(queued, "one send has more slices than a whole queue of sends");
        }
    }

    /// The kernel's half of `enter`: from the queues into free buffers, in turn.
    fn fill(&mut self) {
        let waits = !self.queue.is_empty() || !self.relayed.is_empty();
        if waits && self.random.chance(self.mischief.idle) {
            self.idle += 1;
            return;
        }
        let mut brought = 0;
        while brought < self.mischief.batch && !(self.queue.is_empty() && self.relayed.is_empty()) {
            let Some(buffer) = self.pool.take(self.mischief.buffers) else {
                self.starved += 1;
                return;
            };
            let longest = match self.random.chance(self.mischief.split) {
                true => 1 + self.random.below(self.mischief.train as u64) as usize,
                false => self.mischief.train,
            };
            let of_relays = !self.relayed.is_empty() && (self.relays_turn || self.queue.is_empty());
            let queue = if of_relays { &mut self.relayed } else { &mut self.queue };
            self.relays_turn = !of_relays;
            let taken = queue.take_train(self.pool.buffer_mut(buffer), longest);
            let Some(mut message) = taken.filter(|message| self.ports.knows(message.to)) else {
                self.pool.untake(buffer);
                continue;
            };
            if self.random.chance(self.mischief.truncate) {
                message.len = self.random.below(u64::from(message.len) + 1) as u16;
                message.truncated = true;
            }
            self.truncated += u64::from(message.truncated);
            self.pool.push_ready(buffer, message);
            brought += 1;
        }
    }
}

impl Io for Memory {
    fn enter(&mut self, wait: Wait) -> std::io::Result<()> {
        self.settle();
        self.lasting.settle();
        self.notes.clear();
        self.ports.enter();
        self.pool.recycle();
        self.asked = wait;
        self.fill();
        Ok(())
    }

    fn now(&mut self) -> Instant {
        self.now
    }

    fn calendar(&mut self) -> UnixMillis {
        let (moment, then) = self.calendar;
        UnixMillis(moment.0 + self.now.since(then).as_nanos() / 1_000_000)
    }

    fn receive(&mut self) -> Option<Train> {
        self.pool.hand()
    }

    fn put_back(&mut self, rest: Train) {
        if let Some(to) = self.ports.name(rest.port) {
            self.pool.put_back(&rest, to);
        }
    }

    fn bytes(&self, slice: Slice) -> &[u8] {
        self.pool.bytes(slice)
    }

    fn send_from(&mut self, port: Port, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        let origin = Origin { port, from: self.ports.local(port), unfragmented: false };
        if origin.from.is_none() && port != Port::DATA {
            return self.outbox.fail(slices, segment, tag);
        }
        self.push(origin, to, slices, segment, tag);
    }

    fn send_other_df(&mut self, port: Port, to: &ClientAddr, slices: &[Slice]) {
        match self.ports.local(port) {
            Some(from) => {
                let origin = Origin { port, from: Some(from), unfragmented: true };
                self.push(origin, to, slices, 0, 0);
            }
            // What may be cut may be of any length, as all is from there.
            None => self.send_from(port, to, slices, 0, 0),
        }
        self.settle();
    }

    fn note(&mut self, bytes: &[u8]) -> Option<Slice> {
        let (buffer, at) = self.notes.place(bytes.len())?;
        Some(self.pool.write(buffer, at, bytes))
    }

    fn open(&mut self, local: SocketAddr) -> std::io::Result<Port> {
        let port = self.ports.open(local)?;
        let (datagrams, bytes) = std::mem::take(&mut self.relayed_room);
        if datagrams > 0 {
            self.relayed = Queue::new(datagrams, bytes);
        }
        Ok(port)
    }

    fn close(&mut self, port: Port) {
        if self.ports.close(port) {
            self.pool.forget(port);
        }
    }

    fn unreachable(&mut self) -> Option<Unreachable> {
        self.ports.unreachable()
    }

    fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) {
        assert!(bytes.len() <= limits::V1_FRAME_MAX, "a shard makes no frame that long");
        if !self.outbox.push_bytes(to, bytes, tag) {
            self.settle();
            let queued = self.outbox.push_bytes(to, bytes, tag);
            assert!(queued, "one frame fits an empty queue");
        }
    }

    fn refused(&mut self) -> Option<Refusal> {
        self.outbox.refused()
    }

    fn reserve(&mut self) -> Option<u16> {
        self.lasting.reserve()
    }

    fn keep(&mut self, buffer: u16, at: usize, slice: Slice) -> Slice {
        self.pool.keep(buffer, at, slice)
    }

    fn release(&mut self, buffer: u16) {
        self.lasting.release(buffer);
    }

    fn strain(&mut self) -> Strain {
        self.strain
    }

    fn egress(&self) -> Egress {
        self.outbox.egress()
    }

    fn starved(&self) -> u64 {
        self.starved
    }
}

#[cfg(test)]
mod tests;
