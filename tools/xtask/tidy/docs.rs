//! Rules about pages: links lead somewhere, and a promise names what holds it.

use super::Finding;
use crate::source::{Source, has_word, numbered};
use crate::tree::Tree;

const PROMISES: &str = "docs/PROMISES.md";

/// Every link to a file of ours resolves.
pub(super) fn links_resolve(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in tree.pages() {
        for (line, text) in numbered(&page.text) {
            for target in links(text) {
                let path = target.split('#').next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if elsewhere || path.is_empty() || tree.has(&resolve(&page.path, path)) {
                    continue;
                }
                findings.push(Finding::new(&page.path, line, format!("`{target}` leads nowhere")));
            }
        }
    }
    findings
}

/// The targets of the `[text](target)` links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// `target`, as the page at `page` means it, from the root.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Every row of the table of promises ends in *pending* or in `file::test`, `file`, or a command of ours.
pub(super) fn promises_are_held(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(PROMISES) else {
        return vec![Finding::new(PROMISES, 0, "the page is missing")];
    };
    let rows = numbered(&page.text).filter_map(|(line, text)| {
        let holder = text.trim().strip_prefix('|')?.strip_suffix('|')?.rsplit('|').next()?.trim();
        let head = holder == "Held by" || holder.chars().all(|c| matches!(c, '-' | ':' | ' '));
        (!head).then_some((line, holder))
    });
    let mut findings = Vec::new();
    for (line, holder) in rows {
        let named: Vec<&str> = holder.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && !holder.contains("*pending*") {
            findings.push(Finding::new(
                PROMISES,
                line,
                "name the test that holds it, or *pending*",
            ));
        }
        for name in named {
            if !holds(tree, name) {
                findings.push(Finding::new(PROMISES, line, format!("`{name}` does not exist")));
            }
        }
    }
    findings
}

/// Whether `name` is a test (`shards/mailbox.rs::a_claim`), a file, or `cargo xtask` and something it knows.
fn holds(tree: &Tree, name: &str) -> bool {
    if let Some(command) = name.strip_prefix("cargo xtask ") {
        let mut words = command.split(' ');
        return match (words.next(), words.next()) {
            (Some("tidy"), Some(rule)) => super::names().contains(&rule),
            (Some(command), _) => crate::COMMANDS.contains(&command),
            _ => false,
        };
    }
    let (path, test) = name.split_once("::").unwrap_or((name, ""));
    let Some(file) = tree.file(path) else { return test.is_empty() && tree.has(path) };
    let source = Source::new(path, &file.text);
    test.is_empty() || source.tests().any(|(_, code)| has_word(code, &format!("fn {test}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "[a](WIRE.md) [b](../README.md#top) [c](https://x.org/y) [d](#here)\n\
            [e](adr/)\n[f](GONE.md)\n";
        let tree = Tree::of(&[
            ("docs/PAGE.md", page),
            ("docs/WIRE.md", ""),
            ("README.md", ""),
            ("docs/adr/0001.md", ""),
        ]);
        let found = links_resolve(&tree);
        assert_eq!(found, [Finding::new("docs/PAGE.md", 3, "`GONE.md` leads nowhere")]);
    }

    #[test]
    fn a_promise_that_nothing_holds_is_found() {
        let page = "| Promise | Held by |\n|---|---|\n\
            | a | `shards/a.rs::it_holds` |\n\
            | b | `shards/a.rs::it_does_not` |\n\
            | c | *pending* |\n\
            | d | our word |\n\
            | e | `cargo xtask tidy unsafe`, `cargo xtask bench floor` |\n\
            | f | `cargo xtask tidy virtue` |\n\
            | g | `benches/gone.rs` |\n";
        let test = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn it_holds() {}\n}\n";
        let found = promises_are_held(&Tree::of(&[(PROMISES, page), ("shards/a.rs", test)]));
        let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 6, 8, 9]);
    }
}
