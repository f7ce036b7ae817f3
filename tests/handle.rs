//! A whole node in this process, talked to over real sockets and asked through its handle.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use elara_core::crypto::{ExchangeKey, Identity};
use elara_core::{NodeId, SessionId};
use elara_runtime::keys::OsRandom;
use elara_runtime::{
    Compat, ConfigError, Counters, HandleError, Heard, Node, NodeConfig, NodeError, NodeHandle,
    Notice, V0Compat, V1Config, Verdict,
};
use support::caller::{Caller, PATIENCE, converse, until};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A node that runs, and how it ended once it has.
struct Running {
    addr: SocketAddr,
    handle: NodeHandle,
    run: JoinHandle<(Result<(), NodeError>, Vec<Counters>)>,
}

async fn start(change: impl FnOnce(&mut NodeConfig)) -> Running {
    let mut config = NodeConfig {
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        shards: 2,
        compat: Compat { v0: V0Compat::loopback(), ..Compat::default() },
        ..NodeConfig::default()
    };
    change(&mut config);
    let mut node = Node::new(config).await.unwrap();
    let (addr, handle) = (node.local_addr(), node.handle());
    let run = tokio::spawn(async move {
        let ended = node.run().await;
        (ended, node.last_counters().to_vec())
    });
    handle.running().await.unwrap();
    Running { addr, handle, run }
}

impl Running {
    /// The counters of all shards together.
    async fn total(&self) -> Counters {
        let mut total = Counters::default();
        for counters in self.handle.counters().await.unwrap() {
            total.add(&counters);
        }
        total
    }

    /// Asks again until the counters are as `done` wants them.
    async fn total_when(&self, done: impl Fn(&Counters) -> bool) -> Counters {
        let asking = async {
            loop {
                let total = self.total().await;
                if done(&total) {
                    return total;
                }
            }
        };
        match timeout(PATIENCE, asking).await {
            Ok(total) => total,
            Err(_) => panic!("never so: {:?}", self.total().await),
        }
    }

    async fn stop(self) -> Vec<Counters> {
        assert_eq!(self.handle.shutdown(PATIENCE).await, Ok(()));
        let (ended, last) = self.run.await.unwrap();
        ended.unwrap();
        last
    }
}

#[tokio::test]
async fn a_session_can_be_read_while_it_runs() {
    let node = start(|_| {}).await;
    let (a, b) = (Caller::new(node.addr, 7, 1), Caller::new(node.addr, 7, 2));
    converse(&a, &b);

    let session = node.handle.session(SessionId(7)).await.unwrap().expect("the session is open");
    assert_eq!(session.session_id, SessionId(7));
    assert_eq!(session.participants.len(), 2);
    for (id, caller) in [(1, &a), (2, &b)] {
        let participant = session.participants[&NodeId(id)];
        assert_eq!((participant.node_id, participant.addr), (NodeId(id), caller.addr()));
        assert!(participant.silent <= session.state.age);
    }
    assert_eq!(session.state.frames, 3);
    assert!(session.streams.is_empty(), "v0 announces no streams");

    assert_eq!(node.handle.session(SessionId(8)).await, Ok(None));
    node.stop().await;
}

#[tokio::test]
async fn a_listing_has_every_session_of_every_shard() {
    let node = start(|_| {}).await;
    // Even and odd in the bits that steering looks at.
    let sessions: Vec<u64> = (0..50).map(|id| id << 8).collect();
    let callers: Vec<Caller> = sessions.iter().map(|id| Caller::new(node.addr, *id, 1)).collect();
    for caller in &callers {
        caller.say("here");
    }
    let total = node.total_when(|total| total.datagrams == 50).await;
    assert_eq!((total.sessions, total.of(Verdict::Alone)), (50, 50));

    let mut lines = node.handle.sessions().await.unwrap();
    lines.sort_by_key(|line| line.session);
    let ids: Vec<u64> = lines.iter().map(|line| line.session.0).collect();
    assert_eq!(ids, sessions);
    assert!(lines.iter().all(|line| line.participants == 1));
    assert!(
        node.handle.counters().await.unwrap().iter().all(|shard| shard.sessions > 0),
        "both shards have some"
    );
    node.stop().await;
}

