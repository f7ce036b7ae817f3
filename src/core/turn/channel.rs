//! Numbers for peers: each channel has one peer, each peer one channel, for ten minutes (RFC 8656 section
//! 12).
//!
//! ```text
//!   number -> channel    few: one look at each.  many: places[number & mask], onward until found
//!   peer   -> channel    few: one look at each.  many: a keyed hash
//! ```
//! Clients count their channels up from 0x4000, so that where they are many the first look mostly finds.

use alloc::boxed::Box;
use alloc::vec;

use hashbrown::HashTable;

use super::small::Small;
use crate::ClientAddr;
use crate::keyed::Keyed;
use crate::limits::TURN_INDEXED_FROM;
use crate::time::Instant;

/// Channels that lie in the allocation itself.
const FEW: usize = 2;

/// One channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) peer: ClientAddr,
    /// Until when the number is bound.
    pub(super) until: Instant,
    /// Until when the peer's IP address has a permission, which ends earlier unless it is refreshed.
    pub(super) permitted: Instant,
    pub(super) number: u16,
    /// Whether the peer is one of this node's own relayed addresses.
    pub(super) own: bool,
}

impl Channel {
    /// Whether data may take it.
    #[inline]
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.until.min(self.permitted) > now
    }
}

/// Fills places that hold no channel.
impl Default for Channel {
    fn default() -> Self {
        let (peer, never) = (ClientAddr::new([0; 16], 0, 0), Instant::ZERO);
        Self { peer, until: never, permitted: never, number: 0, own: false }
    }
}

/// The channels of one allocation.
#[derive(Debug, Default)]
pub(super) struct Channels {
    list: Small<Channel, FEW>,
    /// From [`TURN_INDEXED_FROM`] on.
    index: Option<Box<Index>>,
}

/// Places in the list.
#[derive(Debug)]
struct Index {
    /// One more than the place, 0 for none; a power of two of them, at most half in use.
    by_number: Box<[u16]>,
    by_peer: HashTable<u16>,
}

impl Channels {
    /// Channels there are, expired ones included until they are swept.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The channel of this number.
    #[inline]
    pub(super) fn numbered(&self, number: u16) -> Option<&Channel> {
        match &self.index {
            None => self.list.iter().find(|channel| channel.number == number),
            Some(index) => index.numbered(number, &self.list),
        }
    }

    /// The channel of this peer.
    #[inline]
    pub(super) fn towards(&self, peer: &ClientAddr, keyed: Keyed) -> Option<&Channel> {
        match &self.index {
            None => self.list.iter().find(|channel| channel.peer == *peer),
            Some(index) => {
                let at = |place: &u16| self.list.get(usize::from(*place));
                let is = |place: &u16| at(place).is_some_and(|channel| channel.peer == *peer);
                index.by_peer.find(keyed.hash(&key(peer)), is).and_then(at)
            }
        }
    }

    /// Binds a channel, or refreshes it. Whoever calls has made sure that number and peer are each other's
    /// or nobody's, and that there is room.
    pub(super) fn bind(&mut self, channel: Channel, keyed: Keyed) {
        match self.list.iter_mut().find(|bound| bound.number == channel.number) {
            Some(bound) => *bound = channel,
            None => {
                self.list.push(channel);
                self.reindex(keyed);
            }
        }
    }

    /// Tells channels what has become of permissions.
    pub(super) fn permit(&mut self, until: impl Fn(&[u8; 16]) -> Option<Instant>) {
        for channel in self.list.iter_mut() {
            channel.permitted = until(channel.peer.ip_bytes()).unwrap_or(Instant::ZERO);
        }
    }

    /// Forgets what has ended at `now`.
    pub(super) fn sweep(&mut self, now: Instant, keyed: Keyed) {
        self.retain(keyed, |channel| channel.until > now);
    }

    /// Keeps those that `stays` says.
    pub(super) fn retain(&mut self, keyed: Keyed, stays: impl Fn(&Channel) -> bool) {
        if !self.list.iter().all(&stays) {
            self.list.retain(stays);
            self.reindex(keyed);
        }
    }

    /// When the first of them ends.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.list.iter().map(|channel| channel.until).min()
    }

    fn reindex(&mut self, keyed: Keyed) {
        let many = self.list.len() >= TURN_INDEXED_FROM;
        self.index = many.then(|| Box::new(Index::new(&self.list, keyed)));
    }
}

