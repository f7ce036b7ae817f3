//! Receive buffers, and the ring through which they are lent to the kernel.
//!
//! ```text
//!   buffer: io_uring_recvmsg_out 16 | name 28 | control 24 | payload ......
//!                                                          ^ PAYLOAD: always here, however little the
//!                                                            kernel wrote before it
//! ```

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use elara_core::limits::DATAGRAM_MAX;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::Completion;
use crate::sys::message::{Control, RawAddr, gro_segment};

/// Bytes of `struct io_uring_recvmsg_out`: name length, control length, payload length, flags.
const RECVMSG_OUT: usize = 16;
const NAME: usize = RECVMSG_OUT;
const CONTROL: usize = NAME + size_of::<RawAddr>();
/// Where a received payload begins in its buffer.
const PAYLOAD: usize = CONTROL + Control::LEN;
/// Bytes of one receive buffer: room for the longest train.
const BUFFER: usize = (PAYLOAD + DATAGRAM_MAX).next_multiple_of(4_096);
pub(super) const BUFFER_GROUP: u16 = 0;

/// Receive buffers and the ring through which they are lent to the kernel, and buffers that never are.
pub(super) struct Pool {
    memory: Mapping,
    entries: Mapping,
    count: u16,
    tail: u16,
    /// Which buffers are with the kernel; those from `count` on never are.
    lent: Box<[bool]>,
}

impl Pool {
    pub(super) fn new(ring: &IoUring, count: u16, lasting: u16) -> io::Result<Self> {
        let all = usize::from(count) + usize::from(lasting);
        let memory = Mapping::new(all * BUFFER)?;
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        // SAFETY: `entries` is page-aligned, zeroed, long enough for `count` entries, and outlives the ring:
        // `Ring` unregisters it before it drops the pool.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                entries.base.as_ptr() as u64,
                count,
                BUFFER_GROUP,
                0,
            )
        }?;
        let mut pool = Self { memory, entries, count, tail: 0, lent: vec![false; all].into() };
        (0..count).for_each(|buffer| pool.lend(buffer));
        pool.publish();
        Ok(pool)
    }

    pub(super) fn lend(&mut self, buffer: u16) {
        assert!(buffer < self.count, "a receive buffer of this pool");
        let lent = &mut self.lent[usize::from(buffer)];
        assert!(!*lent, "a buffer is given back once");
        *lent = true;
        let index = usize::from(self.tail & (self.count - 1));
        let address = self.memory.base.as_ptr() as u64 + u64::from(buffer) * BUFFER as u64;
        // SAFETY: `index < count` (a power of two), and `entries` holds `count` of them, properly aligned.
        // The kernel does not read an entry before `publish` moves the tail past it.
        let entry = unsafe { &mut *self.entries.base.as_ptr().cast::<BufRingEntry>().add(index) };
        entry.set_addr(address);
        entry.set_len(BUFFER as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// The kernel has named this buffer: it is the caller's until it is lent again.
    #[inline]
    pub(super) fn take(&mut self, buffer: u16) {
        if let Some(lent) = self.lent.get_mut(usize::from(buffer)) {
            *lent = false;
        }
    }

    pub(super) fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry of the ring, is aligned, and is only written here.
        let tail = unsafe {
            AtomicU16::from_ptr(BufRingEntry::tail(self.entries.base.as_ptr().cast()).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// Where a part of a buffer lies, if it lies inside and the kernel does not write there.
    #[inline]
    pub(super) fn part(&self, buffer: u16, start: u32, len: u16) -> Option<*const u8> {
        let ours = self.lent.get(usize::from(buffer)) == Some(&false);
        let inside = ours && start as usize + usize::from(len) <= BUFFER;
        // SAFETY: buffer and range were just checked against the mapping.
        inside.then(|| unsafe {
            self.memory
                .base
                .as_ptr()
                .add(usize::from(buffer) * BUFFER + start as usize)
                .cast_const()
        })
    }

    /// Copies a part of another buffer to `at` in one that is never lent; answers where it starts.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "it writes, through a pointer")]
    pub(super) fn keep(&mut self, buffer: u16, at: usize, part: (u16, u32, u16)) -> u32 {
        assert!(buffer >= self.count && buffer != part.0, "from one buffer into a lasting one");
        let (start, len) = (at as u32, part.2);
        let to = self.part(buffer, start, len).expect("the copy fits its buffer");
        let from = self.part(part.0, part.1, len).expect("what is copied lies in a buffer");
        // SAFETY: both ranges were just checked, and lie in different buffers of the mapping. The kernel
        // writes to neither, nothing of ours borrows the pool, and what sends still read there
        // was copied to other places of the buffer.
        unsafe { ptr::copy_nonoverlapping(from, to.cast_mut(), usize::from(len)) };
        start
    }

    /// Copies bytes to `at` in a buffer that is never lent; answers where they start.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "it writes, through a pointer")]
    pub(super) fn write(&mut self, buffer: u16, at: usize, bytes: &[u8]) -> u32 {
        assert!(buffer >= self.count, "only into a buffer that is never the kernel's");
        let (start, len) = (at as u32, bytes.len() as u16);
        let to = self.part(buffer, start, len).expect("the bytes fit their buffer");
        // SAFETY: the range was just checked to lie in a buffer of the mapping that the kernel does not write
        // to, and `bytes` cannot lie there: nothing of ours borrows the pool. What sends still read in that
        // buffer was written to other places of it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast_mut(), usize::from(len)) };
        start
    }

    /// What the kernel wrote into a buffer: `filled` bytes, beginning with io_uring_recvmsg_out, from the
    /// socket in `slot`.
    #[inline]
    pub(super) fn message(&self, slot: u16, buffer: u16, filled: usize) -> Completion {
        let spoiled = Completion::Spoiled { buffer };
        let Some(base) = self.part(buffer, 0, PAYLOAD as u16) else { return spoiled };
        // SAFETY: the first PAYLOAD bytes of the buffer are inside the mapping and initialised; the
        // kernel has completed this buffer and does not write it until it is lent again.
        let head = unsafe { &*base.cast::<[u8; PAYLOAD]>() };
        let word =
            |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (name_len, control_len) = (word(0) as usize, word(4) as usize);
        let (payload_len, flags) = (word(8) as usize, word(12));
        let there = filled.saturating_sub(PAYLOAD);
        let name = &head[NAME..NAME + name_len.min(size_of::<RawAddr>())];
        let control = &head[CONTROL..CONTROL + control_len.min(Control::LEN)];
        let Some(from) = RawAddr::decode(name) else { return spoiled };
        Completion::Received {
            slot,
            buffer,
            start: PAYLOAD as u32,
            len: payload_len.min(there) as u16,
            from,
            segment: gro_segment(control),
            truncated: payload_len > there || flags & libc::MSG_TRUNC as u32 != 0,
        }
    }
}

/// Anonymous, zeroed, page-aligned memory.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches nothing of ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(base.cast())
            .map(|base| Self { base, len })
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping `new` made, and nothing points into it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
