//! An egress that is stopped does not slow what comes in, nor other sessions: counted, not timed.
//!
//! The relay stands in a network namespace of its own. One session's receivers are behind a pair of virtual
//! cards whose way out lets next to nothing through; another's are on loopback. Needs root: where that
//! cannot be had, set `ELARA_WITHOUT_ROOT=1`, and the test says that it did not run.

mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command as Program;
use std::sync::Arc;

use elara_shards::io::syscall::Syscall;
use elara_shards::io::uring::Uring;
use elara_shards::mailbox::{Receiver, Sender, mailbox};
use elara_shards::sys::wait::Bell;
use elara_shards::{Command, Counters, Io, Report, Shard, Verdict, socket};
use support::frames::frame_of;
use support::room::open_config;
use support::space::{run, within, without_root};

const NEAR: u64 = 1;
const FAR: u64 = 2;
/// What each session's first peer says, one frame a round.
const ROUNDS: u64 = 6_000;

/// Two namespaces with a pair of virtual cards between them; gone with this value.
struct Apart {
    relay: String,
    peers: String,
}

impl Apart {
    fn new(name: &str) -> Self {
        let name = format!("elara-{}-{name}", std::process::id());
        let apart = Self { relay: format!("{name}-relay"), peers: format!("{name}-peers") };
        let (a, b) = (&apart.relay, &apart.peers);
        for space in [a, b] {
            run(&format!("ip netns add {space}"));
            run(&format!("ip -n {space} link set lo up"));
        }
        run(&format!("ip -n {a} link add way type veth peer name way netns {b}"));
        for (space, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            run(&format!("ip -n {space} addr add {address} dev way"));
            run(&format!("ip -n {space} link set way up"));
        }
        apart
    }

    /// From here on next to nothing leaves the relay's card; `limit` bytes wait for it.
    fn stop(&self, limit: u32) {
        let relay = &self.relay;
        run(&format!(
            "tc -n {relay} qdisc add dev way root tbf rate 8kbit burst 2000 limit {limit}"
        ));
    }

    fn let_go(&self) {
        run(&format!("tc -n {} qdisc del dev way root", self.relay));
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for space in [&self.relay, &self.peers] {
            let _ = Program::new("ip").args(["netns", "del", space]).status();
        }
    }
}

fn peers(at: Ipv4Addr, relay: SocketAddr) -> Vec<UdpSocket> {
    let peer = |_| {
        let socket = UdpSocket::bind((at, 0)).unwrap();
        socket.connect(relay).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    (0..3).map(peer).collect()
}

/// A shard that takes in what its peers say.
struct Scene<I> {
    shard: Shard<I>,
    commands: Sender<Command>,
    reports: Receiver<Report>,
    near: Vec<UdpSocket>,
    far: Vec<UdpSocket>,
    said: u64,
}

impl<I: Io> Scene<I> {
    fn new(apart: &Apart, make: fn(UdpSocket, &Bell) -> std::io::Result<I>) -> Self {
        let relay = socket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), 1).unwrap().remove(0);
        let port = relay.local_addr().unwrap().port();
        let bell = Arc::new(Bell::new().unwrap());
        let (commands, inbox) = mailbox(64, bell.clone() as _);
        let (outbox, reports) = mailbox(1 << 16, bell as _);
        let io = make(relay, &Bell::new().unwrap()).unwrap();
        let shard = Shard::new(io, open_config(), inbox, outbox);
        let near = peers(Ipv4Addr::LOCALHOST, (Ipv4Addr::LOCALHOST, port).into());
        let there = SocketAddr::from((Ipv4Addr::new(10, 77, 0, 1), port));
        let far = within(&apart.peers, || peers(Ipv4Addr::new(10, 77, 0, 2), there));
        let mut scene = Self { shard, commands, reports, near, far, said: 0 };
        for peer in 0..3 {
            scene.say(NEAR, peer);
            scene.say(FAR, peer);
            scene.take_in();
        }
        scene.hear(NEAR);
        scene.hear(FAR);
        scene
    }

    fn say(&mut self, session: u64, peer: usize) {
        let (from, len) = if session == NEAR { (&self.near, 120) } else { (&self.far, 1_200) };
        from[peer].send(&frame_of(session, peer as u64, len, 1)).expect("it leaves its sender");
        self.said += 1;
    }

    /// Cycles until all that was said has come in and what is to leave has been handed over.
    fn take_in(&mut self) -> Counters {
        while self.shard.counters().datagrams < self.said {
            self.shard.cycle().unwrap();
        }
        // A command keeps the cycle from waiting.
        self.commands.post(Command::Stop).map_err(drop).expect("there is room");
        self.shard.cycle().unwrap();
        while self.reports.take().is_some() {}
        self.shard.counters()
    }

    /// What the peers of a session have received, all together.
    fn hear(&self, session: u64) -> u64 {
        let peers = if session == NEAR { &self.near } else { &self.far };
        let mut buffer = [0; 2_048];
        let heard = |peer: &UdpSocket| std::iter::from_fn(|| peer.recv(&mut buffer).ok()).count();
        peers.iter().map(heard).sum::<usize>() as u64
    }

    /// Both sessions speak; how much the near ones heard, and the counters before and after.
    fn speak(&mut self, rounds: u64) -> (u64, Counters, Counters) {
        let before = self.take_in();
        let mut heard = 0;
        for round in 0..rounds {
            self.say(FAR, 0);
            self.say(NEAR, 0);
            if round % 16 == 15 {
                self.take_in();
                heard += self.hear(NEAR);
            }
        }
        let after = self.take_in();
        (heard + self.hear(NEAR), before, after)
    }
}

