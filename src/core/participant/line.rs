//! One connection as the client sees it, and the two places there are for them.
//!
//! ```text
//!            welcome                first control by it               another is proven
//!   empty ------------->  fresh  -------------------------> active ----------------------> ending
//!     ^     5 s are over |                                                                   |
//!     '------------------'<------------------------------------------------ 3 s are over ----'
//! ```
//! Places are filed under the parity of the connection's number, as at the relay. Data goes by the
//! active one until another is proven, and for a moment longer while the one before works: nothing is
//! sent into the unknown, and nothing that receivers have no key for yet. Core frames are repaired on
//! the connection they were sealed for, also while it ends.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::control::micros;
use super::receipts::Receipts;
use crate::crypto::handshake::{Link, Terms};
use crate::crypto::seal::Sealer;
use crate::limits::{
    CHALLENGES_MAX, CONNECTION_LIFE, CORE_CHECK, DATA_FOLLOWS, HALF_OPEN, OLD_CONNECTION,
    PING_BRISK, PING_MS, PINGS_REMEMBERED, PINGS_UNANSWERED, WISH_FIRST, WISH_LONGEST,
};
use crate::time::{Instant, Span};
use crate::wire::v1::Wished;

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: Box<Link>,
    pub(super) sealer: Sealer,
    pub(super) terms: Terms,
    began: Instant,
    /// The relay has said something by it.
    pub(super) proven: bool,
    pub(super) pings: Pings,
    pub(super) subscribe: Stated,
    pub(super) mine: Stated,
    pub(super) receipts: Receipts,
    pub(super) challenges: VecDeque<[u8; 8]>,
}

impl Line {
    pub(super) fn new(link: Box<Link>, sealer: Sealer, terms: Terms, now: Instant) -> Self {
        let pings = Pings::new(link.conn, now);
        Self {
            link,
            sealer,
            terms,
            began: now,
            proven: false,
            pings,
            subscribe: Stated::default(),
            mine: Stated::default(),
            receipts: Receipts::default(),
            challenges: VecDeque::new(),
        }
    }

    /// Between two pings.
    pub(super) fn ping_pause(&self) -> Span {
        if !self.proven || self.pings.brisk || self.pings.unconfirmed || self.is_degraded() {
            return PING_BRISK;
        }
        Span::from_millis(u64::from(self.terms.ping_ms).clamp(PING_MS.min, PING_MS.max))
    }

    /// Whether the last pings have no answer.
    pub(super) const fn is_degraded(&self) -> bool {
        self.pings.unanswered >= PINGS_UNANSWERED
    }

    /// Whether nothing says that the relay does not know this connection.
    const fn works(&self) -> bool {
        !self.is_degraded() && !self.pings.brisk
    }

    pub(super) fn wants_rekey(&self, now: Instant) -> bool {
        self.link.sending.wants_rekey()
            || self.link.receiving.wants_rekey()
            || now >= self.life_ends()
    }

    pub(super) fn life_ends(&self) -> Instant {
        self.began + CONNECTION_LIFE
    }

    pub(super) fn challenge(&mut self, challenge: [u8; 8]) {
        if self.challenges.len() >= CHALLENGES_MAX {
            self.challenges.pop_front();
        }
        self.challenges.push_back(challenge);
    }
}

/// When to ping, and what was answered.
#[derive(Debug)]
pub(super) struct Pings {
    pub(super) next: Instant,
    /// Until the next answer, ping often: the address has changed, or a RESET came.
    brisk: bool,
    /// A Core frame has gone out of which no answer tells yet; when the last one did.
    unconfirmed: bool,
    core_sent: Instant,
    unanswered: u32,
    first_id: u32,
    next_id: u32,
    /// The last ones sent, under their number modulo how many.
    sent: [Option<Sent>; PINGS_REMEMBERED],
}

/// A ping that went out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    id: u32,
    pub(super) at: Instant,
    /// What it said the next Core frame would be.
    pub(super) next_core: u32,
}

/// Whose answer a PONG is.
pub(super) enum Answer {
    /// No ping of ours was like this.
    Foreign,
    /// A ping's that is not remembered, or was answered before.
    Late,
    /// This one's.
    To(Sent),
}

