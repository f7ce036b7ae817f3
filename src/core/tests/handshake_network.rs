//! The handshake over a network that loses, repeats, delays and overtakes, and a relay that is at
//! times loaded, busy or restarted: whatever happens, a client gets in once things calm down, and
//! nobody is ever sent more than they sent. Seeds are printed; no clock, no socket.

use std::collections::BTreeMap;

use elara_core::crypto::Suite;
use elara_core::crypto::exchange::{Certificate, ExchangeKey};
use elara_core::crypto::handshake::{
    Admission, Client, E2eMode, Entry, Heard, HelloRefused, Link, Membership, RelayKeys, Terms,
};
use elara_core::crypto::hop::Scratch;
use elara_core::crypto::identity::Identity;
use elara_core::crypto::token::{Claims, Issuers, Permissions, Subject, Token};
use elara_core::random::{GuessableKeys, Random, Seeded};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::wire::Header;
use elara_core::wire::v1::Kind;
use elara_core::wire::v1::header::CLASS_CONTROL;
use elara_core::{ClientAddr, NodeId, SessionId};
use zerocopy::IntoBytes;

const SESSION: SessionId = SessionId(42);
const RELAY_NODE: NodeId = NodeId(1);
const CALM: u64 = 60_000;
const END: u64 = 90_000;

enum To {
    Relay,
    Client,
}

struct World {
    chance: Seeded,
    keys: GuessableKeys<Seeded>,
    /// Datagrams under way, by arrival in ms.
    wire: BTreeMap<(u64, u64), (To, Vec<u8>)>,
    sent: u64,
    now: u64,
    relay: RelayKeys,
    node: NodeId,
    issuers: Issuers,
    entry: Option<Entry>,
    client: Client,
    link: Option<Box<Link>>,
    /// The relay has answered a ping by this connection.
    proven: bool,
    received_bytes: usize,
    answered_bytes: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut keys = GuessableKeys(Seeded::new(seed));
        let relay = RelayKeys::new(ExchangeKey::generate(&mut keys));
        let issuer = Identity::generate(&mut keys);
        let identity = Identity::generate(&mut keys);
        let key = ExchangeKey::generate(&mut keys);
        let mut issuers = Issuers::new();
        issuers.add(1, *issuer.public()).unwrap();
        let claims = Claims {
            kid: 1,
            session: SESSION,
            subject: Subject::Bound(*identity.public()),
            permissions: Permissions::SEND_ALL,
            not_before: 0,
            expires: u32::MAX,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        let client = Client::new(Membership {
            suite: if seed.is_multiple_of(2) { Suite::AesGcm } else { Suite::ChaChaPoly },
            session: SESSION,
            relay: *relay.public(),
            id: *identity.public(),
            certificate: Certificate::sign(&identity, key.public(), u32::MAX),
            key,
            token: Token::mint(&issuer, &claims),
            caps: 0,
            mode: E2eMode::PreShared,
        });
        Self {
            chance: Seeded::new(!seed),
            keys,
            wire: BTreeMap::new(),
            sent: 0,
            now: 0,
            relay,
            node: identity.node_id(),
            issuers,
            entry: None,
            client,
            link: None,
            proven: false,
            received_bytes: 0,
            answered_bytes: 0,
        }
    }

    fn at(&self) -> Instant {
        Instant::ZERO + Span::from_millis(self.now)
    }

