//! Clients of other people through our TURN server, on both back ends: coturn's, aioice, libnice, Chromium.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::folder::write_private;
use support::process::Process;

const USER: &str = "ada";
const PASSWORD: &str = "lovelace";

/// A relay with TURN for one user, who may reach this machine. Ends with the test.
struct Relay {
    process: Process,
    addr: SocketAddr,
    config: PathBuf,
}

impl Relay {
    fn start(io: &str, listen: &str, more: &str) -> Self {
        let unique = format!("{}-{io}-{}", std::process::id(), listen.len() + more.len() * 100);
        let config = std::env::temp_dir().join(format!("elara-turn-{unique}.toml"));
        let text = format!(
            "listen = \"{listen}\"\nadmin = \"off\"\nio = \"{io}\"\nshards = 1\n\n\
             [turn]\nusers = [\"{USER}:{PASSWORD}\"]\n\
             allow_peers = [\"127.0.0.0/8\", \"::1/128\"]\nchannel_range = \"rfc5766\"\n{more}"
        );
        write_private(&config, &text);
        let mut process = Process::start(&["serve", "--config", config.to_str().unwrap()]);
        let addr = process.listening_on();
        Self { process, addr, config }
    }

    /// Ends it; what it said of what it had done.
    fn stop(self) -> Vec<String> {
        self.process.signal("TERM");
        let _ = fs::remove_file(&self.config);
        let ended = self.process.end();
        assert!(ended.status.success(), "{}", ended.stderr);
        ended.lines
    }
}

/// A program somebody else wrote, and what it said.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| {
        panic!("{program} does not start ({error}); `cargo xtask ci` installs it")
    })
}

/// A script of tests/others against the relay.
fn script(python: &str, name: &str, relay: &Relay) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/others").join(name);
    let (host, port) = (relay.addr.ip().to_string(), relay.addr.port().to_string());
    let output = run(python, &[file.to_str().unwrap(), &host, &port, USER, PASSWORD]);
    let words = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {words}{complaint}");
    println!("{words}");
}

/// coturn's client against the relay; all it sends must come back.
fn uclient(relay: &Relay, flags: &[&str]) {
    let (host, port) = (relay.addr.ip().to_string(), relay.addr.port().to_string());
    let mut all = vec!["-u", USER, "-w", PASSWORD, "-p", &port, "-n", "20", "-z", "5", "-m", "4"];
    all.extend(flags);
    all.push(&host);
    let output = run("turnutils_uclient", &all);
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && words.contains("Total lost packets 0 (0.000000%)"),
        "turnutils_uclient {flags:?}: {words}"
    );
}

/// coturn's echo, on a port of this machine. Ends with the test.
struct Echo(std::process::Child);

impl Echo {
    fn start(host: &str, port: u16) -> Self {
        let arguments = ["-L", host, "-p", &port.to_string()];
        Self(Command::new("turnutils_peer").args(arguments).spawn().expect("coturn is installed"))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every way coturn's client knows to move data over UDP.
fn coturn_moves_data(io: &str) {
    let relay = Relay::start(io, "127.0.0.1:0", "relay = [\"127.0.0.1\"]\n");
    let echo_port = relay.addr.port().wrapping_add(1).max(1_024);
    let _echo = Echo::start("127.0.0.1", echo_port);
    let port = echo_port.to_string();
    let peer = ["-e", "127.0.0.1", "-r", &port];
    for flags in [
        &[][..],               // channels, an even port and the one above it
        &["-c"],               // channels, one port
        &["-c", "-s"],         // Send and Data indications
        &["-c", "-l", "1200"], // large
        &["-c", "-l", "1"],    // small
        &["-c", "-g"],         // DONT-FRAGMENT
        &["-c", "-s", "-g"],   // the same in indications
        &["-c", "-D"],         // padded ChannelData
        &["-c", "-G"],         // more requests than it takes
    ] {
        uclient(&relay, &[&peer[..], flags].concat());
    }
    for flags in [&["-y", "-c"][..], &["-y", "-c", "-s"], &["-y"]] {
        uclient(&relay, flags);
    }
    let lines = relay.stop();
    assert!(lines.iter().any(|line| line.contains("relayed ")), "{lines:?}");
}

#[test]
fn coturns_client_moves_data_over_io_uring() {
    coturn_moves_data("uring");
}

#[test]
fn coturns_client_moves_data_over_system_calls() {
    coturn_moves_data("syscall");
}

#[test]
fn coturns_client_moves_data_over_ipv6() {
    for io in ["uring", "syscall"] {
        let relay = Relay::start(io, "[::1]:0", "relay = [\"::1\", \"127.0.0.1\"]\n");
        let echo_port = relay.addr.port().wrapping_add(1).max(1_024);
        let _echo = Echo::start("::1", echo_port);
        let port = echo_port.to_string();
        let peer = ["-e", "::1", "-r", &port];
        uclient(&relay, &[&peer[..], &["-c", "-x"]].concat());
        uclient(&relay, &[&peer[..], &["-c", "-x", "-s"]].concat());
        uclient(&relay, &["-y", "-c", "-x"]);
        relay.stop();
    }
}

#[test]
fn coturns_negative_tests_harm_nobody() {
    for io in ["uring", "syscall"] {
        let relay = Relay::start(io, "127.0.0.1:0", "relay = [\"127.0.0.1\"]\n");
        let (host, port) = (relay.addr.ip().to_string(), relay.addr.port().to_string());
        let echo_port = relay.addr.port().wrapping_add(1).max(1_024);
        let _echo = Echo::start("127.0.0.1", echo_port);
        let peer_port = echo_port.to_string();
        for flag in ["-N", "-R", "-B"] {
            // What it does is wrong on purpose, or it hangs up at random (-B) and loses what comes
            // then: what it says of the outcome proves nothing.
            let common = ["-u", USER, "-w", PASSWORD, "-p", &port, "-n", "5", "-z", "5", "-c"];
            let peer = ["-e", "127.0.0.1", "-r", &peer_port, flag, &host];
            run("timeout", &[&["20", "turnutils_uclient"], &common[..], &peer[..]].concat());
        }
        uclient(&relay, &["-e", "127.0.0.1", "-r", &peer_port, "-c"]);
        relay.stop();
    }
}

#[test]
fn a_browser_has_a_data_channel_through_us() {
    for io in ["uring", "syscall"] {
        let relay = Relay::start(io, "127.0.0.1:0", "relay = [\"127.0.0.1\"]\n");
        script("python3", "browser.py", &relay);
        relay.stop();
    }
}

#[test]
fn aioice_agents_talk_through_us() {
    for io in ["uring", "syscall"] {
        let relay = Relay::start(io, "127.0.0.1:0", "relay = [\"127.0.0.1\"]\n");
        script("python3", "ice.py", &relay);
        relay.stop();
    }
}

#[test]
fn libnice_agents_talk_through_us() {
    for io in ["uring", "syscall"] {
        let relay = Relay::start(io, "127.0.0.1:0", "relay = [\"127.0.0.1\"]\n");
        // Debian's own Python: the bindings are built for it.
        script("/usr/bin/python3", "nice.py", &relay);
        relay.stop();
    }
}
