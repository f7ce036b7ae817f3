//! What may be cut into fragments arrives over a way that is too narrow for it, and what may not is refused,
//! with the MTU; from relay ports and from the data port of a relay, over both back ends of the kernel.
//!
//! The way is the loopback of a network namespace of its own. Needs root: where that cannot be had, set
//! `ELARA_WITHOUT_ROOT=1`, and the test says that it did not run.

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command as Program;

use elara_core::ClientAddr;
use elara_shards::io::syscall::Syscall;
use elara_shards::io::uring::Uring;
use elara_shards::io::{Io, Port, Unreachable, Wait};
use elara_shards::socket;
use elara_shards::sys::wait::Bell;
use support::folder::{Folder, write_private};
use support::process::{Process, elara};
use support::space::{run, within, without_root};
use support::turn::TurnCaller;

const MTU: u32 = 1_400;

/// A namespace with nothing in it but a narrow loopback; gone with this value.
struct Narrow(String);

impl Narrow {
    fn new(name: &str) -> Self {
        let space = Self(format!("elara-{}-{name}", std::process::id()));
        run(&format!("ip netns add {}", space.0));
        run(&format!("ip -n {} link set lo mtu {MTU} up", space.0));
        space
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
            io.send_other_df(port, &to, &[whole]);
            io.send_other_df(port, &to, &[whole, more]);
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

/// What a peer sends fits the way, and with four bytes before it, as its client gets it, it does not.
fn a_whole_relay(io: &str) {
    let folder = Folder::new(&format!("narrow-{io}"));
    let text = format!(
        "listen = \"[::]:0\"\nadmin = \"off\"\nio = \"{io}\"\nshards = 1\n[turn]\n\
         users = [\"ada:lovelace\"]\nrelay = [\"127.0.0.1\"]\nallow_peers = [\"127.0.0.0/8\"]\n"
    );
    write_private(&folder.path("elara.toml"), &text);
    let mut command = elara(&["serve", "--config", "elara.toml"]);
    let mut relay = Process::spawn(command.current_dir(&folder.0));
    let at = (Ipv4Addr::LOCALHOST, relay.listening_on().port());
    let mut caller = TurnCaller::new(at.into(), "ada", "lovelace");
    let relayed = caller.allocate(None);
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert_eq!(caller.bind(0x4000, peer.local_addr().unwrap()), 0);
    for round in 0..3 {
        let burst: Vec<Vec<u8>> = (0..20).map(|n| vec![n; MTU as usize - 28]).collect();
        for data in &burst {
            peer.send_to(data, relayed).unwrap();
        }
        for data in burst {
            assert_eq!(caller.hear_channel(), (0x4000, data), "{io}, round {round}");
        }
    }
}

/// A dual-stack data port sends with DF, but for single datagrams that may be cut.
fn a_data_port<I: Io>(new: fn(UdpSocket, &Bell) -> std::io::Result<I>) {
    let own = socket::bind((Ipv6Addr::UNSPECIFIED, 0).into(), 1).unwrap().remove(0);
    let mut io = new(own, &Bell::new().unwrap()).unwrap();
    let hosts = [(IpAddr::from(Ipv4Addr::LOCALHOST), 28), (IpAddr::from(Ipv6Addr::LOCALHOST), 48)];
    for (host, heads) in hosts {
        let client = UdpSocket::bind((host, 0)).unwrap();
        client.set_nonblocking(true).unwrap();
        let to = ClientAddr::from(client.local_addr().unwrap());
        let fits = MTU as usize - heads;
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let before = io.egress();
        for len in [fits, fits + 1, 3_000] {
            let datagram = io.note(&vec![7; len]).unwrap();
            io.send_other_df(Port::DATA, &to, &[datagram]);
            io.send(&to, &[datagram], 0, 0);
        }
        io.enter(Wait::No).unwrap();
        while io.receive().is_some() {}
        let mut buffer = [0; 4_000];
        let heard: Vec<usize> = std::iter::from_fn(|| client.recv(&mut buffer).ok()).collect();
        assert_eq!(heard, [fits, fits, fits + 1, 3_000], "{host}");
        let egress = io.egress();
        assert_eq!((egress.sent - before.sent, egress.failed - before.failed), (4, 2), "{host}");
    }
}

#[test]
fn what_may_be_cut_arrives_and_what_may_not_is_told_the_mtu() {
    if without_root() {
        return;
    }
    within(&Narrow::new("narrow-u").0, || {
        conversation(Uring::new);
        a_data_port(Uring::new);
        a_whole_relay("uring");
    });
    within(&Narrow::new("narrow-s").0, || {
        conversation(Syscall::new);
        a_data_port(Syscall::new);
        a_whole_relay("syscall");
    });
}
