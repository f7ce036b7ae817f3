//! Where the parts of a v1 frame lie, for those who seal and open them.

use crate::limits::{HEADER_LEN, TAG_LEN, V0_FRAME_MAX};
use crate::wire::Header;
use crate::wire::header::flags;

/// Longest frame that is looked at; one byte more is [`Misshapen`].
pub const FRAME_MAX: usize = V0_FRAME_MAX;
/// Most bytes of header and TLVs together.
pub const HEAD_MAX: usize = 94;
/// The class byte of control frames.
pub const CONTROL: u8 = 0xF1;
/// The class byte of handshake frames.
pub const HANDSHAKE: u8 = 0xF0;
/// Numbers are counted apart in each of these: the five data classes and control.
pub const COUNTED_CLASSES: usize = 6;
/// The header's flag that names the connection: the lowest bit of its number.
pub const PARITY: u8 = flags::RESERVED;

const SEQ: core::ops::Range<usize> = 26..30;

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
    /// The bounds of `frame`: afterwards `30 <= header_len <= 94` and `header_len + 16 <= len`.
    #[inline]
    pub(super) fn of(frame: &[u8]) -> Result<Self, Misshapen> {
        let header = Header::peek(frame).ok_or(Misshapen)?;
        let header_len = usize::from(header.header_len.get());
        if !(HEADER_LEN..=HEAD_MAX).contains(&header_len)
            || frame.len() < header_len + TAG_LEN
            || frame.len() > FRAME_MAX
        {
            return Err(Misshapen);
        }
        Ok(Self {
            header_len,
            first_byte: header.version_suite,
            parity: header.flags & PARITY != 0,
            class: header.class,
            seq: header.seq_window.get(),
        })
    }

    /// Which of the six counters and windows this frame's class has; `None` for other classes.
    #[inline]
    pub(super) const fn counter(&self) -> Option<usize> {
        match self.class {
            class @ 0..=4 => Some(class as usize),
            CONTROL => Some(5),
            _ => None,
        }
    }
}

/// Writes what a connection decides about a frame: its number, and which connection it is.
pub(super) fn stamp(frame: &mut [u8], seq: u32, conn: u8) {
    frame[SEQ].copy_from_slice(&seq.to_le_bytes());
    frame[1] = frame[1] & !PARITY | if conn & 1 == 1 { PARITY } else { 0 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, SessionId};
    use alloc::vec;
    use zerocopy::IntoBytes;

    #[test]
    fn a_frame_is_bounded_on_every_side() {
        let mut frame = vec![0; FRAME_MAX + 1];
        frame[..HEADER_LEN].copy_from_slice(Header::v0(SessionId(1), NodeId(2)).as_bytes());
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
            (30, FRAME_MAX, true),
            (30, FRAME_MAX + 1, false),
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
