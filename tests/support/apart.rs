//! Two network namespaces with a pair of virtual cards between them, for conversations over a way that can
//! be stopped. Needs root: where that cannot be had, set `ELARA_WITHOUT_ROOT=1`, and the test says that it
//! did not run.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command as Program;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The relay's end of the way, and the peers'.
pub const RELAY: [u8; 4] = [10, 77, 0, 1];
pub const PEERS: [u8; 4] = [10, 77, 0, 2];

/// A conversation that takes longer is stuck: some hundred times what the longest takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The namespaces; gone with this value.
pub struct Apart {
    relay: String,
    peers: String,
}

impl Apart {
    pub fn new(name: &str) -> Self {
        let name = format!("elara-{}-{name}", std::process::id());
        let apart = Self { relay: format!("{name}-relay"), peers: format!("{name}-peers") };
        let (a, b) = (&apart.relay, &apart.peers);
        for space in [a, b] {
            run(&format!("ip netns add {space}"));
            run(&format!("ip -n {space} link set lo up"));
        }
        run(&format!("ip -n {a} link add way type veth peer name way netns {b}"));
        for (space, [i, j, k, l]) in [(a, RELAY), (b, PEERS)] {
            run(&format!("ip -n {space} addr add {i}.{j}.{k}.{l}/24 dev way"));
            run(&format!("ip -n {space} link set way up"));
        }
        apart
    }

    /// From here on next to nothing leaves the relay's card; `limit` bytes wait for it.
    pub fn stop(&self, limit: u32) {
        self.shape("add", "8kbit", limit);
    }

    /// From here on everything leaves, what waits too. `limit` as before.
    pub fn flow(&self, limit: u32) {
        self.shape("change", "1gbit", limit);
    }

    fn shape(&self, verb: &str, rate: &str, limit: u32) {
        let tbf = format!("tbf rate {rate} burst 2000 limit {limit}");
        run(&format!("tc -n {} qdisc {verb} dev way root {tbf}", self.relay));
    }

    /// From here on everything leaves, but what waits is lost.
    pub fn let_go(&self) {
        run(&format!("tc -n {} qdisc del dev way root", self.relay));
    }

    /// What `work` makes on a thread among the peers. A socket stays where it was made.
    pub fn among_peers<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into(&self.peers);
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn remove(&self) {
        for space in [&self.relay, &self.peers] {
            let _ = Program::new("ip").args(["netns", "del", space]).output();
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Holds a conversation where the relay is. One that does not come back, because a call into the kernel
/// does not, fails; its thread cannot be ended, and goes with the process.
pub fn converse(name: &str, conversation: fn(&Apart)) {
    if std::env::var_os("ELARA_WITHOUT_ROOT").is_some() {
        println!("not run: it needs root, and ELARA_WITHOUT_ROOT is set");
        return;
    }
    let apart = Arc::new(Apart::new(name));
    let (running, ended) = channel::<()>();
    let inside = std::thread::spawn({
        let apart = Arc::clone(&apart);
        move || {
            let _running = running;
            move_into(&apart.relay);
            conversation(&apart);
        }
    });
    if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        apart.remove();
        panic!("{name}: stuck for {PATIENCE:?}; does a send wait for a way that is stopped?");
    }
    inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn move_into(space: &str) {
    let place = File::open(format!("/run/netns/{space}")).expect("it was just made");
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Program::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}; this test needs root, or ELARA_WITHOUT_ROOT=1 to be left out",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}
