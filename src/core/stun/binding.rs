//! The plain Binding request: "where do I come from?", answered from the datagram alone.
//!
//! It needs no credentials, no tables and no clock, so it is answered before all of them.

use core::net::SocketAddr;

use super::attribute::{self, PRIORITY, USE_CANDIDATE, XOR_MAPPED_ADDRESS};
use super::{Class, Message, Method, Writer};
use crate::limits::STUN_BINDING_MAX;

/// Answers `request` if it is a plain Binding request: one that carries nothing but attributes that may be
/// skipped, and those of ICE that say nothing to a server. Says how long the answer in `out` is.
///
/// `None`: it is something else, and nothing was written. Credentials, for one, make a request something
/// else, and so do attributes that must be understood.
///
/// The answer has XOR-MAPPED-ADDRESS, and FINGERPRINT if the request has one: to 20 bytes it is 32, or 44
/// for IPv6.
#[must_use]
pub fn binding(
    request: &[u8],
    from: SocketAddr,
    out: &mut [u8; STUN_BINDING_MAX],
) -> Option<usize> {
    let message = Message::parse(request).ok()?;
    if message.class() != Class::Request || message.method() != Method::BINDING {
        return None;
    }
    let says_nothing =
        |kind| !attribute::is_required(kind) || matches!(kind, PRIORITY | USE_CANDIDATE);
    if !message.attributes().all(|attribute| says_nothing(attribute.kind)) {
        return None;
    }
    let mut answer = Writer::answer(out, &message, Class::Success);
    answer.put_address_xor(XOR_MAPPED_ADDRESS, from);
    if message.has_fingerprint() {
        answer.fingerprint();
    }
    answer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::attribute::{
        CHANGE_REQUEST, ICE_CONTROLLING, MESSAGE_INTEGRITY, SOFTWARE, USERNAME,
    };
    use super::super::{HEADER_LEN, TransactionId};
    use super::*;
    use alloc::vec::Vec;

    const ID: TransactionId = TransactionId(*b"transaction.");

    fn request(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = [0; 200];
        let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, ID);
        write(&mut writer);
        let len = writer.finish().unwrap();
        out[..len].to_vec()
    }

    /// The length of the answer to `request`, which tells the asker where it comes from.
    fn answered(request: &[u8], from: &str) -> Option<usize> {
        let (mut out, from) = ([0xEE; STUN_BINDING_MAX], from.parse().unwrap());
        let Some(len) = binding(request, from, &mut out) else {
            assert_eq!(out, [0xEE; STUN_BINDING_MAX]);
            return None;
        };
        let answer = Message::parse(&out[..len]).unwrap();
        assert_eq!((answer.class(), answer.method()), (Class::Success, Method::BINDING));
        assert_eq!(answer.transaction(), ID);
        assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(Ok(from)));
        Some(len)
    }

    #[test]
    fn a_plain_request_is_answered_with_an_address() {
        let plain = request(|_| {});
        assert_eq!(plain.len(), HEADER_LEN);
        assert_eq!(answered(&plain, "192.0.2.1:32853"), Some(32));
        assert_eq!(answered(&plain, "[2001:db8::1]:32853"), Some(44));
    }

    #[test]
    fn a_fingerprint_is_answered_with_a_fingerprint() {
        let request = request(|writer| {
            writer.put(SOFTWARE, b"a client").put_u32(PRIORITY, 7).put(ICE_CONTROLLING, &[1; 8]);
            writer.put(USE_CANDIDATE, &[]).fingerprint();
        });
        assert_eq!(answered(&request, "[2001:db8::1]:32853"), Some(STUN_BINDING_MAX));
    }

    #[test]
    fn what_asks_for_more_is_left_to_others() {
        for kind in [USERNAME, CHANGE_REQUEST, 0x7FFF] {
            let request = request(|writer| {
                writer.put(kind, &[0; 4]);
            });
            assert_eq!(answered(&request, "192.0.2.1:1"), None, "{kind:04x}");
        }
        let signed = request(|writer| {
            writer.put(MESSAGE_INTEGRITY, &[0; 20]);
        });
        assert_eq!(answered(&signed, "192.0.2.1:1"), None);
    }

    #[test]
    fn answers_indications_and_other_methods_are_never_answered() {
        // coturn #1957: what is not a request must not cause a datagram.
        for class in [Class::Indication, Class::Success, Class::Error] {
            let mut out = [0; 20];
            assert_eq!(Writer::new(&mut out, class, Method::BINDING, ID).finish(), Some(20));
            assert_eq!(answered(&out, "192.0.2.1:1"), None, "{class:?}");
        }
        let mut out = [0; 20];
        assert_eq!(Writer::new(&mut out, Class::Request, Method::ALLOCATE, ID).finish(), Some(20));
        assert_eq!(answered(&out, "192.0.2.1:1"), None);
    }

    #[test]
    fn a_request_cut_anywhere_is_not_answered() {
        let request = request(|writer| {
            writer.put(SOFTWARE, b"a client").fingerprint();
        });
        for len in 0..request.len() {
            assert_eq!(answered(&request[..len], "192.0.2.1:1"), None, "{len}");
        }
    }
}
