//! io_uring: one ring, one UDP socket, multishot receive into a provided buffer ring, sends that never wait.
//!
//! ```text
//!   pool:  | buffer 0 | buffer 1 | ...                 lent to the kernel through the buffer ring
//!   buffer: io_uring_recvmsg_out 16 | name 28 | control 24 | payload ......
//!                                                     ^ PAYLOAD: always here, whatever the kernel wrote before it
//! ```
//! **Who owns a buffer.** The kernel, until a completion names it; the caller, until [`Ring::recycle`]
//! gives it back. Sends point straight into buffers the caller owns; they carry MSG_DONTWAIT, so the
//! kernel has finished with their memory when `io_uring_enter` returns, and a buffer may be recycled
//! after [`Ring::submit`] or [`Ring::wait`] without counting references.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use elara_core::ClientAddr;
use elara_core::limits::{DATAGRAM_MAX, SEGMENTS_MAX};
use elara_core::time::Span;
use io_uring::types::{BufRingEntry, CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::message::{Control, Family, RawAddr, gro_segment};
use super::mmsg::is_busy;
use super::wait::Bell;

/// Bytes of `struct io_uring_recvmsg_out`: name length, control length, payload length, flags.
const RECVMSG_OUT: usize = 16;
const NAME: usize = RECVMSG_OUT;
const CONTROL: usize = NAME + size_of::<RawAddr>();
/// Where a received payload begins in its buffer.
const PAYLOAD: usize = CONTROL + Control::LEN;
/// Bytes of one receive buffer: room for the longest train.
const BUFFER: usize = (PAYLOAD + DATAGRAM_MAX).next_multiple_of(4_096);
const BUFFER_GROUP: u16 = 0;
/// The only registered file: the socket.
const SOCKET: Fixed = Fixed(0);

const RECEIVE: u64 = 0;
const WAKE: u64 = 1;
const SEND: u64 = 2;
const TAG_BITS: u32 = 2;

/// One thing the kernel has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// A message, in a buffer the caller owns until it is recycled.
    Received {
        /// The buffer.
        buffer: u16,
        /// Where in it the payload begins.
        start: u32,
        /// How long the payload is.
        len: u16,
        /// Who sent it.
        from: ClientAddr,
        /// Bytes of each datagram in it; 0 when the whole is one.
        segment: u16,
        /// The buffer was too short for it.
        truncated: bool,
    },
    /// A buffer that came back with nothing in it that can be used: recycle it.
    Spoiled {
        /// The buffer.
        buffer: u16,
    },
    /// Receiving has ended (no buffer was free, or an error): recycle, then [`Ring::arm`] again.
    Ended,
    /// The bell has rung.
    Woken,
    /// A send of this many datagrams and bytes was refused; `busy` when our own egress is full.
    Refused {
        /// Datagrams it carried.
        datagrams: u32,
        /// Bytes it carried.
        bytes: u32,
        /// EAGAIN or the like, not an unreachable receiver.
        busy: bool,
    },
}

/// A ring around one socket.
pub struct Ring {
    // Declared first, dropped first: the kernel lets go before the memory goes.
    ring: IoUring,
    pool: Pool,
    sends: Sends,
    /// What multishot receive copies its geometry from; read by the kernel when armed.
    template: Box<libc::msghdr>,
    bell: Bell,
    family: Family,
}

