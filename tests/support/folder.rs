//! A folder in which the binary runs, with the keys and files of one test.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::process::elara;

/// A folder that goes away with the test, in which everything runs.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("elara-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        elara(arguments).current_dir(&self.0).output().unwrap()
    }

    /// What a command prints that does what it was asked.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What a command says that ends with `status`, in one line.
    pub fn complaint(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "one sentence: {complaint}");
        complaint
    }

    pub fn refused(&self, arguments: &[&str]) -> String {
        self.complaint(2, arguments)
    }

    /// A key made with its default name; the value of one fact about it.
    pub fn key(&self, kind: &str, fact: &str) -> String {
        let said = self.done(&["keygen", kind]);
        value(&said, fact).to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The value behind `fact: ` among facts, one a line.
pub fn value<'t>(facts: &'t str, fact: &str) -> &'t str {
    let mut values = facts.lines().filter_map(|line| line.strip_prefix(fact)?.strip_prefix(": "));
    values.next().unwrap_or_else(|| panic!("no {fact} in {facts}"))
}

/// Writes a file that only its owner may read, as one with passwords in it has to be.
pub fn write_private(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
