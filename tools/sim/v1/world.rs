//! A world of wire v1: events in the order of their time, and nothing else moves.
//!
//! `seasons` says when it storms and when all must be well; `storms`, `attacks` and `abuse` are what
//! storms bring. Here is what goes on in any weather: participants speak, datagrams travel, shards run.

mod post;

use std::collections::{BTreeMap, VecDeque};

use elara_core::limits::V1_FRAME_MAX;
use elara_core::participant::Event as Told;
use elara_core::random::{Random, Seeded};
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, SessionId};
use elara_shards::{Command, Verdict, steer};

use super::checkers::delivery::{Delivery, Saying};
use super::checkers::healing::{Healing, Well};
use super::club;
use super::content;
use super::honest::{Aim, Habit};
use super::lane::Lane;
use super::ledger::Ledger;
use super::plan::Plan;
use crate::agenda::Agenda;
use crate::checkers::Breach;
use crate::chronicle::Chronicle;
use crate::digest;
use crate::faults::{Fault, Faults};
use crate::network::Link;
use crate::parcels::Parcels;
use crate::trace::Sink;
use crate::{Options, Summary, Violation};

/// Datagrams that whoever listens on the network remembers.
const CAPTURED: usize = 256;

/// What is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A parcel reaches the relay's machine.
    Arrive {
        parcel: usize,
    },
    /// A parcel reaches whoever it is addressed to.
    Hand {
        parcel: usize,
        to: Who,
    },
    /// A shard gets the processor.
    Wake {
        lane: usize,
        token: u32,
    },
    /// A participant's machine wants to be looked at.
    Look {
        who: usize,
        token: u32,
    },
    /// A participant has its turn to speak.
    Speak {
        who: usize,
        token: u32,
    },
    /// A participant wants in, for the first time or again.
    Come {
        who: usize,
    },
    /// One that was asleep goes on where it stopped.
    Rouse {
        who: usize,
    },
    /// The next trouble of a storm.
    Trouble,
    /// The next thing an insider does.
    Abuse,
    /// Control asks a shard something.
    Ask,
    Storm,
    Heal,
    Census,
    Reckon,
    Verify,
    Vigil,
    Night,
    End,
}

/// Who is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Honest(usize),
    Insider(usize),
}

pub(crate) struct World<'a> {
    pub(crate) chronicle: Chronicle<'a>,
    pub(crate) random: Seeded,
    pub(crate) now: Instant,
    pub(crate) plan: Plan,
    pub(crate) ledger: Ledger,
    pub(crate) lanes: Vec<Lane>,
    holders: BTreeMap<ClientAddr, Who>,
    /// How strangers and insiders reach the relay.
    pub(crate) stranger: Link,
    pub(crate) faults: Faults,
    pub(crate) stormy: bool,
    pub(crate) quiet: bool,
    pub(crate) night: bool,
    agenda: Agenda<Event>,
    parcels: Parcels,
    next_port: u16,
    /// What was captured on its way to the relay, and HELLOs among it, and on the way from it.
    pub(crate) captured: VecDeque<Vec<u8>>,
    pub(crate) hellos: VecDeque<Vec<u8>>,
    pub(crate) overheard: VecDeque<Vec<u8>>,
    pub(crate) healed_at: Instant,
    pub(crate) well: Vec<Well>,
    pub(crate) delivery: Delivery,
    pub(crate) healing: Healing,
    departures: Vec<(ClientAddr, Vec<u8>)>,
    text: Vec<u8>,
}

