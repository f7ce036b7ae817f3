//! Long-term credentials (RFC 8489 section 9.2.4): the checks, the cheapest first.

use super::answer::code;
use super::{Asked, Server};
use crate::stun::attribute::{LIFETIME, NONCE, PASSWORD_ALGORITHMS, REALM, USERHASH, USERNAME};
use crate::stun::{Message, Method, PasswordAlgorithm};
use crate::turn::credentials::Proven;
use crate::turn::nonce::offers_password_algorithms;

/// What [`PasswordAlgorithm::ALL`] looks like as PASSWORD-ALGORITHMS: what a client must repeat.
const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

/// Why nobody has been shown to ask.
pub(super) enum Denial {
    /// With realm and nonce: try again, 401 or 438.
    Challenge(u16),
    /// 400.
    BadRequest,
}

impl Server {
    /// Who asks.
    ///
    /// The nonce is looked at before the credentials: it costs less, and what does not come from where it
    /// says it comes from has none.
    pub(super) fn authenticate(&self, asked: &Asked<'_>) -> Result<Proven, Denial> {
        let message = &asked.message;
        if message.has_integrity().is_none() {
            return Err(Denial::Challenge(code::UNAUTHENTICATED));
        }
        let named = message.has(USERNAME) || message.has(USERHASH);
        let (Some(realm), Some(nonce), true) = (message.get(REALM), message.get(NONCE), named)
        else {
            return Err(Denial::BadRequest);
        };
        let derived_by = derivation(message, nonce)?;
        // Seconds beyond 32 bits are as good as their last ones: nonces live for an hour.
        if !self.nonces.knows(nonce, asked.from, asked.unix_s as u32) {
            return Err(Denial::Challenge(code::STALE_NONCE));
        }
        let proven = Some(realm)
            .filter(|realm| *realm == self.credentials.realm().as_bytes())
            .and_then(|_| self.credentials.prove(message, derived_by))
            .filter(|proven| proven.identity.holds(asked.unix_s) || !lengthens(message));
        proven.ok_or(Denial::Challenge(code::UNAUTHENTICATED))
    }
}

/// Whether granting it makes an allocation last longer: what credentials that have ended must not do. What
/// such an allocation still has, its client may use and give back.
fn lengthens(message: &Message<'_>) -> bool {
    match message.method() {
        Method::ALLOCATE => true,
        Method::REFRESH => message.u32(LIFETIME) != Some(Ok(0)),
        _ => false,
    }
}

/// How the client says it has derived its key.
fn derivation(message: &Message<'_>, nonce: &[u8]) -> Result<PasswordAlgorithm, Denial> {
    if !offers_password_algorithms(nonce) {
        return Ok(PasswordAlgorithm::Md5);
    }
    // RFC 8489 section 9.2.4, against bidding down: both or neither, the offer repeated as it was made, and
    // a choice from it.
    match (message.get(PASSWORD_ALGORITHMS), message.password_algorithm()) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(offered), Some(Ok(chosen))) if *offered == OFFERED => Ok(chosen),
        _ => Err(Denial::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::{Class, TransactionId, Writer};

    #[test]
    fn what_must_be_repeated_is_what_is_offered() {
        let mut out = [0; 64];
        let id = TransactionId([0; 12]);
        let mut writer = Writer::new(&mut out, Class::Error, Method::ALLOCATE, id);
        let len = writer.put_password_algorithms(&PasswordAlgorithm::ALL).finish().unwrap();
        let message = Message::parse(&out[..len]).unwrap();
        assert_eq!(message.get(PASSWORD_ALGORITHMS), Some(&OFFERED[..]));
    }
}
