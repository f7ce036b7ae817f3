//! Requests: who asks, whether it may be, what is done, and the answer.
//!
//! ```text
//!   malformed, an answer, an indication            silence
//!   Binding                                        answered to anyone, within the bucket
//!   no or wrong credentials, an old nonce          401, 438, 400 without a signature, within the bucket
//!   unknown attributes that must be understood     420, signed as everything from here on
//!   Allocate, Refresh, CreatePermission, ChannelBind
//! ```
//! State changes behind the last line only (coturn #1999: a stranger's request cost a socket and 18 KB for a
//! minute). Answers carry no reason phrase and no SOFTWARE (coturn #1829: they amplify).

mod allocate;
mod answer;
mod authenticate;
mod permit;
mod refresh;

use alloc::sync::Arc;
use core::net::SocketAddr;

use super::access::Access;
use super::bucket::{Bucket, Replies, Tariff};
use super::config::Config;
use super::credentials::{Credentials, Identity};
use super::home::Homes;
use super::nonce::Nonces;
use super::peers::Peers;
use super::quota::Quota;
use super::reservation::Reservations;
use super::table::Table;
use super::{Answer, Counts, Ports, Refusal};
use crate::ClientAddr;
use crate::crypto::Secret;
use crate::keyed::Keyed;
use crate::limits::{
    STUN_MESSAGE_MAX, TURN_BINDINGS_PER_PREFIX, TURN_BINDINGS_PER_SHARD, TURN_REPLIES_PER_PREFIX,
    TURN_REPLIES_PER_SHARD, TURN_TICK, TURN_WHEEL,
};
use crate::random::SecureRandom;
use crate::stun::attribute::{
    CHANNEL_NUMBER, DATA, DONT_FRAGMENT, EVEN_PORT, LIFETIME, MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256, NONCE, PASSWORD_ALGORITHM, PRIORITY, REALM, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN, USE_CANDIDATE, USERHASH, USERNAME, XOR_PEER_ADDRESS,
};
use crate::stun::{Class, Message, Method};
use crate::time::wheel::Wheel;
use crate::time::{Instant, UnixMillis};
use answer::{Failure, Granted, code};

/// Attributes that are understood wherever they stand.
pub(super) const KNOWN: [u16; 18] = [
    USERNAME,
    USERHASH,
    REALM,
    NONCE,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    PASSWORD_ALGORITHM,
    LIFETIME,
    REQUESTED_TRANSPORT,
    REQUESTED_ADDRESS_FAMILY,
    EVEN_PORT,
    RESERVATION_TOKEN,
    DONT_FRAGMENT,
    XOR_PEER_ADDRESS,
    CHANNEL_NUMBER,
    DATA,
    PRIORITY,
    USE_CANDIDATE,
];

/// What a server keeps secret, the same on all shards of a node.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Makes nonces.
    pub nonce: Secret<32>,
    /// Places strangers in tables.
    pub hash: (u64, u64),
}

/// The TURN server of one shard.
#[derive(Debug)]
pub struct Server {
    pub(super) config: Arc<Config>,
    pub(super) homes: Homes,
    pub(super) peers: Peers,
    credentials: Arc<Credentials>,
    nonces: Nonces,
    replies: Replies,
    bindings: Replies,
    pub(super) quota: Quota,
    pub(super) tariff: Tariff,
    pub(super) table: Table,
    pub(super) reservations: Reservations,
    pub(super) wheel: Wheel,
    pub(super) keyed: Keyed,
    pub(super) counts: Counts,
    /// Data indications begun.
    pub(super) indications: u64,
}

/// A request.
#[derive(Clone, Copy)]
struct Asked<'a> {
    message: Message<'a>,
    from: &'a ClientAddr,
    now: Instant,
    unix_s: u64,
}

impl Server {
    /// A server without allocations. `listeners` are the addresses where this node listens for anything: no
    /// peer is behind them.
    #[must_use]
    pub fn new(access: Access, keys: &Keys, listeners: &[SocketAddr], now: Instant) -> Self {
        let Access { config, credentials, relayed } = access;
        let keyed = Keyed(keys.hash.0, keys.hash.1);
        let homes = Homes::new(&config);
        Self {
            homes,
            peers: Peers::new(&config, homes, Arc::clone(&relayed), listeners),
            nonces: Nonces::new(&keys.nonce, credentials.offers_anonymity()),
            credentials,
            replies: Replies::new(keyed, TURN_REPLIES_PER_PREFIX, TURN_REPLIES_PER_SHARD),
            bindings: Replies::new(keyed, TURN_BINDINGS_PER_PREFIX, TURN_BINDINGS_PER_SHARD),
            quota: Quota::new(keyed),
            tariff: Tariff::new(config.bytes_per_second),
            table: Table::new(&config, relayed, keyed),
            reservations: Reservations::default(),
            wheel: Wheel::new(TURN_TICK, TURN_WHEEL, now),
            keyed,
            counts: Counts::default(),
            indications: 0,
            config,
        }
    }

