//! What holds for all inputs: no bytes make a reader panic, and what one end makes the other takes.

use elara_core::crypto::exchange::{Certificate, ExchangeKey, ExchangePublic};
use elara_core::crypto::handshake::{Client, E2eMode, HELLO_LEN, Membership, RelayKeys};
use elara_core::crypto::hop::{HopKeys, Inst, Receiving, Scratch, Sending, Split};
use elara_core::crypto::identity::{Identity, PublicKey};
use elara_core::crypto::join::JoinAddress;
use elara_core::crypto::seal::{Author, EpochSecret, Openers, Sealer, key_name};
use elara_core::crypto::token::{Issuers, Token};
use elara_core::crypto::{Secret, Suite};
use elara_core::limits::V1_OVERHEAD;
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::time::{Instant, UnixMillis};
use elara_core::wire::Header;
use elara_core::wire::v1::{KeyName, Kind};
use elara_core::{ClientAddr, NodeId, SessionId};
use proptest::prelude::*;
use zerocopy::IntoBytes;

const ID: PublicKey = PublicKey([5; 32]);

fn keys(suite: Suite) -> HopKeys {
    let split = Split { ki: Secret::new([1; 32]), kr: Secret::new([2; 32]), h: [3; 32] };
    HopKeys::derive(suite, &split)
}

fn secret() -> EpochSecret {
    EpochSecret::from_session_key(&Secret::new([4; 32]))
}

/// A relay, and a client that is asking it.
fn meeting() -> (RelayKeys, Client) {
    let mut random = GuessableKeys(Seeded::new(1));
    let relay = RelayKeys::new(ExchangeKey::generate(&mut random));
    let identity = Identity::generate(&mut random);
    let key = ExchangeKey::generate(&mut random);
    let mut client = Client::new(Membership {
        suite: Suite::AesGcm,
        session: SessionId(1),
        relay: *relay.public(),
        id: *identity.public(),
        certificate: Certificate::sign(&identity, key.public(), 1),
        key,
        token: Token([0; 128]),
        caps: 0,
        mode: E2eMode::PreShared,
    });
    client.connect(Instant::ZERO);
    assert!(client.poll_hello(Instant::ZERO, UnixMillis(0), &mut random).is_some());
    (relay, client)
}

fn suite() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::ChaChaPoly), Just(Suite::AesGcm)]
}

