//! What an event does to its state atom: one operation and its operand.
//!
//! ```text
//!  01 Set    len u16 | value          04 Merge   len u16 | value
//!  02 Increment  i64                  05 Delete
//!  03 Append len u16 | value          06 Blend   weight f32 | len u16 | value
//! ```

use super::writer::{NoRoom, Writer};
use crate::wire::header::Malformed;

const SET: u8 = 0x01;
const INCREMENT: u8 = 0x02;
const APPEND: u8 = 0x03;
const MERGE: u8 = 0x04;
const DELETE: u8 = 0x05;
const BLEND: u8 = 0x06;

/// One mutation, its value borrowed. Values are at most 65,535 bytes, and what a frame has room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mutation<'a> {
    /// The value becomes this.
    Set(&'a [u8]),
    /// The counter grows by this.
    Increment(i64),
    /// This is put behind the value.
    Append(&'a [u8]),
    /// The value becomes the join of both.
    Merge(&'a [u8]),
    /// The atom goes.
    Delete,
    /// The value moves towards this by `weight`. Any weight can arrive, NaN and infinities
    /// included; bits are kept.
    Blend {
        /// Where to.
        value: &'a [u8],
        /// How far: 0 not at all, 1 all the way.
        weight: f32,
    },
}

impl<'a> Mutation<'a> {
    /// The mutation at the front of `bytes`, and what follows it.
    ///
    /// # Errors
    /// [`Malformed::Mutation`] for an unknown operation or one cut short.
    pub fn parse_prefix(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (&operation, rest) = bytes.split_first().ok_or(Malformed::Mutation)?;
        Ok(match operation {
            SET => {
                let (value, rest) = value(rest)?;
                (Self::Set(value), rest)
            }
            INCREMENT => {
                let (by, rest) = rest.split_first_chunk().ok_or(Malformed::Mutation)?;
                (Self::Increment(i64::from_le_bytes(*by)), rest)
            }
            APPEND => {
                let (value, rest) = value(rest)?;
                (Self::Append(value), rest)
            }
            MERGE => {
                let (value, rest) = value(rest)?;
                (Self::Merge(value), rest)
            }
            DELETE => (Self::Delete, rest),
            BLEND => {
                let (weight, rest) = rest.split_first_chunk().ok_or(Malformed::Mutation)?;
                let (value, rest) = value(rest)?;
                (Self::Blend { value, weight: f32::from_le_bytes(*weight) }, rest)
            }
            _ => return Err(Malformed::Mutation),
        })
    }

    /// The mutation that `delta` is, to its last byte.
    ///
    /// # Errors
    /// [`Malformed::Mutation`] for an unknown operation, one cut short, or bytes left over.
    pub fn parse(delta: &'a [u8]) -> Result<Self, Malformed> {
        match Self::parse_prefix(delta)? {
            (mutation, []) => Ok(mutation),
            _ => Err(Malformed::Mutation),
        }
    }

    /// Bytes that [`Self::encode`] writes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Set(value) | Self::Append(value) | Self::Merge(value) => 3 + value.len(),
            Self::Increment(_) => 9,
            Self::Delete => 1,
            Self::Blend { value, .. } => 7 + value.len(),
        }
    }

    /// Writes the mutation and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is too short or the value longer than 65,535 bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        self.write(&mut writer)?;
        Ok(writer.len())
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        let (operation, value) = match *self {
            Self::Set(value) => (SET, value),
            Self::Append(value) => (APPEND, value),
            Self::Merge(value) => (MERGE, value),
            Self::Increment(by) => {
                writer.put(&[INCREMENT])?;
                return writer.put(&by.to_le_bytes());
            }
            Self::Delete => return writer.put(&[DELETE]),
            Self::Blend { value, weight } => {
                writer.put(&[BLEND])?;
                writer.put(&weight.to_le_bytes())?;
                return writer.put_with_len16(value);
            }
        };
        writer.put(&[operation])?;
        writer.put_with_len16(value)
    }
}

/// A u16 length, that many bytes, and what follows them.
fn value(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (len, rest) = bytes.split_first_chunk().ok_or(Malformed::Mutation)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len))).ok_or(Malformed::Mutation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Mutation<'_>, &[u8]); 6] = [
        (Mutation::Set(b"ab"), &[1, 2, 0, b'a', b'b']),
        (Mutation::Increment(-2), &[2, 0xFE, 255, 255, 255, 255, 255, 255, 255]),
        (Mutation::Append(b"c"), &[3, 1, 0, b'c']),
        (Mutation::Merge(b""), &[4, 0, 0]),
        (Mutation::Delete, &[5]),
        (Mutation::Blend { value: b"d", weight: 0.5 }, &[6, 0, 0, 0, 0x3F, 1, 0, b'd']),
    ];

    #[test]
    fn every_operation_reads_and_writes_the_bytes_in_the_drawing() {
        for (mutation, bytes) in ALL {
            let mut out = [0; 16];
            assert_eq!(mutation.encode(&mut out), Ok(bytes.len()));
            assert_eq!(&out[..bytes.len()], bytes);
            assert_eq!(mutation.encoded_len(), bytes.len());
            assert_eq!(Mutation::parse(bytes), Ok(mutation));
        }
    }

    #[test]
    fn one_byte_less_or_more_is_not_a_mutation() {
        for (mutation, bytes) in ALL {
            for short in 0..bytes.len() {
                assert_eq!(Mutation::parse(&bytes[..short]), Err(Malformed::Mutation));
                assert_eq!(mutation.encode(&mut [0; 16][..short]), Err(NoRoom));
            }
            let longer = [bytes, &[0]].concat();
            assert_eq!(Mutation::parse(&longer), Err(Malformed::Mutation));
            assert_eq!(Mutation::parse_prefix(&longer), Ok((mutation, &[0][..])));
        }
    }

    #[test]
    fn an_unknown_operation_is_named_malformed() {
        for operation in [0, 7, 0xFF] {
            assert_eq!(Mutation::parse(&[operation, 0, 0]), Err(Malformed::Mutation));
        }
    }

    #[test]
    fn a_weight_that_is_no_number_keeps_its_bits() {
        let bytes = [6, 1, 0, 0xA0, 0x7F, 0, 0];
        let mut out = [0; 7];
        Mutation::parse(&bytes).unwrap().encode(&mut out).unwrap();
        assert_eq!(out, bytes);
    }
}