impl<'a> World<'a> {
    pub(crate) fn new(options: Options, sink: Option<&'a mut Sink<'a>>) -> Self {
        // Another story than the one wire v0 tells for the same seed.
        let mut random = Seeded::new(options.seed ^ 0x00E1_A2A1);
        let mut plan = Plan::new(&mut random, options.shards);
        let mut ledger = plan.ledger();
        for them in &plan.cast {
            ledger.settle_at(them.session, them.node, them.addr);
        }
        for them in &plan.insiders {
            ledger.settle_at(them.session(), them.node(), them.addr);
        }
        let now = plan.begin;
        let mut lanes = Vec::new();
        for index in 0..plan.shards {
            let config = plan.config(index, &mut random);
            lanes.push(Lane::new(config, plan.capacity, random.next_u64(), now));
        }
        let honest = plan.cast.iter().enumerate().map(|(who, them)| (them.addr, Who::Honest(who)));
        let insiders =
            plan.insiders.iter().enumerate().map(|(who, them)| (them.addr, Who::Insider(who)));
        let holders = honest.chain(insiders).collect();
        Self {
            chronicle: Chronicle::new(options, now, sink),
            random,
            now,
            ledger,
            lanes,
            holders,
            stranger: Link::clear(Span::from_millis(3)),
            faults: Faults::default(),
            stormy: false,
            quiet: false,
            night: false,
            agenda: Agenda::new(),
            parcels: Parcels::default(),
            next_port: 20_000,
            captured: VecDeque::new(),
            hellos: VecDeque::new(),
            overheard: VecDeque::new(),
            healed_at: now,
            well: Vec::new(),
            delivery: Delivery::default(),
            healing: Healing::default(),
            departures: Vec::new(),
            text: Vec::new(),
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
            Event::Hand { parcel, to } => self.hand(parcel, to)?,
            Event::Wake { lane, token } => self.cycle(lane, token)?,
            Event::Look { who, token } if self.plan.cast[who].tick == token => {
                self.plan.cast[who].tick_at = None;
                self.look(who)?;
            }
            Event::Speak { who, token } if self.plan.cast[who].turn == token => self.speak(who)?,
            Event::Look { .. } | Event::Speak { .. } => {}
            Event::Come { who } => self.come(who)?,
            Event::Rouse { who } => self.rouse(who)?,
            Event::Trouble => self.trouble()?,
            Event::Abuse => self.abuse()?,
            Event::Ask => self.ask(),
            Event::Storm => self.storm(),
            Event::Heal => self.heal()?,
            Event::Census => self.take_census()?,
            Event::Reckon => self.healing.begin(),
            Event::Verify => self.verify()?,
            Event::Vigil => self.begin_vigil(),
            Event::Night => self.begin_night(),
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

    /// A participant says what it is in the habit of saying, if it is in.
    fn speak(&mut self, who: usize) -> Result<(), Breach> {
        let them = &mut self.plan.cast[who];
        if them.habit != Habit::Listen && !them.asleep && them.machine.is_joined() {
            let name = (them.index, them.number);
            let (session, node, class) = (them.session, them.node, them.habit.class() as u8);
            let len = them.habit.len(&mut self.random);
            content::write(&mut self.text, &self.plan.marker, name, len, &mut self.random);
            if them.say(&self.text) {
                them.number += 1;
                let saying = Saying { session, node, class, digest: digest::of(&self.text) };
                self.delivery.say(name.0, name.1, saying);
            }
            self.look(who)?;
        }
        let pause = self.plan.cast[who].habit.pause(&mut self.random);
        let token = self.plan.cast[who].turn;
        self.after(pause, Event::Speak { who, token });
        Ok(())
    }

    /// Takes from a machine all it has, and looks again when it wants.
    pub(crate) fn look(&mut self, who: usize) -> Result<(), Breach> {
        if self.plan.cast[who].asleep {
            return Ok(());
        }
        let mut out = [0; V1_FRAME_MAX];
        let calendar = club::calendar(self.now);
        while let Some(len) =
            self.plan.cast[who].poll(self.now, calendar, &mut out, &mut self.ledger)?
        {
            let them = &mut self.plan.cast[who];
            let passages = them.up.pass(self.now, &mut self.random, &mut self.faults);
            let from = them.addr;
            self.carry(from, &out[..len], passages);
        }
        while let Some(event) = self.plan.cast[who].poll_event() {
            self.tell(who, event)?;
        }
        let Some(due) = self.plan.cast[who].next_look(self.now)? else { return Ok(()) };
        let at = due.max(self.now);
        let them = &mut self.plan.cast[who];
        if them.tick_at.is_none_or(|earlier| at < earlier) {
            them.tick += 1;
            them.tick_at = Some(at);
            let token = them.tick;
            self.at(at, Event::Look { who, token });
        }
        Ok(())
    }

    /// A machine tells its application something.
    fn tell(&mut self, who: usize, event: Told) -> Result<(), Breach> {
        let (node, class, content, once) = match event {
            Told::Media(media) => (media.node, media.class, media.content, true),
            // Atoms are told apart by those who keep them.
            Told::Opened(frame) => (frame.node, frame.class, frame.content, false),
            Told::Kicked { .. } => {
                self.note("is told to go: participant", who as u64);
                let them = &mut self.plan.cast[who];
                them.aim = Aim::Out;
                them.turn += 1;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let them = &self.plan.cast[who];
        let (receiver, session) = (them.index, them.session);
        let Some(name) = content::name_of(&content) else {
            return Err(("delivery", format!("participant {receiver} is handed noise")));
        };
        let digest = digest::of(&content);
        let what = Saying { session, node, class: class as u8, digest };
        let (sender, number) = name;
        self.chronicle.hand(self.now, receiver, sender, number);
        self.healing.hand(receiver, sender);
        let handed = self.delivery.hand(receiver, name, what, once);
        handed.map_err(|broken| ("delivery", broken))
    }

    /// A datagram reaches a participant.
    fn hand(&mut self, parcel: usize, to: Who) -> Result<(), Breach> {
        let bytes = self.parcels.open(parcel);
        match to {
            Who::Honest(who) => {
                if self.plan.cast[who].asleep {
                    return Ok(());
                }
                self.plan.cast[who].hear(bytes, self.now, &mut self.ledger);
                self.look(who)
            }
            Who::Insider(who) => {
                self.plan.insiders[who].hear(bytes, self.now, &mut self.ledger);
                Ok(())
            }
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
        let mut departures = std::mem::take(&mut self.departures);
        self.lanes[lane].cycle(
            self.now,
            &self.ledger,
            &mut self.chronicle.trace,
            &mut departures,
        )?;
        for (to, bytes) in departures.drain(..) {
            self.send_down(to, &bytes);
        }
        self.departures = departures;
        if let Some(at) = self.lanes[lane].host.next_wake() {
            self.wake_in(lane, at.since(self.now));
        }
        Ok(())
    }

    /// Control asks one shard about a session it may or may not have.
    fn ask(&mut self) {
        // In the vigil and at night nothing but its own timers may wake a shard.
        if self.quiet {
            return;
        }
        let session =
            self.plan.sessions[self.random.below(self.plan.sessions.len() as u64) as usize];
        let lane = steer::shard_of(session, self.lanes.len());
        self.lanes[lane].host.tell(Command::Session { ticket: 1, session });
        self.lanes[lane].host.tell(Command::Counters { ticket: 2 });
        self.wake_in(lane, Span::ZERO);
        let span = Span::from_millis(100 + self.random.below(900));
        self.after(span, Event::Ask);
    }

    /// A participant is at another address; whoever was there is not reached there any more.
    pub(crate) fn move_to(&mut self, who: usize, addr: ClientAddr) {
        let old = self.plan.cast[who].addr;
        if self.holders.get(&old) == Some(&Who::Honest(who)) {
            self.holders.remove(&old);
        }
        let (session, node) = (self.plan.cast[who].session, self.plan.cast[who].node);
        self.ledger.settle_at(session, node, addr);
        self.plan.cast[who].addr = addr;
        self.holders.insert(addr, Who::Honest(who));
    }

    /// A port nobody has.
    pub(crate) const fn fresh_port(&mut self) -> u16 {
        self.next_port = if self.next_port == u16::MAX { 20_000 } else { self.next_port + 1 };
        self.next_port
    }

    /// Whoever shares an address that another took gets one of its own.
    pub(crate) fn part_addresses(&mut self) -> Result<(), Breach> {
        for who in 0..self.plan.cast.len() {
            if self.holders.get(&self.plan.cast[who].addr) != Some(&Who::Honest(who)) {
                let addr = self.plan.cast[who].place.at(self.fresh_port());
                self.move_to(who, addr);
                self.plan.cast[who].machine.address_changed(self.now);
                self.look(who)?;
            }
        }
        Ok(())
    }

    pub(crate) fn lane_of(&self, session: SessionId) -> usize {
        steer::shard_of(session, self.lanes.len())
    }

    /// Keeps what a shard has counted before it is killed.
    pub(crate) fn bury(&mut self, lane: usize) {
        let counters = self.lanes[lane].host.counters();
        self.faults.add(Fault::Retried, counters.of(Verdict::HelloRetried));
        self.faults.add(Fault::PutOff, counters.of(Verdict::HelloBusy));
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
