//! Bounds of STUN and TURN.

use core::ops::RangeInclusive;

use super::{LASTING_BUFFERS, Pace, RECEIVE_BUFFERS, Range, SEGMENTS_MAX};
use crate::time::Span;

// ---- STUN messages -------------------------------------------------------------------------------

/// Longest STUN message we write, in bytes: what an IPv6 path of 1,280 bytes carries. What does not fit is
/// not sent.
pub const STUN_MESSAGE_MAX: usize = 1_232;
/// Longest answer to a plain Binding request: header, an IPv6 XOR-MAPPED-ADDRESS, FINGERPRINT.
pub const STUN_BINDING_MAX: usize = 20 + 24 + 8;
/// Attributes of one message, those that nobody looks at included. More: malformed, `Crowded`.
pub const STUN_ATTRIBUTES_MAX: usize = 256;
/// Unknown attributes that one answer names. Further ones are unknown all the same, and not named.
pub const STUN_UNKNOWN_MAX: usize = 32;
/// Bytes of a USERNAME (RFC 8489 section 14.3). More: malformed, `Text`.
pub const STUN_USERNAME_MAX: usize = 508;
/// Bytes of any other text: REALM, NONCE, SOFTWARE (RFC 8489 sections 14.9, 14.10, 14.14). More: malformed,
/// `Text`.
pub const STUN_TEXT_MAX: usize = 763;

// ---- TURN allocations ------------------------------------------------------------------------------

/// Allocations one shard may be told to keep, `allocations_max`. Full: Allocate gets 508.
pub const TURN_ALLOCATIONS: Range = Range { min: 1, default: 4_096, max: 16_384 };
/// Allocations of a node, divided over its shards: each keeps its share, or as many as one shard may.
pub const TURN_NODE_ALLOCATIONS: Range = Range { min: 1, default: 10_000, max: 65_536 };
/// `allocations_per_user`: allocations of one user on one shard. Full: Allocate gets 486.
pub const TURN_PER_USER: Range = Range { min: 1, default: 64, max: 16_384 };
/// `permissions_max` of one allocation: one covers all ports of an IP address. Full: 508.
pub const TURN_PERMISSIONS: Range = Range { min: 1, default: 256, max: 1_024 };
/// `channels_max` of one allocation. Full: ChannelBind gets 508.
pub const TURN_CHANNELS: Range = Range { min: 1, default: 256, max: 1_024 };
/// Permissions, or channels, from which on an allocation looks them up by hash; fewer it looks through.
pub const TURN_INDEXED_FROM: usize = 9;
/// `lifetime_default`: seconds an allocation lasts when its client asks for no more.
pub const TURN_LIFETIME_DEFAULT_S: Range = Range { min: 60, default: 600, max: 3_600 };
/// `lifetime_max`: seconds an allocation lasts at most without a refresh. More: cut down to it.
pub const TURN_LIFETIME_MAX_S: Range = Range { min: 60, default: 3_600, max: 86_400 };
/// How long a permission lasts (RFC 8656 section 9).
pub const TURN_PERMISSION_FOR: Span = Span::from_secs(300);
/// How long a channel lasts (RFC 8656 section 12).
pub const TURN_CHANNEL_FOR: Span = Span::from_secs(600);
/// How long EVEN-PORT's second port waits for its allocation (RFC 8656 section 7.2: at least 30 s).
pub const TURN_RESERVATION_FOR: Span = Span::from_secs(30);
/// Ports that wait so on one shard. Full: EVEN-PORT with a reservation gets 508.
pub const TURN_RESERVATIONS_MAX: usize = 256;
/// Allocations and ports set aside that a shard looks at in a cycle because their time is over: to close a
/// socket takes tens of microseconds. The rest waits for the next cycle.
pub const TURN_EXPIRIES_MAX: usize = 32;
/// Granularity of everything that ends.
pub const TURN_TICK: Span = Span::from_secs(1);
/// Ticks a turn of the wheel is long; what ends later waits for its turn.
pub const TURN_WHEEL: usize = 1_024;

// ---- TURN addresses --------------------------------------------------------------------------------

