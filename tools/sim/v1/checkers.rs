//! The laws of wire v1, one file each.
//!
//! After every cycle of a shard the world lays out what the shard was handed, what it sent, what it said
//! and what it counted, beside the mirror and the ledger ([`Step`]). What a law must remember from cycle
//! to cycle stands in the [`Books`], which are new after a restart. The laws about what participants are
//! handed ([`delivery`]) and about time to come ([`healing`], [`ending`]) look at moments the world knows.

pub(crate) mod answers;
pub(crate) mod balance;
pub(crate) mod bounds;
pub(crate) mod completeness;
pub(crate) mod delivery;
pub(crate) mod doors;
pub(crate) mod ending;
pub(crate) mod healing;
pub(crate) mod hidden;
pub(crate) mod identity;
pub(crate) mod membership;
pub(crate) mod nonces;
pub(crate) mod notices;
pub(crate) mod once;
pub(crate) mod views;

use std::collections::{HashMap, HashSet};

use elara_core::time::Instant;
use elara_core::{ClientAddr, NodeId, SessionId};
use elara_shards::command::SessionView;
use elara_shards::io::memory::Outcome;
use elara_shards::{Counters, Notice};

use super::frames::{self, Kind, handshake};
use super::ledger::{Fate, Ledger, Line, Sealed};
use super::mirror::{Hearing, Mirror, Name};
use crate::checkers::Broken;

/// One cycle of one shard.
pub(crate) struct Step<'a> {
    pub(crate) at: Instant,
    /// The cycle's time before this one.
    pub(crate) before: Instant,
    /// What the shard was handed, in order.
    pub(crate) heard: Vec<Heard<'a>>,
    /// In how many messages that came.
    pub(crate) trains: u64,
    /// What it sent, in order, whatever became of it.
    pub(crate) sent: Vec<Left<'a>>,
    /// What it said about members, in order.
    pub(crate) notices: Vec<Notice>,
    /// Sessions it described.
    pub(crate) views: Vec<SessionView>,
    /// What it counted until the cycle before.
    pub(crate) counted: Counters,
    /// What it has counted by the end of this one.
    pub(crate) counters: Counters,
    pub(crate) max_peers: usize,
    pub(crate) mirror: &'a Mirror,
    pub(crate) ledger: &'a Ledger,
}

/// A datagram that was handed to the shard.
pub(crate) struct Heard<'a> {
    pub(crate) from: ClientAddr,
    pub(crate) bytes: &'a [u8],
    /// Its frames, up to the first that proves nothing.
    pub(crate) frames: Vec<Piece<'a>>,
}

/// A frame of it.
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) digest: u64,
    /// What the ledger says of it; `None` when nobody sealed it.
    pub(crate) sealed: Option<&'a Sealed>,
    pub(crate) hearing: Hearing,
    /// It is no part of a bundle.
    pub(crate) alone: bool,
}

/// A datagram that the shard sent.
pub(crate) struct Left<'a> {
    pub(crate) to: ClientAddr,
    pub(crate) bytes: &'a [u8],
    pub(crate) digest: u64,
    /// [`Kind::Other`] of a bundle.
    pub(crate) kind: Kind,
    /// The data frames in it, by digest; `None` when it is neither a data frame nor a bundle of them.
    pub(crate) data: Option<Vec<u64>>,
    pub(crate) outcome: Outcome,
}

/// What laws remember of one life of a shard.
#[derive(Default)]
pub(crate) struct Books {
    /// Bytes from and to each address that has proven nothing.
    credit: HashMap<ClientAddr, (u64, u64)>,
    /// What was sent under each key and number.
    numbers: HashMap<(Name, u32, u32), u64>,
    /// What was sent under each ephemeral key.
    welcomes: HashMap<[u8; 32], u64>,
    /// WELCOMEs that have left.
    offered: HashSet<Line>,
}

/// A law about one cycle.
pub(crate) type Law = fn(&Step<'_>, &mut Books) -> Result<(), Broken>;

/// The laws about one cycle, in the order that names a failure best.
pub(crate) const LAWS: [(&str, Law); 12] = [
    ("canary", hidden::check),
    ("identity", identity::check),
    ("once", once::check),
    ("membership", membership::check),
    ("completeness", completeness::check),
    ("nonces", nonces::check),
    ("answers", answers::check),
    ("doors", doors::check),
    ("notices", notices::check),
    ("balance", balance::check),
    ("bounds", bounds::check),
    ("views", views::check),
];

impl Heard<'_> {
    /// What it is, for the trace.
    pub(crate) fn is(&self) -> &'static str {
        match self.frames.as_slice() {
            [Piece { hearing, .. }] if hearing.activates => "genuine, the first of its connection",
            [Piece { hearing, .. }] if hearing.genuine && hearing.again => "genuine, again",
            [Piece { hearing, .. }] if hearing.genuine => "genuine",
            [Piece { sealed: Some(_), .. }] => "of a connection that is not here",
            [_] | [] => "strange",
            _ => "a bundle",
        }
    }
}

impl<'a> Step<'a> {
    /// The frames that may be passed on, each once.
    pub(crate) fn candidates(&self) -> HashMap<u64, &'a Sealed> {
        let pieces = self.heard.iter().flat_map(|heard| &heard.frames);
        pieces
            .filter(|piece| piece.hearing.genuine && frames::kind_of(piece.bytes) == Kind::Data)
            .filter_map(|piece| Some((piece.digest, piece.sealed?)))
            .filter(|(_, sealed)| sealed.fate == Fate::Good)
            .collect()
    }

    /// Where each data frame went that left, by digest, in the order they left.
    pub(crate) fn errands(&self) -> Vec<(u64, Vec<ClientAddr>)> {
        let mut errands: Vec<(u64, Vec<ClientAddr>)> = Vec::new();
        for left in &self.sent {
            for frame in left.data.iter().flatten() {
                match errands.iter_mut().rev().find(|(digest, _)| digest == frame) {
                    Some((_, addrs)) => addrs.push(left.to),
                    None => errands.push((*frame, vec![left.to])),
                }
            }
        }
        errands
    }

    /// The WELCOMEs that left: to whom, where to, and which connection each offers.
    pub(crate) fn welcomes(&self) -> impl Iterator<Item = (Name, ClientAddr, Line)> {
        let answers = self.sent.iter().filter(|left| left.kind == Kind::Handshake);
        answers.filter(|left| frames::profile_of(left.bytes) == handshake::WELCOME).filter_map(
            |left| {
                let (session, node) = frames::names_of(left.bytes)?;
                Some(((SessionId(session), NodeId(node)), left.to, left.digest))
            },
        )
    }
}
