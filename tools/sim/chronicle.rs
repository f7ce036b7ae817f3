//! What is written down of a run: its trace and its sums, to be told at its end.

use elara_core::time::Instant;

use crate::checkers::Breach;
use crate::faults::{Fault, Faults};
use crate::host::Host;
use crate::trace::{Event, Sink, Trace};
use crate::{Options, Summary, Violation};

/// A run so far.
pub(crate) struct Chronicle<'a> {
    pub(crate) options: Options,
    begin: Instant,
    pub(crate) trace: Trace<'a>,
    deliveries: u64,
    pub(crate) pairs_healed: u64,
    /// What killed shards had counted.
    datagrams: u64,
    copies: u64,
    cycles: u64,
}

impl<'a> Chronicle<'a> {
    pub(crate) fn new(options: Options, begin: Instant, sink: Option<&'a mut Sink<'a>>) -> Self {
        Self {
            options,
            begin,
            trace: Trace::new(sink),
            deliveries: 0,
            pairs_healed: 0,
            datagrams: 0,
            copies: 0,
            cycles: 0,
        }
    }

    /// Time since the world began.
    fn elapsed(&self, now: Instant) -> Instant {
        Instant::ZERO + now.since(self.begin)
    }

    /// The world does something to someone.
    pub(crate) fn note(&mut self, now: Instant, what: &'static str, number: u64) {
        self.trace.add(self.elapsed(now), Event::Act { what, number });
    }

    /// A participant is handed the `number`th frame of `sender`.
    pub(crate) fn hand(&mut self, now: Instant, receiver: u32, sender: u32, number: u32) {
        self.deliveries += 1;
        self.trace.add(self.elapsed(now), Event::Handed { receiver, sender, number });
    }

    /// Keeps what a shard has counted before it is killed.
    pub(crate) fn bury(&mut self, host: &mut Host, faults: &mut Faults) {
        let counters = host.counters();
        self.datagrams += counters.datagrams;
        self.copies += counters.copies;
        self.cycles += counters.cycles;
        faults.add(Fault::Busy, counters.egress.busy);
        faults.add(Fault::Unreachable, counters.egress.failed);
        faults.add(Fault::Starved, counters.starved);
        let (idle, truncated) = host.memory().mischief_done();
        faults.add(Fault::Idle, idle);
        faults.add(Fault::Truncated, truncated);
    }

    pub(crate) fn violation(&self, now: Instant, (law, sentence): Breach) -> Box<Violation> {
        let (options, at, tail) = (self.options, self.elapsed(now), self.trace.tail());
        Box::new(Violation { options, at, law, sentence, tail })
    }

    /// All shards are buried.
    pub(crate) fn summary(
        &self,
        now: Instant,
        shards: usize,
        participants: usize,
        faults: Faults,
    ) -> Summary {
        Summary {
            seed: self.options.seed,
            wire: self.options.wire,
            simulated_ns: self.elapsed(now).as_nanos(),
            shards,
            participants,
            datagrams: self.datagrams,
            copies: self.copies,
            deliveries: self.deliveries,
            cycles: self.cycles,
            pairs_healed: self.pairs_healed,
            faults,
            trace: self.trace.digest(),
        }
    }
}
