//! Network namespaces: what needs root, and how a thread gets into one.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command as Program;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whether whoever runs the tests has said that root cannot be had; then that is said, too.
pub fn without_root() -> bool {
    let without = std::env::var_os("ELARA_WITHOUT_ROOT").is_some();
    if without {
        println!("not run: it needs root, and ELARA_WITHOUT_ROOT is set");
    }
    without
}

/// Runs a command, which must succeed.
pub fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Program::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}; this test needs root, or ELARA_WITHOUT_ROOT=1 to be left out",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

/// What `work` makes on a thread in that namespace. A socket stays where it was made.
pub fn within<R: Send>(space: &str, work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let place = File::open(format!("/run/netns/{space}")).expect("it was just made");
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
