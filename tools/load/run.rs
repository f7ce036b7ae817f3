//! One run: introductions, warm-up, the measured window, the drain.
//!
//! One thread does everything: it sends what is due, takes what has come, and sleeps in epoll until
//! the next of both. Sending goes first, also between two receivers, because the schedule waits for
//! nobody: a send that is late goes out at once and is measured from when it was due. From warm-up to
//! drain nothing allocates, except what the caller's progress function does.
//!
//! ```text
//!   introductions │ warm-up │ measured window          │ drain │
//!                 start     begin (relay clock read)   end     all arrived and quiet, or time is up
//!                                                              (relay clock read)
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use elara_core::limits::V1_FRAME_MAX;
use elara_core::time::{Instant, Span};
use elara_shards::counters::Egress;
use elara_shards::sys::cpu::{self, monotonic};

use crate::drops::dropped;
use crate::error::{LoadError, kernel};
use crate::frame::Frames;
use crate::introduce::introduce;
use crate::plan::{Plan, PlanError, Wire};
use crate::report::{Outcome, Report};
use crate::rtp::Packets;
use crate::schedule::{Due, Schedule};
use crate::speech::Speech;
use crate::swarm::Swarm;
use crate::tally::Tally;
use crate::v1::{Joins, Party, Visitors, join};

/// How often the caller hears how it goes.
const PROGRESS: Span = Span::from_millis(200);
/// Everything has arrived, and nothing more for this long: no repetition is under way either.
const QUIET: Span = Span::from_millis(20);
/// Late sends in a row before receivers have a turn.
const SENDS: usize = 32;

/// How it goes so far. Told about five times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Since the load began, warm-up included.
    pub elapsed: Duration,
    /// Warm-up and window together.
    pub total: Duration,
    /// Frames sent in the window.
    pub sent: u64,
    /// Their copies that arrived.
    pub delivered: u64,
    /// Copies that did not arrive though later ones did.
    pub lost: u64,
    /// Median latency; `None` before the first arrival.
    pub latency_p50: Option<Duration>,
}

/// Runs the plan on the calling thread, which stays pinned to the plan's cpu and with fine timers.
///
/// # Errors
/// When the plan has a mistake, nobody answers, or the kernel refuses. Loss is no error, it is a result.
pub fn run(plan: &Plan, progress: &mut dyn FnMut(Progress)) -> Result<Report, LoadError> {
    run_until(plan, &AtomicBool::new(false), progress)
}

/// As [`run`], but ends the window early when `stop` becomes true, with a report of what was measured.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    plan: &Plan,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LoadError> {
    run_when(plan, &mut || (), stop, progress)
}

/// As [`run_until`], but asks `ready` between the introductions and the load, and goes on when that answers:
/// so that deliveries can be sent elsewhere ([`Plan::one_way`]) and clocks be read.
///
/// # Errors
/// As [`run`].
pub fn run_when(
    plan: &Plan,
    ready: &mut dyn FnMut(),
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LoadError> {
    plan.validate()?;
    if let Some(cpu) = plan.cpu {
        cpu::pin(cpu).map_err(kernel("pinning this thread to its cpu"))?;
    }
    cpu::set_timer_slack(1_000);
    let mut swarm = Swarm::open(plan)?;
    let Entered { speech, silent, joins, visitors } = enter(plan, &mut swarm)?;

    let (family, ports) = swarm.ports();
    let ours = || dropped(family, &ports);
    let relay_ports = plan.relay_ports();
    let relays = || plan.target.ip().is_loopback().then(|| dropped(family, &relay_ports))?;
    let (ours_before, relays_before) = (ours(), relays());
    ready();
    let mut engine = Engine::new(plan, speech, swarm);
    let over = AtomicBool::new(false);
    let visited = thread::scope(|scope| {
        let visiting = visitors.map(|visitors| scope.spawn(|| visitors.visit(&over)));
        let driven = engine.drive(stop, progress);
        over.store(true, Ordering::Relaxed);
        let join = |visiting: thread::ScopedJoinHandle<'_, _>| {
            visiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let visited = visiting.map(join).transpose();
        driven.and(visited)
    })?;
    let more = |after: Option<u64>, before: Option<u64>| Some(after?.saturating_sub(before?));
    let mut outcome = engine.outcome();
    engine.speech.leave(&mut engine.swarm);
    (outcome.silent, outcome.joins) = (silent, joins);
    if let Some(visited) = visited {
        (outcome.visits, outcome.visitors_cpu) = (Some(visited.joins), visited.cpu_nanos);
    }
    outcome.own_drops = more(ours(), ours_before);
    outcome.relay_drops = more(relays(), relays_before);
    Ok(Report::new(plan, &engine.tally, &outcome))
}

/// Everyone is known to the relay.
struct Entered {
    speech: Speech,
    /// But for so many.
    silent: u32,
    joins: Option<Joins>,
    /// Those who come later.
    visitors: Option<Visitors>,
}

fn enter(plan: &Plan, swarm: &mut Swarm) -> Result<Entered, LoadError> {
    let run = || monotonic().as_nanos() as u32 ^ std::process::id().rotate_left(16);
    let entered = |speech, silent| Entered { speech, silent, joins: None, visitors: None };
    match plan.wire {
        Wire::V0 => {
            let frames = Frames::new(plan, run());
            let silent = introduce(plan, &frames, swarm)?;
            return Ok(entered(Speech::V0(frames), silent));
        }
        Wire::Rtp => return Ok(entered(Speech::Rtp(Packets::new(plan, run())), 0)),
        Wire::V1 => {}
    }
    let pass = plan.pass.as_ref().ok_or(PlanError::NoPass)?;
    let invite = |rate| Visitors::invite(plan, pass, rate);
    let visitors = plan.join_rate.map(invite).transpose()?;
    let mut party = Box::new(Party::invite(plan, pass));
    let joins = join(plan, &mut party, swarm)?;
    let silent = (joins.tried - joins.joined) as u32;
    Ok(Entered { speech: Speech::V1(party), silent, joins: Some(joins), visitors })
}

/// The clocks and counts that say what an interval cost.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    own_cpu: u64,
    relay_cpu: Option<u64>,
    useful: u64,
    arrived: u64,
    delivered: u64,
}

