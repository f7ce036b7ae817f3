//! One participant of wire v1, as little of one as a generator needs.
//!
//! ```text
//!   out ── begin ──▶ calling ── WELCOME ──▶ greeting ── PONG ──▶ in ── leave ──▶ out
//!                    HELLO, again and      PING, SUBSCRIBE,     PING, REPORT, data
//!                    again                 again and again
//! ```
//! It has no socket and no clock: whoever owns it sends what [`Guest::poll`] writes and hands in what
//! arrives.

use elara_core::crypto::handshake::{Client, Heard, Link, Membership};
use elara_core::crypto::{EpochSecret, PublicKey, Scratch, Sealer};
use elara_core::limits::{HALF_OPEN, PING_BRISK, V1_FRAME_MAX};
use elara_core::random::SecureRandom;
use elara_core::time::{Instant, UnixMillis};
use elara_core::wire::Header;
use elara_core::wire::v1::control::{
    Control, ControlWriter, Controls, Leave, Ping, Report, Subscribe, Wish, reason,
};
use elara_core::wire::v1::header::{CLASS_CONTROL, CLASS_HANDSHAKE};
use elara_core::wire::v1::{FrameMut, KeyName, Kind, Opened, Tlvs};
use elara_core::{NodeId, SessionId};

/// What something that arrived meant for the participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing that changes anything here.
    Nothing,
    /// RETRY: another HELLO is due.
    Retry,
    /// BUSY: another HELLO is due later.
    Busy,
    /// WELCOME: a greeting is due.
    Welcome,
    /// The first PONG: the participant is in.
    In,
    /// The relay does not like what is sent.
    Alert,
    /// The participant was sent away.
    Kicked,
    /// It is not from the relay, or not for this participant.
    Garbage,
}

pub(crate) struct Guest {
    client: Client,
    /// How long small frames to it may wait, in milliseconds.
    hold_ms: u8,
    id: PublicKey,
    node: NodeId,
    session: SessionId,
    phase: Phase,
    line: Option<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Out,
    Calling,
    Greeting { since: Instant, next: Instant },
    In,
}

/// The connection.
struct Line {
    link: Box<Link>,
    /// Made when there is something to seal.
    sealer: Option<Box<Sealer>>,
    pings: u32,
    /// Datagrams that came by this connection.
    received: u64,
    /// What the next PING brings along.
    report: Option<Report>,
}

impl Guest {
    pub(crate) fn new(membership: Membership, hold_ms: u8) -> Self {
        let (id, session) = (membership.id, membership.session);
        let client = Client::new(membership);
        Self { client, hold_ms, id, node: id.node_id(), session, phase: Phase::Out, line: None }
    }

