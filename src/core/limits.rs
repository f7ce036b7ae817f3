//! Every bound in the system, in one place.
//!
//! A queue or table that is full answers with a counted refusal or with back-pressure; none grows
//! past the number here. Each bound says what happens at the wall. The assertions at the end are
//! the arguments *between* bounds: change one number and the compiler says what else depended on it.
//! STUN and TURN, and the degradation ladder, have files of their own; everything is named from here.

mod ladder;
mod turn;
mod turn_client;

pub use ladder::*;
pub use turn::*;
pub use turn_client::*;

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
/// Longest relayed datagram that shares a gathered send, for the reason that [`V1_FRAME_MAX`] has. The kernel
/// refuses a train whole whose datagrams do not fit its card; a longer one by itself it fragments.
pub const TRAIN_DATAGRAM_MAX: usize = V1_FRAME_MAX;
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

// ---- Sessions and participants, wire v1 ----------------------------------------------------------

/// v1 sessions a shard keeps. Full: HELLO gets BUSY, `SessionsFull`.
pub const V1_SESSIONS_MAX: usize = 131_072;
/// v1 participants a shard keeps over all sessions, those half-open included. Full: HELLO gets BUSY,
/// `ParticipantsFull`.
pub const V1_PARTICIPANTS_MAX: usize = 1_310_720;
/// Participants of one session that may send: what 255 pages of the roster name. Full: HELLO gets BUSY,
/// `SessionFull`.
pub const V1_SENDERS_MAX: usize = 255 * 18;
/// Participants of a shard that are welcomed and have not spoken yet. Full: HELLO gets BUSY, `HelloBusy`.
pub const HALF_OPEN_MAX: usize = 4_096;
/// Bearer tokens whose first holder a shard remembers. Full of unexpired ones: HELLO gets BUSY,
/// `ParticipantsFull`.
pub const BEARERS_MAX: usize = 131_072;
/// A full book of bearer tokens is searched for expired ones at most once in this time, in seconds.
pub const BEARERS_SORTED_EVERY_S: u32 = 60;
/// A v1 participant that is silent for this long is sent nothing more; it stays a member.
pub const V1_STALE: Span = Span::from_secs(30);
/// A v1 participant that is silent for this long is forgotten.
pub const V1_SILENCE: Span = Span::from_secs(600);
/// How often a participant is asked to ping, in milliseconds.
pub const V1_PING_MS: u16 = 2_000;
/// What a participant may send when its token leaves it to the relay, in kbit/s. More: `OverRate`.
pub const V1_KBPS_DEFAULT: u32 = 50_000;
/// Datagrams a second a participant may send when its token leaves it to the relay. More: `OverRate`.
pub const V1_PPS_DEFAULT: u32 = 10_000;
/// How far ahead of its rates a participant may be.
pub const V1_BURST: Span = Span::from_millis(250);
/// A participant hears of one reason for ALERT in this time.
pub const ALERT_EVERY: Span = Span::from_secs(1);
/// GET is answered once in this time and kind.
pub const GET_EVERY: Span = Span::from_secs(1);
/// How long the relay waits for the answer to a path challenge.
pub const PATH_WAIT: Span = Span::from_secs(3);
/// Path challenges one participant may cause. More traffic from elsewhere is taken in, and challenges nobody.
pub const CHALLENGES_PER_PARTICIPANT: Pace = Pace { per_s: 5, burst: 3 };
/// Shortest datagram that starts a path challenge: as long as the challenge.
pub const PATH_DATAGRAM_MIN: usize = 57;
/// Switches of address a participant may make a minute.
pub const PATH_SWITCHES_PER_MIN: u64 = 20;
/// How long changes of the roster and of streams gather before they are told.
pub const DELTA_GATHER: Span = Span::from_millis(100);
/// How long a change of how many only listen may wait for other news of the roster.
pub const FOOTNOTE_GATHER: Span = Span::from_secs(1);
/// Least time between two occasions on which a whole session is told everything anew.
pub const WHOLE_EVERY: Span = Span::from_secs(1);
/// Changes of one session's roster, or of its streams, that wait to be told. Full: everyone is sent
/// the whole again.
pub const CHANGES_MAX: usize = 4_096;
/// Participants that a session remembers as sent away. Full: the oldest is forgotten.
pub const KICKED_PER_SESSION_MAX: usize = 64;
/// Streams one participant may announce. More: STREAMS_MINE is not taken, ALERT says so.
pub const STREAMS_PER_PARTICIPANT_MAX: usize = 64;
/// How often a participant may change what it announces. Sooner: not taken yet; it is repeated anyway.
pub const STREAMS_CHANGES: Pace = Pace { per_s: 2, burst: 8 };
/// Streams of one session: what 255 pages name. Full: STREAMS_MINE that would add more is not taken.
pub const STREAMS_PER_SESSION_MAX: usize = 255 * 90;
/// Longest frame that waits to share a datagram, where its receiver grants that: a fourth of a datagram.
/// Longer: sent at once.
pub const HELD_FRAME_MAX: usize = 320;
/// Frames that wait in one session. Full: all of them are sent at once.
pub const HELD_FRAMES_MAX: usize = 1_024;
/// Their bytes. Full: all of them are sent at once.
pub const HELD_BYTES_MAX: usize = 128 << 10;
/// Frames of a session within [`MARK_EVERY`] from which on small ones wait a [`HOLD_TICK`] on a loaded shard.
pub const LIVELY_FRAMES: u64 = 400;
/// Least time between two MARKs to one receiver.
pub const MARK_EVERY: Span = Span::from_millis(200);
/// Of so many marks that are due, a receiver that loses nothing gets one.
pub const MARK_QUIET: u8 = 5;

