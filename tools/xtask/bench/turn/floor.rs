//! The floor of a TURN server: ChannelData in, data out, and back, without any logic.
//!
//! ```text
//!   client n  --4 bytes, data-->  data socket  | relay socket  --data-->           peer n
//!   client n  <--4 bytes, data--  data socket  | relay socket  <--data--           peer n
//!   client n  --4 bytes, data-->  data socket                  --4 bytes, data-->  client n ^ 1
//! ```
//! It checks nothing and grants nothing: one look-up in an array says who a source is, and whom it speaks
//! to was known before it started. The four bytes are neither read nor minded. What is left is what the
//! kernel charges for the technique, on the same kind of socket, with the same options as the relay's.
//!
//! | technique | in | out |
//! |---|---|---|
//! | `mmsg` | epoll, `recvmmsg` of 64 | `sendmmsg`, a message for each datagram |
//! | `mmsg_gso` | the same | what came in a turn in a row from one source in one send |
//!
//! Mostly one relay socket does for everybody. TURN gives each allocation a port, and so a socket:
//! `--relays` as many shows what that costs.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;

use clap::{Args, ValueEnum};
use elara_core::ClientAddr;
use elara_core::limits::{DATAGRAM_MAX, SEGMENTS_MAX};
use elara_shards::socket;
use elara_shards::sys::cpu;
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::{RecvBatch, SendBatch};
use elara_shards::sys::wait::Poll;

use super::scene::{ALLOCATIONS_MAX, CLIENTS, HEADER_LEN, PEERS, Scene, address};

/// Messages of one system call.
const BATCH: usize = 64;
const BUFFER: usize = 65_536;

/// How the floor moves datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Technique {
    /// Many datagrams a call.
    #[value(name = "mmsg")]
    Mmsg,
    /// Many sends a call, each of what came in a row.
    #[value(name = "mmsg_gso")]
    MmsgGso,
}

impl Technique {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mmsg => "mmsg",
            Self::MmsgGso => "mmsg_gso",
        }
    }
}

/// What the floor's process is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How it moves datagrams.
    #[arg(long)]
    technique: Technique,
    /// Clients, and as many peers.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(ALLOCATIONS_MAX)))]
    allocations: u32,
    /// Sockets towards peers: 1, or one for each allocation.
    #[arg(long, default_value_t = 1)]
    relays: u32,
    /// Where all clients are, in addresses of their own.
    #[arg(long)]
    clients: u16,
    /// Where all peers are.
    #[arg(long)]
    peers: u16,
    /// From client to client, and no relay socket between.
    #[arg(long)]
    hairpin: bool,
}

/// What the last line it prints begins with; ports follow.
pub(super) const RELAYING: &str = "relaying at";

/// Forwards until killed.
///
/// # Errors
/// When a socket cannot be had.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    // As many sockets as allocations, and a few.
    let _ = cpu::raise_descriptor_limit();
    let serve = || {
        let mut floor = Floor::open(options)?;
        println!("listening on {}", floor.data.local_addr()?);
        let ports = floor.relays.iter().map(|relay| Ok(relay.local_addr()?.port().to_string()));
        println!("{RELAYING} {}", ports.collect::<io::Result<Vec<_>>>()?.join(" "));
        floor.serve()
    };
    serve().map_err(|error| format!("the floor: {error}"))
}

struct Floor {
    technique: Technique,
    data: UdpSocket,
    relays: Vec<UdpSocket>,
    inbox: RecvBatch,
    way: Way,
    outbox: SendBatch,
    turn: Vec<Piece>,
    sends: Vec<Range<usize>>,
}

/// Who is who, and speaks to whom.
struct Way {
    /// By the second and third octet of a source; `STRANGER` when it is nobody's.
    members: Box<[u32]>,
    clients: Vec<ClientAddr>,
    peers: Vec<ClientAddr>,
    hairpin: bool,
}

const STRANGER: u32 = u32::MAX;

/// A datagram that came, without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// Whose allocation it passes.
    member: u32,
    slot: usize,
    start: usize,
    len: usize,
    /// What stands before it towards a client.
    header: [u8; HEADER_LEN],
}

/// Where datagrams come from, and so where they go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Data,
    Relay(usize),
}

