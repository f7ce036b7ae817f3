//! A relay, its participants, and the network between them: seeded, without a clock.

use std::collections::BTreeMap;

use elara_core::crypto::exchange::{Certificate, ExchangeKey, ExchangePublic};
use elara_core::crypto::handshake::{E2eMode, Membership};
use elara_core::crypto::identity::Identity;
use elara_core::crypto::token::{Claims, Issuers, Permissions, Subject, Token};
use elara_core::crypto::{Secret, Suite};
use elara_core::limits::V1_FRAME_MAX;
use elara_core::participant::{Event, Head, Media, MediaHead, Participant};
use elara_core::random::{GuessableKeys, Random, Seeded};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::wire::Class;
use elara_core::wire::v1::control::{OwnStream, Wish, phase, stream_kind};
use elara_core::wire::v1::tlv::bits;
use elara_core::{NodeId, SessionId};
use zerocopy::little_endian::U16;

use crate::relay::{Address, Relay};

pub(crate) const SESSION: SessionId = SessionId(0x0123_4567_89AB_CDEF);

pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) people: Vec<Person>,
    relay_key: ExchangePublic,
    issuer: Identity,
    chance: Seeded,
    random: GuessableKeys<Seeded>,
    wire: BTreeMap<(u64, u64), (Option<Address>, Vec<u8>)>,
    origin: BTreeMap<u64, Address>,
    sent: u64,
    pub(crate) now_ms: u64,
    /// Datagrams lost, in millionths, either way.
    pub(crate) loss: u32,
    /// The same, on the way to the relay only.
    pub(crate) loss_up: u32,
    pub(crate) delay_ms: u64,
    pub(crate) jitter_ms: u64,
    /// Everything is lost.
    pub(crate) cut: bool,
    /// Datagrams to participants that `true` is said of are lost.
    pub(crate) censor: Option<fn(&[u8]) -> bool>,
    /// Whoever sends from here is not connected to anything.
    pub(crate) unplugged: Option<Address>,
    pub(crate) mark_every_ms: Option<u64>,
}

pub(crate) struct Person {
    pub(crate) participant: Participant,
    identity: Identity,
    pub(crate) address: Address,
    pub(crate) events: Vec<Event>,
    pub(crate) sent: Vec<Vec<u8>>,
}

