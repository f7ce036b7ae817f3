//! The way out, attacked: order, starvation, sessions that come back, newcomers, allocations.

mod support;

use elara_core::{NodeId, SessionId};
use elara_shards::ShardConfig;
use elara_shards::Verdict;
use elara_shards::sys::counting::Counting;
use support::frames::frame_of;
use support::room::{InMemory, Place, Room, open_config};

#[global_allocator]
static HEAP: Counting = Counting;

fn hall(peers: usize) -> Room<InMemory> {
    Room::with(peers, ShardConfig { max_peers: 5_000, ..open_config() })
}

fn enter(room: &mut Room<InMemory>, session: u64, peers: std::ops::Range<usize>) {
    for peer in peers {
        room.say(peer, &frame_of(session, peer as u64, 60, 0));
        if peer % 40 == 39 {
            room.settle();
            room.shard.io().clear_sent();
        }
    }
    room.settle();
    room.shard.io().clear_sent();
}

fn lens(frames: &[Vec<u8>]) -> Vec<usize> {
    frames.iter().map(Vec::len).collect()
}

/// A sender's frames keep their order: large, someone else's, small.
fn order(members: usize) -> Vec<usize> {
    let mut room = hall(members);
    enter(&mut room, 1, 0..members);
    room.say(0, &frame_of(1, 0, 1_200, 1));
    room.say(1, &frame_of(1, 1, 90, 2));
    room.say(0, &frame_of(1, 0, 120, 3));
    let mut heard = lens(&room.heard(7));
    heard.retain(|len| *len != 90);
    heard
}

#[test]
fn a_senders_frames_keep_their_order_in_a_small_session() {
    assert_eq!(order(10), [1_200, 120]);
}

#[test]
fn a_senders_frames_keep_their_order_in_a_session_of_very_many() {
    assert_eq!(order(600), [1_200, 120]);
}

#[test]
fn one_loud_session_does_not_starve_the_pictures_of_another() {
    let mut room = hall(1_200);
    enter(&mut room, 1, 0..600);
    enter(&mut room, 2, 600..1_200);
    room.say(600, &frame_of(2, 600, 1_200, 9));
    for round in 0..200 {
        room.say(0, &frame_of(1, 0, 120, round as u8));
        room.cycle();
        room.shard.io().settle();
        let pictures = room.shard.io().sent().filter(|sent| sent.bytes.len() == 1_200).count();
        if pictures > 0 {
            return;
        }
        room.shard.io().clear_sent();
    }
    panic!("200 cycles, and nobody of session 2 has seen the picture");
}

#[test]
fn a_session_that_opens_again_gets_nothing_of_the_one_before() {
    let mut room = hall(600);
    enter(&mut room, 1, 0..600);
    room.say_train(0, &frame_of(1, 0, 1_200, 7).repeat(50), 1_200);
    room.cycle();
    room.shard.io().settle();
    let heard = |room: &mut Room<InMemory>, peer| {
        let all = room.place.heard(room.shard.io(), peer);
        all.iter().filter(|frame| frame.len() == 1_200).count()
    };
    let early = heard(&mut room, 1);
    assert_eq!(early, 50, "peer 1 was among the first");
    // Everyone goes elsewhere, in pairs: session 1 ends.
    for peer in 0..600 {
        room.say(peer, &frame_of(100 + peer as u64 / 2, peer as u64, 60, 0));
    }
    // Peers 1 and 2 open it again, in the cycle in which the last one leaves.
    room.say(1, &frame_of(1, 1, 60, 0));
    room.say(2, &frame_of(1, 2, 60, 0));
    let (mut cycles, datagrams) = (0, room.shard.counters().datagrams + 602);
    while room.shard.counters().datagrams < datagrams {
        room.cycle();
        cycles += 1;
    }
    let _ = room.view(SessionId(1));
    let again = heard(&mut room, 1);
    assert_eq!(again, 0, "after {cycles} cycles peer 1 got frames of the ended session again");
    let _ = NodeId(1);
}

#[test]
fn a_session_of_very_many_allocates_nothing_either() {
    let mut room = hall(600);
    enter(&mut room, 1, 0..600);
    let voice = frame_of(1, 0, 120, 7);
    let mut allocated = 0;
    for round in 0..20 {
        room.say(0, &voice);
        let before = Counting::on_this_thread();
        room.cycle();
        let now = Counting::on_this_thread() - before;
        if round >= 10 {
            allocated += now;
        }
        room.settle();
        room.shard.io().clear_sent();
    }
    assert_eq!(allocated, 0);
}

