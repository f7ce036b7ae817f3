//! What a mirror believes, in a few words.

use elara_core::crypto::{Claims, Subject};
use elara_core::wire::v1::control::Wish;

use super::*;
use crate::v1::canary::Canaries;

const SESSION: SessionId = SessionId(7);
const LINE: Line = 70;

fn at(ms: u64) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

fn addr(port: u16) -> ClientAddr {
    ClientAddr::new([9; 16], port, 0)
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Canaries::new());
    ledger.wish(&[Wish::EVERYTHING], 0);
    let claims = Claims {
        kid: 1,
        session: SESSION,
        subject: Subject::Bearer([0; 32]),
        permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
        not_before: 0,
        expires: u32::MAX,
        max_kbps: 0,
        max_pps: 0,
        priority: 0,
    };
    ledger.welcome(LINE, claims);
    ledger
}

fn frame(node: u64, seq: u32, asks: Asks) -> Sealed {
    let (class, fate) = (0, Fate::Good);
    let node = NodeId(node);
    let (line, stream) = (LINE, None);
    Sealed { session: SESSION, node, line, class, seq, stream, fate, asks, may_answer: false }
}

/// A mirror in which node 2 joins at address 2, welcomed at `welcomed`, and asks for everything.
fn joined(welcomed: u16, ledger: &Ledger) -> Mirror {
    let mut mirror = Mirror::default();
    let name = (SESSION, NodeId(2));
    mirror.welcome(name, addr(welcomed), LINE, at(0));
    let first = frame(2, 0, Asks::Surely(0));
    let hearing = mirror.hear(1, &first, 0, true, addr(2), at(4_999), ledger);
    assert!(hearing.genuine && hearing.activates);
    let (session, node, addr) = (SESSION, NodeId(2), addr(2));
    mirror.notice(&Notice::Joined { session, node, addr }, at(4_999));
    mirror.catch_up(&first, addr, true, ledger, at(4_999));
    mirror.settle(at(4_999));
    mirror
}

fn deserves(mirror: &Mirror, ledger: &Ledger, ms: u64) -> (bool, bool) {
    let seat = mirror.seat(SESSION, NodeId(2)).unwrap();
    mirror.deserves(&frame(1, 0, Asks::Nothing), NodeId(2), seat, ledger, at(ms))
}

#[test]
fn a_member_gets_what_it_asked_for_until_it_is_silent_or_gone() {
    let ledger = ledger();
    let mirror = joined(2, &ledger);
    assert_eq!(deserves(&mirror, &ledger, 5_000), (true, true));
    assert_eq!(deserves(&mirror, &ledger, 35_500), (true, false), "a timer may be late");
    assert_eq!(deserves(&mirror, &ledger, 37_500), (false, false));
}

#[test]
fn who_spoke_from_where_no_welcome_went_gets_nothing_there() {
    let ledger = ledger();
    let mirror = joined(3, &ledger);
    assert_eq!(deserves(&mirror, &ledger, 5_000), (false, false));
    assert!(!mirror.proven.contains(&addr(2)));
}

#[test]
fn a_connection_is_half_open_for_five_seconds_and_ends_in_three() {
    let ledger = ledger();
    let mut mirror = Mirror::default();
    mirror.welcome((SESSION, NodeId(2)), addr(2), LINE, at(0));
    let first = frame(2, 0, Asks::Nothing);
    let late = mirror.hear(1, &first, 0, true, addr(2), at(5_000), &ledger);
    assert_eq!(late, Hearing { again: false, ..Hearing::default() });
    let mut mirror = joined(2, &ledger);
    mirror.welcome((SESSION, NodeId(2)), addr(2), LINE + 1, at(6_000));
    let next = Sealed { line: LINE + 1, ..frame(2, 0, Asks::Nothing) };
    assert!(mirror.hear(2, &next, 1, true, addr(2), at(7_000), &ledger).activates);
    let old = |mirror: &mut Mirror, digest, ms| {
        let old = frame(2, 9, Asks::Nothing);
        mirror.hear(digest, &old, 0, true, addr(2), at(ms), &ledger).genuine
    };
    assert!(old(&mut mirror, 3, 9_999) && !old(&mut mirror, 4, 10_000));
}
