//! A process that is measured: started on its cpu, heard until it has said what must be known, stopped.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use elara_shards::sys::cpu;

use super::path::Lab;
use super::workload::Io;
use crate::shell::{Places, Run, run as program};

/// Who is measured runs here.
pub(super) const RELAY_CPU: usize = 0;
/// Who loads it runs here.
pub(super) const LOAD_CPU: usize = 1;
/// How long a process may take to say what must be known, and to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Lines of what it says on stderr that are kept, in case it ends by them.
const COMPLAINTS: usize = 8;

/// A process and what it has said. Asked to end when dropped, and killed when it does not.
pub(super) struct Running {
    pub child: Child,
    pub addr: SocketAddr,
    /// What it said up to the line that was waited for.
    pub lines: Vec<String>,
    input: ChildStdin,
    told: mpsc::Receiver<String>,
    complaints: mpsc::Receiver<String>,
}

impl Running {
    /// Starts it on the relay's cpu and waits until it has said where it listens, and `last`.
    ///
    /// # Errors
    /// When it cannot be started, or does not say so.
    pub(super) fn start(command: &Run, last: &'static str) -> Result<Self, String> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self::start_silent(command, nowhere)?;
        let mut addr = None;
        while let Ok(line) = running.told.recv_timeout(PATIENCE) {
            addr = addr.or_else(|| listening(&line));
            let done = line.contains(last);
            running.lines.push(line);
            if let (Some(addr), true) = (addr, done) {
                running.addr = addr;
                return Ok(running);
            }
        }
        let complaint = running.complaint();
        Err(format!("`{command}`: it did not say where it listens{complaint}"))
    }

    /// Starts one on the relay's cpu that will listen at `addr`, and does not say when.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start_silent(command: &Run, addr: SocketAddr) -> Result<Self, String> {
        let mut child = spawn(command, |child| {
            child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        })?;
        let input = child.stdin.take().expect("it was asked to be piped");
        let told = lines(child.stdout.take().expect("it was asked to be piped"), usize::MAX);
        let complaints = lines(child.stderr.take().expect("it was asked to be piped"), COMPLAINTS);
        Ok(Self { child, addr, lines: Vec::new(), input, told, complaints })
    }

    /// Ends it, and answers what it has said on stderr, to be put behind a sentence.
    fn complaint(&mut self) -> String {
        stop(&mut self.child);
        let mut said = String::new();
        while let Ok(line) = self.complaints.recv_timeout(PATIENCE) {
            said += if said.is_empty() { "; it said: " } else { " " };
            said += line.trim();
        }
        said
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says to an empty line.
    ///
    /// # Errors
    /// When it says nothing.
    pub(super) fn ask(&mut self) -> Result<String, String> {
        self.input.write_all(b"\n").map_err(|error| format!("process {}: {error}", self.pid()))?;
        let silent = |_| format!("process {} was asked and says nothing", self.child.id());
        self.told.recv_timeout(PATIENCE).map_err(silent)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// The first `kept` lines of what a child says. It is read to the end, so that the child never waits for us.
fn lines(said: impl Read + Send + 'static, kept: usize) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for (at, line) in BufReader::new(said).split(b'\n').map_while(Result::ok).enumerate() {
            if at < kept {
                let _ = tell.send(String::from_utf8_lossy(&line).into_owned());
            }
        }
    });
    told
}

/// Starts `command` on the relay's cpu, with its files as `prepare` has them.
///
/// # Errors
/// When it cannot be started.
pub(super) fn spawn(
    command: &Run,
    prepare: impl FnOnce(&mut Command) + Send,
) -> Result<Child, String> {
    // A child inherits the affinity of the thread that starts it, so a thread of our own is pinned.
    let started = thread::scope(|scope| {
        let start = || {
            cpu::pin(RELAY_CPU)?;
            let mut child = command.command();
            prepare(&mut child);
            child.spawn()
        };
        scope.spawn(start).join().expect("starting a process does not panic")
    });
    started.map_err(|error| format!("`{command}`: {error}"))
}

/// Lets a child tidy up behind itself, as long as that takes no longer than it should.
fn stop(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return; // Its number may be somebody else's.
    }
    let asked = program("kill", ["-TERM", &child.id().to_string()]).perform_quietly();
    let begun = Instant::now();
    while asked && begun.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The address in a line that contains `listening on ADDR:PORT`.
