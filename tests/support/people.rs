//! Participants made of core's own machine, in a room with a shard.

use elara_core::crypto::{Secret, Suite};
use elara_core::limits::V1_FRAME_MAX;
use elara_core::participant::{Head, MediaHead, Participant};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{OwnStream, Wish, phase, stream_kind};

use super::guest::Club;
use super::room::{InMemory, Room};

/// Participants in a room with a shard.
pub struct People {
    pub room: Room<InMemory>,
    pub people: Vec<Participant>,
    pub random: GuessableKeys<Seeded>,
    pub ms: u64,
}

impl People {
    /// So many, all in and told of each other.
    pub fn enter(count: usize) -> Self {
        Self::of(Suite::AesGcm, count)
    }

    /// The same, speaking `suite`.
    pub fn of(suite: Suite, count: usize) -> Self {
        let mut club = Club::of(suite);
        let room = Room::<InMemory>::with(count, club.config());
        let people = (0..count).map(|_| {
            let membership = club.guest().membership;
            let mut person = Participant::new(membership, &Secret::new([5; 32]));
            person.connect(Instant::ZERO);
            person.subscribe(&[Wish::EVERYTHING], 0, Instant::ZERO).unwrap();
            let own = OwnStream {
                stream: 1.into(),
                kind: stream_kind::VOICE,
                profile: 0x11,
                phase: phase::ACTIVE,
            };
            person.set_streams(&[own], Instant::ZERO).unwrap();
            person
        });
        let people = people.collect();
        let mut entered = Self { room, people, random: GuessableKeys(Seeded::new(3)), ms: 0 };
        (0..60).for_each(|_| entered.pass());
        assert!(entered.people.iter().all(Participant::is_joined));
        entered
    }

    /// Theirs, not the shard's.
    pub fn now(&self) -> Instant {
        Instant::ZERO + Span::from_millis(self.ms)
    }

    pub fn today(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + self.ms)
    }

    /// Ten milliseconds of everything.
    pub fn pass(&mut self) {
        self.ms += 10;
        self.room.pass(10);
        let (now, today) = (self.now(), self.today());
        for (peer, person) in self.people.iter_mut().enumerate() {
            let mut out = [0; V1_FRAME_MAX];
            while let Some(len) = person.poll_transmit(now, today, &mut self.random, &mut out) {
                self.room.say(peer, &out[..len]);
            }
            for datagram in self.room.heard(peer) {
                person.handle_datagram(&datagram, now).unwrap();
            }
        }
    }
}

/// A frame of voice.
pub fn voice(frame: u32) -> MediaHead {
    let head = Head { class: Class::Perceptual, profile: 0x11, time_hint: 0 };
    MediaHead { head, stream: 1, layer: 0, frame, bits: 0 }
}