/// One sender, and the burst it sends over and over.
struct Speaker {
    member: u32,
    next: u32,
    burst: Box<[u8]>,
}

struct Engine<'plan> {
    plan: &'plan Plan,
    speech: Speech,
    swarm: Swarm,
    speakers: Vec<Speaker>,
    schedule: Schedule,
    tally: Tally,
    keep_alives: KeepAlives,
    start: Instant,
    begin: Instant,
    end: Instant,
    stopped: bool,
    last_arrival: Instant,
    /// At the window's begin, at its end, and after the drain.
    readings: [Option<Reading>; 3],
}

impl<'plan> Engine<'plan> {
    fn new(plan: &'plan Plan, speech: Speech, swarm: Swarm) -> Self {
        let burst = |member| speech.burst(plan, member);
        let speaker = |member| Speaker { member, next: 0, burst: burst(member) };
        let speakers: Vec<Speaker> = (0..plan.members() as u32)
            .filter(|member| member % plan.participants < plan.senders)
            .map(speaker)
            .collect();
        let start = monotonic();
        let begin = start + span(plan.warmup);
        let end = begin + span(plan.duration);
        let senders = speakers.len() as u32;
        Self {
            plan,
            speech,
            swarm,
            speakers,
            schedule: Schedule::new(start, end.since(start), senders, plan.rate, plan.seed),
            tally: Tally::new(plan, begin.as_nanos()..end.as_nanos()),
            keep_alives: KeepAlives::new(plan, start),
            start,
            begin,
            end,
            stopped: false,
            last_arrival: start,
            readings: [None; 3],
        }
    }

    fn drive(
        &mut self,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), LoadError> {
        let mut next_progress = self.start + PROGRESS;
        loop {
            let now = monotonic();
            if stop.load(Ordering::Relaxed) && !self.stopped && now < self.end {
                self.end_now(now);
            }
            if self.readings[0].is_none() && now >= self.begin {
                self.readings[0] = Some(self.read(now));
            }
            if self.readings[1].is_none() && now >= self.end {
                self.readings[1] = Some(self.read(now));
            }
            if self.is_over(now) {
                self.readings[2] = Some(self.read(now));
                return Ok(());
            }
            if now >= next_progress {
                progress(self.progress(now));
                next_progress = now + PROGRESS;
            }
            let now = self.send_due(now, SENDS);
            if now < self.end {
                self.keep_alives.send_due(now, self.plan, &mut self.speech, &mut self.swarm);
            }
            let wake = self.next_event(now).min(next_progress);
            for index in 0..self.swarm.wait(wake.since(now))? {
                let now = self.receive(self.swarm.ready(index))?;
                self.send_due(now, 1);
            }
        }
    }

    /// Sends up to `most` of what is due, and answers what time it is then.
    #[inline]
    fn send_due(&mut self, mut now: Instant, most: usize) -> Instant {
        for _ in 0..most {
            match self.schedule.peek() {
                Some(due) if due.at <= now => {
                    self.schedule.next();
                    self.send(due, now);
                    now = monotonic();
                }
                _ => break,
            }
        }
        now
    }

    fn send(&mut self, due: Due, now: Instant) {
        let speaker = &mut self.speakers[due.sender as usize];
        let scheduled = due.at.as_nanos();
        let (member, sequence) = (speaker.member, speaker.next);
        let ready =
            self.speech.fill(&mut speaker.burst, self.plan.size, member, sequence, scheduled);
        speaker.next += self.plan.burst;
        let egress = if ready {
            self.swarm.send_burst(member, &speaker.burst)
        } else {
            Egress { failed: self.plan.burst.into(), ..Egress::default() }
        };
        self.tally.sent(self.plan.burst, scheduled, now.as_nanos(), egress);
    }

