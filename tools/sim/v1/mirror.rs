//! What a shard should believe: who is in, where, by which connection, and what they asked for.
//!
//! Written from the text of the wire, from genuine frames that reached the shard and from what it
//! said about members; it shares no code with it. Where the shard may decide either way (a rate, a
//! window, two things in one cycle) the mirror keeps both answers: a frame *may* go to whoever it
//! could rightly go to, and *must* go to whoever could not rightly be left out.
//!
//! ```text
//!   WELCOME leaves ─▶ half-open 5 s ─▶ first genuine frame: live ─▶ another is: ending 3 s
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use elara_core::crypto::Permissions;
use elara_core::limits::V1_SILENCE;
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, NodeId, SessionId};
use elara_shards::Notice;

use super::club;
use super::ledger::{Asks, Fate, Ledger, Line, Sealed, WishId};

const HALF_OPEN: Span = Span::from_secs(5);
const ENDING: Span = Span::from_secs(3);
/// A silent member is sent nothing more.
pub(crate) const STALE: Span = Span::from_secs(30);
/// How coarse a shard's timers may be, and how busy.
pub(crate) const LATE: Span = Span::from_secs(2);

/// How long a frame may wait for a receiver who lets it: 5 ms, a stall of the shard, and a busy cycle.
const WAITS_MAX: Span = Span::from_millis(70);

/// Seconds after which a token has run out for sure: the skew of clocks, and a timer's delay.
const EXPIRED_S: u64 = 60 + 4;

/// A participant's name.
pub(crate) type Name = (SessionId, NodeId);

/// What a shard should believe.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) rooms: BTreeMap<SessionId, BTreeMap<NodeId, Seat>>,
    standings: BTreeMap<Name, Standing>,
    /// Genuine frames that have reached it, by digest.
    seen: HashSet<u64>,
    /// Those it has passed on, and where to.
    passed: HashMap<u64, Vec<ClientAddr>>,
    /// Where members were a moment ago, and until when.
    vacated: Vec<(Name, ClientAddr, Instant)>,
    /// Those that may still wait for receivers who let them, and since when.
    waiting: BTreeMap<u64, Instant>,
    /// The newest number of each connection and class.
    newest: BTreeMap<(Line, u8), u32>,
    /// The connections that each participant has had.
    granted: BTreeMap<Name, Vec<Line>>,
    /// Addresses from which someone has proven to be there.
    pub(crate) proven: HashSet<ClientAddr>,
}

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Where it was in this cycle; the last is where it is.
    pub(crate) addrs: Vec<ClientAddr>,
    /// It joined in this cycle, or came back from silence.
    pub(crate) joined: bool,
    pub(crate) left: bool,
    /// It receives at its address: possibly, and for certain. What proves it is a WELCOME that went there,
    /// or the answer to a challenge that did.
    perhaps_proven: bool,
    surely_proven: bool,
    /// The subscription it has stated, for certain.
    asked: Option<WishId>,
    /// Those it may have stated instead.
    perhaps: Vec<WishId>,
    /// The same, for this cycle only.
    lately: Vec<WishId>,
    /// It has stated its first subscription in this cycle.
    begun: bool,
    /// When it was last heard: at the latest, and at least.
    pub(crate) heard: Instant,
    /// When it last said anything, from wherever.
    spoke: Instant,
    surely_heard: Instant,
}

/// The connections of one who was welcomed.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// The last WELCOME, and where it went.
    welcome: Line,
    welcomed_at: Option<ClientAddr>,
    half_open: Option<(Line, Instant)>,
    live: Option<Line>,
    ending: Option<(Line, Instant)>,
    /// How many connections have been live: names a key towards the participant.
    generation: u32,
    /// Which of them were in this cycle, under their parity.
    sending: [Option<u32>; 2],
}

/// What should become of a genuine frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hearing {
    /// It verifies: its sender is heard.
    pub(crate) genuine: bool,
    /// It made its connection live.
    pub(crate) activates: bool,
    /// It has come before.
    pub(crate) again: bool,
}