/// Lowest port of a relayed address. Below: the configuration is refused.
pub const TURN_PORT_MIN: u16 = 1_024;
/// Ports of relayed addresses when the configuration is silent (RFC 8656 section 7.2).
pub const TURN_PORT_DEFAULT: RangeInclusive<u16> = 49_152..=65_535;
/// Random ports looked at for one relayed address. None is free: 508.
pub const TURN_PORT_GUESSES: usize = 256;
/// Random ports asked of the kernel for one relayed address. All are in use: 508.
pub const TURN_PORT_OPENS: usize = 16;
/// Blocks of peers that are allowed by name. More: the configuration is refused.
pub const TURN_ALLOW_PEERS_MAX: usize = 64;
/// Bytes before the data in a Data indication: header, an IPv6 XOR-PEER-ADDRESS, the head of DATA.
pub const TURN_DATA_HEAD_MAX: usize = 20 + 24 + 4;

// ---- TURN credentials ------------------------------------------------------------------------------

/// Bytes of a realm. More: the configuration is refused.
pub const TURN_REALM_MAX: usize = 255;
/// Secrets for time-limited credentials: each is tried. More: the configuration is refused.
pub const TURN_SECRETS_MAX: usize = 8;
/// Users with keys of their own. More: the configuration is refused.
pub const TURN_USERS_MAX: usize = 65_536;
/// Bytes of a secret's text. Fewer: the configuration is refused, because whoever holds a credential could
/// find the secret by trying. More: refused as well.
pub const TURN_SECRET_LEN_MIN: usize = 16;
/// The most of them.
pub const TURN_SECRET_LEN_MAX: usize = 256;
/// Bytes of a user's password. More: the configuration is refused.
pub const TURN_PASSWORD_MAX: usize = 256;
/// How long a nonce is good, in seconds (RFC 8656 section 5: an hour at most). Older: 438.
pub const TURN_NONCE_FOR_S: u32 = 3_600;
/// Counters of answers by address prefix (IPv4 /24, IPv6 /56). Prefixes share them by a keyed hash:
/// nobody gets more for it.
pub const TURN_PREFIXES: usize = 4_096;
/// Answers a second to those of one prefix who have proven nothing. More: silence. Loopback has no limit.
pub const TURN_REPLIES_PER_PREFIX: Pace = Pace { per_s: 50, burst: 200 };
/// The same for a whole shard.
pub const TURN_REPLIES_PER_SHARD: Pace = Pace { per_s: 10_000, burst: 2_000 };
/// Answers a second to Binding requests of one prefix: they say nothing but an address, and are hardly
/// longer than what they answer. More: silence. Loopback has no limit.
pub const TURN_BINDINGS_PER_PREFIX: Pace = Pace { per_s: 500, burst: 1_000 };
/// The same for a whole shard.
pub const TURN_BINDINGS_PER_SHARD: Pace = Pace { per_s: 50_000, burst: 5_000 };
/// `bytes_per_second` of one allocation, where there is a limit: at least what keeps a call alive.
pub const TURN_BYTES_PER_S: Range = Range { min: 1_000, default: 0, max: 100_000_000_000 };
/// How far ahead of its `bytes_per_second` an allocation may be.
pub const TURN_BURST: Span = Span::from_millis(250);

// ---- Arguments between bounds --------------------------------------------------------------------

// A challenge with the longest realm, a nonce of 128 bytes, both password algorithms and every unknown
// attribute that is named still fits, and so do a SHA-256 tag and a FINGERPRINT behind it.
const _: () = assert!(
    20 + 8 + (4 + STUN_TEXT_MAX + 1) + (4 + 128) + 12 + (4 + 2 * STUN_UNKNOWN_MAX) + 36 + 8
        <= STUN_MESSAGE_MAX
);
const _: () = assert!(STUN_BINDING_MAX <= STUN_MESSAGE_MAX);
const _: () = assert!(STUN_USERNAME_MAX <= STUN_TEXT_MAX);
const _: () = assert!(TURN_LIFETIME_DEFAULT_S.default <= TURN_LIFETIME_MAX_S.default);
// Numbers of permissions and channels are kept in 16 bits, one of them for "none".
const _: () = assert!(TURN_PERMISSIONS.max < 1 << 16 && TURN_CHANNELS.max < (1 << 16) - 1);
// A reservation outlives the client's wait for the answer that has its token.
const _: () = assert!(TURN_RESERVATION_FOR.as_nanos() >= 30 * TURN_TICK.as_nanos());
// Timers must be fine enough to tell the lifetimes apart.
const _: () = assert!(TURN_TICK.as_nanos() * 60 <= TURN_PERMISSION_FOR.as_nanos());

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
