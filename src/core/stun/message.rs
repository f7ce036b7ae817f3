//! A STUN message in place: one walk over its attributes says whether it is well-formed.
//!
//! Runs on every STUN datagram of a stranger, so it allocates nothing, indexes nothing, and looks at no
//! more than [`STUN_ATTRIBUTES_MAX`] attributes. What stands in padding is ignored (RFC 8489 section 14).

use core::fmt;
use core::ops::Range;

use super::attribute::{self, FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};
use super::key::{Algorithm, Key};
use super::sight::Sight;
use super::{
    ATTRIBUTE_HEAD, COOKIE, Class, HEADER_LEN, Malformed, Method, TransactionId, fingerprint,
    unweave,
};
use crate::crypto::secret::equal;
use crate::limits::{STUN_ATTRIBUTES_MAX, STUN_UNKNOWN_MAX};

/// One attribute as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// See [`attribute`].
    pub kind: u16,
    /// Without padding.
    pub value: &'a [u8],
}

/// A well-formed message.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub(super) head: &'a [u8; HEADER_LEN],
    body: &'a [u8],
    integrity: Option<Integrity<'a>>,
    fingerprint: bool,
}

/// The MESSAGE-INTEGRITY that counts.
#[derive(Clone, Copy)]
struct Integrity<'a> {
    algorithm: Algorithm,
    /// All attributes before it.
    covered: &'a [u8],
    given: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message that `bytes` are, from the first to the last.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong with the structure. Values of single attributes are looked at when
    /// they are asked for, FINGERPRINT and the lengths of both MESSAGE-INTEGRITY excepted.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (head, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [k0, _, l0, l1, c0, c1, c2, c3, ..] = *head;
        if k0 & 0xC0 != 0 {
            return Err(Malformed::Leading);
        }
        if [c0, c1, c2, c3] != COOKIE {
            return Err(Malformed::Cookie);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if length != body.len() || !length.is_multiple_of(4) {
            return Err(Malformed::Length);
        }
        let mut message = Self { head, body, integrity: None, fingerprint: false };
        message.walk()?;
        Ok(message)
    }

    /// Checks every attribute's place, and remembers those that speak about the message as a whole.
    fn walk(&mut self) -> Result<(), Malformed> {
        let (mut rest, mut sight, mut count) = (self.body, Sight::Open, 0);
        while let Some((Attribute { kind, value }, after)) = step(rest)? {
            count += 1;
            if count > STUN_ATTRIBUTES_MAX {
                return Err(Malformed::Crowded);
            }
            let covered = self.body.get(..self.body.len() - rest.len()).unwrap_or_default();
            rest = after;
            if !sight.sees(kind) {
                continue;
            }
            match kind {
                MESSAGE_INTEGRITY => self.remember(Algorithm::Sha1, covered, value)?,
                MESSAGE_INTEGRITY_SHA256 => self.remember(Algorithm::Sha256, covered, value)?,
                FINGERPRINT => {
                    // RFC 8489 section 14.7: it must be the last attribute.
                    if !rest.is_empty() || value != fingerprint::of(self.head, covered) {
                        return Err(Malformed::Fingerprint);
                    }
                    self.fingerprint = true;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A SHA-256 stands behind a SHA-1 if both are there, and takes its place.
    fn remember(
        &mut self,
        algorithm: Algorithm,
        covered: &'a [u8],
        given: &'a [u8],
    ) -> Result<(), Malformed> {
        if !algorithm.admits(given.len()) {
            return Err(Malformed::Integrity);
        }
        self.integrity = Some(Integrity { algorithm, covered, given });
        Ok(())
    }

    /// What the message is in its exchange.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.kind().0
    }

    /// What it is about.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.kind().1
    }

    const fn kind(&self) -> (Class, Method) {
        let [high, low, ..] = *self.head;
        unweave(u16::from_be_bytes([high, low]))
    }

    /// Which exchange it belongs to.
    #[must_use]
    pub const fn transaction(&self) -> TransactionId {
        let [_, _, _, _, _, _, _, _, transaction @ ..] = *self.head;
        TransactionId(transaction)
    }

    /// The attributes that exist, in the order they stand: behind MESSAGE-INTEGRITY only
    /// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, behind that one only FINGERPRINT.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.body, sight: Sight::Open }
    }

    /// The value of the first attribute of this kind; further ones count for nothing (RFC 8489 section 14).
    #[inline]
    #[must_use]
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// Whether there is an attribute of this kind.
    #[must_use]
    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    /// Where the value that [`Self::get`] gives lies in the bytes that were parsed.
    #[must_use]
    pub fn range(&self, kind: u16) -> Option<Range<usize>> {
        let mut attributes = self.attributes();
        let found = attributes.find(|attribute| attribute.kind == kind)?;
        // The iterator stands behind the padding.
        let end = HEADER_LEN + self.body.len() - attributes.rest.len();
        let start = end.checked_sub(found.value.len().next_multiple_of(4))?;
        Some(start..start + found.value.len())
    }

    /// The kinds of attributes that must be understood and are not among `known`: each once, at most
    /// [`STUN_UNKNOWN_MAX`] of them.
    pub fn unknown_required(&self, known: &[u16]) -> impl Iterator<Item = u16> {
        let mut named = [0; STUN_UNKNOWN_MAX];
        let mut count = 0;
        self.attributes().filter_map(move |Attribute { kind, .. }| {
            let skip = !attribute::is_required(kind) || known.contains(&kind);
            if skip || named.get(..count)?.contains(&kind) {
                return None;
            }
            *named.get_mut(count)? = kind;
            count += 1;
            Some(kind)
        })
    }

    /// Which MESSAGE-INTEGRITY there is. If both are there the SHA-256 is what counts.
    #[must_use]
    pub fn has_integrity(&self) -> Option<Algorithm> {
        self.integrity.map(|integrity| integrity.algorithm)
    }

    /// Whether the MESSAGE-INTEGRITY that counts is there and was made with `key`, in constant time. A key
    /// for the other algorithm verifies nothing.
    #[must_use]
    pub fn verify(&self, key: &Key) -> bool {
        let Some(Integrity { algorithm, covered, given }) = self.integrity else { return false };
        if algorithm != key.algorithm() {
            return false;
        }
        let tag = key.tag(self.head, covered, given.len());
        tag.as_ref().get(..given.len()).is_some_and(|tag| equal(tag, given))
    }

    /// Whether there is a FINGERPRINT. It has been checked.
    #[must_use]
    pub const fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }
}

