//! `elara token`: mints the tokens that let people in, and reads them.

mod fields;
mod inspect;
mod mint;

use clap::{Args, Subcommand};
use elara_core::crypto::base64url;

use super::Failure;

/// What `elara token` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  elara token mint --issuer issuer.key --session 5e55101700000001 --valid 8h
  elara token inspect TOKEN --issuer-key PUBLIC_KEY";

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign a token; with a relay, print the whole join address
    Mint(mint::Mint),
    /// Say what a token or a join address means
    Inspect(inspect::Inspect),
}

impl Token {
    /// Mints or inspects.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Mint(mint) => mint.run(),
            Command::Inspect(inspect) => inspect.run(),
        }
    }
}

/// 32 bytes as 43 letters of base64url.
fn key(text: &str) -> Result<[u8; 32], String> {
    base64url::read(text).ok_or_else(|| {
        "not a key: it must be 43 letters of base64url, as elara keygen prints it".to_owned()
    })
}

fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    base64url::write(&mut text, bytes);
    text
}
