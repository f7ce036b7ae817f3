//! What RFC 5769 and RFC 8489 print: read, verified, told, and written again.

use elara_core::stun::attribute::{
    FINGERPRINT, ICE_CONTROLLED, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE,
    PASSWORD_ALGORITHM, PRIORITY, REALM, SOFTWARE, USERHASH, USERNAME, XOR_MAPPED_ADDRESS,
};
use elara_core::stun::{
    Algorithm, Class, Key, Malformed, Message, Method, PasswordAlgorithm, TransactionId, Writer,
    userhash,
};

use super::{ask_all, hex, unhex};

const VECTORS: &str = include_str!("../../../../tests/vectors/stun.txt");

struct Vector {
    place: &'static str,
    credentials: Vec<&'static str>,
    says: &'static str,
    bytes: Vec<u8>,
}

impl Vector {
    fn key(&self, integrity: Algorithm) -> Key {
        match self.credentials[..] {
            ["short-term", password] => Key::short_term(password, integrity),
            ["md5", user, realm, password] => {
                Key::long_term(user, realm, password, PasswordAlgorithm::Md5, integrity)
            }
            ["sha256", user, realm, password] => {
                Key::long_term(user, realm, password, PasswordAlgorithm::Sha256, integrity)
            }
            _ => panic!("{}: credentials", self.place),
        }
    }
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<_> = VECTORS
        .split("\n\n")
        .skip(1)
        .map(|paragraph| {
            let lines: Vec<_> = paragraph.lines().collect();
            let [place, credentials, says, bytes] = lines[..] else {
                panic!("four lines: {paragraph}")
            };
            Vector {
                place,
                credentials: credentials.split('|').collect(),
                says,
                bytes: unhex(bytes),
            }
        })
        .collect();
    assert_eq!(vectors.len(), 5);
    vectors
}

#[test]
fn every_vector_says_what_the_rfc_says_it_does() {
    for vector in vectors() {
        let message = Message::parse(&vector.bytes).unwrap();
        ask_all(&message);
        assert_eq!(tell(&message), vector.says, "{}", vector.place);
    }
}

#[test]
fn every_vector_is_verified_by_its_credentials_and_no_others() {
    for vector in vectors() {
        let message = Message::parse(&vector.bytes).unwrap();
        let algorithm = message.has_integrity().unwrap();
        assert!(message.verify(&vector.key(algorithm)), "{}", vector.place);
        assert!(!message.verify(&Key::short_term("password", algorithm)));
        let other = match algorithm {
            Algorithm::Sha1 => Algorithm::Sha256,
            Algorithm::Sha256 => Algorithm::Sha1,
        };
        assert!(!message.verify(&vector.key(other)), "{}", vector.place);
    }
}

#[test]
fn no_vector_survives_one_wrong_bit() {
    for vector in vectors() {
        let algorithm = Message::parse(&vector.bytes).unwrap().has_integrity().unwrap();
        let key = vector.key(algorithm);
        for bit in 0..8 * vector.bytes.len() {
            let mut bytes = vector.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A FINGERPRINT that is one no more is skipped, and misses in what the message says.
            let survives =
                |message: Message<'_>| message.verify(&key) && tell(&message) == vector.says;
            assert!(!Message::parse(&bytes).is_ok_and(survives), "{}: bit {bit}", vector.place);
        }
    }
}

#[test]
fn every_vector_is_written_from_what_it_says() {
    for vector in vectors() {
        let mut out = [0xEE; 200];
        let len = write(&vector, &mut out);
        let written = Message::parse(&out[..len]).unwrap();
        assert_eq!(tell(&written), vector.says, "{}", vector.place);
        assert!(written.verify(&vector.key(written.has_integrity().unwrap())));
        // Byte for byte where the RFC pads with zeros, as RFC 8489 asks.
        assert_eq!(len, vector.bytes.len());
        if matches!(vector.credentials[0], "md5" | "sha256") {
            assert_eq!(hex(&out[..len]), hex(&vector.bytes), "{}", vector.place);
        }
    }
}

