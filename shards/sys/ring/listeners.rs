//! To which sockets the ring listens: the registered files, each with at most one multishot receive.
//!
//! ```text
//!   enter ─▶ owed ◀──────────────┐
//!              └─▶ armed ─▶ silent      it ends, and begins again when there are buffers
//!   leave ─▶ cancelled if armed ─▶ silent ─▶ finished ─▶ its slot is free
//! ```
//! Only the order of things is here; the ring queues the entries. What a completion says of a generation
//! that has left is not heard, and a slot is free only when nothing of that can come any more.

use std::collections::VecDeque;

use crate::sys::message::Family;

/// The slot of the first socket, which is there as long as the ring is, and is served first.
pub(super) const FIRST: u16 = 0;

/// The registered files.
pub(super) struct Listeners {
    slots: Vec<Listener>,
    /// Slots that are to be armed, in turn, each once; the first socket need not wait here.
    owed: VecDeque<u16>,
    /// Receives that are to end, and the kernel could not be told so: slot and generation.
    untold: Vec<(u16, u32)>,
    /// Slots whose socket has left, and of which nothing can come any more.
    finished: Vec<u16>,
}

#[derive(Clone, Copy)]
struct Listener {
    family: Family,
    stay: Stay,
    receive: Receive,
    generation: u32,
    /// It is in `owed`, whether or not it still should.
    waits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    Gone,
    Here,
    Leaving,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receive {
    /// Neither with the kernel nor due to be.
    Silent,
    Owed,
    Armed,
}

impl Listeners {
    const NOBODY: Listener = Listener {
        family: Family::V4,
        stay: Stay::Gone,
        receive: Receive::Silent,
        generation: 0,
        waits: false,
    };

    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), owed: VecDeque::new(), untold: Vec::new(), finished: Vec::new() }
    }

    /// A socket comes into a free slot, and is to be armed. Makes room for all there may ever be to say of
    /// it, so that nothing later allocates.
    pub(super) fn enter(&mut self, slot: u16, family: Family) {
        let index = usize::from(slot);
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Self::NOBODY);
            self.owed.reserve(self.slots.len() - self.owed.len());
            self.untold.reserve(self.slots.len() - self.untold.len());
            self.finished.reserve(self.slots.len() - self.finished.len());
        }
        let it = &mut self.slots[index];
        assert!(it.stay == Stay::Gone, "a slot has one socket at a time");
        (it.family, it.stay) = (family, Stay::Here);
        self.owe(slot);
    }

    /// The family of the socket in a slot, if there is one and it stays.
    #[inline]
    pub(super) fn family(&self, slot: u16) -> Option<Family> {
        let it = self.slots.get(usize::from(slot))?;
        (it.stay == Stay::Here).then_some(it.family)
    }

    /// Whether what a completion says of a generation is to be heard.
    #[inline]
    pub(super) fn hears(&self, slot: u16, generation: u32) -> bool {
        self.slots.get(usize::from(slot)).is_some_and(|it| it.generation == generation)
    }

    /// The generation of what is in a slot.
    #[inline]
    pub(super) fn generation(&self, slot: u16) -> u32 {
        self.slots[usize::from(slot)].generation
    }

    /// The receive in a slot has ended, and all of it has been told.
    pub(super) fn ended(&mut self, slot: u16) {
        let Some(it) = self.slots.get_mut(usize::from(slot)) else { return };
        it.receive = Receive::Silent;
        if it.stay == Stay::Leaving {
            self.finished.push(slot);
        }
    }

    /// It is to be armed, in its turn.
    pub(super) fn owe(&mut self, slot: u16) {
        let it = &mut self.slots[usize::from(slot)];
        if it.stay != Stay::Here || it.receive != Receive::Silent {
            return;
        }
        it.receive = Receive::Owed;
        if slot != FIRST {
            it.waits = true;
            self.owed.push_back(slot);
        }
    }

    /// Whether some are to be armed.
    #[inline]
    pub(super) fn is_owed(&self) -> bool {
        !self.owed.is_empty() || self.is_first_owed()
    }

    #[inline]
    fn is_first_owed(&self) -> bool {
        self.slots.first().is_some_and(|it| it.receive == Receive::Owed)
    }

    /// Who is to be armed next.
    pub(super) fn next_owed(&mut self) -> Option<u16> {
        if self.is_first_owed() {
            return Some(FIRST);
        }
        while let Some(slot) = self.owed.front().copied() {
            let it = &mut self.slots[usize::from(slot)];
            if it.receive == Receive::Owed {
                return Some(slot);
            }
            // It left while it waited.
            self.owed.pop_front();
            it.waits = false;
            self.finished.push(slot);
        }
        None
    }

    /// Its receive is with the kernel, or queued to be.
    pub(super) fn armed(&mut self, slot: u16) {
        let it = &mut self.slots[usize::from(slot)];
        it.receive = Receive::Armed;
        if it.waits {
            it.waits = false;
            let next = self.owed.pop_front();
            debug_assert_eq!(next, Some(slot), "each in its turn");
        }
    }

    /// The socket in a slot is to go: nothing of it is heard from here on. Answers the generation of the
    /// receive that the kernel must be told to end, if there is one.
    pub(super) fn leave(&mut self, slot: u16) -> Option<u32> {
        let it = self.slots.get_mut(usize::from(slot)).filter(|it| it.stay == Stay::Here)?;
        let generation = it.generation;
        it.generation = generation.wrapping_add(1);
        it.stay = Stay::Leaving;
        if it.receive == Receive::Armed {
            return Some(generation);
        }
        it.receive = Receive::Silent;
        if !it.waits {
            self.finished.push(slot);
        }
        None
    }

    /// The kernel could not be told to end a receive, and is to be told later.
    pub(super) fn untold(&mut self, slot: u16, generation: u32) {
        self.untold.push((slot, generation));
    }

    /// What the kernel is to be told to end, no longer kept here.
    #[inline]
    pub(super) fn next_untold(&mut self) -> Option<(u16, u32)> {
        self.untold.pop()
    }

    /// Whether slots may have become free.
    #[inline]
    pub(super) const fn is_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// A slot that is free from here on, its socket gone.
    pub(super) fn next_finished(&mut self) -> Option<u16> {
        let slot = self.finished.pop()?;
        self.slots[usize::from(slot)].stay = Stay::Gone;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first socket and two others, all armed.
    fn three() -> Listeners {
        let mut listeners = Listeners::new();
        (0..3).for_each(|slot| listeners.enter(slot, Family::V4));
        assert_eq!(arm_all(&mut listeners), [0, 1, 2]);
        listeners
    }

    fn arm_all(listeners: &mut Listeners) -> Vec<u16> {
        let next = || {
            let slot = listeners.next_owed()?;
            listeners.armed(slot);
            Some(slot)
        };
        std::iter::from_fn(next).collect()
    }

    fn end(listeners: &mut Listeners, slot: u16) {
        listeners.ended(slot);
        listeners.owe(slot);
    }

    #[test]
    fn whoever_ended_is_armed_in_turn_and_the_first_before_all() {
        let mut listeners = three();
        assert!(!listeners.is_owed());
        for slot in [2, 1, 0] {
            end(&mut listeners, slot);
            listeners.owe(slot);
        }
        assert!(listeners.is_owed());
        assert_eq!(arm_all(&mut listeners), [0, 2, 1], "each once");
        assert!(!listeners.is_owed());
    }

    #[test]
    fn what_left_is_not_heard_and_keeps_its_slot_until_its_receive_has_ended() {
        let mut listeners = three();
        let generation = listeners.generation(1);
        assert_eq!(listeners.leave(1), Some(generation));
        assert_eq!(listeners.leave(1), None, "once");
        assert!(!listeners.hears(1, generation) && listeners.family(1).is_none());
        assert_eq!(listeners.next_finished(), None);
        end(&mut listeners, 1);
        assert!(!listeners.is_owed(), "it is not armed again");
        assert_eq!((listeners.next_finished(), listeners.next_finished()), (Some(1), None));
        listeners.enter(1, Family::V6);
        assert!(!listeners.hears(1, generation) && listeners.family(1) == Some(Family::V6));
        assert_eq!(arm_all(&mut listeners), [1]);
    }

    #[test]
    fn what_leaves_while_it_waits_is_finished_when_its_turn_comes() {
        let mut listeners = three();
        end(&mut listeners, 1);
        end(&mut listeners, 2);
        assert_eq!((listeners.leave(1), listeners.is_finished()), (None, false));
        assert_eq!(arm_all(&mut listeners), [2]);
        assert_eq!((listeners.next_finished(), listeners.next_finished()), (Some(1), None));
    }

    #[test]
    fn what_leaves_in_between_is_finished_at_once() {
        let mut listeners = three();
        listeners.ended(2);
        assert_eq!(listeners.leave(2), None);
        assert_eq!(listeners.next_finished(), Some(2));
        assert_eq!((listeners.leave(2), listeners.leave(9)), (None, None), "nobody is there");
    }
}
