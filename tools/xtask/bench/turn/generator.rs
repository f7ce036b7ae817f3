//! The load: clients and peers in one thread that never sleeps, and what they hear.
//!
//! Open loop: datagrams are sent when they are due, whatever has come back; a generator that is late
//! catches up, and gives up on what is late by more than 100 ms. Each datagram says when it was due,
//! whose it is and of which window, so that what is heard can be checked, and its latency has everything
//! in it that kept it.
//!
//! ```text
//!   payload   due, in ns u64 | allocation u32 | window u32 | filler
//! ```
//! The clock of the measured process is read while nothing moves: before a window, and when all has come.

use std::io;
use std::time::Duration;

use elara_core::ClientAddr;
use elara_shards::sys::cpu::{self, process_cpu_nanos};
use hdrhistogram::Histogram;

use super::super::contest::Sample;
use super::client::Clients;
use super::scene::{CLIENTS, HEADER_LEN, PEERS, SIZE_MIN, Scene, Traffic};
use super::side::{Side, client_addr};

/// Datagrams sent in a row, at most, before it is heard what came.
const ROW: u32 = 32;
/// How far the generator may be behind before it gives up: a rate, not a debt.
const BEHIND_MAX: Duration = Duration::from_millis(100);
/// How many times the rate it goes at while it catches up: a server's buffer is not tested by our lateness.
const HASTE: f64 = 2.0;
/// Silence after which what has not come is lost.
const QUIET: Duration = Duration::from_millis(200);
/// Of the datagrams due, the share that may be given up before the generator was the limit.
const GIVEN_UP_MAX: f64 = 0.01;
/// Of its time, what it must have had to spare, if what did not come in time is to be the server's fault.
const SPARE_MIN: f64 = 0.01;
/// Of what was sent, the share that may be under way when a window ends: more is a queue that grows.
pub(super) const UNDER_WAY_MAX: f64 = 0.015;

/// Clients and peers of a scene, and what they send.
pub(super) struct Generator {
    scene: Scene,
    pub(super) clients: Side,
    pub(super) peers: Side,
    server: ClientAddr,
    relayed: Vec<ClientAddr>,
    /// Who keeps the allocations alive, where there are some.
    turn: Option<Clients>,
    words: Vec<Vec<u8>>,
    next: u32,
    window: u32,
    tally: Tally,
}

/// What a window showed.
pub(super) struct Window {
    pub(super) sample: Sample,
    /// From due to heard.
    pub(super) latency: Histogram<u64>,
    /// Share of what was sent that was under way when sending ended.
    pub(super) under_way: f64,
}

/// What has been heard in a window.
struct Tally {
    delivered: u64,
    /// Of another length, of somebody else, under another number.
    wrong: u64,
    /// Of an earlier window.
    late: u64,
    latency: Histogram<u64>,
}

/// What a stretch of sending was, in datagrams.
#[derive(Default)]
struct Stretch {
    sent: u64,
    unsent: u64,
    given_up: u64,
    took: u64,
    /// Nanoseconds in which there was nothing to do.
    spare: u64,
}

impl Generator {
    /// Both sides of `scene`, without a server.
    ///
    /// # Errors
    /// When the kernel refuses the sockets.
    pub(super) fn open(scene: Scene) -> Result<Self, String> {
        let side = |first, receives: bool| {
            // Only who receives a train may be asked how.
            let sinks = if receives { scene.sinks } else { super::super::contest::Sinks::Plain };
            Side::open(first, scene.allocations, sinks).map_err(wrong)
        };
        let to_client = scene.traffic.to_clients();
        let (clients, peers) = (side(CLIENTS, to_client)?, side(PEERS, !to_client)?);
        let word = vec![0; scene.sent_len() * scene.burst() as usize];
        let words = vec![word; (ROW / scene.burst()).max(1) as usize];
        Ok(Self {
            scene,
            clients,
            peers,
            server: ClientAddr::from(([127, 0, 0, 1].into(), 0)),
            relayed: Vec::new(),
            turn: None,
            words,
            next: 0,
            window: 0,
            tally: Tally::new(),
        })
    }

