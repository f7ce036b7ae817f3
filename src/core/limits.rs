//! Every bound in the system, in one place.
//!
//! A queue or table that is full answers with a counted refusal or with back-pressure; none grows
//! past the number here. Each bound says what happens at the wall. The assertions at the end are
//! the arguments *between* bounds: change one number and the compiler says what else depended on it.

use crate::time::Span;

// ---- The wire ----------------------------------------------------------------------------------

/// Bytes of the fixed header, wire v0 and v1.
pub const HEADER_LEN: usize = 30;
/// Bytes of the trailing tag. Wire v0 writes zeros there.
pub const TAG_LEN: usize = 16;
/// Shortest v0 frame: a header and a tag. Shorter: `Runt`.
pub const V0_FRAME_MIN: usize = HEADER_LEN + TAG_LEN;
/// Longest v0 frame. Longer: `TooLong`.
pub const V0_FRAME_MAX: usize = 1_400;
/// Largest payload one UDP datagram can carry, and so the largest train GRO can build.
pub const DATAGRAM_MAX: usize = 65_507;
/// Segments the kernel accepts in one gathered send (`UDP_MAX_SEGMENTS` is 128; older kernels 64).
pub const SEGMENTS_MAX: usize = 64;
/// `SessionId`s whose low 32 bits read like this would look like STUN (RFC 8489's magic cookie
/// 0x2112A442, read little-endian): never issued, refused as `ReservedSession`.
pub const RESERVED_SESSION_LOW: u32 = 0x42A4_1221;

// ---- Wire v1 -------------------------------------------------------------------------------------

/// Longest v1 frame and longest bundle: what an IPv6 path of 1,280 bytes carries. Longer: `TooLong`.
pub const V1_FRAME_MAX: usize = 1_232;
/// Largest v1 `header_len`. Above: `HeaderLength`. What TLVs there are today reach 86.
pub const V1_HEADER_LEN_MAX: usize = 94;
/// Bytes between a data frame's TLVs and its ciphertext: epoch, connection, generation.
pub const KEY_NAME_LEN: usize = 4;
/// Bytes a v1 data frame without TLVs spends on everything but its opened body.
pub const V1_OVERHEAD: usize = HEADER_LEN + KEY_NAME_LEN + TAG_LEN + TAG_LEN;
/// The lengths a v1 data frame is padded to, ascending. Content that fits none goes in several.
pub const V1_PADDED: [usize; 9] = [80, 120, 160, 240, 320, 480, 640, 960, V1_FRAME_MAX];
/// Bytes of a bundle before its lengths.
pub const BUNDLE_HEAD_LEN: usize = 12;
/// Fewest frames a bundle holds; one travels alone. Fewer: `Count`.
pub const BUNDLE_FRAMES_MIN: usize = 2;
/// Most frames a bundle holds. More: `Count`.
pub const BUNDLE_FRAMES_MAX: usize = 32;
/// Bytes of control messages in one frame. What does not fit goes in the next one.
pub const CONTROL_MAX: usize = V1_FRAME_MAX - HEADER_LEN - TAG_LEN;
/// Largest `hold_ms` a SUBSCRIBE may wish for. Above: the message is malformed.
pub const HOLD_MS_MAX: u8 = 5;
/// Largest content of one event, proof included. Larger is refused where it is published.
pub const EVENT_CONTENT_MAX: usize = 16 << 10;
/// Parts an event is cut into at most. More: `Parts`. Enough for the largest content in frames
/// of 640 bytes.
pub const PARTS_MAX: u8 = 32;
/// Largest content of one media frame, over all its datagrams: a stream's share of the cache.
/// Larger is refused where it is published.
pub const MEDIA_CONTENT_MAX: usize = 512 << 10;
/// Version entries of a v1 event. More: the event is malformed.
pub const EVENT_VERSIONS_MAX: usize = 8;
/// Largest time-to-live exponent of a STATE TLV: 2^31 s, 68 years. Above: `Lifetime`.
pub const TTL_MAX: u8 = 32;

// ---- Sessions and participants, wire v0 ----------------------------------------------------------

