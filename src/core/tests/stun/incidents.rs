//! What has broken other servers, said to this reader. One test an incident, named after it.

use elara_core::limits::{STUN_ATTRIBUTES_MAX, STUN_TEXT_MAX, STUN_UNKNOWN_MAX, STUN_USERNAME_MAX};
use elara_core::stun::attribute::{
    ACCESS_TOKEN, CHANNEL_NUMBER, DATA, ERROR_CODE, FINGERPRINT, ICMP, LIFETIME, MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, REALM, REQUESTED_TRANSPORT,
    SOFTWARE, USERNAME, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS,
};
use elara_core::stun::{
    Algorithm, Class, Key, Malformed, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};

use super::ask_all;

/// A request with these attributes, framed without any regard to what they are.
fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    framed(&body)
}

/// A request with this body and its length.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [&[0, 1], &length[..], &[0x21, 0x12, 0xA4, 0x42], b"transaction.", body].concat()
}

fn refused(bytes: &[u8]) -> Option<Malformed> {
    Message::parse(bytes).err()
}

#[test]
fn pion_stun_ghsa_34rh_a_malformed_xor_mapped_address_is_an_error_and_no_panic() {
    for len in 0..64 {
        for family in 0..=3 {
            let mut value = vec![0xA5; len];
            if let Some(place) = value.get_mut(1) {
                *place = family;
            }
            for kind in [XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS, 0x0001, 0x8023] {
                let bytes = request(&[(kind, &value)]);
                let address = Message::parse(&bytes).unwrap().address(kind).unwrap();
                match (family, len) {
                    (1, 8) | (2, 20) => assert!(address.is_ok()),
                    (_, 0..4) | (1 | 2, _) => assert_eq!(address, Err(Malformed::Size)),
                    _ => assert_eq!(address, Err(Malformed::Family)),
                }
            }
        }
    }
}

#[test]
fn coturn_1844_a_length_near_sixteen_bits_is_not_truncated() {
    // Padded in 16 bits, 0xFFFD to 0xFFFF become 0 and the value seems to fit anywhere.
    for len in 0xFFF0..=0xFFFF_u16 {
        for room in [0, 4, 8, 1_200] {
            let mut body = [&DATA.to_be_bytes()[..], &len.to_be_bytes()].concat();
            body.resize(body.len() + room, 0);
            assert_eq!(refused(&framed(&body)), Some(Malformed::Attribute), "{len} in {room}");
        }
    }
    // The longest that a message holds.
    let longest = request(&[(DATA, &vec![7; 0xFFF8])]);
    assert_eq!(Message::parse(&longest).unwrap().range(DATA), Some(24..longest.len()));
}

#[test]
fn coturn_1964_a_message_is_as_long_as_it_says_and_not_a_byte_longer() {
    let whole = request(&[(SOFTWARE, b"abcd"), (LIFETIME, &[0; 4])]);
    assert_eq!(refused(&whole), None);
    for len in 0..20 {
        assert_eq!(refused(&whole[..len]), Some(Malformed::TooShort), "{len}");
    }
    for len in 20..whole.len() {
        assert_eq!(refused(&whole[..len]), Some(Malformed::Length), "{len}");
    }
    for more in 1..=8 {
        let longer = [&whole[..], &vec![0; more]].concat();
        assert_eq!(refused(&longer), Some(Malformed::Length), "{more} more");
    }
    for odd in 1..4 {
        let mut bytes = [&whole[..], &vec![0; odd]].concat();
        bytes[3] += odd as u8;
        assert_eq!(refused(&bytes), Some(Malformed::Length), "a length of {odd} too many");
    }
}

#[test]
fn cve_2026_43994_a_token_longer_than_any_buffer_is_only_a_value() {
    // coturn copied 735 bytes of ACCESS-TOKEN onto its stack before it knew who asked.
    for len in [0, 1, 735, 1_200, 0xFFF8] {
        let bytes = request(&[(ACCESS_TOKEN, &vec![0xFF; len])]);
        let message = Message::parse(&bytes).unwrap();
        ask_all(&message);
        assert_eq!(message.get(ACCESS_TOKEN).unwrap().len(), len);
        assert!(message.unknown_required(&[]).eq([ACCESS_TOKEN]));
    }
}

#[test]
fn cve_2020_4067_an_answer_carries_nothing_of_what_its_buffer_held() {
    let mut out = [0xEE; 400];
    let key = Key::short_term("secret", Algorithm::Sha256);
    let mut writer = Writer::new(&mut out, Class::Error, Method::ALLOCATE, TransactionId([0; 12]));
    writer.put_error(401).put(REALM, b"example").put(SOFTWARE, b"s").put_unknown([0, 0, 0]);
    writer.put_u8(REQUESTED_TRANSPORT, 17).put_u16(CHANNEL_NUMBER, 0x4000).put_u8(0x0018, 0x80);
    writer.put_address_error(2, 440).put_password_algorithms(&PasswordAlgorithm::ALL);
    let end = writer.put(USERNAME, b"").finish().unwrap();
    assert!(!out[..end].contains(&0xEE));
    let mut clean = [0; 400];
    let mut writer =
        Writer::new(&mut clean, Class::Error, Method::ALLOCATE, TransactionId([0; 12]));
    let end = writer.put(REALM, b"r").sign(&key).fingerprint().finish().unwrap();
    let mut writer = Writer::new(&mut out, Class::Error, Method::ALLOCATE, TransactionId([0; 12]));
    writer.put(REALM, b"r").sign(&key).fingerprint();
    assert_eq!(out[..end], clean[..end]);
}

