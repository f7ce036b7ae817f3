//! What queued sends point at, until the kernel has taken them.

use std::ptr;

use elara_core::ClientAddr;
use elara_core::limits::{SEND_ARENA, SLICES_MAX};
use io_uring::types::Fixed;
use io_uring::{opcode, squeue};

use crate::sys::message::{Control, Family, RawAddr};

/// Addresses, headers and slices of queued sends, and bytes that lie in no receive buffer.
pub(super) struct Sends {
    addresses: Box<[RawAddr]>,
    headers: Box<[libc::msghdr]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    arena: Box<[u8]>,
    used: usize,
    arena_used: usize,
    pub(super) vectors_used: usize,
}

impl Sends {
    pub(super) fn new(slots: usize) -> Self {
        // SAFETY: a msghdr is plain data; all zero means "nothing".
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            addresses: vec![RawAddr::EMPTY; slots].into(),
            headers: vec![header; slots].into(),
            controls: vec![Control::EMPTY; slots].into(),
            vectors: vec![vector; slots.max(SLICES_MAX) * 2].into(),
            arena: vec![0; SEND_ARENA].into(),
            used: 0,
            arena_used: 0,
            vectors_used: 0,
        }
    }

    /// Whether there is no room for one more send of so many parts and so many bytes in the arena.
    pub(super) const fn is_full(&self, parts: usize, bytes: usize) -> bool {
        self.used == self.addresses.len()
            || self.vectors_used + parts > self.vectors.len()
            || self.arena_used + bytes > self.arena.len()
    }

    pub(super) const fn reset(&mut self) {
        self.used = 0;
        self.vectors_used = 0;
        self.arena_used = 0;
    }

    #[inline]
    pub(super) fn address(&mut self, to: &ClientAddr, family: Family) -> usize {
        let slot = self.used;
        self.addresses[slot] = RawAddr::encode(to, family);
        self.used += 1;
        slot
    }

    #[inline]
    pub(super) fn vector(&mut self, base: *const u8, len: usize) {
        self.vectors[self.vectors_used] =
            libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len };
        self.vectors_used += 1;
    }

    /// Copies bytes into the arena, and makes a vector of the copy.
    #[inline]
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        let copy = &mut self.arena[self.arena_used..][..bytes.len()];
        copy.copy_from_slice(bytes);
        let base = copy.as_ptr();
        self.arena_used += bytes.len();
        self.vector(base, bytes.len());
    }

    /// The entry that sends the vectors from `first` on, from a socket of `family`, to the address in `slot`.
    #[inline]
    pub(super) fn entry(
        &mut self,
        socket: Fixed,
        family: Family,
        slot: usize,
        first: usize,
        segment: u16,
    ) -> squeue::Entry {
        let address = &mut self.addresses[slot];
        if let [one] = self.vectors[first..self.vectors_used]
            && segment == 0
        {
            return opcode::Send::new(socket, one.iov_base.cast_const().cast(), one.iov_len as u32)
                .flags(libc::MSG_DONTWAIT)
                .dest_addr(address.as_ptr())
                .dest_addr_len(family.addr_len())
                .build();
        }
        let header = &mut self.headers[slot];
        header.msg_name = address.as_mut_ptr();
        header.msg_namelen = family.addr_len();
        header.msg_iov = self.vectors[first..].as_mut_ptr();
        header.msg_iovlen = self.vectors_used - first;
        (header.msg_control, header.msg_controllen) = if segment == 0 {
            (ptr::null_mut(), 0)
        } else {
            self.controls[slot] = Control::segment(segment);
            (self.controls[slot].as_mut_ptr(), Control::LEN)
        };
        opcode::SendMsg::new(socket, &raw const *header).flags(libc::MSG_DONTWAIT as u32).build()
    }
}
