//! The binary `elara`: arguments, then a configuration, then a node.
//!
//! Exit status: 0 it did what was asked; 1 it broke while running; 2 what was asked cannot be done.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
