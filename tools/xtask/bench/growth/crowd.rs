//! Up to a million participants behind one socket: each has an address of its own in 127.0.0.0/8.
//!
//! The socket is bound to no address, so it hears what is sent to any, and what it sends says which it comes
//! from. A receiver is not asked which it was: every copy counts, by its length.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use elara_core::limits::{HEADER_LEN, SOCKET_BUFFER_BYTES, V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::wire::Header;
use elara_core::wire::header::{Class, profile};
use elara_core::{ClientAddr, NodeId, SessionId};
use elara_shards::sys::cpu::{self, process_cpu_nanos};
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::{RecvBatch, SendBatch};
use elara_shards::sys::options;
use zerocopy::IntoBytes;

use super::super::contest::Sample;
use super::draws::{Draw, Draws, LENGTHS};

/// Datagrams of one system call.
const BATCH: usize = 64;
/// Frames sent in a row: fewer than there are sessions, so that a late moment does not bring two of one.
const BURST: u64 = 8;
/// How many times the rate the crowd goes at while it catches up.
const HASTE: u32 = 2;
/// How far the crowd may be behind before it gives up on frames: a rate, not a debt.
const BEHIND_MAX: Duration = Duration::from_millis(100);
/// Copies of introductions under way at most: what a socket's receive buffer holds many times over.
const UNDER_WAY_MAX: u64 = 1_024;
/// Silence after which copies that are under way are given up: a relay whose tables double is away for a
/// while.
const SILENCE: Duration = Duration::from_secs(1);
/// Silence after which nothing is under way any more.
const QUIET: Duration = Duration::from_millis(20);
/// Load before the window.
const WARMUP: Duration = Duration::from_millis(300);
/// How long the crowd sleeps when there is nothing to do.
const PAUSE: Duration = Duration::from_micros(50);
/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(2);
/// Of the frames due, the share that may be given up before the crowd was the limit.
const GIVEN_UP_MAX: f64 = 0.05;

/// Everyone, and the socket.
pub(super) struct Crowd {
    relay: ClientAddr,
    socket: UdpSocket,
    sessions: u32,
    participants: u32,
    size: usize,
    draws: Draws,
    outbox: SendBatch,
    inbox: RecvBatch,
    frames: Vec<[u8; V0_FRAME_MAX]>,
    /// Frames and introductions so far, for their numbers.
    said: u32,
    heard: Heard,
}

/// What has come back.
#[derive(Clone, Copy, Default)]
struct Heard {
    frames: u64,
    introductions: u64,
    /// Of another length.
    wrong: u64,
}

impl Heard {
    #[inline]
    fn hear(&mut self, len: usize, size: usize) {
        match len {
            len if (size..size + usize::from(LENGTHS)).contains(&len) => self.frames += 1,
            V0_FRAME_MIN => self.introductions += 1,
            _ => self.wrong += 1,
        }
    }
}

/// What a stretch of load was.
struct Stretch {
    offered: u64,
    given_up: u64,
}

