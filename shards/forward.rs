//! The hot path: one datagram in, one [`Verdict`] out.
//!
//! Runs for every datagram, so it does no I/O of its own, takes no lock, reads no clock and allocates
//! nothing. Checks are ordered by cost: the cheapest refusal comes first. A datagram of a participant
//! we know costs one table look-up; what leaves are the bytes that came, straight from the receive buffer.
//!
//! ```text
//!   Event        bytes from Io::receive
//!   Validation   classify ─▶ Header::check_v0 ─▶ seat_of            refusals: Verdict
//!   Processing   learn, when the seat is not known
//!   State        seen = now
//!   Propagation  fan_out ─▶ departures                 sent when the cycle has taken in what it takes in
//! ```
//! Measured by `benches/forward.rs`; kept off the heap by `tests/no_alloc.rs`.

use elara_core::limits::V0_FRAME_MIN;
use elara_core::time::{Instant, UnixMillis};
use elara_core::wire::Header;
use elara_core::wire::header::Malformed;
use elara_core::{Cidr, ClientAddr, NodeId, SessionId};

use crate::command::Notice;
use crate::cost;
use crate::counters::Counters;
use crate::departures::{Departures, Passing, Site, Wire};
use crate::io::{Io, Port, Slice, Train};
use crate::sessions::{Seat, Sessions};
use crate::steer;
use crate::turn::Turn;
use crate::v1::{Known, V1};
use crate::verdict::Verdict;

/// For whom wire v0 is open.
#[derive(Clone, Debug)]
pub struct V0Policy {
    /// Sources that may take part.
    pub open: Vec<Cidr>,
    /// Participants behind one IP address, loopback excepted.
    pub per_ip: usize,
}

/// What the hot path looks at besides the tables: fixed while the shard runs.
#[derive(Debug)]
pub struct Rules {
    /// This shard's index.
    pub index: usize,
    /// How many shards the node has.
    pub shards: usize,
    /// For whom v0 is open; `None`: for nobody.
    pub v0: Option<V0Policy>,
}

/// What the first bytes of a datagram say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ELARA frame, wire v0.
    V0,
    /// An ELARA frame or bundle, wire v1.
    V1,
    /// STUN.
    Stun,
    /// TURN ChannelData.
    ChannelData,
    /// Too short to be anything.
    Runt,
    /// Nothing that shares this port.
    Unrecognised,
}

/// Tells protocols apart that share one port.
#[inline]
#[must_use]
pub fn classify(datagram: &[u8]) -> Kind {
    let Some(first) = datagram.first() else { return Kind::Runt };
    match first {
        0x00..=0x03 if is_stun(datagram) => Kind::Stun,
        0x00..=0x02 if datagram.len() >= V0_FRAME_MIN => Kind::V0,
        0x00..=0x02 => Kind::Runt,
        0x10..=0x13 => Kind::V1,
        0x40..=0x7F => Kind::ChannelData,
        _ => Kind::Unrecognised,
    }
}

/// RFC 8489 section 5: the magic cookie at 4, and a length at 2 that counts what follows the header.
#[inline]
fn is_stun(datagram: &[u8]) -> bool {
    let Some(header) = datagram.first_chunk::<20>() else { return false };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    header[4..8] == [0x21, 0x12, 0xA4, 0x42]
        && length.is_multiple_of(4)
        && datagram.len() == 20 + length
}

/// What the hot path works with, borrowed from the shard for one cycle.
pub struct Forward<'a, I, T> {
    /// Where datagrams come from and go to.
    pub io: &'a mut I,
    /// The tables of wire v0.
    pub sessions: &'a mut Sessions,
    /// Everything of wire v1.
    pub(crate) v1: &'a mut V1,
    /// The counters.
    pub counters: &'a mut Counters,
    /// The fixed rules.
    pub rules: &'a Rules,
    /// The cycle's one clock reading.
    pub now: Instant,
    /// What that is on the calendar.
    pub calendar: UnixMillis,
    /// Who is told when a table changes.
    pub tell: T,
    /// Everything of STUN and TURN.
    pub(crate) turn: &'a mut Turn,
    /// What has its verdict and is about to leave.
    pub(crate) departures: &'a mut Departures,
    /// The shard has more to do than it likes.
    pub(crate) loaded: bool,
}

