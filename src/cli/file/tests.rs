//! Files as people write them, and what they are told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use elara_core::NodeId;
use elara_core::crypto::{Identity, PublicKey, Secret, base64url};
use elara_runtime::V0Compat;
use elara_runtime::keys::{self, Key, KeyKind};

use super::*;

fn parse(text: &str) -> Result<NodeConfig, Wrong> {
    super::parse(text, Path::new(""), None)
}

fn wrong(text: &str) -> (usize, String) {
    match parse(text) {
        Err(Wrong { line, sentence }) => (line, sentence),
        Ok(config) => panic!("accepted as {config:?}"),
    }
}

#[test]
fn an_empty_file_is_the_default() {
    let config = parse("# nothing\n").unwrap();
    assert_eq!(config, NodeConfig { node_id: config.node_id, ..defaults() });
}

#[test]
fn a_full_file_says_everything() {
    let config = parse(
        r#"
        listen = "127.0.0.1:9000"
        io = "syscall"
        shards = 3
        node_id = "00000000000000ff"
        max_peers = 4
        event_buffer_size = 5
        prediction_entropy = 6
        admin = "[::1]:9001"

        [degradation_config]
        floor_level = 1
        loss_down_permille = 90
        loss_up_permille = 20
        delay_down_ms = 300
        hold_up_ms = 4_000

        [turn]
        lifetime = 70
        lifetime_max = 80
        allocations = 9
        allocations_per_user = 10
        permissions = 11
        channels = 12
        bytes_per_second = 13_000

        [compat]
        v0 = { open = ["10.0.0.0/8", "::1"], open_public = false }
        v0_per_ip = 7
        "#,
    )
    .unwrap();
    assert_eq!(config.bind_addr.to_string(), "127.0.0.1:9000");
    assert_eq!(config.admin.unwrap().to_string(), "[::1]:9001");
    assert_eq!((config.io, config.node_id), (Choice::Syscall, NodeId(0xff)));
    let numbers = config.numbers().map(|(_, number)| number);
    assert_eq!(numbers, [3, 4, 5, 6, 1, 90, 20, 300, 4_000, 70, 80, 9, 10, 11, 12, 13_000, 7]);
    assert_eq!(config.compat.v0.blocks().len(), 2);
}

