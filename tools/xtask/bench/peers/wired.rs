//! A peer that was told from whom it hears and to whom it sends, and waits for both.

use std::net::SocketAddr;

use super::daemon::Daemon;

/// A peer that runs.
pub(super) struct Wired {
    pub(super) daemon: Daemon,
    /// Where it hears the sender of each session.
    pub(super) to: Vec<SocketAddr>,
    /// The first participant's port.
    pub(super) first_port: u16,
}
