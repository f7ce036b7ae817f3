//! Someone with a good token and bad intentions, made of core's machines with nothing in between: each
//! step can be left out, done twice or done wrong.
//!
//! What it seals is genuine, and entered in the ledger with what a relay may do with it.

use elara_core::crypto::handshake::{Client, Heard, Link, Membership};
use elara_core::crypto::{Claims, EpochSecret, Sealer};
use elara_core::limits::V1_FRAME_MAX;
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::time::{Instant, UnixMillis};
use elara_core::wire::Header;
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{Control, ControlWriter};
use elara_core::wire::v1::{BodyKind, FrameMut, KeyName, Kind, Opened, State, Stream, Tlvs};
use elara_core::{ClientAddr, NodeId, SessionId};
use zerocopy::IntoBytes;

use super::frames::{self, handshake};
use super::ledger::{Asks, Fate, Ledger, Line, Sealed};
use super::{canary, club, content};
use crate::checkers::Breach;
use crate::digest;

/// One hostile member, or one who wants to be.
pub(crate) struct Insider {
    /// Its place among all who speak.
    pub(crate) index: u32,
    pub(crate) membership: Membership,
    pub(crate) claims: Claims,
    pub(crate) addr: ClientAddr,
    client: Client,
    random: GuessableKeys<Seeded>,
    link: Option<(Box<Link>, Sealer, Line)>,
    /// The version of its last SUBSCRIBE.
    pub(crate) version: u32,
    pub(crate) number: u32,
    /// It has been welcomed and has not spoken.
    pub(crate) fresh: bool,
    /// Frames it has sealed, to be sent again.
    pub(crate) kept: Vec<Vec<u8>>,
    challenge: Option<[u8; 8]>,
}

impl Insider {
    pub(crate) fn new(
        index: u32,
        membership: Membership,
        claims: Claims,
        addr: ClientAddr,
    ) -> Self {
        let node = membership.id.node_id();
        Self {
            index,
            client: Client::new(membership.clone()),
            membership,
            claims,
            addr,
            random: club::randomness(node),
            link: None,
            version: 0,
            number: 0,
            fresh: false,
            kept: Vec::new(),
            challenge: None,
        }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.membership.id.node_id()
    }

    pub(crate) const fn session(&self) -> SessionId {
        self.membership.session
    }

    pub(crate) const fn is_in(&self) -> bool {
        self.link.is_some()
    }

    pub(crate) fn inst(&self) -> Option<[u8; 16]> {
        self.link.as_ref().map(|(link, ..)| link.inst.0)
    }

    pub(crate) const fn challenge(&self) -> Option<[u8; 8]> {
        self.challenge
    }

    /// A HELLO; a new one, or the last again.
    pub(crate) fn hello(
        &mut self,
        new: bool,
        now: Instant,
        calendar: UnixMillis,
    ) -> Option<Vec<u8>> {
        if new {
            self.client.rest();
        }
        self.client.connect(now);
        self.client.poll_hello(now, calendar, &mut self.random).map(<[u8]>::to_vec)
    }

    /// A datagram reaches it.
    pub(crate) fn hear(&mut self, datagram: &[u8], now: Instant, ledger: &mut Ledger) {
        match frames::kind_of(datagram) {
            frames::Kind::Handshake => {
                let Ok(Heard::Welcome(link, _)) = self.client.handle_frame(datagram, now) else {
                    return;
                };
                debug_assert_eq!(frames::profile_of(datagram), handshake::WELCOME);
                let line = digest::of(datagram);
                ledger.welcome(line, self.claims);
                let secret = EpochSecret::from_session_key(&club::session_key(self.session()));
                let id = &self.membership.id;
                let sealer = Sealer::new(link.suite, &secret, id, &link.inst, link.conn);
                self.link = Some((link, sealer, line));
                self.fresh = true;
                self.version = 0;
            }
            frames::Kind::Control => self.read(datagram),
            _ => {}
        }
    }

    fn read(&mut self, frame: &[u8]) {
        let Some((link, ..)) = &mut self.link else { return };
        let mut scratch = elara_core::crypto::Scratch::new();
        let Ok((_, text)) = link.receiving.control(frame, &mut scratch) else { return };
        for message in elara_core::wire::v1::Controls::parse(text).flatten() {
            if let Control::PathChallenge(challenge) = message {
                self.challenge = Some(*challenge);
            }
        }
    }

