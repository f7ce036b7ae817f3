//! More relay ports than the process may have descriptors: an error for the next one, and nothing else.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use elara_shards::io::syscall::Syscall;
use elara_shards::io::uring::Uring;
use elara_shards::io::{Io, Wait};
use elara_shards::socket;
use elara_shards::sys::wait::Bell;

/// Descriptors the process may have in the second act.
const DESCRIPTORS: usize = 120;
/// Says that this is the second act.
const WITHIN: &str = "ELARA_TEST_DESCRIPTORS";

fn conversation<I: Io>(new: fn(UdpSocket, &Bell) -> std::io::Result<I>) {
    let own = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
    let at = own.local_addr().unwrap();
    let mut io = new(own, &Bell::new().unwrap()).unwrap();
    let host = |n: usize| (Ipv4Addr::new(127, 9, 0, n as u8), at.port()).into();
    let mut ports = Vec::new();
    let error = loop {
        match io.open(host(ports.len())) {
            Ok(port) => ports.push(port),
            Err(error) => break error,
        }
        assert!(ports.len() < DESCRIPTORS, "more than there are descriptors");
    };
    assert!(ports.len() > DESCRIPTORS / 2, "{} and then {error}", ports.len());
    assert!(io.open(host(ports.len())).is_err(), "and so the next");
    // One gone is room for one.
    let gone = ports.pop().unwrap();
    io.close(gone);
    for _ in 0..2 {
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
    }
    assert_eq!(io.open(host(ports.len())).unwrap(), gone);
    assert!(io.open(host(ports.len() + 1)).is_err());
    let slice = io.note(b"hello").unwrap();
    for port in ports {
        io.send_from(port, &at.into(), &[slice], 0, 0);
    }
    io.enter(Wait::No).unwrap();
    let heard = std::iter::from_fn(|| io.receive()).count() as u64;
    assert_eq!((heard, io.egress().failed), (io.egress().sent, 0));
}

#[test]
fn a_process_that_may_have_no_more_descriptors_is_told_so() {
    if std::env::var_os(WITHIN).is_some() {
        conversation(Uring::new);
        conversation(Syscall::new);
        return;
    }
    let test = std::env::current_exe().unwrap();
    let lowered = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" --nocapture");
    let output = Command::new("sh").arg("-c").arg(lowered).arg(test).env(WITHIN, "1").output();
    let output = output.expect("there is a shell");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
