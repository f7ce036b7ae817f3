//! Real 0.2.0 nodes meet through a running relay, once per back end.
//!
//! The relay is the `elara` binary, started as an operator would start it: `ELARA_BIN`, or what
//! `cargo build` left in the main workspace. Every claim also runs through a stand-in relay of a
//! few lines, so that a failure tells whether the relay or the claim is wrong.
//!
//! Nothing sleeps: peers first *meet* (each repeats a frame without payload until all others have
//! heard it, so the relay knows them all), and every wait ends with the deadline [`PATIENCE`].
//! Silence is shown by order: what must not arrive would have come before a marker that does.

use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use elara_core::limits::{HEADER_LEN, V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::random::Seeded;
use elara_core::wire::{FrameWriter, Header, tlv};
use elara_interop::{hex, theirs};
use v0_core::{MessageId, NodeId, SessionId, StateId, StateTime};
use v0_msp::text::{FeedItem, feed_stream_id};
use v0_runtime::Node;
use v0_transport::UdpTransport;
use v0_visual::{VisualState, stream_visual_state_id};
use v0_wire::{FixedHeader, Frame, FrameBuilder};

/// How long anything may take before it counts as not happening.
const PATIENCE: Duration = Duration::from_secs(10);

macro_rules! through {
    ($($relay:ident: $start:expr,)*) => {$(
        mod $relay {
            use super::*;

            #[test]
            fn feed_stream_and_visual_events_arrive_and_are_applied() {
                claim($start, events_arrive_and_are_applied);
            }

            #[test]
            fn sealed_frames_arrive_byte_for_byte_and_open() {
                claim($start, sealed_frames_arrive_and_open);
            }

            #[test]
            fn odd_but_legal_frames_arrive_unchanged() {
                claim($start, odd_frames_arrive_unchanged);
            }

            #[test]
            fn a_node_in_another_session_hears_nothing() {
                claim($start, another_session_hears_nothing);
            }

            #[test]
            fn everyone_else_in_the_session_hears_and_the_sender_does_not() {
                claim($start, everyone_else_hears);
            }
        }
    )*};
}

through! {
    uring: Relay::elara("uring"),
    syscall: Relay::elara("syscall"),
    stand_in: Relay::stand_in(),
}

/// Holds `claim` against a fresh relay and sees the relay end well.
fn claim<C: Future<Output = ()>>(relay: Relay, claim: impl FnOnce(SocketAddr) -> C) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(claim(relay.addr));
    relay.stop();
}

async fn events_arrive_and_are_applied(relay: SocketAddr) {
    let session = SessionId::new(0x7001);
    let (mut a, mut b) = (Peer::join(relay, session).await, Peer::join(relay, session).await);
    meet(&mut [&mut a, &mut b]).await;

    let stream = 42;
    let feed = feed_stream_id(7);
    let author = a.node.node_id();
    let now = a.node.time_engine().tau_s();
    let item = FeedItem::new(MessageId(1), author, b"hello feed".to_vec(), now);
    a.node.queue_feed_append(feed, item.encode(), now);
    a.node.queue_stream_start(stream, b"a title".to_vec(), now);
    a.node.queue_stream_visual_keyframe(stream, &VisualState::keyframe(author, now, 5));
    assert_eq!(a.send_queued().await.len(), 3);
    b.receive(3).await;
    b.node.tick();

    let items = b.node.feed_stream(feed).items;
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].author, &items[0].content[..]), (author, &b"hello feed"[..]));
    let metadata = b.node.stream_metadata(stream).expect("the stream has started");
    assert_eq!((metadata.source, &metadata.data[..]), (author, &b"a title"[..]));
    let picture = b.node.stream_visual_state(stream).expect("the key frame was applied");
    assert_eq!((picture.source, picture.sequence, picture.is_keyframe), (author, 5, true));

    // And back: what A started, A ends; B forgets it.
    a.node.queue_stream_end(stream, a.node.time_engine().tau_s());
    let ends = a.send_queued().await.len();
    b.receive(ends).await;
    b.node.tick();
    assert!(b.node.stream_metadata(stream).is_none());
    let field = b.node.state_engine().field();
    assert!(field.get(stream_visual_state_id(stream)).is_none());
}

