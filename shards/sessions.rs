//! This shard's sessions, wire v0: who is in them, and at which address.
//!
//! Wire v0 carries no proof of anything, so membership is learned from what is heard:
//!
//! - a participant is (session, node); its first datagram makes it a member;
//! - heard from another address, it has moved there;
//! - an address speaks for one participant: heard speaking for another, the earlier one is forgotten
//!   (`Replaced`), because a restarted node keeps its port;
//! - silent for 60 s, or for 10 s while alone in its session, it is forgotten; a session ends with its
//!   last participant.
//!
//! Every table has a bound; what does not fit is refused with the verdict that says so, and a refusal
//! changes nothing. The hot path does one look-up by source address ([`Sessions::seat_of`]); everything
//! else is for datagrams that change something.
//!
//! ```text
//!   by_addr: address ─▶ Seat { session, member }          one look-up for a member we know
//!   by_id:   session ─▶ slot          by_node: (slot, node) ─▶ member
//!   slots[slot].members: [ addr node seen | addr node seen | ... ]   contiguous, walked by the fan-out
//! ```

use elara_core::keyed::Keyed;
use elara_core::limits;
use elara_core::time::wheel::Wheel;
use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, NodeId, SessionId};
use hashbrown::HashMap;

use crate::command::{Notice, Why};
use crate::departures::Outlet;
use crate::verdict::Verdict;

/// How much the tables may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Sessions.
    pub sessions: usize,
    /// Participants of all sessions together.
    pub participants: usize,
    /// Participants of one session.
    pub peers: usize,
    /// Participants behind one IP address, loopback excepted.
    pub per_ip: usize,
}

/// One participant.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Where it was last heard from.
    pub addr: ClientAddr,
    /// Its node.
    pub node: NodeId,
    /// When it was last heard.
    pub seen: Instant,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// When its first participant was learned.
    pub opened: Instant,
    /// Frames that came in for it.
    pub frames: u64,
    /// Everyone in it; the order means nothing.
    pub members: Vec<Member>,
    /// What is about to leave.
    pub(crate) outlet: Outlet,
}

/// Where a participant sits: its session's slot and its place among the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The slot of its session.
    pub session: u32,
    /// Its index among the members.
    pub member: u32,
}

/// The tables.
#[derive(Debug)]
pub struct Sessions {
    bounds: Bounds,
    by_addr: HashMap<ClientAddr, Seat, Keyed>,
    by_id: HashMap<SessionId, u32, Keyed>,
    by_node: HashMap<(u32, NodeId), u32, Keyed>,
    /// Participants behind each IP address; loopback is not counted.
    per_ip: HashMap<[u8; 16], u32, Keyed>,
    slots: Vec<Session>,
    free: Vec<u32>,
    /// When to look at a session again, by slot.
    timers: Wheel,
}

