//! One shard in the world: the shipped type over a network in memory, beside the model of what it should
//! do. A cycle is run, laid out as a [`Step`], and shown to every law.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use elara_core::limits::CYCLE_TRAINS_MAX;
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, SessionId};
use elara_shards::command::{Command, Report};
use elara_shards::io::memory::{Capacity, Memory, Outcome};
use elara_shards::io::{Io, Wait};
use elara_shards::mailbox::{self, Receiver, Sender, Wake};
use elara_shards::shard::{Flow, Shard, ShardConfig};
use elara_shards::{Counters, Verdict};

use crate::checkers::notices::Notices;
use crate::checkers::{self, Broken, Copied, Heard, LAWS, Step};
use crate::digest;
use crate::frames::{self, Name};
use crate::model::{Model, Ruling};
use crate::trace::{Event, Trace};

/// Commands and reports that wait at most. Generous, so that no notice is lost to a slow reader.
const SLOTS: usize = 8_192;
/// How long a shard takes to come around when it has work left.
const AROUND: Span = Span::from_micros(20);
/// Cycles in a row that find nothing, say nothing and still ask for no sleep, before that is a spin.
const SPINS_MAX: u32 = 64;
/// How often the whole model is searched for someone who is overdue.
const PATROL: Span = Span::from_millis(250);

