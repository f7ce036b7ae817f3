//! Who is here and what they send, as the relay tells it, page by page.
//!
//! An entry counts only if its node is the label of its key: so the relay can leave people out, and
//! cannot make one speak for another. What a relay lies about beyond that ends at seals that do not
//! open. Contents outlive a connection; the pages' versions begin anew with each.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::crypto::hop::Inst;
use crate::crypto::identity::PublicKey;
use crate::crypto::seal::Author;
use crate::crypto::token::Permissions;
use crate::ids::{NodeId, StreamId};
use crate::limits::{
    GET_AGAIN, OLD_CONNECTION, PAGES_PATIENCE, PEERS_PER_SESSION_MAX, STREAMS_PER_SESSION_MAX,
};
use crate::time::Instant;
use crate::wire::v1::control::{Roster, RosterEntry, Streams, StreamsEntry, phase, roster_phase};
use crate::wire::v1::{Pages, Turn};

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
    /// How many are here who may not send.
    pub(super) others: u32,
    pub(super) streams: BTreeMap<StreamId, StreamLine>,
    pub(super) roster: Paged<RosterEntry>,
    pub(super) listing: Paged<StreamsEntry>,
}

/// A set that comes in pages: those put aside, and when to ask for them.
#[derive(Debug)]
pub(super) struct Paged<E> {
    pages: Pages,
    aside: Vec<E>,
    wanted: Option<Instant>,
    asked: Option<Instant>,
}

impl<E> Default for Paged<E> {
    fn default() -> Self {
        Self { pages: Pages::default(), aside: Vec::new(), wanted: None, asked: None }
    }
}

/// What a page or delta brings about.
enum Step<E> {
    Nothing,
    /// Changes to what is held.
    Delta,
    /// All there is.
    Whole(Vec<E>),
}

impl<E: Copy> Paged<E> {
    /// Another connection: versions begin anew, and what is held may be old.
    pub(super) fn renew(&mut self, now: Instant) {
        self.pages = Pages::default();
        self.aside = Vec::new();
        self.wanted = Some(now + PAGES_PATIENCE);
    }

    /// Something says that what is held is not all there is.
    pub(super) fn want(&mut self, at: Instant) {
        self.wanted = Some(self.wanted.map_or(at, |wanted| wanted.min(at)));
    }

    /// When to ask.
    pub(super) fn due(&self) -> Option<Instant> {
        let wanted = self.wanted?;
        Some(self.asked.map_or(wanted, |asked| wanted.max(asked + GET_AGAIN)))
    }

    /// The version held in full: what a request and an acknowledgement say.
    pub(super) const fn version(&self) -> u32 {
        self.pages.version()
    }

    pub(super) const fn said(&mut self, now: Instant) {
        // Answered or not: the answer clears it, and without one it is asked again.
        self.wanted = Some(now);
        self.asked = Some(now);
    }

