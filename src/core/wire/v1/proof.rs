//! Events as v1 seals them: the block that v0 has, and its author's signature.
//!
//! ```text
//!  | block, at most 8 version entries | proof u8 | signature 64, if proof is 1 |
//!
//!  signed: "ELARA1 event\0" | session u64 | id_pub 32 | time_hint i32 | TLVs | block
//! ```
//! An event always travels with a STATE TLV, whose state is the block's: its name is the node and
//! the clock there. That is also what makes the signed bytes read in one way only, for the TLVs
//! end where STATE ends. An event in parts is cut behind the proof; TLVs and time hint of part 0
//! are the signed ones. Signing and verifying is the crypto code's; this file says what is signed.

use super::tlv::{State, Tlvs};
use crate::ids::SessionId;
use crate::limits::EVENT_VERSIONS_MAX;
use crate::wire::event::Event;
use crate::wire::header::Malformed;
use crate::wire::writer::{NoRoom, Writer};

/// What every signed event begins with.
pub const EVENT_CONTEXT: &[u8; 13] = b"ELARA1 event\0";

const NONE: u8 = 0;
const ED25519: u8 = 1;

/// Who vouches for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// Whoever holds the session key.
    None,
    /// Its author, by an Ed25519 signature.
    Ed25519(&'a [u8; 64]),
}

/// Why a body's content is not an event. Its seal held, so its author wrote it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventFault {
    /// The block itself is malformed.
    Block(Malformed),
    /// More than 8 version entries.
    Versions,
    /// The proof byte names no proof, the signature is cut, or bytes are left over.
    Proof,
    /// The frame has no STATE TLV.
    NoState,
    /// The block's state is not the TLV's.
    StateMismatch,
}

/// An event and its proof, borrowed from a body's content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProvenEvent<'a> {
    /// The event.
    pub event: Event<'a>,
    /// Its bytes, as they are signed.
    pub block: &'a [u8],
    /// Its proof, not yet verified.
    pub proof: Proof<'a>,
}

impl<'a> ProvenEvent<'a> {
    /// The event that `content` is, to its last byte, given the TLVs of the frame it came in (of
    /// part 0, if there are several).
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn parse(content: &'a [u8], tlvs: &Tlvs<'_>) -> Result<Self, EventFault> {
        let state = tlvs.state.ok_or(EventFault::NoState)?;
        let (event, rest) = Event::parse_prefix(content).map_err(EventFault::Block)?;
        let block = &content[..content.len() - rest.len()];
        let proof = match rest {
            [NONE] => Proof::None,
            [ED25519, signature @ ..] => {
                Proof::Ed25519(signature.try_into().map_err(|_| EventFault::Proof)?)
            }
            _ => return Err(EventFault::Proof),
        };
        check(&event, state)?;
        Ok(Self { event, block, proof })
    }

    /// Writes `event` and `proof` as content and returns the length.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is too short, or a field too long for its length.
    pub fn encode(event: &Event<'_>, proof: Proof<'_>, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        event.write(&mut writer)?;
        match proof {
            Proof::None => writer.put(&[NONE])?,
            Proof::Ed25519(signature) => {
                writer.put(&[ED25519])?;
                writer.put(signature)?;
            }
        }
        Ok(writer.len())
    }
}

/// Bytes of content behind the block.
#[must_use]
pub const fn proof_len(signed: bool) -> usize {
    if signed { 1 + 64 } else { 1 }
}

/// What must hold between an event and the STATE TLV of its frame.
///
/// # Errors
/// [`EventFault::Versions`], [`EventFault::StateMismatch`].
pub fn check(event: &Event<'_>, state: &State) -> Result<(), EventFault> {
    if event.versions.entries().len() > EVENT_VERSIONS_MAX {
        return Err(EventFault::Versions);
    }
    if event.state != state.state_id() {
        return Err(EventFault::StateMismatch);
    }
    Ok(())
}

/// What an author signs: in pieces, so that nothing need be copied to be hashed.
#[derive(Clone, Copy, Debug)]
pub struct SignedEvent<'a> {
    /// The session.
    pub session: SessionId,
    /// The author's Ed25519 key.
    pub id_pub: &'a [u8; 32],
    /// The header's time hint (part 0's).
    pub time_hint: i32,
    /// The TLV region as it stands in the frame (part 0's).
    pub tlv_bytes: &'a [u8],
    /// The event's block, without proof.
    pub block: &'a [u8],
}

