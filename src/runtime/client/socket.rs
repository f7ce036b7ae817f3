//! The client's socket: connected, so that the kernel says when nothing listens at the other end,
//! and read and written in trains.
//!
//! The other end is the relay, or a TURN server that hands on what comes by a channel (RFC 8656
//! section 12): then each datagram has the channel's four bytes before it.
//! ```text
//!   train:  | 40 00 | len | frame .. | 40 00 | len | frame .. |      one send, cut by the kernel
//! ```

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use elara_core::limits::{CLIENT_BUFFER_BYTES, DATAGRAM_MAX, SEGMENTS_MAX, V1_FRAME_MAX};
use elara_core::stun::channel_data;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Messages taken in at a time, each a train of datagrams.
const MESSAGES: usize = 4;

/// A socket that speaks with one relay, or with a TURN server about one.
#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
    to: SocketAddr,
    channel: Option<u16>,
}

impl Socket {
    /// A socket for what is at `to`, from `local` or wherever the kernel likes; by `channel`, if that is a
    /// TURN server. Must be called within a tokio runtime.
    pub(super) fn connect(
        to: SocketAddr,
        channel: Option<u16>,
        local: Option<SocketAddr>,
    ) -> io::Result<Self> {
        let any = if to.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        let udp = std::net::UdpSocket::bind(local.unwrap_or(any))?;
        udp.connect(to)?;
        udp.set_nonblocking(true)?;
        let state = UdpSocketState::new((&udp).into())?;
        // More is better and none is needed: what is granted is granted.
        let _ = state.set_recv_buffer_size((&udp).into(), CLIENT_BUFFER_BYTES);
        Ok(Self { udp: UdpSocket::from_std(udp)?, state, to, channel })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.udp.local_addr().ok()
    }

    /// The other end.
    pub(super) const fn to(&self) -> SocketAddr {
        self.to
    }

    /// Loads what `poll` has for the relay; false when that is nothing.
    pub(super) fn load(
        &self,
        train: &mut Train,
        poll: impl FnMut(&mut [u8]) -> Option<usize>,
    ) -> bool {
        train.load(self.segments_max(), self.channel, poll)
    }

    /// Most datagrams of one train.
    fn segments_max(&self) -> usize {
        self.state.max_gso_segments().clamp(1, SEGMENTS_MAX)
    }

    /// Sends a train, waiting for the kernel to have room.
    pub(super) async fn send(&self, train: &Train) -> io::Result<()> {
        let send = || self.try_send(train);
        loop {
            self.udp.writable().await?;
            match self.udp.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Sends a train, or what the kernel takes of it.
    pub(super) fn try_send(&self, train: &Train) -> io::Result<()> {
        match self.try_send_as(train.bytes(), Some(train.segment)) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // An error of an earlier datagram is told to the next one, which then was not sent;
                // and some paths take no trains. So once more, one by one.
                let mut segments = train.bytes().chunks(train.segment);
                segments.try_for_each(|segment| self.try_send_as(segment, None))?;
                if is_refusal(&error) { Err(error) } else { Ok(()) }
            }
            result => result,
        }
    }

    /// Sends one datagram for the other end itself.
    ///
    /// # Errors
    /// What the kernel says; an error of an earlier datagram is told to this one, which leaves all the same.
    pub(super) fn say(&self, datagram: &[u8]) -> io::Result<()> {
        let result = self.try_send_as(datagram, None);
        if result.is_err() {
            let _ = self.try_send_as(datagram, None);
        }
        result
    }

    fn try_send_as(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let destination = self.to;
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.udp).into(), &transmit)
    }

    /// Waits until datagrams may be there.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await
    }

    /// The same, as a poll: whoever polled last is woken.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.udp.poll_recv_ready(cx)
    }

    /// Hands each of the datagrams that are there to `take`.
    pub(super) fn receive(&self, room: &mut Room, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let count = self.udp.try_io(Interest::READABLE, || {
            let mut slices = room.bytes.each_mut().map(|bytes| IoSliceMut::new(bytes));
            self.state.recv((&self.udp).into(), &mut slices, &mut room.metas)
        });
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            count => count?,
        };
        for (bytes, meta) in room.bytes.iter().zip(&room.metas).take(count) {
            bytes[..meta.len].chunks(meta.stride.max(1)).for_each(&mut take);
        }
        Ok(())
    }
}

