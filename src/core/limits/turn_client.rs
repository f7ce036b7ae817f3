//! Bounds of the client's side of STUN and TURN.

use crate::time::Span;

/// The pause before a request is sent again for the first time; it doubles (RFC 8489 section 6.2.1, RTO).
pub const STUN_RTO: Span = Span::from_millis(500);
/// How often a request is sent in all (RFC 8489 section 6.2.1, Rc).
pub const STUN_SENDS_MAX: u32 = 7;
/// After the last time an answer has so many first pauses to come (RFC 8489 section 6.2.1, Rm); then the
/// request has failed.
pub const STUN_LAST_PAUSES: u64 = 16;
/// How long before its end an allocation, a permission or a channel is asked for again: longer than a
/// request may take. What ends sooner than twice this is asked for at half its time.
pub const TURN_REFRESH_AHEAD: Span = Span::from_secs(60);
/// How long a server keeps a permission (RFC 8656 section 9). A channel lasts twice as long, and binding it
/// again installs its permission anew, so both are asked for by this.
pub const TURN_PERMISSION: Span = Span::from_secs(300);
/// Peers of one allocation that a client permits or binds. More: refused where they are asked for.
pub const TURN_CLIENT_PEERS_MAX: usize = 16;
/// The first channel a client binds; the others follow. RFC 8656 section 12 ends them at 0x4FFF.
pub const TURN_CHANNEL_FIRST: u16 = 0x4000;
/// Events of a TURN client that wait for whoever runs it. Full: the oldest is dropped.
pub const TURN_CLIENT_EVENTS_MAX: usize = 64;
/// How often in a row a server may ask for credentials, or call the nonce stale that it has just given. More:
/// the request has failed.
pub const TURN_CHALLENGES_MAX: u32 = 4;
/// Bytes of the password algorithms a server offers: both there are take eight. More: the request has failed.
pub const TURN_ALGORITHMS_MAX: usize = 64;
/// How long credentials are made for from a shared secret, in seconds: a day.
pub const TURN_LOGIN_LIFE_S: u32 = 86_400;
/// How long before their end another allocation with fresh ones takes over, in seconds.
pub const TURN_RENEW_AHEAD_S: u32 = 900;
/// How long a client that may choose waits for its relay to answer directly, once each of the relay's
/// addresses has been asked, before it asks by a TURN server.
pub const TURN_FALLBACK: Span = Span::from_millis(500);
/// How many addresses of a relay are asked directly before that.
pub const TURN_FALLBACK_TARGETS: u32 = 3;
/// Between two allocations of a client, when the server refuses.
pub const TURN_AGAIN: Span = Span::from_secs(5);
/// How long a client waits for its own address to be told.
pub const REFLEXIVE_PATIENCE: Span = Span::from_secs(8);

// ---- Arguments between bounds --------------------------------------------------------------------

// RFC 8489 section 6.2.1 with its defaults: sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, given up at
// 39.5 s.
const PATIENCE: u64 = STUN_RTO.as_nanos() * ((1 << (STUN_SENDS_MAX - 1)) - 1 + STUN_LAST_PAUSES);
const _: () = assert!(PATIENCE == 39_500_000_000);
const _: () = assert!(PATIENCE < TURN_REFRESH_AHEAD.as_nanos());
const _: () = assert!(TURN_REFRESH_AHEAD.as_nanos() * 2 <= TURN_PERMISSION.as_nanos());
const _: () = assert!(TURN_CHANNEL_FIRST as usize + TURN_CLIENT_PEERS_MAX <= 0x5000);
const _: () = assert!(TURN_RENEW_AHEAD_S < TURN_LOGIN_LIFE_S);
