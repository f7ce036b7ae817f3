//! SHA-256, HMAC and HKDF over it (RFC 2104, RFC 5869), each over a message given in parts.

use ring::{digest, hmac};

use super::secret::Secret;

/// Bytes of a SHA-256 digest.
pub const HASH_LEN: usize = 32;

/// SHA-256 of the parts, one after another.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; HASH_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    first(context.finish().as_ref())
}

/// HMAC-SHA-256 of the parts, one after another.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; HASH_LEN] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    first(context.sign().as_ref())
}

/// The first sixteen bytes of [`hmac()`]: what the wire calls HMAC16.
#[must_use]
pub fn hmac16(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    first(&hmac(key, parts))
}

/// HKDF-Extract (RFC 5869 section 2.2).
#[must_use]
pub fn extract(salt: &[u8], key_material: &[u8]) -> Secret<HASH_LEN> {
    Secret::new(hmac(salt, &[key_material]))
}

/// HKDF-Expand (RFC 5869 section 2.3) to `N` bytes, its info given in parts.
#[must_use]
pub fn expand<const N: usize>(prk: &Secret<HASH_LEN>, info: &[&[u8]]) -> Secret<N> {
    const { assert!(N <= 255 * HASH_LEN, "HKDF gives at most 255 blocks") };
    let key = hmac::Key::new(hmac::HMAC_SHA256, prk.expose());
    let mut out = Secret::new([0; N]);
    let mut last = Secret::new([0; HASH_LEN]);
    for (index, block) in out.expose_mut().chunks_mut(HASH_LEN).enumerate() {
        let mut context = hmac::Context::with_key(&key);
        if index > 0 {
            context.update(last.expose());
        }
        for part in info {
            context.update(part);
        }
        context.update(&[index as u8 + 1]);
        last = Secret::new(first(context.sign().as_ref()));
        block.copy_from_slice(&last.expose()[..block.len()]);
    }
    out
}

/// SHA-256 step by step, for the Noise state machine.
pub(super) struct Sha256(digest::Context);

impl Sha256 {
    pub(super) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of what was said since the last one, beginning anew.
    pub(super) fn finish(&mut self) -> [u8; HASH_LEN] {
        let context = core::mem::replace(self, Self::new()).0;
        first(context.finish().as_ref())
    }
}

/// The first `N` bytes of a digest.
fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest[..N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex::bytes;

    #[test]
    fn rfc_5869_test_case_1() {
        let prk = extract(&bytes::<13>("000102030405060708090a0b0c"), &[0x0b; 22]);
        let expected = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
        assert_eq!(*prk.expose(), bytes(expected));
        let okm = expand::<42>(&prk, &[&bytes::<10>("f0f1f2f3f4f5f6f7f8f9")]);
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                        34007208d5b887185865";
        assert_eq!(*okm.expose(), bytes(expected));
    }

    #[test]
    fn rfc_5869_test_case_2_in_parts() {
        let run = |from: u8| -> [u8; 80] { core::array::from_fn(|i| from.wrapping_add(i as u8)) };
        let prk = extract(&run(0x60), &run(0x00));
        let info = run(0xb0);
        let okm = expand::<82>(&prk, &[&info[..1], &[], &info[1..]]);
        let expected = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
                        59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
                        cc30c58179ec3e87c14c01d5c1f3434f1d87";
        assert_eq!(*okm.expose(), bytes(expected));
    }

    #[test]
    fn rfc_4231_test_case_2() {
        let mac = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(mac, bytes(expected));
        assert_eq!(hmac16(b"Jefe", &[b"what do ya want for nothing?"]), mac[..16]);
    }

    #[test]
    fn sha_256_of_abc() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&[b"a", b"bc"]), bytes(expected));
    }
}