    fn step(&mut self, front: (u32, u8, u8), entries: &[E], now: Instant) -> Step<E> {
        let (version, page, pages) = front;
        let (first, whole) = match self.pages.handle(version, page, pages) {
            Turn::Known => {
                if !self.pages.lags(version) && self.aside.is_empty() {
                    self.wanted = None;
                }
                return Step::Nothing;
            }
            Turn::Contradiction => return Step::Nothing,
            Turn::Missing => {
                self.want(now);
                return Step::Nothing;
            }
            Turn::Apply => {
                self.wanted = None;
                self.aside = Vec::new();
                return Step::Delta;
            }
            Turn::Collect { first } => (first, false),
            Turn::Complete { first } => (first, true),
        };
        if first {
            self.aside.clear();
        }
        self.aside.extend_from_slice(entries);
        if !whole {
            self.want(now + PAGES_PATIENCE);
            return Step::Nothing;
        }
        self.wanted = None;
        Step::Whole(core::mem::take(&mut self.aside))
    }
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
        let member = self.members.get(&node)?;
        let inst = if member.conn == conn {
            member.inst
        } else {
            member.before.filter(|before| before.conn == conn && now < before.until)?.inst
        };
        Some(Author { id: member.id, inst })
    }

    /// Whose key sealed an atom of `node`, which names the connection itself.
    pub(super) fn author_of(&self, node: NodeId, inst: [u8; 16]) -> Option<Author> {
        self.members.get(&node).map(|member| Author { id: member.id, inst: Inst(inst) })
    }

    /// Whether `author` is `node` on its newest connection.
    pub(super) fn is_newest(&self, node: NodeId, author: &Author) -> bool {
        self.members.get(&node).is_some_and(|member| member.inst == author.inst)
    }

    /// An entry of a delta.
    fn enter(&mut self, entry: &RosterEntry, now: Instant) -> u64 {
        if entry.phase == roster_phase::GONE {
            self.members.remove(&entry.node_id());
            return 0;
        }
        self.put(entry, now)
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
mod tests {
    use super::*;
    use crate::time::Span;
    use alloc::vec;
    use zerocopy::little_endian::{U16, U32, U64};

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn entry(key: u8, conn: u8) -> RosterEntry {
        let id = PublicKey([key; 32]);
        RosterEntry {
            node: U64::new(id.node_id().0),
            id_pub: id.0,
            inst: [conn; 16],
            conn,
            phase: roster_phase::ACTIVE,
            perms: U32::new(3),
        }
    }

    fn node(key: u8) -> NodeId {
        PublicKey([key; 32]).node_id()
    }

    #[test]
    fn an_entry_that_is_not_its_keys_label_is_not_believed() {
        let mut directory = Directory::default();
        let forged = RosterEntry { node: U64::new(node(2).0), ..entry(1, 0) };
        let entries = [forged, entry(3, 0)];
        let told = directory.handle_roster(&Roster::new(1, 0, 1, 7, &entries), at(0));
        assert_eq!(told, (true, 1));
        assert!(directory.author(node(2), 0, at(0)).is_none());
        assert_eq!((directory.members.len(), directory.others), (1, 7));
    }

    #[test]
    fn the_connection_before_is_known_for_three_seconds() {
        let mut directory = Directory::default();
        directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 4)]), at(0));
        directory.handle_roster(&Roster::new(2, 0, 0, 0, &[entry(1, 5)]), at(100));
        let inst = |conn, ms| directory.author(node(1), conn, at(ms)).map(|author| author.inst);
        assert_eq!((inst(5, 200), inst(4, 3_099)), (Some(Inst([5; 16])), Some(Inst([4; 16]))));
        assert_eq!((inst(4, 3_100), inst(3, 200)), (None, None));
    }

    #[test]
    fn a_whole_roster_replaces_and_keeps_the_connection_before() {
        let mut directory = Directory::default();
        directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 0), entry(2, 0)]), at(0));
        directory.renew(at(10));
        directory.handle_roster(&Roster::new(9, 0, 2, 0, &[entry(1, 1)]), at(10));
        assert_eq!(directory.members.len(), 2, "a page alone changes nothing");
        assert_eq!(directory.roster.due(), Some(at(510)));
        directory.handle_roster(&Roster::new(9, 1, 2, 0, &[entry(3, 0)]), at(20));
        assert_eq!(directory.members.keys().copied().collect::<Vec<_>>().len(), 2);
        assert!(directory.author(node(1), 0, at(20)).is_some());
        assert!(directory.author(node(2), 0, at(20)).is_none());
        assert_eq!(directory.roster.due(), None);
    }

    #[test]
    fn a_gap_asks_at_once_and_then_in_measure() {
        let mut directory = Directory::default();
        directory.handle_roster(&Roster::new(5, 0, 0, 0, &[]), at(0));
        assert_eq!((directory.roster.due(), directory.roster.version()), (Some(at(0)), 0));
        directory.roster.said(at(0));
        assert_eq!(directory.roster.due(), Some(at(1_250)));
        directory.handle_roster(&Roster::new(6, 0, 0, 0, &[]), at(300));
        assert_eq!(directory.roster.due(), Some(at(1_250)));
        directory.handle_roster(&Roster::new(6, 0, 1, 0, &[]), at(400));
        assert_eq!((directory.roster.due(), directory.roster.version()), (None, 6));
    }

    #[test]
    fn members_and_streams_come_and_go_by_deltas() {
        let mut directory = Directory::default();
        directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 0)]), at(0));
        let gone = RosterEntry { phase: roster_phase::GONE, ..entry(1, 0) };
        directory.handle_roster(&Roster::new(2, 0, 0, 0, &[gone]), at(0));
        assert!(directory.members.is_empty());
        let stream = |stream, phase| StreamsEntry {
            node: U64::new(1),
            stream: U16::new(stream),
            kind: 2,
            profile: 0x11,
            phase,
        };
        let whole = vec![stream(1, phase::ACTIVE), stream(2, phase::STARTING)];
        assert!(directory.handle_streams(&Streams::new(1, 0, 1, &whole), at(0)));
        assert!(
            directory.handle_streams(&Streams::new(2, 0, 0, &[stream(1, phase::ENDED)]), at(0))
        );
        assert!(!directory.handle_streams(&Streams::new(2, 0, 0, &[]), at(0)), "known");
        let left: Vec<u16> = directory.streams.keys().map(|id| id.stream).collect();
        assert_eq!(left, [2]);
    }
}
