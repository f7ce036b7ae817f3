//! The handshake desk: HELLO in, WELCOME, RETRY or BUSY out, and RESET for who is not known any more.
//!
//! ```text
//!   arrive:  length, header ─▶ shard ─▶ mac1 ─▶ prefix ─▶ cookie, when loaded ─▶ the same again? ─▶ queue
//!   turn:    Noise ─▶ banned, token, certificate, node ─▶ room? ─▶ WELCOME, half-open
//! ```
//! A turn costs some hundred microseconds, in which nothing is forwarded: one a cycle, a bounded
//! number a second; the excess waits, and what finds the queue full is BUSY. No answer is longer
//! than what it answers.

use std::collections::VecDeque;
use std::sync::Arc;

use elara_core::ClientAddr;
use elara_core::crypto::handshake::{
    Admission, Entry, Guest, Hello, HelloRefused, RESET_LEN, RelayKeys, Terms, WELCOME_LEN,
};
use elara_core::crypto::suite::Suite;
use elara_core::crypto::token::CLOCK_SKEW_S;
use elara_core::crypto::{Permissions, PublicKey, Subject};
use elara_core::keyed::Keyed;
use elara_core::limits::{self, Pace};
use elara_core::random::Random;
use elara_core::time::{Instant, Span};
use elara_core::wire::Header;
use zerocopy::{FromBytes, IntoBytes};

use super::ingress::Origin;
use super::participant::Participant;
use super::prefixes::Prefixes;
use super::rates::{Allowance, Meter};
use crate::access::Access;
use crate::command::Notice;
use crate::forward::Forward;
use crate::io::{Io, Slice};
use crate::steer;
use crate::verdict::Verdict;

const TURNS: Pace = Pace { per_s: limits::HANDSHAKES_PER_S, burst: 8 };
const COOKIELESS: Pace = Pace { per_s: limits::COOKIELESS_PER_S, burst: limits::COOKIELESS_PER_S };

/// Who waits at the desk, and how much has been done there.
#[derive(Debug)]
pub(super) struct Desk {
    queue: VecDeque<Waiting>,
    prefixes: Prefixes,
    turns: Meter,
    cookieless: Meter,
    retries: Meter,
    resets: Meter,
}

/// A HELLO that has passed the cheap checks.
struct Waiting {
    from: ClientAddr,
    hello: Hello,
    /// Who might enter when it came, and which of the relay's keys it names.
    access: Arc<Access>,
    key: usize,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiting({}, ..)", self.from)
    }
}

impl Desk {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self {
            queue: VecDeque::new(),
            prefixes: Prefixes::new(keyed),
            turns: Meter::default(),
            cookieless: Meter::default(),
            retries: Meter::default(),
            resets: Meter::default(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// When the next one has its turn; `None` when nobody waits.
    pub(super) fn next_turn(&self, now: Instant) -> Option<Instant> {
        let pause = if self.has_turn(now) { Span::ZERO } else { Span::from_millis(1) };
        (!self.queue.is_empty()).then_some(now + pause)
    }

    fn has_turn(&self, now: Instant) -> bool {
        self.turns.has(TURNS, now)
    }
}

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// A frame of class handshake: its verdict, or `None` when that comes with its turn.
    #[cold]
    pub(super) fn handle_handshake(&mut self, from: &ClientAddr, slice: Slice) -> Option<Verdict> {
        let Some(access) = &self.v1.access else { return Some(Verdict::V1Closed) };
        let bytes = self.io.bytes(slice);
        let Ok(hello) = Hello::ref_from_bytes(bytes) else { return Some(Verdict::BadHello) };
        if steer::shard_of(hello.header.session_id(), self.rules.shards) != self.rules.index {
            return Some(Verdict::Stray);
        }
        // What is wrong with its header is so under every key: only a mac1 may be another's.
        let mut refused = HelloRefused::Mac1;
        let rang = |keys: &RelayKeys| keys.check_hello(bytes).map_err(|why| refused = why).is_ok();
        let Some(key) = access.relay.iter().position(rang) else { return Some(verdict(refused)) };
        let (hello, access) = (*hello, Arc::clone(access));
        self.receive_hello(from, hello, access, key)
    }

