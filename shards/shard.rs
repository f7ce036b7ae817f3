//! One shard: the cycle that takes datagrams in, forwards them, and answers control.
//!
//! ```text
//!   1 enter    queued sends to the kernel, buffers back, wait for work or the next timer
//!   2 now      the only clock read of the cycle
//!   3 receive  trains, at most a budget: forward
//!   4 mail     commands, at most a budget, while reports have room
//!   5 timers   who has been silent too long
//! ```
//! A shard owns its sessions, its counters and its back end; nothing outside can touch them. The same
//! type is shipped, simulated and benchmarked.

use std::io;
use std::sync::Arc;

use elara_core::crypto::Secret;
use elara_core::limits;
use elara_core::time::{Instant, Span};

use crate::access::Access;
use crate::command::{Command, Notice, ParticipantView, Report, SessionLine, SessionView};
use crate::counters::Counters;
use crate::forward::{Forward, Rules};
use crate::io::{Io, Wait};
use crate::mailbox::{Receiver, Sender};
use crate::sessions::{Bounds, Sessions};

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
    /// Keys of the hash tables: secret and random in production.
    pub hash_keys: (u64, u64),
    /// What the shard's own keys are made from: secret and random in production, another for each shard.
    pub seed: Secret<32>,
}

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
    counters: Counters,
    commands: Receiver<Command>,
    gazette: Gazette,
    now: Instant,
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
        Self {
            io,
            sessions: Sessions::new(bounds, config.hash_keys, now),
            rules: Rules { index: config.index, shards: config.shards, v0: config.v0 },
            counters: Counters::default(),
            commands,
            gazette: Gazette { reports, lost: 0, unsaid: 0 },
            now,
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
        self.counters.cycles += 1;
        self.receive();
        self.gazette.catch_up();
        let flow = self.read_mail();
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
        Counters {
            egress: self.io.egress(),
            starved: self.io.starved(),
            notices_lost: self.gazette.lost,
            sessions: self.sessions.len() as u64,
            participants: self.sessions.participants() as u64,
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
        self.sessions.next_expiry().map_or(Wait::Forever, Wait::Until)
    }

    fn receive(&mut self) {
        let gazette = &mut self.gazette;
        let mut forward = Forward {
            io: &mut self.io,
            sessions: &mut self.sessions,
            counters: &mut self.counters,
            rules: &self.rules,
            now: self.now,
            tell: |notice| gazette.tell(notice),
        };
        let mut budget = limits::CYCLE_TRAINS_MAX;
        let wall = forward.counters.copies + limits::CYCLE_SENDS_MAX as u64;
        while budget > 0 && forward.counters.copies < wall {
            let Some(train) = forward.io.receive() else { break };
            if let Some(rest) = forward.handle_train(&train, wall) {
                forward.io.put_back(rest);
            }
            budget -= 1;
        }
        self.backlog = budget == 0 || self.counters.copies >= wall;
        self.counters.overruns += u64::from(self.backlog);
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
                Command::Access(_) => continue,
                Command::Kick { ticket, .. } => Report::Kicked { ticket, found: false },
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
                            })
                            .collect(),
                    });
                    Report::Session { ticket, view }
                }
                Command::Sessions { ticket, from } => {
                    let (sessions, next) = self.sessions.page(from, limits::PAGE_SESSIONS_MAX);
                    let page = sessions
                        .map(|session| SessionLine {
                            session: session.id,
                            participants: session.members.len() as u32,
                        })
                        .collect();
                    Report::Sessions { ticket, page, next }
                }
            };
            // There was room a moment ago, and this shard is the only writer.
            let answered = self.gazette.reports.post(report);
            debug_assert!(answered.is_ok(), "a shard's reports have one writer");
        }
        Flow::Continue
    }

    fn expire(&mut self) {
        let (gazette, counters) = (&mut self.gazette, &mut self.counters);
        let mut tell = |notice: Notice| {
            counters.notice(&notice);
            gazette.tell(notice);
        };
        let mut budget = limits::CYCLE_EXPIRIES_MAX;
        while budget > 0 && self.sessions.expire(self.now, &mut budget, &mut tell) {}
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