fn listening(line: &str) -> Option<SocketAddr> {
    line.split_once("listening on ")?.1.split_whitespace().next()?.parse().ok()
}

/// `elara serve --dev` with one shard, open to both wires, and what its output says about coming in.
pub(super) struct DevRelay {
    pub running: Running,
    /// One join address.
    pub address: String,
    /// The issuer's key file.
    pub issuer: String,
    admin: SocketAddr,
    /// What answers [`DevRelay::metrics`] where the relay is, when that is another namespace.
    elsewhere: Option<Run>,
}

/// What a relay that is measured has of its own: room for a livestream's session.
const CONFIGURATION: &str = "max_peers = 2000\n";

impl DevRelay {
    /// Starts one on loopback.
    ///
    /// # Errors
    /// When it cannot be started, or its output is not understood.
    pub(super) fn start(io: Io, places: &Places) -> Result<Self, String> {
        Self::start_at(&Lab::loopback(), io, places)
    }

    /// Starts one where `lab` has its contestants.
    ///
    /// # Errors
    /// As [`DevRelay::start`].
    pub(super) fn start_at(lab: &Lab, io: Io, places: &Places) -> Result<Self, String> {
        Self::configured(lab, io, CONFIGURATION, places)
    }

    /// Starts one where `lab` has its contestants, with a configuration of its own.
    ///
    /// # Errors
    /// As [`DevRelay::start`], and when it refuses the configuration.
    pub(super) fn configured(
        lab: &Lab,
        io: Io,
        configuration: &str,
        places: &Places,
    ) -> Result<Self, String> {
        let file = places.target.join("bench-relay.toml");
        write_private(&file, configuration)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let (file, io) = (file.display().to_string(), io.to_string());
        let args = ["serve", "--dev", "--listen", lab.listen(), "--admin", "127.0.0.1:0"];
        let args = args.into_iter().chain(["--shards", "1", "--io", &io, "--config", &file]);
        let command = lab.at_relay(program(places.binary("elara"), args));
        let running = Running::start(&command, "elara token mint")?;
        let facts = Facts::read(&running.lines)
            .ok_or_else(|| format!("elara serve --dev said\n{}", running.lines.join("\n")))?;
        let Facts { address, issuer, admin } = facts;
        let elsewhere = program(places.binary("xtask"), ["metrics".into(), admin.to_string()]);
        let elsewhere = lab.is_elsewhere().then(|| lab.at_relay(elsewhere));
        Ok(Self { running, address, issuer, admin, elsewhere })
    }

    /// The counters `elara_datagrams_total` of these verdicts, together. A relay that has no time to
    /// answer is asked again.
    ///
    /// # Errors
    /// When the admin listener does not answer in the end, or knows one of the verdicts not.
    pub(super) fn counted(&self, verdicts: &[&str]) -> Result<u64, String> {
        let begun = Instant::now();
        loop {
            match self.ask(verdicts) {
                Err(_) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(50)),
                answer => return answer,
            }
        }
    }

    fn ask(&self, verdicts: &[&str]) -> Result<u64, String> {
        let text = self.metrics()?;
        let counted = verdicts.iter().map(|verdict| sum(&text, verdict));
        counted.sum::<Option<u64>>().ok_or_else(|| {
            let (admin, verdicts) = (self.admin, verdicts.join(", "));
            let first = text.lines().next().unwrap_or_default();
            format!("http://{admin}/metrics: no {verdicts} in an answer that begins {first}")
        })
    }

    /// Everything it counts, as Prometheus has it.
    ///
    /// # Errors
    /// When the admin listener does not answer.
    pub(super) fn metrics(&self) -> Result<String, String> {
        self.elsewhere.as_ref().map_or_else(|| metrics(self.admin), Run::read)
    }
}

/// What the admin listener at `admin` counts, as Prometheus has it.
///
/// # Errors
/// When it does not answer.
pub(super) fn metrics(admin: SocketAddr) -> Result<String, String> {
    let mut text = String::new();
    let answer = TcpStream::connect(admin).and_then(|mut stream| {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut text)
    });
    answer.map(|_| text).map_err(|error| format!("http://{admin}/metrics: {error}"))
}

