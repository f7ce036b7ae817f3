//! A datagram of STUN or TURN: what becomes of it.
//!
//! Runs for every datagram, under the laws of [`forward`](crate::forward). A train has one source, so its
//! fate is asked for once: for all of it where that is on one channel, and for all that a peer sends at
//! once. The ways in are kept out of line: between them and ELARA's frames the compiler would share
//! registers, at the frames' expense (100 instructions each).

use elara_core::ClientAddr;
use elara_core::limits::{TRAIN_DATAGRAM_MAX, TURN_DATA_HEAD_MAX};
use elara_core::stun::{Icmp, channel_data};
use elara_core::turn::{Answer, DataHead, Refusal, Socket, ToClient, ToPeer};

use super::flows::{Push, Way};
use super::{NoSockets, Sockets, Turn};
use crate::command::Notice;
use crate::cost::{SEGMENT, SEND};
use crate::forward::Forward;
use crate::io::{Io, Port, Slice, Train, Unreachable};
use crate::verdict::Verdict;

/// A type's bits that say what is asked for; the others say request, indication or answer.
const METHOD: u16 = 0x3EEF;
const BINDING: u16 = 0x0001;
/// Of a class that needs the machine's ports: a request.
const NO_REQUEST: u16 = 0x0110;
/// The first channel number that only RFC 5766 knows.
const WIDE: u16 = 0x5000;
/// Half of the places of flows: the ways to peers have one, those to clients the other.
const HALF: u32 = 64;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// A STUN message at the data port.
    #[inline(never)]
    pub(crate) fn handle_stun(&mut self, from: &ClientAddr, slice: Slice) -> Verdict {
        let Turn { server, relays, binding, random, inbox, out, flows, .. } = &mut *self.turn;
        let Some(server) = server else { return Verdict::StunClosed };
        let bytes = self.io.bytes(slice);
        let kind = bytes.first_chunk().map_or(0, |kind| u16::from_be_bytes(*kind));
        match kind & METHOD {
            BINDING if !*binding => return Verdict::StunClosed,
            BINDING => {}
            _ if !*relays => return Verdict::TurnClosed,
            _ => {}
        }
        let (now, unix) = (self.now, self.calendar);
        let answer = if kind & NO_REQUEST != 0 {
            server.handle(now, unix, from, bytes, &mut NoSockets, random, out)
        } else {
            // A request may open sockets, which the back end does; until then its bytes are there no longer.
            let Some(copy) = inbox.get_mut(..bytes.len()) else { return Verdict::BadStun };
            copy.copy_from_slice(bytes);
            // What came before may leave by a socket that this closes.
            flows.flush(self.io);
            server.handle(now, unix, from, copy, &mut Sockets(self.io), random, out)
        };
        match answer {
            Answer::Reply { len, error } => {
                self.io.send_bytes(from, &self.turn.out[..len], 0);
                self.counters.copies += 1;
                self.departures.spent += SEND;
                if error == 0 { Verdict::Answered } else { Verdict::Declined }
            }
            Answer::Relay { socket, to, data, dont_fragment: false } => {
                self.relay_to_peer(socket, to, part(slice, data.start, data.len()))
            }
            Answer::Relay { socket, to, data, dont_fragment: true } => {
                let data = part(slice, data.start, data.len());
                self.send_aside(Port(socket.0), to, &[data], data.len())
            }
            Answer::Hairpin { mut to, data } => {
                self.relay_to_client(&mut to, part(slice, data.start, data.len()))
            }
            Answer::Silent(refusal) => verdict(refusal),
        }
    }

    /// A train that is ChannelData of one channel throughout: its fate is asked for once. False when it is
    /// anything else.
    #[inline(never)]
    pub(crate) fn handle_channel_train(&mut self, train: &Train) -> bool {
        let Turn { server: Some(server), relays: true, wide, .. } = &mut *self.turn else {
            return false;
        };
        let (mut number, mut bytes) = (None, 0);
        for slice in train.datagrams() {
            let Some((channel, data)) = channel_data::read(self.io.bytes(slice)) else {
                return false;
            };
            if *number.get_or_insert(channel) != channel {
                return false;
            }
            bytes += data.len();
        }
        // Without a number in sight, or with one that is none here.
        let Some(number) = number.filter(|number| *wide || *number < WIDE) else { return false };
        let mut to = server.to_peer(self.now, &train.from, number, bytes);
        for slice in train.datagrams() {
            self.counters.datagrams += 1;
            self.counters.bytes += slice.len() as u64;
            let verdict = self.relay_channel(slice, &mut to);
            self.counters.count(verdict);
        }
        true
    }

    /// What begins as ChannelData does.
    #[inline(never)]
    pub(crate) fn handle_channel_data(&mut self, from: &ClientAddr, slice: Slice) -> Verdict {
        let bytes = self.io.bytes(slice);
        let wide = bytes.first().is_some_and(|first| u16::from(*first) << 8 >= WIDE);
        match &mut *self.turn {
            Turn { wide: false, .. } if wide => Verdict::Unrecognised,
            Turn { server: Some(server), relays: true, .. } => {
                let (mut to, _) = server.channel_data(self.now, from, bytes);
                self.relay_channel(slice, &mut to)
            }
            _ => Verdict::TurnClosed,
        }
    }

    /// Data on a channel.
    #[inline]
    fn relay_channel(&mut self, slice: Slice, to: &mut ToPeer) -> Verdict {
        let len = channel_data::read(self.io.bytes(slice)).map_or(0, |(_, data)| data.len());
        let data = part(slice, channel_data::HEADER_LEN, len);
        match to {
            ToPeer::Refused(refusal) => verdict(*refusal),
            ToPeer::Via { socket, to } => self.relay_to_peer(*socket, *to, data),
            ToPeer::Hairpin(to) => self.relay_to_client(to, data),
        }
    }

    /// What a peer has sent to a relayed address: a datagram, or a train of them.
    #[inline(never)]
    pub(crate) fn handle_peer_train(&mut self, train: &Train) {
        let (socket, bytes) = (Socket(train.port.0), train.slice.len());
        let mut to = match &mut self.turn.server {
            Some(server) => server.from_peer(self.now, socket, &train.from, bytes),
            None => ToClient::Refused(Refusal::NoAllocation),
        };
        for slice in train.datagrams() {
            self.counters.datagrams += 1;
            self.counters.bytes += slice.len() as u64;
            let verdict = self.relay_to_client(&mut to, slice);
            self.counters.count(verdict);
        }
    }

    #[inline]
    fn relay_to_peer(&mut self, socket: Socket, to: ClientAddr, data: Slice) -> Verdict {
        let way = Way { port: Port(socket.0), to, channel: 0 };
        self.push(u32::from(socket.0) % HALF, way, data)
    }

    #[inline]
    fn relay_to_client(&mut self, to: &mut ToClient, data: Slice) -> Verdict {
        match to {
            ToClient::Channel { client, number } => {
                if channel_data::HEADER_LEN + data.len() > TRAIN_DATAGRAM_MAX {
                    let head = self.io.note(&channel_data::header(*number, data.len));
                    let Some(head) = head else { return Verdict::Congested };
                    return self.send_aside(Port::DATA, *client, &[head, data], data.len());
                }
                let way = Way { port: Port::DATA, to: *client, channel: *number };
                self.push(HALF + u32::from(client.port()) % HALF, way, data)
            }
            ToClient::Indication { client, head } => self.indicate(*client, head, data),
            ToClient::Refused(refusal) => verdict(*refusal),
        }
    }

    #[inline]
    fn push(&mut self, hint: u32, way: Way, data: Slice) -> Verdict {
        match self.turn.flows.push(self.io, hint, way, data) {
            Push::Joined => self.departures.spent += SEGMENT,
            Push::Began => self.departures.spent += SEND,
            Push::Full => return Verdict::Congested,
        }
        self.sent(data.len());
        Verdict::Relayed
    }

    /// Data of a peer who has no channel.
    fn indicate(&mut self, client: ClientAddr, head: &mut DataHead, data: Slice) -> Verdict {
        let mut before = [0; TURN_DATA_HEAD_MAX];
        let Some(lengths) = head.write(data.len(), &mut before) else { return Verdict::TooLong };
        let Some(before) = self.io.note(&before[..lengths.len]) else { return Verdict::Congested };
        let Some(behind) = self.io.note(&[0; 4][..lengths.padding]) else {
            return Verdict::Congested;
        };
        let slices = [before, data, behind];
        let slices = &slices[..if lengths.padding > 0 { 3 } else { 2 }];
        if lengths.len + data.len() + lengths.padding > TRAIN_DATAGRAM_MAX {
            return self.send_aside(Port::DATA, client, slices, data.len());
        }
        self.io.send(&client, slices, 0, 0);
        self.departures.spent += SEND;
        self.sent(data.len());
        Verdict::Relayed
    }

    /// What is treated otherwise than all else from its port (RFC 8656 section 14): to a peer, where it must
    /// not be cut into fragments; to a client, where it may, because something stands before it now that
    /// may make it longer than its way.
    #[cold]
    fn send_aside(&mut self, port: Port, to: ClientAddr, slices: &[Slice], data: usize) -> Verdict {
        // What came before it leaves before it.
        self.turn.flows.flush(self.io);
        self.io.send_other_df(port, &to, slices);
        // System calls of its own, and none shared.
        self.departures.spent += 2 * SEND;
        self.sent(data);
        Verdict::Relayed
    }

    /// One datagram with so much data has left, or is about to.
    #[inline]
    fn sent(&mut self, data: usize) {
        self.counters.copies += 1;
        self.counters.relayed += 1;
        self.counters.relayed_bytes += data as u64;
    }

    /// Tells clients what the network says of the datagrams they have sent to peers.
    pub(crate) fn tell_unreachable(&mut self) {
        let Turn { server: Some(server), out, .. } = &mut *self.turn else { return };
        while let Some(Unreachable { port, to, kind, code, info }) = self.io.unreachable() {
            let icmp = Icmp { kind, code, info };
            let told = server.unreachable(self.now, Socket(port.0), &to, icmp, out);
            if let Some((client, len)) = told {
                self.io.send_bytes(&client, &out[..len], 0);
                self.counters.copies += 1;
            }
        }
    }
}

/// `len` bytes of a datagram from `at` on.
#[inline]
fn part(slice: Slice, at: usize, len: usize) -> Slice {
    Slice { start: slice.start + at as u32, len: len as u16, ..slice }
}

const fn verdict(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::Malformed | Refusal::Unknown => Verdict::BadStun,
        Refusal::Unasked | Refusal::Ignored => Verdict::StunIgnored,
        Refusal::Flood => Verdict::StunLimited,
        Refusal::NoAllocation => Verdict::NoAllocation,
        Refusal::NoChannel => Verdict::NoChannel,
        Refusal::NoPermission => Verdict::NoPermission,
        Refusal::Denied => Verdict::PeerDenied,
        Refusal::OverRate => Verdict::OverBandwidth,
    }
}
