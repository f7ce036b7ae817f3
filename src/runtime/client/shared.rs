//! What the client's task, its handles and its streams share: the machine behind a simple lock.
//!
//! Nobody holds the lock over an await, and nothing done under it waits: sealing a frame, opening
//! one, putting one into a queue.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use elara_core::crypto::exchange::Certificate;
use elara_core::crypto::{ExchangePublic, Identity, KeyStream, Token};
use elara_core::limits::{CERTIFICATE_LIFE_S, CLOCK_SAMPLES};
use elara_core::participant::{ClockSample, Event, Participant};
use elara_core::time::{Instant, UnixMillis};
use elara_core::turn::client::Failure;
use elara_core::wire::v1::control::{OwnStream, Wish, alert, reason};
use elara_core::{NodeId, StreamId};
use tokio::sync::{Notify, broadcast, watch};

use super::notices::ClientNotice;
use super::options::Selector;
use super::reach::Via;
use super::reflexive::Reflexive;
use super::socket::{Socket, Train};
use super::subscribe::{MediaFrame, Queue};

/// One client.
pub(super) struct Shared {
    core: Mutex<Core>,
    /// There may be something to send.
    wake: Notify,
    stage: watch::Sender<Stage>,
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Joining,
    Joined,
    /// The relay has no room.
    Full,
    /// The TURN server does not let this client use it, and there is no other way.
    Unreachable(Failure),
    Removed(u8),
    Over,
}

/// What is behind the lock.
pub(super) struct Core {
    pub(super) participant: Participant,
    pub(super) random: KeyStream,
    pub(super) papers: Papers,
    /// When the participant's time began.
    origin: std::time::Instant,
    subscribers: Vec<Subscriber>,
    subscribers_so_far: u64,
    pub(super) own: Vec<OwnStream>,
    /// Where another publisher's frames begin: above those of every stream that has ended, because it
    /// may have that one's number.
    pub(super) first_frame: u32,
    hold_ms: u8,
    samples: VecDeque<ClockSample>,
    members: BTreeSet<NodeId>,
    streams: BTreeSet<StreamId>,
    notices: Option<broadcast::Sender<ClientNotice>>,
    /// What to say goodbye by when nobody is left to do it.
    pub(super) socket: Option<Arc<Socket>>,
    pub(super) asks: Asks,
    /// The other end's machine says that nothing listens there.
    pub(super) refused: bool,
    /// The relay has said that it is busy.
    pub(super) busy: bool,
    /// How datagrams get to the relay.
    pub(super) via: Via,
    /// What the TURN server has last said against it.
    pub(super) turn_trouble: Option<String>,
    pub(super) reflexive: Reflexive,
}

/// What the task is asked to do about its socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asks {
    /// Send from another one.
    pub(super) rebind: bool,
    /// Look the relay up again.
    pub(super) resolve: bool,
}

/// What proves who the client is, to be renewed before it ends.
pub(super) struct Papers {
    pub(super) identity: Identity,
    pub(super) key: ExchangePublic,
    pub(super) token: Token,
}

struct Subscriber {
    number: u64,
    selector: Selector,
    queue: Arc<Queue>,
}

impl Papers {
    /// A certificate for the static key from this moment on.
    pub(super) fn certificate(&self) -> Certificate {
        let until = calendar().seconds().saturating_add(CERTIFICATE_LIFE_S);
        Certificate::sign(&self.identity, &self.key, until)
    }
}

