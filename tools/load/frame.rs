//! The frames of a run in wire v0: written in place, and recognised byte for byte when they come back.
//!
//! ```text
//!   header 30 | stamp 28 | filler .. | 16 zero bytes
//! ```
//! Everything but the header's sequence and the stamp is written once. A relay must forward byte
//! for byte, so [`Frames::inspect`] checks every byte: the stamp by its sum, the header by writing it
//! again, the rest by comparison.

use elara_core::limits::{BUNDLE_HEAD_LEN, HEADER_LEN, TAG_LEN};
use elara_core::wire::Header;
use elara_core::wire::header::{Class, profile};
use elara_core::wire::v1::bundle::BUNDLE;
use elara_core::{NodeId, SessionId};
use zerocopy::IntoBytes;

use crate::plan::{FRAME_MIN, Model, Plan};
use crate::stamp::{Kind, STAMP_LEN, Stamp};

/// Node ids are this plus the member's number: the same in each run, so that a relay that remembers
/// an earlier run sees its participants move, and not strangers join.
const NODE_BASE: u64 = 0xE1A2_A000_0000_0000;
const BODY: usize = HEADER_LEN + STAMP_LEN;

/// What the headers of load frames say about their content.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) class: Class,
    pub(crate) profile: u8,
}

impl Look {
    pub(crate) const fn of(model: Model) -> Self {
        let (class, profile) = match model {
            Model::Voice => (Class::Perceptual, profile::VOICE_STANDARD),
            Model::Video => (Class::Enhancement, profile::VIDEO_STANDARD),
        };
        Self { class, profile }
    }
}

/// How the frames of one run look.
pub(crate) struct Frames {
    run: u32,
    participants: u32,
    senders: u32,
    members: u32,
    first_session: u64,
    size: usize,
    look: Look,
    /// What follows the stamp: filler and zeros.
    tail: Box<[u8]>,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A load frame for this receiver, every byte as it was sent.
    Load {
        /// The sender's number within its session, `0..senders`.
        sender: u32,
        /// When it was due.
        scheduled: u64,
        /// Its number.
        sequence: u32,
    },
    /// A keep-alive of this member, for this receiver.
    KeepAlive(u32),
    /// A frame of another session than the socket's.
    WrongSession,
    /// A frame that came back to its own sender.
    Echo,
    /// A frame of another run: another generator uses the same sessions.
    Foreign,
    /// Not as it was sent.
    Corrupt,
    /// Wire v1: a frame sent too long ago to know it again.
    Forgotten,
    /// Wire v1: something the relay says.
    Control,
    /// Wire v1: the relay does not like what is sent.
    Alert,
    /// Wire v1: the receiver was sent away.
    Kicked,
}

impl Frames {
    pub(crate) fn new(plan: &Plan, run: u32) -> Self {
        let mut tail: Box<[u8]> = (BODY..plan.size).map(|at| at as u8 ^ 0x5A).collect();
        let filler = tail.len() - TAG_LEN;
        tail[filler..].fill(0);
        Self {
            run,
            participants: plan.participants,
            senders: plan.senders,
            members: plan.members() as u32,
            first_session: plan.first_session,
            size: plan.size,
            look: Look::of(plan.model),
            tail,
        }
    }

    /// The bytes of one burst of `member`: `frames` frames in a row, all but their stamps.
    pub(crate) fn burst(&self, member: u32, frames: u32) -> Box<[u8]> {
        let mut bytes = vec![0; self.size * frames as usize];
        for frame in bytes.chunks_exact_mut(self.size) {
            frame[..HEADER_LEN].copy_from_slice(self.load_header(member, 0).as_bytes());
            frame[BODY..].copy_from_slice(&self.tail);
        }
        bytes.into_boxed_slice()
    }

    /// Numbers and stamps the frames of a burst, from `sequence` on.
    #[inline]
    pub(crate) fn stamp(&self, burst: &mut [u8], member: u32, sequence: u32, scheduled: u64) {
        for (frame, sequence) in burst.chunks_exact_mut(self.size).zip(sequence..) {
            let header = self.load_header(member, sequence);
            frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
            let stamp = Stamp { kind: Kind::Load, run: self.run, scheduled, member, sequence };
            stamp.write(&mut frame[HEADER_LEN..]);
        }
    }