impl Mirror {
    /// A genuine frame has reached the shard; `alone` when it is no part of a bundle.
    #[expect(clippy::too_many_arguments, reason = "a frame, how it came, and what is known of it")]
    pub(crate) fn hear(
        &mut self,
        digest: u64,
        sealed: &Sealed,
        parity: usize,
        alone: bool,
        from: ClientAddr,
        now: Instant,
        ledger: &Ledger,
    ) -> Hearing {
        if sealed.fate == Fate::Malformed {
            return Hearing::default();
        }
        let again = !self.seen.insert(digest);
        let name = (sealed.session, sealed.node);
        let Some(standing) = self.standings.get_mut(&name) else { return Hearing::default() };
        let line = sealed.line;
        let holds = |place: Option<(Line, Instant)>| {
            place.is_some_and(|(held, until)| held == line && now < until)
        };
        let activates = holds(standing.half_open);
        let proves = activates && standing.welcomed_at == Some(from);
        if activates {
            standing.ending = standing.live.map(|live| (live, now + ENDING));
            standing.live = Some(line);
            standing.half_open = None;
            standing.generation += 1;
            standing.sending[parity] = Some(standing.generation);
            if proves {
                self.proven.insert(from);
            }
            self.granted.entry(name).or_default().push(line);
        }
        let genuine = standing.live == Some(line) || holds(standing.ending);
        if !genuine {
            return Hearing { again, ..Hearing::default() };
        }
        let newest = self.newest.entry((line, sealed.class)).or_insert(sealed.seq);
        let in_order = !again && sealed.seq >= *newest;
        *newest = sealed.seq.max(*newest);
        if let Some(seat) = self.rooms.get_mut(&name.0).and_then(|room| room.get_mut(&name.1)) {
            if proves && seat.addrs.contains(&from) {
                (seat.perhaps_proven, seat.surely_proven) = (true, true);
            }
            let sure = in_order && alone && !ledger.is_limited(line) && sealed.fate == Fate::Good;
            let receives = ledger.has_been_at(sealed.session, sealed.node, from);
            if sealed.may_answer && receives && seat.addrs.contains(&from) {
                // What comes from elsewhere and answers is a move, of which the shard tells.
                seat.perhaps_proven = true;
                self.proven.insert(from);
            }
            seat.hear(sealed, from, again, sure, now);
        }
        Hearing { genuine, activates, again }
    }

    /// The shard says that something about a member has changed.
    pub(crate) fn notice(&mut self, notice: &Notice, now: Instant) {
        match *notice {
            Notice::SessionOpened { .. } | Notice::SessionEnded { .. } => {}
            Notice::Joined { session, node, addr } => {
                let standing = self.standings.get(&(session, node));
                let proven = standing.is_some_and(|them| them.welcomed_at == Some(addr));
                let seat = Seat {
                    addrs: vec![addr],
                    joined: true,
                    left: false,
                    perhaps_proven: proven,
                    surely_proven: proven,
                    asked: None,
                    perhaps: Vec::new(),
                    lately: Vec::new(),
                    begun: false,
                    heard: now,
                    spoke: now,
                    surely_heard: now,
                };
                self.rooms.entry(session).or_default().insert(node, seat);
            }
            Notice::Moved { session, node, addr } => {
                self.proven.insert(addr);
                if let Some(seat) = self.seat_mut(session, node) {
                    seat.addrs.push(addr);
                    (seat.perhaps_proven, seat.surely_proven) = (true, true);
                    (seat.heard, seat.surely_heard) = (now, now);
                }
            }
            Notice::Left { session, node, .. } => {
                if let Some(seat) = self.seat_mut(session, node) {
                    seat.left = true;
                }
                if let Some(standing) = self.standings.get_mut(&(session, node)) {
                    (standing.live, standing.ending, standing.half_open) = (None, None, None);
                }
            }
        }
    }

    /// Of those who joined in this cycle: what they have said in it. `sure` of the frame that let them in,
    /// when it came alone.
    pub(crate) fn catch_up(
        &mut self,
        sealed: &Sealed,
        from: ClientAddr,
        sure: bool,
        ledger: &Ledger,
        now: Instant,
    ) {
        let sure = sure && !ledger.is_limited(sealed.line) && sealed.fate == Fate::Good;
        let seat = self.seat_mut(sealed.session, sealed.node);
        if let Some(seat) = seat.filter(|seat| seat.joined) {
            seat.hear(sealed, from, false, sure, now);
        }
    }

