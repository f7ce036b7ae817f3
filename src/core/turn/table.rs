//! All allocations of a shard, found by client, by relay socket, and by relayed port.
//!
//! ```text
//!   client address -> one keyed hash  ->.
//!   socket         -> an index        ->  number -> allocation
//!   relayed port   -> an index        ->'
//! ```
//! Room for all that may be is set aside when the table is made, so that nothing moves when it fills.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use hashbrown::HashTable;

use super::Socket;
use super::allocation::{Allocation, Leg};
use super::config::Config;
use super::home::{Each, Family};
use super::relayed::Relayed;
use crate::ClientAddr;
use crate::keyed::Keyed;

/// No allocation.
const NONE: u32 = u32::MAX;

/// The allocations.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Option<Allocation>>,
    free: Vec<u32>,
    clients: HashTable<(ClientAddr, u32)>,
    sockets: Vec<u32>,
    /// From `first_port` on.
    ports: Each<Box<[u32]>>,
    first_port: u16,
    /// Those of all shards.
    relayed: Arc<Relayed>,
    keyed: Keyed,
}

impl Table {
    pub(super) fn new(config: &Config, relayed: Arc<Relayed>, keyed: Keyed) -> Self {
        let ports = || vec![NONE; config.ports.len()].into_boxed_slice();
        Self {
            places: Vec::with_capacity(config.allocations_max),
            free: Vec::new(),
            clients: HashTable::with_capacity(config.allocations_max),
            sockets: Vec::new(),
            ports: Each { v4: ports(), v6: ports() },
            first_port: *config.ports.start(),
            relayed,
            keyed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// One more than the largest number ever given out.
    pub(super) fn end(&self) -> u32 {
        self.places.len() as u32
    }

    /// The number of a client's allocation.
    #[inline]
    pub(super) fn of(&self, client: &ClientAddr) -> Option<u32> {
        let is = |entry: &(ClientAddr, u32)| entry.0 == *client;
        self.clients.find(self.hash(client), is).map(|(_, number)| *number)
    }

    /// The number of the allocation behind a relay socket.
    #[inline]
    pub(super) fn behind(&self, Socket(socket): Socket) -> Option<u32> {
        self.sockets.get(usize::from(socket)).copied().filter(|number| *number != NONE)
    }

    /// The number of the allocation with this relayed port.
    #[inline]
    pub(super) fn with_port(&self, family: Family, port: u16) -> Option<u32> {
        let place = port.checked_sub(self.first_port)?;
        self.ports.of(family).get(usize::from(place)).copied().filter(|number| *number != NONE)
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Allocation> {
        self.places.get(number as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Allocation> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    /// Takes in an allocation; its relayed addresses come after it.
    pub(super) fn insert(&mut self, allocation: Allocation) -> u32 {
        let client = allocation.client;
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.places.push(None);
                (self.places.len() - 1) as u32
            }
        };
        self.places[number as usize] = Some(allocation);
        let keyed = self.keyed;
        let hash = |(client, _): &(ClientAddr, u32)| keyed.hash(&key(client));
        self.clients.insert_unique(self.hash(&client), (client, number), hash);
        number
    }

    /// Takes out an allocation whose relayed addresses have been detached.
    pub(super) fn remove(&mut self, number: u32) -> Option<Allocation> {
        let allocation = self.places.get_mut(number as usize)?.take()?;
        let is = |entry: &(ClientAddr, u32)| entry.0 == allocation.client;
        if let Ok(entry) = self.clients.find_entry(self.hash(&allocation.client), is) {
            entry.remove();
        }
        self.free.push(number);
        Some(allocation)
    }

    /// Gives an allocation a relayed address.
    pub(super) fn attach(&mut self, number: u32, family: Family, leg: Leg) {
        let socket = usize::from(leg.socket.0);
        if self.sockets.len() <= socket {
            self.sockets.resize(socket + 1, NONE);
        }
        self.sockets[socket] = number;
        self.set_port(family, leg.port, number);
        self.relayed.give(family, leg.port);
        if let Some(allocation) = self.get_mut(number) {
            *allocation.legs.of_mut(family) = Some(leg);
        }
    }

    /// Takes a relayed address away from an allocation, to be closed.
    pub(super) fn detach(&mut self, number: u32, family: Family) -> Option<Leg> {
        let leg = self.get_mut(number)?.legs.of_mut(family).take()?;
        if let Some(place) = self.sockets.get_mut(usize::from(leg.socket.0)) {
            *place = NONE;
        }
        self.set_port(family, leg.port, NONE);
        self.relayed.take(family, leg.port);
        Some(leg)
    }

    fn set_port(&mut self, family: Family, port: u16, number: u32) {
        let place = port.checked_sub(self.first_port).map(usize::from);
        if let Some(place) = place.and_then(|place| self.ports.of_mut(family).get_mut(place)) {
            *place = number;
        }
    }

    #[inline]
    fn hash(&self, client: &ClientAddr) -> u64 {
        self.keyed.hash(&key(client))
    }
}

/// What is hashed of a client.
#[inline]
fn key(client: &ClientAddr) -> [u8; 22] {
    let mut key = [0; 22];
    key[..16].copy_from_slice(client.ip_bytes());
    key[16..20].copy_from_slice(&client.scope().to_be_bytes());
    key[20..].copy_from_slice(&client.port().to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Seeded};
    use crate::stun::TransactionId;
    use crate::time::Instant;
    use crate::turn::allocation::Birth;
    use crate::turn::credentials::testing::anna;
    use alloc::collections::BTreeMap;

    fn allocation(client: ClientAddr) -> Allocation {
        let transaction = TransactionId([0; 12]);
        let birth = Birth { transaction, lifetime_s: 600, token: None, missing: None };
        Allocation::new(client, &anna(), birth)
    }

    #[test]
    fn it_agrees_with_maps_however_often_numbers_are_used_again() {
        let mut random = Seeded::new(7);
        let mut table = Table::new(&Config::default(), Arc::default(), Keyed(1, 2));
        let mut model: BTreeMap<u16, u16> = BTreeMap::new();
        let client = |n: u16| ClientAddr::new([1; 16], n, 0);
        for _ in 0..5_000 {
            let n = random.below(64) as u16;
            // Each client has the socket and the port of its own number.
            if model.remove(&n).is_some() {
                let number = table.of(&client(n)).unwrap();
                assert!(table.detach(number, Family::V6).is_none());
                assert_eq!(table.detach(number, Family::V4).unwrap().socket, Socket(n));
                assert_eq!(table.remove(number).unwrap().client, client(n));
                assert!(table.remove(number).is_none());
            } else {
                let number = table.insert(allocation(client(n)));
                let leg = Leg { socket: Socket(n), port: 50_000 + n, expires: Instant::ZERO };
                table.attach(number, Family::V4, leg);
                model.insert(n, n);
            }
            assert_eq!(table.len(), model.len());
            for n in 0..64 {
                let number = table.of(&client(n));
                assert_eq!(number.is_some(), model.contains_key(&n));
                assert_eq!(table.behind(Socket(n)), number);
                assert_eq!(table.with_port(Family::V4, 50_000 + n), number);
                assert_eq!(table.with_port(Family::V6, 50_000 + n), None);
            }
        }
        assert!(table.places.len() <= 64);
        assert_eq!((table.behind(Socket(u16::MAX)), table.with_port(Family::V4, 1)), (None, None));
    }
}
