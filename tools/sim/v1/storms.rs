//! What storms bring to the network, to the kernel, to participants and to the relay itself.

use elara_core::crypto::Permissions;
use elara_core::random::Random;
use elara_core::time::Span;
use elara_core::wire::v1::control::{Wish, reason};
use elara_shards::Command;
use elara_shards::io::memory::Mischief;

use super::honest::Aim;
use super::plan::hold_ms;
use super::world::{Event, World};
use crate::cast::Place;
use crate::checkers::Breach;
use crate::faults::Fault;
use crate::network::Impairment;
use crate::weather::{self, Partitions};

const PARTITIONS: Partitions = Partitions { long: 300_000, ms_max: 12_000 };

impl World<'_> {
    /// The weather turns: every link, and every shard's kernel, on its own.
    pub(crate) fn storm(&mut self) {
        self.stormy = true;
        self.note("storm", 0);
        for them in &mut self.plan.cast {
            for link in [&mut them.up, &mut them.down] {
                let delay = link.impairment.delay;
                let impairment = weather::impairment(&mut self.random);
                link.impairment = Impairment { delay, ..impairment };
            }
        }
        for lane in 0..self.lanes.len() {
            self.unsettle_kernel(lane);
        }
        self.after(Span::ZERO, Event::Trouble);
    }

    fn unsettle_kernel(&mut self, lane: usize) {
        let cast = &self.plan.cast;
        let random = &mut self.random;
        let unreachable = (0..random.below(3))
            .map(|_| cast[random.below(cast.len() as u64) as usize].addr)
            .collect();
        *self.lanes[lane].host.memory().mischief() = weather::mischief(unreachable, random);
    }

    /// Everything is well again, at once; what is on its way still arrives.
    pub(crate) fn heal(&mut self) -> Result<(), Breach> {
        self.stormy = false;
        self.note("heal", 0);
        for them in &mut self.plan.cast {
            them.up.heal();
            them.down.heal();
        }
        for lane in &mut self.lanes {
            *lane.host.memory().mischief() = Mischief::default();
        }
        self.healed_at = self.now;
        self.part_addresses()
    }

    /// One trouble, and a moment until the next.
    pub(crate) fn trouble(&mut self) -> Result<(), Breach> {
        if !self.stormy {
            return Ok(());
        }
        let who = self.random.below(self.plan.cast.len() as u64) as usize;
        match self.random.below(30) {
            0 | 1 => self.roam(who)?,
            2 => self.swap(who)?,
            3 => self.take_over(who)?,
            4 => self.freeze(who),
            5 => self.leave(who)?,
            6 => self.partition(who),
            7 => self.stall(),
            8 => self.wake_for_nothing(),
            9 => self.restart(),
            10 => self.rotate(),
            11 => self.send_away(who)?,
            12 | 13 => self.rewish(who)?,
            _ => self.attack(who),
        }
        let span = Span::from_millis(5 + self.random.below(150));
        self.after(span, Event::Trouble);
        Ok(())
    }

    /// At another address, knowing it or not.
    fn roam(&mut self, who: usize) -> Result<(), Breach> {
        self.faults.count(Fault::Roamed);
        self.note("roams: participant", who as u64);
        if self.random.chance(500_000) {
            self.plan.cast[who].place = Place::pick(self.plan.hosts, &mut self.random);
        }
        let addr = self.plan.cast[who].place.at(self.fresh_port());
        self.arrive_at(who, addr)
    }

    fn arrive_at(&mut self, who: usize, addr: elara_core::ClientAddr) -> Result<(), Breach> {
        self.move_to(who, addr);
        if self.random.chance(500_000) {
            self.plan.cast[who].machine.address_changed(self.now);
            self.look(who)?;
        }
        Ok(())
    }

    /// Two participants exchange their addresses, as two phones behind one NAT may.
    fn swap(&mut self, who: usize) -> Result<(), Breach> {
        let other = self.random.below(self.plan.cast.len() as u64) as usize;
        self.faults.count(Fault::Swapped);
        self.note("swaps addresses with another: participant", who as u64);
        let (mine, theirs) = (self.plan.cast[who].addr, self.plan.cast[other].addr);
        self.arrive_at(who, theirs)?;
        self.arrive_at(other, mine)
    }

    /// A participant appears at an address whose owner goes on speaking from it.
    fn take_over(&mut self, who: usize) -> Result<(), Breach> {
        let victim = self.random.below(self.plan.cast.len() as u64) as usize;
        self.faults.count(Fault::TakenOver);
        self.note("takes over another's address: participant", who as u64);
        let addr = self.plan.cast[victim].addr;
        self.arrive_at(who, addr)
    }

    /// A laptop lid closes, and opens again.
    fn freeze(&mut self, who: usize) {
        self.faults.count(Fault::Hushed);
        self.note("falls silent: participant", who as u64);
        self.fall_asleep(who);
        let millis = match self.random.chance(200_000) {
            true => 28_000 + self.random.below(10_000),
            false => 200 + self.random.below(6_000),
        };
        self.after(Span::from_millis(millis), Event::Rouse { who });
    }

    /// Says goodbye, and is back later.
    fn leave(&mut self, who: usize) -> Result<(), Breach> {
        let them = &mut self.plan.cast[who];
        if them.aim != Aim::In || them.asleep {
            return Ok(());
        }
        self.faults.count(Fault::Left);
        self.ledger.leaving.insert((them.session, them.node));
        them.machine.leave(reason::DONE, self.now);
        them.aim = Aim::Away;
        them.turn += 1;
        them.speaking_since = None;
        self.note("leaves: participant", who as u64);
        let millis = 200 + self.random.below(6_000);
        self.after(Span::from_millis(millis), Event::Come { who });
        self.look(who)
    }

    fn partition(&mut self, who: usize) {
        self.faults.count(Fault::Partitioned);
        self.note("is cut off: participant", who as u64);
        let them = &mut self.plan.cast[who];
        PARTITIONS.cut([&mut them.up, &mut them.down], self.now, &mut self.random);
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

    /// The relay is killed and started again: one shard of it, or all. It keeps its keys, and nothing else.
    fn restart(&mut self) {
        // Rarely, or nothing else would ever have time to go wrong.
        if !self.random.chance(400_000) {
            return;
        }
        let only = self.random.below(2 * self.lanes.len() as u64) as usize;
        for lane in 0..self.lanes.len() {
            if only < self.lanes.len() && only != lane {
                continue;
            }
            self.faults.count(Fault::Restarted);
            self.note("is killed and restarted: shard", lane as u64);
            self.bury(lane);
            let config = self.plan.config(lane, &mut self.random);
            let seed = self.random.next_u64();
            self.lanes[lane].restart(config, self.plan.capacity, self.now, seed);
            self.unsettle_kernel(lane);
        }
    }

    /// The relay gets another key, and answers to the one before as well.
    fn rotate(&mut self) {
        if self.plan.club.has_rotated() || !self.random.chance(300_000) {
            return;
        }
        self.faults.count(Fault::Rotated);
        self.note("the relay's key is rotated", 0);
        self.plan.club.rotate();
        self.reload();
    }

    fn reload(&mut self) {
        let access = self.plan.club.access();
        for lane in 0..self.lanes.len() {
            self.lanes[lane].host.tell(Command::Access(access.clone()));
            self.wake_in(lane, Span::ZERO);
        }
    }

    /// A participant is banned, or kicked: by the operator, or by another who may, or who may not.
    fn send_away(&mut self, who: usize) -> Result<(), Breach> {
        if !self.random.chance(400_000) {
            return Ok(());
        }
        let (session, node) = (self.plan.cast[who].session, self.plan.cast[who].node);
        match self.random.below(5) {
            0 => {
                self.faults.count(Fault::Banned);
                self.note("is banned: participant", who as u64);
                let id = *self.plan.cast[who].machine.id().as_bytes();
                self.plan.club.bans.insert(id);
                self.ledger.banned.insert((session, node));
                self.plan.cast[who].aim = Aim::Out;
                self.reload();
            }
            1 | 2 => {
                self.faults.count(Fault::Kicked);
                self.note("is kicked by the operator: participant", who as u64);
                self.ledger.kicked.insert((session, node));
                self.plan.cast[who].aim = Aim::Out;
                let lane = self.lane_of(session);
                self.lanes[lane].host.tell(Command::Kick { ticket: 9, session, node });
                self.wake_in(lane, Span::ZERO);
            }
            _ => {
                let by = self.random.below(self.plan.cast.len() as u64) as usize;
                let them = &mut self.plan.cast[by];
                if them.session != session || them.asleep {
                    return Ok(());
                }
                if them.machine.kick(node, reason::MODERATED).is_ok() && by != who {
                    self.faults.count(Fault::Kicked);
                    let may = them.claims.permissions.allows(Permissions::KICK);
                    self.note("kicks another: participant", by as u64);
                    if may {
                        self.ledger.kicked.insert((session, node));
                        // It may hear of it or not; if it is heard, it does not come back.
                        self.plan.cast[who].aim = Aim::Out;
                    }
                }
                self.look(by)?;
            }
        }
        Ok(())
    }

    /// A participant asks for something else from here on.
    fn rewish(&mut self, who: usize) -> Result<(), Breach> {
        let others = self.plan.cast.len() as u64;
        let node = self.plan.cast[self.random.below(others) as usize].node;
        let classes = self.random.below(32) as u8;
        let of_one = Wish { node: node.0.into(), ..Wish::EVERYTHING };
        let of_stream = Wish { stream: 3.into(), ..Wish::EVERYTHING };
        let of_classes = Wish { classes, ..Wish::EVERYTHING };
        let wishes: &[Wish] = match self.random.below(5) {
            0 => &[],
            1 => &[of_one],
            2 => &[of_stream, of_one],
            3 => &[of_classes],
            _ => &[Wish::EVERYTHING],
        };
        let hold_ms = hold_ms(&mut self.random);
        let them = &mut self.plan.cast[who];
        if them.asleep || them.machine.subscribe(wishes, hold_ms, self.now).is_err() {
            return Ok(());
        }
        them.wish = self.ledger.wish(wishes, hold_ms);
        self.faults.count(Fault::Rewished);
        self.note("asks for something else: participant", who as u64);
        self.look(who)
    }
}