    /// A HELLO from someone who has the join address.
    fn receive_hello(
        &mut self,
        from: &ClientAddr,
        hello: Hello,
        access: Arc<Access>,
        key: usize,
    ) -> Option<Verdict> {
        let now = self.now;
        let keys = &access.relay[key];
        let proven = || keys.check_cookie(&hello, from, self.calendar).is_ok();
        let desk = &mut self.v1.desk;
        // A neighbourhood that has asked enough is asked for cookies: who forges its addresses has none.
        let crowded = !desk.prefixes.admit_stranger(from, now);
        let loaded = self.v1.half_open > limits::COOKIELESS_HALF_OPEN
            || !self.v1.desk.cookieless.take(COOKIELESS, now);
        let cookie = (crowded || loaded) && proven();
        if crowded && cookie && !self.v1.desk.prefixes.admit_proven(from, now) {
            return Some(Verdict::HelloLimited);
        }
        if (crowded || loaded) && !cookie {
            if !self.v1.desk.retries.take(limits::RETRY_PER_SHARD, now) {
                return Some(Verdict::HelloLimited);
            }
            let retry = keys.retry(&hello, from, self.calendar);
            self.reply(from, retry.as_bytes());
            return Some(Verdict::HelloRetried);
        }
        if self.welcome_again(from, &hello) {
            return Some(Verdict::WelcomedAgain);
        }
        if self.v1.desk.queue.len() == limits::DESK_MAX {
            self.reply_busy(from, &hello, keys);
            return Some(Verdict::HelloBusy);
        }
        self.v1.desk.queue.push_back(Waiting { from: *from, hello, access, key });
        None
    }

    /// Gives those who wait their turns; who was answered meanwhile needs none.
    pub(crate) fn serve_desk(&mut self) {
        let mut turns = limits::CYCLE_HANDSHAKES_MAX;
        while turns > 0 && !self.v1.desk.queue.is_empty() && self.v1.desk.has_turn(self.now) {
            let Some(waiting) = self.v1.desk.queue.pop_front() else { return };
            let again = self.welcome_again(&waiting.from, &waiting.hello);
            let verdict = if again {
                Verdict::WelcomedAgain
            } else {
                turns -= 1;
                let _ = self.v1.desk.turns.take(TURNS, self.now);
                self.take_turn(&waiting)
            };
            self.counters.count(verdict);
        }
    }

    /// Nobody is welcomed any more.
    pub(crate) fn close_desk(&mut self) {
        while self.v1.desk.queue.pop_front().is_some() {
            self.counters.count(Verdict::HelloBusy);
        }
    }

    fn take_turn(&mut self, waiting: &Waiting) -> Verdict {
        // The keys of the moment it came, which it was made for; everything else as it is now.
        let keys = &waiting.access.relay[waiting.key];
        let Some(access) = self.v1.access.clone() else { return Verdict::V1Closed };
        let hello = &waiting.hello;
        self.counters.handshakes += 1;
        let guest = match keys.read(hello, &mut self.v1.random) {
            Ok(guest) => guest,
            Err(why) => return verdict(why),
        };
        match self.welcome(&access, keys, guest, &waiting.from) {
            Ok(()) => Verdict::Welcomed,
            Err(full) => {
                let busy = matches!(
                    full,
                    Verdict::SessionFull
                        | Verdict::SessionsFull
                        | Verdict::ParticipantsFull
                        | Verdict::HelloBusy
                );
                if busy {
                    self.reply_busy(&waiting.from, hello, keys);
                }
                full
            }
        }
    }

