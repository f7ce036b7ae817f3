//! The control messages that are lists: a front of fixed length, then entries to the end.
//!
//! ```text
//!  05 SUBSCRIBE    ver u32 | hold_ms u8                      | n x 14      at most 84 in a frame
//!  06 ROSTER       ver u32 | page u8 | pages u8 | others u32 | n x 62      at most 18
//!  0C STREAMS_MINE ver u32                                   | n x  5      at most 235
//!  0E STREAMS      ver u32 | page u8 | pages u8              | n x 13      at most 90
//! ```
//! SUBSCRIBE and STREAMS_MINE state a whole wish; ROSTER and STREAMS come in pages, or as a delta,
//! which is page 0 of 0. [`versioned`](crate::wire::v1::versioned) says which of them count.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::FRONT_LEN;
use crate::ids::{NodeId, StreamId};
use crate::limits::CONTROL_MAX;

/// Subscribes to every node, in [`Wish::node`].
pub const ALL_NODES: u64 = 0;
/// Subscribes to every stream, in [`Wish::stream`].
pub const ALL_STREAMS: u16 = 0xFFFF;

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident, $front:ident ($front_len:literal) {
        $($(#[$front_doc:meta])* $front_field:ident: $wire:ty => $value:ty,)*
    } of $(#[$entry_doc:meta])* $entry:ident ($entry_len:literal) {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {$(
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
            Unaligned,
        )]
        #[repr(C)]
        struct $front {
            $($front_field: $wire,)*
        }

        $(#[$entry_doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
            Unaligned,
        )]
        #[repr(C)]
        pub struct $entry {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        const _: () = assert!(size_of::<$front>() == $front_len);
        const _: () = assert!(size_of::<$entry>() == $entry_len);

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a> {
            front: $front,
            entries: &'a [$entry],
        }

        impl<'a> $name<'a> {
            /// Entries that fit a frame of their own.
            pub const ENTRIES_MAX: usize = (CONTROL_MAX - FRONT_LEN - $front_len) / $entry_len;

            /// The message with these fields. More than [`Self::ENTRIES_MAX`] entries are
            /// refused when it is written.
            #[must_use]
            pub fn new($($front_field: $value,)* entries: &'a [$entry]) -> Self {
                Self { front: $front { $($front_field: $front_field.into(),)* }, entries }
            }

            $($(#[$front_doc])*
            #[must_use]
            pub fn $front_field(&self) -> $value {
                self.front.$front_field.into()
            })*

            /// The entries, in the order they stand.
            #[must_use]
            pub const fn entries(&self) -> &'a [$entry] {
                self.entries
            }

            /// Front and entries of `value`; `None` when it does not end with an entry.
            pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
                let (front, rest) = $front::read_from_prefix(value).ok()?;
                let entries = <[$entry]>::ref_from_bytes(rest).ok()?;
                Some(Self { front, entries })
            }

            /// The value's bytes: front, then entries.
            pub(super) fn as_bytes(&self) -> (&[u8], &[u8]) {
                (self.front.as_bytes(), self.entries.as_bytes())
            }
        }
    )*};
}

