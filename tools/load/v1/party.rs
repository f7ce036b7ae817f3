//! The participants of the load, and their frames: sealed when they are due, known again when they arrive.
//!
//! A load frame is what a client's media frame is: STREAM, a sealed body, the tag of the hop. STREAM says
//! whose it is (`stream` is the sender's place in its session) and which (`index`), the rest is
//! compared with what was sent. Nothing here allocates once everyone is in.

use std::time::Duration;

use elara_core::SessionId;
use elara_core::crypto::{EpochSecret, Scratch, Suite};
use elara_core::limits::{V1_FRAME_MAX, V1_OVERHEAD};
use elara_core::time::Instant;
use elara_core::wire::Header;
use elara_core::wire::v1::bundle::BUNDLE;
use elara_core::wire::v1::tlv::bits;
use elara_core::wire::v1::{BodyKind, Bundle, Frame, Kind, Opened, Stream, Tlvs};
use elara_shards::sys::cpu::calendar;

use super::guest::{Guest, Told};
use super::pass::Pass;
use super::sent::{Known, Sent};
use crate::frame::{Look, Seen};
use crate::plan::Plan;
use crate::swarm::Swarm;

/// A token and a certificate outlive the run by this, in seconds: clocks differ.
const SPARE_S: u32 = 86_400;
/// Goodbyes in a row, and the pause after them.
const GOODBYES: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of a body that are neither content nor padding: its kind, and its end.
const BODY_MARKS: usize = 2;

/// All participants of the load.
pub(crate) struct Party {
    guests: Vec<Guest>,
    participants: u32,
    senders: u32,
    suite: Suite,
    look: Look,
    content: Box<[u8]>,
    sent: Sent,
    secret: EpochSecret,
    scratch: Scratch,
}

impl Party {
    /// Everyone, with fresh keys, and not in yet.
    pub(crate) fn invite(plan: &Plan, pass: &Pass) -> Self {
        let stream = stream(0, 0);
        let spent = V1_OVERHEAD + with(&stream).encoded_len() + BODY_MARKS;
        let senders = plan.sessions as usize * plan.senders as usize;
        Self {
            guests: guests(plan, pass, 0..plan.members() as u32),
            participants: plan.participants,
            senders: plan.senders,
            suite: plan.suite,
            look: Look::of(plan.model),
            content: (0..plan.size - spent).map(|at| at as u8 ^ 0x5A).collect(),
            sent: Sent::new(senders, plan.reorder_frames(), plan.size),
            secret: EpochSecret::from_session_key(pass.session_key()),
            scratch: Scratch::new(),
        }
    }

    pub(crate) fn guests(&mut self) -> (&mut [Guest], &mut Scratch) {
        (&mut self.guests, &mut self.scratch)
    }

    /// Everyone who will send gets ready to.
    pub(crate) fn warm(&mut self) {
        let speakers = |(place, guest): (usize, _)| {
            (place as u32 % self.participants < self.senders).then_some(guest)
        };
        self.guests
            .iter_mut()
            .enumerate()
            .filter_map(speakers)
            .for_each(|guest| guest.warm(&self.secret));
    }

    /// Seals the frames of a burst, from `sequence` on, and keeps them. False when the member is not in.
    #[inline]
    pub(crate) fn seal(
        &mut self,
        burst: &mut [u8],
        size: usize,
        member: u32,
        sequence: u32,
        scheduled: u64,
    ) -> bool {
        let place = member % self.participants;
        let guest = &mut self.guests[member as usize];
        let mut header = Header::v1(
            self.suite as u8,
            guest.session(),
            guest.node(),
            Kind::Data(self.look.class),
        );
        header.profile = self.look.profile;
        header.time_hint = ((scheduled / 100_000) as i32).into();
        let sender = (member / self.participants * self.senders + place) as usize;
        for (frame, sequence) in burst.chunks_exact_mut(size).zip(sequence..) {
            let stream = stream(place as u16, sequence);
            let opened = Opened { kind: BodyKind::Media, content: &self.content };
            if !guest.seal(&header, &with(&stream), opened, frame) {
                return false;
            }
            self.sent.keep(sender, sequence, scheduled, frame);
        }
        true
    }