    fn calendar(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + self.now)
    }

    fn stormy(&self) -> bool {
        self.now < CALM
    }

    fn send(&mut self, to: To, bytes: Vec<u8>) {
        let copies = if !self.stormy() {
            1
        } else if self.chance.chance(400_000) {
            0
        } else {
            1 + self.chance.below(2)
        };
        for _ in 1..copies {
            let copy = bytes.clone();
            self.under_way(if matches!(to, To::Relay) { To::Relay } else { To::Client }, copy);
        }
        if copies > 0 {
            self.under_way(to, bytes);
        }
    }

    fn under_way(&mut self, to: To, bytes: Vec<u8>) {
        let delay = if self.stormy() { 5 + self.chance.below(900) } else { 20 };
        self.sent += 1;
        self.wire.insert((self.now + delay, self.sent), (to, bytes));
    }

    fn run(&mut self) {
        self.client.connect(self.at());
        let mut ping_due = 0;
        while self.now < END {
            self.now += 5;
            if self.stormy() && self.chance.chance(400) {
                self.entry = None;
            }
            if let Some(entry) = &mut self.entry {
                let now = Instant::ZERO + Span::from_millis(self.now);
                if entry.expire(now) {
                    self.entry = None;
                }
            }
            while let Some(due) = self.wire.first_entry().filter(|due| due.key().0 <= self.now) {
                match due.remove() {
                    (To::Relay, bytes) => self.relay_hears(&bytes),
                    (To::Client, bytes) => self.client_hears(&bytes),
                }
            }
            let (now, calendar) = (self.at(), self.calendar());
            if let Some(hello) = self.client.poll_hello(now, calendar, &mut self.keys) {
                let hello = hello.to_vec();
                self.send(To::Relay, hello);
            }
            if self.now >= ping_due {
                ping_due = self.now + 500;
                self.ping();
            }
        }
    }

    /// Half a second: ping by the link there is; without an answer for long, ask anew.
    fn ping(&mut self) {
        let Some(link) = &mut self.link else { return };
        let mut frame = control(link.suite, self.node);
        link.sending.control(&mut frame).unwrap();
        self.send(To::Relay, frame);
        if !self.proven && self.chance.chance(200_000) {
            self.client.connect(self.at());
        }
    }

    fn relay_hears(&mut self, bytes: &[u8]) {
        self.received_bytes += bytes.len();
        if bytes[20] == CLASS_CONTROL {
            let now = self.at();
            let taken = self.entry.as_mut().map(|entry| {
                let taken = entry.control(bytes, &mut Scratch::new(), now).is_ok();
                let link = entry.active_mut().filter(|_| taken).map(|active| &mut active.link);
                link.map(|link| {
                    let mut pong = control(link.suite, RELAY_NODE);
                    link.sending.control(&mut pong).unwrap();
                    pong
                })
            });
            match taken {
                Some(Some(pong)) => self.answer(pong),
                Some(None) => {}
                None => {
                    let header = Header::peek(bytes).unwrap();
                    let suite = Suite::from_nibble(header.suite()).unwrap();
                    let reset = self.relay.reset(suite, SESSION, header.node_id());
                    if bytes.len() >= reset.as_bytes().len() {
                        self.answer(reset.as_bytes().to_vec());
                    }
                }
            }
        } else if let Ok(Some(answer)) = self.handshake(bytes) {
            self.answer(answer);
        }
    }

    fn answer(&mut self, bytes: Vec<u8>) {
        self.answered_bytes += bytes.len();
        self.send(To::Client, bytes);
    }

    fn handshake(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, HelloRefused> {
        let from = ClientAddr::new([7; 16], 7, 0);
        let (now, calendar) = (self.at(), self.calendar());
        let hello = self.relay.check_hello(bytes)?;
        let loaded = self.stormy() && self.chance.chance(300_000);
        if loaded && self.relay.check_cookie(hello, &from, calendar).is_err() {
            return Ok(Some(self.relay.retry(hello, &from, calendar).as_bytes().to_vec()));
        }
        if self.stormy() && self.chance.chance(100_000) {
            return Ok(Some(self.relay.busy(hello, 2_000).as_bytes().to_vec()));
        }
        if let Some(welcome) = self.entry.as_ref().and_then(|entry| entry.duplicate(hello, now)) {
            return Ok(Some(welcome.to_vec()));
        }
        let guest = self.relay.read(hello, &mut self.keys)?;
        let admission = Admission {
            issuers: &self.issuers,
            now: calendar,
            entry: self.entry.as_ref(),
            bearer_owner: None,
            banned: false,
        };
        let claims = guest.admit(&admission)?;
        let terms = Terms {
            max_frame: 1_232,
            idle_s: 600,
            ping_ms: 500,
            max_kbps: 0,
            max_pps: 0,
            observed: from,
            relay_clock_us: 0,
            roster_version: 0,
        };
        let entry = self.entry.get_or_insert_with(|| Entry::new(guest.id()));
        Ok(Some(entry.welcome(&self.relay, guest, claims, &terms, now)?.to_vec()))
    }

    fn client_hears(&mut self, bytes: &[u8]) {
        let now = self.at();
        if bytes[20] == CLASS_CONTROL {
            let Some(link) = &mut self.link else { return };
            self.proven |= link.receiving.control(bytes, &mut Scratch::new()).is_ok();
        } else if let Ok(heard) = self.client.handle_frame(bytes, now) {
            match heard {
                Heard::Welcome(link, _) => {
                    self.link = Some(link);
                    self.proven = false;
                    self.ping();
                }
                Heard::Reset => self.proven = false,
                Heard::Retry | Heard::Busy(_) => {}
            }
        }
    }
}

fn control(suite: Suite, node: NodeId) -> Vec<u8> {
    let header = Header::v1(suite as u8, SESSION, node, Kind::Control);
    let mut frame = vec![0; 62];
    frame[..30].copy_from_slice(header.as_bytes());
    frame
}

#[test]
fn after_any_storm_the_client_is_in() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.run();
        assert!(world.proven && !world.client.is_asking(), "seed {seed}");
        let (ours, theirs) = (world.link.as_ref().unwrap(), world.entry.as_ref().unwrap());
        assert_eq!(theirs.active().map(|active| active.link.inst), Some(ours.inst), "seed {seed}");
        assert!(world.answered_bytes <= world.received_bytes, "seed {seed}");
    }
}
