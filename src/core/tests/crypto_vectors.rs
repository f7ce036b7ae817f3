//! Golden bytes of wire v1's keys: `tests/vectors/v1-*.txt` at the root.
//!
//! Each file is paragraphs: a line that says what is shown, then `name value` lines, hex unless the
//! name ends in a unit or is a small number. Secrets stand beside the bytes they make, so that
//! an implementation in another language can make the same bytes. The first test holds that ours
//! still does; the others read the files and hold that what stands there opens. `v1_keys.py` beside
//! the files makes them a second time, from the specification alone.
//!
//! After a deliberate change of the wire: `ELARA_BLESS=1 cargo test -p elara-core --test crypto_vectors`.

mod vector_files;

use elara_core::crypto::exchange::{Certificate, ExchangeKey, ExchangePublic};
use elara_core::crypto::handshake::{
    Admission, Client, E2eMode, Entry, Heard, Link, Membership, RelayKeys, Terms,
};
use elara_core::crypto::hop::{HopKeys, Inst, Scratch, Sending, Split};
use elara_core::crypto::identity::{Identity, PublicKey};
use elara_core::crypto::join::JoinAddress;
use elara_core::crypto::seal::{EpochSecret, Openers, Sealer};
use elara_core::crypto::token::{Claims, Issuers, Permissions, Subject, Token};
use elara_core::crypto::{Secret, Suite, seal};
use elara_core::random::{Random, SecureRandom};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::wire::Header;
use elara_core::{ClientAddr, NodeId, SessionId};
use vector_files::{Teller, Told, path, run, stored, told};
use zerocopy::IntoBytes;

const SESSION: SessionId = SessionId(0x0123_4567_89AB_CDEF);
const NOW: UnixMillis = UnixMillis(1_800_000_000_123);
const CONTROL: u8 = 0xF1;

// ---- The files -----------------------------------------------------------------------------------

fn files() -> [(&'static str, String); 4] {
    [
        ("v1-token.txt", token_vectors()),
        ("v1-hop.txt", hop_vectors()),
        ("v1-seal.txt", seal_vectors()),
        ("v1-handshake.txt", handshake_vectors()),
    ]
}

#[test]
fn the_same_secrets_make_the_same_bytes() {
    for (name, made) in files() {
        if std::env::var_os("ELARA_BLESS").is_some() {
            std::fs::write(path(name), &made).unwrap();
        }
        assert!(stored(name) == made, "{name} is not what is made; see the head of this test");
    }
}

fn claims(subject: Subject) -> Claims {
    let now = NOW.seconds();
    Claims {
        kid: 0x0201,
        session: SESSION,
        subject,
        permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE).and(Permissions::KICK),
        not_before: now - 60,
        expires: now + 3_600,
        max_kbps: 4_000,
        max_pps: 2_000,
        priority: 7,
    }
}

fn token_vectors() -> String {
    let issuer = Identity::from_seed(&Secret::new(run(1)));
    let member = Identity::from_seed(&Secret::new(run(2)));
    let static_key = ExchangeKey::from_secret(Secret::new(run(3)));
    let relay = ExchangeKey::from_secret(Secret::new(run(4)));
    let mut out = Teller::new("Wire v1: tokens, certificates, join addresses.");
    let subjects = [
        ("a token bound to an identity", 0, Subject::Bound(*member.public())),
        ("a bearer token", 1, Subject::Bearer(run(5))),
    ];
    for (what, kind, subject) in subjects {
        let claims = claims(subject);
        let (Subject::Bound(PublicKey(subject)) | Subject::Bearer(subject)) = subject;
        out.shows(what)
            .hex("issuer_seed", &run::<32>(1))
            .hex("issuer_pub", issuer.public().as_bytes())
            .value("kind", kind)
            .value("kid", claims.kid)
            .value("session", claims.session)
            .hex("subject", &subject)
            .value("permissions", claims.permissions.0)
            .value("not_before", claims.not_before)
            .value("expires", claims.expires)
            .value("max_kbps", claims.max_kbps)
            .value("max_pps", claims.max_pps)
            .value("priority", claims.priority)
            .hex("token", &Token::mint(&issuer, &claims).0);
    }
    let not_after = NOW.seconds() + 86_400;
    let certificate = Certificate::sign(&member, static_key.public(), not_after);
    out.shows("a certificate")
        .hex("id_seed", &run::<32>(2))
        .hex("id_pub", member.public().as_bytes())
        .value("node", member.node_id())
        .hex("s_secret", &run::<32>(3))
        .hex("s_pub", static_key.public().as_bytes())
        .value("not_after", not_after)
        .hex("signature", &certificate.signature);
    let address = JoinAddress {
        host: "relay.example".into(),
        port: 7840,
        session: SESSION,
        relay: *relay.public(),
        token: Token::mint(&issuer, &claims(Subject::Bound(*member.public()))),
        key: Secret::new(run(6)),
    };
    out.shows("a join address")
        .value("host", &address.host)
        .value("port", address.port)
        .value("session", address.session)
        .hex("relay_pub", relay.public().as_bytes())
        .hex("token", &address.token.0)
        .hex("key", &run::<32>(6))
        .value("link", &*address.to_link());
    out.0
}

