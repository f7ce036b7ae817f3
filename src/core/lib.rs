//! The ELARA protocol as pure code.
//!
//! This crate is `no_std` and forbids `unsafe`, so it *cannot* open a socket, read a clock, spawn a
//! thread or ask for entropy. Time ([`time::Instant`]) and randomness ([`random::Random`]) arrive as
//! arguments; bytes come in as slices and go out as slices. That is what lets the same code run
//! in a shard, in the simulator and in a fuzzer.
//!
//! | module | owns |
//! |---|---|
//! | [`limits`] | every bound of the system, and the assertions between bounds |
//! | [`crypto`] | who may enter, what is genuine, and who can read it |
//! | [`cidr`] | blocks of addresses, as operators write them |
//! | [`keyed`] | the hash of tables whose entries strangers choose |
//! | [`ids`] | node, session, stream and address types that cannot be mixed up |
//! | [`time`] | nanosecond instants and spans, and the timer wheel |
//! | [`random`] | the one door for randomness; seeded in tests |
//! | [`participant`] | the client side of wire v1, in one machine |
//! | [`stun`] | STUN and TURN as bytes: messages, attributes, integrity, ChannelData |
//! | [`turn`] | TURN as machines: the server, and its client |
//! | [`wire`] | the bytes of v0 and v1: headers, TLVs, frames, events, control messages, bundles |
//!
//! The one exception, for the quick start's sake: `NodeId::generate()` stands behind the feature
//! `os-random`, which only `elara-runtime` turns on.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cidr;
pub mod crypto;
pub mod ids;
pub mod keyed;
pub mod limits;
pub mod participant;
pub mod random;
pub mod stun;
pub mod time;
pub mod turn;
pub mod wire;

pub use cidr::Cidr;
pub use ids::{ClientAddr, NodeId, SessionId, StateId, StreamId};
