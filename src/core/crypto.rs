//! Who may enter, what is genuine, and who can read it.
//!
//! Two layers, two kinds of key (`docs/WIRE.md`, section "Wire v1"):
//! ```text
//!             hop: Noise IK, then a tag on every frame, checked by the relay
//!   author  ----------------------------------------------------------------->  relay
//!      \                                                                          |
//!       '---- end to end: keys per sender, connection and class -------> reader <-'
//!             which the relay never holds                   the same bytes, unchanged
//! ```
//! | module | owns |
//! |---|---|
//! | [`secret`] | bytes that are wiped, not printed, and compared in constant time |
//! | [`suite`] | the two AEADs |
//! | [`hash`] | SHA-256, HMAC, HKDF |
//! | [`keystream`] | randomness for keys, from one seed |
//! | [`identity`] | Ed25519 identities and the nodes they are |
//! | [`exchange`] | X25519 keys, and the certificates that tie them to identities |
//! | [`token`] | what an issuer says about who may enter |
//! | [`join`] | join addresses |
//! | [`handshake`] | HELLO to WELCOME, both sides |
//! | [`hop`] | the tag on every frame between client and relay, and sealed control |
//! | [`seal`] | what members seal for each other |
//! | [`replay`] | each number once |
//! | [`base64url`] | keys and tokens as text |
//! | [`bounds`] | where the parts of a frame lie |
//!
//! Randomness and time are arguments here as everywhere in this crate; what makes keys asks for a
//! [`SecureRandom`](crate::random::SecureRandom), which a seeded stream is not.

pub mod base64url;
pub mod bounds;
pub mod exchange;
pub mod handshake;
pub mod hash;
#[cfg(test)]
pub(crate) mod hex;
pub mod hop;
pub mod identity;
pub mod join;
pub mod keystream;
pub mod replay;
pub mod seal;
pub mod secret;
pub mod suite;
pub mod token;

pub use exchange::{Certificate, ExchangeKey, ExchangePublic};
pub use hop::{HopKeys, Inst, Receiving, Scratch, Sending};
pub use identity::{Identity, PublicKey};
pub use join::JoinAddress;
pub use keystream::KeyStream;
pub use seal::{EpochSecret, Openers, Sealer};
pub use secret::Secret;
pub use suite::{AeadKey, BadTag, Suite};
pub use token::{Claims, Issuers, Permissions, Subject, Token};
