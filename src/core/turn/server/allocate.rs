//! Allocate: a relayed address (RFC 8656 section 7.2).

use super::answer::{Failure, Granted, code};
use super::{Asked, Server};
use crate::limits::{TURN_PORT_GUESSES, TURN_PORT_OPENS};
use crate::random::SecureRandom;
use crate::stun::Message;
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, DONT_FRAGMENT, EVEN_PORT, LIFETIME, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN,
};
use crate::time::Span;
use crate::turn::allocation::{Allocation, Birth, Leg};
use crate::turn::credentials::Identity;
use crate::turn::home::{Each, Family};
use crate::turn::reservation::Token;
use crate::turn::{OpenError, Ports, Socket};

/// UDP's number in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// What is asked for, once it is known to be a thing that can be asked for.
struct Wish {
    source: Source,
    /// An IPv6 address as well.
    also_v6: bool,
    lifetime_s: u32,
}

/// Where the port comes from.
#[derive(Clone, Copy)]
enum Source {
    /// A free one.
    Free(Family, Parity),
    /// The one that was set aside under this token.
    Reserved(Token),
}

/// Which ports will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parity {
    Any,
    Even,
    /// Even, and the next one is set aside.
    EvenAndNext,
}

/// A socket and its port.
type Place = (Socket, u16);

impl Server {
    pub(super) fn allocate(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
        ports: &mut impl Ports,
        random: &mut impl SecureRandom,
    ) -> Result<Granted, Failure> {
        // Check 2. The same request again gets the same answer: section 5 wants 40 seconds of that, this
        // lasts as long as the allocation.
        if let Some(number) = self.table.of(asked.from) {
            let again = self.table.get(number).is_some_and(|allocation| {
                allocation.birth.transaction == asked.message.transaction()
                    && allocation.user == identity.user
            });
            return if again { Ok(Granted::Allocated(number)) } else { err(code::MISMATCH) };
        }
        let wish = self.wish(asked, identity)?;
        // Check 10: by user, not by address.
        if self.quota.of(&identity.account) >= self.config.allocations_per_user {
            return err(code::QUOTA);
        }
        if self.table.len() >= self.config.allocations_max {
            return err(code::CAPACITY);
        }
        self.give(asked, identity, &wish, ports, random)
    }

    /// Checks 3 to 9, in their order.
    fn wish(&self, asked: &Asked<'_>, identity: &Identity) -> Result<Wish, Failure> {
        let message = &asked.message;
        // Check 3.
        match message.u8(REQUESTED_TRANSPORT) {
            Some(Ok(UDP)) => {}
            Some(Ok(_)) => return err(code::NO_SUCH_TRANSPORT),
            Some(Err(_)) | None => return err(code::BAD_REQUEST),
        }
        let also = message.has(ADDITIONAL_ADDRESS_FAMILY);
        // Check 4. Section 3.7: nor is it had where IPv4 becomes IPv6, and nobody sees the DF of what came.
        let waits = |token: &[u8]| self.reservations.family(token, &identity.account, asked.now);
        let wanted = match message.get(RESERVATION_TOKEN) {
            Some(token) => waits(token),
            None => {
                message.u8(REQUESTED_ADDRESS_FAMILY).and_then(Result::ok).and_then(Family::numbered)
            }
        };
        let into_v6 = also || wanted == Some(Family::V6);
        let translated = Family::of(asked.from) == Family::V4 && into_v6;
        if message.has(DONT_FRAGMENT) && (translated || !self.config.dont_fragment) {
            return Err(Failure::DontFragment);
        }
        let source = match message.array(RESERVATION_TOKEN) {
            Some(token) => {
                // Check 5.
                let alone = ![EVEN_PORT, REQUESTED_ADDRESS_FAMILY]
                    .into_iter()
                    .any(|kind| message.has(kind));
                let (Ok(token), true, false) = (token, alone, also) else {
                    return err(code::BAD_REQUEST);
                };
                if waits(&token).is_none() {
                    return err(code::CAPACITY);
                }
                Source::Reserved(token)
            }
            None => Source::Free(self.family(message)?, parity(message)?),
        };
        // Check 9. The only family that can be asked for in addition is IPv6.
        let also_v6 = match message.u8(ADDITIONAL_ADDRESS_FAMILY) {
            None => false,
            Some(Ok(number)) if Family::numbered(number) == Some(Family::V6) => true,
            Some(_) => return err(code::BAD_REQUEST),
        };
        let lifetime_s = match message.u32(LIFETIME) {
            None => self.lifetime(0),
            Some(Ok(lifetime_s)) => self.lifetime(lifetime_s),
            Some(Err(_)) => return err(code::BAD_REQUEST),
        };
        Ok(Wish { source, also_v6, lifetime_s })
    }

    /// Checks 6 and 7.
    fn family(&self, message: &Message<'_>) -> Result<Family, Failure> {
        let family = match message.u8(REQUESTED_ADDRESS_FAMILY) {
            None => Family::V4,
            Some(_) if message.has(ADDITIONAL_ADDRESS_FAMILY) => return err(code::BAD_REQUEST),
            Some(Err(_)) => return err(code::BAD_REQUEST),
            Some(Ok(number)) => {
                Family::numbered(number).ok_or(Failure::Code(code::NO_SUCH_FAMILY))?
            }
        };
        match self.homes.of(family) {
            Some(_) => Ok(family),
            None => err(code::NO_SUCH_FAMILY),
        }
    }

