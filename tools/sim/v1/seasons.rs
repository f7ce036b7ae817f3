//! The course of a run: when it storms, and what must be true when it does not.
//!
//! ```text
//!   calm ─▶ storm ─▶ heal ─▶ +12 s census ─▶ +3 s verify ─▶ storm ─▶ ...
//!      ─▶ vigil (75 s, or an hour and a bit) ─▶ night (10 min and a bit) ─▶ end
//! ```
//! Twelve seconds: three pings of two seconds until a connection counts as lost, a HELLO, and another
//! after a BUSY. In the vigil some sleep and few speak; in a long one connections get new keys because of
//! their age. At night nobody does anything, and in the end nothing may be left.

use std::collections::{BTreeMap, BTreeSet};

use elara_core::crypto::Permissions;
use elara_core::limits::{CONNECTION_LIFE, V1_SILENCE};
use elara_core::random::Random;
use elara_core::time::Span;
use elara_core::{NodeId, SessionId};

use super::checkers::healing::{Well, check_rosters};
use super::club::today;
use super::honest::{Aim, Habit, Honest};
use super::world::{Event, World};
use crate::checkers::Breach;

const CENSUS: Span = Span::from_secs(12);
/// From the census on, everyone must be heard within this.
const VERIFY: Span = Span::from_secs(3);
const VIGIL: Span = Span::from_secs(75);
const LONG_VIGIL: Span = Span::from_secs(CONNECTION_LIFE.as_nanos() / 1_000_000_000 + 60);
const NIGHT: Span = Span::from_secs(V1_SILENCE.as_nanos() / 1_000_000_000 + 5);
/// Seconds after a token's last one for which it is taken.
const SKEW_S: u64 = 60;

