//! What is sent: v0 frames that carry their own name, and datagrams that are no frames.
//!
//! ```text
//!   header (and TLVs) | sender u32 | number u32 | digest u64 | filler | 16 zeros
//! ```
//! The digest covers the header and the name, so a receiver knows a flipped frame from a sound one.

use elara_core::limits::{HEADER_LEN, TAG_LEN, V0_FRAME_MAX, V0_FRAME_MIN};
use elara_core::random::Random;
use elara_core::wire::Header;
use elara_core::wire::header::{Class, flags};
use elara_core::{NodeId, SessionId};

use crate::digest;

/// Bytes of the name behind the header.
const NAME: usize = 16;
/// Shortest frame with a name.
pub(crate) const NAMED_MIN: usize = HEADER_LEN + NAME + TAG_LEN;
/// TLVs some frames have: a path hint and the end.
const TLVS: [u8; 5] = [0x09, 2, 1, 1, 0xFF];

/// A frame's name: the `number`th of participant `sender`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) sender: u32,
    pub(crate) number: u32,
}

/// A header with a class, a profile and whatever else the relay must not care about.
fn header(session: SessionId, node: NodeId, random: &mut impl Random) -> Header {
    let mut header = Header::v0(session, node);
    let class = Class::ALL[random.below(Class::ALL.len() as u64) as usize];
    header.version_suite = random.below(3) as u8;
    header.class = class as u8;
    header.profile = random.next_u64() as u8;
    header.time_hint.set(random.next_u64() as i32);
    header.set_seq_window(random.next_u64() as u16, random.next_u64() as u16);
    header
}

/// Writes a frame of `len` bytes (as near as the wire allows) that carries `name`.
pub(crate) fn write_named(
    frame: &mut Vec<u8>,
    session: SessionId,
    node: NodeId,
    name: Name,
    len: usize,
    random: &mut impl Random,
) {
    let mut header = header(session, node, random);
    let tlvs: &[u8] = if random.chance(100_000) { &TLVS } else { &[] };
    let begin = HEADER_LEN + tlvs.len();
    header.header_len.set(begin as u16);
    header.flags = if tlvs.is_empty() { 0 } else { flags::EXTENSION };
    frame.clear();
    write_header(frame, &header);
    frame.extend_from_slice(tlvs);
    frame.extend_from_slice(&name.sender.to_le_bytes());
    frame.extend_from_slice(&name.number.to_le_bytes());
    let digest = digest::of(frame);
    frame.extend_from_slice(&digest.to_le_bytes());
    fill(frame, len.clamp(begin + NAME + TAG_LEN, V0_FRAME_MAX) - TAG_LEN, random);
    frame.resize(frame.len() + TAG_LEN, 0);
}

/// Writes a frame of `len` bytes that carries no name.
pub(crate) fn write_anonymous(
    frame: &mut Vec<u8>,
    session: SessionId,
    node: NodeId,
    len: usize,
    random: &mut impl Random,
) {
    let header = header(session, node, random);
    frame.clear();
    write_header(frame, &header);
    fill(frame, len.clamp(V0_FRAME_MIN, V0_FRAME_MAX), random);
}

/// The name a frame carries, if it is sound.
pub(crate) fn name_of(frame: &[u8]) -> Option<Name> {
    let begin = usize::from(Header::peek(frame)?.header_len.get());
    let name = frame.get(begin..begin + NAME)?;
    let word = |at: usize| u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]);
    let digest = u64::from(word(12)) << 32 | u64::from(word(8));
    let sound = begin >= HEADER_LEN && digest == digest::of(&frame[..begin + 8]);
    sound.then(|| Name { sender: word(0), number: word(4) })
}

