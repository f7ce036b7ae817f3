//! `elara serve` as an operator meets it: a process, its words, its exit status.

mod support;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::caller::{Caller, converse};
use support::process::{Ended, Process};

/// A relay on a free port of this machine, and no other.
const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin", "off"];

fn serve(flags: &[&str]) -> Process {
    Process::start(&[&SERVE[..], flags].concat())
}

/// Ends a relay with a signal; its last words, from `stopped by` on.
fn stop(process: Process, signal: &str) -> Vec<String> {
    process.signal(signal);
    let Ended { status, mut lines, stderr } = process.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    let last = lines.iter().position(|line| line.starts_with("stopped by ")).unwrap();
    lines.split_off(last)
}

/// What a command that cannot be done says about it, in one line, with status 2.
fn refused(arguments: &[&str]) -> String {
    let Ended { status, lines, stderr } = Process::start(arguments).end();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(lines.is_empty(), "nothing on stdout: {lines:?}");
    assert_eq!(stderr.lines().count(), 1, "one sentence: {stderr}");
    stderr.trim_end().to_owned()
}

/// A configuration file that goes away with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("elara-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn it_says_what_runs_one_fact_a_line_and_in_plain_text() {
    let mut relay = serve(&["--io", "syscall", "--shards", "2"]);
    let addr = relay.listening_on();
    assert!(addr.ip() == Ipv4Addr::LOCALHOST && addr.port() != 0, "{addr}");
    assert_eq!(relay.line(), "io: system calls");
    assert!(relay.line().starts_with("2 shards on cpus "));
    let open = relay.line();
    assert!(open.starts_with("open: nothing, so nothing will be relayed"), "{open}");
    assert!(["--dev", "[v1]", "[compat] v0"].iter().all(|way| open.contains(way)), "{open}");
    let last = stop(relay, "TERM");
    assert!(last[0].starts_with("stopped by SIGTERM after "), "{last:?}");
    assert_eq!(last[1], "datagrams in: 0 (forwarded 0, alone 0, refused 0)");
    assert_eq!(last[2..], ["copies out: 0 (dropped 0)"]);
}

#[test]
fn two_participants_hear_each_other_on_every_back_end() {
    for io in ["syscall", "uring"] {
        let mut relay = serve(&["--dev", "--io", io]);
        let addr = relay.listening_on();
        let io_line = if io == "uring" { "io: io_uring" } else { "io: system calls" };
        assert_eq!(relay.line(), io_line);
        relay.line();
        assert!(relay.line().starts_with("open: wire v1 for whoever has a token of issuer "));
        assert_eq!(relay.line(), "open: wire v0 for this machine only (127.0.0.0/8, ::1/128)");
        converse(&Caller::new(addr, 7, 1), &Caller::new(addr, 7, 2));
        let last = stop(relay, "INT");
        assert!(last[0].starts_with("stopped by SIGINT after "), "{last:?}");
        assert_eq!(last[1], "datagrams in: 3 (forwarded 2, alone 1, refused 0)");
        assert_eq!(last[2..], ["copies out: 2 (dropped 0)"]);
    }
}

#[test]
fn a_relay_that_is_closed_counts_what_it_refuses() {
    let mut relay = serve(&["--shards", "1"]);
    let addr = relay.listening_on();
    let callers = [1, 2].map(|node| Caller::new(addr, 7, node));
    callers.iter().for_each(|caller| caller.say("is anyone there?"));
    // The datagrams lie in the relay's socket before the signal is sent, and the shard takes what lies
    // there before it reads its mail.
    for _ in 0..3 {
        relay.line();
    }
    let last = stop(relay, "TERM");
    assert_eq!(last[1], "datagrams in: 2 (forwarded 0, alone 0, refused 2)");
    assert_eq!(last[3..], ["refused v0_closed: 2 (wire v0 is not open for its source address)"]);
    assert!(!callers.iter().any(Caller::has_mail));
}

#[test]
fn auto_takes_io_uring_where_there_is_one() {
    let mut relay = serve(&["--io", "auto"]);
    relay.listening_on();
    assert_eq!(relay.line(), "io: io_uring");
    stop(relay, "TERM");
}

#[test]
fn auto_falls_back_where_io_uring_is_forbidden_and_says_why() {
    let mut relay = Process::start_without_uring(&[&SERVE[..], &["--dev"]].concat());
    let addr = relay.listening_on();
    let io = relay.line();
    let why = "io: system calls, because io_uring is not available: ";
    assert!(io.starts_with(why) && io.len() > why.len(), "{io}");
    converse(&Caller::new(addr, 7, 1), &Caller::new(addr, 7, 2));
    let last = stop(relay, "TERM");
    assert_eq!(last[1], "datagrams in: 3 (forwarded 2, alone 1, refused 0)");
}

