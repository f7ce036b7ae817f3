//! Sessions of one size, everyone in, of either wire: what the workloads of the benchmarks are made of. They
//! are worked off a cycle at a time, and what the cycles allocate is counted.

use elara_core::SessionId;
use elara_core::crypto::Permissions;
use elara_core::limits::{CYCLE_SENDS_MAX, HELD_FRAMES_MAX, HOLD_MS_MAX, V1_PADDED};
use elara_core::wire::header::Class;
use elara_core::wire::v1::Bundle;
use elara_core::wire::v1::control::{Control, Report, Subscribe, Wish, kind};
use elara_core::wire::v1::header::CLASS_CONTROL;
use elara_shards::ShardConfig;
use elara_shards::sys::counting::Counting;

use super::frames::frame_of;
use super::guest::{Club, Guest, MEMBER, Party};
use super::room::{Place, Room, open_config};

/// What the sessions speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    V0,
    /// And how long everyone lets small frames wait.
    V1 {
        hold_ms: u8,
    },
}

/// So many sessions of so many members, of which the first so many may speak.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub sessions: usize,
    pub members: usize,
    pub speakers: usize,
}

/// Cycles that may pass before somebody asks why. The longest thing to wait for is a MARK, which is due
/// within 200 ms, and a cycle in memory takes one of them.
const PATIENCE: usize = 1_000;
/// Frames of 120 bytes that one speaker says in one train.
const TRAIN: usize = 40;

/// The sessions, with everyone in. Peers are counted through: the first are the first session's.
pub struct Crowd<P: Place> {
    pub room: Room<P>,
    shape: Shape,
    wire: Wire,
    /// Of wire v1; none where the wire is v0.
    guests: Vec<Guest>,
    /// Data frames that each peer has heard, and is to hear.
    heard: Vec<u64>,
    owed: Vec<u64>,
    /// Who has been sent a MARK.
    marked: Vec<bool>,
    /// Data frames said so far.
    pub said: u64,
    /// How often cycles have asked for memory so far, where [`Counting`] is the program's allocator.
    pub allocations: u64,
}

impl<P: Place> Crowd<P> {
    pub fn enter(shape: Shape, wire: Wire) -> Self {
        let peers = shape.sessions * shape.members;
        let (room, guests) = match wire {
            Wire::V0 => (introduced(shape), Vec::new()),
            Wire::V1 { .. } => welcomed(shape),
        };
        let (heard, owed, marked) = (vec![0; peers], vec![0; peers], vec![false; peers]);
        let mut crowd =
            Self { room, shape, wire, guests, heard, owed, marked, said: 0, allocations: 0 };
        let counters = crowd.room.settle();
        assert_eq!(counters.participants, peers as u64, "over {}", P::NAME);
        crowd.room.drain(|_, _| ());
        crowd
    }

    /// The first `many` peers of every session.
    pub fn firsts(&self, many: usize) -> impl Iterator<Item = usize> + use<P> {
        let members = self.shape.members;
        (0..self.shape.sessions)
            .flat_map(move |session| (0..many).map(move |at| session * members + at))
    }

    /// Peer `peer` says `count` frames at once, of `len` bytes in wire v0, in v1 of the next padded length.
    pub fn say(&mut self, peer: usize, len: usize, count: usize) {
        let members = self.shape.members;
        let session = peer / members;
        let (bytes, len) = match self.guests.get_mut(peer) {
            Some(guest) => {
                let len = padded(len);
                let mut bytes = Vec::with_capacity(count * len);
                (0..count).for_each(|_| bytes.extend(guest.data(Class::Perceptual, len)));
                (bytes, len)
            }
            None => (frame_of(session as u64 + 1, peer as u64, len, 7).repeat(count), len),
        };
        self.room.say_train(peer, &bytes, if count > 1 { len as u16 } else { 0 });
        self.said += count as u64;
        let others = (session * members..(session + 1) * members).filter(|other| *other != peer);
        others.for_each(|other| self.owed[other] += count as u64);
    }

    /// One cycle, and what it brings everyone. `waits`: for what is due, unless something is under way.
    pub fn cycle(&mut self, waits: bool) {
        self.room.place.elapse(self.room.shard.io());
        let before = Counting::on_this_thread();
        if waits {
            self.room.cycle();
        } else {
            self.room.cycle_at_once();
        }
        self.allocations += Counting::on_this_thread() - before;
        self.hear();
    }

    /// Cycles until everyone has heard all that was said.
    pub fn deliver(&mut self) {
        self.cycle_until("all that was said", |crowd| crowd.heard == crowd.owed);
    }

    /// One round, and cycles until everyone who hears it has been sent a MARK. In wire v0 nobody is.
    pub fn mark(&mut self, round: impl Fn(&mut Self)) {
        let before = self.heard.clone();
        self.marked.fill(self.wire == Wire::V0);
        round(self);
        self.deliver();
        self.cycle_until("a MARK", |crowd| {
            let hears = crowd.heard.iter().zip(&before).map(|(after, before)| after > before);
            hears.zip(&crowd.marked).all(|(hears, marked)| !hears || *marked)
        });
    }

