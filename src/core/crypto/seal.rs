//! End to end: what members seal for each other and the relay cannot open.
//!
//! ```text
//!   S    = Extract("ELARA1 psk", session key)                  epoch 0; another mode, another S
//!   base = Expand(S,    "ELARA1 sender" | id_pub 32 | inst 16, 32)
//!   ck   = Expand(base, "ELARA1 class" | class u8, 32)
//!   key 32 | iv 12 = Expand(ck, "ELARA1 key", 44)
//!   nonce = iv XOR (0 x8 | seq u32)
//!
//!   | header, TLVs | epoch u16 | conn u8 | gen u8 | ciphertext | tag 16 | hop tag 16 |
//!   |<------------------ AAD -------------------->|
//! ```
//! One key per sender, connection and class. Every frame names its key, so loss and reordering
//! desynchronise nothing, and nobody ever tries several keys on one frame. `inst` follows from the
//! sender's own fresh ephemeral key: restarting with the same session key makes other keys.
//!
//! | here | is |
//! |---|---|
//! | [`SessionKey`], [`EpochSecret`] | what members share |
//! | [`Sealer`] | a sender's keys for one connection |
//! | [`Openers`] | a receiver's keys for everyone else, and what it has seen of them |

mod openers;

pub use openers::{Author, OpenRefused, Openers};

use core::fmt;

use zerocopy::{FromBytes, IntoBytes};

use super::bounds::{Bounds, Misshapen};
use super::hash::{HASH_LEN, expand, extract};
use super::hop::{Inst, Scratch, split_material, xor};
use super::identity::PublicKey;
use super::secret::Secret;
use super::suite::{AeadKey, BadTag, Nonce, Suite};
use crate::limits::{KEY_NAME_LEN, TAG_LEN};
use crate::wire::Class;
use crate::wire::v1::KeyName;
use crate::wire::v1::seal::split_tag;

/// The 32 random bytes behind `e=` in a join address. They never leave the client.
pub type SessionKey = Secret<32>;

/// What the members of one epoch share: the root of all their keys.
#[derive(Clone)]
pub struct EpochSecret {
    epoch: u16,
    secret: Secret<HASH_LEN>,
}

impl EpochSecret {
    /// Mode 0: the secret that follows from the session key. Epoch 0, for ever.
    #[must_use]
    pub fn from_session_key(key: &SessionKey) -> Self {
        Self { epoch: 0, secret: extract(b"ELARA1 psk", key.expose()) }
    }

    /// Mode 1: a secret that a group protocol has agreed on for `epoch`.
    #[must_use]
    pub const fn from_group(epoch: u16, secret: Secret<HASH_LEN>) -> Self {
        Self { epoch, secret }
    }

    /// The epoch, as frames name it.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.epoch
    }

    fn base(&self, id: &PublicKey, inst: &Inst) -> Secret<HASH_LEN> {
        expand(&self.secret, &[b"ELARA1 sender", id.as_bytes(), &inst.0])
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochSecret({}, ..)", self.epoch)
    }
}

/// Which key a data frame was sealed with, as far as its body says; the rest is its sender and class.
/// `None` when the frame is too short to have a body.
#[must_use]
pub fn key_name(frame: &[u8]) -> Option<&KeyName> {
    let bounds = Bounds::of(frame).ok()?;
    let (text, _) = sealed_parts(&bounds, frame.len())?;
    KeyName::ref_from_bytes(frame.get(bounds.header_len..text)?).ok()
}

/// The end of the AAD, and of the ciphertext, when the frame has room for both tags.
fn sealed_parts(bounds: &Bounds, len: usize) -> Option<(usize, usize)> {
    let text = bounds.header_len + KEY_NAME_LEN;
    let end = len.checked_sub(2 * TAG_LEN)?;
    (text <= end).then_some((text, end))
}

/// One class's key of one connection of one sender.
#[derive(Debug)]
pub struct ClassKey {
    key: AeadKey,
    iv: Nonce,
}

