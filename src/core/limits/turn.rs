//! Bounds of STUN and TURN.

use super::{LASTING_BUFFERS, RECEIVE_BUFFERS, SEGMENTS_MAX};

// ---- Relay sockets -------------------------------------------------------------------------------

/// Sockets a shard opens besides its own: one for each relayed address. Full: opening another is refused.
/// Each is a descriptor, so that a process may be allowed fewer.
pub const RELAY_SOCKETS_MAX: usize = 16_384;
/// What `SO_RCVBUF` and `SO_SNDBUF` of each ask for, in bytes: some trains. The kernel may grant less.
pub const RELAY_SOCKET_BUFFER_BYTES: usize = 256 << 10;
/// Of the relay sockets that found no buffer free, so many listen again in one cycle, those that wait
/// longest first. There are no buffers for more; the others' datagrams wait in the kernel.
pub const CYCLE_ARMS_MAX: usize = RECEIVE_BUFFERS;
/// What a shard asks of the error queues of its relay sockets per cycle. More waits there.
pub const CYCLE_REPORTS_MAX: usize = 64;
/// Cycles for which a relay socket that heard of an error counts as troubled: longer than a handful of errors
/// are apart. Its sends go one by one meanwhile.
pub const TROUBLED_CYCLES: u64 = 1_000;
/// Slices one send is made of: a header and a payload for each datagram. More: the send has failed.
pub const SLICES_MAX: usize = 2 * SEGMENTS_MAX;
/// Buffers, of `LASTING_BUFFER` bytes each, for what a shard writes itself between received bytes in one
/// cycle: headers. Full: there is no room for another note before the next cycle.
pub const NOTE_BUFFERS: usize = 8;

// ---- Arguments between bounds --------------------------------------------------------------------

// A completion carries the number of a socket in 16 bits, one of which numbers nobody.
const _: () = assert!(RELAY_SOCKETS_MAX < u16::MAX as usize);
// Buffer numbers: the kernel's, those that last, those for notes; the arena's is above them all.
const _: () = assert!(RECEIVE_BUFFERS + LASTING_BUFFERS + NOTE_BUFFERS < 1 << 15);
