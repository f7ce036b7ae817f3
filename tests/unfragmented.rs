//! What may be cut into fragments arrives over a way that is too narrow for it, and what may not is refused,
//! with the MTU; from relay ports, over both back ends of the kernel.
//!
//! The way is the loopback of a network namespace of its own. Needs root: where that cannot be had, set
//! `ELARA_WITHOUT_ROOT=1`, and the test says that it did not run.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command as Program;

use elara_core::ClientAddr;
use elara_shards::io::syscall::Syscall;
use elara_shards::io::uring::Uring;
use elara_shards::io::{Io, Unreachable, Wait};
use elara_shards::socket;
use elara_shards::sys::wait::Bell;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const MTU: u32 = 1_400;

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Program::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}; this test needs root, or ELARA_WITHOUT_ROOT=1 to be left out",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

/// A namespace with nothing in it but a narrow loopback; gone with this value.
struct Narrow(String);

impl Narrow {
    fn new(name: &str) -> Self {
        let space = Self(format!("elara-{}-{name}", std::process::id()));
        run(&format!("ip netns add {}", space.0));
        run(&format!("ip -n {} link set lo mtu {MTU} up", space.0));
        space
    }

    /// What `work` does on a thread inside. A socket stays where it was made.
    fn within(&self, work: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let place = File::open(format!("/run/netns/{}", self.0)).expect("it was just made");
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(place.as_fd(), kind).unwrap();
                work();
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        let _ = Program::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn conversation<I: Io>(new: fn(UdpSocket, &Bell) -> std::io::Result<I>) {
    let own = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
    let mut io = new(own, &Bell::new().unwrap()).unwrap();
    let v4 = (IpAddr::from(Ipv4Addr::LOCALHOST), 28, 3, 4);
    let v6 = (IpAddr::from(Ipv6Addr::LOCALHOST), 48, 2, 0);
    for (host, heads, kind, code) in [v4, v6] {
        let peer = UdpSocket::bind((host, 0)).unwrap();
        peer.set_nonblocking(true).unwrap();
        let to = ClientAddr::from(peer.local_addr().unwrap());
        let port = io.open((host, 50_000).into()).unwrap();
        let fits = MTU as usize - heads;
        for round in 1..=3 {
            let before = io.egress();
            io.enter(Wait::No).unwrap();
            while io.receive().is_some() {}
            let whole = io.note(&vec![1; fits]).unwrap();
            let more = io.note(&[2; 1]).unwrap();
            let train = io.note(&[3; 3_000]).unwrap();
            io.send_unfragmented(port, &to, &[whole]);
            io.send_unfragmented(port, &to, &[whole, more]);
            // What was asked for one datagram holds for none that comes behind it.
            io.send_from(port, &to, &[whole, more], 0, 7);
            io.send_from(port, &to, &[train], 1_000, 7);
            io.enter(Wait::No).unwrap();
            while io.receive().is_some() {}
            let mut buffer = [0; 4_000];
            let heard: Vec<usize> = std::iter::from_fn(|| peer.recv(&mut buffer).ok()).collect();
            assert_eq!(heard, [fits, fits + 1, 1_000, 1_000, 1_000], "{host}, round {round}");
            let egress = io.egress();
            assert_eq!((egress.sent - before.sent, egress.failed - before.failed), (5, 1));
            assert_eq!(io.refused(), None, "nobody had a tag");
            let said: Vec<Unreachable> = std::iter::from_fn(|| io.unreachable()).collect();
            assert_eq!(said, [Unreachable { port, to, kind, code, info: MTU }], "{host}");
        }
    }
}

#[test]
fn what_may_be_cut_arrives_and_what_may_not_is_told_the_mtu() {
    if std::env::var_os("ELARA_WITHOUT_ROOT").is_some() {
        println!("not run: it needs root, and ELARA_WITHOUT_ROOT is set");
        return;
    }
    Narrow::new("narrow-u").within(|| conversation(Uring::new));
    Narrow::new("narrow-s").within(|| conversation(Syscall::new));
}
