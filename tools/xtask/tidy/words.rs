//! Rules about words in code: the ones that have one address, and the ones that have none.

use super::Finding;
use crate::source::{Source, has_word, numbered};
use crate::tree::{File, Tree};

/// The folder where the kernel is spoken to.
fn in_sys(path: &str) -> bool {
    path == "shards/sys.rs" || path.starts_with("shards/sys/")
}

/// What the compiler cannot check is written in one folder, and read twice.
pub(super) fn unsafe_has_one_address(tree: &Tree) -> Vec<Finding> {
    each(
        tree,
        |file| !in_sys(&file.path),
        |source, found| {
            for (line, code) in numbered(&source.code) {
                if has_word(code, "unsafe") || code.contains("allow(unsafe_code)") {
                    found(
                        line,
                        "unsafe lives in shards/sys: put a safe function there and call it".into(),
                    );
                }
            }
        },
    )
}

/// Commands, reports and counters cross threads through a mailbox; nothing else does.
pub(super) fn shards_take_no_lock(tree: &Tree) -> Vec<Finding> {
    each(
        tree,
        |file| file.path.starts_with("shards/"),
        |source, found| {
            for (line, code) in source.shipped() {
                for lock in ["Mutex", "RwLock", "Condvar"] {
                    if has_word(code, lock) {
                        found(
                            line,
                            format!(
                                "no {lock} in shards: a session has one owner; post to its mailbox"
                            ),
                        );
                    }
                }
            }
        },
    )
}

/// Core is told the time; a shard reads it through its `Io`, the clock once a cycle and the calendar about
/// once a second; and a back end reads both through `sys::cpu`.
pub(super) fn clocks_have_one_address(tree: &Tree) -> Vec<Finding> {
    let ruled = |file: &File| {
        file.path.starts_with("src/core/")
            || file.path.starts_with("shards/") && !in_sys(&file.path)
    };
    each(tree, ruled, |source, found| {
        for (line, code) in source.shipped() {
            for clock in ["std::time", "SystemTime"] {
                if has_word(code, clock) {
                    found(line, format!("no {clock} here: take a time::Instant as an argument"));
                }
            }
        }
    })
}

/// What is unfinished is not committed.
pub(super) fn nothing_is_left_over(tree: &Tree) -> Vec<Finding> {
    let mut findings = each(
        tree,
        |_| true,
        |source, found| {
            for (line, code) in numbered(&source.code) {
                for word in ["todo!", "unimplemented!", "dbg!"] {
                    if has_word(code, word) {
                        found(line, format!("{word} is for the desk: finish it or leave it out"));
                    }
                }
                if code.contains("#[ignore") {
                    found(
                        line,
                        "a test that is ignored tests nothing: mend it or remove it".into(),
                    );
                }
            }
            for (line, comment) in numbered(&source.comments) {
                for word in NOTES {
                    if has_word(comment, word) {
                        found(
                            line,
                            format!(
                                "{word}: do it, or open an issue and say here what holds today"
                            ),
                        );
                    }
                }
            }
        },
    );
    let settings = tree
        .files()
        .filter(|file| [".toml", ".sh", ".yml", ".py"].iter().any(|end| file.path.ends_with(end)));
    for file in settings {
        for (line, text) in numbered(&file.text) {
            if NOTES.iter().any(|word| has_word(text, word)) {
                findings.push(Finding::new(&file.path, line, "do it, or open an issue"));
            }
        }
    }
    findings
}

const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// A test that sleeps is slow on a good day and wrong on a bad one.
pub(super) fn no_test_sleeps(tree: &Tree) -> Vec<Finding> {
    each(
        tree,
        |_| true,
        |source, found| {
            for (line, code) in source.tests() {
                if code.contains("thread::sleep") || code.contains("time::sleep") {
                    found(
                        line,
                        "no sleep in a test: wait for the event itself, with a deadline".into(),
                    );
                }
            }
        },
    )
}

/// Runs `rule` over every Rust file that `ruled` admits; `found` takes a line and a message.
fn each(
    tree: &Tree,
    ruled: impl Fn(&File) -> bool,
    rule: impl Fn(&Source, &mut dyn FnMut(usize, String)),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| ruled(file)) {
        let source = Source::new(&file.path, &file.text);
        rule(&source, &mut |line, message| findings.push(Finding::new(&file.path, line, message)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_outside_sys_is_found() {
        let text = "//! unsafe in prose\n#![deny(unsafe_code)]\nlet x = unsafe { y };\n";
        assert_eq!(lines(unsafe_has_one_address, "shards/forward.rs", text), [3]);
        assert_eq!(lines(unsafe_has_one_address, "shards/system.rs", text), [3]);
        assert!(lines(unsafe_has_one_address, "shards/sys/ring.rs", text).is_empty());
        assert_eq!(lines(unsafe_has_one_address, "src/main.rs", "#![allow(unsafe_code)]"), [1]);
    }

    #[test]
    fn a_lock_in_a_shard_is_found_but_not_in_its_tests() {
        let text = "use std::sync::Mutex;\n#[cfg(test)]\nuse std::sync::Mutex;\n";
        assert_eq!(lines(shards_take_no_lock, "shards/sessions.rs", text), [1]);
        assert!(lines(shards_take_no_lock, "src/runtime/node.rs", text).is_empty());
    }

    #[test]
    fn a_clock_outside_sys_is_found() {
        let text = "use elara_core::time::Instant;\nuse std::time::Instant;\nSystemTime::now();\n";
        assert_eq!(lines(clocks_have_one_address, "shards/shard.rs", text), [2, 3]);
        assert_eq!(lines(clocks_have_one_address, "src/core/time.rs", text), [2, 3]);
        assert!(lines(clocks_have_one_address, "shards/sys/cpu.rs", text).is_empty());
        assert!(lines(clocks_have_one_address, "tools/load/main.rs", text).is_empty());
    }

    #[test]
    fn leftovers_are_found() {
        let text = concat!(
            "fn f() { to",
            "do!() }\n// TO",
            "DO later\n#[ig",
            "nore]\nlet s = \"FIX",
            "ME\";\n"
        );
        assert_eq!(lines(nothing_is_left_over, "src/x.rs", text), [1, 3, 2]);
        assert_eq!(lines(nothing_is_left_over, "Cargo.toml", concat!("# FIX", "ME")), [1]);
    }

    #[test]
    fn a_sleeping_test_is_found() {
        let text = "fn f() { std::thread::sleep(d) }\n#[cfg(test)]\nfn g() { thread::sleep(d) }\n";
        assert_eq!(lines(no_test_sleeps, "src/x.rs", text), [3]);
        assert_eq!(lines(no_test_sleeps, "tests/x.rs", text), [1, 3]);
    }
}
