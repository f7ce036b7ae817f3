//! Single messages from relay sockets, which hear what the network says (IP_RECVERR), and single datagrams
//! with DF the other way round than their socket has it.

use std::os::fd::BorrowedFd;

use elara_core::ClientAddr;

use super::SendBatch;
use crate::counters::Reason;
use crate::sys::message::Family;
use crate::sys::options;

impl SendBatch {
    /// Sends one message from a relay socket, at once. Why not, if it was refused, and whether there was an
    /// error: it may have been of an earlier one.
    pub fn send_relayed<'bytes>(
        &mut self,
        (socket, family): (BorrowedFd<'_>, Family),
        to: &ClientAddr,
        slices: impl IntoIterator<Item = &'bytes [u8]>,
        segment: u16,
    ) -> (Option<Reason>, bool) {
        let mut sending = self.begin_for(family);
        if !sending.push(Some(to), slices, segment) {
            return (Some(Reason::Failed), false);
        }
        let mut refused = None;
        let heard = sending.flush_relayed(socket, |_, why| refused = Some(why));
        (refused, heard)
    }

    /// Sends one datagram from a relay socket at once, with DF set, for this one only. As
    /// [`SendBatch::send_relayed`].
    pub fn send_unfragmented<'bytes>(
        &mut self,
        (socket, family): (BorrowedFd<'_>, Family),
        to: &ClientAddr,
        slices: impl IntoIterator<Item = &'bytes [u8]>,
    ) -> (Option<Reason>, bool) {
        if options::set_pmtu_probe(socket, family).is_err() {
            return (Some(Reason::Failed), false);
        }
        let refused = self.send_relayed((socket, family), to, slices, 0);
        // It has been set before: only a socket that is none refuses it.
        let _ = options::set_fragmentable(socket, family);
        refused
    }

    /// Sends one datagram from a data socket at once; it may be cut into fragments, this one only. Why not,
    /// if it was refused.
    pub fn send_fragmentable<'bytes>(
        &mut self,
        (socket, family): (BorrowedFd<'_>, Family),
        to: &ClientAddr,
        slices: impl IntoIterator<Item = &'bytes [u8]>,
    ) -> Option<Reason> {
        let mut sending = self.begin_for(family);
        if !sending.push(Some(to), slices, 0) {
            return Some(Reason::Failed);
        }
        let mut refused = Some(Reason::Failed);
        if options::set_fragmentable(socket, family).is_ok() {
            refused = None;
            sending.flush_telling(socket, |_, why| refused = Some(why));
        }
        // It has been set before: only a socket that is none refuses it.
        let _ = options::set_pmtu_probe(socket, family);
        refused
    }
}
