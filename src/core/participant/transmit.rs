//! Datagrams going out, and everything that is due.
//!
//! Order: answers to path challenges, HELLO, control of a fresh line, of the active line and of the
//! one before it, what is published. One control frame says all that is due at that moment.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::control::micros;
use super::event::Event;
use super::line::Line;
use super::outbox::Outbox;
use super::{Errand, Participant, Phase, Wishes};
use crate::limits::{LEAVE_PAUSE, V1_FRAME_MAX, WAITING_EVERY};
use crate::random::SecureRandom;
use crate::time::{Instant, UnixMillis};
use crate::wire::header::{Class, Header};
use crate::wire::v1::control::{
    Get, KeyframeRequest, Kick, Leave, Ping, StreamsMine, Subscribe, get,
};
use crate::wire::v1::{Control, ControlWriter, Kind};

impl Participant {
    /// The next datagram to send, written into `out`: its length. To be called until `None`.
    ///
    /// # Panics
    /// When `out` is shorter than [`V1_FRAME_MAX`].
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        calendar: UnixMillis,
        random: &mut impl SecureRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        assert!(out.len() >= V1_FRAME_MAX, "a datagram may be {V1_FRAME_MAX} bytes long");
        if matches!(self.phase, Phase::Idle | Phase::Over) {
            return None;
        }
        self.advance(now);
        let control = self.write_control(now, calendar, random, out);
        let published = if control.is_none() { self.write_published(now, out) } else { None };
        let written = control.or(published).or_else(|| self.write_leave(now, out));
        if let (Some(len), Some(line)) = (written, self.lines.sending()) {
            if published.is_some() {
                self.pace.spend(len, &line.terms, now);
            } else {
                self.pace.spend_control(len, &line.terms, now);
            }
        }
        written
    }

    fn write_published(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        if self.pace.ready() > now {
            return None;
        }
        let (len, core) = self.outbox.pop(out)?;
        if let Some(line) = core.and_then(|conn| self.lines.of_mut(conn)) {
            line.pings.core_sent(now);
        }
        Some(len)
    }

    fn write_control(
        &mut self,
        now: Instant,
        calendar: UnixMillis,
        random: &mut impl SecureRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        if let Some(len) = self.write_challenged(out) {
            return Some(len);
        }
        if let Some(hello) = self.caller.poll_hello(now, calendar, random) {
            out[..hello.len()].copy_from_slice(hello);
            return Some(hello.len());
        }
        if let Some(len) = self.write_fresh(now, out) {
            return Some(len);
        }
        self.write_active(now, out).or_else(|| self.write_ending(now, out))
    }

    /// When [`Self::poll_transmit`] has something or changes something, once it has returned `None`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle | Phase::Over => return None,
            Phase::Leaving { next, drained, .. } => {
                let queued = !self.outbox.is_empty();
                return Some(if queued { self.pace.ready().min(drained) } else { next });
            }
            Phase::Running => {}
        }
        let challenged = self.lines.is_challenged().then_some(Instant::ZERO);
        let outbox = (!self.outbox.is_empty()).then(|| self.pace.ready());
        let waiting = self.waiting.map(|(_, next)| next);
        let fresh = self.lines.fresh().map(|line| self.line_due(line));
        let active = self.lines.active().map(|line| {
            let due = self.line_due(line);
            [line.receipts.due(), self.directory.roster.due(), self.directory.listing.due()]
                .into_iter()
                .flatten()
                .fold(due, Instant::min)
        });
        let errands = (!self.errands.is_empty() && active.is_some()).then_some(Instant::ZERO);
        let unknown = self.unknown.ends();
        let asking = self.caller.poll_timeout();
        // A fresh line ends, or else an active one does: then something new is asked for.
        let ends = self.lines.fresh_ends().or_else(|| {
            let life_ends = self.lines.active().map(Line::life_ends);
            life_ends.filter(|_| asking.is_none())
        });
        let repairing = self.lines.ending().filter(|line| line.pings.is_unconfirmed());
        let ending = repairing.map(|line| line.pings.next);
        let follows = self.lines.follows();
        [
            challenged, outbox, waiting, fresh, active, errands, unknown, asking, ends, ending,
            follows,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Pings and wishes of a line.
    fn line_due(&self, line: &Line) -> Instant {
        [line.subscribe.due(), line.mine.due()]
            .into_iter()
            .flatten()
            .fold(line.pings.next, Instant::min)
    }

    /// Whether a new connection is needed, whatever is being done about it.
    pub(super) fn wants_connection(&self, now: Instant) -> bool {
        match self.lines.active() {
            None => true,
            Some(line) => self.rekey || line.is_degraded() || line.wants_rekey(now),
        }
    }

    /// What time alone brings about.
    fn advance(&mut self, now: Instant) {
        if self.lines.expire(now) {
            self.drop_unsendable();
        }
        self.counters.unknown_dropped += self.unknown.expire(now);
        if self.phase != Phase::Running {
            return;
        }
        // Degraded is who has no answer when the next ping is due, not who is still awaiting it.
        let degraded =
            self.lines.active().is_some_and(|line| line.is_degraded() && line.pings.next <= now);
        if degraded && !core::mem::replace(&mut self.degraded, true) {
            self.events.tell(Event::Degraded);
        }
        let due = self.lines.active().is_none() || self.degraded || self.rekey || {
            self.lines.active().is_some_and(|line| line.wants_rekey(now))
        };
        if due && self.lines.fresh().is_none() {
            self.caller.connect(now);
        }
        let answered = self.lines.active().is_some() && !self.degraded;
        match self.waiting {
            _ if answered => self.waiting = None,
            None => self.waiting = Some((now, now + WAITING_EVERY)),
            Some((since, next)) if next <= now => {
                self.waiting = Some((since, now + WAITING_EVERY));
                self.events.tell(Event::Waiting { since: now.since(since) });
            }
            Some(_) => {}
        }
    }

    /// A line has ended: what waits for it goes.
    pub(super) fn drop_unsendable(&mut self) {
        let Self { outbox, lines, .. } = self;
        self.counters.outbox_dropped += outbox.retain(|conn| lines.has(conn));
    }

    fn write_challenged(&mut self, out: &mut [u8]) -> Option<usize> {
        let header = self.control_header();
        let line = self.lines.challenged_mut()?;
        let mut writer = ControlWriter::new(out, &header).ok()?;
        while let Some(challenge) = line.challenges.front()
            && writer.put(&Control::PathResponse(challenge)).is_ok()
        {
            line.challenges.pop_front();
        }
        finish(line, writer)
    }

    fn write_fresh(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let header = self.control_header();
        let due = self.lines.fresh().map(|line| self.line_due(line))?;
        if due > now {
            return None;
        }
        let Self { lines, wishes, outbox, .. } = self;
        let line = lines.fresh_mut()?;
        let mut writer = ControlWriter::new(out, &header).ok()?;
        write_line(line, &mut writer, wishes, outbox, now);
        finish(line, writer)
    }

    fn write_active(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let header = self.control_header();
        let Self { lines, wishes, errands, directory, outbox, .. } = self;
        let line = lines.active_mut()?;
        let mut writer = ControlWriter::new(out, &header).ok()?;
        let pings = line.pings.next <= now;
        write_line(line, &mut writer, wishes, outbox, now);
        if line.receipts.due().is_some_and(|due| due <= now)
            && let Some(report) = line.receipts.answer()
            && writer.put(&Control::Report(report)).is_ok()
        {
            line.receipts.said(now);
        }
        if directory.roster.asks(pings, now) {
            let message = get_message(get::ROSTER, directory.roster.version());
            if writer.put(&Control::Get(&message)).is_ok() {
                directory.roster.said(now);
            }
        }
        if directory.listing.asks(pings, now) {
            let message = get_message(get::STREAMS, directory.listing.version());
            if writer.put(&Control::Get(&message)).is_ok() {
                directory.listing.said(now);
            }
        }
        while let Some(errand) = errands.front() {
            let put = match *errand {
                Errand::Kick(node, reason) => {
                    writer.put(&Control::Kick(&Kick { node: U64::new(node.0), reason }))
                }
                Errand::Keyframe(id) => writer.put(&Control::KeyframeRequest(&KeyframeRequest {
                    node: U64::new(id.node.0),
                    stream: U16::new(id.stream),
                })),
            };
            if put.is_err() {
                break;
            }
            errands.pop_front();
        }
        finish(line, writer)
    }

    /// Asks by the line before the active one whether its Core frames have come.
    fn write_ending(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let header = self.control_header();
        let Self { lines, outbox, .. } = self;
        let line = lines.ending_mut()?;
        if !line.pings.is_unconfirmed() {
            return None;
        }
        let mut writer = ControlWriter::new(out, &header).ok()?;
        write_ping(line, &mut writer, outbox, now);
        finish(line, writer)
    }

    /// The last thing said.
    fn write_leave(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let Phase::Leaving { reason, copies, next, drained } = self.phase else { return None };
        if next > now || !self.outbox.is_empty() && drained > now {
            return None;
        }
        let header = self.control_header();
        let written = match self.lines.speaking_mut() {
            Some(line) if copies > 0 => {
                let mut writer = ControlWriter::new(out, &header).ok()?;
                let _ = writer.put(&Control::Leave(&Leave { reason }));
                finish(line, writer)
            }
            _ => None,
        };
        if written.is_none() || copies <= 1 {
            self.end();
        } else {
            // What could not leave by now does not.
            self.outbox.clear();
            let (copies, next) = (copies - 1, now + LEAVE_PAUSE);
            self.phase = Phase::Leaving { reason, copies, next, drained };
        }
        written
    }

    fn control_header(&self) -> Header {
        Header::v1(self.suite as u8, self.session, self.node, Kind::Control)
    }
}