impl Index {
    fn new(list: &[Channel], keyed: Keyed) -> Self {
        let mut by_number = vec![0; (2 * list.len()).next_power_of_two()].into_boxed_slice();
        let mut by_peer = HashTable::with_capacity(list.len());
        let hash =
            |place: &u16| list.get(usize::from(*place)).map_or(0, |c| keyed.hash(&key(&c.peer)));
        for (place, channel) in list.iter().enumerate() {
            let place = place as u16;
            by_peer.insert_unique(hash(&place), place, hash);
            let mut at = usize::from(channel.number) & (by_number.len() - 1);
            while by_number[at] != 0 {
                at = (at + 1) & (by_number.len() - 1);
            }
            by_number[at] = place + 1;
        }
        Self { by_number, by_peer }
    }

    #[inline]
    fn numbered<'a>(&self, number: u16, list: &'a [Channel]) -> Option<&'a Channel> {
        let mask = self.by_number.len() - 1;
        let mut at = usize::from(number) & mask;
        // Half of the places are empty, so that this ends.
        while let Some(place) = self.by_number.get(at)?.checked_sub(1) {
            let channel = list.get(usize::from(place))?;
            if channel.number == number {
                return Some(channel);
            }
            at = (at + 1) & mask;
        }
        None
    }
}

/// What is hashed of a peer.
fn key(peer: &ClientAddr) -> [u8; 18] {
    let mut key = [0; 18];
    key[..16].copy_from_slice(peer.ip_bytes());
    key[16..].copy_from_slice(&peer.port().to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Seeded};
    use crate::time::Span;

    const KEYED: Keyed = Keyed(1, 2);

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Span::from_secs(secs)
    }

    fn peer(n: u16) -> ClientAddr {
        ClientAddr::new([9; 16], n, 0)
    }

    fn channel(number: u16, n: u16, until: Instant) -> Channel {
        Channel { peer: peer(n), until, permitted: until, number, own: false }
    }

    #[test]
    fn each_is_found_by_number_and_by_peer_however_many_there_are() {
        for seed in 0..20 {
            // Counted up as browsers do, or anywhere as coturn's client does.
            let mut random = Seeded::new(seed);
            let mut number = |n: u16| match seed % 2 {
                0 => 0x4000 + n,
                _ => 0x4000 + (random.below(0x20) as u16) * 0x100 + n,
            };
            let (mut channels, mut numbers) = (Channels::default(), vec::Vec::new());
            for n in 0..200 {
                numbers.push(number(n));
                channels.bind(channel(numbers[usize::from(n)], n, at(10 + u64::from(n))), KEYED);
            }
            for now in [0, 10, 60, 195, 204] {
                channels.sweep(at(now), KEYED);
                for (n, number) in numbers.iter().enumerate() {
                    let n = n as u16;
                    let expected = (at(10 + u64::from(n)) > at(now)).then_some((*number, peer(n)));
                    let found = channels.numbered(*number).map(|c| (c.number, c.peer));
                    assert_eq!(found, expected, "seed {seed}");
                    let found = channels.towards(&peer(n), KEYED).map(|c| (c.number, c.peer));
                    assert_eq!(found, expected, "seed {seed}");
                }
                assert!(channels.numbered(0x3FFF).is_none(), "seed {seed}");
            }
        }
    }

    #[test]
    fn binding_again_refreshes() {
        let mut channels = Channels::default();
        channels.bind(channel(0x4000, 1, at(1)), KEYED);
        channels.bind(channel(0x4000, 1, at(2)), KEYED);
        assert_eq!((channels.len(), channels.earliest()), (1, Some(at(2))));
    }

    #[test]
    fn a_channel_is_open_while_both_it_and_its_permission_last() {
        let mut channels = Channels::default();
        channels.bind(channel(0x4000, 1, at(600)), KEYED);
        let open = |channels: &Channels, now| {
            channels.numbered(0x4000).is_some_and(|channel| channel.is_open(at(now)))
        };
        channels.permit(|_| Some(at(300)));
        assert!(open(&channels, 299) && !open(&channels, 300));
        channels.permit(|_| Some(at(900)));
        assert!(open(&channels, 599) && !open(&channels, 600));
        channels.permit(|_| None);
        assert!(!open(&channels, 1));
    }

    #[test]
    fn few_channels_have_no_memory_of_their_own() {
        let mut channels = Channels::default();
        (0..FEW as u16).for_each(|n| channels.bind(channel(0x4000 + n, n, at(1)), KEYED));
        assert!(channels.index.is_none());
        assert!(size_of::<Channels>() <= 144, "{}", size_of::<Channels>());
    }
}
