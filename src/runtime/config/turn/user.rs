//! A user of TURN as a line of text: a name and what proves it.
//!
//! ```text
//!   alice:correct horse                     a password
//!   alice:0x<32 digits>:0x<64 digits>       what a password became: MD5 and SHA-256, hexadecimal
//! ```
//! Both keys are of `name:realm:password` (RFC 8489 sections 9.2.2 and 18.5), so they open this realm and no
//! other, and the password is not found in them. Here they are all that is kept.

use std::fmt::{self, Write};

use elara_core::crypto::Secret;
use elara_core::limits::{STUN_USERNAME_MAX, TURN_PASSWORD_MAX};
use elara_core::stun::{password_md5, password_sha256};
use elara_core::turn;
use zeroize::Zeroizing;

/// Who may use TURN with a password that does not run out.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnUser {
    name: String,
    md5: Secret<16>,
    sha256: Secret<32>,
}

/// Why text names no user. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUser {
    /// There is no colon.
    Colon,
    /// The name is empty or too long, or has a colon or a control character.
    Name,
    /// The password is empty or too long, or has a control character.
    Password,
    /// What begins like keys is not both of them.
    Keys,
}

impl fmt::Display for BadUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Colon => f.write_str(
                "there is no colon in it: it must be name:password, or a line of elara turn user",
            ),
            Self::Name => write!(
                f,
                "its name must have 1 to {STUN_USERNAME_MAX} bytes, no colon and no control character"
            ),
            Self::Password => write!(
                f,
                "its password must have 1 to {TURN_PASSWORD_MAX} bytes and no control character"
            ),
            Self::Keys => f.write_str(
                "its keys are not whole: 0x and 32 digits (MD5), a colon, 0x and 64 digits (SHA-256), as \
                 elara turn user prints them; a line of turnadmin has the first only",
            ),
        }
    }
}

impl TurnUser {
    /// The user `name` of a realm, who has a password.
    ///
    /// # Errors
    /// [`BadUser::Name`] and [`BadUser::Password`].
    pub fn new(name: &str, realm: &str, password: &str) -> Result<Self, BadUser> {
        let name = Self::name_of(name)?;
        if !is_text(password, TURN_PASSWORD_MAX) {
            return Err(BadUser::Password);
        }
        let md5 = password_md5(&name, realm, password);
        let sha256 = password_sha256(&name, realm, password);
        Ok(Self { name, md5, sha256 })
    }

    /// The user a line of a configuration names, in a realm.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(line: &str, realm: &str) -> Result<Self, BadUser> {
        let (name, proof) = line.split_once(':').ok_or(BadUser::Colon)?;
        // Keys are never taken for a password: what looks like them and is not whole would let nobody in.
        if !proof.starts_with("0x") {
            return Self::new(name, realm, proof);
        }
        let (md5, sha256) = proof.split_once(':').ok_or(BadUser::Keys)?;
        Ok(Self {
            name: Self::name_of(name)?,
            md5: digits(md5).ok_or(BadUser::Keys)?,
            sha256: digits(sha256).ok_or(BadUser::Keys)?,
        })
    }

    fn name_of(name: &str) -> Result<String, BadUser> {
        let sound = is_text(name, STUN_USERNAME_MAX) && !name.contains(':');
        if sound { Ok(name.to_owned()) } else { Err(BadUser::Name) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of a configuration that names this user without the password. It still lets in.
    #[must_use]
    pub fn line(&self) -> Zeroizing<String> {
        // Room for all of it, so that no shorter copy is left behind by growing.
        let mut line = Zeroizing::new(String::with_capacity(self.name.len() + 2 * (3 + 64)));
        line.push_str(&self.name);
        for key in [&self.md5.expose()[..], self.sha256.expose()] {
            line.push_str(":0x");
            for byte in key {
                let _ = write!(line, "{byte:02x}"); // A string takes what is written.
            }
        }
        line
    }

    pub(super) fn for_shards(&self) -> turn::User {
        turn::User {
            name: self.name.clone(),
            key_md5: *self.md5.expose(),
            key_sha256: *self.sha256.expose(),
        }
    }
}

impl fmt::Debug for TurnUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnUser({:?}, ..)", self.name)
    }
}

fn is_text(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The bytes that `0x` and hexadecimal digits spell.
fn digits<const N: usize>(text: &str) -> Option<Secret<N>> {
    let text = text.strip_prefix("0x")?.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = Zeroizing::new([0; N]);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        for digit in pair {
            *byte = *byte << 4 | char::from(*digit).to_digit(16)? as u8;
        }
    }
    Some(Secret::new(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `md5sum` and `sha256sum` say it of `alice:elara:correct horse`.
    const LINE: &str = "alice:0x65e9fd18c9556d72f9c3e88c5305829b:\
                        0xba48adb1f1364f758397201b681fdcd4709d23259a85145cf639375f38b03c31";

    #[test]
    fn a_password_becomes_the_line_and_the_line_is_the_same_user() {
        let alice = TurnUser::read("alice:correct horse", "elara").unwrap();
        assert_eq!(alice.line().as_str(), LINE);
        assert_eq!(TurnUser::read(LINE, "elara").unwrap(), alice);
        assert_eq!(
            TurnUser::read(&LINE.to_uppercase().replace("0X", "0x"), "").unwrap().name(),
            "ALICE"
        );
        assert_ne!(TurnUser::new("alice", "elsewhere", "correct horse").unwrap(), alice);
        let colons = TurnUser::read("alice:a:b", "elara").unwrap();
        assert_eq!(colons, TurnUser::new("alice", "elara", "a:b").unwrap());
    }

    #[test]
    fn what_names_nobody_is_refused_without_a_word_of_it() {
        let (name, password) = ("x".repeat(508), "x".repeat(TURN_PASSWORD_MAX));
        assert!(TurnUser::new(&name, "elara", &password).is_ok());
        let torn = &LINE[..LINE.len() - 1];
        for (line, wrong) in [
            ("correct horse", BadUser::Colon),
            (":correct horse", BadUser::Name),
            ("al\tice:correct horse", BadUser::Name),
            (&format!("{name}x:correct horse"), BadUser::Name),
            ("alice:", BadUser::Password),
            ("alice:correct\nhorse", BadUser::Password),
            (&format!("alice:{password}x"), BadUser::Password),
            (torn, BadUser::Keys),
            (&format!("{torn}g"), BadUser::Keys),
            (&format!("{LINE}0"), BadUser::Keys),
            ("alice:0xbc807ee29df3c9ffa736523fb2c4e8ee", BadUser::Keys),
        ] {
            let error = TurnUser::read(line, "elara").unwrap_err();
            assert_eq!(error, wrong, "{line}");
            let sentence = error.to_string();
            assert!(!sentence.contains("horse") && !sentence.contains("alice"), "{sentence}");
        }
        assert_eq!(TurnUser::new("al:ice", "elara", "correct horse"), Err(BadUser::Name));
    }

    #[test]
    fn its_keys_are_not_shown() {
        let alice = TurnUser::new("alice", "elara", "correct horse").unwrap();
        assert_eq!(format!("{alice:?}"), "TurnUser(\"alice\", ..)");
    }
}
