//! What control tells a shard ([`Command`]), and what a shard tells control ([`Report`], [`Notice`]).
//!
//! A command that wants an answer carries a ticket; the report that answers it carries the same one.
//! A shard takes a command only while its reports have room, so an answer is never lost.

use std::sync::Arc;

use elara_core::time::Span;
use elara_core::{ClientAddr, NodeId, SessionId, turn};

use crate::access::Access;
use crate::counters::Counters;

/// What control asks of a shard.
#[derive(Debug)]
pub enum Command {
    /// Describe one session: answered by [`Report::Session`].
    Session {
        /// Returned in the answer.
        ticket: u64,
        /// Which one.
        session: SessionId,
    },
    /// List the sessions, one page at a time: answered by [`Report::Sessions`].
    Sessions {
        /// Returned in the answer.
        ticket: u64,
        /// 0 for the first page, then `next` of the page before.
        from: u32,
    },
    /// From now on, these may enter by wire v1; who is inside and banned leaves. Connections that stand
    /// are not touched by new keys.
    Access(Arc<Access>),
    /// From now on, TURN goes by this; peers that are no longer allowed are reached no longer, and what else
    /// is there stays. Nothing where STUN and TURN are closed.
    Turn(turn::Access),
    /// Send a participant of a v1 session away: answered by [`Report::Kicked`].
    Kick {
        /// Returned in the answer.
        ticket: u64,
        /// Its session.
        session: SessionId,
        /// Its node.
        node: NodeId,
    },
    /// Copy the counters: answered by [`Report::Counters`].
    Counters {
        /// Returned in the answer.
        ticket: u64,
    },
    /// Finish the cycle and end.
    Stop,
}

/// What a shard says to control.
#[derive(Debug)]
pub enum Report {
    /// Answers [`Command::Session`]; `None` when this shard has no such session.
    Session {
        /// From the command.
        ticket: u64,
        /// The session as it is in this cycle.
        view: Option<SessionView>,
    },
    /// Answers [`Command::Sessions`].
    Sessions {
        /// From the command.
        ticket: u64,
        /// At most `PAGE_SESSIONS_MAX` sessions.
        page: Vec<SessionLine>,
        /// Where the next page begins; `None` after the last.
        next: Option<u32>,
    },
    /// Answers [`Command::Counters`].
    Counters {
        /// From the command.
        ticket: u64,
        /// The counters as they are in this cycle.
        counters: Box<Counters>,
    },
    /// Answers [`Command::Kick`].
    Kicked {
        /// From the command.
        ticket: u64,
        /// Whether there was such a participant.
        found: bool,
    },
    /// Something happened that control may want to know.
    Notice(Notice),
    /// Notices that found no room, in the place where they would have stood.
    Lost {
        /// How many.
        notices: u64,
    },
    /// The last report: the shard has obeyed [`Command::Stop`].
    Stopped {
        /// The counters it ended with.
        counters: Box<Counters>,
    },
}

/// One session in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLine {
    /// Its id.
    pub session: SessionId,
    /// How many participants it has.
    pub participants: u32,
}

/// One session in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub session: SessionId,
    /// How long it has been open.
    pub age: Span,
    /// Frames taken in for it since it opened, whether anyone was there to hear them or not.
    pub frames: u64,
    /// Everyone in it, in no particular order.
    pub participants: Vec<ParticipantView>,
}

/// One participant of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParticipantView {
    /// The node.
    pub node: NodeId,
    /// Where it was last heard from.
    pub addr: ClientAddr,
    /// How long it has been silent.
    pub silent: Span,
    /// Datagrams the kernel has taken for it; v0 does not count them.
    pub sent: u64,
    /// Those of them that were lost on the way, by its own reports; v0 has none.
    pub lost: u64,
}

/// Something that happened in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The first participant of a session was learned.
    SessionOpened {
        /// The session.
        session: SessionId,
    },
    /// The last participant of a session was forgotten.
    SessionEnded {
        /// The session.
        session: SessionId,
    },
    /// A participant was learned.
    Joined {
        /// Its session.
        session: SessionId,
        /// Its node.
        node: NodeId,
        /// Where it is.
        addr: ClientAddr,
    },
    /// A participant was heard from a new address.
    Moved {
        /// Its session.
        session: SessionId,
        /// Its node.
        node: NodeId,
        /// Where it is now.
        addr: ClientAddr,
    },
    /// A participant was forgotten.
    Left {
        /// Its session.
        session: SessionId,
        /// Its node.
        node: NodeId,
        /// Why.
        why: Why,
    },
}

/// Why a participant was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Silent for longer than the protocol waits.
    Silent,
    /// Another participant was heard from the same address and port.
    Replaced,
    /// It said goodbye.
    Gone,
    /// Someone with the right, or the operator, sent it away.
    Kicked,
    /// It was banned.
    Banned,
    /// Its token has run out.
    Expired,
}
