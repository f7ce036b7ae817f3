//! Who speaks next, and how long.

use elara_core::random::{Random, Seeded};

/// The same senders in every run.
const SEED: u64 = 0xE1A2;

/// How many times in a row the frames of one session grow by a byte.
pub(super) const LENGTHS: u16 = 16;

/// Sessions in one shuffled order, over and over, and each time a random one of its participants. A session
/// that has spoken does not speak again before all others have, so its frames rarely meet in a cycle of
/// the relay. Where they do, on a busy machine with few sessions, the later one is longer, and
/// cannot share a send: each copy is a send of its own at every number of sessions.
pub(super) struct Draws {
    order: Vec<u32>,
    at: usize,
    /// How often all have spoken.
    pass: u16,
    participants: u32,
    random: Seeded,
}

/// One frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Draw {
    /// The number of a participant: those of the first session come first.
    pub(super) member: u32,
    /// Bytes beyond those of the shortest frame.
    pub(super) longer: u16,
}

impl Draws {
    pub(super) fn new(sessions: u32, participants: u32) -> Self {
        let mut random = Seeded::new(SEED);
        let mut order: Vec<u32> = (0..sessions).collect();
        // Fisher and Yates.
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        Self { order, at: 0, pass: 0, participants, random }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Draw {
        let session = self.order[self.at];
        let participant = self.random.below(self.participants.into()) as u32;
        let longer = self.pass % LENGTHS;
        self.at += 1;
        if self.at == self.order.len() {
            self.at = 0;
            self.pass = self.pass.wrapping_add(1);
        }
        Draw { member: session * self.participants + participant, longer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_session_speaks_twice_before_all_have_spoken() {
        let mut draws = Draws::new(100, 10);
        for longer in 0..3 {
            let mut spoken = [false; 100];
            for _ in 0..100 {
                let draw = draws.next();
                let session = draw.member / 10;
                assert_eq!(draw.longer, longer, "longer each time");
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
            spoken[who.member as usize] = true;
        }
        assert_eq!(spoken, [true; 100]);
    }
}