#[test]
fn stored_tokens_verify() {
    for told in told("v1-token.txt", "a token").into_iter().chain(told("v1-token.txt", "a bearer"))
    {
        let mut issuers = Issuers::new();
        let issuer = PublicKey(told.array("issuer_pub"));
        issuers.add(told.number("kid"), issuer).unwrap();
        let holder = PublicKey(told.array("subject"));
        let token = Token(told.array("token"));
        let claims = token.verify(&issuers, SESSION, &holder, NOW.seconds()).unwrap();
        assert_eq!(claims.permissions.0, told.number::<u32>("permissions"));
        assert_eq!(claims.expires, told.number::<u32>("expires"));
        assert_eq!(claims.priority, told.number::<u16>("priority"));
    }
}

#[test]
fn stored_certificates_and_addresses_are_good() {
    for told in told("v1-token.txt", "a certificate") {
        let certificate =
            Certificate { not_after: told.number("not_after"), signature: told.array("signature") };
        let (id, key) = (PublicKey(told.array("id_pub")), ExchangePublic(told.array("s_pub")));
        assert_eq!(certificate.verify(&id, &key, NOW.seconds()), Ok(()));
        assert_eq!(id.node_id().to_string(), told.text("node"));
    }
    for told in told("v1-token.txt", "a join address") {
        let address: JoinAddress = told.text("link").parse().unwrap();
        assert_eq!((&*address.host, address.port), (told.text("host"), told.number("port")));
        assert_eq!(
            (address.relay.0, address.token.0),
            (told.array("relay_pub"), told.array("token"))
        );
        assert_eq!(address.key, told.secret("key"));
    }
}

// ---- The hop ---------------------------------------------------------------------------------------

/// Session, node, class and number in a header; the rest of the frame counts up.
fn plain_frame(suite: Suite, class: u8, seq: u32, tlvs: usize, len: usize) -> Vec<u8> {
    let mut header = Header::v0(SESSION, NodeId(0x1122_3344_5566_7788));
    header.version_suite = suite.first_byte();
    header.class = class;
    header.header_len.set((30 + tlvs) as u16);
    header.time_hint.set(-5);
    header.seq_window.set(seq);
    let mut frame: Vec<u8> = (0..len).map(|i| i as u8).collect();
    frame[..30].copy_from_slice(header.as_bytes());
    frame
}

fn split() -> Split {
    Split { ki: Secret::new(run(7)), kr: Secret::new(run(8)), h: run(9) }
}