#[tokio::test]
async fn notices_tell_who_came_and_end_with_the_node() {
    let node = start(|config| config.shards = 1).await;
    let mut notices = node.handle.notices();
    let (a, b) = (Caller::new(node.addr, 7, 1), Caller::new(node.addr, 7, 2));
    converse(&a, &b);
    let joined = |id, caller: &Caller| Notice::Joined {
        session: SessionId(7),
        node: NodeId(id),
        addr: caller.addr().into(),
    };
    for expected in [Notice::SessionOpened { session: SessionId(7) }, joined(1, &a), joined(2, &b)]
    {
        let heard = timeout(PATIENCE, notices.recv()).await.expect("a notice comes");
        assert_eq!(heard, Some(Heard::Notice(expected)));
    }
    node.stop().await;
    assert_eq!(notices.recv().await, None);
}

#[tokio::test]
async fn a_listener_that_lags_hears_how_much_it_has_missed() {
    let node = start(|config| {
        config.event_buffer_size = 4;
        config.shards = 1;
    })
    .await;
    let mut notices = node.handle.notices();
    let callers: Vec<Caller> = (0..20).map(|id| Caller::new(node.addr, id, 1)).collect();
    callers.iter().for_each(|caller| caller.say("here"));
    node.total_when(|total| total.joined == 20).await;
    node.stop().await;
    let (mut heard, mut missed) = (0, 0);
    while let Some(what) = notices.recv().await {
        match what {
            Heard::Notice(_) => heard += 1,
            Heard::Gap { lost } => missed += lost,
        }
    }
    assert_eq!((heard, missed), (4, 36), "twenty sessions opened, twenty participants joined");
}

#[tokio::test]
async fn every_datagram_and_every_copy_is_accounted_for() {
    const ROUNDS: u64 = 20;
    let node = start(|_| {}).await;
    let callers: Vec<Caller> = (0..12).map(|id| Caller::new(node.addr, id / 3, 100 + id)).collect();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 0..ROUNDS {
        callers.iter().for_each(|caller| caller.say("a word"));
        stranger.send_to(&[0; 5], node.addr).unwrap();
        // Nobody outruns the relay's receive buffer.
        let sent = (round + 1) * 13;
        node.total_when(|total| total.datagrams == sent).await;
    }
    let total = node.total_when(|total| total.balanced()).await;
    assert_eq!(total.of(Verdict::Runt), ROUNDS);
    assert_eq!(total.refused(), ROUNDS);
    assert_eq!(total.of(Verdict::Alone), 4, "the first word of each session");
    assert_eq!(total.of(Verdict::Forwarded), 12 * ROUNDS - 4);
    // Each frame goes to the two others, but in the first round they come one by one.
    assert_eq!(total.copies, 4 * (ROUNDS * 6 - 3));
    assert_eq!(total.egress.sent, total.copies);
    assert_eq!((total.sessions, total.participants, total.joined), (4, 12, 12));

    let mut last = Counters::default();
    node.stop().await.iter().for_each(|shard| last.add(shard));
    assert_eq!((last.datagrams, last.egress), (total.datagrams, total.egress));
}

#[tokio::test]
async fn a_node_closed_to_v0_refuses_it_and_counts() {
    let node = start(|config| config.compat.v0 = V0Compat::Off).await;
    Caller::new(node.addr, 7, 1).say("hello?");
    let total = node.total_when(|total| total.datagrams == 1).await;
    assert_eq!((total.of(Verdict::V0Closed), total.sessions), (1, 0));
    node.stop().await;
}

