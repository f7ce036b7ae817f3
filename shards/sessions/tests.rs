//! What the tables promise, told as conversations with them.

use super::*;
use crate::command::Notice::*;

const ALICE: NodeId = NodeId(0xA);
const BOB: NodeId = NodeId(0xB);
const CAROL: NodeId = NodeId(0xC);
const ROOM: SessionId = SessionId(1);
const OTHER: SessionId = SessionId(2);

struct Table {
    sessions: Sessions,
    notices: Vec<Notice>,
}

fn at(secs: u64) -> Instant {
    Instant::ZERO + Span::from_secs(secs)
}

fn addr(host: u8, port: u16) -> ClientAddr {
    ClientAddr::from((std::net::Ipv4Addr::new(10, 0, 0, host), port))
}

impl Table {
    fn new() -> Self {
        Self::bounded(Bounds { sessions: 10, participants: 20, peers: 4, per_ip: 3 })
    }

    fn bounded(bounds: Bounds) -> Self {
        Self { sessions: Sessions::new(bounds, (1, 2), Instant::ZERO), notices: Vec::new() }
    }

    /// A datagram of `node` in `session` from `from`: known, or learned.
    fn hear(
        &mut self,
        session: SessionId,
        node: NodeId,
        from: ClientAddr,
        secs: u64,
    ) -> Result<(), Verdict> {
        let seat = match self.sessions.seat_of(&from, session, node) {
            Some(seat) => seat,
            None => {
                let notices = &mut self.notices;
                self.sessions
                    .learn(session, node, from, at(secs), &mut |notice| notices.push(notice))?
            }
        };
        self.sessions.session_mut(seat).members[seat.member as usize].seen = at(secs);
        assert_eq!(self.sessions.seat_of(&from, session, node), Some(seat));
        self.check();
        Ok(())
    }

    fn wait_until(&mut self, secs: u64) {
        let notices = &mut self.notices;
        while self.sessions.expire(at(secs), &mut 3, &mut |notice| notices.push(notice)) {}
        self.check();
    }

    fn members(&self, session: SessionId) -> Vec<(NodeId, ClientAddr)> {
        let mut members: Vec<_> = self.sessions.find(session).map_or(Vec::new(), |session| {
            session.members.iter().map(|m| (m.node, m.addr)).collect()
        });
        members.sort_unstable();
        members
    }

    fn told(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Every index agrees with the members, and the members with every index.
    fn check(&self) {
        let sessions = &self.sessions;
        let mut participants = 0;
        for (id, slot) in &sessions.by_id {
            let session = &sessions.slots[*slot as usize];
            assert_eq!(session.id, *id);
            assert!(!session.members.is_empty(), "a session without members is none");
            for (member, who) in session.members.iter().enumerate() {
                let seat = Seat { session: *slot, member: member as u32 };
                assert_eq!(sessions.by_addr.get(&who.addr), Some(&seat));
                assert_eq!(sessions.by_node.get(&(*slot, who.node)), Some(&seat.member));
            }
            participants += session.members.len();
        }
        assert_eq!(sessions.by_addr.len(), participants);
        assert_eq!(sessions.by_node.len(), participants);
        assert_eq!(sessions.timers.armed(), sessions.by_id.len(), "one timer a session");
        assert_eq!(sessions.free.len() + sessions.by_id.len(), sessions.slots.len());
        let counted: u32 = sessions.per_ip.values().sum();
        assert!(counted as usize <= participants);
    }
}

#[test]
fn the_first_datagram_makes_a_member() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(ROOM, BOB, addr(2, 1), 0).unwrap();
    table.hear(ROOM, ALICE, addr(1, 1), 1).unwrap();
    assert_eq!(table.members(ROOM), [(ALICE, addr(1, 1)), (BOB, addr(2, 1))]);
    assert_eq!(
        table.told(),
        [
            SessionOpened { session: ROOM },
            Joined { session: ROOM, node: ALICE, addr: addr(1, 1) },
            Joined { session: ROOM, node: BOB, addr: addr(2, 1) },
        ]
    );
}

