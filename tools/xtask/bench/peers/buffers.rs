//! Receive buffers for those who do not ask for any.
//!
//! The relay and the floors ask the kernel for theirs; peers take what there is by default, and with 208 KiB
//! lose where they would have had time. So that nobody is judged by that, root lends them the relay's size
//! (`net.core.rmem_default`) while the bench runs. A shell puts the old one back, however this process ends.

use std::fs;
use std::process::{Child, ChildStdin, Stdio};

use elara_core::limits::SOCKET_BUFFER_BYTES;

use crate::shell::run;

const DEFAULT: &str = "/proc/sys/net/core/rmem_default";
/// Writes `$2` into the file `$1` when its stdin ends.
const GUARD: &str = "trap '' INT TERM HUP; read -r line; echo \"$2\" > \"$1\"";

/// While there is one, sockets have room.
pub(super) struct Buffers {
    guard: Option<(Child, ChildStdin)>,
    /// What must be said when there is none.
    pub(super) note: Option<String>,
}

impl Buffers {
    /// Lends everybody the relay's size, where this process may.
    pub(super) fn lend() -> Self {
        let usual = fs::read_to_string(DEFAULT).unwrap_or_default();
        let usual = usual.trim();
        let refused = |error: &dyn std::fmt::Display| {
            Some(format!(
                "peers had receive buffers of {usual} B and not the relay's {SOCKET_BUFFER_BYTES}: only \
                 root may set net.core.rmem_default ({error})"
            ))
        };
        let guard = run("sh", ["-c", GUARD, "guard", DEFAULT, usual])
            .command()
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut guard = match guard {
            Ok(guard) => guard,
            Err(error) => return Self { guard: None, note: refused(&error) },
        };
        let open = guard.stdin.take().expect("it was asked to be piped");
        let note = fs::write(DEFAULT, SOCKET_BUFFER_BYTES.to_string()).err();
        let note = note.and_then(|error| refused(&error));
        Self { guard: Some((guard, open)), note }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if let Some((mut guard, open)) = self.guard.take() {
            drop(open);
            let _ = guard.wait();
        }
    }
}
