//! Every genuine frame there is: what anyone with good keys has sealed, known by its digest.
//!
//! Whoever seals enters the frame here before it goes out. So the world knows of every datagram
//! that reaches a shard whether its tag is good, whose it is and what it says, without asking the
//! code that is being checked; a bit that flips on the way makes it a frame that is not in the
//! book. Two laws are kept while writing: no two frames are sealed under one key and number
//! (`nonces`), and nothing readable stands in what goes out (`canary`).

use std::collections::{BTreeSet, HashMap, HashSet};

use elara_core::crypto::{Claims, Permissions};
use elara_core::wire::v1::control::Wish;
use elara_core::{ClientAddr, NodeId, SessionId};

use super::canary::Canaries;
use super::frames;
use crate::checkers::Breach;
use crate::digest;

/// A connection: the digest of the WELCOME that made it.
pub(crate) type Line = u64;
/// A subscription, by its place in the book.
pub(crate) type WishId = usize;

/// One genuine frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) line: Line,
    pub(crate) class: u8,
    pub(crate) seq: u32,
    pub(crate) stream: Option<u16>,
    pub(crate) fate: Fate,
    pub(crate) asks: Asks,
    /// It may hold the answer to a path challenge.
    pub(crate) may_answer: bool,
}

/// What a relay may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Pass it on; or, of class control, read it.
    Good,
    /// Know its sender by it, and pass nothing on.
    Forbidden,
    /// Nothing: it is malformed, for all that its tag is good.
    Malformed,
}

/// What it says about a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Nothing,
    /// It may repeat one.
    Perhaps(WishId),
    /// It states one.
    Surely(WishId),
}

/// The book.
pub(crate) struct Ledger {
    frames: HashMap<u64, Sealed>,
    /// What was sealed under each key and number.
    numbers: HashMap<(Line, u8, u32), u64>,
    /// What each connection's token grants.
    lines: HashMap<Line, Claims>,
    /// Subscriptions: what for, and how many milliseconds it may wait.
    wishes: Vec<(Vec<Wish>, u8)>,
    pub(crate) canaries: Canaries,
    /// Attempts of HELLOs that nobody may enter with.
    pub(crate) flawed: HashSet<[u8; 8]>,
    /// Where each participant has been, ever.
    homes: HashSet<(SessionId, NodeId, ClientAddr)>,
    /// Who has said goodbye, ever.
    pub(crate) leaving: BTreeSet<(SessionId, NodeId)>,
    /// Whom someone with the right to has asked to send away, ever.
    pub(crate) kicked: BTreeSet<(SessionId, NodeId)>,
    /// Who was banned, ever.
    pub(crate) banned: BTreeSet<(SessionId, NodeId)>,
}

impl Ledger {
    pub(crate) fn new(canaries: Canaries) -> Self {
        Self {
            frames: HashMap::new(),
            numbers: HashMap::new(),
            lines: HashMap::new(),
            wishes: Vec::new(),
            canaries,
            flawed: HashSet::new(),
            homes: HashSet::new(),
            leaving: BTreeSet::new(),
            kicked: BTreeSet::new(),
            banned: BTreeSet::new(),
        }
    }

    /// A frame that goes out. The same one again is fine: that is a retransmission.
    ///
    /// # Errors
    /// A law that it breaks.
    pub(crate) fn enter(&mut self, bytes: &[u8], sealed: Sealed) -> Result<(), Breach> {
        self.check_hidden(bytes)?;
        let digest = digest::of(bytes);
        let number = (sealed.line, sealed.class, sealed.seq);
        if *self.numbers.entry(number).or_insert(digest) != digest {
            let Sealed { node, class, seq, .. } = sealed;
            let broken = format!("node {node} sealed two frames of class {class:#x} as {seq}");
            return Err(("nonces", broken));
        }
        self.frames.insert(digest, sealed);
        Ok(())
    }

    /// A datagram that goes out: nothing in it may be readable.
    ///
    /// # Errors
    /// When something is.
    pub(crate) fn check_hidden(&self, bytes: &[u8]) -> Result<(), Breach> {
        match self.canaries.find(bytes) {
            Some(what) => Err(("canary", format!("a participant sent {what} in clear"))),
            None => Ok(()),
        }
    }

    /// The genuine frame with this digest.
    pub(crate) fn find(&self, digest: u64) -> Option<&Sealed> {
        self.frames.get(&digest)
    }

    /// A participant is at an address, and receives there.
    pub(crate) fn settle_at(&mut self, session: SessionId, node: NodeId, addr: ClientAddr) {
        self.homes.insert((session, node, addr));
    }

    /// Whether a participant has ever been there.
    pub(crate) fn has_been_at(&self, session: SessionId, node: NodeId, addr: ClientAddr) -> bool {
        self.homes.contains(&(session, node, addr))
    }

    /// A client was welcomed.
    pub(crate) fn welcome(&mut self, line: Line, claims: Claims) {
        self.lines.insert(line, claims);
    }

    pub(crate) fn claims(&self, line: Line) -> Option<&Claims> {
        self.lines.get(&line)
    }

    pub(crate) fn may_receive(&self, line: Line) -> bool {
        self.claims(line).is_some_and(|claims| claims.permissions.allows(Permissions::RECEIVE))
    }

    /// Whether the relay counts what comes by this connection, and may refuse some of it.
    pub(crate) fn is_limited(&self, line: Line) -> bool {
        self.claims(line).is_none_or(|claims| claims.max_kbps != 0 || claims.max_pps != 0)
    }

    pub(crate) fn wish(&mut self, wishes: &[Wish], hold_ms: u8) -> WishId {
        self.wishes.push((wishes.to_vec(), hold_ms));
        self.wishes.len() - 1
    }

    /// How many milliseconds what a subscription asks for may wait to share a datagram.
    pub(crate) fn holds(&self, wish: WishId) -> u8 {
        self.wishes[wish].1
    }

    /// WIRE 3.5: whether a subscription asks for frames of `class` from `node` on `stream`. What
    /// belongs to no stream goes to those who want all of them.
    pub(crate) fn covers(
        &self,
        wish: WishId,
        node: NodeId,
        stream: Option<u16>,
        class: u8,
    ) -> bool {
        let stream = stream.unwrap_or(0xFFFF);
        self.wishes[wish].0.iter().any(|wish| {
            let from = wish.node.get();
            let of = wish.stream.get();
            (from == 0 || from == node.0)
                && (of == 0xFFFF || of == stream)
                && wish.classes & 1 << class != 0
        })
    }

    /// The frames of a datagram, and what the book says of each.
    pub(crate) fn read<'a>(
        &'a self,
        datagram: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], u64, Option<&'a Sealed>)> {
        frames::split_upward(datagram).map(|frame| {
            let digest = digest::of(frame);
            (frame, digest, self.find(digest))
        })
    }
}