#[tokio::test]
async fn who_may_enter_can_be_said_anew_while_it_runs() {
    let node = start(|_| {}).await;
    let handle = node.handle.clone();
    let nobody = V1Config::default();
    assert_eq!(handle.replace_access(&nobody).await, Ok(()), "closed before and after");
    let issuer = *Identity::generate(&mut OsRandom).public();
    let open = V1Config {
        relay_keys: vec![ExchangeKey::generate(&mut OsRandom)],
        issuers: vec![(1, issuer)],
        ..V1Config::default()
    };
    assert_eq!(handle.replace_access(&open).await, Ok(()));
    let refused = |error| Err(HandleError::Config(error));
    let keyless = V1Config { relay_keys: vec![], ..open.clone() };
    assert_eq!(handle.replace_access(&keyless).await, refused(ConfigError::NoRelayKey));
    assert_eq!(handle.replace_access(&nobody).await, refused(ConfigError::V1Closes));
    assert!(
        node.total().await.commands >= 4,
        "each shard was told, and was asked whether it knows"
    );
    node.stop().await;
    assert_eq!(handle.replace_access(&open).await, Err(HandleError::Stopped));
}

#[tokio::test]
async fn whoever_is_not_there_cannot_be_sent_away() {
    let node = start(|_| {}).await;
    assert_eq!(node.handle.kick(SessionId(7), NodeId(1)).await, Ok(false));
    node.stop().await;
}

#[tokio::test]
async fn a_stopped_node_answers_nobody_and_gives_its_port_back() {
    let node = start(|_| {}).await;
    let (addr, handle) = (node.addr, node.handle.clone());
    node.stop().await;
    assert_eq!(handle.counters().await, Err(HandleError::Stopped));
    assert_eq!(handle.session(SessionId(7)).await, Err(HandleError::Stopped));
    assert_eq!(handle.notices().recv().await, None);
    assert_eq!(handle.shutdown(Duration::from_secs(1)).await, Ok(()), "it is down already");
    // A closed io_uring lets go of its socket a moment later, on a thread of the kernel.
    until("the port is free", || UdpSocket::bind(addr).is_ok());
}

#[tokio::test]
async fn a_node_that_is_restarted_finds_its_port_free() {
    let first = start(|_| {}).await;
    let addr = first.addr;
    first.stop().await;
    let second = start(|config| config.bind_addr = addr).await;
    assert_eq!(second.addr, addr);
    second.stop().await;
}

#[tokio::test]
async fn dropping_what_runs_a_node_stops_it() {
    let node = start(|_| {}).await;
    node.run.abort();
    assert!(node.run.await.is_err());
    assert_eq!(node.handle.running().await, Err(HandleError::Stopped));
    until("the shards end and the port is free", || UdpSocket::bind(node.addr).is_ok());
}

/// A thousand strangers come and go while nobody polls this test's runtime, so that nobody reads the
/// shard's reports. Answers how many notices that makes.
fn flood(node: &Running) -> u64 {
    const SESSIONS: u64 = 1_000;
    let (alice, bob) = (Caller::new(node.addr, 7, 1), Caller::new(node.addr, 7, 2));
    converse(&alice, &bob);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for session in 0..SESSIONS {
        stranger.send_to(&support::frames::frame(100 + session, 1, b"hello"), node.addr).unwrap();
    }
    // One shard takes datagrams in the order they came: when Bob hears this, it has taken all before.
    alice.say("is it over?");
    bob.hear();
    // Opened, joined twice; then each opens and joins, and but for the first makes one leave and end.
    3 + 2 * SESSIONS + 2 * (SESSIONS - 1)
}

#[tokio::test]
async fn notices_that_found_no_room_leave_a_gap() {
    let node = start(|config| {
        config.shards = 1;
        config.event_buffer_size = 1 << 16;
    })
    .await;
    let mut notices = node.handle.notices();
    let told = flood(&node);
    let (mut heard, mut lost) = (0, 0);
    while heard + lost < told {
        match timeout(PATIENCE, notices.recv()).await.expect("nothing is lost in silence") {
            Some(Heard::Notice(_)) => heard += 1,
            Some(Heard::Gap { lost: gap }) => lost += gap,
            None => panic!("the node has stopped"),
        }
    }
    assert_eq!((heard + lost, node.total().await.notices_lost), (told, lost));
    assert!(lost > 0, "the flood was larger than any mailbox");
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_is_dropped_stops_although_nobody_reads_its_reports() {
    let node = start(|config| config.shards = 1).await;
    flood(&node);
    node.run.abort();
    assert!(node.run.await.is_err());
    until("the shard ends and the port is free", || UdpSocket::bind(node.addr).is_ok());
}
