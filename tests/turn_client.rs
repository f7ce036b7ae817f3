//! The client's side of TURN against coturn's server, and a whole client by way of it.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use elara_core::stun::{Class, Message, Method, Writer, attribute};
use elara_runtime::{
    Client, ClientError, ClientNotice, ClientOptions, PublishOptions, Reach, Selector, StreamKind,
    TurnFailure, TurnServer as Server, Via, reflexive_addr,
};
use support::caller::PATIENCE;
use support::house::{House, Relay, SESSION, Talker, reach};
use support::lossy::Lossy;
use support::space::{run, within, without_root};
use support::turnserver::{Options, PASSWORD, SECRET, TurnServer, USER};
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};

fn server(uri: &str) -> Server {
    Server::new(uri).unwrap().password(USER, PASSWORD)
}

fn options(reach: Reach) -> ClientOptions {
    ClientOptions { reach, deadline: PATIENCE, ..ClientOptions::default() }
}

async fn join(house: &House, relay: SocketAddr, reach: Reach) -> Talker {
    let client = Client::join(house.address(relay), options(reach)).await;
    Talker::new(client.unwrap_or_else(|error| panic!("{error}")))
}

/// Where the relay sees a client.
async fn seat(relay: &Relay, client: &Client) -> SocketAddr {
    let session = relay.handle.session(SESSION).await.unwrap().unwrap();
    session.participants[&client.node_id()].addr
}

#[tokio::test]
async fn two_clients_talk_one_of_them_by_turn() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let mut alice = join(&house, relay.addr, Reach::Turn(server(&turn.uri()))).await;
    let mut bob = join(&house, relay.addr, Reach::Direct).await;
    reach(&alice, &mut bob, "hello from afar").await;
    reach(&bob, &mut alice, "hello yourself").await;
    let Via::Turn { server, relayed, mapped } = alice.client.via() else { panic!("it is by TURN") };
    assert_eq!((server, seat(&relay, &alice.client).await), (turn.addr, relayed));
    assert_eq!(alice.client.reflexive_addr().await.unwrap(), mapped);
    assert_eq!(bob.client.via(), Via::Direct);
    // What is given back by leaving is given back: the relay hears the goodbye by the same way.
    let node = alice.client.node_id();
    alice.client.leave().await;
    bob.noticed(|notice| *notice == ClientNotice::MemberLeft { node }).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_frame_of_any_size_comes_whole_by_turn() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let reach_by = || Reach::Turn(server(&turn.uri()));
    let alice = join(&house, relay.addr, reach_by()).await;
    let mut bob = join(&house, relay.addr, reach_by()).await;
    let pictures = alice.client.publish(StreamKind::Visual, PublishOptions::default()).unwrap();
    reach(&alice, &mut bob, "are you there?").await;
    let mut selected = bob.client.subscribe(Selector::all().kind(StreamKind::Visual)).unwrap();
    for size in [1, 1_151, 20_000] {
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
        assert!(frame.content == content);
    }
    relay.stop().await;
}

#[tokio::test]
async fn who_may_choose_goes_directly_while_that_works() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let mut alice = join(&house, relay.addr, Reach::Auto(server(&turn.uri()))).await;
    let mut bob = join(&house, relay.addr, Reach::Direct).await;
    reach(&alice, &mut bob, "straight on").await;
    reach(&bob, &mut alice, "I see").await;
    assert_eq!(alice.client.via(), Via::Direct);
    relay.stop().await;
}

#[tokio::test]
async fn over_a_network_that_loses_a_tenth_they_meet_by_turn() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let network = Lossy::new(turn.addr, 100_000, 7).await;
    let by = || Reach::Turn(server(&format!("turn:{}", network.addr)));
    let (mut alice, mut bob) =
        tokio::join!(join(&house, relay.addr, by()), join(&house, relay.addr, by()));
    for round in 0..5 {
        reach(&alice, &mut bob, &format!("{round}?")).await;
        reach(&bob, &mut alice, &format!("{round}!")).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_turn_server_that_starts_again_is_a_gap_and_a_notice() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let mut alice = join(&house, relay.addr, Reach::Turn(server(&turn.uri()))).await;
    let mut bob = join(&house, relay.addr, Reach::Direct).await;
    reach(&alice, &mut bob, "before").await;
    let addr = turn.addr;
    drop(turn);
    let turn = TurnServer::start_at(addr, &Options::default()).ready();
    let by_turn = |notice: &ClientNotice| matches!(notice, ClientNotice::ByTurn { .. });
    let again = alice.noticed(by_turn).await;
    assert!(matches!(again, ClientNotice::ByTurn { server, .. } if server == turn.addr));
    reach(&alice, &mut bob, "after").await;
    reach(&bob, &mut alice, "welcome back").await;
    relay.stop().await;
}

