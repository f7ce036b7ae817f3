//! Datagrams on their way, and the shard the kernel chooses for those that reach the relay's machine.

use elara_core::random::Random;
use elara_core::time::Instant;
use elara_core::{ClientAddr, SessionId};
use elara_shards::steer;

use crate::faults::{Fault, Faults};
use crate::frames;

/// Every datagram on its way, by number; a number is used again.
#[derive(Default)]
pub(crate) struct Parcels {
    all: Vec<Parcel>,
    free: Vec<usize>,
    /// The last arrival and where it was steered: a train is steered once.
    steered: Option<(ClientAddr, usize, Instant, usize)>,
}

#[derive(Default)]
struct Parcel {
    /// None on the way from the relay.
    from: Option<ClientAddr>,
    bytes: Vec<u8>,
}

impl Parcels {
    /// The number of a copy of `bytes`, with flipped bits or without.
    pub(crate) fn pack(
        &mut self,
        from: Option<ClientAddr>,
        bytes: &[u8],
        flipped: bool,
        random: &mut impl Random,
    ) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.all.push(Parcel::default());
            self.all.len() - 1
        });
        let parcel = &mut self.all[index];
        parcel.from = from;
        parcel.bytes.clear();
        parcel.bytes.extend_from_slice(bytes);
        if flipped {
            frames::flip(&mut parcel.bytes, random);
        }
        index
    }

    /// It has come: its bytes, until the next is packed.
    pub(crate) fn open(&mut self, parcel: usize) -> &[u8] {
        self.free.push(parcel);
        &self.all[parcel].bytes
    }

    /// It reaches the relay's machine, with so many shards: the one it is steered to, where it is from, and
    /// its bytes, until the next is packed.
    pub(crate) fn steer(
        &mut self,
        parcel: usize,
        now: Instant,
        shards: usize,
        faults: &mut Faults,
    ) -> Option<(usize, &ClientAddr, &[u8])> {
        self.free.push(parcel);
        let Parcel { from: Some(from), bytes } = &self.all[parcel] else { return None };
        let own = shard_for(bytes, from, shards);
        let same = |(source, len, at, _): &(ClientAddr, usize, Instant, usize)| {
            (*source, *len, *at) == (*from, bytes.len(), now)
        };
        let shard = self.steered.filter(same).map_or(own, |(.., shard)| shard);
        faults.add(Fault::Misdirected, u64::from(shard != own));
        self.steered = Some((*from, bytes.len(), now, shard));
        Some((shard, from, bytes))
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