    /// A WELCOME leaves: another half-open connection, and one that is ending, make room.
    pub(crate) fn welcome(&mut self, name: Name, to: ClientAddr, welcome: Line, now: Instant) {
        let standing = self.standings.entry(name).or_default();
        if standing.welcome != welcome {
            standing.welcome = welcome;
            standing.welcomed_at = Some(to);
            standing.half_open = Some((welcome, now + HALF_OPEN));
            standing.ending = None;
        }
    }

    /// Frames were passed on in this cycle; others may be later.
    pub(crate) fn pass(
        &mut self,
        passed: Vec<(u64, Vec<ClientAddr>)>,
        candidates: Vec<u64>,
        now: Instant,
    ) {
        for (digest, addrs) in passed {
            self.passed.entry(digest).or_default().extend(addrs);
        }
        self.waiting.retain(|_, since| now < *since + WAITS_MAX);
        for digest in candidates {
            self.waiting.entry(digest).or_insert(now);
        }
    }

    /// Where a frame has gone before.
    pub(crate) fn passed(&self, digest: u64) -> &[ClientAddr] {
        self.passed.get(&digest).map_or(&[], Vec::as_slice)
    }

    /// Whether a frame that came before may leave in this cycle, for those who let it wait.
    pub(crate) fn waits(&self, digest: u64) -> bool {
        self.waiting.contains_key(&digest)
    }

    /// Someone who should not be here any more: silent for too long, or with a token that has run out.
    pub(crate) fn overdue(&self, ledger: &Ledger, now: Instant) -> Option<Name> {
        let everyone = self.rooms.iter().flat_map(|(session, room)| {
            room.iter().map(move |(node, seat)| ((*session, *node), seat))
        });
        let today = u64::from(club::today(now));
        let overdue = |name: Name, seat: &Seat| {
            let live = self.standings.get(&name).and_then(|standing| standing.live);
            let expires = live.and_then(|line| ledger.claims(line)).map(|claims| claims.expires);
            let expired = expires.is_some_and(|expires| u64::from(expires) + EXPIRED_S < today);
            expired || now > seat.spoke + V1_SILENCE + LATE
        };
        everyone.filter(|(name, seat)| overdue(*name, seat)).map(|(name, _)| name).next()
    }

    /// Which key a control frame to `name` is sealed with.
    pub(crate) fn generation(&self, name: Name, parity: usize) -> Option<u32> {
        self.standings.get(&name)?.sending[parity]
    }

    /// How many members of a session besides `sender` are at an address, or were a moment ago.
    pub(crate) fn seats_at(&self, session: SessionId, sender: NodeId, addr: ClientAddr) -> usize {
        let room = self.rooms.get(&session).into_iter().flatten();
        let here = room.filter(|(_, seat)| seat.addrs.contains(&addr)).map(|(node, _)| *node);
        let gone = self.vacated.iter().filter(|((of, _), was, _)| (*of, *was) == (session, addr));
        let gone = gone.map(|((_, node), ..)| *node);
        let nodes: BTreeSet<NodeId> = here.chain(gone).filter(|node| *node != sender).collect();
        nodes.len()
    }

