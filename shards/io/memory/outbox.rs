//! Sends: queued with their slices, judged when they are handed over, and shown with their outcome.

use std::net::SocketAddr;

use elara_core::ClientAddr;
use elara_core::limits::SLICES_MAX;
use elara_core::random::Random;

use super::mischief::Mischief;
use super::pool::Pool;
use super::ports::Ports;
use crate::counters::{Egress, Refusal};
use crate::io::arena::Arena;
use crate::io::ledger::weigh;
use crate::io::refusals::Refusals;
use crate::io::{Port, Slice, Unreachable, is_possible};

/// What became of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The kernel took it.
    Sent,
    /// The socket's send buffer was full.
    Busy,
    /// It can not be sent there, or not like this.
    Failed,
}

/// One datagram of a settled send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    /// From which port.
    pub port: Port,
    /// The address of that port; `None` for the shard's own.
    pub from: Option<SocketAddr>,
    /// Where to.
    pub to: ClientAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Nobody on its way may cut it into fragments.
    pub unfragmented: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// Where a send comes from, and how it wants to travel.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) port: Port,
    /// The address of the port, unless it is the shard's own.
    pub(super) from: Option<SocketAddr>,
    pub(super) unfragmented: bool,
}

impl Origin {
    /// From the shard's own port.
    pub(super) const DATA: Self = Self { port: Port::DATA, from: None, unfragmented: false };
}

pub(super) struct Outbox {
    queued: Vec<Queued>,
    slices: Vec<Slice>,
    /// What queued sends carry that never was received.
    arena: Arena,
    records: Vec<Record>,
    bytes: Vec<u8>,
    /// What the records and their bytes may take; 0 records: nothing is kept.
    records_max: usize,
    bytes_max: usize,
    sends: u64,
    unseen: u64,
    egress: Egress,
    refusals: Refusals,
}

#[derive(Clone, Copy)]
struct Queued {
    origin: Origin,
    to: ClientAddr,
    /// Its slices, as a range of `slices`.
    first: usize,
    end: usize,
    segment: u16,
    tag: u32,
}

#[derive(Clone, Copy)]
struct Record {
    origin: Origin,
    to: ClientAddr,
    start: usize,
    len: usize,
    outcome: Outcome,
}

impl Outbox {
    pub(super) fn new(send_queue: usize, records_max: usize, bytes_max: usize) -> Self {
        Self {
            queued: Vec::with_capacity(send_queue),
            // A queue of single frames, or a few sends of very many slices.
            slices: Vec::with_capacity(send_queue.max(SLICES_MAX + 1)),
            arena: Arena::new(),
            records: Vec::with_capacity(records_max),
            bytes: Vec::with_capacity(if records_max == 0 { 0 } else { bytes_max }),
            records_max,
            bytes_max,
            sends: 0,
            unseen: 0,
            egress: Egress::default(),
            refusals: Refusals::new(),
        }
    }

    /// Queues a send; false, and nothing queued, when the queue must be settled first.
    pub(super) fn push(
        &mut self,
        origin: Origin,
        to: &ClientAddr,
        slices: &[Slice],
        segment: u16,
        tag: u32,
    ) -> bool {
        let first = self.slices.len();
        let end = first + slices.len();
        if self.queued.len() == self.queued.capacity() || end > self.slices.capacity() {
            return false;
        }
        self.slices.extend_from_slice(slices);
        self.queued.push(Queued { origin, to: *to, first, end, segment, tag });
        true
    }

