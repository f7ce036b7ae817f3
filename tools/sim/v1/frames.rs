//! Datagrams of wire v1 as the world reads them: by the text of the wire, sharing no code with
//! those who are being checked.

/// First byte of a bundle.
const BUNDLE: u8 = 0x13;

/// What a frame's class byte says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Handshake,
    Control,
    Other,
}

/// What a frame is.
pub(crate) fn kind_of(frame: &[u8]) -> Kind {
    match (frame.first(), frame.get(20)) {
        (Some(0x10..=0x12), Some(0..=4)) => Kind::Data,
        (Some(0x10..=0x12), Some(0xF0)) => Kind::Handshake,
        (Some(0x10..=0x12), Some(0xF1)) => Kind::Control,
        _ => Kind::Other,
    }
}

/// The type of a handshake frame.
pub(crate) mod handshake {
    pub(crate) const RETRY: u8 = 2;
    pub(crate) const WELCOME: u8 = 3;
}

/// The byte that names a profile, or a handshake frame's type.
pub(crate) fn profile_of(frame: &[u8]) -> u8 {
    frame.get(21).copied().unwrap_or_default()
}

/// Whether the frame's connection has an odd number.
pub(crate) fn parity_of(frame: &[u8]) -> usize {
    usize::from(frame.get(1).copied().unwrap_or_default() >> 7)
}

/// The frame's number.
pub(crate) fn seq_of(frame: &[u8]) -> u32 {
    frame.get(26..30).and_then(|seq| seq.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Which attempt a handshake frame belongs to.
pub(crate) fn attempt_of(frame: &[u8]) -> Option<[u8; 8]> {
    frame.get(30..38)?.try_into().ok()
}

/// Session and node: who speaks, or is spoken to.
pub(crate) fn names_of(frame: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| frame.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    Some((word(4)?, word(12)?))
}

/// The stream a data frame belongs to.
pub(crate) fn stream_of(frame: &[u8]) -> Option<u16> {
    let tlv = frame.get(30..34)?;
    let header_len = u16::from_le_bytes([frame[2], frame[3]]);
    (header_len >= 44 && tlv[..2] == [0x10, 12]).then(|| u16::from_le_bytes([tlv[2], tlv[3]]))
}

/// The frames of a datagram: itself, or those of a bundle; none of a bundle that is none.
///
/// ```text
///   13 | count 2..32 | 0 0 | session u64 | length u16 x count | frames, to the last byte
/// ```
pub(crate) fn split(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = (datagram.first() != Some(&BUNDLE)).then_some(datagram);
    let frames = if whole.is_some() { None } else { split_bundle(datagram) };
    whole.into_iter().chain(frames.into_iter().flatten())
}

/// The same of a datagram towards a relay: a bundle has one sender there.
pub(crate) fn split_upward(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let sender = |frame: &[u8]| frame.get(12..20).map(<[u8]>::to_vec);
    let mut senders = split(datagram).map(sender);
    let first = senders.next();
    let same = senders.all(|other| Some(other) == first);
    split(datagram).filter(move |_| same)
}

fn split_bundle(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let count = usize::from(*bundle.get(1)?);
    let lengths = bundle.get(12..12 + 2 * count)?;
    let mut rest = &bundle[12 + 2 * count..];
    let mut frames = Vec::new();
    for length in lengths.chunks_exact(2) {
        let (frame, behind) =
            rest.split_at_checked(u16::from_le_bytes([length[0], length[1]]).into())?;
        frames.push(frame);
        rest = behind;
    }
    let sound = (2..=32).contains(&count)
        && bundle.len() <= 1_232
        && bundle[2..4] == [0, 0]
        && rest.is_empty()
        && frames.iter().all(|frame| {
            frame.len() >= 46
                && (0x10..0x13).contains(&frame[0])
                && frame[20] != 0xF0
                && frame[4..12] == bundle[4..12]
        });
    sound.then_some(frames)
}

#[cfg(test)]
mod tests {
    use elara_core::wire::Header;
    use elara_core::wire::header::Class;
    use elara_core::wire::v1::bundle::BundleHead;
    use elara_core::wire::v1::{Bundle, Kind as Wire};
    use elara_core::{NodeId, SessionId};
    use zerocopy::IntoBytes;

    use super::*;

    fn frame(session: u64, node: u64, len: usize) -> Vec<u8> {
        let kind = Wire::Data(Class::Core);
        let header = Header::v1(1, SessionId(session), NodeId(node), kind);
        let mut frame = vec![7; len];
        frame[..30].copy_from_slice(header.as_bytes());
        frame
    }

    #[test]
    fn a_bundle_is_its_frames_and_any_flipped_bit_of_its_front_ends_it_as_core_says() {
        let frames = [frame(1, 2, 80), frame(1, 2, 46), frame(1, 2, 160)];
        let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let mut out = [0; 1_232];
        let bundle = BundleHead::join(&mut out, SessionId(1), &slices).unwrap().to_vec();
        assert_eq!(split(&bundle).collect::<Vec<_>>(), slices);
        for bit in 8..(12 + 6 + 46) * 8 {
            let mut flipped = bundle.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let core = Bundle::parse(&flipped).is_ok_and(|bundle| bundle.one_sender());
            assert_eq!(split_upward(&flipped).count() > 0, core, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_says_what_it_is() {
        let mut bytes = frame(5, 6, 80);
        assert_eq!(kind_of(&bytes), Kind::Data);
        assert_eq!(names_of(&bytes), Some((5, 6)));
        assert_eq!((seq_of(&bytes), parity_of(&bytes), stream_of(&bytes)), (0, 0, None));
        bytes[20] = 0xF1;
        assert_eq!(kind_of(&bytes), Kind::Control);
        assert_eq!(kind_of(&bytes[..20]), Kind::Other);
    }
}
