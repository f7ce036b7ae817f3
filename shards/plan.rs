//! What one receiver gets, in as few sends as the kernel allows.
//!
//! ```text
//!   runs:    | a a a | b b | C |     a, b of one length, C longer
//!   sends:   | a a a b b |, | C |    segmented: all of one length, the last may be shorter
//! ```
//! Order is kept. Filled once for all who want the same.

use elara_core::ClientAddr;
use elara_core::limits::{CYCLE_SENDS_MAX, DATAGRAM_MAX, SEGMENTS_MAX};
use elara_core::wire::Class;

use crate::departures::Departure;
use crate::io::{Io, Slice};
use crate::run::{Run, digest};

/// Sends to one receiver.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    slices: Vec<Slice>,
    sends: Vec<Send>,
    /// Frames in all of them.
    pub(crate) frames: u64,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// What the Core frames among them add to the digest.
    pub(crate) core_digest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Send {
    /// Where its slices end; they begin where the ones before end.
    end: usize,
    slices: usize,
    /// Bytes of each frame but perhaps the last.
    segment: u16,
    frames: usize,
    bytes: usize,
}

impl Send {
    /// Whether all its frames are of one length.
    const fn is_whole(&self) -> bool {
        self.bytes == self.segment as usize * self.frames
    }

    fn takes(&self, run: &Run) -> bool {
        let fits = self.slices < SEGMENTS_MAX
            && self.frames + run.frames() as usize <= SEGMENTS_MAX
            && self.bytes + run.slice().len() <= DATAGRAM_MAX;
        let alike = run.frame_len() == self.segment;
        let last = run.frames() == 1 && run.frame_len() < self.segment && run.frame_len() > 0;
        fits && self.is_whole() && (alike || last)
    }
}

impl Plan {
    /// Nothing, and room for much.
    pub(crate) fn new() -> Self {
        let most = CYCLE_SENDS_MAX + SEGMENTS_MAX;
        let (slices, sends) = (Vec::with_capacity(most), Vec::with_capacity(most));
        Self { slices, sends, ..Self::default() }
    }

    /// The sends of `departures`, in order.
    pub(crate) fn fill<'d, I: Io>(
        &mut self,
        io: &I,
        departures: impl Iterator<Item = &'d Departure>,
    ) {
        self.slices.clear();
        self.sends.clear();
        (self.frames, self.bytes, self.core_digest) = (0, 0, 0);
        for departure in departures {
            if departure.passing.class == Class::Core {
                let digest = digest(io.bytes(departure.run.slice()), departure.run.segment());
                self.core_digest = self.core_digest.wrapping_add(digest);
            }
            self.add(&departure.run);
        }
    }

    fn add(&mut self, run: &Run) {
        let (frames, bytes) = (run.frames() as usize, run.slice().len());
        self.slices.push(run.slice());
        self.frames += run.frames();
        self.bytes += bytes;
        let end = self.slices.len();
        match self.sends.last_mut() {
            Some(last) if last.takes(run) => {
                last.end = end;
                last.slices += 1;
                last.frames += frames;
                last.bytes += bytes;
            }
            _ => {
                let segment = run.frame_len();
                self.sends.push(Send { end, slices: 1, segment, frames, bytes });
            }
        }
    }

    /// Sends it all.
    #[inline]
    pub(crate) fn send<I: Io>(&self, io: &mut I, to: &ClientAddr, tag: u32) {
        let mut first = 0;
        for send in &self.sends {
            let segment = if send.frames > 1 { send.segment } else { 0 };
            io.send(to, &self.slices[first..send.end], segment, tag);
            first = send.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(buffer: u16, len: u16, frames: u16) -> Run {
        let frame = |at: u16| Slice { buffer, len, start: u32::from(at * len) };
        let mut run = Run::of(frame(0));
        assert!((1..frames).all(|at| run.extend(frame(at))));
        run
    }

    /// For each send: how many slices, frames, and where it is cut.
    fn sends(runs: &[Run]) -> Vec<(usize, usize, u16)> {
        let mut plan = Plan::default();
        runs.iter().for_each(|run| plan.add(run));
        assert_eq!(plan.frames, runs.iter().map(Run::frames).sum::<u64>());
        plan.sends.iter().map(|send| (send.slices, send.frames, send.segment)).collect()
    }

    #[test]
    fn those_of_one_length_share_a_send_and_a_shorter_one_ends_it() {
        assert_eq!(sends(&[run(1, 120, 1), run(2, 120, 3), run(3, 120, 1)]), [(3, 5, 120)]);
        let shorter = [run(1, 120, 2), run(2, 80, 1), run(3, 120, 1), run(4, 80, 1)];
        assert_eq!(sends(&shorter), [(2, 3, 120), (2, 2, 120)]);
        assert_eq!(sends(&[run(1, 80, 1), run(2, 120, 1)]), [(1, 1, 80), (1, 1, 120)]);
        assert_eq!(sends(&[run(1, 120, 1), run(2, 80, 2)]), [(1, 1, 120), (1, 2, 80)]);
    }

    #[test]
    fn a_send_is_no_longer_than_the_kernel_takes() {
        let many: Vec<Run> = (0..100).map(|buffer| run(buffer, 120, 1)).collect();
        assert_eq!(sends(&many), [(64, 64, 120), (36, 36, 120)]);
        let long: Vec<Run> = (0..6).map(|buffer| run(buffer, 1_200, 10)).collect();
        assert_eq!(sends(&long), [(5, 50, 1_200), (1, 10, 1_200)]);
    }
}
