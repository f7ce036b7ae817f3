//! What a server's answers mean: which request they belong to, whether they count, what follows.
//!
//! ```text
//!   awaited? ─▶ 401 438: the challenge, asked again ─▶ proven? ─▶ success: granted, until it is due again
//!                                                              └▶ error: failed
//! ```

use super::peers::Who;
use super::{Client, Errand, Event, Failure, Granted, Phase, Place, Refused};
use crate::limits::{TURN_CHALLENGES_MAX, TURN_PERMISSION, TURN_REFRESH_AHEAD};
use crate::stun::{Class, Message, attribute};
use crate::time::{Instant, Span};

/// The attributes below 0x8000 that may stand in an answer. RFC 8489 section 6.3.3: with any other one that
/// must be understood, a success is none.
const KNOWN: &[u16] = &[
    attribute::MAPPED_ADDRESS,
    attribute::USERNAME,
    attribute::MESSAGE_INTEGRITY,
    attribute::ERROR_CODE,
    attribute::UNKNOWN_ATTRIBUTES,
    attribute::LIFETIME,
    attribute::REALM,
    attribute::NONCE,
    attribute::XOR_RELAYED_ADDRESS,
    attribute::MESSAGE_INTEGRITY_SHA256,
    attribute::USERHASH,
    attribute::XOR_MAPPED_ADDRESS,
    attribute::RESERVATION_TOKEN,
];

impl Client {
    /// Takes in an answer.
    ///
    /// # Errors
    /// Why it means nothing; then nothing has moved but a doubt.
    pub(super) fn handle_answer(
        &mut self,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Refused> {
        let place = self.place_of(message).ok_or(Refused::NotAwaited)?;
        let code = match message.class() {
            Class::Error => match message.error_code() {
                Some(Ok(code)) => Some(code),
                _ => return Err(Refused::Malformed),
            },
            _ => None,
        };
        let Some(Errand::Asked(transaction)) = self.errand_mut(place) else {
            return Err(Refused::NotAwaited);
        };
        let (method, signed) = (transaction.method, transaction.signed);
        match code {
            Some(401) if !(signed && self.login.has_shown(message)) => {
                self.challenged(place, message, now);
                return Ok(());
            }
            Some(438) if signed => {
                self.challenged(place, message, now);
                return Ok(());
            }
            Some(401) => {}
            _ if signed && !self.login.proves(message) => {
                if let Some(Errand::Asked(transaction)) = self.errand_mut(place) {
                    transaction.doubted = true;
                }
                return Err(Refused::Unproven);
            }
            _ => {}
        }
        match code {
            Some(300) => {
                let to = message.address(attribute::ALTERNATE_SERVER).and_then(Result::ok);
                self.fail(place, Failure::Redirected { to });
            }
            Some(code) => self.fail(place, Failure::of(method, code)),
            None if message.unknown_required(KNOWN).next().is_some() => {
                self.fail(place, Failure::Malformed);
            }
            None => self.succeed(place, message, now),
        }
        Ok(())
    }

    /// Which request an answer belongs to.
    fn place_of(&self, message: &Message<'_>) -> Option<Place> {
        let ours = |errand: &Errand| match errand {
            Errand::Asked(transaction) => {
                transaction.id == message.transaction() && transaction.method == message.method()
            }
            _ => false,
        };
        if ours(&self.errand) {
            return Some(Place::Allocation);
        }
        self.peers.iter().position(|peer| ours(&peer.errand)).map(Place::Peer)
    }

    /// The server asks for credentials, or for a fresh nonce: the errand is run again.
    fn challenged(&mut self, place: Place, message: &Message<'_>, now: Instant) {
        let Some(errand) = self.errand_mut(place) else { return };
        let Errand::Asked(transaction) = errand else { return };
        let challenges = transaction.challenges + 1;
        if challenges > TURN_CHALLENGES_MAX {
            return self.fail(place, Failure::Stale);
        }
        *errand = Errand::Due { at: now, challenges };
        if let Err(why) = self.login.challenge(message) {
            self.fail(place, why);
        }
    }

    fn succeed(&mut self, place: Place, message: &Message<'_>, now: Instant) {
        match (place, self.phase) {
            (Place::Peer(index), _) => self.peer_granted(index, now),
            (Place::Allocation, Phase::Allocating) => match allocated(message) {
                Some(granted) => {
                    self.phase = Phase::Allocated;
                    self.granted = Some(granted);
                    self.errand = Errand::due_at(now + before(granted.lifetime));
                    self.tell(Event::Ready(granted));
                }
                None => self.fail(place, Failure::Malformed),
            },
            (Place::Allocation, Phase::Closing) => self.end(Event::Closed),
            (Place::Allocation, _) => match lifetime(message) {
                Some(lifetime) => {
                    if let Some(granted) = &mut self.granted {
                        granted.lifetime = lifetime;
                    }
                    self.errand = Errand::due_at(now + before(lifetime));
                }
                // RFC 8656 section 8.3: a lifetime of nothing is an end.
                None => self.fail(place, Failure::Lost),
            },
        }
    }

    fn peer_granted(&mut self, index: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.errand = Errand::due_at(now + before(TURN_PERMISSION));
        let first = !core::mem::replace(&mut peer.granted, true);
        let event = match peer.who {
            Who::Host(peer) => Event::Permitted { peer },
            Who::Channel(peer, channel) => Event::Bound { peer, channel },
        };
        if first {
            self.tell(event);
        }
    }
}

/// RFC 8656 section 7.3: what the success of an Allocate must have.
fn allocated(message: &Message<'_>) -> Option<Granted> {
    Some(Granted {
        relayed: message.address(attribute::XOR_RELAYED_ADDRESS)?.ok()?,
        mapped: message.address(attribute::XOR_MAPPED_ADDRESS)?.ok()?,
        lifetime: lifetime(message)?,
    })
}

/// What the server says it is, when it is more than nothing.
fn lifetime(message: &Message<'_>) -> Option<Span> {
    let seconds = message.u32(attribute::LIFETIME)?.ok()?;
    (seconds > 0).then(|| Span::from_secs(seconds.into()))
}

/// When something is asked for again that ends after `life`.
fn before(life: Span) -> Span {
    let life = life.as_nanos();
    Span::from_nanos(life - TURN_REFRESH_AHEAD.as_nanos().min(life / 2))
}
