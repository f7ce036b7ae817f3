//! A shard and the kernel below it, whatever wire is spoken: cycles, what they leave to be said, and when
//! the next is due. Holds what no single cycle shows: spinning, and sleeping on work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use elara_core::ClientAddr;
use elara_core::limits::{CYCLE_SENDS_MAX, CYCLE_TRAINS_MAX};
use elara_core::time::{Instant, Span};
use elara_shards::Counters;
use elara_shards::command::{Command, Report};
use elara_shards::io::memory::Memory;
use elara_shards::io::{Io, Train, Wait};
use elara_shards::mailbox::{self, Receiver, Sender, Wake};
use elara_shards::shard::{Flow, Shard, ShardConfig};

use crate::checkers::Breach;
use crate::faults::{Fault, Faults};

/// Commands and reports that wait at most. Generous, so that no notice is lost to a slow reader.
const SLOTS: usize = 8_192;
/// How long a shard takes to come around when it has work left.
const AROUND: Span = Span::from_micros(20);
/// Cycles in a row that find nothing, say nothing and still ask for no sleep, before that is a spin.
const SPINS_MAX: u32 = 64;

/// A shard over a network in memory.
pub(crate) struct Host {
    shard: Shard<Memory>,
    commands: Sender<Command>,
    reports: Receiver<Report>,
    counted: Counters,
    last: Instant,
    begin: Instant,
    spins: u32,
    /// The last cycle spent its whole budget; the next must not sleep.
    overran: bool,
    /// The cycle that is scheduled; an older token is a wake-up that was overtaken.
    token: u32,
    wake_at: Option<Instant>,
    /// It does not get the processor before.
    pub(crate) stalled_until: Instant,
}

/// What a cycle left behind, beside what its memory holds.
pub(crate) struct Cycle {
    /// Since the world began.
    pub(crate) at: Instant,
    /// The time of the cycle before.
    pub(crate) before: Instant,
    /// What had been counted by then.
    pub(crate) counted: Counters,
    pub(crate) counters: Counters,
    pub(crate) reports: Vec<Report>,
}

/// In the world a shard is woken by events, so nobody needs a bell.
struct NoBell;

impl Wake for NoBell {
    fn wake(&self) {}
}

impl Host {
    pub(crate) fn new(memory: Memory, config: ShardConfig, now: Instant) -> Self {
        let (commands, mail) = mailbox::mailbox(64, Arc::new(NoBell));
        let (post, reports) = mailbox::mailbox(2 * SLOTS, Arc::new(NoBell));
        Self {
            shard: Shard::new(memory, config, mail, post),
            commands,
            reports,
            counted: Counters::default(),
            last: now,
            begin: now,
            spins: 0,
            overran: false,
            token: 0,
            wake_at: None,
            stalled_until: Instant::ZERO,
        }
    }

    /// Takes the place of `killed`, whose scheduled cycles are not its own.
    pub(crate) fn replacing(self, killed: &Self) -> Self {
        Self { token: killed.token, begin: killed.begin, ..self }
    }

    pub(crate) const fn memory(&mut self) -> &mut Memory {
        self.shard.io()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.shard.counters()
    }

    /// Tells the shard something. False when its mailbox has no room, and it is not told.
    pub(crate) fn tell(&self, command: Command) -> bool {
        self.commands.post(command).is_ok()
    }

    /// Its kernel gets a datagram. False when there is no room, and it is lost.
    pub(crate) fn takes(&mut self, from: &ClientAddr, bytes: &[u8], faults: &mut Faults) -> bool {
        let room = self.memory().deliver(from, bytes);
        faults.add(Fault::Overflowed, u64::from(!room));
        room
    }

