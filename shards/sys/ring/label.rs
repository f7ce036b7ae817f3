//! What an entry says of itself, and its completion brings back: 64 bits of user data.
//!
//! ```text
//!   bit 0     2            9      32      48      64
//!       send | datagrams  | tag  | bytes | slot  |
//!    receive | slot              | generation    |
//! ```

use elara_core::limits::{DATAGRAM_MAX, SEND_TAGS};

use crate::counters::Refusal;

const RECEIVE: u64 = 0;
const WAKE: u64 = 1;
const SEND: u64 = 2;
const CANCEL: u64 = 3;

const DATAGRAMS_AT: u32 = 2;
const TAG_AT: u32 = 9;
const BYTES_AT: u32 = 32;
const SENDER_AT: u32 = 48;
const SLOT_AT: u32 = 2;
const GENERATION_AT: u32 = 32;

const KINDS: u64 = (1 << DATAGRAMS_AT) - 1;
const DATAGRAMS: u64 = (1 << (TAG_AT - DATAGRAMS_AT)) - 1;
const TAGS: u64 = (1 << (BYTES_AT - TAG_AT)) - 1;
const BYTES: u64 = (1 << (SENDER_AT - BYTES_AT)) - 1;

const _: () = assert!(SEND_TAGS as u64 == TAGS + 1);
const _: () = assert!(DATAGRAM_MAX as u64 <= BYTES);

/// What an entry was queued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// A multishot receive on the socket in this slot, in its generation.
    Receive {
        slot: u16,
        generation: u32,
    },
    Wake,
    /// A send from the socket in this slot, and what there is to say of it should it be refused.
    Send {
        slot: u16,
        send: Refusal,
    },
    /// The end of a multishot receive.
    Cancel,
}

impl Label {
    /// As user data. What is too large for its field is cut, and no other field is touched.
    #[inline]
    pub(super) const fn pack(self) -> u64 {
        match self {
            Self::Receive { slot, generation } => {
                RECEIVE | (slot as u64) << SLOT_AT | (generation as u64) << GENERATION_AT
            }
            Self::Wake => WAKE,
            Self::Send { slot, send } => {
                SEND | (send.datagrams as u64 & DATAGRAMS) << DATAGRAMS_AT
                    | (send.tag as u64 & TAGS) << TAG_AT
                    | (send.bytes as u64 & BYTES) << BYTES_AT
                    | (slot as u64) << SENDER_AT
            }
            Self::Cancel => CANCEL,
        }
    }

    #[inline]
    pub(super) const fn unpack(data: u64) -> Self {
        match data & KINDS {
            RECEIVE => Self::Receive {
                slot: (data >> SLOT_AT) as u16,
                generation: (data >> GENERATION_AT) as u32,
            },
            WAKE => Self::Wake,
            SEND => Self::Send {
                slot: (data >> SENDER_AT) as u16,
                send: Refusal {
                    tag: (data >> TAG_AT & TAGS) as u32,
                    datagrams: (data >> DATAGRAMS_AT & DATAGRAMS) as u32,
                    bytes: (data >> BYTES_AT & BYTES) as u32,
                },
            },
            _ => Self::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use elara_core::limits::{RELAY_SOCKETS_MAX, SEGMENTS_MAX};

    use super::*;

    #[test]
    fn a_label_comes_back_as_it_was_packed() {
        let send = |slot, tag, datagrams, bytes| Label::Send {
            slot,
            send: Refusal { tag, datagrams, bytes },
        };
        let receive = |slot, generation| Label::Receive { slot, generation };
        for label in [
            receive(0, 0),
            receive(RELAY_SOCKETS_MAX as u16, u32::MAX),
            receive(u16::MAX, 1),
            Label::Wake,
            Label::Cancel,
            send(0, 0, 1, 0),
            send(0, SEND_TAGS - 1, 1, 1_232),
            send(RELAY_SOCKETS_MAX as u16, 1, SEGMENTS_MAX as u32, DATAGRAM_MAX as u32),
            send(u16::MAX, 0, 1, u32::from(u16::MAX)),
        ] {
            assert_eq!(Label::unpack(label.pack()), label);
        }
    }

    #[test]
    fn what_is_too_large_for_its_field_touches_no_other() {
        let send = Refusal { tag: 5, datagrams: 3, bytes: 1 << 16 | 7 };
        let cut = Refusal { bytes: 7, ..send };
        assert_eq!(
            Label::unpack(Label::Send { slot: 9, send }.pack()),
            Label::Send { slot: 9, send: cut }
        );
    }
}
