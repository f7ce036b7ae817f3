//! Files of golden values: paragraphs of `name value` lines, told and read back.

#![allow(unreachable_pub)]

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use elara_core::crypto::{Secret, Suite};

pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "tests", "vectors", name].iter().collect()
}

pub fn stored(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// What one paragraph says.
pub struct Told(pub BTreeMap<String, String>);

impl Told {
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str) -> T {
        self.text(name).parse().unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let hex = self.text(name);
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    pub fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap_or_else(|_| panic!("{name} is {N} bytes"))
    }

    pub fn secret(&self, name: &str) -> Secret<32> {
        Secret::new(self.array(name))
    }

    pub fn suite(&self) -> Suite {
        Suite::from_nibble(self.number("suite")).unwrap()
    }
}

pub fn told(file: &str, beginning: &str) -> Vec<Told> {
    let file = stored(file);
    let paragraphs = file.split("\n\n").filter(|paragraph| paragraph.starts_with(beginning));
    let told: Vec<_> = paragraphs
        .map(|paragraph| {
            let lines = paragraph.lines().skip(1).map(|line| line.split_once(' ').unwrap());
            Told(lines.map(|(name, value)| (name.into(), value.into())).collect())
        })
        .collect();
    assert!(!told.is_empty(), "{beginning}");
    told
}

/// Writes a file.
pub struct Teller(pub String);

impl Teller {
    pub fn new(about: &str) -> Self {
        Self(format!("{about}\n"))
    }

    pub fn shows(&mut self, what: &str) -> &mut Self {
        writeln!(self.0, "\n{what}").unwrap();
        self
    }

    pub fn value(&mut self, name: &str, value: impl Display) -> &mut Self {
        writeln!(self.0, "{name} {value}").unwrap();
        self
    }

    pub fn hex(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.value(name, hex)
    }
}

/// Bytes that look like nothing: `from`, and on in steps of 7.
pub fn run<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|i| from.wrapping_add((i as u8).wrapping_mul(7)))
}

// ---- Tokens, certificates, join addresses ----------------------------------------------------------
