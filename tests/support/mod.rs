//! What the tests of this folder share: v0 frames, guests of wire v1, rooms in which a shard can be
//! talked to, what is around its relay ports, participants on real sockets, network namespaces, and the
//! binary as a process.

// Each test is a crate of its own and uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod apart;
pub mod caller;
pub mod crowd;
pub mod folder;
pub mod frames;
pub mod guest;
pub mod hall;
pub mod house;
pub mod lossy;
pub mod people;
pub mod ports;
pub mod process;
pub mod room;
pub mod space;
pub mod turn;
pub mod turnserver;

/// An address that none of the places can send to.
pub fn nowhere() -> elara_core::ClientAddr {
    "[2001:db8::1]:9".parse::<std::net::SocketAddr>().unwrap().into()
}
