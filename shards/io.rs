//! The edge of a shard: where datagrams come from and go to.
//!
//! One trait, three files: `uring` (io_uring: multishot receive into a provided buffer ring),
//! `syscall` (epoll, recvmmsg, sendmmsg), `memory` (a network in memory with a virtual clock). The
//! shard that is shipped, simulated and benchmarked is the same type over each of them.
//!
//! **The contract.** One cycle is: [`Io::enter`] once, [`Io::now`] once, [`Io::receive`] until `None`
//! or until the budget is spent, any number of [`Io::send`]s, and around again. A [`Slice`] names
//! received bytes and stays good until the next `enter`: sends read straight from the receive
//! buffer, so nothing that came is copied in user space. What the shard made itself ([`Io::send_bytes`],
//! [`Io::note`]) is copied once, into memory of the back end's own. No method allocates or blocks, except
//! that `enter` waits and [`Io::open`] may allocate.
//!
//! **Ports.** A shard has one socket of its own, [`Port::DATA`], and opens and closes others as TURN hands
//! out relayed addresses. All share buffers, queue and books: what comes says to which port, what leaves says
//! from which. A number is used again only when nothing of its last socket is left.

mod arena;
mod cut;
mod lasting;
mod ledger;
pub mod memory;
mod meter;
mod notes;
mod refusals;
mod sockets;
pub mod syscall;
pub mod uring;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use elara_core::ClientAddr;
use elara_core::limits::{DATAGRAM_MAX, SEGMENTS_MAX, SLICES_MAX};
use elara_core::time::{Instant, Span, UnixMillis};

use crate::counters::Egress;
use crate::sys::wait::Bell;

pub use crate::counters::Refusal;

/// Which back end an operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring where the kernel allows it, system calls otherwise.
    #[default]
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll, recvmmsg and sendmmsg.
    Syscall,
}

/// Which back end a node runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `io/uring.rs`.
    Uring,
    /// `io/syscall.rs`.
    Syscall,
}

/// The back end that serves a choice, and why `auto` fell back, when it did.
///
/// # Errors
/// Why io_uring cannot be used, when it was asked for by name.
pub fn resolve(choice: Choice) -> io::Result<(Backend, Option<io::Error>)> {
    match (choice, probe()) {
        (Choice::Syscall, _) => Ok((Backend::Syscall, None)),
        (_, Ok(())) => Ok((Backend::Uring, None)),
        (Choice::Auto, Err(error)) => Ok((Backend::Syscall, Some(error))),
        (Choice::Uring, Err(error)) => Err(error),
    }
}

/// Makes a ring with everything a shard needs, on a socket of its own, and throws it away.
fn probe() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    uring::Uring::new(socket, &Bell::new()?).map(drop)
}

/// How long `enter` may wait for something to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: there is work left.
    No,
    /// Until this instant of the back end's own clock.
    Until(Instant),
    /// Until a datagram or a wake-up comes.
    Forever,
}

/// How hard a shard has worked, and what was lost because it could not keep up. Both only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// Cpu time of the calling thread, user and system.
    pub worked: Span,
    /// Messages that the kernel dropped at the socket: because its receive queue was full, and nearly always
    /// for that. A train the kernel had glued together is one message, so this is the least number of
    /// datagrams. The kernel's count has more in it than overflow: see
    /// [`options::dropped`](crate::sys::options::dropped).
    pub overflowed: u64,
}

/// One of a shard's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u16);

impl Port {
    /// The shard's own socket: the data port, there from the beginning to the end.
    pub const DATA: Self = Self(0);
}

/// What the network said about a datagram that a relay socket had sent: an ICMP error, not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The socket.
    pub port: Port,
    /// Where the datagram was to go.
    pub to: ClientAddr,
    /// The ICMP type, of ICMPv6 where `to` is IPv6.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// The MTU of the next hop, where the datagram was too long for it; else mostly 0.
    pub info: u32,
}

/// Bytes in a buffer of the back end. Good until the next [`Io::enter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub(crate) buffer: u16,
    pub(crate) len: u16,
    pub(crate) start: u32,
}

impl Slice {
    /// Bytes in it.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether `next` begins where this one ends.
    #[inline]
    pub(crate) fn is_before(&self, next: &Self) -> bool {
        self.buffer == next.buffer && self.start + u32::from(self.len) == next.start
    }

    /// Whether it is empty.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// One received message: a datagram, or a train of datagrams of equal size from one source that the
/// kernel glued together (GRO). Only the last datagram of a train may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train {
    /// Which socket it came to.
    pub port: Port,
    /// Who sent it.
    pub from: ClientAddr,
    /// All of its bytes.
    pub slice: Slice,
    /// Bytes of each datagram; 0 when the whole is one.
    pub segment: u16,
    /// The kernel had to cut it: longer than any buffer.
    pub truncated: bool,
}