    /// The same for one datagram of bytes that were never received.
    pub(super) fn push_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) -> bool {
        self.arena.keep(bytes).is_some_and(|slice| self.push(Origin::DATA, to, &[slice], 0, tag))
    }

    /// A send that never had a chance.
    pub(super) fn fail(&mut self, slices: &[Slice], segment: u16, tag: u32) {
        let refusal = weigh(slices.iter().map(Slice::len).sum(), segment, tag);
        self.egress.failed += u64::from(refusal.datagrams);
        self.refusals.push(refusal);
    }

    pub(super) fn settle(
        &mut self,
        pool: &Pool,
        ports: &mut Ports,
        mischief: &Mischief,
        random: &mut impl Random,
    ) {
        for index in 0..self.queued.len() {
            let send = self.queued[index];
            let outcome = self.settle_one(send, pool, mischief, random);
            if send.origin.port != Port::DATA {
                self.answer(send, outcome, ports, mischief);
            }
        }
        self.queued.clear();
        self.slices.clear();
        self.arena.clear();
    }

    fn settle_one(
        &mut self,
        send: Queued,
        pool: &Pool,
        mischief: &Mischief,
        random: &mut impl Random,
    ) -> Outcome {
        self.sends += 1;
        let total = self.total(send);
        // The kernel cuts only what is longer than one segment.
        let refusal = weigh(total, send.segment, send.tag);
        let datagrams = refusal.datagrams as usize;
        let step = if datagrams > 1 { usize::from(send.segment) } else { total };
        let possible = is_possible(send.end - send.first, &refusal)
            && (!send.origin.unfragmented || total <= mischief.unfragmented_max);
        // A relay socket has one family.
        let strange = send.origin.from.is_some_and(|it| it.is_ipv4() != send.to.ip().is_ipv4());
        let no_route = strange || send.to.port() == 0 || mischief.unreachable.contains(&send.to);
        let outcome = if !possible || no_route {
            Outcome::Failed
        } else if random.chance(mischief.busy)
            || mischief.busy_every > 0 && self.sends.is_multiple_of(mischief.busy_every)
        {
            Outcome::Busy
        } else {
            Outcome::Sent
        };
        let outcome = if self.record(send, step, total, datagrams, outcome, pool) {
            outcome
        } else {
            self.unseen += datagrams as u64;
            Outcome::Busy
        };
        match outcome {
            Outcome::Sent => {
                self.egress.sent += datagrams as u64;
                self.egress.bytes += total as u64;
            }
            Outcome::Busy => self.egress.busy += datagrams as u64,
            Outcome::Failed => self.egress.failed += datagrams as u64,
        }
        if outcome != Outcome::Sent {
            self.refusals.push(refusal);
        }
        outcome
    }

    fn total(&self, send: Queued) -> usize {
        self.slices[send.first..send.end].iter().map(Slice::len).sum()
    }

    /// What the network says to a relay port about a send.
    fn answer(&self, send: Queued, outcome: Outcome, ports: &mut Ports, mischief: &Mischief) {
        let (port, to, v4) = (send.origin.port, send.to, send.to.ip().is_ipv4());
        let longest = mischief.unfragmented_max;
        if outcome == Outcome::Sent && mischief.deaf.contains(&to) {
            let (kind, code) = if v4 { (3, 3) } else { (1, 4) };
            ports.report(Unreachable { port, to, kind, code, info: 0 });
        } else if send.origin.unfragmented && self.total(send) > longest {
            let (kind, code, heads) = if v4 { (3, 4, 28) } else { (2, 0, 48) };
            ports.report(Unreachable { port, to, kind, code, info: longest as u32 + heads });
        }
    }

    /// Keeps the datagrams of a send to be shown. False when there is no room for them.
    fn record(
        &mut self,
        send: Queued,
        step: usize,
        total: usize,
        datagrams: usize,
        outcome: Outcome,
        pool: &Pool,
    ) -> bool {
        if self.records_max == 0 {
            return true;
        }
        let mut start = self.bytes.len();
        if self.records.len() + datagrams > self.records_max || start + total > self.bytes_max {
            return false;
        }
        for slice in &self.slices[send.first..send.end] {
            let bytes = self.arena.bytes(*slice).unwrap_or_else(|| pool.bytes(*slice));
            self.bytes.extend_from_slice(bytes);
        }
        for _ in 0..datagrams {
            let len = step.min(self.bytes.len() - start);
            self.records.push(Record { origin: send.origin, to: send.to, start, len, outcome });
            start += len;
        }
        true
    }

    pub(super) fn sent(&self) -> impl ExactSizeIterator<Item = Sent<'_>> {
        self.records.iter().map(|record| Sent {
            port: record.origin.port,
            from: record.origin.from,
            unfragmented: record.origin.unfragmented,
            to: record.to,
            bytes: &self.bytes[record.start..record.start + record.len],
            outcome: record.outcome,
        })
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
    }

    pub(super) const fn unseen(&self) -> u64 {
        self.unseen
    }

    pub(super) fn refused(&mut self) -> Option<Refusal> {
        self.refusals.pop()
    }

    pub(super) const fn egress(&self) -> Egress {
        self.egress
    }
}
