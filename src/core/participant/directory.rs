//! Who is here and what they send, as the relay tells it, page by page.
//!
//! An entry counts only if its node is the label of its key: so the relay can leave people out, and
//! cannot make one speak for another. What a relay lies about beyond that ends at seals that do not
//! open. Contents outlive a connection; the pages' versions begin anew with each.

mod paged;

use alloc::collections::{BTreeMap, VecDeque};

use crate::crypto::hop::Inst;
use crate::crypto::identity::PublicKey;
use crate::crypto::seal::Author;
use crate::crypto::token::Permissions;
use crate::ids::{NodeId, StreamId};
use crate::limits::{
    DEPARTED_FOR, DEPARTED_MAX, OLD_CONNECTION, PEERS_PER_SESSION_MAX, STREAMS_PER_SESSION_MAX,
};
use crate::time::Instant;
use crate::wire::v1::control::{Roster, RosterEntry, Streams, StreamsEntry, phase, roster_phase};

pub(super) use paged::Paged;
use paged::Step;

/// One who may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Their identity, whose label is their node.
    pub id: PublicKey,
    /// What their token allows.
    pub permissions: Permissions,
    /// See [`roster_phase`].
    pub phase: u8,
    /// The number of their connection.
    pub conn: u8,
    inst: Inst,
    /// The connection before, whose last frames may still arrive.
    before: Option<Before>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    conn: u8,
    inst: Inst,
    until: Instant,
}

/// A stream of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLine {
    /// See [`stream_kind`](crate::wire::v1::control::stream_kind).
    pub kind: u8,
    /// See [`profile`](crate::wire::header::profile).
    pub profile: u8,
    /// See [`phase`].
    pub phase: u8,
}

/// Members and streams.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) members: BTreeMap<NodeId, Member>,
    /// Those who have left, and until when their last frames are opened: what they said before they
    /// went may arrive after.
    departed: VecDeque<(NodeId, Member, Instant)>,
    /// How many are here who may not send.
    pub(super) others: u32,
    pub(super) streams: BTreeMap<StreamId, StreamLine>,
    pub(super) roster: Paged<RosterEntry>,
    pub(super) listing: Paged<StreamsEntry>,
}

impl Directory {
    /// Another connection is the active one.
    pub(super) fn renew(&mut self, now: Instant) {
        self.roster.renew(now);
        self.listing.renew(now);
    }

    /// A ROSTER came: whether members have changed, and how many entries were not believed.
    pub(super) fn handle_roster(&mut self, roster: &Roster<'_>, now: Instant) -> (bool, u64) {
        let front = (roster.version(), roster.page(), roster.pages());
        match self.roster.step(front, roster.entries(), now) {
            Step::Nothing => (false, 0),
            Step::Delta => {
                self.others = roster.others();
                let refused = roster.entries().iter().map(|entry| self.enter(entry, now)).sum();
                (true, refused)
            }
            Step::Whole(entries) => {
                self.others = roster.others();
                let mut before = core::mem::take(&mut self.members);
                let mut refused = 0;
                for entry in &entries {
                    if let Some(member) = before.remove(&entry.node_id()) {
                        self.members.insert(entry.node_id(), member);
                    }
                    // A page names the departed for the sake of what they left behind.
                    refused += self.put(entry, now);
                }
                before.into_iter().for_each(|(node, member)| self.depart(node, member, now));
                (true, refused)
            }
        }
    }

    /// A STREAMS came: whether streams have changed.
    pub(super) fn handle_streams(&mut self, streams: &Streams<'_>, now: Instant) -> bool {
        let front = (streams.version(), streams.page(), streams.pages());
        let whole = match self.listing.step(front, streams.entries(), now) {
            Step::Nothing => return false,
            Step::Delta => None,
            Step::Whole(entries) => Some(entries),
        };
        if whole.is_some() {
            self.streams.clear();
        }
        for entry in whole.as_deref().unwrap_or_else(|| streams.entries()) {
            if entry.phase == phase::ENDED {
                self.streams.remove(&entry.stream_id());
            } else if self.streams.len() < STREAMS_PER_SESSION_MAX
                || self.streams.contains_key(&entry.stream_id())
            {
                let line =
                    StreamLine { kind: entry.kind, profile: entry.profile, phase: entry.phase };
                self.streams.insert(entry.stream_id(), line);
            }
        }
        true
    }

    /// Whose key sealed a frame of `node`'s connection `conn`.
    pub(super) fn author(&self, node: NodeId, conn: u8, now: Instant) -> Option<Author> {
        let member = self.find(node, now)?;
        let inst = if member.conn == conn {
            member.inst
        } else {
            member.before.filter(|before| before.conn == conn && now < before.until)?.inst
        };
        Some(Author { id: member.id, inst })
    }

    /// Whose key sealed an atom of `node`, which names the connection itself.
    pub(super) fn author_of(&self, node: NodeId, inst: [u8; 16], now: Instant) -> Option<Author> {
        self.find(node, now).map(|member| Author { id: member.id, inst: Inst(inst) })
    }

    /// Whether `author` is `node` on its newest connection.
    pub(super) fn is_newest(&self, node: NodeId, author: &Author, now: Instant) -> bool {
        self.find(node, now).is_some_and(|member| member.inst == author.inst)
    }

    /// Whether `node` has left or is silent: what does not open may be by a connection that the roster
    /// does not tell of yet.
    pub(super) fn may_be_back(&self, node: NodeId) -> bool {
        self.members.get(&node).is_none_or(|member| member.phase == roster_phase::STALE)
    }

    /// A member, or one who was a moment ago.
    fn find(&self, node: NodeId, now: Instant) -> Option<&Member> {
        let departed = || {
            let is = |(gone, _, until): &&(NodeId, Member, Instant)| *gone == node && now < *until;
            self.departed.iter().rev().find(is).map(|(_, member, _)| member)
        };
        self.members.get(&node).or_else(departed)
    }

    fn depart(&mut self, node: NodeId, member: Member, now: Instant) {
        if self.departed.len() >= DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back((node, member, now + DEPARTED_FOR));
    }

    /// An entry of a delta. One who came and went between two deltas is departed all the same.
    fn enter(&mut self, entry: &RosterEntry, now: Instant) -> u64 {
        let refused = self.put(entry, now);
        if entry.phase == roster_phase::GONE
            && refused == 0
            && let Some(member) = self.members.remove(&entry.node_id())
        {
            self.depart(entry.node_id(), member, now);
        }
        refused
    }

    fn put(&mut self, entry: &RosterEntry, now: Instant) -> u64 {
        let (node, id, inst) = (entry.node_id(), PublicKey(entry.id_pub), Inst(entry.inst));
        let known = self.members.get(&node).filter(|member| member.id == id).copied();
        if known.is_none() {
            let full = self.members.len() >= PEERS_PER_SESSION_MAX;
            if id.node_id() != node || full && !self.members.contains_key(&node) {
                return 1;
            }
        }
        let before = known.and_then(|member| {
            if member.inst == inst {
                return member.before;
            }
            Some(Before { conn: member.conn, inst: member.inst, until: now + OLD_CONNECTION })
        });
        let member = Member {
            id,
            permissions: Permissions(entry.perms.get()),
            phase: entry.phase,
            conn: entry.conn,
            inst,
            before,
        };
        self.members.insert(node, member);
        0
    }
}

#[cfg(test)]
mod tests;
