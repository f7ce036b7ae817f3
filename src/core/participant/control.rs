//! What the relay says: the messages of a control frame, one by one.
//!
//! The first control frame by a fresh line proves it, and the line takes over. A line that is ending
//! is heard in what concerns the path and our own removal, and in nothing that the active line
//! says better.

use super::event::{ClockSample, Event};
use super::line::{Answer, Pings};
use super::{Participant, Phase, Refused};
use crate::crypto::exchange::ExchangePublic;
use crate::crypto::hop::Scratch;
use crate::ids::NodeId;
use crate::time::Instant;
use crate::wire::header::Header;
use crate::wire::v1::control::{Alert, Kick, Pong, alert, kind};
use crate::wire::v1::{Control, Controls, Fault};

impl Participant {
    pub(super) fn handle_control_frame(
        &mut self,
        frame: &[u8],
        now: Instant,
    ) -> Result<(), Refused> {
        let header = Header::peek(frame).ok_or(Refused::Frame(Fault::TooShort))?;
        let parity = header.parity();
        let line = self.lines.receiving(parity, now).ok_or(Refused::NoConnection)?;
        let mut scratch = Scratch::new();
        let (_, text) = line.link.receiving.control(frame, &mut scratch).map_err(Refused::Hop)?;
        let proven = line.proven;
        self.count_datagram();
        if !proven {
            self.prove(parity, now);
        }
        for message in Controls::parse(text) {
            match message {
                Ok(message) => self.handle_message(&message, parity, now),
                Err(_) => self.counters.control_faults += 1,
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// The relay speaks by a line for the first time.
    fn prove(&mut self, parity: bool, now: Instant) {
        self.lines.prove(parity, now);
        self.directory.renew(now);
        self.rekey = false;
        self.degraded = false;
        self.waiting = None;
        let Some(line) = self.lines.active() else { return };
        let (terms, conn) = (line.terms, line.link.conn);
        let first = !core::mem::replace(&mut self.joined_once, true);
        self.events.tell(Event::Joined { terms, conn, first });
    }

    fn handle_message(&mut self, message: &Control<'_>, parity: bool, now: Instant) {
        match message {
            Control::PathChallenge(challenge) => {
                if let Some(line) = self.lines.receiving(parity, now) {
                    line.challenge(**challenge);
                }
            }
            Control::Kick(kick) => self.handle_kick(kick),
            _ if !self.lines.is_active(parity) => {}
            Control::Pong(pong) => self.handle_pong(pong, now),
            Control::Ack(ack) => {
                let version = ack.version.get();
                let Some(line) = self.lines.active_mut() else { return };
                let known = match ack.message {
                    kind::SUBSCRIBE => line.subscribe.wished.handle_ack(version),
                    kind::STREAMS_MINE => line.mine.wished.handle_ack(version),
                    _ => true,
                };
                self.counters.control_faults += u64::from(!known);
            }
            Control::Mark(mark) => {
                let Some(line) = self.lines.active_mut() else { return };
                let moved = line.receipts.mark(mark, now);
                self.counters.digest_mismatches += u64::from(moved);
            }
            Control::Roster(roster) => {
                let (changed, refused) = self.directory.handle_roster(roster, now);
                self.counters.roster_refused += refused;
                if changed {
                    self.events.tell(Event::Roster);
                    self.try_unknown(now);
                }
            }
            Control::Streams(streams) if self.directory.handle_streams(streams, now) => {
                self.events.tell(Event::Streams);
            }
            Control::Alert(alert) => self.handle_alert(alert, now),
            Control::Move(to) => {
                let (addr, relay) = (to.addr(), ExchangePublic(to.relay_pub));
                self.events.tell(Event::Moved { addr, relay });
            }
            Control::KeyframeRequest(request) if request.stream_id().node == self.node => {
                self.events.tell(Event::KeyframeWanted { stream: request.stream.get() });
            }
            // What only clients say, and what a later relay may.
            _ => {}
        }
    }

    fn handle_pong(&mut self, pong: &Pong, now: Instant) {
        let conn = Pings::conn_of(pong.id.get());
        let Some(line) = self.lines.of_mut(conn) else { return };
        let answer = line.pings.answered(pong.id.get(), pong.t_client_us.get());
        if matches!(answer, Answer::Foreign) {
            return;
        }
        self.counters.core_missing += u64::from(pong.missing.get().count_ones());
        if let Answer::To(sent) = answer {
            // Newest first, each before what waits: so the oldest goes out first.
            let missing = pong.missing(sent.next_core);
            let again = missing.filter(|seq| self.outbox.missing(conn, *seq)).count() as u64;
            self.counters.core_resent += again;
            if again == 0 {
                // What is missing and cannot go out again is given up.
                line.pings.confirmed(&sent);
            }
            self.events.tell(Event::Clock(ClockSample {
                id: pong.id.get(),
                t_client_us: micros(sent.at),
                t_relay_rx_us: pong.t_relay_rx_us.get(),
                t_relay_tx_us: pong.t_relay_tx_us.get(),
                t_client_rx_us: micros(now),
            }));
        }
        if !self.lines.is_active(conn & 1 == 1) {
            return;
        }
        if core::mem::take(&mut self.degraded) {
            self.events.tell(Event::Recovered);
        }
        // It answers: what was asked for only because it did not is not needed.
        if self.caller.is_asking() && !self.wants_connection(now) {
            self.caller.rest();
        }
    }

    fn handle_alert(&mut self, alert: &Alert, now: Instant) {
        let (code, arg) = (alert.code.get(), alert.arg.get());
        if code == alert::REKEY && self.phase == Phase::Running {
            self.rekey = true;
            self.caller.connect(now);
        }
        self.events.tell(Event::Alert { code, arg });
    }

    fn handle_kick(&mut self, kick: &Kick) {
        if NodeId(kick.node.get()) == self.node {
            self.end();
            self.events.drop_media();
            self.events.tell(Event::Kicked { reason: kick.reason });
        }
    }
}

pub(super) const fn micros(instant: Instant) -> u64 {
    instant.as_nanos() / 1_000
}
