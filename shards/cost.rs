//! How what waits for one receiver leaves, by what that costs. The one place that decides.
//!
//! A send costs the same whatever it carries; what it carries on top costs little. From the project's first
//! measurements, of bare senders on another machine, in nanoseconds of cpu time for each frame that leaves
//! (docs/PERFORMANCE.md has the relay's own, on this one):
//!
//! | | card that segments | segmented in software | loopback |
//! |---|---|---|---|
//! | one frame a send | 2,222 | 2,222 | 3,023 |
//! | 3 x 120 B in one send | 619 | 969 | |
//! | 10 x 1,200 B in one send | 193 | 499 | 659 |
//!
//! So two that can share a send always do. Segments stay datagrams of their own, for the network and
//! for who receives them; a bundle is one datagram, so small frames of wire v1 leave in bundles.

use elara_core::limits::{CYCLE_SENDS_MAX, HELD_FRAME_MAX, SLICE_SENDS_MAX, V1_FRAME_MAX};

/// What one send costs, in units in which [`SEGMENT`] is one.
pub(crate) const SEND: u64 = 4;
/// What a further segment costs in a send, where the kernel cuts it in software: a card charges less.
pub(crate) const SEGMENT: u64 = 1;

/// What one cycle takes on.
pub(crate) const CYCLE: u64 = SEND * CYCLE_SENDS_MAX as u64;
/// What one cycle spends on sessions of very many.
pub(crate) const SLICE: u64 = SEND * SLICE_SENDS_MAX as u64;

/// How frames leave for a receiver that wants them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As they came: a frame, or neighbours of one length, in one send.
    Run,
    /// Those of one length together, in one send that the kernel cuts.
    Segments,
    /// In one datagram.
    Bundle,
}

/// How `runs` runs of together `frames` frames leave, the longest of them `longest` bytes.
#[inline]
pub(crate) const fn way(runs: usize, frames: usize, longest: usize, bundles: bool) -> Way {
    if bundles && frames > 1 && is_small(longest) {
        Way::Bundle
    } else if runs > 1 {
        Way::Segments
    } else {
        Way::Run
    }
}

/// About what it costs to send so much to one receiver, where the length changes so that it is `stretches`
/// of one length each.
#[inline]
pub(crate) const fn of(way: Way, stretches: usize, frames: usize, bytes: usize) -> u64 {
    match way {
        Way::Bundle => SEND * bytes.div_ceil(V1_FRAME_MAX) as u64,
        Way::Segments | Way::Run => SEND * stretches as u64 + SEGMENT * (frames - 1) as u64,
    }
}

/// Whether a frame of this length can share a datagram with others, and may wait for that.
#[inline]
pub(crate) const fn is_small(len: usize) -> bool {
    len <= HELD_FRAME_MAX
}

/// The lanes in which frames leave: everything of the first before anything of the second.
pub(crate) const LANES: usize = 2;

/// The lane of a frame of this length. A relay cannot read what it forwards, but voice, text and presence
/// are small: they leave before pictures.
#[inline]
pub(crate) const fn lane(len: usize) -> usize {
    if is_small(len) { 0 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_share_a_datagram_where_the_wire_has_bundles() {
        assert_eq!(way(3, 3, 120, true), Way::Bundle);
        assert_eq!(way(1, 3, 120, true), Way::Bundle);
        assert_eq!(way(3, 3, 120, false), Way::Segments);
        assert_eq!(way(3, 3, 1_232, true), Way::Segments);
    }

    #[test]
    fn one_frame_and_one_train_leave_as_they_came() {
        assert_eq!(way(1, 1, 120, true), Way::Run);
        assert_eq!(way(1, 10, 1_200, true), Way::Run);
        assert_eq!(way(1, 3, 120, false), Way::Run);
    }

    #[test]
    fn what_shares_a_send_is_never_dearer_than_sends_of_its_own() {
        for frames in 2..40 {
            let alone = frames as u64 * of(Way::Run, 1, 1, 120);
            assert!(of(Way::Bundle, 1, frames, frames * 120) < alone);
            assert!(of(Way::Segments, 1, frames, frames * 120) < alone);
        }
    }
}