    /// Seconds granted to somebody who asks for so many: no less than the default, no more than the most.
    pub(super) fn lifetime(&self, asked_s: u32) -> u32 {
        asked_s.min(self.config.lifetime_max_s).max(self.config.lifetime_default_s)
    }

    /// All checks have passed: sockets are opened, and the allocation is made.
    fn give(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
        wish: &Wish,
        ports: &mut impl Ports,
        random: &mut impl SecureRandom,
    ) -> Result<Granted, Failure> {
        let mut places = Each::default();
        let (mut missing, mut token) = (None, None);
        match wish.source {
            Source::Reserved(token) => {
                let held = self.reservations.claim(&token, &identity.account, asked.now);
                let held = held.ok_or(Failure::Code(code::CAPACITY))?;
                *places.of_mut(held.family) = Some((held.socket, held.port));
            }
            Source::Free(family, parity) => {
                let first = self.open(family, parity, ports, random);
                missing = first.is_none().then_some((family, code::CAPACITY));
                if let Some((place, next)) = first {
                    *places.of_mut(family) = Some(place);
                    token =
                        next.map(|next| self.set_aside(asked, identity, (family, next), random));
                }
                if wish.also_v6 {
                    let second = self
                        .homes
                        .of(Family::V6)
                        .map(|_| self.open(Family::V6, parity, ports, random));
                    match second {
                        Some(Some((place, _))) => places.v6 = Some(place),
                        // Section 7.2: one of two is a success, and ADDRESS-ERROR-CODE says about the other.
                        Some(None) => missing = missing.or(Some((Family::V6, code::CAPACITY))),
                        None => missing = missing.or(Some((Family::V6, code::NO_SUCH_FAMILY))),
                    }
                }
            }
        }
        if places.v4.is_none() && places.v6.is_none() {
            return err(code::CAPACITY);
        }
        let transaction = asked.message.transaction();
        let birth = Birth { transaction, lifetime_s: wish.lifetime_s, token, missing };
        let number = self.table.insert(Allocation::new(*asked.from, identity, birth));
        let expires = asked.now + Span::from_secs(wish.lifetime_s.into());
        for family in Family::ALL {
            if let Some((socket, port)) = *places.of(family) {
                self.table.attach(number, family, Leg { socket, port, expires });
            }
        }
        self.quota.take(identity.account);
        self.arm(number, asked.now);
        Ok(Granted::Allocated(number))
    }

    fn set_aside(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
        (family, (socket, port)): (Family, Place),
        random: &mut impl SecureRandom,
    ) -> Token {
        let mut token = Token::default();
        random.fill(&mut token);
        let whose = (token, identity.account);
        self.reservations.reserve(whose, (family, socket, port), asked.now);
        token
    }

    /// Opens a random port, and the next one where that is to be set aside. Random numbers come from the
    /// system's generator (CVE-2025-69217: ports that can be guessed can be taken).
    fn open(
        &self,
        family: Family,
        parity: Parity,
        ports: &mut impl Ports,
        random: &mut impl SecureRandom,
    ) -> Option<(Place, Option<Place>)> {
        if parity == Parity::EvenAndNext && self.reservations.is_full() {
            return None;
        }
        let home = self.homes.of(family)?;
        let (first, last) = (*self.config.ports.start(), *self.config.ports.end());
        let count = u64::from(last - first) + 1;
        let free = |port: u16| self.table.with_port(family, port).is_none();
        let guesses = (0..TURN_PORT_GUESSES).filter_map(|_| {
            let guess = first + random.below(count) as u16;
            let (port, needed) = match parity {
                Parity::Any => (guess, 0),
                Parity::Even => (guess & !1, 0),
                Parity::EvenAndNext => (guess & !1, 1),
            };
            let last = port.checked_add(needed)?;
            (self.config.ports.contains(&port) && self.config.ports.contains(&last)).then_some(port)
        });
        for port in guesses.filter(|port| free(*port)).take(TURN_PORT_OPENS) {
            let mut open = |port| ports.open(home.inside(port).into()).map(|socket| (socket, port));
            let place = match open(port) {
                Ok(place) => place,
                Err(OpenError::InUse) => continue,
                Err(OpenError::Full | OpenError::Other) => return None,
            };
            if parity != Parity::EvenAndNext {
                return Some((place, None));
            }
            match open(port + 1) {
                Ok(next) => return Some((place, Some(next))),
                Err(why) => {
                    ports.close(place.0);
                    if why != OpenError::InUse {
                        return None;
                    }
                }
            }
        }
        None
    }
}

/// Check 8, as far as it is about the request.
fn parity(message: &Message<'_>) -> Result<Parity, Failure> {
    match message.u8(EVEN_PORT) {
        None => Ok(Parity::Any),
        Some(Ok(bits)) if bits & 0x80 == 0 => Ok(Parity::Even),
        Some(Ok(_)) if message.has(ADDITIONAL_ADDRESS_FAMILY) => err(code::BAD_REQUEST),
        Some(Ok(_)) => Ok(Parity::EvenAndNext),
        Some(Err(_)) => err(code::BAD_REQUEST),
    }
}

const fn err<T>(code: u16) -> Result<T, Failure> {
    Err(Failure::Code(code))
}
