//! The client's task: it owns the socket and runs the machine.
//!
//! ```text
//!   flush: everything there is to send, in trains ──▶ wait: datagram, timer, call ──▶ take in ──▶ flush
//! ```
//! Roaming: after [`Client::rebind`](super::Client::rebind), a socket error, or while nothing
//! answers, another way takes over; the old ones are heard for 3 s more, because the relay
//! sends there until it has proven the new address. A way by a TURN server takes over when it is ready, and
//! until then everything goes by the one before.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use elara_core::limits::{
    OLD_CONNECTION, OLD_SOCKETS_MAX, REBIND_EVERY, TARGET_TURN, TURN_AGAIN, TURN_FALLBACK,
    TURN_FALLBACK_TARGETS,
};
use elara_core::time::Span;
use elara_core::turn::client::Failure;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::notices::ClientNotice;
use super::reach::Via;
use super::route::{Found, Route};
use super::shared::{Core, Shared, Stage, calendar};
use super::socket::{Room, Train, is_refusal};
use super::way::Way;

pub(super) struct Driver {
    shared: Arc<Shared>,
    route: Route,
    way: Way,
    /// One that is not ready yet.
    next: Option<Way>,
    /// Those before, the oldest first, and until when each is heard.
    old: Vec<(Way, Instant)>,
    /// The participant has something to send by.
    begun: bool,
    rebound: Option<Instant>,
    /// When another address is tried, while none has answered.
    rotated: Option<Instant>,
    /// When the relay is asked by a TURN server, while nothing has answered directly.
    fallback: Option<Instant>,
    /// When a TURN server that has refused is asked again.
    again: Option<Instant>,
    resolving: Option<JoinHandle<Found>>,
    room: Room,
    train: Train,
}