async fn sealed_frames_arrive_and_open(relay: SocketAddr) {
    const EVENTS: u64 = 60;
    let session = SessionId::new(0x7002);
    let (mut a, mut b) = (Peer::join(relay, session).await, Peer::join(relay, session).await);
    meet(&mut [&mut a, &mut b]).await;
    a.node.join_session(session, [0x42; 32]);
    b.node.join_session(session, [0x42; 32]);

    let author = a.node.node_id();
    for number in 0..EVENTS {
        let now = a.node.time_engine().tau_s();
        let content = format!("sealed {number}").into_bytes();
        let item = FeedItem::new(MessageId(number), author, content, now);
        a.node.queue_feed_append(feed_stream_id(number), item.encode(), now);
        a.node.queue_visual_keyframe(&VisualState::keyframe(author, now, number));
        let sent = a.send_queued().await;
        let received = b.receive(sent.len()).await;
        assert_eq!(received, sent, "event {number}");
        for bytes in &sent {
            assert!(!bytes.windows(6).any(|word| word == b"sealed"), "event {number} is sealed");
        }
        b.node.tick();
    }
    for number in 0..EVENTS {
        let items = b.node.feed_stream(feed_stream_id(number)).items;
        let content = items.first().map(|item| item.content.clone());
        assert_eq!(content, Some(format!("sealed {number}").into_bytes()));
    }
    assert!(b.node.visual_state(author).is_some());
}

async fn odd_frames_arrive_unchanged(relay: SocketAddr) {
    let session = SessionId::new(0x7003);
    let (mut a, mut b) = (Peer::join(relay, session).await, Peer::join(relay, session).await);
    meet(&mut [&mut a, &mut b]).await;

    let node = a.node.node_id();
    let header = FixedHeader::new(session, node);
    let every = theirs::extensions((1 << theirs::EXTENSIONS) - 1, &mut Seeded::new(1));
    let all_extensions =
        FrameBuilder::new(header).extensions(every).payload(b"body".to_vec()).build();
    let ours = |tlvs: &[u8], set: &dyn Fn(&mut Header), payload: &[u8]| {
        let session = elara_core::SessionId(session.0);
        let mut header = Header::v0(session, elara_core::NodeId(node.0));
        set(&mut header);
        let mut out = [0; V0_FRAME_MAX];
        let frame = FrameWriter::with_tlv_bytes(&mut out, &header, tlvs);
        frame.and_then(|frame| frame.payload(payload)).unwrap().finish().to_vec()
    };
    let longest = ours(&[], &|_| {}, &[7; V0_FRAME_MAX - V0_FRAME_MIN]);
    assert_eq!(longest.len(), V0_FRAME_MAX);
    let extension = |header: &mut Header| header.flags = 0x20;
    let mut tag = ours(&[], &|_| {}, b"body");
    tag.iter_mut().rev().take(16).for_each(|byte| *byte = 0xA5);
    let odd = [
        ("every extension", all_extensions.serialize().unwrap()),
        ("a profile without a name", ours(&[], &|header| header.profile = 0x77, b"body")),
        ("exactly 1,400 bytes", longest),
        ("a TLV nobody knows", ours(&[0x7E, 2, 1, 2, tlv::kind::END], &extension, b"body")),
        ("TLVs that end in a lone type byte", ours(&[4, 1, 3, 7], &extension, b"body")),
        ("TLV bytes without the flag", ours(&[0x0B, 200], &|_| {}, b"body")),
        ("the reserved flag", ours(&[], &|header| header.flags = 0x80, b"body")),
        ("the reserved suite", ours(&[], &|header| header.version_suite = 2, b"body")),
        ("a tag that is not zero", tag),
    ];
    for (what, bytes) in odd {
        a.transport.send_bytes_to(&bytes, relay).await.unwrap();
        let heard = b.hear().await;
        assert_eq!(hex(&heard), hex(&bytes), "{what}");
    }
}

