//! Any sequence of requests, data and time, beside a model of maps: both agree on who may send to whom, no
//! bound is passed, and what is open is what somebody has.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use elara_core::random::{Random, Seeded};
use elara_core::stun::Method;
use elara_core::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, EVEN_PORT, LIFETIME, REQUESTED_ADDRESS_FAMILY,
};
use elara_core::turn::{Answer, Config, Refusal, ToClient, ToPeer};

use crate::world::{Client, PEER_V6, RELAY_V4, RELAY_V6, Said, V6, World, addr, config, put};

const PERMISSIONS: usize = 3;
const CHANNELS: usize = 2;
const PER_USER: usize = 2;
const ALLOCATIONS: usize = 3;

/// An allocation as the model knows it: all times are seconds of the world.
#[derive(Default)]
struct Known {
    legs: BTreeMap<bool, (SocketAddr, u64)>,
    permissions: BTreeMap<IpAddr, u64>,
    channels: BTreeMap<u16, (SocketAddr, u64)>,
}

impl Known {
    fn forget(&mut self, now: u64) {
        self.legs.retain(|_, (_, until)| *until > now);
        self.permissions.retain(|_, until| *until > now);
        self.channels.retain(|_, (_, until)| *until > now);
    }

    /// What its client may send to: the relayed address it comes from.
    fn towards(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.permissions.get(&peer.ip())?;
        self.legs.get(&peer.is_ipv4()).map(|(relayed, _)| *relayed)
    }

    /// What its client gets of a peer: on which channel, if any.
    fn from(&self, peer: SocketAddr) -> Option<Option<u16>> {
        self.towards(peer)?;
        let channel = self.channels.iter().find(|(_, (bound, _))| *bound == peer);
        Some(channel.map(|(number, _)| *number))
    }
}