#[test]
fn the_userhash_of_appendix_b_1_is_that_of_its_user() {
    let vector = vectors().pop().unwrap();
    let message = Message::parse(&vector.bytes).unwrap();
    let hash = userhash(vector.credentials[1], vector.credentials[2]);
    assert_eq!(message.array(USERHASH), Some(Ok(hash)));
}

#[test]
fn appendix_b_1_as_first_printed_counts_its_header_in_its_length() {
    // Erratum 6268: the length said 0x9C, which is the message with its header, and there was no
    // PASSWORD-ALGORITHM.
    let mut bytes = vectors().pop().unwrap().bytes;
    let without = bytes.len() - 36 - 8;
    bytes.drain(without..without + 8);
    bytes[3] = 0x9C;
    assert_eq!(bytes.len(), 0x9C);
    assert_eq!(Message::parse(&bytes).err(), Some(Malformed::Length));
}

/// What `message` says, in the words of the vectors.
fn tell(message: &Message<'_>) -> String {
    let class = match message.class() {
        Class::Request => "request",
        Class::Indication => "indication",
        Class::Success => "success",
        Class::Error => "error",
    };
    let mut told = format!("{class}|{:04x}|{}", message.method().0, hex(&message.transaction().0));
    for attribute in message.attributes() {
        let text = || message.text(attribute.kind).unwrap().unwrap();
        told += "|";
        told += &match attribute.kind {
            SOFTWARE => format!("software={}", text()),
            USERNAME => format!("username={}", text()),
            REALM => format!("realm={}", text()),
            NONCE => format!("nonce={}", text()),
            PRIORITY => format!("priority={:08x}", message.u32(PRIORITY).unwrap().unwrap()),
            ICE_CONTROLLED => format!("ice_controlled={}", hex(attribute.value)),
            USERHASH => format!("userhash={}", hex(attribute.value)),
            XOR_MAPPED_ADDRESS => {
                format!("mapped={}", message.address(XOR_MAPPED_ADDRESS).unwrap().unwrap())
            }
            PASSWORD_ALGORITHM => match message.password_algorithm().unwrap().unwrap() {
                PasswordAlgorithm::Md5 => "password_algorithm=md5".to_owned(),
                PasswordAlgorithm::Sha256 => "password_algorithm=sha256".to_owned(),
            },
            MESSAGE_INTEGRITY => "integrity=sha1".to_owned(),
            MESSAGE_INTEGRITY_SHA256 => "integrity=sha256".to_owned(),
            FINGERPRINT => "fingerprint".to_owned(),
            kind => format!("{kind:04x}={}", hex(attribute.value)),
        };
    }
    told
}

/// Writes what `vector` says.
fn write(vector: &Vector, out: &mut [u8]) -> usize {
    let mut words = vector.says.split('|');
    let class = match words.next().unwrap() {
        "request" => Class::Request,
        "success" => Class::Success,
        other => panic!("{other}"),
    };
    let method = Method(u16::from_str_radix(words.next().unwrap(), 16).unwrap());
    let transaction = TransactionId(unhex(words.next().unwrap()).try_into().unwrap());
    let mut writer = Writer::new(out, class, method, transaction);
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "software" => writer.put(SOFTWARE, value.as_bytes()),
            "username" => writer.put(USERNAME, value.as_bytes()),
            "realm" => writer.put(REALM, value.as_bytes()),
            "nonce" => writer.put(NONCE, value.as_bytes()),
            "priority" => writer.put_u32(PRIORITY, u32::from_str_radix(value, 16).unwrap()),
            "ice_controlled" => writer.put(ICE_CONTROLLED, &unhex(value)),
            "userhash" => writer.put(USERHASH, &unhex(value)),
            "mapped" => writer.put_address_xor(XOR_MAPPED_ADDRESS, value.parse().unwrap()),
            "password_algorithm" => writer.put_password_algorithm(PasswordAlgorithm::Sha256),
            "integrity" => writer.sign(&vector.key(match value {
                "sha1" => Algorithm::Sha1,
                "sha256" => Algorithm::Sha256,
                other => panic!("{other}"),
            })),
            "fingerprint" => writer.fingerprint(),
            other => panic!("{other}"),
        };
    }
    writer.finish().unwrap()
}
