//! One way to the relay: a socket, and where that leads to a TURN server, the allocation there.
//!
//! A way straight to the relay is ready when it is made. One by a TURN server is when the server has bound a
//! channel to the relay; until then nothing can be sent by it, and then everything goes by that channel.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use elara_core::limits::{
    STUN_MESSAGE_MAX, TURN_CHANNEL_FIRST, TURN_LOGIN_LIFE_S, TURN_REFRESH_AHEAD, TURN_RENEW_AHEAD_S,
};
use elara_core::time::{Instant, Span};
use elara_core::turn::client::{Client as TurnClient, Event, Failure, Family, Granted, Received};

use super::reach::{TurnServer, Via};
use super::shared::calendar;
use super::socket::{Room, Socket, is_refusal};
use crate::keys::OsRandom;

/// ICMP and ICMPv6 say so where nothing listens on a port (RFC 792, RFC 4443).
const PORT_UNREACHABLE: [(u8, u8); 2] = [(3, 3), (1, 4)];

/// A way.
pub(super) struct Way {
    pub(super) socket: Arc<Socket>,
    turn: Option<Box<Turn>>,
}

/// An allocation for the sake of one peer.
struct Turn {
    client: TurnClient,
    relay: SocketAddr,
    granted: Option<Granted>,
    ready: bool,
    failure: Option<Failure>,
    /// When another one is to take over, because credentials end.
    renewed: Option<Instant>,
}

impl Way {
    /// Straight to the relay. Must be called within a tokio runtime.
    pub(super) fn direct(relay: SocketAddr, local: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Arc::new(Socket::connect(relay, None, local)?);
        Ok(Self { socket, turn: None })
    }

    /// By an allocation at `at`, one of `server`'s addresses. Must be called within a tokio runtime.
    pub(super) fn by_turn(
        (server, at): (&TurnServer, SocketAddr),
        relay: SocketAddr,
        local: Option<SocketAddr>,
        now: Instant,
    ) -> io::Result<Self> {
        let mut client =
            TurnClient::new(server.credentials(calendar()), Family::of(relay.ip()), now);
        let channel = client.bind(relay, now).unwrap_or(TURN_CHANNEL_FIRST);
        let socket = Arc::new(Socket::connect(at, Some(channel), local)?);
        let life = Span::from_secs(u64::from(TURN_LOGIN_LIFE_S - TURN_RENEW_AHEAD_S));
        let renewed = server.is_time_limited().then(|| now + life);
        let turn = Turn { client, relay, granted: None, ready: false, failure: None, renewed };
        Ok(Self { socket, turn: Some(Box::new(turn)) })
    }

    /// Whether datagrams for the relay can leave.
    pub(super) fn is_ready(&self) -> bool {
        self.turn.as_ref().is_none_or(|turn| turn.ready)
    }

    /// Whether there is nothing between here and the relay that this client knows of.
    pub(super) const fn is_direct(&self) -> bool {
        self.turn.is_none()
    }

    /// Why it has come to nothing, if it has; told once.
    pub(super) fn failed(&mut self) -> Option<Failure> {
        self.turn.as_mut().and_then(|turn| turn.failure.take())
    }

    /// Whether another one is to take over; told again while none does.
    pub(super) fn ends(&mut self, now: Instant) -> bool {
        let renewed = self.turn.as_mut().and_then(|turn| turn.renewed.as_mut());
        let due = renewed.filter(|at| **at <= now);
        due.map(|at| *at = now + TURN_REFRESH_AHEAD).is_some()
    }

    /// What it is, once it is ready.
    pub(super) fn via(&self) -> Via {
        match self.turn.as_ref().and_then(|turn| turn.granted) {
            Some(Granted { relayed, mapped, .. }) => {
                Via::Turn { server: self.socket.to(), relayed, mapped }
            }
            None => Via::Direct,
        }
    }

    /// Where the relay is.
    pub(super) fn relay(&self) -> SocketAddr {
        self.turn.as_ref().map_or_else(|| self.socket.to(), |turn| turn.relay)
    }

    /// When [`Self::look_after`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let turn = self.turn.as_ref()?;
        turn.client.next_due().into_iter().chain(turn.renewed).min()
    }

    /// Says what the TURN server must hear by this moment, and hears what it has said.
    pub(super) fn look_after(&mut self, now: Instant) {
        let Some(turn) = &mut self.turn else { return };
        let mut out = [0; STUN_MESSAGE_MAX];
        while let Some(len) = turn.client.poll_transmit(now, &mut OsRandom, &mut out) {
            if self.socket.say(&out[..len]).is_err_and(|error| is_refusal(&error)) {
                turn.client.handle_refusal();
            }
        }
        while let Some(event) = turn.client.poll_event() {
            match event {
                Event::Ready(granted) => turn.granted = Some(granted),
                Event::Bound { .. } => turn.ready = true,
                Event::NotBound { why, .. } | Event::Failed(why) => {
                    turn.failure.get_or_insert(why);
                }
                Event::Permitted { .. } | Event::NotPermitted { .. } | Event::Closed => {}
            }
        }
    }

    /// Gives an allocation back, as far as one datagram does: what is lost ends by itself.
    pub(super) fn close(&mut self, now: Instant) {
        if let Some(turn) = &mut self.turn {
            turn.client.close(now);
        }
        self.look_after(now);
    }

    /// Hands what the relay has sent to `take`. Whether the network says, by way of the TURN server, that
    /// nothing listens at the relay's port.
    ///
    /// # Errors
    /// What the kernel says about this socket.
    pub(super) fn receive(
        &mut self,
        room: &mut Room,
        now: Instant,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let Some(turn) = &mut self.turn else {
            return self.socket.receive(room, take).map(|()| false);
        };
        let mut nobody = false;
        let result = self.socket.receive(room, |datagram| {
            match turn.client.handle_datagram(datagram, now) {
                Received::Data { peer, bytes } if peer == turn.relay => take(bytes),
                Received::Unreachable { peer, kind, code } => {
                    nobody |= peer == turn.relay && PORT_UNREACHABLE.contains(&(kind, code));
                }
                // What is not for us is counted nowhere: anyone can send it.
                Received::Data { .. } | Received::Answer | Received::Refused(_) => {}
            }
        });
        match result {
            Err(error) if is_refusal(&error) => turn.client.handle_refusal(),
            result => result?,
        }
        Ok(nobody)
    }
}
