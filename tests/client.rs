//! The client an application uses, and a whole node, over real sockets and bad networks.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use elara_core::SessionId;
use elara_core::crypto::{JoinAddress, Permissions};
use elara_core::wire::v1::control::reason;
use elara_runtime::{
    Client, ClientError, ClientNotice, ClientOptions, PublishError, PublishOptions, Selector,
    StreamKind, TokenTrouble, Verdict,
};
use support::caller::PATIENCE;
use support::house::{House, MEMBER, SESSION, Talker, reach};
use support::lossy::Lossy;
use tokio::time::{interval, timeout};

#[tokio::test]
async fn two_clients_talk_and_know_each_other() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut alice = Talker::new(house.join(relay.addr).await);
    let mut bob = Talker::new(house.join(relay.addr).await);
    let frame = reach(&alice, &mut bob, "hello").await;
    assert_eq!((frame.kind(), frame.key, frame.stream), (Some(StreamKind::Text), true, 1));
    reach(&bob, &mut alice, "hello yourself").await;

    let nodes = |client: &Client| -> Vec<_> {
        client.roster().members.iter().map(|member| member.node).collect()
    };
    let bobs = bob.client.node_id();
    alice.noticed(|notice| *notice == ClientNotice::MemberJoined { node: bobs }).await;
    assert_eq!(nodes(&alice.client).len(), 2);
    let started = |notice: &ClientNotice| matches!(notice, ClientNotice::StreamStarted { .. });
    alice.noticed(started).await;
    assert_eq!(alice.client.streams().len(), 2);
    assert!(alice.client.clock().is_some() && alice.client.terms().is_some());

    bob.client.leave().await;
    alice.noticed(|notice| *notice == ClientNotice::MemberLeft { node: bobs }).await;
    assert_eq!(bob.text.send(b"x"), Err(PublishError::Over));
    assert_eq!(timeout(PATIENCE, bob.heard.recv()).await.unwrap().map(|_| ()), None);
    relay.stop().await;
}

#[tokio::test]
async fn a_frame_of_any_size_comes_whole() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let alice = Talker::new(house.join(relay.addr).await);
    let mut bob = Talker::new(house.join(relay.addr).await);
    let pictures = alice.client.publish(StreamKind::Visual, PublishOptions::default()).unwrap();
    assert_eq!(pictures.stream(), 2);
    reach(&alice, &mut bob, "are you there?").await;
    let mut selected = bob.client.subscribe(Selector::all().kind(StreamKind::Visual)).unwrap();
    for size in [0, 1, 1_150, 1_151, 20_000, 512 << 10] {
        let content: Vec<u8> = (0..size).map(|at: usize| at as u8).collect();
        let mut again = interval(Duration::from_secs(2));
        let whole = async {
            loop {
                tokio::select! {
                    _ = again.tick() => pictures.send_key(&content).unwrap(),
                    Some(frame) = selected.recv() => if frame.content.len() == size {
                        return frame;
                    },
                }
            }
        };
        let frame = timeout(PATIENCE, whole).await.expect("it comes whole in time");
        assert!(frame.content == content && frame.key);
    }
    // What is granted was kept to, so nothing was refused on the way.
    let counters = relay.handle.counters().await.unwrap();
    assert!(counters.iter().all(|counters| counters.of(Verdict::OverRate) == 0));
    let too_large = vec![0; (512 << 10) + 1];
    let refused = pictures.send(&too_large);
    assert_eq!(refused, Err(PublishError::TooLarge { len: (512 << 10) + 1, most: 512 << 10 }));
    relay.stop().await;
}