/// The participant the datagram before spoke for: a train comes from one source, mostly for one session.
#[derive(Clone, Copy)]
struct Familiar {
    session: SessionId,
    node: NodeId,
    seat: Seat,
}

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Every datagram of a train, in order, until the cycle has taken on what it may. Answers what is left
    /// of the train then. At least one datagram is dealt with.
    #[inline]
    pub fn handle_train(&mut self, train: &Train) -> Option<Train> {
        self.counters.trains += 1;
        if train.port != Port::DATA {
            self.handle_peer_train(train);
            return None;
        }
        let first = self.io.bytes(train.slice).first();
        if matches!(first, Some(0x40..=0x7F)) && self.handle_channel_train(train) {
            return None;
        }
        let (mut familiar, mut known) = (None, None);
        for (done, slice) in train.datagrams().enumerate() {
            if done > 0 && self.is_spent() {
                return train.rest(done);
            }
            self.counters.datagrams += 1;
            self.counters.bytes += slice.len() as u64;
            let verdict = if train.truncated {
                Some(Verdict::TooLong)
            } else {
                self.handle_datagram(&train.from, slice, &mut familiar, &mut known)
            };
            if let Some(verdict) = verdict {
                self.counters.count(verdict);
            }
        }
        None
    }

    /// Whether this cycle has taken on as much as it may.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.departures.spent >= cost::CYCLE
    }

    /// A datagram's verdict; `None` when that comes later, with its turn at the handshake desk.
    #[inline]
    fn handle_datagram(
        &mut self,
        from: &ClientAddr,
        slice: Slice,
        familiar: &mut Option<Familiar>,
        known: &mut Option<Known>,
    ) -> Option<Verdict> {
        Some(match classify(self.io.bytes(slice)) {
            Kind::V0 => self.handle_v0(from, slice, familiar),
            Kind::V1 => return self.handle_v1(from, slice, known),
            Kind::Stun => self.handle_stun(from, slice),
            Kind::ChannelData => self.handle_channel_data(from, slice),
            Kind::Runt => Verdict::Runt,
            Kind::Unrecognised => Verdict::Unrecognised,
        })
    }

    #[inline]
    fn handle_v0(
        &mut self,
        from: &ClientAddr,
        slice: Slice,
        familiar: &mut Option<Familiar>,
    ) -> Verdict {
        let datagram = self.io.bytes(slice);
        if self.rules.v0.is_none() {
            return Verdict::V0Closed;
        }
        let Some(header) = Header::peek(datagram) else { return Verdict::Runt };
        if let Err(malformed) = header.check_v0(datagram.len()) {
            return refusal(malformed);
        }
        let (session, node) = (header.session_id(), header.node_id());
        let Some(class) = header.class() else { return Verdict::BadClass };
        let seat = match *familiar {
            Some(known) if known.session == session && known.node == node => known.seat,
            _ => {
                let seat = match self.sessions.seat_of(from, session, node) {
                    Some(seat) => seat,
                    None => match self.learn(from, session, node) {
                        Ok(seat) => seat,
                        Err(verdict) => return verdict,
                    },
                };
                *familiar = Some(Familiar { session, node, seat });
                seat
            }
        };
        let passing = Passing { number: 0, node, class, stream: None };
        self.fan_out(seat, passing, slice)
    }

    /// The cold half: a datagram from someone, or from somewhere, we do not know.
    #[cold]
    fn learn(
        &mut self,
        from: &ClientAddr,
        session: SessionId,
        node: NodeId,
    ) -> Result<Seat, Verdict> {
        let open =
            self.rules.v0.as_ref().is_some_and(|v0| v0.open.iter().any(|cidr| cidr.contains(from)));
        if !open {
            return Err(Verdict::V0Closed);
        }
        if session.is_reserved() {
            return Err(Verdict::ReservedSession);
        }
        if steer::shard_of(session, self.rules.shards) != self.rules.index {
            return Err(Verdict::Stray);
        }
        if self.v1.has_session(session) {
            return Err(Verdict::OtherWire);
        }
        // Who is a receiver may change.
        self.flush();
        let (counters, tell) = (&mut *self.counters, &mut self.tell);
        self.sessions.learn(session, node, *from, self.now, &mut |notice| {
            counters.notice(&notice);
            tell(notice);
        })
    }

    /// The bytes that came, to everyone in the session but the one they came from.
    #[inline]
    fn fan_out(&mut self, seat: Seat, passing: Passing, slice: Slice) -> Verdict {
        let session = self.sessions.session_mut(seat);
        session.frames += 1;
        session.members[seat.member as usize].seen = self.now;
        let audience = session.members.len() as u64 - 1;
        let site = Site { wire: Wire::V0, slot: seat.session };
        let outlet = &mut session.outlet;
        if audience == 0 {
            return Verdict::Alone;
        }
        if self.departures.extend(outlet, &passing, slice)
            || self.departures.push(self.io, site, outlet, passing, slice, audience)
        {
            Verdict::Forwarded
        } else {
            Verdict::Congested
        }
    }
}

const fn refusal(malformed: Malformed) -> Verdict {
    match malformed {
        Malformed::TooShort => Verdict::Runt,
        Malformed::TooLong => Verdict::TooLong,
        Malformed::HeaderLength => Verdict::BadHeaderLength,
        Malformed::Class => Verdict::BadClass,
        // `classify` lets neither pass, and TLVs are not walked here.
        _ => Verdict::Unrecognised,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        let long = |first: u8| {
            let mut bytes = [0; 46];
            bytes[0] = first;
            classify(&bytes)
        };
        assert_eq!(classify(&[]), Kind::Runt);
        for (first, kind) in [
            (0x00, Kind::V0),
            (0x02, Kind::V0),
            (0x03, Kind::Unrecognised),
            (0x04, Kind::Unrecognised),
            (0x0F, Kind::Unrecognised),
            (0x10, Kind::V1),
            (0x13, Kind::V1),
            (0x14, Kind::Unrecognised),
            (0x3F, Kind::Unrecognised),
            (0x40, Kind::ChannelData),
            (0x7F, Kind::ChannelData),
            (0x80, Kind::Unrecognised),
            (0xFF, Kind::Unrecognised),
        ] {
            assert_eq!(long(first), kind, "{first:#x}");
        }
        assert_eq!(classify(&[0; 45]), Kind::Runt);
    }

    #[test]
    fn stun_is_known_by_cookie_and_length() {
        let stun = |len: usize, says: u16| {
            let mut bytes = vec![0; len];
            bytes[2..4].copy_from_slice(&says.to_be_bytes());
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
            classify(&bytes)
        };
        assert_eq!(stun(20, 0), Kind::Stun);
        assert_eq!(stun(48, 28), Kind::Stun);
        assert_eq!(
            stun(48, 27),
            Kind::V0,
            "the length does not fit: a v0 frame of a reserved session"
        );
        assert_eq!(stun(46, 26), Kind::V0, "not a multiple of four");
        assert_eq!(stun(19, 0), Kind::Runt);
    }
}
