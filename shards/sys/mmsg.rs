//! recvmmsg and sendmmsg: many messages in one system call, with addresses, GRO and GSO.
//!
//! Shared by the syscall back end and by the load generator. All memory is taken once, in `new`.

mod relayed;

use std::io;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use elara_core::ClientAddr;

use super::message::{Control, Family, RawAddr, Source, gro_segment};
use crate::counters::{Egress, Reason};

/// Buffers for received messages, filled by [`RecvBatch::receive`].
pub struct RecvBatch {
    buffers: Vec<u8>,
    buffer_len: usize,
    names: Vec<RawAddr>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the raw pointers in `vectors` and `headers` point into this value's own heap memory, are
// rewritten before every system call, and are read by nobody else.
unsafe impl Send for RecvBatch {}

/// One received message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Who sent it; `None` when the kernel named nobody (a connected socket).
    pub from: Option<ClientAddr>,
    /// Its length in bytes.
    pub len: usize,
    /// Bytes of each datagram in it; 0 when the whole is one.
    pub segment: u16,
    /// The buffer was too short for it.
    pub truncated: bool,
}

impl RecvBatch {
    /// `slots` buffers of `buffer_len` bytes each (65,536 for sockets with UDP_GRO).
    #[must_use]
    pub fn new(slots: usize, buffer_len: usize) -> Self {
        Self {
            buffers: vec![0; slots * buffer_len],
            buffer_len,
            names: vec![RawAddr::EMPTY; slots],
            controls: vec![Control::EMPTY; slots],
            vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; slots],
            headers: vec![empty_header(); slots],
        }
    }

    /// How many buffers there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Receives into the slots `first..first + count` (clipped to what there is) what waits in the
    /// socket, without waiting. Answers how many messages came; 0 when none waits.
    ///
    /// # Errors
    /// What recvmmsg answers, except EAGAIN (0 messages) and EINTR (tried again).
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        first: usize,
        count: usize,
    ) -> io::Result<usize> {
        let end = (first + count).min(self.slots());
        if first >= end {
            return Ok(0);
        }
        for slot in first..end {
            self.vectors[slot] = libc::iovec {
                iov_base: self.buffers[slot * self.buffer_len..].as_mut_ptr().cast(),
                iov_len: self.buffer_len,
            };
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_name = self.names[slot].as_mut_ptr();
            header.msg_namelen = size_of::<RawAddr>() as u32;
            header.msg_iov = &raw mut self.vectors[slot];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[slot].as_mut_ptr();
            header.msg_controllen = Control::LEN;
        }
        loop {
            // SAFETY: every header in the range points at a name, a control buffer, an iovec and a byte
            // buffer of this value, each as long as the header says; they outlive the call.
            let received = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers[first..end].as_mut_ptr(),
                    (end - first) as u32,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            if let Ok(received) = usize::try_from(received) {
                return Ok(received);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(0),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        }
    }

    /// The message in `slot`, as the last `receive` into it left it.
    #[inline]
    #[must_use]
    pub fn message(&self, slot: usize) -> Message {
        let header = &self.headers[slot];
        let controls = header.msg_hdr.msg_controllen.min(Control::LEN);
        let name_len = (header.msg_hdr.msg_namelen as usize).min(size_of::<RawAddr>());
        Message {
            from: RawAddr::decode(&self.names[slot].as_bytes()[..name_len]),
            len: header.msg_len as usize,
            segment: gro_segment(&self.controls[slot].as_bytes()[..controls]),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }
    }

    /// The whole buffer of `slot`; a message's bytes are its first `len`.
    #[inline]
    #[must_use]
    pub fn buffer(&self, slot: usize) -> &[u8] {
        &self.buffers[slot * self.buffer_len..][..self.buffer_len]
    }
}

/// Memory for messages to send; [`SendBatch::begin`] opens a batch.
pub struct SendBatch {
    family: Family,
    names: Vec<RawAddr>,
    controls: Vec<Control>,
    /// As many as there are messages, once one has said where it comes from.
    sources: Vec<Source>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// Datagrams and bytes of each message, for the accounts.
    weights: Vec<(u32, u32)>,
}