/// Flips one to eight bits.
pub(crate) fn flip(datagram: &mut [u8], random: &mut impl Random) {
    if datagram.is_empty() {
        return;
    }
    for _ in 0..=random.below(8) {
        // Every other flip hits the header, where it is read.
        let reach = if random.chance(500_000) { datagram.len().min(32) } else { datagram.len() };
        let bit = random.below(reach as u64 * 8) as usize;
        datagram[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Writes a datagram that is no frame for this relay, or only just one, of a kind `random` picks: each
/// way of being wrong that the wire knows, often by one, and noise.
pub(crate) fn write_junk(junk: &mut Vec<u8>, session: SessionId, random: &mut impl Random) {
    let len = 46 + random.below(400) as usize;
    let node = NodeId(random.next_u64());
    write_anonymous(junk, session, node, len, random);
    match random.below(16) {
        0 => junk.clear(),
        1 => junk.truncate(V0_FRAME_MIN - 1 - near(V0_FRAME_MIN - 1, random)),
        2 => fill(junk, V0_FRAME_MAX + 1 + near(600, random), random),
        3 => write_stun(junk, random.below(8) as usize * 4),
        4 => write_stun(junk, 1 + random.below(20) as usize),
        5 => junk[0] = 0x10 + random.below(4) as u8,
        6 => junk[0] = 0x40 + random.below(16) as u8,
        7 => junk[0] = 0x14 + random.below(44) as u8,
        8 => junk[0] = 0x50 + random.below(176) as u8,
        9 => junk[0] = 0x03 + near(13, random) as u8,
        10 => {
            let header_len = match random.chance(500_000) {
                true => HEADER_LEN - 1 - near(HEADER_LEN - 1, random),
                false => len - TAG_LEN + 1 + near(2_000, random),
            };
            junk[2..4].copy_from_slice(&(header_len as u16).to_le_bytes());
        }
        11 => junk[20] = 5 + near(251, random) as u8,
        12 => junk[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]),
        // Two that are frames, just so: as long as may be, and all header.
        13 => {
            fill(junk, V0_FRAME_MAX, random);
        }
        14 => junk[2..4].copy_from_slice(&((len - TAG_LEN) as u16).to_le_bytes()),
        _ => {
            junk.clear();
            fill(junk, random.below(1_600) as usize, random);
        }
    }
}

/// A number below `bound`; every other time 0, because bugs live at the wall.
fn near(bound: usize, random: &mut impl Random) -> usize {
    if random.chance(500_000) { 0 } else { random.below(bound as u64) as usize }
}

/// A STUN binding request whose attributes take `attributes` bytes; sound when that is a multiple of four.
fn write_stun(junk: &mut Vec<u8>, attributes: usize) {
    junk.clear();
    junk.extend_from_slice(&[0x00, 0x01]);
    junk.extend_from_slice(&(attributes as u16).to_be_bytes());
    junk.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    junk.resize(20 + attributes, 7);
}

fn write_header(frame: &mut Vec<u8>, header: &Header) {
    frame.extend_from_slice(zerocopy::IntoBytes::as_bytes(header));
}

fn fill(frame: &mut Vec<u8>, len: usize, random: &mut impl Random) {
    let from = frame.len();
    frame.resize(len.max(from), 0);
    random.fill(&mut frame[from..]);
}

#[cfg(test)]
mod tests {
    use elara_core::random::Seeded;

    use super::*;

    #[test]
    fn a_named_frame_is_a_sound_v0_frame_and_tells_its_name() {
        let (mut random, mut frame) = (Seeded::new(1), Vec::new());
        for number in 0..1_000 {
            let name = Name { sender: 3, number };
            let len = random.below(1_500) as usize;
            write_named(&mut frame, SessionId(1), NodeId(2), name, len, &mut random);
            assert_eq!(Header::peek(&frame).unwrap().check_v0(frame.len()), Ok(()));
            assert_eq!(name_of(&frame), Some(name));
            frame[12] ^= 1;
            assert_eq!(name_of(&frame), None, "another node's frame is not this one");
        }
    }

    #[test]
    fn junk_comes_in_every_kind() {
        use elara_shards::forward::{Kind, classify};
        let (mut random, mut junk) = (Seeded::new(1), Vec::new());
        let mut seen = [false; 6];
        for _ in 0..500 {
            write_junk(&mut junk, SessionId(1), &mut random);
            seen[match classify(&junk) {
                Kind::V0 => 0,
                Kind::V1 => 1,
                Kind::Stun => 2,
                Kind::ChannelData => 3,
                Kind::Runt => 4,
                Kind::Unrecognised => 5,
            }] = true;
            assert_eq!(name_of(&junk), None);
        }
        assert_eq!(seen, [true; 6]);
    }
}
