//! The world: events in the order of their time, and nothing else moves.
//!
//! `seasons` says when it storms and when all must be well; `trouble` is what storms bring. Here is what
//! goes on in any weather: participants speak, datagrams travel, shards run, frames are handed over.

use std::collections::BTreeMap;

use elara_core::random::{Random, Seeded};
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, SessionId};

use crate::agenda::Agenda;
use crate::cast::Participant;
use crate::checkers::Breach;
use crate::checkers::healing::{Healing, Live};
use crate::checkers::once::Once;
use crate::chronicle::Chronicle;
use crate::faults::Faults;
use crate::frames::{self, Name};
use crate::lane::{Effects, Lane};
use crate::network::{Link, Passage};
use crate::parcels::Parcels;
use crate::plan::Plan;
use crate::trace::Sink;
use crate::weather;
use crate::{Options, Summary, Violation};

/// What is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A parcel reaches the relay's machine.
    Arrive {
        parcel: usize,
    },
    /// A frame reaches a participant; `extra` when its way there duplicated it.
    Hand {
        receiver: u32,
        name: (u32, u32),
        extra: bool,
    },
    /// A shard gets the processor.
    Wake {
        lane: usize,
        token: u32,
    },
    /// A participant has its turn to speak.
    Speak {
        who: usize,
        token: u32,
    },
    /// A participant who was silent or away begins to speak again.
    Return {
        who: usize,
        token: u32,
    },
    /// The next trouble of a storm.
    Trouble,
    /// Control asks a shard something.
    Ask,
    Storm,
    Heal,
    Census,
    Verify,
    Vigil,
    Night,
    End,
}

pub(crate) struct World<'a> {
    pub(crate) chronicle: Chronicle<'a>,
    pub(crate) random: Seeded,
    pub(crate) now: Instant,
    pub(crate) plan: Plan,
    pub(crate) lanes: Vec<Lane>,
    /// Who is at an address.
    holders: BTreeMap<ClientAddr, usize>,
    /// How strangers reach the relay.
    pub(crate) stranger: Link,
    pub(crate) faults: Faults,
    pub(crate) stormy: bool,
    pub(crate) quiet: bool,
    agenda: Agenda<Event>,
    parcels: Parcels,
    next_port: u16,
    pub(crate) healed_at: Instant,
    pub(crate) live: Vec<Live>,
    once: Once,
    pub(crate) healing: Healing,
    effects: Effects,
    pub(crate) frame: Vec<u8>,
    lengths: Vec<usize>,
}

impl<'a> World<'a> {
    pub(crate) fn new(options: Options, sink: Option<&'a mut Sink<'a>>) -> Self {
        let mut random = Seeded::new(options.seed);
        let plan = Plan::new(&mut random, options.shards);
        let now = plan.begin;
        let lanes = (0..plan.shards)
            .map(|index| Lane::new(plan.config(index), plan.capacity, random.next_u64(), now))
            .collect();
        let holders = plan.cast.iter().enumerate().map(|(who, p)| (p.addr, who)).collect();
        Self {
            chronicle: Chronicle::new(options, now, sink),
            random,
            now,
            lanes,
            holders,
            stranger: Link::clear(Span::from_millis(3)),
            faults: Faults::default(),
            stormy: false,
            quiet: false,
            agenda: Agenda::new(),
            parcels: Parcels::default(),
            next_port: 20_000,
            healed_at: now,
            live: Vec::new(),
            once: Once::default(),
            healing: Healing::default(),
            effects: Effects::default(),
            frame: Vec::new(),
            lengths: Vec::new(),
            plan,
        }
    }

    pub(crate) fn run(mut self) -> Result<Summary, Box<Violation>> {
        self.schedule_seasons();
        while let Some((at, event)) = self.agenda.take() {
            self.now = at;
            self.happen(event).map_err(|breach| self.chronicle.violation(at, breach))?;
            if event == Event::End {
                break;
            }
        }
        Ok(self.summary())
    }