/// Everything came in and was dealt with, whatever became of it on the way out.
fn nothing_was_slowed(before: &Counters, after: &Counters) {
    assert_eq!(after.datagrams - before.datagrams, 2 * ROUNDS);
    assert_eq!(after.of(Verdict::Forwarded) - before.of(Verdict::Forwarded), 2 * ROUNDS);
    assert_eq!(after.copies - before.copies, 4 * ROUNDS);
    assert!(after.balanced() && after.egress.failed == 0, "{after:?}");
    assert_eq!((after.overflowed, after.overruns), (before.overflowed, before.overruns));
}

fn a_short_queue<I: Io>(apart: &Apart, make: fn(UdpSocket, &Bell) -> std::io::Result<I>) {
    let mut scene = Scene::new(apart, make);
    // What finds no room in the card's queue is lost there, and takes no room in the socket.
    apart.stop(50_000);
    let (heard, before, after) = scene.speak(ROUNDS);
    nothing_was_slowed(&before, &after);
    assert_eq!(heard, 2 * ROUNDS, "the other session loses nothing");
    let far = scene.hear(FAR);
    assert!(far < ROUNDS / 10, "{far} came through a way that is stopped");
    apart.let_go();
}

fn a_long_queue<I: Io>(apart: &Apart, make: fn(UdpSocket, &Bell) -> std::io::Result<I>) {
    let mut scene = Scene::new(apart, make);
    // More waits for the card than the socket may have under way: the send buffer is full.
    apart.stop(1_000_000_000);
    let (heard, before, after) = scene.speak(ROUNDS);
    nothing_was_slowed(&before, &after);
    let busy = after.egress.busy - before.egress.busy;
    assert!(busy > 0, "the socket took everything: {after:?}");
    // One socket serves all: who is hit is counted, and the load says so.
    assert!(heard + busy >= 2 * ROUNDS, "{heard} heard and {busy} counted of {}", 2 * ROUNDS);
    apart.let_go();
    let (heard, ..) = scene.speak(16);
    assert!(heard > 0, "and all is well again");
}

fn in_both(name: &str, uring: fn(&Apart), syscall: fn(&Apart)) {
    if without_root() {
        return;
    }
    for (back_end, conversation) in [("u", uring), ("s", syscall)] {
        let apart = Apart::new(&format!("{name}{back_end}"));
        within(&apart.relay, || conversation(&apart));
    }
}

#[test]
fn what_is_lost_in_a_stopped_card_slows_nobody() {
    in_both(
        "short",
        |apart| a_short_queue(apart, Uring::new),
        |apart| a_short_queue(apart, Syscall::new),
    );
}

#[test]
fn a_send_buffer_that_is_full_slows_nothing_that_comes_in() {
    in_both(
        "long",
        |apart| a_long_queue(apart, Uring::new),
        |apart| a_long_queue(apart, Syscall::new),
    );
}