// ---- The handshake desk ---------------------------------------------------------------------------

/// HELLOs that wait for their turn. Full: BUSY, `HelloBusy`.
pub const DESK_MAX: usize = 256;
/// Handshakes a shard computes per cycle: each takes some hundred microseconds, and forwarding waits.
pub const CYCLE_HANDSHAKES_MAX: usize = 1;
/// Handshakes a shard computes a second. More wait at the desk.
pub const HANDSHAKES_PER_S: u64 = 2_000;
/// HELLOs a second above which a shard asks for cookies.
pub const COOKIELESS_PER_S: u64 = 300;
/// Half-open participants above which a shard asks for cookies.
pub const COOKIELESS_HALF_OPEN: usize = 512;
/// Counters of HELLOs by address prefix (IPv4 /24, IPv6 /56). Prefixes share them by a keyed hash:
/// nobody gets more for it.
pub const PREFIXES: usize = 4_096;
/// HELLOs a second from one prefix, and at once. More: `HelloLimited`. Loopback has no limit.
pub const HELLO_PER_PREFIX: Pace = Pace { per_s: 20, burst: 40 };
/// The same for HELLOs that carry a good cookie.
pub const HELLO_PER_PREFIX_COOKIE: Pace = Pace { per_s: 200, burst: 400 };
/// RETRYs a second from one shard. More: `HelloLimited`.
pub const RETRY_PER_SHARD: Pace = Pace { per_s: 20_000, burst: 2_000 };
/// RESETs a second from one shard. More: the frame is refused in silence.
pub const RESET_PER_SHARD: Pace = Pace { per_s: 1_000, burst: 200 };
/// RESETs a second to one prefix.
pub const RESET_PER_PREFIX: Pace = Pace { per_s: 20, burst: 20 };
/// What BUSY asks for: at least this, and at most twice as long.
pub const BUSY_RETRY: Span = Span::from_millis(500);

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
/// How long data goes by the connection before the active one while that works: until the relay has told
/// everyone of the active one, who could not open its frames.
pub const DATA_FOLLOWS: Span = Span::from_millis(500);
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

// ---- The participant -----------------------------------------------------------------------------