/// Why the task goes on.
enum Woken {
    Datagrams,
    OtherDatagrams,
    Time,
    Call,
    Resolved(Found),
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        route: Route,
        way: Way,
        resolving: Option<JoinHandle<Found>>,
    ) -> Self {
        let now = Instant::now();
        let asked = u32::try_from(route.relay.addrs.len()).unwrap_or(u32::MAX);
        let asked = std(TARGET_TURN) * asked.min(TURN_FALLBACK_TARGETS) + std(TURN_FALLBACK);
        let fallback = route.may_choose().then(|| now + asked);
        let mut driver = Self {
            shared,
            route,
            way,
            next: None,
            old: Vec::new(),
            begun: false,
            rebound: None,
            rotated: None,
            fallback,
            again: None,
            resolving,
            room: Room::new(),
            train: Train::new(),
        };
        driver.rotate_later();
        if !driver.way.is_direct() {
            driver.asks_server();
        }
        driver
    }

    /// Runs until the client has left or was removed.
    pub(super) async fn run(mut self) {
        loop {
            self.flush().await;
            if self.shared.lock().participant.is_over() {
                break;
            }
            // What was told while sending is not slept over.
            self.attend();
            match self.wait().await {
                Woken::Datagrams => self.receive(),
                Woken::OtherDatagrams => self.receive_from_others(),
                Woken::Resolved(found) => self.resolved(found),
                Woken::Time | Woken::Call => {}
            }
            self.attend();
        }
        self.close();
    }

    /// Sends all there is.
    async fn flush(&mut self) {
        self.look_after();
        while self.begun {
            let loaded = {
                let mut core = self.shared.lock();
                let (now, today) = (core.now(), calendar());
                let Core { participant, random, .. } = &mut *core;
                let poll = |out: &mut [u8]| participant.poll_transmit(now, today, random, out);
                let loaded = self.way.socket.load(&mut self.train, poll);
                self.shared.dispatch(&mut core);
                loaded
            };
            if !loaded {
                break;
            }
            if let Err(error) = self.way.socket.send(&self.train).await {
                self.trouble(&error);
            }
        }
    }

    /// What is due about ways themselves, and about what a server is asked directly.
    fn look_after(&mut self) {
        let mut core = self.shared.lock();
        let now = core.now();
        self.way.look_after(now);
        self.next.iter_mut().for_each(|way| way.look_after(now));
        self.old.iter_mut().for_each(|(way, _)| way.look_after(now));
        if self.way.is_direct() {
            core.reflexive.look_after(&self.way.socket, now);
        }
    }

    async fn wait(&mut self) -> Woken {
        let now = Instant::now();
        let (core_now, pause, reflexive) = {
            let core = self.shared.lock();
            (core.now(), core.pause(), core.reflexive.due().filter(|_| self.way.is_direct()))
        };
        let others = self.old.iter().map(|(way, _)| way).chain(&self.next);
        let ways = others.chain([&self.way]).filter_map(Way::due).chain(reflexive).min();
        let ways = ways.map(|due| now + std(due.since(core_now)));
        let fallback = self.fallback.filter(|_| self.resolving.is_none());
        let old = self.old.first().map(|(_, until)| *until);
        let due = [pause.map(|pause| now + pause), ways, self.rotated, fallback, self.again, old];
        // Something is due within a minute in every phase that is not the last.
        let due = due.into_iter().flatten().min().unwrap_or(now + Duration::from_secs(60));
        let others = poll_fn(|cx| {
            let others = self.old.iter().map(|(way, _)| way).chain(&self.next);
            // Each is asked, so that each may wake.
            let ready = others.filter(|way| way.socket.poll_readable(cx).is_ready()).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let resolved = async {
            match &mut self.resolving {
                Some(resolving) => resolving.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.way.socket.readable() => Woken::Datagrams,
            () = others => Woken::OtherDatagrams,
            () = sleep_until(due) => Woken::Time,
            () = self.shared.woken() => Woken::Call,
            found = resolved => {
                self.resolving = None;
                Woken::Resolved(found.unwrap_or_default())
            }
        }
    }

    fn receive(&mut self) {
        let Self { shared, way, room, .. } = self;
        match take_in(shared, way, room) {
            Ok(refused) => shared.lock().refused |= refused,
            Err(error) => self.trouble(&error),
        }
    }

    fn receive_from_others(&mut self) {
        let Self { shared, next, old, room, .. } = self;
        for way in old.iter_mut().map(|(way, _)| way).chain(next) {
            // What fails here has been replaced, or will not become ready.
            let _ = take_in(shared, way, room);
        }
    }

    /// Does what the machine or the time asks for.
    fn attend(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let asks = std::mem::take(&mut self.shared.lock().asks);
        self.retire(now);
        if !self.is_joining() {
            (self.rotated, self.fallback) = (None, None);
        }
        if due(self.rotated) {
            self.rotate();
        }
        if due(self.fallback) && self.resolving.is_none() {
            self.fallback = None;
            if self.route.turn_round() {
                self.rebind();
            }
        }
        if due(self.again) {
            self.again = None;
            self.rebind();
        }
        // Where one is on its way already, that is the answer.
        if asks.rebind && !(self.route.is_by_turn() && self.next.is_some()) {
            self.rebind();
        }
        if asks.resolve && self.resolving.is_none() {
            self.resolving = Some(tokio::spawn(self.route.look_up()));
        }
        self.look_after();
        self.judge(now);
    }

    fn is_joining(&self) -> bool {
        *self.shared.stages().borrow() == Stage::Joining
    }

    /// What has become of the ways.
    fn judge(&mut self, now: Instant) {
        if let Some(mut next) = self.next.take() {
            match next.failed() {
                Some(why) => self.come_to_nothing(why, now),
                None if next.is_ready() => self.adopt(next),
                None => self.next = Some(next),
            }
        }
        let core_now = self.shared.lock().now();
        if self.way.failed().is_some_and(|why| self.lost(why, now))
            || self.way.ends(core_now) && self.next.is_none() && self.again.is_none()
        {
            self.rebind();
        }
        if !self.begun && self.way.is_ready() {
            self.begin();
        }
    }

    /// The way in use is no more; whether another one is made at once.
    fn lost(&mut self, why: Failure, now: Instant) -> bool {
        if !self.begun {
            self.come_to_nothing(why, now);
            return false;
        }
        self.tell(why);
        let rebound = self.rebound.is_some_and(|rebound| rebound.elapsed() < std(REBIND_EVERY));
        if rebound {
            self.again = Some(now + std(TURN_AGAIN));
        }
        !rebound
    }

    /// A way by the TURN server has not become ready.
    fn come_to_nothing(&mut self, why: Failure, now: Instant) {
        self.tell(why);
        let elsewhere = match why {
            Failure::NoAnswer | Failure::NotListening => self.route.next_server(),
            // It may be the relay's address that is refused, and it may have another one.
            Failure::Refused { code: 403 | 440 | 443, .. } => self.route.next_relay(),
            _ => false,
        };
        if elsewhere {
            self.rebind();
        } else if self.route.may_choose() {
            self.route.go_directly();
            if !self.way.is_direct() {
                self.rebind();
            }
        } else if why.is_final() && !self.begun {
            self.shared.give_up(Stage::Unreachable(why));
        } else {
            self.again = Some(now + std(TURN_AGAIN));
        }
    }

    /// Until the TURN server says something better, that is what there is to say of it.
    fn asks_server(&self) {
        let trouble = &mut self.shared.lock().turn_trouble;
        trouble.get_or_insert_with(|| Failure::NoAnswer.to_string());
    }

    fn tell(&self, why: Failure) {
        tracing::debug!(%why, "the TURN server");
        let mut core = self.shared.lock();
        core.turn_trouble = Some(why.to_string());
        core.notify(ClientNotice::TurnTrouble { why });
    }

    /// Another address, while none has answered.
    fn rotate(&mut self) {
        self.rotate_later();
        let several = match self.next {
            None => self.route.has_relays().then(|| self.route.next_relay()),
            Some(_) => self.route.has_servers().then(|| self.route.next_server()),
        };
        if several.is_some() {
            self.rebind();
        }
    }

    fn rotate_later(&mut self) {
        let several = self.route.has_relays() || self.route.has_servers();
        self.rotated = several.then(|| Instant::now() + std(TARGET_TURN));
    }

    /// What a resolver says. Where nothing answers, the relay's host may have other addresses than before,
    /// and this machine too: the next one is asked, from another socket.
    fn resolved(&mut self, Found { relay, server }: Found) {
        match server {
            Some(Ok(addrs)) => {
                let asked = (!self.way.is_direct()).then(|| self.way.socket.to());
                self.route.server.resolved(addrs, asked);
            }
            Some(Err(error)) if self.route.server.addrs.is_empty() => {
                let trouble = format!("has no address: {error}");
                self.shared.lock().turn_trouble = Some(trouble);
            }
            _ => {}
        }
        if let Some(addrs) = relay {
            self.route.relay.resolved(addrs, Some(self.way.relay()));
            self.route.turn_round();
            self.rebind();
        }
    }

    /// The kernel refuses: nothing listens at the other end, or this end is no more.
    fn trouble(&mut self, error: &io::Error) {
        if is_refusal(error) {
            self.shared.lock().refused |= self.way.is_direct();
            return;
        }
        tracing::debug!(%error, "the client's socket fails");
        if self.rebound.is_none_or(|rebound| rebound.elapsed() >= std(REBIND_EVERY)) {
            self.rebind();
        }
    }

    /// Sends by another way from this moment on, or when it is ready.
    fn rebind(&mut self) {
        self.rebound = Some(Instant::now());
        let now = self.shared.lock().now();
        match self.route.make_another(now) {
            Ok(way) if way.is_ready() => self.adopt(way),
            Ok(way) => {
                self.asks_server();
                if let Some(mut unfinished) = self.next.replace(way) {
                    unfinished.close(now);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no other socket for the client");
                if self.route.is_by_turn() {
                    self.again = Some(Instant::now() + std(TURN_AGAIN));
                }
            }
        }
    }

    /// Everything goes by `way` from this moment on.
    fn adopt(&mut self, way: Way) {
        let before = std::mem::replace(&mut self.way, way);
        let until = Instant::now() + std(OLD_CONNECTION);
        let now = self.shared.lock().now();
        // Full: what goes is the newest one.
        let kept = self.old.len().min(OLD_SOCKETS_MAX - 1);
        self.old.drain(kept..).for_each(|(mut way, _)| way.close(now));
        if before.is_ready() {
            self.old.push((before, until));
        }
        if self.begun {
            self.changed();
        } else {
            self.begin();
        }
        if self.is_joining() {
            self.rotate_later();
        }
    }

    /// The participant may send.
    fn begin(&mut self) {
        let mut core = self.shared.lock();
        // Who has left in the meantime does not come back.
        if core.participant.is_over() {
            return;
        }
        let now = core.now();
        core.participant.connect(now);
        drop(core);
        self.begun = true;
        self.changed();
    }

    fn changed(&self) {
        let mut core = self.shared.lock();
        core.socket = Some(self.way.socket.clone());
        core.via = self.way.via();
        let now = core.now();
        core.reflexive.again(now);
        core.participant.address_changed(now);
        if let Some(local) = self.way.socket.local_addr().filter(|_| self.rebound.is_some()) {
            core.notify(ClientNotice::Rebound { local });
        }
        if let Via::Turn { server, relayed, mapped } = core.via {
            core.turn_trouble = None;
            core.reflexive.tell(Ok(mapped));
            core.notify(ClientNotice::ByTurn { server, relayed, mapped });
        }
    }

    /// Lets go of the ways that were heard for long enough.
    fn retire(&mut self, now: Instant) {
        let core_now = self.shared.lock().now();
        for (way, _) in self.old.iter_mut().filter(|(_, until)| *until <= now) {
            way.close(core_now);
        }
        self.old.retain(|(_, until)| now < *until);
    }

    /// Gives back what TURN servers hold.
    fn close(&mut self) {
        let now = self.shared.lock().now();
        let old = self.old.iter_mut().map(|(way, _)| way);
        old.chain(&mut self.next).chain([&mut self.way]).for_each(|way| way.close(now));
    }
}

/// Whoever runs the task lets it go before the client has left, or lets go of it at that moment: nobody
/// else will say goodbye.
impl Drop for Driver {
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        core.say_goodbye();
        self.shared.dispatch(&mut core);
        drop(core);
        self.close();
    }
}

/// Takes in what is there; whether the relay's machine says that nothing listens.
fn take_in(shared: &Shared, way: &mut Way, room: &mut Room) -> io::Result<bool> {
    let now = shared.lock().now();
    let direct = way.is_direct();
    let result = way.receive(room, now, |datagram| {
        let mut core = shared.lock();
        if direct && core.reflexive.handle_datagram(datagram) {
            return;
        }
        let now = core.now();
        // What is refused is counted, and nobody's to act on.
        let _ = core.participant.handle_datagram(datagram, now);
    });
    let mut core = shared.lock();
    shared.dispatch(&mut core);
    result
}

pub(super) const fn std(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}
