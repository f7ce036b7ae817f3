//! A participant of a session: the client's side of wire v1 in one machine.
//!
//! ```text
//!             publish, subscribe, leave                 events
//!  application  --------------------->  Participant  ------------> application
//!                                        ^        |
//!             handle_datagram(bytes, now)|        | poll_transmit(now): bytes
//!                                      socket   socket           poll_timeout(): when to call again
//! ```
//! It holds the handshake, at most two connections, the keys of everyone heard, the roster, the
//! wishes, and says nothing by itself: whoever runs it gives it datagrams and the time, and calls
//! [`Participant::poll_transmit`] until it has nothing, after every call that changes something and
//! at [`Participant::poll_timeout`].
//!
//! What it promises: nothing that arrives makes it panic, and what is refused moves nothing; every
//! queue is bounded in [`limits`](crate::limits); no answer, or none for long, is ever an end. While
//! one connection works it is used until the next one is proven, so that keys change and addresses
//! move without a frame being lost. Only [`Participant::leave`] and being removed end it.
//!
//! | file | owns |
//! |---|---|
//! | `line` | one connection, and the two places for them |
//! | `receive` | datagrams coming in |
//! | `control` | what the relay says |
//! | `transmit` | datagrams going out, and everything that is due |
//! | `publish`, `outbox`, `pace` | content sealed into frames, which wait and leave as fast as they may |
//! | `directory` | members and streams |
//! | `assembly`, `unknown` | pieces that wait for others, frames that wait for their author |
//! | `receipts` | MARK and REPORT |
//! | `event`, `refused` | what the application is told |

mod assembly;
mod control;
mod directory;
mod event;
mod line;
mod outbox;
mod pace;
mod publish;
mod receipts;
mod receive;
mod refused;
mod transmit;
mod unknown;

pub use directory::{Member, StreamLine};
pub use event::{ClockSample, Event, Media, OpenedFrame};
pub use publish::{Head, MediaHead};
pub use refused::{Counters, Refused, SendError};

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::crypto::exchange::Certificate;
use crate::crypto::handshake::{Client, Membership, Terms};
use crate::crypto::hop::{Inst, Scratch};
use crate::crypto::identity::PublicKey;
use crate::crypto::seal::{EpochSecret, Openers, SessionKey};
use crate::crypto::suite::Suite;
use crate::crypto::token::Token;
use crate::ids::{NodeId, SessionId, StreamId};
use crate::limits::{
    ERRANDS_MAX, HOLD_MS_MAX, LEAVE_COPIES, LEAVE_DRAIN, OPENERS_MAX, OWN_STREAMS_MAX, WISHES_MAX,
};
use crate::time::Instant;
use crate::wire::v1::control::{OwnStream, Wish};

use self::assembly::Assembly;
use self::directory::Directory;
use self::event::Events;
use self::line::Lines;
use self::outbox::Outbox;
use self::pace::Pace;
use self::unknown::Unknown;

/// One participant of one session.
#[derive(Debug)]
pub struct Participant {
    id: PublicKey,
    node: NodeId,
    session: SessionId,
    suite: Suite,
    secret: EpochSecret,
    phase: Phase,
    caller: Client,
    lines: Lines,
    /// The relay has asked for new keys by the active line.
    rekey: bool,
    degraded: bool,
    joined_once: bool,
    /// Since when nothing has answered, and when the application is told again.
    waiting: Option<(Instant, Instant)>,
    wishes: Wishes,
    errands: VecDeque<Errand>,
    outbox: Outbox,
    pace: Pace,
    directory: Directory,
    openers: Openers,
    unknown: Unknown,
    /// The datagram being handled has been counted as received.
    received: bool,
    assembly: Assembly,
    events: Events,
    counters: Counters,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has asked to connect.
    Idle,
    /// Connected, or on the way.
    Running,
    /// Saying goodbye: so many more times, the next one then; and what is queued goes out until then.
    Leaving { reason: u8, copies: u8, next: Instant, drained: Instant },
    /// Left, or removed.
    Over,
}

/// What is stated on every connection anew, once it has been said at all.
#[derive(Debug, Default)]
struct Wishes {
    /// What is to be delivered, and how long it may be held to share a datagram, in ms.
    subscribed: Option<(Vec<Wish>, u8)>,
    /// What this participant publishes.
    own: Option<Vec<OwnStream>>,
}

impl Wishes {
    fn publishes(&self, stream: u16) -> bool {
        self.own.iter().flatten().any(|own| own.stream.get() == stream)
    }
}

/// Something said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    Kick(NodeId, u8),
    Keyframe(StreamId),
}

impl Participant {
    /// The participant that `membership` describes, in a session whose members share `key`. It does
    /// nothing until [`Self::connect`].
    #[must_use]
    pub fn new(membership: Membership, key: &SessionKey) -> Self {
        Self {
            id: membership.id,
            node: membership.id.node_id(),
            session: membership.session,
            suite: membership.suite,
            secret: EpochSecret::from_session_key(key),
            phase: Phase::Idle,
            caller: Client::new(membership),
            lines: Lines::default(),
            rekey: false,
            degraded: false,
            joined_once: false,
            waiting: None,
            wishes: Wishes::default(),
            errands: VecDeque::new(),
            outbox: Outbox::default(),
            pace: Pace::default(),
            directory: Directory::default(),
            openers: Openers::new(OPENERS_MAX),
            unknown: Unknown::default(),
            received: false,
            assembly: Assembly::default(),
            events: Events::default(),
            counters: Counters::default(),
            scratch: Scratch::new(),
        }
    }

