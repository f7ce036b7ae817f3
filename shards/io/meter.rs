//! How hard a back end over a socket has worked: two readings of the kernel, made into counts that only
//! grow.

use std::os::fd::BorrowedFd;

use elara_core::time::Span;

use super::Strain;
use crate::sys::{cpu, options};

/// The kernel counts what it dropped in 32 bits; this goes on where they begin anew.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// What the kernel said last.
    said: u32,
    overflowed: u64,
}

impl Meter {
    /// The strain of the calling thread and of `socket`. Where the kernel does not tell (older than 4.12),
    /// nothing has overflowed.
    pub(super) fn read(&mut self, socket: BorrowedFd<'_>) -> Strain {
        if let Ok(dropped) = options::dropped(socket) {
            self.heard(dropped);
        }
        let worked = Span::from_nanos(cpu::thread_cpu_nanos());
        Strain { worked, overflowed: self.overflowed }
    }

    fn heard(&mut self, dropped: u32) {
        self.overflowed += u64::from(dropped.wrapping_sub(self.said));
        self.said = dropped;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::os::fd::AsFd;

    use elara_core::ClientAddr;

    use super::*;
    use crate::socket;
    use crate::sys::message::Family;
    use crate::sys::mmsg::SendBatch;

    #[test]
    fn a_train_that_finds_no_room_is_one_message() {
        let relay = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
        options::set_buffers(relay.as_fd(), 100_000);
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (to, burst) = (ClientAddr::from(relay.local_addr().unwrap()), [7; 30_000]);
        let mut batch = SendBatch::new(1, 1, Family::V4);
        for _ in 0..20 {
            let mut sending = batch.begin();
            assert!(sending.push(Some(&to), [&burst[..]], 1_000));
            assert_eq!(sending.flush(sender.as_fd()).sent, 30);
        }
        let (mut meter, mut buffer) = (Meter::default(), vec![0; 65_536]);
        let overflowed = meter.read(relay.as_fd()).overflowed;
        let came = std::iter::from_fn(|| relay.recv(&mut buffer).ok()).count() as u64;
        assert!(overflowed > 0 && came > 0, "{came} came, {overflowed} did not");
        assert_eq!(came + overflowed, 20, "trains, not datagrams");
        assert_eq!(meter.read(relay.as_fd()).overflowed, overflowed);
    }

    #[test]
    fn what_was_dropped_is_counted_past_the_kernels_32_bits() {
        let mut meter = Meter::default();
        for (dropped, overflowed) in
            [(0, 0), (7, 7), (7, 7), (u32::MAX, 0xFFFF_FFFF), (2, 0x1_0000_0002)]
        {
            meter.heard(dropped);
            assert_eq!(meter.overflowed, overflowed);
        }
    }
}