#[test]
fn io_uring_asked_for_by_name_and_forbidden_is_one_sentence() {
    let relay =
        Process::start_without_uring(&["serve", "--listen", "127.0.0.1:0", "--io", "uring"]);
    let Ended { status, stderr, .. } = relay.end();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("io_uring"), "{stderr}");
}

#[test]
fn flags_win_over_the_file() {
    let file = File::new(
        "flags",
        "listen = \"127.0.0.1:1\"\nio = \"syscall\"\nshards = 1\n\
         [compat]\nv0 = { open = [\"10.0.0.0/8\"] }\nv0_per_ip = 5\n",
    );
    let mut relay = serve(&["--config", file.path(), "--shards", "2"]);
    assert_ne!(relay.listening_on().port(), 1);
    assert_eq!(relay.line(), "io: system calls");
    assert!(relay.line().starts_with("2 shards"));
    assert_eq!(
        relay.line(),
        "open: wire v0 for 10.0.0.0/8, at most 5 participants per IP address and shard"
    );
    stop(relay, "TERM");
}

#[test]
fn a_public_relay_warns_at_every_start() {
    let file = File::new("public", "[compat]\nv0 = { open = [\"::/0\"], open_public = true }\n");
    let mut relay = serve(&["--config", file.path()]);
    relay.listening_on();
    relay.signal("TERM");
    let ended = relay.end();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.stderr.contains("WARN") && ended.stderr.contains("::/0"), "{}", ended.stderr);
}

#[test]
fn a_busy_port_is_named() {
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let sentence = refused(&["serve", "--listen", &addr]);
    assert!(sentence.starts_with(&format!("elara: cannot listen on {addr}: port ")), "{sentence}");
    assert!(sentence.contains("in use; stop what listens there, or choose another"), "{sentence}");
}

#[test]
fn a_port_that_another_relay_has_is_busy_too() {
    let mut relay = serve(&[]);
    let addr = relay.listening_on().to_string();
    assert!(refused(&["serve", "--listen", &addr]).contains("in use"));
    stop(relay, "TERM");
}

#[test]
fn a_bad_flag_is_named_with_a_way_out() {
    for (arguments, words) in [
        (&["serve", "--lisen", "x"][..], ["'--lisen'", "'--listen'"]),
        (&["serve", "--listen", "localhost"], ["localhost", "not an address with a port"]),
        (&["serve", "--listen", "203.0.113.7:7840"], ["203.0.113.7", "choose one it has"]),
        (&["serve", "--io", "epoll"], ["epoll", "syscall"]),
        (&["serve", "--shards", "257"], ["257", "0 to 256"]),
        (&["serve", "--shards", "many"], ["many", "not a whole number"]),
        (&["sevre"], ["sevre", "serve"]),
    ] {
        let sentence = refused(arguments);
        assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
    }
}

#[test]
fn a_bad_file_is_named_with_its_line_and_a_way_out() {
    for (name, text, line, words) in [
        ("key", "\nmax_peer = 3\n", 2, ["max_peer", "did you mean max_peers?"]),
        ("range", "max_peers = 1\n", 1, ["max_peers = 1", "2 to 10000"]),
        ("type", "\n\nshards = \"two\"\n", 3, ["shards", "a whole number"]),
        ("syntax", "io = \n", 1, ["io", ""]),
        ("public", "[compat]\nv0 = { open = [\"::/0\"] }", 2, ["::/0", "open_public = true"]),
    ] {
        let file = File::new(name, text);
        let sentence = refused(&["serve", "--config", file.path()]);
        let place = format!("elara: {}:{line}: ", file.path());
        assert!(sentence.starts_with(&place), "{sentence}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
    }
    let missing = refused(&["serve", "--config", "no-such-file.toml"]);
    assert!(missing.starts_with("elara: cannot read no-such-file.toml: "), "{missing}");
}

/// A shard opens a last descriptor on its own thread, once all else is well. With one descriptor too few
/// for that, the node starts and loses the shard.
#[test]
fn a_relay_that_loses_a_shard_ends_with_status_one() {
    for io in ["syscall", "uring"] {
        let lost = (4..64).find_map(|descriptors| {
            let limited = format!("ulimit -n {descriptors}; exec \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_elara")]).args(SERVE);
            command.args(["--shards", "1", "--io", io]).env_remove("RUST_LOG");
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let relay = Process::spawn(&mut command);
            assert_eq!(
                relay.line_or_end(),
                None,
                "it lacks nothing with {descriptors} descriptors"
            );
            let ended = relay.end();
            ended.stderr.contains("shard 0 failed").then_some(ended)
        });
        let Ended { status, stderr, .. } = lost.unwrap();
        assert_eq!(status.code(), Some(1), "{stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.starts_with("elara: shard 0 failed, so the node has ended: "), "{stderr}");
    }
}

#[test]
fn help_is_an_answer() {
    let ended = Process::start(&["serve", "--help"]).end();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.lines.iter().any(|line| line.contains("elara serve --dev")), "{ended:?}");
}
