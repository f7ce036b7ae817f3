//! Visitors: participants that come at a rate while the load runs, stay a moment, and leave.
//!
//! They have sessions, sockets and a thread of their own, on the load's cpu but behind it in the
//! line: the curve arithmetic of their handshakes must not make the load's arrivals look late. An
//! open loop as well: a visit has an instant at which it is due, and its latency counts from then.

use std::sync::atomic::{AtomicBool, Ordering};

use elara_core::crypto::Scratch;
use elara_core::limits::V1_FRAME_MAX;
use elara_core::time::{Instant, Span};
use elara_shards::sys::cpu::{self, monotonic};

use super::books::{Books, Joins};
use super::guest::Guest;
use super::join::{Underway, hear, speak};
use super::party::guests;
use super::pass::Pass;
use crate::error::{LoadError, kernel};
use crate::plan::Plan;
use crate::swarm::Swarm;

/// How long a visitor stays.
const STAY: Span = Span::from_secs(1);
/// A visitor that is not in by then goes away.
const PATIENCE: Span = Span::from_secs(5);
/// Visitors of one session.
const PARTICIPANTS: u32 = 10;
/// Visitors there are for each that is due in a second: some stay, some are on their way, some wait.
const SPARE: f64 = 1.5;
/// Most visitors.
const VISITORS_MAX: u32 = 20_000;
/// The longest sleep, so that the end of the run is seen.
const SLEEP_MAX: Span = Span::from_millis(20);

pub(crate) struct Visitors {
    swarm: Swarm,
    guests: Vec<Guest>,
    /// Visits a second.
    rate: f64,
    cpu: Option<usize>,
}

/// What the visits came to, and what they cost this process.
pub(crate) struct Visited {
    pub(crate) joins: Joins,
    pub(crate) cpu_nanos: u64,
}

impl Visitors {
    /// How many it takes for `rate` visits a second.
    pub(crate) fn count(rate: f64) -> u32 {
        let visitors = ((rate * SPARE) as u32).clamp(PARTICIPANTS, VISITORS_MAX);
        visitors.next_multiple_of(PARTICIPANTS)
    }

    /// Everyone with fresh keys, in sessions behind those of the load.
    pub(crate) fn invite(plan: &Plan, pass: &Pass, rate: f64) -> Result<Self, LoadError> {
        let visits = Plan {
            first_session: plan.first_session + u64::from(plan.sessions),
            sessions: Self::count(rate) / PARTICIPANTS,
            participants: PARTICIPANTS,
            gro: false,
            ..plan.clone()
        };
        let guests = guests(&visits, pass, 0..visits.members() as u32);
        Ok(Self { swarm: Swarm::open(&visits)?, guests, rate, cpu: plan.cpu })
    }

    /// Comes and goes until `over`.
    pub(crate) fn visit(mut self, over: &AtomicBool) -> Result<Visited, LoadError> {
        if let Some(cpu) = self.cpu {
            cpu::pin(cpu).map_err(kernel("pinning the visitors' thread to its cpu"))?;
        }
        cpu::step_back();
        cpu::set_timer_slack(1_000);
        let start = monotonic();
        let rate = self.rate;
        let due = |visit: u64| start + Span::from_nanos((visit as f64 * 1e9 / rate) as u64);
        let (mut visit, mut books, mut scratch) = (0, Books::new(), Scratch::new());
        // Who is out, who is on the way, and who is in, until when; in order of time.
        let mut out: std::collections::VecDeque<u32> = (0..self.guests.len() as u32).collect();
        let mut underway: Vec<Underway> = Vec::new();
        let mut inside: std::collections::VecDeque<(Instant, u32)> =
            std::collections::VecDeque::new();
        while !over.load(Ordering::Relaxed) {
            let now = monotonic();
            while due(visit) <= now {
                match out.pop_front() {
                    Some(member) => {
                        self.guests[member as usize].begin(now);
                        books.tried += 1;
                        underway.push(Underway::new(member, due(visit)));
                    }
                    None => books.not_begun += 1,
                }
                visit += 1;
            }
            while let Some((until, member)) = inside.front().copied()
                && until <= now
            {
                inside.pop_front();
                self.leave(member);
                out.push_back(member);
            }
            let mut next = due(visit).min(now + SLEEP_MAX);
            underway.retain_mut(|them| {
                let guest = &mut self.guests[them.member as usize];
                if now.since(them.since) > PATIENCE {
                    books.failed.count(them.last);
                    guest.rest();
                    out.push_back(them.member);
                    return false;
                }
                if guest.due().is_some_and(|due| due <= now) {
                    speak(them, guest, &mut self.swarm, &mut books);
                }
                next = guest.due().map_or(next, |due| due.min(next));
                true
            });
            for index in 0..self.swarm.wait(next.since(now))? {
                let member = self.swarm.ready(index);
                let at = underway.iter().position(|them| them.member == member);
                let them = at.map(|at| &mut underway[at]);
                let guest = &mut self.guests[member as usize];
                if hear(them, member, guest, &mut self.swarm, &mut books, &mut scratch)? {
                    underway.swap_remove(at.expect("only who is on its way comes in"));
                    inside.push_back((monotonic() + STAY, member));
                }
            }
        }
        let joins = books.close(monotonic().since(start));
        inside.into_iter().for_each(|(_, member)| self.leave(member));
        Ok(Visited { joins, cpu_nanos: cpu::thread_cpu_nanos() })
    }

    fn leave(&mut self, member: u32) {
        let mut bytes = [0; V1_FRAME_MAX];
        if let Some(len) = self.guests[member as usize].leave(&mut bytes) {
            self.swarm.send_frame(member, &bytes[..len]);
        }
    }
}
