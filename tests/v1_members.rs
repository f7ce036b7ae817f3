//! Life in a session of wire v1: who is here and what is on, moving, falling silent, leaving, and being
//! sent away. Over memory, where time is a number.

mod support;

use elara_core::crypto::{Claims, Permissions, Subject, Token};
use elara_core::limits::{V1_SILENCE, V1_STALE};
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{
    Control, Get, Kick, Leave, OwnStream, StreamsMine, Subscribe, Wish, alert, get, kind, phase,
    reason, roster_phase, stream_kind,
};
use elara_shards::Verdict;
use support::guest::{Club, Guest, MEMBER, Party, SESSION, data_of};
use support::room::{InMemory, Place, Room};

type Said = Vec<(u8, Vec<u8>)>;

/// `N` guests who have entered, and heard all about each other.
fn entered<const N: usize>(club: &mut Club) -> (Room<InMemory>, [Guest; N]) {
    let mut room = Room::<InMemory>::with(N, club.config());
    let mut guests = std::array::from_fn(|_| club.guest());
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.pass(10);
        room.enter(peer, guest);
    }
    room.pass(300);
    for (peer, guest) in guests.iter_mut().enumerate() {
        opened(&mut room, peer, guest);
    }
    (room, guests)
}

fn opened(room: &mut Room<InMemory>, peer: usize, guest: &mut Guest) -> Said {
    let heard = room.heard(peer);
    guest.opened(&heard)
}

fn of_kind(said: &Said, wanted: u8) -> Vec<Vec<u8>> {
    said.iter().filter(|(kind, _)| *kind == wanted).map(|(_, value)| value.clone()).collect()
}

/// Version, page, pages and others of a roster, and node and phase of each line.
fn roster(value: &[u8]) -> (u32, u8, u8, u32, Vec<(u64, u8)>) {
    let word = |at: usize| u32::from_le_bytes(*value[at..].first_chunk().unwrap());
    let lines = value[10..].chunks_exact(62);
    let lines =
        lines.map(|line| (u64::from_le_bytes(*line.first_chunk().unwrap()), line[8 + 32 + 16 + 1]));
    (word(0), value[4], value[5], word(6), lines.collect())
}

#[test]
fn a_newcomer_is_told_who_is_here_and_the_others_are_told_of_it() {
    let mut club = Club::new();
    let (mut room, [mut alice]) = entered::<1>(&mut club);
    room.place.add_peers(2);
    let mut bob = club.guest();
    let heard = room.enter(1, &mut bob);
    let pages = of_kind(&bob.opened(&heard), kind::ROSTER);
    assert_eq!(pages.len(), 1);
    let (version, page, count, others, mut lines) = roster(&pages[0]);
    lines.sort_unstable();
    let mut both = [alice.node().0, bob.node().0].map(|node| (node, roster_phase::ACTIVE));
    both.sort_unstable();
    assert_eq!((page, count, others), (0, 1, 0));
    assert_eq!(lines, both);

    room.pass(200);
    let deltas = of_kind(&opened(&mut room, 0, &mut alice), kind::ROSTER);
    let (told, page, count, others, lines) = roster(&deltas[0]);
    assert_eq!((told, page, count, others), (version + 1, 0, 0, 0));
    assert_eq!(lines, [(bob.node().0, roster_phase::ACTIVE)]);

    // One who only listens is a number.
    club.claims.permissions = Permissions::RECEIVE;
    let mut carol = club.guest();
    room.enter(2, &mut carol);
    room.pass(1_200);
    let deltas = of_kind(&opened(&mut room, 0, &mut alice), kind::ROSTER);
    let (_, _, _, others, lines) = roster(deltas.last().unwrap());
    assert_eq!((others, lines), (1, vec![]));
}

