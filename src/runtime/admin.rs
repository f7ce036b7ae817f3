//! The admin listener: a node answers supervisors and dashboards over HTTP, on a thread of its own.
//!
//! ```text
//!   GET /livez     200 when every shard answers in time, 503 and which one does not otherwise
//!   GET /metrics   every counter of every shard, as Prometheus reads it
//! ```
//! It asks the shards the way a [`NodeHandle`](crate::NodeHandle) does and changes nothing. It asks
//! nobody who they are, and so listens on loopback only. Its thread and its runtime are its own, so that
//! a slow client costs the node nothing but a place among
//! [`ADMIN_CONNECTIONS_MAX`](elara_core::limits::ADMIN_CONNECTIONS_MAX).

mod listener;
mod metrics;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use elara_core::NodeId;
use elara_core::limits::LIVE_DEADLINE;
use elara_shards::command::{Command, Report};
use elara_shards::io::Backend;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use self::listener::Bounded;
use crate::error::{HandleError, NodeError};
use crate::handle::NodeHandle;
use crate::switchboard::Switchboard;

/// What does not change while a node runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) node: NodeId,
    pub(crate) listen: SocketAddr,
    pub(crate) backend: Backend,
}

/// A bound socket; who knocks waits in the kernel until [`Admin::start`].
pub(crate) struct Door {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Door {
    /// # Errors
    /// [`NodeError::Admin`].
    pub(crate) fn bind(addr: SocketAddr) -> Result<Self, NodeError> {
        let bound = TcpListener::bind(addr).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(Self { addr: listener.local_addr()?, listener })
        });
        bound.map_err(|source| NodeError::Admin { addr, source })
    }

    /// With the port it really has.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// The thread that answers. Dropping this ends it, and every connection with it.
pub(crate) struct Admin {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// # Errors
    /// [`NodeError::System`].
    pub(crate) fn start(
        door: Door,
        about: About,
        board: Arc<Switchboard>,
    ) -> Result<Self, NodeError> {
        let refuse = |source| NodeError::System { what: "thread for the admin listener", source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refuse)?;
        let desk = Desk { about, started_s: unix_seconds(), board };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                if let Err(error) = serve(&runtime, door, desk, stopped) {
                    warn!(%error, "the admin listener is lost; the node goes on");
                }
            })
            .map_err(refuse)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but this, so it ends at once.
            let _ = thread.join();
        }
    }
}

fn serve(
    runtime: &Runtime,
    door: Door,
    desk: Desk,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(desk));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(door.listener)?;
        debug!(addr = %door.addr, "admin listener answers");
        tokio::select! {
            served = axum::serve(Bounded::new(listener), router) => served,
            _ = stopped => Ok(()),
        }
    })
}

/// Who answers.
struct Desk {
    about: About,
    started_s: u64,
    board: Arc<Switchboard>,
}

async fn livez(State(desk): State<Arc<Desk>>) -> (StatusCode, String) {
    let deadline = Duration::from_nanos(LIVE_DEADLINE.as_nanos());
    let by = Instant::now() + deadline;
    for shard in 0..desk.board.shards() {
        let asked = desk.board.ask(shard, |ticket| Command::Counters { ticket });
        let silent = match timeout_at(by, asked).await {
            Ok(Ok(Report::Counters { .. })) => continue,
            Ok(Ok(other)) => unreachable!("asked for counters, told {other:?}"),
            Ok(Err(HandleError::Stopped)) => HandleError::Stopped.to_string(),
            Ok(Err(_)) | Err(_) => format!("shard {shard} did not answer within {deadline:?}"),
        };
        return (StatusCode::SERVICE_UNAVAILABLE, silent + "\n");
    }
    (StatusCode::OK, "alive\n".to_owned())
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    match NodeHandle::new(Arc::clone(&desk.board)).counters().await {
        Ok(shards) => {
            let page = metrics::page(&desk.about, desk.started_s, &shards);
            ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
