//! TLV extensions, wire v0: type, length, value, between the fixed header and the payload.
//!
//! ```text
//!  | type u8 | len u8 | value.. | type | len | value.. | FF | opaque |
//! ```
//! [`Tlvs`] reads a region in place, as tolerantly as 0.2.0 does: type FF ends it and whatever stands
//! behind is opaque; a lone type byte at the very end ends it too; a length past the end is malformed.
//! A type nobody knows, or a known one with an odd length, is skipped by the accessors and still
//! seen by the iterator. Where a type stands twice the last one of the right length counts.
//!
//! [`Extensions`] is the writing side.

mod extensions;

pub use extensions::Extensions;

use crate::wire::header::Malformed;

/// Values of [`Tlv::kind`] that have a name.
pub mod kind {
    /// The sender's ratchet epoch, u32.
    pub const RATCHET: u8 = 0x01;
    /// The key's generation, u16.
    pub const KEY_EPOCH: u8 = 0x02;
    /// What the sender is to its swarm, u8: see [`SwarmRole`](super::SwarmRole).
    pub const SWARM_ROLE: u8 = 0x03;
    /// Relays passed so far, u8.
    pub const RELAY_HOP: u8 = 0x04;
    /// Interest subscriptions, 64 bits.
    pub const INTEREST: u8 = 0x05;
    /// The group of frames that repair each other, u16.
    pub const REDUNDANCY_GROUP: u8 = 0x06;
    /// How the payload is compressed, u8.
    pub const COMPRESSION: u8 = 0x07;
    /// Which piece of how many: two u16.
    pub const FRAGMENT: u8 = 0x08;
    /// The path of several this frame took, u16.
    pub const PATH: u8 = 0x09;
    /// Scheduling priority, u8.
    pub const PRIORITY: u8 = 0x0A;
    /// A reference into the causal past, any length.
    pub const CAUSALITY: u8 = 0x0B;
    /// Nothing follows.
    pub const END: u8 = 0xFF;
}

/// One extension as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// See [`kind`]; any byte but [`kind::END`].
    pub kind: u8,
    /// At most 255 bytes.
    pub value: &'a [u8],
}

/// A well-formed TLV region, seen in place. Iterating yields every [`Tlv`], unknown ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlvs<'a> {
    region: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// No extensions.
    pub const EMPTY: Self = Self { region: &[] };

    /// Walks `region` once, to its end marker or its end.
    ///
    /// # Errors
    /// [`Malformed::Extension`] when a length reaches past the end.
    #[inline]
    pub fn parse(region: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = region;
        while let Step::Tlv(_, after) = step(rest)? {
            rest = after;
        }
        Ok(Self { region })
    }

    /// The bytes of the region, markers and opaque tail included.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.region
    }

    /// The extensions, in the order they stand.
    #[must_use]
    pub const fn iter(&self) -> TlvIter<'a> {
        TlvIter { rest: self.region }
    }

    /// [`kind::RATCHET`].
    #[must_use]
    pub fn ratchet(&self) -> Option<u32> {
        self.last(kind::RATCHET).map(u32::from_le_bytes)
    }

    /// [`kind::KEY_EPOCH`].
    #[must_use]
    pub fn key_epoch(&self) -> Option<u16> {
        self.last(kind::KEY_EPOCH).map(u16::from_le_bytes)
    }

    /// [`kind::SWARM_ROLE`]; a byte that names no role counts as none.
    #[must_use]
    pub fn swarm_role(&self) -> Option<SwarmRole> {
        self.last(kind::SWARM_ROLE).and_then(|[byte]| SwarmRole::from_byte(byte))
    }

    /// [`kind::RELAY_HOP`].
    #[must_use]
    pub fn relay_hop(&self) -> Option<u8> {
        self.last(kind::RELAY_HOP).map(u8::from_le_bytes)
    }

    /// [`kind::INTEREST`].
    #[must_use]
    pub fn interest(&self) -> Option<u64> {
        self.last(kind::INTEREST).map(u64::from_le_bytes)
    }

    /// [`kind::REDUNDANCY_GROUP`].
    #[must_use]
    pub fn redundancy_group(&self) -> Option<u16> {
        self.last(kind::REDUNDANCY_GROUP).map(u16::from_le_bytes)
    }

    /// [`kind::COMPRESSION`].
    #[must_use]
    pub fn compression(&self) -> Option<u8> {
        self.last(kind::COMPRESSION).map(u8::from_le_bytes)
    }

    /// [`kind::FRAGMENT`].
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        self.last(kind::FRAGMENT).map(Fragment::from_bytes)
    }

    /// [`kind::PATH`].
    #[must_use]
    pub fn path(&self) -> Option<u16> {
        self.last(kind::PATH).map(u16::from_le_bytes)
    }

    /// [`kind::PRIORITY`].
    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        self.last(kind::PRIORITY).map(u8::from_le_bytes)
    }

    /// [`kind::CAUSALITY`].
    #[must_use]
    pub fn causality(&self) -> Option<&'a [u8]> {
        self.iter().filter(|tlv| tlv.kind == kind::CAUSALITY).last().map(|tlv| tlv.value)
    }

    /// The value of the last extension of this kind that has exactly `N` bytes.
    fn last<const N: usize>(&self, kind: u8) -> Option<[u8; N]> {
        self.iter()
            .filter(|tlv| tlv.kind == kind)
            .filter_map(|tlv| tlv.value.try_into().ok())
            .last()
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        self.iter()
    }
}

