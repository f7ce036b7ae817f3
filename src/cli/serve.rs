//! `elara serve`: a relay until a signal ends it.

mod dev;
mod facts;
mod reload;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use elara_runtime::{Choice, Counters, Node, NodeConfig, NodeHandle, V0Compat};

use self::dev::Dev;
use self::reload::Reload;
use super::file::Admin;
use super::signals::{Heard, Signals};
use super::{Failure, control, file, say};

/// How long the shards may take to end after a signal.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What `elara serve` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// Address and port to listen on, UDP; port 0 takes a free one [default: [::]:7840]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// What to run on; auto takes io_uring where the kernel allows it [default: auto]
    #[arg(long, value_enum)]
    io: Option<IoFlag>,
    /// Threads that relay; 0 is one per cpu [default: 0]
    #[arg(long, value_name = "N", value_parser = shards)]
    shards: Option<usize>,
    /// Configuration file (TOML); flags win over it, and SIGHUP reads who may enter or use TURN again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where it answers elara status and Prometheus, on this machine; or off [default: 127.0.0.1:7841]
    #[arg(long, value_name = "ADDR", value_parser = admin)]
    admin: Option<Admin>,
    /// Open wire v0 for this machine, and wire v1 with fresh keys; prints addresses to join with
    #[arg(long)]
    dev: bool,
    /// Addresses that --dev prints, each for one participant
    #[arg(long, value_name = "N", requires = "dev", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    dev_guests: u16,
}

const EXAMPLES: &str = "\
Examples:
  elara serve --dev --listen 127.0.0.1:7840   a relay for this machine, to try things with
  elara serve --config /etc/elara.toml        a relay as its file says";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IoFlag {
    /// io_uring where the kernel allows it, system calls otherwise
    Auto,
    /// io_uring, or no start
    Uring,
    /// epoll, recvmmsg and sendmmsg
    Syscall,
}

impl Serve {
    /// Serves until a signal.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut config = match &self.config {
            Some(path) => file::read(path, self.listen).map_err(Failure::Asked)?,
            None => file::defaults(),
        };
        let listen = self.listen;
        let reload = self.config.clone().map(|path| Reload { path, listen, read: config.clone() });
        self.overrule(&mut config);
        let fresh = self.dev && !config.v1.is_open();
        let dev = if fresh { Some(Dev::new()?) } else { None };
        if let Some(dev) = &dev {
            dev.open(&mut config.v1);
        }
        let serving = Serving { reload, dev, guests: self.dev_guests };
        control()?.block_on(serving.serve(config))
    }

    /// Flags win over what the file says.
    fn overrule(&self, config: &mut NodeConfig) {
        if let Some(listen) = self.listen {
            config.bind_addr = listen;
        }
        if let Some(io) = self.io {
            config.io = match io {
                IoFlag::Auto => Choice::Auto,
                IoFlag::Uring => Choice::Uring,
                IoFlag::Syscall => Choice::Syscall,
            };
        }
        if let Some(shards) = self.shards {
            config.shards = shards;
        }
        if let Some(Admin(admin)) = self.admin {
            config.admin = admin;
        }
        if self.dev {
            config.compat.v0 = V0Compat::loopback();
        }
    }
}

/// What a relay has beside its configuration.
struct Serving {
    reload: Option<Reload>,
    dev: Option<Dev>,
    guests: u16,
}

impl Serving {
    async fn serve(&self, config: NodeConfig) -> Result<(), Failure> {
        let mut node = Node::new(config).await.map_err(|error| Failure::asked(&error))?;
        let signals = Signals::catch()?;
        let started = Instant::now();
        let mut facts = facts::of(&node);
        if let Some(dev) = &self.dev {
            facts.extend(dev.facts(node.local_addr(), self.guests));
        }
        let handle = node.handle();
        let stopped_by = Cell::new("nobody");
        {
            let mut run = pin!(node.run());
            tokio::select! {
                ended = &mut run => ended?,
                () = self.watch(&handle, facts, signals, &stopped_by) => run.await?,
            }
        }
        let mut total = Counters::default();
        for counters in node.last_counters() {
            total.add(counters);
        }
        say::fact(format_args!(
            "stopped by {} after {} s",
            stopped_by.get(),
            started.elapsed().as_secs()
        ));
        facts::summary(&total).into_iter().for_each(say::fact);
        Ok(())
    }

    /// Says what runs once it runs, reads its files again when it is told to, and stops it at the first
    /// signal that wants that, whose name it leaves in `stopped_by`.
    async fn watch(
        &self,
        handle: &NodeHandle,
        facts: Vec<String>,
        mut signals: Signals,
        stopped_by: &Cell<&'static str>,
    ) {
        if handle.running().await.is_err() {
            return; // The node is ending, and says itself why.
        }
        facts.into_iter().for_each(say::fact);
        let last = loop {
            match (signals.next().await, &self.reload) {
                (Heard::HangUp, Some(reload)) => reload.again(handle, self.dev.as_ref()).await,
                // Without a file there is nothing to read again: its terminal is gone.
                (heard, _) => break heard,
            }
        };
        stopped_by.set(last.name());
        // At the deadline the node ends as well, and names the shard that did not.
        let _ = handle.shutdown(SHUTDOWN).await;
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| file::NO_ADDRESS.to_owned())
}

fn shards(text: &str) -> Result<usize, String> {
    let number = text.parse::<i128>().map_err(|_| "not a whole number".to_owned())?;
    let number = NodeConfig::check("shards", number).map_err(|error| error.to_string())?;
    Ok(number as usize)
}

fn admin(text: &str) -> Result<Admin, String> {
    text.parse()
}
