//! Coverage marks: a verdict no test gives, or a limit nothing obeys, is a claim nobody checked.

use super::Finding;
use crate::source::{Source, has_word, numbered};
use crate::tree::Tree;

const VERDICTS: &str = "shards/verdict.rs";
const LIMITS: &str = "src/core/limits.rs";
/// Where limits are declared that have a file of their own.
const MORE_LIMITS: &str = "src/core/limits/";

/// Every `Verdict` appears in the code of some test outside its own file.
pub(super) fn every_verdict_is_given(tree: &Tree) -> Vec<Finding> {
    let tests: String = tree
        .rust()
        .filter(|file| file.path != VERDICTS)
        .flat_map(|file| {
            let source = Source::new(&file.path, &file.text);
            source.tests().map(|(_, code)| format!("{code}\n")).collect::<Vec<_>>()
        })
        .collect();
    missing(tree, VERDICTS, verdict, |name| {
        let given = has_word(&tests, &format!("Verdict::{name}"));
        (!given).then(|| format!("no test gives Verdict::{name}: send a datagram that earns it"))
    })
}

/// Every limit is read by a file other than those that declare them.
pub(super) fn every_limit_is_used(tree: &Tree) -> Vec<Finding> {
    let declares = |path: &str| path == LIMITS || path.starts_with(MORE_LIMITS);
    let uses: Vec<String> = tree
        .rust()
        .filter(|file| !declares(&file.path))
        .map(|file| Source::new(&file.path, &file.text).code)
        .collect();
    let more =
        tree.rust().map(|file| file.path.as_str()).filter(|path| path.starts_with(MORE_LIMITS));
    std::iter::once(LIMITS)
        .chain(more)
        .flat_map(|path| {
            missing(tree, path, limit, |name| {
                let used = uses.iter().any(|code| has_word(code, name));
                (!used).then(|| format!("nothing obeys {name}: enforce it, or take it out"))
            })
        })
        .collect()
}

/// What `complaint` says about each name that `declares` finds in the file at `path`.
fn missing(
    tree: &Tree,
    path: &str,
    declares: fn(&str) -> Option<&str>,
    complaint: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let text = tree.file(path).map_or("", |file| file.text.as_str());
    let names: Vec<(usize, &str)> =
        numbered(text).filter_map(|(line, text)| declares(text).map(|name| (line, name))).collect();
    if names.is_empty() {
        return vec![Finding::new(path, 0, "nothing is declared here: has the file moved?")];
    }
    names
        .into_iter()
        .filter_map(|(line, name)| complaint(name).map(|message| Finding::new(path, line, message)))
        .collect()
}

/// `    Runt = "runt": "shorter than any frame",` declares `Runt`.
fn verdict(line: &str) -> Option<&str> {
    let (name, rest) = line.trim().split_once(" = \"")?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !name.is_empty();
    (is_name && rest.contains("\": \"")).then_some(name)
}

/// `pub const HEADER_LEN: usize = 30;` declares `HEADER_LEN`.
fn limit(line: &str) -> Option<&str> {
    line.strip_prefix("pub const ")?.split_once(':').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_no_test_gives_is_found() {
        let declared = "    Runt = \"runt\": \"too short\",\n    Alone = \"alone\": \"alone\",\n";
        let tests = "fn f() { g(Verdict::Alone) }\n#[cfg(test)]\nfn t() { is(Verdict::Runt) }\n";
        let found = every_verdict_is_given(&Tree::of(&[
            (VERDICTS, declared),
            ("shards/forward.rs", tests),
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].message.contains("Alone")), (2, true));
    }

    #[test]
    fn a_limit_nothing_obeys_is_found() {
        let declared = "pub const A_MAX: usize = 1;\npub const B_MAX: usize = A_MAX;\n";
        let user = "use elara_core::limits::A_MAX; // and B_MAX\n";
        let found = every_limit_is_used(&Tree::of(&[(LIMITS, declared), ("shards/x.rs", user)]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].message.contains("B_MAX")), (2, true));
    }

    #[test]
    fn a_limit_in_a_file_of_its_own_is_a_limit_too() {
        let (limits, turn) = ("pub const A_MAX: usize = 1;\n", "pub const C_MAX: usize = A_MAX;\n");
        let tree = |user| {
            let files =
                [(LIMITS, limits), ("src/core/limits/turn.rs", turn), ("shards/x.rs", user)];
            every_limit_is_used(&Tree::of(&files))
        };
        assert_eq!(tree("use elara_core::limits::{A_MAX, C_MAX};\n"), []);
        let found = tree("use elara_core::limits::A_MAX;\n");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("src/core/limits/turn.rs", 1));
    }
}
