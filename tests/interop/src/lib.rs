//! Ours against the published 0.2.0 crates.
//!
//! | where | what |
//! |---|---|
//! | [`theirs`] | frames from a seed, every byte made by 0.2.0 |
//! | [`ours`] | frames from a seed, every byte made by us |
//! | [`vectors`] | the sixty-four frames of `tests/vectors/v0.txt`, made by 0.2.0 |
//! | `tests/golden.rs` | 10,000 frames either way, byte for byte |
//! | `tests/vectors.rs` | the committed file is what 0.2.0 makes |
//! | `tests/nodes.rs` | 0.2.0 nodes meet through a running relay |
//! | `src/bin/relay.rs` | a relay on 0.2.0, for `cargo xtask bench peers` |
//!
//! `cargo run --manifest-path tests/interop/Cargo.toml` writes the vectors again.

pub mod ours;
pub mod theirs;
pub mod vectors;

/// The seed of this run: `ELARA_SEED` in decimal, or the usual one.
///
/// # Panics
/// When `ELARA_SEED` is no number.
pub fn seed() -> u64 {
    match std::env::var("ELARA_SEED") {
        Ok(seed) => seed.parse().expect("ELARA_SEED is a decimal number"),
        Err(_) => 0x0E1A_2A00,
    }
}

/// `bytes` as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
