//! Golden bytes of the handshake: one conversation per suite whose every secret is known.

use elara_core::ClientAddr;
use elara_core::crypto::exchange::{Certificate, ExchangeKey};
use elara_core::crypto::handshake::{
    Admission, Client, E2eMode, Entry, Heard, Link, Membership, RelayKeys, Terms,
};
use elara_core::crypto::hop::Inst;
use elara_core::crypto::identity::Identity;
use elara_core::crypto::token::{Issuers, Subject, Token};
use elara_core::crypto::{Secret, Suite};
use elara_core::random::{Random, SecureRandom};
use elara_core::time::{Instant, Span};
use zerocopy::IntoBytes;

use super::{NOW, SESSION, Teller, claims, run, told};

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

pub(crate) fn vectors() -> String {
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
