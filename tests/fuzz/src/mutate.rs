//! Seeded mutations: from one number and a corpus, the same inputs everywhere.

use elara_core::random::{Random, Seeded};

/// Inputs grow no longer than this; a frame ends at 1,400 bytes.
const LONGEST: usize = 1_500;

/// Numbers at which length checks tend to break.
const EDGES: [u8; 12] = [0, 1, 2, 13, 15, 16, 30, 31, 127, 128, 254, 255];

/// An endless stream of inputs.
pub struct Mutator {
    corpus: Vec<Vec<u8>>,
    random: Seeded,
}

impl Mutator {
    /// The stream that belongs to `corpus` and `seed`.
    #[must_use]
    pub fn new(corpus: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { corpus, random: Seeded::new(seed) }
    }

    /// Writes the next input into `input`.
    pub fn next_into(&mut self, input: &mut Vec<u8>) {
        input.clear();
        if let Some(start) = self.pick() {
            input.extend_from_slice(&self.corpus[start]);
        }
        for _ in 0..=self.random.below(4) {
            self.change(input);
        }
        input.truncate(LONGEST);
    }

    fn pick(&mut self) -> Option<usize> {
        (!self.corpus.is_empty()).then(|| self.random.below(self.corpus.len() as u64) as usize)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() as u64) as usize;
        let byte = self.random.next_u64() as u8;
        match self.random.below(9) {
            0 if !input.is_empty() => input[at] ^= 1 << (byte & 7),
            1 if !input.is_empty() => input[at] = byte,
            2 if !input.is_empty() => input[at] = EDGES[usize::from(byte) % EDGES.len()],
            3 if !input.is_empty() => {
                input[at] = input[at].wrapping_add(byte & 31).wrapping_sub(16)
            }
            4 => input.truncate(at),
            5 if !input.is_empty() => {
                let end = input.len().min(at + 1 + usize::from(byte & 15));
                input.drain(at..end);
            }
            6 => input.insert(at, byte),
            7 if !input.is_empty() => {
                let end = input.len().min(at + 1 + usize::from(byte & 31));
                let copy = input[at..end].to_vec();
                input.extend(copy);
            }
            _ => {
                // The front of this one, the back of another.
                if let Some(other) = self.pick() {
                    let other = &self.corpus[other];
                    let from = self.random.below(other.len() as u64 + 1) as usize;
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let make = |seed| {
            let mut mutator = Mutator::new(vec![vec![1, 2, 3], vec![9; 40]], seed);
            let mut input = Vec::new();
            let mut all = Vec::new();
            for _ in 0..1_000 {
                mutator.next_into(&mut input);
                assert!(input.len() <= LONGEST);
                all.push(input.clone());
            }
            all
        };
        assert!(make(1) == make(1) && make(1) != make(2));
    }

    #[test]
    fn no_corpus_is_no_obstacle() {
        let mut mutator = Mutator::new(Vec::new(), 1);
        let mut input = Vec::new();
        (0..1_000).for_each(|_| mutator.next_into(&mut input));
    }
}
