//! A participant for applications: [`Client`] joins a session and stays in it.
//!
//! ```no_run
//! use elara_runtime::{Client, ClientOptions, PublishOptions, Selector, StreamKind};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let address = "elara://..";
//! let client = Client::join(address, ClientOptions::default()).await?;
//! let mut heard = client.subscribe(Selector::all().kind(StreamKind::Text))?;
//! let text = client.publish(StreamKind::Text, PublishOptions::default())?;
//! text.send(b"hello")?;
//! while let Some(frame) = heard.recv().await {
//!     println!("{}: {}", frame.node, String::from_utf8_lossy(&frame.content));
//! }
//! client.leave().await;
//! # Ok(())
//! # }
//! ```
//! One task per client owns the socket and runs the machine of [`elara_core::participant`]; what is
//! here hands things over to it and back. A lost datagram, a changed address, a relay that starts
//! again: the client looks after all of it, and the application hears a gap, and a notice. It is
//! never told that all has failed, because nothing is final but leaving and being removed.
//!
//! Nothing here waits for the network but [`Client::join`], [`Client::leave`] and
//! [`Client::reflexive_addr`]; every queue is bounded, and what does not fit is refused or counted.

mod drive;
mod error;
mod join;
mod notices;
mod options;
mod publish;
mod reach;
mod reflexive;
mod route;
mod shared;
mod socket;
mod subscribe;
mod way;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use elara_core::crypto::handshake::Terms;
use elara_core::crypto::{Permissions, PublicKey};
use elara_core::limits::{
    LEAVE_COPIES, LEAVE_PAUSE, OWN_STREAMS_MAX, REFLEXIVE_PATIENCE, WISHES_MAX,
};
use elara_core::participant::{ClockSample, Counters};
use elara_core::turn::client::Failure as TurnFailure;
use elara_core::wire::v1::control::{OwnStream, phase, roster_phase};
use elara_core::{NodeId, SessionId, StreamId};
use tokio::time::timeout;

pub use self::error::{ClientError, PublishError, TokenTrouble, TurnTried};
pub use self::notices::{ClientNotice, ClientNotices};
pub use self::options::{ClientOptions, IntoJoinAddress, PublishOptions, Selector};
pub use self::publish::Publisher;
pub use self::reach::{BadTurnServer, Reach, TurnServer, Via};
pub use self::reflexive::reflexive_addr;
pub use self::subscribe::{MediaFrame, Subscription};

use self::shared::{Core, Shared, Stage};
use crate::session::{Stream, StreamKind, StreamPhase};

/// A participant of one session. Dropping it leaves.
pub struct Client {
    shared: Arc<Shared>,
    node: NodeId,
    session: SessionId,
    /// As the join address names it.
    relay: String,
    subscription_frames: usize,
}

/// One who may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The label of their identity.
    pub node: NodeId,
    /// Their identity.
    pub id: PublicKey,
    /// What their token allows.
    pub permissions: Permissions,
    /// They have been silent for a while.
    pub stale: bool,
}

/// Who is in a session, as far as the relay has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Those who may send, this client among them, by node.
    pub members: Vec<Member>,
    /// How many are here besides: they only listen.
    pub others: u32,
}

impl Client {
    /// The label of this client's identity.
    #[must_use]
    pub const fn node_id(&self) -> NodeId {
        self.node
    }

    /// The session.
    #[must_use]
    pub const fn session_id(&self) -> SessionId {
        self.session
    }

    /// Begins a stream. Everyone is told of it, and of its end, when the publisher is dropped.
    ///
    /// # Errors
    /// [`ClientError::TooMany`], [`ClientError::StreamTaken`], [`ClientError::Over`].
    pub fn publish(
        &self,
        kind: StreamKind,
        options: PublishOptions,
    ) -> Result<Publisher, ClientError> {
        let (class, profile) = options::usual(kind);
        let class = options.class.unwrap_or(class);
        let profile = options.profile.unwrap_or(profile);
        let mut core = self.live()?;
        if core.own.len() >= OWN_STREAMS_MAX {
            return Err(ClientError::TOO_MANY_STREAMS);
        }
        let taken = |stream: u16| core.own.iter().any(|own| own.stream.get() == stream);
        let free = (1..=u16::MAX).find(|stream| !taken(*stream));
        let stream = options.stream.or(free).ok_or(ClientError::TOO_MANY_STREAMS)?;
        if taken(stream) {
            return Err(ClientError::StreamTaken { stream });
        }
        core.own.push(OwnStream {
            stream: stream.into(),
            kind: options::kind_byte(kind),
            profile,
            phase: phase::ACTIVE,
        });
        core.state_streams();
        let first_frame = core.first_frame;
        drop(core);
        self.shared.wake();
        Ok(Publisher::new(self.shared.clone(), stream, kind, (class, profile), first_frame))
    }

    /// Hears what `selector` selects, from this moment on.
    ///
    /// # Errors
    /// [`ClientError::TooMany`], [`ClientError::Over`].
    pub fn subscribe(&self, selector: Selector) -> Result<Subscription, ClientError> {
        let mut core = self.live()?;
        if core.subscriptions() >= WISHES_MAX {
            return Err(ClientError::TOO_MANY_SUBSCRIPTIONS);
        }
        let (number, queue) = core.subscribe(selector, self.subscription_frames);
        drop(core);
        self.shared.wake();
        Ok(Subscription::new(self.shared.clone(), number, queue))
    }