    /// Everyone leaves, not faster than a small receive buffer takes.
    pub(crate) fn leave(&mut self, swarm: &mut Swarm) {
        let mut out = [0; V1_FRAME_MAX];
        for (member, guest) in self.guests.iter_mut().enumerate() {
            if let Some(len) = guest.leave(&mut out) {
                swarm.send_frame(member as u32, &out[..len]);
            }
            if member % GOODBYES == GOODBYES - 1 {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// A PING of `member`: its length, 0 when it is not in.
    pub(crate) fn ping(
        &mut self,
        member: u32,
        now: Instant,
        out: &mut [u8; V1_FRAME_MAX],
    ) -> usize {
        self.guests[member as usize].ping(now, out).unwrap_or(0)
    }

    /// Says to `each` what the frames of `datagram`, received by `receiver`, are.
    #[inline]
    pub(crate) fn inspect(
        &mut self,
        receiver: u32,
        datagram: &[u8],
        now: Instant,
        mut each: impl FnMut(Seen),
    ) {
        self.guests[receiver as usize].count();
        if datagram.first() != Some(&BUNDLE) {
            return each(self.inspect_frame(receiver, datagram, now));
        }
        match Bundle::parse(datagram) {
            Ok(bundle) => bundle.iter().for_each(|frame| {
                each(self.inspect_frame(receiver, frame, now));
            }),
            Err(_) => each(Seen::Corrupt),
        }
    }

    #[inline]
    fn inspect_frame(&mut self, receiver: u32, bytes: &[u8], now: Instant) -> Seen {
        let Some(header) = Header::peek(bytes) else { return Seen::Corrupt };
        let guest = &mut self.guests[receiver as usize];
        if header.session_id() != guest.session() {
            return Seen::WrongSession;
        }
        let Ok(Kind::Data(_)) = header.check_v1(bytes.len()) else {
            return match guest.handle(bytes, now, &mut self.scratch) {
                Told::Garbage => Seen::Corrupt,
                Told::Alert => Seen::Alert,
                Told::Kicked => Seen::Kicked,
                _ => Seen::Control,
            };
        };
        let Ok(Frame { tlvs: Tlvs { stream: Some(stream), state: None }, .. }) =
            Frame::parse(bytes)
        else {
            return Seen::Corrupt;
        };
        let (place, sequence) = (u32::from(stream.stream.get()), stream.index.get());
        if place >= self.senders {
            return Seen::Corrupt;
        }
        let session = receiver / self.participants;
        let member = session * self.participants + place;
        if header.node_id() != self.guests[member as usize].node() {
            return Seen::Foreign;
        }
        match self.sent.find((session * self.senders + place) as usize, sequence) {
            Known::Frame(sent, _) if sent != bytes => Seen::Corrupt,
            Known::Frame(..) if member == receiver => Seen::Echo,
            Known::Frame(_, scheduled) => Seen::Load { sender: place, scheduled, sequence },
            Known::Forgotten => Seen::Forgotten,
            Known::Unsent => Seen::Corrupt,
        }
    }
}

/// Participants number `members`, with fresh keys and tokens.
pub(super) fn guests(plan: &Plan, pass: &Pass, members: impl Iterator<Item = u32>) -> Vec<Guest> {
    let run_s = (plan.warmup + plan.duration + plan.drain).as_secs() as u32;
    let expires = calendar().seconds().saturating_add(run_s).saturating_add(SPARE_S);
    let session = |member| SessionId(plan.first_session + u64::from(member / plan.participants));
    let membership = |member| pass.membership(member, session(member), plan.suite, expires);
    members.map(|member| Guest::new(membership(member), plan.hold_ms)).collect()
}

/// What STREAM says of load frame number `sequence`.
fn stream(place: u16, sequence: u32) -> Stream {
    Stream {
        stream: place.into(),
        bits: bits::FIRST | bits::LAST,
        layer: 0,
        frame: sequence.into(),
        index: sequence.into(),
    }
}

fn with(stream: &Stream) -> Tlvs<'_> {
    Tlvs { stream: Some(stream), state: None }
}
