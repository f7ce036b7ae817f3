//! The floor of the syscall back end: epoll, `recvmmsg`, `sendmmsg`.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_shards::sys::mmsg::{RecvBatch, SendBatch};
use elara_shards::sys::wait::Poll;

use super::Groups;

/// As the relay's back end has it.
const RECEIVE_BATCH: usize = 8;
const SEND_BATCH: usize = 64;
const BUFFER: usize = 65_536;

pub(super) fn serve(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let mut poll = Poll::new(1)?;
    poll.watch(socket.as_fd(), 0)?;
    let mut groups = Groups::new();
    let mut inbox = RecvBatch::new(RECEIVE_BATCH, BUFFER);
    let mut outbox = SendBatch::new(SEND_BATCH, SEND_BATCH, super::family(socket)?);
    loop {
        let received = inbox.receive(socket.as_fd(), 0, RECEIVE_BATCH)?;
        if received == 0 {
            let _ = poll.wait(None)?;
            continue;
        }
        let mut sending = outbox.begin();
        for slot in 0..received {
            let message = inbox.message(slot);
            let Some(from) = message.from else { continue };
            let train = &inbox.buffer(slot)[..message.len];
            let step = if message.segment == 0 { train.len() } else { message.segment.into() };
            for datagram in train.chunks(step.max(1)) {
                for to in groups.others(from, datagram) {
                    if !sending.push(Some(to), [datagram], 0) {
                        sending.flush(socket.as_fd());
                        sending = outbox.begin();
                        let _ = sending.push(Some(to), [datagram], 0);
                    }
                }
            }
        }
        sending.flush(socket.as_fd());
    }
}
