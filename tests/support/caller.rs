//! A v0 participant on a real socket, for tests that talk to a whole node.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::frames::frame;

/// How long anything in a test may take before the test has failed. Far beyond what anything takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Someone in a session.
pub struct Caller {
    socket: UdpSocket,
    session: u64,
    node: u64,
}

impl Caller {
    /// `node`, about to speak in `session` at `relay`.
    pub fn new(relay: SocketAddr, session: u64, node: u64) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(relay).unwrap();
        Self { socket, session, node }
    }

    /// Where the relay sees it.
    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// What it sends when it says `words`.
    pub fn frame(&self, words: &str) -> Vec<u8> {
        frame(self.session, self.node, words.as_bytes())
    }

    /// Says something to everyone else.
    pub fn say(&self, words: &str) {
        self.socket.send(&self.frame(words)).unwrap();
    }

    /// The next datagram it hears; panics when none comes.
    pub fn hear(&self) -> Vec<u8> {
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 2_048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(len) => return buffer[..len].to_vec(),
                // A ring that this thread has closed may still make itself felt.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("node {} heard nothing: {error}", self.node),
            }
        }
    }

    /// Whether something it has not heard yet has arrived.
    pub fn has_mail(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let answer = self.socket.peek(&mut [0; 1]);
        self.socket.set_nonblocking(false).unwrap();
        match answer {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("a caller's socket: {error}"),
        }
    }
}

/// `a` and `b` find each other in an empty session: `a` is heard by `b` and `b` by `a`, byte for byte.
///
/// The datagrams of one session arrive in the order they are sent, so `a` is there when `b` speaks.
pub fn converse(a: &Caller, b: &Caller) {
    a.say("is anyone there?");
    b.say("I am");
    assert_eq!(a.hear(), b.frame("I am"));
    a.say("good");
    assert_eq!(b.hear(), a.frame("good"));
}

/// Polls `done` until it holds; panics with `what` when it never does.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        std::thread::yield_now();
    }
}
