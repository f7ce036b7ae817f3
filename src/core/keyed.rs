//! The hash of tables whose entries strangers choose: keyed, so that nobody can make them collide.

use core::fmt;
use core::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher13;

/// SipHash-1-3 under two secret words.
#[derive(Clone, Copy)]
pub struct Keyed(pub u64, pub u64);

impl Keyed {
    /// The hash of `bytes`, in one piece.
    #[inline]
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn another_key_is_another_hash_and_debug_tells_neither() {
        assert_eq!(Keyed(1, 2).hash(b"elara"), Keyed(1, 2).hash(b"elara"));
        assert_ne!(Keyed(1, 2).hash(b"elara"), Keyed(1, 3).hash(b"elara"));
        assert_eq!(format!("{:?}", Keyed(0x5EC1, 2)), "Keyed(..)");
    }
}