/// The extensions of a [`Tlvs`], in order.
#[derive(Clone, Debug)]
pub struct TlvIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        // `Tlvs::parse` has seen every step succeed.
        let Ok(Step::Tlv(tlv, rest)) = step(self.rest) else { return None };
        self.rest = rest;
        Some(tlv)
    }
}

enum Step<'a> {
    End,
    Tlv(Tlv<'a>, &'a [u8]),
}

/// One step along a region: the TLV at its front and what follows it.
#[inline]
fn step(region: &[u8]) -> Result<Step<'_>, Malformed> {
    match *region {
        // The lone type byte at the end is 0.2.0's own tolerance.
        [] | [_] | [kind::END, ..] => Ok(Step::End),
        [kind, len, ref rest @ ..] => {
            let (value, rest) =
                rest.split_at_checked(usize::from(len)).ok_or(Malformed::Extension)?;
            Ok(Step::Tlv(Tlv { kind, value }, rest))
        }
    }
}

/// What a node is to its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SwarmRole {
    /// Takes part.
    Participant = 0,
    /// Passes frames on.
    Relay = 1,
    /// Sums up state.
    Aggregator = 2,
    /// Only reads.
    Observer = 3,
    /// Where a livestream begins.
    Source = 4,
}

impl SwarmRole {
    /// All roles, in wire order.
    pub const ALL: [Self; 5] =
        [Self::Participant, Self::Relay, Self::Aggregator, Self::Observer, Self::Source];

    /// The role a byte names, if it names one.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Participant),
            1 => Some(Self::Relay),
            2 => Some(Self::Aggregator),
            3 => Some(Self::Observer),
            4 => Some(Self::Source),
            _ => None,
        }
    }
}

/// Which piece of a larger whole this is. Nothing says that `index < total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Counted from 0.
    pub index: u16,
    /// Pieces in all.
    pub total: u16,
}

impl Fragment {
    const fn from_bytes([i0, i1, t0, t1]: [u8; 4]) -> Self {
        Self { index: u16::from_le_bytes([i0, i1]), total: u16::from_le_bytes([t0, t1]) }
    }

    const fn to_bytes(self) -> [u8; 4] {
        let ([i0, i1], [t0, t1]) = (self.index.to_le_bytes(), self.total.to_le_bytes());
        [i0, i1, t0, t1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn kinds(region: &[u8]) -> Result<Vec<u8>, Malformed> {
        Tlvs::parse(region).map(|tlvs| tlvs.iter().map(|tlv| tlv.kind).collect())
    }

    #[test]
    fn the_end_marker_ends_and_what_follows_is_opaque() {
        assert_eq!(kinds(&[0x04, 1, 9, 0xFF, 0x0A, 200]), Ok(Vec::from([0x04])));
        assert_eq!(kinds(&[0xFF]), Ok(Vec::new()));
    }

    #[test]
    fn a_lone_type_byte_ends_without_complaint() {
        assert_eq!(kinds(&[0x04, 1, 9, 0x0A]), Ok(Vec::from([0x04])));
        assert_eq!(kinds(&[0x04]), Ok(Vec::new()));
    }

    #[test]
    fn a_length_past_the_end_is_malformed_and_one_that_just_fits_is_not() {
        assert_eq!(kinds(&[0x0B, 2, 0]), Err(Malformed::Extension));
        assert_eq!(kinds(&[0x0B, 1, 0]), Ok(Vec::from([0x0B])));
        assert_eq!(kinds(&[0x77, 0]), Ok(Vec::from([0x77])), "an unknown type, empty");
    }

    #[test]
    fn an_odd_length_is_skipped_and_the_last_right_one_counts() {
        let region = [0x02, 2, 1, 0, 0x02, 2, 2, 0, 0x02, 1, 3, 0xFF];
        let tlvs = Tlvs::parse(&region).unwrap();
        assert_eq!((tlvs.key_epoch(), tlvs.iter().count()), (Some(2), 3));
    }

    #[test]
    fn a_role_without_a_name_counts_as_none_even_behind_a_named_one() {
        let tlvs = Tlvs::parse(&[0x03, 1, 1, 0x03, 1, 9]).unwrap();
        assert_eq!(tlvs.swarm_role(), None);
        for role in SwarmRole::ALL {
            assert_eq!(SwarmRole::from_byte(role as u8), Some(role));
        }
    }
}