// SAFETY: the raw pointers are written in `push` and read in `flush`, both within one borrow of the
// batch; between batches nobody looks at them.
unsafe impl Send for SendBatch {}

/// A batch being filled. The bytes it was given stay borrowed until it is flushed.
pub struct Sending<'batch, 'bytes> {
    batch: &'batch mut SendBatch,
    family: Family,
    messages: usize,
    vectors: usize,
    bytes: PhantomData<&'bytes [u8]>,
}

impl SendBatch {
    /// Room for `slots` messages to a socket of `family`, and for `vectors` slices in all of them together.
    #[must_use]
    pub fn new(slots: usize, vectors: usize, family: Family) -> Self {
        Self {
            family,
            names: vec![RawAddr::EMPTY; slots],
            controls: vec![Control::EMPTY; slots],
            sources: Vec::new(),
            vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; vectors],
            headers: vec![empty_header(); slots],
            weights: vec![(0, 0); slots],
        }
    }

    /// Opens an empty batch.
    pub fn begin<'bytes>(&mut self) -> Sending<'_, 'bytes> {
        self.begin_for(self.family)
    }

    /// Opens an empty batch for a socket of `family`, whatever the batch was made for.
    pub fn begin_for<'bytes>(&mut self, family: Family) -> Sending<'_, 'bytes> {
        Sending { batch: self, family, messages: 0, vectors: 0, bytes: PhantomData }
    }
}

