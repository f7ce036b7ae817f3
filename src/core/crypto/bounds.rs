//! Where the parts of a v1 frame lie, for those who seal and open them.

use zerocopy::FromBytes;

use crate::limits::{HEADER_LEN, TAG_LEN, V1_FRAME_MAX, V1_HEADER_LEN_MAX};
use crate::wire::v1::Kind;
use crate::wire::{Class, Header};

/// Numbers are counted apart in each of these: the data classes and control.
pub const COUNTED_CLASSES: usize = Class::COUNT + 1;

/// The bytes cannot be a frame of this kind: too short, too long, or `header_len` points nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Misshapen;

/// A frame's clear fields that its seals depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) header_len: usize,
    pub(super) first_byte: u8,
    pub(super) parity: bool,
    pub(super) class: u8,
    pub(super) seq: u32,
}

impl Bounds {
    /// The bounds of `frame`: afterwards `30 <= header_len <= 94` and
    /// `header_len + 16 <= len <= 1232`.
    #[inline]
    pub(super) fn of(frame: &[u8]) -> Result<Self, Misshapen> {
        let header = Header::peek(frame).ok_or(Misshapen)?;
        let header_len = usize::from(header.header_len.get());
        if !(HEADER_LEN..=V1_HEADER_LEN_MAX).contains(&header_len)
            || frame.len() < header_len + TAG_LEN
            || frame.len() > V1_FRAME_MAX
        {
            return Err(Misshapen);
        }
        Ok(Self {
            header_len,
            first_byte: header.version_suite,
            parity: header.parity(),
            class: header.class,
            seq: header.seq_v1(),
        })
    }

    /// Which of the counters and windows this frame's class has; `None` for other classes.
    #[inline]
    pub(super) const fn counter(&self) -> Option<usize> {
        match Kind::from_byte(self.class) {
            Some(Kind::Data(class)) => Some(class as usize),
            Some(Kind::Control) => Some(Class::COUNT),
            Some(Kind::Handshake) | None => None,
        }
    }
}

/// Writes what a connection decides about a frame: its number, and which connection it is.
pub(super) fn stamp(frame: &mut [u8], seq: u32, conn: u8) {
    let (header, _) = Header::mut_from_prefix(frame).expect("a frame that has bounds has a header");
    header.set_seq_v1(seq);
    header.set_parity_of(conn);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, SessionId};
    use alloc::vec;
    use zerocopy::IntoBytes;

    #[test]
    fn a_frame_is_bounded_on_every_side() {
        let mut frame = vec![0; V1_FRAME_MAX + 1];
        let header = Header::v1(0, SessionId(1), NodeId(2), Kind::Control);
        frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
        for (header_len, len, fits) in [
            (30, 46, true),
            (30, 45, false),
            (30, 29, false),
            (30, 0, false),
            (29, 46, false),
            (31, 46, false),
            (94, 110, true),
            (94, 109, false),
            (95, 200, false),
            (0xFFFF, 200, false),
            (30, V1_FRAME_MAX, true),
            (30, V1_FRAME_MAX + 1, false),
        ] {
            frame[2..4].copy_from_slice(&u16::to_le_bytes(header_len));
            assert_eq!(Bounds::of(&frame[..len]).is_ok(), fits, "{header_len} in {len}");
        }
    }

    #[test]
    fn a_stamp_touches_the_number_and_the_parity_only() {
        let mut frame = [0xA5; 46];
        stamp(&mut frame, 0x0403_0201, 6);
        assert_eq!((frame[1], &frame[26..30]), (0x25, &[1, 2, 3, 4][..]));
        stamp(&mut frame, 0, 7);
        assert_eq!(frame[1], 0xA5);
        assert!(frame[30..].iter().all(|&byte| byte == 0xA5) && frame[2..26] == [0xA5; 24]);
    }
}
