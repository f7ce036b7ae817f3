//! Asking a node that runs: its sessions, its counters, its notices; and telling it to stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use elara_core::{NodeId, SessionId};
use elara_shards::command::{Command, Report, SessionLine};
use elara_shards::{Counters, steer};
use tokio::time::Instant;
use tracing::info;

use crate::config::{NodeConfig, V1Config};
use crate::error::{ConfigError, HandleError, TurnError};
use crate::notices::Notices;
use crate::session::Session;
use crate::switchboard::{Phase, Switchboard};
use crate::turn;

/// A way to talk to a [`Node`](crate::Node) while it runs. Clones talk to the same node.
///
/// Every question waits for its shard without holding a thread, at most about five seconds; then it is
/// [`HandleError::Busy`]. Questions asked before [`Node::run`](crate::Node::run) wait for it the same way.
/// All of it needs a tokio runtime with time enabled.
///
/// ```no_run
/// # async fn ask(handle: elara_runtime::NodeHandle) -> Result<(), elara_runtime::HandleError> {
/// for line in handle.sessions().await? {
///     if let Some(session) = handle.session(line.session).await? {
///         println!("{} has {} participants", session.session_id, session.participants.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NodeHandle(Arc<Switchboard>);

impl NodeHandle {
    pub(crate) const fn new(board: Arc<Switchboard>) -> Self {
        Self(board)
    }

    /// Waits until every shard serves.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] when the node has ended, before or after it served.
    pub async fn running(&self) -> Result<(), HandleError> {
        let mut phase = self.0.phase();
        match phase.wait_for(|phase| *phase != Phase::Bound).await.as_deref() {
            Ok(Phase::Running) => Ok(()),
            _ => Err(HandleError::Stopped),
        }
    }

    /// One session, as it is in the cycle that answers; `None` when there is no such session.
    ///
    /// # Errors
    /// When the node has stopped, or its shard is too busy to answer.
    pub async fn session(&self, session: SessionId) -> Result<Option<Session>, HandleError> {
        let shard = steer::shard_of(session, self.0.shards());
        match self.0.ask(shard, |ticket| Command::Session { ticket, session }).await? {
            Report::Session { view, .. } => Ok(view.map(Session::from)),
            other => unreachable!("asked for a session, told {other:?}"),
        }
    }

    /// Every session, one line each, in no particular order. A session that opens or ends while the
    /// listing goes on may or may not be in it.
    ///
    /// # Errors
    /// When the node has stopped, or a shard is too busy to answer.
    pub async fn sessions(&self) -> Result<Vec<SessionLine>, HandleError> {
        let mut lines = Vec::new();
        for shard in 0..self.0.shards() {
            let mut from = Some(0);
            while let Some(first) = from {
                let question = |ticket| Command::Sessions { ticket, from: first };
                match self.0.ask(shard, question).await? {
                    Report::Sessions { page, next, .. } => {
                        lines.extend(page);
                        from = next;
                    }
                    other => unreachable!("asked for sessions, told {other:?}"),
                }
            }
        }
        Ok(lines)
    }

    /// The counters of each shard, in shard order. All but `sessions` and `participants` only ever grow.
    /// They balance (see [`Counters::balanced`]) whenever the cycle that answers has nothing left to
    /// send; under traffic the last copies may still be on their way.
    ///
    /// # Errors
    /// When the node has stopped, or a shard is too busy to answer.
    pub async fn counters(&self) -> Result<Vec<Counters>, HandleError> {
        let mut all = Vec::with_capacity(self.0.shards());
        for shard in 0..self.0.shards() {
            match self.0.ask(shard, |ticket| Command::Counters { ticket }).await? {
                Report::Counters { counters, .. } => all.push(*counters),
                other => unreachable!("asked for counters, told {other:?}"),
            }
        }
        Ok(all)
    }

