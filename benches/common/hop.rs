//! Keys and frames of a hop without a handshake, the same every time.

use elara_core::crypto::hop::HopSecret;
use elara_core::crypto::{EpochSecret, Inst, PublicKey, Sealer, Secret, Sending, Suite};
use elara_core::limits::HEADER_LEN;
use elara_core::wire::v1::Kind;
use elara_core::wire::{Class, Header};
use elara_core::{NodeId, SessionId};
use zerocopy::IntoBytes;

const MATERIAL: [u8; 44] = [7; 44];

/// The secret both ends have.
pub(crate) fn secret(suite: Suite) -> HopSecret {
    HopSecret::new(suite, Secret::new(MATERIAL))
}

/// A frame of class Core with number 0 and no tag yet.
pub(crate) fn untagged(suite: Suite, len: usize) -> Vec<u8> {
    let (session, node) = (SessionId(0x5E55_1017), NodeId(0x0A0B_0C0D));
    let header = Header::v1(suite as u8, session, node, Kind::Data(Class::Core));
    let mut frame = vec![0xC3; len];
    frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
    frame
}

/// Who sends such frames: the seal end to end, and the numbers and tags of the hop.
pub(crate) fn sender(suite: Suite) -> (Sealer, Sending) {
    let epoch = EpochSecret::from_session_key(&Secret::new([4; 32]));
    let sealer = Sealer::new(suite, &epoch, &PublicKey([5; 32]), &Inst([6; 16]), 1);
    (sealer, Sending::new(secret(suite), 1))
}