#[test]
fn a_member_heard_from_elsewhere_has_moved() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(ROOM, BOB, addr(2, 1), 0).unwrap();
    table.told();
    table.hear(ROOM, ALICE, addr(3, 9), 1).unwrap();
    assert_eq!(table.members(ROOM), [(ALICE, addr(3, 9)), (BOB, addr(2, 1))]);
    assert_eq!(table.told(), [Moved { session: ROOM, node: ALICE, addr: addr(3, 9) }]);
    assert_eq!(table.sessions.seat_of(&addr(1, 1), ROOM, ALICE), None);
}

#[test]
fn an_address_speaks_for_one_participant() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(ROOM, BOB, addr(2, 1), 0).unwrap();
    table.told();
    // Alice's process restarts with a fresh identity on the same port.
    table.hear(ROOM, CAROL, addr(1, 1), 1).unwrap();
    assert_eq!(table.members(ROOM), [(BOB, addr(2, 1)), (CAROL, addr(1, 1))]);
    assert_eq!(
        table.told(),
        [
            Left { session: ROOM, node: ALICE, why: Why::Replaced },
            Joined { session: ROOM, node: CAROL, addr: addr(1, 1) },
        ]
    );
}

#[test]
fn two_members_may_swap_their_addresses() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(ROOM, BOB, addr(2, 1), 0).unwrap();
    table.hear(ROOM, ALICE, addr(2, 1), 1).unwrap();
    table.hear(ROOM, BOB, addr(1, 1), 1).unwrap();
    assert_eq!(table.members(ROOM), [(ALICE, addr(2, 1)), (BOB, addr(1, 1))]);
}

#[test]
fn an_address_may_go_to_another_session() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.told();
    table.hear(OTHER, ALICE, addr(1, 1), 1).unwrap();
    assert_eq!((table.members(ROOM), table.members(OTHER)), (vec![], vec![(ALICE, addr(1, 1))]));
    assert_eq!(
        table.told()[..2],
        [Left { session: ROOM, node: ALICE, why: Why::Replaced }, SessionEnded { session: ROOM },]
    );
}

#[test]
fn silence_in_company_is_borne_for_sixty_seconds() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(ROOM, BOB, addr(2, 1), 0).unwrap();
    table.hear(ROOM, CAROL, addr(3, 1), 0).unwrap();
    for secs in (0..=120).step_by(5) {
        table.hear(ROOM, ALICE, addr(1, 1), secs).unwrap();
        table.hear(ROOM, BOB, addr(2, 1), secs).unwrap();
        table.wait_until(secs);
        assert_eq!(table.members(ROOM).len(), if secs < 60 { 3 } else { 2 }, "at {secs} s");
    }
    assert!(table.told().contains(&Left { session: ROOM, node: CAROL, why: Why::Silent }));
}

#[test]
fn silence_alone_is_borne_for_ten_seconds() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.wait_until(9);
    assert_eq!(table.members(ROOM).len(), 1);
    table.hear(ROOM, ALICE, addr(1, 1), 9).unwrap();
    table.wait_until(18);
    assert_eq!(table.members(ROOM).len(), 1, "alone but not silent");
    table.wait_until(19);
    assert!(table.sessions.is_empty());
    assert_eq!(table.sessions.participants(), 0);
    assert_eq!(table.sessions.next_expiry(), None);
}

#[test]
fn whoever_is_left_alone_has_ten_seconds_from_its_last_word() {
    let mut table = Table::new();
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(ROOM, BOB, addr(2, 1), 55).unwrap();
    table.wait_until(60);
    assert_eq!(table.members(ROOM), [(BOB, addr(2, 1))]);
    table.wait_until(64);
    assert_eq!(table.members(ROOM).len(), 1);
    table.wait_until(65);
    assert!(table.sessions.is_empty());
}

#[test]
fn a_full_session_refuses_and_changes_nothing() {
    let mut table = Table::new();
    for node in 1..=4 {
        table.hear(ROOM, NodeId(node), addr(node as u8, 1), 0).unwrap();
    }
    table.hear(OTHER, BOB, addr(9, 1), 0).unwrap();
    assert_eq!(table.hear(ROOM, CAROL, addr(9, 1), 0), Err(Verdict::SessionFull));
    assert_eq!(table.members(OTHER), [(BOB, addr(9, 1))], "a refusal forgets nobody");
    // Someone who takes over a member's address takes its place too.
    table.hear(ROOM, CAROL, addr(1, 1), 0).unwrap();
    assert_eq!(table.members(ROOM).len(), 4);
}

