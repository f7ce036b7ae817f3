//! The client's socket: connected, so that the kernel says when nothing listens at the other end,
//! and read and written in trains.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use elara_core::limits::{CLIENT_BUFFER_BYTES, DATAGRAM_MAX, SEGMENTS_MAX, V1_FRAME_MAX};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Messages taken in at a time, each a train of datagrams.
const MESSAGES: usize = 4;

/// A socket that speaks with one relay.
#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
    relay: SocketAddr,
}

impl Socket {
    /// A socket for `relay`, from `local` or wherever the kernel likes. Must be called within a
    /// tokio runtime.
    pub(super) fn connect(relay: SocketAddr, local: Option<SocketAddr>) -> io::Result<Self> {
        let any = if relay.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        let udp = std::net::UdpSocket::bind(local.unwrap_or(any))?;
        udp.connect(relay)?;
        udp.set_nonblocking(true)?;
        let state = UdpSocketState::new((&udp).into())?;
        // More is better and none is needed: what is granted is granted.
        let _ = state.set_recv_buffer_size((&udp).into(), CLIENT_BUFFER_BYTES);
        Ok(Self { udp: UdpSocket::from_std(udp)?, state, relay })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.udp.local_addr().ok()
    }

    pub(super) const fn relay(&self) -> SocketAddr {
        self.relay
    }

    /// Most datagrams of one train.
    pub(super) fn segments_max(&self) -> usize {
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
                let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                if refused { Err(error) } else { Ok(()) }
            }
            result => result,
        }
    }

    fn try_send_as(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let destination = self.relay;
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
    /// A datagram that was too long for the train it was polled for.
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

    /// Loads what `poll` has, at most `segments` datagrams. False when there is nothing.
    pub(super) fn load(
        &mut self,
        segments: usize,
        mut poll: impl FnMut(&mut [u8]) -> Option<usize>,
    ) -> bool {
        self.bytes[..self.next_len].copy_from_slice(&self.next[..self.next_len]);
        (self.len, self.segment) = (self.next_len, self.next_len);
        let mut count = usize::from(self.next_len > 0);
        self.next_len = 0;
        while count < segments && self.len + V1_FRAME_MAX <= self.bytes.len() {
            let Some(len) = poll(&mut self.bytes[self.len..self.len + V1_FRAME_MAX]) else { break };
            if count == 0 {
                self.segment = len;
            } else if len > self.segment {
                self.next[..len].copy_from_slice(&self.bytes[self.len..self.len + len]);
                self.next_len = len;
                break;
            }
            self.len += len;
            count += 1;
            if len < self.segment {
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
        while train.load(segments, |out| {
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
}
