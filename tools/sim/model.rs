//! What a shard should do, written to be read and not to be fast.
//!
//! It knows wire v0's rules from their text and shares no code with the shard, except the steering
//! function, which is the kernel's half. It judges the same datagrams in the same order; the checkers
//! compare. One thing it cannot know is the tick at which the shard looks at its timers, so it lets the
//! shard say when it forgets someone, and answers whether that was due ([`Model::may_forget`]) and
//! whether someone is overdue ([`Model::overdue`]).

use std::collections::BTreeMap;

use elara_core::time::{Instant, Span};
use elara_core::{ClientAddr, NodeId, SessionId};
use elara_shards::Verdict;
use elara_shards::command::{Notice, Why};
use elara_shards::shard::V0Policy;
use elara_shards::steer;

/// Silent for this long in company, a participant is forgotten.
const SILENCE: Span = Span::from_secs(60);
/// Silent for this long alone in a session, too.
const LONELINESS: Span = Span::from_secs(10);
/// How much later than that a shard may notice: its timers tick, and it may be busy.
const LATE: Span = Span::from_secs(1);

/// What a datagram should meet with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Its verdict.
    pub verdict: Verdict,
    /// Who should get a copy.
    pub receivers: Vec<ClientAddr>,
}

/// One shard's tables, as they should be.
#[derive(Clone, Debug)]
pub struct Model {
    /// Which shard.
    pub index: usize,
    /// Of how many.
    pub shards: usize,
    /// Participants one session may have.
    pub max_peers: usize,
    /// For whom v0 is open.
    pub v0: Option<V0Policy>,
    /// The sessions.
    pub sessions: BTreeMap<SessionId, Session>,
}

/// One session, as it should be.
#[derive(Clone, Debug)]
pub struct Session {
    /// When its first participant was heard.
    pub opened: Instant,
    /// Frames heard in it.
    pub frames: u64,
    /// Since when it has had one participant; means nothing while it has more.
    pub alone_since: Instant,
    /// Who is in it.
    pub members: BTreeMap<NodeId, Member>,
}

/// One participant, as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it was last heard.
    pub addr: ClientAddr,
    /// When.
    pub heard: Instant,
}

impl Model {
    /// A shard that has heard nothing.
    #[must_use]
    pub const fn new(index: usize, shards: usize, max_peers: usize, v0: Option<V0Policy>) -> Self {
        Self { index, shards, max_peers, v0, sessions: BTreeMap::new() }
    }

    /// Judges one datagram and changes what it changes. The notices it should cause go to `notices`.
    pub fn judge(
        &mut self,
        datagram: &[u8],
        from: ClientAddr,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) -> Ruling {
        match self.admit(datagram, from, now, notices) {
            Err(verdict) => Ruling { verdict, receivers: Vec::new() },
            Ok(others) if others.is_empty() => {
                Ruling { verdict: Verdict::Alone, receivers: Vec::new() }
            }
            Ok(others) => Ruling { verdict: Verdict::Forwarded, receivers: others },
        }
    }

    fn admit(
        &mut self,
        datagram: &[u8],
        from: ClientAddr,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) -> Result<Vec<ClientAddr>, Verdict> {
        check_protocol(datagram)?;
        let Some(policy) = &self.v0 else { return Err(Verdict::V0Closed) };
        check_frame(datagram)?;
        let session = SessionId(u64::from_le_bytes(datagram[4..12].try_into().unwrap_or_default()));
        let node = NodeId(u64::from_le_bytes(datagram[12..20].try_into().unwrap_or_default()));
        if !policy.open.iter().any(|block| block.contains(&from)) {
            return Err(Verdict::V0Closed);
        }
        if session.0 & 0xFFFF_FFFF == 0x42A4_1221 {
            return Err(Verdict::ReservedSession);
        }
        if steer::shard_of(session, self.shards) != self.index {
            return Err(Verdict::Stray);
        }
        if self.find(session, node).is_none_or(|member| member.addr != from) {
            self.check_room(session, node, from)?;
            self.settle_in(session, node, from, now, notices);
        }
        let Some(home) = self.sessions.get_mut(&session) else { return Ok(Vec::new()) };
        home.frames += 1;
        home.members.insert(node, Member { addr: from, heard: now });
        Ok(home.members.iter().filter(|(n, _)| **n != node).map(|(_, m)| m.addr).collect())
    }

