//! What time-limited TURN credentials are signed with: a line of text, in a file of its own.
//!
//! ```text
//!   elara-turn-secret-v1 <43 letters of base64url>   made by elara keygen turn
//!   <any text of 16 to 256 bytes>                    the shared secret another TURN server had
//! ```
//! The secret is the *text*: the 43 letters as they stand there, or the whole line. That is what services
//! that sign credentials (a chat server, a web page's back end) are given as "TURN shared secret", and
//! why a file with the text of coturn's `static-auth-secret` takes over from it.

use std::fmt;
use std::str;

use elara_core::crypto::secret::equal;
use elara_core::crypto::{Secret, base64url};
use elara_core::limits::{TURN_SECRET_LEN_MAX, TURN_SECRET_LEN_MIN};
use elara_core::turn::SharedSecret;
use zeroize::Zeroizing;

/// How lines of our own key files begin, whole or not.
const OURS: &str = "elara-";
/// How the line begins that coturn's configuration has it in: only what follows is the secret.
const THEIRS: &str = "static-auth-secret";

/// A secret that TURN credentials are signed with. Nothing shows it but [`Self::expose`].
#[derive(Clone)]
pub struct TurnSecret(Zeroizing<String>);

impl TurnSecret {
    /// The secret with this text; `None` when it is no text for one: shorter than 16 bytes, so that whoever
    /// holds a credential could find it by trying; longer than 256; with white space at an end or a
    /// control character; or a line meant for another purpose.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (TURN_SECRET_LEN_MIN..=TURN_SECRET_LEN_MAX).contains(&text.len());
        let bare = text.trim() == text && !text.chars().any(char::is_control);
        let other = text.starts_with(OURS) || text.starts_with(THEIRS);
        (fits && bare && !other).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret in a file that is not one of ours: one line, white space at its end forgiven.
    pub(super) fn of_line(bytes: &[u8]) -> Option<Self> {
        Self::new(str::from_utf8(bytes).ok()?.trim_ascii_end())
    }

    /// The secret whose text spells these bytes.
    pub(super) fn of_bytes(secret: &Secret<32>) -> Self {
        // Room for all of it, so that no shorter copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(TURN_SECRET_LEN_MAX));
        base64url::write(&mut text, secret.expose());
        Self(text)
    }

    pub(crate) fn for_shards(&self) -> SharedSecret {
        SharedSecret::new(self.0.as_bytes())
    }

    /// The text, in the open: for the HMAC that signs with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(..)")
    }
}

/// Takes the same time wherever the difference lies.
impl PartialEq for TurnSecret {
    fn eq(&self, other: &Self) -> bool {
        equal(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for TurnSecret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_line_of_text_will_do_if_it_is_long_enough() {
        for text in ["0123456789abcdef", "north wind, and a half", "zw\u{f6}lf Boxk\u{e4}mpfer"] {
            assert_eq!(TurnSecret::new(text).unwrap().expose(), text);
        }
        assert_eq!(TurnSecret::of_line(b"0123456789abcdef \r\n").unwrap().expose().len(), 16);
        assert!(TurnSecret::new(&"x".repeat(256)).is_some());
    }

    #[test]
    fn what_is_no_secret_or_not_only_one_is_refused() {
        let ours = "elara-turn-secret-v1 AQEBAQEBAQEBAQEB";
        let theirs = "static-auth-secret=0123456789abcdef";
        for text in ["", "0123456789abcde", " 0123456789abcdef", "0123456789\nabcdef", ours, theirs]
        {
            assert!(TurnSecret::new(text).is_none(), "{text:?}");
        }
        assert!(TurnSecret::new(&"x".repeat(257)).is_none());
        assert!(TurnSecret::of_line(&[0xFF; 20]).is_none());
        assert!(TurnSecret::of_line(b"0123456789abcdef\n0123456789abcdef\n").is_none());
    }

    #[test]
    fn it_is_compared_and_not_shown() {
        let secret = |number| TurnSecret::of_bytes(&Secret::new([number; 32]));
        assert_eq!(secret(1).expose(), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
        assert!(secret(1) == secret(1) && secret(1) != secret(2));
        assert_eq!(format!("{:?}", secret(1)), "TurnSecret(..)");
    }
}
