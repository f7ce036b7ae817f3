//! An honest participant: core's own machine, an address, a way there and back, and habits.
//!
//! Everything it sends is entered in the ledger first. Which connection a frame belongs to is told by its
//! parity: a WELCOME that the machine takes begins the one of its parity.

use elara_core::crypto::{Claims, Permissions};
use elara_core::participant::{Event, Head, MediaHead, Participant};
use elara_core::random::{GuessableKeys, Random, Seeded};
use elara_core::time::{Instant, Span, UnixMillis};
use elara_core::wire::header::{Class, profile};
use elara_core::wire::v1::State;
use elara_core::{ClientAddr, NodeId, SessionId, StateId};

use super::frames::{self, Kind, handshake};
use super::ledger::{Asks, Fate, Ledger, Line, Sealed, WishId};
use crate::cast::Place;
use crate::checkers::Breach;
use crate::digest;
use crate::network::Link;

/// The stream of those who have one.
const STREAM: u16 = 3;

/// What someone is in the habit of saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// An event now and then.
    Text,
    /// A frame of one size ten times a second.
    Voice,
    /// Five pictures a second, each in several datagrams.
    Video,
    /// Nothing.
    Listen,
}

impl Habit {
    pub(crate) fn pick(random: &mut impl Random) -> Self {
        match random.below(10) {
            0..=3 => Self::Voice,
            4 | 5 => Self::Video,
            6 | 7 => Self::Text,
            _ => Self::Listen,
        }
    }

    /// What this habit takes.
    pub(crate) const fn permissions(self) -> Permissions {
        match self {
            Self::Listen => Permissions::RECEIVE,
            _ => Permissions::SEND_ALL.and(Permissions::RECEIVE),
        }
    }

    pub(crate) const fn class(self) -> Class {
        match self {
            Self::Text | Self::Listen => Class::Core,
            Self::Voice => Class::Perceptual,
            Self::Video => Class::Enhancement,
        }
    }

    /// The stream it belongs to.
    pub(crate) const fn stream(self) -> Option<u16> {
        match self {
            Self::Text | Self::Listen => None,
            Self::Voice | Self::Video => Some(STREAM),
        }
    }

    /// The same, but seldom.
    pub(crate) const fn at_night(self) -> Self {
        match self {
            Self::Listen => Self::Listen,
            _ => Self::Text,
        }
    }

    pub(crate) fn len(self, random: &mut impl Random) -> usize {
        match self {
            Self::Text => 60 + random.below(400) as usize,
            Self::Voice | Self::Listen => 60,
            Self::Video => 1_000 + random.below(3_000) as usize,
        }
    }

    /// How long until they speak again.
    pub(crate) fn pause(self, random: &mut impl Random) -> Span {
        Span::from_millis(match self {
            Self::Text | Self::Listen => 200 + random.below(600),
            Self::Voice => 100,
            Self::Video => 200,
        })
    }
}

/// What someone wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Not here yet, or gone for now.
    Away,
    In,
    /// Sent away, or banned: it knows why.
    Out,
}

/// One honest participant.
pub(crate) struct Honest {
    pub(crate) index: u32,
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) place: Place,
    pub(crate) addr: ClientAddr,
    pub(crate) up: Link,
    pub(crate) down: Link,
    pub(crate) machine: Participant,
    pub(crate) claims: Claims,
    pub(crate) habit: Habit,
    pub(crate) aim: Aim,
    /// Frozen: it neither hears nor says anything.
    pub(crate) asleep: bool,
    /// Since when it has been speaking; `None` while it does not.
    pub(crate) speaking_since: Option<Instant>,
    pub(crate) wish: WishId,
    /// Its clock is so many milliseconds ahead.
    skew_ms: u64,
    random: GuessableKeys<Seeded>,
    lines: [Option<Line>; 2],
    /// The number of the next content.
    pub(crate) number: u32,
    /// The turn to speak that is scheduled.
    pub(crate) turn: u32,
    /// The look at its machine that is scheduled.
    pub(crate) tick: u32,
    pub(crate) tick_at: Option<Instant>,
    /// When it was last looked at, and how often at that moment.
    looked: (Instant, u32),
}

/// Looks at one machine at one moment, before that is a spin.
const LOOKS_MAX: u32 = 1_000;