    /// Sends a participant of a v1 session away; whether there was one. It may come back while its token is
    /// good: to keep it out, ban its key or its token's serial.
    ///
    /// # Errors
    /// When the node has stopped, or its shard is too busy to answer.
    pub async fn kick(&self, session: SessionId, node: NodeId) -> Result<bool, HandleError> {
        let shard = steer::shard_of(session, self.0.shards());
        match self.0.ask(shard, |ticket| Command::Kick { ticket, session, node }).await? {
            Report::Kicked { found, .. } => Ok(found),
            other => unreachable!("asked to kick, told {other:?}"),
        }
    }

    /// From now on, `v1` says who may enter by wire v1: every shard goes by it when this returns. Who is
    /// inside and banned leaves; connections that stand are not touched by new keys. A node that was
    /// closed to v1 opens; one that is open cannot be closed while it runs.
    ///
    /// # Errors
    /// [`HandleError::Config`] when `v1` cannot be, and nothing has changed. When the node has stopped, or
    /// a shard is too busy: then some shards may go by it and others not, and it should be said again.
    pub async fn replace_access(&self, v1: &V1Config) -> Result<(), HandleError> {
        v1.validate().map_err(HandleError::Config)?;
        let Some(access) = v1.access() else {
            let closes = self.0.v1_is_open();
            return if closes { Err(HandleError::Config(ConfigError::V1Closes)) } else { Ok(()) };
        };
        for shard in 0..self.0.shards() {
            self.0.instruct(shard, Command::Access(Arc::clone(&access))).await?;
        }
        self.0.v1_opens();
        info!(
            relay_keys = v1.relay_keys.len(),
            issuers = v1.issuers.len(),
            bans = v1.bans.len(),
            "who may enter has been replaced"
        );
        Ok(())
    }

    /// From now on, `turn` of this configuration says who may use TURN, how much, and whom they reach: every
    /// shard goes by it when this returns. Channels and permissions of peers that are no longer allowed end;
    /// what else is there lasts until whoever is no longer let in would have to refresh it. Relays, ports,
    /// channel numbers and the number of allocations stay as they were when the node was made; and a node
    /// that was closed to TURN cannot open, nor the other way round.
    ///
    /// # Errors
    /// [`HandleError::Config`] when the configuration cannot be, and nothing has changed. When the node has
    /// stopped, or a shard is too busy: then some shards may go by it and others not, and it should be said
    /// again.
    pub async fn replace_turn(&self, config: &NodeConfig) -> Result<(), HandleError> {
        config.validate().map_err(HandleError::Config)?;
        let refused = |error| Err(HandleError::Config(ConfigError::Turn(error)));
        let Some(desk) = self.0.turn() else {
            return if config.turn.is_open() { refused(TurnError::Opens) } else { Ok(()) };
        };
        let mut access = desk.access.lock().await;
        let Some(next) = desk.renewed(&access, config, self.0.shards()) else {
            return refused(TurnError::Closes);
        };
        let before = std::mem::replace(&mut *access, next);
        for shard in 0..self.0.shards() {
            self.0.instruct(shard, Command::Turn(access.clone())).await?;
        }
        // By now nobody else has it.
        drop(before);
        turn::warn(&config.turn);
        let (secrets, users) = (config.turn.secrets.len(), config.turn.users.len());
        info!(secrets, users, "who may use TURN has been replaced");
        Ok(())
    }

    /// What happens from this moment on; nothing when the node has stopped.
    #[must_use]
    pub fn notices(&self) -> Notices {
        self.0.notices().map_or_else(Notices::ended, Notices::new)
    }

    /// Tells the node to stop and waits until it has, at most `deadline`. At the deadline
    /// [`Node::run`](crate::Node::run) ends too, and names the shard that did not; of several deadlines
    /// the earliest counts.
    ///
    /// # Errors
    /// [`HandleError::Late`] when the node had not ended at the deadline.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), HandleError> {
        let by = Instant::now() + deadline;
        self.0.want_stop(by);
        let mut phase = self.0.phase();
        let ended = phase.wait_for(|phase| *phase == Phase::Ended);
        match tokio::time::timeout_at(by, ended).await {
            Ok(_) => Ok(()),
            Err(_elapsed) => Err(HandleError::Late),
        }
    }
}

impl fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHandle").field("shards", &self.0.shards()).finish_non_exhaustive()
    }
}