impl<'bytes> Sending<'_, 'bytes> {
    /// Messages in the batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.messages
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Adds a message: the slices one after the other, to `to` (`None`: where the socket is connected
    /// to), cut every `segment` bytes when that is not 0. False, and nothing added, when the batch is full.
    #[inline]
    #[must_use]
    pub fn push(
        &mut self,
        to: Option<&ClientAddr>,
        slices: impl IntoIterator<Item = &'bytes [u8]>,
        segment: u16,
    ) -> bool {
        let (slot, first) = (self.messages, self.vectors);
        let batch = &mut *self.batch;
        if slot == batch.headers.len() {
            return false;
        }
        let (mut end, mut total) = (first, 0);
        for slice in slices {
            let Some(vector) = batch.vectors.get_mut(end) else { return false };
            *vector =
                libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: slice.len() };
            end += 1;
            total += slice.len();
        }
        let header = &mut batch.headers[slot].msg_hdr;
        *header = empty_header().msg_hdr;
        if let Some(to) = to {
            batch.names[slot] = RawAddr::encode(to, self.family);
            header.msg_name = batch.names[slot].as_mut_ptr();
            header.msg_namelen = self.family.addr_len();
        }
        if end > first {
            header.msg_iov = batch.vectors[first..].as_mut_ptr();
            header.msg_iovlen = end - first;
        }
        let mut datagrams = 1;
        if segment > 0 && total > usize::from(segment) {
            batch.controls[slot] = Control::segment(segment);
            header.msg_control = batch.controls[slot].as_mut_ptr();
            header.msg_controllen = Control::LEN;
            datagrams = total.div_ceil(usize::from(segment)) as u32;
        }
        batch.weights[slot] = (datagrams, total as u32);
        self.messages += 1;
        self.vectors = end;
        true
    }

    /// [`Sending::push`] of one datagram that comes from `from`, an address of this machine, and the port of
    /// the socket, which is one of IPv4 and bound to no address. The first one allocates.
    #[must_use]
    pub fn push_from(&mut self, from: Ipv4Addr, to: &ClientAddr, datagram: &'bytes [u8]) -> bool {
        let slot = self.messages;
        if !self.push(Some(to), [datagram], 0) {
            return false;
        }
        if self.batch.sources.is_empty() {
            // Only the first time, so that nothing points there yet.
            self.batch.sources.resize(self.batch.headers.len(), Source::EMPTY);
        }
        self.batch.sources[slot] = Source::of(from);
        let header = &mut self.batch.headers[slot].msg_hdr;
        header.msg_control = self.batch.sources[slot].as_mut_ptr();
        header.msg_controllen = Source::LEN;
        true
    }

    /// Sends everything, never waiting: what the socket does not take at once is dropped and counted.
    pub fn flush(self, socket: BorrowedFd<'_>) -> Egress {
        self.flush_telling(socket, |_, _| {})
    }

    /// [`Sending::flush`], which also tells which messages were refused: the how many-th of the batch,
    /// and why.
    pub fn flush_telling(
        self,
        socket: BorrowedFd<'_>,
        refused: impl FnMut(usize, Reason),
    ) -> Egress {
        self.flush_trying(socket, false, refused).0
    }

    /// [`Sending::flush_telling`] for a socket that hears what the network says (IP_RECVERR): a send there
    /// fails when an earlier one has not arrived, whoever either was for. So each is tried once more, in its
    /// place. Whether any had to be.
    pub fn flush_relayed(self, socket: BorrowedFd<'_>, refused: impl FnMut(usize, Reason)) -> bool {
        self.flush_trying(socket, true, refused).1
    }

    #[inline]
    fn flush_trying(
        self,
        socket: BorrowedFd<'_>,
        again: bool,
        mut refused: impl FnMut(usize, Reason),
    ) -> (Egress, bool) {
        let mut egress = Egress::default();
        let mut at = 0;
        let mut tried = None;
        while at < self.messages {
            // SAFETY: the headers `at..messages` were filled by `push`: names, controls and iovecs are
            // this batch's own, and the bytes behind the iovecs are borrowed for `'bytes`, which
            // outlives `self`. The kernel only reads through them, except `msg_len`, which is ours.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.batch.headers[at..].as_mut_ptr(),
                    (self.messages - at) as u32,
                    libc::MSG_DONTWAIT,
                )
            };
            if sent > 0 {
                for (datagrams, bytes) in &self.batch.weights[at..at + sent as usize] {
                    egress.sent += u64::from(*datagrams);
                    egress.bytes += u64::from(*bytes);
                }
                at += sent as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            let why = reason(&error);
            if again && why == Reason::Failed && tried != Some(at) {
                tried = Some(at);
                continue;
            }
            *match why {
                Reason::Busy => &mut egress.busy,
                Reason::Failed | Reason::Uncut => &mut egress.failed,
            } += u64::from(self.batch.weights[at].0);
            refused(at, why);
            at += 1;
        }
        (egress, tried.is_some())
    }
}

/// What an error of a send says.
pub(super) fn reason(error: &io::Error) -> Reason {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Reason::Busy,
        // udp_send_skb: UDP_SEGMENT wants a device that computes checksums.
        Some(libc::EIO) => Reason::Uncut,
        _ => Reason::Failed,
    }
}

