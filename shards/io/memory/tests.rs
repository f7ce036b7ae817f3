//! What the network in memory promises, told as conversations over it.

use elara_core::time::Span;

use super::*;

fn addr(port: u16) -> ClientAddr {
    ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port))
}

fn small() -> Memory {
    let capacity = Capacity {
        buffers: 4,
        buffer_bytes: 64,
        queue_datagrams: 32,
        queue_bytes: 1_024,
        send_queue: 4,
        sent_datagrams: 70,
        sent_bytes: 8_192,
    };
    Memory::new(capacity, 1, Instant::ZERO)
}

/// One cycle of a reader that takes everything: what it got, and how it was segmented.
fn cycle(memory: &mut Memory) -> Vec<(Vec<u8>, u16)> {
    memory.enter(Wait::No).unwrap();
    std::iter::from_fn(|| memory.receive().map(|train| (train.slice, train.segment)))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(slice, segment)| (memory.bytes(slice).to_vec(), segment))
        .collect()
}

fn sent(memory: &mut Memory) -> Vec<(u16, Vec<u8>, Outcome)> {
    memory.settle();
    let sent = memory.sent().map(|s| (s.to.port(), s.bytes.to_vec(), s.outcome)).collect();
    memory.clear_sent();
    sent
}

/// A received train of everything in `datagrams`, ready to be sent on.
fn received(memory: &mut Memory, datagrams: &[&[u8]]) -> Train {
    for datagram in datagrams {
        assert!(memory.deliver(&addr(1), datagram));
    }
    memory.enter(Wait::No).unwrap();
    memory.receive().unwrap()
}

#[test]
fn what_arrives_is_received_in_order_and_glued() {
    let mut memory = small();
    for datagram in [&b"aa"[..], b"bb", b"ccc"] {
        assert!(memory.deliver(&addr(1), datagram));
    }
    assert!(memory.is_waiting());
    assert_eq!(cycle(&mut memory), [(b"aabb".to_vec(), 2), (b"ccc".to_vec(), 0)]);
    assert!(!memory.is_waiting());
    assert_eq!(memory.handed().len(), 2);
    assert!(cycle(&mut memory).is_empty() && memory.handed().is_empty());
}

#[test]
fn when_buffers_run_out_the_rest_waits_and_is_counted() {
    let mut memory = small();
    for port in 1..=6 {
        assert!(memory.deliver(&addr(port), b"x"));
    }
    assert_eq!((cycle(&mut memory).len(), memory.starved()), (4, 1));
    assert_eq!((cycle(&mut memory).len(), memory.starved()), (2, 1));
    memory.mischief().buffers = 1;
    memory.deliver(&addr(1), b"x");
    memory.deliver(&addr(2), b"y");
    assert_eq!((cycle(&mut memory).len(), memory.starved()), (1, 2));
}

#[test]
fn a_message_that_is_not_received_keeps_its_buffer_over_enter() {
    let mut memory = small();
    for port in 1..=6 {
        memory.deliver(&addr(port), &[port as u8]);
    }
    memory.enter(Wait::No).unwrap();
    let first = memory.receive().unwrap();
    assert_eq!(memory.bytes(first.slice), [1]);
    let rest: Vec<u8> =
        (0..2).flat_map(|_| cycle(&mut memory)).flat_map(|(bytes, _)| bytes).collect();
    assert_eq!(rest, [2, 3, 4, 5, 6]);
}

#[test]
#[should_panic(expected = "good until the next enter")]
fn a_stale_slice_is_caught() {
    let mut memory = small();
    let train = received(&mut memory, &[b"aa"]);
    memory.enter(Wait::No).unwrap();
    let _ = memory.bytes(train.slice);
}

#[test]
fn pieces_of_a_train_name_their_bytes() {
    let mut memory = small();
    let train = received(&mut memory, &[b"aa", b"bb", b"c"]);
    let pieces: Vec<&[u8]> = train.datagrams().map(|slice| memory.bytes(slice)).collect();
    assert_eq!(pieces, [&b"aa"[..], b"bb", b"c"]);
}

#[test]
fn a_gathered_send_is_cut_where_the_kernel_would_cut_it() {
    let mut memory = small();
    let train = received(&mut memory, &[b"aa", b"bb", b"c"]);
    let pieces: Vec<Slice> = train.datagrams().collect();
    memory.send(&addr(9), &pieces, 2, 0);
    memory.send(&addr(8), &[train.slice], 4, 0);
    memory.send(&addr(7), &pieces[..2], 0, 0);
    memory.send(&addr(6), &pieces[..1], 2, 0);
    let sent: Vec<(u16, Vec<u8>)> =
        sent(&mut memory).into_iter().map(|(to, bytes, _)| (to, bytes)).collect();
    assert_eq!(
        sent,
        [
            (9, b"aa".to_vec()),
            (9, b"bb".to_vec()),
            (9, b"c".to_vec()),
            (8, b"aabb".to_vec()),
            (8, b"c".to_vec()),
            (7, b"aabb".to_vec()),
            (6, b"aa".to_vec()),
        ]
    );
    assert_eq!(memory.egress(), Egress { sent: 7, bytes: 16, busy: 0, failed: 0 });
}

