//! What the tests of this folder share: v0 frames, and rooms in which a shard can be talked to.

// Each test is a crate of its own and uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod frames;
pub mod room;

/// An address that none of the places can send to.
pub fn nowhere() -> elara_core::ClientAddr {
    "[2001:db8::1]:9".parse::<std::net::SocketAddr>().unwrap().into()
}
