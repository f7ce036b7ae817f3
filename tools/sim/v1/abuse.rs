//! What members do who have a good token and mean harm: everything that a good tag lets through to where
//! only rules stand in the way.

use elara_core::random::Random;
use elara_core::wire::header::Class;
use elara_core::wire::v1::bundle::BundleHead;
use elara_core::wire::v1::control::{
    Control, Get, Kick, Leave, OwnStream, Ping, Report, Roster, RosterEntry, StreamsMine,
    Subscribe, Wish, get, phase, reason,
};
use elara_core::wire::v1::{State, Stream};
use elara_core::{ClientAddr, StateId};

use super::checkers::delivery::Saying;
use super::ledger::{Asks, Fate};
use super::world::{Event, World};
use super::{club, frames};
use crate::cast::Place;
use crate::checkers::Breach;
use crate::digest;
use crate::faults::Fault;

impl World<'_> {
    /// An insider does something, and a moment until the next.
    pub(crate) fn abuse(&mut self) -> Result<(), Breach> {
        let many = self.plan.insiders.len() as u64;
        if many == 0 || self.quiet {
            return Ok(());
        }
        let who = self.random.below(many) as usize;
        if self.stormy || !self.plan.insiders[who].is_in() {
            self.misbehave(who)?;
        }
        let span = self.next_abuse();
        self.after(span, Event::Abuse);
        Ok(())
    }

    fn misbehave(&mut self, who: usize) -> Result<(), Breach> {
        let insider = &self.plan.insiders[who];
        if !insider.is_in() || self.random.chance(60_000) {
            self.knock(who);
            return Ok(());
        }
        // One in five welcomes is left to run out.
        if insider.fresh && self.random.chance(200_000) {
            return Ok(());
        }
        match self.random.below(14) {
            0 | 1 => self.greet(who),
            2 | 3 => self.speak_as_member(who),
            4 => self.overreach(who),
            5 => self.borrow(who),
            6 | 7 => self.bundle(who),
            8 => self.answer_wrongly(who),
            9 => self.report_absurdly(who),
            10 => self.wish_extremely(who),
            11 => self.play_relay(who),
            12 => self.besiege(who),
            _ => self.repeat(who),
        }
    }

    /// A HELLO: a new one, the last again, or two at once.
    fn knock(&mut self, who: usize) {
        let calendar = club::calendar(self.now);
        for _ in 0..=self.random.below(2) {
            let new = self.random.chance(700_000);
            let insider = &mut self.plan.insiders[who];
            let Some(hello) = insider.hello(new, self.now, calendar) else { return };
            self.faults.count(Fault::Knocked);
            self.send_as(who, Some(hello));
        }
    }

    fn send_as(&mut self, who: usize, bytes: Option<Vec<u8>>) {
        if let Some(bytes) = bytes {
            self.faults.count(Fault::Abused);
            let from = self.plan.insiders[who].addr;
            self.send_strange(from, &bytes);
        }
    }

    /// What a well-behaved member says first; one in ten asks for odd things, or says goodbye.
    fn greet(&mut self, who: usize) -> Result<(), Breach> {
        let odd = Wish { node: self.plan.cast[0].node.0.into(), classes: 0xFF, ..Wish::EVERYTHING };
        let wishes =
            if self.random.chance(100_000) { vec![odd; 3] } else { vec![Wish::EVERYTHING] };
        let leaves = self.random.chance(50_000);
        let wish = self.ledger.wish(&wishes, 0);
        let insider = &mut self.plan.insiders[who];
        insider.version += 1;
        let ping = Ping { id: 1.into(), t_client_us: 2.into(), next_core: 0.into() };
        let subscribe = Control::Subscribe(Subscribe::new(insider.version, 0, &wishes));
        let leave = Leave { reason: reason::DONE };
        let mut messages = vec![Control::Ping(&ping), subscribe];
        if leaves {
            messages.push(Control::Leave(&leave));
            self.ledger.leaving.insert((insider.session(), insider.node()));
        }
        let frame = insider.control(&messages, Asks::Surely(wish), &mut self.ledger)?;
        let Some(frame) = frame else { return Ok(()) };
        if self.random.chance(700_000) {
            self.send_as(who, Some(frame));
            return Ok(());
        }
        // From elsewhere: whoever is there has asked for nothing.
        self.faults.count(Fault::Abused);
        let from = Place::pick(self.plan.hosts, &mut self.random).at(self.fresh_port());
        self.send_strange(from, &frame);
        Ok(())
    }

    /// A content like any member's.
    fn speak_as_member(&mut self, who: usize) -> Result<(), Breach> {
        let class = Class::ALL[self.random.below(5) as usize];
        let frame = self.say(who, class, false)?;
        self.send_as(who, frame);
        Ok(())
    }

    /// A content, entered where it is known what was said.
    fn say(&mut self, who: usize, class: Class, hidden: bool) -> Result<Option<Vec<u8>>, Breach> {
        let insider = &mut self.plan.insiders[who];
        let (name, text) = insider.next_content(&self.plan.marker);
        let stream = Stream {
            stream: 9.into(),
            bits: 6,
            layer: 0,
            frame: name.1.into(),
            index: name.1.into(),
        };
        let (session, node) = (insider.session(), insider.node());
        let saying = Saying { session, node, class: class as u8, digest: digest::of(&text) };
        self.delivery.say(name.0, name.1, saying);
        let tlvs = (Some(&stream), None);
        insider.data(class, tlvs, &text, 160, hidden, Fate::Good, &mut self.ledger)
    }

    /// Classes that the token does not allow, and seals that no member can open.
    fn overreach(&mut self, who: usize) -> Result<(), Breach> {
        for class in Class::ALL {
            let hidden = self.random.chance(300_000);
            let allowed = self.plan.insiders[who].claims.permissions.may_send(class as u8);
            self.faults.add(Fault::Overreached, u64::from(!allowed));
            let frame = self.say(who, class, hidden)?;
            self.send_as(who, frame);
        }
        Ok(())
    }

    /// A frame of another's name under one's own key, and state under another's keys.
    fn borrow(&mut self, who: usize) -> Result<(), Breach> {
        self.faults.count(Fault::Borrowed);
        let victim = self.random.below(self.plan.cast.len() as u64) as usize;
        if self.random.chance(500_000) {
            // Named after it was sealed: the tag is good for nobody.
            let node = self.plan.cast[victim].node;
            let Some(mut frame) = self.say(who, Class::Core, false)? else { return Ok(()) };
            frame[12..20].copy_from_slice(&node.to_bytes());
            self.send_as(who, Some(frame));
            return Ok(());
        }
        let mut inst = [0; 16];
        self.random.fill(&mut inst);
        let foreign = State::register(StateId(7), 1, inst);
        let own = self.plan.insiders[who].inst().unwrap_or_default();
        let fine = State::register(StateId(7), 1, own);
        let good = self.random.chance(300_000);
        let (state, fate) = if good { (fine, Fate::Good) } else { (foreign, Fate::Forbidden) };
        let insider = &mut self.plan.insiders[who];
        let (name, text) = insider.next_content(&self.plan.marker);
        let (session, node) = (insider.session(), insider.node());
        let class = Class::Core as u8;
        let saying = Saying { session, node, class, digest: digest::of(&text) };
        self.delivery.say(name.0, name.1, saying);
        let tlvs = (None, Some(&state));
        let frame = insider.data(Class::Core, tlvs, &text, 160, false, fate, &mut self.ledger)?;
        self.send_as(who, frame);
        Ok(())
    }

    /// Frames in one datagram: all good, or with a bad one among them, which ends it.
    fn bundle(&mut self, who: usize) -> Result<(), Breach> {
        let mut parts = Vec::new();
        for _ in 0..2 + self.random.below(5) {
            let class = Class::ALL[self.random.below(5) as usize];
            parts.extend(self.say(who, class, false)?);
        }
        if parts.len() < 2 {
            return Ok(());
        }
        if self.random.chance(600_000) {
            self.faults.count(Fault::Bundled);
            let bad = self.random.below(parts.len() as u64) as usize;
            let len = parts[bad].len();
            match self.random.below(4) {
                0 => parts[bad][len - 1] ^= 1,
                1 => parts[bad] = parts[0].clone(),
                2 => parts[bad][20] = 0xF0,
                _ => parts[bad][1] |= 2,
            }
        }
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let session = self.plan.insiders[who].session();
        let mut out = [0; 1_232];
        let bundle =
            BundleHead::join(&mut out, session, &slices).ok().map(|bundle| bundle.to_vec());
        self.send_as(who, bundle);
        Ok(())
    }

    /// Answers to challenges that were not asked, or were asked elsewhere.
    fn answer_wrongly(&mut self, who: usize) -> Result<(), Breach> {
        let mut guess = [0; 8];
        self.random.fill(&mut guess);
        let insider = &mut self.plan.insiders[who];
        let guess = insider.challenge().unwrap_or(guess);
        let ping = Ping { id: 7.into(), t_client_us: 7.into(), next_core: 0.into() };
        let ping = insider.control(&[Control::Ping(&ping)], Asks::Nothing, &mut self.ledger)?;
        let messages = [Control::PathResponse(&guess)];
        let answer = insider.control(&messages, Asks::Nothing, &mut self.ledger)?;
        let from: ClientAddr = Place::pick(self.plan.hosts, &mut self.random).at(self.fresh_port());
        // The first makes the relay ask, the second answers without having heard.
        for frame in [ping, answer].into_iter().flatten() {
            self.faults.count(Fault::Besieged);
            self.send_strange(from, &frame);
        }
        Ok(())
    }

    fn report_absurdly(&mut self, who: usize) -> Result<(), Breach> {
        let report = Report {
            n: (self.random.below(6) as u32).into(),
            received: u64::MAX.into(),
            arrival_us: self.random.next_u64().into(),
        };
        self.control_as(who, &[Control::Report(&report); 4], Asks::Nothing)
    }

    fn control_as(
        &mut self,
        who: usize,
        messages: &[Control<'_>],
        asks: Asks,
    ) -> Result<(), Breach> {
        self.faults.add(Fault::Besieged, messages.len() as u64);
        let frame = self.plan.insiders[who].control(messages, asks, &mut self.ledger)?;
        self.send_as(who, frame);
        Ok(())
    }

    /// As many wishes and streams as a frame holds, under versions that leap or lag.
    fn wish_extremely(&mut self, who: usize) -> Result<(), Breach> {
        let count = self.random.below(85) as usize;
        let mut wishes = vec![Wish::EVERYTHING; count];
        for wish in &mut wishes {
            wish.node = self.random.below(9).into();
            wish.stream = (self.random.next_u64() as u16).into();
            wish.classes = self.random.next_u64() as u8;
        }
        let leap = [0, 1, 1 << 20][self.random.below(3) as usize];
        let insider = &mut self.plan.insiders[who];
        insider.version = insider.version.wrapping_add(leap);
        let version = insider.version;
        if self.random.chance(500_000) {
            let hold_ms = self.random.below(6) as u8;
            let wish = self.ledger.wish(&wishes, hold_ms);
            let subscribe = Subscribe::new(version, hold_ms, &wishes);
            return self.control_as(who, &[Control::Subscribe(subscribe)], Asks::Perhaps(wish));
        }
        let streams: Vec<OwnStream> = (0..self.random.below(230) as u16)
            .map(|number| OwnStream {
                stream: number.into(),
                kind: number as u8,
                profile: 0xFF,
                phase: phase::ACTIVE,
            })
            .collect();
        let mine = StreamsMine::new(version, &streams);
        self.control_as(who, &[Control::StreamsMine(mine)], Asks::Nothing)
    }

    /// What only a relay says, and what only a moderator may.
    fn play_relay(&mut self, who: usize) -> Result<(), Breach> {
        let victim = self.random.below(self.plan.cast.len() as u64) as usize;
        let (session, node) = (self.plan.cast[victim].session, self.plan.cast[victim].node);
        let entry = RosterEntry {
            node: node.0.into(),
            id_pub: [1; 32],
            inst: [2; 16],
            conn: 0,
            phase: 0,
            perms: u32::MAX.into(),
        };
        let entries = [entry];
        let kick = Kick { node: node.0.into(), reason: reason::BANNED };
        let insider = &self.plan.insiders[who];
        let mut messages = vec![Control::Roster(Roster::new(9, 0, 1, 7, &entries))];
        if !insider.claims.permissions.allows(elara_core::crypto::Permissions::KICK) {
            messages.push(Control::Kick(&kick));
        } else if self.random.chance(20_000) {
            if session == insider.session() {
                self.ledger.kicked.insert((session, node));
                self.plan.cast[victim].aim = super::honest::Aim::Out;
            }
            messages.push(Control::Kick(&kick));
        }
        self.control_as(who, &messages, Asks::Nothing)
    }

    /// GET by the dozen, and text that is no message.
    fn besiege(&mut self, who: usize) -> Result<(), Breach> {
        if self.random.chance(500_000) {
            let gets = [get::ROSTER, get::STREAMS, get::STATE, 0xEE]
                .map(|what| Get { what, arg: self.random.next_u64().into() });
            let messages: Vec<Control<'_>> =
                gets.iter().cycle().take(40).map(Control::Get).collect();
            return self.control_as(who, &messages, Asks::Nothing);
        }
        let mut text = vec![0; self.random.below(1_100) as usize];
        self.random.fill(&mut text);
        // Noise that happened to be a wish or a goodbye would be one.
        text.iter_mut().for_each(|byte| *byte |= 0x40);
        self.faults.count(Fault::Besieged);
        let frame = self.plan.insiders[who].text(&text, &mut self.ledger)?;
        self.send_as(who, frame);
        Ok(())
    }

    /// What it has sealed before, again.
    fn repeat(&mut self, who: usize) -> Result<(), Breach> {
        let kept = &self.plan.insiders[who].kept;
        let index = self.random.below(kept.len() as u64) as usize;
        let frame = kept.get(index).cloned();
        debug_assert!(frame.iter().all(|frame| frames::names_of(frame).is_some()));
        self.send_as(who, frame);
        Ok(())
    }
}