#[test]
fn full_tables_refuse_by_name() {
    let mut table = Table::bounded(Bounds { sessions: 2, participants: 3, peers: 4, per_ip: 10 });
    table.hear(ROOM, ALICE, addr(1, 1), 0).unwrap();
    table.hear(OTHER, ALICE, addr(2, 1), 0).unwrap();
    assert_eq!(table.hear(SessionId(3), ALICE, addr(3, 1), 0), Err(Verdict::SessionsFull));
    table.hear(ROOM, BOB, addr(3, 1), 0).unwrap();
    assert_eq!(table.hear(ROOM, CAROL, addr(4, 1), 0), Err(Verdict::ParticipantsFull));
    // A session that would end makes room for the one that would open.
    table.hear(SessionId(3), ALICE, addr(2, 1), 0).unwrap();
    assert_eq!(table.members(OTHER), []);
}

#[test]
fn one_ip_address_has_its_share_and_loopback_any() {
    let mut table = Table::bounded(Bounds { sessions: 9, participants: 99, peers: 50, per_ip: 3 });
    for port in 1..=3 {
        table.hear(ROOM, NodeId(u64::from(port)), addr(1, port), 0).unwrap();
    }
    assert_eq!(table.hear(ROOM, NodeId(4), addr(1, 4), 0), Err(Verdict::IpFull));
    table.hear(ROOM, NodeId(3), addr(1, 4), 0).unwrap();
    table.hear(ROOM, NodeId(5), addr(1, 4), 0).unwrap();
    table.hear(ROOM, NodeId(1), addr(2, 1), 0).unwrap();
    table.hear(ROOM, NodeId(6), addr(1, 6), 0).unwrap();
    assert_eq!(
        table.hear(ROOM, NodeId(1), addr(1, 7), 0),
        Err(Verdict::IpFull),
        "nobody moves in either"
    );
    for port in 1..=20 {
        let loopback = ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        table.hear(ROOM, NodeId(100 + u64::from(port)), loopback, 0).unwrap();
    }
}

#[test]
fn pages_list_every_session_once() {
    let mut table = Table::bounded(Bounds { sessions: 99, participants: 99, peers: 4, per_ip: 99 });
    for session in 0..25 {
        table.hear(SessionId(session), ALICE, addr(1, session as u16 + 1), session).unwrap();
    }
    table.wait_until(14);
    let (mut from, mut listed) = (Some(0), Vec::new());
    while let Some(slot) = from {
        let (page, next) = table.sessions.page(slot, 10);
        listed.extend(page.map(|session| session.id.0));
        from = next;
    }
    listed.sort_unstable();
    assert_eq!(listed, (5..25).collect::<Vec<_>>());
    assert_eq!(table.sessions.page(u32::MAX, 10).1, None);
}

#[test]
fn the_tables_agree_with_each_other_whatever_is_heard() {
    use elara_core::random::{Random, Seeded};
    for seed in 0..40 {
        let mut random = Seeded::new(seed);
        let mut table =
            Table::bounded(Bounds { sessions: 4, participants: 9, peers: 3, per_ip: 4 });
        let mut now = 0;
        for _ in 0..400 {
            let session = SessionId(random.below(6));
            let node = NodeId(random.below(5));
            let from = addr(random.below(3) as u8, random.below(5) as u16);
            let before = table.members(session);
            match table.hear(session, node, from, now) {
                Ok(()) => assert!(table.members(session).contains(&(node, from)), "seed {seed}"),
                Err(_) => assert_eq!(table.members(session), before, "seed {seed}"),
            }
            if random.chance(100_000) {
                now += random.below(15);
                table.wait_until(now);
            }
        }
        table.wait_until(now + 200);
        assert!(table.sessions.is_empty(), "seed {seed}");
    }
}
