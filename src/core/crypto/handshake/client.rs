//! The client's side: from a join address to a connection, and again whenever one is lost.
//!
//! ```text
//!                      connect()               poll_hello: a new HELLO
//!          .-------->  ---------->  waiting  ------------------------->  calling --.
//!          |  idle                  ^  ^  ^                              |  |  |   | the same bytes
//!          |                        |  |  '--- 4 s without an answer ----'  |  |<--' again, after 250 ms
//!          |                        |  '------ BUSY: not before retry_ms ---'  |    doubling to 1 s
//!          |                        '--------- RETRY: with the cookie ---------|    +-20 %
//!          '-------------------------------------- WELCOME --------------------'
//! ```
//! An established connection is the caller's: it goes on while the machine calls anew, so that a
//! forged RESET costs a HELLO and nothing else. No answer is final; there is no *failed*.
//!
//! A HELLO is *anew* when its attempt, ephemeral key and `hello_ms` are. The same bytes again find
//! the relay's cached WELCOME, which it keeps for 5 s; after 4 s only a new HELLO can be accepted.

use alloc::boxed::Box;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::frames::{
    Busy, Cookie, Doorbell, Hello, HelloPayload, Kind, Reset, Retry, Terms, Welcome,
    WelcomePayload, header, kind_of, suite_of,
};
use super::noise::Initiator;
use super::relay::E2eMode;
use super::{Link, NO_CONN};
use crate::crypto::exchange::{Certificate, ExchangeKey, ExchangePublic};
use crate::crypto::identity::PublicKey;
use crate::crypto::secret::{Secret, equal};
use crate::crypto::suite::Suite;
use crate::crypto::token::Token;
use crate::ids::SessionId;
use crate::limits::{BUSY_MAX, HELLO_FIRST, HELLO_FRESH, HELLO_LONGEST, RESET_EVERY};
use crate::random::SecureRandom;
use crate::time::{Instant, Span, UnixMillis};
use crate::wire::Header;

/// What a client needs to enter a session.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The cipher suite to use.
    pub suite: Suite,
    /// The session.
    pub session: SessionId,
    /// The relay's key, from the join address.
    pub relay: ExchangePublic,
    /// The client's identity.
    pub id: PublicKey,
    /// The client's static key.
    pub key: ExchangeKey,
    /// The identity's word for the static key.
    pub certificate: Certificate,
    /// What lets the client in, from the join address.
    pub token: Token,
    /// What the client can do.
    pub caps: u32,
    /// How the session's members share keys.
    pub mode: E2eMode,
}

/// What a handshake frame meant.
#[derive(Debug)]
pub enum Heard {
    /// The relay wants a cookie shown: another HELLO follows.
    Retry,
    /// The relay is busy: another HELLO follows at this instant.
    Busy(Instant),
    /// The relay seems to have forgotten the connection: a HELLO follows, the connection stays.
    Reset,
    /// In. The relay takes it for true when the first datagram by the link verifies: send one now.
    Welcome(Box<Link>, Terms),
}

/// Why a handshake frame means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientRefused {
    /// Not the length of its kind, or no kind of answer.
    Length,
    /// Its header is not that of an answer to this client.
    Header,
    /// No HELLO waits for this answer.
    NotAwaited,
    /// Its sender does not know the relay's public key.
    Mac,
    /// Noise says that the relay did not write it for this HELLO.
    Noise,
    /// It is a RESET of no connection of ours.
    ResetToken,
    /// Another RESET was heeded less than 5 s ago.
    TooSoon,
}

/// The client's half of the handshake.
#[derive(Debug)]
pub struct Client {
    membership: Membership,
    doorbell: Doorbell,
    phase: Phase,
    /// The pause before the next repetition, without its jitter.
    pause: Span,
    cookie: Cookie,
    last_conn: u8,
    reset_token: Option<Secret<16>>,
    reset_heeded: Option<Instant>,
    hello_ms: u64,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// A new HELLO is due at this instant.
    Waiting(Instant),
    Calling(Box<Call>),
}

struct Call {
    hello: Hello,
    noise: Initiator,
    begun: Instant,
    next: Instant,
}

impl core::fmt::Debug for Call {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Call(next {:?}, ..)", self.next)
    }
}

