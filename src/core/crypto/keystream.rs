//! Randomness for keys without asking the operating system each time: a ChaCha20 key stream that
//! erases its own past.
//!
//! ```text
//!   key --ChaCha20, nonce 0--> | next key 32 | 480 bytes to hand out |
//! ```
//! Every refill replaces the key and every byte is wiped when it is handed out (fast key erasure), so
//! whoever reads the memory later learns nothing about keys made before. A shard takes its seed from the
//! operating system once; the simulator gives it one that can be repeated.

use super::secret::Secret;
use super::suite::{AeadKey, Suite};
use crate::random::{Random, SecureRandom};

/// Bytes made at a time, the next key included.
const BLOCK: usize = 512;
const KEY: usize = 32;

/// A stream of random bytes that follows from 32 secret ones.
#[derive(Debug)]
pub struct KeyStream {
    block: Secret<BLOCK>,
    /// Bytes of the block that are used up; the first 32 are the next key.
    used: usize,
}

impl KeyStream {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: &Secret<32>) -> Self {
        let mut block = Secret::new([0; BLOCK]);
        block.expose_mut()[..KEY].copy_from_slice(seed.expose());
        Self { block, used: BLOCK }
    }

    fn refill(&mut self) {
        let block = self.block.expose_mut();
        let mut key = [0; KEY];
        key.copy_from_slice(&block[..KEY]);
        let cipher = AeadKey::new(Suite::ChaChaPoly, &key);
        zeroize::Zeroize::zeroize(&mut key);
        block.fill(0);
        // The text is zero, so what comes out is the key stream itself; its tag is of no use here.
        let _ = cipher.seal([0; 12], &[], block);
        self.used = KEY;
    }
}

impl Random for KeyStream {
    fn next_u64(&mut self) -> u64 {
        if self.used + 8 > BLOCK {
            self.refill();
        }
        let fresh = &mut self.block.expose_mut()[self.used..self.used + 8];
        let mut word = [0; 8];
        word.copy_from_slice(fresh);
        fresh.fill(0);
        self.used += 8;
        u64::from_le_bytes(word)
    }
}

/// As good as its seed.
impl SecureRandom for KeyStream {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    fn stream(seed: u8) -> KeyStream {
        KeyStream::new(&Secret::new([seed; 32]))
    }

    #[test]
    fn a_stream_follows_from_its_seed_and_never_repeats_itself() {
        let (mut a, mut b, mut c) = (stream(1), stream(1), stream(2));
        let words: alloc::vec::Vec<u64> = (0..1_000).map(|_| a.next_u64()).collect();
        assert!(words.iter().all(|word| *word == b.next_u64()));
        assert_ne!(words[0], c.next_u64());
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), 1_000);
    }

    #[test]
    fn what_was_handed_out_is_gone() {
        let mut stream = stream(3);
        let word = stream.next_u64().to_le_bytes();
        assert!(!stream.block.expose().windows(8).any(|bytes| bytes == word));
    }
}