impl ClassKey {
    /// The key of `id`'s connection `inst` for `class`.
    #[must_use]
    pub fn derive(
        suite: Suite,
        secret: &EpochSecret,
        id: &PublicKey,
        inst: &Inst,
        class: u8,
    ) -> Self {
        Self::from_base(suite, &secret.base(id, inst), class)
    }

    fn from_base(suite: Suite, base: &Secret<HASH_LEN>, class: u8) -> Self {
        let chain = expand::<HASH_LEN>(base, &[b"ELARA1 class", &[class]]);
        let material = expand(&chain, &[b"ELARA1 key"]);
        let (key, iv) = split_material(&material);
        Self { key: AeadKey::new(suite, key), iv: *iv }
    }

    fn seal(&self, bounds: &Bounds, frame: &mut [u8]) -> Result<(), Misshapen> {
        let (text, end) = sealed_parts(bounds, frame.len()).ok_or(Misshapen)?;
        let (aad, rest) = frame.split_at_mut(text);
        let (content, tags) = rest.split_at_mut(end - text);
        tags[..TAG_LEN].copy_from_slice(&self.key.seal(self.nonce(bounds.seq), aad, content));
        Ok(())
    }

    /// The content of `frame`, padding included, opened in `scratch`.
    fn open<'s>(
        &self,
        bounds: &Bounds,
        frame: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s [u8], OpenRefused> {
        let (text, _) = sealed_parts(bounds, frame.len()).ok_or(OpenRefused::Misshapen)?;
        let (front, _hop) = split_tag(frame);
        let (front, tag) = split_tag(front);
        let (aad, ciphertext) = front.split_at_checked(text).ok_or(OpenRefused::Misshapen)?;
        let content = scratch.hold(ciphertext);
        self.key.open(self.nonce(bounds.seq), aad, content, tag)?;
        Ok(content)
    }

    fn nonce(&self, seq: u32) -> Nonce {
        let [a, b, c, d] = seq.to_le_bytes();
        xor(&self.iv, [0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
    }
}

/// A sender's keys for one connection: one for each class.
#[derive(Debug)]
pub struct Sealer {
    name: KeyName,
    keys: [ClassKey; Class::COUNT],
}

impl Sealer {
    /// The keys of `id` on its connection `conn`, which `inst` names.
    #[must_use]
    pub fn new(suite: Suite, secret: &EpochSecret, id: &PublicKey, inst: &Inst, conn: u8) -> Self {
        let base = secret.base(id, inst);
        Self {
            name: KeyName { epoch: secret.epoch.into(), conn, generation: 0 },
            keys: core::array::from_fn(|class| ClassKey::from_base(suite, &base, class as u8)),
        }
    }

    /// Whether a frame has the room that sealing needs, and a class that is sealed.
    pub(super) fn fits(&self, bounds: &Bounds, len: usize) -> bool {
        Class::from_byte(bounds.class).is_some() && sealed_parts(bounds, len).is_some()
    }

    /// Seals a frame whose number is final: writes the key's name, the ciphertext in place of the
    /// content, the tag. Reached through [`Sending::data`](super::hop::Sending::data), which gives
    /// every frame its own number.
    pub(super) fn seal(&self, frame: &mut [u8]) -> Result<(), Misshapen> {
        let bounds = Bounds::of(frame)?;
        let key = self.keys.get(usize::from(bounds.class)).ok_or(Misshapen)?;
        let (text, _) = sealed_parts(&bounds, frame.len()).ok_or(Misshapen)?;
        frame[bounds.header_len..text].copy_from_slice(self.name.as_bytes());
        key.seal(&bounds, frame)
    }
}

impl From<BadTag> for OpenRefused {
    fn from(BadTag: BadTag) -> Self {
        Self::BadTag
    }
}

impl From<Misshapen> for OpenRefused {
    fn from(Misshapen: Misshapen) -> Self {
        Self::Misshapen
    }
}

#[cfg(test)]
mod tests;
