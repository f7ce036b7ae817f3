//! The binary as a process: started, listened to, told to stop.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use elara_shards::sys::confine::without_uring;

use super::caller::{PATIENCE, until};

/// `elara` with these arguments, in this environment but for what would change its words.
pub fn elara(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elara"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process whose words are read as it says them. Ends with the test.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

/// What a process had said when it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// Lines of stdout that had not been read before.
    pub lines: Vec<String>,
    pub stderr: String,
}

impl Process {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut elara(arguments))
    }

    /// The same, where the kernel refuses io_uring as containers do.
    pub fn start_without_uring(arguments: &[&str]) -> Self {
        Self::spawn(without_uring(&mut elara(arguments)))
    }

    /// A command whose words go through pipes, as those of [`elara`] do.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let lines = lines_of(child.stdout.take().unwrap());
        let complaints = lines_of(child.stderr.take().unwrap());
        Self { child, lines, complaints }
    }

    /// The next line it says.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(_) => {
                let _ = self.child.kill();
                panic!("it says nothing more on stdout, and on stderr: {}", self.stderr())
            }
        }
    }

    /// The next line it says, or `None` when it ends without another word on stdout.
    pub fn line_or_end(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it neither speaks nor ends"),
        }
    }

    /// The next line that begins with `start`, without it.
    pub fn line_after(&mut self, start: &str) -> String {
        loop {
            if let Some(rest) = self.line().strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// The next line it says on stderr.
    pub fn complaint(&self) -> String {
        self.complaints.recv_timeout(PATIENCE).expect("it complains")
    }

    /// The address in the line `listening on ADDR`, which must come next.
    pub fn listening_on(&mut self) -> SocketAddr {
        let line = self.line();
        let addr = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        addr.parse().unwrap_or_else(|_| panic!("{line}"))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until it has ended.
    pub fn end(mut self) -> Ended {
        let mut status = None;
        until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        Ended { status: status.unwrap(), lines: self.lines.iter().collect(), stderr: self.stderr() }
    }

    /// What it still says on stderr until it has ended.
    fn stderr(&self) -> String {
        self.complaints.iter().map(|line| line + "\n").collect()
    }
}

/// The lines that come out of a pipe, until it closes.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let pipe = BufReader::new(pipe);
    thread::spawn(move || {
        pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