    /// Admits a guest and sends it WELCOME.
    fn welcome(
        &mut self,
        access: &Access,
        keys: &RelayKeys,
        guest: Guest,
        from: &ClientAddr,
    ) -> Result<(), Verdict> {
        let (now, session, node, id) = (self.now, guest.session(), guest.node(), guest.id());
        if self.sessions.find(session).is_some() {
            return Err(Verdict::OtherWire);
        }
        let v1 = &mut *self.v1;
        let found = v1.find(session, node);
        let claimed = guest.token().claims().ok();
        let kicked = v1
            .by_id
            .get(&session)
            .and_then(|slot| v1.rooms.get(*slot))
            .is_some_and(|room| room.has_kicked(&id));
        let owner = match claimed.map(|claims| claims.subject) {
            Some(Subject::Bearer(serial)) => v1.bearers.get(&serial).map(|(owner, _)| *owner),
            _ => None,
        };
        let admission = Admission {
            issuers: &access.issuers,
            now: self.calendar,
            entry: found.and_then(|number| v1.participants.get(number)).map(|them| &them.entry),
            bearer_owner: owner.as_ref(),
            banned: kicked || access.is_banned(&id, claimed.as_ref()),
        };
        let claims = guest.admit(&admission).map_err(verdict)?;
        let member = found
            .and_then(|number| v1.participants.get(number))
            .filter(|them| them.place.is_some());
        let sender = claims.permissions.0 & Permissions::SEND_ALL.0 != 0;
        match member {
            Some(them) if sender && !them.may_send() => v1.has_room_for_sender(session)?,
            Some(_) => {}
            None => v1.has_room(session, sender)?,
        }
        if let Subject::Bearer(serial) = claims.subject
            && owner.is_none()
        {
            v1.bind_bearer(serial, id, claims.expires, self.calendar.seconds())?;
        }
        let number = match found {
            Some(number) => number,
            None => v1.open_half(Participant::new(Entry::new(id), session, node, *from, now))?,
        };
        let roster_version = v1
            .by_id
            .get(&session)
            .and_then(|slot| v1.rooms.get(*slot))
            .map_or(1, |room| room.roster.version());
        let terms = Terms {
            max_frame: limits::V1_FRAME_MAX as u16,
            idle_s: (limits::V1_SILENCE.as_nanos() / 1_000_000_000) as u16,
            ping_ms: limits::V1_PING_MS,
            max_kbps: Allowance::kbps(&claims),
            max_pps: Allowance::pps(&claims),
            observed: *from,
            relay_clock_us: now.as_nanos() / 1_000,
            roster_version,
        };
        let them = v1.participants.get_mut(number).ok_or(Verdict::HelloBusy)?;
        let welcome = *them.entry.welcome(keys, guest, claims, &terms, now).map_err(verdict)?;
        them.welcomed_at = *from;
        v1.arm(number, self.calendar.seconds(), now);
        self.reply(from, &welcome);
        Ok(())
    }

    /// Answers a HELLO that was answered a moment ago with the same bytes.
    fn welcome_again(&mut self, from: &ClientAddr, hello: &Hello) -> bool {
        let v1 = &*self.v1;
        let number = v1.find(hello.header.session_id(), hello.header.node_id());
        let them = number.and_then(|number| v1.participants.get(number));
        let welcome: Option<[u8; WELCOME_LEN]> =
            them.and_then(|them| them.entry.duplicate(hello, self.now)).copied();
        if let Some(welcome) = &welcome {
            self.reply(from, welcome);
        }
        welcome.is_some()
    }

    fn reply_busy(&mut self, from: &ClientAddr, hello: &Hello, keys: &RelayKeys) {
        let least = limits::BUSY_RETRY.as_nanos() / 1_000_000;
        let retry_ms = least + self.v1.random.below(least + 1);
        self.reply(from, keys.busy(hello, retry_ms as u32).as_bytes());
    }

