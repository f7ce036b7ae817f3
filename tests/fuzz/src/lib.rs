//! Everything a stranger's bytes reach, as functions of bytes.
//!
//! A target returns when its claims hold and panics when one does not. [`TARGETS`] names them all;
//! `src/main.rs` runs them over the committed corpus and over seeded mutations of it,
//! `src/bin/libfuzzer.rs` guided by coverage, `tests/corpus.rs` over the corpus alone.

pub mod corpus;
pub mod mutate;
mod stun;
mod turn;
mod turn_client;
mod wire;
mod wire_v1;

pub use stun::fuzz_stun;
pub use turn::fuzz_turn;
pub use turn_client::fuzz_turn_client;
pub use wire::{
    fuzz_event, fuzz_frame, fuzz_header, fuzz_mutation, fuzz_tlv, fuzz_version, fuzz_write,
};
pub use wire_v1::{fuzz_body_v1, fuzz_bundle_v1, fuzz_control_v1, fuzz_frame_v1};

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and its folder under `corpus/`.
    pub name: &'static str,
    /// Its body.
    pub run: fn(&[u8]),
}

/// All targets. A new one is a function, a line here, and a folder under `corpus/`.
pub const TARGETS: &[Target] = &[
    Target { name: "header", run: fuzz_header },
    Target { name: "frame", run: fuzz_frame },
    Target { name: "tlv", run: fuzz_tlv },
    Target { name: "event", run: fuzz_event },
    Target { name: "mutation", run: fuzz_mutation },
    Target { name: "version", run: fuzz_version },
    Target { name: "write", run: fuzz_write },
    Target { name: "frame_v1", run: fuzz_frame_v1 },
    Target { name: "control_v1", run: fuzz_control_v1 },
    Target { name: "bundle_v1", run: fuzz_bundle_v1 },
    Target { name: "body_v1", run: fuzz_body_v1 },
    Target { name: "stun", run: fuzz_stun },
    Target { name: "turn", run: fuzz_turn },
    Target { name: "turn_client", run: fuzz_turn_client },
];

/// The target called `name`.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// `bytes` as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that `text` spells in hex; `None` when it does not.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match *pair {
        [high, low] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(high)? << 4 | digit(low)?) as u8)
        }
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
