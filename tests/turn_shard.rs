//! STUN and TURN in a shard, over all three back ends: every verdict, and the books.

mod support;

use std::net::SocketAddr;

use elara_core::limits::TURN_REPLIES_PER_PREFIX;
use elara_core::stun::{Class, Method, Writer, attribute};
use elara_shards::Verdict;
use elara_shards::sys::counting::Counting;
use support::hall::{CLIENT, Hall, LISTENER, PEER, STRANGER};
use support::ports::PortPlace;
use support::room::{InMemory, OverSyscall, OverUring};
use support::turn::{Heard, channel_data_of, over_udp};

#[global_allocator]
static HEAP: Counting = Counting;

fn data_has_its_verdicts<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let relayed = hall.open();
    let on = |channel, data: &[u8]| channel_data_of(channel, data);
    assert_eq!(hall.say(CLIENT, &on(0x4000, b"to the peer")), Verdict::Relayed);
    assert_eq!(hall.room.heard(PEER), [b"to the peer".to_vec()], "{}", P::NAME);
    assert_eq!(hall.send_to(PEER, relayed, b"and back"), Verdict::Relayed);
    assert_eq!(hall.room.heard(CLIENT), [on(0x4000, b"and back")], "{}", P::NAME);
    assert_eq!(hall.say(CLIENT, &on(0x4001, b"on another")), Verdict::NoChannel);
    assert_eq!(hall.say(STRANGER, &on(0x4000, b"without")), Verdict::NoAllocation);
    assert_eq!(hall.say(CLIENT, &on(0x5000, b"beyond")), Verdict::Unrecognised);
    let indication = hall.talker.indication("192.0.2.1:1".parse().unwrap(), b"to nobody", false);
    assert_eq!(hall.say(CLIENT, &indication), Verdict::NoPermission);
    // Loopback may be reached, but not where the node itself listens.
    let indication = hall.talker.indication(LISTENER.parse().unwrap(), b"to you", false);
    assert_eq!(hall.say(CLIENT, &indication), Verdict::PeerDenied);
    let counters = hall.room.settle();
    assert_eq!((counters.allocations, counters.permissions, counters.channels), (1, 1, 1));
    let relayed = (b"to the peer".len() + b"and back".len()) as u64;
    assert_eq!((counters.relayed, counters.relayed_bytes), (2, relayed));
}

fn messages_have_their_verdicts<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let binding = hall.talker.plain(Class::Request, Method::BINDING, |_| {});
    assert_eq!(hall.say(STRANGER, &binding), Verdict::Answered);
    let answer = Heard(hall.room.heard(STRANGER).pop().unwrap());
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), hall.address(STRANGER));
    let nothing = hall.talker.plain(Class::Request, Method::ALLOCATE, over_udp);
    assert_eq!(hall.say(STRANGER, &nothing), Verdict::Declined);
    let answer = hall.talker.plain(Class::Success, Method::BINDING, |_| {});
    assert_eq!(hall.say(STRANGER, &answer), Verdict::StunIgnored);
    hall.open();
    let empty = hall.talker.plain(Class::Indication, Method::SEND, |_| {});
    assert_eq!(hall.say(CLIENT, &empty), Verdict::BadStun);
}

fn bandwidth_is_bounded<P: PortPlace>() {
    let mut hall = Hall::<P>::new(Some(4_000));
    hall.open();
    let data = channel_data_of(0x4000, &[1; 900]);
    assert_eq!(hall.say(CLIENT, &data), Verdict::Relayed);
    assert_eq!(
        hall.say(CLIENT, &data),
        Verdict::OverBandwidth,
        "a quarter of a second's worth is gone"
    );
}

/// A train of one channel leaves as one send, and one of two channels as two.
fn trains_stay_whole<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let relayed = hall.open();
    let datagram = channel_data_of(0x4000, &[5; 200]);
    hall.room.say_train(CLIENT, &datagram.repeat(10), datagram.len() as u16);
    assert_eq!(hall.room.heard(PEER), vec![vec![5; 200]; 10], "{}", P::NAME);
    let before = hall.room.settle();
    hall.room.place.send_to(hall.room.shard.io(), PEER, relayed, &[6; 2_000], 200);
    let after = hall.room.settle();
    assert_eq!(after.of(Verdict::Relayed) - before.of(Verdict::Relayed), 10);
    assert_eq!(
        hall.room.heard(CLIENT),
        vec![channel_data_of(0x4000, &[6; 200]); 10],
        "{}",
        P::NAME
    );
    // Something else among them, and a channel that is not there.
    let mut mixed = datagram.repeat(3);
    mixed[datagram.len() + 1] = 9;
    hall.room.say_train(CLIENT, &mixed, datagram.len() as u16);
    let last = hall.room.settle();
    assert_eq!(last.of(Verdict::Relayed) - after.of(Verdict::Relayed), 2);
    assert_eq!(last.of(Verdict::NoChannel), 1, "{}", P::NAME);
    assert!(last.balanced());
}

