//! A session of wire v1 as its shard keeps it: the members in one row, for the fan-out to walk.

use elara_core::crypto::PublicKey;
use elara_core::limits::{KICKED_PER_SESSION_MAX, LIVELY_FRAMES};
use elara_core::time::Instant;
use elara_core::wire::v1::control::{RosterEntry, StreamsEntry};
use elara_core::{ClientAddr, SessionId};

use super::bulletin::Bulletin;
use super::hold::Hold;
use crate::departures::Outlet;

/// A session.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: SessionId,
    pub(super) opened: Instant,
    /// Data frames taken in.
    pub(super) frames: u64,
    /// Everyone in it; the order means nothing.
    pub(super) members: Vec<Member>,
    /// Those of them that may send.
    pub(super) senders: usize,
    /// Streams that all of them announce together.
    pub(super) streams: usize,
    pub(super) roster: Bulletin<RosterEntry>,
    pub(super) playbill: Bulletin<StreamsEntry>,
    /// When the next marks are due; `None` while nobody has been sent anything since the last.
    pub(super) marks_due: Option<Instant>,
    /// Members below this place have not been looked at for a mark.
    pub(super) unmarked: usize,
    /// Small frames that wait; made when a member first grants that.
    pub(super) hold: Option<Box<Hold>>,
    /// What is about to leave.
    pub(super) outlet: Outlet,
    /// Data frames taken in when it was last looked at how lively it is.
    pub(super) frames_then: u64,
    /// So many frames come that those of a millisecond are worth putting together.
    pub(super) lively: bool,
    /// It stands in line for its chores.
    pub(super) busy: bool,
    /// Who was sent away, oldest first: they do not come back while the session lives.
    kicked: Vec<PublicKey>,
}

/// One who is in it: a cache line, so that the fan-out reads nothing else.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Member {
    /// Its address.
    pub(super) addr: ClientAddr,
    /// When it was last heard from there.
    pub(super) heard: Instant,
    /// Its number.
    pub(super) participant: u32,
    /// Bit n: it takes class n from everyone; [`PICKY`]: some streams besides, which the participant
    /// says.
    pub(super) classes: u8,
    /// How long its small frames may wait, in milliseconds.
    pub(super) hold: u8,
    /// It has been sent frames since its last mark.
    pub(super) fresh: bool,
    /// It has shown that it receives at its address. Nothing but challenges is sent to who has not.
    pub(super) proven: bool,
    /// Datagrams the kernel has taken for it since its connection became active.
    pub(super) sent: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The wrapping sum over the last eight bytes of each Core frame among them.
    pub(super) core_digest: u64,
}

/// In [`Member::classes`].
pub(super) const PICKY: u8 = 1 << 7;

const _: () = assert!(size_of::<Member>() == 64);

impl Member {
    pub(super) const fn new(
        addr: ClientAddr,
        participant: u32,
        proven: bool,
        now: Instant,
    ) -> Self {
        Self {
            addr,
            heard: now,
            proven,
            participant,
            classes: 0,
            hold: 0,
            fresh: false,
            sent: 0,
            bytes: 0,
            core_digest: 0,
        }
    }

    /// Whether it takes everything in `classes`, from whomever.
    #[inline]
    pub(super) const fn takes_all(&self, classes: u8) -> bool {
        self.classes & classes == classes
    }

    /// What its sends are tagged with.
    #[inline]
    pub(super) const fn tag(&self) -> u32 {
        self.participant + 1
    }

    /// More datagrams are on their way to it.
    #[inline]
    pub(super) const fn count(&mut self, datagrams: u64, bytes: usize) {
        self.sent += datagrams;
        self.bytes += bytes as u64;
    }
}

impl Room {
    pub(super) fn new(id: SessionId, now: Instant) -> Self {
        Self {
            id,
            opened: now,
            frames: 0,
            members: Vec::new(),
            senders: 0,
            streams: 0,
            roster: Bulletin::new(),
            playbill: Bulletin::new(),
            marks_due: None,
            unmarked: 0,
            hold: None,
            outlet: Outlet::default(),
            frames_then: 0,
            lively: false,
            busy: false,
            kicked: Vec::new(),
        }
    }

    /// Looks at how lively it is: after a mark's time.
    pub(super) fn feel_pulse(&mut self) {
        let frames = self.frames - std::mem::replace(&mut self.frames_then, self.frames);
        self.lively = frames >= LIVELY_FRAMES;
        if self.lively {
            self.hold.get_or_insert_with(|| Box::new(Hold::new()));
        }
    }

    /// Members that may not send: the roster counts them.
    pub(super) fn others(&self) -> u32 {
        (self.members.len() - self.senders) as u32
    }

    /// Whether `id` was sent away.
    pub(super) fn has_kicked(&self, id: &PublicKey) -> bool {
        self.kicked.contains(id)
    }

    /// `id` does not come back; of too many, the one that was sent away first may.
    pub(super) fn kick(&mut self, id: PublicKey) {
        if self.kicked.len() == KICKED_PER_SESSION_MAX {
            self.kicked.remove(0);
        }
        self.kicked.push(id);
    }

    /// When there is something to do besides forwarding.
    pub(super) fn chores_due(&self) -> Option<Instant> {
        [self.roster.due(), self.playbill.due(), self.marks_due].into_iter().flatten().min()
    }
}