impl Sessions {
    /// Empty tables. `keys` key the hashes; they should be secret and random.
    #[must_use]
    pub fn new(bounds: Bounds, keys: (u64, u64), now: Instant) -> Self {
        let keyed = Keyed(keys.0, keys.1);
        let longest = (limits::V0_SILENCE.as_nanos() / limits::TIMER_TICK.as_nanos()) as usize;
        Self {
            bounds,
            by_addr: HashMap::with_hasher(keyed),
            by_id: HashMap::with_hasher(keyed),
            by_node: HashMap::with_hasher(keyed),
            per_ip: HashMap::with_hasher(keyed),
            slots: Vec::new(),
            free: Vec::new(),
            timers: Wheel::new(limits::TIMER_TICK, longest + 1, now),
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many participants there are in all sessions.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.by_addr.len()
    }

    /// Where whoever speaks from `from` sits, if it is `node` of `session`.
    #[inline]
    #[must_use]
    pub fn seat_of(&self, from: &ClientAddr, session: SessionId, node: NodeId) -> Option<Seat> {
        let seat = *self.by_addr.get(from)?;
        let slot = &self.slots[seat.session as usize];
        (slot.id == session && slot.members[seat.member as usize].node == node).then_some(seat)
    }

    /// The session in a seat.
    #[inline]
    pub fn session_mut(&mut self, seat: Seat) -> &mut Session {
        &mut self.slots[seat.session as usize]
    }

    /// The session in a slot, if there is one.
    #[inline]
    pub(crate) fn slot_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)
    }

    /// The session with this id.
    #[must_use]
    pub fn find(&self, session: SessionId) -> Option<&Session> {
        Some(&self.slots[*self.by_id.get(&session)? as usize])
    }

    /// At most `most` sessions from slot `from` on, and the slot to go on from.
    pub fn page(&self, from: u32, most: usize) -> (impl Iterator<Item = &Session>, Option<u32>) {
        let from = (from as usize).min(self.slots.len());
        let end = (from + most).min(self.slots.len());
        let page = self.slots[from..end].iter().filter(|session| !session.members.is_empty());
        (page, (end < self.slots.len()).then_some(end as u32))
    }

    /// Learns from a datagram that [`Sessions::seat_of`] did not know: a participant that is new, or one
    /// that is heard from a new address. `tell` is told what changed.
    ///
    /// # Errors
    /// The verdict of the table that is full. Nothing has changed then.
    pub fn learn(
        &mut self,
        session: SessionId,
        node: NodeId,
        from: ClientAddr,
        now: Instant,
        tell: &mut impl FnMut(Notice),
    ) -> Result<Seat, Verdict> {
        let slot = self.by_id.get(&session).copied();
        let known = slot.and_then(|slot| self.by_node.get(&(slot, node)).copied());
        self.admit(slot, known, &from)?;
        if let Some(occupant) = self.by_addr.get(&from).copied() {
            self.forget(occupant, Why::Replaced, now, tell);
        }
        // Forgetting the occupant may have ended the session or moved its members around.
        let slot = match self.by_id.get(&session) {
            Some(slot) => *slot,
            None => self.open(session, now, tell),
        };
        Ok(match self.by_node.get(&(slot, node)).copied() {
            Some(member) => self.relocate(Seat { session: slot, member }, from, now, tell),
            None => self.join(slot, Member { addr: from, node, seen: now }, tell),
        })
    }

    /// Whether there is room for a participant at `from`, once the one that has this address is gone.
    fn admit(
        &self,
        slot: Option<u32>,
        known: Option<u32>,
        from: &ClientAddr,
    ) -> Result<(), Verdict> {
        let occupant = self.by_addr.get(from);
        let leaving = usize::from(occupant.is_some());
        let moving_within_ip = known.is_some_and(|member| {
            let session = &self.slots[slot.map_or(0, |slot| slot as usize)];
            session.members[member as usize].addr.ip_bytes() == from.ip_bytes()
        });
        if !from.is_loopback() && !moving_within_ip {
            let here = self.per_ip.get(from.ip_bytes()).map_or(0, |count| *count as usize);
            if here - leaving.min(here) >= self.bounds.per_ip {
                return Err(Verdict::IpFull);
            }
        }
        if known.is_some() {
            return Ok(());
        }
        match slot {
            Some(slot) => {
                let inside = occupant.is_some_and(|occupant| occupant.session == slot);
                let members = self.slots[slot as usize].members.len() - usize::from(inside);
                if members >= self.bounds.peers {
                    return Err(Verdict::SessionFull);
                }
            }
            None => {
                let ending = occupant
                    .is_some_and(|seat| self.slots[seat.session as usize].members.len() == 1);
                if self.len() - usize::from(ending) >= self.bounds.sessions {
                    return Err(Verdict::SessionsFull);
                }
            }
        }
        if self.participants() - leaving >= self.bounds.participants {
            return Err(Verdict::ParticipantsFull);
        }
        Ok(())
    }

    fn open(&mut self, id: SessionId, now: Instant, tell: &mut impl FnMut(Notice)) -> u32 {
        let (members, outlet) = (Vec::new(), Outlet::default());
        let session = Session { id, opened: now, frames: 0, members, outlet };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = session;
                slot
            }
            None => {
                self.slots.push(session);
                (self.slots.len() - 1) as u32
            }
        };
        self.by_id.insert(id, slot);
        self.timers.skip_to(now);
        self.timers.arm(slot, now + limits::V0_ALONE);
        tell(Notice::SessionOpened { session: id });
        slot
    }

    fn join(&mut self, slot: u32, member: Member, tell: &mut impl FnMut(Notice)) -> Seat {
        let session = &mut self.slots[slot as usize];
        let seat = Seat { session: slot, member: session.members.len() as u32 };
        session.members.push(member);
        self.by_node.insert((slot, member.node), seat.member);
        self.by_addr.insert(member.addr, seat);
        count_ip(&mut self.per_ip, &member.addr);
        tell(Notice::Joined { session: session.id, node: member.node, addr: member.addr });
        seat
    }

    fn relocate(
        &mut self,
        seat: Seat,
        addr: ClientAddr,
        now: Instant,
        tell: &mut impl FnMut(Notice),
    ) -> Seat {
        let session = &mut self.slots[seat.session as usize];
        let member = &mut session.members[seat.member as usize];
        self.by_addr.remove(&member.addr);
        uncount_ip(&mut self.per_ip, &member.addr);
        member.addr = addr;
        member.seen = now;
        self.by_addr.insert(addr, seat);
        count_ip(&mut self.per_ip, &addr);
        tell(Notice::Moved { session: session.id, node: member.node, addr });
        seat
    }

    fn forget(&mut self, seat: Seat, why: Why, now: Instant, tell: &mut impl FnMut(Notice)) {
        let slot = seat.session;
        let session = &mut self.slots[slot as usize];
        let (place, len) = (seat.member as usize, session.members.len());
        let gone = session.members[place];
        for (from, to) in session.outlet.progress.close_gap(place, len) {
            let moved = session.members[from];
            session.members[to] = moved;
            let seat = Seat { session: slot, member: to as u32 };
            self.by_node.insert((slot, moved.node), seat.member);
            self.by_addr.insert(moved.addr, seat);
        }
        session.members.pop();
        self.by_addr.remove(&gone.addr);
        self.by_node.remove(&(slot, gone.node));
        uncount_ip(&mut self.per_ip, &gone.addr);
        tell(Notice::Left { session: session.id, node: gone.node, why });
        match session.members.as_slice() {
            [] => {
                self.by_id.remove(&session.id);
                tell(Notice::SessionEnded { session: session.id });
                session.members = Vec::new();
                self.timers.cancel(slot);
                self.free.push(slot);
            }
            [last] => self.timers.arm(slot, (last.seen + limits::V0_ALONE).max(now)),
            _ => {}
        }
    }

    /// Looks at one session whose time has come and forgets who has been silent too long. Takes one from
    /// `budget`, and one more for each participant forgotten; a session that is not done with when the
    /// budget is spent is due again at once. False when no session is due.
    pub fn expire(
        &mut self,
        now: Instant,
        budget: &mut usize,
        tell: &mut impl FnMut(Notice),
    ) -> bool {
        let Some(slot) = self.timers.expire(now) else { return false };
        *budget = budget.saturating_sub(1);
        // From the end: whoever takes a place that falls empty has been looked at already.
        for member in (0..self.slots[slot as usize].members.len()).rev() {
            if self.forget_silent(slot, member, limits::V0_SILENCE, now, tell) {
                *budget = budget.saturating_sub(1);
                if *budget == 0 {
                    break;
                }
            }
        }
        if self.slots[slot as usize].members.len() == 1 {
            self.forget_silent(slot, 0, limits::V0_ALONE, now, tell);
        }
        let members = &self.slots[slot as usize].members;
        if let Some(oldest) = members.iter().map(|member| member.seen).min() {
            let patience = if members.len() == 1 { limits::V0_ALONE } else { limits::V0_SILENCE };
            self.timers.arm(slot, oldest + patience);
        }
        true
    }

    fn forget_silent(
        &mut self,
        slot: u32,
        member: usize,
        patience: Span,
        now: Instant,
        tell: &mut impl FnMut(Notice),
    ) -> bool {
        let silent = now.since(self.slots[slot as usize].members[member].seen) >= patience;
        if silent {
            self.forget(Seat { session: slot, member: member as u32 }, Why::Silent, now, tell);
        }
        silent
    }

    /// When [`Sessions::expire`] may have work again; `None` while there is no session.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.timers.next_tick()
    }
}

fn count_ip(per_ip: &mut HashMap<[u8; 16], u32, Keyed>, addr: &ClientAddr) {
    if !addr.is_loopback() {
        *per_ip.entry(*addr.ip_bytes()).or_insert(0) += 1;
    }
}

fn uncount_ip(per_ip: &mut HashMap<[u8; 16], u32, Keyed>, addr: &ClientAddr) {
    if let Some(count) = per_ip.get_mut(addr.ip_bytes()) {
        *count -= 1;
        if *count == 0 {
            per_ip.remove(addr.ip_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
