//! Taste as a test: what we agreed on, checked by a program, so that reviews are about ideas.
//!
//! A rule is a function from the [`Tree`] to [`Finding`]s. A finding names file and line and says what
//! to write there. Every rule has a test on a snippet that breaks it.

mod arrows;
mod docs;
mod files;
mod marks;
mod words;

use std::fmt;
use std::path::Path;

use crate::tree::Tree;

/// A rule: its name, what it holds, and how.
struct Rule {
    name: &'static str,
    holds: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "no-std",
        holds: "core is no_std and forbids unsafe",
        check: arrows::core_is_pure,
    },
    Rule {
        name: "unsafe",
        holds: "unsafe lives in shards/sys",
        check: words::unsafe_has_one_address,
    },
    Rule {
        name: "locks",
        holds: "nothing in shards takes a lock",
        check: words::shards_take_no_lock,
    },
    Rule {
        name: "clocks",
        holds: "clocks are read in shards/sys only",
        check: words::clocks_have_one_address,
    },
    Rule {
        name: "leftovers",
        holds: "nothing is left for later",
        check: words::nothing_is_left_over,
    },
    Rule { name: "sleeps", holds: "no test sleeps", check: words::no_test_sleeps },
    Rule {
        name: "preface",
        holds: "every source file says what it owns",
        check: files::every_file_says_what_it_owns,
    },
    Rule {
        name: "length",
        holds: "files stay under 500 lines, lines under 110 columns",
        check: files::one_idea_a_file,
    },
    Rule {
        name: "weight",
        holds: "no tracked file is over 256 KiB",
        check: files::files_are_light,
    },
    Rule {
        name: "bits",
        holds: "scripts, and only scripts, are executable",
        check: files::executable_bits_are_true,
    },
    Rule {
        name: "machine",
        holds: "no path or registry of one machine is in the tree",
        check: files::no_machine_is_named,
    },
    Rule {
        name: "verdicts",
        holds: "every verdict is given in a test",
        check: marks::every_verdict_is_given,
    },
    Rule { name: "limits", holds: "every limit is used", check: marks::every_limit_is_used },
    Rule { name: "links", holds: "links between pages lead somewhere", check: docs::links_resolve },
    Rule {
        name: "promises",
        holds: "every promise names what holds it",
        check: docs::promises_are_held,
    },
];

/// One thing that is not as agreed.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 when the whole file is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Runs every rule, or the one named, and prints what it finds. False when there is a finding.
///
/// # Errors
/// When the tree cannot be read, or there is no such rule.
pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<bool, String> {
    let tree = Tree::read(root).map_err(|error| format!("reading the tree: {error}"))?;
    let mut rows: Vec<(&str, &str, Vec<Finding>)> = RULES
        .iter()
        .filter(|rule| only.is_none_or(|name| name == rule.name))
        .map(|rule| (rule.name, rule.holds, (rule.check)(&tree)))
        .collect();
    if only.is_none_or(|name| name == arrows::NAME) {
        rows.insert(0, (arrows::NAME, arrows::HOLDS, arrows::point_one_way(root)?));
    }
    if rows.is_empty() {
        return Err(format!("there is no rule by that name; the rules are {}", names().join(", ")));
    }
    for (name, holds, findings) in &rows {
        println!("{} {name:<10} {holds}", if findings.is_empty() { "ok  " } else { "FAIL" });
        for finding in findings {
            println!("       {finding}");
        }
    }
    let found: usize = rows.iter().map(|(_, _, findings)| findings.len()).sum();
    println!("{} rules, {found} findings", rows.len());
    Ok(found == 0)
}

/// Every rule's name.
pub(crate) fn names() -> Vec<&'static str> {
    std::iter::once(arrows::NAME).chain(RULES.iter().map(|rule| rule.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tree_breaks_only_the_rules_about_what_must_exist() {
        let must_exist = ["no-std", "verdicts", "limits", "promises"];
        for rule in RULES {
            let clean = (rule.check)(&Tree::default()).is_empty();
            assert_eq!(clean, !must_exist.contains(&rule.name), "{}", rule.name);
        }
    }

    #[test]
    fn a_finding_reads_like_a_compilers() {
        let at = Finding::new("shards/x.rs", 7, "say why");
        assert_eq!(at.to_string(), "shards/x.rs:7: say why");
        assert_eq!(Finding::new("a.md", 0, "gone").to_string(), "a.md: gone");
    }
}