    fn happen(&mut self, event: Event) -> Result<(), Breach> {
        match event {
            Event::Arrive { parcel } => self.arrive(parcel),
            Event::Hand { receiver, name, extra } => self.hand(receiver, name, extra)?,
            Event::Wake { lane, token } => self.cycle(lane, token)?,
            Event::Speak { who, token } if self.plan.cast[who].token == token => self.speak(who),
            Event::Return { who, token } if self.plan.cast[who].token == token => {
                self.plan.cast[who].speaking_since = Some(self.now);
                self.speak(who);
            }
            Event::Speak { .. } | Event::Return { .. } => {}
            Event::Trouble => self.trouble(),
            Event::Ask => self.ask(),
            Event::Storm => self.storm(),
            Event::Heal => self.heal(),
            Event::Census => self.take_census()?,
            Event::Verify => self.verify()?,
            Event::Vigil => self.begin_vigil(),
            Event::Night => self.hush_all(),
            Event::End => self.end()?,
        }
        Ok(())
    }

    pub(crate) fn at(&mut self, at: Instant, event: Event) {
        self.agenda.put(at, event);
    }

    pub(crate) fn after(&mut self, span: Span, event: Event) {
        self.at(self.now + span, event);
    }

    pub(crate) fn note(&mut self, what: &'static str, number: u64) {
        self.chronicle.note(self.now, what, number);
    }

    /// A participant says what it is in the habit of saying.
    fn speak(&mut self, who: usize) {
        let Participant { session, node, addr, habit, .. } = self.plan.cast[who];
        let mut lengths = std::mem::take(&mut self.lengths);
        habit.say(&mut lengths, &mut self.random);
        for len in &lengths {
            let number = self.plan.cast[who].number;
            self.plan.cast[who].number += 1;
            let name = Name { sender: who as u32, number };
            let random = &mut self.random;
            frames::write_named(&mut self.frame, session, node, name, *len, random);
            let up = &mut self.plan.cast[who].up;
            let passages = up.pass(self.now, random, &mut self.faults);
            for passage in passages.into_iter().flatten() {
                self.once.allow(name.sender, number);
                self.carry(addr, passage);
            }
        }
        self.lengths = lengths;
        let pause = habit.pause(&mut self.random);
        let token = self.plan.cast[who].token;
        self.after(pause, Event::Speak { who, token });
    }

    /// A stranger sends what stands in `frame`.
    pub(crate) fn send_strange(&mut self, from: ClientAddr) {
        let passages = self.stranger.pass(self.now, &mut self.random, &mut self.faults);
        for passage in passages.into_iter().flatten() {
            self.carry(from, passage);
        }
    }

    /// Sends a copy of `frame` on its way.
    fn carry(&mut self, from: ClientAddr, passage: Passage) {
        let random = &mut self.random;
        let parcel = self.parcels.pack(Some(from), &self.frame, passage.flipped, random);
        self.at(passage.at, Event::Arrive { parcel });
    }

    /// A datagram reaches the relay's machine.
    fn arrive(&mut self, parcel: usize) {
        let shards = self.lanes.len();
        let steered = self.parcels.steer(parcel, self.now, shards, &mut self.faults);
        let Some((lane, from, bytes)) = steered else { return };
        if self.lanes[lane].host.takes(from, bytes, &mut self.faults) {
            let span = weather::latency(self.stormy, &mut self.random);
            self.wake_in(lane, span);
        }
    }

    /// A shard gets the processor, unless it would get it earlier anyway.
    pub(crate) fn wake_in(&mut self, lane: usize, span: Span) {
        if let Some((at, token)) = self.lanes[lane].host.schedule(self.now + span) {
            self.at(at, Event::Wake { lane, token });
        }
    }