    /// The cycle is over.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.vacated.retain(|(.., until)| now < *until);
        for (session, room) in &mut self.rooms {
            for (node, seat) in room.iter() {
                let stays = usize::from(!seat.left);
                let left = &seat.addrs[..seat.addrs.len() - stays];
                let until = now + WAITS_MAX;
                self.vacated.extend(left.iter().map(|addr| ((*session, *node), *addr, until)));
            }
            room.retain(|_, seat| !seat.left);
            room.values_mut().for_each(Seat::settle);
        }
        self.rooms.retain(|_, room| !room.is_empty());
    }

    pub(crate) fn seat(&self, session: SessionId, node: NodeId) -> Option<&Seat> {
        self.rooms.get(&session)?.get(&node)
    }

    fn seat_mut(&mut self, session: SessionId, node: NodeId) -> Option<&mut Seat> {
        self.rooms.get_mut(&session)?.get_mut(&node)
    }

    /// The last second of the token that a participant is in by.
    pub(crate) fn expires(&self, name: Name, ledger: &Ledger) -> Option<u64> {
        let lines = self.granted.get(&name)?.iter();
        lines.filter_map(|line| ledger.claims(*line)).map(|claims| claims.expires.into()).min()
    }

    /// What a participant may do.
    pub(crate) fn permissions(&self, name: Name, ledger: &Ledger) -> Permissions {
        let live = self.standings.get(&name).and_then(|standing| standing.live);
        let claims = live.and_then(|line| ledger.claims(line));
        claims.map_or(Permissions::NONE, |claims| claims.permissions)
    }

    fn may_receive(&self, name: Name, ledger: &Ledger) -> (bool, bool) {
        let Some(standing) = self.standings.get(&name) else { return (false, false) };
        let lines = [standing.live, standing.ending.map(|(line, _)| line)];
        let mut grants = lines.into_iter().flatten().map(|line| ledger.may_receive(line));
        let all = grants.clone().all(|grant| grant) && standing.live.is_some();
        (grants.any(|grant| grant), all)
    }

    /// Whether `frame` may be sent to a member, and whether it must.
    pub(crate) fn deserves(
        &self,
        frame: &Sealed,
        node: NodeId,
        seat: &Seat,
        ledger: &Ledger,
        now: Instant,
    ) -> (bool, bool) {
        if node == frame.node {
            return (false, false);
        }
        let covers = |wish: &WishId| ledger.covers(*wish, frame.node, frame.stream, frame.class);
        let (some, all) = if seat.left || seat.joined {
            // Its connections may be gone, or may not be known yet.
            (true, false)
        } else {
            self.may_receive((frame.session, node), ledger)
        };
        let doubts = || seat.perhaps.iter().chain(&seat.lately);
        let may = some
            && seat.perhaps_proven
            && now < seat.heard + STALE + LATE
            && seat.asked.iter().chain(doubts()).any(covers);
        let must = all
            && seat.surely_proven
            && !seat.left
            && !seat.joined
            && !seat.begun
            && seat.addrs.len() == 1
            && now.since(seat.surely_heard) < STALE
            && seat.asked.is_some_and(|wish| covers(&wish))
            && doubts().all(covers)
            && seat.asked.iter().chain(doubts()).all(|wish| ledger.holds(*wish) == 0);
        (may, must)
    }
}

impl Seat {
    /// A genuine frame of this member: `sure` when the shard cannot have refused to take it in. Silence is
    /// counted at home.
    fn hear(&mut self, sealed: &Sealed, from: ClientAddr, again: bool, sure: bool, now: Instant) {
        self.spoke = now;
        let home = self.addrs.contains(&from);
        if !again && home {
            self.heard = now;
        }
        if sure && home && self.addrs.len() == 1 && self.surely_proven {
            // Who comes back from silence may have missed what came earlier in this cycle.
            self.joined |= now.since(self.surely_heard) >= STALE;
            self.surely_heard = now;
        }
        match sealed.asks {
            Asks::Nothing => {}
            Asks::Surely(wish) if sure => {
                self.begun |= self.asked.is_none();
                self.lately.extend(self.asked.replace(wish));
                self.lately.append(&mut self.perhaps);
            }
            Asks::Surely(wish) | Asks::Perhaps(wish) => {
                if self.asked != Some(wish) && !self.perhaps.contains(&wish) {
                    self.perhaps.push(wish);
                }
            }
        }
    }

    fn settle(&mut self) {
        self.lately.clear();
        (self.joined, self.begun) = (false, false);
        let last = self.addrs.len() - 1;
        self.addrs.drain(..last);
    }

    /// When it was last heard for certain.
    pub(crate) const fn surely_heard(&self) -> Instant {
        self.surely_heard
    }

    /// Where it is.
    pub(crate) fn addr(&self) -> Option<&ClientAddr> {
        self.addrs.last()
    }
}

#[cfg(test)]
mod tests;
