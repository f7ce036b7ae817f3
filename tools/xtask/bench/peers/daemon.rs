//! A peer's process: on the relay's cpu, asked until it answers, gone with us.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use super::super::process::{PATIENCE, spawn};
use crate::shell::Run;

/// How long it is left alone between two questions.
const PAUSE: Duration = Duration::from_millis(10);
/// Where programs of an administrator lie, which may not be in everybody's PATH.
const ALSO: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// A process of somebody else's program. It keeps nothing that would have to be tidied up, so it is killed.
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it and waits until `ready` answers something. What it says is in the file `log`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time.
    pub(super) fn start<T>(
        command: &Run,
        log: &Path,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<(Self, T), String> {
        let wrong = |error: std::io::Error| format!("{}: {error}", log.display());
        let output = File::create(log).map_err(wrong)?;
        let errors = output.try_clone().map_err(wrong)?;
        let child = spawn(command, |child| {
            child.stdin(Stdio::null()).stdout(output).stderr(errors);
        })?;
        let mut daemon = Self { child };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(format!("`{command}`: {status}: {}", last_words(log)));
            }
            if let Some(answer) = ready() {
                return Ok((daemon, answer));
            }
            thread::sleep(PAUSE);
        }
        Err(format!("`{command}` is not ready after {PATIENCE:.0?}: {}", last_words(log)))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program is, if it is installed.
pub(super) fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(ALSO.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The last line that says something, and where there is more.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    format!("{} (all it said is in {})", last.unwrap_or("it said nothing"), log.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::run;

    fn log(name: &str) -> PathBuf {
        env::temp_dir().join(format!("elara-daemon-{}-{name}.log", std::process::id()))
    }

    #[test]
    fn a_daemon_is_asked_until_it_answers_and_ends_with_us() {
        let log = log("answers");
        let mut asked = 0;
        let mut ready = || {
            asked += 1;
            let said = fs::read_to_string(&log).unwrap_or_default();
            (asked > 2 && said.contains("here")).then_some(said)
        };
        let command = run("sh", ["-c", "echo here; exec tail -f /dev/null"]);
        let (daemon, said) = Daemon::start(&command, &log, &mut ready).unwrap();
        let process = PathBuf::from(format!("/proc/{}", daemon.pid()));
        assert_eq!((said.trim(), process.exists()), ("here", true));
        drop(daemon);
        assert!(!process.exists());
        fs::remove_file(&log).unwrap();
    }

    #[test]
    fn a_daemon_that_ends_is_quoted() {
        let log = log("ends");
        let command = run("sh", ["-c", "echo no such option >&2; echo; exit 3"]);
        let error = Daemon::start::<()>(&command, &log, || None).err().unwrap();
        assert!(error.contains("exit status: 3: no such option (all it said is in "), "{error}");
        fs::remove_file(&log).unwrap();
    }

    #[test]
    fn what_is_installed_is_found() {
        assert!(installed("sh").is_some_and(|file| file.is_absolute()));
        assert_eq!(installed("no-such-program-anywhere"), None);
    }
}
