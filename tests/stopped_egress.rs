//! An egress that is stopped does not slow what comes in, nor other sessions: counted, not timed.
//!
//! The relay stands in a network namespace of its own. Some receivers are behind a pair of virtual cards
//! whose way out lets next to nothing through; others are on loopback. Needs root: where that cannot be
//! had, set `ELARA_WITHOUT_ROOT=1`, and the test says that it did not run.

mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use elara_core::ClientAddr;
use elara_shards::io::Wait;
use elara_shards::io::syscall::Syscall;
use elara_shards::io::uring::Uring;
use elara_shards::mailbox::{Receiver, Sender, mailbox};
use elara_shards::sys::options::set_buffers;
use elara_shards::sys::wait::Bell;
use elara_shards::{Command, Counters, Io, Report, Shard, Verdict, socket};
use support::apart::{Apart, PEERS, RELAY, converse};
use support::frames::frame_of;
use support::room::open_config;

type Make<I> = fn(UdpSocket, &Bell) -> std::io::Result<I>;

const NEAR: u64 = 1;
const FAR: u64 = 2;
/// What each session's first peer says, one frame a round.
const ROUNDS: u64 = 6_000;
/// More bytes may wait for a card than a socket may have under way.
const LONG: u32 = 1_000_000_000;

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
    fn new(apart: &Apart, make: Make<I>) -> Self {
        let relay = socket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), 1).unwrap().remove(0);
        let port = relay.local_addr().unwrap().port();
        let bell = Arc::new(Bell::new().unwrap());
        let (commands, inbox) = mailbox(64, bell.clone() as _);
        let (outbox, reports) = mailbox(1 << 16, bell as _);
        let io = make(relay, &Bell::new().unwrap()).unwrap();
        let shard = Shard::new(io, open_config(), inbox, outbox);
        let near = peers(Ipv4Addr::LOCALHOST, (Ipv4Addr::LOCALHOST, port).into());
        let far = apart.among_peers(|| peers(PEERS.into(), (RELAY, port).into()));
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

fn a_short_queue<I: Io>(apart: &Apart, make: Make<I>) {
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

fn a_long_queue<I: Io>(apart: &Apart, make: Make<I>) {
    let mut scene = Scene::new(apart, make);
    // Before the card's queue is full, the send buffer is.
    apart.stop(LONG);
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

/// A bare back end whose socket may have little under way, someone near and someone far.
struct Post<I> {
    io: I,
    near: UdpSocket,
    far: UdpSocket,
    /// What was refused, by tag.
    refused: BTreeSet<u32>,
    /// What each has heard, by tag.
    near_heard: Vec<u32>,
    far_heard: Vec<u32>,
}

/// More than there is room for under way.
const LETTERS: u32 = 400;
/// What has not come within this, some thirty times the longest way, does not come.
const NEVER: Duration = Duration::from_secs(30);

impl<I: Io> Post<I> {
    fn new(apart: &Apart, make: Make<I>) -> Self {
        let relay = socket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), 1).unwrap().remove(0);
        // Less than what the receiver's own buffer holds.
        set_buffers(relay.as_fd(), 64_000);
        let same = relay.try_clone().unwrap();
        let io = make(relay, &Bell::new().unwrap()).unwrap();
        // Each send says itself that it does not wait.
        same.set_nonblocking(false).unwrap();
        let far = apart.among_peers(|| UdpSocket::bind((Ipv4Addr::from(PEERS), 0)).unwrap());
        far.set_read_timeout(Some(NEVER)).unwrap();
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        near.set_nonblocking(true).unwrap();
        let (near_heard, far_heard) = (Vec::new(), Vec::new());
        Self { io, near, far, refused: BTreeSet::new(), near_heard, far_heard }
    }

    /// Sends a datagram with this tag, that says it: even ones to the near one, odd ones to the far one.
    fn send(&mut self, tag: u32) {
        let to = if is_near(tag) { &self.near } else { &self.far };
        let to = ClientAddr::from(to.local_addr().unwrap());
        let mut letter = [0; 1_200];
        letter[..4].copy_from_slice(&tag.to_le_bytes());
        self.io.send_bytes(&to, &letter, tag);
    }

    /// Hands over what was sent, and takes in what became of it.
    fn hand_over(&mut self) {
        self.io.enter(Wait::No).unwrap();
        while self.io.receive().is_some() {}
        while let Some(refusal) = self.io.refused() {
            assert_eq!((refusal.datagrams, refusal.bytes), (1, 1_200), "{refusal:?}");
            assert!(self.refused.insert(refusal.tag), "{refusal:?} is told twice");
        }
        let mut letter = [0; 1_500];
        while self.near.recv(&mut letter).is_ok() {
            self.near_heard.push(tag_of(&letter));
        }
    }

    /// What the far one hears, up to that tag.
    fn hear_far(&mut self, last: u32) {
        let mut letter = [0; 1_500];
        while self.far_heard.last() != Some(&last) {
            let came = self.far.recv(&mut letter);
            came.unwrap_or_else(|why| panic!("{last} never came: {why}; {:?}", self.far_heard));
            self.far_heard.push(tag_of(&letter));
        }
    }

    /// What was not refused of all up to that tag.
    fn taken(&self, last: u32, near: bool) -> Vec<u32> {
        let all = (1..=last).filter(|tag| is_near(*tag) == near);
        all.filter(|tag| !self.refused.contains(tag)).collect()
    }
}

