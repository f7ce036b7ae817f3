//! One shard in a world of wire v1, beside the mirror of what it should believe. A cycle is run, laid out
//! as a [`Step`], and shown to every law.

use elara_core::ClientAddr;
use elara_core::time::{Instant, Span};
use elara_shards::Notice;
use elara_shards::command::Report;
use elara_shards::io::memory::{Capacity, Memory, Outcome, Sent};
use elara_shards::shard::ShardConfig;

use super::checkers::{self, Books, Heard, LAWS, Left, Step};
use super::club;
use super::frames::{self, Kind};
use super::ledger::Ledger;
use super::mirror::Mirror;
use crate::checkers::Breach;
use crate::digest;
use crate::host::{self, Cycle, Host};
use crate::trace::{Event, Trace};

/// How often the whole mirror is searched for someone who is overdue.
const PATROL: Span = Span::from_millis(500);

/// A shard, its kernel and its mirror.
pub(crate) struct Lane {
    config: ShardConfig,
    pub(crate) host: Host,
    pub(crate) mirror: Mirror,
    books: Books,
    patrol: Instant,
}

impl Lane {
    pub(crate) fn new(config: ShardConfig, capacity: Capacity, seed: u64, now: Instant) -> Self {
        let mut memory = Memory::new(capacity, seed, now);
        memory.set_calendar(club::calendar(now));
        Self {
            host: Host::new(memory, config.clone(), now),
            config,
            mirror: Mirror::default(),
            books: Books::default(),
            patrol: now,
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
        let fresh = Self::new(config, capacity, seed, now);
        *self = Self { host: fresh.host.replacing(&self.host), ..fresh };
    }

    /// One cycle at `now`, and every law. What the kernel took goes to `departures`.
    pub(crate) fn cycle(
        &mut self,
        now: Instant,
        ledger: &Ledger,
        trace: &mut Trace<'_>,
        departures: &mut Vec<(ClientAddr, Vec<u8>)>,
    ) -> Result<(), Breach> {
        let index = self.config.index;
        let Cycle { at, before, counted, counters, reports } = self.host.cycle(now)?;
        let memory: &Memory = self.host.memory();
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
        for report in reports {
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
            before,
            heard,
            trains: memory.handed().len() as u64,
            sent,
            notices,
            views,
            counted,
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
        if now >= self.patrol {
            self.patrol = now + PATROL;
            let overdue = checkers::ending::check_overdue(&self.mirror, ledger, now);
            overdue.map_err(|broken| ("ending", broken))?;
        }
        self.host.settle(now)
    }

    /// The world ends: nothing may be left, and told to stop, it stops.
    pub(crate) fn stop(&mut self, now: Instant) -> Result<(), Breach> {
        let left = checkers::ending::check_empty(&self.host.counters());
        left.map_err(|broken| ("ending", broken))?;
        self.host.stop(now)
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
    for (train, bytes) in host::datagrams(memory) {
        let mut datagram = Heard { from: train.from, bytes, frames: Vec::new() };
        if !train.truncated {
            datagram.read(mirror, ledger, now);
        }
        heard.push(datagram);
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