    /// With a server that needs no asking: it relays at these addresses, one for each allocation.
    pub(super) fn face(&mut self, server: ClientAddr, relayed: Vec<ClientAddr>) {
        (self.server, self.relayed, self.turn) = (server, relayed, None);
    }

    /// With a TURN server, which is asked for allocations and channels.
    ///
    /// # Errors
    /// When it refuses, or does not answer.
    pub(super) fn ask(&mut self, server: ClientAddr) -> Result<(), String> {
        let mut turn = Clients::new(server, self.scene.allocations);
        let relayed = turn.allocate(&mut self.clients)?;
        let everybody = 0..self.scene.allocations;
        if self.scene.traffic == Traffic::ClientToClient {
            let partners = everybody.map(|n| relayed[Scene::partner(n) as usize]);
            turn.bind(partners, &mut self.clients)?;
        } else {
            let peers: Vec<_> = everybody.map(|n| self.peers.addr(n)).collect();
            turn.bind(peers.into_iter(), &mut self.clients)?;
        }
        self.server = server;
        self.relayed = relayed.into_iter().map(client_addr).collect();
        self.turn = Some(turn);
        Ok(())
    }

    /// Sends `rate` datagrams a second, first to warm up and then for `long`, to a process that serves.
    ///
    /// # Errors
    /// When the kernel refuses, the process is gone, or it lets an allocation expire.
    pub(super) fn measure(
        &mut self,
        pid: u32,
        rate: f64,
        warmup: Duration,
        long: Duration,
    ) -> Result<Window, String> {
        if let Some(turn) = &mut self.turn {
            turn.keep_alive(&mut self.clients)?;
        }
        let mut run = || -> io::Result<Window> {
            self.begin();
            let stretch = self.stretch(rate, warmup)?;
            self.drain(stretch.sent)?;
            self.begin();
            let before = process_cpu_nanos(pid)?;
            let stretch = self.stretch(rate, long)?;
            let in_time = self.tally.delivered;
            self.drain(stretch.sent)?;
            let cpu_ns = process_cpu_nanos(pid)? - before;
            let tally = std::mem::replace(&mut self.tally, Tally::new());
            Ok(window(&stretch, tally, in_time, cpu_ns))
        };
        run().map_err(wrong)
    }

    fn begin(&mut self) {
        self.window = self.window.wrapping_add(1);
        self.tally = Tally::new();
    }

    fn stretch(&mut self, rate: f64, long: Duration) -> io::Result<Stretch> {
        let Scene { traffic, allocations, .. } = self.scene;
        let burst = u64::from(self.scene.burst());
        let words_per_ns = rate / burst as f64 / 1e9;
        let most_behind = (BEHIND_MAX.as_nanos() as f64 * words_per_ns).ceil() as u64;
        let segment = if burst > 1 { self.scene.sent_len() as u16 } else { 0 };
        let (begun, long) = (nanos(), long.as_nanos() as u64);
        let (mut stretch, mut said, mut idle_since) = (Stretch::default(), 0u64, None);
        // From when on something may be said again.
        let mut free = 0.0;
        loop {
            let now = nanos();
            if let Some(since) = idle_since.take() {
                stretch.spare += now - since;
            }
            stretch.took = now - begun;
            if stretch.took >= long {
                return Ok(stretch);
            }
            let mut behind = (stretch.took as f64 * words_per_ns) as u64 - said;
            let given_up = behind.saturating_sub(most_behind);
            (said, behind) = (said + given_up, behind - given_up);
            stretch.given_up += given_up * burst;
            let at = stretch.took as f64;
            let row = if at < free { 0 } else { behind.min(self.words.len() as u64) };
            if row > 0 {
                free = f64::max(free, at) + row as f64 / (words_per_ns * HASTE);
                let first = self.next;
                for (k, word) in self.words[..row as usize].iter_mut().enumerate() {
                    let who = (first + k as u32) % allocations;
                    let due = begun + ((said + k as u64) as f64 / words_per_ns) as u64;
                    fill(word, self.scene, who, due, self.window);
                }
                let who = |k: usize| (first + k as u32) % allocations;
                let words = self.words[..row as usize].iter().enumerate();
                let egress = if traffic.by_clients() {
                    let to = &self.server;
                    self.clients.say(words.map(|(k, word)| (who(k), to, &word[..])), segment)
                } else {
                    let to = |k| &self.relayed[who(k) as usize];
                    self.peers.say(words.map(|(k, word)| (who(k), to(k), &word[..])), segment)
                };
                stretch.sent += egress.sent;
                stretch.unsent += egress.busy + egress.failed;
                said += row;
                self.next = (first + row as u32) % allocations;
            }
            if self.hear()? == 0 && row == 0 {
                idle_since = Some(now);
            }
        }
    }

