//! The floor of the io_uring back end: multishot receive, one send operation a datagram.

use std::io;
use std::iter;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use elara_core::limits::{RECEIVE_BUFFERS, SEND_QUEUE};
use elara_shards::sys::ring::{Completion, Ring};
use elara_shards::sys::wait::Bell;

use super::Groups;

pub(super) fn serve(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let family = super::family(socket)?;
    let (buffers, sends) = (RECEIVE_BUFFERS as u16, SEND_QUEUE as u32);
    let mut ring = Ring::new(socket.as_fd(), family, &Bell::new()?, buffers, sends, 0)?;
    let mut groups = Groups::new();
    let mut held = Vec::with_capacity(RECEIVE_BUFFERS);
    let mut ended = false;
    loop {
        if ended {
            // Nothing comes before receiving is armed again, and that needs the buffers back first.
            ring.submit()?;
        } else {
            ring.wait(None)?;
        }
        if ring.is_settled() {
            // What was sent from these has left: a send ends inside the call above.
            held.drain(..).for_each(|buffer| ring.recycle(buffer));
            ring.publish();
            if mem::take(&mut ended) {
                ring.arm();
            }
        }
        while let Some(completion) = ring.complete() {
            match completion {
                Completion::Received { buffer, start, len, from, segment, .. } => {
                    held.push(buffer);
                    let step = if segment == 0 { len.max(1) } else { segment };
                    for offset in (0..len).step_by(usize::from(step)) {
                        let part = (buffer, start + u32::from(offset), step.min(len - offset));
                        for to in groups.others(from, ring.bytes(part.0, part.1, part.2)) {
                            // What the kernel does not take is lost, and the load generator sees it.
                            let _ = ring.send(to, iter::once(part), 0, 0);
                        }
                    }
                }
                Completion::Spoiled { buffer } => held.push(buffer),
                Completion::Ended { .. } => ended = true,
                Completion::Woken | Completion::Refused { .. } => {}
            }
        }
    }
}
