//! io_uring: one ring, one UDP socket, multishot receive into a provided buffer ring, sends that never
//! wait.
//!
//! **Who owns a buffer.** The kernel, until a completion names it; the caller, until [`Ring::recycle`]
//! gives it back. Sends point straight into buffers the caller owns; they carry MSG_DONTWAIT, so the
//! kernel has finished with their memory when `io_uring_enter` returns, and a buffer may be recycled
//! after [`Ring::submit`] or [`Ring::wait`] without counting references.

mod label;
mod pool;
mod sends;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use elara_core::ClientAddr;
use elara_core::limits::SEGMENTS_MAX;
use elara_core::time::Span;
use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::message::{Control, Family, RawAddr};
use super::mmsg::reason;
use super::wait::Bell;
use crate::counters::{Reason, Refusal};
use label::Label;
use pool::{BUFFER_GROUP, Pool};
use sends::Sends;

/// The only registered file: the socket.
const SOCKET: Fixed = Fixed(0);

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
    /// Receiving has ended: recycle, then [`Ring::arm`] again.
    Ended {
        /// Why, as an errno; `None` when no buffer was free.
        error: Option<i32>,
    },
    /// The bell has rung.
    Woken,
    /// A send was refused.
    Refused {
        /// What it carried, and its tag.
        send: Refusal,
        /// Why.
        why: Reason,
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
    /// What could not be queued when it was due.
    owed: Owed,
}

#[derive(Default)]
struct Owed {
    receive: bool,
    bell: bool,
}

