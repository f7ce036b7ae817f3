//! Places with stable numbers: what falls empty is used again, and growing moves nothing.
//!
//! Memory comes in chunks, so that a table of a million does not stop a cycle to be copied.

const CHUNK: usize = 256;

/// Values under numbers from 0 on.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// Values in it.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// One more than the largest number ever given out.
    pub(crate) fn end(&self) -> u32 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        (full + self.chunks.last().map_or(0, Vec::len)) as u32
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(number) = self.free.pop() {
            *self.place(number) = Some(value);
            return number;
        }
        let number = self.end();
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(Some(value)),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(Some(value));
                self.chunks.push(chunk);
            }
        }
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let value =
            self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)?;
        let value = value.take()?;
        self.len -= 1;
        self.free.push(number);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)?.as_mut()
    }

    fn place(&mut self, number: u32) -> &mut Option<T> {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_used_again() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..1_000).map(|value| slab.insert(value)).collect();
        assert_eq!((numbers[999], slab.end(), slab.len()), (999, 1_000, 1_000));
        assert_eq!((slab.remove(300), slab.remove(300)), (Some(300), None));
        assert_eq!(slab.get(300), None);
        assert_eq!((slab.insert(7), slab.len(), slab.end()), (300, 1_000, 1_000));
        assert_eq!((slab.get(300), slab.get(1_000)), (Some(&7), None));
        assert_eq!(slab.get_mut(301), Some(&mut 301));
        assert_eq!(slab.remove(5_000), None);
    }
}
