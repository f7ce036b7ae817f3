//! Who takes part: where they live, what they are in the habit of saying, and how they are doing.

use std::net::Ipv4Addr;

use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, NodeId, SessionId};

use crate::frames::NAMED_MIN;
use crate::network::Link;

/// Where an address is from; which ones v0 is open for is the plan's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The relay's own machine: no limit per address.
    Loopback,
    /// Behind one of a few private IPv4 addresses.
    Lan(u8),
    /// A private IPv6 address.
    Six(u8),
    /// A link-local IPv6 address, with its interface.
    LinkLocal(u8),
    /// The internet, for which v0 is not open.
    Outside(u8),
}

impl Place {
    /// A place, most likely on the LAN; `hosts` is how many machines there are.
    pub(crate) fn pick(hosts: u64, random: &mut impl Random) -> Self {
        let host = random.below(hosts) as u8;
        match random.below(20) {
            0..=2 => Self::Loopback,
            3..=4 => Self::Six(host),
            5 => Self::LinkLocal(host),
            6 => Self::Outside(host),
            _ => Self::Lan(host),
        }
    }

    pub(crate) fn at(self, port: u16) -> ClientAddr {
        let six = |prefix: u8, host: u8, scope: u32| {
            let mut ip = [0; 16];
            (ip[0], ip[1], ip[15]) = (prefix, if prefix == 0xFE { 0x80 } else { 0 }, host);
            ClientAddr::new(ip, port, scope)
        };
        match self {
            Self::Loopback => (Ipv4Addr::LOCALHOST, port).into(),
            Self::Lan(host) => (Ipv4Addr::new(10, 0, 0, host), port).into(),
            Self::Six(host) => six(0xFD, host, 0),
            Self::LinkLocal(host) => six(0xFE, host, 2),
            Self::Outside(host) => (Ipv4Addr::new(203, 0, 113, host), port).into(),
        }
    }
}

/// What someone is in the habit of saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// A frame of any size now and then.
    Text,
    /// A frame of one size 25 times a second.
    Voice,
    /// Ten pictures a second, each a burst of equal datagrams with a shorter one at its end.
    Video,
    /// A word that they are there.
    Presence,
    /// A sign of life every 3 to 14 seconds: sometimes too seldom for someone alone.
    Vigil,
}

impl Habit {
    pub(crate) fn pick(random: &mut impl Random) -> Self {
        match random.below(10) {
            0..=3 => Self::Voice,
            4 => Self::Video,
            5..=7 => Self::Text,
            _ => Self::Presence,
        }
    }

    /// The lengths of the frames said at once.
    pub(crate) fn say(self, lengths: &mut Vec<usize>, random: &mut impl Random) {
        lengths.clear();
        match self {
            Self::Text => lengths.push(NAMED_MIN + random.below(600) as usize),
            Self::Voice => lengths.push(160),
            Self::Video => {
                let size = 700 + 100 * random.below(6) as usize;
                lengths.resize(1 + random.below(5) as usize, size);
                lengths.push(NAMED_MIN + random.below(size as u64 - 100) as usize);
            }
            Self::Presence | Self::Vigil => lengths.push(80),
        }
    }

    /// How long until they speak again.
    pub(crate) fn pause(self, random: &mut impl Random) -> Span {
        let (least, spread) = match self {
            Self::Text => (100, 300),
            Self::Voice => (40, 0),
            Self::Video => (100, 0),
            Self::Presence => (300, 100),
            Self::Vigil => (3_000, 11_000),
        };
        Span::from_nanos(
            Span::from_millis(least).as_nanos()
                + random.below(Span::from_millis(spread).as_nanos() + 1),
        )
    }
}

/// One participant.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) place: Place,
    pub(crate) addr: ClientAddr,
    pub(crate) habit: Habit,
    /// To the relay.
    pub(crate) up: Link,
    /// From the relay.
    pub(crate) down: Link,
    /// Speaking, and since when; `None` while silent or away.
    pub(crate) speaking_since: Option<Instant>,
    /// The turn to speak that is scheduled; an older one was overtaken.
    pub(crate) token: u32,
    /// The number of the next frame.
    pub(crate) number: u32,
    /// The number of the first frame after the last healing.
    pub(crate) first: u32,
    /// When the relay last had no room for it.
    pub(crate) turned_away: Option<Instant>,
}