impl Client {
    /// A client that does nothing until [`Self::connect`].
    #[must_use]
    pub fn new(membership: Membership) -> Self {
        Self {
            doorbell: Doorbell::of(&membership.relay),
            membership,
            phase: Phase::Idle,
            pause: HELLO_FIRST,
            cookie: Cookie::NONE,
            last_conn: NO_CONN,
            reset_token: None,
            reset_heeded: None,
            hello_ms: 0,
        }
    }

    /// Asks to enter, for the first time or because the connection seems lost or wants new keys.
    /// Changes nothing while the client is asking already.
    pub fn connect(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle) {
            self.pause = HELLO_FIRST;
            self.phase = Phase::Waiting(now);
        }
    }

    /// Repeats at once what it asks: it may have gone where nobody hears it. Who was told to wait waits.
    pub fn hurry(&mut self, now: Instant) {
        if let Phase::Calling(call) = &mut self.phase {
            self.pause = HELLO_FIRST;
            call.next = call.next.min(now);
        }
    }

    /// Stops asking.
    pub fn rest(&mut self) {
        self.phase = Phase::Idle;
    }

    /// Whether the client is asking.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        !matches!(self.phase, Phase::Idle)
    }

    /// Replaces token and certificate before they end; from the next new HELLO on.
    pub fn renew(&mut self, token: Token, certificate: Certificate) {
        self.membership.token = token;
        self.membership.certificate = certificate;
    }

    /// When [`Self::poll_hello`] has something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Waiting(at) => Some(*at),
            Phase::Calling(call) => Some(call.next),
        }
    }

    /// The HELLO that is due, if one is.
    pub fn poll_hello(
        &mut self,
        now: Instant,
        calendar: UnixMillis,
        random: &mut impl SecureRandom,
    ) -> Option<&[u8]> {
        if self.poll_timeout()? > now {
            return None;
        }
        let stale = match &self.phase {
            Phase::Calling(call) => now.since(call.begun) >= HELLO_FRESH,
            _ => true,
        };
        if stale {
            // A relay key that agrees with nobody can never be called; there is nobody to call.
            self.phase = match self.call(now, calendar, random) {
                Some(call) => Phase::Calling(Box::new(call)),
                None => Phase::Waiting(now + HELLO_LONGEST),
            };
        }
        let Phase::Calling(call) = &mut self.phase else { return None };
        call.next = now + jittered(self.pause, random);
        self.pause = Span::from_nanos(self.pause.as_nanos() * 2).min(HELLO_LONGEST);
        Some(call.hello.as_bytes())
    }

    /// Takes in a handshake frame.
    ///
    /// # Errors
    /// Why it means nothing; then nothing has moved.
    pub fn handle_frame(&mut self, frame: &[u8], now: Instant) -> Result<Heard, ClientRefused> {
        match kind_of(frame).ok_or(ClientRefused::Header)? {
            Kind::Hello => Err(ClientRefused::Header),
            Kind::Retry => self.handle_retry(Retry::ref_from_bytes(frame).map_err(length)?, now),
            Kind::Welcome => self.handle_welcome(Welcome::ref_from_bytes(frame).map_err(length)?),
            Kind::Reset => self.handle_reset(Reset::ref_from_bytes(frame).map_err(length)?, now),
            Kind::Busy => self.handle_busy(Busy::ref_from_bytes(frame).map_err(length)?, now),
        }
    }

    fn handle_retry(&mut self, retry: &Retry, now: Instant) -> Result<Heard, ClientRefused> {
        self.check_header(&retry.header, Kind::Retry)?;
        let call = self.awaited(&retry.attempt)?;
        // A HELLO that showed a cookie is not answered at once: two relays that disagree about
        // cookies, or a forger, could keep the client sending.
        let next = if call.hello.cookie == Cookie::NONE { now } else { call.next };
        if !self.doorbell.answered(retry.as_bytes()) {
            return Err(ClientRefused::Mac);
        }
        self.cookie = retry.cookie;
        self.phase = Phase::Waiting(next);
        Ok(Heard::Retry)
    }

    fn handle_busy(&mut self, busy: &Busy, now: Instant) -> Result<Heard, ClientRefused> {
        self.check_header(&busy.header, Kind::Busy)?;
        self.awaited(&busy.attempt)?;
        if !self.doorbell.answered(busy.as_bytes()) {
            return Err(ClientRefused::Mac);
        }
        let until = now + Span::from_millis(busy.retry_ms.get().into()).min(BUSY_MAX);
        self.phase = Phase::Waiting(until);
        Ok(Heard::Busy(until))
    }

    fn handle_reset(&mut self, reset: &Reset, now: Instant) -> Result<Heard, ClientRefused> {
        self.check_header(&reset.header, Kind::Reset)?;
        let token = self.reset_token.as_ref().ok_or(ClientRefused::ResetToken)?;
        if !equal(token.expose(), &reset.reset_token) {
            return Err(ClientRefused::ResetToken);
        }
        if !self.doorbell.answered(reset.as_bytes()) {
            return Err(ClientRefused::Mac);
        }
        if self.reset_heeded.is_some_and(|heeded| now.since(heeded) < RESET_EVERY) {
            return Err(ClientRefused::TooSoon);
        }
        self.reset_heeded = Some(now);
        self.connect(now);
        if let Phase::Calling(call) = &mut self.phase {
            self.pause = HELLO_FIRST;
            call.next = call.next.min(now);
        }
        Ok(Heard::Reset)
    }

    fn handle_welcome(&mut self, welcome: &Welcome) -> Result<Heard, ClientRefused> {
        self.check_header(&welcome.header, Kind::Welcome)?;
        let suite = self.membership.suite;
        let call = self.awaited(&welcome.attempt)?;
        let mut payload = WelcomePayload::new_zeroed();
        let split = call.noise.finish(&welcome.noise, payload.as_mut_bytes());
        let split = split.map_err(|_| ClientRefused::Noise)?;
        self.phase = Phase::Idle;
        self.cookie = Cookie::NONE;
        self.last_conn = payload.conn;
        self.reset_token = Some(Secret::new(payload.reset_token));
        let link = Link::at_client(suite, payload.conn, &split);
        Ok(Heard::Welcome(Box::new(link), payload.terms()))
    }

    fn check_header(&self, header: &Header, kind: Kind) -> Result<(), ClientRefused> {
        let suite = suite_of(header, kind).ok_or(ClientRefused::Header)?;
        let ours = suite == self.membership.suite
            && header.session_id() == self.membership.session
            && header.node_id() == self.membership.id.node_id();
        if ours { Ok(()) } else { Err(ClientRefused::Header) }
    }

    fn awaited(&mut self, attempt: &[u8; 8]) -> Result<&mut Call, ClientRefused> {
        match &mut self.phase {
            Phase::Calling(call) if call.hello.attempt == *attempt => Ok(call),
            _ => Err(ClientRefused::NotAwaited),
        }
    }

    /// A new HELLO.
    fn call(
        &mut self,
        now: Instant,
        calendar: UnixMillis,
        random: &mut impl SecureRandom,
    ) -> Option<Call> {
        let Membership { suite, session, relay, id, key, certificate, token, caps, mode } =
            &self.membership;
        self.hello_ms = calendar.0.max(self.hello_ms.saturating_add(1));
        let mut payload = HelloPayload::new_zeroed();
        payload.id = id.0;
        payload.cert_not_after = U32::new(certificate.not_after);
        payload.cert_signature = certificate.signature;
        payload.caps = U32::new(*caps);
        payload.last_conn = self.last_conn;
        payload.e2e_mode = *mode as u8;
        payload.token = *token;
        payload.hello_ms = U64::new(self.hello_ms);

        let mut hello = Hello::new_zeroed();
        hello.header = header(Kind::Hello, *suite, *session, id.node_id());
        random.fill(&mut hello.attempt);
        hello.cookie = self.cookie;
        let prologue = hello.prologue();
        let keys = (key, relay);
        let noise =
            Initiator::begin(*suite, keys, &prologue, payload.as_bytes(), &mut hello.noise, random)
                .ok()?;
        hello.mac1 = self.doorbell.mac1(&hello);
        Some(Call { hello, noise, begun: now, next: now })
    }
}

/// `pause`, give or take a fifth: clients that lost the same relay do not all come back at once.
fn jittered(pause: Span, random: &mut impl SecureRandom) -> Span {
    let fifth = pause.as_nanos() / 5;
    Span::from_nanos(pause.as_nanos() - fifth + random.below(2 * fifth + 1))
}

fn length<E>(_: E) -> ClientRefused {
    ClientRefused::Length
}