impl Train {
    /// The datagrams in it, in order, split in place. An empty datagram is a datagram too.
    #[inline]
    pub fn datagrams(&self) -> impl Iterator<Item = Slice> + use<> {
        let whole = self.slice;
        let step = if self.segment == 0 { whole.len.max(1) } else { self.segment };
        let count = whole.len.div_ceil(step).max(1);
        (0..count).map(move |index| {
            let offset = index * step;
            Slice {
                buffer: whole.buffer,
                len: step.min(whole.len - offset),
                start: whole.start + u32::from(offset),
            }
        })
    }
}

impl Train {
    /// What is left of the train once `done` of its datagrams are dealt with; `None` when nothing is.
    #[must_use]
    pub fn rest(&self, done: usize) -> Option<Self> {
        let step =
            if self.segment == 0 { usize::from(u16::MAX) } else { usize::from(self.segment) };
        let offset = done * step;
        if done == 0 {
            return Some(*self);
        }
        (offset < self.slice.len()).then(|| Self {
            slice: Slice {
                len: self.slice.len - offset as u16,
                start: self.slice.start + offset as u32,
                ..self.slice
            },
            ..*self
        })
    }
}

/// A source and a sink of datagrams, with a clock. See the module for the contract.
pub trait Io {
    /// Hands queued sends to the kernel, takes back the buffers of the last cycle, and waits for a
    /// datagram or a wake-up as long as `wait` says. Returning early is allowed.
    ///
    /// # Errors
    /// When the kernel refuses in a way no retry mends. The shard ends then.
    fn enter(&mut self, wait: Wait) -> io::Result<()>;

    /// The time. Monotonic; the origin is the back end's own.
    fn now(&mut self) -> Instant;

    /// The wall clock. It may be set while the node runs, forwards or back. Read about once a second, never
    /// for a datagram.
    fn calendar(&mut self) -> UnixMillis;

    /// The next message that has arrived; `None` when there is no more for the moment.
    fn receive(&mut self) -> Option<Train>;

    /// Gives back the rest of the train just received, for the next cycle: the next [`Io::receive`] after
    /// the next [`Io::enter`] answers it, under new slices. At most one train a cycle, the last received.
    fn put_back(&mut self, rest: Train);

    /// The bytes a slice names.
    fn bytes(&self, slice: Slice) -> &[u8];

    /// [`Io::send_from`] the shard's own socket.
    #[inline]
    fn send(&mut self, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32) {
        self.send_from(Port::DATA, to, slices, segment, tag);
    }

    /// Queues one send from `port`: the slices, one after the other, to `to`. `segment` 0 makes them one
    /// datagram; otherwise the kernel cuts what they are together every `segment` bytes (GSO), wherever one
    /// slice ends and the next begins. At most `limits::SLICES_MAX` slices and `limits::SEGMENTS_MAX`
    /// datagrams. Never waits: what the kernel does not take at once is dropped and counted in
    /// [`Io::egress`]. Sends of one port leave in the order they were queued. `tag` is below
    /// `limits::SEND_TAGS` and comes back with [`Io::refused`] when the send is refused; 0 is nobody's, and
    /// never comes back.
    fn send_from(&mut self, port: Port, to: &ClientAddr, slices: &[Slice], segment: u16, tag: u32);

    /// Sends one datagram of all slices from `port` at once, behind what is queued, with DF the other way
    /// round than all else from there: from the shard's own socket it may be cut into fragments, from a relay
    /// socket it may not. Some system calls: for the few that need it. Counted as other sends are, and told
    /// to nobody.
    fn send_other_df(&mut self, port: Port, to: &ClientAddr, slices: &[Slice]);

    /// Keeps a few bytes of the shard's own until the next `enter`, to be sent among other slices: the header
    /// before a payload that was received. `None` when the cycle has `limits::NOTE_BUFFERS` full of them.
    fn note(&mut self, bytes: &[u8]) -> Option<Slice>;

    /// Opens a socket for a relayed address, `local` with its port. Nothing that it sends carries DF, and the
    /// network's errors about that come with [`Io::unreachable`]. The first error after a while may cost the
    /// port a send to someone else, which then has failed.
    ///
    /// # Errors
    /// What the kernel says: `AddrInUse`, `AddrNotAvailable`, no descriptor left. `StorageFull` when
    /// `limits::RELAY_SOCKETS_MAX` are open or not yet gone, or as many as the process may have descriptors;
    /// `InvalidInput` when `local` has no port.
    fn open(&mut self, local: SocketAddr) -> io::Result<Port>;

    /// Closes a socket that was opened; of another nothing happens. What was queued from it still leaves,
    /// and nothing of it is received from here on. Number and address are free again when [`Io::receive`] has
    /// answered `None` after the next [`Io::enter`].
    fn close(&mut self, port: Port);

