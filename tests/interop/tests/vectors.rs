//! The committed golden vectors are what the published 0.2.0 crates make, byte for byte.

use elara_interop::vectors;

#[test]
fn the_committed_vectors_are_what_0_2_0_makes() {
    let committed =
        std::fs::read_to_string(vectors::path()).expect("tests/vectors/v0.txt is there");
    assert!(
        committed == vectors::text(),
        "tests/vectors/v0.txt differs from what 0.2.0 makes; if that is meant, write it again with \
         `cargo run --manifest-path tests/interop/Cargo.toml`"
    );
}
