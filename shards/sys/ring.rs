//! io_uring: one ring, its UDP sockets, multishot receive into a provided buffer ring, sends that never
//! wait.
//!
//! **Who owns a buffer.** The kernel, until a completion names it; the caller, until [`Ring::recycle`]
//! gives it back. Sends point straight into buffers the caller owns; they carry MSG_DONTWAIT, so the
//! kernel has finished with their memory when `io_uring_enter` returns, and a buffer may be recycled
//! after [`Ring::submit`] or [`Ring::wait`] without counting references.
//!
//! **Sockets** are registered files, named by their slot. The first, in slot 0, is there as long as the ring;
//! others are attached and detached. A slot is free again when [`Ring::next_free`] says so.

mod completion;
mod label;
mod listeners;
mod pool;
mod sends;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use elara_core::ClientAddr;
use elara_core::limits::{DATAGRAM_MAX, RELAY_SOCKETS_MAX, SEGMENTS_MAX};
use elara_core::time::Span;
use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::message::{Control, Family, RawAddr};
use super::mmsg::reason;
use super::wait::Bell;
use crate::counters::Refusal;
use label::Label;
use listeners::{FIRST, Listeners};
use pool::{BUFFER_GROUP, Pool};
use sends::Sends;

pub use completion::Completion;

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Receive buffers, a power of two.
    pub buffers: u16,
    /// Buffers that are never the kernel's, numbered on from the others.
    pub lasting: u16,
    /// Sends that may be queued.
    pub sends: u32,
    /// Sockets besides the first.
    pub sockets: u32,
}

/// A ring around its sockets.
pub struct Ring {
    // Declared first, dropped first: the kernel lets go before the memory goes.
    ring: IoUring,
    pool: Pool,
    sends: Sends,
    /// What multishot receive copies its geometry from; read by the kernel when armed.
    template: Box<libc::msghdr>,
    listeners: Listeners,
    bell: Bell,
    /// Listening to the bell could not be queued when it was due.
    deaf: bool,
}

