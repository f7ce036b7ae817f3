//! What happens to a client and around it, told to whoever listens.

use std::net::SocketAddr;
use std::time::Duration;

use elara_core::crypto::ExchangePublic;
use elara_core::participant::ClockSample;
use elara_core::turn::client::Failure as TurnFailure;
use elara_core::{NodeId, StreamId};
use tokio::sync::broadcast::{self, error::RecvError};

/// Something a client's owner may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientNotice {
    /// A new connection has taken over, after a loss or because keys are changed hourly. Frames of
    /// others may have been missed where one was lost.
    Reconnected,
    /// Nothing answers, for so long so far. The client goes on trying.
    Waiting {
        /// How long.
        since: Duration,
    },
    /// The relay is busy, and is asked again later.
    Busy,
    /// The connection does not answer at the moment.
    Degraded,
    /// It answers again.
    Recovered,
    /// The client sends from another socket: [`Client::rebind`](super::Client::rebind) was called,
    /// or the old one failed.
    Rebound {
        /// The new local address.
        local: SocketAddr,
    },
    /// Everything goes by a TURN server from here on, until [`Self::Rebound`] tells of something else.
    ByTurn {
        /// The server.
        server: SocketAddr,
        /// What the relay takes for this client's address.
        relayed: SocketAddr,
        /// What the server takes for it.
        mapped: SocketAddr,
    },
    /// The TURN server does not do what it is asked. It is asked again, or the relay directly where both are
    /// allowed.
    TurnTrouble {
        /// Why; it reads on from the server's name.
        why: TurnFailure,
    },
    /// Someone who may send is here.
    MemberJoined {
        /// Who.
        node: NodeId,
    },
    /// Someone who could send has gone.
    MemberLeft {
        /// Who.
        node: NodeId,
    },
    /// A stream is published.
    StreamStarted {
        /// Which.
        stream: StreamId,
    },
    /// A stream is not published any more.
    StreamEnded {
        /// Which.
        stream: StreamId,
    },
    /// Someone who hears one of our streams needs a key frame.
    KeyframeWanted {
        /// Our number for the stream.
        stream: u16,
    },
    /// The relay says something; see [`alert`](elara_core::wire::v1::control::alert).
    Alert {
        /// What.
        code: u16,
        /// What the code says it is.
        arg: u32,
    },
    /// The session lives at another relay: join there, with this key in the join address.
    Moved {
        /// Where.
        addr: SocketAddr,
        /// Its static key.
        relay: ExchangePublic,
    },
    /// The relay's clock was read; see also [`Client::clock`](super::Client::clock).
    Clock(ClockSample),
    /// The relay has removed this client; nothing follows.
    Removed {
        /// See [`reason`](elara_core::wire::v1::control::reason).
        reason: u8,
    },
    /// So many notices were lost here because they were not fetched in time.
    Missed {
        /// How many.
        lost: u64,
    },
}

/// Notices of a client, from the moment [`Client::notices`](super::Client::notices) was called.
///
/// At most [`NOTICES_DEFAULT`](elara_core::limits::NOTICES_DEFAULT) wait here; a receiver that lags
/// loses the oldest and hears how many.
#[derive(Debug)]
pub struct ClientNotices(pub(super) broadcast::Receiver<ClientNotice>);

impl ClientNotices {
    /// The next notice; `None` after the last one, when the client has left. Safe to cancel.
    pub async fn recv(&mut self) -> Option<ClientNotice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(RecvError::Lagged(lost)) => Some(ClientNotice::Missed { lost }),
            Err(RecvError::Closed) => None,
        }
    }
}
