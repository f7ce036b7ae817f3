//! The binary as a process: started, listened to, told to stop.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

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
    complaints: Option<JoinHandle<String>>,
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

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut stderr = child.stderr.take().unwrap();
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text).unwrap_or_default()
        });
        Self { child, lines, complaints: Some(complaints) }
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

    fn stderr(&mut self) -> String {
        self.complaints.take().map_or_else(String::new, |complaints| complaints.join().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