/// Wishes one subscription states. More: refused where it is made.
pub const WISHES_MAX: usize = 64;
/// Streams one participant publishes. More: refused where they are stated.
pub const OWN_STREAMS_MAX: usize = 32;
/// The first pause before a wish that has no ACK is stated again; it doubles.
pub const WISH_FIRST: Span = Span::from_millis(200);
/// The longest pause before a wish is stated again.
pub const WISH_LONGEST: Span = Span::from_secs(1);
/// What a relay may ask for between two pings, in ms; what lies outside is taken for the nearer end.
pub const PING_MS: Range = Range { min: 100, default: 1_000, max: 30_000 };
/// Between two pings while the last ones were not answered, or the connection is not proven.
pub const PING_BRISK: Span = Span::from_millis(500);
/// Pings without an answer that make a connection degraded: it is kept, and another one asked for.
pub const PINGS_UNANSWERED: u32 = 3;
/// Pings whose answer still makes a clock sample. An answer to an older one proves life only.
pub const PINGS_REMEMBERED: usize = 8;
/// How long a connection's keys are used before a new handshake.
pub const CONNECTION_LIFE: Span = Span::from_secs(3_600);
/// Between two reports when nothing has changed.
pub const REPORT_EVERY: Span = Span::from_secs(1);
/// A change of delay that is reported at once.
pub const REPORT_DELAY_STEP: Span = Span::from_millis(20);
/// Between two requests for the roster, or for the streams: more than [`GET_EVERY`], by more than
/// paths jitter.
pub const GET_AGAIN: Span = Span::from_millis(1_250);
/// How long pages may take to come, all of them, before they are asked for.
pub const PAGES_PATIENCE: Span = Span::from_millis(500);
/// Members who have left and whose last frames are still opened. Full: who left first is forgotten.
pub const DEPARTED_MAX: usize = 64;
/// How long the last frames of one who has left are opened.
pub const DEPARTED_FOR: Span = Span::from_secs(3);
/// Frames kept for authors whom the roster does not name yet. Full: the newcomer is dropped.
pub const UNKNOWN_FRAMES_MAX: usize = 64;
/// The same of one author, so that one who is loud leaves room for others.
pub const UNKNOWN_FRAMES_PER_NODE: usize = 32;
/// How long a frame waits for the roster to name its author; then it is dropped.
pub const UNKNOWN_FRAMES_FOR: Span = Span::from_millis(500);
/// Keys of others kept: five for each connection heard. Full: the longest unused goes.
pub const OPENERS_MAX: usize = 4_096;
/// Media frames of one stream and layer put together at a time. Full: the oldest is given up.
pub const ASSEMBLY_FRAMES_MAX: usize = 8;
/// Bytes of media frames being put together, of all streams. Full: the oldest is given up.
pub const ASSEMBLY_BYTES_MAX: usize = 4 << 20;
/// What one piece is charged beyond its content, in bytes, so that empty ones are bounded too.
pub const ASSEMBLY_PIECE_COST: usize = 64;
/// Streams and layers that are put together. Full: the one unheard for longest is forgotten.
pub const ASSEMBLY_STREAMS_MAX: usize = 256;
/// Media events that wait for the application. Full: the oldest is dropped and counted.
pub const MEDIA_EVENTS_MAX: usize = 1_024;
/// Bytes of media events that wait. Full: the oldest is dropped and counted.
pub const MEDIA_EVENTS_BYTES_MAX: usize = 8 << 20;
/// Bytes of frames that wait in one subscription of a client. Full: the oldest goes and is counted.
pub const SUBSCRIPTION_BYTES_MAX: usize = 8 << 20;
/// Other events that wait. Full: the oldest that only informs is dropped and counted.
pub const NEWS_MAX: usize = 64;
/// Sealed datagrams that wait to be sent. Full: what is published is refused.
pub const OUTBOX_MAX: usize = 1_024;
/// Core frames kept after they went out, to be sent again if the relay says they are missing: as many
/// as a PONG can name. Older ones are given up.
pub const CORE_KEPT: usize = 32;
/// How often one Core frame is sent again.
pub const CORE_RESENDS: u8 = 8;
/// How soon after a Core frame the relay is asked whether it has come.
pub const CORE_CHECK: Span = Span::from_millis(200);
/// How far ahead of the granted rate published frames may leave: less than relays forgive, and what the
/// receive buffers of most systems hold.
pub const PACE_BURST: Span = Span::from_millis(10);
/// How long a goodbye waits for what is queued.
pub const LEAVE_DRAIN: Span = Span::from_millis(500);
/// Streams and layers a participant counts datagrams of. Full: the longest unused and unpublished goes.
pub const PUBLISHED_MAX: usize = 256;
/// Kicks and key frame requests that wait to be sent. Full: refused.
pub const ERRANDS_MAX: usize = 16;
/// Path challenges that wait for their answer. Full: the oldest is forgotten, the relay asks again.
pub const CHALLENGES_MAX: usize = 4;
/// How long nothing answers before the application is told, and how often it is told again.
pub const WAITING_EVERY: Span = Span::from_secs(5);
/// How often a goodbye is said: nobody confirms one.
pub const LEAVE_COPIES: u8 = 3;
/// Readings of the relay's clock kept, to take the best of.
pub const CLOCK_SAMPLES: usize = 16;
/// How long a client certifies its static key, in seconds: a week. Renewed with every connection,
/// and while none can be had.
pub const CERTIFICATE_LIFE_S: u32 = 7 * 86_400;
/// How long one of a relay's addresses is asked before the next one, until one answers.
pub const TARGET_TURN: Span = Span::from_millis(1_500);
/// Sockets a client has left and still hears. Full: the newest of them goes, because the relay is most
/// likely to send to the oldest.
pub const OLD_SOCKETS_MAX: usize = 4;
/// Between two sockets of a client, when the kernel refuses.
pub const REBIND_EVERY: Span = Span::from_secs(1);
/// What a client's socket asks for as its receive buffer, in bytes; the kernel may grant less.
pub const CLIENT_BUFFER_BYTES: usize = 2 << 20;
/// Between two goodbyes.
pub const LEAVE_PAUSE: Span = Span::from_millis(50);