/// Bytes that begin like a v1 frame of some class, so that readers get past their first checks.
fn frame_like() -> impl Strategy<Value = Vec<u8>> {
    let class = prop_oneof![0..5_u8, Just(0xF0), Just(0xF1), any::<u8>()];
    let lengths = prop_oneof![0..1_500_usize, Just(58), Just(62), Just(78), Just(166), Just(512)];
    let head = (suite(), class, 0..7_u8, prop_oneof![Just(30_u16), 0..100_u16, any::<u16>()]);
    (head, lengths, any::<u64>()).prop_map(|((suite, class, profile, header_len), len, seed)| {
        let mut header = Header::v1(suite as u8, SessionId(1), NodeId(2), Kind::Control);
        header.class = class;
        header.profile = profile;
        header.header_len.set(header_len);
        let mut bytes = vec![0; len.max(30)];
        elara_core::random::Random::fill(&mut Seeded::new(seed), &mut bytes);
        bytes[..30].copy_from_slice(header.as_bytes());
        bytes.truncate(len);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_frame_makes_either_end_panic_or_believe(bytes in frame_like(), suite in suite()) {
        let mut scratch = Scratch::new();
        let mut receiving = Receiving::new(keys(suite).up);
        prop_assert!(receiving.data(&bytes, &mut scratch).is_err());
        prop_assert!(receiving.control(&bytes, &mut scratch).is_err());
        let mut openers = Openers::new(4);
        let author = Author { id: ID, inst: Inst([6; 16]) };
        prop_assert!(openers.open_media(&secret(), &author, &bytes, &mut scratch).is_err());
        prop_assert!(openers.open_kept(&secret(), &author, &bytes, &mut scratch).is_err());
        prop_assert!(openers.is_empty());
        let _ = key_name(&bytes);
        let mut own = bytes.clone();
        let _ = keys(suite).up.expand().tag(&mut own);
        let _ = keys(suite).up.expand().seal_control(&mut own);
    }

    #[test]
    fn no_bytes_are_a_hello_or_an_answer_by_chance(bytes in frame_like()) {
        let (relay, mut client) = meeting();
        let due = client.poll_timeout();
        prop_assert!(relay.check_hello(&bytes).is_err());
        prop_assert!(client.handle_frame(&bytes, Instant::ZERO).is_err());
        prop_assert_eq!(client.poll_timeout(), due);
    }

    #[test]
    fn no_bytes_are_a_token_by_chance(mut bytes in any::<[u8; 32]>(), at in 0..128_usize) {
        let mut token = Token([0; 128]);
        bytes[0] &= 3;
        let len = (128 - at).min(32);
        token.0[0] = 1;
        token.0[at..at + len].copy_from_slice(&bytes[..len]);
        let mut issuers = Issuers::new();
        issuers.add(0, ID).unwrap();
        prop_assert!(token.verify(&issuers, SessionId(0), &ID, 0).is_err());
    }

    #[test]
    fn what_is_sent_is_heard_and_opened(
        suite in suite(),
        class in 0..5_u8,
        tlvs in 0..=64_usize,
        content in prop::collection::vec(any::<u8>(), 0..1_100),
        conn in any::<u8>(),
    ) {
        let keys_up = keys(suite).up;
        let inst = keys(suite).inst;
        let sealer = Sealer::new(suite, &secret(), &ID, &inst, conn);
        let (mut sending, mut receiving) = (Sending::new(keys_up, conn), Receiving::new(keys(suite).up));
        let kind = Kind::from_byte(class).expect("a class");
        let mut header = Header::v1(suite as u8, SessionId(1), NodeId(2), kind);
        header.header_len.set(30 + tlvs as u16);
        let mut frame = vec![0; V1_OVERHEAD + tlvs + content.len()];
        frame[..30].copy_from_slice(header.as_bytes());
        frame[34 + tlvs..][..content.len()].copy_from_slice(&content);
        prop_assert_eq!(sending.data(&sealer, &mut frame), Ok(0));

        let mut scratch = Scratch::new();
        let before = frame.clone();
        prop_assert!(receiving.data(&frame, &mut scratch).is_ok());
        prop_assert_eq!(&frame, &before, "a relay passes on what it got");
        let name = KeyName { epoch: 0.into(), conn, generation: 0 };
        prop_assert_eq!(key_name(&frame), Some(&name));
        let author = Author { id: ID, inst };
        let mut openers = Openers::new(1);
        let opened = openers.open_media(&secret(), &author, &frame, &mut scratch);
        prop_assert_eq!(opened, Ok(&content[..]));
    }

    #[test]
    fn a_join_address_is_read_as_it_was_written(
        host in "[a-z0-9][a-z0-9.-]{0,60}",
        port in 1..=u16::MAX,
        session in any::<u64>(),
        relay in any::<[u8; 32]>(),
        key in any::<[u8; 32]>(),
        half in any::<[u8; 32]>(),
    ) {
        let session = SessionId(session);
        prop_assume!(!session.is_reserved());
        let token = Token(std::array::from_fn(|i| half[i % 32]));
        let relay = ExchangePublic(relay);
        let address = JoinAddress { host, port, session, relay, token, key: Secret::new(key) };
        prop_assert_eq!(address.to_link().parse::<JoinAddress>(), Ok(address));
    }

    #[test]
    fn no_text_makes_the_address_reader_panic(tail in "[ -~]{0,80}", scheme in any::<bool>()) {
        let text = if scheme { format!("elara://{tail}") } else { tail };
        prop_assert!(text.parse::<JoinAddress>().is_err());
    }

    #[test]
    fn a_cookie_is_good_for_its_address_only(
        ip in any::<[u8; 16]>(), port in any::<u16>(), other in any::<[u8; 16]>(), s in any::<u32>(),
    ) {
        let (relay, _) = meeting();
        let hello = [0_u8; HELLO_LEN];
        let hello: &elara_core::crypto::handshake::Hello =
            zerocopy::FromBytes::ref_from_bytes(&hello).unwrap();
        let now = UnixMillis(u64::from(s) * 1_000);
        let (from, elsewhere) = (ClientAddr::new(ip, port, 0), ClientAddr::new(other, port, 0));
        let mut shown = *hello;
        shown.cookie = relay.retry(hello, &from, now).cookie;
        prop_assert!(relay.check_cookie(&shown, &from, now).is_ok());
        prop_assert_eq!(relay.check_cookie(&shown, &elsewhere, now).is_ok(), ip == other);
    }
}
