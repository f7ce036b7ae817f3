//! How many resident bytes does an idle participant of wire v1 cost a relay, tables included?
//!
//! The shipped shard over the network in memory, on the relay's allocator. Participants come in sessions of
//! ten; each joins, asks for everything, pings once more when all are in, and sends no data. Counted is
//! what the process has resident after the last ping beyond what it had after the first session; a
//! guest's own side is gone by then, but for its ping, whose memory was there before.
//! `cargo xtask bench memory` runs it for both suites.

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::Ipv4Addr;
use std::time::Instant;

use elara_core::crypto::Suite;
use elara_core::time::Span;
use elara_core::wire::v1::control::{Control, Ping};
use elara_core::{ClientAddr, SessionId};
use elara_shards::{Io, Verdict};
use support::guest::Club;
use support::room::{InMemory, Room};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSION: usize = 10;
/// Between two HELLOs: below the rate at which a relay asks for cookies.
const PAUSE: Span = Span::from_millis(4);
/// More would take longer than a relay remembers who is silent.
const MOST: usize = 140_000;
/// Bytes of a PING: header, front, value, tag.
const PING_LEN: usize = 30 + 3 + 16 + 16;

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != "--participants").skip(1);
    let wanted = args.next().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let participants = usize::min(wanted, MOST) / SESSION * SESSION;
    let chacha = std::env::args().any(|arg| arg == "chacha");
    let suite = if chacha { Suite::ChaChaPoly } else { Suite::AesGcm };
    let mut club = Club::of(suite);
    let mut room = Room::<InMemory>::with(0, club.config());
    // Not zero, so that the pages are there.
    let mut pings = vec![[0xA5; PING_LEN]; participants];
    let (mut before, begun) = (0, Instant::now());
    for (number, ping) in pings.iter_mut().enumerate() {
        club.claims.session = SessionId(1 + (number / SESSION) as u64);
        *ping = enter(&mut room, &mut club, addr(number));
        if number + 1 == SESSION {
            quiet(&mut room);
            before = resident();
        }
        if (number + 1) % 10_000 == 0 {
            let each = (resident() - before) / (number + 1 - SESSION);
            let took = begun.elapsed().as_secs_f64();
            eprintln!("{} in after {took:.0} s, {each} B each", number + 1);
        }
    }
    for (number, ping) in pings.iter().enumerate() {
        cycle(&mut room, addr(number), ping, Span::ZERO);
    }
    quiet(&mut room);
    let counters = room.shard.counters();
    assert_eq!(counters.participants as usize, participants, "everyone is in");
    assert_eq!(counters.of(Verdict::Control) as usize, 2 * participants, "and was heard twice");
    let (resident_bytes, counted) = (resident() - before, participants - SESSION);
    println!(
        "{{\"suite\": \"{suite:?}\", \"participants\": {counted}, \"resident_bytes\": {resident_bytes}}}"
    );
}

/// Someone joins and asks for everything; what is left of them is a PING, to be sent later.
fn enter(room: &mut Room<InMemory>, club: &mut Club, from: ClientAddr) -> [u8; PING_LEN] {
    let mut guest = club.guest();
    let hello = guest.hello();
    let answers = cycle(room, from, &hello, PAUSE);
    guest.welcomed(answers.iter().find(|bytes| bytes.len() == 166).expect("a WELCOME"));
    let greeting = guest.greeting();
    cycle(room, from, &greeting, Span::ZERO);
    let ping = Ping { id: 2.into(), t_client_us: 2.into(), next_core: 0.into() };
    guest.control(&[Control::Ping(&ping)]).try_into().expect("a PING has one length")
}

/// A datagram comes after a pause, and what is due is done; answers what went back to its sender.
fn cycle(
    room: &mut Room<InMemory>,
    from: ClientAddr,
    datagram: &[u8],
    pause: Span,
) -> Vec<Vec<u8>> {
    let io = room.shard.io();
    let now = io.now() + pause;
    io.set_now(now);
    assert!(io.deliver(&from, datagram));
    room.settle();
    let io = room.shard.io();
    io.settle();
    let back = io.sent().filter(|sent| sent.to == from).map(|sent| sent.bytes.to_vec()).collect();
    io.clear_sent();
    back
}

/// Until the sessions have told their members who is there.
fn quiet(room: &mut Room<InMemory>) {
    for _ in 0..100 {
        let now = room.shard.io().now() + Span::from_millis(10);
        room.shard.io().set_now(now);
        let mut before = None;
        while before.replace(room.shard.counters().copies) != Some(room.shard.counters().copies) {
            room.cycle();
            // What was sent is the network's memory, not the relay's.
            room.shard.io().settle();
            room.shard.io().clear_sent();
        }
    }
}

/// An address of its own on a network that has no limit of HELLOs.
fn addr(number: usize) -> ClientAddr {
    let [_, a, b, c] = (number as u32 + 1).to_be_bytes();
    ClientAddr::from((Ipv4Addr::new(127, a, b, c), 7))
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("statm's second number") * 4_096
}