#[test]
fn a_roster_of_many_comes_in_pages_and_again_when_asked_for() {
    let mut club = Club::new();
    let (mut room, mut guests) = entered::<40>(&mut club);
    let ask = Get { what: get::ROSTER, arg: 0.into() };
    let ask = guests[0].control(&[Control::Get(&ask)]);
    room.say(0, &ask);
    let pages = of_kind(&opened(&mut room, 0, &mut guests[0]), kind::ROSTER);
    let shown: Vec<(u8, u8, usize)> = pages
        .iter()
        .map(|page| {
            let (_, page, pages, _, lines) = roster(page);
            (page, pages, lines.len())
        })
        .collect();
    assert_eq!(shown, [(0, 3, 18), (1, 3, 18), (2, 3, 4)]);
    let again = guests[0].control(&[Control::Get(&Get { what: get::ROSTER, arg: 0.into() })]);
    room.say(0, &again);
    assert!(opened(&mut room, 0, &mut guests[0]).is_empty(), "once a second");
}

#[test]
fn what_is_on_is_told_to_everyone_and_ends_with_its_publisher() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    let voice = OwnStream {
        stream: 3.into(),
        kind: stream_kind::VOICE,
        profile: 0x12,
        phase: phase::STARTING,
    };
    let wish = alice.control(&[Control::StreamsMine(StreamsMine::new(1, &[voice]))]);
    room.say(0, &wish);
    room.pass(200);
    let acks = of_kind(&opened(&mut room, 0, &mut alice), kind::ACK);
    assert_eq!(acks, [[kind::STREAMS_MINE, 1, 0, 0, 0]]);
    let told = |said: &Said| {
        let deltas = of_kind(said, kind::STREAMS);
        deltas.iter().flat_map(|delta| delta[6..].to_vec()).collect::<Vec<u8>>()
    };
    let line = |phase: u8| {
        [&alice.node().to_bytes()[..], &[3, 0, stream_kind::VOICE, 0x12, phase]].concat()
    };
    let (starting, ended) = (line(phase::STARTING), line(phase::ENDED));
    assert_eq!(told(&opened(&mut room, 1, &mut bob)), starting);
    let bye = alice.control(&[Control::Leave(&Leave { reason: reason::DONE })]);
    room.say(0, &bye);
    room.pass(200);
    let said = opened(&mut room, 1, &mut bob);
    assert_eq!(told(&said), ended);
    let (_, _, _, _, lines) = roster(&of_kind(&said, kind::ROSTER)[0]);
    assert_eq!(lines, [(alice.node().0, roster_phase::GONE)]);
    assert_eq!(room.settle().participants, 1);
}

#[test]
fn an_address_moves_when_it_answers_from_there() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    let home = room.place.addr(0);
    room.place.rebind(0);
    let ping = alice.greeting();
    room.say(0, &ping);
    let challenge = of_kind(&opened(&mut room, 0, &mut alice), kind::PATH_CHALLENGE);
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    assert!(data_of(room.heard(0)).is_empty(), "nothing is sent to where nobody has answered");
    let value = *challenge[0].first_chunk().unwrap();
    let response = alice.control(&[Control::PathResponse(&value)]);
    room.say(0, &response);
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    assert_eq!(data_of(room.heard(0)), [&frame[..]]);
    let view = room.view(SESSION).unwrap();
    assert!(view.participants.iter().all(|them| them.addr != home));
    assert_eq!(room.settle().moved, 1);
}

#[test]
fn wishes_of_the_connection_before_come_too_late() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    // On its way while she gets new keys: the fifth wish by the old ones, for nothing.
    let late = alice.control(&[Control::Subscribe(Subscribe::new(5, 0, &[]))]);
    room.enter(0, &mut alice);
    room.say(0, &late);
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    assert_eq!(data_of(room.heard(0)), [&frame[..]], "she asked for everything after that");
    let second = alice.control(&[Control::Subscribe(Subscribe::new(2, 0, &[]))]);
    room.say(0, &second);
    assert_eq!(
        of_kind(&opened(&mut room, 0, &mut alice), kind::ACK),
        [[kind::SUBSCRIBE, 2, 0, 0, 0]]
    );
    let frame = bob.data(Class::Core, 80);
    assert_eq!(room.after(1, &frame).of(Verdict::Unwanted), 1);
}

