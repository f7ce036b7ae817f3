//! One shard in the world: the shipped type over a network in memory, beside the model of what it should
//! do. A cycle is run, laid out as a [`Step`], and shown to every law.

use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, SessionId};
use elara_shards::Verdict;
use elara_shards::command::{Command, Report};
use elara_shards::io::memory::{Capacity, Memory, Outcome};
use elara_shards::shard::ShardConfig;

use crate::checkers::notices::Notices;
use crate::checkers::{self, Breach, Copied, Heard, LAWS, Step};
use crate::digest;
use crate::frames::{self, Name};
use crate::host::{self, Cycle, Host};
use crate::model::{Model, Ruling};
use crate::trace::{Event, Trace};

/// How often the whole model is searched for someone who is overdue.
const PATROL: Span = Span::from_millis(250);

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
    pub(crate) host: Host,
    pub(crate) model: Model,
    notices: Notices,
    /// The session the last [`Command::Session`] asked about.
    asked: SessionId,
    unanswered: u32,
    patrol: Instant,
}

impl Lane {
    pub(crate) fn new(config: ShardConfig, capacity: Capacity, seed: u64, now: Instant) -> Self {
        let memory = Memory::new(capacity, seed, now);
        let model = Model::new(config.index, config.shards, config.max_peers, config.v0.clone());
        Self {
            host: Host::new(memory, config.clone(), now),
            config,
            model,
            notices: Notices::default(),
            asked: SessionId(0),
            unanswered: 0,
            patrol: now,
        }
    }

    /// The process is killed and started again: nothing is remembered, nothing queued survives.
    pub(crate) fn restart(&mut self, capacity: Capacity, seed: u64, now: Instant) {
        let fresh = Self::new(self.config.clone(), capacity, seed, now);
        *self = Self { host: fresh.host.replacing(&self.host), ..fresh };
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
            self.unanswered += u32::from(self.host.tell(command));
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
        let Cycle { at, before, counted, counters, reports } = self.host.cycle(now)?;
        let memory: &Memory = self.host.memory();
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
        for report in reports {
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
        let trains = memory.handed().len() as u64;
        let step =
            Step { at: now, before, heard, trains, sent, counted, counters, model: &self.model };
        for (name, law) in LAWS {
            law(&step).map_err(|broken| (name, broken))?;
        }
        self.notices.settle().map_err(|broken| ("notices", broken))?;
        effects.take(&step);
        if self.unanswered > 0 {
            return Err(("views", "a command was not answered in the next cycle".to_owned()));
        }
        self.host.settle(now)?;
        if now >= self.patrol {
            self.patrol = now + PATROL;
            let ending = checkers::ending::check_overdue(&self.model, now);
            ending.map_err(|broken| ("ending", broken))?;
        }
        Ok(())
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
    for (train, bytes) in host::datagrams(memory) {
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