impl Pings {
    /// Numbers begin with the connection's: a relay answers by the active connection, also pings that
    /// came by the one before.
    const fn new(conn: u8, now: Instant) -> Self {
        Self {
            next: now,
            brisk: false,
            unconfirmed: false,
            core_sent: Instant::ZERO,
            unanswered: 0,
            first_id: (conn as u32) << 24,
            next_id: (conn as u32) << 24,
            sent: [None; PINGS_REMEMBERED],
        }
    }

    /// The connection whose ping has this number.
    pub(super) const fn conn_of(id: u32) -> u8 {
        (id >> 24) as u8
    }

    pub(super) const fn hurry(&mut self, now: Instant) {
        self.next = now;
        self.brisk = true;
    }

    /// A Core frame goes out: soon, the relay is asked whether it has come.
    pub(super) fn core_sent(&mut self, now: Instant) {
        self.unconfirmed = true;
        self.core_sent = now;
        self.next = self.next.min(now + CORE_CHECK);
    }

    /// The number of the ping that goes out.
    pub(super) fn send(&mut self, now: Instant, next_core: u32) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
        self.sent[id as usize % PINGS_REMEMBERED] = Some(Sent { id, at: now, next_core });
        id
    }

    /// An answer came to the ping of this number and time: that one, if it is remembered.
    pub(super) fn answered(&mut self, id: u32, t_client_us: u64) -> Answer {
        if !(self.first_id..self.next_id).contains(&id) {
            return Answer::Foreign;
        }
        let place = &mut self.sent[id as usize % PINGS_REMEMBERED];
        let answer = match *place {
            Some(sent) if sent.id == id && micros(sent.at) != t_client_us => {
                return Answer::Foreign;
            }
            Some(sent) if sent.id == id => {
                *place = None;
                Answer::To(sent)
            }
            _ => Answer::Late,
        };
        self.unanswered = 0;
        self.brisk = false;
        answer
    }

    /// The answer to `sent` misses no Core frame that could go out again.
    pub(super) fn confirmed(&mut self, sent: &Sent) {
        if sent.at >= self.core_sent {
            self.unconfirmed = false;
        }
    }

    pub(super) const fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }
}

/// A wish on one connection: stated until it is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub(super) wished: Wished,
    next: Instant,
    pause: Span,
}

impl Stated {
    pub(super) fn change(&mut self, now: Instant) {
        self.wished.change();
        self.next = now;
        self.pause = WISH_FIRST;
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.wished.pending().map(|_| self.next)
    }

    pub(super) fn said(&mut self, now: Instant) {
        self.next = now + self.pause;
        self.pause = Span::from_nanos(self.pause.as_nanos() * 2).min(WISH_LONGEST);
    }
}

/// The two places.
#[derive(Debug, Default)]
pub(super) struct Lines {
    places: [Option<Box<Line>>; 2],
    /// The parity of the active one.
    active: Option<usize>,
    /// Until when the other place's proven line still receives.
    ending: Instant,
    /// Until when data goes by it, because the roster has not told everyone of the active one.
    trails: Option<Instant>,
}

impl Lines {
    /// Takes in a line that was welcomed. One in the same place has ended, even the active one: a
    /// relay that knew it would have chosen the other parity.
    pub(super) fn welcome(&mut self, mut line: Line) {
        let parity = usize::from(line.link.conn & 1);
        self.trails = None;
        if self.active == Some(parity) {
            self.active = None;
        }
        if self.active.is_none() {
            self.places[1 - parity] = None;
            // Nothing is sent to us before this connection: all that comes is by it.
            line.receipts.begin();
        }
        self.places[parity] = Some(Box::new(line));
    }

    /// The line in the place of `parity`, if it still receives.
    pub(super) fn receiving(&mut self, parity: bool, now: Instant) -> Option<&mut Line> {
        let parity = usize::from(parity);
        let ended = self.active == Some(1 - parity) && now >= self.ending;
        let line = self.places[parity].as_deref_mut()?;
        (!(ended && line.proven)).then_some(line)
    }

    /// The relay has spoken by the line of `parity` for the first time: it is the active one.
    pub(super) fn prove(&mut self, parity: bool, now: Instant) {
        let parity = usize::from(parity);
        if self.active != Some(parity) {
            let works = self.active().is_some_and(Line::works);
            self.trails = works.then_some(now + DATA_FOLLOWS);
            self.active = Some(parity);
            self.ending = now + OLD_CONNECTION;
        }
        if let Some(line) = &mut self.places[parity] {
            line.proven = true;
            line.receipts.begin();
            line.receipts.first_datagram();
        }
    }

