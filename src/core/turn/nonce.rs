//! Nonces that nobody remembers: a time, and a code that only this node can make for it.
//!
//! ```text
//!   obMatJos2 | features, 4 letters | seconds since 1970, 8 hex digits | code, 20 letters
//! ```
//! The code covers the features, the time and the client's address. So a nonce shows that its bearer
//! receives what is sent to that address, a client that was told of fewer features than there are repeats a
//! nonce that is not ours (RFC 8489 section 9.2.1, against bidding down), and a stranger's request costs
//! nothing to remember (coturn #1999, CVE-2025-69217: theirs were state, and could be guessed).

use ring::hmac;

use super::base64;
use crate::ClientAddr;
use crate::crypto::Secret;
use crate::crypto::secret::equal;
use crate::limits::TURN_NONCE_FOR_S;

/// RFC 8489 section 9.2: the nonce cookie.
const COOKIE: &[u8; 9] = b"obMatJos2";
const FEATURES: usize = 4;
const TIME: usize = 8;
/// Bytes of the code: 120 bits, and no padding in base64.
const CODE: usize = 15;

/// Bytes of a nonce.
pub(super) const NONCE_LEN: usize = COOKIE.len() + FEATURES + TIME + CODE / 3 * 4;

/// RFC 8489 section 18.1, bit 0 (counted from the right, erratum 6290): password algorithms are offered.
const PASSWORD_ALGORITHMS: u8 = 1;
/// Bit 1: USERHASH is understood.
const USERNAME_ANONYMITY: u8 = 2;

/// What a nonce says about its maker, whoever that was.
pub(super) fn offers_password_algorithms(nonce: &[u8]) -> bool {
    let rest = nonce.strip_prefix(COOKIE);
    // The lowest of 24 bits is the lowest of the fourth letter.
    rest.and_then(|rest| rest.get(FEATURES - 1)).is_some_and(|letter| match *letter {
        b'A'..=b'Z' => (letter - b'A') % 2 == 1,
        b'a'..=b'z' => (letter - b'a') % 2 == 1,
        b'0'..=b'9' => (letter - b'0') % 2 == 1,
        other => other == b'/',
    })
}

/// Makes nonces and knows its own.
#[derive(Debug)]
pub(super) struct Nonces {
    key: hmac::Key,
    features: [u8; FEATURES],
}

impl Nonces {
    /// `key` is the same on all shards of a node; `anonymity` says whether USERHASH is understood.
    pub(super) fn new(key: &Secret<32>, anonymity: bool) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let mut nonces = Self { key, features: [0; FEATURES] };
        nonces.offer(anonymity);
        nonces
    }

    /// What nonces offer from here on; those that offered something else are not known any longer.
    pub(super) fn offer(&mut self, anonymity: bool) {
        let bits = PASSWORD_ALGORITHMS | if anonymity { USERNAME_ANONYMITY } else { 0 };
        self.features = base64::encode(&[0, 0, bits]);
    }

    /// A nonce for `client`.
    pub(super) fn issue(&self, client: &ClientAddr, unix_s: u32) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        let (cookie, rest) = nonce.split_at_mut(COOKIE.len());
        let (features, rest) = rest.split_at_mut(FEATURES);
        let (time, code) = rest.split_at_mut(TIME);
        cookie.copy_from_slice(COOKIE);
        features.copy_from_slice(&self.features);
        for (at, digit) in time.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(unix_s >> (28 - 4 * at) & 0xF) as usize];
        }
        code.copy_from_slice(&self.code(client, unix_s));
        nonce
    }

    /// Whether `nonce` is one that `client` was given, and not too long ago.
    pub(super) fn knows(&self, nonce: &[u8], client: &ClientAddr, unix_s: u32) -> bool {
        let time = nonce.get(COOKIE.len() + FEATURES..).and_then(|rest| rest.get(..TIME));
        let Some(issued) = time.and_then(seconds) else { return false };
        // A clock that was set back makes nonces of the future; they are ours all the same.
        issued.abs_diff(unix_s) <= TURN_NONCE_FOR_S && equal(nonce, &self.issue(client, issued))
    }

    fn code(&self, client: &ClientAddr, unix_s: u32) -> [u8; CODE / 3 * 4] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"ELARA turn nonce");
        context.update(&self.features);
        context.update(&unix_s.to_be_bytes());
        context.update(client.ip_bytes());
        context.update(&client.port().to_be_bytes());
        let mut code = [0; CODE];
        code.copy_from_slice(&context.sign().as_ref()[..CODE]);
        base64::encode(&code)
    }
}

fn seconds(hex: &[u8]) -> Option<u32> {
    hex.iter().try_fold(0, |seconds, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(seconds << 4 | u32::from(value))
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::net::SocketAddr;

    use super::*;

    fn addr(text: &str) -> ClientAddr {
        text.parse::<SocketAddr>().unwrap().into()
    }

    fn nonces(key: u8) -> Nonces {
        Nonces::new(&Secret::new([key; 32]), true)
    }

    #[test]
    fn a_nonce_is_known_to_its_maker_for_its_client_and_its_time() {
        let (from, now) = (addr("192.0.2.1:40000"), 1_700_000_000);
        let nonce = nonces(1).issue(&from, now);
        for (nonces, client, at, known) in [
            (nonces(1), "192.0.2.1:40000", now, true),
            (nonces(1), "192.0.2.1:40000", now + TURN_NONCE_FOR_S, true),
            (nonces(1), "192.0.2.1:40000", now + TURN_NONCE_FOR_S + 1, false),
            (nonces(1), "192.0.2.1:40000", now - 1, true),
            (nonces(1), "192.0.2.1:40001", now, false),
            (nonces(1), "192.0.2.2:40000", now, false),
            (nonces(2), "192.0.2.1:40000", now, false),
        ] {
            assert_eq!(nonces.knows(&nonce, &addr(client), at), known, "{client} {at}");
        }
    }

    #[test]
    fn no_bit_of_a_nonce_can_be_changed() {
        let (nonces, from, now) = (nonces(1), addr("[2001:db8::1]:9"), u32::MAX);
        let nonce = nonces.issue(&from, now);
        for bit in 0..8 * NONCE_LEN {
            let mut other = nonce;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!nonces.knows(&other, &from, now), "bit {bit}");
        }
        for len in 0..NONCE_LEN {
            assert!(!nonces.knows(&nonce[..len], &from, now));
        }
    }

    /// RFC 8489 appendix B.1 has a nonce that offers username anonymity alone.
    #[test]
    fn features_are_counted_from_the_right() {
        assert!(!offers_password_algorithms(b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"));
        let from = addr("192.0.2.1:1");
        for (anonymity, features) in [(true, b"AAAD"), (false, b"AAAB")] {
            let nonce = Nonces::new(&Secret::new([1; 32]), anonymity).issue(&from, 0);
            assert_eq!((&nonce[..9], &nonce[9..13]), (&COOKIE[..], &features[..]));
            assert!(offers_password_algorithms(&nonce));
        }
        for (nonce, offers) in [
            (&b"obMatJos2AAA/"[..], true),
            (b"obMatJos2AAA+", false),
            (b"obMatJos2AA", false),
            (b"", false),
        ] {
            assert_eq!(offers_password_algorithms(nonce), offers);
        }
    }
}
