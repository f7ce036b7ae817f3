//! What must hold for everything written and for every byte string: 10,000 cases each.
//!
//! *Identity*: what is written is read back as it was. *Calm*: no bytes, and no cut through anything written,
//! make any reader panic. *Honesty*: what is signed and then changed is not verified. A failure prints the
//! smallest case; it is kept beside this file.

use std::net::SocketAddr;

use elara_core::limits::STUN_BINDING_MAX;
use elara_core::stun::attribute::{
    ALTERNATE_SERVER, CHANNEL_NUMBER, DATA, EVEN_PORT, LIFETIME, REQUESTED_TRANSPORT,
    XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS,
};
use elara_core::stun::{
    Class, Icmp, Message, Method, PasswordAlgorithm, TransactionId, Writer, binding, channel_data,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::ask_all;
use super::written::{ENDING, damaged, framed, key, written};

fn address() -> impl Strategy<Value = SocketAddr> {
    let (v4, v6) = (any::<([u8; 4], u16)>(), any::<([u8; 16], u16)>());
    prop_oneof![v4.prop_map(SocketAddr::from), v6.prop_map(SocketAddr::from)]
}

/// `addr` in its one spelling.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_is_written_is_read(written in written()) {
        let bytes = written.bytes();
        let message = Message::parse(&bytes).unwrap();
        ask_all(&message);
        prop_assert_eq!(message.class(), written.class);
        prop_assert_eq!(message.method(), written.method);
        prop_assert_eq!(message.transaction(), written.transaction);
        let plain = message.attributes().filter(|attribute| !ENDING.contains(&attribute.kind));
        let plain: Vec<_> = plain.map(|attribute| (attribute.kind, attribute.value.to_vec())).collect();
        prop_assert_eq!(&plain, &written.attributes);
        prop_assert_eq!(message.has_integrity(), written.signed.last().copied());
        prop_assert_eq!(message.has_fingerprint(), written.fingerprint);
        for algorithm in &written.signed {
            let counts = Some(*algorithm) == message.has_integrity();
            prop_assert_eq!(message.verify(&key(*algorithm)), counts);
        }
        for (kind, _) in &written.attributes {
            prop_assert_eq!(message.get(*kind), message.range(*kind).map(|range| &bytes[range]));
        }
    }

    #[test]
    fn what_is_signed_and_changed_is_not_verified(written in written(), at in any::<Index>(), byte: u8) {
        let mut bytes = written.bytes();
        let ending = 8 * usize::from(written.fingerprint);
        let at = at.index(bytes.len() - ending);
        prop_assume!(bytes[at] != byte && !written.signed.is_empty());
        bytes[at] = byte;
        if let Ok(message) = Message::parse(&bytes)
            && let Some(algorithm) = message.has_integrity()
        {
            // Without FINGERPRINT, and with both signatures, the first survives what happens behind it.
            let behind = written.signed.len() == 2 && at >= bytes.len() - ending - 36;
            prop_assert!(behind || !message.verify(&key(algorithm)));
        }
    }

    #[test]
    fn no_cut_is_a_message(written in written(), at in any::<Index>()) {
        let bytes = written.bytes();
        prop_assert!(Message::parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop_oneof![vec(any::<u8>(), 0..200), framed(), damaged()]) {
        let mut out = [0xEE; STUN_BINDING_MAX];
        let answer = binding(&bytes, "192.0.2.1:1".parse().unwrap(), &mut out);
        let _ = channel_data::read(&bytes);
        match Message::parse(&bytes) {
            Ok(message) => {
                ask_all(&message);
                let asked = (message.class(), message.method()) == (Class::Request, Method::BINDING);
                prop_assert!(answer.is_none() || asked);
            }
            Err(_) => prop_assert_eq!((answer, out), (None, [0xEE; STUN_BINDING_MAX])),
        }
    }

    #[test]
    fn addresses_are_read_as_they_were_written(
        addrs in vec(address(), 1..5),
        transaction: [u8; 12],
        mapped: bool,
    ) {
        let mut out = [0xEE; 200];
        let id = TransactionId(transaction);
        let mut writer = Writer::new(&mut out, Class::Request, Method::CREATE_PERMISSION, id);
        let spelled = |addr: &SocketAddr| match addr {
            SocketAddr::V4(v4) if mapped => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            addr => *addr,
        };
        for addr in &addrs {
            writer.put_address_xor(XOR_PEER_ADDRESS, spelled(addr));
        }
        let len = writer.put_address(ALTERNATE_SERVER, addrs[0]).finish().unwrap();
        let message = Message::parse(&out[..len]).unwrap();
        let read: Result<Vec<_>, _> = message.addresses(XOR_PEER_ADDRESS).collect();
        let expected: Vec<_> = addrs.iter().copied().map(canonical).collect();
        prop_assert_eq!(read.as_deref(), Ok(&expected[..]));
        prop_assert_eq!(message.address(XOR_PEER_ADDRESS), Some(Ok(expected[0])));
        prop_assert_eq!(message.address(ALTERNATE_SERVER), Some(Ok(expected[0])));
    }

    #[test]
    fn values_are_read_as_they_were_written(
        numbers: (u8, u8, u16, u32),
        code in 300u16..700,
        unknown in vec(any::<u16>(), 0..32),
        algorithms in vec(select(&PasswordAlgorithm::ALL), 0..4),
        icmp: (u8, u8, u32),
        password in select(&PasswordAlgorithm::ALL),
    ) {
        let mut out = [0xEE; 300];
        let id = TransactionId([7; 12]);
        let icmp = Icmp { kind: icmp.0 & 0x7F, code: icmp.1, info: icmp.2 };
        let mut writer = Writer::new(&mut out, Class::Request, Method::ALLOCATE, id);
        writer.put_u8(REQUESTED_TRANSPORT, numbers.0).put_u8(EVEN_PORT, numbers.1);
        writer.put_u16(CHANNEL_NUMBER, numbers.2).put_u32(LIFETIME, numbers.3);
        writer.put_error(code).put_unknown(unknown.clone()).put_icmp(icmp);
        writer.put_password_algorithms(&algorithms).put_password_algorithm(password);
        let len = writer.finish().unwrap();
        let message = Message::parse(&out[..len]).unwrap();
        prop_assert_eq!(message.u8(REQUESTED_TRANSPORT), Some(Ok(numbers.0)));
        prop_assert_eq!(message.u8(EVEN_PORT), Some(Ok(numbers.1)));
        prop_assert_eq!(message.u16(CHANNEL_NUMBER), Some(Ok(numbers.2)));
        prop_assert_eq!(message.u32(LIFETIME), Some(Ok(numbers.3)));
        prop_assert_eq!(message.error_code(), Some(Ok(code)));
        prop_assert_eq!(message.icmp(), Some(Ok(icmp)));
        prop_assert_eq!(message.password_algorithm(), Some(Ok(password)));
        prop_assert!(message.unknown_attributes().eq(unknown));
        prop_assert!(message.password_algorithms().eq(algorithms));
    }

    #[test]
    fn a_value_sent_from_elsewhere_is_read_like_any_other(data in vec(any::<u8>(), 0..300), addr in address()) {
        let mut out = [0xEE; 64];
        let id = TransactionId([7; 12]);
        let mut writer = Writer::new(&mut out, Class::Indication, Method::DATA, id);
        let head = writer.put_address_xor(XOR_PEER_ADDRESS, addr).finish_before(DATA, data.len()).unwrap();
        let sent = [&out[..head.len], &data, &[0; 3][..head.padding]].concat();
        let message = Message::parse(&sent).unwrap();
        prop_assert_eq!(message.get(DATA), Some(&data[..]));
        prop_assert_eq!(message.range(DATA), Some(head.len..head.len + data.len()));
        prop_assert_eq!(message.address(XOR_PEER_ADDRESS), Some(Ok(canonical(addr))));
    }

    #[test]
    fn data_on_a_channel_is_read_as_it_was_written(
        number in channel_data::NUMBERS,
        data in vec(any::<u8>(), 0..300),
        padding in 0usize..4,
    ) {
        let head = channel_data::header(number, data.len() as u16);
        let bytes = [&head[..], &data, &[0; 3][..padding]].concat();
        prop_assert_eq!(channel_data::read(&bytes), Some((number, &data[..])));
        for cut in 0..head.len() + data.len() {
            prop_assert_eq!(channel_data::read(&bytes[..cut]), None);
        }
    }

    #[test]
    fn whoever_asks_plainly_is_told_where_from(from in address(), written in written()) {
        let bytes = written.bytes();
        let mut out = [0xEE; STUN_BINDING_MAX];
        let asked = (written.class, written.method) == (Class::Request, Method::BINDING);
        if let Some(len) = binding(&bytes, from, &mut out) {
            prop_assert!(asked && written.signed.is_empty());
            let answer = Message::parse(&out[..len]).unwrap();
            prop_assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(Ok(canonical(from))));
            prop_assert_eq!(answer.transaction(), written.transaction);
            prop_assert_eq!(answer.has_fingerprint(), written.fingerprint);
        }
    }
}
