//! Participants of wire v1 against a whole node in this process, over loopback: everyone comes in, every
//! frame is heard, and what a bad path does is counted exactly.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use elara_core::SessionId;
use elara_core::crypto::{
    Claims, ExchangeKey, Identity, JoinAddress, Permissions, Secret, Subject, Suite, Token,
};
use elara_load::{LoadError, Pass, Plan, Report, Wire, run};
use elara_runtime::keys::OsRandom;
use elara_runtime::{Counters, Node, NodeConfig, V1Config, Verdict};

const KID: u16 = 7;

/// A relay that is open to one issuer's guests.
struct Club {
    addr: SocketAddr,
    relay: ExchangeKey,
}

/// Whom it is open to.
fn issuer() -> Identity {
    Identity::from_seed(&Secret::new([42; 32]))
}

/// Talks to a club while its relay runs; answers what the talk did, and what the relay counted.
fn at_a_club<T>(talk: impl FnOnce(&Club) -> T) -> (T, Counters) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let relay = ExchangeKey::generate(&mut OsRandom);
    let config = NodeConfig {
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        shards: 2,
        v1: V1Config {
            relay_keys: vec![relay.clone()],
            issuers: vec![(KID, *issuer().public())],
            ..V1Config::default()
        },
        ..NodeConfig::default()
    };
    let mut node = runtime.block_on(Node::new(config)).unwrap();
    let (addr, handle) = (node.local_addr(), node.handle());
    let running = runtime.spawn(async move {
        node.run().await.unwrap();
        node.last_counters().to_vec()
    });
    runtime.block_on(handle.running()).unwrap();
    let told = talk(&Club { addr, relay });
    runtime.block_on(handle.shutdown(Duration::from_secs(10))).unwrap();
    let mut total = Counters::default();
    runtime.block_on(running).unwrap().iter().for_each(|shard| total.add(shard));
    (told, total)
}

impl Club {
    fn pass(&self) -> Pass {
        Pass::minted(*self.relay.public(), issuer(), KID)
    }

    fn plan(&self) -> Plan {
        Plan {
            target: self.addr,
            wire: Wire::V1,
            pass: Some(self.pass()),
            sessions: 4,
            participants: 4,
            senders: 2,
            duration: Duration::from_millis(500),
            warmup: Duration::ZERO,
            drain: Duration::from_secs(2),
            ..Plan::voice()
        }
    }
}

fn check_flawless(report: &Report, frames: u64, datagrams: u64) {
    assert_eq!((report.offered, report.unsent), (frames, 0), "{report}");
    assert_eq!((report.expected, report.delivered, report.lost), (datagrams, datagrams, 0));
    assert_eq!((report.duplicates, report.reordered, report.too_late), (0, 0, 0));
    assert_eq!((report.wrong_session, report.corrupt, report.echoed, report.foreign), (0, 0, 0, 0));
    assert_eq!((report.members_silent, report.alerts, report.kicked), (0, 0, 0));
}

#[test]
fn everyone_comes_in_and_hears_every_frame_in_both_suites() {
    for suite in Suite::ALL {
        let (report, relay) =
            at_a_club(|club| run(&Plan { suite, ..club.plan() }, &mut |_| ()).unwrap());
        check_flawless(&report, 4 * 2 * 25, 4 * 2 * 25 * 3);
        let joins = report.joins.unwrap();
        assert_eq!((joins.tried, joins.joined, joins.failed.total()), (16, 16, 0));
        assert!(joins.hellos >= 16 && joins.joined_per_s > 0.0);
        assert!(joins.latency_ns.unwrap().max > 0 && report.control > 0);
        assert_eq!((relay.of(Verdict::Welcomed), relay.of(Verdict::Forwarded)), (16, 200));
        assert_eq!((report.visits, report.visitors_cpu_share), (None, None));
    }
}

#[test]
fn bursts_of_the_longest_frames_arrive_whole() {
    let (report, _) = at_a_club(|club| {
        let video = Plan { model: elara_load::Model::Video, size: 1_232, ..club.plan() };
        run(&Plan { rate: 30.0, burst: 10, sessions: 2, senders: 1, ..video }, &mut |_| ()).unwrap()
    });
    check_flawless(&report, 2 * 15 * 10, 2 * 15 * 10 * 3);
}

#[test]
fn frames_that_share_a_datagram_count_one_by_one() {
    let (report, relay) = at_a_club(|club| {
        let room = Plan { sessions: 1, participants: 8, senders: 8, rate: 100.0, ..club.plan() };
        run(&Plan { hold_ms: 5, ..room }, &mut |_| ()).unwrap()
    });
    check_flawless(&report, 8 * 50, 8 * 50 * 7);
    let media = relay.copies - relay.control_sent - relay.answers_sent;
    assert!(media < report.delivered, "{media} datagrams carried {} frames", report.delivered);
}

#[test]
fn visitors_come_and_go_and_the_load_does_not_notice() {
    let (report, relay) = at_a_club(|club| {
        let plan = Plan { join_rate: Some(50.0), ..club.plan() };
        run(&Plan { duration: Duration::from_secs(2), ..plan }, &mut |_| ()).unwrap()
    });
    check_flawless(&report, 4 * 2 * 100, 4 * 2 * 100 * 3);
    let visits = report.visits.unwrap();
    assert_eq!((visits.failed.total(), visits.not_begun), (0, 0), "{report}");
    assert!(visits.joined >= 50, "{report}");
    assert!(relay.of(Verdict::Welcomed) >= 16 + visits.joined);
    assert!(report.to_string().contains("visited"), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["visits"]["joined"], visits.joined);
    assert_eq!((&json["plan"]["wire"], &json["plan"]["suite"]), (&"v1".into(), &"aes_gcm".into()));
    assert_eq!(json["plan"].get("pass"), None, "a report holds no keys");
}