    /// Takes what has come, and answers how many messages that were.
    fn hear(&mut self) -> io::Result<usize> {
        let to_client = self.scene.traffic.to_clients();
        let sink = if to_client { &mut self.clients } else { &mut self.peers };
        let heard = sink.hear()?;
        if heard > 0 {
            let now = nanos();
            let facts = Facts { scene: self.scene, server: self.server, window: self.window };
            for slot in 0..heard {
                let (from, bytes, segment) = sink.heard(slot);
                for datagram in bytes.chunks(segment) {
                    self.tally.take(&facts, &self.relayed, from, datagram, now);
                }
            }
        }
        Ok(heard)
    }

    /// Hears what of `sent` datagrams is still under way.
    fn drain(&mut self, sent: u64) -> io::Result<()> {
        let mut news = nanos();
        while self.tally.delivered < sent && nanos() - news < QUIET.as_nanos() as u64 {
            if self.hear()? > 0 {
                news = nanos();
            }
        }
        Ok(())
    }
}

/// What every datagram of a window has in common.
struct Facts {
    scene: Scene,
    server: ClientAddr,
    window: u32,
}

impl Tally {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        let latency = latency.expect("these bounds are within what a histogram takes");
        Self { delivered: 0, wrong: 0, late: 0, latency }
    }

    #[inline]
    fn take(
        &mut self,
        facts: &Facts,
        relayed: &[ClientAddr],
        from: Option<ClientAddr>,
        datagram: &[u8],
        now: u64,
    ) {
        let Some(heard) = Heard::read(datagram, facts.scene) else {
            self.wrong += 1;
            return;
        };
        if heard.window != facts.window {
            self.late += 1;
            return;
        }
        let as_it_must = match facts.scene.traffic {
            Traffic::Up | Traffic::TrainsUp => from == relayed.get(heard.who as usize).copied(),
            Traffic::Down | Traffic::TrainsDown => {
                from == Some(facts.server) && heard.channel == Scene::channel(heard.who)
            }
            Traffic::ClientToClient => {
                let channel = Scene::channel(Scene::partner(heard.who));
                from == Some(facts.server) && heard.channel == channel
            }
        };
        if as_it_must {
            self.delivered += 1;
            self.latency.saturating_record(now.saturating_sub(heard.due).max(1));
        } else {
            self.wrong += 1;
        }
    }
}

/// What a datagram says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    due: u64,
    who: u32,
    window: u32,
    /// 0 where there is none.
    channel: u16,
}

const _: () = assert!(SIZE_MIN == 8 + 4 + 4);

