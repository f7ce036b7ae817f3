//! The relay's side with memory: one participant's connections, at most two.
//!
//! ```text
//!            welcome                 first frame that verifies            welcome
//!   vacant ---------> half-open 5 s ---------------------------> active ---------> active
//!      ^                  |                                       |  ^             + half-open 5 s
//!      |     5 s are over |                       5 s are over or |  |               |
//!      '------------------'                       3 s are over    |  '---------------'
//!                                                                 |      verifies: the old one
//!                                                                 '----  still receives for 3 s
//! ```
//! Connections are numbered so that the next one's parity differs, and the two places are filed
//! under parity: a frame names its key, and nothing is ever tried twice. So the place of a
//! half-open connection is that of the one before the active one, which ends there and then.

use alloc::boxed::Box;

use zerocopy::IntoBytes;

use super::frames::{Attempt, Hello, Kind, Terms, WELCOME_LEN, Welcome, WelcomePayload, header};
use super::relay::{Guest, HelloRefused, RelayKeys};
use super::{Link, next_conn};
use crate::crypto::bounds::Bounds;
use crate::crypto::hop::{Received, Refusal, Scratch};
use crate::crypto::identity::PublicKey;
use crate::crypto::token::Claims;
use crate::limits::{HALF_OPEN, OLD_CONNECTION};
use crate::time::Instant;

/// Why a frame is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Its parity names no connection: none was made, or it has ended.
    NoConnection,
    /// The connection does not take it.
    Hop(Refusal),
}

/// A connection of a participant, at the relay.
#[derive(Debug)]
pub struct Connection {
    /// Both directions.
    pub link: Link,
    /// What the token granted.
    pub claims: Claims,
}

/// A frame that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, and whether it is its class's newest.
    pub received: Received,
    /// The connection it came by.
    pub conn: u8,
    /// It made its connection the active one: its source is the participant's validated address.
    pub activated: bool,
    /// It came by the active connection, not by one that is ending: it may move the address.
    pub active: bool,
}

/// One participant: (session, node).
#[derive(Debug)]
pub struct Entry {
    id: PublicKey,
    /// Under the parity of their numbers.
    places: [Place; 2],
    active: Option<u8>,
    /// Of the last HELLO whose connection became active.
    hello_ms: u64,
}

#[derive(Debug)]
enum Place {
    Empty,
    HalfOpen(Box<HalfOpen>),
    Live(Box<Connection>),
    Ending(Box<Connection>, Instant),
}

#[derive(Debug)]
struct HalfOpen {
    connection: Connection,
    attempt: Attempt,
    ephemeral: [u8; 32],
    hello_ms: u64,
    welcome: [u8; WELCOME_LEN],
    until: Instant,
}

impl Entry {
    /// A participant with this identity, and no connection.
    #[must_use]
    pub const fn new(id: PublicKey) -> Self {
        Self { id, places: [Place::Empty, Place::Empty], active: None, hello_ms: 0 }
    }

    /// Whose entry this is.
    #[must_use]
    pub const fn id(&self) -> &PublicKey {
        &self.id
    }

    /// The `hello_ms` that the next HELLO must exceed.
    #[must_use]
    pub fn hello_ms(&self) -> u64 {
        let half_open = self.half_open().map_or(0, |half_open| half_open.hello_ms);
        self.hello_ms.max(half_open)
    }

    /// The WELCOME that answered this very HELLO, while it is half-open: the answer was lost, and
    /// a second handshake would cost and change nothing.
    #[must_use]
    pub fn duplicate(&self, hello: &Hello, now: Instant) -> Option<&[u8; WELCOME_LEN]> {
        let half_open = self.half_open().filter(|half_open| now < half_open.until)?;
        let same = half_open.attempt == hello.attempt && half_open.ephemeral == hello.ephemeral();
        same.then_some(&half_open.welcome)
    }

    /// Welcomes a guest that was admitted with `claims`: the bytes to send. Another half-open
    /// connection, and one that is ending, make room.
    ///
    /// # Errors
    /// [`HelloRefused::Noise`], which no guest that was read can cause.
    ///
    /// # Panics
    /// When the guest is another identity than the entry's: admission refuses that.
    pub fn welcome(
        &mut self,
        keys: &RelayKeys,
        guest: Guest,
        claims: Claims,
        terms: &Terms,
        now: Instant,
    ) -> Result<&[u8; WELCOME_LEN], HelloRefused> {
        assert_eq!(guest.id(), self.id, "an entry welcomes its own participant");
        let conn = next_conn(self.active.or_else(|| guest.last_conn()));
        let (suite, session, node) = (guest.suite, guest.session, guest.node);
        let (attempt, ephemeral, hello_ms) = (guest.attempt, guest.ephemeral, guest.hello_ms());
        let payload = WelcomePayload::new(conn, terms, keys.reset_token(session, node));
        let mut welcome = Welcome {
            header: header(Kind::Welcome, suite, session, node),
            attempt,
            noise: [0; 128],
        };
        let split = guest.noise.finish(payload.as_bytes(), &mut welcome.noise);
        let split = split.map_err(|_| HelloRefused::Noise)?;
        let link = Link::at_relay(suite, conn, &split);
        for place in &mut self.places {
            if !matches!(place, Place::Live(_)) {
                *place = Place::Empty;
            }
        }
        let place = &mut self.places[usize::from(conn & 1)];
        *place = Place::HalfOpen(Box::new(HalfOpen {
            connection: Connection { link, claims },
            attempt,
            ephemeral,
            hello_ms,
            welcome: zerocopy::transmute!(welcome),
            until: now + HALF_OPEN,
        }));
        match place {
            Place::HalfOpen(half_open) => Ok(&half_open.welcome),
            _ => Err(HelloRefused::Noise),
        }
    }

