//! The control messages of one length: what stands on the wire, and the values that have a name.
//!
//! Fields are public and little-endian in place, as in [`Header`](crate::wire::Header). Bytes whose
//! values are named in a module here may hold others: readers pass over what they do not know.

use core::net::SocketAddr;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::{ClientAddr, NodeId, StreamId};

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident ($len:literal) {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
            Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        const _: () = assert!(size_of::<$name>() == $len);
    )*};
}

messages! {
    /// 01: are you there, what time is it, and did my Core frames arrive?
    Ping (16) {
        /// Chosen by the client, answered in [`Pong::id`].
        id: U32,
        /// The client's clock at sending, in microseconds.
        t_client_us: U64,
        /// Sequence number the client's next Core frame will have.
        next_core: U32,
    }

    /// 02: the answer, with the relay's two clock readings.
    Pong (32) {
        /// [`Ping::id`].
        id: U32,
        /// [`Ping::t_client_us`].
        t_client_us: U64,
        /// The relay's clock when the ping arrived, in microseconds.
        t_relay_rx_us: U64,
        /// The relay's clock when this was sent, in microseconds.
        t_relay_tx_us: U64,
        /// Bit n: of the Core frames before [`Ping::next_core`], the n-th last did not arrive.
        /// Bit 0 is `next_core - 1`. See [`Pong::missing`].
        missing: U32,
    }

    /// 07: goodbye. The participant is gone at once.
    Leave (1) {
        /// See [`reason`].
        reason: u8,
    }

    /// 08: something the other side should know; never fatal.
    Alert (6) {
        /// See [`alert`].
        code: U16,
        /// What the code says it is.
        arg: U32,
    }

    /// 09: up, a participant with the right asks that another be removed; down, it says that the
    /// receiver was.
    Kick (9) {
        /// Who.
        node: U64,
        /// See [`reason`].
        reason: u8,
    }

    /// 0A: the session lives at another relay.
    Move (50) {
        /// The relay's IP address, IPv4 mapped.
        ip: [u8; 16],
        /// Its UDP port.
        port: U16,
        /// Its static X25519 key.
        relay_pub: [u8; 32],
    }

    /// 0B: give me what I miss.
    Get (9) {
        /// See [`get`].
        what: u8,
        /// What [`get`] says it is.
        arg: U64,
    }

    /// 0D: a message with a version has been taken.
    Ack (5) {
        /// Its type byte.
        message: u8,
        /// The greatest version taken.
        version: U32,
    }

    /// 0F: what has been sent to this receiver so far.
    Mark (36) {
        /// Counts the marks of the connection.
        n: U32,
        /// Datagrams the kernel accepted for this receiver, the one with this mark included.
        sent: U64,
        /// Bytes of them.
        bytes: U64,
        /// The relay's clock at sending, in microseconds.
        relay_us: U64,
        /// A digest of the Core frames sent to this receiver.
        core_digest: U64,
    }

    /// 10: what has arrived at this receiver, up to a mark.
    Report (20) {
        /// [`Mark::n`].
        n: U32,
        /// Datagrams received on this connection, the one with the mark included.
        received: U64,
        /// The client's clock at the mark's arrival, in microseconds.
        arrival_us: U64,
    }

    /// 11: these frames did not arrive; again, please.
    Nack (25) {
        /// Whose frames.
        node: U64,
        /// On which of that node's connections.
        conn: u8,
        /// See [`nack`].
        what: u8,
        /// Of which stream; 0 for Core.
        stream: U16,
        /// Of which layer; 0 for Core.
        layer: u8,
        /// The number that bit 0 stands for: a sequence number (Core) or an index (stream).
        base: U32,
        /// Bit n: number `base + n` is missing. See [`Nack::missing`].
        bitmap: U64,
    }

    /// 12: this stream needs a key frame.
    KeyframeRequest (10) {
        /// The publisher.
        node: U64,
        /// Its stream.
        stream: U16,
    }
}

/// Values of [`Leave::reason`] and [`Kick::reason`].
pub mod reason {
    /// None given.
    pub const NONE: u8 = 0;
    /// The participant is done.
    pub const DONE: u8 = 1;
    /// Someone with the right said so.
    pub const MODERATED: u8 = 2;
    /// The operator said so.
    pub const BANNED: u8 = 3;
    /// The token has run out.
    pub const EXPIRED: u8 = 4;
    /// The same identity connected again.
    pub const REPLACED: u8 = 5;
}

/// Values of [`Alert::code`].
pub mod alert {
    /// The version is not spoken here.
    pub const VERSION: u16 = 1;
    /// The suite is not spoken here.
    pub const SUITE: u16 = 2;
    /// The token is not valid.
    pub const TOKEN_BAD: u16 = 3;
    /// The token has run out.
    pub const TOKEN_EXPIRED: u16 = 4;
    /// There is no room.
    pub const FULL: u16 = 5;
    /// Another identity has the same node id.
    pub const ID_COLLISION: u16 = 6;
    /// The same identity connected again.
    pub const REPLACED: u16 = 7;
    /// More is sent than is allowed; arg is the allowed rate in kbit/s.
    pub const RATE: u16 = 8;
    /// A new handshake is due.
    pub const REKEY: u16 = 9;
    /// The relay is going; arg is the time left in seconds.
    pub const DRAINING: u16 = 10;
    /// Two changed the group at once.
    pub const EPOCH_CONFLICT: u16 = 11;
    /// A message or frame is too large; arg is what is allowed, in bytes.
    pub const TOO_BIG: u16 = 12;
    /// The token does not allow this; arg is the bit of its permissions.
    pub const PERMISSION: u16 = 13;
    /// The session lives elsewhere.
    pub const MOVED: u16 = 14;
}

