//! Sessions of very many: each member gets each frame once, whoever comes and goes, and nobody else waits
//! for that longer than a slice.

mod support;

use std::collections::HashMap;

use elara_core::ClientAddr;
use elara_core::limits::{LASTING_BUFFER, SLICE_MEMBERS_MAX, SLICE_SENDS_MAX};
use elara_core::wire::header::Class;
use elara_core::wire::v1::Bundle;
use elara_shards::Verdict;
use support::frames::frame_of;
use support::guest::{Club, Party};
use support::room::{InMemory, Place, Room, open_config};

const BIG: u64 = 1;
const SMALL: u64 = 2;

/// A room in which the first `many` peers are in [`BIG`], and three more in [`SMALL`].
fn crowd(many: usize) -> Room<InMemory> {
    let mut config = open_config();
    config.max_peers = 10_000;
    let mut room = Room::<InMemory>::with(many + 3, config);
    for peer in 0..many + 3 {
        let session = if peer < many { BIG } else { SMALL };
        room.say(peer, &frame_of(session, peer as u64, 100, 0));
        while peer % 200 == 199 && room.shard.io().is_waiting() {
            room.cycle();
            room.shard.io().clear_sent();
        }
    }
    room.settle();
    room.shard.io().clear_sent();
    room
}

/// One cycle, and what left in it: where to, and the byte each frame is filled with.
fn cycle(room: &mut Room<InMemory>) -> Vec<(ClientAddr, u8)> {
    room.cycle();
    let io = room.shard.io();
    io.settle();
    let left = io.sent().map(|sent| (sent.to, sent.bytes[50])).collect();
    io.clear_sent();
    left
}

/// Cycles until nothing leaves any more; how often each address got a frame filled with `fill`.
fn rest(room: &mut Room<InMemory>, mut left: Vec<(ClientAddr, u8)>, fill: u8) -> HashMap<u16, u32> {
    loop {
        let more = cycle(room);
        if more.is_empty() {
            break;
        }
        left.extend(more);
    }
    let mut times = HashMap::new();
    for (to, _) in left.iter().filter(|(_, byte)| *byte == fill) {
        *times.entry(to.port()).or_insert(0) += 1;
    }
    times
}

fn port(room: &Room<InMemory>, peer: usize) -> u16 {
    room.place.addr(peer).port()
}

#[test]
fn ten_thousand_hear_it_and_nobody_else_waits_longer_than_a_slice() {
    const MANY: usize = 10_000;
    let mut room = crowd(MANY);
    room.say(0, &frame_of(BIG, 0, 120, 7));
    let mut all = Vec::new();
    let mut cycles = 0;
    while all.len() < MANY - 1 {
        // In each of these cycles someone elsewhere speaks, and is heard in the same.
        room.say(MANY, &frame_of(SMALL, MANY as u64, 120, 8));
        let left = cycle(&mut room);
        let voice = left.iter().position(|(_, fill)| *fill == 8).expect("heard at once");
        let before = left[..voice].len();
        assert!(before <= SLICE_SENDS_MAX, "{before} sends to others first");
        assert_eq!(left.iter().filter(|(_, fill)| *fill == 8).count(), 2);
        assert!(left.len() <= SLICE_SENDS_MAX + 2, "{} sends in one cycle", left.len());
        all.extend(left.into_iter().filter(|(_, fill)| *fill == 7));
        cycles += 1;
    }
    assert_eq!(cycles, (MANY - 1).div_ceil(SLICE_SENDS_MAX));
    let times = rest(&mut room, all, 7);
    assert_eq!(times.len(), MANY - 1, "everyone but the speaker");
    assert!(times.values().all(|times| *times == 1) && !times.contains_key(&port(&room, 0)));
    assert!(room.settle().balanced());
}

#[test]
fn whoever_leaves_meanwhile_the_others_get_it_once() {
    const MANY: usize = 2_000;
    let mut room = crowd(MANY);
    room.say(5, &frame_of(BIG, 5, 120, 7));
    let mut left = cycle(&mut room);
    let mut gone = Vec::new();
    // Some of those who have it, and some who do not, speak for another session from now on.
    for step in 0..3 {
        for peer in [10 + step, 700 + step, 1_500 + step, MANY - 1 - step] {
            room.say(peer, &frame_of(90 + step as u64, 9_000 + peer as u64, 120, 1));
            gone.push(port(&room, peer));
        }
        left.extend(cycle(&mut room));
    }
    let times = rest(&mut room, left, 7);
    for peer in (0..MANY).filter(|peer| *peer != 5 && !gone.contains(&port(&room, *peer))) {
        assert_eq!(times.get(&port(&room, peer)), Some(&1), "peer {peer}");
    }
    assert!(gone.iter().all(|port| times.get(port).is_none_or(|times| *times == 1)));
    assert_eq!(times.get(&port(&room, 5)), None, "not to the speaker");
}