impl Shared {
    pub(super) fn new(core: Core) -> Self {
        Self {
            core: Mutex::new(core),
            wake: Notify::new(),
            stage: watch::Sender::new(Stage::Joining),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the task look at once.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn stages(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Tells what has happened in the machine to everyone it concerns.
    pub(super) fn dispatch(&self, core: &mut Core) {
        let mut stage = *self.stage.borrow();
        while let Some(event) = core.participant.poll_event() {
            core.handle(event, &mut stage);
        }
        if core.participant.is_over() && !matches!(stage, Stage::Removed(_)) {
            stage = Stage::Over;
        }
        if matches!(stage, Stage::Removed(_) | Stage::Over) {
            core.close();
        }
        self.stage.send_if_modified(|held| std::mem::replace(held, stage) != stage);
    }

    /// Nothing more can be done for a client that joins.
    pub(super) fn give_up(&self, stage: Stage) {
        let joining = |held: &mut Stage| *held == Stage::Joining;
        self.stage
            .send_if_modified(|held| joining(held) && std::mem::replace(held, stage) != stage);
    }

    pub(super) fn unsubscribe(&self, number: u64) {
        let mut core = self.lock();
        core.subscribers.retain(|subscriber| subscriber.number != number);
        core.state_wishes();
        drop(core);
        self.wake();
    }

    /// A stream has ended, whose next frame would have had the number `next_frame`.
    pub(super) fn unpublish(&self, stream: u16, next_frame: u32) {
        let mut core = self.lock();
        core.first_frame = core.first_frame.max(next_frame);
        core.own.retain(|own| own.stream.get() != stream);
        core.state_streams();
        drop(core);
        self.wake();
    }
}

impl Core {
    pub(super) fn new(
        participant: Participant,
        random: KeyStream,
        papers: Papers,
        hold_ms: u8,
    ) -> Self {
        Self {
            participant,
            random,
            papers,
            origin: std::time::Instant::now(),
            subscribers: Vec::new(),
            subscribers_so_far: 0,
            own: Vec::new(),
            first_frame: 0,
            hold_ms,
            samples: VecDeque::new(),
            members: BTreeSet::new(),
            streams: BTreeSet::new(),
            notices: Some(broadcast::channel(elara_core::limits::NOTICES_DEFAULT).0),
            socket: None,
            asks: Asks::default(),
            refused: false,
            busy: false,
            via: Via::Direct,
            turn_trouble: None,
            reflexive: Reflexive::default(),
        }
    }

    /// The participant's time.
    pub(super) fn now(&self) -> Instant {
        let elapsed = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// How long until the machine has something to do by itself.
    pub(super) fn pause(&self) -> Option<Duration> {
        let due = self.participant.poll_timeout()?;
        Some(Duration::from_nanos(due.since(self.now()).as_nanos()))
    }

    /// The best clock reading of the last ones: the one whose round trip was shortest.
    pub(super) fn clock(&self) -> Option<ClockSample> {
        self.samples.iter().min_by_key(|sample| sample.rtt_us()).copied()
    }

    /// The relay's clock, as far as it is known, in the units of a frame's header.
    pub(super) fn time_hint(&self) -> i32 {
        let offset = self.clock().map_or(0, |sample| sample.offset_us());
        let now_us = (self.now().as_nanos() / 1_000).wrapping_add_signed(offset);
        // WIRE 3.6: the low 32 bits, in 100 us.
        (now_us / 100) as i32
    }

    pub(super) fn subscribe(&mut self, selector: Selector, capacity: usize) -> (u64, Arc<Queue>) {
        let queue = Arc::new(Queue::new(capacity));
        self.subscribers_so_far += 1;
        let number = self.subscribers_so_far;
        self.subscribers.push(Subscriber { number, selector, queue: queue.clone() });
        self.state_wishes();
        (number, queue)
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.subscribers.len()
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<ClientNotice> {
        match &self.notices {
            Some(notices) => notices.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    pub(super) fn notify(&self, notice: ClientNotice) {
        // Without a listener it is nobody's.
        let _ = self.notices.as_ref().map(|notices| notices.send(notice));
    }

    fn state_wishes(&mut self) {
        let mut wishes: Vec<Wish> = Vec::new();
        for subscriber in &self.subscribers {
            let wish = subscriber.selector.wish();
            if !wishes.contains(&wish) {
                wishes.push(wish);
            }
        }
        let now = self.now();
        let stated = self.participant.subscribe(&wishes, self.hold_ms, now);
        debug_assert!(stated.is_ok(), "as many subscriptions as there may be wishes");
    }

    pub(super) fn state_streams(&mut self) {
        let now = self.now();
        let stated = self.participant.set_streams(&self.own, now);
        debug_assert!(stated.is_ok(), "as many publishers as there may be streams");
    }

    fn handle(&mut self, event: Event, stage: &mut Stage) {
        match event {
            Event::Media(media) => self.deliver(MediaFrame::new(media)),
            Event::Joined { first, .. } => {
                *stage = Stage::Joined;
                self.renew();
                if !first {
                    self.notify(ClientNotice::Reconnected);
                }
            }
            Event::Waiting { since } => {
                self.asks.resolve = true;
                // Who waits for longer than a certificate lasts must still be able to come back.
                self.renew();
                let since = Duration::from_nanos(since.as_nanos());
                self.notify(ClientNotice::Waiting { since });
            }
            Event::Busy { .. } => {
                self.busy = true;
                self.notify(ClientNotice::Busy);
            }
            Event::Degraded => {
                // The path may be gone and not the relay: a network was left, a NAT has forgotten.
                self.asks.rebind = true;
                self.notify(ClientNotice::Degraded);
            }
            Event::Recovered => self.notify(ClientNotice::Recovered),
            Event::Kicked { reason } => {
                *stage = Stage::Removed(reason);
                self.notify(ClientNotice::Removed { reason });
            }
            Event::Moved { addr, relay } => self.notify(ClientNotice::Moved { addr, relay }),
            Event::Alert { code, arg } => {
                if code == alert::FULL {
                    *stage = Stage::Full;
                }
                self.notify(ClientNotice::Alert { code, arg });
            }
            Event::Roster => self.tell_members(),
            Event::Streams => self.tell_streams(),
            Event::KeyframeWanted { stream } => {
                self.notify(ClientNotice::KeyframeWanted { stream });
            }
            Event::Clock(sample) => {
                if self.samples.len() >= CLOCK_SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
                self.notify(ClientNotice::Clock(sample));
            }
            // State is read by what is built on streams, not by streams.
            Event::Opened(_) => {}
        }
    }

    /// What the next new HELLO shows.
    fn renew(&mut self) {
        let certificate = self.papers.certificate();
        self.participant.renew(self.papers.token, certificate);
    }

    fn deliver(&self, frame: MediaFrame) {
        for subscriber in &self.subscribers {
            if subscriber.selector.covers(&frame) {
                subscriber.queue.push(frame.clone());
            }
        }
    }

    fn tell_members(&mut self) {
        let own = self.participant.node_id();
        let members = self.participant.members().map(|(node, _)| node);
        let members: BTreeSet<NodeId> = members.filter(|node| *node != own).collect();
        for node in self.members.difference(&members) {
            self.notify(ClientNotice::MemberLeft { node: *node });
        }
        for node in members.difference(&self.members) {
            self.notify(ClientNotice::MemberJoined { node: *node });
        }
        self.members = members;
    }

    fn tell_streams(&mut self) {
        let own = self.participant.node_id();
        let streams = self.participant.streams().map(|(stream, _)| stream);
        let streams: BTreeSet<StreamId> = streams.filter(|stream| stream.node != own).collect();
        for stream in self.streams.difference(&streams) {
            self.notify(ClientNotice::StreamEnded { stream: *stream });
        }
        for stream in streams.difference(&self.streams) {
            self.notify(ClientNotice::StreamStarted { stream: *stream });
        }
        self.streams = streams;
    }

    /// Says goodbye, as far as that is not done.
    pub(super) fn leave(&mut self) {
        let now = self.now();
        // Who leaves before there was a way to begin has begun, so as to be over.
        if !self.participant.is_over() {
            self.participant.connect(now);
        }
        self.participant.leave(reason::DONE, now);
    }

    /// Sends what may leave at this moment, as far as the kernel takes it.
    pub(super) fn send_at_once(&mut self) {
        let Some(socket) = self.socket.clone() else { return };
        let (now, today) = (self.now(), calendar());
        let Self { participant, random, .. } = self;
        let mut poll = |out: &mut [u8]| participant.poll_transmit(now, today, random, out);
        let mut train = Train::new();
        while socket.load(&mut train, &mut poll) {
            if socket.try_send(&train).is_err() {
                break;
            }
        }
    }

    /// Says goodbye before this returns: what may not leave at this moment does not.
    pub(super) fn say_goodbye(&mut self) {
        self.leave();
        self.send_at_once();
        let now = self.now();
        self.participant.leave_at_once(reason::DONE, now);
        self.send_at_once();
    }

    fn close(&mut self) {
        self.subscribers.iter().for_each(|subscriber| subscriber.queue.close());
        self.notices = None;
        self.socket = None;
    }
}

/// The calendar, for what outlives a process.
pub(super) fn calendar() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
