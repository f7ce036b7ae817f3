//! `elara keygen turn` and `elara turn user` as an operator meets them, and the program of `docs/TURN.md`.

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use elara_runtime::TurnUser;
use serde_json::Value;
use support::folder::{Folder, value};
use support::process::{Process, elara};

const PAGE: &str = include_str!("../docs/TURN.md");
const SECRET: &str = "another server's secret";

/// A folder with another server's secret in `turn.key`.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.done(&["keygen", "turn"]);
    fs::write(folder.path("turn.key"), format!("{SECRET}\n")).unwrap();
    folder
}

/// What a command prints that is given `input`.
fn given(folder: &Folder, input: &str, arguments: &[&str]) -> String {
    let mut command = elara(arguments);
    let mut child = command.current_dir(&folder.0).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_secret_is_made_and_what_it_signs_says_until_when() {
    let folder = Folder::new("turn-secret");
    let made = folder.done(&["keygen", "turn"]);
    let text = fs::read_to_string(folder.path("turn.key")).unwrap();
    assert!(!made.contains(text.trim_end().split_once(' ').unwrap().1), "{made}");
    let shown = folder.done(&["keygen", "--public", "turn.key"]);
    assert_eq!(shown, made);

    let said = folder.done(&["turn", "user", "--secret", "turn.key", "--ttl", "1h", "alice"]);
    let (expires, name) = value(&said, "username").split_once(':').unwrap();
    assert_eq!((name, value(&said, "password").len()), ("alice", 28));
    assert!(expires.parse::<u64>().is_ok() && value(&said, "expires").ends_with('Z'), "{said}");
    let nobody = folder.done(&["turn", "user", "--secret", "turn.key"]);
    assert!(value(&nobody, "username").parse::<u64>().is_ok(), "{nobody}");
}

#[test]
fn a_user_is_a_line_in_which_the_password_is_not() {
    let folder = Folder::new("turn-user");
    let said = folder.done(&["turn", "user", "alice"]);
    let (password, line) = (value(&said, "password"), value(&said, "line for turn.users"));
    assert_eq!((value(&said, "username"), value(&said, "realm")), ("alice", "elara"));
    let alice = TurnUser::new("alice", "elara", password).unwrap();
    assert!(alice.line().as_str() == line && !line.contains(password));
    assert_ne!(value(&folder.done(&["turn", "user", "alice"]), "password"), password);

    let ask = ["turn", "user", "--ask", "--realm", "example.org", "alice"];
    let said = given(&folder, "correct horse\n", &ask);
    let alice = TurnUser::new("alice", "example.org", "correct horse").unwrap();
    assert_eq!(value(&said, "line for turn.users"), alice.line().as_str());
    assert!(!said.contains("horse"), "{said}");
}

#[test]
fn the_example_of_the_page_is_true() {
    let (_, example) = PAGE.split_once("username: alice\n").unwrap();
    let example = example.split("```").next().unwrap();
    let (password, line) = (value(example, "password"), value(example, "line for turn.users"));
    let alice = TurnUser::new("alice", value(example, "realm"), password).unwrap();
    assert_eq!(alice.line().as_str(), line);
    assert_eq!(PAGE.matches(line).count(), 2, "printed, and configured");
}

#[test]
fn json_tells_programs_the_same() {
    let folder = folder("turn-json");
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let passing = read(&folder.done(&["turn", "user", "--secret", "turn.key", "--json", "alice"]));
    let expires = passing["expires"].as_u64().unwrap();
    assert_eq!(passing["username"], format!("{expires}:alice"));
    assert_eq!(
        (&passing["ttl"], passing["password"].as_str().unwrap().len()),
        (&86_400.into(), 28)
    );
    let lasting = read(&folder.done(&["turn", "user", "--json", "alice"]));
    let password = lasting["password"].as_str().unwrap();
    let alice = TurnUser::new("alice", "elara", password).unwrap();
    assert_eq!(lasting["line"], alice.line().as_str());
    let asked = read(&given(&folder, "horse", &["turn", "user", "--json", "--ask", "alice"]));
    assert_eq!((&asked["realm"], asked.get("password")), (&"elara".into(), None));
}

#[test]
fn each_mistake_is_a_sentence() {
    let folder = folder("turn-mistakes");
    folder.key("issuer", "kid");
    for (wrong, says) in [
        (&["turn"][..], "user"),
        (&["turn", "user"], "NAME"),
        (&["turn", "user", "al:ice"], "no colon"),
        (&["turn", "user", "--ask", "alice"], "its password must have"),
        (&["turn", "user", "--ttl", "1h", "alice"], "--secret"),
        (&["turn", "user", "--secret", "none", "alice"], "cannot read key file none"),
        (&["turn", "user", "--secret", "issuer.key", "alice"], "kind issuer, not of kind turn"),
        (&["turn", "user", "--secret", "turn.key", "--ttl", "1", "alice"], "such as 90s"),
        (&["turn", "user", "--secret", "turn.key", "--realm", "x", "alice"], "--realm"),
    ] {
        let output = folder.run(wrong);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {said}");
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
}

#[test]
fn every_help_shows_an_example() {
    let folder = Folder::new("turn-help");
    for command in [&["turn"][..], &["turn", "user"]] {
        let help = folder.done(&[command, &["--help"]].concat());
        let example = format!("  elara {}", command.join(" "));
        assert!(help.contains("Examples:") && help.contains(&example), "{help}");
    }
}

#[test]
fn the_python_program_of_the_page_signs_what_we_sign() {
    let folder = folder("turn-python");
    let (_, program) = PAGE.split_once("```python\n").unwrap();
    fs::write(folder.path("turn.py"), program.split_once("```").unwrap().0).unwrap();
    let python = |words: &[&str]| {
        let output = Command::new("python3").args(words).current_dir(&folder.0).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let inline = format!(
        "import turn, json\nturn.time.time = lambda: 1000000000\n\
         print(json.dumps(turn.credential({SECRET:?}, 'alice')))"
    );
    let theirs = python(&["-c", &inline]);
    // What `elara turn user` signs is held to the same value beside its code.
    assert_eq!(theirs["username"], "1000003600:alice");
    assert_eq!(theirs["credential"], "1J88fcGfav2eK806eJR/+MHwfDA=");
    folder.done(&["keygen", "turn", "--force"]);
    assert!(python(&["turn.py", "turn.key", "alice"])["credential"].as_str().unwrap().len() == 28);
}

#[test]
fn a_relay_says_for_whom_its_turn_is_open_and_refuses_what_cannot_be() {
    let folder = folder("turn-serve");
    let serve = |text: &str| {
        fs::write(folder.path("elara.toml"), text).unwrap();
        let mut command = elara(&["serve", "--config", "elara.toml", "--admin", "off"]);
        command.current_dir(&folder.0);
        command
    };
    let text = "listen = \"127.0.0.1:0\"\n[turn]\nsecrets = [\"turn.key\"]\n";
    let mut relay = Process::spawn(&mut serve(text));
    let open = relay.line_after("open: ");
    assert_eq!(
        open,
        "TURN for whoever has a credential of realm elara (1 secret, 0 users); relays from 127.0.0.1, \
         ports 49152 to 65535"
    );
    assert_eq!(relay.line(), "stun: whoever asks is told which address it speaks from");
    relay.signal("TERM");
    assert_eq!(relay.end().status.code(), Some(0));

    let output = serve("[turn]\nenabled = true\n").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.starts_with("elara: elara.toml:2: turn.enabled = true, and nobody"), "{said}");
}