    /// Whether the bounds would hold with `node` of `session` at `from`, and whoever was there gone.
    fn check_room(
        &self,
        session: SessionId,
        node: NodeId,
        from: ClientAddr,
    ) -> Result<(), Verdict> {
        let stays =
            |s: SessionId, n: NodeId, m: &Member| m.addr != from && (s, n) != (session, node);
        let per_ip = self.v0.as_ref().map_or(0, |policy| policy.per_ip);
        let neighbours = self
            .everyone()
            .filter(|(s, n, m)| stays(*s, *n, m) && m.addr.ip_bytes() == from.ip_bytes());
        if !from.is_loopback() && neighbours.count() >= per_ip {
            return Err(Verdict::IpFull);
        }
        let is_new = self.find(session, node).is_none();
        let peers = self.everyone().filter(|(s, n, m)| stays(*s, *n, m) && *s == session);
        if is_new && peers.count() >= self.max_peers {
            return Err(Verdict::SessionFull);
        }
        Ok(())
    }

    /// Makes room at `from`, and seats `node` of `session` there.
    fn settle_in(
        &mut self,
        session: SessionId,
        node: NodeId,
        from: ClientAddr,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        let occupant = self.everyone().find(|(_, _, m)| m.addr == from).map(|(s, n, _)| (s, n));
        if let Some((session, node)) = occupant {
            notices.push(Notice::Left { session, node, why: Why::Replaced });
            self.forget(session, node, now, notices);
        }
        let home = self.sessions.entry(session).or_insert_with(|| {
            notices.push(Notice::SessionOpened { session });
            Session { opened: now, frames: 0, alone_since: now, members: BTreeMap::new() }
        });
        notices.push(match home.members.insert(node, Member { addr: from, heard: now }) {
            Some(_) => Notice::Moved { session, node, addr: from },
            None => Notice::Joined { session, node, addr: from },
        });
    }

    /// Takes a participant out; the notice that it left has been given.
    pub fn forget(
        &mut self,
        session: SessionId,
        node: NodeId,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        let Some(home) = self.sessions.get_mut(&session) else { return };
        home.members.remove(&node);
        match home.members.len() {
            0 => {
                self.sessions.remove(&session);
                notices.push(Notice::SessionEnded { session });
            }
            1 => home.alone_since = now,
            _ => {}
        }
    }

    /// Whether silence is reason enough to forget this participant.
    #[must_use]
    pub fn may_forget(&self, session: SessionId, node: NodeId, now: Instant) -> bool {
        let alone = self.sessions.get(&session).is_some_and(|home| home.members.len() == 1);
        let patience = if alone { LONELINESS } else { SILENCE };
        self.find(session, node).is_some_and(|member| now.since(member.heard) >= patience)
    }

    /// Whether this participant should have been forgotten by now.
    #[must_use]
    pub fn is_overdue(&self, session: SessionId, node: NodeId, now: Instant) -> bool {
        let (Some(home), Some(member)) = (self.sessions.get(&session), self.find(session, node))
        else {
            return false;
        };
        let due = match home.members.len() {
            1 => (member.heard + LONELINESS).max(home.alone_since),
            _ => member.heard + SILENCE,
        };
        now > due + LATE
    }

    /// Someone who should have been forgotten by now.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<(SessionId, NodeId)> {
        let mut everyone = self.everyone().map(|(session, node, _)| (session, node));
        everyone.find(|(session, node)| self.is_overdue(*session, *node, now))
    }

    /// The participant `node` of `session`.
    #[must_use]
    pub fn find(&self, session: SessionId, node: NodeId) -> Option<&Member> {
        self.sessions.get(&session)?.members.get(&node)
    }

    /// Every participant of every session.
    pub fn everyone(&self) -> impl Iterator<Item = (SessionId, NodeId, &Member)> {
        self.sessions.iter().flat_map(|(session, home)| {
            home.members.iter().map(move |(node, member)| (*session, *node, member))
        })
    }
}

/// Section 2 of the wire: which protocol the first bytes belong to. Only v0 passes.
fn check_protocol(datagram: &[u8]) -> Result<(), Verdict> {
    let len = datagram.len();
    let Some(first) = datagram.first() else { return Err(Verdict::Runt) };
    let stun = *first < 4
        && len >= 20
        && datagram[4..8] == 0x2112_A442_u32.to_be_bytes()
        && usize::from(datagram[2]) * 256 + usize::from(datagram[3]) == len - 20
        && len.is_multiple_of(4);
    if stun {
        return Err(Verdict::StunClosed);
    }
    match first >> 4 {
        0 if *first < 3 && len < 46 => Err(Verdict::Runt),
        0 if *first < 3 => Ok(()),
        1 if *first < 0x14 => Err(Verdict::V1Closed),
        4 => Err(Verdict::TurnClosed),
        _ => Err(Verdict::Unrecognised),
    }
}

