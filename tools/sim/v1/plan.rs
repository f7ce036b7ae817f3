//! What a seed decides of a world of wire v1 before anything happens.

use elara_core::SessionId;
use elara_core::crypto::{Permissions, Secret, Suite};
use elara_core::participant::Participant;
use elara_core::random::{Random, Seeded};
use elara_core::time::{Instant, Span};
use elara_core::wire::v1::control::Wish;
use elara_shards::io::memory::Capacity;
use elara_shards::shard::ShardConfig;

use super::canary::{self, Canaries};
use super::club::{self, Club, today};
use super::honest::{Habit, Honest};
use super::insider::Insider;
use super::ledger::Ledger;
use crate::cast::Place;
use crate::network::Link;

/// How large sessions are: most small.
const SIZES: [u64; 8] = [1, 2, 3, 4, 5, 6, 8, 12];

/// The world as it begins.
pub(crate) struct Plan {
    pub(crate) begin: Instant,
    pub(crate) shards: usize,
    pub(crate) max_peers: usize,
    hash_keys: (u64, u64),
    pub(crate) capacity: Capacity,
    pub(crate) club: Club,
    /// What stands in every content.
    pub(crate) marker: [u8; canary::LEN],
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) cast: Vec<Honest>,
    pub(crate) insiders: Vec<Insider>,
    /// Machines on each kind of network: few, and many share an address.
    pub(crate) hosts: u64,
    ledger: Option<Ledger>,
}

impl Plan {
    pub(crate) fn new(random: &mut Seeded, shards: Option<usize>) -> Self {
        let mut pick = |choices: &[usize]| choices[random.below(choices.len() as u64) as usize];
        let chosen = pick(&[1, 1, 2, 3]);
        let max_peers = pick(&[1_000, 1_000, 1_000, 4]);
        let capacity = Capacity {
            buffers: pick(&[64, 256, 512]),
            queue_datagrams: 1_024,
            queue_bytes: 1 << 20,
            send_queue: pick(&[8, 64, 1_024]),
            sent_datagrams: 1 << 14,
            sent_bytes: 16 << 20,
            ..Capacity::default()
        };
        let begin = Instant::ZERO + Span::from_nanos(random.below(1 << 50));
        let mut marker = [0; canary::LEN];
        random.fill(&mut marker);
        let mut canaries = Canaries::new();
        canaries.add(&marker, "a content");
        let mut plan = Self {
            begin,
            shards: shards.unwrap_or(chosen),
            max_peers,
            hash_keys: (random.next_u64(), random.next_u64()),
            capacity,
            club: Club::new(random.next_u64()),
            marker,
            sessions: Vec::new(),
            cast: Vec::new(),
            insiders: Vec::new(),
            hosts: 2 + random.below(20),
            ledger: None,
        };
        let mut ledger = Ledger::new(canaries);
        for _ in 0..1 + random.below(3) {
            let session = SessionId(random.next_u64());
            plan.sessions.push(session);
            for _ in 0..SIZES[random.below(SIZES.len() as u64) as usize] {
                plan.invite(session, &mut ledger, random);
            }
            for _ in 0..random.below(3) {
                plan.infiltrate(session, &mut ledger, random);
            }
        }
        plan.ledger = Some(ledger);
        plan
    }

    /// The book that the plan has begun.
    ///
    /// # Panics
    /// When asked twice.
    pub(crate) fn ledger(&mut self) -> Ledger {
        self.ledger.take().expect("a plan has one ledger, and a world takes it")
    }

    pub(crate) fn config(&self, index: usize, random: &mut Seeded) -> ShardConfig {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        ShardConfig {
            index,
            shards: self.shards,
            max_peers: self.max_peers,
            v0: None,
            v1: Some(self.club.access()),
            turn: None,
            hash_keys: self.hash_keys,
            seed: Secret::new(seed),
        }
    }

    /// Everyone who may speak has a number of its own.
    fn next_index(&self) -> u32 {
        (self.cast.len() + self.insiders.len()) as u32
    }

    fn invite(&mut self, session: SessionId, ledger: &mut Ledger, random: &mut Seeded) {
        let habit = Habit::pick(random);
        let identity = self.club.identity();
        let kick = if random.chance(250_000) { Permissions::KICK } else { Permissions::NONE };
        let mut permissions = habit.permissions().and(kick);
        if habit != Habit::Listen && random.chance(100_000) {
            permissions.0 &= !Permissions::RECEIVE.0;
        }
        let mut claims = self.club.claims(&identity, session, permissions);
        if random.chance(100_000) {
            claims.expires = today(self.begin) + 60 + random.below(60) as u32;
        }
        let membership = self.club.membership(&identity, &claims, suite(random));
        ledger.canaries.add(identity.public().as_bytes(), "an identity");
        ledger.canaries.add(&membership.token.0[64..], "a token");
        let mut machine = Participant::new(membership, &club::session_key(session));
        let wishes = [Wish::EVERYTHING];
        let hold_ms = hold_ms(random);
        let wish = ledger.wish(&wishes, hold_ms);
        let stated = machine.subscribe(&wishes, hold_ms, self.begin);
        debug_assert!(stated.is_ok(), "one wish is not too much");
        let place = Place::pick(self.hosts, random);
        let mut link = || Link::clear(Span::from_micros(200 + random.below(60_000)));
        let links = (link(), link());
        let skew_ms = random.below(20_000);
        let keys = club::randomness(machine.node_id());
        let index = self.next_index();
        let them = Honest::new(index, machine, claims, habit, place, links, wish, skew_ms, keys);
        self.cast.push(them);
    }

    fn infiltrate(&mut self, session: SessionId, ledger: &mut Ledger, random: &mut Seeded) {
        let identity = self.club.identity();
        // Some may send every class, some only a few.
        let classes = if random.chance(500_000) { 0x1F } else { random.below(32) as u32 };
        let kick = if random.chance(300_000) { Permissions::KICK } else { Permissions::NONE };
        let receive = if random.chance(800_000) { Permissions::RECEIVE } else { Permissions::NONE };
        let permissions = Permissions(classes).and(receive).and(kick);
        let mut claims = self.club.claims(&identity, session, permissions);
        if random.chance(300_000) {
            (claims.max_kbps, claims.max_pps) = (8, 20);
        }
        let membership = self.club.membership(&identity, &claims, suite(random));
        ledger.canaries.add(identity.public().as_bytes(), "an identity");
        ledger.canaries.add(&membership.token.0[64..], "a token");
        let index = self.next_index();
        let addr = Place::pick(self.hosts, random).at(10_000 + index as u16);
        self.insiders.push(Insider::new(index, membership, claims, addr));
    }
}

/// Two in three want every frame at once.
pub(crate) fn hold_ms(random: &mut impl Random) -> u8 {
    if random.chance(330_000) { 1 + random.below(5) as u8 } else { 0 }
}

fn suite(random: &mut Seeded) -> Suite {
    if random.chance(500_000) { Suite::AesGcm } else { Suite::ChaChaPoly }
}