#[test]
fn join_addresses_let_in_one_each() {
    let (report, _) = at_a_club(|club| {
        let address = |serial: u8| club.address(SessionId(0x5E55), serial);
        let addresses: Vec<JoinAddress> = (1..=3).map(address).collect();
        let pass = Pass::addresses(&addresses).unwrap();
        let plan = Plan {
            pass: Some(pass),
            sessions: 1,
            participants: 3,
            first_session: 0x5E55,
            ..club.plan()
        };
        run(&plan, &mut |_| ()).unwrap()
    });
    check_flawless(&report, 2 * 25, 2 * 25 * 2);
}

#[test]
fn a_wrong_key_is_answered_with_what_to_check() {
    let ((), relay) = at_a_club(|club| {
        let stranger = || Identity::generate(&mut OsRandom);
        let wrong_relay = *ExchangeKey::generate(&mut OsRandom).public();
        let passes = [
            Pass::minted(wrong_relay, issuer(), KID),
            Pass::minted(*club.relay.public(), stranger(), KID),
        ];
        // Both at once: each waits for answers that do not come.
        thread::scope(|scope| {
            for (at, pass) in passes.into_iter().enumerate() {
                let first_session = 1_000 * (at as u64 + 1);
                let plan = Plan { pass: Some(pass), first_session, ..club.plan() };
                scope.spawn(move || {
                    let error = run(&plan, &mut |_| ()).unwrap_err();
                    assert!(matches!(error, LoadError::NobodyIn { .. }), "{error}");
                    for part in ["--relay-key", "--issuer-key", "--kid", "lets nobody in"] {
                        assert!(error.to_string().contains(part), "{error} lacks {part}");
                    }
                });
            }
        });
    });
    assert!(relay.of(Verdict::BadMac1) > 0 && relay.of(Verdict::BadToken) > 0);
}

#[test]
fn where_nobody_listens_the_run_says_so() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = socket.local_addr().unwrap();
    drop(socket);
    let pass = Pass::minted(
        *ExchangeKey::generate(&mut OsRandom).public(),
        Identity::generate(&mut OsRandom),
        KID,
    );
    let plan = Plan { target, wire: Wire::V1, pass: Some(pass), sessions: 1, ..Plan::voice() };
    let error = run(&plan, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("nobody listens"), "{error}");
}

#[test]
fn every_sin_of_the_path_is_counted_exactly() {
    let sins = Sins { drops: &[20, 21], repeats: &[30, 40, 50], corrupts: &[60] };
    let (report, _) = at_a_club(|club| {
        let over = AtomicBool::new(false);
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = front.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| pass_on(&front, club.addr, &sins, &over));
            let plan = Plan { target, sessions: 1, gso: false, gro: false, ..club.plan() };
            let report = run(&plan, &mut |_| ());
            over.store(true, Ordering::Relaxed);
            report.unwrap()
        })
    });
    assert_eq!((report.expected, report.delivered), (150, 147), "{report}");
    assert_eq!((report.lost, report.duplicates, report.corrupt), (3, 3, 1));
    assert_eq!((report.echoed, report.foreign, report.wrong_session), (0, 0, 0));
}

/// Which of the data frames on the way down (from 1) a path treats badly, and how.
struct Sins {
    drops: &'static [u64],
    repeats: &'static [u64],
    corrupts: &'static [u64],
}

/// A path between participants and the relay: one socket towards it for each of them.
fn pass_on(front: &UdpSocket, relay: SocketAddr, sins: &Sins, over: &AtomicBool) {
    let mut backs: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let mut buffer = [0; 2_048];
    let mut frames = 0;
    front.set_nonblocking(true).unwrap();
    while !over.load(Ordering::Relaxed) {
        while let Ok((len, from)) = front.recv_from(&mut buffer) {
            let back = backs.entry(from).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                back.connect(relay).unwrap();
                back.set_nonblocking(true).unwrap();
                back
            });
            back.send(&buffer[..len]).unwrap();
        }
        for (to, back) in &backs {
            while let Ok(len) = back.recv(&mut buffer) {
                let is_data = buffer[20] <= 4;
                frames += u64::from(is_data);
                let sinned = |sins: &[u64]| is_data && sins.contains(&frames);
                if sinned(sins.drops) {
                    continue;
                }
                buffer[len - 1] ^= u8::from(sinned(sins.corrupts));
                for _ in 0..=u8::from(sinned(sins.repeats)) {
                    front.send_to(&buffer[..len], to).unwrap();
                }
            }
        }
        thread::yield_now();
    }
}

impl Club {
    fn address(&self, session: SessionId, serial: u8) -> JoinAddress {
        let claims = Claims {
            kid: KID,
            session,
            subject: Subject::Bearer([serial; 32]),
            permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
            not_before: 0,
            expires: u32::MAX,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        JoinAddress {
            host: self.addr.ip().to_string(),
            port: self.addr.port(),
            session,
            relay: *self.relay.public(),
            token: Token::mint(&issuer(), &claims),
            key: Secret::new([9; 32]),
        }
    }
}