lists! {
    /// 05: everything a receiver wants.
    Subscribe, SubscribeFront (5) {
        /// Greatest wins.
        version: U32 => u32,
        /// How long small frames to the receiver may wait to share a datagram, in milliseconds:
        /// 0 to 5.
        hold_ms: u8 => u8,
    } of
    /// One thing wanted.
    Wish (14) {
        /// From whom; [`ALL_NODES`] for everyone.
        node: U64,
        /// Which stream; [`ALL_STREAMS`] for all of them.
        stream: U16,
        /// Bit n: class n.
        classes: u8,
        /// Nothing above this profile.
        profile_max: u8,
        /// At most so much, in kbit/s.
        kbps_max: U16,
    }

    /// 06: those who may send.
    Roster, RosterFront (10) {
        /// Grows by one with each delta.
        version: U32 => u32,
        /// Which page, from 0.
        page: u8 => u8,
        /// Of how many; 0 is a delta.
        pages: u8 => u8,
        /// How many participants there are besides: they may not send.
        others: U32 => u32,
    } of
    /// One who may send.
    RosterEntry (62) {
        /// Who.
        node: U64,
        /// Their Ed25519 key.
        id_pub: [u8; 32],
        /// Names their connection's keys.
        inst: [u8; 16],
        /// Their connection's number.
        conn: u8,
        /// See [`roster_phase`](super::roster_phase).
        phase: u8,
        /// What their token allows.
        perms: U32,
    }

    /// 0C: every stream the sender publishes.
    StreamsMine, StreamsMineFront (4) {
        /// Greatest wins.
        version: U32 => u32,
    } of
    /// One stream of the sender.
    OwnStream (5) {
        /// The sender's number for it.
        stream: U16,
        /// See [`stream_kind`](super::stream_kind).
        kind: u8,
        /// See [`profile`](crate::wire::header::profile).
        profile: u8,
        /// See [`phase`](super::phase).
        phase: u8,
    }

    /// 0E: every stream of the session.
    Streams, StreamsFront (6) {
        /// Grows by one with each delta.
        version: U32 => u32,
        /// Which page, from 0.
        page: u8 => u8,
        /// Of how many; 0 is a delta.
        pages: u8 => u8,
    } of
    /// One stream.
    StreamsEntry (13) {
        /// The publisher.
        node: U64,
        /// Its number for the stream.
        stream: U16,
        /// See [`stream_kind`](super::stream_kind).
        kind: u8,
        /// See [`profile`](crate::wire::header::profile).
        profile: u8,
        /// See [`phase`](super::phase).
        phase: u8,
    }
}

impl Wish {
    /// Everything from everyone, as far as the receiver's ladder lets it through.
    pub const EVERYTHING: Self = Self {
        node: U64::new(ALL_NODES),
        stream: U16::new(ALL_STREAMS),
        classes: 0x1F,
        profile_max: 0xFF,
        kbps_max: U16::new(u16::MAX),
    };

    /// Whether frames of `class` (its byte) from `node` on `stream` are wanted here.
    #[must_use]
    pub fn covers(&self, node: NodeId, stream: u16, class: u8) -> bool {
        let (wanted_node, wanted_stream) = (self.node.get(), self.stream.get());
        (wanted_node == ALL_NODES || wanted_node == node.0)
            && (wanted_stream == ALL_STREAMS || wanted_stream == stream)
            && u32::from(class) < u8::BITS
            && self.classes & 1 << class != 0
    }
}

impl RosterEntry {
    /// Who.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(self.node.get())
    }
}

impl StreamsEntry {
    /// Which stream.
    #[must_use]
    pub fn stream_id(&self) -> StreamId {
        StreamId { node: NodeId(self.node.get()), stream: self.stream.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Control, ControlWriter};
    use super::*;
    use crate::ids::SessionId;
    use crate::limits::V1_FRAME_MAX;
    use crate::wire::v1::Kind;
    use crate::wire::{Header, NoRoom};
    use alloc::vec;

    #[test]
    fn a_frame_of_its_own_holds_so_many_entries_and_not_one_more() {
        assert_eq!(
            [
                Subscribe::ENTRIES_MAX,
                Roster::ENTRIES_MAX,
                StreamsMine::ENTRIES_MAX,
                Streams::ENTRIES_MAX
            ],
            [84, 18, 235, 90]
        );
        let wishes = vec![Wish::EVERYTHING; 85];
        let header = Header::v1(1, SessionId(1), NodeId(2), Kind::Control);
        let put = |n: usize| {
            let mut out = [0; V1_FRAME_MAX];
            let mut writer = ControlWriter::new(&mut out, &header).unwrap();
            writer.put(&Control::Subscribe(Subscribe::new(1, 0, &wishes[..n])))
        };
        assert_eq!((put(84), put(85)), (Ok(()), Err(NoRoom)));
    }

    #[test]
    fn a_wish_covers_what_it_names() {
        let one =
            Wish { node: U64::new(5), stream: U16::new(2), classes: 0b10, ..Wish::EVERYTHING };
        assert!(one.covers(NodeId(5), 2, 1));
        for (node, stream, class) in [(6, 2, 1), (5, 3, 1), (5, 2, 0), (5, 2, 9)] {
            assert!(!one.covers(NodeId(node), stream, class));
        }
        assert!(Wish::EVERYTHING.covers(NodeId(1), 0, 4));
        assert!(!Wish::EVERYTHING.covers(NodeId(1), 0, 5), "there is no class 5");
    }
}
