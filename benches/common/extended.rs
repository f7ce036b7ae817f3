//! A v0 frame with everything a frame may have.

use elara_core::wire::tlv::{Fragment, SwarmRole};
use elara_core::wire::{Extensions, FrameWriter, Header};
use elara_core::{NodeId, SessionId};

/// All eleven extensions.
pub(crate) const EVERY: Extensions<'_> = Extensions {
    ratchet: Some(7),
    key_epoch: Some(1),
    swarm_role: Some(SwarmRole::Source),
    relay_hop: Some(2),
    interest: Some(u64::MAX),
    redundancy_group: Some(3),
    compression: Some(1),
    fragment: Some(Fragment { index: 1, total: 4 }),
    path: Some(2),
    priority: Some(9),
    causality: Some(&[5; 16]),
};

/// Whose frame it is.
pub(crate) fn header() -> Header {
    Header::v0(SessionId(0x5E55_1017), NodeId(0x0A0B_0C0D))
}

/// The frame, with a payload of 160 bytes.
pub(crate) fn extended(out: &mut [u8]) -> &[u8] {
    let frame = FrameWriter::with_extensions(out, &header(), &EVERY);
    frame.and_then(|frame| frame.payload(&[7; 160])).unwrap().finish()
}