impl Ring {
    /// A ring over `socket` with `buffers` receive buffers and room for `sends` queued sends. Must be used on
    /// the thread that made it. Ringing `bell` ends a wait.
    ///
    /// # Errors
    /// When the kernel has no io_uring, forbids it, or lacks a feature: buffer rings, multishot
    /// receive (6.0), deferred task running (6.1).
    pub fn new(
        socket: BorrowedFd<'_>,
        family: Family,
        bell: &Bell,
        buffers: u16,
        sends: u32,
    ) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(sends * 4)
            .dontfork()
            .build(sends)?;
        ring.submitter().register_files(&[socket.as_raw_fd()])?;
        let pool = Pool::new(&ring, buffers)?;
        // SAFETY: a msghdr is plain data; all zero means "nothing".
        let mut template: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        template.msg_namelen = size_of::<RawAddr>() as u32;
        template.msg_controllen = Control::LEN;
        let mut ring = Self {
            ring,
            pool,
            sends: Sends::new(sends as usize, family),
            template,
            bell: bell.clone(),
            family,
        };
        ring.arm();
        ring.listen();
        Ok(ring)
    }

    /// Starts receiving; to be called again after [`Completion::Ended`].
    pub fn arm(&mut self) {
        let entry = opcode::RecvMsgMulti::new(SOCKET, &raw const *self.template, BUFFER_GROUP)
            .build()
            .user_data(RECEIVE);
        // SAFETY: the template lives in a box as long as the ring; buffers come from the provided ring.
        unsafe { self.push(&entry) };
    }

    fn listen(&mut self) {
        let bell = io_uring::types::Fd(self.bell.as_fd().as_raw_fd());
        let entry = opcode::PollAdd::new(bell, libc::POLLIN as u32).build().user_data(WAKE);
        // SAFETY: the entry points at no memory.
        unsafe { self.push(&entry) };
    }

    /// Queues one send of at most `SEGMENTS_MAX` `parts` (buffer, start, length), one after the other, to
    /// `to`, cut every `segment` bytes when that is not 0. Submits what is queued first when there is no
    /// room. False when the kernel takes nothing at the moment, or a part lies in no buffer.
    #[inline]
    #[must_use]
    pub fn send(
        &mut self,
        to: &ClientAddr,
        parts: impl ExactSizeIterator<Item = (u16, u32, u16)>,
        segment: u16,
    ) -> bool {
        if self.sends.is_full(parts.len()) || self.ring.submission().is_full() {
            // An error here shows again at the next `wait`, which reports it.
            let _ = self.submit();
            if self.sends.is_full(parts.len()) {
                return false;
            }
        }
        let first = self.sends.vectors_used;
        let mut total = 0;
        for (buffer, start, len) in parts {
            let Some(base) = self.pool.part(buffer, start, len) else { return false };
            total += u32::from(len);
            self.sends.vector(base, usize::from(len));
        }
        let slot = self.sends.address(to);
        let datagrams = if segment == 0 { 1 } else { total.div_ceil(u32::from(segment)).max(1) };
        let entry = self
            .sends
            .entry(slot, first, if datagrams > 1 { segment } else { 0 })
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(SEND | u64::from(datagrams) << TAG_BITS | u64::from(total) << 32);
        // SAFETY: the entry points at this slot's address and header and at parts of pool buffers, all
        // alive and unchanged until the kernel has taken it: `submit` and `wait` reset the slots only
        // after `io_uring_enter` has consumed the queue, and MSG_DONTWAIT ends every send in there.
        unsafe { self.push(&entry) };
        true
    }

    /// # Safety
    /// What the entry points at stays valid until the kernel is done with it.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: forwarded to the caller.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            if self.submit().is_err() {
                return;
            }
        }
    }

    /// Hands queued entries to the kernel without waiting, and lets it post what has completed.
    ///
    /// # Errors
    /// What io_uring_enter answers, except interruptions.
    pub fn submit(&mut self) -> io::Result<()> {
        let answer = self.ring.submit();
        self.sent(answer)
    }

    /// Hands queued entries to the kernel and waits for a completion, at most `timeout` (`None`: for ever).
    ///
    /// # Errors
    /// What io_uring_enter answers, except interruptions and the timeout.
    pub fn wait(&mut self, timeout: Option<Span>) -> io::Result<()> {
        let answer = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(span) => {
                let timeout = Timespec::new()
                    .sec(span.as_nanos() / 1_000_000_000)
                    .nsec((span.as_nanos() % 1_000_000_000) as u32);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
            }
        };
        self.sent(answer)
    }

    fn sent(&mut self, answer: io::Result<usize>) -> io::Result<()> {
        let answer = match answer {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        };
        // Slots may be written again only when the kernel has taken every entry that points at them.
        if self.ring.submission().is_empty() {
            self.sends.reset();
        }
        answer
    }

    /// Whether the kernel has taken everything that was queued: nothing points into a buffer any more.
    #[must_use]
    pub fn is_settled(&mut self) -> bool {
        self.ring.submission().is_empty()
    }

    /// Whether the kernel has completions it has not posted yet: `submit` makes it post them.
    #[must_use]
    pub fn has_more(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// The next thing the kernel has finished.
    #[inline]
    pub fn complete(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        let (result, flags) = (entry.result(), entry.flags());
        match entry.user_data() & ((1 << TAG_BITS) - 1) {
            RECEIVE => Some(match cqueue::buffer_select(flags) {
                Some(buffer) => {
                    // A message and the end of the multishot can come in one completion.
                    if !cqueue::more(flags) {
                        self.arm();
                    }
                    if result < 0 {
                        Completion::Spoiled { buffer }
                    } else {
                        self.pool.message(buffer, result as usize)
                    }
                }
                None => Completion::Ended,
            }),
            WAKE => {
                self.bell.silence();
                self.listen();
                Some(Completion::Woken)
            }
            _ => Some(Completion::Refused {
                datagrams: (entry.user_data() as u32) >> TAG_BITS,
                bytes: (entry.user_data() >> 32) as u32,
                busy: is_busy(&io::Error::from_raw_os_error(-result)),
            }),
        }
    }

    /// Bytes of a buffer the caller owns. Empty when the range is not inside the buffer.
    #[inline]
    #[must_use]
    pub fn bytes(&self, buffer: u16, start: u32, len: u16) -> &[u8] {
        match self.pool.part(buffer, start, len) {
            // SAFETY: the range lies inside the pool, which lives as long as `self`, and is initialised (mapped
            // zeroed). The kernel writes only into buffers lent to it; it was told of a completion
            // before the caller could learn the buffer's number, and gets it back through `&mut self`.
            Some(base) => unsafe { std::slice::from_raw_parts(base, usize::from(len)) },
            None => &[],
        }
    }

    /// Gives a buffer back. Published to the kernel by [`Ring::publish`].
    #[inline]
    pub fn recycle(&mut self, buffer: u16) {
        self.pool.lend(buffer);
    }

    /// Shows the kernel every buffer recycled since the last time, at once.
    #[inline]
    pub fn publish(&mut self) {
        self.pool.publish();
    }

    /// The family of the socket.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel must have let go of pool and template before they are unmapped, and of the socket
        // before someone else binds its address.
        let submitter = self.ring.submitter();
        let _ = submitter.register_sync_cancel(None, CancelBuilder::any());
        let _ = submitter.unregister_files();
        let _ = submitter.unregister_buf_ring(BUFFER_GROUP);
    }
}