async fn another_session_hears_nothing(relay: SocketAddr) {
    let (here, there) = (SessionId::new(0x7004), SessionId::new(0x7005));
    let (mut a, mut b) = (Peer::join(relay, here).await, Peer::join(relay, here).await);
    let (mut c, mut d) = (Peer::join(relay, there).await, Peer::join(relay, there).await);
    meet(&mut [&mut a, &mut b]).await;
    meet(&mut [&mut c, &mut d]).await;

    let now = StateTime::ZERO;
    for number in 0..20 {
        a.node.queue_feed_append(StateId::new(number), vec![1; 30], now);
    }
    let sent = a.send_queued().await;
    assert_eq!(b.receive(20).await, sent);
    // B has heard all of it, so whatever came to C by mistake stands before this marker.
    d.node.queue_feed_append(StateId::new(99), b"marker".to_vec(), now);
    let marker = d.send_queued().await;
    assert_eq!(c.hear().await, marker[0]);
}

async fn everyone_else_hears(relay: SocketAddr) {
    let session = SessionId::new(0x7006);
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(Peer::join(relay, session).await);
    }
    meet(&mut peers.iter_mut().collect::<Vec<_>>()).await;

    let now = StateTime::ZERO;
    // If a sender heard itself, that would stand before what the next one sends; so the first
    // speaks once more at the end.
    for sender in (0..peers.len()).chain([0]) {
        let feed = StateId::new(sender as u64);
        peers[sender].node.queue_feed_append(feed, vec![sender as u8; 12], now);
        let sent = peers[sender].send_queued().await;
        for (number, peer) in peers.iter_mut().enumerate() {
            if number != sender {
                assert_eq!(peer.hear().await, sent[0], "{sender} to {number}");
            }
        }
    }
}

/// A 0.2.0 node with its 0.2.0 transport.
struct Peer {
    node: Node,
    transport: UdpTransport,
    session: SessionId,
    relay: SocketAddr,
}

impl Peer {
    async fn join(relay: SocketAddr, session: SessionId) -> Self {
        let transport = UdpTransport::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut node = Node::new();
        node.join_session_unsecured(session);
        Self { node, transport, session, relay }
    }

    /// Sends what the node has queued; returns the bytes that left, in order.
    async fn send_queued(&mut self) -> Vec<Vec<u8>> {
        self.node.tick();
        let mut sent = Vec::new();
        while let Some(frame) = self.node.pop_outgoing() {
            self.transport.send_to(&frame, self.relay).await.unwrap();
            sent.push(frame.serialize().unwrap());
        }
        sent
    }

    /// Hears `count` frames and gives them to the node; returns their bytes.
    async fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut received = Vec::new();
        for _ in 0..count {
            let bytes = self.hear().await;
            self.node.queue_incoming(Frame::parse(&bytes).unwrap());
            received.push(bytes);
        }
        received
    }

    /// The next datagram that is not a greeting.
    async fn hear(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (bytes, from) = tokio::time::timeout(left, self.transport.recv_bytes_from())
                .await
                .expect("a frame arrives before patience ends")
                .unwrap();
            assert_eq!(from, self.relay);
            if !is_greeting(&bytes) {
                return bytes;
            }
        }
    }

    /// A frame without payload.
    fn greeting(&self) -> Vec<u8> {
        let header = FixedHeader::new(self.session, self.node.node_id());
        FrameBuilder::new(header).build().serialize().unwrap()
    }
}

fn is_greeting(bytes: &[u8]) -> bool {
    bytes.len() == V0_FRAME_MIN && usize::from(bytes[2]) == HEADER_LEN
}