impl World {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut random = GuessableKeys(Seeded::new(seed));
        let key = ExchangeKey::generate(&mut random);
        let issuer = Identity::generate(&mut random);
        let mut issuers = Issuers::new();
        issuers.add(1, *issuer.public()).unwrap();
        let mut world = Self {
            relay_key: *key.public(),
            relay: Relay::new(key, issuers, SESSION),
            people: Vec::new(),
            issuer,
            chance: Seeded::new(!seed),
            random,
            wire: BTreeMap::new(),
            origin: BTreeMap::new(),
            sent: 0,
            now_ms: 0,
            loss: 0,
            loss_up: 0,
            delay_ms: 10,
            jitter_ms: 0,
            cut: false,
            censor: None,
            unplugged: None,
            mark_every_ms: None,
        };
        for index in 0..count {
            let suite = Suite::ALL[(seed as usize + index) % 2];
            let identity = Identity::generate(&mut world.random);
            let participant = world.participant(&identity, suite);
            let address = index as Address;
            world.people.push(Person {
                participant,
                identity,
                address,
                events: Vec::new(),
                sent: Vec::new(),
            });
        }
        world
    }

    /// Another process takes this person's place, and asks to enter.
    pub(crate) fn restart(&mut self, who: usize) {
        let person = self.people.remove(who);
        let participant = self.participant(&person.identity, Suite::ALL[who % 2]);
        self.people.insert(who, Person { participant, ..person });
    }

    fn participant(&mut self, identity: &Identity, suite: Suite) -> Participant {
        let key = ExchangeKey::generate(&mut self.random);
        let claims = Claims {
            kid: 1,
            session: SESSION,
            subject: Subject::Bound(*identity.public()),
            permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
            not_before: 0,
            expires: u32::MAX,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        let membership = Membership {
            suite,
            session: SESSION,
            relay: self.relay_key,
            id: *identity.public(),
            certificate: Certificate::sign(identity, key.public(), u32::MAX),
            key,
            token: Token::mint(&self.issuer, &claims),
            caps: 0,
            mode: E2eMode::PreShared,
        };
        let mut participant = Participant::new(membership, &Secret::new([5; 32]));
        participant.subscribe(&[Wish::EVERYTHING], 2, Instant::ZERO).unwrap();
        participant.set_streams(&[voice(1)], Instant::ZERO).unwrap();
        participant.connect(Instant::ZERO);
        participant
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + Span::from_millis(self.now_ms)
    }

    pub(crate) fn calendar(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + self.now_ms)
    }

    /// Time passes.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += 1;
            self.step();
        }
    }

    /// Time passes until `done`, at most `ms`; whether it came to that.
    pub(crate) fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now_ms + ms;
        while self.now_ms < end && !done(self) {
            self.run(1);
        }
        done(self)
    }

    /// Everyone is in and knows everyone.
    pub(crate) fn join(&mut self) {
        let count = self.people.len();
        let everyone = |world: &Self| {
            let knows = |person: &Person| {
                let participant = &person.participant;
                participant.is_joined()
                    && participant.members().len() == count
                    && participant.streams().len() == count
            };
            world.people.iter().all(knows)
        };
        assert!(self.run_until(20_000, everyone), "everyone is in");
    }

    pub(crate) fn step(&mut self) {
        let (now, calendar) = (self.now(), self.calendar());
        if self.mark_every_ms.is_some_and(|every| self.now_ms.is_multiple_of(every)) {
            self.relay.mark(now);
        }
        while let Some(due) = self.wire.first_entry().filter(|due| due.key().0 <= self.now_ms) {
            let (_, number) = *due.key();
            let (to, bytes) = due.remove();
            let from = self.origin.remove(&number).unwrap_or_default();
            match to {
                None => self.relay.hear(from, &bytes, now, calendar),
                Some(address) => {
                    for person in &mut self.people {
                        if person.address == address {
                            let _ = person.participant.handle_datagram(&bytes, now);
                        }
                    }
                }
            }
        }
        for (address, bytes) in self.relay.take() {
            if !self.censor.is_some_and(|censor| censor(&bytes)) {
                self.send(0, Some(address), bytes);
            }
        }
        for index in 0..self.people.len() {
            let mut out = [0; V1_FRAME_MAX];
            let person = &mut self.people[index];
            // Polled when it said so, and in the same instant when something came.
            while let Some(len) =
                person.participant.poll_transmit(now, calendar, &mut self.random, &mut out)
            {
                let bytes = out[..len].to_vec();
                person.sent.push(bytes.clone());
                let from = person.address;
                let lost = self.cut
                    || self.unplugged == Some(from)
                    || self.chance.chance(self.loss.max(self.loss_up));
                if !lost {
                    self.sent += 1;
                    let delay = self.delay_ms + self.chance.below(self.jitter_ms + 1);
                    self.origin.insert(self.sent, from);
                    self.wire.insert((self.now_ms + delay, self.sent), (None, bytes));
                }
            }
            let due = person.participant.poll_timeout();
            assert!(due.is_none_or(|due| due > now), "what is due was polled: {due:?} {now:?}");
            person.events.extend(std::iter::from_fn(|| person.participant.poll_event()));
        }
    }

    fn send(&mut self, from: Address, to: Option<Address>, bytes: Vec<u8>) {
        if self.cut || self.chance.chance(self.loss) {
            return;
        }
        self.sent += 1;
        let delay = self.delay_ms + self.chance.below(self.jitter_ms + 1);
        self.origin.insert(self.sent, from);
        self.wire.insert((self.now_ms + delay, self.sent), (to, bytes));
    }

    pub(crate) fn say(&mut self, who: usize, frame: u32, content: &[u8]) {
        self.people[who].participant.send_media(&media(frame), content).unwrap();
    }

    pub(crate) fn node(&self, who: usize) -> NodeId {
        self.people[who].participant.node_id()
    }
}

impl Person {
    /// What was heard so far.
    pub(crate) fn heard(&self) -> Vec<&Media> {
        let mut heard = Vec::new();
        for event in &self.events {
            if let Event::Media(media) = event {
                heard.push(media);
            }
        }
        heard
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

pub(crate) fn voice(stream: u16) -> OwnStream {
    OwnStream {
        stream: U16::new(stream),
        kind: stream_kind::VOICE,
        profile: 0x11,
        phase: phase::ACTIVE,
    }
}

pub(crate) fn media(frame: u32) -> MediaHead {
    MediaHead {
        head: Head { class: Class::Perceptual, profile: 0x11, time_hint: 7 },
        stream: 1,
        layer: 0,
        frame,
        bits: bits::KEY,
    }
}
