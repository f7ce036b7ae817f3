//! How long frames of wire v1 wait to share a datagram: never longer than their receiver grants and a tick,
//! and where nobody grants anything, only on a shard that is loaded.

mod support;

use elara_core::random::{Random, Seeded};
use elara_core::time::Span;
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{Control, Subscribe, Wish};
use support::guest::{Club, Guest, Party, data_of};
use support::room::{InMemory, Room};

const SPEAKERS: usize = 48;

/// Everyone is in, and grants `hold_ms`.
fn big_room(hold_ms: u8) -> (Room<InMemory>, Vec<Guest>) {
    let mut club = Club::new();
    let mut room = Room::<InMemory>::with(SPEAKERS, club.config());
    let mut guests: Vec<Guest> = (0..SPEAKERS).map(|_| club.guest()).collect();
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.pass(10);
        drop(room.heard(peer));
        room.enter(peer, guest);
        let everything = [Wish::EVERYTHING];
        let wish = guest.control(&[Control::Subscribe(Subscribe::new(9, hold_ms, &everything))]);
        room.say(peer, &wish);
    }
    room.pass(500);
    (0..SPEAKERS).for_each(|peer| drop(room.heard(peer)));
    (room, guests)
}

/// Half a second of everyone speaking 50 times a second, each at a time of their own; the shard works
/// `worked` of every millisecond. The longest that any frame took, in milliseconds, and how many frames came
/// in a datagram on average, in the second half.
fn talk(room: &mut Room<InMemory>, guests: &mut [Guest], worked: Span) -> (u64, f64) {
    let mut random = Seeded::new(11);
    let phases: Vec<u64> = guests.iter().map(|_| random.below(20)).collect();
    let mut said: Vec<(u64, usize, Vec<u8>)> = Vec::new();
    let (mut longest, mut frames, mut datagrams) = (0, 0, 0);
    let mut heard = vec![0; guests.len()];
    for ms in 0..540u64 {
        let io = room.shard.io();
        io.set_worked(Span::from_nanos((ms + 1) * worked.as_nanos()));
        for (peer, guest) in guests.iter_mut().enumerate() {
            if ms < 500 && ms % 20 == phases[peer] {
                let frame = guest.data(Class::Perceptual, 120);
                room.say(peer, &frame);
                said.push((ms, peer, frame));
            }
        }
        room.tick(1);
        for (peer, heard) in heard.iter_mut().enumerate() {
            let came = room.heard(peer);
            let bare = came.iter().filter(|datagram| datagram[0] == 0x13 || datagram[20] <= 4);
            let (count, came) = (bare.count(), data_of(came));
            if ms >= 250 {
                datagrams += count;
                frames += came.len();
            }
            for frame in came {
                *heard += 1;
                let (then, ..) =
                    said.iter().find(|(.., said)| *said == frame).expect("it was said");
                longest = longest.max(ms + 1 - then);
            }
        }
    }
    let others = |peer: usize| said.iter().filter(|(_, speaker, _)| *speaker != peer).count();
    (0..guests.len()).for_each(|peer| assert_eq!(heard[peer], others(peer), "nothing is lost"));
    (longest, frames as f64 / datagrams as f64)
}

#[test]
fn nobody_waits_longer_than_granted_and_a_tick() {
    for (hold_ms, together) in [(5, 5.0), (2, 2.5), (1, 1.5)] {
        let (mut room, mut guests) = big_room(hold_ms);
        let (longest, shared) = talk(&mut room, &mut guests, Span::ZERO);
        assert!(longest <= u64::from(hold_ms) + 1, "{longest} ms where {hold_ms} were granted");
        assert!(shared >= together, "{shared} frames in a datagram at {hold_ms} ms");
    }
}

#[test]
fn who_grants_nothing_waits_a_tick_on_a_loaded_shard_and_not_at_all_on_an_idle_one() {
    let (mut room, mut guests) = big_room(0);
    let (longest, idle) = talk(&mut room, &mut guests, Span::from_micros(300));
    // What comes within one cycle shares a datagram anyway.
    assert!(longest <= 1, "{longest} ms");
    let (mut room, mut guests) = big_room(0);
    let (longest, loaded) = talk(&mut room, &mut guests, Span::from_micros(800));
    assert!((2..=2).contains(&longest), "{longest} ms");
    assert!(loaded > idle, "{loaded} frames in a datagram, {idle} on an idle shard");
}