impl SignedEvent<'_> {
    /// Bytes that are signed.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        EVENT_CONTEXT.len() + 8 + 32 + 4 + self.tlv_bytes.len() + self.block.len()
    }

    /// Feeds the signed bytes to `sink`, piece by piece.
    pub fn feed(&self, mut sink: impl FnMut(&[u8])) {
        sink(EVENT_CONTEXT);
        sink(&self.session.to_bytes());
        sink(self.id_pub);
        sink(&self.time_hint.to_le_bytes());
        sink(self.tlv_bytes);
        sink(self.block);
    }

    /// Writes the signed bytes and returns their length.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        let mut fits = Ok(());
        self.feed(|bytes| fits = fits.and_then(|()| writer.put(bytes)));
        fits.map(|()| writer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tlv::Stream;
    use super::super::tlv::tests::{ATOM, PIECE};
    use super::*;
    use crate::ids::{NodeId, StateId};
    use crate::wire::{EventType, Mutation, VersionVector};
    use alloc::vec::Vec;

    const TLVS: Tlvs<'static> = Tlvs { stream: None, state: Some(&ATOM) };

    fn seen(nodes: u64) -> VersionVector {
        (0..nodes).map(|node| (NodeId(node), 1)).collect()
    }

    fn event(seen: &VersionVector, state: u64) -> Event<'_> {
        Event {
            kind: EventType::TEXT_APPEND,
            state: StateId(state),
            versions: seen.as_versions(),
            mutation: Mutation::Append(b"hi"),
        }
    }

    fn content(seen: &VersionVector, state: u64, proof: Proof<'_>) -> Vec<u8> {
        let mut out = [0; 400];
        let len = ProvenEvent::encode(&event(seen, state), proof, &mut out).unwrap();
        out[..len].to_vec()
    }

    #[test]
    fn a_block_and_its_proof_come_back() {
        let (seen, state) = (seen(8), ATOM.state.get());
        for proof in [Proof::None, Proof::Ed25519(&[7; 64])] {
            let bytes = content(&seen, state, proof);
            let read = ProvenEvent::parse(&bytes, &TLVS).unwrap();
            assert_eq!((read.event, read.proof), (event(&seen, state), proof));
            let signed = proof != Proof::None;
            assert_eq!(read.block, &bytes[..bytes.len() - proof_len(signed)]);
        }
    }

    #[test]
    fn what_is_wrong_with_an_event_is_named() {
        let (few, state) = (seen(1), ATOM.state.get());
        let fault = |bytes: &[u8], tlvs| ProvenEvent::parse(bytes, tlvs).err();
        let good = content(&few, state, Proof::Ed25519(&[7; 64]));
        assert_eq!(fault(&good, &Tlvs::EMPTY), Some(EventFault::NoState));
        assert_eq!(
            fault(&content(&few, state + 1, Proof::None), &TLVS),
            Some(EventFault::StateMismatch)
        );
        assert_eq!(
            fault(&content(&seen(9), state, Proof::None), &TLVS),
            Some(EventFault::Versions)
        );
        let block_len = good.len() - proof_len(true);
        for cut in 0..good.len() {
            let expected = match cut < block_len {
                true => EventFault::Block(Malformed::Event),
                false => EventFault::Proof,
            };
            assert_eq!(fault(&good[..cut], &TLVS), Some(expected), "{cut}");
        }
        for tail in [&[0, 0][..], &[2], &[1, 0]] {
            let bytes = [&good[..block_len], tail].concat();
            assert_eq!(fault(&bytes, &TLVS), Some(EventFault::Proof));
        }
        assert_eq!(fault(&[&good[..], &[0]].concat(), &TLVS), Some(EventFault::Proof));
    }

    #[test]
    fn the_signed_bytes_stand_as_drawn_written_or_fed() {
        let signed = SignedEvent {
            session: SessionId(0x0807_0605_0403_0201),
            id_pub: &[0xAB; 32],
            time_hint: -2,
            tlv_bytes: &[0x11, 0xCD],
            block: b"block",
        };
        let mut expected = b"ELARA1 event\0\x01\x02\x03\x04\x05\x06\x07\x08".to_vec();
        expected.extend([0xAB; 32]);
        expected.extend(b"\xFE\xFF\xFF\xFF\x11\xCDblock");
        let mut out = [0; 64];
        assert_eq!(signed.encode(&mut out), Ok(64));
        assert_eq!((&out[..], signed.encoded_len()), (&expected[..], 64));
        let mut fed = Vec::new();
        signed.feed(|bytes| fed.extend_from_slice(bytes));
        assert_eq!(fed, expected);
        assert_eq!(signed.encode(&mut out[..63]), Err(NoRoom));
    }

    #[test]
    fn signed_bytes_without_state_could_be_read_in_two_ways() {
        // A grant (type 10) whose state id begins with 0C looks like a STREAM TLV. Because STATE is
        // required, the second reading, TLVs that end in STREAM, is none.
        let none = seen(0);
        let grant = Event {
            kind: EventType::AUTHORITY_GRANT,
            versions: none.as_versions(),
            ..event(&none, 0x0C)
        };
        let mut block = [0; 64];
        let len = grant.encode(&mut block).unwrap();
        let as_tlv = Tlvs::parse(&block[..2 + size_of::<Stream>()]);
        assert!(as_tlv.is_ok_and(|tlvs| tlvs.stream.is_some() && tlvs.state.is_none()));
        let stream_only = Tlvs { stream: Some(&PIECE), state: None };
        let content = [&block[..len], &[0]].concat();
        assert_eq!(ProvenEvent::parse(&content, &stream_only), Err(EventFault::NoState));
    }
}