#[tokio::test]
async fn over_a_network_that_loses_a_quarter_they_meet_and_talk() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let network = Lossy::new(relay.addr, 250_000, 7).await;
    let (alice, bob) = tokio::join!(house.join(network.addr), house.join(network.addr));
    let (mut alice, mut bob) = (Talker::new(alice), Talker::new(bob));
    for round in 0..5 {
        reach(&alice, &mut bob, &format!("{round}?")).await;
        reach(&bob, &mut alice, &format!("{round}!")).await;
    }
    assert!(alice.client.counters().gaps + bob.client.counters().gaps > 0);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_starts_again_is_a_gap_and_a_notice() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let addr = relay.addr;
    let mut alice = Talker::new(house.join(addr).await);
    let mut bob = Talker::new(house.join(addr).await);
    reach(&alice, &mut bob, "before").await;
    relay.stop().await;
    let relay = house.open(addr).await;
    reach(&alice, &mut bob, "after").await;
    reach(&bob, &mut alice, "welcome back").await;
    alice.noticed(|notice| *notice == ClientNotice::Reconnected).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_client_that_moves_is_followed() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut alice = Talker::new(house.join(relay.addr).await);
    let mut bob = Talker::new(house.join(relay.addr).await);
    reach(&alice, &mut bob, "here").await;
    reach(&bob, &mut alice, "there").await;
    let seat = |session: elara_runtime::Session| session.participants[&bob.client.node_id()].addr;
    let before = seat(relay.handle.session(SESSION).await.unwrap().unwrap());
    bob.client.rebind();
    let rebound = bob.noticed(|notice| matches!(notice, ClientNotice::Rebound { .. })).await;
    let ClientNotice::Rebound { local } = rebound else { panic!("{rebound:?}") };
    assert_ne!(local.port(), before.port());
    let node = bob.client.node_id();
    let moved = async {
        loop {
            let session = relay.handle.session(SESSION).await.unwrap().unwrap();
            if session.participants[&node].addr.port() == local.port() {
                return;
            }
        }
    };
    timeout(PATIENCE, moved).await.expect("the relay believes the new address");
    reach(&alice, &mut bob, "and now?").await;
    reach(&bob, &mut alice, "still with you").await;
    relay.stop().await;
}

#[tokio::test]
async fn who_is_removed_is_told_so() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut alice = Talker::new(house.join(relay.addr).await);
    let moderator = house.address_of(relay.addr, MEMBER.and(Permissions::KICK), u32::MAX);
    let moderator = Client::join(&moderator, ClientOptions::default()).await.unwrap();
    moderator.kick(alice.client.node_id(), reason::MODERATED).unwrap();
    let removed = ClientNotice::Removed { reason: reason::MODERATED };
    alice.noticed(|notice| *notice == removed).await;
    assert!(timeout(PATIENCE, alice.heard.recv()).await.unwrap().is_none());
    let over = alice.client.publish(StreamKind::Text, PublishOptions::default());
    assert!(matches!(over, Err(ClientError::Over)));
    relay.stop().await;
}

#[tokio::test]
async fn dropping_a_client_leaves() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut alice = Talker::new(house.join(relay.addr).await);
    let bob = house.join(relay.addr).await;
    let node = bob.node_id();
    alice.noticed(|notice| *notice == ClientNotice::MemberJoined { node }).await;
    drop(bob);
    alice.noticed(|notice| *notice == ClientNotice::MemberLeft { node }).await;
    relay.stop().await;
}

#[tokio::test]
async fn who_asked_for_a_port_roams_all_the_same() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut alice = Talker::new(house.join(relay.addr).await);
    let local = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let options = ClientOptions { local: Some(local), ..ClientOptions::default() };
    let bob = Client::join(house.address(relay.addr), options).await.unwrap();
    let mut bob = Talker::new(bob);
    reach(&bob, &mut alice, "from my port").await;
    // More often than old sockets are kept.
    for _ in 0..6 {
        bob.client.rebind();
        let rebound = bob.noticed(|notice| matches!(notice, ClientNotice::Rebound { .. })).await;
        let ClientNotice::Rebound { local: other } = rebound else { panic!("{rebound:?}") };
        assert_eq!(other.ip(), local.ip());
    }
    reach(&alice, &mut bob, "do you hear?").await;
    reach(&bob, &mut alice, "from any port").await;
    relay.stop().await;
}

