//! What is sent, from where to where: the rows of the table, and everybody's address.
//!
//! ```text
//!   client n                    --ChannelData-->  server  --data-->  peer n
//!   127.(1 + n / 256).(n % 256).1                                    127.(128 + n / 256).(n % 256).1
//! ```
//! Each has a /24 of its own, as strangers have, so what a server allows a neighbourhood does not stand
//! in the way. Channel numbers are everybody's own, too, so that what comes back says whose it is.

use std::fmt;
use std::net::Ipv4Addr;

use clap::ValueEnum;
use elara_core::limits::DATAGRAM_MAX;

use super::super::contest::Sinks;

/// Allocations at most: as many ports as TURN servers have by default have room for, and channel numbers.
pub(super) const ALLOCATIONS_MAX: u32 = 10_000;
/// Bytes before the payload in ChannelData (RFC 8656 section 12.4).
pub(super) const HEADER_LEN: usize = 4;
/// Bytes of payload at least: what the generator writes into each.
pub(super) const SIZE_MIN: u16 = 16;
/// And at most: a train of it, headers included, is one send.
pub(super) const SIZE_MAX: u16 = 1_400;
/// Datagrams of a train.
const TRAIN: u32 = 32;
/// RFC 8656 section 12.
const CHANNEL_FIRST: u16 = 0x4000;

const _: () = assert!(TRAIN as usize * (SIZE_MAX as usize + HEADER_LEN) <= DATAGRAM_MAX);

/// Which way datagrams go, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Traffic {
    /// From clients as ChannelData to peers.
    #[value(name = "up")]
    Up,
    /// From peers to clients as ChannelData.
    #[value(name = "down")]
    Down,
    /// From client to client: each one's channel leads to the other's relayed address.
    #[value(name = "c2c")]
    ClientToClient,
    /// From one client to its peer in trains of 32, each one send.
    #[value(name = "trains-up")]
    TrainsUp,
    /// From one peer to its client in trains of 32.
    #[value(name = "trains-down")]
    TrainsDown,
}

impl Traffic {
    const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::ClientToClient => "c2c",
            Self::TrainsUp => "trains-up",
            Self::TrainsDown => "trains-down",
        }
    }

    /// Whether clients send.
    pub(super) const fn by_clients(self) -> bool {
        matches!(self, Self::Up | Self::ClientToClient | Self::TrainsUp)
    }

    /// Whether clients receive.
    pub(super) const fn to_clients(self) -> bool {
        matches!(self, Self::Down | Self::ClientToClient | Self::TrainsDown)
    }

    /// Whether several datagrams are one send.
    pub(super) const fn in_trains(self) -> bool {
        matches!(self, Self::TrainsUp | Self::TrainsDown)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What all contestants of a row have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scene {
    pub(super) traffic: Traffic,
    /// Bytes of payload.
    pub(super) size: u16,
    pub(super) allocations: u32,
    pub(super) sinks: Sinks,
}

impl Scene {
    /// Datagrams of one send of the generator's.
    pub(super) const fn burst(self) -> u32 {
        if self.traffic.in_trains() { TRAIN } else { 1 }
    }

    /// Bytes of a datagram as the generator sends it.
    pub(super) const fn sent_len(self) -> usize {
        self.size as usize + if self.traffic.by_clients() { HEADER_LEN } else { 0 }
    }

    /// Who is at the other end of client `n`'s channel, where that is a client.
    pub(super) const fn partner(n: u32) -> u32 {
        n ^ 1
    }

    /// The number of client `n`'s channel.
    pub(super) const fn channel(n: u32) -> u16 {
        CHANNEL_FIRST + n as u16
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { traffic, size, allocations, sinks } = self;
        write!(f, "{traffic} {size} B, {allocations} allocations")?;
        if traffic.in_trains() { write!(f, ", {sinks} sinks") } else { Ok(()) }
    }
}

/// What was asked for of all that could be measured.
pub(super) struct Wanted<'a> {
    pub(super) traffic: &'a [Traffic],
    pub(super) sizes: &'a [u16],
    pub(super) allocations: &'a [u32],
    pub(super) sinks: &'a [Sinks],
    /// Everything with everything, where nothing else is said.
    pub(super) all: bool,
}

const SIZES: [u16; 3] = [120, 200, 1_200];
const ALLOCATIONS: [u32; 3] = [1, 50, 1_000];
/// In the usual run every size is at this many, and every number of allocations at the first size.
const USUAL: u32 = 50;
/// What trains are made of, in the usual run.
const LARGE: u16 = 1_200;

