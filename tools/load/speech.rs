//! What the participants say, in whichever wire: the engine knows bursts and arrivals, not formats.

use elara_core::limits::V1_FRAME_MAX;
use elara_core::time::Instant;

use crate::frame::{Frames, Seen};
use crate::plan::Plan;
use crate::rtp::Packets;
use crate::swarm::Swarm;
use crate::v1::Party;

pub(crate) enum Speech {
    /// Frames with a stamp.
    V0(Frames),
    /// Sealed frames of participants that have joined.
    V1(Box<Party>),
    /// Packets with a stamp, of whoever sends.
    Rtp(Packets),
}

impl Speech {
    /// Room for a burst of `member`, with all in it that does not change.
    pub(crate) fn burst(&self, plan: &Plan, member: u32) -> Box<[u8]> {
        match self {
            Self::V0(frames) => frames.burst(member, plan.burst),
            Self::Rtp(packets) => packets.burst(plan.burst),
            Self::V1(_) => vec![0; plan.size * plan.burst as usize].into_boxed_slice(),
        }
    }

    /// Makes the frames of a burst, `size` bytes each, ready to go. False when `member` cannot send.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        burst: &mut [u8],
        size: usize,
        member: u32,
        sequence: u32,
        scheduled: u64,
    ) -> bool {
        match self {
            Self::V0(frames) => {
                frames.stamp(burst, member, sequence, scheduled);
                true
            }
            Self::Rtp(packets) => {
                packets.stamp(burst, member, sequence, scheduled);
                true
            }
            Self::V1(party) => party.seal(burst, size, member, sequence, scheduled),
        }
    }

    /// What keeps the relay from forgetting `member`, written into `out`: its length.
    pub(crate) fn keep_alive(
        &mut self,
        member: u32,
        round: u32,
        now: Instant,
        out: &mut [u8; V1_FRAME_MAX],
    ) -> usize {
        match self {
            Self::V0(frames) => {
                let frame = frames.keep_alive(member, round);
                out[..frame.len()].copy_from_slice(&frame);
                frame.len()
            }
            Self::V1(party) => party.ping(member, now, out),
            // Who was told of a participant needs no sign of life, and who only hears has none to give.
            Self::Rtp(_) => 0,
        }
    }

    /// Everyone says goodbye, where that can be said: who comes next finds empty sessions.
    pub(crate) fn leave(&mut self, swarm: &mut Swarm) {
        if let Self::V1(party) = self {
            party.leave(swarm);
        }
    }

    /// Says to `each` what the frames of `datagram` are, which `receiver` received.
    #[inline]
    pub(crate) fn inspect(
        &mut self,
        receiver: u32,
        datagram: &[u8],
        now: Instant,
        mut each: impl FnMut(Seen),
    ) {
        match self {
            Self::Rtp(packets) => each(packets.inspect(receiver, datagram)),
            Self::V0(frames) => frames.inspect_all(receiver, datagram, each),
            Self::V1(party) => party.inspect(receiver, datagram, now, each),
        }
    }
}
