//! What an entry says of itself, and its completion brings back: 64 bits of user data.
//!
//! ```text
//!   bit 0     2            9      32        64
//!       kind | datagrams  | tag  | bytes  |
//! ```

use elara_core::limits::SEND_TAGS;

use crate::counters::Refusal;

const RECEIVE: u64 = 0;
const WAKE: u64 = 1;
const SEND: u64 = 2;

const DATAGRAMS_AT: u32 = 2;
const TAG_AT: u32 = 9;
const BYTES_AT: u32 = 32;

const KINDS: u64 = (1 << DATAGRAMS_AT) - 1;
const DATAGRAMS: u64 = (1 << (TAG_AT - DATAGRAMS_AT)) - 1;
const TAGS: u64 = (1 << (BYTES_AT - TAG_AT)) - 1;

const _: () = assert!(SEND_TAGS as u64 == TAGS + 1);

/// What an entry was queued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Receive,
    Wake,
    /// A send, and what there is to say of it should it be refused.
    Send(Refusal),
}

impl Label {
    /// As user data. What is too large for its field is cut, and no other field is touched.
    #[inline]
    pub(super) const fn pack(self) -> u64 {
        match self {
            Self::Receive => RECEIVE,
            Self::Wake => WAKE,
            Self::Send(send) => {
                SEND | (send.datagrams as u64 & DATAGRAMS) << DATAGRAMS_AT
                    | (send.tag as u64 & TAGS) << TAG_AT
                    | (send.bytes as u64) << BYTES_AT
            }
        }
    }

    #[inline]
    pub(super) const fn unpack(data: u64) -> Self {
        match data & KINDS {
            RECEIVE => Self::Receive,
            WAKE => Self::Wake,
            _ => Self::Send(Refusal {
                tag: (data >> TAG_AT & TAGS) as u32,
                datagrams: (data >> DATAGRAMS_AT & DATAGRAMS) as u32,
                bytes: (data >> BYTES_AT) as u32,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use elara_core::limits::SEGMENTS_MAX;

    use super::*;

    #[test]
    fn a_label_comes_back_as_it_was_packed() {
        let send = |tag, datagrams, bytes| Label::Send(Refusal { tag, datagrams, bytes });
        for label in [
            Label::Receive,
            Label::Wake,
            send(0, 1, 0),
            send(SEND_TAGS - 1, 1, 1_232),
            send(1, SEGMENTS_MAX as u32, u32::MAX),
        ] {
            assert_eq!(Label::unpack(label.pack()), label);
        }
    }
}