#[test]
fn a_call_of_two_allocates_nothing_however_much_comes() {
    let mut room = hall(2);
    enter(&mut room, 1, 0..2);
    let mut train = Vec::new();
    for at in 0..64u8 {
        let mut frame = frame_of(1, 0, 60, at);
        frame[20] = at % 2;
        train.extend(frame);
    }
    for _ in 0..25 {
        room.say_train(0, &train, 60);
    }
    let before = Counting::on_this_thread();
    room.cycle();
    let allocated = Counting::on_this_thread() - before;
    let counters = room.settle();
    eprintln!("forwarded {} copies {}", counters.of(Verdict::Forwarded), counters.copies);
    assert_eq!(allocated, 0);
}

#[test]
fn whoever_stays_gets_everything_once_while_others_come_and_go() {
    for seed in 1..6u64 {
        let mut room = hall(760);
        enter(&mut room, 1, 0..700);
        room.shard.io().mischief().busy = 0;
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut said: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut gone = 600..700usize;
        let mut got: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 600];
        let before = room.shard.counters();
        for round in 0..40u64 {
            for _ in 0..next(3) {
                let peer = next(600) as usize;
                let len = [60, 120, 320, 400, 1_200][next(5) as usize];
                let mut frame = frame_of(1, peer as u64, len, 0);
                frame[30..38].copy_from_slice(&(round << 32 | said.len() as u64).to_le_bytes());
                room.say(peer, &frame);
                said.push((peer as u64, frame));
            }
            for _ in 0..next(6) {
                if let Some(peer) = gone.next() {
                    room.say(peer, &frame_of(1_000 + peer as u64, peer as u64, 60, 0));
                }
            }
            // Someone comes, and says so by a frame of 61 bytes.
            if round < 30 {
                let peer = 700 + round as usize;
                room.say(peer, &frame_of(1, peer as u64, 61, 0));
            }
            room.say(0, &[0x80; 60]);
            room.cycle();
        }
        let after = room.settle();
        assert_eq!(after.of(Verdict::Congested), before.of(Verdict::Congested));
        assert_eq!(after.copies, after.egress.sent + after.egress.busy + after.egress.failed);
        let mut places = std::collections::HashMap::new();
        (0..600).for_each(|peer| {
            places.insert(room.place.addr(peer), peer);
        });
        assert_eq!(room.shard.io().unseen(), 0, "the wire holds it all");
        for sent in room.shard.io().sent() {
            if let Some(peer) = places.get(&sent.to) {
                got[*peer].push(sent.bytes.to_vec());
            }
        }
        for (peer, got) in got.iter_mut().enumerate() {
            got.retain(|frame| frame.len() != 61);
            let mut wanted: Vec<Vec<u8>> = said
                .iter()
                .filter(|(from, _)| *from != peer as u64)
                .map(|(_, frame)| frame.clone())
                .collect();
            got.sort();
            wanted.sort();
            assert_eq!(got.len(), wanted.len(), "seed {seed}, peer {peer}");
            assert!(*got == wanted, "seed {seed}, peer {peer}");
        }
    }
}

#[test]
fn counters_agree_when_the_socket_is_busy() {
    let mut room = hall(600);
    enter(&mut room, 1, 0..600);
    room.shard.io().mischief().busy = 300_000;
    for round in 0..50 {
        room.say_train(0, &frame_of(1, 0, 1_200, 7).repeat(3), 1_200);
        room.say(1, &frame_of(1, 1, 120, round));
        room.say(2, &frame_of(1, 2, 90, round));
        room.cycle();
    }
    let after = room.settle();
    assert_eq!(after.copies, after.egress.sent + after.egress.busy + after.egress.failed);
}

#[test]
fn who_enters_gets_what_is_said_from_then_on() {
    let late = |members: usize| {
        let mut room = hall(members + 1);
        enter(&mut room, 1, 0..members);
        room.say_train(0, &frame_of(1, 0, 1_200, 7).repeat(20), 1_200);
        room.cycle();
        room.say(members, &frame_of(1, members as u64, 60, 0));
        let heard = room.heard(members);
        heard.iter().filter(|frame| frame.len() == 1_200).count()
    };
    assert_eq!(late(10), 0);
    assert_eq!(late(600), 0);
}
