//! Datagrams on their way: to the relay's machine and to participants, with whoever listens in between.

use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, SessionId};
use elara_shards::steer;

use super::{CAPTURED, Event, Parcel, Who, World};
use crate::faults::Fault;
use crate::frames as noise;
use crate::network::Passage;

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
            let parcel = self.pack(Some(from), bytes, passage.flipped);
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

    pub(super) fn pack(&mut self, from: Option<ClientAddr>, bytes: &[u8], flipped: bool) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.parcels.push(Parcel::default());
            self.parcels.len() - 1
        });
        let parcel = &mut self.parcels[index];
        parcel.from = from;
        parcel.bytes.clear();
        parcel.bytes.extend_from_slice(bytes);
        if flipped {
            noise::flip(&mut parcel.bytes, &mut self.random);
        }
        index
    }

    /// A datagram reaches the relay's machine, and the kernel chooses a shard.
    pub(super) fn arrive(&mut self, parcel: usize) {
        self.free.push(parcel);
        let Parcel { from: Some(from), bytes } = &self.parcels[parcel] else { return };
        let own = shard_for(bytes, from, self.lanes.len());
        let same = |(source, len, at, _): &(ClientAddr, usize, Instant, usize)| {
            (*source, *len, *at) == (*from, bytes.len(), self.now)
        };
        let lane = self.steered.filter(same).map_or(own, |(.., lane)| lane);
        self.faults.add(Fault::Misdirected, u64::from(lane != own));
        self.steered = Some((*from, bytes.len(), self.now, lane));
        if !self.lanes[lane].host.memory().deliver(from, bytes) {
            self.faults.count(Fault::Overflowed);
            return;
        }
        let latency = if self.stormy { 3_000 } else { 100 };
        let span = Span::from_micros(self.random.below(latency));
        self.wake_in(lane, span);
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
            let parcel = self.pack(None, bytes, passage.flipped);
            self.at(passage.at, Event::Hand { parcel, to: who });
        }
    }
}

/// The kernel's choice: by session for frames, by flow for everything else (see `elara_shards::steer`).
fn shard_for(datagram: &[u8], from: &ClientAddr, shards: usize) -> usize {
    let cookie = [0x21, 0x12, 0xA4, 0x42];
    match datagram.get(4..12).and_then(|id| id.try_into().ok()) {
        Some(id) if datagram[0] < 0x40 && datagram[4..8] != cookie => {
            steer::shard_of(SessionId::from_bytes(id), shards)
        }
        _ => usize::from(from.port()) % shards,
    }
}
