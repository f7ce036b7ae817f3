//! A short list inside its owner; a longer one on the heap, grown to only where somebody asked for it.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Values in the order they came, until one is taken out.
#[derive(Debug)]
pub(super) struct Small<T, const N: usize> {
    near: [T; N],
    /// Those in `near`; 0 when they are all in `far`.
    len: u8,
    /// All of them, once they are more than `N`; else empty, and no memory.
    far: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Default for Small<T, N> {
    fn default() -> Self {
        const { assert!(N < 256, "the length is a byte") };
        Self { near: [T::default(); N], len: 0, far: Vec::new() }
    }
}

impl<T: Copy + Default, const N: usize> Small<T, N> {
    /// Appends `value`.
    pub(super) fn push(&mut self, value: T) {
        if self.far.is_empty() {
            if let Some(place) = self.near.get_mut(usize::from(self.len)) {
                *place = value;
                self.len += 1;
                return;
            }
            self.far.extend_from_slice(&self.near);
            self.len = 0;
        }
        self.far.push(value);
    }

    /// Keeps those that `stays` says, in their order.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&T) -> bool) {
        if self.far.is_empty() {
            let mut kept = Self::default();
            self.iter().filter(|value| stays(value)).for_each(|value| kept.push(*value));
            *self = kept;
            return;
        }
        self.far.retain(stays);
        if self.far.len() <= N {
            let far = core::mem::take(&mut self.far);
            far.into_iter().for_each(|value| self.push(value));
        }
    }
}

impl<T, const N: usize> Deref for Small<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        if self.far.is_empty() {
            self.near.get(..usize::from(self.len)).unwrap_or_default()
        } else {
            &self.far
        }
    }
}

impl<T, const N: usize> DerefMut for Small<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        if self.far.is_empty() {
            self.near.get_mut(..usize::from(self.len)).unwrap_or_default()
        } else {
            &mut self.far
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Seeded};

    #[test]
    fn it_agrees_with_a_vec_across_the_edge() {
        for seed in 0..200 {
            let mut random = Seeded::new(seed);
            let (mut small, mut model) = (Small::<u64, 4>::default(), Vec::new());
            for value in 0..60 {
                match random.below(4) {
                    0 => {
                        let drop = random.below(3);
                        small.retain(|value| value % 3 != drop);
                        model.retain(|value| value % 3 != drop);
                    }
                    _ => {
                        small.push(value);
                        model.push(value);
                    }
                }
                assert_eq!(*small, model[..], "seed {seed}");
                small.iter_mut().for_each(|value| *value ^= 1);
                model.iter_mut().for_each(|value| *value ^= 1);
            }
        }
    }

    #[test]
    fn few_cost_no_memory_beside_the_owner() {
        let mut small = Small::<u64, 4>::default();
        (0..4).for_each(|value| small.push(value));
        assert_eq!((small.len(), small.far.capacity()), (4, 0));
        small.push(4);
        assert!(small.far.capacity() > 0);
        small.retain(|value| *value < 2);
        assert_eq!((small.len(), small.far.capacity()), (2, 0));
    }
}