/// v0 sessions a shard keeps. Full: the datagram that would open one is `SessionsFull`.
pub const V0_SESSIONS_MAX: usize = 131_072;
/// v0 participants a shard keeps over all sessions. Full: `ParticipantsFull`.
pub const V0_PARTICIPANTS_MAX: usize = 1_310_720;
/// Largest `max_peers` a configuration may ask for: participants of one session. Full: `SessionFull`.
pub const PEERS_PER_SESSION_MAX: usize = 10_000;
/// `max_peers` when the configuration is silent.
pub const PEERS_PER_SESSION_DEFAULT: usize = 1_000;
/// v0 participants behind one IP address on one shard, loopback excepted. Full: `IpFull`.
pub const V0_PER_IP_DEFAULT: usize = 64;
/// Largest `compat.v0_per_ip`.
pub const V0_PER_IP_MAX: usize = 65_536;
/// CIDR blocks in `compat.v0 = { open = [..] }`.
pub const V0_OPEN_BLOCKS_MAX: usize = 64;
/// A v0 participant silent for this long is forgotten.
pub const V0_SILENCE: Span = Span::from_secs(60);
/// A v0 participant alone in its session and silent for this long is forgotten, and the session ends.
pub const V0_ALONE: Span = Span::from_secs(10);

// ---- Keys ----------------------------------------------------------------------------------------

/// Static keys a relay answers to: the current one, and the one before it while its join addresses are
/// about. More: the configuration is refused.
pub const RELAY_KEYS_MAX: usize = 2;
/// Node keys and serials that may not enter. More: the configuration is refused.
pub const BANS_MAX: usize = 65_536;
/// Issuers a relay believes. Full: the configuration is refused.
pub const ISSUERS_MAX: usize = 16;
/// Frames of one class after which a connection wants new keys (RFC 9001 appendix B.1 allows GCM
/// that many of up to 2 KiB).
pub const REKEY_FRAMES: u64 = 1 << 28;
/// Frames with a bad tag after which a connection wants new keys.
pub const REKEY_FORGERIES: u64 = 1 << 35;
/// How long a cookie is good, in seconds.
pub const COOKIE_VALID_S: u32 = 30;
/// How long a connection may wait for its first verified datagram.
pub const HALF_OPEN: Span = Span::from_secs(5);
/// How long the connection before the active one still receives.
pub const OLD_CONNECTION: Span = Span::from_secs(3);
/// How long a client repeats the same HELLO before it makes a new one.
pub const HELLO_FRESH: Span = Span::from_secs(4);
/// The first pause between two HELLOs; it doubles.
pub const HELLO_FIRST: Span = Span::from_millis(250);
/// The longest pause between two HELLOs.
pub const HELLO_LONGEST: Span = Span::from_secs(1);
/// A client heeds one RESET in this time.
pub const RESET_EVERY: Span = Span::from_secs(5);
/// The longest BUSY a client believes.
pub const BUSY_MAX: Span = Span::from_secs(60);

// ---- The cycle -----------------------------------------------------------------------------------

/// Trains (received messages, each one or more datagrams) a shard takes in per cycle; what is left
/// waits in the kernel's queue for the next one.
pub const CYCLE_TRAINS_MAX: usize = 256;
/// Sends a shard queues per cycle. At the wall the rest of what has arrived waits for the next cycle, so
/// that one talkative session cannot keep commands, timers and other sessions waiting. One datagram is
/// never cut in two: the last one may go past the wall by `max_peers`.
pub const CYCLE_SENDS_MAX: usize = 2_000;
/// Commands a shard takes from its mailbox per cycle.
pub const CYCLE_COMMANDS_MAX: usize = 64;
/// Participants a shard forgets per cycle because they have been silent; sessions it looks at for that.
pub const CYCLE_EXPIRIES_MAX: usize = 256;
/// Slots in a mailbox, either direction. Full: commands wait with their sender, notices are counted lost.
pub const MAILBOX_SLOTS: usize = 1_024;
/// Sessions one page of a listing carries.
pub const PAGE_SESSIONS_MAX: usize = 1_024;
/// Granularity of the shard's timers.
pub const TIMER_TICK: Span = Span::from_millis(250);

// ---- Buffers -------------------------------------------------------------------------------------

/// Receive buffers a shard owns, each large enough for a whole GRO train.
pub const RECEIVE_BUFFERS: usize = 256;
/// Sends queued before the back end must hand them to the kernel.
pub const SEND_QUEUE: usize = 1_024;
/// What `SO_RCVBUF` and `SO_SNDBUF` ask for, in bytes; the kernel may grant less.
pub const SOCKET_BUFFER_BYTES: usize = 8 << 20;

// ---- The node ------------------------------------------------------------------------------------

/// Shards of one node.
pub const SHARDS_MAX: usize = 256;
/// Largest `event_buffer_size`: notices a handle may have waiting.
pub const NOTICES_MAX: usize = 1 << 20;
/// `event_buffer_size` when the configuration is silent.
pub const NOTICES_DEFAULT: usize = 1_024;
/// `prediction_entropy` when the configuration is silent: predicted events.
pub const PREDICTION_ENTROPY_DEFAULT: u64 = 1_024;
/// Largest `prediction_entropy`.
pub const PREDICTION_ENTROPY_MAX: u64 = 1 << 20;
/// A configuration file longer than this is refused, in bytes.
pub const CONFIG_FILE_MAX: usize = 1 << 20;