/// Receive buffers and the ring through which they are lent to the kernel.
struct Pool {
    memory: Mapping,
    entries: Mapping,
    count: u16,
    tail: u16,
}

impl Pool {
    fn new(ring: &IoUring, count: u16) -> io::Result<Self> {
        let memory = Mapping::new(usize::from(count) * BUFFER)?;
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
        let mut pool = Self { memory, entries, count, tail: 0 };
        (0..count).for_each(|buffer| pool.lend(buffer));
        pool.publish();
        Ok(pool)
    }

    fn lend(&mut self, buffer: u16) {
        debug_assert!(buffer < self.count, "a buffer the kernel named");
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

    fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry of the ring, is aligned, and is only written here.
        let tail = unsafe {
            AtomicU16::from_ptr(BufRingEntry::tail(self.entries.base.as_ptr().cast()).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// Where a part of a buffer lies, if it lies inside.
    #[inline]
    fn part(&self, buffer: u16, start: u32, len: u16) -> Option<*const u8> {
        let inside = buffer < self.count && start as usize + usize::from(len) <= BUFFER;
        // SAFETY: buffer and range were just checked against the mapping.
        inside.then(|| unsafe {
            self.memory
                .base
                .as_ptr()
                .add(usize::from(buffer) * BUFFER + start as usize)
                .cast_const()
        })
    }

    /// What the kernel wrote into a buffer: `filled` bytes, beginning with io_uring_recvmsg_out.
    #[inline]
    fn message(&self, buffer: u16, filled: usize) -> Completion {
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
            buffer,
            start: PAYLOAD as u32,
            len: payload_len.min(there) as u16,
            from,
            segment: gro_segment(control),
            truncated: payload_len > there || flags & libc::MSG_TRUNC as u32 != 0,
        }
    }
}

/// What queued sends point at, until the kernel has taken them.
struct Sends {
    family: Family,
    addresses: Box<[RawAddr]>,
    headers: Box<[libc::msghdr]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    used: usize,
    vectors_used: usize,
}

impl Sends {
    fn new(slots: usize, family: Family) -> Self {
        // SAFETY: a msghdr is plain data; all zero means "nothing".
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            family,
            addresses: vec![RawAddr::EMPTY; slots].into(),
            headers: vec![header; slots].into(),
            controls: vec![Control::EMPTY; slots].into(),
            vectors: vec![vector; slots.max(SEGMENTS_MAX) * 2].into(),
            used: 0,
            vectors_used: 0,
        }
    }

    const fn is_full(&self, parts: usize) -> bool {
        self.used == self.addresses.len() || self.vectors_used + parts > self.vectors.len()
    }

    const fn reset(&mut self) {
        self.used = 0;
        self.vectors_used = 0;
    }

    #[inline]
    fn address(&mut self, to: &ClientAddr) -> usize {
        let slot = self.used;
        self.addresses[slot] = RawAddr::encode(to, self.family);
        self.used += 1;
        slot
    }

    #[inline]
    fn vector(&mut self, base: *const u8, len: usize) {
        self.vectors[self.vectors_used] =
            libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len };
        self.vectors_used += 1;
    }

    /// The entry that sends the vectors from `first` on to the address in `slot`.
    #[inline]
    fn entry(&mut self, slot: usize, first: usize, segment: u16) -> squeue::Entry {
        let address = &mut self.addresses[slot];
        if let [one] = self.vectors[first..self.vectors_used]
            && segment == 0
        {
            return opcode::Send::new(SOCKET, one.iov_base.cast_const().cast(), one.iov_len as u32)
                .flags(libc::MSG_DONTWAIT)
                .dest_addr(address.as_ptr())
                .dest_addr_len(self.family.addr_len())
                .build();
        }
        let header = &mut self.headers[slot];
        header.msg_name = address.as_mut_ptr();
        header.msg_namelen = self.family.addr_len();
        header.msg_iov = self.vectors[first..].as_mut_ptr();
        header.msg_iovlen = self.vectors_used - first;
        (header.msg_control, header.msg_controllen) = if segment == 0 {
            (ptr::null_mut(), 0)
        } else {
            self.controls[slot] = Control::segment(segment);
            (self.controls[slot].as_mut_ptr(), Control::LEN)
        };
        opcode::SendMsg::new(SOCKET, &raw const *header).flags(libc::MSG_DONTWAIT as u32).build()
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
