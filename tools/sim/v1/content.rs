//! What members say: a canary, a name, and filler.
//!
//! ```text
//!   canary 16 | sender u32 | number u32 | filler
//! ```

use elara_core::random::Random;

use super::canary;

/// Bytes before the filler.
pub(crate) const FRONT: usize = canary::LEN + 8;

/// Writes a content of `len` bytes, at least [`FRONT`].
pub(crate) fn write(
    content: &mut Vec<u8>,
    marker: &[u8; canary::LEN],
    (sender, number): (u32, u32),
    len: usize,
    random: &mut impl Random,
) {
    content.clear();
    content.extend_from_slice(marker);
    content.extend_from_slice(&sender.to_le_bytes());
    content.extend_from_slice(&number.to_le_bytes());
    content.resize(len.max(FRONT), 0);
    random.fill(&mut content[FRONT..]);
}

/// Whose content it is, and which of theirs.
pub(crate) fn name_of(content: &[u8]) -> Option<(u32, u32)> {
    let word = |at: usize| content.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    Some((word(canary::LEN)?, word(canary::LEN + 4)?))
}