    /// Takes what waits at `member`, and answers what time it is then.
    #[inline]
    fn receive(&mut self, member: u32) -> Result<Instant, LoadError> {
        let received = self.swarm.receive(member)?;
        let now = monotonic();
        for bytes in received.datagrams() {
            self.speech.inspect(member, bytes, now, |seen| {
                self.tally.arrived(member, seen, now.as_nanos());
            });
        }
        self.last_arrival = now;
        Ok(now)
    }

    /// When there is something to do even if nothing arrives.
    fn next_event(&self, now: Instant) -> Instant {
        let send = self.schedule.peek().map(|due| due.at);
        let turn = match () {
            () if now < self.begin => self.begin.min(self.keep_alives.next),
            () if now < self.end => self.end.min(self.keep_alives.next),
            () => now + QUIET,
        };
        send.map_or(turn, |at| at.min(turn))
    }

    fn is_over(&self, now: Instant) -> bool {
        let all = self.plan.copies(self.tally.counts.sent);
        let complete = self.schedule.peek().is_none() && self.tally.counts.delivered >= all;
        let quiet = now.since(self.last_arrival) >= QUIET;
        now >= self.end && (complete && quiet || now >= self.end + span(self.plan.drain))
    }

    fn end_now(&mut self, now: Instant) {
        self.stopped = true;
        self.begin = self.begin.min(now);
        self.end = now;
        self.tally.window.end = now.as_nanos();
        self.schedule.cut(now);
    }

    fn read(&self, at: Instant) -> Reading {
        Reading {
            at,
            own_cpu: cpu::thread_cpu_nanos(),
            relay_cpu: self.plan.pid.and_then(|pid| cpu::process_cpu_nanos(pid).ok()),
            useful: self.tally.counts.useful,
            arrived: self.tally.counts.arrived,
            delivered: self.tally.counts.delivered,
        }
    }

    fn progress(&self, now: Instant) -> Progress {
        let counts = &self.tally.counts;
        let total = self.plan.warmup + self.plan.duration;
        let p50 = || Duration::from_nanos(self.tally.latency.value_at_quantile(0.5));
        Progress {
            elapsed: Duration::from_nanos(now.since(self.start).as_nanos()).min(total),
            total,
            sent: counts.sent,
            delivered: counts.delivered,
            lost: counts.gaps.max(0) as u64,
            latency_p50: (counts.delivered > 0).then(p50),
        }
    }

    /// What the interval between the readings says. What could not be sent in time is offered, not sent.
    fn outcome(&mut self) -> Outcome {
        let begin = self.begin;
        let left = self.schedule.by_ref().filter(|due| due.at >= begin).count() as u64;
        self.tally.counts.offered += left * u64::from(self.plan.burst);
        let [Some(begin), Some(end), Some(drained)] = self.readings else {
            unreachable!("the loop ends after the window has begun and ended");
        };
        let relay_cpu = |to: Reading| Some(to.relay_cpu?.saturating_sub(begin.relay_cpu?));
        Outcome {
            stopped: self.stopped,
            window: self.end.since(self.begin),
            measured: end.at.since(begin.at),
            delivered_in_window: end.delivered,
            arrived_in_window: end.arrived - begin.arrived,
            own_cpu: end.own_cpu - begin.own_cpu,
            relay_cpu_in_window: relay_cpu(end),
            relay_cpu: relay_cpu(drained),
            relay_datagrams: drained.useful - begin.useful,
            keep_alives: self.keep_alives.sent,
            silent: 0,
            joins: None,
            visits: None,
            visitors_cpu: 0,
            own_drops: None,
            relay_drops: None,
        }
    }
}

/// Who speaks next so that the relay forgets nobody; members take turns around the period.
struct KeepAlives {
    next: Instant,
    step: Span,
    member: u32,
    round: u32,
    sent: u64,
}

impl KeepAlives {
    fn new(plan: &Plan, start: Instant) -> Self {
        let period = span(plan.keep_alive_period()).as_nanos();
        let step = Span::from_nanos((period / plan.members()).max(1));
        let first = match plan.wire {
            // When the load has ended: never.
            Wire::Rtp => span(plan.warmup + plan.duration),
            Wire::V0 | Wire::V1 => step,
        };
        Self { next: start + first, step, member: 0, round: 1, sent: 0 }
    }

    fn send_due(&mut self, now: Instant, plan: &Plan, speech: &mut Speech, swarm: &mut Swarm) {
        if now < self.next {
            return;
        }
        self.next = self.next + self.step;
        let member = self.member;
        // Load keeps its senders alive.
        let speaks = member % plan.participants < plan.senders && plan.rate >= 1.0;
        if !speaks {
            let mut bytes = [0; V1_FRAME_MAX];
            let len = speech.keep_alive(member, self.round, now, &mut bytes);
            self.sent += swarm.send_frame(member, &bytes[..len]).sent;
        }
        self.member += 1;
        if u64::from(self.member) == plan.members() {
            self.member = 0;
            self.round = self.round.wrapping_add(1);
        }
    }
}

fn span(duration: Duration) -> Span {
    Span::from_nanos(duration.as_nanos() as u64)
}