    /// Asks to enter, for the first time or after leaving or being removed. Changes nothing
    /// otherwise: what is lost is asked for again by itself.
    pub fn connect(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle | Phase::Over) {
            self.phase = Phase::Running;
            self.caller.connect(now);
        }
    }

    /// States what is to be delivered, replacing what was stated before; nothing is delivered
    /// before the first time. Small frames may wait up to `hold_ms` to share a datagram.
    ///
    /// # Errors
    /// [`SendError::TooMuchWished`].
    pub fn subscribe(
        &mut self,
        wishes: &[Wish],
        hold_ms: u8,
        now: Instant,
    ) -> Result<(), SendError> {
        if wishes.len() > WISHES_MAX || hold_ms > HOLD_MS_MAX {
            return Err(SendError::TooMuchWished);
        }
        self.wishes.subscribed = Some((wishes.to_vec(), hold_ms));
        self.lines.each_mut(|line| line.subscribe.change(now));
        Ok(())
    }

    /// States what this participant publishes, replacing what was stated before.
    ///
    /// # Errors
    /// [`SendError::TooMuchWished`].
    pub fn set_streams(&mut self, streams: &[OwnStream], now: Instant) -> Result<(), SendError> {
        if streams.len() > OWN_STREAMS_MAX {
            return Err(SendError::TooMuchWished);
        }
        self.wishes.own = Some(streams.to_vec());
        self.lines.each_mut(|line| line.mine.change(now));
        Ok(())
    }

    /// Asks the relay to remove `node`, which takes the permission to. Said once: whether it was
    /// heard is seen in the roster.
    ///
    /// # Errors
    /// [`SendError::NotJoined`], [`SendError::Full`].
    pub fn kick(&mut self, node: NodeId, reason: u8) -> Result<(), SendError> {
        self.errand(Errand::Kick(node, reason))
    }

    /// Asks the publisher of `stream` for a key frame. Said once.
    ///
    /// # Errors
    /// [`SendError::NotJoined`], [`SendError::Full`].
    pub fn request_keyframe(&mut self, stream: StreamId) -> Result<(), SendError> {
        self.errand(Errand::Keyframe(stream))
    }

    fn errand(&mut self, errand: Errand) -> Result<(), SendError> {
        if !self.is_joined() {
            return Err(SendError::NotJoined);
        }
        if self.errands.len() >= ERRANDS_MAX {
            return Err(SendError::Full);
        }
        if !self.errands.contains(&errand) {
            self.errands.push_back(errand);
        }
        Ok(())
    }

    /// Says goodbye, thrice within 100 ms because nobody confirms it; then all is over. What is
    /// queued still goes out before, for half a second at most.
    pub fn leave(&mut self, reason: u8, now: Instant) {
        if self.phase == Phase::Running {
            self.caller.rest();
            let drained = now + LEAVE_DRAIN;
            self.phase = Phase::Leaving { reason, copies: LEAVE_COPIES, next: now, drained };
            if self.lines.sending().is_none() {
                self.end();
            }
        }
    }

    /// Says goodbye at the next [`Self::poll_transmit`], whatever is queued: it is dropped.
    pub fn leave_at_once(&mut self, reason: u8, now: Instant) {
        self.leave(reason, now);
        if matches!(self.phase, Phase::Leaving { .. }) {
            self.outbox.clear();
        }
    }

    /// The local address has changed, or may have: the relay hears from the new one at once, so
    /// that it can prove it.
    pub fn address_changed(&mut self, now: Instant) {
        self.caller.hurry(now);
        self.lines.each_mut(|line| line.pings.hurry(now));
    }

    /// Replaces token and certificate before they end; from the next new HELLO on.
    pub fn renew(&mut self, token: Token, certificate: Certificate) {
        self.caller.renew(token, certificate);
    }

    /// What has happened and was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// Whether there is a connection that the relay has answered on.
    #[must_use]
    pub const fn is_joined(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.lines.has_active()
    }

    /// Whether the connection there is does not answer at the moment.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// Whether the participant has left or was removed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// What the relay grants by the connection that data goes by.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.lines.sending().map(|line| &line.terms)
    }

    /// The connection that control goes by, and data at the latest a moment after: its number and its
    /// name.
    #[must_use]
    pub fn connection(&self) -> Option<(u8, Inst)> {
        self.lines.speaking().map(|line| (line.link.conn, line.link.inst))
    }

    /// Who this is.
    #[must_use]
    pub const fn id(&self) -> &PublicKey {
        &self.id
    }

    /// The label of [`Self::id`].
    #[must_use]
    pub const fn node_id(&self) -> NodeId {
        self.node
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Those who may send, this participant among them, as far as the relay has told.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (NodeId, &Member)> {
        self.directory.members.iter().map(|(node, member)| (*node, member))
    }

    /// How many are here besides, who may not send.
    #[must_use]
    pub const fn others(&self) -> u32 {
        self.directory.others
    }

    /// The streams of the session, as far as the relay has told.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = (StreamId, &StreamLine)> {
        self.directory.streams.iter().map(|(id, line)| (*id, line))
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Ends: nothing is sent or taken in any more.
    fn end(&mut self) {
        self.phase = Phase::Over;
        self.caller.rest();
        self.lines.clear();
        self.outbox.clear();
        self.errands.clear();
        self.unknown = Unknown::default();
        self.assembly = Assembly::default();
        self.directory = Directory::default();
        self.waiting = None;
        self.rekey = false;
        self.degraded = false;
    }
}