    /// Lets everything grow to its size: everyone lets small frames wait, and as many are said as may; then
    /// it goes as it will. Whoever is marked says that nothing has come, and so is marked again as soon as
    /// may be.
    pub fn warm_up(&mut self, round: impl Fn(&mut Self)) {
        if let Wire::V1 { hold_ms } = self.wire {
            self.let_wait(2, HOLD_MS_MAX);
            self.flood();
            self.let_wait(3, hold_ms);
        }
        self.mark(&round);
        self.say_all(|guest| {
            let report = Report { n: 1.into(), received: 0.into(), arrival_us: 0.into() };
            guest.control(&[Control::Report(&report)])
        });
        for _ in 0..3 {
            round(self);
            self.deliver();
        }
    }

    fn cycle_until(&mut self, what: &str, is_reached: impl Fn(&Self) -> bool) {
        for step in 0..PATIENCE {
            // What a cycle that waited has sent on, the next one hands over.
            self.cycle(step > 2 && step % 2 == 1);
            if is_reached(self) {
                return;
            }
        }
        let counters = self.room.shard.counters();
        let (heard, owed): (u64, u64) = (self.heard.iter().sum(), self.owed.iter().sum());
        panic!("waiting for {what} over {}: {heard} heard of {owed}, {counters:?}", P::NAME);
    }

    fn let_wait(&mut self, version: u32, hold_ms: u8) {
        self.say_all(|guest| {
            let everything = [Wish::EVERYTHING];
            guest.control(&[Control::Subscribe(Subscribe::new(version, hold_ms, &everything))])
        });
    }

    /// Everyone says something to the relay.
    fn say_all(&mut self, something: impl Fn(&mut Guest) -> Vec<u8>) {
        for (peer, guest) in self.guests.iter_mut().enumerate() {
            self.room.say(peer, &something(guest));
            if peer % 64 == 63 {
                self.room.settle();
            }
        }
        self.room.settle();
        self.hear();
    }

    /// So many small frames at once that in no session more will ever wait.
    fn flood(&mut self) {
        let Shape { members, speakers, .. } = self.shape;
        let frames = (HELD_FRAMES_MAX * 3 / 5).min(10 * CYCLE_SENDS_MAX / members);
        for session in self.firsts(1) {
            for at in 0..frames / TRAIN {
                self.say(session + at % speakers.min(3), V1_PADDED[1], TRAIN);
            }
            self.deliver();
        }
    }

    fn hear(&mut self) {
        let Self { room, guests, heard, marked, .. } = self;
        room.drain(|peer, datagram| {
            if let Ok(bundle) = Bundle::parse(datagram) {
                heard[peer] += bundle.count() as u64;
            } else if datagram[20] != CLASS_CONTROL {
                heard[peer] += 1;
            } else if !marked[peer] {
                let said = guests[peer].opened(&[datagram.to_vec()]);
                marked[peer] = said.iter().any(|(kind, _)| *kind == kind::MARK);
            }
        });
    }
}

/// A room in which everyone has said hello. All at once: that is the least work, and who knows whom is the
/// same.
fn introduced<P: Place>(shape: Shape) -> Room<P> {
    let peers = shape.sessions * shape.members;
    let config = ShardConfig { max_peers: shape.members, ..open_config() };
    let mut room = Room::with(peers, config);
    for peer in 0..peers {
        room.say(peer, &frame_of((peer / shape.members) as u64 + 1, peer as u64, 60, 0));
    }
    room
}

/// A room in which everyone was welcomed, and those. Who does not speak may not.
fn welcomed<P: Place>(shape: Shape) -> (Room<P>, Vec<Guest>) {
    let peers = shape.sessions * shape.members;
    let mut club = Club::new();
    (club.claims.max_kbps, club.claims.max_pps) = (10_000_000, u16::MAX);
    let config = ShardConfig { max_peers: shape.members, ..club.config() };
    let mut room = Room::with(peers, config);
    let mut guests = Vec::with_capacity(peers);
    for peer in 0..peers {
        let (session, place) = (peer / shape.members, peer % shape.members);
        club.claims.session = SessionId(session as u64 + 1);
        club.claims.permissions =
            if place < shape.speakers { MEMBER } else { Permissions::RECEIVE };
        let mut guest = club.guest();
        room.enter(peer, &mut guest);
        guests.push(guest);
        if peer % 64 == 63 {
            room.drain(|_, _| ());
        }
    }
    (room, guests)
}

/// The length that a frame of `len` bytes has in wire v1.
fn padded(len: usize) -> usize {
    *V1_PADDED.iter().find(|padded| **padded >= len).expect("no frame is longer")
}
