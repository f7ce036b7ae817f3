//! The hop between a client and its relay: keys from the handshake, a tag on every frame.
//!
//! ```text
//!   PRK_up = Extract(h, ki)    up = key 32 | iv 12 = Expand(PRK_up, "ELARA1 hop up", 44)
//!   PRK_dn = Extract(h, kr)    dn = key 32 | iv 12 = Expand(PRK_dn, "ELARA1 hop dn", 44)
//!   inst 16 = Expand(PRK_up, "ELARA1 inst", 16)     the connection's public name
//!   nonce = iv XOR (0 x4 | class | 0 x3 | seq u32)
//!
//!   data,    suite 1:   AAD | header TLVs |   text | body, as if it were the ciphertext |  tag
//!   data,    suite 0:   AAD | header TLVs body |   text: none                           |  tag
//!   control, both:      AAD | header |             text | messages, sealed              |  tag
//! ```
//! The tag covers the whole frame in every class. A relay forwards a data frame's body untouched, so
//! the tag must not need one: with AES-GCM the relay *opens a copy* and throws the result away,
//! which for large frames costs half of a tag over associated data or less; the sender seals
//! twice, and what the second seal yields is the body again.
//!
//! [`HopKey`] is the arithmetic. Whoever sends or receives uses [`Sending`] and [`Receiving`], which
//! own the numbers and the windows, so that no nonce is used twice and no window moves early. Between
//! uses a key is a [`HopSecret`]; `resting` says when it is kept expanded. Nothing here allocates but
//! for that.

mod connection;
mod resting;

pub use connection::{Received, Receiving, Refusal, SendRefused, Sending};

use core::fmt;

use super::bounds::{Bounds, Misshapen};
use super::hash::{HASH_LEN, expand, extract};
use super::secret::Secret;
use super::suite::{AeadKey, BadTag, KEY_LEN, NONCE_LEN, Nonce, Suite};
use crate::limits::{HEADER_LEN, V1_FRAME_MAX};
use crate::wire::v1::seal::{split_tag, split_tag_mut};

/// What a Noise handshake leaves: a key for each direction, and the hash of all that was said.
#[derive(Clone, Debug)]
pub struct Split {
    /// Initiator (client) to responder (relay).
    pub ki: Secret<32>,
    /// Responder to initiator.
    pub kr: Secret<32>,
    /// The handshake hash: not secret, and unique.
    pub h: [u8; HASH_LEN],
}

/// The public name of a connection: sixteen bytes that follow from both sides' ephemeral keys, so
/// that nobody can choose it. Keys end to end are made from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inst(pub [u8; 16]);

