//! As much STUN as a TURN client needs: requests written and signed, answers read.
//!
//! RFC 8489 section 5 (the header), 9.2.2 (the long-term key), 14 (attributes); RFC 8656 section 18. What a
//! server answers is believed: it runs here, and was started by us.

use std::net::{Ipv4Addr, SocketAddrV4};

use md5::{Digest, Md5};
use ring::hmac;

/// Message types: method and class together.
pub(super) mod kind {
    pub(in super::super) const BINDING: u16 = 0x0001;
    pub(in super::super) const ALLOCATE: u16 = 0x0003;
    pub(in super::super) const REFRESH: u16 = 0x0004;
    pub(in super::super) const CHANNEL_BIND: u16 = 0x0009;
    /// A request of this type has succeeded.
    pub(in super::super) const SUCCESS: u16 = 0x0100;
    /// It has not.
    pub(in super::super) const ERROR: u16 = 0x0110;
}

/// Attribute types.
pub(super) mod attribute {
    pub(in super::super) const USERNAME: u16 = 0x0006;
    pub(in super::super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(in super::super) const ERROR_CODE: u16 = 0x0009;
    pub(in super::super) const CHANNEL_NUMBER: u16 = 0x000C;
    pub(in super::super) const LIFETIME: u16 = 0x000D;
    pub(in super::super) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(in super::super) const REALM: u16 = 0x0014;
    pub(in super::super) const NONCE: u16 = 0x0015;
    pub(in super::super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(in super::super) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(in super::super) const SOFTWARE: u16 = 0x8022;
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const HEADER_LEN: usize = 20;
const INTEGRITY_LEN: usize = 20;

/// What a request is told from others by.
pub(super) type Transaction = [u8; 12];

/// The key of a user.
pub(super) struct Key(hmac::Key);

impl Key {
    /// RFC 8489 section 9.2.2, with MD5. User and password are ASCII, or prepared.
    pub(super) fn long_term(user: &str, realm: &[u8], password: &str) -> Self {
        let mut digest = Md5::new();
        for part in [user.as_bytes(), b":", realm, b":", password.as_bytes()] {
            digest.update(part);
        }
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest.finalize()))
    }
}

/// A message being written.
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new(kind: u16, transaction: &Transaction) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend(transaction);
        Self(bytes)
    }

    /// With an attribute, padded with zeros.
    pub(super) fn put(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.counted(0)
    }

    /// With an address, in the form that middle boxes do not recognise (section 14.2).
    pub(super) fn put_address(self, kind: u16, addr: SocketAddrV4) -> Self {
        let mut value = [0, 1, 0, 0, 0, 0, 0, 0];
        value[2..4].copy_from_slice(&addr.port().to_be_bytes());
        value[4..].copy_from_slice(&addr.ip().octets());
        mask(&mut value);
        self.put(kind, &value)
    }

    /// Signed: nothing may be added any more.
    pub(super) fn sign(self, key: &Key) -> Vec<u8> {
        // Section 14.5: the length counts the attribute already, the bytes end before it.
        let message = self.counted(4 + INTEGRITY_LEN);
        let tag = hmac::sign(&key.0, &message.0);
        message.put(attribute::MESSAGE_INTEGRITY, tag.as_ref()).0
    }

    /// As it is.
    pub(super) fn unsigned(self) -> Vec<u8> {
        self.0
    }

    /// With the length of what is there, and of `more` to come.
    fn counted(mut self, more: usize) -> Self {
        let len = (self.0.len() - HEADER_LEN + more) as u16;
        self.0[2..4].copy_from_slice(&len.to_be_bytes());
        self
    }
}

/// An answer.
pub(super) struct Answer<'a> {
    pub(super) kind: u16,
    pub(super) transaction: Transaction,
    attributes: &'a [u8],
}

