//! The floor of a first program: `recvfrom`, then `sendto` for each receiver.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use elara_core::ClientAddr;

use super::Groups;

pub(super) fn serve(socket: &UdpSocket) -> io::Result<()> {
    let mut groups = Groups::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        let datagram = &buffer[..len];
        for to in groups.others(ClientAddr::from(from), datagram) {
            // What the kernel does not take is lost, and the load generator sees it.
            let _ = socket.send_to(datagram, SocketAddr::from(*to));
        }
    }
}
