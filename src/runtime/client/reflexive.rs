//! What this client's address looks like from elsewhere: STUN discovery (RFC 8489).
//!
//! From the client's own socket the relay is asked, on the port it has anyway, and the answer is where that
//! socket is seen. Any other STUN server is asked from a socket of its own.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use elara_core::limits::{REFLEXIVE_PATIENCE, STUN_MESSAGE_MAX};
use elara_core::time::Instant;
use elara_core::turn::client::{Discovery, Failure};
use tokio::sync::broadcast;
use tokio::time::{sleep_until, timeout};

use super::drive::std;
use super::error::ClientError;
use super::reach::host_and_port;
use super::route::Targets;
use super::socket::{Room, Socket, is_refusal};
use crate::keys::OsRandom;

pub(super) type Answer = Result<SocketAddr, Failure>;

/// Two bits of zero, the class and the method: what STUN begins with.
const STUN_FIRST_MAX: u8 = 0x03;

/// A question to the relay, and those who wait for the answer.
#[derive(Debug)]
pub(super) struct Reflexive {
    discovery: Option<Discovery>,
    answers: broadcast::Sender<Answer>,
}

impl Default for Reflexive {
    fn default() -> Self {
        Self { discovery: None, answers: broadcast::channel(1).0 }
    }
}

impl Reflexive {
    /// Where the answer will come.
    pub(super) fn question(&mut self, now: Instant) -> broadcast::Receiver<Answer> {
        self.discovery.get_or_insert_with(|| Discovery::new(now));
        self.answers.subscribe()
    }

    /// The socket is another one, and so is the answer.
    pub(super) fn again(&mut self, now: Instant) {
        self.discovery = self.discovery.take().map(|_| Discovery::new(now));
    }

    /// Says to the relay what is due, and hands on what it has answered.
    pub(super) fn look_after(&mut self, socket: &Socket, now: Instant) {
        let Some(discovery) = &mut self.discovery else { return };
        let mut out = [0; STUN_MESSAGE_MAX];
        while let Some(len) = discovery.poll_transmit(now, &mut OsRandom, &mut out) {
            // A relay that starts again may be back before all is said.
            let _ = socket.say(&out[..len]);
        }
        if let Some(answer) = discovery.outcome() {
            self.tell(answer);
        }
    }

    /// When [`Self::look_after`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.discovery.as_ref().and_then(Discovery::next_due)
    }

    /// Whether a datagram of the relay's is the answer.
    pub(super) fn handle_datagram(&mut self, datagram: &[u8]) -> bool {
        let stun = datagram.first().is_some_and(|first| *first <= STUN_FIRST_MAX);
        let discovery = self.discovery.as_mut().filter(|_| stun);
        discovery.is_some_and(|discovery| discovery.handle_datagram(datagram).is_ok())
    }

    /// Tells those who wait, and asks no further.
    pub(super) fn tell(&mut self, answer: Answer) {
        if self.discovery.take().is_some() {
            // Nobody may wait any more.
            let _ = self.answers.send(answer);
        }
    }
}

/// Where a STUN server sees this machine: its server-reflexive address, of a socket made for the question.
/// `server` is `host`, `host:port` or `stun:host:port`; without a port it is 3478.
///
/// Must be called within a tokio runtime with I/O and time. Takes eight seconds at most.
///
/// # Errors
/// [`ClientError::Stun`], [`ClientError::Resolve`], [`ClientError::Socket`].
pub async fn reflexive_addr(server: &str) -> Result<SocketAddr, ClientError> {
    let place = server.trim();
    let place = place.strip_prefix("stun:").unwrap_or(place);
    let stun = |why| ClientError::Stun { server: place.to_owned(), why };
    let unresolved = |source| ClientError::Resolve { host: place.to_owned(), source };
    let Ok((host, port)) = host_and_port(place) else {
        let why = io::Error::new(io::ErrorKind::InvalidInput, "it must read host:port");
        return Err(unresolved(Some(why)));
    };
    let addrs = Targets::resolve(host, port).await.map_err(|error| unresolved(Some(error)))?;
    // Each of them has its share of the time.
    let share = std(REFLEXIVE_PATIENCE) / u32::try_from(addrs.len()).unwrap_or(1).max(1);
    let mut last = unresolved(None);
    for addr in addrs {
        last = match Socket::connect(addr, None, None) {
            Err(source) => ClientError::Socket { relay: addr, source },
            Ok(socket) => match timeout(share, ask(&socket)).await {
                Ok(Ok(mapped)) => return Ok(mapped),
                Ok(Err(why)) => stun(why),
                Err(_) => stun(Failure::NoAnswer),
            },
        };
    }
    Err(last)
}

/// One question, as often as it takes.
async fn ask(socket: &Socket) -> Answer {
    let origin = tokio::time::Instant::now();
    let now = || Instant::from_nanos(origin.elapsed().as_nanos().try_into().unwrap_or(u64::MAX));
    let mut discovery = Discovery::new(now());
    let (mut room, mut out) = (Room::new(), [0; STUN_MESSAGE_MAX]);
    loop {
        while let Some(len) = discovery.poll_transmit(now(), &mut OsRandom, &mut out) {
            if socket.say(&out[..len]).is_err_and(|error| is_refusal(&error)) {
                discovery.handle_refusal();
            }
        }
        if let Some(answer) = discovery.outcome() {
            return answer;
        }
        let due = discovery.next_due().map_or(origin, |due| origin + std(due.since(Instant::ZERO)));
        let readable = poll_fn(|cx| match socket.poll_readable(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            () = readable => {
                let taken = socket.receive(&mut room, |datagram| {
                    // Anything else may come here too.
                    let _ = discovery.handle_datagram(datagram);
                });
                if taken.is_err_and(|error| is_refusal(&error)) {
                    discovery.handle_refusal();
                }
            }
            () = sleep_until(due) => {}
        }
    }
}
