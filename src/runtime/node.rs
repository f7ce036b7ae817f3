//! A relay in one value: bound by [`Node::new`], served by [`Node::run`].

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use elara_core::crypto::Secret;
use elara_core::limits::SHARDS_MAX;
use elara_shards::io::{Backend, Choice};
use elara_shards::shard::{ShardConfig, V0Policy};
use elara_shards::start::{self, Seat};
use elara_shards::sys::cpu;
use elara_shards::{Counters, io as data_plane, socket};
use tokio::sync::oneshot;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use crate::admin::{About, Admin, Door};
use crate::config::{NodeConfig, V0Compat};
use crate::error::{ConfigError, NodeError};
use crate::handle::NodeHandle;
use crate::keys::OsRandom;
use crate::supervisor::{Post, Supervisor};
use crate::switchboard::{self, Inbox, RETRY, Switchboard};
use crate::turn::{self, TurnDesk};

/// How long a port may still be in use: an io_uring that is closed lets go of its socket some
/// milliseconds later, and a node that is restarted must not stumble over its own past.
const RELEASE: Duration = Duration::from_millis(250);

/// A relay: its sockets, and after [`Node::run`] its shards.
///
/// Needs a tokio runtime with I/O and time enabled, of either flavour: it only coordinates. The data
/// plane runs on threads of its own.
pub struct Node {
    config: NodeConfig,
    local_addr: SocketAddr,
    backend: Backend,
    fallback: Option<io::Error>,
    /// The cpu of each shard.
    cpus: Vec<usize>,
    board: Arc<Switchboard>,
    admin_addr: Option<SocketAddr>,
    /// The admin listener's socket; taken by `run`.
    admin: Option<Door>,
    /// What the shards will be made of; taken by `run`.
    berth: Option<(Inbox, Vec<Seat>)>,
    last: Vec<Counters>,
}

impl Node {
    /// Checks the configuration, binds the sockets and chooses the back end. Datagrams that come from
    /// here on wait in the kernel until [`Node::run`].
    ///
    /// # Errors
    /// [`NodeError::Config`], [`NodeError::Bind`] and [`NodeError::Admin`] when an address cannot be had,
    /// [`NodeError::Io`] when io_uring was insisted on and is not there, [`NodeError::System`].
    pub async fn new(config: NodeConfig) -> Result<Self, NodeError> {
        config.validate()?;
        let allowed = cpu::allowed();
        let shards = match config.shards {
            0 => allowed.len().clamp(1, SHARDS_MAX),
            shards => shards,
        };
        let cpus: Vec<usize> = allowed.into_iter().cycle().take(shards).collect();
        let (backend, fallback) = resolve(config.io).await?;
        let (local_addr, sockets) = listen(config.bind_addr, shards)
            .await
            .map_err(|source| NodeError::Bind { addr: config.bind_addr, source })?;
        let admin = config.admin.map(Door::bind).transpose()?;
        let (board, inbox, lines) = switchboard::lay(shards, config.event_buffer_size)
            .map_err(|source| NodeError::System { what: "descriptor for a bell", source })?;
        let hash_keys = hash_keys()?;
        let access = config.v1.access();
        let admin_addr = admin.as_ref().map(Door::addr);
        let turn = turn::for_shards(&config, local_addr, admin_addr, shards, hash_keys);
        if let Some(turn) = &turn {
            turn::check_here(turn).map_err(ConfigError::Turn)?;
        }
        if access.is_some() {
            board.v1_opens();
        }
        if let Some(desk) = turn.as_ref().and_then(|turn| TurnDesk::new(turn, local_addr)) {
            board.turn_opens(desk);
        }
        let seats = sockets
            .into_iter()
            .zip(lines)
            .enumerate()
            .map(|(index, (socket, line))| Seat {
                socket,
                backend,
                bell: line.bell,
                config: ShardConfig {
                    index,
                    shards,
                    max_peers: config.max_peers,
                    v0: v0_policy(&config),
                    v1: access.clone(),
                    turn: turn.clone(),
                    hash_keys,
                    seed: Secret::generate(&mut OsRandom),
                },
                commands: line.commands,
                reports: line.reports,
            })
            .collect();
        Ok(Self {
            config,
            local_addr,
            backend,
            fallback,
            cpus,
            board,
            admin_addr,
            admin,
            berth: Some((inbox, seats)),
            last: Vec::new(),
        })
    }

    /// Serves until [`NodeHandle::shutdown`], or until a shard is lost: a node never goes on with fewer
    /// shards than it began with. Dropping the future stops the shards as well. A node runs once.
    ///
    /// # Errors
    /// [`NodeError::ShardPanicked`], [`NodeError::ShardFailed`], [`NodeError::ShardEnded`],
    /// [`NodeError::ShardStuck`] at the deadline of a shutdown, [`NodeError::System`],
    /// [`NodeError::Finished`].
    pub async fn run(&mut self) -> Result<(), NodeError> {
        let Some((inbox, seats)) = self.berth.take() else { return Err(NodeError::Finished) };
        self.log_start();
        // Ends when this function does, however it ends.
        let _admin = match self.admin.take() {
            Some(door) => Some(Admin::start(door, self.about(), Arc::clone(&self.board))?),
            None => None,
        };
        let posts = seats
            .into_iter()
            .zip(&self.cpus)
            .map(|(seat, cpu)| Post {
                cpu: *cpu,
                body: Box::new(move |ready| start::run(seat, || ready.say())),
            })
            .collect();
        let supervisor = Supervisor::start(Arc::clone(&self.board), inbox, posts)?;
        self.last = supervisor.run().await?;
        Ok(())
    }