impl fmt::Debug for Inst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inst({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Room to open a frame in: the caller brings it, so that nothing here allocates. It holds
/// plaintext of control frames after use.
#[derive(Clone)]
pub struct Scratch([u8; V1_FRAME_MAX]);

impl Scratch {
    /// Empty room.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; V1_FRAME_MAX])
    }

    /// A copy of `bytes`, at most as long as the longest frame.
    #[inline]
    pub(super) fn hold(&mut self, bytes: &[u8]) -> &mut [u8] {
        let room = &mut self.0[..bytes.len()];
        room.copy_from_slice(bytes);
        room
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(..)")
    }
}

/// The keys of one connection's hop.
#[derive(Debug)]
pub struct HopKeys {
    /// Client to relay.
    pub up: HopSecret,
    /// Relay to client.
    pub down: HopSecret,
    /// The connection's public name.
    pub inst: Inst,
}

impl HopKeys {
    /// The keys that follow from a handshake.
    #[must_use]
    pub fn derive(suite: Suite, split: &Split) -> Self {
        let up = extract(&split.h, split.ki.expose());
        let down = extract(&split.h, split.kr.expose());
        Self {
            up: HopSecret::new(suite, expand(&up, &[b"ELARA1 hop up"])),
            down: HopSecret::new(suite, expand(&down, &[b"ELARA1 hop dn"])),
            inst: Inst(*expand::<16>(&up, &[b"ELARA1 inst"]).expose()),
        }
    }
}

/// One direction's key at rest: 45 bytes.
#[derive(Debug)]
pub struct HopSecret {
    material: Secret<{ KEY_LEN + NONCE_LEN }>,
    suite: Suite,
}

impl HopSecret {
    /// The key of `key 32 | iv 12`.
    #[must_use]
    pub const fn new(suite: Suite, material: Secret<{ KEY_LEN + NONCE_LEN }>) -> Self {
        Self { material, suite }
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The key, ready for use. With AES-GCM that costs about as much as the tag of a short frame.
    #[must_use]
    pub fn expand(&self) -> HopKey {
        let (key, iv) = split_material(&self.material);
        HopKey { key: AeadKey::new(self.suite, key), iv: *iv }
    }
}

/// One direction's key, expanded: about 0.6 KiB. Its methods trust the caller with the frame's number:
/// sealing two different frames of one class under one number gives both away.
#[derive(Debug)]
pub struct HopKey {
    key: AeadKey,
    iv: Nonce,
}

impl HopKey {
    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.key.suite()
    }

    /// Writes the hop tag into the last sixteen bytes of a data frame. Everything before them
    /// stays as it is.
    ///
    /// # Errors
    /// [`Misshapen`].
    pub fn tag(&self, frame: &mut [u8]) -> Result<(), Misshapen> {
        let bounds = Bounds::of(frame)?;
        let nonce = self.nonce(&bounds);
        let (front, tag) = split_tag_mut(frame);
        let (head, body) = front.split_at_mut(bounds.header_len);
        *tag = match self.suite() {
            Suite::AesGcm => {
                // The first seal makes body XOR keystream; sealing that under the same nonce makes
                // the body again, and its tag as a ciphertext. Only that tag is ever sent.
                let _ = self.key.seal(nonce, head, body);
                self.key.seal(nonce, head, body)
            }
            Suite::ChaChaPoly => self.key.seal(nonce, front, &mut []),
        };
        Ok(())
    }

    /// Whether a data frame's tag is this key's. The frame is not changed.
    ///
    /// # Errors
    /// [`Refusal::Misshapen`] and [`Refusal::BadTag`].
    #[inline]
    pub fn verify(&self, frame: &[u8], scratch: &mut Scratch) -> Result<(), Refusal> {
        let bounds = Bounds::of(frame)?;
        self.verify_within(&bounds, frame, scratch)
    }

    #[inline]
    fn verify_within(
        &self,
        bounds: &Bounds,
        frame: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Refusal> {
        let (front, tag) = split_tag(frame);
        let (head, body) = front.split_at_checked(bounds.header_len).ok_or(Misshapen)?;
        let nonce = self.nonce(bounds);
        Ok(match self.suite() {
            Suite::AesGcm => self.key.open(nonce, head, scratch.hold(body), tag),
            Suite::ChaChaPoly => self.key.open(nonce, front, &mut [], tag),
        }?)
    }

    /// Seals a control frame where it stands: `header 30 | messages | 16 bytes for the tag`.
    ///
    /// # Errors
    /// [`Misshapen`], also when there is anything between header and messages.
    pub fn seal_control(&self, frame: &mut [u8]) -> Result<(), Misshapen> {
        let bounds = Bounds::of(frame)?;
        if bounds.header_len != HEADER_LEN {
            return Err(Misshapen);
        }
        let nonce = self.nonce(&bounds);
        let (front, tag) = split_tag_mut(frame);
        let (head, messages) = front.split_at_mut(HEADER_LEN);
        *tag = self.key.seal(nonce, head, messages);
        Ok(())
    }

    /// The messages of a control frame, opened in `scratch`.
    ///
    /// # Errors
    /// [`Refusal::Misshapen`] and [`Refusal::BadTag`].
    pub fn open_control<'s>(
        &self,
        frame: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s [u8], Refusal> {
        let bounds = Bounds::of(frame)?;
        if bounds.header_len != HEADER_LEN {
            return Err(Refusal::Misshapen);
        }
        let (front, tag) = split_tag(frame);
        let (head, messages) = front.split_at_checked(HEADER_LEN).ok_or(Misshapen)?;
        let opened = scratch.hold(messages);
        self.key.open(self.nonce(&bounds), head, opened, tag)?;
        Ok(opened)
    }

    #[inline]
    fn nonce(&self, bounds: &Bounds) -> Nonce {
        let [a, b, c, d] = bounds.seq.to_le_bytes();
        xor(&self.iv, [0, 0, 0, 0, bounds.class, 0, 0, 0, a, b, c, d])
    }
}

/// `key 32 | iv 12`.
pub(super) fn split_material(
    material: &Secret<{ KEY_LEN + NONCE_LEN }>,
) -> (&[u8; KEY_LEN], &Nonce) {
    let halves = material.expose().split_first_chunk::<KEY_LEN>();
    let (key, iv) = halves.expect("44 bytes begin with 32");
    (key, iv.try_into().expect("and end with 12"))
}

#[inline]
pub(super) fn xor(iv: &Nonce, with: Nonce) -> Nonce {
    core::array::from_fn(|i| iv[i] ^ with[i])
}

impl From<Misshapen> for Refusal {
    fn from(Misshapen: Misshapen) -> Self {
        Self::Misshapen
    }
}

impl From<BadTag> for Refusal {
    fn from(BadTag: BadTag) -> Self {
        Self::BadTag
    }
}

#[cfg(test)]
mod tests;
