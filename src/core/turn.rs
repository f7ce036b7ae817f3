//! The TURN server as a machine (RFC 8656): who is relayed, to whom, for how long. One per shard.
//!
//! ```text
//!                      .----------------- Server -----------------.
//!   client  request -> | credentials, then RFC 8656's checks      | -> answer
//!   client  Send       | permission?                              | -> relay socket -> peer
//!   client  ChannelData| channel, permission?                     | -> the same
//!   client  <--------- | a channel: ChannelData; else indications | <- relay socket <- peer
//!                      '------------------------------------------'
//! ```
//! It does no I/O: [`Ports`] opens and closes relay sockets for it, and each call says what is to be sent.
//! Nothing is kept of anyone whose MESSAGE-INTEGRITY has not verified; what is kept is bounded by
//! [`Config`] and by [`crate::limits`]. Data costs one look-up and allocates nothing; what grows, grows
//! when a request asks for it. Peers' addresses are judged in one place, for all that names them.
//!
//! | file | owns |
//! |---|---|
//! | `server` | requests: credentials first, then what is asked for, then the answer |
//! | `relay` | data, both directions, and hairpins |
//! | `expiry` | what ends |
//! | `table`, `allocation`, `permission`, `channel` | who is relayed, and to whom |
//! | `peers`, `home`, `relayed` | who may be a peer, and what addresses are this node's own |
//! | `access`, `credentials`, `nonce` | who asks, and what that is decided by |
//! | `quota`, `bucket`, `reservation` | how much, how fast, and ports set aside |
//! | [`client`] | the other side: one allocation at somebody's server, and STUN discovery |

mod access;
mod allocation;
mod base64;
mod bucket;
mod channel;
pub mod client;
mod config;
mod credentials;
mod expiry;
mod home;
mod nonce;
mod peers;
mod permission;
mod quota;
mod relay;
mod relayed;
mod reservation;
mod server;
mod small;
mod table;

pub use access::Access;
pub use config::{ChannelRange, Config, ConfigError, Relay, SharedSecret, User};
pub use home::Family;
pub use peers::DENIED;
pub use relay::DataHead;
pub use server::{Keys, Server};

use core::net::SocketAddr;
use core::ops::Range;

use crate::ClientAddr;

/// A relay socket, by the number that [`Ports::open`] gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket(pub u16);

/// Why a relay socket was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Somebody else has the port: another is tried.
    InUse,
    /// There are as many sockets as there may be.
    Full,
    /// The kernel refuses for another reason.
    Other,
}

/// Who opens relay sockets.
pub trait Ports {
    /// Binds a socket to `local`.
    ///
    /// # Errors
    /// [`OpenError`] says whether another port is worth trying.
    fn open(&mut self, local: SocketAddr) -> Result<Socket, OpenError>;

    /// Closes it. Its number may come again.
    fn close(&mut self, socket: Socket);
}

/// What becomes of a STUN message.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An answer to whom it came from.
    Reply {
        /// Its bytes in `out`.
        len: usize,
        /// Its ERROR-CODE; 0 where all is well.
        error: u16,
    },
    /// A Send indication's data goes to a peer.
    Relay {
        /// From which relay socket.
        socket: Socket,
        /// Where to.
        to: ClientAddr,
        /// The data in the message.
        data: Range<usize>,
        /// With the DF bit.
        dont_fragment: bool,
    },
    /// A Send indication's data goes to another client of this shard.
    Hairpin {
        /// How it is told.
        to: ToClient,
        /// The data in the message.
        data: Range<usize>,
    },
    /// Nothing is sent.
    Silent(Refusal),
}

/// What becomes of a client's data on a channel.
#[derive(Clone, Debug)]
pub enum ToPeer {
    /// It goes to a peer.
    Via {
        /// From which relay socket.
        socket: Socket,
        /// Where to.
        to: ClientAddr,
    },
    /// The peer is a client of this shard: it goes there in one hop.
    Hairpin(ToClient),
    /// It goes nowhere.
    Refused(Refusal),
}

/// What becomes of a peer's data.
#[derive(Clone, Debug)]
pub enum ToClient {
    /// It goes to the client as ChannelData: `stun::channel_data::header` before each datagram.
    Channel {
        /// Where to.
        client: ClientAddr,
        /// On which channel.
        number: u16,
    },
    /// It goes to the client in Data indications: [`DataHead::write`] before each datagram.
    Indication {
        /// Where to.
        client: ClientAddr,
        /// What stands before the data.
        head: DataHead,
    },
    /// It goes nowhere.
    Refused(Refusal),
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not a STUN message, or no ChannelData, or without what it must have.
    Malformed,
    /// An answer, and nobody asked.
    Unasked,
    /// A method nobody knows, or an indication that says nothing to a server.
    Ignored,
    /// An indication with an attribute that must be understood, and is not.
    Unknown,
    /// Those who prove nothing have had their answers for the moment.
    Flood,
    /// No allocation of this client, or behind this socket.
    NoAllocation,
    /// The client has no channel of this number.
    NoChannel,
    /// The client has no permission for this peer.
    NoPermission,
    /// This peer is nobody's: a listener of this node, or a port where nobody is relayed.
    Denied,
    /// Faster than the allocation may go.
    OverRate,
}

/// What is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Allocations.
    pub allocations: usize,
    /// Permissions of all of them.
    pub permissions: usize,
    /// Channels of all of them.
    pub channels: usize,
    /// Ports set aside.
    pub reservations: usize,
}
