//! Relaying allocates nothing: a counting allocator around a back end whose ports are open.
//!
//! Opening a port may allocate. What comes to it, leaves from it, is noted, is refused or is told by the
//! network may not, nor may closing it and being rid of it.

mod support;

use elara_core::ClientAddr;
use elara_shards::io::{Io, Port, Slice, Wait};
use elara_shards::sys::counting::Counting;
use elara_shards::sys::message::Family;
use support::ports::PortPlace;
use support::room::{InMemory, OverSyscall, OverUring};

#[global_allocator]
static HEAP: Counting = Counting;

/// What comes to a port goes to its client with a header before each datagram, and a word back from there;
/// and something goes where nobody listens. One of the ports is closed, and answered.
fn cycle<I: Io>(io: &mut I, client: &ClientAddr, nobody: &ClientAddr) -> (Port, [usize; 3]) {
    let (mut datagrams, mut last) = (0, Port::DATA);
    io.enter(Wait::No).unwrap();
    while let Some(train) = io.receive() {
        let mut slices = [train.slice; 64];
        let mut count = 0;
        for payload in train.datagrams() {
            let header = io.note(&[0x40, 1, 0, 9]).expect("there is room");
            (slices[count], slices[count + 1]) = (header, payload);
            (count, datagrams) = (count + 2, datagrams + 1);
        }
        let step = if train.segment == 0 { 0 } else { train.segment + 4 };
        io.send(client, &slices[..count], step, 1);
        let word: [Slice; 1] = [io.note(b"a word").expect("there is room")];
        io.send_from(train.port, &train.from, &word, 0, 1);
        io.send_from(train.port, nobody, &word, 0, 1);
        io.send_from(train.port, &support::nowhere(), &word, 0, 1);
        io.send_other_df(train.port, &train.from, &word);
        last = train.port;
    }
    io.close(last);
    let refused = std::iter::from_fn(|| io.refused()).count();
    let told = std::iter::from_fn(|| io.unreachable()).count();
    (last, [datagrams, refused, told])
}

fn relaying_allocates_nothing<P: PortPlace>() {
    const ROUNDS: usize = 20;
    let (mut place, mut io) = P::new(3);
    let mut ports: Vec<_> = (0..ROUNDS + 5).map(|_| place.open(&mut io, Family::V4)).collect();
    let (client, nobody) = (place.addr(0), place.leave(&mut io, 2));
    let mut sums = [0; 3];
    let mut round = |place: &mut P, io: &mut P::Io| {
        let start = Counting::on_this_thread();
        let (closed, counts) = cycle(io, &client, &nobody);
        let allocations = Counting::on_this_thread() - start;
        assert_eq!(allocations, 0, "over {}", P::NAME);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        (0..3).for_each(|peer| drop(place.heard_from(io, peer)));
        closed
    };
    for _ in 0..ROUNDS {
        for relayed in &ports {
            place.send_to(&mut io, 1, *relayed, &[7; 1_000], 100);
        }
        let closed = round(&mut place, &mut io);
        ports.retain(|relayed| relayed.port != closed);
        // What has been queued leaves, and what was closed is gone.
        round(&mut place, &mut io);
    }
    assert_eq!(ports.len(), 5, "one in each round");
    assert!(sums.iter().all(|sum| *sum > ROUNDS), "{sums:?}");
}

#[test]
fn relaying_allocates_nothing_over_uring() {
    relaying_allocates_nothing::<OverUring>();
}

#[test]
fn relaying_allocates_nothing_over_syscall() {
    relaying_allocates_nothing::<OverSyscall>();
}

#[test]
fn relaying_allocates_nothing_over_memory() {
    relaying_allocates_nothing::<InMemory>();
}