impl Ring {
    /// A ring over `socket`. Must be used on the thread that made it. Ringing `bell` ends a wait.
    ///
    /// # Errors
    /// When the kernel has no io_uring, forbids it, or lacks a feature: buffer rings, multishot
    /// receive (6.0), deferred task running (6.1). When there are to be more sockets than the process may
    /// have descriptors.
    pub fn new(
        socket: BorrowedFd<'_>,
        family: Family,
        bell: &Bell,
        sizes: Sizes,
    ) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(sizes.sends * 4)
            .dontfork()
            .build(sizes.sends)?;
        ring.submitter().register_files_sparse(1 + sizes.sockets)?;
        let pool = Pool::new(&ring, sizes.buffers, sizes.lasting)?;
        // SAFETY: a msghdr is plain data; all zero means "nothing".
        let mut template: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        template.msg_namelen = size_of::<RawAddr>() as u32;
        template.msg_controllen = Control::LEN;
        let mut ring = Self {
            ring,
            pool,
            sends: Sends::new(sizes.sends as usize),
            template,
            listeners: Listeners::new(),
            bell: bell.clone(),
            deaf: false,
        };
        ring.attach(FIRST, socket, family)?;
        ring.arm(0);
        ring.listen();
        Ok(ring)
    }

    /// Registers a socket in a free slot. What it receives comes when it has been armed.
    ///
    /// # Errors
    /// When there is no such slot, or what the kernel answers.
    pub fn attach(&mut self, slot: u16, socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
        self.ring.submitter().register_files_update(u32::from(slot), &[socket.as_raw_fd()])?;
        self.listeners.enter(slot, family);
        Ok(())
    }

    /// Nothing that comes to the socket in `slot` is told from here on; what has been queued from it leaves.
    /// The slot is free when [`Ring::next_free`] has named it. The first socket stays.
    pub fn detach(&mut self, slot: u16) {
        if slot == FIRST {
            return;
        }
        if let Some(generation) = self.listeners.leave(slot) {
            self.cancel(slot, generation);
        }
    }

    /// Whether [`Ring::next_free`] may have something to say.
    #[inline]
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.listeners.is_finished()
    }

    /// A slot with whose socket the kernel is done: it is unregistered, and the slot free. To be asked when
    /// the ring is settled: what is still queued names its socket by the slot.
    #[must_use]
    pub fn next_free(&mut self) -> Option<u16> {
        debug_assert!(self.is_settled(), "what is queued must have left");
        let slot = self.listeners.next_finished()?;
        let _ = self.ring.submitter().register_files_update(u32::from(slot), &[-1]);
        Some(slot)
    }

    /// Receiving in `slot` is to begin again, with the next [`Ring::arm`].
    pub fn owe(&mut self, slot: u16) {
        self.listeners.owe(slot);
    }

    /// Whether a socket waits to be armed.
    #[inline]
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.listeners.is_owed()
    }

    /// Starts receiving where it is due: on the first socket, and on at most `most` others, those that
    /// wait longest.
    pub fn arm(&mut self, most: usize) {
        for _ in 0..=most {
            let Some(slot) = self.listeners.next_owed() else { return };
            if !self.try_arm(slot) {
                return;
            }
            self.listeners.armed(slot);
        }
    }

    fn try_arm(&mut self, slot: u16) -> bool {
        let generation = self.listeners.generation(slot);
        let file = Fixed(u32::from(slot));
        let entry = opcode::RecvMsgMulti::new(file, &raw const *self.template, BUFFER_GROUP)
            .build()
            .user_data(Label::Receive { slot, generation }.pack());
        // SAFETY: the template lives in a box as long as the ring; buffers come from the provided ring.
        unsafe { self.push(&entry) }
    }

    /// Tells the kernel to end a receive, behind all that is queued.
    fn cancel(&mut self, slot: u16, generation: u32) {
        let receive = Label::Receive { slot, generation }.pack();
        let entry = opcode::AsyncCancel::new(receive)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Label::Cancel.pack());
        // SAFETY: the entry points at no memory.
        if !unsafe { self.push(&entry) } {
            self.listeners.untold(slot, generation);
        }
    }

    fn listen(&mut self) {
        self.deaf = !self.try_listen();
    }

    fn try_listen(&mut self) -> bool {
        let bell = io_uring::types::Fd(self.bell.as_fd().as_raw_fd());
        let entry =
            opcode::PollAdd::new(bell, libc::POLLIN as u32).build().user_data(Label::Wake.pack());
        // SAFETY: the entry points at no memory.
        unsafe { self.push(&entry) }
    }

    /// Queues what found no room before. A ring that does not hear its bell is deaf for ever.
    fn pay(&mut self) {
        if self.deaf {
            self.listen();
        }
        if let Some((slot, generation)) = self.listeners.next_untold() {
            self.cancel(slot, generation);
        }
    }

    /// Queues one send from the socket in `slot`: at most `SLICES_MAX` `parts` (buffer, start, length), one
    /// after the other, to `to`, cut every `segment` bytes when that is not 0, into at most `SEGMENTS_MAX`
    /// datagrams and `DATAGRAM_MAX` bytes. Submits what is queued first when there is no room. False when the
    /// kernel takes nothing at the moment, a part lies in no buffer, or there is no such socket. `tag`,
    /// below `SEND_TAGS`, comes back when the send is refused.
    #[inline]
    #[must_use]
    pub fn send(
        &mut self,
        slot: u16,
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
        debug_assert!(total as usize <= DATAGRAM_MAX, "more than one send can carry");
        let segment = if datagrams > 1 { segment } else { 0 };
        self.queue(slot, to, first, segment, Refusal { tag, datagrams, bytes: total })
    }

    /// Queues one datagram from the first socket, of bytes that lie in no buffer, copied into an arena of the
    /// ring's own; else like [`Ring::send`]. False when the kernel takes nothing at the moment, or they are
    /// longer than the arena.
    #[inline]
    #[must_use]
    pub fn send_bytes(&mut self, to: &ClientAddr, bytes: &[u8], tag: u32) -> bool {
        if !self.make_room(1, bytes.len()) {
            return false;
        }
        let first = self.sends.vectors_used;
        self.sends.copy(bytes);
        self.queue(FIRST, to, first, 0, Refusal { tag, datagrams: 1, bytes: bytes.len() as u32 })
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
    fn queue(
        &mut self,
        slot: u16,
        to: &ClientAddr,
        first: usize,
        segment: u16,
        send: Refusal,
    ) -> bool {
        let Some(family) = self.listeners.family(slot) else { return false };
        let place = self.sends.address(to, family);
        let entry = self
            .sends
            .entry(Fixed(u32::from(slot)), family, place, first, segment)
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Label::Send { slot, send }.pack());
        // SAFETY: the entry points at this place's address and header and at parts of pool buffers or of the
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
        Some(match Label::unpack(entry.user_data()) {
            Label::Receive { slot, generation } => self.received(slot, generation, result, flags),
            Label::Wake => {
                self.bell.silence();
                self.listen();
                Completion::Woken
            }
            Label::Send { slot, send } => Completion::Refused {
                slot,
                send,
                why: reason(&io::Error::from_raw_os_error(-result)),
            },
            // The receive that was to end had ended by itself.
            Label::Cancel => Completion::Internal,
        })
    }

    #[inline]
    fn received(&mut self, slot: u16, generation: u32, result: i32, flags: u32) -> Completion {
        let heard = self.listeners.hears(slot, generation);
        let is_last = !cqueue::more(flags);
        if is_last {
            self.listeners.ended(slot);
        }
        match cqueue::buffer_select(flags) {
            Some(buffer) => {
                self.pool.take(buffer);
                // A message and the end of the multishot can come in one completion: an empty datagram ends
                // it, for one.
                if is_last && heard {
                    self.resume(slot);
                }
                if result < 0 || !heard {
                    Completion::Spoiled { buffer }
                } else {
                    self.pool.message(slot, buffer, result as usize)
                }
            }
            None if heard => Completion::Ended {
                slot,
                error: (result < 0 && result != -libc::ENOBUFS).then_some(-result),
            },
            None => Completion::Internal,
        }
    }

    /// Receives again at once where it has ended and there are buffers.
    fn resume(&mut self, slot: u16) {
        if self.try_arm(slot) {
            self.listeners.armed(slot);
        } else {
            self.listeners.owe(slot);
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

    /// Copies bytes into a lasting buffer, `at` bytes into its room, and answers where the copy starts.
    ///
    /// # Panics
    /// When they do not fit there, or the buffer is of another kind.
    pub fn write(&mut self, buffer: u16, at: usize, bytes: &[u8]) -> u32 {
        self.pool.write(buffer, at, bytes)
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
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel must have let go of pool and template before they are unmapped, and of the socket
        // before someone else binds its address.
        // Nothing may be queued that would begin after the end.
        let _ = self.ring.submit();
        let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        // What was cancelled holds its socket until it has been completed, some at a time.
        for _ in 0..=RELAY_SOCKETS_MAX {
            if !self.has_more() {
                break;
            }
            let _ = self.ring.submit();
            self.ring.completion().for_each(drop);
        }
        let submitter = self.ring.submitter();
        let _ = submitter.unregister_files();
        let _ = submitter.unregister_buf_ring(BUFFER_GROUP);
    }
}
