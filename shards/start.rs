//! From a bound socket to a running shard, on the thread that is to run it.

use std::io;
use std::net::UdpSocket;

use crate::command::{Command, Report};
use crate::io::syscall::Syscall;
use crate::io::uring::Uring;
use crate::io::{Backend, Io};
use crate::mailbox::{Receiver, Sender};
use crate::shard::{Shard, ShardConfig};
use crate::sys::wait::Bell;

/// Everything one shard needs.
pub struct Seat {
    /// Its socket, from [`socket::bind`](crate::socket::bind).
    pub socket: UdpSocket,
    /// What it runs on.
    pub backend: Backend,
    /// Wakes it; the bell its command mailbox rings.
    pub bell: Bell,
    /// Its rules and bounds.
    pub config: ShardConfig,
    /// What control asks.
    pub commands: Receiver<Command>,
    /// What it answers. This shard must be the mailbox's only writer: it posts an answer into the room
    /// it saw a moment before.
    pub reports: Sender<Report>,
}

/// Runs a shard on the calling thread until [`Command::Stop`]. Calls `ready` once it can receive.
///
/// # Errors
/// When the back end cannot be made, or breaks.
pub fn run(seat: Seat, ready: impl FnOnce()) -> io::Result<()> {
    let Seat { socket, backend, bell, config, commands, reports } = seat;
    match backend {
        Backend::Uring => cycle(Uring::new(socket, &bell)?, config, commands, reports, ready),
        Backend::Syscall => cycle(Syscall::new(socket, &bell)?, config, commands, reports, ready),
    }
}

fn cycle<I: Io>(
    io: I,
    config: ShardConfig,
    commands: Receiver<Command>,
    reports: Sender<Report>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let mut shard = Shard::new(io, config, commands, reports);
    ready();
    shard.run()
}
