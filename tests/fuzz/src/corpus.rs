//! The committed inputs: `corpus/<target>/`, one file each.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the inputs of `target` stand.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of `target`, sorted by file name so that a seed means the same everywhere.
///
/// # Panics
/// When the folder cannot be read: a target without inputs is a mistake.
#[must_use]
pub fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|why| panic!("{} cannot be read: {why}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder's entry").path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).expect("a corpus file can be read");
            (path, bytes)
        })
        .collect()
}