#[test]
fn v0_can_be_off_and_can_be_a_table_of_its_own() {
    assert_eq!(parse("compat.v0 = \"off\"").unwrap().compat.v0, V0Compat::Off);
    let table = parse("[compat.v0]\nopen = [\"127.0.0.0/8\"]").unwrap();
    assert_eq!(table.compat.v0.blocks().len(), 1);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_its_neighbour() {
    for (text, line, sentence) in [
        ("io = \"auto\"\nmax_peer = 5", 2, "unknown key max_peer; did you mean max_peers?"),
        ("\n\n[degradation]\n", 3, "unknown key degradation; did you mean degradation_config?"),
        ("[compat]\nv0_per_op = 5", 2, "unknown key v0_per_op; did you mean v0_per_ip?"),
        (
            "[compat]\nv0 = { open = [], public = true }",
            2,
            "unknown key public; known here: open, open_public",
        ),
        (
            "zzz = 5",
            1,
            "unknown key zzz; known here: listen, io, shards, node_id, max_peers, \
             event_buffer_size, prediction_entropy, degradation_config, admin, v1, stun, turn, compat",
        ),
    ] {
        assert_eq!(wrong(text), (line, sentence.to_owned()), "{text}");
    }
}

#[test]
fn a_number_out_of_range_is_named_with_its_line_and_its_bounds() {
    for (text, line, sentence) in [
        ("\nshards = 257", 2, "shards = 257 is out of range: it must be 0 to 256"),
        ("shards = -1", 1, "shards = -1 is out of range: it must be 0 to 256"),
        ("max_peers = 1", 1, "max_peers = 1 is out of range: it must be 2 to 10000"),
        (
            "[degradation_config]\n\nhold_up_ms = 999",
            3,
            "degradation_config.hold_up_ms = 999 is out of range: it must be 1000 to 60000",
        ),
    ] {
        assert_eq!(wrong(text), (line, sentence.to_owned()), "{text}");
    }
}

#[test]
fn a_wrong_type_is_named_with_its_line_and_key() {
    for (text, line, words) in [
        ("\nshards = \"two\"", 2, ["shards", "a whole number"]),
        ("max_peers = 2.5", 1, ["max_peers", "a whole number"]),
        ("listen = 7840", 1, ["listen", "string"]),
        ("listen = \"localhost\"", 1, ["\"localhost\"", "not an address with a port"]),
        ("node_id = \"+00000000000000f\"", 1, ["node_id", "16 hexadecimal digits"]),
        ("io = \"urin\"", 1, ["io cannot be \"urin\"", "did you mean uring?"]),
        ("compat.v0 = \"on\"", 1, ["\"on\"", "\"off\" or { open ="]),
        ("[compat]\nv0 = { open = [\"10.0.0.1/8\"] }", 2, ["10.0.0.1/8", "behind the prefix"]),
        ("listen = ", 1, ["listen", ""]),
        ("\nadmin = \"on\"", 2, ["\"on\"", "neither off nor an address"]),
    ] {
        let (at, sentence) = wrong(text);
        assert_eq!(at, line, "{text}: {sentence}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{text}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn what_only_the_whole_shows_has_a_line_too() {
    for (text, line) in [
        ("\nnode_id = \"0000000000000000\"", 2),
        ("[compat]\nv0 = { open = [\"0.0.0.0/0\"] }", 2),
        ("[compat]\n\nv0 = { open = [] }", 3),
        ("[degradation_config]\nloss_down_permille = 5", 2),
        ("[degradation_config]\nhold_up_ms = 1000\nloss_up_permille = 60", 3),
        ("\nadmin = \"10.0.0.1:7841\"", 2),
    ] {
        assert_eq!(wrong(text).0, line, "{text}");
    }
}

/// A folder with a relay's key, and the text of an issuer's.
struct Keys {
    folder: PathBuf,
    issuer: PublicKey,
}

impl Keys {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("elara-file-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        keys::create(&folder.join("relay.key"), KeyKind::Relay, true).unwrap();
        Self { folder, issuer: *Identity::from_seed(&Secret::new([1; 32])).public() }
    }

    fn issuer(&self) -> String {
        let mut text = String::new();
        base64url::write(&mut text, &self.issuer.0);
        text
    }

    /// The configuration `text`, in which `ISSUER` stands for the issuer's key.
    fn parse(&self, text: &str) -> Result<NodeConfig, Wrong> {
        super::parse(&text.replace("ISSUER", &self.issuer()), &self.folder, None)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn who_may_enter_by_v1_is_read_with_the_key_files_beside_the_file() {
    let keys = Keys::new("v1");
    let absolute = keys.folder.join("old.key");
    let old = keys::create(&absolute, KeyKind::Relay, true).unwrap();
    let text = format!(
        "[v1]\nrelay_keys = [\"relay.key\", \"{}\"]\n\
         issuers = [{{ kid = 0, key = \"ISSUER\" }}, {{ key = \"ISSUER\" }}]\n\
         bans = [\"ISSUER\"]\n",
        absolute.display()
    );
    let v1 = keys.parse(&text).unwrap().v1;
    let current = keys::load_relay(&keys.folder.join("relay.key")).unwrap();
    assert_eq!(v1.relay_keys[0].public(), current.public());
    assert_eq!(Key::Relay(v1.relay_keys[1].clone()).public_text(), old.public_text());
    let follows = keys::suggested_kid(&keys.issuer);
    assert_eq!(v1.issuers, [(0, keys.issuer), (follows, keys.issuer)]);
    assert!(v1.bans.contains(&keys.issuer.0) && v1.bans.len() == 1);
}

#[test]
fn what_is_wrong_with_v1_is_named_with_its_line_and_the_way_out() {
    let keys = Keys::new("v1-wrong");
    keys::create(&keys.folder.join("issuer.key"), KeyKind::Issuer, true).unwrap();
    keys::create(&keys.folder.join("open.key"), KeyKind::Relay, true).unwrap();
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(keys.folder.join("open.key"), open).unwrap();
    let issuers = "issuers = [{ kid = 1, key = \"ISSUER\" }]";
    for (text, line, words) in [
        ("relay_keys = [\n\"relay.key\",\n\"no.key\"]", 4, ["cannot read key file", "no.key"]),
        ("relay_keys = [\"open.key\"]", 2, ["open.key", "chmod 600"]),
        ("relay_keys = [\"issuer.key\"]", 2, ["kind issuer", "not of kind relay"]),
        ("relay_keys = [\"relay.key\"]", 2, ["v1.issuers is empty", "elara keygen issuer"]),
        ("bans = []\nISSUERS", 3, ["v1.relay_keys is empty", "elara keygen relay"]),
        ("relay_keys = []\nISSUERS", 2, ["v1.relay_keys is empty", "elara keygen relay"]),
        ("ISSUERS\nrelay_keys = [\"relay.key\",\n\"relay.key\"]", 4, ["same key twice", ""]),
        ("relay_keys = [\"a\"]\nissuers = [{ kid = 1 }]", 3, ["key", "missing"]),
        ("issuers = [{ kid = 65536, key = \"ISSUER\" }]", 2, ["v1.issuers.kid", "0 to 65535"]),
        ("issuers = [{ kid = 1, key = \"short\" }]", 2, ["v1.issuers", "43 letters"]),
        ("issuers = [{ kid = 1, pub = \"ISSUER\" }]", 2, ["unknown key pub", "kid, key"]),
        ("\nbans = [\"short\"]", 3, ["v1.bans", "43 letters"]),
        ("relay_key = \"relay.key\"", 2, ["relay_key;", "did you mean relay_keys?"]),
    ] {
        let text = format!("[v1]\n{}", text.replace("ISSUERS", issuers));
        let Wrong { line: at, sentence } = keys.parse(&text).unwrap_err();
        assert_eq!(at, line, "{text}: {sentence}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{text}: {sentence}");
        assert!(!sentence.contains("short") && !sentence.contains('\n'), "{sentence}");
    }
    let twice = "[v1]\nrelay_keys = [\"relay.key\"]\nissuers = [\n\
                 { kid = 1, key = \"ISSUER\" },\n{ kid = 1, key = \"ISSUER\" }]";
    let Wrong { line, sentence } = keys.parse(twice).unwrap_err();
    assert_eq!(line, 5);
    assert!(sentence.contains("kid = 1 twice"), "{sentence}");
}

const MANUAL: &str = include_str!("../../../docs/OPERATING.md");

const TURN: &str = include_str!("../../../docs/TURN.md");

#[test]
fn the_manual_gives_every_number_its_default_and_bounds() {
    for (key, default) in NodeConfig::default().numbers() {
        let bounds = NodeConfig::bounds(key).unwrap();
        let (page, text, short) = match key.strip_prefix("turn.") {
            Some(short) => ("docs/TURN.md", TURN, short),
            None => ("docs/OPERATING.md", MANUAL, key),
        };
        let row = format!("| `{short}` | {default} | {} to {} |", bounds.start(), bounds.end());
        assert!(text.contains(&row), "{page} lacks: {row}");
    }
}

#[test]
fn the_example_of_the_manual_is_accepted() {
    let (_, example) = MANUAL.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(parse(example).unwrap().compat.v0.blocks().len(), 2);
}

#[test]
fn the_manuals_example_of_who_may_enter_is_accepted() {
    let keys = Keys::new("manual");
    let example = MANUAL.split("```toml\n").nth(2).unwrap().split("```").next().unwrap();
    let example = example.replace("/etc/elara", keys.folder.to_str().unwrap());
    let v1 = keys.parse(&example).unwrap().v1;
    // Both stand in the manual for the key of 32 bytes 01, and the number that follows from it.
    assert_eq!(v1.issuers, [(keys::suggested_kid(&keys.issuer), keys.issuer)]);
}
