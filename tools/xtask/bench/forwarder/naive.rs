//! The floor of a first program: `recvfrom`, then `sendto` for each receiver.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use elara_core::ClientAddr;

use super::counts::Counts;
use super::groups::Groups;

pub(super) fn serve(socket: &UdpSocket, mut groups: Groups, counts: &Counts) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        let datagram = &buffer[..len];
        counts.take(1);
        for to in groups.others(ClientAddr::from(from), datagram) {
            // What the kernel does not take is lost.
            let taken = socket.send_to(datagram, SocketAddr::from(*to)).is_ok();
            counts.send(1);
            if !taken {
                counts.refuse(1);
            }
        }
    }
}
