//! STUN messages from outside the crate: what RFCs print, what a second implementation says, what must
//! hold for everything written and for every byte string, and what has broken elsewhere.

#[path = "stun/differential.rs"]
mod differential;
#[path = "stun/incidents.rs"]
mod incidents;
#[path = "stun/laws.rs"]
mod laws;
#[path = "stun/vectors.rs"]
mod vectors;
#[path = "stun/written.rs"]
mod written;

use elara_core::stun::{Message, attribute};

/// Asks `message` everything there is to ask, about every kind it has and every kind that has a reader.
fn ask_all(message: &Message<'_>) {
    let mut kinds: Vec<u16> = message.attributes().map(|attribute| attribute.kind).collect();
    kinds.extend([attribute::EVEN_PORT, attribute::USERNAME, attribute::MAPPED_ADDRESS]);
    for &kind in &kinds {
        let _ = (message.u8(kind), message.u16(kind), message.u32(kind), message.array::<8>(kind));
        let _ = (message.text(kind), message.address(kind), message.addresses(kind).count());
        assert_eq!(message.get(kind).is_some(), message.has(kind));
    }
    let _ = (message.error_code(), message.icmp(), message.password_algorithm());
    let _ = (message.unknown_attributes().count(), message.password_algorithms().count());
    assert!(message.method().0 < 1 << 12 && message.class() as u8 <= 3);
    let unknown: Vec<u16> = message.unknown_required(&kinds[..kinds.len() / 2]).collect();
    for (at, kind) in unknown.iter().enumerate() {
        assert!(attribute::is_required(*kind) && kinds[kinds.len() / 2..].contains(kind));
        assert!(!unknown[..at].contains(kind), "each once");
    }
    let _ = format!("{message:?} {:?}", message.attributes());
}

/// The bytes that `text` spells.
fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// `bytes` as text.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
