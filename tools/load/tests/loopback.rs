//! The generator against relays in a thread, over loopback: the report must say exactly what the relay did.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use elara_core::wire::Header;
use elara_load::rtp::Wiring;
use elara_load::{LoadError, Plan, Report, Wire, run, run_until, run_when};
use elara_shards::sys::options::set_buffers;

/// What a relay does with its copy number `n` (from 1) of a load frame.
#[derive(Clone, Copy, Default)]
struct Manners {
    drops_every: u64,
    repeats_every: u64,
    /// These copies also go to a member of another session.
    leaks: &'static [u64],
    /// These copies have their last byte but 20 changed.
    corrupts: &'static [u64],
    /// These copies also go back to their sender.
    echoes: &'static [u64],
}

/// What it did in the end.
#[derive(Default)]
struct Deeds {
    copies: AtomicU64,
    dropped: AtomicU64,
    repeated: AtomicU64,
}

/// A relay that learns participants by address, and forwards to the others with these manners.
fn relay(socket: &UdpSocket, size: usize, manners: Manners, deeds: &Deeds) {
    let mut sessions: HashMap<u64, Vec<SocketAddr>> = HashMap::new();
    let mut buffer = [0; 2_048];
    let every = |n: u64, period: u64| period > 0 && n.is_multiple_of(period);
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        let bytes = &mut buffer[..len];
        let Some(session) = Header::peek(bytes).map(|header| header.session.get()) else { return };
        let others = sessions.iter().filter(|(other, _)| **other != session);
        let stranger = others.flat_map(|(_, members)| members).next().copied();
        let members = sessions.entry(session).or_default();
        if !members.contains(&from) {
            members.push(from);
        }
        for to in members.iter().filter(|to| **to != from) {
            if len != size {
                socket.send_to(bytes, to).unwrap();
                continue;
            }
            let n = deeds.copies.fetch_add(1, Ordering::Relaxed) + 1;
            if every(n, manners.drops_every) {
                deeds.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let mask = u8::from(manners.corrupts.contains(&n));
            bytes[len - 20] ^= mask;
            socket.send_to(bytes, to).unwrap();
            if every(n, manners.repeats_every) {
                deeds.repeated.fetch_add(1, Ordering::Relaxed);
                socket.send_to(bytes, to).unwrap();
            }
            bytes[len - 20] ^= mask;
            if manners.leaks.contains(&n) {
                socket.send_to(bytes, stranger.unwrap()).unwrap();
            }
            if manners.echoes.contains(&n) {
                socket.send_to(bytes, from).unwrap();
            }
        }
    }
}

/// Runs `plan` against a relay with these manners, while `stop` is false.
fn converse(plan: Plan, manners: Manners, stop: &AtomicBool) -> (Report, Deeds) {
    let deeds = Deeds::default();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    set_buffers(socket.as_fd(), 8 << 20);
    let target = socket.local_addr().unwrap();
    let report = thread::scope(|scope| {
        scope.spawn(|| relay(&socket, plan.size, manners, &deeds));
        let plan = Plan { target, pid: Some(std::process::id()), ..plan };
        let report = run_until(&plan, stop, &mut |_| ());
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], target).unwrap();
        report
    });
    (report.unwrap(), deeds)
}

fn brief(plan: Plan) -> Plan {
    Plan {
        duration: Duration::from_millis(500),
        warmup: Duration::ZERO,
        drain: Duration::from_secs(2),
        ..plan
    }
}

fn check_flawless(report: &Report, frames: u64, datagrams: u64) {
    assert_eq!((report.offered, report.unsent), (frames, 0), "{report}");
    assert_eq!((report.expected, report.delivered, report.lost), (datagrams, datagrams, 0));
    assert_eq!((report.duplicates, report.reordered, report.too_late), (0, 0, 0));
    assert_eq!((report.wrong_session, report.corrupt, report.echoed, report.foreign), (0, 0, 0, 0));
    assert_eq!((report.members_silent, report.loss_ratio), (0, 0.0));
    assert!(report.relay_datagrams >= datagrams && report.relay_cpu_ns_per_delivered.is_some());
}

#[test]
fn a_relay_with_manners_loses_nothing() {
    let plan = Plan { sessions: 8, participants: 4, senders: 2, ..brief(Plan::voice()) };
    let (report, deeds) = converse(plan, Manners::default(), &AtomicBool::new(false));
    check_flawless(&report, 8 * 2 * 25, 8 * 2 * 25 * 3);
    assert_eq!(deeds.copies.into_inner(), report.delivered);
}

#[test]
fn bursts_lose_nothing_with_and_without_trains() {
    for trains in [true, false] {
        let video =
            Plan { sessions: 2, participants: 5, gso: trains, gro: trains, ..Plan::video() };
        let (report, _) = converse(brief(video), Manners::default(), &AtomicBool::new(false));
        check_flawless(&report, 2 * 15 * 10, 2 * 15 * 10 * 4);
    }
}

#[test]
fn every_sin_of_a_relay_is_counted_exactly() {
    let manners = Manners {
        drops_every: 10,
        repeats_every: 7,
        leaks: &[33],
        corrupts: &[41, 43],
        echoes: &[51, 52, 53],
    };
    let plan = Plan { sessions: 8, participants: 4, senders: 2, ..brief(Plan::voice()) };
    let (report, deeds) = converse(plan, manners, &AtomicBool::new(false));
    let (copies, dropped) = (deeds.copies.into_inner(), deeds.dropped.into_inner());
    assert_eq!((report.expected, copies), (1_200, 1_200));
    assert_eq!((dropped, report.lost), (120, 120 + 2), "a corrupt datagram is a lost one too");
    assert_eq!(report.delivered, 1_200 - 122);
    assert_eq!(report.loss_ratio, 122.0 / 1_200.0);
    assert_eq!(report.duplicates, deeds.repeated.into_inner());
    assert_eq!(report.wrong_session, 1);
    assert_eq!(report.corrupt, 2);
    assert_eq!(report.echoed, 3);
    assert_eq!((report.reordered, report.too_late, report.foreign, report.unsent), (0, 0, 0, 0));
}

