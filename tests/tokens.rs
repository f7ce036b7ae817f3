//! `elara keygen` and `elara token` as an operator meets them, and the programs of `docs/TOKENS.md`.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use elara_core::SessionId;
use elara_core::crypto::token::{Claims, Permissions, Subject, Token};
use elara_core::crypto::{JoinAddress, PublicKey, base64url};
use elara_runtime::keys;
use serde_json::Value;
use support::folder::{Folder, value};

const PAGE: &str = include_str!("../docs/TOKENS.md");
const SESSION: &str = "5e55101700000001";

fn mint<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["token", "mint", "--issuer", "issuer.key", "--session", SESSION], more].concat()
}

#[test]
fn a_key_is_made_once_for_its_owner_only_and_its_public_half_is_shown() {
    let folder = Folder::new("keygen");
    for kind in ["relay", "issuer", "node"] {
        let made = folder.done(&["keygen", kind]);
        let file = folder.path(&format!("{kind}.key"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let shown = folder.done(&["keygen", "--public", &format!("{kind}.key")]);
        assert_eq!(shown, made);
        let key = keys::load(&file).unwrap();
        let public = value(&made, &format!("{kind} public key"));
        assert_eq!(Some(public), key.public_text().as_deref());
        let secret = fs::read_to_string(&file).unwrap();
        assert!(!made.contains(secret.split_whitespace().last().unwrap()));

        let refused = folder.refused(&["keygen", kind]);
        assert!(refused.contains("exists") && refused.contains("--force"), "{refused}");
        assert_ne!(folder.done(&["keygen", kind, "--force"]), made, "a new key");
    }
}

#[test]
fn a_key_file_that_others_may_read_mints_nothing() {
    let folder = Folder::new("exposed");
    folder.key("issuer", "kid");
    fs::set_permissions(folder.path("issuer.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = folder.refused(&mint(&[]));
    assert!(refused.ends_with("chmod 600 issuer.key"), "{refused}");
    folder.key("node", "node id");
    let refused = folder.refused(&["token", "mint", "--issuer", "node.key", "--session", SESSION]);
    assert!(refused.contains("kind node, not of kind issuer"), "{refused}");
}

#[test]
fn what_is_minted_can_be_inspected_and_the_status_says_whether_it_opens_the_door() {
    let folder = Folder::new("inspect");
    let issuer = folder.key("issuer", "issuer public key");
    let stranger = folder.key("node", "node public key");
    let token = folder.done(&mint(&["--may", "core,perceptual", "--kick", "--max-kbps", "64"]));
    assert_eq!(token.len(), 171);
    let said = folder.done(&["token", "inspect", &token, "--issuer-key", &issuer]);
    assert_eq!(value(&said, "session"), SESSION);
    assert_eq!(value(&said, "may send"), "core, perceptual");
    assert_eq!(value(&said, "may"), "kick");
    assert_eq!(value(&said, "most kbit/s"), "64");
    assert_eq!(value(&said, "signature"), "holds");
    assert!(value(&said, "now").starts_with("valid for "), "{said}");
    assert!(folder.done(&["token", "inspect", &token]).contains("signature: not checked"));

    let forged = folder.complaint(1, &["token", "inspect", &token, "--issuer-key", &stranger]);
    assert!(forged.contains("did not sign"), "{forged}");
    let later = folder.done(&mint(&["--not-before", "2100-01-01T00:00:00Z"]));
    let early = folder.complaint(1, &["token", "inspect", &later, "--issuer-key", &issuer]);
    assert!(early.contains("genuine, but not valid yet"), "{early}");
}

#[test]
fn json_tells_programs_the_same() {
    let folder = Folder::new("json");
    let issuer = folder.key("issuer", "issuer public key");
    let node = folder.key("node", "node public key");
    let minted: Value =
        serde_json::from_str(&folder.done(&mint(&["--node", &node, "--json"]))).unwrap();
    assert_eq!(
        (minted["kind"].as_str(), minted["subject"].as_str()),
        (Some("bound"), Some(&*node))
    );
    assert_eq!(minted["permissions"], 0x11F);
    let token = minted["token"].as_str().unwrap();
    let inspect = ["token", "inspect", token, "--json", "--issuer-key", &issuer];
    let inspected: Value = serde_json::from_str(&folder.done(&inspect)).unwrap();
    assert_eq!((&inspected["signature"], &inspected["now"]), (&Value::Bool(true), &"valid".into()));
    for (name, told) in inspected.as_object().unwrap() {
        assert!(["signature", "now"].contains(&name.as_str()) || minted[name] == *told, "{name}");
    }
}

#[test]
fn with_a_relay_the_whole_address_is_printed() {
    let folder = Folder::new("address");
    let issuer = folder.key("issuer", "issuer public key");
    let relay = folder.key("relay", "relay public key");
    let place = ["--relay", "[::1]:7840", "--relay-key", &relay];
    let text = folder.done(&mint(&place));
    let address: JoinAddress = text.parse().unwrap();
    assert_eq!((address.host.as_str(), address.port), ("[::1]", 7840));
    assert_eq!(address.session.to_string(), SESSION);
    let said = folder.done(&["token", "inspect", &text, "--issuer-key", &issuer]);
    assert_eq!(value(&said, "relay public key"), relay);
    let (_, key) = text.split_once("&e=").unwrap();
    assert!(!said.contains(key), "the session key is not shown");

    let second = folder.done(&mint(&[&place[..], &["--session-key", key]].concat()));
    assert!(second.ends_with(&format!("&e={key}")));
    assert_ne!(second, text, "another serial");
    assert!(!folder.done(&mint(&place)).contains(key), "a fresh session key");
}

#[test]
fn a_key_that_begins_with_a_hyphen_is_a_key_and_no_flag() {
    const KEY: &str = "-AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let folder = Folder::new("hyphen");
    folder.key("issuer", "issuer public key");
    let relay = ["--relay", "[::1]:7840", "--relay-key", KEY, "--session-key", KEY];
    let address = folder.done(&mint(&relay));
    assert!(address.contains(&format!("?k={KEY}#")) && address.ends_with(KEY), "{address}");
    // It is no key this token was signed with; that is an answer, and not a mistake in the arguments.
    let inspected = folder.run(&["token", "inspect", &address, "--issuer-key", KEY]);
    assert_eq!(inspected.status.code(), Some(1), "{inspected:?}");
}

#[test]
fn each_mistake_is_a_sentence() {
    let folder = Folder::new("mistakes");
    folder.key("issuer", "kid");
    let relay = folder.key("relay", "relay public key");
    let place = |place| [&["--relay", place, "--relay-key", &relay][..]].concat();
    for (wrong, says) in [
        (mint(&["--may", "everything"]), "choose from core, perceptual"),
        (mint(&["--valid", "1"]), "such as 90s, 15m, 1h or 7d"),
        (mint(&["--valid", "49710d"]), "tokens can name no time after 2106-02-07"),
        (mint(&["--not-before", "2001-01-01T00:00:00Z"]), "expired at 2001-01-01T01:00:00Z"),
        (mint(&["--node", "abc"]), "43 letters of base64url"),
        (mint(&["--relay", "a:1"]), "--relay-key"),
        (mint(&["--relay-key", &relay]), "--relay"),
        (mint(&place("nowhere")), "--relay nowhere is not a host and port"),
        (mint(&place("a:70000")), "--relay a:70000 is not a host and port"),
        (mint(&place("a b:1")), "--relay a b:1 is not a host and port"),
        (vec!["token", "mint", "--session", SESSION], "--issuer"),
        (
            vec!["token", "mint", "--issuer", "none", "--session", SESSION],
            "cannot read key file none",
        ),
        (vec!["token", "mint", "--issuer", "issuer.key", "--session", "5"], "sixteen hexadecimal"),
        (
            vec!["token", "mint", "--issuer", "issuer.key", "--session", "0000000042a41221"],
            "never issued",
        ),
        (vec!["token", "inspect", "abc"], "neither a token (171 letters"),
        (vec!["token", "inspect", "elara://a:1/5e55101700000001?k=x"], "quoted in the shell?"),
        (vec!["keygen"], "<KIND"),
        (vec!["keygen", "rely"], "rel"),
        (vec!["keygen", "--public", "none"], "cannot read key file none"),
    ] {
        let said = folder.refused(&wrong);
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    let secret = "a-secret-that-is-not-one";
    let said = folder.refused(&mint(&[&place("a:1")[..], &["--session-key", secret]].concat()));
    assert!(said.contains("--session-key is not a key") && !said.contains(secret), "{said}");
}

#[test]
fn every_help_shows_an_example() {
    let folder = Folder::new("help");
    for command in [&["keygen"][..], &["token"], &["token", "mint"], &["token", "inspect"]] {
        let help = folder.done(&[command, &["--help"]].concat());
        let example = format!("  elara {}", command.join(" "));
        assert!(help.contains("Examples:") && help.contains(&example), "{help}");
    }
}

/// The program of the page in this language.
fn program(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).expect("the page has it");
    rest.split_once("```").expect("and it ends").0
}

/// What another language has minted from claims of ours.
struct Foreign<'f> {
    folder: &'f Folder,
    /// Runs the text after it; then the documented program.
    inline: &'static [&'static str],
    script: &'static [&'static str],
}

impl Foreign<'_> {
    fn run(&self, words: &[&str]) -> String {
        let output = Command::new(words[0]).args(&words[1..]).current_dir(&self.folder.0).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {complaint}\n(Python needs its package cryptography; cargo xtask ci installs it)",
            words[0]
        );
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// `text` must print the token of [`claims`] in both kinds, one a line.
    fn mints_our_bytes(&self, text: &str) {
        let issuer = keys::load_issuer(&self.folder.path("issuer.key")).unwrap();
        let said = self.run(&[self.inline, &[text]].concat());
        let ours = [Subject::Bound(PublicKey([0xA5; 32])), Subject::Bearer([0x5A; 32])]
            .map(|subject| text_of(&Token::mint(&issuer, &claims(subject)).0));
        assert_eq!(said.lines().collect::<Vec<_>>(), ours);
    }

    /// The program as it stands must mint what opens the door now.
    fn mints_what_opens_the_door(&self) {
        let public = self.folder.done(&["keygen", "--public", "issuer.key"]);
        let (kid, key) = (value(&public, "kid"), value(&public, "issuer public key"));
        let token = self.run(&[self.script, &["issuer.key", kid, SESSION]].concat());
        let said = self.folder.done(&["token", "inspect", &token, "--issuer-key", key]);
        assert_eq!((value(&said, "kid"), value(&said, "session")), (kid, SESSION));
    }
}

