//! One shard: the cycle that takes datagrams in, forwards them, and answers control.
//!
//! ```text
//!   1 enter    queued sends to the kernel, buffers back, wait for work or the next timer
//!   2 now      the only clock read of the cycle
//!   3 receive  trains, at most a budget: verdicts, and what is to leave
//!   4 send     small frames of all sessions, then large ones, then a slice for sessions of very many
//!   5 mail     commands, at most a budget, while reports have room
//!   6 work     one handshake, deltas and marks, at most a budget
//!   7 timers   who has been silent too long
//! ```
//! A shard owns its sessions, its counters and its back end; nothing outside can touch them. The same
//! type is shipped, simulated and benchmarked.

use std::io;
use std::sync::Arc;

use elara_core::crypto::Secret;
use elara_core::limits;
use elara_core::time::{Instant, Span, UnixMillis};

use crate::access::Access;
use crate::command::{Command, Notice, ParticipantView, Report, SessionLine, SessionView};
use crate::counters::Counters;
use crate::departures::Departures;
use crate::forward::{Forward, Rules};
use crate::io::{Io, Wait};
use crate::load::Load;
use crate::mailbox::{Receiver, Sender};
use crate::sessions::{Bounds, Sessions};
use crate::turn::{Turn, TurnConfig};
use crate::v1::V1;

pub use crate::forward::V0Policy;

/// How long a shard with commands but no room for answers waits before it looks again.
const CONGESTED: Span = Span::from_millis(1);

/// What a shard is told when it is made.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its index: the place of its socket in the SO_REUSEPORT group.
    pub index: usize,
    /// How many shards the node has.
    pub shards: usize,
    /// Participants one session may have.
    pub max_peers: usize,
    /// For whom wire v0 is open; `None`: for nobody.
    pub v0: Option<V0Policy>,
    /// Who may enter by wire v1; `None`: nobody.
    pub v1: Option<Arc<Access>>,
    /// STUN and TURN; `None`: closed.
    pub turn: Option<TurnConfig>,
    /// Keys of the hash tables: secret and random in production.
    pub hash_keys: (u64, u64),
    /// What the shard's own keys are made from: secret and random in production, another for each shard.
    pub seed: Secret<32>,
}

/// Where the pages of v1 sessions begin, in a listing.
const V1_PAGES: u32 = 1 << 31;

/// Cycles a shard that is told to stop still makes for what is under way.
const LAST_CYCLES: usize = 4;

/// Whether to go on after a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Another cycle.
    Continue,
    /// [`Command::Stop`] has come, and everything queued has been handed to the kernel.
    Stop,
}

/// A shard over the back end `I`.
pub struct Shard<I> {
    io: I,
    rules: Rules,
    sessions: Sessions,
    v1: V1,
    turn: Turn,
    departures: Departures,
    counters: Counters,
    commands: Receiver<Command>,
    gazette: Gazette,
    now: Instant,
    /// The wall clock as it was last read, and when that was.
    calendar: (UnixMillis, Instant),
    load: Load,
    /// The last cycle left datagrams behind.
    backlog: bool,
}

impl<I: Io> Shard<I> {
    /// A shard with empty tables.
    #[must_use]
    pub fn new(
        mut io: I,
        config: ShardConfig,
        commands: Receiver<Command>,
        reports: Sender<Report>,
    ) -> Self {
        let now = io.now();
        let bounds = Bounds {
            sessions: limits::V0_SESSIONS_MAX,
            participants: limits::V0_PARTICIPANTS_MAX,
            peers: config.max_peers,
            per_ip: config.v0.as_ref().map_or(0, |v0| v0.per_ip),
        };
        let calendar = (io.calendar(), now);
        let load = Load::new(now, io.strain(), 0);
        let ShardConfig { max_peers, hash_keys, v1: access, turn, seed, .. } = &config;
        let turn = Turn::new(turn.as_ref(), seed, now);
        let v1 = V1::new(access.clone(), *max_peers, *hash_keys, seed, now);
        Self {
            io,
            sessions: Sessions::new(bounds, config.hash_keys, now),
            v1,
            turn,
            rules: Rules { index: config.index, shards: config.shards, v0: config.v0 },
            departures: Departures::new(),
            counters: Counters::default(),
            commands,
            gazette: Gazette { reports, lost: 0, unsaid: 0 },
            now,
            calendar,
            load,
            backlog: false,
        }
    }

    /// Cycles until [`Command::Stop`].
    ///
    /// # Errors
    /// What the back end cannot mend.
    pub fn run(&mut self) -> io::Result<()> {
        while self.cycle()? == Flow::Continue {}
        Ok(())
    }

