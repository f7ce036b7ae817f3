//! `elara turn check` as an operator meets it, against coturn's server.

mod support;

use std::fs;
use std::net::UdpSocket;

use serde_json::Value;
use support::folder::Folder;
use support::process::{Ended, Process};
use support::turnserver::{Options, PASSWORD, SECRET, TurnServer, USER};

fn check(arguments: &[&str]) -> Ended {
    Process::start(&[&["turn", "check"], arguments].concat()).end()
}

/// Exit status, and the lines without what differs from run to run: the word and the step.
fn outcome(ended: &Ended) -> (Option<i32>, Vec<String>) {
    let step = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    (ended.status.code(), ended.lines.iter().map(step).collect())
}

const ALL_WELL: [&str; 13] = [
    "server",
    "ok       binding",
    "ok       without credentials",
    "ok       allocation",
    "ok       permission",
    "ok       data both ways by indications",
    "ok       channel",
    "ok       data to a peer by channel",
    "ok       data from a peer by channel",
    "ok       second allocation",
    "ok       data between two allocations",
    "ok       end of the allocations",
    "11 ok",
];

#[test]
fn a_server_that_does_everything_is_told_step_by_step() {
    let turn = TurnServer::start().ready();
    let server = turn.addr.to_string();
    let ended = check(&["--server", &server, "--user", USER, "--password", PASSWORD]);
    assert_eq!(ended.stderr, "");
    assert_eq!(outcome(&ended), (Some(0), ALL_WELL.map(str::to_owned).to_vec()), "{ended:?}");
}

#[test]
fn credentials_are_made_from_a_file_with_the_secret() {
    let turn = TurnServer::start_as(&Options { secret: true, ..Options::default() }).ready();
    let folder = Folder::new("turn-check");
    for (name, text) in
        [("theirs", format!("{SECRET}\n")), ("ours", format!("elara-turn-secret-v1 {SECRET}\n"))]
    {
        let file = folder.path(name);
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let ended = check(&["--server", &turn.uri(), "--secret", file]);
        assert_eq!(outcome(&ended), (Some(0), ALL_WELL.map(str::to_owned).to_vec()), "{ended:?}");
    }
}

#[test]
fn what_is_denied_by_design_is_no_failure_and_comes_with_the_line_that_allows_it() {
    let turn = TurnServer::start_as(&Options { loopback: false, ..Options::default() }).ready();
    let ended = check(&["--server", &turn.uri(), "--user", USER, "--password", PASSWORD]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let denied: Vec<_> = ended.lines.iter().filter(|line| line.starts_with("denied")).collect();
    assert_eq!(denied.len(), 2, "{ended:?}");
    let way = "allow_peers = [\"127.0.0.1/32\"] under [turn] (coturn: allow-loopback-peers)";
    assert!(denied.iter().all(|line| line.ends_with(way)), "{denied:?}");
    assert_eq!(ended.lines.last().unwrap(), "5 ok, 2 denied by design, 4 skipped");
}

#[test]
fn what_fails_is_a_sentence_with_a_way_out_and_status_1() {
    let turn = TurnServer::start().ready();
    let server = turn.uri();
    let ended = check(&["--server", &server, "--user", USER, "--password", "open barley"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr, "elara: 1 of 11 steps failed\n");
    let failed = ended.lines.iter().find(|line| line.starts_with("FAILED   allocation: "));
    let failed = failed.unwrap_or_else(|| panic!("{ended:?}"));
    assert!(failed.contains("(401): check user and password"), "{failed}");
    let skipped = ended.lines.iter().find(|line| line.starts_with("skipped")).unwrap();
    assert!(skipped.ends_with("there is no allocation"), "{skipped}");

    let nothing = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ended = check(&["--server", &nothing]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.lines[1].contains("nothing that listens on that port"), "{ended:?}");
    assert!(ended.lines[2].ends_with("the server does not answer"), "{ended:?}");
}

#[test]
fn without_credentials_only_what_needs_none_is_tried() {
    let turn = TurnServer::start().ready();
    let ended = check(&["--server", &turn.addr.to_string()]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.lines[2].starts_with("ok       without credentials: refused (401)"));
    assert_eq!(ended.lines.last().unwrap(), "2 ok, 9 skipped");
}

#[test]
fn a_program_gets_json() {
    let turn = TurnServer::start().ready();
    let server = turn.addr.to_string();
    let ended = check(&["--server", &server, "--user", USER, "--password", PASSWORD, "--json"]);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.lines.join("\n")).unwrap();
    assert_eq!((&report["ok"], &report["address"]), (&Value::Bool(true), &Value::from(server)));
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 11);
    assert!(steps.iter().all(|step| step["outcome"] == "ok" && step["detail"].is_string()));
    assert_eq!(steps[0]["step"], "binding");
}

#[test]
fn what_cannot_be_asked_is_one_sentence() {
    for (arguments, words) in [
        (&["--user", "ann"][..], "--user wants --password or --secret"),
        (&["--password", "x"], "--user"),
        (&["--server", "host:0"], "not a host and port"),
        (&["--secret", "no/such/file"], "cannot read the TURN secret no/such/file"),
    ] {
        let ended = check(arguments);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.lines.is_empty() && ended.stderr.contains(words), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}