    /// A keep-alive: the smallest frame that has room for a stamp, class Core.
    pub(crate) fn keep_alive(&self, member: u32, sequence: u32) -> [u8; FRAME_MIN] {
        let mut frame = [0; FRAME_MIN];
        let mut header = Header::v0(self.session(member), node(member));
        header.set_seq_window(sequence as u16, 0);
        frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
        let kind = Kind::KeepAlive;
        Stamp { kind, run: self.run, scheduled: 0, member, sequence }
            .write(&mut frame[HEADER_LEN..]);
        frame
    }

    /// What `bytes`, received by `receiver`, are.
    #[inline]
    pub(crate) fn inspect(&self, receiver: u32, bytes: &[u8]) -> Seen {
        let Some(header) = Header::peek(bytes) else { return Seen::Corrupt };
        if header.session_id() != self.session(receiver) {
            return Seen::WrongSession;
        }
        let Some(stamp) = Stamp::read(&bytes[HEADER_LEN..]) else { return Seen::Corrupt };
        if stamp.run != self.run {
            return Seen::Foreign;
        }
        let sender = stamp.member % self.participants;
        // A stamp of ours under a header that names another session: the header was changed.
        if stamp.member >= self.members || self.session(stamp.member) != self.session(receiver) {
            return Seen::Corrupt;
        }
        match stamp.kind {
            Kind::KeepAlive if *bytes != self.keep_alive(stamp.member, stamp.sequence) => {
                Seen::Corrupt
            }
            Kind::Load
                if sender >= self.senders
                    || *header != self.load_header(stamp.member, stamp.sequence)
                    || bytes[BODY..] != *self.tail =>
            {
                Seen::Corrupt
            }
            _ if stamp.member == receiver => Seen::Echo,
            Kind::KeepAlive => Seen::KeepAlive(stamp.member),
            Kind::Load => {
                Seen::Load { sender, scheduled: stamp.scheduled, sequence: stamp.sequence }
            }
        }
    }

    /// Says to `each` what the frames of `datagram` are, which `receiver` received: one, or a pack of them.
    #[inline]
    pub(crate) fn inspect_all(&self, receiver: u32, datagram: &[u8], mut each: impl FnMut(Seen)) {
        if datagram.first() != Some(&BUNDLE) {
            return each(self.inspect(receiver, datagram));
        }
        match unpack(datagram) {
            Some(frames) => frames.for_each(|bytes| each(self.inspect(receiver, bytes))),
            None => each(Seen::Corrupt),
        }
    }

    fn session(&self, member: u32) -> SessionId {
        SessionId(self.first_session + u64::from(member / self.participants))
    }

    fn load_header(&self, member: u32, sequence: u32) -> Header {
        let mut header = Header::v0(self.session(member), node(member));
        header.class = self.look.class as u8;
        header.profile = self.look.profile;
        header.set_seq_window(sequence as u16, 0);
        header
    }
}

/// The frames of a pack: what a floor that bundles makes of frames of v0. Its front is that of a bundle of
/// v1; no frame of v0 begins like it, and no relay sends one over v0.
fn unpack(datagram: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let count = usize::from(*datagram.get(1)?);
    let (front, mut rest) = datagram.split_at_checked(BUNDLE_HEAD_LEN + 2 * count)?;
    let lengths = front[BUNDLE_HEAD_LEN..].chunks_exact(2);
    let lengths = lengths.map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])));
    if lengths.clone().sum::<usize>() != rest.len() {
        return None;
    }
    Some(lengths.map(move |length| {
        let (frame, after) = rest.split_at(length);
        rest = after;
        frame
    }))
}

fn node(member: u32) -> NodeId {
    NodeId(NODE_BASE + u64::from(member))
}

#[cfg(test)]
mod tests {
    use elara_core::wire::v1::BundleHead;

    use super::*;

    const RUN: u32 = 77;

    /// Sessions of 4 with 2 senders: members 0..4 in the first, 4..8 in the second.
    fn frames(size: usize) -> Frames {
        Frames::new(&Plan { participants: 4, senders: 2, sessions: 5, size, ..Plan::video() }, RUN)
    }

