//! STUN as bytes: messages (RFC 8489), TURN's attributes and ChannelData (RFC 8656).
//!
//! ```text
//!   0               1               2               3
//!  | 00 | type 14  class and method | length, without these 20 bytes |
//!  | magic cookie 21 12 A4 42                                        |
//!  | transaction, 12 bytes ..                                        |
//!  | kind 16                        | length 16, without padding     |   attributes, as many as
//!  | value ..                                  | padding to four     |   the length says
//! ```
//! [`Message`] reads a datagram in place: one walk says whether it is well-formed, and then nothing can
//! fail but a single value that is not what its kind says. [`Writer`] fills a caller's buffer and remembers
//! whether everything fitted. Neither allocates. Both obey one rule of sight: behind MESSAGE-INTEGRITY only
//! MESSAGE-INTEGRITY-SHA256 and FINGERPRINT exist, behind that one only FINGERPRINT, behind FINGERPRINT
//! nothing.
//!
//! | module | owns |
//! |---|---|
//! | [`attribute`] | the numbers of attributes |
//! | [`family`] | the numbers of address families |
//! | [`channel_data`] | the four bytes before data on a channel |
//!
//! What a request may do is not decided here; `docs/adr/0039-stun-messages-are-our-own.md` has why the
//! codec is our own.

mod address;
pub mod attribute;
mod binding;
pub mod channel_data;
mod fingerprint;
mod key;
mod message;
mod sight;
mod values;
mod writer;

pub use address::family;
pub use binding::binding;
pub use key::{Algorithm, Key, PasswordAlgorithm, password_md5, password_sha256, userhash};
pub use message::{Attribute, Attributes, Message};
pub use values::Icmp;
pub use writer::{Head, Writer};

use core::fmt;

/// Bytes before the attributes.
pub const HEADER_LEN: usize = 20;

/// Bytes 4 to 8 of every message.
pub const COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();

/// Bytes before an attribute's value.
const ATTRIBUTE_HEAD: usize = 4;

/// What a message is in its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer: done.
    Success,
    /// The answer: not done, and ERROR-CODE says why.
    Error,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Request, Self::Indication, Self::Success, Self::Error];

    /// The class's two bits where they stand in the type.
    const fn bits(self) -> u16 {
        match self {
            Self::Request => 0x0000,
            Self::Indication => 0x0010,
            Self::Success => 0x0100,
            Self::Error => 0x0110,
        }
    }
}

/// What is asked for: twelve bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(pub u16);

impl Method {
    /// Where do I come from? RFC 8489.
    pub const BINDING: Self = Self(0x001);
    /// A relayed address. RFC 8656 section 7.
    pub const ALLOCATE: Self = Self(0x003);
    /// Keep it, or give it back. RFC 8656 section 8.
    pub const REFRESH: Self = Self(0x004);
    /// Data for a peer, an indication. RFC 8656 section 11.
    pub const SEND: Self = Self(0x006);
    /// Data of a peer, an indication. RFC 8656 section 11.
    pub const DATA: Self = Self(0x007);
    /// Who may send to it. RFC 8656 section 10.
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// A number for a peer. RFC 8656 section 12.
    pub const CHANNEL_BIND: Self = Self(0x009);
}

/// Which exchange a message belongs to: random, chosen by who asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why bytes are not a STUN message, or a value is not what its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer than twenty bytes.
    TooShort,
    /// The two highest bits are not zero: another protocol.
    Leading,
    /// The magic cookie is not there: another protocol, or RFC 3489.
    Cookie,
    /// The length is not that of the bytes behind the header, or no multiple of four.
    Length,
    /// An attribute reaches past the end.
    Attribute,
    /// More attributes than [`STUN_ATTRIBUTES_MAX`](crate::limits::STUN_ATTRIBUTES_MAX).
    Crowded,
    /// FINGERPRINT is not the last attribute, or not the message's.
    Fingerprint,
    /// A MESSAGE-INTEGRITY of a length that it cannot have.
    Integrity,
    /// A value of a length that its kind does not have.
    Size,
    /// An address of a family that is neither IPv4 nor IPv6.
    Family,
    /// A text that is not UTF-8, or too long.
    Text,
    /// A number that its kind does not know.
    Number,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than a STUN header",
            Self::Leading => "the first two bits are not zero",
            Self::Cookie => "no magic cookie",
            Self::Length => "the length is not that of the message, or no multiple of four",
            Self::Attribute => "an attribute reaches past the end",
            Self::Crowded => "too many attributes",
            Self::Fingerprint => "the fingerprint is wrong or not at the end",
            Self::Integrity => "a message integrity of impossible length",
            Self::Size => "a value of the wrong length",
            Self::Family => "an address of an unknown family",
            Self::Text => "a text that is too long or not UTF-8",
            Self::Number => "a number nobody assigned",
        })
    }
}

impl core::error::Error for Malformed {}

/// The message type: the method's twelve bits with the class's two woven in (RFC 8489 section 5).
///
/// ```text
///  0 0 M11 M10 M9 M8 M7 C1 M6 M5 M4 C0 M3 M2 M1 M0
/// ```
const fn weave(class: Class, Method(method): Method) -> u16 {
    class.bits() | method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2
}

/// What [`weave`] made.
const fn unweave(kind: u16) -> (Class, Method) {
    let class = match kind & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    (class, Method(kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_and_method_are_woven_as_the_rfcs_print_them() {
        for (kind, class, method) in [
            (0x0001, Class::Request, Method::BINDING),
            (0x0101, Class::Success, Method::BINDING),
            (0x0111, Class::Error, Method::BINDING),
            (0x0011, Class::Indication, Method::BINDING),
            (0x0003, Class::Request, Method::ALLOCATE),
            (0x0113, Class::Error, Method::ALLOCATE),
            (0x0016, Class::Indication, Method::SEND),
            (0x0017, Class::Indication, Method::DATA),
            (0x0109, Class::Success, Method::CHANNEL_BIND),
        ] {
            assert_eq!(
                (weave(class, method), unweave(kind)),
                (kind, (class, method)),
                "{kind:04x}"
            );
        }
    }

    #[test]
    fn every_type_is_one_class_and_one_method() {
        for kind in 0..0x4000 {
            let (class, method) = unweave(kind);
            assert!(method.0 < 0x1000);
            assert_eq!(weave(class, method), kind);
        }
    }

    #[test]
    fn a_method_wider_than_twelve_bits_touches_neither_class_nor_leading_bits() {
        for class in Class::ALL {
            assert_eq!(unweave(weave(class, Method(0xF001))), (class, Method::BINDING));
            assert_eq!(weave(class, Method(0xFFFF)) & 0xC000, 0);
        }
    }
}