    /// Other credentials, peers and amounts from here on, which [`Access::renewed`] has made. Permissions and
    /// channels of peers that are no longer allowed end; what else is there stays, and may be refreshed
    /// by whoever is still let in.
    pub fn reload(&mut self, access: Access) {
        let Access { config, credentials, relayed: _ } = access;
        self.nonces.offer(credentials.offers_anonymity());
        self.peers.allow(&config);
        self.tariff = Tariff::new(config.bytes_per_second);
        let before = core::mem::replace(&mut self.config, config);
        self.credentials = credentials;
        if before.allow_peers != self.config.allow_peers {
            (0..self.table.end()).for_each(|number| self.revoke(number));
        }
        if before.bytes_per_second != self.config.bytes_per_second {
            // What was too much by the old rate says nothing by the new one.
            for number in 0..self.table.end() {
                if let Some(allocation) = self.table.get_mut(number) {
                    allocation.bucket = Bucket::default();
                }
            }
        }
    }

    /// Takes back what an allocation may no longer do.
    fn revoke(&mut self, number: u32) {
        let (peers, keyed) = (&self.peers, self.keyed);
        let Some(allocation) = self.table.get_mut(number) else { return };
        let (permissions, channels) = (&mut allocation.permissions, &mut allocation.channels);
        let before = (permissions.len(), channels.len());
        permissions.retain(keyed, |it| peers.admits_ip(&ClientAddr::new(it.ip, 0, 0)));
        channels.retain(keyed, |it| peers.admits_ip(&it.peer) && peers.admits_port(&it.peer));
        self.counts.permissions -= before.0 - permissions.len();
        self.counts.channels -= before.1 - channels.len();
    }

    /// Whether a Binding request may be answered: one account for plain ones, which `stun::binding` answers,
    /// and for all others.
    pub fn admits_binding(&mut self, now: Instant, from: &ClientAddr) -> bool {
        self.bindings.admit(from, now)
    }

    /// A STUN message from `from`, other than a plain Binding request, which `stun::binding` answers.
    #[expect(clippy::too_many_arguments, reason = "time, randomness and sockets are arguments")]
    pub fn handle(
        &mut self,
        now: Instant,
        unix: UnixMillis,
        from: &ClientAddr,
        bytes: &[u8],
        ports: &mut impl Ports,
        random: &mut impl SecureRandom,
        out: &mut [u8; STUN_MESSAGE_MAX],
    ) -> Answer {
        let Ok(message) = Message::parse(bytes) else {
            return Answer::Silent(Refusal::Malformed);
        };
        let asked = Asked { message, from, now, unix_s: unix.0 / 1_000 };
        match (message.class(), message.method()) {
            (Class::Success | Class::Error, _) => Answer::Silent(Refusal::Unasked),
            (Class::Indication, Method::SEND) => self.send(now, from, &message),
            (Class::Request, Method::BINDING) => self.binding(&asked, out),
            (
                Class::Request,
                Method::ALLOCATE
                | Method::REFRESH
                | Method::CREATE_PERMISSION
                | Method::CHANNEL_BIND,
            ) => self.request(&asked, ports, random, out),
            _ => Answer::Silent(Refusal::Ignored),
        }
    }

    /// What is there.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            allocations: self.table.len(),
            reservations: self.reservations.len(),
            ..self.counts
        }
    }

    fn request(
        &mut self,
        asked: &Asked<'_>,
        ports: &mut impl Ports,
        random: &mut impl SecureRandom,
        out: &mut [u8; STUN_MESSAGE_MAX],
    ) -> Answer {
        let proven = match self.authenticate(asked) {
            Ok(proven) => proven,
            Err(denial) => return self.deny(asked, denial, out),
        };
        // What is over and has not been ended yet is nobody's any longer.
        if let Some(number) = self.table.of(asked.from) {
            self.settle(number, asked.now, ports);
        }
        let granted = self.grant(asked, &proven.identity, ports, random);
        self.reply(asked, &proven.key, granted, out)
    }

    fn grant(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
        ports: &mut impl Ports,
        random: &mut impl SecureRandom,
    ) -> Result<Granted, Failure> {
        if asked.message.unknown_required(&KNOWN).next().is_some() {
            return Err(Failure::Unknown);
        }
        match asked.message.method() {
            Method::ALLOCATE => self.allocate(asked, identity, ports, random),
            Method::REFRESH => self.refresh(asked, identity, ports),
            Method::CREATE_PERMISSION => self.create_permission(asked, identity),
            _ => self.channel_bind(asked, identity),
        }
    }

    /// The number of the asker's allocation.
    fn owned(&self, asked: &Asked<'_>, identity: &Identity) -> Result<u32, Failure> {
        let number = self.table.of(asked.from).ok_or(Failure::Code(code::MISMATCH))?;
        let mine =
            self.table.get(number).is_some_and(|allocation| allocation.user == identity.user);
        // RFC 8656 section 5: with other credentials than those that made the allocation, 441.
        if mine { Ok(number) } else { Err(Failure::Code(code::WRONG_CREDENTIALS)) }
    }
}
