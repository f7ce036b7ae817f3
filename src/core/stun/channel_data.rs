//! ChannelData: data for a peer, or of one, behind four bytes (RFC 8656 section 12.4).
//!
//! ```text
//!  | channel 16 | length 16 | data .. |
//! ```
//! Over UDP the data may be padded, and need not be; whatever stands behind it is ignored.

use core::ops::RangeInclusive;

/// Bytes before the data.
pub const HEADER_LEN: usize = 4;

/// Numbers that are recognised: RFC 5766's range, of which RFC 8656 assigns only 0x4000 to 0x4FFF.
pub const NUMBERS: RangeInclusive<u16> = 0x4000..=0x7FFF;

/// The channel and the data; `None` when the number is none of a channel's, or the data is cut short.
/// No data at all is legal.
#[inline]
#[must_use]
pub fn read(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (&[n0, n1, l0, l1], rest) = datagram.split_first_chunk()?;
    let number = u16::from_be_bytes([n0, n1]);
    let data = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
    NUMBERS.contains(&number).then_some((number, data))
}

/// What stands before `len` bytes of data on channel `number`.
#[inline]
#[must_use]
pub const fn header(number: u16, len: u16) -> [u8; HEADER_LEN] {
    let ([n0, n1], [l0, l1]) = (number.to_be_bytes(), len.to_be_bytes());
    [n0, n1, l0, l1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let [a, b, c, d] = header(0x4001, 3);
        assert_eq!(read(&[a, b, c, d, 7, 8, 9]), Some((0x4001, &[7, 8, 9][..])));
    }

    #[test]
    fn padding_is_no_data_and_no_data_is_legal() {
        assert_eq!(read(&[0x40, 0, 0, 1, 7, 0, 0, 0]), Some((0x4000, &[7][..])));
        assert_eq!(read(&[0x7F, 0xFF, 0, 0]), Some((0x7FFF, &[][..])));
    }

    #[test]
    fn a_length_past_the_end_and_a_header_cut_short_are_refused() {
        assert_eq!(read(&[0x40, 0, 0, 2, 7]), None);
        assert_eq!(read(&[0x40, 0, 0xFF, 0xFF, 7]), None);
        assert_eq!(read(&[0x40, 0, 0]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn a_number_beside_the_range_is_refused() {
        assert_eq!(read(&[0x3F, 0xFF, 0, 0]), None);
        assert_eq!(read(&[0x80, 0x00, 0, 0]), None);
    }
}
