//! What a participant tells its application, and the bounded queues it waits in.
//!
//! Two queues: *news*, which is polled first and of which nothing that matters is ever lost, and
//! *media*, of which the oldest goes when the application is too slow.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::crypto::exchange::ExchangePublic;
use crate::crypto::handshake::Terms;
use crate::ids::NodeId;
use crate::limits::{MEDIA_EVENTS_BYTES_MAX, MEDIA_EVENTS_MAX, NEWS_MAX};
use crate::time::{Instant, Span};
use crate::wire::header::Class;
use crate::wire::v1::{BodyKind, State, Stream};

/// Something the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// In: the relay answers on a connection of ours. Comes again with every new connection.
    Joined {
        /// What the relay grants.
        terms: Terms,
        /// The connection's number.
        conn: u8,
        /// The first connection of all, not a new one after another.
        first: bool,
    },
    /// Nothing has answered for so long. Not an end: asking goes on.
    Waiting {
        /// Since the asking began.
        since: Span,
    },
    /// The relay is busy; the next HELLO goes out at this instant.
    Busy {
        /// When.
        until: Instant,
    },
    /// Three pings have no answer. The connection is kept, and another is asked for.
    Degraded,
    /// The connection that was degraded answers again.
    Recovered,
    /// We were removed: all is over, and nothing is tried again by itself.
    Kicked {
        /// See [`reason`](crate::wire::v1::control::reason).
        reason: u8,
    },
    /// The session lives at another relay; going there is the application's to do.
    Moved {
        /// Where.
        addr: SocketAddr,
        /// Its static key.
        relay: ExchangePublic,
    },
    /// The relay says something; see [`alert`](crate::wire::v1::control::alert).
    Alert {
        /// What.
        code: u16,
        /// What the code says it is.
        arg: u32,
    },
    /// The members have changed: see [`Participant::members`](super::Participant::members).
    Roster,
    /// The streams have changed: see [`Participant::streams`](super::Participant::streams).
    Streams,
    /// A receiver of one of our streams needs a key frame.
    KeyframeWanted {
        /// Our number for the stream.
        stream: u16,
    },
    /// A ping and its answer: four clock readings.
    Clock(ClockSample),
    /// A frame of a stream, whole.
    Media(Media),
    /// A frame that is no piece of a stream: an event, or a part of one, as it was sealed.
    Opened(OpenedFrame),
}

/// The four clock readings of a ping, in microseconds; the client's clock is the
/// [`Instant`]s it is given, the relay's is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// The ping's number.
    pub id: u32,
    /// The client's clock when the ping went out.
    pub t_client_us: u64,
    /// The relay's when the ping came.
    pub t_relay_rx_us: u64,
    /// The relay's when the answer went out.
    pub t_relay_tx_us: u64,
    /// The client's when the answer came.
    pub t_client_rx_us: u64,
}

impl ClockSample {
    /// The relay's clock minus the client's, if both ways took equally long, in us.
    #[must_use]
    pub const fn offset_us(&self) -> i64 {
        let there = self.t_relay_rx_us.wrapping_sub(self.t_client_us) as i64;
        let back = self.t_relay_tx_us.wrapping_sub(self.t_client_rx_us) as i64;
        // The mean of two numbers whose sum may not fit.
        (there >> 1) + (back >> 1) + (there & back & 1)
    }

    /// Both ways together, the relay's own time taken off, in us.
    #[must_use]
    pub const fn rtt_us(&self) -> u64 {
        let away = self.t_client_rx_us.saturating_sub(self.t_client_us);
        away.saturating_sub(self.t_relay_tx_us.saturating_sub(self.t_relay_rx_us))
    }
}

/// A whole frame of someone's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Who published it; its key proves it.
    pub node: NodeId,
    /// Their number for the stream.
    pub stream: u16,
    /// Which of the stream's layers.
    pub layer: u8,
    /// Which frame of the stream.
    pub frame: u32,
    /// Needs no earlier frame.
    pub key: bool,
    /// What it is worth.
    pub class: Class,
    /// See [`profile`](crate::wire::header::profile).
    pub profile: u8,
    /// The author's time, low 32 bits of its state clock in 100 us.
    pub time_hint: i32,
    /// What was published.
    pub content: Vec<u8>,
}

/// An opened frame as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedFrame {
    /// Who sealed it.
    pub node: NodeId,
    /// What it is worth.
    pub class: Class,
    /// See [`profile`](crate::wire::header::profile).
    pub profile: u8,
    /// The author's time, low 32 bits of its state clock in 100 us.
    pub time_hint: i32,
    /// What the body says it is.
    pub kind: BodyKind,
    /// The STREAM TLV.
    pub stream: Option<Stream>,
    /// The STATE TLV.
    pub state: Option<State>,
    /// The content, without padding.
    pub content: Vec<u8>,
}