fn hop_vectors() -> String {
    let mut out = Teller::new("Wire v1: the hop's keys, tags of data frames, sealed control.");
    for suite in Suite::ALL {
        let keys = HopKeys::derive(suite, &split());
        out.shows("the names and keys of a connection")
            .value("suite", suite as u8)
            .hex("ki", &run::<32>(7))
            .hex("kr", &run::<32>(8))
            .hex("h", &run::<32>(9))
            .hex("inst", &keys.inst.0);
        for (class, seq, tlvs, len) in
            [(0, 0, 0, 46), (1, 1, 0, 80), (2, 0x0403_0201, 14, 240), (4, u32::MAX, 56, 1_232)]
        {
            let before = plain_frame(suite, class, seq, tlvs, len);
            let mut frame = before.clone();
            keys.up.tag(&mut frame).unwrap();
            out.shows("a data frame, tagged upwards")
                .value("suite", suite as u8)
                .hex("ki", &run::<32>(7))
                .hex("h", &run::<32>(9))
                .hex("untagged", &before[..len - 16])
                .hex("frame", &frame);
        }
        for (seq, len) in [(0, 46), (9, 57), (70_000, 300)] {
            let before = plain_frame(suite, CONTROL, seq, 0, len);
            let mut frame = before.clone();
            keys.down.seal_control(&mut frame).unwrap();
            out.shows("a control frame, sealed downwards")
                .value("suite", suite as u8)
                .hex("kr", &run::<32>(8))
                .hex("h", &run::<32>(9))
                .hex("header", &before[..30])
                .hex("messages", &before[30..len - 16])
                .hex("frame", &frame);
        }
    }
    out.0
}

fn keys_told(told: &Told) -> HopKeys {
    let or_any = |name| if told.0.contains_key(name) { told.array(name) } else { [0; 32] };
    let (ki, kr) = (Secret::new(or_any("ki")), Secret::new(or_any("kr")));
    HopKeys::derive(told.suite(), &Split { ki, kr, h: told.array("h") })
}

#[test]
fn stored_hop_frames_verify() {
    let mut scratch = Scratch::new();
    for told in told("v1-hop.txt", "the names") {
        assert_eq!(keys_told(&told).inst, Inst(told.array("inst")));
    }
    for told in told("v1-hop.txt", "a data frame") {
        let frame = told.bytes("frame");
        assert_eq!(frame[..frame.len() - 16], told.bytes("untagged"));
        assert_eq!(keys_told(&told).up.verify(&frame, &mut scratch), Ok(()));
    }
    for told in told("v1-hop.txt", "a control frame") {
        let opened = keys_told(&told).down.open_control(&told.bytes("frame"), &mut scratch);
        assert_eq!(opened.unwrap(), told.bytes("messages"));
    }
}

// ---- End to end ------------------------------------------------------------------------------------

fn seal_vectors() -> String {
    let id = *Identity::from_seed(&Secret::new(run(2))).public();
    let secret = EpochSecret::from_session_key(&Secret::new(run(6)));
    let mut out = Teller::new("Wire v1: frames sealed end to end and tagged for the hop.");
    for suite in Suite::ALL {
        let keys = HopKeys::derive(suite, &split());
        let (inst, conn) = (keys.inst, 201);
        let sealer = Sealer::new(suite, &secret, &id, &inst, conn);
        let mut sending = Sending::new(keys.up, conn);
        for (class, tlvs, len) in
            [(0, 0, 80), (0, 42, 160), (1, 14, 120), (2, 0, 66), (3, 0, 320), (4, 56, 1_232)]
        {
            let mut frame = plain_frame(suite, class, 0, tlvs, len);
            let content = frame[30 + tlvs + seal::KEY_NAME_LEN..len - 32].to_vec();
            let seq = sending.data(&sealer, &mut frame).unwrap();
            out.shows("a sealed frame")
                .value("suite", suite as u8)
                .hex("session_key", &run::<32>(6))
                .hex("id_pub", id.as_bytes())
                .hex("ki", &run::<32>(7))
                .hex("h", &run::<32>(9))
                .hex("inst", &inst.0)
                .value("conn", conn)
                .value("class", class)
                .value("seq", seq)
                .hex("head", &frame[..30 + tlvs])
                .hex("content", &content)
                .hex("frame", &frame);
        }
    }
    out.0
}

