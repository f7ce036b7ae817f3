//! Control: what clients and their relay tell each other, in the text of a control frame.
//!
//! ```text
//!  | type u8 | len u16 | value | type | len | value | ..      up to 1,186 bytes, to the last one
//! ```
//! [`Controls`] reads a text message by message. A type nobody knows is skipped with its length,
//! and still seen as [`Control::Unknown`]; a known one that does not hold what it must is named and
//! stepped over; a length past the end ends the reading. [`ControlWriter`] writes.
//!
//! | type | message | direction |
//! |---|---|---|
//! | 01, 02 | [`Ping`], [`Pong`]: time, and Core frames that did not arrive | up, down |
//! | 03, 04 | path challenge and response, eight bytes | down, up |
//! | 05 | [`Subscribe`]: the whole wish of a receiver | up |
//! | 06, 0E | [`Roster`], [`Streams`]: who may send, and what they send | down |
//! | 07, 08, 09, 0A | [`Leave`], [`Alert`], [`Kick`], [`Move`] | up, down, both, down |
//! | 0B, 0D | [`Get`], [`Ack`] | up, both |
//! | 0C | [`StreamsMine`]: the whole wish of a sender | up |
//! | 0F, 10 | [`Mark`], [`Report`]: what was sent to a receiver, and what arrived | down, up |
//! | 11, 12 | [`Nack`], [`KeyframeRequest`] | up, 12 also down |

mod frame;
mod lists;
mod messages;

pub use frame::{ControlFrame, ControlMut, ControlWriter};
pub use lists::{
    ALL_NODES, ALL_STREAMS, OwnStream, Roster, RosterEntry, Streams, StreamsEntry, StreamsMine,
    Subscribe, Wish,
};
pub use messages::{
    Ack, Alert, Get, KeyframeRequest, Kick, Leave, Mark, Move, Nack, Ping, Pong, Report, alert,
    get, nack, phase, reason, roster_phase, stream_kind,
};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::HOLD_MS_MAX;

/// Bytes before a message's value.
const FRONT_LEN: usize = 3;

/// Type bytes.
pub mod kind {
    /// [`Ping`](super::Ping).
    pub const PING: u8 = 0x01;
    /// [`Pong`](super::Pong).
    pub const PONG: u8 = 0x02;
    /// Eight random bytes to be sent back from where they arrive.
    pub const PATH_CHALLENGE: u8 = 0x03;
    /// Those eight bytes.
    pub const PATH_RESPONSE: u8 = 0x04;
    /// [`Subscribe`](super::Subscribe).
    pub const SUBSCRIBE: u8 = 0x05;
    /// [`Roster`](super::Roster).
    pub const ROSTER: u8 = 0x06;
    /// [`Leave`](super::Leave).
    pub const LEAVE: u8 = 0x07;
    /// [`Alert`](super::Alert).
    pub const ALERT: u8 = 0x08;
    /// [`Kick`](super::Kick).
    pub const KICK: u8 = 0x09;
    /// [`Move`](super::Move).
    pub const MOVE: u8 = 0x0A;
    /// [`Get`](super::Get).
    pub const GET: u8 = 0x0B;
    /// [`StreamsMine`](super::StreamsMine).
    pub const STREAMS_MINE: u8 = 0x0C;
    /// [`Ack`](super::Ack).
    pub const ACK: u8 = 0x0D;
    /// [`Streams`](super::Streams).
    pub const STREAMS: u8 = 0x0E;
    /// [`Mark`](super::Mark).
    pub const MARK: u8 = 0x0F;
    /// [`Report`](super::Report).
    pub const REPORT: u8 = 0x10;
    /// [`Nack`](super::Nack).
    pub const NACK: u8 = 0x11;
    /// [`KeyframeRequest`](super::KeyframeRequest).
    pub const KEYFRAME_REQUEST: u8 = 0x12;
}

/// Why a message is not what its type byte says. All of these are the sender's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlFault {
    /// A type or length is cut, or a length reaches past the end; nothing follows.
    Cut,
    /// A value of this type has another length.
    Length(u8),
    /// A value of this type has a field that makes no sense.
    Value(u8),
}