impl Floor {
    fn open(options: &Options) -> io::Result<Self> {
        let Options { technique, allocations, relays, clients, peers, hairpin } = *options;
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let open = || Ok(socket::bind(here, 1)?.remove(0));
        let relays = if hairpin { 0 } else { relays };
        let mut members = vec![STRANGER; 1 << 16].into_boxed_slice();
        let everybody = |first, port| {
            (0..allocations).map(move |n| ClientAddr::from((address(first, n), port)))
        };
        let clients: Vec<ClientAddr> = everybody(CLIENTS, clients).collect();
        let peers: Vec<ClientAddr> = everybody(PEERS, peers).collect();
        for everybody in [&clients, &peers] {
            for (n, addr) in everybody.iter().enumerate() {
                members[place(addr)] = n as u32;
            }
        }
        let slices = BATCH * 2 * SEGMENTS_MAX;
        Ok(Self {
            technique,
            data: open()?,
            relays: (0..relays).map(|_| open()).collect::<io::Result<_>>()?,
            inbox: RecvBatch::new(BATCH, BUFFER),
            way: Way { members, clients, peers, hairpin },
            outbox: SendBatch::new(BATCH, slices, Family::V4),
            turn: Vec::with_capacity(BATCH * SEGMENTS_MAX),
            sends: Vec::with_capacity(BATCH),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut poll = Poll::new(BATCH)?;
        poll.watch(self.data.as_fd(), 0)?;
        for (relay, token) in self.relays.iter().zip(1..) {
            poll.watch(relay.as_fd(), token)?;
        }
        let mut ready = Vec::with_capacity(BATCH);
        loop {
            ready.extend(poll.wait(None)?);
            for token in ready.drain(..) {
                let end = (token as usize).checked_sub(1).map_or(End::Data, End::Relay);
                // What is left waits for the next round: everybody's turn is one call.
                self.forward(end)?;
            }
        }
    }

    /// Takes what waits at one end, as far as a call goes, and sends it on.
    fn forward(&mut self, from: End) -> io::Result<()> {
        let socket = match from {
            End::Data => &self.data,
            End::Relay(relay) => &self.relays[relay],
        };
        let received = self.inbox.receive(socket.as_fd(), 0, BATCH)?;
        self.turn.clear();
        for slot in 0..received {
            let message = self.inbox.message(slot);
            let member = message.from.map_or(STRANGER, |from| self.way.member(&from));
            if member == STRANGER {
                continue;
            }
            let segment = if message.segment == 0 { message.len } else { message.segment.into() };
            let mut start = 0;
            while start < message.len {
                let len = segment.min(message.len - start);
                self.turn.extend(self.way.piece(from, member, slot, start, len));
                start += len;
            }
        }
        let bare = from == End::Data && !self.way.hairpin;
        let head = if bare { 0 } else { HEADER_LEN };
        cut(&self.turn, self.technique, head, &mut self.sends);
        let shared = self.relays.len() <= 1;
        let through = |range: &Range<usize>| match self.turn[range.start].member {
            _ if !bare => End::Data,
            _ if shared => End::Relay(0),
            member => End::Relay(member as usize),
        };
        // Sends that leave by one socket share a call.
        for alike in self.sends.chunk_by(|a, b| through(a) == through(b)) {
            for batch in alike.chunks(BATCH) {
                let socket = match through(&batch[0]) {
                    End::Data => &self.data,
                    End::Relay(relay) => &self.relays[relay],
                };
                let mut sending = self.outbox.begin();
                for range in batch {
                    let pieces = &self.turn[range.clone()];
                    let segment = if pieces.len() > 1 { pieces[0].len + head } else { 0 };
                    let slices = pieces.iter().flat_map(|piece| {
                        let data = &self.inbox.buffer(piece.slot)[piece.start..][..piece.len];
                        [&piece.header[..head], data]
                    });
                    let slices = slices.filter(|slice| !slice.is_empty());
                    let to = self.way.receiver(bare, pieces[0].member);
                    let pushed = sending.push(Some(to), slices, segment as u16);
                    debug_assert!(pushed, "a batch is no longer than its slots");
                }
                // What the kernel does not take is lost.
                sending.flush(socket.as_fd());
            }
        }
        Ok(())
    }
}

impl Way {
    #[inline]
    fn member(&self, from: &ClientAddr) -> u32 {
        self.members[place(from)]
    }

    /// A datagram without its header; none when it was too short to have one.
    #[inline]
    fn piece(&self, from: End, n: u32, slot: usize, start: usize, len: usize) -> Option<Piece> {
        let head = if from == End::Data { HEADER_LEN } else { 0 };
        let len = len.checked_sub(head)?;
        let member = if from == End::Data && self.hairpin { Scene::partner(n) } else { n };
        let ([a, b], [c, d]) = (Scene::channel(member).to_be_bytes(), (len as u16).to_be_bytes());
        Some(Piece { member, slot, start: start + head, len, header: [a, b, c, d] })
    }

    #[inline]
    fn receiver(&self, bare: bool, member: u32) -> &ClientAddr {
        let everybody = if bare { &self.peers } else { &self.clients };
        &everybody[member as usize]
    }
}

/// The second and third octet of an IPv4 address.
#[inline]
fn place(addr: &ClientAddr) -> usize {
    let ip = addr.ip_bytes();
    usize::from(u16::from_be_bytes([ip[13], ip[14]]))
}

/// Which pieces leave in one send: UDP_SEGMENT wants one size, and only the last may be shorter.
fn cut(turn: &[Piece], technique: Technique, head: usize, sends: &mut Vec<Range<usize>>) {
    sends.clear();
    let mut bytes = 0;
    for (at, piece) in turn.iter().enumerate() {
        let joins = sends.last().is_some_and(|send| {
            let (first, last) = (&turn[send.start], &turn[at - 1]);
            technique == Technique::MmsgGso
                && first.member == piece.member
                && last.len == first.len
                && piece.len <= first.len
                && send.len() < SEGMENTS_MAX
                && bytes + head + piece.len <= DATAGRAM_MAX
        });
        if let (Some(send), true) = (sends.last_mut(), joins) {
            send.end = at + 1;
            bytes += head + piece.len;
        } else {
            sends.push(at..at + 1);
            bytes = head + piece.len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contest::Sinks;
    use super::super::side::{Side, client_addr};
    use super::*;

    #[test]
    fn every_technique_has_the_name_it_is_typed_with() {
        for technique in Technique::value_variants() {
            assert_eq!(technique.name(), technique.to_possible_value().unwrap().get_name());
        }
    }

    #[test]
    fn what_is_alike_and_in_a_row_leaves_in_one_send() {
        let piece = |member, len| Piece { member, slot: 0, start: 0, len, header: [0; 4] };
        let sends = |turn: &[Piece], technique, head| {
            let mut sends = Vec::new();
            cut(turn, technique, head, &mut sends);
            sends
        };
        let turn = [(1, 9), (1, 9), (1, 5), (1, 9), (2, 9), (2, 10)]
            .map(|(member, len)| piece(member, len));
        assert_eq!(sends(&turn, Technique::MmsgGso, 0), [0..3, 3..4, 4..5, 5..6]);
        assert_eq!(sends(&turn, Technique::Mmsg, 0).len(), 6);
        let many = [piece(1, 900); 100];
        assert_eq!(sends(&many, Technique::MmsgGso, 4), [0..64, 64..100]);
        let large = [piece(1, 1_400); 60];
        assert_eq!(sends(&large, Technique::MmsgGso, 4), [0..46, 46..60], "65,507 bytes at most");
    }

    /// A floor in a thread that serves until the test process ends, both its sides, and its addresses.
    fn floor(technique: Technique, allocations: u32, relays: u32, hairpin: bool) -> Test {
        let clients = Side::open(CLIENTS, allocations, Sinks::Plain).unwrap();
        let peers = Side::open(PEERS, allocations, Sinks::Plain).unwrap();
        let ports = (clients.port(), peers.port());
        let options =
            Options { technique, allocations, relays, clients: ports.0, peers: ports.1, hairpin };
        let mut floor = Floor::open(&options).unwrap();
        let addr = |socket: &UdpSocket| ClientAddr::from(socket.local_addr().unwrap());
        let (data, relays) = (addr(&floor.data), floor.relays.iter().map(addr).collect());
        std::thread::spawn(move || floor.serve());
        Test { clients, peers, data, relays }
    }

    struct Test {
        clients: Side,
        peers: Side,
        data: ClientAddr,
        relays: Vec<ClientAddr>,
    }

    /// The next `count` datagrams, and who sent them.
    fn hear(side: &mut Side, count: usize) -> Vec<(ClientAddr, Vec<u8>)> {
        let mut all = Vec::new();
        while all.len() < count {
            for slot in 0..side.hear().unwrap() {
                let (from, bytes, _) = side.heard(slot);
                all.push((from.unwrap(), bytes.to_vec()));
            }
        }
        all
    }

    #[test]
    fn the_header_is_taken_away_and_put_back() {
        for (allocations, relays) in [(2, 1), (2, 2)] {
            let mut test = floor(Technique::Mmsg, allocations, relays, false);
            test.clients.say([(1, &test.data, &b"....hello"[..])].into_iter(), 0);
            let relay = *test.relays.last().unwrap();
            assert_eq!(hear(&mut test.peers, 1), [(relay, b"hello".to_vec())]);
            test.peers.say([(1, &relay, &b"well"[..])].into_iter(), 0);
            let said = [&[0x40, 1, 0, 4][..], b"well"].concat();
            assert_eq!(hear(&mut test.clients, 1), [(test.data, said)]);
        }
    }

    #[test]
    fn a_partner_hears_it_under_the_number_of_its_own_channel() {
        let mut test = floor(Technique::Mmsg, 2, 1, true);
        test.clients.say([(0, &test.data, &b"\x40\0\0\x02hi"[..])].into_iter(), 0);
        assert_eq!(hear(&mut test.clients, 1), [(test.data, b"\x40\x01\0\x02hi".to_vec())]);
    }

    #[test]
    fn a_train_passes_whole_or_cut() {
        for technique in [Technique::Mmsg, Technique::MmsgGso] {
            let mut test = floor(technique, 1, 1, false);
            test.clients.say([(0, &test.data, &b"....one....two....six"[..])].into_iter(), 7);
            let said = hear(&mut test.peers, 3);
            let said: Vec<&[u8]> = said.iter().map(|(_, bytes)| &bytes[..]).collect();
            assert_eq!(said, [b"one", b"two", b"six"]);
            test.peers.say([(0, &test.relays[0], &b"onetwo"[..])].into_iter(), 3);
            let said = hear(&mut test.clients, 2);
            assert_eq!(said[1].1, b"\x40\0\0\x03two");
        }
    }

    #[test]
    fn the_sides_are_where_the_floor_looks() {
        let side = Side::open(PEERS, 300, Sinks::Plain).unwrap();
        assert_eq!(place(&client_addr(side.addr(258))), (PEERS as usize + 1) << 8 | 2);
    }
}
