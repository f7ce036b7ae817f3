//! The client's side of TURN: one allocation at one server, by one socket (RFC 8656).
//!
//! ```text
//!            permit, bind, close                    Ready, Bound, .. Failed
//!   caller ----------------------->  Client  -----------------------------------> caller
//!                                    ^    |
//!       handle_datagram(bytes, now)  |    |  poll_transmit(now): bytes     next_due(): when to call again
//!                              the server's socket
//! ```
//! It asks for the allocation, answers the server's challenges, and keeps allocation, permissions and
//! channels alive until [`Client::close`] or a failure, which is final: another allocation is another
//! [`Client`], best by another socket. Data comes out of [`Client::handle_datagram`] as it lies in the
//! datagram; what goes out needs four bytes before it ([`Client::header`]) or an indication around it
//! ([`Client::indicate`]), and then goes to the server.
//!
//! Nothing that arrives makes it panic, and what is refused moves nothing but a doubt: an answer counts
//! when it belongs to a request that waits for one, and where the request was signed, when its sender knows
//! the password. What it holds is bounded in [`limits`](crate::limits).
//!
//! | file | owns |
//! |---|---|
//! | `transaction` | one request, sent until it is answered |
//! | `login` | credentials, and what a server asks about them |
//! | `answers` | what a server's answers mean |
//! | `peers` | permissions and channels |
//! | `discovery` | what address a STUN server sees |
//! | `event` | what its caller is told |
//! | `failure` | why not, in words |

mod answers;
mod discovery;
mod event;
mod failure;
mod login;
mod peers;
#[cfg(test)]
mod tests;
mod transaction;

pub use discovery::Discovery;
pub use event::{Event, Family, Granted, Received, Refused};
pub use failure::Failure;
pub use login::Credentials;

use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};

use self::login::Login;
use self::peers::{Peers, Who};
use self::transaction::{Step, Transaction};
use crate::limits::{STUN_MESSAGE_MAX, TURN_CLIENT_EVENTS_MAX};
use crate::random::SecureRandom;
use crate::stun::{Class, Message, Method, TransactionId, Writer, attribute, channel_data, family};
use crate::time::Instant;

/// RFC 8656 section 18.7: the number of UDP among protocols over IP.
const UDP: u8 = 17;

/// Something to ask of the server.
#[derive(Debug)]
enum Errand {
    Rest,
    /// It is asked at this instant, after so many challenges.
    Due {
        at: Instant,
        challenges: u32,
    },
    /// It is being asked.
    Asked(Transaction),
}

impl Errand {
    const fn due_at(at: Instant) -> Self {
        Self::Due { at, challenges: 0 }
    }

    const fn due(&self) -> Option<Instant> {
        match self {
            Self::Rest => None,
            Self::Due { at, .. } => Some(*at),
            Self::Asked(transaction) => Some(transaction.due()),
        }
    }
}

/// Whose errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Allocation,
    Peer(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Allocating,
    Allocated,
    Closing,
    Over,
}

/// An allocation at a TURN server, from the first request to the last.
#[derive(Debug)]
pub struct Client {
    family: Family,
    phase: Phase,
    login: Login,
    errand: Errand,
    peers: Peers,
    granted: Option<Granted>,
    events: VecDeque<Event>,
}

impl Client {
    /// Wants a relayed address of this family, and begins at the next [`Self::poll_transmit`]. Without
    /// credentials it gets one only where a server asks nobody for any.
    #[must_use]
    pub fn new(credentials: Option<Credentials>, family: Family, now: Instant) -> Self {
        Self {
            family,
            phase: Phase::Allocating,
            login: Login::new(credentials),
            errand: Errand::due_at(now),
            peers: Peers::default(),
            granted: None,
            events: VecDeque::new(),
        }
    }

    /// Lets a host send to the relayed address, as soon as there is one: [`Event::Permitted`]. False when
    /// there is no room for another peer.
    pub fn permit(&mut self, peer: IpAddr, now: Instant) -> bool {
        self.peers.permit(peer, now)
    }

    /// Lets a peer send to the relayed address by a channel, as soon as there is one: [`Event::Bound`].
    /// The channel it will be, from [`TURN_CHANNEL_FIRST`](crate::limits::TURN_CHANNEL_FIRST) on; `None` when
    /// there is no room for another peer.
    pub fn bind(&mut self, peer: SocketAddr, now: Instant) -> Option<u16> {
        self.peers.bind(peer, now)
    }

