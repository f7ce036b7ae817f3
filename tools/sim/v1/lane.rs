//! One shard in a world of wire v1, beside the mirror of what it should believe. A cycle is run, laid out
//! as a [`Step`], and shown to every law.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use elara_core::ClientAddr;
use elara_core::limits::{CYCLE_SENDS_MAX, CYCLE_TRAINS_MAX};
use elara_core::time::{Instant, Span};
use elara_shards::command::{Command, Report};
use elara_shards::io::memory::{Capacity, Memory, Outcome, Sent};
use elara_shards::io::{Io, Wait};
use elara_shards::mailbox::{self, Receiver, Sender, Wake};
use elara_shards::shard::{Flow, Shard, ShardConfig};
use elara_shards::{Counters, Notice};

use super::checkers::{self, Books, Heard, LAWS, Left, Step};
use super::club;
use super::frames::{self, Kind};
use super::ledger::Ledger;
use super::mirror::Mirror;
use crate::digest;
use crate::lane::Breach;
use crate::trace::{Event, Trace};

/// Commands that wait at most, and half of the reports.
const SLOTS: usize = 8_192;
/// How long a shard takes to come around when it has work left.
const AROUND: Span = Span::from_micros(20);
/// Cycles in a row that find nothing, say nothing and still ask for no sleep, before that is a spin.
const SPINS_MAX: u32 = 64;

/// How often the whole mirror is searched for someone who is overdue.
const PATROL: Span = Span::from_millis(500);

/// A shard, its kernel and its mirror.
pub(crate) struct Lane {
    config: ShardConfig,
    shard: Shard<Memory>,
    pub(crate) mirror: Mirror,
    books: Books,
    commands: Sender<Command>,
    reports: Receiver<Report>,
    counted: Counters,
    last: Instant,
    begin: Instant,
    patrol: Instant,
    spins: u32,
    /// The last cycle spent its whole budget; the next must not sleep.
    overran: bool,
    /// The cycle that is scheduled; an older token is a wake-up that was overtaken.
    pub(crate) token: u32,
    pub(crate) wake_at: Option<Instant>,
    /// It does not get the processor before.
    pub(crate) stalled_until: Instant,
}

/// In the world a shard is woken by events, so nobody needs a bell.
struct NoBell;

impl Wake for NoBell {
    fn wake(&self) {}
}

impl Lane {
    pub(crate) fn new(config: ShardConfig, capacity: Capacity, seed: u64, now: Instant) -> Self {
        let mut memory = Memory::new(capacity, seed, now);
        memory.set_calendar(club::calendar(now));
        let (commands, mail) = mailbox::mailbox(64, Arc::new(NoBell));
        let (post, reports) = mailbox::mailbox(2 * SLOTS, Arc::new(NoBell));
        Self {
            shard: Shard::new(memory, config.clone(), mail, post),
            config,
            mirror: Mirror::default(),
            books: Books::default(),
            commands,
            reports,
            counted: Counters::default(),
            last: now,
            begin: now,
            patrol: now,
            spins: 0,
            overran: false,
            token: 0,
            wake_at: None,
            stalled_until: Instant::ZERO,
        }
    }

    /// The process is killed and started again: of all it knew it has its keys.
    pub(crate) fn restart(
        &mut self,
        config: ShardConfig,
        capacity: Capacity,
        now: Instant,
        seed: u64,
    ) {
        let (token, begin) = (self.token, self.begin);
        *self = Self { token, begin, ..Self::new(config, capacity, seed, now) };
    }

    pub(crate) const fn memory(&mut self) -> &mut Memory {
        self.shard.io()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.shard.counters()
    }

    /// Tells the shard something; what the mailbox has no room for is not told.
    pub(crate) fn tell(&self, command: Command) {
        let _ = self.commands.post(command);
    }

