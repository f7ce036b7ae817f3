//! Base64 with padding (RFC 4648 section 4): nonces, and passwords made of a shared secret.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in `M` letters.
pub(super) fn encode<const N: usize, const M: usize>(bytes: &[u8; N]) -> [u8; M] {
    const { assert!(M == N.div_ceil(3) * 4, "three bytes are four letters") };
    let mut letters = [b'='; M];
    for (chunk, out) in bytes.chunks(3).zip(letters.chunks_mut(4)) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for (at, letter) in out.iter_mut().take(chunk.len() + 1).enumerate() {
            *letter = ALPHABET[(word >> (18 - 6 * at) & 0x3F) as usize];
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10() {
        assert_eq!(encode(b"f"), *b"Zg==");
        assert_eq!(encode(b"fo"), *b"Zm8=");
        assert_eq!(encode(b"foo"), *b"Zm9v");
        assert_eq!(encode(b"foobar"), *b"Zm9vYmFy");
        assert_eq!(encode(&[0xFB, 0xFF, 0xFE]), *b"+//+");
    }
}
