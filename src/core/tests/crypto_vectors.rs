//! Golden bytes of wire v1's keys: `tests/vectors/v1-*.txt` at the root.
//!
//! Each file is paragraphs: a line that says what is shown, then `name value` lines, hex unless the
//! name ends in a unit or is a small number. Secrets stand beside the bytes they make, so that
//! an implementation in another language can make the same bytes. The first test holds that ours
//! still does; the others read the files and hold that what stands there opens. `v1_keys.py` beside
//! the files makes them a second time, from the specification alone.
//!
//! After a deliberate change of the wire: `ELARA_BLESS=1 cargo test -p elara-core --test crypto_vectors`.

#[path = "crypto_vectors/handshake.rs"]
mod handshake;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use elara_core::crypto::exchange::{Certificate, ExchangeKey, ExchangePublic};
use elara_core::crypto::hop::{HopKeys, Inst, Scratch, Sending, Split};
use elara_core::crypto::identity::{Identity, PublicKey};
use elara_core::crypto::join::JoinAddress;
use elara_core::crypto::seal::{EpochSecret, Openers, Sealer};
use elara_core::crypto::token::{Claims, Issuers, Permissions, Subject, Token};
use elara_core::crypto::{Secret, Suite, seal};
use elara_core::limits::KEY_NAME_LEN;
use elara_core::time::UnixMillis;
use elara_core::wire::Header;
use elara_core::wire::v1::Kind;
use elara_core::wire::v1::header::CLASS_CONTROL;
use elara_core::{NodeId, SessionId};
use zerocopy::IntoBytes;

const SESSION: SessionId = SessionId(0x0123_4567_89AB_CDEF);
const NOW: UnixMillis = UnixMillis(1_800_000_000_123);

// ---- The files -----------------------------------------------------------------------------------

fn files() -> [(&'static str, String); 4] {
    [
        ("v1-token.txt", token_vectors()),
        ("v1-hop.txt", hop_vectors()),
        ("v1-seal.txt", seal_vectors()),
        ("v1-handshake.txt", handshake::vectors()),
    ]
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "tests", "vectors", name].iter().collect()
}

fn stored(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
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

/// What one paragraph says.
struct Told(BTreeMap<String, String>);

impl Told {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str) -> T {
        self.text(name).parse().unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let hex = self.text(name);
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap_or_else(|_| panic!("{name} is {N} bytes"))
    }

    fn secret(&self, name: &str) -> Secret<32> {
        Secret::new(self.array(name))
    }

    fn suite(&self) -> Suite {
        Suite::from_nibble(self.number("suite")).unwrap()
    }
}

fn told(file: &str, beginning: &str) -> Vec<Told> {
    let file = stored(file);
    let paragraphs = file.split("\n\n").filter(|paragraph| paragraph.starts_with(beginning));
    let told: Vec<_> = paragraphs
        .map(|paragraph| {
            let lines = paragraph.lines().skip(1).map(|line| line.split_once(' ').unwrap());
            Told(lines.map(|(name, value)| (name.into(), value.into())).collect())
        })
        .collect();
    assert!(!told.is_empty(), "{beginning}");
    told
}

/// Writes a file.
struct Teller(String);

impl Teller {
    fn new(about: &str) -> Self {
        Self(format!("{about}\n"))
    }

    fn shows(&mut self, what: &str) -> &mut Self {
        writeln!(self.0, "\n{what}").unwrap();
        self
    }

    fn value(&mut self, name: &str, value: impl Display) -> &mut Self {
        writeln!(self.0, "{name} {value}").unwrap();
        self
    }

    fn hex(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.value(name, hex)
    }
}

/// Bytes that look like nothing: `from`, and on in steps of 7.
fn run<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|i| from.wrapping_add((i as u8).wrapping_mul(7)))
}

// ---- Tokens, certificates, join addresses ----------------------------------------------------------

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
    let (node, kind) = (NodeId(0x1122_3344_5566_7788), Kind::from_byte(class).expect("a class"));
    let mut header = Header::v1(suite as u8, SESSION, node, kind);
    header.header_len.set((30 + tlvs) as u16);
    header.time_hint.set(-5);
    header.set_seq_v1(seq);
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
            keys.up.expand().tag(&mut frame).unwrap();
            out.shows("a data frame, tagged upwards")
                .value("suite", suite as u8)
                .hex("ki", &run::<32>(7))
                .hex("h", &run::<32>(9))
                .hex("untagged", &before[..len - 16])
                .hex("frame", &frame);
        }
        for (seq, len) in [(0, 46), (9, 57), (70_000, 300)] {
            let before = plain_frame(suite, CLASS_CONTROL, seq, 0, len);
            let mut frame = before.clone();
            keys.down.expand().seal_control(&mut frame).unwrap();
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
        assert_eq!(keys_told(&told).up.expand().verify(&frame, &mut scratch), Ok(()));
    }
    for told in told("v1-hop.txt", "a control frame") {
        let key = keys_told(&told).down.expand();
        let opened = key.open_control(&told.bytes("frame"), &mut scratch);
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
            let content = frame[30 + tlvs + KEY_NAME_LEN..len - 32].to_vec();
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
        assert_eq!(keys_told(&told).up.expand().verify(&frame, &mut scratch), Ok(()));
        let secret = EpochSecret::from_session_key(&told.secret("session_key"));
        let author =
            seal::Author { id: PublicKey(told.array("id_pub")), inst: Inst(told.array("inst")) };
        let mut openers = Openers::new(1);
        let opened = openers.open_media(&secret, &author, &frame, &mut scratch);
        assert_eq!(opened.unwrap(), told.bytes("content"));
    }
}
