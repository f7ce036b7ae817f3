//! Join tokens: 128 bytes in which an operator's issuer says who may enter a session, and to do what.
//!
//! ```text
//!  0    1     2        4            12            44       48           52        56
//! +----+-----+--------+------------+-------------+--------+------------+---------+
//! | 1  |kind | kid u16| session u64| subject 32  |perms   | not_before | expires |
//! +----+-----+--------+--+---------+---+---------+--------+------------+---------+
//! | max_kbps | max_pps u16 | prio u16  | Ed25519 over "ELARA1 token\0" | 0..64     |
//! +----------+-------------+-----------+-----------------------------------------+
//!  56         60            62          64                                    128
//! ```
//! The relay and every member hold only the issuers' public keys: nobody but the issuer can mint. A
//! token is *bound* to one identity, or a *bearer* token, which belongs to the first identity that
//! shows it; keeping that book is the relay's affair, [`Subject::Bearer`] gives it the name to write
//! down. Times are seconds since 1970, and clocks may differ by [`CLOCK_SKEW_S`].

mod issuers;
mod permissions;

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use self::issuers::{IssuerRefused, Issuers};
pub use self::permissions::Permissions;

use super::identity::{BadSignature, Identity, PublicKey, SIGNATURE_LEN, Signature};
use crate::ids::SessionId;

/// Bytes of a token.
pub const TOKEN_LEN: usize = 128;
/// How far apart the issuer's clock and the relay's may be, in seconds.
pub const CLOCK_SKEW_S: u32 = 60;

const LABEL: &[u8; 13] = b"ELARA1 token\0";
const SIGNED_LEN: usize = TOKEN_LEN - SIGNATURE_LEN;
const VERSION: u8 = 1;
const BOUND: u8 = 0;
const BEARER: u8 = 1;

/// Whom a token lets in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The holder of this key.
    Bound(PublicKey),
    /// The first who shows this random serial.
    Bearer([u8; 32]),
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(key) => write!(f, "Bound({key:?})"),
            Self::Bearer([a, b, c, d, ..]) => write!(f, "Bearer({a:02x}{b:02x}{c:02x}{d:02x}..)"),
        }
    }
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Which issuer key signed it.
    pub kid: u16,
    /// The session it opens.
    pub session: SessionId,
    /// Whom it lets in.
    pub subject: Subject,
    /// What they may do there.
    pub permissions: Permissions,
    /// First second it is valid.
    pub not_before: u32,
    /// Last second it is valid.
    pub expires: u32,
    /// Most they may send, in kbit/s; 0 leaves it to the relay.
    pub max_kbps: u32,
    /// Most datagrams they may send a second; 0 leaves it to the relay.
    pub max_pps: u16,
    /// Who goes first when not all can stay: higher first.
    pub priority: u16,
}

/// Why a token does not open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadToken {
    /// Its version is not 1.
    Version,
    /// It is neither bound nor bearer.
    Kind,
    /// It opens another session.
    Session,
    /// It is bound to another identity.
    Subject,
    /// Its first second has not come.
    NotYet,
    /// Its last second is over.
    Expired,
    /// Its key id names no issuer of this relay.
    Issuer,
    /// The issuer did not sign it so.
    Signature,
}

/// A token as it stands on the wire. A bearer token is a secret: `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub struct Token(pub [u8; TOKEN_LEN]);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    version: u8,
    kind: u8,
    kid: U16,
    session: U64,
    subject: [u8; 32],
    permissions: U32,
    not_before: U32,
    expires: U32,
    max_kbps: U32,
    max_pps: U16,
    priority: U16,
    signature: Signature,
}

const _: () = assert!(size_of::<Layout>() == TOKEN_LEN);

impl Token {
    /// `issuer` signs `claims`.
    #[must_use]
    pub fn mint(issuer: &Identity, claims: &Claims) -> Self {
        let (kind, subject) = match claims.subject {
            Subject::Bound(key) => (BOUND, key.0),
            Subject::Bearer(serial) => (BEARER, serial),
        };
        let mut layout = Layout {
            version: VERSION,
            kind,
            kid: U16::new(claims.kid),
            session: U64::new(claims.session.0),
            subject,
            permissions: U32::new(claims.permissions.0),
            not_before: U32::new(claims.not_before),
            expires: U32::new(claims.expires),
            max_kbps: U32::new(claims.max_kbps),
            max_pps: U16::new(claims.max_pps),
            priority: U16::new(claims.priority),
            signature: [0; SIGNATURE_LEN],
        };
        layout.signature = issuer.sign(&signed(layout.as_bytes()));
        Self(zerocopy::transmute!(layout))
    }

    /// What the token says. Nothing is proven yet: this is for looking up what [`Self::verify`]
    /// and the relay's books need.
    ///
    /// # Errors
    /// [`BadToken::Version`] and [`BadToken::Kind`].
    pub fn claims(&self) -> Result<Claims, BadToken> {
        let layout: &Layout = zerocopy::transmute_ref!(&self.0);
        if layout.version != VERSION {
            return Err(BadToken::Version);
        }
        let subject = match layout.kind {
            BOUND => Subject::Bound(PublicKey(layout.subject)),
            BEARER => Subject::Bearer(layout.subject),
            _ => return Err(BadToken::Kind),
        };
        Ok(Claims {
            kid: layout.kid.get(),
            session: SessionId(layout.session.get()),
            subject,
            permissions: Permissions(layout.permissions.get()),
            not_before: layout.not_before.get(),
            expires: layout.expires.get(),
            max_kbps: layout.max_kbps.get(),
            max_pps: layout.max_pps.get(),
            priority: layout.priority.get(),
        })
    }

