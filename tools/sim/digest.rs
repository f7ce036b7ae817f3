//! A 64-bit digest of bytes and numbers: fast, the same everywhere, and not for keys.

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Mixes one number into a digest.
#[inline]
pub(crate) const fn fold(digest: u64, number: u64) -> u64 {
    (digest ^ number).wrapping_mul(MULTIPLIER).rotate_left(31)
}

/// The digest of bytes.
#[inline]
pub(crate) fn of(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut digest = fold(MULTIPLIER, bytes.len() as u64);
    for word in &mut words {
        digest = fold(digest, u64::from_le_bytes(word.try_into().unwrap_or_default()));
    }
    for byte in words.remainder() {
        digest = fold(digest, u64::from(*byte));
    }
    fold(digest, digest >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_changes_the_digest() {
        let bytes = [7u8; 43];
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(&bytes), of(&flipped), "bit {bit}");
        }
        assert_ne!(of(&bytes[..42]), of(&bytes));
    }
}