#[test]
fn who_lets_frames_wait_from_now_on_is_not_sent_again_what_came_before() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob, mut carol]) = entered::<3>(&mut club);
    let patient = |guest: &mut Guest, version, hold_ms| {
        let subscribe = Subscribe::new(version, hold_ms, &[Wish::EVERYTHING]);
        guest.control(&[Control::Subscribe(subscribe)])
    };
    let waits = patient(&mut carol, 2, 5);
    room.say(2, &waits);
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    let waits = patient(&mut alice, 2, 5);
    room.say(0, &waits);
    room.pass(20);
    assert_eq!(data_of(room.heard(0)), [&frame[..]], "once, and at once");
    assert_eq!(data_of(room.heard(2)), [&frame[..]]);
    // And the other way round nothing is lost.
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    let at_once = patient(&mut alice, 3, 0);
    room.say(0, &at_once);
    room.pass(20);
    assert_eq!(data_of(room.heard(0)), [&frame[..]]);
}

#[test]
fn a_copied_datagram_moves_nobody() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    // Someone at peer 1's place lets alice's datagram overtake itself.
    let ping = alice.greeting();
    room.say(1, &ping);
    let challenged = of_kind(&opened(&mut room, 0, &mut alice), kind::PATH_CHALLENGE);
    assert_eq!(challenged.len(), 1, "she is asked at home as well");
    let home = alice.control(&[]);
    room.say(0, &home);
    let value = *challenged[0].first_chunk().unwrap();
    let response = alice.control(&[Control::PathResponse(&value)]);
    room.say(1, &response);
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    assert_eq!(data_of(room.heard(0)), [&frame[..]]);
    assert_eq!(room.settle().moved, 0);
}

#[test]
fn a_copied_answer_moves_nobody_either() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    // Everything alice says reaches the relay from peer 1's place first.
    let ping = alice.greeting();
    room.say(1, &ping);
    let asked_at_home = of_kind(&opened(&mut room, 0, &mut alice), kind::PATH_CHALLENGE);
    let answer = alice.control(&[Control::PathResponse(asked_at_home[0].first_chunk().unwrap())]);
    room.say(1, &answer);
    let frame = bob.data(Class::Core, 80);
    room.say(1, &frame);
    assert_eq!(data_of(room.heard(0)), [&frame[..]]);
    assert_eq!(room.settle().moved, 0);
}

#[test]
fn an_address_that_says_nothing_is_sent_nothing_however_much_is_said_elsewhere() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    let home = room.place.addr(0);
    room.place.rebind(0);
    for _ in 0..7 {
        room.pass(5_000);
        let word = alice.control(&[]);
        room.say(0, &word);
        let word = bob.control(&[]);
        room.say(1, &word);
    }
    let before = room.settle().copies;
    let frame = bob.data(Class::Core, 80);
    let after = room.after(1, &frame);
    assert_eq!((after.of(Verdict::Unwanted), after.copies), (1, before), "not to {home}");
    assert_eq!(after.participants, 2);
}

#[test]
fn a_new_token_that_may_not_send_ends_what_was_sent() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    let voice = OwnStream { stream: 3.into(), kind: 2, profile: 0x12, phase: phase::ACTIVE };
    let wish = alice.control(&[Control::StreamsMine(StreamsMine::new(1, &[voice]))]);
    room.say(0, &wish);
    room.pass(200);
    opened(&mut room, 1, &mut bob);
    let listening = Claims { permissions: Permissions::RECEIVE, ..club.claims };
    let listening = Claims { subject: Subject::Bound(*alice.identity.public()), ..listening };
    let token = Token::mint(&club.issuer, &listening);
    let certificate = alice.membership.certificate;
    alice.client.renew(token, certificate);
    room.enter(0, &mut alice);
    room.pass(200);
    let said = opened(&mut room, 1, &mut bob);
    let (_, _, _, others, lines) = roster(&of_kind(&said, kind::ROSTER)[0]);
    assert_eq!((others, lines), (1, vec![(alice.node().0, roster_phase::GONE)]));
    assert_eq!(of_kind(&said, kind::STREAMS)[0].last(), Some(&phase::ENDED));
}

#[test]
fn who_is_sent_away_while_it_is_welcomed_does_not_come_back() {
    let mut club = Club::new();
    let (mut room, [_]) = entered::<1>(&mut club);
    let mut shy = club.guest();
    room.knock(0, &mut shy);
    assert!(!room.kick(SESSION, shy.node()), "it was not inside");
    let hello = shy.hello();
    assert_eq!(room.after(0, &hello).of(Verdict::Banned), 1);
}

