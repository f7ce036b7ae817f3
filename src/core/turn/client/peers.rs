//! The peers of an allocation: those permitted, and those that have a channel.
//!
//! A channel is asked for by ChannelBind, and that installs the permission too (RFC 8656 section 12); so
//! each peer has one errand, repeated before the permission ends. A peer stays with the allocation: its
//! channel is never another's.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::Errand;
use crate::limits::{TURN_CHANNEL_FIRST, TURN_CLIENT_PEERS_MAX};
use crate::time::Instant;

/// Someone who may send to the allocation.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: Who,
    pub(super) errand: Errand,
    /// The server has said yes, and not no since.
    pub(super) granted: bool,
}

/// Whom, and how it is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A host, whatever its port: by indications.
    Host(IpAddr),
    /// An address: by this channel.
    Channel(SocketAddr, u16),
}

impl Who {
    const fn ip(self) -> IpAddr {
        match self {
            Self::Host(ip) => ip,
            Self::Channel(addr, _) => addr.ip(),
        }
    }
}

/// All of them, under the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

impl Peers {
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Peer> {
        self.0.get_mut(index)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Peer> {
        self.0.iter_mut()
    }

    /// Asks for a permission, unless there is one or it is asked for; false when there is no room.
    pub(super) fn permit(&mut self, ip: IpAddr, now: Instant) -> bool {
        self.ask(|who| *who == Who::Host(ip), Who::Host(ip), now).is_some()
    }

    /// Asks for a channel, unless there is one or it is asked for: its number, if there is room.
    pub(super) fn bind(&mut self, addr: SocketAddr, now: Instant) -> Option<u16> {
        let number = TURN_CHANNEL_FIRST + u16::try_from(self.0.len()).ok()?;
        let ours = |who: &Who| matches!(who, Who::Channel(other, _) if *other == addr);
        match self.ask(ours, Who::Channel(addr, number), now)? {
            Who::Channel(_, number) => Some(number),
            Who::Host(_) => None,
        }
    }

    fn ask(&mut self, ours: impl Fn(&Who) -> bool, who: Who, now: Instant) -> Option<Who> {
        if let Some(peer) = self.0.iter_mut().find(|peer| ours(&peer.who)) {
            if matches!(peer.errand, Errand::Rest) {
                peer.errand = Errand::due_at(now);
            }
            return Some(peer.who);
        }
        if self.0.len() >= TURN_CLIENT_PEERS_MAX {
            return None;
        }
        self.0.push(Peer { who, errand: Errand::due_at(now), granted: false });
        Some(who)
    }

    /// Whether data of this host is taken: it may come before the answer that grants it does.
    pub(super) fn admits(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|peer| peer.who.ip() == ip)
    }

    /// Whose channel this is.
    pub(super) fn of_channel(&self, number: u16) -> Option<SocketAddr> {
        let at = usize::from(number.checked_sub(TURN_CHANNEL_FIRST)?);
        match self.0.get(at)?.who {
            Who::Channel(addr, _) => Some(addr),
            Who::Host(_) => None,
        }
    }

    /// The channel of this peer, once it is bound.
    pub(super) fn channel(&self, addr: &SocketAddr) -> Option<u16> {
        self.0.iter().find_map(|peer| match peer.who {
            Who::Channel(other, number) if other == *addr && peer.granted => Some(number),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    #[test]
    fn a_peer_keeps_its_channel() {
        let mut peers = Peers::default();
        assert!(peers.permit(addr(0).ip(), Instant::ZERO));
        assert_eq!(peers.bind(addr(1), Instant::ZERO), Some(0x4001));
        assert_eq!(peers.bind(addr(2), Instant::ZERO), Some(0x4002));
        assert_eq!(peers.bind(addr(1), Instant::ZERO), Some(0x4001));
        assert_eq!(peers.of_channel(0x4002), Some(addr(2)));
        for nobodys in [0, 0x3FFF, 0x4000, 0x4003, 0xFFFF] {
            assert_eq!(peers.of_channel(nobodys), None, "{nobodys:#x}");
        }
        assert_eq!(peers.channel(&addr(1)), None, "nobody has granted it");
        peers.get_mut(1).unwrap().granted = true;
        assert_eq!(peers.channel(&addr(1)), Some(0x4001));
    }

    #[test]
    fn who_finds_no_room_is_refused_and_the_others_stay() {
        let mut peers = Peers::default();
        let bound: Vec<_> = (0..40).map(|port| peers.bind(addr(port), Instant::ZERO)).collect();
        assert!(bound[..TURN_CLIENT_PEERS_MAX].iter().all(Option::is_some));
        assert!(bound[TURN_CLIENT_PEERS_MAX..].iter().all(Option::is_none));
        assert!(!peers.permit([198, 51, 100, 1].into(), Instant::ZERO));
        assert_eq!(peers.iter().len(), TURN_CLIENT_PEERS_MAX);
        assert!(peers.admits(addr(0).ip()) && !peers.admits([198, 51, 100, 1].into()));
    }
}
