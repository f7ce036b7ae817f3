//! A STUN message going out, into the caller's buffer.
//!
//! Every step either fits or breaks the message for good, and [`Writer::finish`] says which: so a caller
//! writes straight on and looks once. Broken is also what nobody would see, an attribute behind
//! MESSAGE-INTEGRITY or anything behind FINGERPRINT. Padding is zeros, whatever the buffer held
//! (CVE-2020-4067: it leaked memory elsewhere).

use core::net::SocketAddr;

use super::address::{Mask, Spelled};
use super::attribute::{
    ADDRESS_ERROR_CODE, ERROR_CODE, EVEN_PORT, FINGERPRINT, ICMP, MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, UNKNOWN_ATTRIBUTES,
};
use super::key::{Algorithm, Key};
use super::sight::Sight;
use super::{
    ATTRIBUTE_HEAD, COOKIE, Class, HEADER_LEN, Icmp, Message, Method, PasswordAlgorithm,
    TransactionId, fingerprint, weave,
};
use crate::limits::STUN_UNKNOWN_MAX;

/// A message that is being written.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut [u8],
    /// At most `out.len()`, and a multiple of four.
    len: usize,
    sight: Sight,
    broken: bool,
}

/// Where a message stands whose last value lies elsewhere: see [`Writer::finish_before`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes written, to be sent before the value.
    pub len: usize,
    /// Zeros to be sent behind the value, 0 to 3.
    pub padding: usize,
}

impl<'b> Writer<'b> {
    /// Begins a message in `out`.
    #[must_use]
    pub fn new(
        out: &'b mut [u8],
        class: Class,
        method: Method,
        TransactionId(transaction): TransactionId,
    ) -> Self {
        let broken = match out.first_chunk_mut::<HEADER_LEN>() {
            Some(head) => {
                head[..2].copy_from_slice(&weave(class, method).to_be_bytes());
                head[2..4].copy_from_slice(&[0, 0]);
                head[4..8].copy_from_slice(&COOKIE);
                head[8..].copy_from_slice(&transaction);
                false
            }
            None => true,
        };
        Self { out, len: HEADER_LEN, sight: Sight::Open, broken }
    }

    /// Begins the answer to `request` in `out`.
    #[must_use]
    pub fn answer(out: &'b mut [u8], request: &Message<'_>, class: Class) -> Self {
        Self::new(out, class, request.method(), request.transaction())
    }