impl Heard {
    /// `None` when it is not of the length, or the form, that everything has in this scene.
    #[inline]
    fn read(datagram: &[u8], scene: Scene) -> Option<Self> {
        let (mut channel, mut payload) = (0, datagram);
        if scene.traffic.to_clients() {
            let (head, rest) = datagram.split_first_chunk::<HEADER_LEN>()?;
            channel = u16::from_be_bytes([head[0], head[1]]);
            // RFC 8656 section 12.5: what follows the data is padding.
            payload = rest.get(..usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        }
        if payload.len() != usize::from(scene.size) {
            return None;
        }
        let (due, rest) = payload.split_first_chunk()?;
        let (who, rest) = rest.split_first_chunk()?;
        let window = u32::from_be_bytes(*rest.first_chunk()?);
        let (due, who) = (u64::from_be_bytes(*due), u32::from_be_bytes(*who));
        (who < scene.allocations).then_some(Self { due, who, window, channel })
    }
}

/// Writes into `word` what `who` says: one datagram, or a train of them.
fn fill(word: &mut [u8], scene: Scene, who: u32, due: u64, window: u32) {
    for datagram in word.chunks_mut(scene.sent_len()) {
        let mut payload = datagram;
        if scene.traffic.by_clients() {
            let head;
            (head, payload) = payload.split_at_mut(HEADER_LEN);
            head[..2].copy_from_slice(&Scene::channel(who).to_be_bytes());
            head[2..].copy_from_slice(&scene.size.to_be_bytes());
        }
        payload[..8].copy_from_slice(&due.to_be_bytes());
        payload[8..12].copy_from_slice(&who.to_be_bytes());
        payload[12..16].copy_from_slice(&window.to_be_bytes());
    }
}

fn window(stretch: &Stretch, tally: Tally, in_time: u64, cpu_ns: u64) -> Window {
    let Stretch { sent, unsent, given_up, took, spare } = *stretch;
    let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    let under_way = share(sent.saturating_sub(in_time), sent);
    let mut limits = Vec::new();
    let mut limit = |reached: bool, name: &str| {
        if reached {
            limits.push(name.to_owned());
        }
    };
    limit(share(given_up, sent + unsent + given_up) > GIVEN_UP_MAX, "pace");
    limit(unsent > 0, "send buffer");
    limit(under_way > UNDER_WAY_MAX && share(spare, took) < SPARE_MIN, "cpu");
    let sample = Sample {
        cost_ns: share(cpu_ns, tally.delivered),
        busy: share(cpu_ns, took),
        seconds: took as f64 / 1e9,
        delivered: tally.delivered,
        lost: sent.saturating_sub(tally.delivered),
        wrong: tally.wrong + tally.delivered.saturating_sub(sent),
        datagrams_per_packet: None,
        limits,
    };
    Window { sample, latency: tally.latency, under_way }
}

fn nanos() -> u64 {
    cpu::monotonic().as_nanos()
}

fn wrong(error: io::Error) -> String {
    format!("the generator: {error}")
}

#[cfg(test)]
mod tests {
    use super::super::super::contest::Sinks;
    use super::*;

    fn scene(traffic: Traffic, allocations: u32) -> Scene {
        Scene { traffic, size: 120, allocations, sinks: Sinks::Plain }
    }

    fn addr(text: &str) -> ClientAddr {
        client_addr(text.parse().unwrap())
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        let (up, down) = (scene(Traffic::TrainsUp, 1), scene(Traffic::Down, 10));
        let mut word = vec![0; up.sent_len() * 32];
        fill(&mut word, up, 0, 5, 7);
        let sent: Vec<&[u8]> = word.chunks(124).collect();
        assert_eq!((sent.len(), &sent[31][..4]), (32, &[0x40, 0, 0, 120][..]));
        let heard = Heard { due: 5, who: 0, window: 7, channel: 0 };
        assert_eq!(Heard::read(&sent[31][4..], up).as_ref(), Some(&heard), "as a peer hears it");
        assert_eq!(Heard::read(sent[31], up), None, "with its header it is too long");
        // A client hears what has a header, and may be padded.
        let channel = Heard { channel: 0x4000, ..heard };
        assert_eq!(Heard::read(sent[0], down).as_ref(), Some(&channel));
        assert_eq!(Heard::read(&[sent[0], &[0; 3]].concat(), down), Some(channel));
        assert_eq!(Heard::read(&sent[0][..123], down), None);
        fill(&mut word, up, 10, 5, 7);
        assert_eq!(Heard::read(&word[..124], down), None, "nobody of this scene");
    }

