//! Relayed datagrams, gathered until the cycle has taken in what it takes in: those of one flow leave in as
//! few sends as may be.
//!
//! ```text
//!   to the peer:    payload payload payload ..                       cut every payload
//!   to the client:  head payload head payload head payload ..        cut every head and payload
//! ```
//! A flow is a way: from which socket, to whom, on which channel. Its datagrams keep their order. Payloads
//! stay in the receive buffers; a ChannelData header is written once for all datagrams of one length
//! and named before each. What may be too long for a card leaves by itself: the kernel fragments one
//! datagram, and refuses a train of such. Flows share a fixed number of places: two that meet in one leave
//! one after the other, as if neither had been gathered.

use elara_core::ClientAddr;
use elara_core::limits::{DATAGRAM_MAX, SEGMENTS_MAX, TRAIN_DATAGRAM_MAX};

use crate::io::{Io, Port, Slice};

/// Places for flows of one cycle, a power of two.
const PLACES: usize = 128;

/// Where a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The socket it leaves by.
    pub(crate) port: Port,
    /// Who gets it.
    pub(crate) to: ClientAddr,
    /// The channel that stands in the header of each datagram; 0: there is no header.
    pub(crate) channel: u16,
}

/// The datagrams of one flow that are about to leave.
#[derive(Debug)]
struct Pending {
    way: Way,
    /// It stands in the order of this cycle.
    listed: bool,
    /// Datagrams in it; 0: the place is free.
    datagrams: usize,
    /// Bytes of each but the last, which may have fewer; headers included.
    each: usize,
    /// Bytes of the last.
    last: usize,
    bytes: usize,
    /// The header of datagrams of `each` bytes.
    head: Option<Slice>,
    slices: Vec<Slice>,
}

/// Everything relayed that is about to leave.
#[derive(Debug)]
pub(crate) struct Flows {
    places: Box<[Pending]>,
    /// Places in use, in the order in which they came into use.
    order: Vec<u8>,
}

impl Flows {
    /// Nothing is.
    pub(crate) fn new() -> Self {
        let nobody = ClientAddr::new([0; 16], 0, 0);
        let pending = || Pending {
            way: Way { port: Port::DATA, to: nobody, channel: 0 },
            listed: false,
            datagrams: 0,
            each: 0,
            last: 0,
            bytes: 0,
            head: None,
            slices: Vec::with_capacity(2 * SEGMENTS_MAX),
        };
        Self { places: (0..PLACES).map(|_| pending()).collect(), order: Vec::with_capacity(PLACES) }
    }

    /// Whether nothing is about to leave.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes one datagram for `way`; `hint` is a number that flows rarely share. Answers what it did: joined
    /// others, began a send, or found no room for its header.
    #[inline]
    pub(crate) fn push<I: Io>(&mut self, io: &mut I, hint: u32, way: Way, payload: Slice) -> Push {
        let place = hint as usize & (PLACES - 1);
        let pending = &mut self.places[place];
        let len = payload.len() + if way.channel == 0 { 0 } else { HEAD };
        if pending.datagrams > 0 {
            if pending.takes(&way, len) {
                if len == pending.each || way.channel == 0 {
                    pending.slices.extend(pending.head);
                } else {
                    // The last one is shorter, and its header says so.
                    let Some(head) = head(io, way.channel, payload.len()) else {
                        return Push::Full;
                    };
                    pending.slices.push(head);
                }
                pending.slices.push(payload);
                pending.datagrams += 1;
                pending.bytes += len;
                pending.last = len;
                return Push::Joined;
            }
            pending.send(io);
        }
        if !pending.listed {
            pending.listed = true;
            self.order.push(place as u8);
        }
        let head = match way.channel {
            0 => None,
            channel => match head(io, channel, payload.len()) {
                Some(head) => Some(head),
                None => return Push::Full,
            },
        };
        pending.slices.extend(head);
        pending.slices.push(payload);
        (pending.way, pending.head, pending.datagrams) = (way, head, 1);
        (pending.each, pending.last, pending.bytes) = (len, len, len);
        Push::Began
    }

    /// Sends what is left.
    #[inline]
    pub(crate) fn flush<I: Io>(&mut self, io: &mut I) {
        for place in self.order.drain(..) {
            let pending = &mut self.places[usize::from(place)];
            pending.listed = false;
            pending.send(io);
        }
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// It shares the send of those before it.
    Joined,
    /// It is a send's first.
    Began,
    /// The cycle has no room for its header.
    Full,
}

/// Bytes of a ChannelData header.
const HEAD: usize = 4;

/// RFC 8656 section 12.4: number and length.
#[inline]
fn head<I: Io>(io: &mut I, channel: u16, len: usize) -> Option<Slice> {
    let ([a, b], [c, d]) = (channel.to_be_bytes(), (len as u16).to_be_bytes());
    io.note(&[a, b, c, d])
}

impl Pending {
    /// Whether a datagram of `len` bytes can share the send.
    #[inline]
    fn takes(&self, way: &Way, len: usize) -> bool {
        self.way == *way
            && self.last == self.each
            && len <= self.each
            && self.each <= TRAIN_DATAGRAM_MAX
            && len > 0
            && self.datagrams < SEGMENTS_MAX
            && self.bytes + len <= DATAGRAM_MAX
    }

    #[inline]
    fn send<I: Io>(&mut self, io: &mut I) {
        if self.datagrams > 0 {
            let segment = if self.datagrams > 1 { self.each as u16 } else { 0 };
            io.send_from(self.way.port, &self.way.to, &self.slices, segment, 0);
            self.slices.clear();
            self.datagrams = 0;
        }
    }
}
