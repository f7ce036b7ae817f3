//! Base64url without padding (RFC 4648 section 5), for what stands in a join address.
//!
//! Strict: one byte string has one spelling, so bits left over in the last letter must be zero.
//! Reading looks letters up by arithmetic on ranges, not in a table; it is not held to constant
//! time, because a join address is read once and by its owner.

use alloc::string::String;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends `bytes` to `out`.
pub fn write(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for letter in 0..=chunk.len() {
            let index = word >> (18 - 6 * letter) & 0x3F;
            out.push(char::from(ALPHABET[index as usize]));
        }
    }
}

/// The `N` bytes that `text` spells; `None` when it spells anything else.
#[must_use]
pub fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != (N * 8).div_ceil(6) {
        return None;
    }
    let mut out = [0; N];
    for (letters, bytes) in text.chunks(4).zip(out.chunks_mut(3)) {
        let mut word = 0;
        for (at, &letter) in letters.iter().enumerate() {
            word |= value(letter)? << (18 - 6 * at);
        }
        let [_, spelled @ ..] = word.to_be_bytes();
        let (kept, left_over) = spelled.split_at(bytes.len());
        if left_over.iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.copy_from_slice(kept);
    }
    Some(out)
}

const fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut out = String::new();
        write(&mut out, bytes);
        out
    }

    #[test]
    fn rfc_4648_section_10() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")]
        {
            assert_eq!(written(bytes.as_bytes()), text);
        }
        assert_eq!(read::<4>("Zm9vYg"), Some(*b"foob"));
        assert_eq!(read::<0>(""), Some([]));
        assert_eq!(written(&[0xFB, 0xFF, 0xFE]), "-__-");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: [u8; 256] = core::array::from_fn(|i| i as u8);
        assert_eq!(read(&written(&all)), Some(all));
    }

    #[test]
    fn one_byte_string_has_one_spelling() {
        assert_eq!(read::<1>("Zg"), Some(*b"f"));
        for wrong in ["Zh", "Zx", "Z", "Zg=", "Zg==", "Z+", "Z/", "Z ", "", "Zgg"] {
            assert_eq!(read::<1>(wrong), None, "{wrong}");
        }
    }
}
