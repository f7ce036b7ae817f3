//! The stamp: what the load generator writes into a frame to recognise it when it comes back.
//!
//! ```text
//!   0       4     8                       16       20         24    28
//!  +-------+-----+------------------------+--------+----------+-----+
//!  | magic | run | scheduled send time ns | member | sequence | sum |
//!  +-------+-----+------------------------+--------+----------+-----+
//! ```
//! Integers are little-endian. The time is the *scheduled* one on the generator's monotonic clock, so that a
//! send that was late makes the latency longer and not the load lighter. The sum mixes all the
//! other fields: a stamp that anyone changed is not a stamp.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a stamp.
pub const STAMP_LEN: usize = 28;

const LOAD: u32 = u32::from_le_bytes(*b"load");
const KEEP_ALIVE: u32 = u32::from_le_bytes(*b"keep");

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be measured.
    Load,
    /// To be known to the relay; never measured.
    KeepAlive,
}

/// A stamp, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What the frame is for.
    pub kind: Kind,
    /// Which run sent it; two generators against one relay do not confuse each other.
    pub run: u32,
    /// When it was due, in nanoseconds of the monotonic clock.
    pub scheduled: u64,
    /// Who sent it.
    pub member: u32,
    /// Its number among the frames of this kind of this member, from 0.
    pub sequence: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    magic: U32,
    run: U32,
    scheduled: U64,
    member: U32,
    sequence: U32,
    sum: U32,
}

const _: () = assert!(size_of::<Raw>() == STAMP_LEN);

impl Stamp {
    /// Writes the stamp over the first [`STAMP_LEN`] bytes of `payload`.
    ///
    /// # Panics
    /// When `payload` is shorter.
    #[inline]
    pub fn write(&self, payload: &mut [u8]) {
        let magic = match self.kind {
            Kind::Load => LOAD,
            Kind::KeepAlive => KEEP_ALIVE,
        };
        let raw = Raw {
            magic: U32::new(magic),
            run: U32::new(self.run),
            scheduled: U64::new(self.scheduled),
            member: U32::new(self.member),
            sequence: U32::new(self.sequence),
            sum: U32::new(self.sum(magic)),
        };
        payload[..STAMP_LEN].copy_from_slice(raw.as_bytes());
    }

    /// The stamp at the beginning of `payload`; `None` when there is none, or not as it was written.
    #[inline]
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (raw, _) = Raw::ref_from_prefix(payload).ok()?;
        let magic = raw.magic.get();
        let stamp = Self {
            kind: match magic {
                LOAD => Kind::Load,
                KEEP_ALIVE => Kind::KeepAlive,
                _ => return None,
            },
            run: raw.run.get(),
            scheduled: raw.scheduled.get(),
            member: raw.member.get(),
            sequence: raw.sequence.get(),
        };
        (raw.sum.get() == stamp.sum(magic)).then_some(stamp)
    }

    /// Each step is a bijection of what it mixes in, so no change of a single field goes unseen before
    /// the fold.
    fn sum(&self, magic: u32) -> u32 {
        let words = [
            u64::from(magic) << 32 | u64::from(self.run),
            self.scheduled,
            u64::from(self.member) << 32 | u64::from(self.sequence),
        ];
        let mixed = words.iter().fold(0u64, |sum, word| {
            (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
        });
        (mixed >> 32) as u32 ^ mixed as u32
    }
}

#[cfg(test)]
mod tests {
    use elara_core::random::{Random, Seeded};

    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            kind: Kind::Load,
            run: 0x0A0B_0C0D,
            scheduled: 0x0102_0304_0506_0708,
            member: 7,
            sequence: 9,
        }
    }

    #[test]
    fn a_stamp_reads_as_it_was_written() {
        let mut random = Seeded::new(11);
        for _ in 0..1_000 {
            let stamp = Stamp {
                kind: if random.chance(500_000) { Kind::Load } else { Kind::KeepAlive },
                run: random.next_u64() as u32,
                scheduled: random.next_u64(),
                member: random.next_u64() as u32,
                sequence: random.next_u64() as u32,
            };
            let mut payload = [0xEE; STAMP_LEN + 3];
            stamp.write(&mut payload);
            assert_eq!(Stamp::read(&payload), Some(stamp));
            assert_eq!(payload[STAMP_LEN..], [0xEE; 3], "and not a byte further");
        }
    }

    #[test]
    fn every_field_stands_where_the_drawing_says() {
        let mut payload = [0; STAMP_LEN];
        stamp().write(&mut payload);
        assert_eq!(payload[..4], *b"load");
        assert_eq!(payload[4..8], [0x0D, 0x0C, 0x0B, 0x0A]);
        assert_eq!(payload[8..16], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(payload[16..24], [7, 0, 0, 0, 9, 0, 0, 0]);
    }

    #[test]
    fn a_single_changed_bit_is_seen() {
        let mut payload = [0; STAMP_LEN];
        stamp().write(&mut payload);
        for bit in 0..STAMP_LEN * 8 {
            payload[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Stamp::read(&payload), None, "bit {bit}");
            payload[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Stamp::read(&payload), Some(stamp()));
    }

    #[test]
    fn one_byte_short_is_no_stamp() {
        let mut payload = [0; STAMP_LEN];
        stamp().write(&mut payload);
        assert_eq!(Stamp::read(&payload[..STAMP_LEN - 1]), None);
        assert_eq!(Stamp::read(&[]), None);
    }
}
