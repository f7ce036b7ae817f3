//! What storms bring: to the network, to the kernel, to participants, and what strangers send.

use elara_core::random::Random;
use elara_core::time::Span;
use elara_core::{NodeId, SessionId};
use elara_shards::io::memory::Mischief;

use crate::cast::Place;
use crate::faults::Fault;
use crate::frames;
use crate::network::Impairment;
use crate::weather::{self, Partitions};
use crate::world::{Event, World};

const PARTITIONS: Partitions = Partitions { long: 200_000, ms_max: 30_000 };

impl World<'_> {
    /// The weather turns: every link, and every shard's kernel, on its own.
    pub(crate) fn storm(&mut self) {
        self.stormy = true;
        self.note("storm", 0);
        for who in 0..self.plan.cast.len() {
            let impairment = weather::impairment(&mut self.random);
            let delay = self.plan.cast[who].up.impairment.delay;
            self.plan.cast[who].up.impairment = Impairment { delay, ..impairment };
            let impairment = weather::impairment(&mut self.random);
            let delay = self.plan.cast[who].down.impairment.delay;
            self.plan.cast[who].down.impairment = Impairment { delay, ..impairment };
        }
        for lane in 0..self.lanes.len() {
            let mischief = self.kernel_mischief();
            *self.lanes[lane].host.memory().mischief() = mischief;
        }
        self.after(Span::ZERO, Event::Trouble);
    }

    /// Everything is well again, at once; what is on its way still arrives.
    pub(crate) fn heal(&mut self) {
        self.stormy = false;
        self.note("heal", 0);
        for participant in &mut self.plan.cast {
            participant.up.heal();
            participant.down.heal();
        }
        for lane in &mut self.lanes {
            *lane.host.memory().mischief() = Mischief::default();
        }
        self.part_addresses();
        self.mark_healed();
    }

    /// One trouble, and a moment until the next.
    pub(crate) fn trouble(&mut self) {
        if !self.stormy {
            return;
        }
        let who = self.random.below(self.plan.cast.len() as u64) as usize;
        match self.random.below(19) {
            0 | 1 => self.roam(who),
            2 => self.swap(who),
            3 => self.take_over(who),
            4 | 5 => self.fall_silent(who),
            6 => self.leave(who),
            7 | 8 => self.partition(who),
            9 => self.impersonate(who),
            10 => self.crowd(),
            11 => self.multiplex(),
            12 => self.outsiders(),
            13 | 14 => self.junk(who),
            15 => self.stall(),
            16 => self.wake_for_nothing(),
            17 => self.flood(),
            _ => self.restart(),
        }
        let span = Span::from_millis(5 + self.random.below(150));
        self.after(span, Event::Trouble);
    }

    fn kernel_mischief(&mut self) -> Mischief {
        let cast = &self.plan.cast;
        let random = &mut self.random;
        let unreachable = (0..random.below(4))
            .map(|_| cast[random.below(cast.len() as u64) as usize].addr)
            .collect();
        weather::mischief(unreachable, random)
    }

    fn roam(&mut self, who: usize) {
        self.faults.count(Fault::Roamed);
        self.note("roams: participant", who as u64);
        if self.random.chance(500_000) {
            self.plan.cast[who].place = Place::pick(self.plan.hosts, &mut self.random);
        }
        let addr = self.plan.cast[who].place.at(self.fresh_port());
        self.move_to(who, addr);
    }

    /// Two participants exchange their addresses, as two phones behind one NAT may.
    fn swap(&mut self, who: usize) {
        let other = self.random.below(self.plan.cast.len() as u64) as usize;
        self.faults.count(Fault::Swapped);
        self.note("swaps addresses with another: participant", who as u64);
        let (mine, theirs) = (self.plan.cast[who].addr, self.plan.cast[other].addr);
        self.move_to(who, theirs);
        self.move_to(other, mine);
    }

    /// A participant appears at an address whose owner goes on speaking from it.
    fn take_over(&mut self, who: usize) {
        let victim = self.random.below(self.plan.cast.len() as u64) as usize;
        self.faults.count(Fault::TakenOver);
        self.note("takes over another's address: participant", who as u64);
        let addr = self.plan.cast[victim].addr;
        self.move_to(who, addr);
    }

    fn fall_silent(&mut self, who: usize) {
        self.faults.count(Fault::Hushed);
        self.note("falls silent: participant", who as u64);
        self.hush(who);
        let millis = match self.random.chance(300_000) {
            true => 59_000 + self.random.below(10_000),
            false => 500 + self.random.below(14_000),
        };
        self.return_in(who, Span::from_millis(millis));
    }

    /// Gone, and back later from elsewhere; the relay is not told.
    fn leave(&mut self, who: usize) {
        self.faults.count(Fault::Left);
        self.note("leaves: participant", who as u64);
        self.hush(who);
        let addr = self.plan.cast[who].place.at(self.fresh_port());
        self.move_to(who, addr);
        let millis = 1_000 + self.random.below(20_000);
        self.return_in(who, Span::from_millis(millis));
    }

    fn partition(&mut self, who: usize) {
        self.faults.count(Fault::Partitioned);
        self.note("is cut off: participant", who as u64);
        let them = &mut self.plan.cast[who];
        PARTITIONS.cut([&mut them.up, &mut them.down], self.now, &mut self.random);
    }

    /// Someone else speaks in a participant's name, in between.
    fn impersonate(&mut self, who: usize) {
        self.note("is impersonated: participant", who as u64);
        let (session, node) = (self.plan.cast[who].session, self.plan.cast[who].node);
        let from = Place::pick(self.plan.hosts, &mut self.random).at(self.fresh_port());
        for _ in 0..=self.random.below(3) {
            self.faults.count(Fault::Impersonated);
            frames::write_anonymous(&mut self.frame, session, node, 100, &mut self.random);
            self.send_strange(from);
        }
    }

    /// Many join one session, from one machine or from many, until something is full.
    fn crowd(&mut self) {
        let session = self.some_session();
        let place = Place::pick(self.plan.hosts, &mut self.random);
        let scattered = self.random.chance(500_000);
        let size = 1 + self.random.below(30);
        self.note("a crowd comes", size);
        for _ in 0..size {
            self.faults.count(Fault::Crowded);
            let place = if scattered { Place::Lan(self.random.next_u64() as u8) } else { place };
            let from = place.at(self.fresh_port());
            let (node, len) =
                (NodeId(self.random.next_u64()), 46 + self.random.below(100) as usize);
            frames::write_anonymous(&mut self.frame, session, node, len, &mut self.random);
            self.send_strange(from);
        }
    }

    /// One address speaks for many nodes, in several sessions, in one train.
    fn multiplex(&mut self) {
        let from = Place::pick(self.plan.hosts, &mut self.random).at(self.fresh_port());
        let size = 2 + self.random.below(20);
        self.note("one address speaks for many", size);
        for _ in 0..size {
            self.faults.count(Fault::Multiplexed);
            let session = self.some_session();
            let node = NodeId(self.random.below(4));
            frames::write_anonymous(&mut self.frame, session, node, 120, &mut self.random);
            self.send_strange(from);
        }
    }

    /// More strangers at once than a cycle takes in, each opening a session, so that more of them fall
    /// due at once than a cycle forgets.
    fn flood(&mut self) {
        // Rarely: half a thousand sessions stay for ten seconds.
        if !self.random.chance(250_000) {
            return;
        }
        let size = 300 + self.random.below(400);
        self.note("a flood comes", size);
        self.faults.add(Fault::Flooded, size);
        let span = Span::from_millis(20);
        for lane in &mut self.lanes {
            lane.host.stalled_until = self.now + span;
        }
        for _ in 0..size {
            let from = Place::Loopback.at(self.fresh_port());
            let session = SessionId(self.random.next_u64());
            let node = NodeId(self.random.next_u64());
            frames::write_anonymous(&mut self.frame, session, node, 60, &mut self.random);
            self.send_strange(from);
        }
    }

    fn outsiders(&mut self) {
        let session = self.some_session();
        self.note("outsiders knock", 0);
        for _ in 0..=self.random.below(5) {
            self.faults.count(Fault::Outsider);
            let from = Place::Outside(self.random.next_u64() as u8).at(self.fresh_port());
            let node = NodeId(self.random.next_u64());
            frames::write_anonymous(&mut self.frame, session, node, 100, &mut self.random);
            self.send_strange(from);
        }
    }

    /// Datagrams that are no frames, from anywhere: even from where a participant is.
    fn junk(&mut self, who: usize) {
        let from = match self.random.chance(500_000) {
            true => self.plan.cast[who].addr,
            false => Place::pick(self.plan.hosts, &mut self.random).at(self.fresh_port()),
        };
        let size = 1 + self.random.below(20);
        self.note("junk comes", size);
        for _ in 0..size {
            self.faults.count(Fault::Junk);
            let session = self.some_session();
            frames::write_junk(&mut self.frame, session, &mut self.random);
            self.send_strange(from);
        }
    }

    /// A shard does not get the processor for a while.
    fn stall(&mut self) {
        self.faults.count(Fault::Stalled);
        let lane = self.random.below(self.lanes.len() as u64) as usize;
        self.note("stalls: shard", lane as u64);
        let span = Span::from_millis(self.random.below(50));
        self.lanes[lane].host.stalled_until = self.now + span;
    }

    fn wake_for_nothing(&mut self) {
        self.faults.count(Fault::Spurious);
        let lane = self.random.below(self.lanes.len() as u64) as usize;
        self.wake_in(lane, Span::ZERO);
    }

    /// Killed without warning, and started again with empty tables.
    fn restart(&mut self) {
        // Rarely, or nothing else would ever have time to go wrong.
        if !self.random.chance(300_000) {
            return;
        }
        self.faults.count(Fault::Restarted);
        let lane = self.random.below(self.lanes.len() as u64) as usize;
        self.note("is killed and restarted: shard", lane as u64);
        self.bury(lane);
        let seed = self.random.next_u64();
        self.lanes[lane].restart(self.plan.capacity, seed, self.now);
        let mischief = self.kernel_mischief();
        *self.lanes[lane].host.memory().mischief() = mischief;
    }

    fn some_session(&mut self) -> SessionId {
        let known = self.plan.sessions.len() as u64;
        match self.plan.sessions.get(self.random.below(known + 2) as usize) {
            Some(session) => *session,
            None => SessionId(self.random.next_u64()),
        }
    }
}