impl Wanted<'_> {
    /// The rows. What is said is crossed with everything else that is; what is not stays usual.
    ///
    /// # Errors
    /// When trains were to be sent over several allocations, or single datagrams to be received as trains.
    pub(super) fn scenes(&self) -> Result<Vec<Scene>, String> {
        let traffic = super::super::chosen(self.traffic);
        let (trains, singles): (Vec<_>, Vec<_>) = traffic.into_iter().partition(|t| t.in_trains());
        if singles.is_empty() && self.allocations.iter().any(|n| *n != 1) {
            return Err("trains go over one allocation: leave --allocations away, or let \
                        --only name up, down or c2c"
                .into());
        }
        if trains.is_empty() && self.sinks.contains(&Sinks::Gro) {
            return Err(
                "--sinks gro receives trains, and --only names none: trains-up, trains-down".into(),
            );
        }
        let mut scenes = Vec::new();
        for traffic in singles {
            for (size, allocations) in self.singles() {
                let allocations = match traffic {
                    // Everybody has a partner.
                    Traffic::ClientToClient => allocations.next_multiple_of(2),
                    _ => allocations,
                };
                scenes.push(Scene { traffic, size, allocations, sinks: Sinks::Plain });
            }
        }
        for traffic in trains {
            for size in self.train_sizes() {
                for sinks in super::super::chosen(self.sinks) {
                    scenes.push(Scene { traffic, size, allocations: 1, sinks });
                }
            }
        }
        Ok(scenes)
    }

    fn singles(&self) -> Vec<(u16, u32)> {
        let usual = self.sizes.is_empty() && self.allocations.is_empty() && !self.all;
        if usual {
            let few = ALLOCATIONS.iter().filter(|n| **n != USUAL).map(|n| (SIZES[0], *n));
            return SIZES.iter().map(|size| (*size, USUAL)).chain(few).collect();
        }
        let sizes = if self.sizes.is_empty() { &SIZES[..] } else { self.sizes };
        let allocations = match (self.allocations.is_empty(), self.all) {
            (true, true) => &ALLOCATIONS[..],
            (true, false) => &[USUAL],
            (false, _) => self.allocations,
        };
        let with = |size: &u16| allocations.iter().map(|n| (*size, *n)).collect::<Vec<_>>();
        sizes.iter().flat_map(with).collect()
    }

    fn train_sizes(&self) -> Vec<u16> {
        match (self.sizes.is_empty(), self.all) {
            (true, true) => SIZES.to_vec(),
            (true, false) => vec![LARGE],
            (false, _) => self.sizes.to_vec(),
        }
    }
}

/// The second octet of the first client's address.
pub(super) const CLIENTS: u8 = 1;
/// And of the first peer's.
pub(super) const PEERS: u8 = 128;

/// Where the `n`-th of those lives whose first has this second octet.
pub(super) const fn address(first: u8, n: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, first + (n >> 8) as u8, n as u8, 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOTHING: Wanted<'_> =
        Wanted { traffic: &[], sizes: &[], allocations: &[], sinks: &[], all: false };

    #[test]
    fn every_traffic_has_the_name_it_is_typed_with() {
        for traffic in Traffic::value_variants() {
            assert_eq!(traffic.name(), traffic.to_possible_value().unwrap().get_name());
        }
    }

    #[test]
    fn everybody_has_an_address_and_a_channel_of_their_own() {
        let everyone = (0..ALLOCATIONS_MAX).flat_map(|n| [address(CLIENTS, n), address(PEERS, n)]);
        let addresses: HashSet<Ipv4Addr> = everyone.collect();
        assert_eq!(addresses.len(), 2 * ALLOCATIONS_MAX as usize);
        assert!(addresses.iter().all(Ipv4Addr::is_loopback));
        assert_eq!(address(PEERS, 513).to_string(), "127.130.1.1");
        assert!((0x4000..=0x7FFF).contains(&Scene::channel(ALLOCATIONS_MAX - 1)));
    }

    #[test]
    fn the_usual_run_is_a_cross_and_not_a_square() {
        let scenes = NOTHING.scenes().unwrap();
        assert_eq!(scenes.len(), 3 * 5 + 2 * 2);
        let up = scenes.iter().filter(|scene| scene.traffic == Traffic::Up);
        let pairs: Vec<_> = up.map(|scene| (scene.size, scene.allocations)).collect();
        assert_eq!(pairs, [(120, 50), (200, 50), (1_200, 50), (120, 1), (120, 1_000)]);
        let all = Wanted { all: true, ..NOTHING }.scenes().unwrap();
        assert_eq!(all.len(), 3 * 9 + 2 * 3 * 2);
    }

    #[test]
    fn what_is_said_is_crossed() {
        let wanted = Wanted { sizes: &[120], allocations: &[1, 10_000], ..NOTHING };
        let wanted = Wanted { traffic: &[Traffic::ClientToClient, Traffic::TrainsUp], ..wanted };
        let said: Vec<String> = wanted.scenes().unwrap().iter().map(Scene::to_string).collect();
        assert_eq!(
            said,
            [
                "c2c 120 B, 2 allocations",
                "c2c 120 B, 10000 allocations",
                "trains-up 120 B, 1 allocations, plain sinks",
                "trains-up 120 B, 1 allocations, gro sinks",
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let trains = Wanted { traffic: &[Traffic::TrainsUp], ..NOTHING };
        let error = Wanted { allocations: &[50], ..trains }.scenes().unwrap_err();
        assert!(error.contains("leave --allocations away"), "{error}");
        let error = Wanted { traffic: &[Traffic::Up], sinks: &[Sinks::Gro], ..NOTHING }
            .scenes()
            .unwrap_err();
        assert!(error.contains("trains-up"), "{error}");
    }
}