#[test]
fn quinn_rustsec_2026_0037_no_value_is_taken_to_be_what_its_kind_says() {
    // Every reader of a value, at every length around its own.
    let kinds = [
        LIFETIME,
        CHANNEL_NUMBER,
        REQUESTED_TRANSPORT,
        0x0018,
        ERROR_CODE,
        ICMP,
        PASSWORD_ALGORITHM,
        PASSWORD_ALGORITHMS,
        USERNAME,
        REALM,
        0x000A,
        0x001E,
    ];
    for kind in kinds {
        for len in 0..40 {
            for fill in [0, 1, 2, 0x7F, 0x80, 0xFF] {
                let bytes = request(&[(kind, &vec![fill; len])]);
                ask_all(&Message::parse(&bytes).unwrap());
            }
        }
    }
}

#[test]
fn coturn_1829_an_error_has_no_reason_phrase() {
    let mut out = [0; 64];
    let mut writer = Writer::new(&mut out, Class::Error, Method::ALLOCATE, TransactionId([0; 12]));
    let end = writer.put_error(437).finish().unwrap();
    assert_eq!(end, 28);
    assert_eq!(Message::parse(&out[..end]).unwrap().error_code(), Some(Ok(437)));
}

#[test]
fn a_crowd_of_attributes_is_refused_before_anyone_looks_among_them() {
    let crowd = |len: usize| request(&vec![(0x7FFF, &[][..]); len]);
    assert_eq!(refused(&crowd(STUN_ATTRIBUTES_MAX)), None);
    assert_eq!(refused(&crowd(STUN_ATTRIBUTES_MAX + 1)), Some(Malformed::Crowded));
    assert_eq!(refused(&crowd(16_383)), Some(Malformed::Crowded));
}

#[test]
fn of_many_unknown_attributes_an_answer_names_so_many_and_each_once() {
    let kinds: Vec<_> = (0x0100..0x0180).flat_map(|kind| [kind, kind]).collect();
    let attributes: Vec<_> = kinds.iter().map(|kind| (*kind, &[][..])).collect();
    let bytes = request(&attributes);
    let message = Message::parse(&bytes).unwrap();
    let expected = 0x0101..0x0101 + STUN_UNKNOWN_MAX as u16;
    assert!(message.unknown_required(&[0x0100]).eq(expected.clone()));

    let mut out = [0; 200];
    let mut writer = Writer::answer(&mut out, &message, Class::Error);
    let end = writer.put_unknown(kinds).finish().unwrap();
    assert_eq!(end, 20 + 4 + 2 * STUN_UNKNOWN_MAX);
    let answer = Message::parse(&out[..end]).unwrap();
    assert_eq!(answer.unknown_attributes().count(), STUN_UNKNOWN_MAX);
}

#[test]
fn what_stands_behind_an_integrity_does_not_exist() {
    // Whoever adds an attribute to a signed message on its way must not be heard.
    let (tag, mac) = ([0; 20], [0; 32]);
    let bytes = request(&[
        (USERNAME, b"me"),
        (MESSAGE_INTEGRITY, &tag),
        (LIFETIME, &[0; 4]),
        (MESSAGE_INTEGRITY, &tag),
        (MESSAGE_INTEGRITY_SHA256, &mac),
        (USERNAME, b"you"),
        (MESSAGE_INTEGRITY_SHA256, &mac[..1]),
        (0x7FFF, b""),
    ]);
    let message = Message::parse(&bytes).unwrap();
    let kinds = message.attributes().map(|attribute| attribute.kind);
    assert!(kinds.eq([USERNAME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256]));
    assert_eq!((message.get(LIFETIME), message.text(USERNAME)), (None, Some(Ok("me"))));
    assert_eq!(message.has_integrity(), Some(Algorithm::Sha256));
    assert_eq!(message.unknown_required(&[USERNAME, 0x0008, 0x001C]).count(), 0);
}

#[test]
fn an_integrity_of_impossible_length_is_malformed() {
    for len in 0..=64 {
        let bytes = request(&[(MESSAGE_INTEGRITY, &vec![0; len])]);
        assert_eq!(refused(&bytes), (len != 20).then_some(Malformed::Integrity), "SHA-1, {len}");
        let bytes = request(&[(MESSAGE_INTEGRITY_SHA256, &vec![0; len])]);
        let possible = [16, 20, 24, 28, 32].contains(&len);
        assert_eq!(refused(&bytes), (!possible).then_some(Malformed::Integrity), "SHA-256, {len}");
    }
}

