//! Receive buffers: filled by `enter`, handed out one message at a time, taken back by the next `enter`.
//!
//! A slice names its buffer, the place in it and the generation it was handed out in:
//! ```text
//!   Slice.start = generation (16 bits) | offset (16 bits)
//! ```
//! Cutting a train adds to the offset alone, so every piece remembers when it was good. Buffers that
//! outlive a cycle are numbered from 2^15 on, and slices of those carry no generation; behind them are those
//! for notes, whose slices do.

use std::collections::VecDeque;

use elara_core::limits::{LASTING_BUFFER, LASTING_BUFFERS, NOTE_BUFFERS};

use super::ports::Named;
use super::queue::Message;
use crate::io::{Port, Slice, Train};

/// The number of the first buffer that outlives a cycle.
pub(super) const LASTING: u16 = 1 << 15;
/// The number of the first buffer for notes.
pub(super) const NOTES: u16 = LASTING + LASTING_BUFFERS as u16;

pub(super) struct Pool {
    bytes: Box<[u8]>,
    buffer_bytes: usize,
    buffers: usize,
    free: Vec<u16>,
    /// Filled, and not yet received: where in the buffer, and what.
    ready: VecDeque<(u16, u16, Message)>,
    /// Received since the last `enter`.
    handed: Vec<Train>,
    generation: u16,
    /// The buffer of a train that was put back: not free although it was handed out.
    kept: Option<u16>,
    lasting: Box<[u8]>,
    notes: Box<[u8]>,
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
            kept: None,
            lasting: vec![0; LASTING_BUFFERS * LASTING_BUFFER].into(),
            notes: vec![0; NOTE_BUFFERS * LASTING_BUFFER].into(),
        }
    }

    /// Takes back every buffer that was handed out; their slices are stale from here on.
    pub(super) fn recycle(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        let kept = self.kept.take();
        let handed = self.handed.drain(..).map(|train| train.slice.buffer);
        self.free.extend(handed.filter(|buffer| Some(*buffer) != kept));
    }

    /// A free buffer, unless as many as `most` are in use.
    pub(super) fn take(&mut self, most: usize) -> Option<u16> {
        if self.buffers - self.free.len() >= most {
            return None;
        }
        self.free.pop()
    }

    /// Gives back what was taken for nothing.
    pub(super) fn untake(&mut self, buffer: u16) {
        self.free.push(buffer);
    }

    pub(super) fn buffer_mut(&mut self, buffer: u16) -> &mut [u8] {
        &mut self.bytes[usize::from(buffer) * self.buffer_bytes..][..self.buffer_bytes]
    }

    pub(super) fn push_ready(&mut self, buffer: u16, message: Message) {
        self.ready.push_back((buffer, 0, message));
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn hand(&mut self) -> Option<Train> {
        let (buffer, offset, message) = self.ready.pop_front()?;
        let train = Train {
            port: message.to.port,
            from: message.from,
            slice: Slice { buffer, len: message.len, start: self.start(offset) },
            segment: message.segment,
            truncated: message.truncated,
        };
        self.handed.push(train);
        Some(train)
    }

    /// Where something lies in a buffer, as a slice of this cycle says it.
    fn start(&self, offset: u16) -> u32 {
        u32::from(self.generation) << 16 | u32::from(offset)
    }

    /// Takes the end of the train handed out last, which came to a port of that name, back to the front of
    /// the line.
    pub(super) fn put_back(&mut self, rest: &Train, to: Named) {
        let whole = self.handed.pop().expect("only the train just received can be put back");
        assert!(whole.slice.buffer == rest.slice.buffer && rest.slice.len() <= whole.slice.len());
        let done = whole.slice.len() - rest.slice.len();
        if done > 0 {
            let slice = Slice { len: done as u16, ..whole.slice };
            self.handed.push(Train { slice, ..whole });
            self.kept = Some(rest.slice.buffer);
        }
        let Train { from, segment, truncated, .. } = *rest;
        let message = Message { to, from, len: rest.slice.len() as u16, segment, truncated };
        self.ready.push_front((rest.slice.buffer, (rest.slice.start & 0xFFFF) as u16, message));
    }

    /// What has come to a port and was not received is nobody's any more.
    pub(super) fn forget(&mut self, port: Port) {
        let (free, kept) = (&mut self.free, &mut self.kept);
        self.ready.retain(|(buffer, _, message)| {
            let stays = message.to.port != port;
            if !stays && *kept == Some(*buffer) {
                // What was handed out of it goes back with the cycle.
                *kept = None;
            } else if !stays {
                free.push(*buffer);
            }
            stays
        });
    }

    pub(super) fn handed(&self) -> &[Train] {
        &self.handed
    }

    /// Copies what a slice names to `at` in a buffer that outlives the cycle.
    pub(super) fn keep(&mut self, buffer: u16, at: usize, slice: Slice) -> Slice {
        let from = usize::from(slice.buffer) * self.buffer_bytes + (slice.start & 0xFFFF) as usize;
        let to = &mut self.lasting[usize::from(buffer - LASTING) * LASTING_BUFFER..];
        to[..LASTING_BUFFER][at..at + slice.len()]
            .copy_from_slice(&self.bytes[from..from + slice.len()]);
        Slice { buffer, start: at as u32, ..slice }
    }

    /// Copies bytes to `at` in a buffer for notes.
    pub(super) fn write(&mut self, buffer: u16, at: usize, bytes: &[u8]) -> Slice {
        let to = &mut self.notes[usize::from(buffer - NOTES) * LASTING_BUFFER..];
        to[..LASTING_BUFFER][at..at + bytes.len()].copy_from_slice(bytes);
        Slice { buffer, len: bytes.len() as u16, start: self.start(at as u16) }
    }

    pub(super) fn bytes(&self, slice: Slice) -> &[u8] {
        let offset = (slice.start & 0xFFFF) as usize;
        if let Some(note) = slice.buffer.checked_sub(NOTES) {
            self.assert_fresh(slice);
            let start = usize::from(note) * LASTING_BUFFER + offset;
            return &self.notes[start..start + slice.len()];
        }
        if let Some(lasting) = slice.buffer.checked_sub(LASTING) {
            let start = usize::from(lasting) * LASTING_BUFFER + slice.start as usize;
            return &self.lasting[start..start + slice.len()];
        }
        self.assert_fresh(slice);
        let buffer = &self.bytes[usize::from(slice.buffer) * self.buffer_bytes..];
        &buffer[..self.buffer_bytes][offset..offset + slice.len()]
    }

    fn assert_fresh(&self, slice: Slice) {
        assert!(
            slice.start >> 16 == u32::from(self.generation),
            "a slice is good until the next enter, and this one is older"
        );
    }
}