#[tokio::test]
async fn another_socket_means_another_allocation_and_no_gap() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let mut alice = join(&house, relay.addr, Reach::Turn(server(&turn.uri()))).await;
    let mut bob = join(&house, relay.addr, Reach::Direct).await;
    reach(&alice, &mut bob, "here").await;
    let before = alice.client.via();
    alice.client.rebind();
    alice.noticed(|notice| matches!(notice, ClientNotice::ByTurn { .. })).await;
    let after = alice.client.via();
    assert_ne!(before, after);
    let moved = async {
        loop {
            let now = seat(&relay, &alice.client).await;
            if matches!(after, Via::Turn { relayed, .. } if relayed == now) {
                return;
            }
        }
    };
    timeout(PATIENCE, moved).await.expect("the relay believes the new address");
    reach(&bob, &mut alice, "still with you").await;
    relay.stop().await;
}

#[tokio::test]
async fn credentials_are_made_from_a_shared_secret() {
    let house = House::new();
    let turn = TurnServer::start_as(&Options { secret: true, ..Options::default() }).ready();
    let relay = house.open_anywhere().await;
    let by_secret = Server::new(&turn.uri()).unwrap().secret(SECRET.as_bytes(), "ann");
    let mut alice = join(&house, relay.addr, Reach::Turn(by_secret)).await;
    let mut bob = join(&house, relay.addr, Reach::Direct).await;
    reach(&alice, &mut bob, "I have a secret").await;
    reach(&bob, &mut alice, "so I hear").await;
    relay.stop().await;
}

#[tokio::test]
async fn what_a_turn_server_refuses_says_why() {
    let (house, turn) = (House::new(), TurnServer::start().ready());
    let relay = house.open_anywhere().await;
    let refused = async |reach: Reach, deadline: u64| {
        let deadline = Duration::from_millis(deadline);
        let options = ClientOptions { deadline, ..options(reach) };
        Client::join(house.address(relay.addr), options).await.unwrap_err()
    };
    let wrong = Server::new(&turn.uri()).unwrap().password(USER, "open barley");
    let error = refused(Reach::Turn(wrong), 20_000).await;
    assert!(matches!(&error, ClientError::Turn { why: TurnFailure::Credentials, .. }), "{error}");
    assert!(error.to_string().contains(&turn.uri()), "{error}");
    let error = refused(Reach::Turn(Server::new(&turn.uri()).unwrap()), 20_000).await;
    assert!(
        matches!(&error, ClientError::Turn { why: TurnFailure::CredentialsWanted, .. }),
        "{error}"
    );
    // The relay is on loopback, and this server does not relay there.
    let careful = TurnServer::start_as(&Options { loopback: false, ..Options::default() }).ready();
    let error = refused(Reach::Turn(server(&careful.uri())), 20_000).await;
    assert!(error.to_string().contains("does not relay to this peer"), "{error}");

    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent = server(&format!("turn:{}", nobody.local_addr().unwrap()));
    let error = refused(Reach::Turn(silent), 700).await;
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("does not answer: check host and port"), "{error}");
    let nothing = nobody.local_addr().unwrap();
    drop(nobody);
    let error = refused(Reach::Turn(server(&format!("turn:{nothing}"))), 700).await;
    assert!(error.to_string().contains("nothing that listens on that port"), "{error}");
    let error = refused(Reach::Turn(server("turn:turn.invalid")), 20_000).await;
    assert!(matches!(&error, ClientError::Resolve { host, .. } if host == "turn.invalid"));
    relay.stop().await;
}

#[tokio::test]
async fn a_server_tells_where_it_sees_this_machine() {
    let turn = TurnServer::start().ready();
    let seen = reflexive_addr(&format!("stun:{}", turn.addr)).await.unwrap();
    assert!(seen.ip() == Ipv4Addr::LOCALHOST && seen.port() != 0, "{seen}");
    let nothing = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let error = reflexive_addr(&nothing).await.unwrap_err();
    assert!(matches!(&error, ClientError::Stun { why: TurnFailure::NotListening, .. }), "{error}");
    assert!(matches!(reflexive_addr(":0").await, Err(ClientError::Resolve { .. })));
}

/// STUN stands before the relay here: what begins with its cookie is answered, the rest goes on.
#[tokio::test]
async fn the_relay_is_asked_on_its_own_port_where_it_sees_the_client() {
    let house = House::new();
    let relay = house.open_anywhere().await;
    let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = front.local_addr().unwrap();
    let way = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    way.connect(relay.addr).await.unwrap();
    let between = tokio::spawn(async move {
        let (mut up, mut down) = ([0; 2_048], [0; 2_048]);
        let mut client = addr;
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut up) => {
                    client = from;
                    match answer(&up[..len], from) {
                        Some(answer) => front.send_to(&answer, from).await.unwrap(),
                        None => way.send(&up[..len]).await.unwrap(),
                    };
                }
                Ok(len) = way.recv(&mut down) => {
                    front.send_to(&down[..len], client).await.unwrap();
                }
            }
        }
    });
    let alice = join(&house, addr, Reach::Direct).await;
    let seen = alice.client.reflexive_addr().await.unwrap();
    alice.client.rebind();
    let mut alice = alice;
    let rebound = alice.noticed(|notice| matches!(notice, ClientNotice::Rebound { .. })).await;
    let again = alice.client.reflexive_addr().await.unwrap();
    let ClientNotice::Rebound { local } = rebound else { panic!("{rebound:?}") };
    assert_eq!((again.port(), seen == again), (local.port(), false));
    between.abort();
    relay.stop().await;
}

