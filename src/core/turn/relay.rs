//! Data, both directions: what a client sends to its peers, and what they send to it.
//!
//! Runs for every datagram that is relayed, or once for a train of them with the same source and channel,
//! so it allocates nothing. Permissions are looked at before anything leaves, on both sides of a hairpin.

use super::home::Family;
use super::server::KNOWN;
use super::{Answer, Refusal, Server, Socket, ToClient, ToPeer};
use crate::ClientAddr;
use crate::limits::{STUN_MESSAGE_MAX, TURN_DATA_HEAD_MAX};
use crate::stun::attribute::{DATA, DONT_FRAGMENT, XOR_PEER_ADDRESS};
use crate::stun::{Class, Head, Icmp, Message, Method, TransactionId, Writer, channel_data};
use crate::time::Instant;

/// What stands before the data in a Data indication.
#[derive(Clone, Copy, Debug)]
pub struct DataHead {
    peer: ClientAddr,
    transaction: [u8; 12],
}

impl DataHead {
    /// Writes it for `len` bytes of data: what is sent before them, and how many zeros behind them. Each
    /// indication of a train has its own. `None` when so much data does not fit an indication.
    pub fn write(&mut self, len: usize, out: &mut [u8; TURN_DATA_HEAD_MAX]) -> Option<Head> {
        let transaction = TransactionId(self.transaction);
        let mut writer = Writer::new(out, Class::Indication, Method::DATA, transaction);
        writer.put_address_xor(XOR_PEER_ADDRESS, self.peer.into());
        self.step();
        writer.finish_before(DATA, len)
    }

    fn step(&mut self) {
        let [.., a, b, c, d] = &mut self.transaction;
        let next = u32::from_be_bytes([*a, *b, *c, *d]).wrapping_add(1);
        [*a, *b, *c, *d] = next.to_be_bytes();
    }
}

