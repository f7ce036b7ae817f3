//! The two TLVs of v1: what the relay may know of a sealed frame.
//!
//! ```text
//!  10 STREAM 12 | stream u16 | bits u8 | layer u8 | frame u32 | index u32 |
//!  11 STATE  40 | state_id u64 | rule u8 | ttl u8 | part u8 | parts u8 | item u32 | clock u64 | inst 16 |
//! ```
//! In this order, each at most once, nothing else: so there are four possible regions, of 0, 14,
//! 42 and 56 bytes. Both are authenticated end to end, so the relay reads them and changes nothing.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::header::Fault;
use crate::ids::StateId;
use crate::limits::{PARTS_MAX, TTL_MAX};
use crate::time::Span;
use crate::wire::writer::{NoRoom, Writer};

/// Type byte of [`Stream`].
pub const STREAM: u8 = 0x10;
/// Type byte of [`State`].
pub const STATE: u8 = 0x11;

/// Bits of [`Stream::bits`].
pub mod bits {
    /// Needs no earlier frame to be shown.
    pub const KEY: u8 = 1;
    /// The first datagram of its frame.
    pub const FIRST: u8 = 2;
    /// The last datagram of its frame.
    pub const LAST: u8 = 4;
    /// No later frame needs it.
    pub const DISCARDABLE: u8 = 8;
    /// All of them.
    pub const ALL: u8 = KEY | FIRST | LAST | DISCARDABLE;
}

/// Values of [`State::rule`].
pub mod rule {
    /// The author's newest frame by clock counts; item is 0.
    pub const REGISTER: u8 = 1;
    /// The newest frame of each of the author's newest items.
    pub const LOG: u8 = 2;
}

/// A piece of a stream.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Stream {
    /// The publisher's number for the stream.
    pub stream: U16,
    /// See [`bits`].
    pub bits: u8,
    /// Which of the stream's layers.
    pub layer: u8,
    /// Which frame of the stream; all its datagrams say the same.
    pub frame: U32,
    /// Counts the datagrams of this stream and layer, so that a gap is a loss.
    pub index: U32,
}

/// A frame that writes a state atom.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct State {
    /// The atom.
    pub state: U64,
    /// See [`rule`].
    pub rule: u8,
    /// 0 lives on; n lives 2^(n-1) seconds of the state clock.
    pub ttl: u8,
    /// Which part this is, from 0.
    pub part: u8,
    /// Of how many, at least 1.
    pub parts: u8,
    /// Which item of a log; 0 in a register.
    pub item: U32,
    /// The author's hybrid clock: state clock in milliseconds << 16 | counter.
    pub clock: U64,
    /// Names the connection whose keys sealed this, so that it can be opened later.
    pub inst: [u8; 16],
}

const _: () = assert!(size_of::<Stream>() == 12);
const _: () = assert!(size_of::<State>() == 40);

impl Stream {
    /// Whether all of `mask` (see [`bits`]) is set.
    #[inline]
    #[must_use]
    pub const fn has(&self, mask: u8) -> bool {
        self.bits & mask == mask
    }

    /// # Errors
    /// [`Fault::StreamBits`].
    #[inline]
    pub const fn check(&self) -> Result<(), Fault> {
        if self.bits & !bits::ALL != 0 {
            return Err(Fault::StreamBits);
        }
        Ok(())
    }
}

impl State {
    /// The whole of a register: one part, living on.
    #[must_use]
    pub const fn register(state: StateId, clock: u64, inst: [u8; 16]) -> Self {
        Self {
            state: U64::new(state.0),
            rule: rule::REGISTER,
            ttl: 0,
            part: 0,
            parts: 1,
            item: U32::ZERO,
            clock: U64::new(clock),
            inst,
        }
    }

    /// The whole of an item of a log: one part, living on.
    #[must_use]
    pub const fn log(state: StateId, item: u32, clock: u64, inst: [u8; 16]) -> Self {
        Self { rule: rule::LOG, item: U32::new(item), ..Self::register(state, clock, inst) }
    }

    /// The atom.
    #[inline]
    #[must_use]
    pub fn state_id(&self) -> StateId {
        StateId(self.state.get())
    }

