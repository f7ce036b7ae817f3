//! FINGERPRINT: a CRC-32 that says "this is STUN" (RFC 8489 section 14.7).

use super::HEADER_LEN;

/// What keeps it apart from the CRC-32 of a protocol inside: "STUN".
const STUN: u32 = 0x5354_554E;

/// The value of FINGERPRINT behind `covered`; the length in `head` counts FINGERPRINT already.
pub(super) fn of(head: &[u8; HEADER_LEN], covered: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(covered);
    (crc.finalize() ^ STUN).to_be_bytes()
}
