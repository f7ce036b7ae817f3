//! What a seed decides before anything happens.

use elara_core::crypto::Secret;
use elara_core::random::{Random, Seeded};
use elara_core::time::{Instant, Span};
use elara_core::{Cidr, NodeId, SessionId};
use elara_shards::io::memory::Capacity;
use elara_shards::shard::{ShardConfig, V0Policy};

use crate::cast::{Habit, Participant, Place};
use crate::network::Link;

/// The blocks v0 is open for.
const OPEN: [&str; 4] = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8", "fe80::/10"];
/// How large sessions are: most small, some with one participant, some large.
const SIZES: [u64; 10] = [1, 1, 2, 2, 3, 4, 5, 8, 16, 30];

/// The world as it begins.
pub(crate) struct Plan {
    pub(crate) begin: Instant,
    pub(crate) shards: usize,
    pub(crate) max_peers: usize,
    pub(crate) v0: Option<V0Policy>,
    pub(crate) hash_keys: (u64, u64),
    pub(crate) capacity: Capacity,
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) cast: Vec<Participant>,
    /// Machines on each kind of network: few, and many share an address.
    pub(crate) hosts: u64,
}

impl Plan {
    pub(crate) fn new(random: &mut Seeded, shards: Option<usize>) -> Self {
        let mut pick = |choices: &[usize]| choices[random.below(choices.len() as u64) as usize];
        let (chosen, max_peers, per_ip) =
            (pick(&[1, 1, 2, 3, 4]), pick(&[3, 8, 24, 1_000]), pick(&[2, 4, 8, 64, 64]));
        let capacity = Capacity {
            buffers: pick(&[64, 256, 512]),
            queue_datagrams: 1_024,
            queue_bytes: 1 << 20,
            send_queue: pick(&[8, 64, 1_024]),
            sent_bytes: 32 << 20,
            ..Capacity::default()
        };
        let open: Vec<Cidr> = OPEN.iter().filter_map(|block| block.parse().ok()).collect();
        // One world in forty serves no v0 at all.
        let v0 = (!random.chance(25_000)).then_some(V0Policy { open, per_ip });
        let hosts = 2 + random.below(20);
        let begin = Instant::ZERO + Span::from_nanos(random.below(1 << 50));
        let sessions: Vec<SessionId> =
            (0..3 + random.below(6)).map(|_| SessionId(random.next_u64())).collect();
        let mut cast = Vec::new();
        for session in &sessions {
            for _ in 0..SIZES[random.below(SIZES.len() as u64) as usize] {
                cast.push(participant(*session, cast.len(), hosts, random));
            }
        }
        Self {
            begin,
            shards: shards.unwrap_or(chosen),
            max_peers,
            v0,
            hash_keys: (random.next_u64(), random.next_u64()),
            capacity,
            sessions,
            cast,
            hosts,
        }
    }

    pub(crate) fn config(&self, index: usize) -> ShardConfig {
        ShardConfig {
            index,
            shards: self.shards,
            max_peers: self.max_peers,
            v0: self.v0.clone(),
            v1: None,
            turn: None,
            hash_keys: self.hash_keys,
            seed: Secret::new([index as u8; 32]),
        }
    }
}

fn participant(
    session: SessionId,
    index: usize,
    hosts: u64,
    random: &mut impl Random,
) -> Participant {
    let place = Place::pick(hosts, random);
    let mut link = || Link::clear(Span::from_micros(200 + random.below(60_000)));
    let (up, down) = (link(), link());
    Participant {
        session,
        node: NodeId(random.next_u64()),
        place,
        addr: place.at(1_024 + index as u16),
        habit: Habit::pick(random),
        up,
        down,
        speaking_since: None,
        token: 0,
        number: 0,
        first: 0,
        turned_away: None,
    }
}