#[test]
fn stored_sealed_frames_open() {
    let mut scratch = Scratch::new();
    for told in told("v1-seal.txt", "a sealed frame") {
        let frame = told.bytes("frame");
        assert_eq!(keys_told(&told).up.verify(&frame, &mut scratch), Ok(()));
        let secret = EpochSecret::from_session_key(&told.secret("session_key"));
        let author =
            seal::Author { id: PublicKey(told.array("id_pub")), inst: Inst(told.array("inst")) };
        let mut openers = Openers::new(1);
        let opened = openers.open_media(&secret, &author, &frame, &mut scratch);
        assert_eq!(opened.unwrap(), told.bytes("content"));
    }
}

// ---- The handshake ---------------------------------------------------------------------------------

/// Gives the bytes it was told to, in order, then zeros.
struct Script(Vec<u8>);

impl Random for Script {
    fn next_u64(&mut self) -> u64 {
        let mut word = [0; 8];
        let len = self.0.len().min(8);
        word[..len].copy_from_slice(&self.0[..len]);
        self.0.drain(..len);
        u64::from_le_bytes(word)
    }
}

/// These keys are printed beside what they make.
impl SecureRandom for Script {}

const TERMS: Terms = Terms {
    max_frame: 1_232,
    idle_s: 600,
    ping_ms: 1_000,
    max_kbps: 4_000,
    max_pps: 2_000,
    observed: ClientAddr::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7], 50_000, 0),
    relay_clock_us: 0x0102_0304_0506_0708,
    roster_version: 9,
};

/// One handshake whose every secret is known.
struct Meeting {
    relay: RelayKeys,
    issuers: Issuers,
    client: Client,
    suite: Suite,
}

impl Meeting {
    fn new(suite: Suite) -> Self {
        let relay = RelayKeys::new(ExchangeKey::from_secret(Secret::new(run(4))));
        let issuer = Identity::from_seed(&Secret::new(run(1)));
        let member = Identity::from_seed(&Secret::new(run(2)));
        let key = ExchangeKey::from_secret(Secret::new(run(3)));
        let mut issuers = Issuers::new();
        issuers.add(0x0201, *issuer.public()).unwrap();
        let certificate = Certificate::sign(&member, key.public(), NOW.seconds() + 86_400);
        let client = Client::new(Membership {
            suite,
            session: SESSION,
            relay: *relay.public(),
            id: *member.public(),
            key,
            certificate,
            token: Token::mint(&issuer, &claims(Subject::Bound(*member.public()))),
            caps: 0x0000_0005,
            mode: E2eMode::PreShared,
        });
        Self { relay, issuers, client, suite }
    }

    fn hello(&mut self, at: Instant, attempt: u8, ephemeral: u8) -> Vec<u8> {
        let script = [&run::<8>(attempt)[..], &run::<32>(ephemeral)].concat();
        self.client.connect(at);
        self.client.poll_hello(at, NOW, &mut Script(script)).unwrap().to_vec()
    }

    fn welcome(&self, hello: &[u8], ephemeral: u8) -> Vec<u8> {
        let hello = self.relay.check_hello(hello).unwrap();
        let guest = self.relay.read(hello, &mut Script(run::<32>(ephemeral).to_vec())).unwrap();
        let admission = Admission {
            issuers: &self.issuers,
            now: NOW,
            entry: None,
            bearer_owner: None,
            banned: false,
        };
        let claims = guest.admit(&admission).unwrap();
        let mut entry = Entry::new(guest.id());
        entry.welcome(&self.relay, guest, claims, &TERMS, Instant::ZERO).unwrap().to_vec()
    }

    fn enter(&mut self, welcome: &[u8], at: Instant) -> (Box<Link>, Terms) {
        match self.client.handle_frame(welcome, at) {
            Ok(Heard::Welcome(link, terms)) => (link, terms),
            other => panic!("{other:?}"),
        }
    }
}

