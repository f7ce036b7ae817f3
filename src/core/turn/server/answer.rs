//! Answers as bytes.

use super::authenticate::Denial;
use super::{Asked, KNOWN, Server};
use crate::limits::STUN_MESSAGE_MAX;
use crate::stun::attribute::{
    DONT_FRAGMENT, LIFETIME, NONCE, REALM, RESERVATION_TOKEN, XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
};
use crate::stun::{Class, Key, PasswordAlgorithm, Writer};
use crate::turn::home::Family;
use crate::turn::{Answer, Refusal};

/// Error codes (RFC 8489 section 14.8, RFC 8656 section 19).
pub(super) mod code {
    pub(in super::super) const BAD_REQUEST: u16 = 400;
    pub(in super::super) const UNAUTHENTICATED: u16 = 401;
    pub(in super::super) const FORBIDDEN: u16 = 403;
    pub(in super::super) const UNKNOWN_ATTRIBUTE: u16 = 420;
    pub(in super::super) const MISMATCH: u16 = 437;
    pub(in super::super) const STALE_NONCE: u16 = 438;
    pub(in super::super) const NO_SUCH_FAMILY: u16 = 440;
    pub(in super::super) const WRONG_CREDENTIALS: u16 = 441;
    pub(in super::super) const NO_SUCH_TRANSPORT: u16 = 442;
    pub(in super::super) const PEER_FAMILY: u16 = 443;
    pub(in super::super) const QUOTA: u16 = 486;
    pub(in super::super) const CAPACITY: u16 = 508;
}

/// What a request has brought about.
pub(super) enum Granted {
    /// The allocation of this number is there.
    Allocated(u32),
    /// It lasts for so many seconds.
    Refreshed(u32),
    /// What was asked for is so.
    Done,
}

/// Why a request has brought about nothing.
pub(super) enum Failure {
    /// This error.
    Code(u16),
    /// 420, for what is not known anywhere.
    Unknown,
    /// 420, because nothing can be sent with the DF bit.
    DontFragment,
}

impl Server {
    /// The answer to a Binding request that is not a plain one. Credentials in it say nothing to us.
    pub(super) fn binding(
        &mut self,
        asked: &Asked<'_>,
        out: &mut [u8; STUN_MESSAGE_MAX],
    ) -> Answer {
        if !self.admits_binding(asked.now, asked.from) {
            return Answer::Silent(Refusal::Flood);
        }
        if asked.message.unknown_required(&KNOWN).next().is_some() {
            return failed(asked, &Failure::Unknown, None, out);
        }
        let mut writer = Writer::answer(out, &asked.message, Class::Success);
        writer.put_address_xor(XOR_MAPPED_ADDRESS, (*asked.from).into());
        finished(asked, writer, None, 0)
    }

    /// The answer to somebody who has not shown who it is.
    pub(super) fn deny(
        &mut self,
        asked: &Asked<'_>,
        denial: Denial,
        out: &mut [u8; STUN_MESSAGE_MAX],
    ) -> Answer {
        if !self.replies.admit(asked.from, asked.now) {
            return Answer::Silent(Refusal::Flood);
        }
        let Denial::Challenge(error) = denial else {
            return failed(asked, &Failure::Code(code::BAD_REQUEST), None, out);
        };
        let nonce = self.nonces.issue(asked.from, asked.unix_s as u32);
        let mut writer = Writer::answer(out, &asked.message, Class::Error);
        writer.put_error(error).put(REALM, self.credentials.realm().as_bytes()).put(NONCE, &nonce);
        writer.put_password_algorithms(&PasswordAlgorithm::ALL);
        finished(asked, writer, None, error)
    }

    /// The answer to somebody who has shown who it is, signed with the key that showed it.
    pub(super) fn reply(
        &self,
        asked: &Asked<'_>,
        key: &Key,
        granted: Result<Granted, Failure>,
        out: &mut [u8; STUN_MESSAGE_MAX],
    ) -> Answer {
        let granted = match granted {
            Ok(granted) => granted,
            Err(failure) => return failed(asked, &failure, Some(key), out),
        };
        let mut writer = Writer::answer(out, &asked.message, Class::Success);
        match granted {
            Granted::Allocated(number) => self.tell(asked, number, &mut writer),
            Granted::Refreshed(lifetime_s) => {
                writer.put_u32(LIFETIME, lifetime_s);
            }
            Granted::Done => {}
        }
        finished(asked, writer, Some(key), 0)
    }

    /// What was allocated: the same however often it is asked for.
    fn tell(&self, asked: &Asked<'_>, number: u32, writer: &mut Writer<'_>) {
        let Some(allocation) = self.table.get(number) else { return };
        for family in Family::ALL {
            if let (Some(home), Some(leg)) = (self.homes.of(family), allocation.legs.of(family)) {
                writer.put_address_xor(XOR_RELAYED_ADDRESS, home.outside(leg.port).into());
            }
        }
        let birth = &allocation.birth;
        writer.put_u32(LIFETIME, birth.lifetime_s);
        if let Some(token) = &birth.token {
            writer.put(RESERVATION_TOKEN, token);
        }
        writer.put_address_xor(XOR_MAPPED_ADDRESS, (*asked.from).into());
        if let Some((family, why)) = birth.missing {
            writer.put_address_error(family.number(), why);
        }
    }
}

fn failed(
    asked: &Asked<'_>,
    failure: &Failure,
    key: Option<&Key>,
    out: &mut [u8; STUN_MESSAGE_MAX],
) -> Answer {
    let mut writer = Writer::answer(out, &asked.message, Class::Error);
    let error = match failure {
        Failure::Code(error) => *error,
        Failure::Unknown | Failure::DontFragment => code::UNKNOWN_ATTRIBUTE,
    };
    writer.put_error(error);
    match failure {
        Failure::Code(_) => {}
        Failure::Unknown => {
            writer.put_unknown(asked.message.unknown_required(&KNOWN));
        }
        Failure::DontFragment => {
            writer.put_unknown([DONT_FRAGMENT]);
        }
    }
    finished(asked, writer, key, error)
}

fn finished(asked: &Asked<'_>, mut writer: Writer<'_>, key: Option<&Key>, error: u16) -> Answer {
    if let Some(key) = key {
        writer.sign(key);
    }
    if asked.message.has_fingerprint() {
        writer.fingerprint();
    }
    // The longest answer fits: `limits` says so.
    writer.finish().map_or(Answer::Silent(Refusal::Malformed), |len| Answer::Reply { len, error })
}