    /// Asks the publisher of `stream` for a key frame.
    ///
    /// # Errors
    /// [`ClientError::Over`]. Whether it is heard is seen by what comes.
    pub fn request_keyframe(&self, stream: StreamId) -> Result<(), ClientError> {
        // One that cannot be asked for at this moment would come too late.
        let _ = self.live()?.participant.request_keyframe(stream);
        self.shared.wake();
        Ok(())
    }

    /// Asks the relay to remove `node`, which takes the permission to. Whether it was done is seen
    /// in the roster.
    ///
    /// # Errors
    /// [`ClientError::Over`].
    pub fn kick(&self, node: NodeId, reason: u8) -> Result<(), ClientError> {
        let _ = self.live()?.participant.kick(node, reason);
        self.shared.wake();
        Ok(())
    }

    /// What happens from this moment on.
    #[must_use]
    pub fn notices(&self) -> ClientNotices {
        ClientNotices(self.shared.lock().listen())
    }

    /// The best of the last readings of the relay's clock; `None` before the first. The client's
    /// clock in it begins when the client is made.
    #[must_use]
    pub fn clock(&self) -> Option<ClockSample> {
        self.shared.lock().clock()
    }

    /// Who is here.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let core = self.shared.lock();
        let members = core.participant.members().map(|(node, member)| Member {
            node,
            id: member.id,
            permissions: member.permissions,
            stale: member.phase == roster_phase::STALE,
        });
        Roster { members: members.collect(), others: core.participant.others() }
    }

    /// What is published here, of kinds that this version knows.
    #[must_use]
    pub fn streams(&self) -> Vec<Stream> {
        let core = self.shared.lock();
        let stream = |(stream_id, line): (StreamId, &elara_core::participant::StreamLine)| {
            let kind = options::kind_from(line.kind)?;
            let phase = match line.phase {
                phase::STARTING => StreamPhase::Starting,
                phase::ENDING => StreamPhase::Ending,
                phase::ENDED => StreamPhase::Ended,
                _ => StreamPhase::Active,
            };
            Some(Stream { stream_id, kind, phase })
        };
        core.participant.streams().filter_map(stream).collect()
    }

    /// What the relay grants; `None` at moments without a connection.
    #[must_use]
    pub fn terms(&self) -> Option<Terms> {
        self.shared.lock().participant.terms().copied()
    }

    /// Whether the connection does not answer at the moment.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.shared.lock().participant.is_degraded()
    }

    /// How datagrams get to the relay at the moment.
    #[must_use]
    pub fn via(&self) -> Via {
        self.shared.lock().via
    }

    /// Where this client is seen from elsewhere: its server-reflexive address. The relay is asked by STUN,
    /// from the client's own socket; where everything goes by a TURN server, that has said it already. Takes
    /// eight seconds at most. See also [`reflexive_addr`](crate::reflexive_addr), for other servers.
    ///
    /// # Errors
    /// [`ClientError::Stun`], [`ClientError::Over`].
    pub async fn reflexive_addr(&self) -> Result<SocketAddr, ClientError> {
        let mut answers = {
            let mut core = self.live()?;
            if let Via::Turn { mapped, .. } = core.via {
                return Ok(mapped);
            }
            let now = core.now();
            core.reflexive.question(now)
        };
        self.shared.wake();
        let answer = match timeout(drive::std(REFLEXIVE_PATIENCE), answers.recv()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(ClientError::Over),
            Err(_) => Err(TurnFailure::NoAnswer),
        };
        answer.map_err(|why| ClientError::Stun { server: self.relay.clone(), why })
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.shared.lock().participant.counters()
    }

    /// Sends from another socket from now on: to be called when this machine's network has changed.
    /// The client does so by itself when its socket fails or the relay does not answer; calling it
    /// is faster. [`ClientNotice::Rebound`] tells when it is done.
    pub fn rebind(&self) {
        self.shared.lock().asks.rebind = true;
        self.shared.wake();
    }

    /// Says goodbye and waits until that is done, at most a second.
    pub async fn leave(self) {
        let mut stages = self.shared.stages();
        self.shared.lock().leave();
        self.shared.wake();
        let over = stages.wait_for(|stage| matches!(stage, Stage::Over | Stage::Removed(_)));
        // Late or not, nothing more can be done.
        let _ = timeout(Duration::from_secs(1), over).await;
    }

    /// The machine, while there is something to do with it.
    fn live(&self) -> Result<std::sync::MutexGuard<'_, Core>, ClientError> {
        let core = self.shared.lock();
        if core.participant.is_over() { Err(ClientError::Over) } else { Ok(core) }
    }
}

/// Leaves: what may leave at this moment goes out here, the rest and the goodbye by the task. Where
/// that ends with its runtime before, it says it then.
impl Drop for Client {
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        core.leave();
        core.send_at_once();
        drop(core);
        self.shared.wake();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} in {})", self.node, self.session)
    }
}

// A goodbye is done before `leave` stops waiting.
const _: () = assert!(LEAVE_PAUSE.as_nanos() * (LEAVE_COPIES as u64) < 1_000_000_000);
