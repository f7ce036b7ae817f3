//! Where the relay is, and which way there is the next to be tried.

use std::io;
use std::net::SocketAddr;

use elara_core::time::Instant;
use tokio::net::lookup_host;

use super::reach::{Reach, TurnServer};
use super::way::Way;

/// A host and its addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addrs: Vec<SocketAddr>,
    /// Which of them is being asked.
    at: usize,
}

impl Targets {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, ..Self::default() }
    }

    /// The addresses of a host.
    ///
    /// # Errors
    /// What the resolver says.
    pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(lookup_host((bare, port)).await?.collect())
    }

    /// Takes in what a resolver has said, as far as it knows any address; the one after `asked` is next.
    pub(super) fn resolved(&mut self, addrs: Vec<SocketAddr>, asked: Option<SocketAddr>) {
        if !addrs.is_empty() {
            let at = addrs.iter().position(|addr| Some(*addr) == asked);
            self.at = at.map_or(0, |at| at + 1) % addrs.len();
            self.addrs = addrs;
        }
    }

    fn current(&self) -> Option<SocketAddr> {
        self.addrs.get(self.at).copied()
    }

    /// Goes on to the next address; false when that is the first one again.
    fn advance(&mut self) -> bool {
        self.at = (self.at + 1) % self.addrs.len().max(1);
        self.at != 0
    }

    /// What `connect` makes for the address whose turn it is, or for the next one that takes one.
    fn first(&mut self, mut connect: impl FnMut(SocketAddr) -> io::Result<Way>) -> io::Result<Way> {
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..self.addrs.len() {
            if let Some(addr) = self.current() {
                match connect(addr) {
                    Ok(way) => return Ok(way),
                    Err(error) => refused = error,
                }
            }
            self.advance();
        }
        Err(refused)
    }
}

/// What a resolver says of the hosts it was asked about.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) relay: Option<Vec<SocketAddr>>,
    pub(super) server: Option<io::Result<Vec<SocketAddr>>>,
}

/// The ways there are.
pub(super) struct Route {
    pub(super) relay: Targets,
    reach: Reach,
    /// The TURN server's, if there is one.
    pub(super) server: Targets,
    /// Where to send from.
    local: Option<SocketAddr>,
    /// Whether the next way is one by the TURN server.
    by_turn: bool,
}

impl Route {
    pub(super) fn new(relay: Targets, reach: Reach, local: Option<SocketAddr>) -> Self {
        let server = reach.server().map(|server| Targets::new(&server.host, server.port));
        let by_turn = matches!(reach, Reach::Turn(_));
        Self { relay, reach, server: server.unwrap_or_default(), local, by_turn }
    }

    /// The TURN server, if there is one.
    pub(super) const fn turn_server(&self) -> Option<&TurnServer> {
        self.reach.server()
    }

    pub(super) const fn is_by_turn(&self) -> bool {
        self.by_turn
    }

    /// Whether both ways are allowed.
    pub(super) const fn may_choose(&self) -> bool {
        self.reach.is_auto()
    }

    /// Whether the relay has several addresses.
    pub(super) const fn has_relays(&self) -> bool {
        self.relay.addrs.len() > 1
    }

    /// Whether the TURN server has several addresses.
    pub(super) const fn has_servers(&self) -> bool {
        self.server.addrs.len() > 1
    }

    /// Looks both hosts up.
    pub(super) fn look_up(&self) -> impl Future<Output = Found> + use<> {
        let (relay, server) = (self.relay.clone(), self.look_up_server());
        async move {
            let addrs = Targets::resolve(&relay.host, relay.port).await;
            let Found { server, .. } = match server {
                Some(server) => server.await,
                None => Found::default(),
            };
            Found { relay: Some(addrs.unwrap_or_default()), server }
        }
    }

    /// Looks the TURN server up, if there is one.
    pub(super) fn look_up_server(&self) -> Option<impl Future<Output = Found> + use<>> {
        let Targets { host, port, .. } = self.turn_server().map(|_| self.server.clone())?;
        Some(
            async move { Found { relay: None, server: Some(Targets::resolve(&host, port).await) } },
        )
    }