/// Puts a line's ping and wishes, as far as they are due.
fn write_line(
    line: &mut Line,
    writer: &mut ControlWriter<'_>,
    wishes: &Wishes,
    outbox: &Outbox,
    now: Instant,
) {
    let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
    write_ping(line, writer, outbox, now);
    if let (Some((subscribed, hold_ms)), Some(version)) =
        (&wishes.subscribed, line.subscribe.wished.pending())
        && due(line.subscribe.due())
        && writer.put(&Control::Subscribe(Subscribe::new(version, *hold_ms, subscribed))).is_ok()
    {
        line.subscribe.said(now);
    }
    if let (Some(own), Some(version)) = (&wishes.own, line.mine.wished.pending())
        && due(line.mine.due())
        && writer.put(&Control::StreamsMine(StreamsMine::new(version, own))).is_ok()
    {
        line.mine.said(now);
    }
}

/// Puts a line's ping, if it is due.
fn write_ping(line: &mut Line, writer: &mut ControlWriter<'_>, outbox: &Outbox, now: Instant) {
    if line.pings.next <= now {
        // Those that wait cannot be missing.
        let next_core = outbox.first_core(line.link.conn).map(u64::from);
        let next_core = next_core.or_else(|| line.link.sending.next_seq(Class::Core as u8));
        let next_core = u32::try_from(next_core.unwrap_or(0)).unwrap_or(u32::MAX);
        let ping = Ping {
            id: U32::new(line.pings.send(now, next_core)),
            t_client_us: U64::new(micros(now)),
            next_core: U32::new(next_core),
        };
        let _ = writer.put(&Control::Ping(&ping));
        line.pings.next = now + line.ping_pause();
    }
}

fn get_message(what: u8, version: u32) -> Get {
    Get { what, arg: U64::new(version.into()) }
}

/// Seals what was written, if there is something: its length.
fn finish(line: &mut Line, writer: ControlWriter<'_>) -> Option<usize> {
    if writer.is_empty() {
        return None;
    }
    let frame = writer.finish().finish();
    line.link.sending.control(frame).ok()?;
    Some(frame.as_bytes().len())
}