    /// One cycle at `now`; [`Host::settle`] ends it, after the laws.
    pub(crate) fn cycle(&mut self, now: Instant) -> Result<Cycle, Breach> {
        self.memory().set_now(now);
        match catch_unwind(AssertUnwindSafe(|| self.shard.cycle())) {
            Ok(Ok(Flow::Continue)) => {}
            Ok(Ok(Flow::Stop)) => return Err(("life", "a shard stopped, unasked".to_owned())),
            Ok(Err(error)) => return Err(("life", format!("a shard ended: {error}"))),
            Err(_) => return Err(("life", "a shard panicked; see above".to_owned())),
        }
        self.memory().settle();
        let reports: Vec<Report> = std::iter::from_fn(|| self.reports.take()).collect();
        if !reports.is_empty() {
            self.spins = 0;
        }
        Ok(Cycle {
            at: Instant::ZERO + now.since(self.begin),
            before: self.last,
            counted: self.counted,
            counters: self.counters(),
            reports,
        })
    }

    /// The cycle at `now` is over and seen: what it sent is gone, and nothing was odd about its sleep.
    pub(crate) fn settle(&mut self, now: Instant) -> Result<(), Breach> {
        let counters = self.counters();
        let hit_the_wall = counters.copies - self.counted.copies >= CYCLE_SENDS_MAX as u64;
        (self.last, self.counted) = (now, counters);
        let memory = self.shard.io();
        memory.clear_sent();
        if memory.unseen() > 0 {
            return Err(("world", "the world is too small: copies were not seen".to_owned()));
        }
        let sleepless = match memory.asked() {
            Wait::No => true,
            Wait::Until(until) => until <= self.last,
            Wait::Forever => false,
        };
        let idle = memory.handed().is_empty() && !memory.is_waiting();
        self.spins = if sleepless && idle { self.spins + 1 } else { 0 };
        if self.spins > SPINS_MAX {
            return Err(("clock", "it finds nothing to do, and never sleeps".to_owned()));
        }
        if self.overran && memory.asked() != Wait::No {
            return Err(("clock", "it would have slept with datagrams waiting".to_owned()));
        }
        self.overran = memory.handed().len() >= CYCLE_TRAINS_MAX || hit_the_wall;
        Ok(())
    }

    /// Wants the processor at `at`, or when it is stalled no more: when it gets it, and the token of that
    /// cycle. None when it gets it earlier anyway.
    pub(crate) fn schedule(&mut self, at: Instant) -> Option<(Instant, u32)> {
        let at = at.max(self.stalled_until);
        if self.wake_at.is_some_and(|earlier| earlier <= at) {
            return None;
        }
        self.token += 1;
        self.wake_at = Some(at);
        Some((at, self.token))
    }

    /// Gets the processor for the cycle of `token`. False when another has overtaken that.
    pub(crate) fn wakes(&mut self, token: u32) -> bool {
        let due = self.token == token;
        if due {
            self.wake_at = None;
        }
        due
    }

    /// When it should run next, if nothing comes in between.
    pub(crate) fn next_wake(&mut self) -> Option<Instant> {
        let soon = self.last + AROUND;
        let memory = self.shard.io();
        // What it asked for was asked before the cycle; after work it must be asked again.
        if memory.is_waiting() || !memory.handed().is_empty() {
            return Some(soon);
        }
        match memory.asked() {
            Wait::No => Some(soon),
            Wait::Until(until) => Some(until.max(soon)),
            Wait::Forever => None,
        }
    }

    /// The world ends: asked to stop, it stops.
    pub(crate) fn stop(&mut self, now: Instant) -> Result<(), Breach> {
        let told = self.tell(Command::Stop);
        self.memory().set_now(now);
        match (told, self.shard.cycle()) {
            (true, Ok(Flow::Stop)) => Ok(()),
            _ => Err(("life", "a shard did not stop when it was told to".to_owned())),
        }
    }
}

/// What a shard was handed, cut into datagrams, each with the train it came in.
pub(crate) fn datagrams(memory: &Memory) -> impl Iterator<Item = (&Train, &[u8])> {
    memory.handed().iter().flat_map(|train| {
        let whole = memory.bytes(train.slice);
        let step = if train.segment == 0 { whole.len() } else { usize::from(train.segment) };
        let mut rest = Some(whole);
        std::iter::from_fn(move || {
            let bytes = rest?;
            let (bytes, behind) = bytes.split_at(step.min(bytes.len()));
            rest = (!behind.is_empty()).then_some(behind);
            Some((train, bytes))
        })
    })
}