impl Event {
    /// A newer one says all that an older one did.
    const fn replaces_older(&self) -> bool {
        !matches!(self, Self::Clock(_) | Self::Alert { .. } | Self::KeyframeWanted { .. })
    }

    const fn content_len(&self) -> usize {
        match self {
            Self::Media(media) => media.content.len(),
            Self::Opened(opened) => opened.content.len(),
            _ => 0,
        }
    }
}

/// What waits for the application.
#[derive(Debug, Default)]
pub(super) struct Events {
    news: VecDeque<Event>,
    media: VecDeque<Event>,
    media_bytes: usize,
}

impl Events {
    pub(super) fn poll(&mut self) -> Option<Event> {
        if let Some(news) = self.news.pop_front() {
            return Some(news);
        }
        let media = self.media.pop_front()?;
        self.media_bytes -= media.content_len();
        Some(media)
    }

    /// News: of a kind that replaces its older self there is one at a time, so only the kinds that
    /// inform can fill the queue, and they make room.
    pub(super) fn tell(&mut self, event: Event) {
        if event.replaces_older() {
            let kind = core::mem::discriminant(&event);
            self.news.retain(|older| core::mem::discriminant(older) != kind);
        } else if self.news.len() >= NEWS_MAX {
            let oldest = self.news.iter().position(|older| !older.replaces_older());
            oldest.map(|at| self.news.remove(at));
        }
        self.news.push_back(event);
    }

    /// Media: returns how many older ones had to go.
    pub(super) fn deliver(&mut self, event: Event) -> u64 {
        self.media_bytes += event.content_len();
        self.media.push_back(event);
        let mut lost = 0;
        while self.media.len() > MEDIA_EVENTS_MAX || self.media_bytes > MEDIA_EVENTS_BYTES_MAX {
            let Some(oldest) = self.media.pop_front() else { break };
            self.media_bytes -= oldest.content_len();
            lost += 1;
        }
        lost
    }

    pub(super) fn drop_media(&mut self) {
        self.media.clear();
        self.media_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn media(frame: u32, len: usize) -> Event {
        Event::Media(Media {
            node: NodeId(1),
            stream: 1,
            layer: 0,
            frame,
            key: false,
            class: Class::Perceptual,
            profile: 0,
            time_hint: 0,
            content: vec![0; len],
        })
    }

    #[test]
    fn the_oldest_media_goes_and_news_stays() {
        let mut events = Events::default();
        events.tell(Event::Kicked { reason: 1 });
        let lost: u64 = (0..MEDIA_EVENTS_MAX as u32 + 3).map(|n| events.deliver(media(n, 1))).sum();
        assert_eq!(lost, 3);
        assert_eq!(events.poll(), Some(Event::Kicked { reason: 1 }));
        assert_eq!(events.poll(), Some(media(3, 1)));
    }

    #[test]
    fn media_is_bounded_in_bytes_too() {
        let mut events = Events::default();
        let half = MEDIA_EVENTS_BYTES_MAX / 2;
        assert_eq!((events.deliver(media(0, half)), events.deliver(media(1, half))), (0, 0));
        assert_eq!(events.deliver(media(2, 1)), 1);
        assert_eq!(events.poll(), Some(media(1, half)));
    }

    #[test]
    fn a_flood_of_alerts_loses_alerts_only() {
        let mut events = Events::default();
        events.tell(Event::Roster);
        for arg in 0..1_000 {
            events.tell(Event::Alert { code: 1, arg });
            events.tell(Event::Degraded);
        }
        assert_eq!(events.poll(), Some(Event::Roster));
        let left: Vec<_> = core::iter::from_fn(|| events.poll()).collect();
        assert!(left.len() <= NEWS_MAX + 2, "{}", left.len());
        assert!(left.contains(&Event::Degraded));
        assert!(left.contains(&Event::Alert { code: 1, arg: 999 }));
    }

    #[test]
    fn a_sample_tells_offset_and_round_trip() {
        let sample = ClockSample {
            id: 1,
            t_client_us: 1_000,
            t_relay_rx_us: 501_010,
            t_relay_tx_us: 501_015,
            t_client_rx_us: 1_025,
        };
        assert_eq!((sample.offset_us(), sample.rtt_us()), (500_000, 20));
        let behind = ClockSample { t_relay_rx_us: 10, t_relay_tx_us: 15, ..sample };
        assert_eq!((behind.offset_us(), behind.rtt_us()), (-1_000, 20));
    }
}