/// Section 1 of the wire: whether at least 46 bytes are a v0 frame.
fn check_frame(datagram: &[u8]) -> Result<(), Verdict> {
    if datagram.len() > 1_400 {
        return Err(Verdict::TooLong);
    }
    let header_len = usize::from(datagram[2]) + 256 * usize::from(datagram[3]);
    if !(30..=datagram.len() - 16).contains(&header_len) {
        return Err(Verdict::BadHeaderLength);
    }
    if datagram[20] > 4 {
        return Err(Verdict::BadClass);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(host: u8, port: u16) -> ClientAddr {
        ClientAddr::from((std::net::Ipv4Addr::new(10, 0, 0, host), port))
    }

    fn frame(session: u64, node: u64) -> Vec<u8> {
        let mut frame = vec![0; 46];
        frame[2] = 30;
        frame[4..12].copy_from_slice(&session.to_le_bytes());
        frame[12..20].copy_from_slice(&node.to_le_bytes());
        frame
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Span::from_secs(secs)
    }

    fn model() -> Model {
        let open = vec!["10.0.0.0/8".parse().unwrap()];
        Model::new(0, 1, 3, Some(V0Policy { open, per_ip: 2 }))
    }

    fn hear(model: &mut Model, session: u64, node: u64, from: ClientAddr, secs: u64) -> Ruling {
        model.judge(&frame(session, node), from, at(secs), &mut Vec::new())
    }

    #[test]
    fn everyone_else_in_the_session_gets_a_copy() {
        let mut model = model();
        assert_eq!(hear(&mut model, 1, 1, addr(1, 1), 0).verdict, Verdict::Alone);
        assert_eq!(hear(&mut model, 1, 2, addr(2, 1), 0).receivers, [addr(1, 1)]);
        assert_eq!(hear(&mut model, 2, 3, addr(3, 1), 0).receivers, []);
        assert_eq!(hear(&mut model, 1, 1, addr(1, 9), 0).receivers, [addr(2, 1)]);
        assert_eq!(hear(&mut model, 1, 2, addr(2, 1), 0).receivers, [addr(1, 9)]);
    }

    #[test]
    fn an_address_speaks_for_one_and_the_earlier_one_is_forgotten() {
        let mut model = model();
        hear(&mut model, 1, 1, addr(1, 1), 0);
        let mut notices = Vec::new();
        model.judge(&frame(1, 2), addr(1, 1), at(0), &mut notices);
        let (session, node) = (SessionId(1), NodeId(1));
        assert_eq!(notices[0], Notice::Left { session, node, why: Why::Replaced });
        assert_eq!(model.everyone().count(), 1);
    }

    #[test]
    fn what_is_full_refuses_and_changes_nothing() {
        let mut model = model();
        for node in 1..=3 {
            hear(&mut model, 1, node, addr(node as u8, 1), 0);
        }
        assert_eq!(hear(&mut model, 1, 4, addr(4, 1), 0).verdict, Verdict::SessionFull);
        hear(&mut model, 2, 5, addr(1, 2), 0);
        assert_eq!(hear(&mut model, 2, 6, addr(1, 3), 0).verdict, Verdict::IpFull);
        assert_eq!(hear(&mut model, 2, 6, addr(1, 2), 0).verdict, Verdict::Alone, "replaces");
        assert_eq!(model.everyone().count(), 4);
    }

    #[test]
    fn silence_is_sixty_seconds_in_company_and_ten_alone() {
        let mut model = model();
        hear(&mut model, 1, 1, addr(1, 1), 0);
        let (session, node) = (SessionId(1), NodeId(1));
        assert!(!model.may_forget(session, node, at(9)) && model.may_forget(session, node, at(10)));
        assert_eq!((model.overdue(at(11)), model.overdue(at(12))), (None, Some((session, node))));
        hear(&mut model, 1, 2, addr(2, 1), 0);
        assert!(
            !model.may_forget(session, node, at(59)) && model.may_forget(session, node, at(60))
        );
        assert_eq!(model.overdue(at(61)), None);
        assert!(model.overdue(at(62)).is_some());
    }
}