    fn burst(frames: &Frames, member: u32, sequence: u32) -> Box<[u8]> {
        let mut burst = frames.burst(member, 3);
        frames.stamp(&mut burst, member, sequence, 1_000);
        burst
    }

    #[test]
    fn a_burst_is_a_row_of_valid_frames_that_are_recognised() {
        for size in [FRAME_MIN, 200, 1_400] {
            let frames = frames(size);
            let burst = burst(&frames, 5, 0x1_FFFF);
            assert_eq!(burst.len(), size * 3);
            for (bytes, sequence) in burst.chunks(size).zip(0x1_FFFF..) {
                let header = Header::peek(bytes).unwrap();
                assert_eq!(header.check_v0(bytes.len()), Ok(()));
                assert_eq!(header.seq(), sequence as u16);
                assert_eq!(bytes[size - TAG_LEN..], [0; TAG_LEN]);
                let seen = Seen::Load { sender: 1, scheduled: 1_000, sequence };
                assert_eq!(frames.inspect(4, bytes), seen);
                assert_eq!(frames.inspect(5, bytes), Seen::Echo);
                assert_eq!(frames.inspect(3, bytes), Seen::WrongSession);
            }
        }
    }

    #[test]
    fn a_keep_alive_is_a_valid_frame_and_never_load() {
        let frames = frames(200);
        let bytes = frames.keep_alive(6, 3);
        let header = Header::peek(&bytes).unwrap();
        assert_eq!(header.check_v0(bytes.len()), Ok(()));
        assert_eq!(header.class(), Some(Class::Core));
        assert_eq!(frames.inspect(4, &bytes), Seen::KeepAlive(6));
        assert_eq!(frames.inspect(0, &bytes), Seen::WrongSession);
        assert_eq!(frames.inspect(6, &bytes), Seen::Echo);
    }

    #[test]
    fn a_change_of_any_byte_is_seen() {
        let frames = frames(200);
        let load = burst(&frames, 5, 1);
        for original in [&load[..200], &frames.keep_alive(5, 1)] {
            let mut bytes = original.to_vec();
            for at in 0..bytes.len() {
                bytes[at] ^= 0x10;
                let seen = frames.inspect(4, &bytes);
                let expected =
                    if (4..12).contains(&at) { Seen::WrongSession } else { Seen::Corrupt };
                assert_eq!(seen, expected, "byte {at}");
                bytes[at] ^= 0x10;
            }
        }
    }

    #[test]
    fn a_pack_is_its_frames_and_nothing_when_it_does_not_add_up() {
        let frames = frames(120);
        let burst = burst(&frames, 5, 7);
        let parts: Vec<&[u8]> = burst.chunks(120).collect();
        let mut pack = vec![0; 1_232];
        let pack = BundleHead::join(&mut pack, frames.session(5), &parts).unwrap();
        let seen = |pack: &[u8]| {
            let mut seen = Vec::new();
            frames.inspect_all(4, pack, |one| seen.push(one));
            seen
        };
        let load = |sequence| Seen::Load { sender: 1, scheduled: 1_000, sequence };
        assert_eq!(seen(pack), [7, 8, 9].map(load));
        assert_eq!(seen(&burst[..120]), [load(7)]);
        for len in [1, 2, 12, 18, pack.len() - 1] {
            assert_eq!(seen(&pack[..len]), [Seen::Corrupt], "{len} bytes");
        }
    }

    #[test]
    fn a_frame_cut_short_or_grown_is_corrupt() {
        let frames = frames(200);
        let load = burst(&frames, 5, 1);
        for len in [0, 29, HEADER_LEN, BODY, 199] {
            assert_eq!(frames.inspect(4, &load[..len]), Seen::Corrupt, "{len} bytes");
        }
        assert_eq!(frames.inspect(4, &load[..201]), Seen::Corrupt);
    }

    #[test]
    fn another_generator_is_told_apart() {
        let other = Frames { run: RUN + 1, ..frames(200) };
        assert_eq!(frames(200).inspect(4, &burst(&other, 5, 1)[..200]), Seen::Foreign);
        assert_eq!(frames(200).inspect(4, &other.keep_alive(5, 1)), Seen::Foreign);
    }
}