/// Values of [`Get::what`].
pub mod get {
    /// The roster's pages; arg is the version the asker has.
    pub const ROSTER: u8 = 1;
    /// The streams' pages; arg is the version the asker has.
    pub const STREAMS: u8 = 2;
    /// Kept state frames; arg is a state id, 0 for all of them.
    pub const STATE: u8 = 3;
}

/// Values of [`Nack::what`].
pub mod nack {
    /// Core frames by sequence number.
    pub const CORE: u8 = 0;
    /// Datagrams of a stream by index.
    pub const STREAM: u8 = 1;
}

/// What a stream is, in STREAMS and STREAMS_MINE.
pub mod stream_kind {
    /// Text.
    pub const TEXT: u8 = 1;
    /// Voice.
    pub const VOICE: u8 = 2;
    /// Pictures.
    pub const VISUAL: u8 = 3;
    /// Who is here and how.
    pub const PRESENCE: u8 = 4;
    /// Entries that are added and stay.
    pub const FEED: u8 = 5;
}

/// Where a stream is in its life, in STREAMS and STREAMS_MINE.
pub mod phase {
    /// Announced; nothing has been sent.
    pub const STARTING: u8 = 1;
    /// Being sent.
    pub const ACTIVE: u8 = 2;
    /// About to end.
    pub const ENDING: u8 = 3;
    /// Ended.
    pub const ENDED: u8 = 4;
}

/// Where a participant is, in ROSTER.
pub mod roster_phase {
    /// Heard of.
    pub const ACTIVE: u8 = 1;
    /// Silent for a while.
    pub const STALE: u8 = 2;
    /// Not a member any more, kept while the session holds an atom of theirs.
    pub const GONE: u8 = 3;
}

impl Pong {
    /// The Core frames that did not arrive, newest first, given [`Ping::next_core`] of the ping that
    /// this answers.
    pub fn missing(&self, next_core: u32) -> impl Iterator<Item = u32> + use<> {
        let bitmap = self.missing.get();
        (0..u32::BITS)
            .filter(move |bit| bitmap & 1 << bit != 0)
            .filter_map(move |bit| next_core.checked_sub(bit + 1))
    }
}

impl Nack {
    /// The numbers that are missing, ascending; those beyond the last number are not.
    pub fn missing(&self) -> impl Iterator<Item = u32> + use<> {
        let (base, bitmap) = (self.base.get(), self.bitmap.get());
        (0..u64::BITS)
            .filter(move |bit| bitmap & 1 << bit != 0)
            .filter_map(move |bit| base.checked_add(bit))
    }

    /// Marks `number` as missing; `false` when it lies outside `base..base + 64`.
    pub fn mark(&mut self, number: u32) -> bool {
        let bit = number.checked_sub(self.base.get()).filter(|bit| *bit < u64::BITS);
        self.bitmap |= bit.map_or(U64::ZERO, |bit| U64::new(1 << bit));
        bit.is_some()
    }
}

impl Kick {
    /// Who.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(self.node.get())
    }
}

impl KeyframeRequest {
    /// The stream that needs one.
    #[must_use]
    pub fn stream_id(&self) -> StreamId {
        StreamId { node: NodeId(self.node.get()), stream: self.stream.get() }
    }
}

impl Move {
    /// To the relay at `addr` with the static key `relay_pub`. A link-local scope stays behind.
    #[must_use]
    pub fn to(addr: SocketAddr, relay_pub: [u8; 32]) -> Self {
        let addr = ClientAddr::from(addr);
        Self { ip: *addr.ip_bytes(), port: U16::new(addr.port()), relay_pub }
    }

    /// The relay's address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        ClientAddr::new(self.ip, self.port.get(), 0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_pong_names_what_is_missing_backwards_from_the_next() {
        let mut pong = Pong::read_from_bytes(&[0; 32]).unwrap();
        pong.missing = U32::new(0x8000_0005);
        assert_eq!(pong.missing(100).collect::<Vec<_>>(), [99, 97, 68]);
        assert_eq!(pong.missing(3).collect::<Vec<_>>(), [2, 0], "nothing stands before 0");
        assert_eq!(pong.missing(0).count(), 0);
    }

    #[test]
    fn a_nack_names_what_is_missing_forwards_from_its_base() {
        let mut nack = Nack::read_from_bytes(&[0; 25]).unwrap();
        nack.base = U32::new(7);
        assert_eq!([6, 7, 70, 71].map(|number| nack.mark(number)), [false, true, true, false]);
        assert_eq!(nack.missing().collect::<Vec<_>>(), [7, 70]);
        nack.base = U32::new(u32::MAX - 1);
        nack.bitmap = U64::new(u64::MAX);
        assert_eq!(nack.missing().collect::<Vec<_>>(), [u32::MAX - 1, u32::MAX]);
    }

    #[test]
    fn a_relay_moves_to_either_kind_of_address() {
        for addr in ["192.0.2.1:7840", "[2001:db8::1]:65535"] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(Move::to(addr, [1; 32]).addr(), addr);
        }
    }
}
