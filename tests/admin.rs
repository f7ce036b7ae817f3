//! The admin listener and `elara status`, over real sockets.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use elara_runtime::{Compat, Counters, Node, NodeConfig, V0Compat, Verdict};
use support::caller::{Caller, PATIENCE, converse, until};
use support::process::{Ended, Process, elara};

/// A relay with two shards, and where its admin listener is.
fn serve(flags: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--shards", "2"];
    let mut relay = Process::start(&[&serve[..], flags].concat());
    let addr = relay.listening_on();
    let admin = relay.line_after("admin: http://");
    let admin = admin.split_once('/').unwrap().0.parse().unwrap();
    (relay, addr, admin)
}

/// The status and the body of one answer.
fn ask(admin: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let question = format!("{method} {path} HTTP/1.1\r\nHost: elara\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of a series, which must be there.
fn series(page: &str, name: &str) -> u64 {
    let mut values = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next().unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

/// What `elara status` says when all is well.
fn status(admin: SocketAddr, flags: &[&str]) -> Vec<String> {
    let admin = admin.to_string();
    let command = [&["status", "--admin", &admin], flags].concat();
    let Ended { status, lines, stderr } = Process::start(&command).end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    lines
}

/// What `elara status` complains of, in one sentence.
fn complaint(admin: SocketAddr) -> String {
    let Ended { status, lines, stderr } =
        Process::start(&["status", "--admin", &admin.to_string()]).end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(lines.is_empty() && stderr.lines().count() == 1, "{lines:?} {stderr}");
    stderr.trim_end().to_owned()
}

#[test]
fn metrics_have_every_verdict_of_every_shard_and_they_sum_up() {
    let (relay, addr, admin) = serve(&["--dev"]);
    until("it is live", || ask(admin, "GET", "/livez") == (200, "alive\n".to_owned()));
    converse(&Caller::new(addr, 7, 1), &Caller::new(addr, 7, 2));
    converse(&Caller::new(addr, 7 << 8, 1), &Caller::new(addr, 7 << 8, 2));

    let (code, page) = ask(admin, "GET", "/metrics");
    assert_eq!(code, 200);
    for shard in 0..2 {
        let verdicts = Verdict::ALL.iter().map(|verdict| {
            let label = verdict.label();
            series(
                &page,
                &format!("elara_datagrams_total{{shard=\"{shard}\",verdict=\"{label}\"}}"),
            )
        });
        let received = format!("elara_received_datagrams_total{{shard=\"{shard}\"}}");
        assert_eq!(verdicts.sum::<u64>(), series(&page, &received));
    }
    let total = |name: &str| {
        (0..2).map(|shard| series(&page, &format!("{name}{{shard=\"{shard}\"}}"))).sum::<u64>()
    };
    assert_eq!(total("elara_received_datagrams_total"), 6);
    assert_eq!((total("elara_sessions"), total("elara_participants")), (2, 4));
    assert_eq!(total("elara_copies_total"), 4);
    // Every sample belongs to a metric whose help and type stand before it.
    let mut known = "";
    for line in page.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(kind) => known = kind.split(' ').next().unwrap(),
            None if line.starts_with("# HELP ") => {}
            None => assert_eq!(line.split(['{', ' ']).next().unwrap(), known, "{line}"),
        }
    }

    assert_eq!(ask(admin, "GET", "/").0, 404);
    assert_eq!(ask(admin, "POST", "/metrics").0, 405);
    relay.signal("TERM");
    assert_eq!(relay.end().status.code(), Some(0));
    assert!(TcpStream::connect(admin).is_err(), "it ends with the relay");
}

#[test]
fn status_shows_people_what_happened_and_why_some_of_it_was_refused() {
    let (_relay, addr, admin) = serve(&["--dev"]);
    let (alice, bob) = (Caller::new(addr, 7, 1), Caller::new(addr, 7, 2));
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(&[0; 5], addr).unwrap();
    converse(&alice, &bob);
    until("the stranger's datagram is counted", || {
        status(admin, &[]).iter().any(|line| line.starts_with("  runt "))
    });
    let lines = status(admin, &[]);
    assert!(lines[0].starts_with("elara ") && lines[0].contains(", up for "), "{lines:?}");
    assert!(lines[1].starts_with(&format!("listening on {addr}, on ")), "{lines:?}");
    assert!(lines[3].ends_with("total  shard 0  shard 1"), "{lines:?}");
    let row = |name: &str| {
        let row = lines.iter().find(|line| line.starts_with(name));
        let row = row.unwrap_or_else(|| panic!("no {name} in {lines:#?}"));
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("participants")[1], "2");
    assert_eq!(row("datagrams in")[2], "4");
    assert_eq!(row("  forwarded")[1], "2");
    assert_eq!(row("  runt")[4..], ["shorter", "than", "any", "frame"]);
    assert!(!lines.iter().any(|line| line.starts_with("  bad_class")));
    let all = status(admin, &["--all"]);
    for verdict in Verdict::ALL {
        let row = format!("  {} ", verdict.label());
        assert!(all.iter().any(|line| line.starts_with(&row)), "{row} in {all:#?}");
    }

    let mut watch = Process::start(&["status", "--admin", &admin.to_string(), "--watch", "1"]);
    watch.line_after("participants");
    assert_eq!(watch.line_after("participants").split_whitespace().next(), Some("2"));
}

#[test]
fn status_says_what_to_do_when_no_relay_answers() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sentence = complaint(nobody);
    assert!(sentence.starts_with(&format!("elara: nothing answers at {nobody}")), "{sentence}");
    assert!(sentence.contains("--admin"), "{sentence}");

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap();
    let answers =
        ["HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 404 Not Found\r\n\r\n", "220 mail\r\n", ""];
    let server = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = other.accept().unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for answer in answers {
        let sentence = complaint(addr);
        assert!(sentence.contains("is not the admin listener of a relay"), "{answer}: {sentence}");
    }
    server.join().unwrap();
}

