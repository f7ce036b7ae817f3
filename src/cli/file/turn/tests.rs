//! `[turn]` as people write it, and what they are told, which is never what was secret in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use elara_runtime::NodeConfig;
use elara_runtime::keys::KeyKind;

use super::super::{Wrong, defaults, parse, read};
use super::*;

/// A folder with a secret in `turn.key`, and another server's in `old.txt`.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("elara-turn-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        keys::create(&path.join("turn.key"), KeyKind::Turn, true).unwrap();
        let folder = Self(path);
        folder.put("old.txt", "another server's secret\n", 0o600);
        folder
    }

    fn put(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The configuration of a relay at 192.0.2.1 with `text` below `[turn]`, which is its second line.
    fn parse(&self, text: &str) -> Result<NodeConfig, Wrong> {
        parse(&format!("listen = \"192.0.2.1:7840\"\n[turn]\n{text}"), &self.0, None)
    }

    fn turn(&self, text: &str) -> TurnConfig {
        match self.parse(text) {
            Ok(config) => config.turn,
            Err(Wrong { line, sentence }) => panic!("{line}: {sentence}"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn one_line_is_enough_and_the_file_it_names_lies_beside_the_configuration() {
    let folder = Folder::new("one-line");
    let turn = folder.turn("secrets = [\"turn.key\"]");
    let secret = keys::load_turn(&folder.0.join("turn.key")).unwrap();
    assert!(turn.is_open());
    assert_eq!(turn, TurnConfig { secrets: vec![secret], ..TurnConfig::default() });
    assert_eq!(folder.turn(""), TurnConfig::default());
}

#[test]
fn a_full_section_says_everything() {
    let folder = Folder::new("full");
    let absolute = folder.0.join("turn.key");
    let alice = TurnUser::new("alice", "example.org", "correct: horse").unwrap();
    let bob = TurnUser::new("bob", "example.org", "battery staple").unwrap();
    let turn = folder.turn(&format!(
        "enabled = true\n\
         realm = \"example.org\"\n\
         secrets = [\"{}\", \"old.txt\"]\n\
         users = [\"alice:correct: horse\", \"{}\"]\n\
         relay = [\"192.0.2.7\", \"2001:db8::7\"]\n\
         external_ip = [\"192.0.2.7=203.0.113.7\", \"2001:db8::8\"]\n\
         ports = \"50000-50999\"\n\
         allow_peers = [\"10.1.0.0/16\", \"fd00::/8\"]\n\
         channel_range = \"rfc5766\"\n",
        absolute.display(),
        bob.line().as_str(),
    ));
    assert_eq!((turn.enabled, turn.realm.as_str()), (Some(true), "example.org"));
    assert_eq!(turn.secrets[1].expose(), "another server's secret");
    assert_eq!(turn.users, [alice, bob]);
    assert_eq!(turn.relay, [ip("192.0.2.7"), ip("2001:db8::7")]);
    let external: Vec<_> = turn.external_ip.iter().map(|ip| (ip.internal, ip.external)).collect();
    let expected = [(Some(ip("192.0.2.7")), ip("203.0.113.7")), (None, ip("2001:db8::8"))];
    assert_eq!((external.as_slice(), turn.ports), (&expected[..], 50_000..=50_999));
    let blocks: Vec<_> = turn.allow_peers.iter().map(ToString::to_string).collect();
    assert_eq!(blocks, ["10.1.0.0/16", "fd00::/8"]);
    assert_eq!(turn.channel_range, ChannelRange::Rfc5766);
    let off = folder.turn("enabled = false\nsecrets = [\"turn.key\"]");
    assert!(!off.is_open());
}

#[test]
fn the_address_of_a_flag_wins_before_anything_is_checked() {
    let folder = Folder::new("flag");
    let text = "[turn]\nsecrets = [\"turn.key\"]";
    let flag = "192.0.2.1:7840".parse().unwrap();
    assert_eq!(parse(text, &folder.0, Some(flag)).unwrap().bind_addr, flag);
    let Wrong { line, sentence } = parse(text, &folder.0, None).unwrap_err();
    assert!(line == 2 && sentence.contains("listen = [::]:7840"), "{line}: {sentence}");
    assert!(defaults().stun && !parse("stun = false", &folder.0, None).unwrap().stun);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_the_way_out() {
    let folder = Folder::new("wrong");
    keys::create(&folder.0.join("relay.key"), KeyKind::Relay, true).unwrap();
    folder.put("open.key", "another server's secret", 0o644);
    folder.put("short.key", "too short", 0o600);
    for (text, line, words) in [
        ("enabled = true", 3, ["turn.enabled", "elara keygen turn"]),
        ("enabled = \"yes\"", 3, ["enabled", "a boolean"]),
        ("realm = \"\"", 3, ["turn.realm", "1 to"]),
        ("secrets = [\n\"turn.key\",\n\"relay.key\"]", 5, ["kind relay", "not of kind turn"]),
        ("secrets = [\"open.key\"]", 3, ["open.key", "chmod 600"]),
        ("secrets = [\"short.key\"]", 3, ["short.key", "16 to 256 bytes"]),
        ("secrets = [\"turn.key\",\n\"turn.key\"]", 4, ["turn.secrets", "same secret twice"]),
        ("users = [\"a:b\",\n\"alice\"]", 4, ["turn.users", "no colon"]),
        ("users = [\"a:b\",\n\"a:c\"]", 4, ["turn.users", "one name twice"]),
        ("users = [\"a:0x12:0x34\"]", 3, ["turn.users", "elara turn user"]),
        ("relay = [\"localhost\"]", 3, ["\"localhost\"", "not an IP address"]),
        ("relay = [\"192.0.2.1\",\n\"192.0.2.2\"]", 4, ["192.0.2.2", "second IPv4"]),
        ("relay = \"192.0.2.1\"", 3, ["relay", "sequence"]),
        ("external_ip = [\"203.0.113.7/10.0.0.5\"]", 3, ["will not do", "10.0.0.5=203.0.113.7"]),
        ("external_ip = [\"2001:db8::8\"]", 3, ["turn.external_ip", "no address of turn.relay"]),
        ("ports = 50000", 3, ["ports", "string"]),
        ("ports = \"50000\"", 3, ["\"50000\"", "no range of ports"]),
        ("ports = \"50000-70000\"", 3, ["70000", "no range of ports"]),
        ("\nports = \"80-90\"", 4, ["turn.ports = \"80-90\"", "at least 1024"]),
        ("lifetime = 59", 3, ["turn.lifetime = 59", "60 to 3600"]),
        ("lifetime_max = 300", 3, ["turn.lifetime = 600", "turn.lifetime_max = 300"]),
        ("allocations = 0", 3, ["turn.allocations = 0", "1 to 65536"]),
        ("bytes_per_second = -1", 3, ["turn.bytes_per_second = -1", "0 to"]),
        ("bytes_per_second = 999", 3, ["turn.bytes_per_second = 999", "0 for no limit"]),
        ("allow_peers = [\"10.0.0.1/8\"]", 3, ["10.0.0.1/8", "behind the prefix"]),
        ("allow_peers = [\"::/0\"]", 3, ["turn.allow_peers", "::/0"]),
        ("channel_range = \"rfc8565\"", 3, ["channel_range cannot be", "did you mean rfc8656?"]),
        ("secret = \"turn.key\"", 3, ["unknown key secret", "did you mean secrets?"]),
    ] {
        let Wrong { line: at, sentence } = folder.parse(text).unwrap_err();
        assert_eq!(at, line, "{text}: {sentence}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{text}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn what_is_secret_is_not_repeated_wherever_it_was_written() {
    let folder = Folder::new("hidden");
    for text in [
        "secrets = \"hunter=2\"",
        "secrets = [\"hunter=2\"]",
        "secrets = [\"turn.key\",\n\"hunter=2\"]",
        "secrets = { file = \"hunter=2\" }",
        "users = \"alice:hunter=2\"",
        "users = [\"hunter=2\"]",
        "users = [\"alice:hunter=2\\u0007\"]",
        "users = [\"alice:hunter=2\",\n\"alice:hunter=2\"]",
        "users = [\n\"alice:hunter=2\", 5]",
        "users = [\n\"alice:hunter=2\", 5 5]",
        "users = [\n\"alice:hunter=2\\q\"]",
        "users = [\n\"alice:hunter=2\n]",
        "users = [\"alice:0xhunter=2\"]",
        "users = [[\"alice:hunter=2\"]]",
        "users = { alice = \"hunter=2\" }",
        "users.alice = \"hunter=2\"",
        "users = [alice:hunter=2]",
    ] {
        let Wrong { line, sentence } = folder.parse(text).unwrap_err();
        assert!(!sentence.contains("hunter") && line >= 3, "{text}: {line}: {sentence}");
    }
}

#[test]
fn a_file_with_users_is_for_its_owner() {
    let folder = Folder::new("exposed");
    let text = "listen = \"192.0.2.1:7840\"\n[turn]\nusers = [\"alice:correct horse\"]\n";
    let open = folder.put("elara.toml", text, 0o640);
    let refused = read(&open, None).unwrap_err();
    assert!(refused.ends_with(&format!("chmod 600 {}", open.display())), "{refused}");
    assert!(!refused.contains("horse"), "{refused}");
    assert!(read(&folder.put("elara.toml", text, 0o600), None).is_ok());
    let without = "listen = \"192.0.2.1:7840\"\n[turn]\nsecrets = [\"turn.key\"]\n";
    assert!(read(&folder.put("elara.toml", without, 0o644), None).is_ok());
}

const MANUAL: &str = include_str!("../../../../docs/TURN.md");

#[test]
fn the_examples_of_the_manual_are_accepted() {
    let folder = Folder::new("manual");
    let examples: Vec<&str> = MANUAL.split("```toml\n").skip(1).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        let example = example.split("```").next().unwrap();
        let example = example.replace("/etc/elara", folder.0.to_str().unwrap());
        if let Err(Wrong { line, sentence }) = parse(&example, &folder.0, None) {
            panic!("{line}: {sentence}\n{example}");
        }
    }
}

#[test]
fn the_manual_has_every_block_that_is_denied() {
    for block in elara_core::turn::DENIED {
        assert!(MANUAL.contains(&format!("`{block}`")), "docs/TURN.md lacks {block}");
    }
}
