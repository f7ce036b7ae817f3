//! A participant that has joined allocates nothing to send: a counting allocator around core's
//! participant and a shard over memory, which also shows that the two understand each other.

mod support;

use elara_core::crypto::Secret;
use elara_core::limits::V1_FRAME_MAX;
use elara_core::participant::{Event, Head, MediaHead, Participant};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{OwnStream, Wish, phase, stream_kind};
use elara_shards::sys::counting::Counting;
use support::guest::Club;
use support::room::{InMemory, Room};

#[global_allocator]
static HEAP: Counting = Counting;

struct Scene {
    room: Room<InMemory>,
    people: Vec<Participant>,
    random: GuessableKeys<Seeded>,
    ms: u64,
}

impl Scene {
    fn new(count: usize) -> Self {
        let mut club = Club::new();
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
        Self { room, people, random: GuessableKeys(Seeded::new(3)), ms: 0 }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + Span::from_millis(self.ms)
    }

    /// Ten milliseconds of everything.
    fn pass(&mut self) {
        self.ms += 10;
        self.room.pass(10);
        let (now, today) = (self.now(), UnixMillis(1_800_000_000_000 + self.ms));
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

fn voice(frame: u32) -> MediaHead {
    let head = Head { class: Class::Perceptual, profile: 0x11, time_hint: 0 };
    MediaHead { head, stream: 1, layer: 0, frame, bits: 0 }
}

#[test]
fn a_participant_that_has_joined_allocates_nothing_to_send() {
    let mut scene = Scene::new(3);
    (0..60).for_each(|_| scene.pass());
    for person in &scene.people {
        assert!(person.is_joined());
        assert_eq!((person.members().len(), person.streams().len()), (3, 3));
    }
    let mut out = [0; V1_FRAME_MAX];
    let content = [7; 160];
    scene.people[0].seal_frame(&voice(0), &content, &mut out).unwrap();

    let start = Counting::on_this_thread();
    for frame in 1..1_000 {
        let len = scene.people[0].seal_frame(&voice(frame), &content, &mut out).unwrap();
        std::hint::black_box(&out[..len]);
    }
    assert_eq!(Counting::on_this_thread() - start, 0, "into the caller's buffer");

    let mut allocations = 0;
    for frame in 1_000..1_050 {
        let (now, today) = (scene.now(), UnixMillis(1_800_000_000_000 + scene.ms));
        let speaker = &mut scene.people[0];
        let start = Counting::on_this_thread();
        speaker.send_media(&voice(frame), &content).unwrap();
        let len = loop {
            // Pings are due now and then, and are no reason to allocate either.
            let len = speaker.poll_transmit(now, today, &mut scene.random, &mut out).unwrap();
            if out[20] == Class::Perceptual as u8 {
                break len;
            }
        };
        if frame > 1_000 {
            allocations += Counting::on_this_thread() - start;
        }
        scene.room.say(0, &out[..len]);
        scene.pass();
    }
    assert_eq!(allocations, 0, "by way of the queue");
    let mut heard = 0;
    while let Some(event) = scene.people[1].poll_event() {
        heard += usize::from(matches!(event, Event::Media(media) if media.content == content));
    }
    assert_eq!(heard, 50);
}