#[test]
fn a_run_that_is_stopped_reports_what_it_measured() {
    let plan = Plan { sessions: 2, duration: Duration::from_secs(3_600), ..Plan::voice() };
    let (report, _) = converse(plan, Manners::default(), &AtomicBool::new(true));
    assert!(report.ended_early);
    assert_eq!((report.offered, report.lost, report.delivered), (0, 0, 0));
    assert_eq!(report.latency_ns, None);
}

#[test]
fn where_nobody_listens_the_run_says_so() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = socket.local_addr().unwrap();
    let plan = Plan { target, sessions: 1, participants: 2, ..brief(Plan::voice()) };
    let silence = run(&plan, &mut |_| ()).unwrap_err();
    assert!(matches!(silence, LoadError::Silence { refused: false, .. }), "{silence}");
    drop(socket);
    let refusal = run(&plan, &mut |_| ()).unwrap_err();
    assert!(matches!(refusal, LoadError::Silence { refused: true, .. }), "{refusal}");
    assert!(refusal.to_string().contains(&target.to_string()), "{refusal}");
}

#[test]
fn progress_never_runs_backwards_and_the_report_can_be_read_by_machines() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    set_buffers(socket.as_fd(), 8 << 20);
    let target = socket.local_addr().unwrap();
    let plan = Plan { target, sessions: 2, ..brief(Plan::voice()) };
    let deeds = Deeds::default();
    let mut told = Vec::new();
    let report = thread::scope(|scope| {
        scope.spawn(|| relay(&socket, plan.size, Manners::default(), &deeds));
        let report = run(&plan, &mut |progress| told.push(progress));
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], target).unwrap();
        report.unwrap()
    });
    assert!(!told.is_empty());
    assert!(told.windows(2).all(|pair| {
        pair[0].elapsed <= pair[1].elapsed
            && pair[0].delivered <= pair[1].delivered
            && pair[1].elapsed <= pair[1].total
    }));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["delivered"], report.delivered);
    assert_eq!(json["plan"]["rate_per_s"], 50.0);
    assert_eq!(json["plan"]["target"], target.to_string());
    assert!(json["latency_ns"]["p999"].is_u64() && json["relay_cpu_ns"].is_null());
    let text = report.to_string();
    for word in ["offered", "delivered", "lost", "p99.9", "latency", "generator"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
}

#[test]
fn a_one_way_run_asks_before_the_load_and_misses_nothing() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = socket.local_addr().unwrap();
    let plan = brief(Plan { target, sessions: 2, participants: 3, one_way: true, ..Plan::voice() });
    let mut asked = 0;
    let manners = Manners { drops_every: 1, ..Manners::default() };
    let report = thread::scope(|scope| {
        scope.spawn(|| relay(&socket, plan.size, manners, &Deeds::default()));
        let stop = AtomicBool::new(false);
        let report = run_when(&plan, &mut || asked += 1, &stop, &mut |_| ());
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], target).unwrap();
        report.unwrap()
    });
    assert_eq!((asked, report.offered, report.unsent), (1, 2 * 25, 0));
    assert_eq!((report.expected, report.delivered, report.lost), (0, 0, 0));
}

/// A port from which on `count` are free.
fn free_ports(count: u16) -> u16 {
    let free = |port: &u16| {
        let bound: Result<Vec<_>, _> =
            (*port..*port + count).map(|port| UdpSocket::bind(("0.0.0.0", port))).collect();
        bound.is_ok()
    };
    (20_000..30_000).step_by(count.into()).find(free).expect("some ports are free")
}

/// Hears one session, and sends what it hears to `hearers` until it hears an empty datagram.
fn wired(socket: &UdpSocket, hearers: std::ops::Range<u16>, renumber: bool) {
    let mut buffer = [0; 2_048];
    loop {
        let (len, _) = socket.recv_from(&mut buffer).unwrap();
        if len == 0 {
            return;
        }
        if renumber {
            buffer[2..12].fill(7);
        }
        for port in hearers.clone() {
            socket.send_to(&buffer[..len], ("127.0.0.1", port)).unwrap();
        }
    }
}

#[test]
fn rtp_goes_where_the_relay_was_told_and_the_relay_may_renumber_it() {
    let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    for trains in [true, false] {
        let to = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect::<Vec<_>>();
        let first_port = free_ports(10);
        let plan = Plan {
            target: to[0],
            wire: Wire::Rtp,
            wiring: Some(Wiring { to: to.clone(), first_port }),
            sessions: 2,
            participants: 5,
            gso: trains,
            gro: trains,
            pid: Some(std::process::id()),
            ..Plan::video()
        };
        let report = thread::scope(|scope| {
            for (socket, first) in sockets.iter().zip([first_port, first_port + 5]) {
                set_buffers(socket.as_fd(), 8 << 20);
                scope.spawn(move || wired(socket, first + 1..first + 5, trains));
            }
            let report = run(&brief(plan), &mut |_| ());
            for addr in to {
                UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], addr).unwrap();
            }
            report.unwrap()
        });
        check_flawless(&report, 2 * 15 * 10, 2 * 15 * 10 * 4);
        assert_eq!((report.keep_alives, report.relay_socket_drops), (0, Some(0)));
    }
}
