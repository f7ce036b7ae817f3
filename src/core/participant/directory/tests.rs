//! Pages and deltas of roster and streams, as conversations.

use super::*;
use crate::time::Span;
use alloc::vec;
use alloc::vec::Vec;
use zerocopy::little_endian::{U16, U32, U64};

fn at(ms: u64) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

fn entry(key: u8, conn: u8) -> RosterEntry {
    let id = PublicKey([key; 32]);
    RosterEntry {
        node: U64::new(id.node_id().0),
        id_pub: id.0,
        inst: [conn; 16],
        conn,
        phase: roster_phase::ACTIVE,
        perms: U32::new(3),
    }
}

fn node(key: u8) -> NodeId {
    PublicKey([key; 32]).node_id()
}

#[test]
fn an_entry_that_is_not_its_keys_label_is_not_believed() {
    let mut directory = Directory::default();
    let forged = RosterEntry { node: U64::new(node(2).0), ..entry(1, 0) };
    let entries = [forged, entry(3, 0)];
    let told = directory.handle_roster(&Roster::new(1, 0, 1, 7, &entries), at(0));
    assert_eq!(told, (true, 1));
    assert!(directory.author(node(2), 0, at(0)).is_none());
    assert_eq!((directory.members.len(), directory.others), (1, 7));
}

#[test]
fn the_connection_before_is_known_for_three_seconds() {
    let mut directory = Directory::default();
    directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 4)]), at(0));
    directory.handle_roster(&Roster::new(2, 0, 0, 0, &[entry(1, 5)]), at(100));
    let inst = |conn, ms| directory.author(node(1), conn, at(ms)).map(|author| author.inst);
    assert_eq!((inst(5, 200), inst(4, 3_099)), (Some(Inst([5; 16])), Some(Inst([4; 16]))));
    assert_eq!((inst(4, 3_100), inst(3, 200)), (None, None));
}

#[test]
fn a_whole_roster_replaces_and_keeps_the_connection_before() {
    let mut directory = Directory::default();
    directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 0), entry(2, 0)]), at(0));
    directory.renew(at(10));
    directory.handle_roster(&Roster::new(9, 0, 2, 0, &[entry(1, 1)]), at(10));
    assert_eq!(directory.members.len(), 2, "a page alone changes nothing");
    assert_eq!(directory.roster.due(), Some(at(510)));
    directory.handle_roster(&Roster::new(9, 1, 2, 0, &[entry(3, 0)]), at(20));
    assert_eq!(directory.members.len(), 2);
    assert!(directory.author(node(1), 0, at(20)).is_some());
    assert!(!directory.members.contains_key(&node(2)));
    assert_eq!(directory.roster.due(), None);
}

#[test]
fn a_gap_asks_at_once_and_then_in_measure() {
    let mut directory = Directory::default();
    directory.handle_roster(&Roster::new(5, 0, 0, 0, &[]), at(0));
    assert_eq!((directory.roster.due(), directory.roster.version()), (Some(at(0)), 0));
    directory.roster.said(at(0));
    assert_eq!(directory.roster.due(), Some(at(1_250)));
    directory.handle_roster(&Roster::new(6, 0, 0, 0, &[]), at(300));
    assert_eq!(directory.roster.due(), Some(at(1_250)));
    directory.handle_roster(&Roster::new(6, 0, 1, 0, &[]), at(400));
    assert_eq!((directory.roster.due(), directory.roster.version()), (None, 6));
}

#[test]
fn members_and_streams_come_and_go_by_deltas() {
    let mut directory = Directory::default();
    directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 0)]), at(0));
    let gone = RosterEntry { phase: roster_phase::GONE, ..entry(1, 0) };
    directory.handle_roster(&Roster::new(2, 0, 0, 0, &[gone]), at(0));
    assert!(directory.members.is_empty());
    let stream = |stream, phase| StreamsEntry {
        node: U64::new(1),
        stream: U16::new(stream),
        kind: 2,
        profile: 0x11,
        phase,
    };
    let whole = vec![stream(1, phase::ACTIVE), stream(2, phase::STARTING)];
    assert!(directory.handle_streams(&Streams::new(1, 0, 1, &whole), at(0)));
    assert!(directory.handle_streams(&Streams::new(2, 0, 0, &[stream(1, phase::ENDED)]), at(0)));
    assert!(!directory.handle_streams(&Streams::new(2, 0, 0, &[]), at(0)), "known");
    let left: Vec<u16> = directory.streams.keys().map(|id| id.stream).collect();
    assert_eq!(left, [2]);
}

#[test]
fn who_came_and_went_in_one_delta_is_opened_for_a_moment() {
    let mut directory = Directory::default();
    directory.handle_roster(&Roster::new(1, 0, 1, 0, &[entry(1, 0)]), at(0));
    let gone = RosterEntry { phase: roster_phase::GONE, ..entry(2, 3) };
    let forged = RosterEntry { node: U64::new(node(5).0), ..gone };
    directory.handle_roster(&Roster::new(2, 0, 0, 0, &[entry(2, 3), gone, forged]), at(0));
    assert_eq!(directory.members.len(), 1);
    let opened = |key, ms| directory.author(node(key), 3, at(ms)).is_some();
    assert!(opened(2, 2_999) && !opened(2, 3_000) && !opened(5, 0));
    // The whole without someone says the same.
    directory.renew(at(10));
    directory.handle_roster(&Roster::new(5, 0, 1, 0, &[]), at(10));
    assert!(directory.members.is_empty());
    assert!(directory.author(node(1), 0, at(3_009)).is_some());
    for conn in 0..DEPARTED_MAX as u8 + 9 {
        directory.enter(&RosterEntry { phase: roster_phase::GONE, ..entry(9, conn) }, at(20));
    }
    assert_eq!(directory.departed.len(), DEPARTED_MAX);
}