impl<'a> Answer<'a> {
    /// `None` when it is no STUN message.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, attributes) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole = kind < 0x4000 && header[4..8] == COOKIE && attributes.len() == len;
        let transaction = *header.last_chunk()?;
        whole.then_some(Self { kind, transaction, attributes })
    }

    /// The first attribute of a type.
    pub(super) fn get(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.attributes;
        loop {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = tail.get(..len)?;
            if u16::from_be_bytes([head[0], head[1]]) == wanted {
                return Some(value);
            }
            rest = tail.get(len.next_multiple_of(4)..)?;
        }
    }

    /// What ERROR-CODE says, 400 for instance.
    pub(super) fn error(&self) -> Option<u16> {
        let code = self.get(attribute::ERROR_CODE)?;
        Some(u16::from(code.get(2)? & 7) * 100 + u16::from(*code.get(3)?))
    }

    /// An IPv4 address in the form of [`Message::put_address`].
    pub(super) fn address(&self, kind: u16) -> Option<SocketAddrV4> {
        let mut value: [u8; 8] = self.get(kind)?.try_into().ok()?;
        mask(&mut value);
        let [_, family, p0, p1, a, b, c, d] = value;
        let addr = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1]));
        (family == 1).then_some(addr)
    }
}

/// Section 14.2: port and address are XORed with the cookie.
fn mask(value: &mut [u8; 8]) {
    value[2..4].iter_mut().zip(COOKIE).for_each(|(byte, mask)| *byte ^= mask);
    value[4..].iter_mut().zip(COOKIE).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 5769 section 2.4.
    #[test]
    fn a_signed_request_is_the_one_of_the_rfc() {
        let expected = bytes(
            "00010060 2112a442 78ad3433 c6ad72c0 29da412e \
             00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000 \
             0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341 \
             0014000b 6578616d 706c652e 6f726700 \
             00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666",
        );
        let (user, realm) = ("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}", b"example.org");
        let transaction = *expected[8..].first_chunk().unwrap();
        let message = Message::new(kind::BINDING, &transaction)
            .put(attribute::USERNAME, user.as_bytes())
            .put(attribute::NONCE, b"f//499k954d6OL34oL9FSTvy64sA")
            .put(attribute::REALM, realm);
        assert_eq!(message.sign(&Key::long_term(user, realm, "TheMatrIX")), expected);
    }

    /// RFC 5769 section 2.2.
    #[test]
    fn an_address_is_the_one_of_the_rfc() {
        let message = bytes(
            "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae \
             8022000b 74657374 20766563 746f7220 \
             00200008 0001a147 e112a643 \
             00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 \
             80280004 c07d4c96",
        );
        let answer = Answer::read(&message).unwrap();
        let mapped = 0x0020;
        assert_eq!(answer.kind, kind::BINDING | kind::SUCCESS);
        assert_eq!(answer.address(mapped), "192.0.2.1:32853".parse().ok());
        assert_eq!(answer.get(attribute::SOFTWARE), Some(&b"test vector"[..]));
        assert_eq!(answer.get(attribute::NONCE), None);
        let written = Message::new(kind::BINDING, &answer.transaction)
            .put_address(mapped, "192.0.2.1:32853".parse().unwrap())
            .unsigned();
        assert_eq!(written[HEADER_LEN..], bytes("00200008 0001a147 e112a643"));
    }

    #[test]
    fn a_refusal_says_its_number() {
        let refusal = |code: &[u8]| {
            Message::new(kind::ALLOCATE | kind::ERROR, &[7; 12])
                .put(attribute::ERROR_CODE, code)
                .unsigned()
        };
        let error = |bytes: &[u8]| Answer::read(bytes).unwrap().error();
        assert_eq!(error(&refusal(&[0, 0, 4, 38])), Some(438));
        assert_eq!(error(&refusal(&[0, 0, 4])), None);
    }

    #[test]
    fn what_is_no_stun_is_not_read() {
        let message =
            Message::new(kind::REFRESH, &[1; 12]).put(attribute::LIFETIME, &[0; 4]).unsigned();
        assert!(Answer::read(&message).is_some());
        assert!(Answer::read(&message[..27]).is_none(), "shorter than it says");
        assert!(Answer::read(&message[..19]).is_none());
        let mut channel_data = message.clone();
        channel_data[0] = 0x40;
        assert!(Answer::read(&channel_data).is_none());
        let mut overlong = message;
        overlong[23] = 9;
        assert!(Answer::read(&overlong).unwrap().get(attribute::LIFETIME).is_none());
    }
}
