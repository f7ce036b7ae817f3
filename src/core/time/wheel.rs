//! A timer wheel: one deadline per key, O(1) to arm and to cancel, no allocation after it is built.
//!
//! ```text
//!   slot:   0     1     2     3   ..  N-1        one slot = one tick
//!           |     |           |
//!          key7  key2        key9                doubly linked through `timers`
//!           |
//!          key4
//! ```
//! Deadlines round *up* to a tick, so a timer never fires early. A deadline further away than the
//! wheel is long stays in its slot and is passed over until its turn. Time never goes back:
//! `expire` with an earlier instant finds nothing.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::{Instant, Span};

const NONE: u32 = u32::MAX;

/// Timers for the keys `0..capacity`.
#[derive(Debug)]
pub struct Wheel {
    tick: u64,
    /// The first timer of each slot.
    slots: Box<[u32]>,
    timers: Vec<Timer>,
    /// The tick whose slot is looked at next.
    cursor: u64,
    /// Where in the cursor's slot the last bounded `expire` stopped.
    resume: u32,
    armed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    /// The tick it is due; `u64::MAX` when not armed.
    due: u64,
    next: u32,
    previous: u32,
}

const IDLE: Timer = Timer { due: u64::MAX, next: NONE, previous: NONE };

impl Wheel {
    /// A wheel of `slots` slots of one `tick` each. Keys are grown to on first use.
    ///
    /// # Panics
    /// When `tick` is zero or `slots` is zero.
    #[must_use]
    pub fn new(tick: Span, slots: usize, now: Instant) -> Self {
        assert!(tick > Span::ZERO && slots > 0, "a wheel needs a tick and a slot");
        let tick = tick.as_nanos();
        Self {
            tick,
            slots: vec![NONE; slots].into_boxed_slice(),
            timers: Vec::new(),
            cursor: now.as_nanos() / tick,
            resume: NONE,
            armed: 0,
        }
    }

    /// Timers that are armed.
    #[must_use]
    pub const fn armed(&self) -> usize {
        self.armed
    }

    /// Arms `key` for `deadline`, moving it when it was armed already.
    pub fn arm(&mut self, key: u32, deadline: Instant) {
        self.cancel(key);
        let index = key as usize;
        if index >= self.timers.len() {
            self.timers.resize(index + 1, IDLE);
        }
        let due = deadline.as_nanos().div_ceil(self.tick).max(self.cursor);
        let slot = self.slot_of(due);
        let next = self.slots[slot];
        if next != NONE {
            self.timers[next as usize].previous = key;
        }
        self.slots[slot] = key;
        self.timers[index] = Timer { due, next, previous: NONE };
        self.armed += 1;
    }

    /// Disarms `key`; nothing happens when it was not armed.
    pub fn cancel(&mut self, key: u32) {
        let Some(&timer) = self.timers.get(key as usize) else { return };
        if timer.due == u64::MAX {
            return;
        }
        if self.resume == key {
            self.resume = timer.next;
        }
        match timer.previous {
            NONE => {
                let slot = self.slot_of(timer.due);
                self.slots[slot] = timer.next;
            }
            previous => self.timers[previous as usize].next = timer.next,
        }
        if timer.next != NONE {
            self.timers[timer.next as usize].previous = timer.previous;
        }
        self.timers[key as usize] = IDLE;
        self.armed -= 1;
    }

    /// Moves an empty wheel to `now` in one step, so that the next `expire` does not walk there.
    pub fn skip_to(&mut self, now: Instant) {
        if self.armed == 0 {
            self.cursor = self.cursor.max(now.as_nanos() / self.tick);
            self.resume = NONE;
        }
    }

    /// Takes one timer that is due at `now`, disarmed; `None` when there is no more.
    /// Call until `None`, or stop early and go on later: nothing is lost.
    pub fn expire(&mut self, now: Instant) -> Option<u32> {
        let now = now.as_nanos() / self.tick;
        if self.armed == 0 {
            self.cursor = self.cursor.max(now);
            self.resume = NONE;
            return None;
        }
        while self.cursor <= now {
            let mut key = if self.resume == NONE {
                self.slots[self.slot_of(self.cursor)]
            } else {
                self.resume
            };
            while key != NONE {
                let timer = self.timers[key as usize];
                if timer.due <= self.cursor {
                    self.resume = NONE;
                    self.cancel(key);
                    self.resume = timer.next;
                    return Some(key);
                }
                key = timer.next;
            }
            self.resume = NONE;
            if self.cursor == now {
                return None;
            }
            self.cursor += 1;
        }
        None
    }