    /// Appends an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        if let Some(room) = self.attribute(kind, value.len()) {
            room.copy_from_slice(value);
        }
        self
    }

    /// Appends a number of 32 bits: LIFETIME.
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends a number of 16 bits and 16 reserved ones: CHANNEL-NUMBER.
    pub fn put_u16(&mut self, kind: u16, value: u16) -> &mut Self {
        let [high, low] = value.to_be_bytes();
        self.put(kind, &[high, low, 0, 0])
    }

    /// Appends a number of 8 bits and 24 reserved ones: REQUESTED-TRANSPORT, REQUESTED-ADDRESS-FAMILY,
    /// ADDITIONAL-ADDRESS-FAMILY. Of EVEN-PORT the only byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        match kind {
            EVEN_PORT => self.put(kind, &[value]),
            _ => self.put(kind, &[value, 0, 0, 0]),
        }
    }

    /// Appends an address, XORed. IPv4 mapped into IPv6 is written as the IPv4 address it is.
    pub fn put_address_xor(&mut self, kind: u16, addr: SocketAddr) -> &mut Self {
        match self.out.first_chunk() {
            Some(head) => {
                let spelled = Spelled::new(addr, Mask::of(head));
                self.put(kind, spelled.as_bytes())
            }
            None => self,
        }
    }

    /// Appends an address in the open: MAPPED-ADDRESS, ALTERNATE-SERVER.
    pub fn put_address(&mut self, kind: u16, addr: SocketAddr) -> &mut Self {
        self.put(kind, Spelled::new(addr, Mask::OPEN).as_bytes())
    }

    /// Appends ERROR-CODE, without a reason phrase: phrases are for people, and amplify.
    pub fn put_error(&mut self, code: u16) -> &mut Self {
        let [class, number] = class_and_number(code);
        self.put(ERROR_CODE, &[0, 0, class, number])
    }

    /// Appends ADDRESS-ERROR-CODE: why there is no address of this family (RFC 8656 section 18.12).
    pub fn put_address_error(&mut self, family: u8, code: u16) -> &mut Self {
        let [class, number] = class_and_number(code);
        self.put(ADDRESS_ERROR_CODE, &[family, 0, class, number])
    }

    /// Appends UNKNOWN-ATTRIBUTES with at most [`STUN_UNKNOWN_MAX`] kinds.
    pub fn put_unknown(&mut self, kinds: impl IntoIterator<Item = u16>) -> &mut Self {
        let mut value = [0; 2 * STUN_UNKNOWN_MAX];
        let mut len = 0;
        for (place, kind) in value.chunks_exact_mut(2).zip(kinds) {
            place.copy_from_slice(&kind.to_be_bytes());
            len += 2;
        }
        self.put(UNKNOWN_ATTRIBUTES, &value[..len])
    }

    /// Appends PASSWORD-ALGORITHM.
    pub fn put_password_algorithm(&mut self, algorithm: PasswordAlgorithm) -> &mut Self {
        self.put(PASSWORD_ALGORITHM, &algorithm.to_bytes())
    }

    /// Appends PASSWORD-ALGORITHMS, the preferred one first.
    pub fn put_password_algorithms(&mut self, algorithms: &[PasswordAlgorithm]) -> &mut Self {
        if let Some(room) = self.attribute(PASSWORD_ALGORITHMS, 4 * algorithms.len()) {
            for (place, algorithm) in room.chunks_exact_mut(4).zip(algorithms) {
                place.copy_from_slice(&algorithm.to_bytes());
            }
        }
        self
    }

    /// Appends ICMP.
    pub fn put_icmp(&mut self, icmp: Icmp) -> &mut Self {
        self.put(ICMP, &icmp.to_bytes())
    }

    /// Appends MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256, as the key says. A message may have both,
    /// in this order.
    pub fn sign(&mut self, key: &Key) -> &mut Self {
        let kind = match key.algorithm() {
            Algorithm::Sha1 => MESSAGE_INTEGRITY,
            Algorithm::Sha256 => MESSAGE_INTEGRITY_SHA256,
        };
        let width = key.algorithm().width();
        self.seal(kind, width, |head, covered, room| {
            room.copy_from_slice(key.tag(head, covered, width).as_ref());
        })
    }

    /// Appends FINGERPRINT, behind which nothing may stand.
    pub fn fingerprint(&mut self) -> &mut Self {
        self.seal(FINGERPRINT, 4, |head, covered, room| {
            room.copy_from_slice(&fingerprint::of(head, covered));
        })
    }

    /// How long the message is; `None` when it did not fit, or an attribute stands where nobody sees it.
    pub fn finish(&mut self) -> Option<usize> {
        (!self.broken).then_some(self.len)
    }

    /// Ends the message with an attribute whose value, `len` bytes, lies elsewhere and is sent behind what
    /// was written: so DATA is never copied. `None` as for [`Self::finish`].
    pub fn finish_before(&mut self, kind: u16, len: usize) -> Option<Head> {
        let start = self.len;
        let padded = padded(len)?;
        self.broken |= !self.sight.sees(kind);
        self.broken |= !self.set_length(start + ATTRIBUTE_HEAD + padded);
        let head = self.out.get_mut(start..)?.first_chunk_mut::<ATTRIBUTE_HEAD>()?;
        *head = attribute_head(kind, len);
        self.len = start + ATTRIBUTE_HEAD;
        // Nothing may follow.
        self.sight = Sight::Ended;
        (!self.broken).then_some(Head { len: self.len, padding: padded - len })
    }

    /// Room for the value of one more attribute, whose head, padding and place in the message's length are
    /// written; `None` breaks the message.
    fn attribute(&mut self, kind: u16, len: usize) -> Option<&mut [u8]> {
        let start = self.len;
        let end = padded(len).map(|padded| start + ATTRIBUTE_HEAD + padded);
        let end = end.filter(|end| !self.broken && *end <= self.out.len());
        let fits = end.filter(|end| self.sight.sees(kind) && self.set_length(*end));
        let Some(end) = fits else {
            self.broken = true;
            return None;
        };
        self.len = end;
        let (head, value) = self.out.get_mut(start..end)?.split_first_chunk_mut()?;
        *head = attribute_head(kind, len);
        let (value, padding) = value.split_at_mut_checked(len)?;
        padding.fill(0);
        Some(value)
    }

    /// An attribute of `width` bytes, a multiple of four, that `fill` makes from all before it.
    fn seal(
        &mut self,
        kind: u16,
        width: usize,
        fill: impl FnOnce(&[u8; HEADER_LEN], &[u8], &mut [u8]),
    ) -> &mut Self {
        let start = self.len;
        if self.attribute(kind, width).is_some()
            && let Some((before, sealed)) = self.out.split_at_mut_checked(start)
            && let Some((head, covered)) = before.split_first_chunk()
            && let Some(room) = sealed.get_mut(ATTRIBUTE_HEAD..ATTRIBUTE_HEAD + width)
        {
            fill(head, covered, room);
        }
        self
    }

    /// Writes the length of a message that ends at `end`. False when it is longer than a length can say.
    fn set_length(&mut self, end: usize) -> bool {
        let length = u16::try_from(end - HEADER_LEN).ok();
        match (length, self.out.first_chunk_mut::<HEADER_LEN>()) {
            (Some(length), Some(head)) => {
                head[2..4].copy_from_slice(&length.to_be_bytes());
                true
            }
            _ => false,
        }
    }
}

