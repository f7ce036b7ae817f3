//! Why something was not taken or not sent, and the counters beside it.

use crate::crypto::handshake::ClientRefused;
use crate::crypto::hop::{Refusal, SendRefused};
use crate::crypto::seal::OpenRefused;
use crate::wire::v1::{BodyFault, BundleFault, Fault};

/// Why a datagram, or a frame in it, was not taken. Strangers, the network or others cause all of
/// these; each is counted in [`Counters`], and nothing has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The participant has left, was removed, or has not been asked to connect.
    Over,
    /// It is no v1 frame.
    Frame(Fault),
    /// It is no bundle, though its first byte says so.
    Bundle(BundleFault),
    /// It belongs to another session.
    Session,
    /// A handshake frame that answers nothing of ours.
    Handshake(ClientRefused),
    /// A control frame of a connection we do not have.
    NoConnection,
    /// The connection does not take it.
    Hop(Refusal),
    /// Our own frame has come back.
    Own,
    /// The roster does not name its author, and there is no room to wait.
    UnknownAuthor,
    /// Its seal does not open.
    Open(OpenRefused),
    /// Its author sealed something without meaning.
    Body(BodyFault),
}

/// Why something was not sent. The caller can act on all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendError {
    /// There is no connection yet, or none any more: wait for [`Event::Joined`](super::Event).
    NotJoined,
    /// The content is larger than a frame, or than what may be sent at all.
    TooLarge,
    /// [`OUTBOX_MAX`](crate::limits::OUTBOX_MAX) datagrams wait already: drop this one, or send it
    /// after the next [`poll_transmit`](super::Participant::poll_transmit)s.
    Full,
    /// More than [`PUBLISHED_MAX`](crate::limits::PUBLISHED_MAX) layers of streams that are published.
    TooManyStreams,
    /// More wishes than [`WISHES_MAX`](crate::limits::WISHES_MAX), more own streams than
    /// [`OWN_STREAMS_MAX`](crate::limits::OWN_STREAMS_MAX), or a `hold_ms` above
    /// [`HOLD_MS_MAX`](crate::limits::HOLD_MS_MAX).
    TooMuchWished,
    /// The frame breaks a rule of the wire.
    Frame(Fault),
    /// The connection's numbers of this class are used up; a new one is being made.
    Hop(SendRefused),
}

/// What has happened so far; plain numbers that only grow, but for [`Self::gaps`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams taken in, those refused included.
    pub datagrams: u64,
    /// Data frames opened.
    pub opened: u64,
    /// Media frames delivered whole.
    pub media: u64,
    /// Datagrams of others' streams that are missing at this moment: a late one is taken off again.
    pub gaps: u64,
    /// Media frames given up because pieces of them are missing.
    pub incomplete: u64,
    /// Published datagrams that waited to be sent for longer than their connection lasted.
    pub outbox_dropped: u64,
    /// Media events the application did not fetch in time.
    pub events_lost: u64,
    /// Frames that waited for their author and were dropped.
    pub unknown_dropped: u64,
    /// Roster entries whose node is not their key's label.
    pub roster_refused: u64,
    /// Messages inside control frames that make no sense.
    pub control_faults: u64,
    /// MARKs whose digest of Core frames moved away from ours.
    pub digest_mismatches: u64,
    /// PONGs that said a Core frame of ours is missing, frames counted.
    pub core_missing: u64,
    /// Core frames of ours sent again because they were missing.
    pub core_resent: u64,
    /// Refused: not of this wire, session or connection; see [`Refused`].
    pub refused_shape: u64,
    /// Refused: handshake frames.
    pub refused_handshake: u64,
    /// Refused: control frames, by the hop.
    pub refused_hop: u64,
    /// Refused: data frames whose seal did not open, replays among them.
    pub refused_open: u64,
    /// Refused: opened and without meaning.
    pub refused_body: u64,
}

impl Counters {
    pub(super) const fn refuse(&mut self, why: Refused) -> Refused {
        let counter = match why {
            Refused::Handshake(_) => &mut self.refused_handshake,
            Refused::Hop(_) | Refused::NoConnection => &mut self.refused_hop,
            Refused::Open(_) => &mut self.refused_open,
            Refused::Body(_) => &mut self.refused_body,
            Refused::UnknownAuthor => &mut self.unknown_dropped,
            Refused::Over
            | Refused::Frame(_)
            | Refused::Bundle(_)
            | Refused::Session
            | Refused::Own => &mut self.refused_shape,
        };
        *counter += 1;
        why
    }
}

impl From<Fault> for SendError {
    fn from(fault: Fault) -> Self {
        Self::Frame(fault)
    }
}

impl From<SendRefused> for SendError {
    fn from(why: SendRefused) -> Self {
        Self::Hop(why)
    }
}
