//! What the node knows about a session, as it was when it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use elara_core::{NodeId, SessionId, StreamId};
use elara_shards::command::{ParticipantView, SessionView};

/// A session: everyone who sends and hears under one id.
///
/// A copy, true for one cycle of the shard that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub session_id: SessionId,
    /// Everyone in it.
    pub participants: HashMap<NodeId, Participant>,
    /// What is known about it as a whole.
    pub state: SessionState,
    /// What is published in it. Wire v0 does not announce streams, so a v0 session has none here,
    /// whatever its frames carry.
    pub streams: HashMap<StreamId, Stream>,
}

/// Someone in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its node.
    pub node_id: NodeId,
    /// Where it was last heard from. Where it is, not who it is: addresses change.
    pub addr: SocketAddr,
    /// How long it has been silent.
    pub silent: Duration,
}

/// What a relay knows about a session as a whole.
///
/// The state that participants share is sealed, and wire v0 shows nothing of it: of a v0 session the
/// relay knows only these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionState {
    /// How long the session has been open.
    pub age: Duration,
    /// Frames taken in for it since then, whether anyone was there to hear them or not.
    pub frames: u64,
}

/// Something published in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stream {
    /// Its publisher, and the publisher's number for it.
    pub stream_id: StreamId,
    /// What it carries.
    pub kind: StreamKind,
    /// Where it is in its life.
    pub phase: StreamPhase,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamKind {
    /// Chat messages, typing indicators.
    Text,
    /// Audio frames.
    Voice,
    /// Video key frames and deltas.
    Visual,
    /// Availability and status.
    Presence,
    /// A feed with a history.
    Feed,
}

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamPhase {
    /// Announced, nothing heard yet.
    Starting,
    /// Frames flow.
    Active,
    /// Its publisher has withdrawn it.
    Ending,
    /// Gone, or silent past its limit.
    Ended,
}

impl From<SessionView> for Session {
    fn from(view: SessionView) -> Self {
        Self {
            session_id: view.session,
            participants: view
                .participants
                .into_iter()
                .map(|participant| (participant.node, participant.into()))
                .collect(),
            state: SessionState {
                age: Duration::from_nanos(view.age.as_nanos()),
                frames: view.frames,
            },
            streams: HashMap::new(),
        }
    }
}

impl From<ParticipantView> for Participant {
    fn from(view: ParticipantView) -> Self {
        Self {
            node_id: view.node,
            addr: view.addr.into(),
            silent: Duration::from_nanos(view.silent.as_nanos()),
        }
    }
}