#[test]
fn an_address_the_admin_listener_cannot_have_is_refused_with_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (admin, words) in [
        (addr.as_str(), ["in use", "--admin ADDR, or off"]),
        ("0.0.0.0:7841", ["admin = 0.0.0.0:7841", "choose 127.0.0.1"]),
        ("on", ["\"on\"", "neither off nor an address"]),
    ] {
        let output =
            elara(&["serve", "--listen", "127.0.0.1:0", "--admin", admin]).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), sentence.lines().count()), (Some(2), 1), "{sentence}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
    }
}

/// Whoever embeds a node and keeps its runtime busy keeps the answers of the shards from arriving.
#[tokio::test]
async fn a_node_whose_control_side_hangs_is_not_live() {
    let mut node = Node::new(NodeConfig {
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        admin: Some("127.0.0.1:0".parse().unwrap()),
        shards: 1,
        compat: Compat { v0: V0Compat::loopback(), ..Compat::default() },
        ..NodeConfig::default()
    })
    .await
    .unwrap();
    let admin = node.admin_addr().unwrap();
    let handle = node.handle();
    let run = tokio::spawn(async move {
        node.run().await.unwrap();
        node.last_counters().iter().map(|shard: &Counters| shard.commands).sum::<u64>()
    });
    handle.running().await.unwrap();
    let (code, sentence) = ask(admin, "GET", "/livez"); // Blocks the only thread of the runtime.
    assert_eq!((code, sentence.as_str()), (503, "shard 0 did not answer within 1s\n"));
    let live = tokio::task::spawn_blocking(move || ask(admin, "GET", "/livez")).await.unwrap();
    assert_eq!(live.0, 200);
    handle.shutdown(PATIENCE).await.unwrap();
    assert!(run.await.unwrap() >= 2, "the shard itself has answered both");
}
