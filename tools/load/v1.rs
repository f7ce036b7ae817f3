//! Participants of wire v1: thousands in one process, each with keys of its own.
//!
//! Built on core's sans-I/O handshake, hop and seal, with nothing between: a generator needs neither
//! a roster nor others' keys. What a real client does and these do not: they open no frame of
//! others (every byte is compared with what was sent, which says more and costs less), ask for
//! no roster, answer no path challenge (their sockets do not move), and make no new connection within
//! a run, which is shorter than a connection's life.
//!
//! | file | owns |
//! |---|---|
//! | `pass` | what lets participants in |
//! | `guest` | one participant: HELLO, PING, REPORT, LEAVE |
//! | `party` | all participants of the load, and their frames |
//! | `sent` | what has been sent, to know it again |
//! | `join` | the way in of everyone before the load |
//! | `visit` | those who come and go while the load runs |
//! | `books` | how many came in, how fast, and why others did not |

mod books;
mod guest;
mod join;
mod party;
mod pass;
mod sent;
mod visit;

pub use books::{JoinFailures, Joins};
pub(crate) use join::join;
pub(crate) use party::Party;
pub use pass::{Pass, PassError};
pub(crate) use visit::Visitors;