    /// One cycle at `now`, and every law. What the kernel took goes to `departures`.
    pub(crate) fn cycle(
        &mut self,
        now: Instant,
        ledger: &Ledger,
        trace: &mut Trace<'_>,
        departures: &mut Vec<(ClientAddr, Vec<u8>)>,
    ) -> Result<(), Breach> {
        let (index, at) = (self.config.index, Instant::ZERO + now.since(self.begin));
        self.shard.io().set_now(now);
        match catch_unwind(AssertUnwindSafe(|| self.shard.cycle())) {
            Ok(Ok(Flow::Continue)) => {}
            Ok(Ok(Flow::Stop)) => return Err(("life", "a shard stopped, unasked".to_owned())),
            Ok(Err(error)) => return Err(("life", format!("a shard ended: {error}"))),
            Err(_) => return Err(("life", "a shard panicked; see above".to_owned())),
        }
        self.shard.io().settle();
        let counters = self.shard.counters();
        let memory: &Memory = self.shard.io();
        let heard = lay_out_heard(memory, &mut self.mirror, ledger, now);
        let sent = lay_out_sent(memory);
        for heard in &heard {
            let (from, len, digest) = (heard.from, heard.bytes.len(), digest::of(heard.bytes));
            trace.add(at, Event::Came { shard: index, from, len, digest, is: heard.is() });
        }
        for left in &sent {
            let (to, len, digest, outcome) = (left.to, left.bytes.len(), left.digest, left.outcome);
            trace.add(at, Event::Sent { shard: index, to, len, digest, outcome });
        }
        let mut notices: Vec<Notice> = Vec::new();
        let mut views = Vec::new();
        while let Some(report) = self.reports.take() {
            self.spins = 0;
            match report {
                Report::Notice(notice) => {
                    trace.add(at, Event::Noticed { shard: index, notice });
                    self.mirror.notice(&notice, now);
                    notices.push(notice);
                }
                Report::Session { view, .. } => views.extend(view),
                Report::Lost { .. } => {
                    return Err(("notices", "notices were lost, and there was room".to_owned()));
                }
                _ => {}
            }
        }
        for (frame, from) in heard.iter().flat_map(Heard::pieces) {
            if let (Some(sealed), true) = (frame.sealed, frame.hearing.genuine) {
                let sure = frame.alone && frame.hearing.activates;
                self.mirror.catch_up(sealed, from, sure, ledger, now);
            }
        }
        let step = Step {
            at: now,
            before: self.last,
            heard,
            trains: memory.handed().len() as u64,
            sent,
            notices,
            views,
            counted: self.counted,
            counters,
            max_peers: self.config.max_peers,
            mirror: &self.mirror,
            ledger,
        };
        for (name, law) in LAWS {
            law(&step, &mut self.books).map_err(|broken| (name, broken))?;
        }
        let passed = step.errands();
        let candidates: Vec<u64> = step.candidates().into_keys().collect();
        let welcomes: Vec<_> = step.welcomes().collect();
        let left = step.sent.iter().filter(|left| left.outcome == Outcome::Sent);
        departures.extend(left.map(|left| (left.to, left.bytes.to_vec())));
        self.mirror.pass(passed, candidates, now);
        for (name, to, welcome) in welcomes {
            self.mirror.welcome(name, to, welcome, now);
        }
        self.mirror.settle(now);
        let hit_the_wall = counters.copies - self.counted.copies >= CYCLE_SENDS_MAX as u64;
        (self.last, self.counted) = (now, counters);
        self.shard.io().clear_sent();
        if now >= self.patrol {
            self.patrol = now + PATROL;
            let overdue = checkers::ending::check_overdue(&self.mirror, ledger, now);
            overdue.map_err(|broken| ("ending", broken))?;
        }
        self.check_life(hit_the_wall)
    }

    /// What no single step shows: spinning, and sleeping on work.
    fn check_life(&mut self, hit_the_wall: bool) -> Result<(), Breach> {
        let memory = self.shard.io();
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

    /// The world ends: nothing may be left, and told to stop, it stops.
    pub(crate) fn stop(&mut self, now: Instant) -> Result<(), Breach> {
        let left = checkers::ending::check_empty(&self.counters());
        left.map_err(|broken| ("ending", broken))?;
        let posted = self.commands.post(Command::Stop);
        self.shard.io().set_now(now);
        match (posted, self.shard.cycle()) {
            (Ok(()), Ok(Flow::Stop)) => Ok(()),
            _ => Err(("life", "a shard did not stop when it was told to".to_owned())),
        }
    }
}

/// What the shard was handed, cut into datagrams and frames, each judged by the mirror.
fn lay_out_heard<'a>(
    memory: &'a Memory,
    mirror: &mut Mirror,
    ledger: &'a Ledger,
    now: Instant,
) -> Vec<Heard<'a>> {
    let mut heard = Vec::new();
    for train in memory.handed() {
        let whole = memory.bytes(train.slice);
        let step = if train.segment == 0 { whole.len() } else { usize::from(train.segment) };
        let mut rest = Some(whole);
        while let Some(bytes) = rest {
            let (bytes, behind) = bytes.split_at(step.min(bytes.len()));
            rest = (!behind.is_empty()).then_some(behind);
            let mut datagram = Heard { from: train.from, bytes, frames: Vec::new() };
            if !train.truncated {
                datagram.read(mirror, ledger, now);
            }
            heard.push(datagram);
        }
    }
    heard
}

impl<'a> Heard<'a> {
    /// Its frames, and where each came from.
    fn pieces(&self) -> impl Iterator<Item = (&checkers::Piece<'a>, ClientAddr)> {
        self.frames.iter().map(|piece| (piece, self.from))
    }

    /// Frame by frame, up to the first that proves nothing.
    fn read(&mut self, mirror: &mut Mirror, ledger: &'a Ledger, now: Instant) {
        let alone =
            frames::split(self.bytes).next().is_some_and(|frame| frame.len() == self.bytes.len());
        for (bytes, digest, sealed) in ledger.read(self.bytes) {
            let parity = frames::parity_of(bytes);
            let hearing = sealed
                .map(|sealed| mirror.hear(digest, sealed, parity, alone, self.from, now, ledger));
            let hearing = hearing.unwrap_or_default();
            self.frames.push(checkers::Piece { bytes, digest, sealed, hearing, alone });
            if !hearing.genuine {
                return;
            }
        }
    }
}

/// What the shard sent, and which data frames that holds.
fn lay_out_sent(memory: &Memory) -> Vec<Left<'_>> {
    fn lay_out(sent: Sent<'_>) -> Left<'_> {
        let data = |frame: &&[u8]| frames::kind_of(frame) == Kind::Data;
        let frames: Vec<&[u8]> = frames::split(sent.bytes).collect();
        let all_data = !frames.is_empty() && frames.iter().all(data);
        Left {
            to: sent.to,
            bytes: sent.bytes,
            digest: digest::of(sent.bytes),
            kind: frames::kind_of(sent.bytes),
            data: all_data.then(|| frames.into_iter().map(digest::of).collect()),
            outcome: sent.outcome,
        }
    }
    memory.sent().map(lay_out).collect()
}
