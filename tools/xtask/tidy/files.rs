//! Rules about files as such: how they begin, how long and heavy they are, what they give away.

use super::Finding;
use crate::source::{Source, numbered};
use crate::tree::Tree;

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 110;
const BYTES_MAX: usize = 256 << 10;

/// The first line of every source file says what the file owns.
pub(super) fn every_file_says_what_it_owns(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| {
            Finding::new(&file.path, 1, "begin with `//! ` and what this file owns and promises")
        })
        .collect()
}

/// A file that needs a table of contents is two files; a line that needs a ruler is two lines.
pub(super) fn one_idea_a_file(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            let message = format!("{lines} lines: which second idea wants a file of its own?");
            findings.push(Finding::new(&file.path, 0, message));
        }
        let source = Source::new(&file.path, &file.text);
        let bare = source.code.lines().zip(source.comments.lines());
        for ((line, text), (code, comment)) in numbered(&file.text).zip(bare) {
            // The inside of a long literal is data, and data has the lines it has.
            let data = code.trim().is_empty() && comment.trim().is_empty() && !text.contains('"');
            let columns = text.chars().count();
            if columns > COLUMNS_MAX && !data {
                let message = format!("{columns} columns: break it before {COLUMNS_MAX}");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// A repository is cloned often: data that grows is made by a command, not kept.
pub(super) fn files_are_light(tree: &Tree) -> Vec<Finding> {
    tree.files()
        .filter(|file| file.bytes > BYTES_MAX && !file.path.ends_with("Cargo.lock"))
        .map(|file| {
            let message =
                format!("{} KiB: keep the command that makes it, not the bytes", file.bytes >> 10);
            Finding::new(&file.path, 0, message)
        })
        .collect()
}

/// What begins with `#!` can be run, and nothing else claims it can.
pub(super) fn executable_bits_are_true(tree: &Tree) -> Vec<Finding> {
    tree.files()
        .filter_map(|file| {
            let script = file.text.starts_with("#!/");
            let message = match (script, file.executable) {
                (true, false) => "a script: chmod +x",
                (false, true) => "not a script: chmod -x",
                _ => return None,
            };
            Some(Finding::new(&file.path, 0, message))
        })
        .collect()
}

/// Nothing in the tree knows whose machine it was written on.
pub(super) fn no_machine_is_named(tree: &Tree) -> Vec<Finding> {
    const HOMES: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];
    const REGISTRY: &str = "\"registry+https://github.com/rust-lang/crates.io-index\"";
    let mut findings = Vec::new();
    for file in tree.files() {
        let lock = file.path.ends_with("Cargo.lock");
        for (line, text) in numbered(&file.text) {
            if lock {
                if text.starts_with("source = ") && !text.ends_with(REGISTRY) {
                    findings.push(Finding::new(&file.path, line, "packages come from crates.io"));
                }
            } else if HOMES.iter().any(|home| is_absolute(text, home)) {
                findings.push(Finding::new(
                    &file.path,
                    line,
                    "a path of one machine: make it relative",
                ));
            }
        }
    }
    findings
}

/// Whether `text` has a path that begins with `home`, and does not only contain it.
fn is_absolute(text: &str, home: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*' | '~');
    text.match_indices(home).any(|(at, _)| {
        let named = text[at + home.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.');
        named && !text[..at].ends_with(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_file_without_a_preface_is_found() {
        assert_eq!(count(every_file_says_what_it_owns, "src/a.rs", "//! Owns a.\n"), 0);
        assert_eq!(count(every_file_says_what_it_owns, "src/a.rs", "use std::io;\n"), 1);
        assert_eq!(count(every_file_says_what_it_owns, "src/a.rs", "//!\n"), 1);
    }

    #[test]
    fn long_files_and_long_lines_are_found() {
        let (line, long) = ("x".repeat(COLUMNS_MAX), "x".repeat(COLUMNS_MAX + 1));
        assert_eq!(count(one_idea_a_file, "src/a.rs", &line), 0);
        assert_eq!(count(one_idea_a_file, "src/a.rs", &long), 1);
        assert_eq!(count(one_idea_a_file, "src/a.rs", &"x\n".repeat(LINES_MAX)), 0);
        assert_eq!(count(one_idea_a_file, "src/a.rs", &"x\n".repeat(LINES_MAX + 1)), 1);
        assert_eq!(count(one_idea_a_file, "a.md", &long), 0);
        let table = format!("const TABLE: &str = \"\\\n{long}\n\";\n");
        assert_eq!(count(one_idea_a_file, "src/a.rs", &table), 0, "data in a literal");
        let comment = format!("//! {long}\n");
        assert_eq!(count(one_idea_a_file, "src/a.rs", &comment), 1);
    }

    #[test]
    fn a_heavy_file_is_found() {
        let heavy = "x".repeat(BYTES_MAX + 1);
        assert_eq!(count(files_are_light, "tests/vectors.bin", &heavy), 1);
        assert_eq!(count(files_are_light, "Cargo.lock", &heavy), 0);
        assert_eq!(count(files_are_light, "tests/vectors.bin", &heavy[1..]), 0);
    }

    #[test]
    fn a_script_is_executable_and_nothing_else_is() {
        let script = || Tree::of(&[("a", "#!/usr/bin/env bash\n")]);
        assert_eq!(executable_bits_are_true(&script()).len(), 1);
        assert_eq!(executable_bits_are_true(&script().executable()).len(), 0);
        let source = || Tree::of(&[("a.rs", "#![no_std]\n")]);
        assert_eq!(executable_bits_are_true(&source()).len(), 0);
        assert_eq!(executable_bits_are_true(&source().executable()).len(), 1);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let found = |text: &str| count(no_machine_is_named, "docs/a.md", text);
        assert_eq!(found(concat!("see /ho", "me/ann/elara")), 1);
        assert_eq!(found(concat!("dir = \"/ro", "ot/.cargo\"")), 1);
        assert_eq!(found("https://example.org/home/page and ./work/x and a/root/b"), 0);
    }

    #[test]
    fn a_lock_file_names_one_registry() {
        let line = |host: &str| format!("source = \"registry+https://{host}\"");
        let found = |host: &str| count(no_machine_is_named, "Cargo.lock", &line(host));
        assert_eq!(found("github.com/rust-lang/crates.io-index"), 0);
        assert_eq!(found("mirror.example/index"), 1);
    }
}