// ---- The cycle -----------------------------------------------------------------------------------

/// Trains (received messages, each one or more datagrams) a shard takes in per cycle; what is left
/// waits in the kernel's queue for the next one.
pub const CYCLE_TRAINS_MAX: usize = 256;
/// Sends a shard takes on per cycle; a further segment of a send counts a quarter of one. At the wall the
/// rest of what has arrived waits for the next cycle, so that one talkative session cannot keep commands,
/// timers and other sessions waiting. One datagram is never cut in two: the last one may go past the wall
/// by [`SLICE_MEMBERS_MAX`], and if it is a bundle, by that for each frame in it.
pub const CYCLE_SENDS_MAX: usize = 2_000;
/// Members up to which a session's frames leave in the cycle that took them in; above, in slices.
pub const SLICE_MEMBERS_MAX: usize = 512;
/// Sends a shard spends per cycle on sessions that large, all together: about a millisecond.
pub const SLICE_SENDS_MAX: usize = 512;
/// Slices a shard that stops still sends: a second's. The rest is dropped.
pub const LAST_SLICES_MAX: usize = 1_000;
/// Sessions that large with frames on their way. Full: their frames are `Congested`.
pub const MARCHES_MAX: usize = 64;
/// Control frames a shard sends per cycle besides answers: pages, deltas, marks. More wait.
pub const CYCLE_CONTROL_MAX: usize = 256;
/// Participants a shard looks at per cycle after a reload, for those who are banned.
pub const CYCLE_SWEEP_MAX: usize = 256;
/// Commands a shard takes from its mailbox per cycle.
pub const CYCLE_COMMANDS_MAX: usize = 64;
/// Participants a shard forgets per cycle because they have been silent; sessions it looks at for that.
pub const CYCLE_EXPIRIES_MAX: usize = 256;
/// Slots in a mailbox, either direction. Full: commands wait with their sender, notices are counted lost.
pub const MAILBOX_SLOTS: usize = 1_024;
/// Sessions one page of a listing carries.
pub const PAGE_SESSIONS_MAX: usize = 1_024;
/// How old the shard's idea of the calendar may become before it reads the wall clock again.
pub const CALENDAR_EVERY: Span = Span::from_secs(1);
/// How old a shard's idea of its own load may become before it is read again.
pub const LOAD_EVERY: Span = Span::from_millis(100);
/// A shard that works this much of a cpu, in permille, is loaded.
pub const LOADED_ABOVE: u64 = 500;
/// A loaded shard that works less than this, in permille of a cpu, is loaded no more.
pub const LOADED_BELOW: u64 = 250;
/// Granularity of how long small frames wait.
pub const HOLD_TICK: Span = Span::from_millis(1);
/// Granularity of a session's chores: deltas and marks.
pub const CHORE_TICK: Span = Span::from_millis(20);
/// Granularity of the shard's timers.
pub const TIMER_TICK: Span = Span::from_millis(250);

// ---- Buffers -------------------------------------------------------------------------------------

/// Receive buffers a shard owns, each large enough for a whole GRO train.
pub const RECEIVE_BUFFERS: usize = 256;
/// Buffers for what is on its way to very many members. All in use: its frames are `Congested`.
pub const LASTING_BUFFERS: usize = 64;
/// Bytes of each. Full: the session's further frames are `Congested` for the moment.
pub const LASTING_BUFFER: usize = 1 << 16;
/// Sends queued before the back end must hand them to the kernel.
pub const SEND_QUEUE: usize = 1_024;
/// Bytes of datagrams a shard made itself (WELCOME, control) that a back end keeps until the kernel takes
/// them. Full: what is queued is handed over first; the datagram is `busy` when the kernel takes nothing.
pub const SEND_ARENA: usize = 256 << 10;
/// Tags of sends lie below this; 0 is nobody's.
pub const SEND_TAGS: u32 = 1 << 23;
/// Refused sends a back end remembers until the shard asks. Full: further ones are in no receiver's count.
pub const REFUSALS_MAX: usize = 8_192;
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