/// `len` and the padding behind it; `None` when `len` is more than an attribute can say.
fn padded(len: usize) -> Option<usize> {
    u16::try_from(len).ok().map(|len| usize::from(len).next_multiple_of(4))
}

/// What stands before a value of `len` bytes, which [`padded`] has seen.
const fn attribute_head(kind: u16, len: usize) -> [u8; ATTRIBUTE_HEAD] {
    let ([k0, k1], [l0, l1]) = (kind.to_be_bytes(), (len as u16).to_be_bytes());
    [k0, k1, l0, l1]
}

/// An error code as it stands: hundreds and the rest. Programmers choose codes, peers do not.
const fn class_and_number(code: u16) -> [u8; 2] {
    debug_assert!(code >= 300 && code < 700, "error codes are 300 to 699");
    [(code / 100) as u8 & 7, (code % 100) as u8]
}

#[cfg(test)]
mod tests {
    use super::super::attribute::{DATA, NONCE, REALM, SOFTWARE, XOR_PEER_ADDRESS};
    use super::*;
    use crate::limits::{STUN_MESSAGE_MAX, STUN_TEXT_MAX};
    use alloc::vec;

    const ID: TransactionId = TransactionId(*b"transaction.");

    fn binding(out: &mut [u8]) -> Writer<'_> {
        Writer::new(out, Class::Request, Method::BINDING, ID)
    }

    #[test]
    fn padding_is_zero_even_in_a_dirty_buffer() {
        // CVE-2020-4067: uninitialised padding told clients of the server's memory.
        let mut out = [0xEE; 64];
        for len in 0..=8 {
            let end = binding(&mut out).put(SOFTWARE, &[0xAA; 8][..len]).finish().unwrap();
            assert!(end.is_multiple_of(4));
            assert!(out[24..24 + len].iter().all(|byte| *byte == 0xAA));
            assert!(out[24 + len..end].iter().all(|byte| *byte == 0), "{len}");
            out.fill(0xEE);
        }
    }

    #[test]
    fn one_byte_short_is_too_short_at_every_length() {
        let key = Key::short_term("secret", Algorithm::Sha256);
        let write = |out: &mut [u8]| {
            let mut writer = binding(out);
            writer
                .put(REALM, b"realm")
                .put_address_xor(XOR_PEER_ADDRESS, "[::1]:1".parse().unwrap());
            writer.put_unknown([1, 2, 3]).put_error(420).sign(&key).fingerprint().finish()
        };
        let whole = write(&mut [0; 200]).unwrap();
        for len in 0..200 {
            assert_eq!(write(&mut vec![0; len]), (len >= whole).then_some(whole), "{len}");
        }
    }

    #[test]
    fn a_value_longer_than_its_length_field_breaks_the_message() {
        // coturn #1844, #1964: a length truncated to 16 bits wrote past what it said.
        let (mut out, value) = (vec![0; 140_000], vec![7; 65_536]);
        assert_eq!(binding(&mut out).put(DATA, &value).finish(), None);
        assert_eq!(binding(&mut out).put(DATA, &value[..65_528]).finish(), Some(20 + 65_532));
        assert_eq!(binding(&mut out).put(DATA, &value[..65_529]).finish(), None, "the message's");
        assert_eq!(
            binding(&mut out).put(DATA, &value[..40_000]).put(DATA, &value[..40_000]).finish(),
            None
        );
        assert_eq!(binding(&mut out).finish_before(DATA, 65_536), None);
        assert_eq!(binding(&mut out).finish_before(DATA, usize::MAX), None);
        let head = binding(&mut out).finish_before(DATA, 65_527).unwrap();
        assert_eq!(head, Head { len: 24, padding: 1 });
    }

    #[test]
    fn what_nobody_would_see_is_not_written() {
        let sha1 = Key::short_term("secret", Algorithm::Sha1);
        let sha256 = Key::short_term("secret", Algorithm::Sha256);
        let mut out = [0; 200];
        assert_eq!(binding(&mut out).sign(&sha1).put(REALM, b"r").finish(), None);
        assert_eq!(binding(&mut out).sign(&sha1).sign(&sha1).finish(), None);
        assert_eq!(binding(&mut out).sign(&sha256).sign(&sha1).finish(), None);
        assert_eq!(binding(&mut out).fingerprint().fingerprint().finish(), None);
        assert_eq!(binding(&mut out).fingerprint().put(REALM, b"r").finish(), None);
        assert_eq!(binding(&mut out).sign(&sha1).finish_before(DATA, 4), None);
        let whole = binding(&mut out).sign(&sha1).sign(&sha256).fingerprint().finish();
        assert_eq!(whole, Some(20 + 24 + 36 + 8));
    }

    #[test]
    fn a_message_may_end_in_a_value_that_lies_elsewhere() {
        let (mut out, mut whole) = ([0xEE; 64], [0; 64]);
        for len in 0..=9 {
            let data = &b"123456789"[..len];
            let head = binding(&mut out).put(REALM, b"r").finish_before(DATA, len).unwrap();
            let end = binding(&mut whole).put(REALM, b"r").put(DATA, data).finish().unwrap();
            let sent = [&out[..head.len], data, &[0; 3][..head.padding]].concat();
            assert_eq!(sent, whole[..end]);
        }
    }

    #[test]
    fn the_largest_challenge_fits_the_largest_message() {
        let mut out = [0; STUN_MESSAGE_MAX];
        let key = Key::short_term("secret", Algorithm::Sha256);
        let mut writer = Writer::new(&mut out, Class::Error, Method::ALLOCATE, ID);
        writer.put_error(401).put(REALM, &[b'r'; STUN_TEXT_MAX]).put(NONCE, &[b'n'; 128]);
        writer.put_password_algorithms(&PasswordAlgorithm::ALL).put_unknown(0..u16::MAX);
        assert!(writer.sign(&key).fingerprint().finish().is_some());
    }

    #[test]
    fn a_buffer_for_no_header_is_no_message() {
        let key = Key::short_term("secret", Algorithm::Sha1);
        for len in 0..HEADER_LEN {
            let mut out = [0; HEADER_LEN];
            let mut writer = binding(&mut out[..len]);
            writer.put_address_xor(XOR_PEER_ADDRESS, "[::1]:1".parse().unwrap()).sign(&key);
            assert_eq!((writer.finish(), writer.finish_before(DATA, 0)), (None, None));
        }
    }
}