    /// The instant of the next tick worth waking for; `None` when nothing is armed.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        (self.armed > 0).then(|| Instant::from_nanos((self.cursor + 1).saturating_mul(self.tick)))
    }

    fn slot_of(&self, due: u64) -> usize {
        (due % self.slots.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Span::from_millis(millis)
    }

    fn wheel() -> Wheel {
        Wheel::new(Span::from_millis(10), 8, Instant::ZERO)
    }

    fn due(wheel: &mut Wheel, millis: u64) -> Vec<u32> {
        let mut keys: Vec<u32> = core::iter::from_fn(|| wheel.expire(at(millis))).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_timer_fires_once_and_never_early() {
        let mut wheel = wheel();
        wheel.arm(3, at(25));
        assert_eq!(due(&mut wheel, 24), []);
        assert_eq!(due(&mut wheel, 30), [3]);
        assert_eq!(due(&mut wheel, 1_000), []);
    }

    #[test]
    fn a_deadline_further_than_the_wheel_is_long_waits_its_turn() {
        let mut wheel = wheel();
        wheel.arm(1, at(500));
        assert_eq!(due(&mut wheel, 490), []);
        assert_eq!(due(&mut wheel, 500), [1]);
    }

    #[test]
    fn arming_again_moves_and_cancelling_disarms() {
        let mut wheel = wheel();
        wheel.arm(1, at(20));
        wheel.arm(2, at(20));
        wheel.arm(1, at(60));
        wheel.cancel(2);
        wheel.cancel(99);
        assert_eq!(due(&mut wheel, 50), []);
        assert_eq!(due(&mut wheel, 60), [1]);
        assert_eq!(wheel.armed(), 0);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once() {
        let mut wheel = wheel();
        assert_eq!(due(&mut wheel, 200), []);
        wheel.arm(5, at(30));
        assert_eq!(due(&mut wheel, 200), [5]);
    }

    #[test]
    fn stopping_half_way_loses_nothing() {
        let mut wheel = wheel();
        for key in 0..20 {
            wheel.arm(key, at(40));
        }
        let mut seen: Vec<u32> = (0..7).map(|_| wheel.expire(at(40)).unwrap()).collect();
        // What happens between two calls must not confuse the walk.
        wheel.arm(40, at(40));
        let next = (0..20).find(|key| !seen.contains(key)).unwrap();
        wheel.cancel(next);
        seen.extend(due(&mut wheel, 50));
        seen.sort_unstable();
        let expected: Vec<u32> = (0..20).filter(|key| *key != next).chain([40]).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_wheel_agrees_with_a_sorted_list() {
        use crate::random::{Random, Seeded};
        for seed in 0..50 {
            let (mut random, mut wheel) = (Seeded::new(seed), wheel());
            let mut model = alloc::collections::BTreeMap::new();
            let mut now = 0;
            for _ in 0..200 {
                let key = random.below(16) as u32;
                match random.below(4) {
                    0 => {
                        wheel.cancel(key);
                        model.remove(&key);
                    }
                    1 | 2 => {
                        let deadline = now + random.below(300);
                        wheel.arm(key, at(deadline));
                        model.insert(key, deadline.div_ceil(10).max(now / 10));
                    }
                    _ => {
                        now += random.below(120);
                        let expected: Vec<u32> = model
                            .iter()
                            .filter(|(_, due)| **due <= now / 10)
                            .map(|(key, _)| *key)
                            .collect();
                        model.retain(|_, due| *due > now / 10);
                        assert_eq!(due(&mut wheel, now), expected, "seed {seed}");
                    }
                }
                assert_eq!(wheel.armed(), model.len(), "seed {seed}");
            }
        }
    }
}
