//! A v1 datagram: what it is, whose it is, whether it is genuine, and who gets it.
//!
//! Runs for every datagram of v1, under the laws of [`forward`](crate::forward). Checks, cheapest first
//! (WIRE 3.3); the first that fails names the verdict:
//! ```text
//!   header ─▶ look-up ─▶ TLVs ─▶ PARITY picks the key ─▶ window ─▶ tag ─▶ window set
//!          ─▶ permission ─▶ rate ─▶ address ─▶ fan-out: the bytes that came
//! ```
//! Nothing moves before the tag has verified. A bundle is its frames, in order, up to the first that
//! fails; a participant the frame before was of is not looked up again.

use elara_core::crypto::handshake::{Arrival, Refused};
use elara_core::crypto::hop::Refusal;
use elara_core::limits::BUNDLE_FRAMES_MAX;
use elara_core::wire::Header;
use elara_core::wire::header::{Class, flags};
use elara_core::wire::v1::bundle::BUNDLE;
use elara_core::wire::v1::control::alert;
use elara_core::wire::v1::header::CLASS_HANDSHAKE;
use elara_core::wire::v1::{Bundle, Fault, Frame, Kind};
use elara_core::{ClientAddr, NodeId, SessionId};

use super::fanout::is_wanted;
use super::rates::Allowance;
use crate::command::Notice;
use crate::departures::{Passing, Site, Wire};
use crate::forward::Forward;
use crate::io::{Io, Slice};
use crate::steer;
use crate::verdict::Verdict;

/// The participant of the frame before.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    session: SessionId,
    node: NodeId,
    number: u32,
}

/// Where a frame came from, and in what.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) from: ClientAddr,
    /// Bytes of the whole datagram; 0 for the frames of a bundle behind its first, so that what a datagram
    /// causes, it causes once.
    pub(super) datagram_len: usize,
}

