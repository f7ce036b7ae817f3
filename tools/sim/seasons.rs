//! The course of a run: when it storms, and what must be true when it does not.
//!
//! ```text
//!   calm ─▶ storm ─▶ heal ─▶ +1 s census ─▶ +2 s verify ─▶ storm ─▶ ...
//!      ─▶ vigil (75 s) ─▶ night (73 s) ─▶ end
//! ```
//! After each storm everyone live must hear each other. In the vigil some give a sign of life now and
//! then and the others none; at night nobody does, and in the end nothing may be left.

use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_shards::steer;

use crate::cast::{Habit, Participant};
use crate::checkers::Breach;
use crate::checkers::ending;
use crate::checkers::healing::Live;
use crate::world::{Event, World};

/// How long the storms' last traces may take to go, before everyone must be taken in.
const CENSUS: Span = Span::from_secs(1);
/// After healing, everyone live must hear each other within this.
const VERIFY: Span = Span::from_secs(2);
const VIGIL: Span = Span::from_secs(75);
/// Longer than the longest patience, twice over for those left alone by it.
const NIGHT: Span = Span::from_secs(73);

impl World<'_> {
    pub(crate) fn schedule_seasons(&mut self) {
        for who in 0..self.plan.cast.len() {
            let span = Span::from_nanos(self.random.below(500_000_000));
            self.return_in(who, span);
        }
        self.after(Span::from_millis(300), Event::Ask);
        let seconds = |count| Span::from_secs(count);
        let end = self.now + seconds(self.chronicle.options.seconds);
        let mut storm = self.now + seconds(1);
        while storm + seconds(3) <= end {
            let longest = end.since(storm + seconds(2)).as_nanos() / 1_000_000_000;
            let wish = if self.random.chance(150_000) { 35 } else { 1 + self.random.below(8) };
            let heal = storm + seconds(wish.min(longest));
            self.at(storm, Event::Storm);
            self.at(heal, Event::Heal);
            self.at(heal + CENSUS, Event::Census);
            self.at(heal + VERIFY, Event::Verify);
            storm = heal + VERIFY + Span::from_millis(1);
        }
        let end = end.max(storm);
        self.at(end, Event::Vigil);
        self.at(end + VIGIL, Event::Night);
        self.at(end + VIGIL + NIGHT, Event::End);
    }

    /// From here on two seconds count.
    pub(crate) fn mark_healed(&mut self) {
        self.healed_at = self.now;
        for participant in &mut self.plan.cast {
            participant.first = participant.number;
        }
    }

    /// Everyone who has been speaking since the healing is taken in, or was turned away for want of room.
    pub(crate) fn take_census(&mut self) -> Result<(), Breach> {
        self.live.clear();
        let Some(policy) = &self.plan.v0 else { return Ok(()) };
        for (who, participant) in self.plan.cast.iter().enumerate() {
            let Participant { session, node, addr, first, .. } = *participant;
            let open = policy.open.iter().any(|block| block.contains(&addr));
            if !open || !participant.has_spoken_since(self.healed_at) {
                continue;
            }
            let lane = &self.lanes[steer::shard_of(session, self.lanes.len())];
            if lane.model.find(session, node).is_none_or(|member| member.addr != addr) {
                return Err((
                    "healing",
                    format!("a second after the network healed, participant {who} is not taken in"),
                ));
            }
            self.live.push(Live { participant: who as u32, session, first });
        }
        Ok(())
    }

    pub(crate) fn verify(&mut self) -> Result<(), Breach> {
        let (cast, healed_at) = (&self.plan.cast, self.healed_at);
        self.live.retain(|live| cast[live.participant as usize].has_spoken_since(healed_at));
        let pairs = self.healing.check(&self.live).map_err(|broken| ("healing", broken))?;
        self.chronicle.pairs_healed += pairs;
        Ok(())
    }

    /// Three in ten give a sign of life now and then, the others none.
    pub(crate) fn begin_vigil(&mut self) {
        self.note("vigil", 0);
        self.quiet = true;
        for who in 0..self.plan.cast.len() {
            self.hush(who);
            if self.random.chance(300_000) {
                self.plan.cast[who].habit = Habit::Vigil;
                self.return_in(who, Span::from_millis(10));
            }
        }
    }

    pub(crate) fn hush_all(&mut self) {
        self.note("night", 0);
        for who in 0..self.plan.cast.len() {
            self.hush(who);
        }
    }

    pub(crate) fn end(&mut self) -> Result<(), Breach> {
        for lane in &mut self.lanes {
            let left = ending::check_empty(&lane.host.counters(), &lane.model);
            left.map_err(|broken| ("ending", broken))?;
            lane.host.stop(self.now)?;
        }
        Ok(())
    }
}

impl Participant {
    /// Has been speaking since `then` at least, and the relay had room for it all the time.
    fn has_spoken_since(&self, then: Instant) -> bool {
        self.speaking_since.is_some_and(|since| since <= then)
            && self.turned_away.is_none_or(|at| at < then)
    }
}