impl Ring {
    /// A ring over `socket` with `buffers` receive buffers and room for `sends` queued sends, and `lasting`
    /// buffers that are never the kernel's, numbered on from the others. Must be used on the thread that
    /// made it. Ringing `bell` ends a wait.
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
        lasting: u16,
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
        let pool = Pool::new(&ring, buffers, lasting)?;
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
            owed: Owed::default(),
        };
        ring.arm();
        ring.listen();
        Ok(ring)
    }

    /// Starts receiving; to be called again after [`Completion::Ended`].
    pub fn arm(&mut self) {
        self.owed.receive = !self.try_arm();
    }

    fn try_arm(&mut self) -> bool {
        let entry = opcode::RecvMsgMulti::new(SOCKET, &raw const *self.template, BUFFER_GROUP)
            .build()
            .user_data(Label::Receive.pack());
        // SAFETY: the template lives in a box as long as the ring; buffers come from the provided ring.
        unsafe { self.push(&entry) }
    }

    fn listen(&mut self) {
        self.owed.bell = !self.try_listen();
    }

    fn try_listen(&mut self) -> bool {
        let bell = io_uring::types::Fd(self.bell.as_fd().as_raw_fd());
        let entry =
            opcode::PollAdd::new(bell, libc::POLLIN as u32).build().user_data(Label::Wake.pack());
        // SAFETY: the entry points at no memory.
        unsafe { self.push(&entry) }
    }

    /// Queues what found no room before. A ring that neither receives nor hears its bell is deaf for ever.
    fn pay(&mut self) {
        if self.owed.receive {
            self.arm();
        }
        if self.owed.bell {
            self.listen();
        }
    }

    /// Queues one send of at most `SEGMENTS_MAX` `parts` (buffer, start, length), one after the other, to
    /// `to`, cut every `segment` bytes when that is not 0, into at most `SEGMENTS_MAX` datagrams. Submits
    /// what is queued first when there is no room. False when the kernel takes nothing at the moment, or
    /// a part lies in no buffer. `tag`, below `SEND_TAGS`, comes back when the send is refused.
    #[inline]
    #[must_use]
    pub fn send(
        &mut self,
        to: &ClientAddr,
        parts: impl ExactSizeIterator<Item = (u16, u32, u16)>,
        segment: u16,
        tag: u32,
    ) -> bool {
        if !self.make_room(parts.len(), 0) {
            return false;
        }
        let first = self.sends.vectors_used;
        let mut total = 0;
        for (buffer, start, len) in parts {
            let Some(base) = self.pool.part(buffer, start, len) else { return false };
            total += u32::from(len);
            self.sends.vector(base, usize::from(len));
        }
        let datagrams = if segment == 0 { 1 } else { total.div_ceil(u32::from(segment)).max(1) };
        debug_assert!(datagrams as usize <= SEGMENTS_MAX, "more than one send can carry");
        let segment = if datagrams > 1 { segment } else { 0 };
        self.queue(to, first, segment, Refusal { tag, datagrams, bytes: total })
    }

    /// Queues one datagram of bytes that lie in no buffer, copied into an arena of the ring's own; else like
    /// [`Ring::send`]. False when the kernel takes nothing at the moment, or they are longer than the arena.
    #[inline]
    #[must_use]
    pub fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) -> bool {
        if !self.make_room(1, bytes.len()) {
            return false;
        }
        let first = self.sends.vectors_used;
        self.sends.copy(bytes);
        self.queue(to, first, 0, Refusal { tag, datagrams: 1, bytes: bytes.len() as u32 })
    }

    /// Whether one more send of so many parts and so many bytes in the arena can be queued, once what is
    /// queued has been submitted if need be.
    #[inline]
    fn make_room(&mut self, parts: usize, bytes: usize) -> bool {
        if !self.sends.is_full(parts, bytes) && !self.ring.submission().is_full() {
            return true;
        }
        // An error here shows again at the next `wait`, which reports it.
        let _ = self.submit();
        !self.sends.is_full(parts, bytes) && !self.ring.submission().is_full()
    }

    /// Queues the send of the vectors from `first` on; there is room for it.
    #[inline]
    fn queue(&mut self, to: &ClientAddr, first: usize, segment: u16, send: Refusal) -> bool {
        let slot = self.sends.address(to);
        let entry = self
            .sends
            .entry(slot, first, segment)
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Label::Send(send).pack());
        // SAFETY: the entry points at this slot's address and header and at parts of pool buffers or of the
        // arena, all alive and unchanged until the kernel has taken it: `submit` and `wait` reset slots
        // and arena only after `io_uring_enter` has consumed the queue, and MSG_DONTWAIT ends every send
        // in there.
        unsafe { self.push(&entry) }
    }

    /// Queues an entry, submitting once when there is no room. False when the kernel takes nothing.
    ///
    /// # Safety
    /// What the entry points at stays valid until the kernel is done with it.
    unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: forwarded to the caller.
        if unsafe { self.ring.submission().push(entry) }.is_ok() {
            return true;
        }
        // An error here shows again at the next `wait`, which reports it.
        let _ = self.submit();
        // SAFETY: forwarded to the caller.
        unsafe { self.ring.submission().push(entry) }.is_ok()
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
            self.pay();
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
        match Label::unpack(entry.user_data()) {
            Label::Receive => Some(match cqueue::buffer_select(flags) {
                Some(buffer) => {
                    self.pool.take(buffer);
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
                None => Completion::Ended {
                    error: (result < 0 && result != -libc::ENOBUFS).then_some(-result),
                },
            }),
            Label::Wake => {
                self.bell.silence();
                self.listen();
                Some(Completion::Woken)
            }
            Label::Send(send) => Some(Completion::Refused {
                send,
                why: reason(&io::Error::from_raw_os_error(-result)),
            }),
        }
    }

    /// Bytes of a buffer the caller owns. Empty when the range is not inside the buffer.
    #[inline]
    #[must_use]
    pub fn bytes(&self, buffer: u16, start: u32, len: u16) -> &[u8] {
        match self.pool.part(buffer, start, len) {
            // SAFETY: the range lies inside the pool, which lives as long as `self`, and is initialised
            // (mapped zeroed). The kernel writes only into buffers lent to it; it was told of a completion
            // before the caller could learn the buffer's number, and gets it back through `&mut self`.
            Some(base) => unsafe { std::slice::from_raw_parts(base, usize::from(len)) },
            None => &[],
        }
    }

    /// Copies `part` (buffer, start, length) into a lasting buffer, `at` bytes into its room, and answers
    /// where the copy starts.
    ///
    /// # Panics
    /// When either does not lie in a buffer of that kind.
    pub fn keep(&mut self, buffer: u16, at: usize, part: (u16, u32, u16)) -> u32 {
        self.pool.keep(buffer, at, part)
    }

    /// Gives a buffer back. Published to the kernel by [`Ring::publish`].
    ///
    /// # Panics
    /// When the caller does not own the buffer: the kernel would write where someone reads.
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
