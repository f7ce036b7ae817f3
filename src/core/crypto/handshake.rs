//! The handshake: one round trip from a stranger to a verified participant.
//!
//! ```text
//!  client                                       relay
//!    | HELLO 512  ------------------------------> | length, mac1, (bucket), (cookie), duplicate,
//!    | <---------------------- RETRY 78 (cookie)  |   when loaded: ask again from where you say you are
//!    | HELLO 512, with the cookie --------------> | Noise, hello_ms, token, certificate, NodeId
//!    | <----------------------------- WELCOME 166 | half-open: 5 s, one per participant
//!    | first datagram, tagged with the new key -> | verifies: active, and its source is the address
//! ```
//! The client is one machine, [`Client`]. The relay's side is what a shard calls in order: all but
//! the table of participants, which the shard owns, and the per-prefix buckets in front of it.
//! ```text
//!  step                        what                        refused as
//!  RelayKeys::check_hello      length, header, mac1        Length, Header, Mac1
//!  RelayKeys::check_cookie     only under load             Cookie: answer with RelayKeys::retry
//!  Entry::duplicate            same attempt and e          answered with the same WELCOME again
//!  RelayKeys::read             Noise message 1             Noise, Mode
//!  Guest::admit                hello_ms, token,            HelloReplayed, Banned, Token, BearerTaken,
//!                              certificate, NodeId         Certificate, NodeId, NodeTaken
//!  Entry::welcome              Noise message 2             -
//!  Entry::data, ::control      the first that verifies     Refused
//! ```
//! A replayed HELLO creates nothing: only who holds the client's keys can send the datagram that
//! makes a half-open entry active.

mod client;
mod entry;
mod frames;
mod noise;
mod relay;

pub use client::{Client, ClientRefused, Heard, Membership};
pub use entry::{Arrival, Connection, Entry, Refused};
pub use frames::{
    Attempt, BUSY_LEN, Busy, Cookie, HELLO_LEN, Hello, HelloPayload, Kind, RESET_LEN, RETRY_LEN,
    Reset, Retry, Terms, WELCOME_LEN, Welcome, WelcomePayload, kind_of,
};
pub use relay::{Admission, E2eMode, Guest, HelloRefused, RelayKeys};

use super::hop::{HopKeys, Inst, Receiving, Sending, Split};
use super::suite::Suite;

/// What `last_conn` says when there was none.
pub const NO_CONN: u8 = 0xFF;

/// The number of the connection that follows `last`. Its parity is always the other one, because
/// by that the receiver picks the key; 0xFF is left out, because it means none.
#[must_use]
pub const fn next_conn(last: Option<u8>) -> u8 {
    match last {
        None | Some(NO_CONN) => 0,
        Some(254) => 1,
        Some(conn) => conn + 1,
    }
}

/// Both directions of one connection, at one of its ends.
#[derive(Debug)]
pub struct Link {
    /// The connection's number; its parity stands in every frame.
    pub conn: u8,
    /// The cipher suite of all its frames.
    pub suite: Suite,
    /// Its public name, which keys end to end are made from.
    pub inst: Inst,
    /// Towards the other end.
    pub sending: Sending,
    /// From the other end.
    pub receiving: Receiving,
}

impl Link {
    fn at_client(suite: Suite, conn: u8, split: &Split) -> Self {
        let HopKeys { up, down, inst } = HopKeys::derive(suite, split);
        let (sending, receiving) = (Sending::new(up, conn), Receiving::new(down));
        Self { conn, suite, inst, sending, receiving }
    }

    fn at_relay(suite: Suite, conn: u8, split: &Split) -> Self {
        let HopKeys { up, down, inst } = HopKeys::derive(suite, split);
        let (sending, receiving) = (Sending::new(down, conn), Receiving::new(up));
        Self { conn, suite, inst, sending, receiving }
    }

    /// Forgets expanded keys, because the other end is silent; data brings them back.
    pub fn cool(&mut self) {
        self.sending.cool();
        self.receiving.cool();
    }

    /// Whether no key is kept expanded.
    #[must_use]
    pub const fn is_cold(&self) -> bool {
        self.sending.is_cold() && self.receiving.is_cold()
    }
}

#[cfg(test)]
mod tests;
