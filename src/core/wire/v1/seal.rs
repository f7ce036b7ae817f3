//! The ranges of a seal: what is authenticated, what is encrypted, where the tag is.
//!
//! Frames hand these out, so that the code that knows keys computes no offset.

use crate::limits::TAG_LEN;

/// What an AEAD opens: it borrows from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Authenticated, and readable by everyone.
    pub aad: &'a [u8],
    /// The ciphertext; empty where only `aad` is protected.
    pub text: &'a [u8],
    /// The tag.
    pub tag: &'a [u8; TAG_LEN],
}

/// What an AEAD seals or opens in place: it borrows from the buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// Authenticated, and readable by everyone.
    pub aad: &'a [u8],
    /// Plaintext before, ciphertext after; empty where only `aad` is protected.
    pub text: &'a mut [u8],
    /// Where the tag belongs, or is.
    pub tag: &'a mut [u8; TAG_LEN],
}

/// The last sixteen bytes of a frame whose bounds have been checked, and all before them.
#[inline]
pub(crate) fn split_tag(bytes: &[u8]) -> (&[u8], &[u8; TAG_LEN]) {
    bytes.split_last_chunk().expect("a frame that passed its check has room for its tags")
}

/// The same, to be written.
#[inline]
pub(crate) fn split_tag_mut(bytes: &mut [u8]) -> (&mut [u8], &mut [u8; TAG_LEN]) {
    bytes.split_last_chunk_mut().expect("a frame that passed its check has room for its tags")
}
