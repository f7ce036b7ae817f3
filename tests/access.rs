//! Who may enter by wire v1, as an operator says it: `--dev`, the file, SIGHUP.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use elara_core::crypto::{ExchangePublic, Identity, Issuers, JoinAddress, PublicKey, base64url};
use elara_runtime::keys::{self, OsRandom};
use support::folder::{Folder, value};
use support::process::{Process, elara};

/// A relay on a free port that runs in `folder`.
fn serve(folder: &Folder, flags: &[&str]) -> Process {
    let mut command = elara(&["serve", "--listen", "127.0.0.1:0", "--admin", "off"]);
    Process::spawn(command.args(flags).current_dir(&folder.0).env("TMPDIR", &folder.0))
}

fn bytes(text: &str) -> [u8; 32] {
    base64url::read(text).unwrap()
}

/// The issuer and the relay key that the line about wire v1 names.
fn door(relay: &mut Process) -> (u16, ExchangePublic) {
    let door = relay.line_after("open: wire v1 for whoever has a token of issuer ");
    let (kid, key) = door.split_once("; relay public key: ").unwrap();
    (kid.parse().unwrap(), ExchangePublic(bytes(key)))
}

/// Whether the address lets a fresh participant in, as a relay with that issuer sees it.
fn opens(address: &JoinAddress, kid: u16, issuer: PublicKey) -> bool {
    let mut issuers = Issuers::new();
    issuers.add(kid, issuer).unwrap();
    let guest = Identity::generate(&mut OsRandom);
    let claims = address.token.claims().unwrap();
    let now = claims.not_before + 1;
    address.token.verify(&issuers, address.session, guest.public(), now).is_ok()
}

/// The folders that relays started with `--dev` have made here.
fn dev_folders(folder: &Folder) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn dev_prints_addresses_that_open_the_door_and_the_way_to_more() {
    let folder = Folder::new("dev");
    let mut relay = serve(&folder, &["--dev", "--dev-guests", "3"]);
    let addr = relay.listening_on();
    let (kid, key) = door(&mut relay);
    let printed: Vec<String> = (0..3).map(|_| relay.line_after("elara://")).collect();
    let more = relay.line_after("elara token mint --issuer ");
    let file = PathBuf::from(more.split_once(' ').unwrap().0);
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let issuer = *keys::load_issuer(&file).unwrap().public();

    // The printed command, as a person would run it.
    let mut command = vec!["token", "mint", "--issuer"];
    command.extend(more.split(' '));
    let minted = folder.done(&command);

    let addresses: Vec<JoinAddress> = printed
        .iter()
        .map(|rest| format!("elara://{rest}"))
        .chain([minted])
        .map(|link| link.parse().unwrap())
        .collect();
    for address in &addresses {
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", addr.port()));
        assert!(address.relay == key && !address.session.is_reserved());
        assert!(address.session == addresses[0].session && address.key == addresses[0].key);
        assert!(opens(address, kid, issuer));
    }
    let mut serials: Vec<_> =
        addresses.iter().map(|address| address.token.claims().unwrap().subject).collect();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), 4, "each address is for a participant of its own");

    relay.signal("TERM");
    let ended = relay.end();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(dev_folders(&folder), [] as [PathBuf; 0], "the issuer's key is gone");
}

#[test]
fn what_dev_prints_is_in_no_log() {
    let folder = Folder::new("dev-log");
    let mut command = elara(&["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--dev"]);
    command.env("RUST_LOG", "trace").env("TMPDIR", &folder.0);
    let mut relay = Process::spawn(&mut command);
    let address: JoinAddress = format!("elara://{}", relay.line_after("elara://")).parse().unwrap();
    relay.signal("TERM");
    let log = relay.end().stderr;
    assert!(log.contains("node serves"), "{log}");
    let mut secrets = [String::new(), String::new()];
    base64url::write(&mut secrets[0], &address.token.0);
    base64url::write(&mut secrets[1], address.key.expose());
    assert!(!secrets.iter().any(|secret| log.contains(secret)));
}

#[test]
fn without_a_file_a_hang_up_ends_the_relay_and_its_keys() {
    let folder = Folder::new("hang-up");
    let mut relay = serve(&folder, &["--dev"]);
    relay.line_after("elara token mint");
    relay.signal("HUP");
    let ended = relay.end();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.lines[0].starts_with("stopped by SIGHUP after "), "{:?}", ended.lines);
    assert_eq!(dev_folders(&folder), [] as [PathBuf; 0]);
}

/// A folder with `relay.key`, and the public key of an issuer that is elsewhere.
fn operator(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    folder.key("relay", "relay public key");
    let issuer = folder.key("issuer", "issuer public key");
    (folder, issuer)
}

#[test]
fn a_file_opens_wire_v1_with_its_own_keys() {
    let (folder, issuer) = operator("file");
    let v1 = format!(
        "[v1]\nrelay_keys = [\"relay.key\"]\nissuers = [{{ kid = 7, key = \"{issuer}\" }}]\n"
    );
    fs::write(folder.path("elara.toml"), v1).unwrap();
    let shown = folder.done(&["keygen", "--public", "relay.key"]);
    for flags in [&["--config", "elara.toml"][..], &["--config", "elara.toml", "--dev"]] {
        let mut relay = serve(&folder, flags);
        let (kid, key) = door(&mut relay);
        assert_eq!((kid, key.0), (7, bytes(value(&shown, "relay public key"))));
        relay.signal("TERM");
        let ended = relay.end();
        assert_eq!(ended.status.code(), Some(0));
        assert!(
            !ended.lines.iter().any(|line| line.contains("elara://")),
            "its issuer is elsewhere"
        );
    }
}

#[test]
fn a_hang_up_reads_the_file_again_and_a_broken_one_changes_nothing() {
    let (folder, issuer) = operator("reload");
    folder.done(&["keygen", "relay", "--out", "new.key"]);
    let write = |keys: &str, more: &str| {
        let issuers = format!("issuers = [{{ kid = 7, key = \"{issuer}\" }}]");
        let text = format!("[v1]\nrelay_keys = [{keys}]\n{issuers}\n{more}\n");
        fs::write(folder.path("elara.toml"), text).unwrap();
    };
    write("\"relay.key\"", "");
    let mut relay = serve(&folder, &["--config", "elara.toml"]);
    door(&mut relay);

    write("\"new.key\", \"relay.key\"", &format!("bans = [\"{issuer}\"]"));
    relay.signal("HUP");
    assert_eq!(relay.line_after("read elara.toml again: "), "2 relay keys, 1 issuer, 1 ban");
    // The first two change nothing; that they were read shows when the third has been.
    write("\"lost.key\"", "");
    relay.signal("HUP");
    assert!(relay.complaint().contains("elara.toml:2: cannot read key file lost.key"));
    fs::write(folder.path("elara.toml"), "max_peers = 7\n").unwrap();
    relay.signal("HUP");
    assert!(relay.complaint().contains("outside [v1]"));
    assert!(relay.complaint().contains("cannot close wire v1; restart it"));
    write("\"new.key\"", "");
    relay.signal("HUP");
    assert_eq!(relay.line_after("read elara.toml again: "), "1 relay key, 1 issuer, 0 bans");
    relay.signal("TERM");
    assert_eq!(relay.end().status.code(), Some(0));
}
