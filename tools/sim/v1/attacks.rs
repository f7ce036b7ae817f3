//! What strangers do who can listen and send, and have no keys of a member: copies from elsewhere, copies
//! with flipped bits, forgeries, HELLOs again and again, HELLOs with bad tokens, floods, and noise; at the
//! relay, and at participants.

use elara_core::crypto::handshake::Client;
use elara_core::random::Random;
use elara_core::time::Span;
use elara_core::{ClientAddr, NodeId, SessionId};

use super::club::{self, Flaw};
use super::frames;
use super::world::World;
use crate::cast::Place;
use crate::faults::Fault;
use crate::frames as noise;

impl World<'_> {
    pub(crate) fn attack(&mut self, who: usize) {
        match self.random.below(11) {
            0 | 1 => self.replay(),
            2 => self.mangle(),
            3 => self.forge(who),
            4 => self.make_noise(who),
            5 => self.junk(who),
            6 => self.replay_hellos(),
            7 => self.flood(),
            8 | 9 => self.knock_badly(who),
            _ => self.throw(who),
        }
    }

    fn somewhere(&mut self) -> ClientAddr {
        Place::pick(self.plan.hosts, &mut self.random).at(self.fresh_port())
    }

    fn some_of(&mut self, of: Kept) -> Option<Vec<u8>> {
        let kept = match of {
            Kept::Up => &self.captured,
            Kept::Hellos => &self.hellos,
            Kept::Down => &self.overheard,
        };
        let index = self.random.below(kept.len() as u64) as usize;
        kept.get(index).cloned()
    }

    /// What was captured, again: from where it came, or from anywhere.
    fn replay(&mut self) {
        let size = 1 + self.random.below(12);
        self.note("captured datagrams come again", size);
        let from = self.somewhere();
        for _ in 0..size {
            let Some(bytes) = self.some_of(Kept::Up) else { return };
            self.faults.count(Fault::Replayed);
            let from = if self.random.chance(500_000) { from } else { self.somewhere() };
            self.send_strange(from, &bytes);
        }
    }

    fn mangle(&mut self) {
        let size = 1 + self.random.below(12);
        self.note("captured datagrams come again, changed", size);
        let from = self.somewhere();
        for _ in 0..size {
            let of = if self.random.chance(200_000) { Kept::Hellos } else { Kept::Up };
            let Some(mut bytes) = self.some_of(of) else { return };
            self.faults.count(Fault::Mangled);
            noise::flip(&mut bytes, &mut self.random);
            self.send_strange(from, &bytes);
        }
    }

    /// Frames in a member's name, with garbage for a tag: numbers jump, classes and parities change.
    fn forge(&mut self, who: usize) {
        let size = 1 + self.random.below(20);
        self.note("is forged: participant", who as u64);
        let them = &self.plan.cast[who];
        let (session, node, home) = (them.session, them.node, them.addr);
        let from = if self.random.chance(500_000) { home } else { self.somewhere() };
        for _ in 0..size {
            self.faults.count(Fault::Forged);
            let len = 46 + self.random.below(300) as usize;
            let mut bytes = vec![0; len];
            self.random.fill(&mut bytes);
            bytes[0] = 0x10 + self.random.below(2) as u8;
            bytes[1] &= 0x80;
            bytes[2..4].copy_from_slice(&30_u16.to_le_bytes());
            bytes[4..12].copy_from_slice(&session.to_bytes());
            bytes[12..20].copy_from_slice(&node.to_bytes());
            bytes[20] = if self.random.chance(300_000) { 0xF1 } else { self.random.below(5) as u8 };
            let seq = match self.random.below(3) {
                0 => u32::MAX,
                1 => 1 << self.random.below(32),
                _ => self.random.below(300) as u32,
            };
            bytes[26..30].copy_from_slice(&seq.to_le_bytes());
            self.send_strange(from, &bytes);
        }
    }

    /// Garbage of every first byte, as long as anything.
    fn make_noise(&mut self, who: usize) {
        let size = 64 + self.random.below(192);
        self.note("noise comes", size);
        let home = self.plan.cast[who].addr;
        let from = if self.random.chance(300_000) { home } else { self.somewhere() };
        let first = self.random.next_u64() as u8;
        for number in 0..size {
            self.faults.count(Fault::Junk);
            let mut bytes = vec![0; 1 + self.random.below(1_300) as usize];
            self.random.fill(&mut bytes);
            bytes[0] = first.wrapping_add(number as u8);
            self.send_strange(from, &bytes);
        }
    }

    /// Datagrams that are nearly something, of other protocols and of wire v0.
    fn junk(&mut self, who: usize) {
        let size = 1 + self.random.below(20);
        self.note("junk comes", size);
        let home = self.plan.cast[who].addr;
        let from = if self.random.chance(300_000) { home } else { self.somewhere() };
        let mut bytes = Vec::new();
        for _ in 0..size {
            self.faults.count(Fault::Junk);
            let session = self.some_session();
            noise::write_junk(&mut bytes, session, &mut self.random);
            self.send_strange(from, &bytes);
        }
    }

    /// HELLOs that were captured, again, from many addresses: those that were answered, and those that
    /// were lost; after a restart the relay remembers none of them.
    fn replay_hellos(&mut self) {
        let size = 1 + self.random.below(30);
        self.note("captured HELLOs come again", size);
        for _ in 0..size {
            let Some(bytes) = self.some_of(Kept::Hellos) else { return };
            self.faults.count(Fault::HelloReplayed);
            let from = self.somewhere();
            self.send_strange(from, &bytes);
        }
    }

    /// One good HELLO of nobody, from more neighbourhoods than a shard takes in without cookies.
    fn flood(&mut self) {
        if !self.random.chance(150_000) {
            return;
        }
        let session = self.some_session();
        let Some(bytes) = self.bad_hello(Flaw::OtherIssuer, session) else { return };
        let size = 320 + self.random.below(300);
        self.note("a flood of HELLOs comes", size);
        self.faults.add(Fault::HelloFlooded, size);
        for number in 0..size {
            let mut ip = [0; 16];
            (ip[0], ip[1]) = (0x20, 0x01);
            ip[2..6].copy_from_slice(&(number as u32).to_be_bytes());
            let from = ClientAddr::new(ip, self.fresh_port(), 0);
            self.send_strange(from, &bytes);
        }
    }

    /// Someone with a token that is no good, or with a certificate that is not.
    fn knock_badly(&mut self, who: usize) {
        let flaw = Flaw::ALL[self.random.below(Flaw::ALL.len() as u64) as usize];
        let session = self.plan.cast[who].session;
        let Some(bytes) = self.bad_hello(flaw, session) else { return };
        self.note("someone knocks who may not enter", flaw as u64);
        self.faults.count(Fault::Flawed);
        let from = self.somewhere();
        self.send_strange(from, &bytes);
    }

    fn bad_hello(&mut self, flaw: Flaw, session: SessionId) -> Option<Vec<u8>> {
        let membership = self.plan.club.flawed(flaw, session, self.now);
        let mut keys = club::randomness(NodeId(self.random.next_u64()));
        let mut client = Client::new(membership);
        client.connect(self.now);
        let calendar = club::calendar(self.now);
        let hello = client.poll_hello(self.now, calendar, &mut keys).map(<[u8]>::to_vec);
        self.ledger.flawed.extend(hello.as_deref().and_then(frames::attempt_of));
        hello
    }

    /// The same at participants, from what seems to be the relay's address: whatever was captured either
    /// way, changed or not, and noise.
    fn throw(&mut self, who: usize) {
        let size = 1 + self.random.below(12);
        self.note("things are thrown at participant", who as u64);
        let to = self.plan.cast[who].addr;
        for _ in 0..size {
            let of = match self.random.below(4) {
                0 => Kept::Up,
                1 => Kept::Hellos,
                _ => Kept::Down,
            };
            let Some(mut bytes) = self.some_of(of) else { continue };
            if self.random.chance(300_000) {
                noise::flip(&mut bytes, &mut self.random);
            }
            self.faults.count(Fault::Thrown);
            self.send_down(to, &bytes);
        }
    }

    fn some_session(&mut self) -> SessionId {
        let known = self.plan.sessions.len() as u64;
        match self.plan.sessions.get(self.random.below(known + 1) as usize) {
            Some(session) => *session,
            None => SessionId(self.random.next_u64()),
        }
    }

    /// A moment until an insider does the next thing: often in storms, hardly ever otherwise.
    pub(crate) fn next_abuse(&mut self) -> Span {
        let most = if self.stormy { 120 } else { 900 };
        Span::from_millis(5 + self.random.below(most))
    }
}

/// What a listener has.
#[derive(Clone, Copy)]
enum Kept {
    Up,
    Hellos,
    Down,
}