impl World<'_> {
    pub(crate) fn schedule_seasons(&mut self) {
        for who in 0..self.plan.cast.len() {
            let span = Span::from_millis(self.random.below(1_500));
            self.after(span, Event::Come { who });
        }
        self.after(Span::from_millis(300), Event::Ask);
        self.after(Span::from_millis(700), Event::Abuse);
        let seconds = |count| Span::from_secs(count);
        let end = self.now + seconds(self.chronicle.options.seconds);
        let mut storm = self.now + seconds(2);
        while storm + seconds(3) <= end {
            let longest = end.since(storm + seconds(1)).as_nanos() / 1_000_000_000;
            let wish = if self.random.chance(150_000) { 35 } else { 1 + self.random.below(8) };
            let heal = storm + seconds(wish.min(longest));
            self.at(storm, Event::Storm);
            self.at(heal, Event::Heal);
            self.at(heal + CENSUS, Event::Census);
            self.at(heal + CENSUS, Event::Reckon);
            self.at(heal + CENSUS + VERIFY, Event::Verify);
            storm = heal + CENSUS + VERIFY + Span::from_millis(1);
        }
        let end = end.max(storm);
        let vigil = if self.random.chance(30_000) { LONG_VIGIL } else { VIGIL };
        self.at(end, Event::Vigil);
        self.at(end + vigil, Event::Night);
        self.at(end + vigil + NIGHT, Event::End);
    }

    /// A participant wants in.
    pub(crate) fn come(&mut self, who: usize) -> Result<(), Breach> {
        let them = &mut self.plan.cast[who];
        if them.aim == Aim::Out || them.asleep || self.night {
            return Ok(());
        }
        them.aim = Aim::In;
        them.machine.connect(self.now);
        self.begin_speaking(who);
        self.look(who)
    }

    /// One that was frozen thaws: it goes on as if nothing had been.
    pub(crate) fn rouse(&mut self, who: usize) -> Result<(), Breach> {
        if self.night || !std::mem::take(&mut self.plan.cast[who].asleep) {
            return Ok(());
        }
        if self.plan.cast[who].aim == Aim::In {
            self.begin_speaking(who);
        }
        self.look(who)
    }

    fn begin_speaking(&mut self, who: usize) {
        let them = &mut self.plan.cast[who];
        them.turn += 1;
        them.speaking_since = Some(self.now);
        let token = them.turn;
        self.after(Span::from_millis(1), Event::Speak { who, token });
    }

    /// Everyone who wants to be in and may is in, where they are.
    pub(crate) fn take_census(&mut self) -> Result<(), Breach> {
        self.well.clear();
        for who in 0..self.plan.cast.len() {
            let them = &self.plan.cast[who];
            let aspirants = self.aspirants(them.session);
            if !self.should_be_in(them) || aspirants > self.plan.max_peers {
                continue;
            }
            let lane = &self.lanes[self.lane_of(them.session)];
            let seat = lane.mirror.seat(them.session, them.node);
            let broken = if !them.machine.is_joined() {
                "is not in"
            } else if them.machine.is_degraded() {
                "is not answered"
            } else if seat.is_none() {
                "believes to be in, and is not"
            } else if seat.and_then(|seat| seat.addr()) != Some(&them.addr) {
                "is not where it is believed to be"
            } else {
                continue;
            };
            let seconds = CENSUS.as_nanos() / 1_000_000_000;
            return Err((
                "healing",
                format!("{seconds} s after the network healed, participant {who} {broken}"),
            ));
        }
        Ok(())
    }

    /// How many may want to be in a session at a time.
    fn aspirants(&self, session: SessionId) -> usize {
        let honest = self.plan.cast.iter().filter(|them| them.session == session).count();
        let hostile = self.plan.insiders.iter().filter(|them| them.session() == session).count();
        honest + hostile
    }

    fn should_be_in(&self, them: &Honest) -> bool {
        them.aim == Aim::In
            && !them.asleep
            && u64::from(them.claims.expires) + SKEW_S > u64::from(today(self.now)) + 5
            && them.speaking_since.is_some_and(|since| since <= self.healed_at)
    }

    /// All hear each other, and know of each other.
    pub(crate) fn verify(&mut self) -> Result<(), Breach> {
        let mut well = Vec::new();
        for them in &self.plan.cast {
            let may =
                self.should_be_in(them) && self.aspirants(them.session) <= self.plan.max_peers;
            if !may {
                continue;
            }
            let nodes = them.machine.members().map(|(node, _)| node).collect();
            well.push(Well {
                participant: them.index,
                session: them.session,
                speaks: them.habit != Habit::Listen,
                hears: them.claims.permissions.allows(Permissions::RECEIVE),
                wish: them.wish,
                node: them.node,
                class: them.habit.class() as u8,
                stream: them.habit.stream(),
                roster: (nodes, them.machine.others()),
            });
        }
        let rosters = check_rosters(&well, &self.rosters());
        rosters.map_err(|broken| ("healing", broken))?;
        let pairs = self.healing.check(&well, &self.ledger);
        self.chronicle.pairs_healed += pairs.map_err(|broken| ("healing", broken))?;
        Ok(())
    }

    /// Who is in each session: those who may send, and how many others.
    fn rosters(&self) -> BTreeMap<SessionId, (BTreeSet<NodeId>, u32)> {
        let mut rosters = BTreeMap::new();
        for lane in &self.lanes {
            for (session, room) in &lane.mirror.rooms {
                let roster: &mut (BTreeSet<NodeId>, u32) = rosters.entry(*session).or_default();
                for node in room.keys() {
                    let granted = lane.mirror.permissions((*session, *node), &self.ledger);
                    if granted.0 & Permissions::SEND_ALL.0 != 0 {
                        roster.0.insert(*node);
                    } else {
                        roster.1 += 1;
                    }
                }
            }
        }
        rosters
    }

    /// Some fall asleep, few go on speaking.
    pub(crate) fn begin_vigil(&mut self) {
        self.note("vigil", 0);
        self.quiet = true;
        for who in 0..self.plan.cast.len() {
            if self.random.chance(300_000) {
                self.fall_asleep(who);
            } else if !self.random.chance(150_000) {
                self.plan.cast[who].turn += 1;
                self.plan.cast[who].speaking_since = None;
            } else {
                self.plan.cast[who].habit = self.plan.cast[who].habit.at_night();
            }
        }
    }

    pub(crate) fn fall_asleep(&mut self, who: usize) {
        let them = &mut self.plan.cast[who];
        them.asleep = true;
        them.turn += 1;
        them.tick += 1;
        them.tick_at = None;
        them.speaking_since = None;
    }

    pub(crate) fn begin_night(&mut self) {
        self.note("night", 0);
        self.night = true;
        for who in 0..self.plan.cast.len() {
            self.fall_asleep(who);
        }
    }

    pub(crate) fn end(&mut self) -> Result<(), Breach> {
        for lane in &mut self.lanes {
            lane.stop(self.now)?;
        }
        Ok(())
    }
}
