//! Plain RTP, for relays that speak neither wire: a sender and its hearers, at ports that the relay was told.
//!
//! ```text
//!   RTP header 12 | stamp 28 | filler ..
//! ```
//! Nobody is introduced, and nobody joins. Whoever starts the run has told the relay, in the relay's own way,
//! where it hears each session's sender, and that everyone else of the session is to hear it at a
//! port of theirs. A relay may rewrite the header, as one that numbers streams anew does; what is behind
//! it must arrive byte for byte.

use std::net::SocketAddr;

use serde::Serialize;

use crate::frame::Seen;
use crate::plan::{FRAME_MIN, Plan};
use crate::stamp::{Kind, STAMP_LEN, Stamp};

/// Bytes of an RTP header without extras, and all there are here. RFC 3550 section 5.1.
pub const RTP_HEADER_LEN: usize = 12;
/// The first byte of it: version 2, no padding, no extension, no contributing sources.
const VERSION: u8 = 0x80;
/// The payload type: the first dynamic one.
pub const RTP_PAYLOAD_TYPE: u8 = 96;
/// The stream's number, the same in each session: where Janus hears a remote publisher, it tells streams
/// apart by it, and 1,000 is the first.
pub const RTP_SSRC: u32 = 1_000;
/// The last packet of a burst, as of a picture.
const MARKER: u8 = 0x80;
/// What RTCP packets have in place of marker and payload type. RFC 5761 section 4.
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;
/// Nanoseconds of a tick of the 90 kHz clock that pictures are stamped with.
const TICK: u64 = 1_000_000_000 / 90_000;

const BODY: usize = RTP_HEADER_LEN + STAMP_LEN;

/// How the relay was wired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wiring {
    /// Where the relay hears the sender of each session.
    pub to: Vec<SocketAddr>,
    /// The first member's port, on every address of this machine; the others' follow.
    pub first_port: u16,
}

/// How the packets of one run look.
pub(crate) struct Packets {
    run: u32,
    participants: u32,
    members: u32,
    size: usize,
    filler: Box<[u8]>,
}

impl Packets {
    pub(crate) fn new(plan: &Plan, run: u32) -> Self {
        Self {
            run,
            participants: plan.participants,
            members: plan.members() as u32,
            size: plan.size,
            filler: (BODY..plan.size).map(|at| at as u8 ^ 0x5A).collect(),
        }
    }

    /// The bytes of one burst: `frames` packets in a row, all but their numbers and stamps.
    pub(crate) fn burst(&self, frames: u32) -> Box<[u8]> {
        let mut bytes = vec![0; self.size * frames as usize];
        for packet in bytes.chunks_exact_mut(self.size) {
            packet[0] = VERSION;
            packet[1] = RTP_PAYLOAD_TYPE;
            packet[8..RTP_HEADER_LEN].copy_from_slice(&RTP_SSRC.to_be_bytes());
            packet[BODY..].copy_from_slice(&self.filler);
        }
        if let Some(last) = bytes.chunks_exact_mut(self.size).next_back() {
            last[1] |= MARKER;
        }
        bytes.into_boxed_slice()
    }

    /// Numbers and stamps the packets of a burst, from `sequence` on.
    #[inline]
    pub(crate) fn stamp(&self, burst: &mut [u8], member: u32, sequence: u32, scheduled: u64) {
        let ticks = (scheduled / TICK) as u32;
        for (packet, sequence) in burst.chunks_exact_mut(self.size).zip(sequence..) {
            packet[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&ticks.to_be_bytes());
            let stamp = Stamp { kind: Kind::Load, run: self.run, scheduled, member, sequence };
            stamp.write(&mut packet[RTP_HEADER_LEN..]);
        }
    }

