//! The same targets under LLVM's libFuzzer, guided by coverage, on stable; see README.md.
//! `ELARA_FUZZ` names the target.
#![no_main]

use std::sync::LazyLock;

use elara_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("ELARA_FUZZ").expect("ELARA_FUZZ names the target");
    target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