    /// One cycle.
    ///
    /// # Errors
    /// What the back end cannot mend.
    pub fn cycle(&mut self) -> io::Result<Flow> {
        let wait = self.wait();
        self.io.enter(wait)?;
        self.commands.rouse();
        self.now = self.io.now();
        self.read_calendar();
        self.read_load();
        while let Some(refusal) = self.io.refused() {
            self.v1.refused(&refusal);
        }
        self.counters.cycles += 1;
        self.receive();
        self.gazette.catch_up();
        let flow = self.read_mail();
        self.work();
        self.expire();
        if flow == Flow::Stop {
            self.settle()?;
            let counters = Box::new(self.counters());
            // Half the mailbox is kept free of notices, and `read_mail` saw room for an answer.
            let _ = self.gazette.reports.post(Report::Stopped { counters });
        }
        Ok(flow)
    }

    /// The back end; the simulator's way to its network.
    pub const fn io(&mut self) -> &mut I {
        &mut self.io
    }

    /// The counters as they are.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let turn = self.turn.counts();
        Counters {
            egress: self.io.egress(),
            starved: self.io.starved(),
            overflowed: self.load.strain().overflowed,
            load: self.load.permille(),
            notices_lost: self.gazette.lost,
            hellos_waiting: self.v1.waiting() as u64,
            half_open: self.v1.half_open() as u64,
            sessions: (self.sessions.len() + self.v1.sessions()) as u64,
            participants: (self.sessions.participants() + self.v1.members()) as u64,
            allocations: turn.allocations as u64,
            permissions: turn.permissions as u64,
            channels: turn.channels as u64,
            ..self.counters
        }
    }

    fn wait(&mut self) -> Wait {
        if self.backlog {
            return Wait::No;
        }
        if !self.commands.doze() {
            return if self.gazette.reports.is_full() {
                Wait::Until(self.now + CONGESTED)
            } else {
                Wait::No
            };
        }
        let due =
            [self.sessions.next_expiry(), self.v1.next_due(self.now), self.turn.next_due(self.now)];
        match due.into_iter().flatten().min() {
            Some(due) if due <= self.now => Wait::No,
            Some(due) => Wait::Until(due),
            None => Wait::Forever,
        }
    }

    /// What a datagram, or a moment without one, is handled with.
    fn forward(&mut self) -> Forward<'_, I, impl FnMut(Notice)> {
        let (read, at) = self.calendar;
        let gazette = &mut self.gazette;
        Forward {
            io: &mut self.io,
            sessions: &mut self.sessions,
            v1: &mut self.v1,
            turn: &mut self.turn,
            counters: &mut self.counters,
            rules: &self.rules,
            now: self.now,
            calendar: UnixMillis(read.0 + self.now.since(at).as_nanos() / 1_000_000),
            tell: |notice| gazette.tell(notice),
            departures: &mut self.departures,
            loaded: self.load.is_loaded(),
        }
    }

    /// Reads the wall clock when the last reading has grown old. Only tokens and cookies need it.
    fn read_calendar(&mut self) {
        let asked_for = self.v1.is_open() || self.turn.is_open();
        if asked_for && self.now.since(self.calendar.1) >= limits::CALENDAR_EVERY {
            self.calendar = (self.io.calendar(), self.now);
        }
    }

    /// Reads how hard this thread works when the last reading has grown old.
    fn read_load(&mut self) {
        if self.load.is_due(self.now) {
            self.load.sample(self.now, self.io.strain(), self.io.egress().busy);
        }
    }

    /// What wire v1 does besides forwarding.
    fn work(&mut self) {
        let mut forward = self.forward();
        forward.serve_desk();
        forward.do_chores();
        forward.sweep();
    }

    /// Takes in what has arrived, until the cycle has as much as it may, and sends it on.
    fn receive(&mut self) {
        let mut budget = limits::CYCLE_TRAINS_MAX;
        self.departures.spent = 0;
        let mut forward = self.forward();
        while budget > 0 && !forward.is_spent() {
            let Some(train) = forward.io.receive() else { break };
            if let Some(rest) = forward.handle_train(&train) {
                forward.io.put_back(rest);
            }
            budget -= 1;
        }
        let overrun = budget == 0 || forward.is_spent();
        forward.tell_unreachable();
        forward.send_departures();
        drop(forward);
        self.backlog = overrun || !self.departures.marches.is_idle();
        self.counters.overruns += u64::from(overrun);
    }

    fn read_mail(&mut self) -> Flow {
        for _ in 0..limits::CYCLE_COMMANDS_MAX {
            if self.gazette.reports.is_full() {
                break;
            }
            let Some(command) = self.commands.take() else { break };
            self.counters.commands += 1;
            let report = match command {
                Command::Stop => return Flow::Stop,
                Command::Counters { ticket } => {
                    Report::Counters { ticket, counters: Box::new(self.counters()) }
                }
                Command::Access(access) => {
                    self.v1.set_access(access);
                    continue;
                }
                Command::Turn(access) => {
                    self.turn.reload(access);
                    continue;
                }
                Command::Kick { ticket, session, node } => {
                    Report::Kicked { ticket, found: self.forward().kick(session, node) }
                }
                Command::Session { ticket, session } => {
                    let view = self.sessions.find(session).map(|session| SessionView {
                        session: session.id,
                        age: self.now.since(session.opened),
                        frames: session.frames,
                        participants: session
                            .members
                            .iter()
                            .map(|member| ParticipantView {
                                node: member.node,
                                addr: member.addr,
                                silent: self.now.since(member.seen),
                                sent: 0,
                                lost: 0,
                            })
                            .collect(),
                    });
                    let view = view.or_else(|| self.v1.view(session, self.now));
                    Report::Session { ticket, view }
                }
                Command::Sessions { ticket, from } => self.page(ticket, from),
            };
            // There was room a moment ago, and this shard is the only writer.
            let answered = self.gazette.reports.post(report);
            debug_assert!(answered.is_ok(), "a shard's reports have one writer");
        }
        Flow::Continue
    }

    /// One page of the sessions: those of v0 first, then those of v1.
    fn page(&self, ticket: u64, from: u32) -> Report {
        if from < V1_PAGES {
            let (sessions, next) = self.sessions.page(from, limits::PAGE_SESSIONS_MAX);
            let page = sessions.map(|session| SessionLine {
                session: session.id,
                participants: session.members.len() as u32,
            });
            let then = (self.v1.sessions() > 0).then_some(V1_PAGES);
            return Report::Sessions { ticket, page: page.collect(), next: next.or(then) };
        }
        let (sessions, next) = self.v1.page(from - V1_PAGES, limits::PAGE_SESSIONS_MAX);
        let next = next.map(|next| next + V1_PAGES);
        Report::Sessions { ticket, page: sessions.collect(), next }
    }

    fn expire(&mut self) {
        let mut forward = self.forward();
        let mut budget = limits::CYCLE_EXPIRIES_MAX;
        while budget > 0 && forward.expire_v1() {
            budget -= 1;
        }
        forward.v1.expiring = budget == 0;
        drop(forward);
        let (gazette, counters) = (&mut self.gazette, &mut self.counters);
        let mut tell = |notice: Notice| {
            counters.notice(&notice);
            gazette.tell(notice);
        };
        let mut budget = limits::CYCLE_EXPIRIES_MAX;
        while budget > 0 && self.sessions.expire(self.now, &mut budget, &mut tell) {}
        self.turn.expire(&mut self.io, self.now);
    }

    /// Everything that has arrived is forwarded, everything queued is with the kernel, and what the kernel
    /// has to say about it has been heard; unless datagrams come faster than that.
    fn settle(&mut self) -> io::Result<()> {
        for _ in 0..LAST_CYCLES {
            let before = self.counters.datagrams;
            self.io.enter(Wait::No)?;
            self.receive();
            if self.counters.datagrams == before {
                break;
            }
        }
        let mut forward = self.forward();
        forward.close_desk();
        forward.serve_all_holds();
        forward.send_last_slices();
        drop(forward);
        self.io.enter(Wait::No)
    }
}

/// What a shard says to control. Answers always have room; notices have half the mailbox, and those
/// that find no room are made up for by saying how many they were.
struct Gazette {
    reports: Sender<Report>,
    /// Notices that found no room, ever.
    lost: u64,
    /// Those of them nobody has been told of.
    unsaid: u64,
}

impl Gazette {
    /// Says how many notices were lost, once there is room for that.
    fn catch_up(&mut self) {
        if self.unsaid > 0 && self.has_room() {
            let said = self.reports.post(Report::Lost { notices: self.unsaid });
            self.unsaid *= u64::from(said.is_err());
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.catch_up();
        if self.unsaid > 0 || !self.has_room() || self.reports.post(Report::Notice(notice)).is_err()
        {
            self.lost += 1;
            self.unsaid += 1;
        }
    }

    fn has_room(&self) -> bool {
        self.reports.len() < self.reports.slots() / 2
    }
}
