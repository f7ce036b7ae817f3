//! Datagrams on their way: to the relay's machine and to participants, with whoever listens in between.

use elara_core::ClientAddr;
use elara_core::random::Random;

use super::{CAPTURED, Event, Who, World};
use crate::network::Passage;
use crate::weather;

impl World<'_> {
    /// Whatever insiders and strangers send.
    pub(crate) fn send_strange(&mut self, from: ClientAddr, bytes: &[u8]) {
        let passages = self.stranger.pass(self.now, &mut self.random, &mut self.faults);
        self.carry(from, bytes, passages);
    }

    /// Sends a datagram on its way to the relay.
    pub(super) fn carry(&mut self, from: ClientAddr, bytes: &[u8], passages: [Option<Passage>; 2]) {
        self.capture(bytes);
        for passage in passages.into_iter().flatten() {
            let parcel = self.parcels.pack(Some(from), bytes, passage.flipped, &mut self.random);
            self.at(passage.at, Event::Arrive { parcel });
        }
    }

    /// Someone listens, and keeps now and then what passes.
    pub(super) fn capture(&mut self, bytes: &[u8]) {
        let hello = bytes.len() == 512;
        if self.night || !(hello || self.random.chance(50_000)) {
            return;
        }
        let kept = if hello { &mut self.hellos } else { &mut self.captured };
        if kept.len() == CAPTURED {
            kept.pop_front();
        }
        kept.push_back(bytes.to_vec());
    }

    /// A datagram reaches the relay's machine.
    pub(super) fn arrive(&mut self, parcel: usize) {
        let shards = self.lanes.len();
        let steered = self.parcels.steer(parcel, self.now, shards, &mut self.faults);
        let Some((lane, from, bytes)) = steered else { return };
        if self.lanes[lane].host.takes(from, bytes, &mut self.faults) {
            let span = weather::latency(self.stormy, &mut self.random);
            self.wake_in(lane, span);
        }
    }

    /// Sends a datagram on its way to whoever is at an address.
    pub(crate) fn send_down(&mut self, to: ClientAddr, bytes: &[u8]) {
        let Some(&who) = self.holders.get(&to) else { return };
        if self.random.chance(20_000) && !self.night {
            if self.overheard.len() == CAPTURED {
                self.overheard.pop_front();
            }
            self.overheard.push_back(bytes.to_vec());
        }
        let down = match who {
            Who::Honest(who) => &mut self.plan.cast[who].down,
            Who::Insider(_) => &mut self.stranger,
        };
        let passages = down.pass(self.now, &mut self.random, &mut self.faults);
        for passage in passages.into_iter().flatten() {
            let parcel = self.parcels.pack(None, bytes, passage.flipped, &mut self.random);
            self.at(passage.at, Event::Hand { parcel, to: who });
        }
    }
}