const fn is_near(tag: u32) -> bool {
    tag.is_multiple_of(2)
}

fn tag_of(letter: &[u8]) -> u32 {
    u32::from_le_bytes(*letter.first_chunk().unwrap())
}

/// A back end that has been asked to send more than there was room for, on a way that is stopped.
fn overfilled<I: Io>(apart: &Apart, make: Make<I>) -> Post<I> {
    let mut post = Post::new(apart, make);
    apart.stop(LONG);
    for tag in 1..=LETTERS {
        post.send(tag);
        if tag % 16 == 0 {
            post.hand_over();
        }
    }
    post
}

fn whose_it_is<I: Io>(apart: &Apart, make: Make<I>) {
    let post = overfilled(apart, make);
    let egress = post.io.egress();
    assert_eq!((egress.busy, egress.failed), (post.refused.len() as u64, 0));
    assert_eq!(egress.sent + egress.busy, u64::from(LETTERS));
    // One socket serves all: those near are refused too, and named.
    for near in [true, false] {
        let refused = post.refused.iter().filter(|tag| is_near(**tag) == near).count();
        assert!(refused > 0 && !post.taken(LETTERS, near).is_empty(), "{near}: {refused}");
    }
    assert_eq!(post.near_heard, post.taken(LETTERS, true), "who is not named has got it");
}

fn nothing_is_parked<I: Io>(apart: &Apart, make: Make<I>) {
    let mut post = overfilled(apart, make);
    let refused = post.refused.len();
    assert!(refused > 0, "there was room for all: {:?}", post.io.egress());
    let taken = post.taken(LETTERS, false);
    apart.flow(LONG);
    post.hear_far(*taken.last().expect("there was room for some"));
    // What comes next on the way is said next, and not what was refused.
    for tag in [LETTERS + 1, LETTERS + 2, LETTERS + 3] {
        post.send(tag);
        post.hand_over();
    }
    post.hear_far(LETTERS + 3);
    assert_eq!(post.far_heard, post.taken(LETTERS + 3, false));
    assert_eq!(post.near_heard, post.taken(LETTERS + 3, true));
    let egress = post.io.egress();
    assert_eq!((post.refused.len(), egress.busy, egress.failed), (refused, refused as u64, 0));
}

#[test]
fn what_is_lost_in_a_stopped_card_slows_nobody() {
    converse("short-u", |apart| a_short_queue(apart, Uring::new));
    converse("short-s", |apart| a_short_queue(apart, Syscall::new));
}

#[test]
fn a_send_buffer_that_is_full_slows_nothing_that_comes_in() {
    converse("long-u", |apart| a_long_queue(apart, Uring::new));
    converse("long-s", |apart| a_long_queue(apart, Syscall::new));
}

#[test]
fn a_send_buffer_that_is_full_names_whose_sends_it_refuses() {
    converse("named-u", |apart| whose_it_is(apart, Uring::new));
    converse("named-s", |apart| whose_it_is(apart, Syscall::new));
}

#[test]
fn nothing_that_was_refused_is_sent_late() {
    converse("late-u", |apart| nothing_is_parked(apart, Uring::new));
    converse("late-s", |apart| nothing_is_parked(apart, Syscall::new));
}
