//! Who speaks next.

use elara_core::random::{Random, Seeded};

/// The same senders in every run.
const SEED: u64 = 0xE1A2;

/// Sessions in one shuffled order, over and over, and each time a random one of its participants. A session
/// that has spoken does not speak again before all others have, so nothing of one session meets in a
/// cycle of the relay and shares a send: each copy is a send of its own at every number of sessions.
pub(super) struct Draws {
    order: Vec<u32>,
    at: usize,
    participants: u32,
    random: Seeded,
}

impl Draws {
    pub(super) fn new(sessions: u32, participants: u32) -> Self {
        let mut random = Seeded::new(SEED);
        let mut order: Vec<u32> = (0..sessions).collect();
        // Fisher and Yates.
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        Self { order, at: 0, participants, random }
    }

    /// The number of a participant: those of the first session come first.
    #[inline]
    pub(super) fn next(&mut self) -> u32 {
        let session = self.order[self.at];
        self.at = (self.at + 1) % self.order.len();
        session * self.participants + self.random.below(self.participants.into()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_session_speaks_twice_before_all_have_spoken() {
        let mut draws = Draws::new(100, 10);
        for _ in 0..3 {
            let mut spoken = [false; 100];
            for _ in 0..100 {
                let session = draws.next() / 10;
                assert!(!std::mem::replace(&mut spoken[session as usize], true));
            }
        }
    }

    #[test]
    fn everybody_speaks_in_the_end_and_always_in_the_same_order() {
        let (mut a, mut b) = (Draws::new(10, 10), Draws::new(10, 10));
        let mut spoken = [false; 100];
        for _ in 0..2_000 {
            let who = a.next();
            assert_eq!(who, b.next());
            spoken[who as usize] = true;
        }
        assert_eq!(spoken, [true; 100]);
    }
}