#[test]
fn what_the_kernel_would_refuse_fails_and_the_rest_goes_out() {
    let mut memory = small();
    let train = received(&mut memory, &[b"aa"]);
    memory.mischief().unreachable.push(addr(9));
    memory.send(&addr(9), &[train.slice], 0, 0);
    memory.send(&addr(0), &[train.slice], 0, 0);
    memory.send(&addr(8), &[train.slice; 65], 2, 0);
    memory.settle();
    assert!(memory.sent().all(|sent| sent.outcome == Outcome::Failed));
    memory.clear_sent();
    memory.send(&addr(8), &[train.slice; 64], 2, 0);
    assert!(sent(&mut memory).iter().all(|sent| sent.2 == Outcome::Sent));
    assert_eq!((memory.egress().sent, memory.egress().failed), (64, 1 + 1 + 65));
}

#[test]
fn a_busy_socket_drops_and_counts() {
    let mut memory = small();
    let train = received(&mut memory, &[b"aa"]);
    memory.mischief().busy_every = 3;
    for _ in 0..6 {
        memory.send(&addr(9), &[train.slice], 0, 0);
    }
    let busy = sent(&mut memory).iter().filter(|sent| sent.2 == Outcome::Busy).count();
    assert_eq!((busy, memory.egress().busy, memory.egress().sent), (2, 2, 4));
}

#[test]
fn nobody_taking_what_is_sent_is_a_full_send_buffer() {
    let mut memory = small();
    let train = received(&mut memory, &[&[7; 64]]);
    for _ in 0..71 {
        memory.send(&addr(9), &[train.slice], 0, 0);
    }
    memory.settle();
    assert_eq!((memory.egress().sent, memory.egress().busy, memory.unseen()), (70, 1, 1));
}

#[test]
fn mischief_changes_how_things_come_but_not_what_comes() {
    for seed in 0..50 {
        let mut memory = Memory::new(Capacity::default(), seed, Instant::ZERO);
        *memory.mischief() =
            Mischief { idle: 300_000, batch: 2, train: 5, split: 500_000, ..Mischief::default() };
        let mut expected = Vec::new();
        for number in 0..100u8 {
            let datagram = vec![number; 1 + usize::from(number / 30)];
            assert!(memory.deliver(&addr(u16::from(number) / 10), &datagram));
            expected.push(datagram);
        }
        let mut got = Vec::new();
        while memory.is_waiting() {
            memory.enter(Wait::No).unwrap();
            while let Some(train) = memory.receive() {
                got.extend(train.datagrams().map(|slice| memory.bytes(slice).to_vec()));
            }
            assert!(memory.handed().len() <= 2);
        }
        assert_eq!(got, expected, "seed {seed}");
    }
}

#[test]
fn a_truncated_message_says_so() {
    let mut memory = small();
    memory.mischief().truncate = 1_000_000;
    let train = received(&mut memory, &[b"aaaa"]);
    assert!(train.truncated && train.slice.len() <= 4);
}

#[test]
fn the_clock_is_turned_from_outside_and_never_back() {
    let mut memory = small();
    let later = Instant::ZERO + Span::from_secs(1);
    memory.set_now(later);
    assert_eq!(memory.now(), later);
    memory.enter(Wait::Until(later)).unwrap();
    assert_eq!(memory.asked(), Wait::Until(later));
    assert!(std::panic::catch_unwind(move || memory.set_now(Instant::ZERO)).is_err());
}

#[test]
fn the_calendar_goes_with_the_clock_and_can_be_set() {
    let mut memory = small();
    let said = memory.calendar();
    assert_eq!(said, CALENDAR);
    memory.set_now(Instant::ZERO + Span::from_millis(1_500));
    assert_eq!(memory.calendar(), UnixMillis(said.0 + 1_500));
    memory.set_calendar(UnixMillis(7_000));
    assert_eq!(memory.calendar(), UnixMillis(7_000), "back is possible too");
    memory.set_now(Instant::ZERO + Span::from_millis(1_750));
    assert_eq!(memory.calendar(), UnixMillis(7_250));
}

#[test]
fn a_busy_socket_tells_whom_it_failed() {
    let mut memory = small();
    let train = received(&mut memory, &[b"aa", b"bb"]);
    memory.mischief().busy_every = 2;
    for tag in 1..=3 {
        memory.send(&addr(9), &[train.slice], 2, 2 * tag);
        memory.send_bytes(&addr(9), b"own", 2 * tag + 1);
    }
    memory.settle();
    let refused: Vec<Refusal> = std::iter::from_fn(|| memory.refused()).collect();
    let lost = |tag| Refusal { tag, datagrams: 1, bytes: 3 };
    assert_eq!(refused, [lost(3), lost(5), lost(7)]);
    assert_eq!((memory.egress().busy, memory.egress().sent), (3, 6));
}

#[test]
fn what_finds_the_queue_full_is_strain_and_work_is_what_it_is_told() {
    let mut memory = small();
    assert_eq!(memory.strain(), Strain::default());
    let took = (0..40).filter(|_| memory.deliver(&addr(1), b"x")).count();
    memory.set_worked(Span::from_millis(3));
    let strain = Strain { worked: Span::from_millis(3), overflowed: 8 };
    assert_eq!((took, memory.strain()), (32, strain), "32 datagrams have room");
    assert!(std::panic::catch_unwind(move || memory.set_worked(Span::ZERO)).is_err());
}