struct Story {
    world: World,
    random: Seeded,
    clients: Vec<Client>,
    known: BTreeMap<usize, Known>,
    now: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        let config = Config {
            permissions_max: PERMISSIONS,
            channels_max: CHANNELS,
            allocations_per_user: PER_USER,
            allocations_max: ALLOCATIONS,
            ports: 50_000..=50_015,
            lifetime_default_s: 200,
            lifetime_max_s: 700,
            ..config()
        };
        let mut world = World::seeded(config, seed);
        let names = ["anna", "anna", "anna", "berta", "carla"];
        let clients = names.iter().enumerate().map(|(n, name)| {
            Client::greeted(&mut world, &format!("127.0.0.1:{}", 40_000 + n), name)
        });
        let clients = clients.collect();
        Self { world, random: Seeded::new(seed), clients, known: BTreeMap::new(), now: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn someone(&mut self) -> usize {
        self.below(self.clients.len())
    }

    /// A peer out there, a relayed address of somebody, or one that nobody may reach.
    fn peer(&mut self) -> SocketAddr {
        let relayed: Vec<SocketAddr> =
            self.known.values().flat_map(|known| known.legs.values()).map(|(at, _)| *at).collect();
        match self.below(8) {
            0 => addr(PEER_V6),
            1 => addr("10.0.0.1:4000"),
            2..5 if !relayed.is_empty() => relayed[self.below(relayed.len())],
            n => format!("198.51.100.{}:{}", n % 5, 4_000 + self.below(2)).parse().unwrap(),
        }
    }

    fn step(&mut self) {
        match self.below(12) {
            0 | 1 => self.allocate(),
            2 => self.refresh(),
            3 | 4 => self.permit(),
            5 | 6 => self.bind(),
            7 => self.send(),
            8 => self.on_channel(),
            9 | 10 => self.hears(),
            _ => self.pass(),
        }
        self.agree();
    }

    fn pass(&mut self) {
        let secs = [1, 10, 60, 100, 299][self.below(5)];
        self.now += secs;
        if self.below(2) == 0 {
            self.world.pass(secs)
        } else {
            self.world.skip(secs)
        }
        self.known.values_mut().for_each(|known| known.forget(self.now));
        self.known.retain(|_, known| !known.legs.is_empty());
    }

    fn call(
        &mut self,
        who: usize,
        method: Method,
        with: &[(u16, &[u8])],
        peers: &[SocketAddr],
    ) -> Said {
        let Self { world, clients, .. } = self;
        let mut call = |client: &mut Client| {
            client.call(world, method, |writer| {
                put(writer, with);
                for peer in peers {
                    writer.put_address_xor(0x0012, *peer);
                }
            })
        };
        let said = call(&mut clients[who]);
        if said.error != 438 {
            return said;
        }
        clients[who].learn(&said);
        call(&mut clients[who])
    }

    fn allocate(&mut self) {
        let who = self.someone();
        let lifetime = [0, 100, 400, 900][self.below(4)] as u32;
        let bytes = lifetime.to_be_bytes();
        let mut with: Vec<(u16, &[u8])> = vec![(0x0019, &[17, 0, 0, 0]), (LIFETIME, &bytes)];
        match self.below(4) {
            0 => with.push((ADDITIONAL_ADDRESS_FAMILY, &V6)),
            1 => with.push((REQUESTED_ADDRESS_FAMILY, &V6)),
            2 => with.push((EVEN_PORT, &[0x80])),
            _ => {}
        }
        let said = self.call(who, Method::ALLOCATE, &with, &[]);
        let name = self.clients[who].name.clone();
        let of_user = self.known.keys().filter(|other| self.clients[**other].name == name).count();
        let expected = if self.known.contains_key(&who) {
            437
        } else if of_user >= PER_USER {
            486
        } else if self.known.len() >= ALLOCATIONS {
            508
        } else {
            0
        };
        // The server may still count who is over and has not been ended; and ports may be used up.
        let late = matches!((expected, said.error), (0, 486 | 508));
        assert!(said.error == expected || late, "{} instead of {expected}", said.error);
        if said.error == 0 {
            let until = self.now + u64::from(lifetime.clamp(200, 700));
            let legs = said.relayed_all().into_iter().map(|at| (at.is_ipv4(), (at, until)));
            self.known.insert(who, Known { legs: legs.collect(), ..Known::default() });
        }
    }

    fn refresh(&mut self) {
        let who = self.someone();
        let lifetime = [0, 100, 400, 900][self.below(4)] as u32;
        let bytes = lifetime.to_be_bytes();
        let one = [None, Some(true), Some(false)][self.below(3)];
        let family = [if one == Some(true) { 1 } else { 2 }, 0, 0, 0];
        let mut with: Vec<(u16, &[u8])> = vec![(LIFETIME, &bytes)];
        if one.is_some() {
            with.push((REQUESTED_ADDRESS_FAMILY, &family));
        }
        let said = self.call(who, Method::REFRESH, &with, &[]);
        let Some(known) = self.known.get_mut(&who) else { return assert_eq!(said.error, 437) };
        if one.is_some_and(|v4| !known.legs.contains_key(&v4)) {
            return assert_eq!(said.error, 443);
        }
        assert_eq!(said.error, 0);
        let now = self.now;
        let meant = known.legs.iter_mut().filter(|(v4, _)| one.is_none_or(|one| one == **v4));
        for (_, leg) in meant {
            leg.1 = if lifetime == 0 { now } else { now + u64::from(lifetime.clamp(200, 700)) };
        }
        known.forget(now);
        if known.legs.is_empty() {
            self.known.remove(&who);
        }
    }

    /// What must be the answer about peers, before anything is counted.
    fn judged(known: &Known, peers: &[SocketAddr]) -> u16 {
        let judge = |peer: &SocketAddr| {
            let family = known.legs.contains_key(&peer.is_ipv4());
            let denied = peer.ip() == addr("10.0.0.1:1").ip();
            if !family {
                443
            } else if denied {
                403
            } else {
                0
            }
        };
        peers.iter().map(judge).find(|error| *error != 0).unwrap_or(0)
    }

    fn permit(&mut self) {
        let who = self.someone();
        let peers: Vec<SocketAddr> = (0..1 + self.below(3)).map(|_| self.peer()).collect();
        let said = self.call(who, Method::CREATE_PERMISSION, &[], &peers);
        let Some(known) = self.known.get_mut(&who) else { return assert_eq!(said.error, 437) };
        let judged = Self::judged(known, &peers);
        if judged != 0 {
            return assert_eq!(said.error, judged);
        }
        let mut after = known.permissions.clone();
        after.extend(peers.iter().map(|peer| (peer.ip(), self.now + 300)));
        if after.len() > PERMISSIONS {
            return assert_eq!(said.error, 508);
        }
        assert_eq!(said.error, 0);
        known.permissions = after;
    }

    fn bind(&mut self) {
        let (who, number) = (self.someone(), 0x4000 + self.below(4) as u16);
        let peer = self.peer();
        let [high, low] = number.to_be_bytes();
        let said = self.call(who, Method::CHANNEL_BIND, &[(0x000C, &[high, low, 0, 0])], &[peer]);
        let Some(known) = self.known.get_mut(&who) else { return assert_eq!(said.error, 437) };
        let judged = Self::judged(known, &[peer]);
        if judged != 0 {
            return assert_eq!(said.error, judged);
        }
        let other = |(bound, channel): (&u16, &(SocketAddr, u64))| {
            (*bound == number) != (channel.0 == peer)
        };
        if known.channels.iter().any(other) {
            return assert_eq!(said.error, 400);
        }
        let mut after = known.permissions.clone();
        after.insert(peer.ip(), self.now + 300);
        let full = !known.channels.contains_key(&number) && known.channels.len() >= CHANNELS;
        if full || after.len() > PERMISSIONS {
            return assert_eq!(said.error, 508);
        }
        assert_eq!(said.error, 0);
        known.permissions = after;
        known.channels.insert(number, (peer, self.now + 600));
    }

    fn send(&mut self) {
        let (who, peer) = (self.someone(), self.peer());
        let answer = self.clients[who].send(&mut self.world, &peer.to_string(), b"data");
        let towards = self.known.get(&who).and_then(|known| known.towards(peer));
        match (answer, towards) {
            (Answer::Silent(_), None) => {}
            (Answer::Relay { socket, to, .. }, Some(relayed)) => {
                assert_eq!((socket, to), (self.world.socket_at(relayed), peer.into()));
                self.is_nobodys(peer);
            }
            (Answer::Hairpin { to, .. }, Some(relayed)) => self.arrives(&to, peer, relayed),
            (answer, towards) => panic!("{answer:?} where the model says {towards:?}"),
        }
    }

    fn on_channel(&mut self) {
        let (who, number) = (self.someone(), 0x4000 + self.below(4) as u16);
        let to = self.world.on_channel(self.clients[who].addr, number, b"data");
        let known = self.known.get(&who);
        let towards = known.and_then(|known| {
            let (peer, _) = *known.channels.get(&number)?;
            Some((peer, known.towards(peer)?))
        });
        match (to, towards) {
            (ToPeer::Refused(_), None) => {}
            // A relayed address that is over: what has its port now is nobody's peer.
            (ToPeer::Refused(Refusal::Denied), Some((peer, _))) => {
                assert!([RELAY_V4, RELAY_V6].contains(&peer.ip().to_string().as_str()), "{peer}");
                self.is_nobodys(peer);
            }
            (ToPeer::Via { socket, to }, Some((peer, relayed))) => {
                assert_eq!((socket, to), (self.world.socket_at(relayed), peer.into()));
                self.is_nobodys(peer);
            }
            (ToPeer::Hairpin(to), Some((peer, relayed))) => self.arrives(&to, peer, relayed),
            (to, towards) => panic!("{to:?} where the model says {towards:?}"),
        }
    }

    fn hears(&mut self) {
        let peer = self.peer();
        let Some((who, relayed)) = self.some_relayed() else { return };
        let to = self.world.hears(relayed, &peer.to_string(), 4);
        // A socket hears its own family.
        if relayed.is_ipv4() == peer.is_ipv4() {
            self.gets(&to, who, peer);
        }
    }

    fn some_relayed(&mut self) -> Option<(usize, SocketAddr)> {
        let all: Vec<_> = self
            .known
            .iter()
            .flat_map(|(who, known)| known.legs.values().map(|(at, _)| (*who, *at)))
            .collect();
        (!all.is_empty()).then(|| all[self.below(all.len())])
    }

    /// What left for `peer` through the kernel is for no allocation of this server.
    fn is_nobodys(&self, peer: SocketAddr) {
        let ours = self.known.values().any(|known| known.legs.values().any(|(at, _)| *at == peer));
        assert!(!ours, "{peer} is a client of ours");
    }

    /// What left `relayed` for `peer` in a hairpin.
    fn arrives(&self, to: &ToClient, peer: SocketAddr, relayed: SocketAddr) {
        let owner =
            self.known.iter().find(|(_, known)| known.legs.values().any(|(at, _)| *at == peer));
        match owner {
            Some((who, _)) => self.gets(to, *who, relayed),
            // Over, and not ended yet.
            None => assert!(matches!(to, ToClient::Refused(Refusal::NoAllocation)), "{to:?}"),
        }
    }

    fn gets(&self, to: &ToClient, who: usize, peer: SocketAddr) {
        match (to, self.known[&who].from(peer)) {
            (ToClient::Refused(Refusal::NoPermission), None) => {}
            (ToClient::Channel { client, number }, Some(Some(bound))) => {
                assert_eq!((*client, *number), (self.clients[who].addr, bound));
            }
            (ToClient::Indication { client, .. }, Some(None)) => {
                assert_eq!(*client, self.clients[who].addr);
            }
            (to, from) => panic!("{to:?} where the model says {from:?}"),
        }
    }

    /// Whatever happens: no bound is passed, and what is open is what somebody has or has reserved.
    fn agree(&self) {
        let (counts, open) = (self.world.server.counts(), &self.world.kernel.open);
        assert!(counts.allocations <= ALLOCATIONS && counts.allocations >= self.known.len());
        assert!(counts.permissions <= PERMISSIONS * counts.allocations);
        assert!(counts.channels <= CHANNELS * counts.allocations);
        assert!(open.len() <= 2 * counts.allocations + counts.reservations);
        let legs = self.known.values().flat_map(|known| known.legs.values());
        for (at, _) in legs {
            assert!(open.values().any(|local| local == at), "{at} is open");
        }
        let armed = counts.allocations + counts.reservations > 0;
        assert_eq!(self.world.server.next_expiry().is_some(), armed);
    }
}

#[test]
fn every_story_agrees_with_the_model() {
    for seed in 0..300 {
        let told = std::panic::catch_unwind(|| {
            let mut story = Story::new(seed);
            (0..300).for_each(|_| story.step());
            // And in the end nothing is left.
            story.world.pass(2_000);
            assert_eq!(story.world.server.counts(), elara_core::turn::Counts::default());
            assert!(story.world.kernel.open.is_empty());
        });
        assert!(told.is_ok(), "seed {seed}");
    }
}