/// The kernel says that nothing listens at the other end.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// Where arriving trains are put.
pub(super) struct Room {
    bytes: [Vec<u8>; MESSAGES],
    metas: [RecvMeta; MESSAGES],
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            bytes: std::array::from_fn(|_| vec![0; DATAGRAM_MAX]),
            metas: [RecvMeta::default(); MESSAGES],
        }
    }
}

/// Datagrams of one length, the last perhaps shorter, that leave in one call.
pub(super) struct Train {
    bytes: Vec<u8>,
    len: usize,
    segment: usize,
    /// What was too long for the train it was polled for.
    next: [u8; V1_FRAME_MAX],
    next_len: usize,
}

impl Train {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; DATAGRAM_MAX],
            len: 0,
            segment: 1,
            next: [0; V1_FRAME_MAX],
            next_len: 0,
        }
    }

    /// Loads what `poll` has, at most `segments` datagrams, each behind the head of `channel` if there is
    /// one. False when there is nothing.
    fn load(
        &mut self,
        segments: usize,
        channel: Option<u16>,
        mut poll: impl FnMut(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let head = if channel.is_some() { channel_data::HEADER_LEN } else { 0 };
        (self.len, self.segment) = (0, 0);
        let mut count = 0;
        while count < segments && self.len + head + V1_FRAME_MAX <= self.bytes.len() {
            let (before, room) = self.bytes[self.len..].split_at_mut(head);
            let room = &mut room[..V1_FRAME_MAX];
            let len = match std::mem::take(&mut self.next_len) {
                0 => poll(room),
                len => {
                    room[..len].copy_from_slice(&self.next[..len]);
                    Some(len)
                }
            };
            let Some(len) = len else { break };
            if count > 0 && head + len > self.segment {
                self.next[..len].copy_from_slice(&room[..len]);
                self.next_len = len;
                break;
            }
            if let Some(channel) = channel {
                before.copy_from_slice(&channel_data::header(channel, len as u16));
            }
            if count == 0 {
                self.segment = head + len;
            }
            self.len += head + len;
            count += 1;
            if head + len < self.segment {
                break;
            }
        }
        self.len > 0
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the datagrams of each train that `lens` are loaded into.
    fn trains(segments: usize, lens: &[usize]) -> Vec<Vec<usize>> {
        let mut rest = lens.iter();
        let mut train = Train::new();
        let mut trains = Vec::new();
        while train.load(segments, None, |out| {
            let len = *rest.next()?;
            out[..len].fill(len as u8);
            Some(len)
        }) {
            let datagrams = train.bytes().chunks(train.segment);
            assert!(datagrams.clone().all(|it| it.iter().all(|byte| *byte == it.len() as u8)));
            trains.push(datagrams.map(<[u8]>::len).collect());
        }
        trains
    }

    #[test]
    fn a_train_is_of_one_length_and_loses_nothing() {
        let expected: [&[usize]; 4] = [&[160, 160, 80], &[80], &[240], &[1_232, 80]];
        assert_eq!(trains(64, &[160, 160, 80, 80, 240, 1_232, 80]), expected);
        assert_eq!(trains(2, &[80, 80, 80]), [&[80, 80][..], &[80]]);
        assert_eq!(trains(1, &[80, 240]), [[80], [240]]);
        let many = trains(64, &[1_232; 130]);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [53, 53, 24]);
        assert!(trains(64, &[]).is_empty());
    }

    #[test]
    fn by_a_channel_each_datagram_has_its_head() {
        let mut rest = [160, 160, 80, 1_232].into_iter();
        let mut poll = |out: &mut [u8]| {
            let len = rest.next()?;
            out[..len].fill(len as u8);
            Some(len)
        };
        let mut train = Train::new();
        let mut trains: Vec<Vec<usize>> = Vec::new();
        while train.load(64, Some(0x4007), &mut poll) {
            let data = train.bytes().chunks(train.segment).map(|datagram| {
                let (number, data) = channel_data::read(datagram).unwrap();
                assert_eq!((number, 4 + data.len()), (0x4007, datagram.len()));
                assert!(data.iter().all(|byte| *byte == data.len() as u8));
                data.len()
            });
            trains.push(data.collect());
        }
        assert_eq!(trains, [&[160, 160, 80][..], &[1_232]]);
    }
}
