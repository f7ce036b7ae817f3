//! The only door for randomness.
//!
//! Core never asks for entropy: whoever runs it passes a [`Random`]. In a node it is filled from the
//! operating system; in tests and in the simulator it is a [`Seeded`] stream, so that a run can be
//! repeated from the number it printed.

/// A source of random bits.
pub trait Random {
    /// 64 fresh random bits.
    fn next_u64(&mut self) -> u64;

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below 2^-32 for bounds under 2^32.
    fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift: the high half of a 128-bit product is uniform enough and needs no division.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with probability `per_million / 1_000_000`.
    fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// A source good enough for keys. Implementing it is the promise that nobody can guess the next bit:
/// an operating system's generator, or one seeded from it.
pub trait SecureRandom: Random {}

/// Makes keys from a source that anyone can guess, for tests, golden vectors and the simulator.
/// A [`Seeded`] is no [`SecureRandom`]; whoever wants it to be one must write this name.
#[derive(Clone, Debug)]
pub struct GuessableKeys<R>(pub R);

impl<R: Random> Random for GuessableKeys<R> {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl<R: Random> SecureRandom for GuessableKeys<R> {}

/// SplitMix64 (Steele, Lea, Flood 2014): the whole stream follows from one number.
/// For tests, simulation and load patterns; never for keys.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let (mut a, mut b) = (Seeded::new(7), Seeded::new(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
        assert_ne!(Seeded::new(7).next_u64(), Seeded::new(8).next_u64());
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut random = Seeded::new(1);
        let mut seen = [false; 10];
        for _ in 0..1_000 {
            seen[random.below(10) as usize] = true;
        }
        assert_eq!(seen, [true; 10]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn chance_knows_never_and_always() {
        let mut random = Seeded::new(1);
        assert!((0..1_000).all(|_| !random.chance(0)));
        assert!((0..1_000).all(|_| random.chance(1_000_000)));
    }
}