    pub(super) fn active(&self) -> Option<&Line> {
        self.places[self.active?].as_deref()
    }

    pub(super) fn active_mut(&mut self) -> Option<&mut Line> {
        self.places[self.active?].as_deref_mut()
    }

    pub(super) const fn has_active(&self) -> bool {
        self.active.is_some()
    }

    pub(super) fn is_active(&self, parity: bool) -> bool {
        self.active == Some(usize::from(parity))
    }

    /// The line that was welcomed and has not been heard of since.
    pub(super) fn fresh_mut(&mut self) -> Option<&mut Line> {
        self.places.iter_mut().flatten().find(|line| !line.proven).map(|line| &mut **line)
    }

    pub(super) fn fresh(&self) -> Option<&Line> {
        self.places.iter().flatten().find(|line| !line.proven).map(|line| &**line)
    }

    /// What data goes by: the active line or for a moment the one before it, or else the fresh one.
    pub(super) fn sending_mut(&mut self) -> Option<&mut Line> {
        match self.active {
            Some(parity) if self.trails.is_some() => self.places[1 - parity].as_deref_mut(),
            _ => self.speaking_mut(),
        }
    }

    /// What data goes by: the active line or for a moment the one before it, or else the fresh one.
    pub(super) fn sending(&self) -> Option<&Line> {
        let before = self.ending().filter(|_| self.trails.is_some());
        before.or_else(|| self.speaking())
    }

    /// What control goes by: the active line, or else the fresh one.
    pub(super) fn speaking(&self) -> Option<&Line> {
        self.active().or_else(|| self.fresh())
    }

    /// What control goes by: the active line, or else the fresh one.
    pub(super) fn speaking_mut(&mut self) -> Option<&mut Line> {
        match self.active {
            Some(parity) => self.places[parity].as_deref_mut(),
            None => self.fresh_mut(),
        }
    }

    /// The line before the active one, while it still receives.
    pub(super) fn ending(&self) -> Option<&Line> {
        self.places[1 - self.active?].as_deref().filter(|line| line.proven)
    }

    /// The line before the active one, while it still receives.
    pub(super) fn ending_mut(&mut self) -> Option<&mut Line> {
        self.places[1 - self.active?].as_deref_mut().filter(|line| line.proven)
    }

    /// The line of connection `conn`, whatever has become of it.
    pub(super) fn of_mut(&mut self, conn: u8) -> Option<&mut Line> {
        let line = self.places[usize::from(conn & 1)].as_deref_mut();
        line.filter(|line| line.link.conn == conn)
    }

    /// Whether a frame sealed for connection `conn` may still be sent.
    pub(super) fn has(&self, conn: u8) -> bool {
        self.places[usize::from(conn & 1)].as_ref().is_some_and(|line| line.link.conn == conn)
    }

    /// When data follows to the active line.
    pub(super) const fn follows(&self) -> Option<Instant> {
        self.trails
    }

    /// A line with a challenge to answer.
    pub(super) fn challenged_mut(&mut self) -> Option<&mut Line> {
        let challenged = |line: &&mut Box<Line>| !line.challenges.is_empty();
        self.places.iter_mut().flatten().find(challenged).map(|line| &mut **line)
    }

    pub(super) fn is_challenged(&self) -> bool {
        self.places.iter().flatten().any(|line| !line.challenges.is_empty())
    }

    /// Calls `change` on every line that wishes are stated on.
    pub(super) fn each_mut(&mut self, mut change: impl FnMut(&mut Line)) {
        self.places.iter_mut().flatten().for_each(|line| change(line));
    }

    /// Ends what has lasted long enough; whether a line has ended.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.places.iter().flatten().count();
        self.trails = self.trails.filter(|until| now < *until);
        if self.fresh_ends().is_some_and(|end| now >= end) {
            self.places
                .iter_mut()
                .filter(|place| place.as_ref().is_some_and(|line| !line.proven))
                .for_each(|place| *place = None);
        }
        if let Some(active) = self.active
            && now >= self.ending
            && self.places[1 - active].as_ref().is_some_and(|line| line.proven)
        {
            self.places[1 - active] = None;
        }
        self.places.iter().flatten().count() < before
    }

    /// When the fresh line is given up.
    pub(super) fn fresh_ends(&self) -> Option<Instant> {
        self.fresh().map(|line| line.began + HALF_OPEN)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
