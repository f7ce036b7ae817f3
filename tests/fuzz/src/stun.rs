//! The reader and writer of STUN, and ChannelData.
//!
//! Claims: no bytes make a reader panic; what is read and written again says the same; nothing that is
//! not a whole message is one; only Binding requests are answered, and truly.

use std::net::SocketAddr;

use elara_core::limits::{STUN_ATTRIBUTES_MAX, STUN_BINDING_MAX, STUN_UNKNOWN_MAX};
use elara_core::stun::attribute::{self, FINGERPRINT, XOR_MAPPED_ADDRESS};
use elara_core::stun::{
    Algorithm, Attribute, Class, HEADER_LEN, Key, Message, Method, Writer, binding, channel_data,
};

/// A datagram as STUN and as ChannelData, with every accessor there is.
pub fn fuzz_stun(bytes: &[u8]) {
    if let Some((number, data)) = channel_data::read(bytes) {
        let head = channel_data::header(number, data.len() as u16);
        assert!(channel_data::NUMBERS.contains(&number));
        assert!(bytes.starts_with(&[&head[..], data].concat()));
    }
    let from: SocketAddr = "[2001:db8::1]:32853".parse().expect("an address");
    let mut out = [0xEE; STUN_BINDING_MAX];
    let answer = binding(bytes, from, &mut out);
    let Ok(message) = Message::parse(bytes) else {
        return assert_eq!((answer, out), (None, [0xEE; STUN_BINDING_MAX]));
    };
    if let Some(len) = answer {
        let answer = Message::parse(&out[..len]).expect("what we answer, we read");
        assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
        assert_eq!((answer.class(), answer.method()), (Class::Success, Method::BINDING));
        assert_eq!(answer.transaction(), message.transaction());
        assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(Ok(from)));
    }
    ask(&message, bytes);
    again(&message);
    assert!(Message::parse(&bytes[..bytes.len() - 1]).is_err());
    assert!(Message::parse(&[bytes, &[0; 4]].concat()).is_err());
}

/// Every accessor, about every kind that is there and every kind that has a reader of its own.
fn ask(message: &Message<'_>, bytes: &[u8]) {
    let mut kinds: Vec<u16> = message.attributes().map(|attribute| attribute.kind).collect();
    assert!(kinds.len() <= STUN_ATTRIBUTES_MAX);
    let unknown: Vec<u16> =
        message.unknown_required(&[kinds.first().copied().unwrap_or(0)]).collect();
    assert!(unknown.len() <= STUN_UNKNOWN_MAX);
    assert!(unknown.iter().all(|kind| attribute::is_required(*kind) && kinds.contains(kind)));
    kinds.extend([attribute::EVEN_PORT, attribute::USERNAME, attribute::ALTERNATE_SERVER]);
    for kind in kinds {
        let _ = (message.u8(kind), message.u16(kind), message.u32(kind), message.array::<8>(kind));
        let _ = (message.text(kind), message.address(kind), message.addresses(kind).count());
        assert_eq!(message.get(kind), message.range(kind).map(|range| &bytes[range]));
    }
    let _ = (message.error_code(), message.icmp(), message.password_algorithm());
    let _ = (message.unknown_attributes().count(), message.password_algorithms().count());
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256] {
        let verified = message.verify(&Key::short_term("nobody's password", algorithm));
        assert!(!verified, "a forgery of 16 bytes at least");
    }
}

/// What exists of `message`, written anew, exists again.
fn again(message: &Message<'_>) {
    let mut out = vec![0xEE; HEADER_LEN + (1 << 16)];
    let mut writer =
        Writer::new(&mut out, message.class(), message.method(), message.transaction());
    for Attribute { kind, value } in message.attributes() {
        match kind {
            FINGERPRINT => writer.fingerprint(),
            _ => writer.put(kind, value),
        };
    }
    let len = writer.finish().expect("what exists is no longer than what was read");
    let again = Message::parse(&out[..len]).expect("what we write, we read");
    // Padding and what does not exist may have been in the fingerprint of old.
    let told = |attribute: &Attribute<'_>| attribute.kind != FINGERPRINT;
    assert!(again.attributes().filter(told).eq(message.attributes().filter(told)));
    assert_eq!(again.has_fingerprint(), message.has_fingerprint());
    assert_eq!(again.has_integrity(), message.has_integrity());
    assert_eq!((again.class(), again.method()), (message.class(), message.method()));
    assert_eq!(again.transaction(), message.transaction());
}
