//! Sessions of very many, over every back end.
mod support;

use elara_shards::ShardConfig;
use support::frames::frame_of;
use support::room::{InMemory, OverSyscall, OverUring, Place, Room, open_config};

fn many<P: Place>() {
    const N: usize = 530;
    let mut room = Room::<P>::with(N, ShardConfig { max_peers: 5_000, ..open_config() });
    let drain = |room: &mut Room<P>| {
        room.settle();
        (0..N).map(|peer| room.place.heard(room.shard.io(), peer)).collect::<Vec<_>>()
    };
    for peer in 0..N {
        room.say(peer, &frame_of(1, peer as u64, 60, 0));
        if peer % 40 == 39 {
            drop(drain(&mut room));
        }
    }
    drop(drain(&mut room));
    for round in 0..30u8 {
        let mut want = Vec::new();
        for at in 0..6u8 {
            let mut train = Vec::new();
            for cut in 0..3u8 {
                let frame = frame_of(1, u64::from(at), 1_200, round * 8 + at);
                let mut frame = frame;
                frame[40] = cut;
                train.extend_from_slice(&frame);
                want.push(frame);
            }
            room.say_train(usize::from(at), &train, 1_200);
            let small = frame_of(1, u64::from(at), 100 + usize::from(at), round);
            room.say(usize::from(at), &small);
            want.push(small);
            room.cycle();
        }
        want.sort();
        for (peer, mut got) in drain(&mut room).into_iter().enumerate() {
            got.sort();
            let mine = |frame: &Vec<u8>| frame[12..20] == (peer as u64).to_le_bytes();
            let want: Vec<_> = want.iter().filter(|frame| !mine(frame)).cloned().collect();
            assert!(
                got == want,
                "{} round {round} peer {peer}: {} of {}",
                P::NAME,
                got.len(),
                want.len()
            );
        }
    }
    let after = room.settle();
    assert_eq!(after.copies, after.egress.sent + after.egress.busy + after.egress.failed);
    eprintln!("{} {:?}", P::NAME, after.egress);
}

#[test]
fn uring() {
    many::<OverUring>();
}
#[test]
fn syscall() {
    many::<OverSyscall>();
}
#[test]
fn memory() {
    many::<InMemory>();
}