    /// Gives the allocation back: [`Event::Closed`], when the server has said so or was asked in vain.
    pub fn close(&mut self, now: Instant) {
        match self.phase {
            Phase::Allocated => {
                self.phase = Phase::Closing;
                self.peers.iter_mut().for_each(|peer| peer.errand = Errand::Rest);
                self.errand = Errand::due_at(now);
            }
            Phase::Allocating => self.end(Event::Closed),
            Phase::Closing | Phase::Over => {}
        }
    }

    /// What the server has granted, while it lasts.
    #[must_use]
    pub const fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// Whether there is no allocation any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// What stands before `len` bytes for this peer, once it has a channel.
    #[must_use]
    pub fn header(&self, peer: &SocketAddr, len: u16) -> Option<[u8; channel_data::HEADER_LEN]> {
        Some(channel_data::header(self.peers.channel(peer)?, len))
    }

    /// Writes `data` for a peer without a channel into `out`: how long it is there; `None` when it does not
    /// fit.
    pub fn indicate(
        &self,
        peer: SocketAddr,
        data: &[u8],
        random: &mut impl SecureRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        // RFC 8656 section 11.1: an indication is not signed.
        Writer::new(out, Class::Indication, Method::SEND, fresh_id(random))
            .put_address_xor(attribute::XOR_PEER_ADDRESS, peer)
            .put(attribute::DATA, data)
            .fingerprint()
            .finish()
    }