#[test]
fn what_is_on_changes_as_often_as_it_may() {
    let mut club = Club::new();
    let (mut room, [mut alice]) = entered::<1>(&mut club);
    let stream = |n: u16| OwnStream { stream: n.into(), kind: 2, profile: 0, phase: phase::ACTIVE };
    for n in 1..=20 {
        let wishes = [stream(n)];
        let wish = StreamsMine::new(n.into(), &wishes);
        let wish = alice.control(&[Control::StreamsMine(wish)]);
        room.say(0, &wish);
    }
    let acks = of_kind(&opened(&mut room, 0, &mut alice), kind::ACK);
    assert_eq!(acks.len(), 8, "the others are not taken yet, and come again");
    let many: Vec<OwnStream> = (0..65).map(stream).collect();
    room.pass(2_000);
    let wish = alice.control(&[Control::StreamsMine(StreamsMine::new(50, &many))]);
    room.say(0, &wish);
    let said = opened(&mut room, 0, &mut alice);
    assert_eq!(of_kind(&said, kind::ALERT)[0][0], alert::FULL as u8);
    assert!(of_kind(&said, kind::ACK).is_empty());
}

#[test]
fn the_silent_are_sent_nothing_and_stay_until_they_are_gone() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    let ms = |span: elara_core::time::Span| span.as_nanos() / 1_000_000;
    for _ in 0..ms(V1_STALE) / 5_000 + 1 {
        room.pass(5_000);
        let alive = alice.control(&[]);
        room.say(0, &alive);
    }
    let (_, _, _, _, lines) =
        roster(of_kind(&opened(&mut room, 0, &mut alice), kind::ROSTER).last().unwrap());
    assert_eq!(lines, [(bob.node().0, roster_phase::STALE)]);
    room.heard(1);
    let frame = alice.data(Class::Core, 80);
    assert_eq!(room.after(0, &frame).of(Verdict::Unwanted), 1);
    assert!(room.heard(1).is_empty());
    // One word, and all is as it was.
    let word = bob.control(&[]);
    room.say(1, &word);
    assert!(!of_kind(&opened(&mut room, 1, &mut bob), kind::ROSTER).is_empty());
    let frame = alice.data(Class::Core, 80);
    room.say(0, &frame);
    assert_eq!(data_of(room.heard(1)), [&frame[..]]);

    for _ in 0..ms(V1_SILENCE) / 20_000 + 1 {
        room.pass(20_000);
        let alive = alice.control(&[]);
        room.say(0, &alive);
    }
    let counters = room.settle();
    assert_eq!((counters.participants, counters.left), (1, 1));
    let frame = bob.data(Class::Core, 80);
    assert_eq!(room.after(1, &frame).of(Verdict::UnknownParticipant), 1);
}

#[test]
fn who_is_welcomed_and_says_nothing_is_forgotten() {
    let mut club = Club::new();
    let (mut room, [_]) = entered::<1>(&mut club);
    let mut shy = club.guest();
    room.knock(0, &mut shy);
    assert_eq!(room.settle().half_open, 1);
    room.pass(5_500);
    let counters = room.settle();
    assert_eq!((counters.half_open, counters.participants), (0, 1));
    let late = shy.greeting();
    assert_eq!(room.after(0, &late).of(Verdict::UnknownParticipant), 1);
}

#[test]
fn a_token_that_runs_out_ends_the_stay() {
    let mut club = Club::new();
    club.claims.expires = 1_800_000_000;
    let (mut room, [mut alice]) = entered::<1>(&mut club);
    for _ in 0..7 {
        room.pass(10_000);
        let alive = alice.control(&[]);
        room.say(0, &alive);
    }
    let kicks = of_kind(&opened(&mut room, 0, &mut alice), kind::KICK);
    assert_eq!(kicks, [[&alice.node().to_bytes()[..], &[reason::EXPIRED]].concat()]);
    assert_eq!(room.settle().participants, 0);
}

