//! `elara keygen`: makes keys, and shows the public half of those there are.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use elara_runtime::keys::{self, Key, KeyKind};

use super::{Failure, say};

/// What `elara keygen` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Keygen {
    /// What the key is for
    #[arg(value_enum, required_unless_present = "public")]
    kind: Option<Kind>,
    /// File to make, readable by its owner only [default: relay.key, issuer.key, node.key, turn.key]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file, and with it perhaps the only copy of a key
    #[arg(long)]
    force: bool,
    /// Make nothing: show the public half of a key file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "out", "force"])]
    public: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  elara keygen relay --out /etc/elara/relay.key   what makes a relay the one its join addresses name
  elara keygen issuer                             what signs tokens: see elara token mint --help
  elara keygen turn --out /etc/elara/turn.key     what signs TURN credentials: see elara turn user --help
  elara keygen --public issuer.key                what to tell those who must believe it";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A relay's static key (X25519), which join addresses name
    Relay,
    /// A key that signs tokens (Ed25519), kept away from relays
    Issuer,
    /// A participant's identity (Ed25519)
    Node,
    /// A secret that TURN credentials are signed with, shared by relays and whoever hands them out
    Turn,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Relay => Self::Relay,
            Kind::Issuer => Self::Issuer,
            Kind::Node => Self::Node,
            Kind::Turn => Self::Turn,
        }
    }
}

impl Keygen {
    /// Makes the key, or reads it, and says what others may know of it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (key, file) = match (&self.public, self.kind.map(KeyKind::from)) {
            (None, Some(kind)) => {
                let file = self.out.clone().unwrap_or_else(|| format!("{kind}.key").into());
                (keys::create(&file, kind, self.force), file)
            }
            (Some(file), _) => (keys::load(file), file.clone()),
            (None, None) => unreachable!("clap asks for one of the two"),
        };
        let key = key.map_err(|error| Failure::asked(&error))?;
        say::fact(format_args!("key file: {}", file.display()));
        facts(&key).into_iter().for_each(say::fact);
        Ok(())
    }
}

/// What others may know, one fact a line.
fn facts(key: &Key) -> Vec<String> {
    let public = key.public_text().map(|text| format!("{} public key: {text}", key.kind()));
    let mut facts: Vec<String> = public.into_iter().collect();
    match key {
        Key::Relay(_) => {}
        Key::Turn(_) => facts.push(
            "turn secret: it has no public half; elara turn user --secret FILE signs with it"
                .to_owned(),
        ),
        Key::Issuer(issuer) => facts.push(format!("kid: {}", keys::suggested_kid(issuer.public()))),
        Key::Node(node) => facts.push(format!("node id: {}", node.node_id())),
    }
    facts
}

#[cfg(test)]
mod tests {
    use elara_core::crypto::Secret;

    use super::*;

    /// Computed with the Python package `cryptography` from 32 bytes 01.
    #[test]
    fn what_is_shown_is_public() {
        let shown = |kind| facts(&Key::new(kind, &Secret::new([1; 32])));
        assert_eq!(
            shown(KeyKind::Relay),
            ["relay public key: pOCSkrZRwni5dyxWn1-puxPZBrRqtoyd-dwrRAn4ogk"]
        );
        let public = "public key: iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
        assert_eq!(shown(KeyKind::Issuer), [format!("issuer {public}"), "kid: 30004".into()]);
        assert_eq!(
            shown(KeyKind::Node),
            [format!("node {public}"), "node id: fcfc59bd980f7534".into()]
        );
        let turn = shown(KeyKind::Turn);
        assert!(turn.len() == 1 && !turn[0].contains("AQEB"), "{turn:?}");
    }
}