    /// The next error that the network has sent back to a relay socket, each told once. To be asked for every
    /// cycle, until `None`, after [`Io::receive`] has answered that: at most `limits::CYCLE_REPORTS_MAX` are
    /// looked at in a cycle, and what is not asked for takes the room of what comes in.
    fn unreachable(&mut self) -> Option<Unreachable>;

    /// Queues one datagram the shard made itself: copies `bytes`, at most `limits::V1_FRAME_MAX` of them,
    /// and sends them to `to` as [`Io::send`] would, in order with the others, counted and tagged alike.
    /// At most `limits::SEND_ARENA` bytes wait at a time: when there is no room, what is queued is handed
    /// to the kernel first, and when that takes nothing at the moment, this send is refused as busy.
    ///
    /// # Panics
    /// When `bytes` is longer than that.
    fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32);

    /// The next send with a tag that the kernel refused, busy or failed, each told once. Complete when
    /// [`Io::receive`] has answered `None` after an [`Io::enter`], and asked for every cycle: of more than
    /// `limits::REFUSALS_MAX` that wait the later ones are lost here, and only [`Io::egress`] has them.
    fn refused(&mut self) -> Option<Refusal>;

    /// A buffer that outlives the cycle, of `limits::LASTING_BUFFER` bytes, until it is released. `None`
    /// when all `limits::LASTING_BUFFERS` are in use.
    fn reserve(&mut self) -> Option<u16>;

    /// Copies what a slice names into a reserved buffer, at `at`. The slice of the copy is good until that
    /// buffer is released.
    ///
    /// # Panics
    /// When it does not fit there.
    fn keep(&mut self, buffer: u16, at: usize, slice: Slice) -> Slice;

    /// Gives a reserved buffer back. What has been queued from it still leaves as it is.
    fn release(&mut self, buffer: u16);

    /// How hard this thread has worked so far. Two system calls: to be asked now and then, not every cycle.
    fn strain(&mut self) -> Strain;

    /// What became of all sends so far. Settled when [`Io::receive`] has answered `None` after an
    /// [`Io::enter`].
    fn egress(&self) -> Egress;

    /// How often receiving stopped because every buffer was in use.
    fn starved(&self) -> u64;
}

/// Whether the kernel can be asked for a send of so many slices at all.
#[inline]
const fn is_possible(slices: usize, send: &Refusal) -> bool {
    slices <= SLICES_MAX
        && send.datagrams <= SEGMENTS_MAX as u32
        && send.bytes <= DATAGRAM_MAX as u32
}

/// Whether a receive error says that the socket itself is no good. Others tell of an earlier send of ours
/// or of a moment without memory, and pass.
fn is_lasting(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EOPNOTSUPP | libc::EFAULT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(len: u16, segment: u16) -> Train {
        Train {
            port: Port::DATA,
            from: ClientAddr::from((Ipv4Addr::LOCALHOST, 1)),
            slice: Slice { buffer: 3, len, start: 100 },
            segment,
            truncated: false,
        }
    }

    fn cut(len: u16, segment: u16) -> Vec<(u32, u16)> {
        train(len, segment).datagrams().map(|slice| (slice.start, slice.len)).collect()
    }

    #[test]
    fn a_train_is_cut_where_its_datagrams_meet() {
        assert_eq!(cut(120, 0), [(100, 120)]);
        assert_eq!(cut(360, 120), [(100, 120), (220, 120), (340, 120)]);
        assert_eq!(cut(250, 120), [(100, 120), (220, 120), (340, 10)]);
        assert_eq!(cut(100, 120), [(100, 100)]);
    }

    #[test]
    fn an_empty_datagram_is_one_datagram() {
        assert_eq!(cut(0, 0), [(100, 0)]);
        assert_eq!(cut(0, 120), [(100, 0)]);
    }

    #[test]
    fn the_rest_of_a_train_is_what_has_not_been_dealt_with() {
        let whole = train(250, 120);
        assert_eq!(whole.rest(0), Some(whole));
        let rest = whole.rest(1).unwrap();
        assert_eq!((rest.slice.start, rest.slice.len, rest.segment), (220, 130, 120));
        assert_eq!(whole.rest(2).unwrap().slice.len, 10);
        assert_eq!(whole.rest(3), None);
        assert_eq!(train(120, 0).rest(1), None);
        assert_eq!(train(0, 0).rest(1), None);
    }

    #[test]
    fn the_longest_train_is_cut_without_overflow() {
        let pieces = cut(65_507, 1);
        assert_eq!(pieces.len(), 65_507);
        assert_eq!(pieces.last(), Some(&(100 + 65_506, 1)));
    }
}
