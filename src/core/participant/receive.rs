//! Datagrams coming in: frames and bundles, taken apart, opened, delivered.
//!
//! Cheapest check first. A data frame's hop tag is not ours to check: what proves it is the seal of
//! its author, whose key the roster names. A datagram counts as received once one of its frames has
//! opened, or is kept for its author: what strangers send is not taken for what the relay has sent.

use alloc::boxed::Box;

use super::event::{Event, Media, OpenedFrame};
use super::line::Line;
use super::{Participant, Phase, Refused};
use crate::crypto::handshake::{Heard, Link, Terms};
use crate::crypto::seal::{OpenRefused, Sealer};
use crate::ids::NodeId;
use crate::time::Instant;
use crate::wire::header::{Class, Header};
use crate::wire::v1::bundle::BUNDLE;
use crate::wire::v1::{BodyKind, Bundle, Fault, Frame, Kind, Opened};

impl Participant {
    /// Takes in a datagram: a frame, or a bundle of them, from whatever address it came.
    ///
    /// # Errors
    /// Why it means nothing; then nothing has moved but [`Counters`](super::Counters), and by a frame
    /// of an unknown author the wish to have the roster again. Of a bundle, the reason of its last frame that
    /// was refused; the others are taken.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> Result<(), Refused> {
        self.counters.datagrams += 1;
        self.received = false;
        if matches!(self.phase, Phase::Idle | Phase::Over) {
            return Err(self.counters.refuse(Refused::Over));
        }
        let result = if datagram.first() == Some(&BUNDLE) {
            self.handle_bundle(datagram, now)
        } else {
            self.check(datagram).and_then(|kind| self.handle_frame(kind, datagram, now))
        };
        result.map_err(|why| self.counters.refuse(why))
    }

    fn handle_bundle(&mut self, datagram: &[u8], now: Instant) -> Result<(), Refused> {
        let bundle = Bundle::parse(datagram).map_err(Refused::Bundle)?;
        if bundle.session != self.session {
            return Err(Refused::Session);
        }
        let mut refused = None;
        for frame in bundle {
            let taken = self.check(frame).and_then(|kind| self.handle_frame(kind, frame, now));
            if let Err(why) = taken
                && let Some(earlier) = refused.replace(why)
            {
                self.counters.refuse(earlier);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Which kind of frame of this session it is.
    fn check(&self, frame: &[u8]) -> Result<Kind, Refused> {
        let header = Header::peek(frame).ok_or(Refused::Frame(Fault::TooShort))?;
        let kind = header.check_v1(frame.len()).map_err(Refused::Frame)?;
        if header.session_id() == self.session { Ok(kind) } else { Err(Refused::Session) }
    }

    /// The datagram being handled is the relay's, as far as can be told: it counts, once.
    pub(super) fn count_datagram(&mut self) {
        if !core::mem::replace(&mut self.received, true) {
            self.lines.each_mut(|line| line.receipts.datagram());
        }
    }

    fn handle_frame(&mut self, kind: Kind, frame: &[u8], now: Instant) -> Result<(), Refused> {
        match kind {
            Kind::Handshake => self.handle_handshake(frame, now),
            Kind::Control => self.handle_control_frame(frame, now),
            Kind::Data(_) => self.handle_data(frame, now, true),
        }
    }

    fn handle_handshake(&mut self, frame: &[u8], now: Instant) -> Result<(), Refused> {
        if self.phase != Phase::Running {
            return Err(Refused::Over);
        }
        match self.caller.handle_frame(frame, now).map_err(Refused::Handshake)? {
            Heard::Retry => {}
            Heard::Busy(until) => self.events.tell(Event::Busy { until }),
            Heard::Reset => {
                // Forged or not, a ping says which: often, until an answer comes.
                self.lines.each_mut(|line| line.pings.hurry(now));
            }
            Heard::Welcome(link, terms) => self.welcome(link, terms, now),
        }
        Ok(())
    }

    fn welcome(&mut self, link: Box<Link>, terms: Terms, now: Instant) {
        let sealer = Sealer::new(self.suite, &self.secret, &self.id, &link.inst, link.conn);
        let mut line = Line::new(link, sealer, terms, now);
        if self.wishes.subscribed.is_some() {
            line.subscribe.change(now);
        }
        if self.wishes.own.is_some() {
            line.mine.change(now);
        }
        self.lines.welcome(line);
        self.drop_unsendable();
        self.waiting = None;
    }

    /// A data frame; `may_wait` when it may be kept until the roster names its author.
    pub(super) fn handle_data(
        &mut self,
        bytes: &[u8],
        now: Instant,
        may_wait: bool,
    ) -> Result<(), Refused> {
        let frame = Frame::parse(bytes).map_err(Refused::Frame)?;
        let node = frame.header.node_id();
        if node == self.node {
            return Err(Refused::Own);
        }
        let (conn, state) = (frame.key.conn, frame.tlvs.state);
        let author = match state {
            Some(state) => self.directory.author_of(node, state.inst, now),
            None => self.directory.author(node, conn, now),
        };
        let Some(author) = author else { return self.wait(node, bytes, now, may_wait) };
        let Self { openers, secret, scratch, assembly, counters, lines, received, .. } = self;
        let inlet = frame.tlvs.stream.map(|stream| (node, stream.stream.get(), stream.layer));
        let opened = if state.is_some() {
            openers.open_kept(secret, &author, bytes, scratch)
        } else {
            match (openers.open_media(secret, &author, bytes, scratch), frame.tlvs.stream, inlet) {
                // Out of the relay's memory, for one who comes late: new if its index is.
                (Err(OpenRefused::TooOld), Some(stream), Some(inlet))
                    if assembly.is_new(&inlet, author.inst, stream.index.get()) =>
                {
                    openers.open_kept(secret, &author, bytes, scratch)
                }
                (opened, ..) => opened,
            }
        };
        let body = match opened {
            Ok(body) => body,
            // One who has come back begins with the same number, and other keys.
            Err(OpenRefused::BadTag) if self.directory.may_be_back(node) => {
                return self.wait(node, bytes, now, may_wait);
            }
            Err(why) => return Err(Refused::Open(why)),
        };
        if !core::mem::replace(received, true) {
            lines.each_mut(|line| line.receipts.datagram());
        }
        if frame.class == Class::Core {
            lines.each_mut(|line| line.receipts.core_frame(bytes));
        }
        let opened = Opened::parse(body).map_err(Refused::Body)?;
        counters.opened += 1;
        let header = frame.header;
        let (profile, time_hint) = (header.profile, header.time_hint.get());
        let event = match (opened.kind, frame.tlvs.stream, inlet) {
            (BodyKind::Media, Some(stream), Some(inlet)) if state.is_none() => {
                let newest = self.directory.is_newest(node, &author, now);
                let source = (author.inst, newest);
                let whole = assembly.take(inlet, source, stream, opened.content, counters);
                let Some(content) = whole else { return Ok(()) };
                counters.media += 1;
                Event::Media(Media {
                    node,
                    stream: stream.stream.get(),
                    layer: stream.layer,
                    frame: stream.frame.get(),
                    key: stream.has(crate::wire::v1::tlv::bits::KEY),
                    class: frame.class,
                    profile,
                    time_hint,
                    content,
                })
            }
            (kind, stream, _) => Event::Opened(OpenedFrame {
                node,
                class: frame.class,
                profile,
                time_hint,
                kind,
                stream: stream.copied(),
                state: state.copied(),
                content: opened.content.to_vec(),
            }),
        };
        counters.events_lost += self.events.deliver(event);
        Ok(())
    }

    /// Keeps a frame until the roster names its author, if it may wait and there is room.
    fn wait(
        &mut self,
        node: NodeId,
        bytes: &[u8],
        now: Instant,
        may_wait: bool,
    ) -> Result<(), Refused> {
        self.directory.roster.want(now);
        if !may_wait || !self.unknown.keep(node, bytes, now) {
            return Err(Refused::UnknownAuthor);
        }
        self.count_datagram();
        Ok(())
    }

    /// The roster has changed: frames that waited for it are tried again.
    pub(super) fn try_unknown(&mut self, now: Instant) {
        for waiting in self.unknown.take() {
            match self.handle_data(&waiting.frame, now, false) {
                Err(Refused::UnknownAuthor) => self.unknown.put_back(waiting),
                Err(why) => {
                    self.counters.refuse(why);
                }
                Ok(()) => {}
            }
        }
    }
}
