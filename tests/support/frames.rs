//! v0 frames for tests: a header, a body that says what it is, sixteen zero bytes.

use elara_core::limits::{HEADER_LEN, TAG_LEN};
use elara_core::wire::Header;
use elara_core::{NodeId, SessionId};
use zerocopy::IntoBytes;

/// A v0 frame of `node` in `session` that carries `words`.
pub fn frame(session: u64, node: u64, words: &[u8]) -> Vec<u8> {
    let mut bytes = Header::v0(SessionId(session), NodeId(node)).as_bytes().to_vec();
    bytes.extend_from_slice(words);
    bytes.extend_from_slice(&[0; TAG_LEN]);
    bytes
}

/// A v0 frame that is `len` bytes long in all.
pub fn frame_of(session: u64, node: u64, len: usize, fill: u8) -> Vec<u8> {
    frame(session, node, &vec![fill; len - HEADER_LEN - TAG_LEN])
}
