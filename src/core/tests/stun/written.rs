//! What an honest sender might write, and what the way might do to it.

use elara_core::stun::attribute::{FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};
use elara_core::stun::{Algorithm, Class, Key, Method, TransactionId, Writer};
use proptest::array::uniform12;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Everyone's password.
pub(crate) const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// The kinds that speak about the message as a whole.
pub(crate) const ENDING: [u16; 3] = [MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, FINGERPRINT];

pub(crate) fn key(algorithm: Algorithm) -> Key {
    Key::short_term(PASSWORD, algorithm)
}

/// A message before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) class: Class,
    pub(crate) method: Method,
    pub(crate) transaction: TransactionId,
    pub(crate) attributes: Vec<(u16, Vec<u8>)>,
    /// In this order: both, one or none.
    pub(crate) signed: Vec<Algorithm>,
    pub(crate) fingerprint: bool,
}

impl Written {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0xEE; 4_096];
        let mut writer = Writer::new(&mut out, self.class, self.method, self.transaction);
        for (kind, value) in &self.attributes {
            writer.put(*kind, value);
        }
        for algorithm in &self.signed {
            writer.sign(&key(*algorithm));
        }
        if self.fingerprint {
            writer.fingerprint();
        }
        let len = writer.finish().expect("twelve attributes of 80 bytes fit");
        out.truncate(len);
        out
    }
}

/// Kinds that have a reader, as often as all others.
fn kind() -> impl Strategy<Value = u16> {
    let known = select(&[
        0x0001, 0x0006, 0x0009, 0x000A, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016,
        0x0017, 0x0018, 0x0019, 0x001A, 0x001D, 0x001E, 0x0020, 0x0022, 0x0024, 0x8000, 0x8001,
        0x8002, 0x8004, 0x8022, 0x8023,
    ]);
    let any = any::<u16>().prop_filter("said in other ways", |kind| !ENDING.contains(kind));
    prop_oneof![known, any]
}

pub(crate) fn written() -> impl Strategy<Value = Written> {
    let head = (select(&Class::ALL), 0u16..0x1000, uniform12(any::<u8>()));
    let attributes = vec((kind(), vec(any::<u8>(), 0..80)), 0..12);
    let signed = select(vec![
        vec![],
        vec![Algorithm::Sha1],
        vec![Algorithm::Sha256],
        vec![Algorithm::Sha1, Algorithm::Sha256],
    ]);
    (head, attributes, signed, any::<bool>()).prop_map(
        |((class, method, transaction), attributes, signed, fingerprint)| Written {
            class,
            method: Method(method),
            transaction: TransactionId(transaction),
            attributes,
            signed,
            fingerprint,
        },
    )
}

/// Bytes behind a header that fits them: an honest header before anything.
pub(crate) fn framed() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (prop_oneof![kind(), select(&ENDING)], vec(any::<u8>(), 0..40), -2i8..3)
        .prop_map(|(kind, value, lie)| {
            let len = (value.len() as u16).wrapping_add_signed(lie.into());
            let mut bytes = [&kind.to_be_bytes()[..], &len.to_be_bytes(), &value].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        });
    let body = prop_oneof![
        vec(attribute, 0..8).prop_map(|attributes| attributes.concat()),
        vec(any::<u8>(), 0..200)
    ];
    (any::<u16>(), body).prop_map(|(kind, mut body)| {
        body.truncate(body.len() / 4 * 4);
        let (kind, len) = ((kind & 0x3FFF).to_be_bytes(), (body.len() as u16).to_be_bytes());
        [&kind[..], &len, &[0x21, 0x12, 0xA4, 0x42], b"transaction.", &body].concat()
    })
}

/// A message after a few bytes of it were changed, or its end was cut off.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>()), 1..4);
    (written(), changes, any::<Option<Index>>()).prop_map(|(written, changes, cut)| {
        let mut bytes = written.bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut.filter(|cut| cut.index(4) == 0) {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}
