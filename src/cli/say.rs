//! What the commands print: facts on stdout, one a line and flushed; complaints on stderr.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Prints one fact. A reader that has gone away is no reason to stop.
pub(crate) fn fact(fact: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{fact}").and_then(|()| stdout.flush());
}

/// Prints a value for programs, as indented JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    fact(serde_json::to_string_pretty(value).expect("our own types have names for keys"));
}

/// Prints what is wrong.
pub(crate) fn complaint(sentence: &str) {
    let _ = writeln!(io::stderr().lock(), "elara: {sentence}");
}

/// `text`, bold on a terminal that shows colours.
pub(crate) fn strong(text: impl Display) -> String {
    if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_string()
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 999, 1_000, 65_536, 1_234_567].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "65,536", "1,234,567"]);
    }
}
