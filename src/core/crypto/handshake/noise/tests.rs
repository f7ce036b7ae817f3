//! Noise IK held against published vectors, and against changes.

use super::*;
use crate::crypto::hex::bytes;
use crate::random::{GuessableKeys, Random as _, Seeded};

/// A source that gives what it was told to.
struct Told([u8; 32], usize);

impl crate::random::Random for Told {
    fn next_u64(&mut self) -> u64 {
        let word = self.0[self.1..self.1 + 8].try_into().unwrap();
        self.1 += 8;
        u64::from_le_bytes(word)
    }
}

impl SecureRandom for Told {}

fn key(hex: &str) -> ExchangeKey {
    ExchangeKey::from_secret(Secret::new(bytes(hex)))
}

/// The cacophony vectors for IK, as snow 0.10 ships them; keys and payloads are the same for
/// all its patterns.
fn cacophony(suite: Suite, hash: &str, first: &str, second: &str) {
    let init = key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let resp = key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let init_e = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
    let resp_e = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
    let (mut init_e, mut resp_e) = (Told(bytes(init_e), 0), Told(bytes(resp_e), 0));
    let prologue = b"John Galt";
    let keys = (&init, resp.public());
    let mut message = [0; 16 + FIRST_ADDS];
    let payload = b"Ludwig von Mises";
    let mut initiator =
        Initiator::begin(suite, keys, prologue, payload, &mut message, &mut init_e).unwrap();
    assert_eq!(message, bytes(first));

    let mut heard = [0; 16];
    let responder =
        Responder::read(suite, &resp, prologue, &message, &mut heard, &mut resp_e).unwrap();
    assert_eq!((&heard, responder.client), (payload, *init.public()));
    let payload = b"Murray Rothbard";
    let mut message = [0; 15 + SECOND_ADDS];
    let theirs = responder.finish(payload, &mut message).unwrap();
    assert_eq!(message, bytes(second));

    let mut heard = [0; 15];
    let ours = initiator.finish(&message, &mut heard).unwrap();
    assert_eq!((&heard, ours.h), (payload, bytes(hash)));
    assert_eq!((&ours.ki, &ours.kr, ours.h), (&theirs.ki, &theirs.kr, theirs.h));
    assert_ne!(ours.ki, ours.kr);
}

#[test]
fn cacophony_ik_25519_aesgcm_sha256() {
    cacophony(
        Suite::AesGcm,
        "669c8640d9e42a3cda2f232f78597ceefb01daa6e3df81181ccce6fc6b5026bf",
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444e417bc55c7a8166\
         c993356c1be41ef67818a292426f301556c7f26b21d25ddb097153891a9a956cff47b83e63ad8d70\
         1c1342c209cff1ca5ecd43402762ac249e3bd3a4c0a145fe07cb5dae28ea13a3",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843af2ccf9972e22afc\
         67aeafcd25162f7f98c363b7762e3e4cb7d272e39f27a5",
    );
}

#[test]
fn cacophony_ik_25519_chachapoly_sha256() {
    cacophony(
        Suite::ChaChaPoly,
        "0b0f68fb0c27e03ce9b97565995ed4838cc0581b762ef72b062f6a546419fad7",
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944718da798efbcd915\
         28520204f904b9bd6c7413dccdc214d951e15253e39987f18146e8cd0873654207148333479d4d16\
         c289f0294b29960a72f48e0b7bba2e89083169825e59642148d492020664ccf7",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088435361e70b2ed446e6\
         c9ec387d1d6b3b840f194e373979d241b203c4acafccf5",
    );
}

/// Message 3 of the vectors is the first transport message, sealed by ki under counter 0.
#[test]
fn the_raw_split_is_what_transport_messages_use() {
    let mut random = GuessableKeys(Seeded::new(3));
    for suite in Suite::ALL {
        let init = ExchangeKey::generate(&mut random);
        let resp = ExchangeKey::generate(&mut random);
        let mut first = [0; FIRST_ADDS];
        let keys = (&init, resp.public());
        let mut ours = Initiator::begin(suite, keys, b"", b"", &mut first, &mut random).unwrap();
        let theirs = Responder::read(suite, &resp, b"", &first, &mut [], &mut random).unwrap();
        let mut second = [0; SECOND_ADDS];
        let split = theirs.finish(b"", &mut second).unwrap();
        ours.finish(&second, &mut []).unwrap();
        let mut transport = ours.0.into_transport_mode().unwrap();
        let mut sent = [0; 5 + TAG_LEN];
        transport.write_message(b"hello", &mut sent).unwrap();
        let cipher = SuiteCipher { suite, key: Some(AeadKey::new(suite, split.ki.expose())) };
        let mut heard = [0; 5];
        assert_eq!(cipher.decrypt(0, &[], &sent, &mut heard).unwrap(), 5);
        assert_eq!(&heard, b"hello");
    }
}

#[test]
fn nothing_of_either_message_can_be_changed() {
    let mut random = GuessableKeys(Seeded::new(4));
    let suite = Suite::AesGcm;
    let (init, resp) = (ExchangeKey::generate(&mut random), ExchangeKey::generate(&mut random));
    let mut first = [0; 4 + FIRST_ADDS];
    let keys = (&init, resp.public());
    let mut ours = Initiator::begin(suite, keys, b"p", b"ping", &mut first, &mut random).unwrap();
    let mut read = |prologue: &[u8], message: &[u8]| {
        Responder::read(suite, &resp, prologue, message, &mut [0; 4], &mut random)
    };
    // The top bit of an X25519 point is not part of it (RFC 7748 section 5), yet hashed.
    for bit in 0..8 * first.len() {
        let mut broken = first;
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(read(b"p", &broken).is_err(), "bit {bit}");
    }
    assert!(read(b"q", &first).is_err());
    assert!(read(b"p", &first[1..]).is_err());
    let responder = read(b"p", &first).unwrap();
    let mut second = [0; 4 + SECOND_ADDS];
    responder.finish(b"pong", &mut second).unwrap();
    for bit in 0..8 * second.len() {
        let mut broken = second;
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(ours.finish(&broken, &mut [0; 4]).is_err(), "bit {bit}");
    }
    assert!(ours.finish(&second, &mut [0; 4]).is_ok(), "after a thousand forgeries");
    let _ = random.next_u64();
}