impl Honest {
    #[expect(clippy::too_many_arguments, reason = "what a plan decides about one participant")]
    pub(crate) fn new(
        index: u32,
        machine: Participant,
        claims: Claims,
        habit: Habit,
        place: Place,
        (up, down): (Link, Link),
        wish: WishId,
        skew_ms: u64,
        random: GuessableKeys<Seeded>,
    ) -> Self {
        Self {
            index,
            session: machine.session(),
            node: machine.node_id(),
            place,
            addr: place.at(1_024 + index as u16),
            up,
            down,
            machine,
            claims,
            habit,
            aim: Aim::Away,
            asleep: false,
            speaking_since: None,
            wish,
            skew_ms,
            random,
            lines: [None; 2],
            number: 0,
            turn: 0,
            tick: 0,
            tick_at: None,
            looked: (Instant::ZERO, 0),
        }
    }

    /// A datagram reaches it.
    pub(crate) fn hear(&mut self, datagram: &[u8], now: Instant, ledger: &mut Ledger) {
        let before = self.machine.connection();
        let taken = self.machine.handle_datagram(datagram, now).is_ok();
        let welcome = frames::kind_of(datagram) == Kind::Handshake
            && frames::profile_of(datagram) == handshake::WELCOME;
        if taken && welcome {
            let line = digest::of(datagram);
            ledger.welcome(line, self.claims);
            let after = self.machine.connection();
            let Some((conn, _)) = after else { return };
            // Data goes by the new one at once only when there is no other.
            let parity = if before == after { 1 - (conn & 1) } else { conn & 1 };
            self.lines[usize::from(parity)] = Some(line);
        }
    }

    /// The next datagram it has to send, entered in the ledger.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        calendar: UnixMillis,
        out: &mut [u8],
        ledger: &mut Ledger,
    ) -> Result<Option<usize>, Breach> {
        let calendar = UnixMillis(calendar.0 + self.skew_ms);
        let Some(len) = self.machine.poll_transmit(now, calendar, &mut self.random, out) else {
            return Ok(None);
        };
        let bytes = &out[..len];
        match frames::kind_of(bytes) {
            Kind::Handshake => ledger.check_hidden(bytes)?,
            kind => {
                let Some(line) = self.lines[frames::parity_of(bytes)] else {
                    let broken = format!("participant {} uses a connection it has not", self.index);
                    return Err(("life", broken));
                };
                let (class, seq) = (bytes[20], frames::seq_of(bytes));
                let asks = match (kind, seq) {
                    (Kind::Control, 0) => Asks::Surely(self.wish),
                    (Kind::Control, _) => Asks::Perhaps(self.wish),
                    _ => Asks::Nothing,
                };
                let sealed = Sealed {
                    session: self.session,
                    node: self.node,
                    line,
                    class,
                    seq,
                    stream: frames::stream_of(bytes),
                    fate: Fate::Good,
                    asks,
                    // Answers go alone, in frames that hold nothing else.
                    may_answer: kind == Kind::Control && (len - 46).is_multiple_of(11),
                };
                ledger.enter(bytes, sealed)?;
            }
        }
        Ok(Some(len))
    }

    /// Says a content: nothing when there is no connection to say it by.
    pub(crate) fn say(&mut self, content: &[u8]) -> bool {
        let head = Head { class: self.habit.class(), profile: profile::CUSTOM, time_hint: 7 };
        let said = match self.habit {
            Habit::Listen => return false,
            Habit::Text => {
                let state =
                    State::register(StateId(self.node.0 ^ 1), u64::from(self.number), [0; 16]);
                self.machine.send_event(&head, &state, content)
            }
            Habit::Voice | Habit::Video => {
                let media =
                    MediaHead { head, stream: STREAM, layer: 0, frame: self.number, bits: 0 };
                self.machine.send_media(&media, content)
            }
        };
        said.is_ok()
    }

    /// When its machine wants to be looked at.
    ///
    /// # Errors
    /// When it wants that again and again, and does nothing.
    pub(crate) fn next_look(&mut self, now: Instant) -> Result<Option<Instant>, Breach> {
        let due = self.machine.poll_timeout();
        if due.is_some_and(|due| due <= now) {
            self.looked = if self.looked.0 == now { (now, self.looked.1 + 1) } else { (now, 0) };
            if self.looked.1 > LOOKS_MAX {
                return Err(("clock", format!("participant {} never rests", self.index)));
            }
        }
        Ok(due)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.machine.poll_event()
    }
}
