//! What address a STUN server sees: one Binding request and its answer (RFC 8489 section 6).

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::transaction::{Step, Transaction};
use super::{Failure, Refused, fresh_id};
use crate::limits::STUN_MESSAGE_MAX;
use crate::random::SecureRandom;
use crate::stun::{Class, Message, Method, Writer, attribute};
use crate::time::Instant;

/// A question for one server, from one socket. Run like a [`Client`](super::Client).
#[derive(Debug)]
pub struct Discovery {
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Due(Instant),
    Asked(Transaction),
    Over(Result<SocketAddr, Failure>),
}

impl Discovery {
    /// Begins at the next [`Self::poll_transmit`].
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { phase: Phase::Due(now) }
    }

    /// Takes in a datagram of the server's.
    ///
    /// # Errors
    /// Why it means nothing; then nothing has moved.
    pub fn handle_datagram(&mut self, datagram: &[u8]) -> Result<(), Refused> {
        let message = Message::parse(datagram).map_err(|_| Refused::Foreign)?;
        let Phase::Asked(transaction) = &self.phase else { return Err(Refused::NotAwaited) };
        if (transaction.id, transaction.method) != (message.transaction(), message.method()) {
            return Err(Refused::NotAwaited);
        }
        let answer = match message.class() {
            Class::Success => {
                let known = [attribute::XOR_MAPPED_ADDRESS, attribute::MAPPED_ADDRESS];
                let mapped = message.address(attribute::XOR_MAPPED_ADDRESS).and_then(Result::ok);
                let strange = message.unknown_required(&known).next().is_some();
                mapped.filter(|_| !strange).ok_or(Failure::Malformed)
            }
            Class::Error => Err(match message.error_code() {
                Some(Ok(300)) => Failure::Redirected {
                    to: message.address(attribute::ALTERNATE_SERVER).and_then(Result::ok),
                },
                Some(Ok(401)) => Failure::CredentialsWanted,
                Some(Ok(code)) => Failure::of(Method::BINDING, code),
                _ => return Err(Refused::Malformed),
            }),
            Class::Request | Class::Indication => return Err(Refused::Unasked),
        };
        self.phase = Phase::Over(answer);
        Ok(())
    }

    /// The network says that nothing listens at the server's port: then nothing will answer.
    pub fn handle_refusal(&mut self) {
        if self.outcome().is_none() {
            self.phase = Phase::Over(Err(Failure::NotListening));
        }
    }

    /// The next datagram for the server, written into `out`: its length. To be called until `None`, and at
    /// [`Self::next_due`].
    ///
    /// # Panics
    /// When `out` is shorter than [`STUN_MESSAGE_MAX`].
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        random: &mut impl SecureRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        assert!(out.len() >= STUN_MESSAGE_MAX, "a message may be {STUN_MESSAGE_MAX} bytes long");
        if let Phase::Due(at) = self.phase
            && at <= now
        {
            let id = fresh_id(random);
            let mut writer = Writer::new(out, Class::Request, Method::BINDING, id);
            let len = writer.fingerprint().finish()?;
            let bytes: Vec<u8> = out.get(..len)?.to_vec();
            let request = Transaction::new(id, Method::BINDING, bytes, now);
            self.phase = Phase::Asked(request);
        }
        let Phase::Asked(transaction) = &mut self.phase else { return None };
        match transaction.poll(now) {
            Step::Wait => None,
            Step::Send(bytes) => {
                out.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some(bytes.len())
            }
            Step::GiveUp(why) => {
                self.phase = Phase::Over(Err(why));
                None
            }
        }
    }

    /// When [`Self::poll_transmit`] has something or changes something, once it has returned `None`.
    #[must_use]
    pub const fn next_due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Due(at) => Some(*at),
            Phase::Asked(transaction) => Some(transaction.due()),
            Phase::Over(_) => None,
        }
    }

    /// The address, or why it is not known; `None` while the answer is out.
    #[must_use]
    pub const fn outcome(&self) -> Option<Result<SocketAddr, Failure>> {
        match self.phase {
            Phase::Over(outcome) => Some(outcome),
            Phase::Due(_) | Phase::Asked(_) => None,
        }
    }
}
