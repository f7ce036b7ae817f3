//! A second implementation reads what we write, writes what we read, and judges the same bytes.
//!
//! It is `stun-types`. Where the two differ, RFC 8489 decides, and the difference is named below: we refuse
//! what follows FINGERPRINT, a length that is not the datagram's, an impossible MESSAGE-INTEGRITY before it
//! is verified, and crowds. It gives up at the first attribute that may not stand behind MESSAGE-INTEGRITY;
//! we skip it.

use elara_core::stun::attribute::XOR_MAPPED_ADDRESS;
use elara_core::stun::{
    Algorithm, Class, Key, Malformed, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use stun_types::attribute::{AttributeFromRaw, RawAttribute, XorMappedAddress};
use stun_types::message::{
    self as theirs, IntegrityAlgorithm, LongTermKeyCredentials, MessageClass,
    MessageIntegrityCredentials, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};

use super::written::{ENDING, PASSWORD, Written, damaged, framed, key, written};

const fn their_class(class: Class) -> MessageClass {
    match class {
        Class::Request => MessageClass::Request,
        Class::Indication => MessageClass::Indication,
        Class::Success => MessageClass::Success,
        Class::Error => MessageClass::Error,
    }
}

const fn their_algorithm(algorithm: Algorithm) -> IntegrityAlgorithm {
    match algorithm {
        Algorithm::Sha1 => IntegrityAlgorithm::Sha1,
        Algorithm::Sha256 => IntegrityAlgorithm::Sha256,
    }
}

fn their_credentials() -> MessageIntegrityCredentials {
    ShortTermCredentials::new(PASSWORD.to_owned()).into()
}

fn their_id(TransactionId(id): TransactionId) -> u128 {
    id.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// What `written` says, as they write it.
fn their_bytes(written: &Written) -> Vec<u8> {
    let method = theirs::Method::new(written.method.0);
    let kind = MessageType::from_class_method(their_class(written.class), method);
    let id = their_id(written.transaction).into();
    let mut builder = theirs::Message::builder(kind, id, MessageWriteVec::new());
    for (kind, value) in &written.attributes {
        builder.add_attribute(&RawAttribute::new((*kind).into(), value)).unwrap();
    }
    for algorithm in &written.signed {
        builder.add_message_integrity(&their_credentials(), their_algorithm(*algorithm)).unwrap();
    }
    if written.fingerprint {
        builder.add_fingerprint().unwrap();
    }
    builder.finish()
}

/// The attributes up to and without the first that speaks about the message as a whole.
fn our_attributes(message: &Message<'_>) -> Vec<(u16, Vec<u8>)> {
    let attributes =
        message.attributes().map(|attribute| (attribute.kind, attribute.value.to_vec()));
    attributes.take_while(|(kind, _)| !ENDING.contains(kind)).collect()
}

fn their_attributes(message: &theirs::Message<'_>) -> Vec<(u16, Vec<u8>)> {
    let attributes = message.iter_attributes();
    let attributes = attributes.map(|(_, raw)| (raw.header.get_type().value(), raw.value.to_vec()));
    attributes.take_while(|(kind, _)| !ENDING.contains(kind)).collect()
}

fn agree(ours: &Message<'_>, theirs: &theirs::Message<'_>) {
    assert_eq!(their_class(ours.class()), theirs.class());
    assert_eq!(ours.method().0, theirs.method().value());
    assert_eq!(their_id(ours.transaction()), u128::from(theirs.transaction_id()));
    assert_eq!(our_attributes(ours), their_attributes(theirs));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn both_write_the_same_bytes(written in written()) {
        prop_assert_eq!(written.bytes(), their_bytes(&written));
    }

    #[test]
    fn each_verifies_what_the_other_signed(written in written()) {
        let (ours, theirs) = (written.bytes(), their_bytes(&written));
        let (ours, theirs) = (theirs::Message::from_bytes(&ours).unwrap(), Message::parse(&theirs).unwrap());
        agree(&theirs, &ours);
        let verified = ours.validate_integrity(&their_credentials());
        match written.signed.last() {
            Some(last) => {
                prop_assert_eq!(verified.ok(), Some(their_algorithm(*last)));
                prop_assert!(theirs.verify(&key(*last)));
            }
            None => prop_assert!(verified.is_err() && theirs.has_integrity().is_none()),
        }
    }

    #[test]
    fn both_judge_the_same_bytes_alike(bytes in prop_oneof![vec(any::<u8>(), 0..100), framed(), damaged()]) {
        match (Message::parse(&bytes), theirs::Message::from_bytes(&bytes)) {
            (Ok(ours), Ok(theirs)) => agree(&ours, &theirs),
            (Err(_), Err(_)) => {}
            (Ok(ours), Err(why)) => return Err(TestCaseError::fail(format!("{why}: {ours:?}"))),
            (Err(why), Ok(theirs)) => {
                let stricter = [Malformed::Length, Malformed::Crowded].contains(&why);
                // They stop looking behind MESSAGE-INTEGRITY and FINGERPRINT.
                let mut attributes = theirs.iter_attributes();
                let ends = attributes.any(|(_, raw)| ENDING.contains(&raw.header.get_type().value()));
                prop_assert!(stricter || ends, "{why:?}");
            }
        }
    }

    #[test]
    fn both_read_the_same_address_in_the_same_bytes(
        value in vec(prop_oneof![0u8..4, any::<u8>()], 0..24),
        id: [u8; 12],
    ) {
        let mut out = [0; 64];
        let id = TransactionId(id);
        let mut writer = Writer::new(&mut out, Class::Success, Method::BINDING, id);
        let len = writer.put(XOR_MAPPED_ADDRESS, &value).finish().unwrap();
        let ours = Message::parse(&out[..len]).unwrap().address(XOR_MAPPED_ADDRESS).unwrap();
        let raw = RawAttribute::new(XOR_MAPPED_ADDRESS.into(), &value);
        let theirs = XorMappedAddress::from_raw_ref(&raw).map(|addr| addr.addr(their_id(id).into()));
        prop_assert_eq!(ours.ok(), theirs.ok());
    }

    #[test]
    fn both_derive_the_same_long_term_key(user in "\\PC{0,20}", realm in "\\PC{0,20}", password in "\\PC{0,20}") {
        // They tie MD5 to SHA-1 and SHA-256 to SHA-256.
        for (derived_by, algorithm) in
            [(PasswordAlgorithm::Md5, Algorithm::Sha1), (PasswordAlgorithm::Sha256, Algorithm::Sha256)]
        {
            let mut out = [0; 64];
            let key = Key::long_term(&user, &realm, &password, derived_by, algorithm);
            let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([7; 12]));
            let len = writer.sign(&key).finish().unwrap();
            let credentials = LongTermKeyCredentials::new(user.clone(), password.clone(), realm.clone());
            let theirs = theirs::Message::from_bytes(&out[..len]).unwrap();
            let verified = theirs.validate_integrity(&MessageIntegrityCredentials::LongTerm(credentials));
            prop_assert_eq!(verified.ok(), Some(their_algorithm(algorithm)));
        }
    }
}
