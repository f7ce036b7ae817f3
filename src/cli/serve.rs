//! `elara serve`: a relay until a signal ends it.

use std::cell::Cell;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use elara_core::Cidr;
use elara_runtime::{Backend, Choice, Counters, Node, NodeConfig, NodeHandle, V0Compat, Verdict};

use super::signals::Signals;
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
    /// Configuration file (TOML); flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Open wire v0 for this machine, and for nobody else
    #[arg(long)]
    dev: bool,
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
        let config = self.config()?;
        control()?.block_on(serve(config))
    }

    /// Defaults, then the file, then the flags.
    fn config(&self) -> Result<NodeConfig, Failure> {
        let mut config = match &self.config {
            Some(path) => file::read(path).map_err(Failure::Asked)?,
            None => file::defaults(),
        };
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
        if self.dev {
            config.compat.v0 = V0Compat::loopback();
        }
        Ok(config)
    }
}

async fn serve(config: NodeConfig) -> Result<(), Failure> {
    let mut node = Node::new(config).await.map_err(|error| Failure::asked(&error))?;
    let signals = Signals::catch()?;
    let started = Instant::now();
    let facts = facts(&node);
    let handle = node.handle();
    let stopped_by = Cell::new("nobody");
    {
        let mut run = pin!(node.run());
        tokio::select! {
            ended = &mut run => ended?,
            () = watch(&handle, facts, signals, &stopped_by) => run.await?,
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
    summary(&total).into_iter().for_each(say::fact);
    Ok(())
}

/// Says what runs once it runs, and stops it at the first signal, whose name it leaves in `stopped_by`.
async fn watch(
    handle: &NodeHandle,
    facts: Vec<String>,
    mut signals: Signals,
    stopped_by: &Cell<&'static str>,
) {
    if handle.running().await.is_err() {
        return; // The node is ending, and says itself why.
    }
    facts.into_iter().for_each(say::fact);
    stopped_by.set(signals.next().await);
    // At the deadline the node ends as well, and names the shard that did not.
    let _ = handle.shutdown(SHUTDOWN).await;
}

/// What runs, one fact a line.
fn facts(node: &Node) -> Vec<String> {
    let io = match (node.backend(), node.fallback()) {
        (Backend::Uring, _) => String::from("io_uring"),
        (Backend::Syscall, None) => String::from("system calls"),
        (Backend::Syscall, Some(reason)) => {
            format!("system calls, because io_uring is not available: {reason}")
        }
    };
    let cpus = node.cpus();
    let cpus_named = list(cpus);
    vec![
        format!("listening on {}", say::strong(node.local_addr())),
        format!("io: {io}"),
        match cpus.len() {
            1 => format!("1 shard on cpu {cpus_named}"),
            shards => format!("{shards} shards on cpus {cpus_named}"),
        },
        open(node.config()),
    ]
}

/// Whom the node serves; when that is nobody, how to change it.
fn open(config: &NodeConfig) -> String {
    let blocks = config.compat.v0.blocks();
    if blocks.is_empty() {
        return String::from(
            "open: nothing, so nothing will be relayed: this version serves only wire v0, which is \
             closed; open it with --dev for this machine, or with [compat] v0 in a --config file",
        );
    }
    let whom = if blocks == Cidr::LOOPBACK {
        format!("this machine only ({})", list(blocks))
    } else {
        format!(
            "{}, at most {} participants per IP address and shard",
            list(blocks),
            config.compat.v0_per_ip
        )
    };
    format!("open: wire v0 for {whom}")
}

/// What became of everything, one fact a line.
fn summary(total: &Counters) -> Vec<String> {
    let lost = total.egress.busy + total.egress.failed;
    let mut facts = vec![
        format!(
            "datagrams in: {} (forwarded {}, alone {}, refused {})",
            say::number(total.datagrams),
            say::number(total.of(Verdict::Forwarded)),
            say::number(total.of(Verdict::Alone)),
            say::number(total.refused()),
        ),
        format!("copies out: {} (dropped {})", say::number(total.egress.sent), say::number(lost)),
    ];
    for verdict in Verdict::ALL.iter().filter(|verdict| verdict.is_refusal()) {
        let count = total.of(*verdict);
        if count > 0 {
            facts.push(format!(
                "refused {}: {} ({})",
                verdict.label(),
                say::number(count),
                verdict.sentence()
            ));
        }
    }
    facts
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{item}");
    }
    text
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| file::NO_ADDRESS.to_owned())
}

fn shards(text: &str) -> Result<usize, String> {
    let number = text.parse::<i128>().map_err(|_| "not a whole number".to_owned())?;
    let number = NodeConfig::check("shards", number).map_err(|error| error.to_string())?;
    Ok(number as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_node_says_how_to_open_it() {
        let sentence = open(&NodeConfig::default());
        assert!(sentence.contains("nothing will be relayed") && sentence.contains("--dev"));
    }

    #[test]
    fn the_summary_names_each_reason_once_and_only_if_it_happened() {
        let mut total = Counters { datagrams: 3, ..Counters::default() };
        total.count(Verdict::Forwarded);
        total.count(Verdict::Runt);
        total.count(Verdict::Runt);
        assert_eq!(
            summary(&total),
            [
                "datagrams in: 3 (forwarded 1, alone 0, refused 2)",
                "copies out: 0 (dropped 0)",
                "refused runt: 2 (shorter than any frame)",
            ]
        );
    }
}
