//! The bytes on the wire, as typed views: nothing here copies a payload or panics on any input.
//!
//! ```text
//!  0       1       2            4            12        20      21        22          26        30
//! +-------+-------+------------+------------+---------+-------+---------+-----------+---------+
//! |ver|su | flags | header_len | session_id | node_id | class | profile | time_hint | seq|win |
//! +-------+-------+------------+------------+---------+-------+---------+-----------+---------+
//! | TLVs, up to header_len | payload, up to sixteen bytes before the end | tag 16             |
//! +-------------------------------------------------------------------------------------------+
//! ```
//! Integers are little-endian. `docs/WIRE.md` is the authority.
//!
//! | module | owns |
//! |---|---|
//! | [`header`] | the fixed thirty bytes, and [`Malformed`]: every way bytes can be wrong |
//! | [`tlv`] | the extensions between header and payload |
//! | [`frame`] | a whole frame: header, TLVs, payload, tag |
//! | [`event`] | event blocks, the plain payload's content |
//! | [`mutation`] | what an event does to its state atom |
//! | [`version`] | version vectors: what an author had seen |
//! | [`v1`] | wire v1: the same header, its own TLVs, bundles, control messages and sealed bodies |
//!
//! Reading borrows from the datagram and, in v0, is as tolerant as the published 0.2.0 crates are, no
//! more and no less (each module says where); v1 accepts one spelling of each thing. Writing goes
//! into the caller's buffer and ends in [`NoRoom`] when that, or the width of a length field, does
//! not suffice. What was read can be written again to the same bytes; held by
//! `tests/wire_properties.rs` of this crate.

pub mod event;
pub mod frame;
pub mod header;
pub mod mutation;
pub mod tlv;
pub mod v1;
pub mod version;
mod writer;

pub use event::{Event, EventType, Events};
pub use frame::{Frame, FrameWriter};
pub use header::{Class, Header, Malformed};
pub use mutation::Mutation;
pub use tlv::{Extensions, Tlv, Tlvs};
pub use version::{VersionVector, Versions};
pub use writer::NoRoom;
