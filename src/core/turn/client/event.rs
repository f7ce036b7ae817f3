//! What a TURN client tells its caller: what it was granted, what has happened, what a datagram was.

use core::net::{IpAddr, SocketAddr};

use super::Failure;
use crate::time::Span;

/// Of which family a relayed address is: that of its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// What a server has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Where peers send to.
    pub relayed: SocketAddr,
    /// Where the server sees this client.
    pub mapped: SocketAddr,
    /// How long, unless it is refreshed.
    pub lifetime: Span,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is an allocation.
    Ready(Granted),
    /// Who is at this address may send, and is sent to by indications.
    Permitted {
        /// The host.
        peer: IpAddr,
    },
    /// The peer may send, and is sent to by this channel.
    Bound {
        /// The peer.
        peer: SocketAddr,
        /// The channel.
        channel: u16,
    },
    /// There is no permission for this peer, or none any more; the allocation stays.
    NotPermitted {
        /// The host.
        peer: IpAddr,
        /// Why.
        why: Failure,
    },
    /// There is no channel for this peer, or none any more; the allocation stays.
    NotBound {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        why: Failure,
    },
    /// There is no allocation, or none any more; nothing follows.
    Failed(Failure),
    /// The allocation was given back; nothing follows.
    Closed,
}

/// What a datagram of the server was.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Data of a peer.
    Data {
        /// Who sent it to the relayed address.
        peer: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// The network says that data for this peer did not arrive (RFC 8656 section 11.5).
    Unreachable {
        /// To whom it went.
        peer: SocketAddr,
        /// The type, of ICMP or ICMPv6 as the peer's address says.
        kind: u8,
        /// The code.
        code: u8,
    },
    /// An answer that was waited for.
    Answer,
    /// Nothing of ours.
    Refused(Refused),
}

/// Why a datagram means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Neither STUN nor ChannelData.
    Foreign,
    /// A request, or an indication that no client is sent.
    Unasked,
    /// An answer to nothing that waits for one: late, doubled or made up.
    NotAwaited,
    /// An answer whose sender does not know the password.
    Unproven,
    /// It lacks what its kind must have.
    Malformed,
    /// Data of nobody who may send.
    NoPeer,
}