/// One control message, borrowed from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control<'a> {
    /// See [`Ping`].
    Ping(&'a Ping),
    /// See [`Pong`].
    Pong(&'a Pong),
    /// See [`kind::PATH_CHALLENGE`].
    PathChallenge(&'a [u8; 8]),
    /// See [`kind::PATH_RESPONSE`].
    PathResponse(&'a [u8; 8]),
    /// See [`Subscribe`].
    Subscribe(Subscribe<'a>),
    /// See [`Roster`].
    Roster(Roster<'a>),
    /// See [`Leave`].
    Leave(&'a Leave),
    /// See [`Alert`].
    Alert(&'a Alert),
    /// See [`Kick`].
    Kick(&'a Kick),
    /// See [`Move`].
    Move(&'a Move),
    /// See [`Get`].
    Get(&'a Get),
    /// See [`StreamsMine`].
    StreamsMine(StreamsMine<'a>),
    /// See [`Ack`].
    Ack(&'a Ack),
    /// See [`Streams`].
    Streams(Streams<'a>),
    /// See [`Mark`].
    Mark(&'a Mark),
    /// See [`Report`].
    Report(&'a Report),
    /// See [`Nack`].
    Nack(&'a Nack),
    /// See [`KeyframeRequest`].
    KeyframeRequest(&'a KeyframeRequest),
    /// A type nobody knows.
    Unknown {
        /// The type byte; to be written, one that is not in [`kind`].
        kind: u8,
        /// Its value.
        value: &'a [u8],
    },
}

impl<'a> Control<'a> {
    /// The message whose type byte is `kind` and whose value is `value`.
    ///
    /// # Errors
    /// [`ControlFault::Length`], [`ControlFault::Value`].
    pub fn parse(kind: u8, value: &'a [u8]) -> Result<Self, ControlFault> {
        Ok(match kind {
            kind::PING => Self::Ping(fixed(kind, value)?),
            kind::PONG => Self::Pong(fixed(kind, value)?),
            kind::PATH_CHALLENGE => Self::PathChallenge(fixed(kind, value)?),
            kind::PATH_RESPONSE => Self::PathResponse(fixed(kind, value)?),
            kind::SUBSCRIBE => {
                let message = Subscribe::parse(value).ok_or(ControlFault::Length(kind))?;
                sound(kind, message.hold_ms() <= HOLD_MS_MAX)?;
                Self::Subscribe(message)
            }
            kind::ROSTER => {
                let message = Roster::parse(value).ok_or(ControlFault::Length(kind))?;
                sound(kind, is_page(message.page(), message.pages()))?;
                Self::Roster(message)
            }
            kind::LEAVE => Self::Leave(fixed(kind, value)?),
            kind::ALERT => Self::Alert(fixed(kind, value)?),
            kind::KICK => Self::Kick(fixed(kind, value)?),
            kind::MOVE => Self::Move(fixed(kind, value)?),
            kind::GET => Self::Get(fixed(kind, value)?),
            kind::STREAMS_MINE => {
                Self::StreamsMine(StreamsMine::parse(value).ok_or(ControlFault::Length(kind))?)
            }
            kind::ACK => Self::Ack(fixed(kind, value)?),
            kind::STREAMS => {
                let message = Streams::parse(value).ok_or(ControlFault::Length(kind))?;
                sound(kind, is_page(message.page(), message.pages()))?;
                Self::Streams(message)
            }
            kind::MARK => Self::Mark(fixed(kind, value)?),
            kind::REPORT => Self::Report(fixed(kind, value)?),
            kind::NACK => {
                let message: &Nack = fixed(kind, value)?;
                sound(kind, matches!(message.what, nack::CORE | nack::STREAM))?;
                Self::Nack(message)
            }
            kind::KEYFRAME_REQUEST => Self::KeyframeRequest(fixed(kind, value)?),
            _ => Self::Unknown { kind, value },
        })
    }

    /// The type byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Ping(_) => kind::PING,
            Self::Pong(_) => kind::PONG,
            Self::PathChallenge(_) => kind::PATH_CHALLENGE,
            Self::PathResponse(_) => kind::PATH_RESPONSE,
            Self::Subscribe(_) => kind::SUBSCRIBE,
            Self::Roster(_) => kind::ROSTER,
            Self::Leave(_) => kind::LEAVE,
            Self::Alert(_) => kind::ALERT,
            Self::Kick(_) => kind::KICK,
            Self::Move(_) => kind::MOVE,
            Self::Get(_) => kind::GET,
            Self::StreamsMine(_) => kind::STREAMS_MINE,
            Self::Ack(_) => kind::ACK,
            Self::Streams(_) => kind::STREAMS,
            Self::Mark(_) => kind::MARK,
            Self::Report(_) => kind::REPORT,
            Self::Nack(_) => kind::NACK,
            Self::KeyframeRequest(_) => kind::KEYFRAME_REQUEST,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The value as two slices, the second one empty unless the message is a list.
    #[must_use]
    pub fn value(&self) -> (&[u8], &[u8]) {
        let whole: &[u8] = match self {
            Self::Subscribe(message) => return message.as_bytes(),
            Self::Roster(message) => return message.as_bytes(),
            Self::StreamsMine(message) => return message.as_bytes(),
            Self::Streams(message) => return message.as_bytes(),
            Self::PathChallenge(value) | Self::PathResponse(value) => &value[..],
            Self::Unknown { value, .. } => value,
            Self::Ping(message) => message.as_bytes(),
            Self::Pong(message) => message.as_bytes(),
            Self::Leave(message) => message.as_bytes(),
            Self::Alert(message) => message.as_bytes(),
            Self::Kick(message) => message.as_bytes(),
            Self::Move(message) => message.as_bytes(),
            Self::Get(message) => message.as_bytes(),
            Self::Ack(message) => message.as_bytes(),
            Self::Mark(message) => message.as_bytes(),
            Self::Report(message) => message.as_bytes(),
            Self::Nack(message) => message.as_bytes(),
            Self::KeyframeRequest(message) => message.as_bytes(),
        };
        (whole, &[])
    }

    /// Bytes that [`ControlWriter::put`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let (front, list) = self.value();
        FRONT_LEN + front.len() + list.len()
    }
}

/// The value as a `T`, if it has exactly its length.
fn fixed<T>(kind: u8, value: &[u8]) -> Result<&T, ControlFault>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_bytes(value).map_err(|_| ControlFault::Length(kind))
}

fn sound(kind: u8, sound: bool) -> Result<(), ControlFault> {
    sound.then_some(()).ok_or(ControlFault::Value(kind))
}

/// Whether this is a page of so many, or a delta: page 0 of none.
const fn is_page(page: u8, pages: u8) -> bool {
    page < pages || (page == 0 && pages == 0)
}

/// The messages of an opened control text, in order.
#[derive(Clone, Debug)]
pub struct Controls<'a> {
    rest: &'a [u8],
}

impl<'a> Controls<'a> {
    /// The messages of `text`.
    #[must_use]
    pub const fn parse(text: &'a [u8]) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Controls<'a> {
    type Item = Result<Control<'a>, ControlFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((kind, value, rest)) = step(self.rest) else {
            self.rest = &[];
            return Some(Err(ControlFault::Cut));
        };
        self.rest = rest;
        Some(Control::parse(kind, value))
    }
}

impl core::iter::FusedIterator for Controls<'_> {}

/// Type and value at the front of `text`, and what follows them.
fn step(text: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, low, high], rest) = text.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
    Some((*kind, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn read(text: &[u8]) -> Vec<Result<Control<'_>, ControlFault>> {
        Controls::parse(text).collect()
    }

    #[test]
    fn an_unknown_type_is_skipped_with_its_length() {
        let text = [0x13, 2, 0, 8, 9, kind::LEAVE, 1, 0, 3, 0xFF, 0, 0];
        let expected = [
            Ok(Control::Unknown { kind: 0x13, value: &[8, 9] }),
            Ok(Control::Leave(&Leave { reason: 3 })),
            Ok(Control::Unknown { kind: 0xFF, value: &[] }),
        ];
        assert_eq!(read(&text), expected);
    }

    #[test]
    fn a_wrong_length_is_named_and_stepped_over() {
        for kind in 0x01..=0x12 {
            // One byte is no message but LEAVE; no list ends after it either.
            let text = [kind, 1, 0, 7, kind::LEAVE, 1, 0, 3];
            let found = read(&text);
            let first = if kind == kind::LEAVE {
                Ok(Control::Leave(&Leave { reason: 7 }))
            } else {
                Err(ControlFault::Length(kind))
            };
            assert_eq!(found, [first, Ok(Control::Leave(&Leave { reason: 3 }))]);
        }
    }

    #[test]
    fn nothing_follows_a_length_past_the_end() {
        let text = [kind::LEAVE, 1, 0, 3, kind::LEAVE, 5, 0, 3];
        assert_eq!(read(&text)[1..], [Err(ControlFault::Cut)]);
        assert_eq!(read(&text[..5])[1..], [Err(ControlFault::Cut)]);
        assert_eq!(read(&text[..4]).len(), 1);
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn a_senseless_field_is_named() {
        let subscribe = |hold| [kind::SUBSCRIBE, 5, 0, 1, 0, 0, 0, hold];
        assert!(read(&subscribe(5))[0].is_ok());
        assert_eq!(read(&subscribe(6)), [Err(ControlFault::Value(kind::SUBSCRIBE))]);
        let roster = |page, pages| [kind::ROSTER, 10, 0, 1, 0, 0, 0, page, pages, 0, 0, 0, 0];
        let streams = |page, pages| [kind::STREAMS, 6, 0, 1, 0, 0, 0, page, pages];
        for (page, pages, sound) in
            [(0, 0, true), (1, 0, false), (0, 1, true), (1, 1, false), (254, 255, true)]
        {
            assert_eq!(read(&roster(page, pages))[0].is_ok(), sound);
            assert_eq!(read(&streams(page, pages))[0].is_ok(), sound);
        }
        let mut nack = [0; 28];
        (nack[0], nack[1]) = (kind::NACK, 25);
        for (what, sound) in [(0, true), (1, true), (2, false)] {
            nack[12] = what;
            assert_eq!(read(&nack)[0].is_ok(), sound);
        }
    }
}