    fn cycle(&mut self, lane: usize, token: u32) -> Result<(), Breach> {
        if !self.lanes[lane].host.wakes(token) {
            return Ok(());
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.lanes[lane].cycle(self.now, &mut self.chronicle.trace, &mut effects)?;
        for name in effects.turned_away.drain(..) {
            self.plan.cast[name.sender as usize].turned_away = Some(self.now);
        }
        for (to, name) in effects.departures.drain(..) {
            if let (Some(name), Some(receiver)) = (name, self.holders.get(&to)) {
                self.send_down(*receiver, name);
            }
        }
        self.effects = effects;
        if let Some(at) = self.lanes[lane].host.next_wake() {
            self.wake_in(lane, at.since(self.now));
        }
        Ok(())
    }

    fn send_down(&mut self, receiver: usize, name: Name) {
        let down = &mut self.plan.cast[receiver].down;
        let passages = down.pass(self.now, &mut self.random, &mut self.faults);
        for (passage, extra) in passages.into_iter().zip([false, true]) {
            // A frame with flipped bits does not open, and is nobody's.
            if let Some(Passage { at, flipped: false }) = passage {
                let name = (name.sender, name.number);
                self.at(at, Event::Hand { receiver: receiver as u32, name, extra });
            }
        }
    }

    fn hand(&mut self, receiver: u32, name: (u32, u32), extra: bool) -> Result<(), Breach> {
        let (sender, number) = name;
        self.chronicle.hand(self.now, receiver, sender, number);
        self.healing.hand(receiver, sender, number);
        if extra {
            return Ok(());
        }
        self.once.hand(receiver, sender, number).map_err(|broken| ("once", broken))
    }

    /// Control asks one shard about a session it may or may not have, and for its lists.
    fn ask(&mut self) {
        // In the vigil and at night nothing but its own timers may wake a shard.
        if self.quiet {
            return;
        }
        let lane = self.random.below(self.lanes.len() as u64) as usize;
        let known = self.plan.sessions.len() as u64;
        let session = match self.plan.sessions.get(self.random.below(known + 1) as usize) {
            Some(session) => *session,
            None => SessionId(self.random.next_u64()),
        };
        self.lanes[lane].ask(session);
        self.wake_in(lane, Span::ZERO);
        let span = Span::from_millis(100 + self.random.below(900));
        self.after(span, Event::Ask);
    }

    /// Silent from here on; [`World::return_in`] ends that.
    pub(crate) fn hush(&mut self, who: usize) {
        self.plan.cast[who].token += 1;
        self.plan.cast[who].speaking_since = None;
    }

    pub(crate) fn return_in(&mut self, who: usize, span: Span) {
        self.plan.cast[who].token += 1;
        let token = self.plan.cast[who].token;
        self.after(span, Event::Return { who, token });
    }

    /// A participant is at another address; whoever was there is not reached there any more.
    pub(crate) fn move_to(&mut self, who: usize, addr: ClientAddr) {
        let old = self.plan.cast[who].addr;
        if self.holders.get(&old) == Some(&who) {
            self.holders.remove(&old);
        }
        self.plan.cast[who].addr = addr;
        self.holders.insert(addr, who);
    }

    /// A port nobody has.
    pub(crate) const fn fresh_port(&mut self) -> u16 {
        self.next_port = if self.next_port == u16::MAX { 20_000 } else { self.next_port + 1 };
        self.next_port
    }

    /// Whoever shares an address that another took gets one of its own.
    pub(crate) fn part_addresses(&mut self) {
        for who in 0..self.plan.cast.len() {
            if self.holders.get(&self.plan.cast[who].addr) != Some(&who) {
                let addr = self.plan.cast[who].place.at(self.fresh_port());
                self.move_to(who, addr);
            }
        }
    }

    /// Keeps what a shard has counted before it is killed.
    pub(crate) fn bury(&mut self, lane: usize) {
        self.chronicle.bury(&mut self.lanes[lane].host, &mut self.faults);
    }

    fn summary(mut self) -> Summary {
        for lane in 0..self.lanes.len() {
            self.bury(lane);
        }
        let (shards, participants) = (self.lanes.len(), self.plan.cast.len());
        self.chronicle.summary(self.now, shards, participants, self.faults)
    }
}