fn handshake_vectors() -> String {
    let mut out = Teller::new(
        "Wire v1: HELLO, RETRY, HELLO again, WELCOME, RESET, BUSY, in one conversation per suite.",
    );
    let one = |ms| Instant::ZERO + Span::from_millis(ms);
    for suite in Suite::ALL {
        let mut meeting = Meeting::new(suite);
        let relay_pub = meeting.relay.public().0;
        let member = Identity::from_seed(&Secret::new(run(2)));
        let first = meeting.hello(one(0), 20, 21);
        let from = TERMS.observed;
        let checked = meeting.relay.check_hello(&first).unwrap();
        let retry = meeting.relay.retry(checked, &from, NOW);
        let busy = meeting.relay.busy(checked, 1_500);
        meeting.client.handle_frame(retry.as_bytes(), one(1)).unwrap();
        let second = meeting.hello(one(1), 22, 23);
        let welcome = meeting.welcome(&second, 24);
        let (link, _) = meeting.enter(&welcome, one(2));
        let reset = meeting.relay.reset(suite, SESSION, member.node_id());
        out.shows("a handshake")
            .value("suite", suite as u8)
            .value("session", SESSION)
            .value("node", member.node_id())
            .hex("relay_secret", &run::<32>(4))
            .hex("relay_pub", &relay_pub)
            .hex("issuer_seed", &run::<32>(1))
            .hex("id_seed", &run::<32>(2))
            .hex("id_pub", member.public().as_bytes())
            .hex("s_secret", &run::<32>(3))
            .value("not_after", NOW.seconds() + 86_400)
            .hex(
                "token",
                &Token::mint(
                    &Identity::from_seed(&Secret::new(run(1))),
                    &claims(Subject::Bound(*member.public())),
                )
                .0,
            )
            .value("caps", 5)
            .value("hello_ms", NOW.0)
            .value("cookie_seconds", NOW.seconds())
            .hex("observed_ip", from.ip_bytes())
            .value("observed_port", from.port())
            .hex("first_attempt", &run::<8>(20))
            .hex("first_e_secret", &run::<32>(21))
            .hex("first_hello", &first)
            .hex("retry", retry.as_bytes())
            .value("retry_ms", 1_500)
            .hex("busy", busy.as_bytes())
            .hex("attempt", &run::<8>(22))
            .hex("e_secret", &run::<32>(23))
            .hex("hello", &second)
            .hex("relay_e_secret", &run::<32>(24))
            .hex("welcome", &welcome)
            .value("conn", link.conn)
            .hex("inst", &link.inst.0)
            .hex("reset", reset.as_bytes());
    }
    out.0
}

#[test]
fn stored_handshakes_are_understood() {
    for told in told("v1-handshake.txt", "a handshake") {
        let mut meeting = Meeting::new(told.suite());
        assert_eq!(meeting.suite, told.suite());
        assert_eq!(meeting.relay.public().0, told.array("relay_pub"));
        let hello = told.bytes("hello");
        let checked = meeting.relay.check_hello(&hello).unwrap();
        let from = ClientAddr::new(told.array("observed_ip"), told.number("observed_port"), 0);
        assert_eq!(meeting.relay.check_cookie(checked, &from, NOW), Ok(()));
        assert_eq!(meeting.welcome(&hello, 24), told.bytes("welcome"));

        let at = |ms| Instant::ZERO + Span::from_millis(ms);
        assert_eq!(meeting.hello(at(0), 20, 21), told.bytes("first_hello"));
        let busy = meeting.client.handle_frame(&told.bytes("busy"), at(0));
        let until = at(told.number("retry_ms"));
        assert!(matches!(busy, Ok(Heard::Busy(then)) if then == until));

        let mut meeting = Meeting::new(told.suite());
        meeting.hello(at(0), 20, 21);
        meeting.client.handle_frame(&told.bytes("retry"), at(1)).unwrap();
        assert_eq!(meeting.hello(at(1), 22, 23), hello);
        let (link, terms) = meeting.enter(&told.bytes("welcome"), at(2));
        assert_eq!((link.conn, link.inst), (told.number("conn"), Inst(told.array("inst"))));
        assert_eq!(terms, TERMS);
        let reset = meeting.client.handle_frame(&told.bytes("reset"), at(3));
        assert!(matches!(reset, Ok(Heard::Reset)));
    }
}