    /// How long the frame counts, from its clock on; `None` without end.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Span> {
        match self.ttl {
            0 => None,
            n if n > TTL_MAX => None,
            n => Some(Span::from_secs(1 << (n - 1))),
        }
    }

    /// The clock's state-clock half, in milliseconds.
    #[must_use]
    pub fn clock_ms(&self) -> u64 {
        self.clock.get() >> 16
    }

    /// What is wrong with this TLV by itself.
    ///
    /// # Errors
    /// [`Fault::Rule`], [`Fault::Lifetime`], [`Fault::Item`], [`Fault::Parts`].
    #[inline]
    pub fn check(&self) -> Result<(), Fault> {
        if !matches!(self.rule, rule::REGISTER | rule::LOG) {
            return Err(Fault::Rule);
        }
        if self.ttl > TTL_MAX {
            return Err(Fault::Lifetime);
        }
        if self.rule == rule::REGISTER && self.item != U32::ZERO {
            return Err(Fault::Item);
        }
        if self.part >= self.parts || self.parts > PARTS_MAX {
            return Err(Fault::Parts);
        }
        Ok(())
    }
}

/// The TLVs of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a> {
    /// STREAM, if it is there.
    pub stream: Option<&'a Stream>,
    /// STATE, if it is there.
    pub state: Option<&'a State>,
}

impl<'a> Tlvs<'a> {
    /// No TLVs.
    pub const EMPTY: Self = Self { stream: None, state: None };

    /// The TLVs that `region` is, to its last byte.
    ///
    /// # Errors
    /// [`Fault::Extension`], and what [`Stream::check`] and [`State::check`] find.
    #[inline]
    pub fn parse(region: &'a [u8]) -> Result<Self, Fault> {
        let (stream, rest) = take(region, STREAM)?;
        let (state, rest) = take(rest, STATE)?;
        if !rest.is_empty() {
            return Err(Fault::Extension);
        }
        let tlvs = Self { stream, state };
        tlvs.check()?;
        Ok(tlvs)
    }

    /// What is wrong with the values.
    ///
    /// # Errors
    /// What [`Stream::check`] and [`State::check`] find.
    #[inline]
    pub fn check(&self) -> Result<(), Fault> {
        self.stream.map_or(Ok(()), Stream::check)?;
        self.state.map_or(Ok(()), State::check)
    }

    /// Bytes of the region: 0, 14, 42 or 56.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let stream = if self.stream.is_some() { 2 + size_of::<Stream>() } else { 0 };
        let state = if self.state.is_some() { 2 + size_of::<State>() } else { 0 };
        stream + state
    }

    /// Writes the region and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        if let Some(stream) = self.stream {
            writer.put(&[STREAM, size_of::<Stream>() as u8])?;
            writer.put(stream.as_bytes())?;
        }
        if let Some(state) = self.state {
            writer.put(&[STATE, size_of::<State>() as u8])?;
            writer.put(state.as_bytes())?;
        }
        Ok(writer.len())
    }
}

