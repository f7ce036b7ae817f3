//! Passwords: made up here, or asked for without showing them.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use elara_core::crypto::{Secret, base64url};
use elara_core::limits::TURN_PASSWORD_MAX;
use elara_runtime::keys::OsRandom;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use super::super::super::Failure;

/// A password of 128 bits that nobody can guess, as 22 letters.
pub(super) fn made_up() -> String {
    let mut password = String::new();
    base64url::write(&mut password, Secret::<16>::generate(&mut OsRandom).expose());
    password
}

/// The password for `name`: asked for twice on a terminal, and otherwise the first line of standard input.
pub(super) fn asked(name: &str) -> Result<String, Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return line(&mut input).map_err(unreadable);
    }
    let _dark = Dark::new().map_err(unreadable)?;
    let mut ask = |question: &str| {
        let mut terminal = io::stderr().lock();
        write!(terminal, "{question}: ").and_then(|()| terminal.flush())?;
        let answer = line(&mut input);
        writeln!(terminal)?; // The one that was typed is not shown either.
        answer
    };
    let password = ask(&format!("password for {name}")).map_err(unreadable)?;
    if ask("the same again").map_err(unreadable)? != password {
        return Err(Failure::Asked("the two passwords are not the same: try again".to_owned()));
    }
    Ok(password)
}

fn unreadable(error: io::Error) -> Failure {
    Failure::Asked(format!("cannot read the password: {error}"))
}

/// One line without its end. One that is longer than a password may be is cut, and still too long.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(TURN_PASSWORD_MAX as u64 + 2).read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Dark(Termios);

impl Dark {
    fn new() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut dark = before.clone();
        dark.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &dark)?;
        Ok(Self(before))
    }
}

impl Drop for Dark {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_without_its_end_and_no_further() {
        let read = |text: &str| line(&mut text.as_bytes()).unwrap();
        for (text, password) in [
            ("correct horse\nbattery", "correct horse"),
            ("correct horse\r\n", "correct horse"),
            (" correct horse", " correct horse"),
            ("", ""),
        ] {
            assert_eq!(read(text), password);
        }
        let long = "x".repeat(TURN_PASSWORD_MAX);
        assert_eq!(read(&format!("{long}\r\n")), long);
        assert!(read(&format!("{long}xxx\n")).len() > TURN_PASSWORD_MAX);
    }

    #[test]
    fn no_two_are_the_same() {
        assert!(made_up() != made_up() && made_up().len() == 22);
    }
}