    /// Tells the sender of a frame that its connection is not known here: seldom, and with less than it
    /// sent.
    #[cold]
    pub(super) fn hint_reset(&mut self, origin: &Origin, slice: Slice) {
        let desk = &mut self.v1.desk;
        let seldom = origin.datagram_len >= RESET_LEN
            && desk.resets.has(limits::RESET_PER_SHARD, self.now)
            && desk.prefixes.admit_reset(&origin.from, self.now)
            && desk.resets.take(limits::RESET_PER_SHARD, self.now);
        if !seldom {
            return;
        }
        let Some(header) = Header::peek(self.io.bytes(slice)) else { return };
        let Some(suite) = Suite::from_nibble(header.suite()) else { return };
        let (session, node) = (header.session_id(), header.node_id());
        let Some(access) = self.v1.access.clone() else { return };
        // By each key its join address may name, as long as all of it is shorter than what came.
        for keys in access.relay.iter().take(origin.datagram_len / RESET_LEN) {
            let reset = keys.reset(suite, session, node);
            self.reply(&origin.from, reset.as_bytes());
        }
    }

    /// An answer to a stranger.
    fn reply(&mut self, to: &ClientAddr, bytes: &[u8]) {
        self.io.send_bytes(to, bytes, 0);
        self.counters.copies += 1;
        self.counters.answers_sent += 1;
        self.counters.answer_bytes += bytes.len() as u64;
    }
}

impl super::V1 {
    /// Files someone who is to be welcomed.
    fn open_half(&mut self, them: Participant) -> Result<u32, Verdict> {
        if self.half_open >= limits::HALF_OPEN_MAX {
            return Err(Verdict::HelloBusy);
        }
        if self.participants.len() >= limits::V1_PARTICIPANTS_MAX {
            return Err(Verdict::ParticipantsFull);
        }
        let name = (them.session, them.node);
        let number = self.participants.insert(them);
        self.by_name.insert(name, number);
        self.half_open += 1;
        Ok(number)
    }

    /// Writes down who showed a bearer token first.
    fn bind_bearer(
        &mut self,
        serial: [u8; 32],
        owner: PublicKey,
        expires: u32,
        today: u32,
    ) -> Result<(), Verdict> {
        let full = self.bearers.len() >= limits::BEARERS_MAX;
        if full && today.abs_diff(self.bearers_sorted) >= limits::BEARERS_SORTED_EVERY_S {
            self.bearers_sorted = today;
            self.bearers.retain(|_, (_, end)| end.saturating_add(CLOCK_SKEW_S) >= today);
        }
        if self.bearers.len() >= limits::BEARERS_MAX {
            return Err(Verdict::ParticipantsFull);
        }
        self.bearers.insert(serial, (owner, expires));
        Ok(())
    }
}

const fn verdict(refused: HelloRefused) -> Verdict {
    match refused {
        HelloRefused::Length | HelloRefused::Header | HelloRefused::Mode => Verdict::BadHello,
        HelloRefused::Mac1 => Verdict::BadMac1,
        HelloRefused::Cookie => Verdict::HelloRetried,
        HelloRefused::Noise => Verdict::BadNoise,
        HelloRefused::HelloReplayed => Verdict::HelloReplayed,
        HelloRefused::Banned => Verdict::Banned,
        HelloRefused::Token(_) => Verdict::BadToken,
        HelloRefused::BearerTaken => Verdict::BearerTaken,
        HelloRefused::Certificate(_) => Verdict::BadCertificate,
        HelloRefused::NodeId => Verdict::NodeMismatch,
        HelloRefused::NodeTaken => Verdict::NodeTaken,
    }
}

#[cfg(test)]
mod tests {
    use elara_core::crypto::exchange::BadCertificate;
    use elara_core::crypto::token::BadToken;

    use super::*;

    #[test]
    fn every_reason_to_refuse_a_hello_has_a_verdict_of_its_own() {
        // Two of them need an identity whose hash collides with another's in 64 bits, or a client
        // that seals for a node it is not: no guest of the tests can be either.
        for (refused, given) in [
            (HelloRefused::NodeTaken, Verdict::NodeTaken),
            (HelloRefused::NodeId, Verdict::NodeMismatch),
            (HelloRefused::Noise, Verdict::BadNoise),
            (HelloRefused::Token(BadToken::Expired), Verdict::BadToken),
            (HelloRefused::Certificate(BadCertificate::Expired), Verdict::BadCertificate),
        ] {
            assert_eq!(verdict(refused), given);
        }
    }
}
