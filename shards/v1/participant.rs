//! One participant of wire v1: its connections, what it may, and what it asked for.

use elara_core::crypto::handshake::{Connection, Entry};
use elara_core::crypto::{Permissions, PublicKey};
use elara_core::time::Instant;
use elara_core::wire::header::Class;
use elara_core::wire::v1::Granted;
use elara_core::wire::v1::control::{
    ALL_NODES, ALL_STREAMS, OwnStream, RosterEntry, Wish, roster_phase,
};
use elara_core::{ClientAddr, NodeId, SessionId};

use super::marks::Marks;
use super::rates::{Allowance, Meter};
use super::roaming::Roaming;
use super::room::PICKY;

/// Which pages a participant waits for.
pub(super) mod pages {
    pub(in crate::v1) const ROSTER: u8 = 1;
    pub(in crate::v1) const STREAMS: u8 = 2;
    pub(in crate::v1) const BOTH: u8 = ROSTER | STREAMS;
}

/// The bits of all data classes.
const CLASSES: u8 = (1 << Class::COUNT) - 1;

/// A room, and a place among its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) room: u32,
    pub(super) member: u32,
}

/// Someone who was welcomed.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) entry: Entry,
    pub(super) session: SessionId,
    pub(super) node: NodeId,
    /// `None` until its first datagram has verified.
    pub(super) place: Option<Place>,
    /// Where its WELCOME was sent first: who answers that from there receives there.
    pub(super) welcomed_at: ClientAddr,
    /// When it was last heard, from wherever: a verified datagram.
    pub(super) seen: Instant,
    /// Not heard from its address for so long that nothing is sent there.
    pub(super) stale: bool,
    /// Of the active connection, as are the next two.
    pub(super) permissions: Permissions,
    pub(super) allowance: Allowance,
    /// The last second of its token.
    pub(super) expires: u32,
    pub(super) subscribed: Granted,
    pub(super) announced: Granted,
    pub(super) wishes: Box<[Wish]>,
    pub(super) streams: Box<[OwnStream]>,
    /// The [`pages`] it waits for.
    pub(super) awaits: u8,
    /// How often it changes what it announces.
    pub(super) changes: Meter,
    /// When it may ask GET again, for the roster and for streams.
    pub(super) next_get: [Instant; 2],
    /// When it may be alerted again.
    pub(super) next_alert: Instant,
    pub(super) roaming: Option<Box<Roaming>>,
    pub(super) marks: Option<Box<Marks>>,
}

impl Participant {
    /// Someone of whom only a HELLO is known.
    pub(super) fn new(
        entry: Entry,
        session: SessionId,
        node: NodeId,
        from: ClientAddr,
        now: Instant,
    ) -> Self {
        Self {
            entry,
            session,
            node,
            place: None,
            welcomed_at: from,
            seen: now,
            stale: false,
            permissions: Permissions::NONE,
            allowance: Allowance::NOTHING,
            expires: 0,
            subscribed: Granted::default(),
            announced: Granted::default(),
            wishes: Box::default(),
            streams: Box::default(),
            awaits: 0,
            changes: Meter::NEW,
            next_get: [now; 2],
            next_alert: now,
            roaming: None,
            marks: None,
        }
    }

    /// Takes over what the connection that has just become active grants. Versions begin anew with it;
    /// what was asked for stays until it is asked for otherwise.
    pub(super) fn adopt(&mut self) {
        let Some(Connection { claims, .. }) = self.entry.active() else { return };
        self.permissions = claims.permissions;
        self.allowance = self.allowance.granted_by(claims);
        self.expires = claims.expires;
        self.subscribed = Granted::default();
        self.announced = Granted::default();
        self.marks = None;
    }

    pub(super) const fn id(&self) -> &PublicKey {
        self.entry.id()
    }

    /// Whether it may send frames of any class: then the roster names it.
    pub(super) const fn may_send(&self) -> bool {
        self.permissions.0 & Permissions::SEND_ALL.0 != 0
    }

    /// The classes it wants from everyone; with [`PICKY`] when it wants more than that, which must be
    /// asked of [`Self::wants`] frame by frame.
    pub(super) fn appetite(&self) -> u8 {
        if self.stale || !self.permissions.allows(Permissions::RECEIVE) {
            return 0;
        }
        let from_all =
            |wish: &&Wish| wish.node.get() == ALL_NODES && wish.stream.get() == ALL_STREAMS;
        let classes = self.wishes.iter().filter(from_all).fold(0, |all, wish| all | wish.classes);
        let picky = self.wishes.iter().any(|wish| !from_all(&wish));
        classes & CLASSES | if picky { PICKY } else { 0 }
    }

    /// Whether it asked for frames of `class` from `node` on `stream`. What belongs to no stream goes to
    /// those who want all of them.
    pub(super) fn wants(&self, node: NodeId, stream: Option<u16>, class: u8) -> bool {
        let stream = stream.unwrap_or(ALL_STREAMS);
        self.wishes.iter().any(|wish| wish.covers(node, stream, class))
    }

    /// Its line in the roster.
    pub(super) fn line(&self) -> RosterEntry {
        let link = self.entry.active().map(|active| &active.link);
        RosterEntry {
            node: self.node.0.into(),
            id_pub: *self.id().as_bytes(),
            inst: link.map_or([0; 16], |link| link.inst.0),
            conn: link.map_or(0, |link| link.conn),
            phase: if self.stale { roster_phase::STALE } else { roster_phase::ACTIVE },
            perms: self.permissions.0.into(),
        }
    }
}
