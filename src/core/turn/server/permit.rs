//! CreatePermission and ChannelBind: whom an allocation talks to (RFC 8656 sections 10.2 and 12.2).

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::answer::{Failure, Granted, code};
use super::{Asked, Server};
use crate::ClientAddr;
use crate::limits::{TURN_CHANNEL_FOR, TURN_PERMISSION_FOR};
use crate::stun::attribute::{CHANNEL_NUMBER, XOR_PEER_ADDRESS};
use crate::time::Instant;
use crate::turn::channel::Channel;
use crate::turn::credentials::Identity;
use crate::turn::home::Family;

impl Server {
    /// All peers of a request get their permission, or none of them does.
    pub(super) fn create_permission(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
    ) -> Result<Granted, Failure> {
        let number = self.owned(asked, identity)?;
        let mut ips = Vec::new();
        for peer in asked.message.addresses(XOR_PEER_ADDRESS) {
            let (peer, _) = self.peer(number, peer.map_err(|_| BAD_REQUEST)?, asked.now)?;
            ips.push(*peer.ip_bytes());
        }
        if ips.is_empty() {
            return Err(BAD_REQUEST);
        }
        ips.sort_unstable();
        ips.dedup();
        self.permit(number, &ips, asked.now)?;
        Ok(Granted::Done)
    }

    pub(super) fn channel_bind(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
    ) -> Result<Granted, Failure> {
        let owner = self.owned(asked, identity)?;
        let (Some(Ok(number)), Some(Ok(peer))) =
            (asked.message.u16(CHANNEL_NUMBER), asked.message.address(XOR_PEER_ADDRESS))
        else {
            return Err(BAD_REQUEST);
        };
        if !self.config.channel_range.numbers().contains(&number) {
            return Err(BAD_REQUEST);
        }
        let (peer, own) = self.peer(owner, peer, asked.now)?;
        if !self.peers.admits_port(&peer) {
            return Err(Failure::Code(code::FORBIDDEN));
        }
        self.sweep(owner, asked.now);
        let (keyed, most) = (self.keyed, self.config.channels_max);
        let allocation = self.table.get(owner).ok_or(Failure::Code(code::MISMATCH))?;
        let bound = allocation.channels.numbered(number);
        // One number, one peer; one peer, one number.
        let of_another = bound.is_some_and(|channel| channel.peer != peer);
        let elsewhere = allocation
            .channels
            .towards(&peer, keyed)
            .is_some_and(|channel| channel.number != number);
        if of_another || elsewhere {
            return Err(BAD_REQUEST);
        }
        if bound.is_none() && allocation.channels.len() >= most {
            return Err(Failure::Code(code::CAPACITY));
        }
        // Section 12: binding installs or refreshes the permission too.
        self.permit(owner, &[*peer.ip_bytes()], asked.now)?;
        let (until, permitted) = (asked.now + TURN_CHANNEL_FOR, asked.now + TURN_PERMISSION_FOR);
        if let Some(allocation) = self.table.get_mut(owner) {
            let before = allocation.channels.len();
            allocation.channels.bind(Channel { peer, until, permitted, number, own }, keyed);
            self.counts.channels += allocation.channels.len() - before;
        }
        self.arm(owner, asked.now);
        Ok(Granted::Done)
    }

    /// A peer that a request names, in its one spelling; and whether it is a relayed address of this node.
    fn peer(
        &self,
        number: u32,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<(ClientAddr, bool), Failure> {
        let (peer, own) = self.homes.outward(ClientAddr::from(peer));
        let allocation = self.table.get(number).ok_or(Failure::Code(code::MISMATCH))?;
        if allocation.leg(Family::of(&peer), now).is_none() {
            return Err(Failure::Code(code::PEER_FAMILY));
        }
        if !self.peers.admits_ip(&peer) {
            return Err(Failure::Code(code::FORBIDDEN));
        }
        Ok((peer, own))
    }

    /// Installs or refreshes permissions for addresses that are all different.
    fn permit(&mut self, number: u32, ips: &[[u8; 16]], now: Instant) -> Result<(), Failure> {
        self.sweep(number, now);
        let (keyed, most) = (self.keyed, self.config.permissions_max);
        let allocation = self.table.get_mut(number).ok_or(Failure::Code(code::MISMATCH))?;
        let permissions = &mut allocation.permissions;
        let before = permissions.len();
        let fresh = ips.iter().filter(|ip| permissions.until(ip, keyed).is_none()).count();
        // Since a reload there may be more than may be added to.
        if fresh > 0 && before + fresh > most {
            return Err(Failure::Code(code::CAPACITY));
        }
        for ip in ips {
            permissions.install(*ip, now + TURN_PERMISSION_FOR, keyed);
        }
        allocation.channels.permit(|ip| permissions.until(ip, keyed));
        self.counts.permissions += fresh;
        self.arm(number, now);
        Ok(())
    }
}

const BAD_REQUEST: Failure = Failure::Code(code::BAD_REQUEST);