#[test]
fn what_one_session_has_on_its_way_another_in_its_place_does_not_get() {
    const MANY: usize = 600;
    let mut room = crowd(MANY);
    room.say(0, &frame_of(BIG, 0, 120, 7));
    room.say(0, &frame_of(BIG, 0, 1_200, 7));
    let before = cycle(&mut room).len();
    assert!(before < 2 * (MANY - 1), "more is on its way");
    // Everyone leaves for a session of their own; the last to go makes room for one more.
    for peer in 0..MANY {
        room.say(peer, &frame_of(1_000 + peer as u64, peer as u64, 100, 1));
    }
    let left = rest(&mut room, Vec::new(), 7).values().sum::<u32>();
    assert!((left as usize) < 2 * MANY - before, "what had not left does not leave any more");
    room.place.add_peers(2);
    for peer in [MANY + 3, MANY + 4] {
        room.say(peer, &frame_of(5, peer as u64, 100, 2));
    }
    assert!(rest(&mut room, Vec::new(), 7).is_empty());
    let counters = room.settle();
    assert!(counters.balanced());
    assert_eq!(counters.of(Verdict::Congested), 0);
}

#[test]
fn what_is_too_much_for_so_many_is_refused_by_name_and_others_do_not_feel_it() {
    const MANY: usize = SLICE_MEMBERS_MAX + 100;
    let mut room = crowd(MANY);
    let before = room.settle();
    let much = 3 * LASTING_BUFFER / 1_200;
    for _ in 0..much {
        room.say(0, &frame_of(BIG, 0, 1_200, 7));
    }
    room.say(MANY, &frame_of(SMALL, MANY as u64, 120, 8));
    let left = cycle(&mut room);
    assert_eq!(left.iter().filter(|(_, fill)| *fill == 8).count(), 2);
    let times = rest(&mut room, left, 7);
    let after = room.settle();
    let refused = after.of(Verdict::Congested) - before.of(Verdict::Congested);
    let taken = much as u64 - refused;
    assert!(refused > 0 && taken >= (LASTING_BUFFER / 1_200) as u64, "{refused} of {much}");
    assert_eq!(times.len(), MANY - 1);
    assert!(times.values().all(|times| u64::from(*times) == taken), "what was taken arrives");
    room.say(0, &frame_of(BIG, 0, 1_200, 9));
    assert_eq!(rest(&mut room, Vec::new(), 9).len(), MANY - 1, "and then there is room again");
}

#[test]
fn small_frames_of_every_session_leave_before_large_ones_of_any() {
    let mut room = Room::<InMemory>::new(6);
    for peer in 0..6 {
        room.say(peer, &frame_of(1 + peer as u64 / 3, peer as u64, 100, 0));
    }
    room.settle();
    room.shard.io().clear_sent();
    let picture = frame_of(1, 0, 1_200, 1).repeat(10);
    room.say_train(0, &picture, 1_200);
    room.say(3, &frame_of(2, 3, 120, 2));
    room.say(1, &frame_of(1, 1, 120, 3));
    // From one speaker things leave in order: this stays behind its picture.
    room.say(0, &frame_of(1, 0, 120, 4));
    let fills: Vec<u8> = cycle(&mut room).into_iter().map(|(_, fill)| fill).collect();
    let expected = [&[2; 2][..], &[3; 2], &[1; 10], &[4], &[1; 10], &[4]].concat();
    assert_eq!(fills, expected);
}

#[test]
fn very_many_get_bundles_too() {
    const MANY: usize = SLICE_MEMBERS_MAX + 8;
    let mut club = Club::new();
    let mut config = club.config();
    config.max_peers = 10_000;
    let mut room = Room::<InMemory>::with(MANY, config);
    let mut guests: Vec<_> = (0..MANY).map(|_| club.guest()).collect();
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.pass(10);
        room.enter(peer, guest);
        if peer % 100 == 0 {
            drop(room.heard(peer));
        }
    }
    room.pass(2_000);
    (0..MANY).for_each(|peer| drop(room.heard(peer)));
    let said: Vec<Vec<u8>> = (0..3).map(|peer| guests[peer].data(Class::Perceptual, 120)).collect();
    said.iter().enumerate().for_each(|(peer, frame)| room.say(peer, frame));
    for peer in 0..MANY {
        let heard = room.heard(peer);
        let bundles = heard.iter().filter_map(|datagram| Bundle::parse(datagram).ok());
        let frames: Vec<&[u8]> =
            bundles.flat_map(|bundle| bundle.iter().collect::<Vec<_>>()).collect();
        let expected = said.iter().enumerate().filter(|(speaker, _)| *speaker != peer);
        assert_eq!(frames, expected.map(|(_, frame)| &frame[..]).collect::<Vec<_>>(), "{peer}");
    }
}