/// The TLV of this kind at the front of `bytes`, if one stands there, and what follows it.
#[inline]
fn take<T>(bytes: &[u8], kind: u8) -> Result<(Option<&T>, &[u8]), Fault>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    match bytes {
        [first, len, value @ ..] if *first == kind => {
            if usize::from(*len) != size_of::<T>() {
                return Err(Fault::Extension);
            }
            let (value, rest) = T::ref_from_prefix(value).map_err(|_| Fault::Extension)?;
            Ok((Some(value), rest))
        }
        _ => Ok((None, bytes)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::vec::Vec;

    pub(in super::super) const PIECE: Stream = Stream {
        stream: U16::new(0x0201),
        bits: bits::KEY | bits::LAST,
        layer: 3,
        frame: U32::new(0x0706_0504),
        index: U32::new(0x0B0A_0908),
    };
    pub(in super::super) const ATOM: State = State {
        ttl: 4,
        part: 1,
        parts: 2,
        ..State::log(StateId(0x0807_0605_0403_0201), 9, 0x0001_0203_0405_0607, [0xAA; 16])
    };

    fn encoded(tlvs: Tlvs<'_>) -> Vec<u8> {
        let mut out = [0; 56];
        let len = tlvs.encode(&mut out).unwrap();
        assert_eq!(len, tlvs.encoded_len());
        out[..len].to_vec()
    }

    #[test]
    fn every_field_stands_where_the_drawing_says() {
        let stream = encoded(Tlvs { stream: Some(&PIECE), state: None });
        assert_eq!(stream, [0x10, 12, 1, 2, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        let state = encoded(Tlvs { stream: None, state: Some(&ATOM) });
        let expected = [
            0x11, 40, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 1, 2, 9, 0, 0, 0, 7, 6, 5, 4, 3, 2, 1, 0, 0xAA,
            0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA,
            0xAA,
        ];
        assert_eq!(state, expected);
    }

    #[test]
    fn there_are_four_regions_and_no_others() {
        let (stream, state) = (Some(&PIECE), Some(&ATOM));
        let all = [(None, None), (stream, None), (None, state), (stream, state)];
        let regions = all.map(|(stream, state)| encoded(Tlvs { stream, state }));
        assert_eq!([0, 1, 2, 3].map(|at| regions[at].len()), [0, 14, 42, 56]);
        for (region, (stream, state)) in regions.iter().zip(all) {
            assert_eq!(Tlvs::parse(region), Ok(Tlvs { stream, state }));
            for cut in 1..region.len() {
                let whole_stream = stream.is_some() && cut == 14;
                assert_eq!(Tlvs::parse(&region[..cut]).is_ok(), whole_stream, "{cut}");
            }
        }
        let refused = |first: &[u8], second: &[u8]| Tlvs::parse(&[first, second].concat()).err();
        for (first, second) in [
            (&regions[2], &regions[1]),
            (&regions[1], &regions[1]),
            (&regions[2], &regions[2]),
            (&regions[3], &[0xFF].to_vec()),
            (&regions[0], &[0x12, 0].to_vec()),
        ] {
            assert_eq!(refused(first, second), Some(Fault::Extension));
        }
        let mut longer = regions[1].clone();
        longer[1] = 13;
        longer.push(0);
        assert_eq!(Tlvs::parse(&longer), Err(Fault::Extension));
    }

    #[test]
    fn each_senseless_value_is_named() {
        let stream = |bits| Stream { bits, ..PIECE }.check();
        assert!((0..=255).all(|bits| stream(bits).is_ok() == (bits < 16)));
        let broken = |change: fn(&mut State)| {
            let mut state = ATOM;
            change(&mut state);
            Tlvs::parse(&encoded(Tlvs { stream: None, state: Some(&state) })).err()
        };
        assert_eq!(broken(|_| ()), None);
        assert_eq!(broken(|it| it.rule = 0), Some(Fault::Rule));
        assert_eq!(broken(|it| it.rule = 3), Some(Fault::Rule));
        assert_eq!(broken(|it| it.ttl = TTL_MAX), None);
        assert_eq!(broken(|it| it.ttl = TTL_MAX + 1), Some(Fault::Lifetime));
        assert_eq!(broken(|it| it.rule = rule::REGISTER), Some(Fault::Item));
        assert_eq!(broken(|it| it.part = 2), Some(Fault::Parts));
        assert_eq!(broken(|it| (it.part, it.parts) = (0, 0)), Some(Fault::Parts));
        assert_eq!(broken(|it| it.parts = PARTS_MAX), None);
        assert_eq!(broken(|it| it.parts = PARTS_MAX + 1), Some(Fault::Parts));
    }

    #[test]
    fn a_lifetime_doubles_with_each_step() {
        let lifetime = |ttl| State { ttl, ..ATOM }.lifetime();
        assert_eq!([0, 1, 2, 5].map(lifetime), [None, 1.into(), 2.into(), 16.into()].map(secs));
        assert_eq!(lifetime(TTL_MAX), Some(Span::from_secs(1 << 31)));
        assert_eq!(ATOM.clock_ms(), 0x0001_0203_0405);
    }

    fn secs(secs: Option<u64>) -> Option<Span> {
        secs.map(Span::from_secs)
    }
}
