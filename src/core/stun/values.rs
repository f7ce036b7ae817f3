//! Values of attributes as numbers, addresses and text.
//!
//! `None`: there is no such attribute. `Some(Err(..))`: there is, and it is not what its kind says: the
//! request is a bad one. Of several the first one counts, except for [`Message::addresses`]. Reserved bits
//! are ignored, as the RFCs ask.

use core::net::SocketAddr;

use super::address::{self, Mask};
use super::attribute::{
    ERROR_CODE, EVEN_PORT, ICMP, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, UNKNOWN_ATTRIBUTES,
    USERNAME, is_open_address,
};
use super::{Attribute, Malformed, Message, PasswordAlgorithm};
use crate::limits::{STUN_TEXT_MAX, STUN_USERNAME_MAX};

/// What an ICMP attribute says (RFC 8656 section 18.13).
///
/// ```text
///  | 0, 16 | type 7 | code 9 | info 32 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type, of ICMP or ICMPv6 as the peer's address says. Seven bits.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The next hop's MTU where the datagram was too big for it; 0 otherwise.
    pub info: u32,
}

impl Icmp {
    pub(super) const fn to_bytes(self) -> [u8; 8] {
        let ([i0, i1, i2, i3], [t0, t1]) = (
            self.info.to_be_bytes(),
            ((self.kind as u16 & 0x7F) << 9 | self.code as u16).to_be_bytes(),
        );
        [0, 0, t0, t1, i0, i1, i2, i3]
    }

    fn from_bytes([_, _, t0, t1, info @ ..]: [u8; 8]) -> Result<Self, Malformed> {
        let word = u16::from_be_bytes([t0, t1]);
        let code = u8::try_from(word & 0x1FF).map_err(|_| Malformed::Number)?;
        Ok(Self { kind: (word >> 9) as u8, code, info: u32::from_be_bytes(info) })
    }
}

impl<'a> Message<'a> {
    /// The value of `kind` when it has exactly `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&self, kind: u16) -> Option<Result<[u8; N], Malformed>> {
        self.get(kind).map(|value| value.try_into().map_err(|_| Malformed::Size))
    }

    /// A number of 32 bits: LIFETIME, PRIORITY.
    #[must_use]
    pub fn u32(&self, kind: u16) -> Option<Result<u32, Malformed>> {
        self.array(kind).map(|value| value.map(u32::from_be_bytes))
    }

    /// A number of 16 bits before 16 reserved ones: CHANNEL-NUMBER.
    #[must_use]
    pub fn u16(&self, kind: u16) -> Option<Result<u16, Malformed>> {
        self.array(kind).map(|value| value.map(|[high, low, _, _]| u16::from_be_bytes([high, low])))
    }

    /// A number of 8 bits before 24 reserved ones: REQUESTED-TRANSPORT, REQUESTED-ADDRESS-FAMILY,
    /// ADDITIONAL-ADDRESS-FAMILY. Of EVEN-PORT its only byte, whose highest bit asks for a reservation.
    #[must_use]
    pub fn u8(&self, kind: u16) -> Option<Result<u8, Malformed>> {
        match kind {
            EVEN_PORT => self.array(kind).map(|value| value.map(|[byte]| byte)),
            _ => self.array(kind).map(|value| value.map(|[byte, _, _, _]| byte)),
        }
    }

    /// A text: USERNAME, REALM, NONCE, SOFTWARE.
    #[must_use]
    pub fn text(&self, kind: u16) -> Option<Result<&'a str, Malformed>> {
        let most = if kind == USERNAME { STUN_USERNAME_MAX } else { STUN_TEXT_MAX };
        self.get(kind).map(|value| match str::from_utf8(value) {
            Ok(text) if text.len() <= most => Ok(text),
            _ => Err(Malformed::Text),
        })
    }

    /// An address: XORed, or in the open where `kind` is one of the few that stand so. IPv4 mapped into
    /// IPv6 comes as it stands.
    #[must_use]
    pub fn address(&self, kind: u16) -> Option<Result<SocketAddr, Malformed>> {
        self.addresses(kind).next()
    }

    /// All addresses of this kind: a CreatePermission has several XOR-PEER-ADDRESS.
    pub fn addresses(
        &self,
        kind: u16,
    ) -> impl Iterator<Item = Result<SocketAddr, Malformed>> + use<'a> {
        let mask = if is_open_address(kind) { Mask::OPEN } else { Mask::of(self.head) };
        self.attributes()
            .filter(move |attribute| attribute.kind == kind)
            .map(move |Attribute { value, .. }| address::read(value, mask))
    }

    /// ERROR-CODE: 300 to 699. Its reason phrase is for people and not looked at.
    #[must_use]
    pub fn error_code(&self) -> Option<Result<u16, Malformed>> {
        self.get(ERROR_CODE).map(|value| {
            let (&[_, _, class, number], _phrase) =
                value.split_first_chunk().ok_or(Malformed::Size)?;
            match (class & 7, number) {
                (class @ 3..=6, number @ 0..=99) => Ok(u16::from(class) * 100 + u16::from(number)),
                _ => Err(Malformed::Number),
            }
        })
    }

    /// UNKNOWN-ATTRIBUTES: what the other side did not understand. Half a number at the end is none.
    pub fn unknown_attributes(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.get(UNKNOWN_ATTRIBUTES)
            .into_iter()
            .flat_map(|value| value.as_chunks::<2>().0)
            .map(|kind| u16::from_be_bytes(*kind))
    }

    /// PASSWORD-ALGORITHM: how the client derived its key. One that we do not know is
    /// [`Malformed::Number`]; parameters, which neither of ours has, are [`Malformed::Size`].
    #[must_use]
    pub fn password_algorithm(&self) -> Option<Result<PasswordAlgorithm, Malformed>> {
        self.get(PASSWORD_ALGORITHM).map(|value| {
            let (&[n0, n1, l0, l1], parameters) =
                value.split_first_chunk().ok_or(Malformed::Size)?;
            let known = PasswordAlgorithm::from_number(u16::from_be_bytes([n0, n1]));
            let known = known.ok_or(Malformed::Number)?;
            let plain = [l0, l1] == [0, 0] && parameters.is_empty();
            plain.then_some(known).ok_or(Malformed::Size)
        })
    }

    /// PASSWORD-ALGORITHMS: those of ours among the offered ones, in the order they stand, to the first
    /// that is cut short.
    pub fn password_algorithms(&self) -> impl Iterator<Item = PasswordAlgorithm> + use<'a> {
        let mut rest = self.get(PASSWORD_ALGORITHMS).unwrap_or_default();
        let numbers = core::iter::from_fn(move || {
            let (&[n0, n1, l0, l1], after) = rest.split_first_chunk()?;
            let parameters = usize::from(u16::from_be_bytes([l0, l1])).next_multiple_of(4);
            rest = after.get(parameters..)?;
            Some(u16::from_be_bytes([n0, n1]))
        });
        numbers.filter_map(PasswordAlgorithm::from_number)
    }

    /// ICMP: what became of data for a peer.
    #[must_use]
    pub fn icmp(&self) -> Option<Result<Icmp, Malformed>> {
        self.array(ICMP).map(|value| value.and_then(Icmp::from_bytes))
    }
}