// ---- How bounds are written -------------------------------------------------------------------------

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

/// A rate with room to breathe: so many a second on average, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// On average.
    pub per_s: u64,
    /// At once.
    pub burst: u64,
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
// PING, both wishes and a few answers stand in one control frame: the first after WELCOME.
const _: () = assert!(19 + 8 + 14 * WISHES_MAX + 7 + 5 * OWN_STREAMS_MAX + 44 <= CONTROL_MAX);
// A ping alone shows a new address: header, message, tag.
const _: () = assert!(HEADER_LEN + 19 + TAG_LEN >= PATH_DATAGRAM_MIN);
const _: () = assert!(PACE_BURST.as_nanos() < V1_BURST.as_nanos());
// What is sealed last by the connection before has as long to arrive, and to be repaired, as it was used.
const _: () = assert!(DATA_FOLLOWS.as_nanos() * 2 < OLD_CONNECTION.as_nanos());
const _: () = assert!(GET_AGAIN.as_nanos() > GET_EVERY.as_nanos());
// The largest media frame, in frames of 640 bytes, fits an empty outbox and its share of events.
const _: () = assert!(OUTBOX_MAX * (640 - V1_OVERHEAD - 16) >= MEDIA_CONTENT_MAX);
const _: () = assert!(MEDIA_CONTENT_MAX <= MEDIA_EVENTS_BYTES_MAX);
const _: () = assert!(MEDIA_CONTENT_MAX <= SUBSCRIPTION_BYTES_MAX);
const _: () = assert!(2 * MEDIA_CONTENT_MAX <= ASSEMBLY_BYTES_MAX);
const _: () = assert!(PEERS_PER_SESSION_DEFAULT <= PEERS_PER_SESSION_MAX);
const _: () = assert!(PEERS_PER_SESSION_MAX <= V0_PARTICIPANTS_MAX);
const _: () = assert!(V0_PER_IP_DEFAULT <= V0_PER_IP_MAX);
// A lone participant must not outlive one in company.
const _: () = assert!(V0_ALONE.as_nanos() < V0_SILENCE.as_nanos());
// The relay still has the WELCOME when the client repeats its HELLO for the last time.
const _: () = assert!(HELLO_FRESH.as_nanos() < HALF_OPEN.as_nanos());
// Cookies are asked for long before the half-open are too many.
const _: () = assert!(COOKIELESS_HALF_OPEN < HALF_OPEN_MAX && HALF_OPEN_MAX <= V1_PARTICIPANTS_MAX);
// Three pings may be lost before a participant counts as stale.
const _: () = assert!(V1_PING_MS as u64 * 1_000_000 * 4 < V1_STALE.as_nanos());
const _: () = assert!(V1_STALE.as_nanos() < V1_SILENCE.as_nanos());
// Loaded and not loaded must lie apart, or a shard would be both in turns.
const _: () = assert!(LOADED_BELOW < LOADED_ABOVE && LOADED_ABOVE <= 1_000);
// Timers must be fine enough to tell the two apart.
const _: () = assert!(TIMER_TICK.as_nanos() * 4 <= V0_ALONE.as_nanos());
// Buffer rings are powers of two, and the kernel keeps their index in 16 bits.
const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two() && RECEIVE_BUFFERS <= 1 << 15);
const _: () = assert!(SEND_QUEUE.is_power_of_two());
// Every participant of v1 has a tag, and a completion carries it beside a count of datagrams in 7 bits.
const _: () = assert!(V1_PARTICIPANTS_MAX < SEND_TAGS as usize && SEND_TAGS <= 1 << 23);
const _: () = assert!(SEGMENTS_MAX < 1 << 7);
// A shard's longest datagram fits an empty arena; all that one cycle sends fits the memory of refusals.
const _: () = assert!(V1_FRAME_MAX <= SEND_ARENA);
const _: () = assert!(3 * CYCLE_SENDS_MAX + 4 * SLICE_SENDS_MAX <= REFUSALS_MAX);
const _: () = assert!(LIVELY_FRAMES == 2 * MARK_EVERY.as_nanos() / HOLD_TICK.as_nanos());
// Buffer numbers: the kernel's, those that last, the arena's.
const _: () = assert!(RECEIVE_BUFFERS + LASTING_BUFFERS < 1 << 15);
const _: () = assert!(CYCLE_TRAINS_MAX <= RECEIVE_BUFFERS);