/// Returns when every peer has heard a greeting of every other one.
async fn meet(peers: &mut [&mut Peer]) {
    let deadline = Instant::now() + PATIENCE;
    let mut unheard: Vec<Vec<NodeId>> = Vec::new();
    for (me, _) in peers.iter().enumerate() {
        let others = peers.iter().enumerate().filter(|(other, _)| *other != me);
        unheard.push(others.map(|(_, peer)| peer.node.node_id()).collect());
    }
    while unheard.iter().any(|others| !others.is_empty()) {
        assert!(Instant::now() < deadline, "peers did not meet; unheard: {unheard:?}");
        for peer in peers.iter() {
            peer.transport.send_bytes_to(&peer.greeting(), peer.relay).await.unwrap();
        }
        for (peer, unheard) in peers.iter().zip(&mut unheard) {
            let pause = Duration::from_millis(20);
            while let Ok(heard) = tokio::time::timeout(pause, peer.transport.recv_from()).await {
                let (frame, _) = heard.unwrap();
                unheard.retain(|other| *other != frame.header.node_id);
                if unheard.is_empty() {
                    break;
                }
            }
        }
    }
}

/// A relay that runs, and how to end it.
struct Relay {
    addr: SocketAddr,
    kind: Kind,
}

enum Kind {
    Elara(Child),
    StandIn { stop: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Relay {
    /// The `elara` binary over one back end.
    fn elara(io: &str) -> Self {
        let binary = binary();
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--dev", "--io", io])
            .args(["--shards", "1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{} does not start: {why}", binary.display()));
        let stdout = child.stdout.take().expect("stdout is piped");
        let (tell, told) = mpsc::channel();
        // Reads on after the address is known, so that the relay never waits for a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut relay = Self { addr: ([127, 0, 0, 1], 0).into(), kind: Kind::Elara(child) };
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        while let Ok(line) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Some(addr) = listening(&line) {
                relay.addr = addr;
                return relay;
            }
            said.push(line);
        }
        panic!("the relay over {io} never said `listening on ADDRESS`; it said {said:?}");
    }

    /// A learning relay: whoever sends is known from then on, and hears the others of its session.
    fn stand_in() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let addr = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut sessions: HashMap<[u8; 8], Vec<SocketAddr>> = HashMap::new();
            let mut bytes = [0; 2_048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut bytes) else { continue };
                let members = sessions.entry(bytes[4..12].try_into().unwrap()).or_default();
                if !members.contains(&from) {
                    members.push(from);
                }
                for to in members.iter().filter(|to| **to != from) {
                    socket.send_to(&bytes[..len], to).unwrap();
                }
            }
        });
        Self { addr, kind: Kind::StandIn { stop, thread: Some(thread) } }
    }

    /// Asks the relay to end; it must do so with status 0.
    fn stop(mut self) {
        let Kind::Elara(child) = &mut self.kind else { return };
        let id = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the relay did not end on SIGTERM");
            std::thread::yield_now();
        };
        assert!(status.success(), "the relay ended with {status}");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Elara(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Kind::StandIn { stop, thread } => {
                stop.store(true, Ordering::Relaxed);
                let ended = thread.take().map(JoinHandle::join);
                assert!(
                    std::thread::panicking() || !matches!(ended, Some(Err(_))),
                    "the stand-in relay panicked"
                );
            }
        }
    }
}

/// The address in a line that says `listening on ADDRESS`.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// `ELARA_BIN`, or what the main workspace has built.
fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("ELARA_BIN") {
        return binary.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let built = ["release/elara", "debug/elara"].map(|binary| target.join(binary));
    built.into_iter().find(|binary| binary.exists()).expect(
        "there is no relay to test: build it with `cargo build --release` in the repository's root, \
         or set ELARA_BIN to its path",
    )
}

#[test]
fn an_address_is_found_in_whatever_stands_around_it() {
    let addr: SocketAddr = "127.0.0.1:4567".parse().unwrap();
    for line in [
        "listening on 127.0.0.1:4567",
        "INFO elara: listening on 127.0.0.1:4567 (uring, 1 shard)",
        "\u{1b}[2mlistening on 127.0.0.1:4567\u{1b}[0m",
    ] {
        assert_eq!(listening(line), Some(addr), "{line}");
    }
    assert_eq!(listening("listening on nothing"), None);
    assert_eq!(listening("[::1]:1"), None);
    assert_eq!(listening("listening on [::1]:9"), Some("[::1]:9".parse().unwrap()));
}
