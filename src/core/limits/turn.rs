//! Bounds of STUN and TURN.

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

// ---- Arguments between bounds --------------------------------------------------------------------

// A challenge with the longest realm, a nonce of 128 bytes, both password algorithms and every unknown
// attribute that is named still fits, and so do a SHA-256 tag and a FINGERPRINT behind it.
const _: () = assert!(
    20 + 8 + (4 + STUN_TEXT_MAX + 1) + (4 + 128) + 12 + (4 + 2 * STUN_UNKNOWN_MAX) + 36 + 8
        <= STUN_MESSAGE_MAX
);
const _: () = assert!(STUN_BINDING_MAX <= STUN_MESSAGE_MAX);
const _: () = assert!(STUN_USERNAME_MAX <= STUN_TEXT_MAX);