/// What came before a Refresh that ends everything still leaves.
fn what_is_under_way_outlives_its_allocation<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    hall.open();
    let last = channel_data_of(0x4000, b"goodbye");
    let end = hall.talker.request(Method::REFRESH, |writer| {
        writer.put_u32(attribute::LIFETIME, 0);
    });
    hall.room.say(CLIENT, &last);
    hall.room.say(CLIENT, &end);
    assert_eq!(hall.room.heard(PEER), [b"goodbye".to_vec()], "{}", P::NAME);
    assert_eq!(hall.room.settle().allocations, 0);
}

/// Data both ways, alone and in trains, on a channel and in indications; and what is refused.
fn relaying_allocates_nothing<P: PortPlace>() {
    let mut hall = Hall::<P>::new(None);
    let relayed = hall.open();
    let friend = hall.address(STRANGER);
    let permit = |writer: &mut Writer<'_>| {
        writer.put_address_xor(attribute::XOR_PEER_ADDRESS, friend);
    };
    assert_eq!(hall.request(Method::CREATE_PERMISSION, permit).1.error(), 0);
    let datagram = channel_data_of(0x4000, &[5; 200]);
    let train = datagram.repeat(10);
    let indication = hall.talker.indication(friend, &[6; 99], false);
    let nowhere = channel_data_of(0x4001, b"no such channel");
    let mut allocations = 0;
    for round in 0..60 {
        let room = &mut hall.room;
        room.say(CLIENT, &datagram);
        room.say_train(CLIENT, &train, datagram.len() as u16);
        room.say(CLIENT, &indication);
        room.say(CLIENT, &nowhere);
        room.place.send_to(room.shard.io(), PEER, relayed, &[7; 2_000], 200);
        room.place.send_to(room.shard.io(), STRANGER, relayed, &[8; 77], 0);
        for _ in 0..3 {
            // Something is there for each cycle, so that none waits.
            room.say(CLIENT, &datagram);
            let before = Counting::on_this_thread();
            room.cycle();
            allocations += if round < 10 { 0 } else { Counting::on_this_thread() - before };
        }
        [CLIENT, PEER, STRANGER].into_iter().for_each(|peer| drop(room.heard(peer)));
    }
    let counters = hall.room.settle();
    assert_eq!(allocations, 0, "{}", P::NAME);
    assert_eq!(counters.of(Verdict::Relayed), 60 * (1 + 10 + 1 + 10 + 1 + 3), "{}", P::NAME);
    assert_eq!(counters.of(Verdict::NoChannel), 60);
}

macro_rules! everywhere {
    ($($test:ident = $check:ident;)*) => {$(
        #[test]
        fn $test() {
            $check::<InMemory>();
            $check::<OverUring>();
            $check::<OverSyscall>();
        }
    )*};
}

everywhere! {
    every_datagram_of_data_has_its_verdict = data_has_its_verdicts;
    every_message_has_its_verdict = messages_have_their_verdicts;
    an_allocation_goes_no_faster_than_it_may = bandwidth_is_bounded;
    a_train_is_relayed_whole_and_in_order = trains_stay_whole;
    relaying_data_allocates_nothing = relaying_allocates_nothing;
    what_came_before_the_end_still_leaves = what_is_under_way_outlives_its_allocation;
}

#[test]
fn strangers_have_their_answers_counted_out() {
    let mut hall = Hall::<InMemory>::new(None);
    let most = TURN_REPLIES_PER_PREFIX.burst;
    let ask = hall.talker.plain(Class::Request, Method::ALLOCATE, over_udp);
    for _ in 0..=most {
        // From a /24 of the internet: loopback is not counted out.
        let from: SocketAddr = "192.0.2.7:3478".parse().unwrap();
        assert!(hall.room.shard.io().deliver(&from.into(), &ask));
        hall.room.settle();
    }
    let counters = hall.room.settle();
    assert_eq!(counters.of(Verdict::Declined), most);
    assert_eq!(counters.of(Verdict::StunLimited), 1);
}

#[test]
fn an_allocation_that_nobody_refreshes_ends() {
    let mut hall = Hall::<InMemory>::new(None);
    hall.open();
    hall.room.pass(599_000);
    assert_eq!(hall.room.settle().allocations, 1);
    hall.room.pass(3_000);
    let counters = hall.room.settle();
    assert_eq!((counters.allocations, counters.permissions, counters.channels), (0, 0, 0));
    assert_eq!(hall.say(CLIENT, &channel_data_of(0x4000, b"late")), Verdict::NoAllocation);
}