impl Origin {
    /// Datagrams that begin with this frame: 0 or 1.
    pub(super) fn begun(&self) -> u32 {
        u32::from(self.datagram_len > 0)
    }
}

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// One datagram whose first byte says v1; no verdict yet for a HELLO that has to wait for its turn.
    #[inline]
    pub(crate) fn handle_v1(
        &mut self,
        from: &ClientAddr,
        slice: Slice,
        known: &mut Option<Known>,
    ) -> Option<Verdict> {
        if !self.v1.is_open() {
            return Some(Verdict::V1Closed);
        }
        let origin = Origin { from: *from, datagram_len: slice.len() };
        let datagram = self.io.bytes(slice);
        if datagram.first() == Some(&BUNDLE) {
            return Some(self.handle_bundle(&origin, slice, known));
        }
        if Header::peek(datagram).is_some_and(|header| header.class == CLASS_HANDSHAKE) {
            return self.handle_handshake(from, slice);
        }
        Some(self.handle_frame(&origin, slice, known))
    }

    fn handle_bundle(
        &mut self,
        origin: &Origin,
        slice: Slice,
        known: &mut Option<Known>,
    ) -> Verdict {
        let mut lengths = [0; BUNDLE_FRAMES_MAX];
        let bundle = match Bundle::parse(self.io.bytes(slice)) {
            Ok(bundle) if bundle.one_sender() => bundle,
            _ => return Verdict::BadBundle,
        };
        let count = bundle.count();
        let mut start = slice.len();
        for (length, frame) in lengths.iter_mut().zip(bundle.iter()) {
            *length = frame.len() as u16;
            start -= frame.len();
        }
        let mut best = Verdict::Control;
        let mut origin = *origin;
        for &len in &lengths[..count] {
            let frame = Slice { start: slice.start + start as u32, len, ..slice };
            let verdict = self.handle_frame(&origin, frame, known);
            origin.datagram_len = 0;
            if verdict.is_refusal() {
                return verdict;
            }
            if best == Verdict::Control || verdict == Verdict::Forwarded {
                best = verdict;
            }
            start += usize::from(len);
        }
        best
    }

    #[inline]
    fn handle_frame(
        &mut self,
        origin: &Origin,
        slice: Slice,
        known: &mut Option<Known>,
    ) -> Verdict {
        let frame = self.io.bytes(slice);
        let Some(header) = Header::peek(frame) else { return Verdict::Runt };
        let kind = match header.check_v1(frame.len()) {
            Ok(kind) => kind,
            Err(fault) => return refusal(fault),
        };
        let (session, node) = (header.session_id(), header.node_id());
        let number = match *known {
            Some(known) if known.session == session && known.node == node => Some(known.number),
            _ => self.v1.find(session, node),
        };
        let Some(number) = number else { return self.handle_stranger(origin, slice) };
        *known = Some(Known { session, node, number });
        let verdict = match kind {
            Kind::Data(class) => self.handle_data(origin, slice, number, class),
            _ => self.handle_control(origin, slice, number),
        };
        // Who has left is looked up anew.
        if self.v1.participants.get(number).is_none() {
            *known = None;
        }
        verdict
    }

    #[inline]
    fn handle_data(&mut self, origin: &Origin, slice: Slice, number: u32, class: Class) -> Verdict {
        let bytes = self.io.bytes(slice);
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(fault) => return refusal(fault),
        };
        let v1 = &mut *self.v1;
        let Some(them) = v1.participants.get_mut(number) else {
            return Verdict::UnknownParticipant;
        };
        let arrival = match them.entry.data(bytes, &mut v1.scratch, self.now) {
            Ok(arrival) => arrival,
            Err(why) => return self.refuse_frame(why, origin, slice),
        };
        let stream = frame.tlvs.stream.map(|stream| stream.stream.get());
        let passing = Passing { number, node: them.node, class, stream };
        let inst = frame.tlvs.state.map(|state| state.inst);
        let multipath = frame.header.flags & flags::MULTIPATH != 0;
        self.counters.frames += 1;
        if let Some(refused) = self.hear(number, origin, &arrival) {
            return refused;
        }
        let Some(them) = self.v1.participants.get_mut(number) else {
            return Verdict::UnknownParticipant;
        };
        if !them.permissions.may_send(class as u8) {
            self.alert(number, alert::PERMISSION, u32::from(class as u8));
            return Verdict::Forbidden;
        }
        let connection = |_| them.entry.connection(arrival.conn);
        let own = inst.and_then(connection).map(|connection| connection.link.inst.0);
        if inst != own {
            return Verdict::ForeignInst;
        }
        if !them.allowance.take(slice.len(), origin.begun(), self.now) {
            let kbps = them.entry.active().map_or(0, |active| Allowance::kbps(&active.claims));
            self.alert(number, alert::RATE, kbps);
            return Verdict::OverRate;
        }
        self.locate(number, origin, &arrival, multipath);
        self.fan_out_v1(slice, passing)
    }

    /// The bytes that came, to everyone in the session who asked for them.
    #[inline]
    fn fan_out_v1(&mut self, slice: Slice, passing: Passing) -> Verdict {
        let v1 = &mut *self.v1;
        let Some(place) = v1.participants.get(passing.number).and_then(|them| them.place) else {
            return Verdict::UnknownParticipant;
        };
        let Some(room) = v1.rooms.get_mut(place.room) else { return Verdict::UnknownParticipant };
        room.frames += 1;
        // Who wants the frame before wants this one too: nobody is asked twice.
        if self.departures.extend(&room.outlet, &passing, slice) {
            return Verdict::Forwarded;
        }
        let (before, after) = room.members.split_at(place.member as usize);
        let mut others = before.iter().chain(&after[1..]);
        if !others.any(|member| is_wanted(&v1.participants, member, &passing)) {
            return if room.members.len() == 1 { Verdict::Alone } else { Verdict::Unwanted };
        }
        let audience = room.members.len() as u64 - 1;
        let site = Site { wire: Wire::V1, slot: place.room };
        let outlet = &mut room.outlet;
        if self.departures.push(self.io, site, outlet, passing, slice, audience) {
            Verdict::Forwarded
        } else {
            Verdict::Congested
        }
    }

    /// Sends what a participant's session is about to. To be called before anything changes who is a
    /// receiver there.
    #[inline]
    pub(super) fn flush_room_of(&mut self, number: u32) {
        let place = self.v1.participants.get(number).and_then(|them| them.place);
        if let Some(place) = place {
            self.flush_session(Site { wire: Wire::V1, slot: place.room });
        }
    }

    /// A frame has verified: its sender is there. A verdict when it cannot enter.
    #[inline]
    pub(super) fn hear(
        &mut self,
        number: u32,
        origin: &Origin,
        arrival: &Arrival,
    ) -> Option<Verdict> {
        if arrival.activated {
            return self.activate(number, &origin.from);
        }
        if let Some(them) = self.v1.participants.get_mut(number) {
            them.seen = self.now;
        }
        None
    }

    /// Why a frame that names a participant was not taken; a hint for one whose connection is unknown.
    #[cold]
    pub(super) fn refuse_frame(&mut self, why: Refused, origin: &Origin, slice: Slice) -> Verdict {
        match why {
            Refused::NoConnection => {
                self.hint_reset(origin, slice);
                Verdict::NoConnection
            }
            Refused::Hop(Refusal::Replayed) => Verdict::Replayed,
            Refused::Hop(Refusal::TooOld) => Verdict::TooOld,
            Refused::Hop(Refusal::BadTag) => Verdict::BadTag,
            Refused::Hop(Refusal::Suite) => Verdict::BadSuite,
            Refused::Hop(Refusal::Class) => Verdict::BadClass,
            Refused::Hop(Refusal::Misshapen) => Verdict::BadHeaderLength,
        }
    }

    /// A frame of nobody we know.
    #[cold]
    fn handle_stranger(&mut self, origin: &Origin, slice: Slice) -> Verdict {
        let Some(header) = Header::peek(self.io.bytes(slice)) else { return Verdict::Runt };
        let session = header.session_id();
        if steer::shard_of(session, self.rules.shards) != self.rules.index {
            return Verdict::Stray;
        }
        self.hint_reset(origin, slice);
        Verdict::UnknownParticipant
    }
}

pub(super) const fn refusal(fault: Fault) -> Verdict {
    match fault {
        Fault::TooShort => Verdict::Runt,
        Fault::TooLong => Verdict::TooLong,
        Fault::Version => Verdict::Unrecognised,
        Fault::Suite => Verdict::BadSuite,
        Fault::Flags => Verdict::BadFlags,
        Fault::Class => Verdict::BadClass,
        Fault::HeaderLength => Verdict::BadHeaderLength,
        Fault::Extension
        | Fault::StreamBits
        | Fault::Rule
        | Fault::Lifetime
        | Fault::Item
        | Fault::Parts => Verdict::BadExtension,
    }
}