#[tokio::test]
async fn a_client_whose_runtime_is_gone_has_left() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut alice = Talker::new(house.join(relay.addr).await);
    let address = house.address(relay.addr);
    let joining = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bob = runtime.block_on(Client::join(address, ClientOptions::default())).unwrap();
        (runtime, bob)
    };
    let (runtime, bob) = tokio::task::spawn_blocking(joining).await.unwrap();
    let node = bob.node_id();
    alice.noticed(|notice| *notice == ClientNotice::MemberJoined { node }).await;
    let leaving = move || {
        // More than may leave at once, and nobody to send it later.
        let pictures = bob.publish(StreamKind::Visual, PublishOptions::default()).unwrap();
        pictures.send_key(&vec![0; 500 << 10]).unwrap();
        drop(bob);
        drop(runtime);
    };
    tokio::task::spawn_blocking(leaving).await.unwrap();
    alice.noticed(|notice| *notice == ClientNotice::MemberLeft { node }).await;
    relay.stop().await;
}

#[tokio::test]
async fn what_cannot_be_joined_says_why() {
    let house = House::new();
    let nowhere: SocketAddr = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let soon = || ClientOptions { deadline: Duration::from_millis(700), ..Default::default() };
    let join = async |address: &JoinAddress| Client::join(address, soon()).await.unwrap_err();

    let error = join(&house.address(nowhere)).await;
    assert!(matches!(error, ClientError::NoAnswer { refused: true, .. }), "{error}");
    let error = join(&house.address_of(nowhere, MEMBER, 1_000)).await;
    assert!(matches!(error, ClientError::Token(TokenTrouble::Expired { .. })), "{error}");
    let mut elsewhere = house.address(nowhere);
    elsewhere.session = SessionId(1);
    assert!(matches!(join(&elsewhere).await, ClientError::Token(TokenTrouble::Session)));
    let mut unknown = house.address(nowhere);
    unknown.host = "relay.invalid".into();
    assert!(matches!(join(&unknown).await, ClientError::Resolve { .. }));
    let error = Client::join("elara://", soon()).await.unwrap_err();
    assert!(matches!(error, ClientError::Address(_)), "{error}");

    // A relay with another key does not even answer.
    let relay = House::new().open_anywhere().await;
    let error = join(&house.address(relay.addr)).await;
    assert!(matches!(error, ClientError::NoAnswer { refused: false, .. }), "{error}");
    relay.stop().await;
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let client = house.join(relay.addr).await;
    let stream = |stream| PublishOptions { stream: Some(stream), ..PublishOptions::default() };
    let first = client.publish(StreamKind::Voice, stream(7)).unwrap();
    let taken = client.publish(StreamKind::Voice, stream(7)).unwrap_err();
    assert!(matches!(taken, ClientError::StreamTaken { stream: 7 }));
    drop(first);
    let publish = || client.publish(StreamKind::Voice, PublishOptions::default());
    let publishers: Vec<_> = (0..32).map(|_| publish().unwrap()).collect();
    assert!(matches!(publish(), Err(ClientError::TooMany { .. })));
    let subscribe = || client.subscribe(Selector::all());
    let subscriptions: Vec<_> = (0..64).map(|_| subscribe().unwrap()).collect();
    assert!(matches!(subscribe(), Err(ClientError::TooMany { .. })));
    drop((publishers, subscriptions));
    assert!(publish().is_ok() && subscribe().is_ok());
    relay.stop().await;
}

#[tokio::test]
async fn who_lets_small_frames_wait_hears_them_in_fewer_datagrams() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let mut talkers = Vec::new();
    for _ in 0..4 {
        talkers.push(Talker::new(house.join(relay.addr).await));
    }
    let patient = ClientOptions { hold_ms: 5, ..ClientOptions::default() };
    let patient = Client::join(house.address(relay.addr), patient).await.unwrap();
    let mut patient = Talker::new(patient);
    reach(&talkers[0], &mut patient, "ready?").await;
    let before = patient.client.counters();
    for round in 0..50_u8 {
        for talker in &talkers {
            talker.text.send(&[round]).unwrap();
        }
    }
    let mut heard = 0;
    let hearing = async {
        while heard < 200 {
            let frame = patient.heard.recv().await.expect("the client has not left");
            heard += usize::from(frame.content.len() == 1);
        }
    };
    timeout(PATIENCE, hearing).await.expect("all of them come");
    let after = patient.client.counters();
    let (datagrams, frames) = (after.datagrams - before.datagrams, after.opened - before.opened);
    assert!(frames >= 200 && datagrams < 100, "{frames} frames in {datagrams} datagrams");
    assert_eq!(after.gaps, 0);
    relay.stop().await;
}