const fn empty_header() -> libc::mmsghdr {
    libc::mmsghdr {
        msg_hdr: libc::msghdr {
            msg_name: ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        },
        msg_len: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        (socket(), socket())
    }

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let (alice, bob) = pair();
        let to = ClientAddr::from(bob.local_addr().unwrap());
        let mut batch = SendBatch::new(4, 8, Family::V4);
        let mut sending = batch.begin();
        assert!(sending.push(Some(&to), [&b"one"[..]], 0));
        assert!(sending.push(Some(&to), [&b"tw"[..], &b"o"[..]], 0));
        assert!(sending.push(Some(&to), [], 0));
        let egress = sending.flush(alice.as_fd());
        assert_eq!(egress, Egress { sent: 3, bytes: 6, busy: 0, failed: 0 });

        let mut inbox = RecvBatch::new(8, 64);
        assert_eq!(inbox.receive(bob.as_fd(), 2, 100).unwrap(), 3);
        let said: Vec<&[u8]> =
            (2..5).map(|slot| &inbox.buffer(slot)[..inbox.message(slot).len]).collect();
        assert_eq!(said, [&b"one"[..], b"two", b""]);
        assert_eq!(inbox.message(2).from, Some(alice.local_addr().unwrap().into()));
        assert_eq!(inbox.receive(bob.as_fd(), 0, 8).unwrap(), 0, "nothing waits");
    }

    #[test]
    fn one_socket_speaks_for_many_addresses() {
        let (crowd, bob) = (UdpSocket::bind("0.0.0.0:0").unwrap(), pair().1);
        let to = ClientAddr::from(bob.local_addr().unwrap());
        let mut batch = SendBatch::new(2, 2, Family::V4);
        let mut sending = batch.begin();
        let alice = Ipv4Addr::new(127, 1, 2, 3);
        assert!(sending.push_from(alice, &to, b"alice"));
        assert!(sending.push_from(Ipv4Addr::new(127, 4, 5, 6), &to, b"carol"));
        assert!(!sending.push_from(alice, &to, b"again"), "two messages, room for two");
        assert_eq!(sending.flush(crowd.as_fd()).sent, 2);
        let port = crowd.local_addr().unwrap().port();
        let mut heard = [0; 16];
        for name in ["127.1.2.3", "127.4.5.6"] {
            let (_, from) = bob.recv_from(&mut heard).unwrap();
            assert_eq!(from.to_string(), format!("{name}:{port}"));
        }
        let mut sending = batch.begin();
        assert!(sending.push_from(Ipv4Addr::new(192, 0, 2, 1), &to, b"mallory"));
        assert_eq!(sending.flush(crowd.as_fd()).failed, 1, "no address of this machine");
    }

    #[test]
    fn a_full_batch_says_so() {
        let to = ClientAddr::from("127.0.0.1:9".parse::<std::net::SocketAddr>().unwrap());
        let mut batch = SendBatch::new(2, 2, Family::V4);
        let mut sending = batch.begin();
        assert!(!sending.push(Some(&to), [&b"a"[..], b"b", b"c"], 0), "three slices, room for two");
        assert!(sending.push(Some(&to), [&b"a"[..]], 0));
        assert!(sending.push(Some(&to), [&b"b"[..]], 0));
        assert!(!sending.push(Some(&to), [], 0), "two messages, room for two");
    }

    #[test]
    fn one_unreachable_receiver_does_not_stop_the_others() {
        let (alice, bob) = pair();
        let to = ClientAddr::from(bob.local_addr().unwrap());
        let mut batch = SendBatch::new(4, 4, Family::V4);
        let mut sending = batch.begin();
        let too_long = [0; 65_508];
        assert!(sending.push(Some(&to), [&too_long[..]], 0));
        assert!(sending.push(Some(&to), [&b"hello"[..]], 0));
        assert!(sending.push(Some(&to), [&too_long[..]], 0));
        let mut refused = Vec::new();
        let egress = sending.flush_telling(alice.as_fd(), |at, why| refused.push((at, why)));
        assert_eq!((egress.sent, egress.failed), (1, 2));
        assert_eq!(refused, [(0, Reason::Failed), (2, Reason::Failed)]);
    }

    #[test]
    fn an_error_says_whose_fault_it_is() {
        let of = |errno| reason(&io::Error::from_raw_os_error(errno));
        assert_eq!([libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM].map(of), [Reason::Busy; 3]);
        assert_eq!([libc::ENETUNREACH, libc::EMSGSIZE, libc::EINVAL].map(of), [Reason::Failed; 3]);
        assert_eq!(of(libc::EIO), Reason::Uncut);
    }

    #[test]
    fn a_message_longer_than_its_buffer_is_marked() {
        let (alice, bob) = pair();
        alice.send_to(&[7; 100], bob.local_addr().unwrap()).unwrap();
        let mut inbox = RecvBatch::new(1, 64);
        assert_eq!(inbox.receive(bob.as_fd(), 0, 1).unwrap(), 1);
        assert!(inbox.message(0).truncated);
    }
}