// ---- The admin listener --------------------------------------------------------------------------

/// Connections the admin listener serves at once; more wait in the kernel's queue.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// A connection to the admin listener that is silent for this long is closed.
pub const ADMIN_SILENCE: Span = Span::from_secs(90);
/// How long all shards together may take to answer `/livez`. Longer: the node is not live.
pub const LIVE_DEADLINE: Span = Span::from_secs(1);

// ---- The degradation ladder's configuration --------------------------------------------------------

/// The deepest level of the ladder, and `floor_level` when the configuration is silent.
pub const LADDER_LEVEL_MAX: u64 = 5;
/// `loss_down_permille`: loss that takes a receiver one level down.
pub const LADDER_LOSS_DOWN_PERMILLE: Range = Range { min: 1, default: 50, max: 500 };
/// `loss_up_permille`: loss below which a receiver may climb. Must be less than `loss_down_permille`.
pub const LADDER_LOSS_UP_PERMILLE: Range = Range { min: 0, default: 10, max: 499 };
/// `delay_down_ms`: queueing delay that takes a receiver one level down.
pub const LADDER_DELAY_DOWN_MS: Range = Range { min: 10, default: 150, max: 2_000 };
/// `hold_up_ms`: how long a receiver must be well before it climbs one level.
pub const LADDER_HOLD_UP_MS: Range = Range { min: 1_000, default: 5_000, max: 60_000 };

/// What a configuration may ask for, and gets when it is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest value allowed.
    pub min: u64,
    /// Value when the configuration is silent.
    pub default: u64,
    /// Largest value allowed.
    pub max: u64,
}

// ---- Arguments between bounds --------------------------------------------------------------------

const _: () = assert!(V0_FRAME_MAX <= DATAGRAM_MAX);
const _: () = assert!(V1_OVERHEAD == 66);
const _: () = assert!(V1_FRAME_MAX <= V0_FRAME_MAX);
// STREAM (2 + 12) and STATE (2 + 40) stand together in one header.
const _: () = assert!(HEADER_LEN + 14 + 42 <= V1_HEADER_LEN_MAX);
// The smallest size holds at least a kind, one byte and the end mark; the largest is a whole frame.
const _: () = assert!(V1_PADDED[0] >= V1_OVERHEAD + 3 && V1_PADDED[8] == V1_FRAME_MAX);
// Ten frames of 120 bytes fill a bundle to the last byte; the most frames of the smallest size do not
// fit, so a bundle is full by its bytes before it is full by its count only where frames are control.
const _: () = assert!(BUNDLE_HEAD_LEN + 10 * 2 + 10 * V1_PADDED[1] == V1_FRAME_MAX);
const _: () = assert!(BUNDLE_HEAD_LEN + BUNDLE_FRAMES_MAX * (2 + V1_PADDED[0]) > V1_FRAME_MAX);
// The largest event fits its parts in frames of 640 bytes with both TLVs, and proof and versions
// leave room in one frame of the largest size.
const _: () = assert!((PARTS_MAX as usize) * (640 - V1_OVERHEAD - 56 - 2) >= EVENT_CONTENT_MAX);
const _: () = assert!(V1_OVERHEAD + 56 + 2 + 13 + 16 * EVENT_VERSIONS_MAX + 65 < V1_FRAME_MAX);
const _: () = assert!(PEERS_PER_SESSION_DEFAULT <= PEERS_PER_SESSION_MAX);
const _: () = assert!(PEERS_PER_SESSION_MAX <= V0_PARTICIPANTS_MAX);
const _: () = assert!(V0_PER_IP_DEFAULT <= V0_PER_IP_MAX);
// The ladder's defaults must leave room between falling and climbing, or it would oscillate.
const _: () = assert!(LADDER_LOSS_UP_PERMILLE.default < LADDER_LOSS_DOWN_PERMILLE.default);
// A lone participant must not outlive one in company.
const _: () = assert!(V0_ALONE.as_nanos() < V0_SILENCE.as_nanos());
// The relay still has the WELCOME when the client repeats its HELLO for the last time.
const _: () = assert!(HELLO_FRESH.as_nanos() < HALF_OPEN.as_nanos());
// Timers must be fine enough to tell the two apart.
const _: () = assert!(TIMER_TICK.as_nanos() * 4 <= V0_ALONE.as_nanos());
// Buffer rings are powers of two, and the kernel keeps their index in 16 bits.
const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two() && RECEIVE_BUFFERS <= 1 << 15);
const _: () = assert!(SEND_QUEUE.is_power_of_two());
const _: () = assert!(CYCLE_TRAINS_MAX <= RECEIVE_BUFFERS);