/// A broken law: its name, and the sentence.
pub(crate) type Breach = (&'static str, Broken);

/// What a cycle did to the world outside.
#[derive(Default)]
pub(crate) struct Effects {
    /// Copies the kernel took: where to, and the name of the frame if it has one.
    pub(crate) departures: Vec<(ClientAddr, Option<Name>)>,
    /// Named frames for which there was no room.
    pub(crate) turned_away: Vec<Name>,
}

/// A shard, its kernel and its model.
pub(crate) struct Lane {
    config: ShardConfig,
    shard: Shard<Memory>,
    pub(crate) model: Model,
    commands: Sender<Command>,
    reports: Receiver<Report>,
    notices: Notices,
    /// The session the last [`Command::Session`] asked about.
    asked: SessionId,
    unanswered: u32,
    counted: Counters,
    last: Instant,
    patrol: Instant,
    begin: Instant,
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
        let memory = Memory::new(capacity, seed, now);
        let (commands, mail) = mailbox::mailbox(64, Arc::new(NoBell));
        let (post, reports) = mailbox::mailbox(SLOTS, Arc::new(NoBell));
        let model = Model::new(config.index, config.shards, config.max_peers, config.v0.clone());
        Self {
            shard: Shard::new(memory, config.clone(), mail, post),
            config,
            model,
            commands,
            reports,
            notices: Notices::default(),
            asked: SessionId(0),
            unanswered: 0,
            counted: Counters::default(),
            last: now,
            patrol: now,
            begin: now,
            spins: 0,
            overran: false,
            token: 0,
            wake_at: None,
            stalled_until: Instant::ZERO,
        }
    }

    /// The process is killed and started again: nothing is remembered, nothing queued survives.
    pub(crate) fn restart(&mut self, capacity: Capacity, seed: u64, now: Instant) {
        let (token, begin) = (self.token, self.begin);
        *self = Self { token, begin, ..Self::new(self.config.clone(), capacity, seed, now) };
    }

    pub(crate) const fn memory(&mut self) -> &mut Memory {
        self.shard.io()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.shard.counters()
    }

    /// Asks about the session, about all sessions, and for the counters.
    pub(crate) fn ask(&mut self, session: SessionId) {
        if self.unanswered > 0 {
            return;
        }
        self.asked = session;
        for command in [
            Command::Session { ticket: 1, session },
            Command::Sessions { ticket: 2, from: 0 },
            Command::Counters { ticket: 3 },
        ] {
            self.unanswered += u32::from(self.commands.post(command).is_ok());
        }
    }

    /// One cycle at `now`, and every law.
    pub(crate) fn cycle(
        &mut self,
        now: Instant,
        trace: &mut Trace<'_>,
        effects: &mut Effects,
    ) -> Result<(), Breach> {
        let index = self.config.index;
        let at = Instant::ZERO + now.since(self.begin);
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
        let mut owed = Vec::new();
        let heard = lay_out_heard(memory, &mut self.model, now, &mut owed);
        let sent = lay_out_sent(memory, &heard);
        for heard in &heard {
            let (from, len, digest) = (heard.from, heard.bytes.len(), heard.digest);
            let verdict = heard.ruling.verdict;
            trace.add(at, Event::Heard { shard: index, from, len, digest, verdict });
        }
        for copy in &sent {
            let (to, len, digest, outcome) = (copy.to, copy.bytes.len(), copy.digest, copy.outcome);
            trace.add(at, Event::Sent { shard: index, to, len, digest, outcome });
        }
        self.notices.owe(&mut owed);
        while let Some(report) = self.reports.take() {
            self.spins = 0;
            if let Report::Notice(notice) = report {
                trace.add(at, Event::Noticed { shard: index, notice });
                let said = self.notices.said(notice, &mut self.model, now);
                said.map_err(|broken| ("notices", broken))?;
            } else {
                self.unanswered -= 1;
                let is = checkers::views::check(&report, self.asked, &self.model, now);
                is.map_err(|broken| ("views", broken))?;
            }
        }
        let (before, counted) = (self.last, self.counted);
        let trains = memory.handed().len() as u64;
        let step =
            Step { at: now, before, heard, trains, sent, counted, counters, model: &self.model };
        for (name, law) in LAWS {
            law(&step).map_err(|broken| (name, broken))?;
        }
        self.notices.settle().map_err(|broken| ("notices", broken))?;
        effects.take(&step);
        (self.last, self.counted) = (now, counters);
        self.shard.io().clear_sent();
        self.check_life(now)
    }

    /// What no single step shows: unanswered commands, spinning, the overdue.
    fn check_life(&mut self, now: Instant) -> Result<(), Breach> {
        if self.unanswered > 0 {
            return Err(("views", "a command was not answered in the next cycle".to_owned()));
        }
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
        self.overran = memory.handed().len() >= CYCLE_TRAINS_MAX;
        if now >= self.patrol {
            self.patrol = now + PATROL;
            let ending = checkers::ending::check_overdue(&self.model, now);
            ending.map_err(|broken| ("ending", broken))?;
        }
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

    /// The world ends: asked to stop, it stops.
    pub(crate) fn stop(&mut self, now: Instant) -> Result<(), Breach> {
        let posted = self.commands.post(Command::Stop);
        self.shard.io().set_now(now);
        match (posted, self.shard.cycle()) {
            (Ok(()), Ok(Flow::Stop)) => Ok(()),
            _ => Err(("life", "a shard did not stop when it was told to".to_owned())),
        }
    }
}

impl Effects {
    fn take(&mut self, step: &Step<'_>) {
        let names: Vec<Option<Name>> =
            step.heard.iter().map(|heard| frames::name_of(heard.bytes)).collect();
        let left = step.sent.iter().filter(|copy| copy.outcome == Outcome::Sent);
        self.departures
            .extend(left.map(|copy| (copy.to, copy.source.and_then(|source| names[source]))));
        for (heard, name) in step.heard.iter().zip(names) {
            if matches!(heard.ruling.verdict, Verdict::IpFull | Verdict::SessionFull) {
                self.turned_away.extend(name);
            }
        }
    }
}

/// What the shard was handed, cut into datagrams and judged by the model.
fn lay_out_heard<'a>(
    memory: &'a Memory,
    model: &mut Model,
    now: Instant,
    owed: &mut Vec<elara_shards::Notice>,
) -> Vec<Heard<'a>> {
    let mut heard: Vec<Heard<'a>> = Vec::new();
    let mut speakers: Vec<(&[u8], usize)> = Vec::new();
    for train in memory.handed() {
        let whole = memory.bytes(train.slice);
        let step = if train.segment == 0 { whole.len() } else { usize::from(train.segment) };
        let mut rest = Some(whole);
        while let Some(bytes) = rest {
            let (bytes, behind) = bytes.split_at(step.min(bytes.len()));
            rest = (!behind.is_empty()).then_some(behind);
            let ruling = match train.truncated {
                true => Ruling { verdict: Verdict::TooLong, receivers: Vec::new() },
                false => model.judge(bytes, train.from, now, owed),
            };
            let who = bytes.get(4..20).unwrap_or_default();
            let index = heard.len();
            let speaker = match speakers.iter().find(|(known, _)| *known == who) {
                Some((_, first)) => *first,
                None => {
                    speakers.push((who, index));
                    index
                }
            };
            let digest = digest::of(bytes);
            heard.push(Heard { from: train.from, bytes, digest, ruling, speaker });
        }
    }
    heard
}

/// What the shard sent, each copy with the datagram it is a copy of.
fn lay_out_sent<'a>(memory: &'a Memory, heard: &[Heard<'_>]) -> Vec<Copied<'a>> {
    let mut known: Vec<(u64, usize)> =
        heard.iter().enumerate().map(|(index, heard)| (heard.digest, index)).collect();
    known.sort_unstable();
    memory
        .sent()
        .map(|sent| {
            let digest = digest::of(sent.bytes);
            let first = known.partition_point(|(other, _)| *other < digest);
            let source =
                known.get(first).filter(|(other, _)| *other == digest).map(|(_, index)| *index);
            Copied { to: sent.to, bytes: sent.bytes, digest, outcome: sent.outcome, source }
        })
        .collect()
}