fn claims(subject: Subject) -> Claims {
    Claims {
        kid: 0xABCD,
        session: SessionId(0xFEDC_BA98_7654_3210),
        subject,
        permissions: Permissions(0x8001_0703),
        not_before: 0x8000_0001,
        expires: 0xFFFF_FFFE,
        max_kbps: 0xDEAD_BEEF,
        max_pps: 0xFACE,
        priority: 0xC0DE,
    }
}

fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    base64url::write(&mut text, bytes);
    text
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn the_python_program_of_the_page_mints_what_we_mint() {
    let folder = Folder::new("python");
    folder.key("issuer", "kid");
    write(&folder.path("mint.py"), program("python"));
    let python =
        Foreign { folder: &folder, inline: &["python3", "-c"], script: &["python3", "mint.py"] };
    python.mints_our_bytes(
        "from mint import *\n\
         for whom in ({'node': b'\\xa5' * 32}, {'serial': b'\\x5a' * 32}):\n    \
             print(mint(issuer_key('issuer.key'), 0xABCD, 0xFEDCBA9876543210, 0x80010703, 0x80000001, \
                        0xFFFFFFFE, max_kbps=0xDEADBEEF, max_pps=0xFACE, priority=0xC0DE, **whom))",
    );
    python.mints_what_opens_the_door();
}

/// Where there is no `node`, there is nobody to whom the page promises this program.
#[test]
fn the_node_program_of_the_page_mints_what_we_mint() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("no node here: its program was not run");
        return;
    }
    let folder = Folder::new("node");
    folder.key("issuer", "kid");
    write(&folder.path("mint.mjs"), program("javascript"));
    let node = Foreign {
        folder: &folder,
        inline: &["node", "--input-type=module", "-e"],
        script: &["node", "mint.mjs"],
    };
    node.mints_our_bytes(
        "import { issuerKey, mint } from './mint.mjs';\n\
         for (const whom of [{ node: Buffer.alloc(32, 0xa5) }, { serial: Buffer.alloc(32, 0x5a) }])\n\
             console.log(mint(issuerKey('issuer.key'), { kid: 0xABCD, session: 0xFEDCBA9876543210n,\n\
                 permissions: 0x80010703, notBefore: 0x80000001, expires: 0xFFFFFFFE,\n\
                 maxKbps: 0xDEADBEEF, maxPps: 0xFACE, priority: 0xC0DE, ...whom }));",
    );
    node.mints_what_opens_the_door();
}