    pub(crate) const fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// Asks to enter, anew.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.client.rest();
        self.client.connect(now);
        self.phase = Phase::Calling;
        self.line = None;
    }

    /// Gives up.
    pub(crate) fn rest(&mut self) {
        self.client.rest();
        self.phase = Phase::Out;
        self.line = None;
    }

    /// When [`Self::poll`] has something, while the guest is on its way in.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Calling => self.client.poll_timeout(),
            Phase::Greeting { next, .. } => Some(next),
            Phase::Out | Phase::In => None,
        }
    }

    /// What is due on the way in, written into `out`: its length, and whether it is a HELLO.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        calendar: UnixMillis,
        random: &mut impl SecureRandom,
        out: &mut [u8; V1_FRAME_MAX],
    ) -> Option<(usize, bool)> {
        if let Phase::Greeting { since, next } = &mut self.phase {
            if now.since(*since) < HALF_OPEN {
                if *next > now {
                    return None;
                }
                *next = now + PING_BRISK;
                let wishes = [Wish::EVERYTHING];
                let subscribe = Subscribe::new(1, self.hold_ms, &wishes);
                return Some((self.say_ping(now, Some(subscribe), out)?, false));
            }
            // The relay has forgotten who never spoke.
            self.begin(now);
        }
        if self.phase != Phase::Calling {
            return None;
        }
        let hello = self.client.poll_hello(now, calendar, random)?;
        out[..hello.len()].copy_from_slice(hello);
        Some((hello.len(), true))
    }

    /// Takes in a frame that is no data.
    pub(crate) fn handle(&mut self, frame: &[u8], now: Instant, scratch: &mut Scratch) -> Told {
        match Header::peek(frame).map(|header| header.class) {
            Some(CLASS_HANDSHAKE) => self.handle_handshake(frame, now),
            Some(CLASS_CONTROL) => self.handle_control(frame, now, scratch),
            _ => Told::Garbage,
        }
    }

    /// A datagram came, whatever is in it: MARK counts datagrams, and a bundle is one.
    pub(crate) const fn count(&mut self) {
        if let Some(line) = &mut self.line {
            line.received += 1;
        }
    }

    fn handle_handshake(&mut self, frame: &[u8], now: Instant) -> Told {
        match self.client.handle_frame(frame, now) {
            // Said again, or too late, or to another of our HELLOs: it happens, and means nothing.
            Err(_) | Ok(Heard::Reset) => Told::Nothing,
            Ok(Heard::Retry) => Told::Retry,
            Ok(Heard::Busy(_)) => Told::Busy,
            Ok(Heard::Welcome(link, _)) => {
                self.line = Some(Line { link, sealer: None, pings: 0, received: 0, report: None });
                self.phase = Phase::Greeting { since: now, next: now };
                Told::Welcome
            }
        }
    }

    fn handle_control(&mut self, frame: &[u8], now: Instant, scratch: &mut Scratch) -> Told {
        // What comes after the goodbye was on its way.
        let Some(line) = &mut self.line else { return Told::Nothing };
        let Ok((_, text)) = line.link.receiving.control(frame, scratch) else {
            return Told::Garbage;
        };
        let mut told = Told::Nothing;
        for message in Controls::parse(text) {
            match message {
                Ok(Control::Pong(_)) if self.phase != Phase::In => {
                    self.phase = Phase::In;
                    told = Told::In;
                }
                Ok(Control::Mark(mark)) => {
                    let arrival_us = (now.as_nanos() / 1_000).into();
                    let received = line.received.into();
                    line.report = Some(Report { n: mark.n, received, arrival_us });
                }
                Ok(Control::Alert(_)) => told = Told::Alert,
                Ok(Control::Kick(_)) => told = Told::Kicked,
                Ok(_) => {}
                Err(_) => return Told::Garbage,
            }
        }
        told
    }

    /// A PING, with the REPORT that waits: its length. `None` before there is a connection.
    pub(crate) fn ping(&mut self, now: Instant, out: &mut [u8; V1_FRAME_MAX]) -> Option<usize> {
        self.say_ping(now, None, out)
    }

    fn say_ping(
        &mut self,
        now: Instant,
        subscribe: Option<Subscribe<'_>>,
        out: &mut [u8; V1_FRAME_MAX],
    ) -> Option<usize> {
        let line = self.line.as_mut()?;
        line.pings += 1;
        let t_client_us = (now.as_nanos() / 1_000).into();
        let ping = Ping { id: line.pings.into(), t_client_us, next_core: 0.into() };
        let report = line.report.take();
        let messages = [
            Some(Control::Ping(&ping)),
            report.as_ref().map(Control::Report),
            subscribe.map(Control::Subscribe),
        ];
        self.say(messages, out)
    }

    /// A goodbye, after which the guest is out: its length.
    pub(crate) fn leave(&mut self, out: &mut [u8; V1_FRAME_MAX]) -> Option<usize> {
        let said = self.say([Some(Control::Leave(&Leave { reason: reason::DONE }))], out);
        self.rest();
        said
    }

    fn say<'m>(
        &mut self,
        messages: impl IntoIterator<Item = Option<Control<'m>>>,
        out: &mut [u8; V1_FRAME_MAX],
    ) -> Option<usize> {
        let line = self.line.as_mut()?;
        let header = Header::v1(line.link.suite as u8, self.session, self.node, Kind::Control);
        let mut writer = ControlWriter::new(out, &header).ok()?;
        for message in messages.into_iter().flatten() {
            writer.put(&message).ok()?;
        }
        let frame = writer.finish().finish();
        line.link.sending.control(frame).ok()?;
        Some(frame.len())
    }

    /// Gets ready to seal, so that the first frame takes no longer than the others.
    pub(crate) fn warm(&mut self, secret: &EpochSecret) {
        if let Some(Line { link, sealer, .. }) = &mut self.line {
            *sealer =
                Some(Box::new(Sealer::new(link.suite, secret, &self.id, &link.inst, link.conn)));
        }
    }

    /// Fills `out` with a data frame around `opened`, sealed and tagged. False when the guest is not in,
    /// or was not warmed.
    #[inline]
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        tlvs: &Tlvs<'_>,
        opened: Opened<'_>,
        out: &mut [u8],
    ) -> bool {
        let Some(Line { link, sealer: Some(sealer), .. }) = &mut self.line else { return false };
        let key = KeyName { epoch: 0.into(), conn: link.conn, generation: 0 };
        let frame_len = out.len();
        let Ok(mut frame) = FrameMut::begin(out, header, tlvs, key, frame_len) else {
            return false;
        };
        opened.fill(frame.end_to_end().text).is_ok()
            && link.sending.data(sealer, frame.finish()).is_ok()
    }
}