    /// The other of the two ways is next, where both are allowed and known; whether that is so.
    pub(super) const fn turn_round(&mut self) -> bool {
        let other = self.may_choose() && (self.by_turn || !self.server.addrs.is_empty());
        self.by_turn ^= other;
        other
    }

    /// The way straight to the relay is next, if it is allowed.
    pub(super) const fn go_directly(&mut self) {
        if self.may_choose() {
            self.by_turn = false;
        }
    }

    /// Another address of the relay is next; false when all of them have been.
    pub(super) fn next_relay(&mut self) -> bool {
        self.relay.advance()
    }

    /// Another address of the TURN server is next; false when all of them have been.
    pub(super) fn next_server(&mut self) -> bool {
        self.server.advance()
    }

    /// A way, as it is the turn of.
    ///
    /// # Errors
    /// What the kernel says about the last address there is.
    pub(super) fn make(&mut self, now: Instant) -> io::Result<Way> {
        self.make_from(self.local, now)
    }

    /// Another way, while the one before is still open and may have the port.
    ///
    /// # Errors
    /// See [`Self::make`].
    pub(super) fn make_another(&mut self, now: Instant) -> io::Result<Way> {
        match self.make(now) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                self.make_from(self.local.map(|local| SocketAddr::new(local.ip(), 0)), now)
            }
            result => result,
        }
    }

    fn make_from(&mut self, local: Option<SocketAddr>, now: Instant) -> io::Result<Way> {
        let Self { relay, reach, server, .. } = self;
        match reach.server().filter(|_| self.by_turn) {
            None => relay.first(|addr| Way::direct(addr, local)),
            Some(turn) => {
                let relay = relay.current().ok_or(io::ErrorKind::NotFound)?;
                server.first(|at| Way::by_turn((turn, at), relay, local, now))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(ports: &[u16]) -> Targets {
        let mut targets = Targets::new("relay.example", 7_840);
        let addr = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
        targets.resolved(ports.iter().map(addr).collect(), None);
        targets
    }

    fn port(targets: &Targets) -> Option<u16> {
        targets.current().map(|addr| addr.port())
    }

    #[test]
    fn every_address_has_its_turn() {
        let mut relay = targets(&[1, 2, 3]);
        let turns = [1, 2, 3, 1].map(|expected| {
            assert_eq!(port(&relay), Some(expected));
            relay.advance()
        });
        assert_eq!(turns, [true, true, false, true]);
        assert_eq!(targets(&[]).current(), None);
        assert!(!targets(&[]).advance());
    }

    #[test]
    fn after_a_look_up_the_one_behind_the_one_that_was_asked_is_next() {
        let mut relay = targets(&[1, 2]);
        let asked = relay.current();
        relay.resolved(targets(&[9, 1, 7]).addrs, asked);
        assert_eq!(port(&relay), Some(7));
        // What is not known any more leaves what was.
        relay.resolved(Vec::new(), asked);
        assert_eq!(port(&relay), Some(7));
    }

    #[test]
    fn who_has_a_choice_turns_round() {
        let server = || TurnServer::new("turn:turn.example").unwrap();
        let turns = |reach: Reach, known: bool| {
            let mut route = Route::new(targets(&[1]), reach, None);
            if known {
                route.server.resolved(targets(&[3_478]).addrs, None);
            }
            [(); 3].map(|()| {
                let by_turn = route.is_by_turn();
                route.turn_round();
                by_turn
            })
        };
        assert_eq!(turns(Reach::Direct, false), [false, false, false]);
        assert_eq!(turns(Reach::Turn(server()), true), [true, true, true]);
        assert_eq!(turns(Reach::Auto(server()), true), [false, true, false]);
        assert_eq!(
            turns(Reach::Auto(server()), false),
            [false, false, false],
            "nobody knows where"
        );
    }
}