/// Nothing of what strangers wrote, and no credentials.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, Method(method)) = self.kind();
        let len = HEADER_LEN + self.body.len();
        write!(f, "Message({class:?} {method:#05x} {:?}, {len} bytes)", self.transaction())
    }
}

/// The attributes of a [`Message`] that exist.
#[derive(Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    sight: Sight,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Attribute<'a>> {
        // `Message::parse` has seen every step succeed.
        while let Ok(Some((attribute, rest))) = step(self.rest) {
            self.rest = rest;
            if self.sight.sees(attribute.kind) {
                return Some(attribute);
            }
        }
        None
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|attribute| attribute.kind)).finish()
    }
}

/// One step along the attributes: the one in front and what follows it; `None` at the end.
#[inline]
fn step(rest: &[u8]) -> Result<Option<(Attribute<'_>, &[u8])>, Malformed> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (&[k0, k1, l0, l1], rest) =
        rest.split_first_chunk::<ATTRIBUTE_HEAD>().ok_or(Malformed::Attribute)?;
    // In usize: a length of 0xFFFD and its padding do not fit a u16.
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let (padded, rest) =
        rest.split_at_checked(len.next_multiple_of(4)).ok_or(Malformed::Attribute)?;
    let value = padded.get(..len).ok_or(Malformed::Attribute)?;
    Ok(Some((Attribute { kind: u16::from_be_bytes([k0, k1]), value }, rest)))
}
