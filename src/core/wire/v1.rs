//! Wire v1: everything sealed, padded and named, in the thirty bytes of header that v0 has.
//!
//! ```text
//!  data      | header 30 | TLVs 0, 14, 42 or 56 | epoch conn gen 4 | ciphertext | tag 16 | tag 16 |
//!  control   | header 30 | sealed messages                                              | tag 16 |
//!  handshake | header 30 | ..                                                           | tag 16 |
//!  bundle    | 13 | count | 00 00 | session u64 | length u16 x count | frames ..                  |
//! ```
//! | module | owns |
//! |---|---|
//! | [`header`] | what the header means in v1, [`Kind`], and [`Fault`]: how a frame can be wrong |
//! | [`tlv`] | STREAM and STATE, what a relay may know of a sealed frame |
//! | [`frame`] | data frames |
//! | [`seal`] | the ranges that each seal of a frame covers |
//! | [`bundle`] | several frames in one datagram |
//! | [`control`] | control frames: what clients and relay tell each other |
//! | [`versioned`] | wishes and pages that carry a version: which are new, which are missing |
//! | [`body`] | the opened body: its kind, its padding, the sizes of frames |
//! | [`split`] | content larger than a frame: parts of events, pieces of media |
//! | [`proof`] | events signed by their author |
//!
//! Reading borrows and allocates nothing, no input makes it panic, and it accepts exactly one
//! spelling of a thing: what is read is written again to the same bytes. `docs/WIRE.md` is the
//! authority; held by `tests/wire_v1.rs` of this crate and `tests/vectors/v1-wire.txt`.

pub mod body;
pub mod bundle;
pub mod control;
pub mod frame;
pub mod header;
pub mod proof;
pub mod seal;
pub mod split;
pub mod tlv;
pub mod versioned;

pub use body::{BodyFault, BodyKind, Opened, Shape};
pub use bundle::{Bundle, BundleFault, BundleHead, Packing};
pub use control::{Control, ControlFault, ControlFrame, ControlMut, ControlWriter, Controls};
pub use frame::{Frame, FrameMut, KeyName};
pub use header::{Fault, Kind};
pub use proof::{EventFault, Proof, ProvenEvent, SignedEvent};
pub use seal::{Seal, Sealed};
pub use split::{Piece, Pieces, TooLarge};
pub use tlv::{State, Stream, Tlvs};
pub use versioned::{Granted, Pages, Turn, Wished};
