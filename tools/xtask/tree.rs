//! The text of the project, as the rules see it: every tracked file that is text, read once.
//!
//! Tests build a tree from snippets, so a rule is tried on the few lines that break it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Everything a rule may look at.
#[derive(Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// One tracked file.
pub(crate) struct File {
    /// From the project's root, with `/`.
    pub path: String,
    /// Its text; empty when it is not UTF-8.
    pub text: String,
    /// Its size.
    pub bytes: usize,
    /// Whether anyone may execute it.
    pub executable: bool,
}

impl Tree {
    /// The files git tracks or would track, below `root`.
    ///
    /// # Errors
    /// When git cannot list them, or one cannot be read.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()?;
        if !listing.status.success() {
            return Err(io::Error::other("git ls-files failed: tidy looks at what git tracks"));
        }
        let mut files = Vec::new();
        for path in String::from_utf8_lossy(&listing.stdout).split_terminator('\0') {
            let full = root.join(path);
            // A file that is deleted but not yet committed is listed too.
            let Ok(meta) = full.symlink_metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            let bytes = std::fs::read(&full)?;
            files.push(File {
                path: path.to_owned(),
                bytes: bytes.len(),
                executable: meta.permissions().mode() & 0o111 != 0,
                text: String::from_utf8(bytes).unwrap_or_default(),
            });
        }
        Ok(Self { files })
    }

    /// Every file.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Every Rust source file.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }

    /// Every page of documentation.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".md"))
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files().find(|file| file.path == path)
    }

    /// Whether `path` names a file, or a folder with a file in it.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files().any(|file| {
                file.path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of snippets: `(path, text)`.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            bytes: text.len(),
            executable: false,
        });
        Self { files: files.collect() }
    }

    /// The same tree, with its first file made executable.
    pub(crate) fn executable(mut self) -> Self {
        self.files[0].executable = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_exists_when_a_file_is_in_it() {
        let tree = Tree::of(&[("docs/adr/0001-x.md", ""), ("README.md", "")]);
        assert!(tree.has("README.md") && tree.has("docs/adr/") && tree.has("docs"));
        assert!(!tree.has("doc") && !tree.has("README") && !tree.has("docs/adr/0001"));
    }
}
