//! Small frames put together in as few datagrams as they fit.

use elara_core::SessionId;
use elara_core::limits::{BUNDLE_FRAMES_MAX, V1_FRAME_MAX};
use elara_core::wire::Class;
use elara_core::wire::v1::bundle::{BundleHead, Packing};

use crate::run::digest;

/// As many datagrams as small frames of one cycle, or of a buffer that lasts, mostly fill.
const PACKETS: usize = 64;

/// A datagram put together: a bundle, or one frame alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    /// What its Core frames add to the digest.
    pub(super) core_digest: u64,
}

/// Empty datagrams, as many as it mostly takes.
pub(super) fn empty_packets() -> Vec<Packet> {
    let packet = || Packet { bytes: Vec::with_capacity(V1_FRAME_MAX), core_digest: 0 };
    std::iter::repeat_with(packet).take(PACKETS).collect()
}

/// Puts the frames that `wanted` yields together, in order; answers how many of `packets` they fill.
/// Allocates only when there were never so many.
pub(super) fn pack<'f>(
    session: SessionId,
    wanted: impl Iterator<Item = (Class, &'f [u8])>,
    packets: &mut Vec<Packet>,
) -> usize {
    let mut count = 0;
    let mut parts = Parts::new();
    for (class, frame) in wanted {
        if !parts.take(frame) {
            parts.close(session, packets, &mut count);
            let _ = parts.take(frame);
        }
        if class == Class::Core {
            parts.core_digest = parts.core_digest.wrapping_add(digest(frame, 0));
        }
    }
    parts.close(session, packets, &mut count);
    count
}

/// Frames that will share a datagram.
struct Parts<'f> {
    frames: [&'f [u8]; BUNDLE_FRAMES_MAX],
    packing: Packing,
    core_digest: u64,
}

impl<'f> Parts<'f> {
    const fn new() -> Self {
        let packing = Packing::new(V1_FRAME_MAX);
        Self { frames: [&[]; BUNDLE_FRAMES_MAX], packing, core_digest: 0 }
    }

    fn take(&mut self, frame: &'f [u8]) -> bool {
        let at = self.packing.count();
        let fits = self.packing.take(frame.len());
        if fits {
            self.frames[at] = frame;
        }
        fits
    }

    /// Writes the datagram of what was taken, if anything was, and begins anew.
    fn close(&mut self, session: SessionId, packets: &mut Vec<Packet>, count: &mut usize) {
        let frames = &self.frames[..self.packing.count()];
        if !frames.is_empty() {
            if packets.len() == *count {
                packets.push(Packet::default());
            }
            let packet = &mut packets[*count];
            *count += 1;
            packet.core_digest = self.core_digest;
            packet.bytes.clear();
            // One frame travels alone.
            match BundleHead::new(session, frames) {
                Ok(head) => {
                    head.gather(frames).for_each(|part| packet.bytes.extend_from_slice(part))
                }
                Err(_) => packet.bytes.extend_from_slice(frames[0]),
            }
        }
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use elara_core::NodeId;
    use elara_core::wire::Header;
    use elara_core::wire::v1::{Bundle, Kind};
    use zerocopy::IntoBytes;

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn frame(node: u64, len: usize) -> Vec<u8> {
        let header = Header::v1(1, SESSION, NodeId(node), Kind::Data(Class::Core));
        let mut frame = vec![node as u8; len];
        frame[..30].copy_from_slice(header.as_bytes());
        frame
    }

    #[test]
    fn ten_small_frames_are_one_datagram_and_one_alone_is_itself() {
        let frames: Vec<Vec<u8>> = (0..11).map(|node| frame(node, 120)).collect();
        let wanted = |count: usize| frames[..count].iter().map(|frame| (Class::Core, &frame[..]));
        let mut packets = Vec::new();
        assert_eq!(pack(SESSION, wanted(11), &mut packets), 2);
        let bundle = Bundle::parse(&packets[0].bytes).unwrap();
        assert_eq!((bundle.count(), packets[0].bytes.len()), (10, 1_232));
        assert!(bundle.iter().zip(&frames).all(|(bytes, frame)| bytes == frame));
        assert_eq!(packets[1].bytes, frames[10]);
        assert_eq!(packets[1].core_digest, u64::from_le_bytes([10; 8]));
        assert_eq!(pack(SESSION, wanted(2), &mut packets), 1);
        assert_eq!(packets.len(), 2, "what was there is used again");
    }
}