impl Server {
    /// A client's ChannelData: what becomes of it, and its data.
    #[inline]
    pub fn channel_data<'d>(
        &mut self,
        now: Instant,
        from: &ClientAddr,
        datagram: &'d [u8],
    ) -> (ToPeer, &'d [u8]) {
        match channel_data::read(datagram) {
            Some((number, data)) => (self.to_peer(now, from, number, data.len()), data),
            None => (ToPeer::Refused(Refusal::Malformed), &[]),
        }
    }

    /// The same for a train: `bytes` of data on one channel of one client.
    #[inline]
    pub fn to_peer(
        &mut self,
        now: Instant,
        from: &ClientAddr,
        number: u16,
        bytes: usize,
    ) -> ToPeer {
        let tariff = self.tariff;
        let Some(allocation) = self.table.of(from).and_then(|number| self.table.get_mut(number))
        else {
            return ToPeer::Refused(Refusal::NoAllocation);
        };
        let Some(channel) = allocation.channels.numbered(number) else {
            return ToPeer::Refused(Refusal::NoChannel);
        };
        if !channel.is_open(now) {
            let refusal =
                if channel.until > now { Refusal::NoPermission } else { Refusal::NoChannel };
            return ToPeer::Refused(refusal);
        }
        let (peer, own) = (channel.peer, channel.own);
        let family = Family::of(&peer);
        let Some(&leg) = allocation.leg(family, now) else {
            return ToPeer::Refused(Refusal::NoAllocation);
        };
        if !allocation.bucket.take(bytes, tariff, now) {
            return ToPeer::Refused(Refusal::OverRate);
        }
        if own {
            self.at_home(now, leg.port, leg.socket, peer, bytes)
        } else {
            ToPeer::Via { socket: leg.socket, to: peer }
        }
    }

    /// A peer's datagram at a relay socket, or a train of them with `bytes` bytes.
    #[inline]
    pub fn from_peer(
        &mut self,
        now: Instant,
        socket: Socket,
        peer: &ClientAddr,
        bytes: usize,
    ) -> ToClient {
        match self.table.behind(socket) {
            // What went round through the kernel comes from the address we listen on.
            Some(number) => self.deliver(now, number, self.homes.outward(*peer).0, bytes),
            None => ToClient::Refused(Refusal::NoAllocation),
        }
    }

    /// An ICMP error about a datagram that left a relay socket towards `peer`: the indication that tells the
    /// client, and the client (RFC 8656 section 11.5). `None` when the client is told nothing.
    pub fn unreachable(
        &mut self,
        now: Instant,
        socket: Socket,
        peer: &ClientAddr,
        icmp: Icmp,
        out: &mut [u8; STUN_MESSAGE_MAX],
    ) -> Option<(ClientAddr, usize)> {
        let (peer, _) = self.homes.outward(*peer);
        let family = Family::of(&peer);
        let told = match family {
            // Destination unreachable, time exceeded.
            Family::V4 => matches!(icmp.kind, 3 | 11),
            // Destination unreachable, packet too big, time exceeded.
            Family::V6 => matches!(icmp.kind, 1..=3),
        };
        let number = self.table.behind(socket).filter(|_| told)?;
        let transaction = self.transaction();
        let (tariff, keyed) = (self.tariff, self.keyed);
        let allocation = self.table.get_mut(number)?;
        allocation.leg(family, now)?;
        let until = allocation.permissions.until(peer.ip_bytes(), keyed)?;
        let mut writer =
            Writer::new(out, Class::Indication, Method::DATA, TransactionId(transaction));
        writer.put_address_xor(XOR_PEER_ADDRESS, peer.into()).put_icmp(icmp);
        let len = writer.finish().filter(|_| until > now)?;
        allocation.bucket.take(len, tariff, now).then_some((allocation.client, len))
    }

    /// A Send indication (RFC 8656 section 11.2). It is never answered.
    pub(super) fn send(
        &mut self,
        now: Instant,
        from: &ClientAddr,
        message: &Message<'_>,
    ) -> Answer {
        let silent = Answer::Silent;
        if message.unknown_required(&KNOWN).next().is_some() {
            return silent(Refusal::Unknown);
        }
        let dont_fragment = message.has(DONT_FRAGMENT);
        if dont_fragment && !self.config.dont_fragment {
            return silent(Refusal::Unknown);
        }
        let (Some(Ok(peer)), Some(data)) = (message.address(XOR_PEER_ADDRESS), message.range(DATA))
        else {
            return silent(Refusal::Malformed);
        };
        let (peer, own) = self.homes.outward(ClientAddr::from(peer));
        // Section 13: it is ignored where either side is IPv6.
        let dont_fragment =
            dont_fragment && [from, &peer].iter().all(|addr| Family::of(addr) == Family::V4);
        let (tariff, keyed) = (self.tariff, self.keyed);
        let Some(allocation) = self.table.of(from).and_then(|number| self.table.get_mut(number))
        else {
            return silent(Refusal::NoAllocation);
        };
        let Some(&leg) = allocation.leg(Family::of(&peer), now) else {
            return silent(Refusal::NoAllocation);
        };
        let until = allocation.permissions.until(peer.ip_bytes(), keyed);
        if until.is_none_or(|until| until <= now) {
            return silent(Refusal::NoPermission);
        }
        // The permission was for the IP address.
        if !self.peers.admits_port(&peer) {
            return silent(Refusal::Denied);
        }
        if !allocation.bucket.take(data.len(), tariff, now) {
            return silent(Refusal::OverRate);
        }
        if !own {
            return Answer::Relay { socket: leg.socket, to: peer, data, dont_fragment };
        }
        match self.at_home(now, leg.port, leg.socket, peer, data.len()) {
            ToPeer::Via { socket, to } => Answer::Relay { socket, to, data, dont_fragment },
            ToPeer::Hairpin(to) => Answer::Hairpin { to, data },
            ToPeer::Refused(refusal) => silent(refusal),
        }
    }

    /// Data from the relayed address with `port` for another relayed address of this node. That of this
    /// shard gets it in one hop; what is another shard's goes through the kernel.
    fn at_home(
        &mut self,
        now: Instant,
        port: u16,
        socket: Socket,
        peer: ClientAddr,
        bytes: usize,
    ) -> ToPeer {
        let family = Family::of(&peer);
        let Some(home) = self.homes.of(family).copied() else {
            return ToPeer::Refused(Refusal::Denied);
        };
        match self.table.with_port(family, peer.port()) {
            Some(number) => ToPeer::Hairpin(self.deliver(now, number, home.outside(port), bytes)),
            // Another shard's, or the operator wants it. Everything else at this address is nobody's peer.
            None if self.peers.admits_port(&peer) => {
                ToPeer::Via { socket, to: home.inside(peer.port()) }
            }
            None => ToPeer::Refused(Refusal::Denied),
        }
    }

    /// Data from `peer` for the client of an allocation.
    #[inline]
    fn deliver(&mut self, now: Instant, number: u32, peer: ClientAddr, bytes: usize) -> ToClient {
        let (tariff, keyed) = (self.tariff, self.keyed);
        let Some(allocation) = self.table.get_mut(number) else {
            return ToClient::Refused(Refusal::NoAllocation);
        };
        if allocation.leg(Family::of(&peer), now).is_none() {
            return ToClient::Refused(Refusal::NoAllocation);
        }
        let channel =
            allocation.channels.towards(&peer, keyed).filter(|channel| channel.is_open(now));
        let number = channel.map(|channel| channel.number);
        if number.is_none() {
            let until = allocation.permissions.until(peer.ip_bytes(), keyed);
            if until.is_none_or(|until| until <= now) {
                return ToClient::Refused(Refusal::NoPermission);
            }
        }
        if !allocation.bucket.take(bytes, tariff, now) {
            return ToClient::Refused(Refusal::OverRate);
        }
        let client = allocation.client;
        match number {
            Some(number) => ToClient::Channel { client, number },
            None => {
                let head = DataHead { peer, transaction: self.transaction() };
                ToClient::Indication { client, head }
            }
        }
    }

    /// An identifier for an indication: nobody answers it, so it only must not come twice, nor be guessed.
    fn transaction(&mut self) -> [u8; 12] {
        self.indications = self.indications.wrapping_add(1);
        let mut transaction = [0; 12];
        let hash = self.keyed.hash(&self.indications.to_be_bytes());
        transaction[..8].copy_from_slice(&hash.to_be_bytes());
        transaction
    }
}
