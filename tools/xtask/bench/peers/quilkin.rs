//! Quilkin as a forwarder: what comes to its port goes to each of a list of endpoints.
//!
//! It has one list for all, so there is one session, with the load of all. It drops what comes from
//! loopback: it is spoken to at an address of this machine that is none, and the way there is loopback
//! still.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;

use super::daemon::Daemon;
use super::janus::free_port;
use super::seats::{PEERS_PORTS, Seats};
use super::wired::Wired;
use crate::shell::run;

/// Starts the program `quilkin` for these seats; what it says goes to `dir`.
///
/// # Errors
/// When it cannot be started, or this machine has no address but loopback.
pub(super) fn start(quilkin: &Path, seats: Seats, dir: &Path) -> Result<Wired, String> {
    let host = own_address()
        .ok_or("quilkin hears nobody on loopback, and this machine has no other address")?;
    let (admin, port) = (free_port()?, PEERS_PORTS.start);
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
    let endpoints: Vec<String> =
        seats.hearers(0).map(|port| SocketAddr::from((host, port)).to_string()).collect();
    let (address, port_text) = (admin.to_string(), port.to_string());
    let command = run(
        quilkin.display().to_string(),
        [
            "--admin.address",
            &address,
            "--service.udp",
            "--service.udp.port",
            &port_text,
            "--service.udp.workers",
            "1",
            "--provider.static.endpoints",
            &endpoints.join(","),
        ],
    );
    let ready = || TcpStream::connect(admin).ok().map(|_| ());
    let (daemon, ()) = Daemon::start(&command, &dir.join("quilkin.log"), ready)?;
    Ok(Wired { daemon, to: vec![SocketAddr::from((host, port))], first_port: seats.first_port })
}

/// The address from which this machine would speak to others. Nothing is sent: 192.0.2.1 is nobody's (RFC
/// 5737).
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}
