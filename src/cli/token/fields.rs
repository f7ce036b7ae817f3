//! What a token says, for people (one fact a line) and for programs (JSON).

use elara_core::crypto::token::CLOCK_SKEW_S;
use elara_core::crypto::{Claims, Permissions, PublicKey, Subject};
use elara_core::wire::header::Class;
use serde::Serialize;

use super::super::time;
use super::text_of;

/// The classes by the names that `--may` takes, in wire order.
pub(super) const CLASSES: [(&str, Class); 5] = [
    ("core", Class::Core),
    ("perceptual", Class::Perceptual),
    ("enhancement", Class::Enhancement),
    ("cosmetic", Class::Cosmetic),
    ("repair", Class::Repair),
];

/// The other permissions by their names.
const OTHERS: [(&str, Permissions); 4] = [
    ("receive", Permissions::RECEIVE),
    ("commit", Permissions::COMMIT),
    ("kick", Permissions::KICK),
    ("relay-link", Permissions::RELAY_LINK),
];

/// A token's claims as programs read them.
#[derive(Debug, Serialize)]
pub(super) struct Fields {
    kind: &'static str,
    kid: u16,
    /// Sixteen hexadecimal digits: JSON's numbers end at 53 bits.
    session: String,
    /// The node's public key, or the serial.
    subject: String,
    /// The node's label, of a bound token.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    may_send: Vec<&'static str>,
    may: Vec<&'static str>,
    /// All bits, those without a name too.
    permissions: u32,
    not_before: u32,
    expires: u32,
    max_kbps: u32,
    max_pps: u16,
    priority: u16,
}

impl From<&Claims> for Fields {
    fn from(claims: &Claims) -> Self {
        let (kind, subject, node) = match &claims.subject {
            Subject::Bound(key) => ("bound", text_of(&key.0), Some(key.node_id().to_string())),
            Subject::Bearer(serial) => ("bearer", text_of(serial), None),
        };
        Self {
            kind,
            kid: claims.kid,
            session: claims.session.to_string(),
            subject,
            node,
            may_send: may_send(claims.permissions),
            may: may(claims.permissions),
            permissions: claims.permissions.0,
            not_before: claims.not_before,
            expires: claims.expires,
            max_kbps: claims.max_kbps,
            max_pps: claims.max_pps,
            priority: claims.priority,
        }
    }
}

/// A token's claims as people read them.
pub(super) fn facts(claims: &Claims) -> Vec<String> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(format!("{name}: {value}"));
    match &claims.subject {
        Subject::Bound(key) => {
            fact("kind", "bound to one node".to_owned());
            fact("node public key", text_of(&key.0));
            fact("node id", PublicKey::node_id(key).to_string());
        }
        Subject::Bearer(serial) => {
            fact("kind", "bearer: it belongs to the first node that shows it".to_owned());
            fact("serial", text_of(serial));
        }
    }
    fact("kid", claims.kid.to_string());
    fact("session", claims.session.to_string());
    fact("may send", or_nothing(&may_send(claims.permissions)));
    fact("may", or_nothing(&may(claims.permissions)));
    let unknown = claims.permissions.0 & !known().0;
    if unknown != 0 {
        fact("permissions without a name", format!("{unknown:#x}"));
    }
    fact("not before", time::show(claims.not_before));
    fact("expires", time::show(claims.expires));
    fact("most kbit/s", limit(claims.max_kbps));
    fact("most datagrams/s", limit(claims.max_pps.into()));
    fact("priority", claims.priority.to_string());
    facts
}

fn may_send(permissions: Permissions) -> Vec<&'static str> {
    let granted = CLASSES.iter().filter(|(_, class)| permissions.may_send(*class as u8));
    granted.map(|(name, _)| *name).collect()
}

fn may(permissions: Permissions) -> Vec<&'static str> {
    let granted = OTHERS.iter().filter(|(_, permission)| permissions.allows(*permission));
    granted.map(|(name, _)| *name).collect()
}

fn known() -> Permissions {
    OTHERS.iter().fold(Permissions::SEND_ALL, |all, (_, permission)| all.and(*permission))
}

fn or_nothing(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn limit(limit: u32) -> String {
    if limit == 0 { "as the relay says".to_owned() } else { limit.to_string() }
}

/// Where a moment lies in a token's life. A relay forgives [`CLOCK_SKEW_S`] on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Life {
    /// Its first second has not come.
    NotYet,
    /// A relay takes it.
    Valid,
    /// Its last second is over.
    Expired,
}

impl Life {
    /// Of `claims` at second `now`.
    pub(super) const fn at(claims: &Claims, now: u32) -> Self {
        if now.saturating_add(CLOCK_SKEW_S) < claims.not_before {
            Self::NotYet
        } else if now > claims.expires.saturating_add(CLOCK_SKEW_S) {
            Self::Expired
        } else {
            Self::Valid
        }
    }

    /// The same for people.
    pub(super) fn sentence(self, claims: &Claims, now: u32) -> String {
        let (begins, ends) = (claims.not_before, claims.expires);
        match self {
            Self::NotYet => format!("not valid yet: it begins in {}", time::about(begins - now)),
            Self::Expired => format!("expired {} ago", time::about(now - ends)),
            Self::Valid if now <= ends => format!("valid for {} more", time::about(ends - now)),
            Self::Valid => format!("expired, and valid while a relay forgives {CLOCK_SKEW_S} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use elara_core::SessionId;

    use super::*;

    fn claims() -> Claims {
        Claims {
            kid: 7,
            session: SessionId(0x5E55_1017_0000_0001),
            subject: Subject::Bearer([0; 32]),
            permissions: Permissions(0x8000_0101),
            not_before: 10_000,
            expires: 13_600,
            max_kbps: 0,
            max_pps: 50,
            priority: 3,
        }
    }

    #[test]
    fn every_field_is_a_fact() {
        assert_eq!(
            facts(&claims()),
            [
                "kind: bearer: it belongs to the first node that shows it",
                "serial: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "kid: 7",
                "session: 5e55101700000001",
                "may send: core",
                "may: receive",
                "permissions without a name: 0x80000000",
                "not before: 1970-01-01T02:46:40Z",
                "expires: 1970-01-01T03:46:40Z",
                "most kbit/s: as the relay says",
                "most datagrams/s: 50",
                "priority: 3",
            ]
        );
    }

    #[test]
    fn a_life_has_the_edges_a_relay_gives_it() {
        let claims = claims();
        let at = |now| (Life::at(&claims, now), Life::at(&claims, now).sentence(&claims, now));
        assert_eq!(at(9_939).0, Life::NotYet);
        assert_eq!(at(9_939).1, "not valid yet: it begins in 61 seconds");
        assert_eq!(at(9_940).0, Life::Valid);
        assert_eq!(at(10_000), (Life::Valid, "valid for 60 minutes more".to_owned()));
        assert_eq!(at(13_660).0, Life::Valid);
        assert_eq!(at(13_661), (Life::Expired, "expired 61 seconds ago".to_owned()));
    }
}