/// The samples of `elara_datagrams_total` with this verdict, over all shards.
pub(super) fn sum(metrics: &str, verdict: &str) -> Option<u64> {
    samples(metrics, "elara_datagrams_total", &format!("verdict=\"{verdict}\""))
}

/// The samples of the counter `name`, over all shards.
pub(super) fn number(metrics: &str, name: &str) -> Option<u64> {
    samples(metrics, name, "")
}

/// The samples of `name` that carry `label`, together.
fn samples(metrics: &str, name: &str, label: &str) -> Option<u64> {
    let samples = metrics
        .lines()
        .filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
                && line.contains(label)
        })
        .map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    samples.reduce(|sum, sample| Some(sum? + sample?))?
}

#[derive(Debug, PartialEq)]
struct Facts {
    address: String,
    issuer: String,
    admin: SocketAddr,
}

impl Facts {
    fn read(lines: &[String]) -> Option<Self> {
        let address = lines.iter().find(|line| line.starts_with("elara://"))?.clone();
        let mint = lines.iter().find(|line| line.starts_with("elara token mint"))?;
        let issuer = mint.split_once("--issuer ")?.1.split(' ').next()?.to_owned();
        let admin = lines.iter().find_map(|line| line.strip_prefix("admin: http://"))?;
        Some(Self { address, issuer, admin: admin.split('/').next()?.parse().ok()? })
    }
}

/// Writes a file that only its owner may read: elara takes passwords from no other.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let _ = fs::remove_file(file);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_where_is_found() {
        let addr = listening("2025-01-01 INFO listening on 127.0.0.1:7840 shards=1");
        assert_eq!(addr, "127.0.0.1:7840".parse().ok());
        assert_eq!(listening("listening on port 7840"), None);
    }

    #[test]
    fn a_process_that_says_nothing_is_an_error() {
        let script = "echo hello; echo because >&2; echo of that >&2; exit 2";
        let error = Running::start(&program("sh", ["-c", script]), "").err();
        let error = error.unwrap_or_default();
        assert!(error.ends_with("where it listens; it said: because of that"), "{error}");
    }

    #[test]
    fn a_process_answers_when_it_is_asked() {
        let script =
            "echo listening on 127.0.0.1:1; while read -r line; do echo \"heard $line\"; done";
        let mut running = Running::start(&program("sh", ["-c", script]), "listening").unwrap();
        assert_eq!(running.ask().as_deref(), Ok("heard "));
        assert_eq!(running.ask().as_deref(), Ok("heard "));
    }

    #[test]
    fn what_a_relay_says_about_coming_in_is_read() {
        let lines = [
            "listening on 127.0.0.1:7840",
            "admin: http://127.0.0.1:7841/metrics, http://127.0.0.1:7841/livez, elara status",
            "dev: each of these addresses lets one participant into session 5e55; they open for a day",
            "elara://127.0.0.1:7840/5e55?k=A#t=B&e=C",
            "elara token mint --issuer /tmp/elara-dev-1/issuer.key --session 5e55 --relay-key A",
        ];
        let facts = Facts::read(&lines.map(str::to_owned)).unwrap();
        assert_eq!(facts.address, lines[3]);
        assert_eq!(facts.issuer, "/tmp/elara-dev-1/issuer.key");
        assert_eq!(facts.admin, "127.0.0.1:7841".parse().unwrap());
        assert_eq!(Facts::read(&[]), None);
    }

    #[test]
    fn a_verdict_is_summed_over_shards() {
        let metrics = "# HELP elara_datagrams_total x\n\
            elara_datagrams_total{shard=\"0\",verdict=\"bad_tag\"} 3\n\
            elara_datagrams_total{shard=\"1\",verdict=\"bad_tag\"} 4\n\
            elara_datagrams_total{shard=\"1\",verdict=\"alone\"} 9\n";
        assert_eq!((sum(metrics, "bad_tag"), sum(metrics, "none")), (Some(7), None));
        assert_eq!(number(metrics, "elara_datagrams_total"), Some(16));
        assert_eq!(number(metrics, "elara_datagrams"), None);
    }
}