    /// Takes in a datagram of the server's.
    pub fn handle_datagram<'a>(&mut self, datagram: &'a [u8], now: Instant) -> Received<'a> {
        if let Some((number, bytes)) = channel_data::read(datagram) {
            let peer = self.peers.of_channel(number).filter(|_| self.granted.is_some());
            return peer
                .map_or(Received::Refused(Refused::NoPeer), |peer| Received::Data { peer, bytes });
        }
        let Ok(message) = Message::parse(datagram) else {
            return Received::Refused(Refused::Foreign);
        };
        match message.class() {
            Class::Success | Class::Error => match self.handle_answer(&message, now) {
                Ok(()) => Received::Answer,
                Err(refused) => Received::Refused(refused),
            },
            Class::Indication if message.method() == Method::DATA => self.handle_data(&message),
            Class::Indication | Class::Request => Received::Refused(Refused::Unasked),
        }
    }

    /// The network says that nothing listens at the server's port: then nothing will answer what is asked
    /// first (RFC 8489 section 6.2.1). Later a word that anyone may say ends nothing.
    pub fn handle_refusal(&mut self) {
        if self.phase == Phase::Allocating {
            self.end(Event::Failed(Failure::NotListening));
        }
    }

    /// RFC 8656 section 11.4: data of who has no permission is not taken.
    fn handle_data<'a>(&self, message: &Message<'a>) -> Received<'a> {
        let Some(Ok(peer)) = message.address(attribute::XOR_PEER_ADDRESS) else {
            return Received::Refused(Refused::Malformed);
        };
        if self.granted.is_none() || !self.peers.admits(peer.ip()) {
            return Received::Refused(Refused::NoPeer);
        }
        match (message.icmp(), message.get(attribute::DATA)) {
            (Some(Ok(icmp)), _) => Received::Unreachable { peer, kind: icmp.kind, code: icmp.code },
            (None, Some(bytes)) => Received::Data { peer, bytes },
            _ => Received::Refused(Refused::Malformed),
        }
    }

    /// The next datagram for the server, written into `out`: its length. To be called until `None`, after
    /// every call that changes something and at [`Self::next_due`].
    ///
    /// # Panics
    /// When `out` is shorter than [`STUN_MESSAGE_MAX`].
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        random: &mut impl SecureRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        assert!(out.len() >= STUN_MESSAGE_MAX, "a message may be {STUN_MESSAGE_MAX} bytes long");
        let sent = self.step(Place::Allocation, now, random, out);
        if sent.is_some() || self.phase != Phase::Allocated {
            return sent;
        }
        // What one fails at may end the allocation, and with it the peers.
        let mut index = 0;
        while index < self.peers.iter().len() {
            let sent = self.step(Place::Peer(index), now, random, out);
            if sent.is_some() {
                return sent;
            }
            index += 1;
        }
        None
    }

    /// When [`Self::poll_transmit`] has something or changes something, once it has returned `None`.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let peers = self.peers.iter().filter(|_| self.phase == Phase::Allocated);
        let peers = peers.filter_map(|peer| peer.errand.due());
        self.errand.due().into_iter().chain(peers).min()
    }

    /// What has happened and was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Does what is due about one errand: how long the datagram is that it wrote, if it did.
    fn step(
        &mut self,
        place: Place,
        now: Instant,
        random: &mut impl SecureRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        if let Errand::Due { at, challenges } = *self.errand_mut(place)?
            && at <= now
        {
            match self.ask(place, challenges, now, random) {
                Some(transaction) => *self.errand_mut(place)? = Errand::Asked(transaction),
                None => self.fail(place, Failure::TooLong),
            }
        }
        let Errand::Asked(transaction) = self.errand_mut(place)? else { return None };
        match transaction.poll(now) {
            Step::Wait => None,
            Step::Send(bytes) => {
                out.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some(bytes.len())
            }
            Step::GiveUp(why) => {
                self.fail(place, why);
                None
            }
        }
    }

    fn errand_mut(&mut self, place: Place) -> Option<&mut Errand> {
        match place {
            Place::Allocation => Some(&mut self.errand),
            Place::Peer(index) => self.peers.get_mut(index).map(|peer| &mut peer.errand),
        }
    }

    /// The request that an errand comes to; `None` when it does not fit.
    fn ask(
        &mut self,
        place: Place,
        challenges: u32,
        now: Instant,
        random: &mut impl SecureRandom,
    ) -> Option<Transaction> {
        let mut bytes = [0; STUN_MESSAGE_MAX];
        let id = fresh_id(random);
        let (method, who) = match place {
            Place::Allocation if self.phase == Phase::Allocating => (Method::ALLOCATE, None),
            Place::Allocation => (Method::REFRESH, None),
            Place::Peer(index) => match self.peers.get_mut(index)?.who {
                who @ Who::Host(_) => (Method::CREATE_PERMISSION, Some(who)),
                who @ Who::Channel(..) => (Method::CHANNEL_BIND, Some(who)),
            },
        };
        let mut writer = Writer::new(&mut bytes, Class::Request, method, id);
        match who {
            None if method == Method::ALLOCATE => {
                writer.put_u8(attribute::REQUESTED_TRANSPORT, UDP);
                // RFC 8656 section 7.1: who wants IPv4 need not say so, and older servers do not know it.
                if self.family == Family::V6 {
                    writer.put_u8(attribute::REQUESTED_ADDRESS_FAMILY, family::IPV6);
                }
            }
            None if self.phase == Phase::Closing => {
                writer.put_u32(attribute::LIFETIME, 0);
            }
            None => {}
            Some(Who::Host(ip)) => {
                writer.put_address_xor(attribute::XOR_PEER_ADDRESS, SocketAddr::new(ip, 0));
            }
            Some(Who::Channel(addr, number)) => {
                writer.put_u16(attribute::CHANNEL_NUMBER, number);
                writer.put_address_xor(attribute::XOR_PEER_ADDRESS, addr);
            }
        }
        self.login.sign(&mut writer);
        let len = writer.fingerprint().finish()?;
        let mut request = Transaction::new(id, method, bytes.get(..len)?.to_vec(), now);
        request.signed = self.login.is_challenged();
        request.challenges = challenges;
        Some(request)
    }

    /// An errand has come to nothing.
    fn fail(&mut self, place: Place, why: Failure) {
        let Place::Peer(index) = place else {
            let closing = self.phase == Phase::Closing;
            return self.end(if closing { Event::Closed } else { Event::Failed(why) });
        };
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.errand = Errand::Rest;
        peer.granted = false;
        let event = match peer.who {
            Who::Host(peer) => Event::NotPermitted { peer, why },
            Who::Channel(peer, _) => Event::NotBound { peer, why },
        };
        self.tell(event);
        // RFC 8656 section 5: without the allocation there is nothing left to keep.
        if why == Failure::Lost {
            self.end(Event::Failed(why));
        }
    }

    fn end(&mut self, event: Event) {
        self.phase = Phase::Over;
        self.granted = None;
        self.errand = Errand::Rest;
        self.peers = Peers::default();
        self.tell(event);
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= TURN_CLIENT_EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

fn fresh_id(random: &mut impl SecureRandom) -> TransactionId {
    let mut id = [0; 12];
    random.fill(&mut id);
    TransactionId(id)
}