#[test]
fn a_moderator_sends_away_and_others_cannot() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    let kick = Kick { node: alice.node().0.into(), reason: reason::NONE };
    let order = bob.control(&[Control::Kick(&kick)]);
    room.say(1, &order);
    assert_eq!(of_kind(&opened(&mut room, 1, &mut bob), kind::ALERT).len(), 1);
    assert_eq!(room.settle().participants, 2);

    room.place.add_peers(1);
    club.claims.permissions = MEMBER.and(Permissions::KICK);
    let mut moderator = club.guest();
    room.enter(2, &mut moderator);
    let kick = Kick { node: bob.node().0.into(), reason: reason::NONE };
    let order = moderator.control(&[Control::Kick(&kick)]);
    room.say(2, &order);
    let told = of_kind(&opened(&mut room, 1, &mut bob), kind::KICK);
    assert_eq!(told, [[&bob.node().to_bytes()[..], &[reason::MODERATED]].concat()]);
    // And not back while the session lives.
    let hello = bob.hello();
    assert_eq!(room.after(1, &hello).of(Verdict::Banned), 1);

    // The operator may as well.
    assert!(room.kick(SESSION, alice.node()));
    assert!(!room.kick(SESSION, alice.node()), "she has gone");
    assert_eq!(of_kind(&opened(&mut room, 0, &mut alice), kind::KICK).len(), 1);
}

#[test]
fn a_ban_reaches_those_who_are_inside() {
    let mut club = Club::new();
    let (mut room, [mut alice, bob]) = entered::<2>(&mut club);
    club.bans.insert(*alice.identity.public().as_bytes());
    room.replace_access(club.access());
    let told = of_kind(&opened(&mut room, 0, &mut alice), kind::KICK);
    assert_eq!(told, [[&alice.node().to_bytes()[..], &[reason::BANNED]].concat()]);
    let view = room.view(SESSION).unwrap();
    assert_eq!(view.participants.iter().map(|them| them.node).collect::<Vec<_>>(), [bob.node()]);
    let hello = alice.hello();
    assert_eq!(room.after(0, &hello).of(Verdict::Banned), 1);
}

#[test]
fn new_keys_touch_no_connection_that_stands() {
    let mut club = Club::new();
    let (mut room, [mut alice, _]) = entered::<2>(&mut club);
    let mut other = Club::new();
    other.relay =
        elara_core::crypto::ExchangeKey::from_secret(elara_core::crypto::Secret::new([8; 32]));
    room.replace_access(other.access());
    let frame = alice.data(Class::Core, 80);
    room.say(0, &frame);
    assert_eq!(data_of(room.heard(1)), [&frame[..]]);
    let hello = club.guest().hello();
    assert_eq!(room.after(0, &hello).of(Verdict::BadMac1), 1);
}

#[test]
fn a_session_ends_with_its_last_member_and_can_begin_again() {
    let mut club = Club::new();
    let (mut room, [mut alice]) = entered::<1>(&mut club);
    let bye = alice.control(&[Control::Leave(&Leave { reason: reason::DONE })]);
    room.say(0, &bye);
    let counters = room.settle();
    assert_eq!((counters.sessions, counters.participants, counters.left), (0, 0, 1));
    assert!(room.view(SESSION).is_none());
    room.enter(0, &mut alice);
    let counters = room.settle();
    assert_eq!((counters.sessions, counters.participants), (1, 1));
}

#[test]
fn who_connects_anew_is_announced_at_once() {
    let mut club = Club::new();
    let (mut room, [mut alice, mut bob]) = entered::<2>(&mut club);
    room.enter(0, &mut alice);
    room.tick(25);
    let said = opened(&mut room, 1, &mut bob);
    let (_, _, _, _, lines) = roster(&of_kind(&said, kind::ROSTER)[0]);
    assert_eq!(lines, [(alice.node().0, roster_phase::ACTIVE)], "with the keys she seals by next");
}

#[test]
fn an_address_that_never_answered_is_not_proven_by_connecting_again() {
    let mut club = Club::new();
    let (mut room, [_]) = entered::<1>(&mut club);
    room.place.add_peers(2);
    let mut forger = club.guest();
    // Welcomed at peer 1's address, both times; it speaks as if from peer 2's.
    for _ in 0..2 {
        room.knock(1, &mut forger);
        let greeting = forger.greeting();
        room.say(2, &greeting);
        let heard = room.heard(2);
        assert!(heard.iter().all(|datagram| datagram.len() == 57), "challenges and nothing else");
    }
}
