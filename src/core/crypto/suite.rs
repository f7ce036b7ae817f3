//! The two cipher suites, and the only door to an AEAD.
//!
//! A frame's suite nibble names one: 0 is ChaCha20-Poly1305, 1 is AES-256-GCM (the default where
//! the processor has AES instructions); both with SHA-256. Behind the door stands ring; another
//! implementation would change this file and no other. Nothing here allocates.
//!
//! ring 0.17 opens 1,200 bytes of AES-256-GCM two to four times as fast as it checks a tag over as
//! many bytes of associated data; `hop` is built on that difference.

use core::fmt;

use ring::aead;

use crate::limits::TAG_LEN;

/// Bytes of every AEAD key.
pub const KEY_LEN: usize = 32;
/// Bytes of every nonce and of the iv it is made from.
pub const NONCE_LEN: usize = 12;
/// A nonce: never twice under one key.
pub type Nonce = [u8; NONCE_LEN];
/// What an AEAD adds.
pub type Tag = [u8; TAG_LEN];

/// A cipher suite of wire v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Suite {
    /// ChaCha20-Poly1305 (RFC 8439) and SHA-256.
    ChaChaPoly = 0,
    /// AES-256-GCM (NIST SP 800-38D) and SHA-256.
    AesGcm = 1,
}

impl Suite {
    /// Both suites, in wire order.
    pub const ALL: [Self; 2] = [Self::ChaChaPoly, Self::AesGcm];

    /// The suite a header's lower nibble names, if it names one.
    #[must_use]
    pub const fn from_nibble(nibble: u8) -> Option<Self> {
        match nibble {
            0 => Some(Self::ChaChaPoly),
            1 => Some(Self::AesGcm),
            _ => None,
        }
    }

    /// The first byte of every v1 frame of this suite.
    #[must_use]
    pub const fn first_byte(self) -> u8 {
        0x10 | self as u8
    }

    const fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::ChaChaPoly => &aead::CHACHA20_POLY1305,
            Self::AesGcm => &aead::AES_256_GCM,
        }
    }
}

/// The tag does not belong to these bytes under this key: damaged, forged, or another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BadTag;

/// An AEAD key, expanded for use: about 0.5 KiB.
pub struct AeadKey {
    suite: Suite,
    key: aead::LessSafeKey,
}

impl AeadKey {
    /// Expands `key`.
    #[must_use]
    pub fn new(suite: Suite, key: &[u8; KEY_LEN]) -> Self {
        let key = aead::UnboundKey::new(suite.algorithm(), key);
        let key = key.expect("both algorithms take keys of 32 bytes");
        Self { suite, key: aead::LessSafeKey::new(key) }
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Encrypts `content` where it stands; returns the tag over it and `aad`.
    ///
    /// # Panics
    /// Above 64 GiB of content.
    #[inline]
    #[must_use]
    pub fn seal(&self, nonce: Nonce, aad: &[u8], content: &mut [u8]) -> Tag {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), content);
        let tag = tag.expect("content is shorter than 64 GiB");
        let mut bytes = [0; TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Decrypts `content` where it stands, if `tag` belongs to it and `aad`.
    ///
    /// # Errors
    /// [`BadTag`]; then what `content` holds means nothing.
    #[inline]
    pub fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        content: &mut [u8],
        tag: &Tag,
    ) -> Result<(), BadTag> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = aead::Tag::from(*tag);
        let opened =
            self.key.open_in_place_separate_tag(nonce, aead::Aad::from(aad), tag, content, 0..);
        opened.map(|_| ()).map_err(|_| BadTag)
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AeadKey({:?}, ..)", self.suite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex::bytes;

    #[test]
    fn rfc_8439_section_2_8_2() {
        let key: [u8; 32] = core::array::from_fn(|i| 0x80 + i as u8);
        let nonce = bytes("070000004041424344454647");
        let aad = bytes::<12>("50515253c0c1c2c3c4c5c6c7");
        let mut text = *b"Ladies and Gentlemen of the class of '99: \
If I could offer you only one tip for the future, sunscreen would be it.";
        let plain = text;
        let key = AeadKey::new(Suite::ChaChaPoly, &key);
        let tag = key.seal(nonce, &aad, &mut text);
        assert_eq!(tag, bytes("1ae10b594f09e26a7e902ecbd0600691"));
        assert_eq!(text[..16], bytes::<16>("d31a8d34648e60db7b86afbc53ef7ec2"));
        assert_eq!((key.open(nonce, &aad, &mut text, &tag), text), (Ok(()), plain));
    }

    #[test]
    fn gcm_specification_test_case_16() {
        let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce = bytes("cafebabefacedbaddecaf888");
        let aad = bytes::<20>("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let mut text = bytes::<60>(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95\
             956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let key = AeadKey::new(Suite::AesGcm, &key);
        let tag = key.seal(nonce, &aad, &mut text);
        assert_eq!(tag, bytes("76fc6ece0f4e1768cddf8853bb2d551b"));
        assert_eq!(text[..16], bytes::<16>("522dc1f099567d07f47f37a32a84427d"));
    }

    #[test]
    fn any_flipped_bit_is_a_bad_tag() {
        for suite in Suite::ALL {
            let key = AeadKey::new(suite, &[7; 32]);
            let mut sealed = *b"content";
            let tag = key.seal([1; 12], b"aad", &mut sealed);
            let open = |nonce, aad: &[u8], mut content: [u8; 7], tag: Tag| {
                key.open(nonce, aad, &mut content, &tag)
            };
            assert_eq!(open([1; 12], b"aad", sealed, tag), Ok(()));
            assert_eq!(open([2; 12], b"aad", sealed, tag), Err(BadTag));
            assert_eq!(open([1; 12], b"aae", sealed, tag), Err(BadTag));
            for bit in 0..56 {
                let mut broken = sealed;
                broken[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open([1; 12], b"aad", broken, tag), Err(BadTag));
            }
            for bit in 0..128 {
                let mut broken = tag;
                broken[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open([1; 12], b"aad", sealed, broken), Err(BadTag));
            }
        }
    }
}