impl Crowd {
    /// A crowd that speaks to `relay` in frames of `size` bytes or a few more, longer than the shortest.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub(super) fn new(
        relay: SocketAddr,
        sessions: u32,
        participants: u32,
        size: usize,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        options::set_buffers(socket.as_fd(), SOCKET_BUFFER_BYTES);
        cpu::set_timer_slack(1);
        Ok(Self {
            relay: ClientAddr::from(relay),
            socket,
            sessions,
            participants,
            size,
            draws: Draws::new(sessions, participants),
            outbox: SendBatch::new(BATCH, BATCH, Family::V4),
            inbox: RecvBatch::new(BATCH, 2_048),
            frames: vec![[0; V0_FRAME_MAX]; BATCH],
            said: 0,
            heard: Heard::default(),
        })
    }

    /// Everyone says the shortest frame there is, session by session, as fast as their sessions hear
    /// it. Answers how many copies did not come.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn introduce(&mut self, to: &str) -> io::Result<u64> {
        let everyone = self.sessions * self.participants;
        let (mut next, mut due, mut given_up) = (0, 0, 0);
        let (mut news, mut told) = (Instant::now(), Instant::now());
        while next < everyone || self.heard.introductions + given_up < due {
            let under_way = due.saturating_sub(self.heard.introductions + given_up);
            let (first, came) = (next, self.receive()?);
            if next < everyone && under_way < UNDER_WAY_MAX {
                next = everyone.min(next + BATCH as u32);
                // Each is heard by those of its session who came before.
                due += (first..next).map(|who| u64::from(who % self.participants)).sum::<u64>();
                self.say((first..next).map(|member| Draw { member, longer: 0 }), V0_FRAME_MIN);
            }
            if came > 0 || next > first {
                news = Instant::now();
            } else if news.elapsed() > SILENCE {
                given_up += under_way;
                news = Instant::now();
            } else {
                thread::sleep(PAUSE);
            }
            if told.elapsed() > PROGRESS {
                eprintln!("  {to}: {next} of {everyone} introduced");
                told = Instant::now();
            }
        }
        self.drain()?;
        Ok(due.saturating_sub(self.heard.introductions))
    }

    /// Loads for `seconds` at `rate` frames a second; the clock is that of the process `pid`, read
    /// while nothing moves.
    ///
    /// # Errors
    /// When the kernel refuses, or the process is gone.
    pub(super) fn load(&mut self, rate: u32, seconds: u32, pid: u32) -> io::Result<Sample> {
        self.stretch(rate, WARMUP)?;
        self.drain()?;
        let (before, heard, begun) = (process_cpu_nanos(pid)?, self.heard, Instant::now());
        let stretch = self.stretch(rate, Duration::from_secs(seconds.into()))?;
        let took = begun.elapsed();
        self.drain()?;
        let cpu_ns = process_cpu_nanos(pid)? - before;
        Ok(sample(cpu_ns, took, &stretch, self.participants, heard, self.heard))
    }

    fn stretch(&mut self, rate: u32, long: Duration) -> io::Result<Stretch> {
        let due = |at: Duration| (at.as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        let gap = Duration::from_secs(1) / (rate * HASTE);
        let (begun, mut at, mut free) = (Instant::now(), Duration::ZERO, Duration::ZERO);
        let mut stretch = Stretch { offered: 0, given_up: 0 };
        while at < long {
            let behind = due(at) - stretch.offered - stretch.given_up;
            stretch.given_up += behind.saturating_sub(due(BEHIND_MAX));
            let burst = if at < free { 0 } else { behind.min(due(BEHIND_MAX)).min(BURST) };
            stretch.offered += burst;
            free = free.max(at + gap * burst as u32);
            let mut who = [Draw::default(); BURST as usize];
            who[..burst as usize].fill_with(|| self.draws.next());
            self.say(who[..burst as usize].iter().copied(), self.size);
            if self.receive()? == 0 && burst == 0 {
                thread::sleep(PAUSE);
            }
            at = begun.elapsed();
        }
        Ok(stretch)
    }

    /// The frames that were drawn, at most [`BATCH`], the shortest of `size` bytes. What the
    /// kernel does not take is lost, and missed by whoever counts the copies.
    fn say(&mut self, draws: impl Iterator<Item = Draw>, size: usize) {
        let mut sending = self.outbox.begin();
        for (Draw { member, longer }, frame) in draws.zip(&mut self.frames) {
            let len = size + usize::from(longer);
            self.said = self.said.wrapping_add(1);
            let header = header(member / self.participants, member, self.said);
            frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
            let pushed = sending.push_from(address(member), &self.relay, &frame[..len]);
            debug_assert!(pushed, "there are as many frames as slots");
        }
        sending.flush(self.socket.as_fd());
    }

    /// Takes what waits, as far as there is room, and answers how many came.
    fn receive(&mut self) -> io::Result<usize> {
        let received = self.inbox.receive(self.socket.as_fd(), 0, BATCH)?;
        for slot in 0..received {
            self.heard.hear(self.inbox.message(slot).len, self.size);
        }
        Ok(received)
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut news = Instant::now();
        while news.elapsed() < QUIET {
            if self.receive()? > 0 {
                news = Instant::now();
            } else {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

/// Where `member` speaks from: everybody an address, from 127.1.0.0 on.
const fn address(member: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x7F01_0000 + member)
}

fn header(session: u32, member: u32, number: u32) -> Header {
    let mut header = Header::v0(SessionId(1 + u64::from(session)), NodeId(1 + u64::from(member)));
    header.class = Class::Perceptual as u8;
    header.profile = profile::VOICE_STANDARD;
    header.set_seq_window(number as u16, 0);
    header
}

/// What lies between two readings.
fn sample(
    cpu_ns: u64,
    took: Duration,
    stretch: &Stretch,
    participants: u32,
    before: Heard,
    after: Heard,
) -> Sample {
    let delivered = after.frames - before.frames;
    let due = stretch.offered * u64::from(participants - 1);
    let all = (stretch.offered + stretch.given_up).max(1);
    let limited = stretch.given_up as f64 / all as f64 > GIVEN_UP_MAX;
    Sample {
        cost_ns: cpu_ns as f64 / delivered.max(1) as f64,
        busy: cpu_ns as f64 / took.as_nanos() as f64,
        seconds: took.as_secs_f64(),
        delivered,
        lost: due.saturating_sub(delivered),
        wrong: after.wrong - before.wrong + delivered.saturating_sub(due),
        datagrams_per_packet: None,
        limits: if limited { vec!["pace".into()] } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use elara_core::limits::V0_PARTICIPANTS_MAX;

    use super::*;

    #[test]
    fn everybody_has_an_address_of_this_machine() {
        let last = address(V0_PARTICIPANTS_MAX as u32 - 1);
        assert!(last.is_loopback() && address(0).is_loopback(), "{last}");
        assert_ne!(address(0), address(65_536));
    }

    #[test]
    fn what_the_crowd_says_is_wire_v0() {
        let header = header(7, 71, 1);
        assert_eq!(header.check_v0(120), Ok(()));
        assert_eq!((header.session_id(), header.node.get()), (SessionId(8), 72));
    }

    #[test]
    fn a_sample_counts_what_came_against_what_was_due() {
        let heard = |frames| Heard { frames, introductions: 45, wrong: 0 };
        let of = |offered, given_up, frames: u64| {
            let stretch = Stretch { offered, given_up };
            sample(9_000, Duration::from_micros(18), &stretch, 10, heard(5), heard(5 + frames))
        };
        let clean = of(1, 0, 9);
        assert_eq!((clean.cost_ns, clean.busy, clean.lost, clean.wrong), (1_000.0, 0.5, 0, 0));
        assert!(clean.is_clean());
        let late = of(90, 10, 800);
        assert_eq!((late.lost, late.limits.len()), (10, 1));
        assert_eq!(of(1, 0, 10).wrong, 1, "more than was said");
    }

    /// A relay in miniature: everybody hears everybody of a session of two.
    #[test]
    fn a_crowd_speaks_and_hears_itself() {
        let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::new(echo.local_addr().unwrap(), 10, 2, 120).unwrap();
        crowd.say((0..20).map(|member| Draw { member, longer: 0 }), V0_FRAME_MIN);
        crowd.say([0, 19].into_iter().map(|member| Draw { member, longer: 15 }), 120);
        let mut froms = Vec::new();
        let mut bytes = [0; 2_048];
        for _ in 0..22 {
            let (len, from) = echo.recv_from(&mut bytes).unwrap();
            echo.send_to(&bytes[..len], from).unwrap();
            froms.push(from.ip());
        }
        assert_eq!((froms[0], froms[21]), (address(0).into(), address(19).into()));
        while crowd.heard.introductions + crowd.heard.frames < 22 {
            crowd.receive().unwrap();
        }
        assert_eq!((crowd.heard.introductions, crowd.heard.frames, crowd.heard.wrong), (20, 2, 0));
    }
}