    /// What `bytes`, received by `receiver`, are.
    #[inline]
    pub(crate) fn inspect(&self, receiver: u32, bytes: &[u8]) -> Seen {
        let Some((header, body)) = bytes.split_at_checked(RTP_HEADER_LEN) else {
            return Seen::Corrupt;
        };
        if header[0] >> 6 == VERSION >> 6 && RTCP.contains(&header[1]) {
            return Seen::Control;
        }
        let Some(stamp) = Stamp::read(body) else { return Seen::Corrupt };
        let other = header[0] != VERSION
            || bytes.len() != self.size
            || body[STAMP_LEN..] != *self.filler
            || stamp.kind != Kind::Load;
        match stamp {
            _ if other => Seen::Corrupt,
            _ if stamp.run != self.run => Seen::Foreign,
            // Only the first of a session sends.
            _ if stamp.member >= self.members || stamp.member % self.participants != 0 => {
                Seen::Corrupt
            }
            _ if stamp.member / self.participants != receiver / self.participants => {
                Seen::WrongSession
            }
            _ if stamp.member == receiver => Seen::Echo,
            Stamp { scheduled, sequence, .. } => Seen::Load { sender: 0, scheduled, sequence },
        }
    }
}

const _: () = assert!(BODY < FRAME_MIN, "any frame has room for a stamp");

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 77;

    /// Sessions of 4: members 0 and 4 send.
    fn packets() -> Packets {
        Packets::new(&Plan { participants: 4, sessions: 5, size: 200, ..Plan::video() }, RUN)
    }

    fn burst(packets: &Packets, member: u32, sequence: u32) -> Box<[u8]> {
        let mut burst = packets.burst(3);
        packets.stamp(&mut burst, member, sequence, 2_000_000_000);
        burst
    }

    #[test]
    fn a_burst_is_a_row_of_rtp_packets_that_are_recognised() {
        let packets = packets();
        let burst = burst(&packets, 4, 0x1_FFFF);
        assert_eq!(burst.len(), 600);
        for ((packet, sequence), last) in
            burst.chunks(200).zip(0x1_FFFFu32..).zip([false, false, true])
        {
            assert_eq!(packet[0], 0x80);
            assert_eq!(packet[1], if last { 0x80 | 96 } else { 96 });
            assert_eq!(packet[2..4], (sequence as u16).to_be_bytes());
            assert_eq!(
                packet[4..8],
                180_001u32.to_be_bytes(),
                "two seconds at 90 kHz, as ticks go"
            );
            assert_eq!(packet[8..12], 1_000u32.to_be_bytes());
            let load = Seen::Load { sender: 0, scheduled: 2_000_000_000, sequence };
            assert_eq!(packets.inspect(5, packet), load);
            assert_eq!(packets.inspect(4, packet), Seen::Echo);
            assert_eq!(packets.inspect(3, packet), Seen::WrongSession);
        }
    }

    #[test]
    fn a_relay_may_renumber_and_change_nothing_else() {
        let packets = packets();
        let original = &burst(&packets, 4, 1)[..200];
        let mut bytes = original.to_vec();
        for at in 0..bytes.len() {
            bytes[at] ^= 0x01;
            let seen = packets.inspect(5, &bytes);
            match at {
                1..12 => assert!(matches!(seen, Seen::Load { .. }), "byte {at}: {seen:?}"),
                _ => assert_eq!(seen, Seen::Corrupt, "byte {at}"),
            }
            bytes[at] ^= 0x01;
        }
        for len in [0, 11, 12, BODY, 199] {
            assert_eq!(packets.inspect(5, &original[..len]), Seen::Corrupt, "{len} bytes");
        }
        bytes.push(0);
        assert_eq!(packets.inspect(5, &bytes), Seen::Corrupt);
    }

    #[test]
    fn what_a_relay_reports_is_no_load_and_no_mistake() {
        let sender_report = [0x80, 200, 0, 6].into_iter().chain([0; 24]).collect::<Vec<u8>>();
        assert_eq!(packets().inspect(5, &sender_report), Seen::Control);
    }

    #[test]
    fn another_generator_is_told_apart() {
        let other = Packets { run: RUN + 1, ..packets() };
        assert_eq!(packets().inspect(5, &burst(&other, 4, 1)[..200]), Seen::Foreign);
        let silent = burst(&packets(), 6, 1);
        assert_eq!(packets().inspect(5, &silent[..200]), Seen::Corrupt, "who only hears");
    }
}
