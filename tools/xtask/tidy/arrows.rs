//! Who may depend on whom: `elara-core <- elara-shards <- elara-runtime <- tools`, the root on top.

use std::path::Path;

use serde_json::Value;

use super::Finding;
use crate::shell;
use crate::tree::Tree;

pub(super) const NAME: &str = "arrows";
pub(super) const HOLDS: &str = "dependencies point one way";

/// A package may depend on packages of a lower rank.
const RANKS: &[(&str, u8)] = &[
    ("elara-core", 0),
    ("elara-shards", 1),
    ("elara-runtime", 2),
    ("elara-load", 3),
    ("elara-sim", 3),
    ("xtask", 3),
    ("elara", 4),
];

/// Asks cargo for the workspace and checks every arrow in it.
pub(super) fn point_one_way(root: &Path) -> Result<Vec<Finding>, String> {
    let metadata =
        shell::cargo(["metadata", "--no-deps", "--format-version", "1"]).in_dir(root).read()?;
    let metadata =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    Ok(check(&metadata))
}

fn check(metadata: &Value) -> Vec<Finding> {
    let rank =
        |name: &str| RANKS.iter().find(|(package, _)| *package == name).map(|(_, rank)| *rank);
    let names = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut findings = Vec::new();
    for package in packages {
        let name = names(package);
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
        let Some(own) = rank(&name) else {
            let message = format!("give {name} a rank in tools/xtask/tidy/arrows.rs");
            findings.push(Finding::new(manifest, 0, message));
            continue;
        };
        for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
            let other = names(dependency);
            if rank(&other).is_some_and(|other| other >= own) {
                let message =
                    format!("{name} may not depend on {other}: move what both need further down");
                findings.push(Finding::new(manifest, 0, message));
            }
        }
    }
    findings
}

/// Core cannot do I/O because it has no std, and cannot go round the compiler because it has no unsafe.
pub(super) fn core_is_pure(tree: &Tree) -> Vec<Finding> {
    const ROOT: &str = "src/core/lib.rs";
    let text = tree.file(ROOT).map_or("", |file| file.text.as_str());
    ["#![no_std]", "#![forbid(unsafe_code)]"]
        .into_iter()
        .filter(|attribute| !text.lines().any(|line| line.trim() == *attribute))
        .map(|attribute| Finding::new(ROOT, 0, format!("write `{attribute}` under the `//!`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(name: &str, dependency: &str) -> usize {
        check(&json!({"packages": [{"name": name, "dependencies": [{"name": dependency}]}]})).len()
    }

    #[test]
    fn arrows_point_down() {
        assert_eq!(found("elara-shards", "elara-core"), 0);
        assert_eq!(found("elara", "elara-sim"), 0);
        assert_eq!(found("elara-core", "zerocopy"), 0, "what is not ours has no rank");
        assert_eq!(found("elara-core", "elara-shards"), 1, "upwards");
        assert_eq!(found("elara-sim", "elara-load"), 1, "sideways");
        assert_eq!(found("elara-new", "elara-core"), 1, "nobody knows its place");
    }

    #[test]
    fn core_with_std_is_found() {
        let pure = "//! x\n#![no_std]\n#![forbid(unsafe_code)]\n";
        assert_eq!(core_is_pure(&Tree::of(&[("src/core/lib.rs", pure)])), []);
        let found = core_is_pure(&Tree::of(&[("src/core/lib.rs", "//! not #![no_std]\n")]));
        assert_eq!(found.len(), 2);
    }
}
