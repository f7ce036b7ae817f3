//! One question over HTTP, of the only kind there is: what a relay's `/metrics` says.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the relay may take to be reached, and between two words; its shards have five seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes: 256 shards say some 2 MB.
const ANSWER_MAX: u64 = 16 << 20;

/// The page, or why there is none and what to do.
pub(super) fn metrics(admin: SocketAddr) -> Result<String, String> {
    let answer = exchange(admin).map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => format!(
            "nothing answers at {admin}: either no relay runs here, or its admin listener is elsewhere \
             (see the line admin: of elara serve, and --admin)"
        ),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("what listens at {admin} does not answer within {} s", PATIENCE.as_secs())
        }
        ErrorKind::InvalidData | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            no_relay(admin)
        }
        _ => format!("cannot ask {admin}: {error}"),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| no_relay(admin))?;
    let status = head.split(' ').nth(1).filter(|_| head.starts_with("HTTP/1."));
    match status {
        Some("200") => Ok(body.to_owned()),
        // A sentence of the relay's own.
        Some("503") => Err(format!("the relay at {admin} is not well: {}", body.trim_end())),
        _ => Err(no_relay(admin)),
    }
}

/// Something answers, and it is no relay.
pub(super) fn no_relay(admin: SocketAddr) -> String {
    format!("what answers at {admin} is not the admin listener of a relay: choose another --admin")
}

/// HTTP/1.0: the answer ends where the connection does.
fn exchange(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: whoever answers a half and hangs up would take its answer back.
    let question = format!("GET /metrics HTTP/1.0\r\nHost: {admin}\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