    /// A control frame of these messages.
    pub(crate) fn control(
        &mut self,
        messages: &[Control<'_>],
        asks: Asks,
        ledger: &mut Ledger,
    ) -> Result<Option<Vec<u8>>, Breach> {
        let mut out = [0; V1_FRAME_MAX];
        let Some((link, ..)) = &self.link else { return Ok(None) };
        let (suite, session, node) = (link.suite as u8, self.session(), self.node());
        let header = Header::v1(suite, session, node, Kind::Control);
        let Ok(mut writer) = ControlWriter::new(&mut out, &header) else { return Ok(None) };
        for message in messages {
            // What does not fit is left out.
            let _ = writer.put(message);
        }
        let len = writer.finish().finish().len();
        self.finish_control(&mut out[..len], asks, ledger)
    }

    /// A control frame of any text at all, sealed well.
    pub(crate) fn text(
        &mut self,
        text: &[u8],
        ledger: &mut Ledger,
    ) -> Result<Option<Vec<u8>>, Breach> {
        let Some((link, ..)) = &self.link else { return Ok(None) };
        let header = Header::v1(link.suite as u8, self.session(), self.node(), Kind::Control);
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(text);
        out.resize(out.len() + 16, 0);
        self.finish_control(&mut out, Asks::Nothing, ledger)
    }

    fn finish_control(
        &mut self,
        frame: &mut [u8],
        asks: Asks,
        ledger: &mut Ledger,
    ) -> Result<Option<Vec<u8>>, Breach> {
        let Some((link, ..)) = &mut self.link else { return Ok(None) };
        if link.sending.control(frame).is_err() {
            return Ok(None);
        }
        self.enter(frame, Fate::Good, asks, ledger)
    }

    /// A data frame: content in a frame of `len` bytes, with these TLVs; `hidden` from members when it
    /// is sealed with a key they do not have.
    #[expect(clippy::too_many_arguments, reason = "each of them is something to get wrong")]
    pub(crate) fn data(
        &mut self,
        class: Class,
        (stream, state): (Option<&Stream>, Option<&State>),
        text: &[u8],
        len: usize,
        hidden: bool,
        fate: Fate,
        ledger: &mut Ledger,
    ) -> Result<Option<Vec<u8>>, Breach> {
        let mut out = [0; V1_FRAME_MAX];
        let (session, node, id) = (self.session(), self.node(), self.membership.id);
        let Some((link, sealer, _)) = &mut self.link else { return Ok(None) };
        let header = Header::v1(link.suite as u8, session, node, Kind::Data(class));
        let key = KeyName { epoch: 0.into(), conn: link.conn, generation: 0 };
        let tlvs = Tlvs { stream, state };
        let Ok(mut frame) = FrameMut::begin(&mut out, &header, &tlvs, key, len) else {
            return Ok(None);
        };
        let kind = if state.is_some() { BodyKind::Event } else { BodyKind::Media };
        if (Opened { kind, content: text }).fill(frame.end_to_end().text).is_err() {
            return Ok(None);
        }
        let frame = frame.finish();
        let other;
        let sealer = if hidden {
            let secret = EpochSecret::from_session_key(&club::session_key(SessionId(7)));
            other = Sealer::new(link.suite, &secret, &id, &link.inst, link.conn);
            &other
        } else {
            sealer
        };
        if link.sending.data(sealer, frame).is_err() {
            return Ok(None);
        }
        let permitted = self.claims.permissions.may_send(class as u8);
        let fate = if permitted { fate } else { Fate::Forbidden };
        self.enter(frame, fate, Asks::Nothing, ledger)
    }

    /// A content as members write them, on a stream of its own.
    pub(crate) fn next_content(&mut self, marker: &[u8; canary::LEN]) -> ((u32, u32), Vec<u8>) {
        let name = (self.index, self.number);
        self.number += 1;
        let mut text = Vec::new();
        content::write(&mut text, marker, name, content::FRONT, &mut self.random);
        (name, text)
    }

    fn enter(
        &mut self,
        frame: &[u8],
        fate: Fate,
        asks: Asks,
        ledger: &mut Ledger,
    ) -> Result<Option<Vec<u8>>, Breach> {
        let Some((.., line)) = &self.link else { return Ok(None) };
        let sealed = Sealed {
            session: self.session(),
            node: self.node(),
            line: *line,
            class: frame[20],
            seq: frames::seq_of(frame),
            stream: frames::stream_of(frame),
            fate,
            asks,
            may_answer: frame[20] == 0xF1 && self.challenge.is_some(),
        };
        ledger.enter(frame, sealed)?;
        self.fresh = false;
        self.kept.push(frame.to_vec());
        if self.kept.len() > 32 {
            self.kept.remove(0);
        }
        Ok(Some(frame.to_vec()))
    }
}
