//! Receive buffers: filled by `enter`, handed out one message at a time, taken back by the next `enter`.
//!
//! A slice names its buffer, the place in it and the generation it was handed out in:
//! ```text
//!   Slice.start = generation (16 bits) | offset (16 bits)
//! ```
//! Cutting a train adds to the offset alone, so every piece remembers when it was good.

use std::collections::VecDeque;

use super::queue::Message;
use crate::io::{Slice, Train};

pub(super) struct Pool {
    bytes: Box<[u8]>,
    buffer_bytes: usize,
    buffers: usize,
    free: Vec<u16>,
    /// Filled, and not yet received.
    ready: VecDeque<(u16, Message)>,
    /// Received since the last `enter`.
    handed: Vec<Train>,
    generation: u16,
}

impl Pool {
    pub(super) fn new(buffers: usize, buffer_bytes: usize) -> Self {
        assert!(buffers > 0 && buffers <= 1 << 15, "a pool has 1 to 32,768 buffers");
        assert!(buffer_bytes > 0 && buffer_bytes <= 1 << 16, "a buffer has 1 to 65,536 bytes");
        Self {
            bytes: vec![0; buffers * buffer_bytes].into_boxed_slice(),
            buffer_bytes,
            buffers,
            free: (0..buffers as u16).rev().collect(),
            ready: VecDeque::with_capacity(buffers),
            handed: Vec::with_capacity(buffers),
            generation: 0,
        }
    }

    /// Takes back every buffer that was handed out; their slices are stale from here on.
    pub(super) fn recycle(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.free.extend(self.handed.drain(..).map(|train| train.slice.buffer));
    }

    /// A free buffer, unless as many as `most` are in use.
    pub(super) fn take(&mut self, most: usize) -> Option<u16> {
        if self.buffers - self.free.len() >= most {
            return None;
        }
        self.free.pop()
    }

    pub(super) fn buffer_mut(&mut self, buffer: u16) -> &mut [u8] {
        &mut self.bytes[usize::from(buffer) * self.buffer_bytes..][..self.buffer_bytes]
    }

    pub(super) fn push_ready(&mut self, buffer: u16, message: Message) {
        self.ready.push_back((buffer, message));
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn hand(&mut self) -> Option<Train> {
        let (buffer, message) = self.ready.pop_front()?;
        let train = Train {
            from: message.from,
            slice: Slice { buffer, len: message.len, start: u32::from(self.generation) << 16 },
            segment: message.segment,
            truncated: message.truncated,
        };
        self.handed.push(train);
        Some(train)
    }

    pub(super) fn handed(&self) -> &[Train] {
        &self.handed
    }

    pub(super) fn bytes(&self, slice: Slice) -> &[u8] {
        assert!(
            slice.start >> 16 == u32::from(self.generation),
            "a slice is good until the next enter, and this one is older"
        );
        let start = (slice.start & 0xFFFF) as usize;
        let buffer = &self.bytes[usize::from(slice.buffer) * self.buffer_bytes..];
        &buffer[..self.buffer_bytes][start..start + slice.len()]
    }
}