    #[test]
    fn only_what_comes_from_the_right_address_under_the_right_number_counts() {
        let (server, relayed) = (addr("127.0.0.1:1"), [addr("127.0.0.1:2"), addr("127.0.0.1:3")]);
        let mut tally = Tally::new();
        let mut take = |traffic, from, channel: u16, window| {
            let scene = scene(traffic, 2);
            let mut datagram = vec![0; 124];
            fill(&mut datagram, Scene { traffic: Traffic::Up, ..scene }, 1, 0, window);
            datagram[..2].copy_from_slice(&channel.to_be_bytes());
            let head = if traffic.to_clients() { 0 } else { 4 };
            let facts = Facts { scene, server, window: 1 };
            tally.take(&facts, &relayed, Some(from), &datagram[head..], 9);
            (tally.delivered, tally.wrong, tally.late)
        };
        assert_eq!(take(Traffic::Up, relayed[1], 0, 1), (1, 0, 0));
        assert_eq!(take(Traffic::Up, relayed[0], 0, 1), (1, 1, 0), "another's relayed address");
        assert_eq!(take(Traffic::Down, server, 0x4001, 1), (2, 1, 0));
        assert_eq!(take(Traffic::Down, server, 0x4000, 1), (2, 2, 0), "another's channel");
        assert_eq!(take(Traffic::ClientToClient, server, 0x4000, 1), (3, 2, 0), "its partner's");
        assert_eq!(take(Traffic::Down, server, 0x4001, 2), (3, 2, 1), "of another window");
    }

    #[test]
    fn a_window_says_whose_fault_it_was() {
        let stretch =
            |spare, given_up| Stretch { sent: 1_000, given_up, took: 1_000, spare, unsent: 0 };
        let of = |stretch: &Stretch, in_time| {
            let tally = Tally { delivered: 1_000, ..Tally::new() };
            window(stretch, tally, in_time, 500_000)
        };
        let clean = of(&stretch(100, 0), 995);
        assert_eq!((clean.sample.cost_ns, clean.sample.lost), (500.0, 0));
        assert!(clean.sample.is_clean() && clean.under_way < UNDER_WAY_MAX);
        let slow = of(&stretch(100, 0), 900);
        assert!(slow.sample.is_clean() && slow.under_way > UNDER_WAY_MAX, "the server's");
        assert_eq!(of(&stretch(0, 0), 900).sample.limits, ["cpu"], "the generator's");
        assert_eq!(of(&stretch(100, 20), 995).sample.limits, ["pace"]);
    }

    /// A server in miniature that sends back what it gets, to whoever is meant.
    #[test]
    fn a_generator_counts_all_that_comes_back() {
        for (traffic, allocations) in [(Traffic::Up, 3), (Traffic::TrainsUp, 1)] {
            let mut generator = Generator::open(scene(traffic, allocations)).unwrap();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let server = ClientAddr::from(socket.local_addr().unwrap());
            generator.face(server, vec![server; allocations as usize]);
            let peers = generator.peers.addr(0);
            std::thread::spawn(move || {
                let mut bytes = [0; 2_048];
                while let Ok((len, _)) = socket.recv_from(&mut bytes) {
                    socket.send_to(&bytes[4..len], peers).unwrap();
                }
            });
            let (warmup, long) = (Duration::from_millis(1), Duration::from_millis(50));
            let window = generator.measure(std::process::id(), 6_400.0, warmup, long).unwrap();
            let Sample { delivered, wrong, .. } = window.sample;
            assert!(delivered > 0 && wrong == 0, "{traffic}: {delivered} came, {wrong} wrong");
            assert_eq!(window.latency.len(), delivered);
        }
    }
}