#[test]
fn a_sha_256_cut_short_verifies_and_its_length_is_part_of_what_is_signed() {
    let key = Key::short_term("secret", Algorithm::Sha256);
    let mut out = [0; 200];
    let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([7; 12]));
    let end = writer.put(USERNAME, b"me").sign(&key).finish().unwrap();
    assert!(Message::parse(&out[..end]).unwrap().verify(&key));
    // Cutting it on the way is noticed: the HMAC covers the length of a message that ends with it.
    for cut in (4..=16).step_by(4) {
        let mut bytes = out[..end - cut].to_vec();
        bytes[3] -= cut as u8;
        let head = bytes.len() - (32 - cut) - 1;
        bytes[head] -= cut as u8;
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.has_integrity(), Some(Algorithm::Sha256));
        assert!(!message.verify(&key), "{cut}");
    }
}

#[test]
fn if_both_integrities_are_there_the_sha_256_is_what_counts() {
    let sha1 = Key::short_term("secret", Algorithm::Sha1);
    let sha256 = Key::short_term("secret", Algorithm::Sha256);
    let forged = Key::short_term("guess", Algorithm::Sha256);
    let mut out = [0; 200];
    let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([7; 12]));
    let end = writer.sign(&sha1).sign(&sha256).finish().unwrap();
    let message = Message::parse(&out[..end]).unwrap();
    assert!(message.verify(&sha256) && !message.verify(&sha1));

    let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([7; 12]));
    let end = writer.sign(&sha1).sign(&forged).finish().unwrap();
    let message = Message::parse(&out[..end]).unwrap();
    assert!(!message.verify(&sha256) && !message.verify(&sha1));
}

#[test]
fn a_fingerprint_that_is_wrong_or_not_last_is_malformed() {
    let mut out = [0; 64];
    let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([7; 12]));
    let end = writer.put(SOFTWARE, b"s").fingerprint().finish().unwrap();
    assert!(Message::parse(&out[..end]).unwrap().has_fingerprint());
    for bit in 0..8 * end {
        let mut bytes = out[..end].to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A flipped bit may make FINGERPRINT another attribute, and then nothing is claimed.
        let claimed = Message::parse(&bytes).is_ok_and(|message| message.has_fingerprint());
        assert!(!claimed, "bit {bit}");
    }
    let mut longer = [&out[..end], &[0x80, 0x22, 0, 0]].concat();
    longer[3] += 4;
    assert_eq!(refused(&longer), Some(Malformed::Fingerprint));
    assert_eq!(refused(&request(&[(FINGERPRINT, b"abc")])), Some(Malformed::Fingerprint));
}

#[test]
fn padding_may_hold_anything() {
    let mut bytes = request(&[(USERNAME, b"a"), (REALM, b"ab")]);
    let clean = bytes.clone();
    for at in [25, 26, 27, 34, 35] {
        bytes[at] = 0xFF;
    }
    let (message, clean) = (Message::parse(&bytes).unwrap(), Message::parse(&clean).unwrap());
    assert!(message.attributes().eq(clean.attributes()));
}

#[test]
fn of_several_attributes_of_a_kind_the_first_counts() {
    let bytes = request(&[(USERNAME, b"first"), (USERNAME, b"second"), (LIFETIME, b"bad")]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.text(USERNAME), Some(Ok("first")));
    assert_eq!(message.u32(LIFETIME), Some(Err(Malformed::Size)));
    assert_eq!(message.range(USERNAME), Some(24..29));
    assert_eq!((message.range(REALM), message.u32(REALM)), (None, None));
}

#[test]
fn a_text_is_utf_8_and_no_longer_than_the_rfc_allows() {
    let text = |kind, value: &[u8]| {
        let bytes = request(&[(kind, value)]);
        Message::parse(&bytes).unwrap().text(kind).unwrap().map(str::len)
    };
    assert_eq!(text(USERNAME, &[b'a'; STUN_USERNAME_MAX]), Ok(STUN_USERNAME_MAX));
    assert_eq!(text(USERNAME, &[b'a'; STUN_USERNAME_MAX + 1]), Err(Malformed::Text));
    assert_eq!(text(REALM, &[b'a'; STUN_TEXT_MAX]), Ok(STUN_TEXT_MAX));
    assert_eq!(text(REALM, &[b'a'; STUN_TEXT_MAX + 1]), Err(Malformed::Text));
    assert_eq!(text(REALM, &[0xFF]), Err(Malformed::Text));
    assert_eq!(text(REALM, &[]), Ok(0));
}

#[test]
fn what_is_another_protocol_is_told_from_stun() {
    let plain = framed(&[]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = plain.clone();
        bytes[at] = byte;
        refused(&bytes)
    };
    assert_eq!(changed(0, 0x40), Some(Malformed::Leading));
    assert_eq!(changed(0, 0x80), Some(Malformed::Leading));
    assert_eq!(changed(7, 0x43), Some(Malformed::Cookie));
    assert_eq!(changed(0, 0x3F), None, "any method");
}