    /// Verifies a data frame. The first one of a half-open connection makes it the active one.
    ///
    /// # Errors
    /// See [`Refused`]; then nothing has moved.
    pub fn data(
        &mut self,
        frame: &[u8],
        scratch: &mut Scratch,
        now: Instant,
    ) -> Result<Arrival, Refused> {
        let (parity, link) = self.link_of(frame, now)?;
        let received = link.receiving.data(frame, scratch).map_err(Refused::Hop)?;
        Ok(self.arrive(parity, received, now))
    }

    /// Opens a control frame: its messages are in `scratch`. The first one of a half-open
    /// connection makes it the active one.
    ///
    /// # Errors
    /// See [`Refused`]; then nothing has moved.
    pub fn control<'s>(
        &mut self,
        frame: &[u8],
        scratch: &'s mut Scratch,
        now: Instant,
    ) -> Result<(Arrival, &'s [u8]), Refused> {
        let (parity, link) = self.link_of(frame, now)?;
        let (received, messages) = link.receiving.control(frame, scratch).map_err(Refused::Hop)?;
        Ok((self.arrive(parity, received, now), messages))
    }

    /// The active connection.
    #[must_use]
    pub fn active(&self) -> Option<&Connection> {
        match &self.places[usize::from(self.active? & 1)] {
            Place::Live(connection) => Some(connection),
            _ => None,
        }
    }

    /// The active connection, to send by.
    #[must_use]
    pub fn active_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.places[usize::from(self.active? & 1)] {
            Place::Live(connection) => Some(connection),
            _ => None,
        }
    }

    /// The connection `conn`, active or ending, by which a frame has just arrived.
    #[must_use]
    pub fn connection(&self, conn: u8) -> Option<&Connection> {
        match &self.places[usize::from(conn & 1)] {
            Place::Live(connection) | Place::Ending(connection, _)
                if connection.link.conn == conn =>
            {
                Some(connection)
            }
            _ => None,
        }
    }

    /// Makes the entry as small as it can be, because its participant is silent: expanded keys go, and come
    /// back with the next data frame. Connections and what they have seen stay.
    pub fn cool(&mut self) {
        self.places.iter_mut().filter_map(Place::link_mut).for_each(Link::cool);
    }

    /// Whether it is that small.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        self.places.iter().filter_map(Place::link).all(Link::is_cold)
    }

    /// When something here ends by itself.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.places.iter().filter_map(Place::until).min()
    }

    /// Ends what has lasted long enough. True when no connection is left: the entry can go.
    pub fn expire(&mut self, now: Instant) -> bool {
        for place in &mut self.places {
            if place.until().is_some_and(|until| until <= now) {
                *place = Place::Empty;
            }
        }
        self.places.iter().all(|place| matches!(place, Place::Empty))
    }

    fn half_open(&self) -> Option<&HalfOpen> {
        self.places.iter().find_map(|place| match place {
            Place::HalfOpen(half_open) => Some(&**half_open),
            _ => None,
        })
    }

    fn link_of(&mut self, frame: &[u8], now: Instant) -> Result<(usize, &mut Link), Refused> {
        let bounds = Bounds::of(frame).map_err(|why| Refused::Hop(why.into()))?;
        let parity = usize::from(bounds.parity);
        let place = &mut self.places[parity];
        if place.until().is_some_and(|until| until <= now) {
            return Err(Refused::NoConnection);
        }
        Ok((parity, place.link_mut().ok_or(Refused::NoConnection)?))
    }

    /// A frame of the connection at `parity` has verified.
    #[inline]
    fn arrive(&mut self, parity: usize, received: Received, now: Instant) -> Arrival {
        let activated = matches!(self.places[parity], Place::HalfOpen(_));
        if activated {
            self.activate(parity, now);
        }
        let conn = self.places[parity].link().map_or(0, |link| link.conn);
        Arrival { received, conn, activated, active: self.active == Some(conn) }
    }

    #[cold]
    fn activate(&mut self, parity: usize, now: Instant) {
        let [even, odd] = &mut self.places;
        let (place, other) = if parity == 0 { (even, odd) } else { (odd, even) };
        *place = match core::mem::replace(place, Place::Empty) {
            Place::HalfOpen(half_open) => {
                self.active = Some(half_open.connection.link.conn);
                self.hello_ms = half_open.hello_ms;
                Place::Live(Box::new(half_open.connection))
            }
            same => same,
        };
        *other = match core::mem::replace(other, Place::Empty) {
            Place::Live(old) => Place::Ending(old, now + OLD_CONNECTION),
            gone => gone,
        };
    }
}

impl Place {
    const fn until(&self) -> Option<Instant> {
        match self {
            Self::HalfOpen(half_open) => Some(half_open.until),
            Self::Ending(_, until) => Some(*until),
            Self::Empty | Self::Live(_) => None,
        }
    }

    const fn link(&self) -> Option<&Link> {
        match self {
            Self::HalfOpen(half_open) => Some(&half_open.connection.link),
            Self::Live(connection) | Self::Ending(connection, _) => Some(&connection.link),
            Self::Empty => None,
        }
    }

    const fn link_mut(&mut self) -> Option<&mut Link> {
        match self {
            Self::HalfOpen(half_open) => Some(&mut half_open.connection.link),
            Self::Live(connection) | Self::Ending(connection, _) => Some(&mut connection.link),
            Self::Empty => None,
        }
    }
}
