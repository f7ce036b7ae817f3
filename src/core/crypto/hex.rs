//! Hexadecimal for this crate's own tests, so that their vectors look as they are printed.

/// The `N` bytes that `hex` spells.
///
/// # Panics
/// When it spells another number of bytes, or none.
pub(crate) fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N, "{hex}");
    core::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}
