//! Claims about key files: who can read them, what survives, what is refused and how it is said.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("elara-keys-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join("a.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn complaint<T: fmt::Debug>(result: Result<T, KeyFileError>) -> String {
    result.unwrap_err().to_string()
}

const LINE: &str = "elara-issuer-key-v1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

#[test]
fn what_is_created_is_loaded_and_only_its_owner_may_read_it() {
    let folder = Folder::new("created");
    for kind in KeyKind::ALL {
        let path = folder.0.join(kind.name());
        let made = create(&path, kind, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.kind(), kind);
        assert_eq!(loaded.public_text(), made.public_text());
    }
}

#[test]
fn a_key_file_is_one_documented_line() {
    let folder = Folder::new("line");
    let path = folder.file(LINE, 0o600);
    let identity = load_issuer(&path).unwrap();
    assert_eq!(identity.public(), Identity::from_seed(&Secret::new([1; 32])).public());
    assert!(load_issuer(&folder.file(&format!("{LINE}\n"), 0o400)).is_ok());
}

#[test]
fn a_file_that_exists_stays_unless_it_may_be_replaced() {
    let folder = Folder::new("exists");
    let path = folder.file(LINE, 0o600);
    let refused = complaint(create(&path, KeyKind::Issuer, false));
    assert!(refused.contains("exists") && refused.contains("--force"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), LINE);
    let made = create(&path, KeyKind::Relay, true).unwrap();
    assert_eq!(load(&path).unwrap().public_text(), made.public_text());
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_replaced_file_that_was_open_to_others_is_not_any_more() {
    let folder = Folder::new("reopened");
    let path = folder.file(LINE, 0o644);
    create(&path, KeyKind::Issuer, true).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_others_may_touch_is_refused_with_the_remedy() {
    let folder = Folder::new("exposed");
    for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
        let path = folder.file(LINE, 0o600 | bit);
        let refused = complaint(load_issuer(&path));
        let remedy = format!("chmod 600 {}", path.display());
        assert!(refused.ends_with(&remedy), "{bit:o}: {refused}");
    }
}

#[test]
fn one_kind_is_not_another() {
    let folder = Folder::new("kind");
    let path = folder.file(LINE, 0o600);
    let refused = complaint(load_relay(&path));
    assert!(refused.contains("kind issuer, not of kind relay"), "{refused}");
    assert!(load_node(&path).is_err());
}

#[test]
fn a_damaged_file_is_refused_and_never_quoted() {
    let folder = Folder::new("damaged");
    let long = format!("{LINE}{}", " ".repeat(FILE_MAX));
    let (short, more) = (&LINE[..LINE.len() - 1], format!("{LINE}A"));
    let (two, stranger) = (format!("{LINE}\n{LINE}"), LINE.replace("issuer", "tissue"));
    let newer = LINE.replace("v1", "v2");
    for text in ["", "\n", short, &more, &long, &two, &stranger, &newer, &LINE[20..], "\u{e9}"] {
        let refused = complaint(load(&folder.file(text, 0o600)));
        assert!(refused.contains("not a whole key file"), "{text:?}: {refused}");
        assert!(!refused.contains("AQEB"), "{refused}");
    }
}

#[test]
fn what_is_not_a_file_is_refused() {
    let folder = Folder::new("not-a-file");
    assert!(complaint(load(&folder.0)).contains("not a regular file"));
    assert!(complaint(load(&folder.0.join("none"))).starts_with("cannot read key file"));
    let nowhere = folder.0.join("none").join("a.key");
    assert!(complaint(create(&nowhere, KeyKind::Node, false)).starts_with("cannot write key file"));
}

#[test]
fn debug_shows_no_secret() {
    let folder = Folder::new("debug");
    let secret = Secret::new([1; 32]);
    for kind in KeyKind::ALL {
        let shown = format!("{:?}", Key::new(kind, &secret));
        assert!(!shown.contains("AQEB") && !shown.contains("1, 1"), "{shown}");
    }
    let shown = format!("{:?}", load_relay(&folder.file(LINE, 0o600)));
    assert!(!shown.contains("AQEB"), "{shown}");
}

#[test]
fn a_secret_for_turn_is_the_text_that_stands_in_its_file() {
    let folder = Folder::new("turn");
    let path = folder.0.join("turn.key");
    create(&path, KeyKind::Turn, false).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    let (label, text) = line.trim_end().split_once(' ').unwrap();
    assert_eq!((label, text.len()), ("elara-turn-secret-v1", 43));
    assert_eq!(load_turn(&path).unwrap().expose(), text);
    let theirs = folder.file("another server's secret\n", 0o600);
    assert_eq!(load_turn(&theirs).unwrap().expose(), "another server's secret");
    assert!(load(&theirs).is_err(), "a file that does not say what it is for is for TURN only");
}

#[test]
fn what_is_no_secret_for_turn_is_refused_and_never_quoted() {
    let folder = Folder::new("no-turn");
    let of = |text: &str| complaint(load_turn(&folder.file(text, 0o600)));
    assert!(of(LINE).contains("kind issuer, not of kind turn"));
    let torn = "elara-turn-secret-v1 AQEBAQEBAQEBAQEBAQEB";
    for text in ["", "short AQEB", torn, "AQEBAQEBAQEBAQEB\nAQEBAQEBAQEBAQEB", &"AQEB ".repeat(150)]
    {
        let refused = of(text);
        assert!(refused.contains("elara keygen turn") && !refused.contains("AQEB"), "{refused}");
    }
    let open = folder.file("another server's secret\n", 0o640);
    assert!(complaint(load_turn(&open)).contains("chmod 600"));
}