    /// What the token says, if it lets `holder` into `session` at second `now`. The signature,
    /// which costs most, comes last.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn verify(
        &self,
        issuers: &Issuers,
        session: SessionId,
        holder: &PublicKey,
        now: u32,
    ) -> Result<Claims, BadToken> {
        let claims = self.claims()?;
        if claims.session != session {
            return Err(BadToken::Session);
        }
        if matches!(claims.subject, Subject::Bound(key) if key != *holder) {
            return Err(BadToken::Subject);
        }
        if now.saturating_add(CLOCK_SKEW_S) < claims.not_before {
            return Err(BadToken::NotYet);
        }
        if now > claims.expires.saturating_add(CLOCK_SKEW_S) {
            return Err(BadToken::Expired);
        }
        let issuer = issuers.key(claims.kid).ok_or(BadToken::Issuer)?;
        self.verify_signature(issuer).map_err(|_| BadToken::Signature)?;
        Ok(claims)
    }

    /// Whether `issuer` signed these bytes, whatever they say and whenever they are valid.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_signature(&self, issuer: &PublicKey) -> Result<(), BadSignature> {
        let layout: &Layout = zerocopy::transmute_ref!(&self.0);
        issuer.verify(&signed(&self.0), &layout.signature)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

fn signed(token: &[u8]) -> [u8; LABEL.len() + SIGNED_LEN] {
    let mut message = [0; LABEL.len() + SIGNED_LEN];
    let (label, claims) = message.split_at_mut(LABEL.len());
    label.copy_from_slice(LABEL);
    claims.copy_from_slice(&token[..SIGNED_LEN]);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{GuessableKeys, Seeded};
    use alloc::format;

    struct Scene {
        issuer: Identity,
        issuers: Issuers,
        member: Identity,
        claims: Claims,
    }

    fn scene() -> Scene {
        let mut random = GuessableKeys(Seeded::new(5));
        let issuer = Identity::generate(&mut random);
        let member = Identity::generate(&mut random);
        let mut issuers = Issuers::new();
        issuers.add(7, *issuer.public()).unwrap();
        let claims = Claims {
            kid: 7,
            session: SessionId(0x1122_3344_5566_7788),
            subject: Subject::Bound(*member.public()),
            permissions: Permissions::SEND_ALL.and(Permissions::RECEIVE),
            not_before: 10_000,
            expires: 20_000,
            max_kbps: 4_000,
            max_pps: 2_000,
            priority: 3,
        };
        Scene { issuer, issuers, member, claims }
    }

    impl Scene {
        fn verify(&self, token: &Token, now: u32) -> Result<Claims, BadToken> {
            token.verify(&self.issuers, self.claims.session, self.member.public(), now)
        }
    }

    #[test]
    fn what_was_minted_is_what_is_verified() {
        let scene = scene();
        let token = Token::mint(&scene.issuer, &scene.claims);
        assert_eq!(scene.verify(&token, 15_000), Ok(scene.claims));
    }

    #[test]
    fn no_bit_of_a_token_can_be_flipped() {
        let scene = scene();
        let token = Token::mint(&scene.issuer, &scene.claims);
        for bit in 0..8 * TOKEN_LEN {
            let mut broken = token;
            broken.0[bit / 8] ^= 1 << (bit % 8);
            assert!(scene.verify(&broken, 15_000).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn each_cause_is_named() {
        let Scene { issuer, issuers, member, claims } = scene();
        let session = claims.session;
        let check = |claims: Claims, now| {
            Token::mint(&issuer, &claims).verify(&issuers, session, member.public(), now).err()
        };
        let raw = |index: usize, value: u8| {
            let mut token = Token::mint(&issuer, &claims);
            token.0[index] = value;
            token.verify(&issuers, session, member.public(), 15_000).err()
        };
        assert_eq!(check(claims, 10_000 - CLOCK_SKEW_S), None);
        assert_eq!(check(claims, 10_000 - CLOCK_SKEW_S - 1), Some(BadToken::NotYet));
        assert_eq!(check(claims, 20_000 + CLOCK_SKEW_S), None);
        assert_eq!(check(claims, 20_000 + CLOCK_SKEW_S + 1), Some(BadToken::Expired));
        let elsewhere = Claims { session: SessionId(1), ..claims };
        assert_eq!(check(elsewhere, 15_000), Some(BadToken::Session));
        let another = Claims { subject: Subject::Bound(*issuer.public()), ..claims };
        assert_eq!(check(another, 15_000), Some(BadToken::Subject));
        assert_eq!(check(Claims { kid: 8, ..claims }, 15_000), Some(BadToken::Issuer));
        assert_eq!(raw(0, 2), Some(BadToken::Version));
        assert_eq!(raw(1, 2), Some(BadToken::Kind));
        assert_eq!(raw(1, BEARER), Some(BadToken::Signature), "a bound token is no bearer token");
        assert_eq!(raw(127, 0xFF), Some(BadToken::Signature));
    }

    #[test]
    fn a_bearer_token_opens_for_whoever_shows_it() {
        let mut scene = scene();
        scene.claims.subject = Subject::Bearer([9; 32]);
        let token = Token::mint(&scene.issuer, &scene.claims);
        scene.member = Identity::from_seed(&crate::crypto::Secret::new([1; 32]));
        assert_eq!(scene.verify(&token, 15_000), Ok(scene.claims));
    }

    #[test]
    fn debug_shows_nothing_of_a_token() {
        let scene = scene();
        assert_eq!(format!("{:?}", Token::mint(&scene.issuer, &scene.claims)), "Token(..)");
    }
}