/// What a STUN server answers to a Binding request.
fn answer(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let request = Message::parse(datagram).ok()?;
    let binding = (request.class(), request.method()) == (Class::Request, Method::BINDING);
    let mut out = [0; 128];
    let mut writer = Writer::answer(&mut out, &request, Class::Success);
    let len = writer.put_address_xor(attribute::XOR_MAPPED_ADDRESS, from).finish()?;
    binding.then(|| out[..len].to_vec())
}

/// Three network namespaces: the client's; the TURN server's and the relay's; and between the client and the
/// relay's address a wall that takes everything and passes nothing on. Gone with this value.
///
/// ```text
///   client 10.78.0.2 ──── 10.78.0.1 coturn ─ relay 10.78.2.1
///          10.78.1.2 ──── 10.78.1.1 wall        (the client's way to 10.78.2.1)
/// ```
struct Walled {
    client: String,
    relay: String,
    wall: String,
}

impl Walled {
    fn new() -> Self {
        let name = format!("elara-{}-turn", std::process::id());
        let walled = Self {
            client: format!("{name}-client"),
            relay: format!("{name}-relay"),
            wall: format!("{name}-wall"),
        };
        let (a, b, wall) = (&walled.client, &walled.relay, &walled.wall);
        for space in [a, b, wall] {
            run(&format!("ip netns add {space}"));
            run(&format!("ip -n {space} link set lo up"));
        }
        for (other, card, net) in [(b, "open", "10.78.0"), (wall, "shut", "10.78.1")] {
            run(&format!("ip -n {a} link add {card} type veth peer name {card} netns {other}"));
            for (space, host) in [(other, 1), (a, 2)] {
                run(&format!("ip -n {space} addr add {net}.{host}/24 dev {card}"));
                run(&format!("ip -n {space} link set {card} up"));
            }
        }
        run(&format!("ip -n {b} addr add 10.78.2.1/32 dev lo"));
        run(&format!("ip -n {a} route add 10.78.2.1/32 via 10.78.1.1"));
        run(&format!("ip netns exec {wall} sh -c echo${{IFS}}0>/proc/sys/net/ipv4/ip_forward"));
        walled
    }
}

impl Drop for Walled {
    fn drop(&mut self) {
        for space in [&self.client, &self.relay, &self.wall] {
            let _ = std::process::Command::new("ip").args(["netns", "del", space]).status();
        }
    }
}

fn block_on<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

#[test]
fn where_udp_to_the_relay_is_blocked_the_turn_server_is_the_way() {
    if without_root() {
        return;
    }
    let walled = Walled::new();
    let options =
        Options { at: [10, 78, 0, 1].into(), space: Some(&walled.relay), ..Options::default() };
    let turn = TurnServer::start_as(&options);
    let house = House::new();
    let there = SocketAddr::from(([10, 78, 2, 1], 7_840));
    let (opened, is_open) = tokio::sync::oneshot::channel();
    let (done, is_done) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let relay = scope.spawn(|| {
            within(&walled.relay, || {
                block_on(async {
                    let relay = house.open(there).await;
                    let mut bob = join(&house, there, Reach::Direct).await;
                    opened.send(()).unwrap();
                    // Whatever it hears it says again.
                    let echo = async {
                        while let Some(frame) = bob.heard.recv().await {
                            let _ = bob.text.send(&frame.content);
                        }
                    };
                    tokio::select! {
                        () = echo => {}
                        _ = is_done => {}
                    }
                    relay.stop().await;
                });
            });
        });
        within(&walled.client, || {
            let turn = turn.ready();
            block_on(async {
                is_open.await.unwrap();
                let soon = ClientOptions {
                    deadline: Duration::from_millis(1_500),
                    ..ClientOptions::default()
                };
                let error = Client::join(house.address(there), soon).await.unwrap_err();
                assert!(matches!(error, ClientError::NoAnswer { refused: false, .. }), "{error}");

                let mut alice = join(&house, there, Reach::Auto(server(&turn.uri()))).await;
                let via = alice.client.via();
                assert!(matches!(via, Via::Turn { server, .. } if server == turn.addr), "{via:?}");
                let mut again = interval(Duration::from_millis(50));
                let echoed = async {
                    loop {
                        tokio::select! {
                            _ = again.tick() => alice.text.send(b"through the wall").unwrap(),
                            frame = alice.heard.recv() => {
                                if frame.expect("it has not left").content == b"through the wall" {
                                    return;
                                }
                            }
                        }
                    }
                };
                timeout(PATIENCE, echoed).await.expect("it comes back");
                done.send(()).unwrap();
            });
        });
        relay.join().unwrap();
    });
}