    /// A way to talk to the node while it runs.
    #[must_use]
    pub fn handle(&self) -> NodeHandle {
        NodeHandle::new(Arc::clone(&self.board))
    }

    /// The configuration it was made from.
    #[must_use]
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Where it listens, with the port it really has.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where its admin listener is, with the port it really has; `None` when it has none.
    #[must_use]
    pub const fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// What its data plane runs on.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Why io_uring was not chosen, when [`Choice::Auto`](crate::Choice::Auto) fell back.
    #[must_use]
    pub const fn fallback(&self) -> Option<&io::Error> {
        self.fallback.as_ref()
    }

    /// The cpu of each shard, in shard order.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// The counters each shard ended with, in shard order; empty before the node has stopped well.
    #[must_use]
    pub fn last_counters(&self) -> &[Counters] {
        &self.last
    }

    fn about(&self) -> About {
        About { node: self.config.node_id, listen: self.local_addr, backend: self.backend }
    }

    fn log_start(&self) {
        info!(
            node = %self.config.node_id,
            listen = %self.local_addr,
            backend = ?self.backend,
            cpus = ?self.cpus,
            "node starts"
        );
        if let Some(reason) = &self.fallback {
            info!(%reason, "io_uring is not available");
        }
        for block in self.config.compat.v0.blocks().iter().filter(|block| !block.is_private()) {
            warn!(%block, "wire v0 is open to a public block: anyone in it can aim this node at others");
        }
        turn::warn(&self.config.turn);
    }
}

impl Drop for Node {
    /// Ends what waits on a node that never ran.
    fn drop(&mut self) {
        self.board.close();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("node_id", &self.config.node_id)
            .field("local_addr", &self.local_addr)
            .field("backend", &self.backend)
            .field("cpus", &self.cpus)
            .finish_non_exhaustive()
    }
}

/// Chooses the back end, on a thread of its own: a ring that was tried and closed goes on to interrupt
/// the system calls of the thread that made it, and that must not be our caller's.
async fn resolve(choice: Choice) -> Result<(Backend, Option<io::Error>), NodeError> {
    let (sender, chosen) = oneshot::channel();
    thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || sender.send(data_plane::resolve(choice)))
        .map_err(|source| NodeError::System { what: "thread to try io_uring on", source })?;
    let chosen = chosen.await.unwrap_or_else(|_| Err(io::Error::other("trying it panicked")));
    chosen.map_err(NodeError::Io)
}

/// Binds one socket per shard, all to one port.
async fn listen(addr: SocketAddr, shards: usize) -> io::Result<(SocketAddr, Vec<UdpSocket>)> {
    let give_up = Instant::now() + RELEASE;
    let sockets = loop {
        match socket::bind(addr, shards) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up => {
                time::sleep(RETRY).await;
            }
            bound => break bound?,
        }
    };
    let local_addr = sockets[0].local_addr()?;
    Ok((local_addr, sockets))
}

fn v0_policy(config: &NodeConfig) -> Option<V0Policy> {
    match &config.compat.v0 {
        V0Compat::Off => None,
        V0Compat::Open { cidrs, .. } => {
            Some(V0Policy { open: cidrs.clone(), per_ip: config.compat.v0_per_ip })
        }
    }
}

/// Keys for tables that strangers choose the entries of, fresh for every node.
fn hash_keys() -> Result<(u64, u64), NodeError> {
    let random = || {
        getrandom::u64().map_err(|error| NodeError::System {
            what: "randomness",
            source: io::Error::other(error.to_string()),
        })
    };
    Ok((random()?, random()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sendable<T: Send>(value: T) -> T {
        value
    }

    #[tokio::test]
    async fn a_node_can_be_spawned_and_runs_once() {
        let config =
            NodeConfig { bind_addr: "127.0.0.1:0".parse().unwrap(), ..NodeConfig::default() };
        let mut node = sendable(Node::new(config)).await.unwrap();
        let handle = node.handle();
        handle.shutdown(Duration::ZERO).await.unwrap_err();
        let _ = sendable(node.run()).await;
        assert!(matches!(node.run().await, Err(NodeError::Finished)));
    }

    #[tokio::test]
    async fn a_node_that_is_dropped_answers_nobody() {
        let config =
            NodeConfig { bind_addr: "127.0.0.1:0".parse().unwrap(), ..NodeConfig::default() };
        let node = Node::new(config).await.unwrap();
        let handle = node.handle();
        drop(node);
        assert_eq!(handle.counters().await, Err(crate::HandleError::Stopped));
        assert_eq!(handle.running().await, Err(crate::HandleError::Stopped));
    }

    #[tokio::test]
    async fn a_port_that_another_node_has_is_refused() {
        let config =
            NodeConfig { bind_addr: "127.0.0.1:0".parse().unwrap(), ..NodeConfig::default() };
        let first = Node::new(config.clone()).await.unwrap();
        let second = Node::new(NodeConfig { bind_addr: first.local_addr(), ..config }).await;
        match second {
            Err(NodeError::Bind { addr, source }) => {
                assert_eq!((addr, source.kind()), (first.local_addr(), io::ErrorKind::AddrInUse));
            }
            other => panic!("{other:?}"),
        }
    }
}
