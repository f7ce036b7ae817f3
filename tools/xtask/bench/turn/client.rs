//! The clients' side of TURN: allocations are made, channels bound, and both kept alive.
//!
//! RFC 8656 sections 7 to 12, with long-term credentials (RFC 8489 section 9.2): a first request without
//! them brings realm and nonce. Requests go out some at a time, are repeated when nothing comes, and
//! given up after a while in which nobody got an answer. All clients are one user.

use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant};

use elara_core::ClientAddr;

use super::scene::Scene;
use super::side::{Side, client_addr};
use super::stun::{Answer, Key, Message, Transaction, attribute, kind};

/// The user, and the password, whom every contestant knows.
pub(super) const USER: &str = "u";
pub(super) const PASSWORD: &str = "p";

/// Requests under way at most: what any server's receive buffer holds many times over.
const UNDER_WAY: usize = 32;
/// An answer that has not come after this will not; each further time after as much more.
const REPEAT: Duration = Duration::from_millis(200);
/// How long nothing may come at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// New nonces that a request may need, one after the other.
const NONCES: u32 = 5;
/// How long what is asked for shall last, in seconds: RFC 8656's default, and what it fixes for channels.
const LIFETIME: u32 = 600;
/// How old it may get: permissions last 300 seconds.
const STALE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_micros(100);
/// RFC 8656 section 7.1: UDP, and reserved bytes.
const UDP: [u8; 4] = [17, 0, 0, 0];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Allocate,
    Refresh,
    /// The channel to whom a client speaks, and with it a permission.
    Bind,
}

impl Step {
    const fn kind(self) -> u16 {
        match self {
            Self::Allocate => kind::ALLOCATE,
            Self::Refresh => kind::REFRESH,
            Self::Bind => kind::CHANNEL_BIND,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allocate => "an allocation",
            Self::Refresh => "a refresh",
            Self::Bind => "a channel",
        })
    }
}

/// What an answer makes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    Granted,
    /// With a new nonce it was asked again.
    Again,
    Refused(u16),
}

/// Every client of one server.
pub(super) struct Clients {
    server: ClientAddr,
    realm: Vec<u8>,
    key: Option<Key>,
    members: Vec<Member>,
    asked: u32,
    fresh: Instant,
}

#[derive(Default)]
struct Member {
    relayed: Option<SocketAddrV4>,
    /// At the other end of the channel.
    peer: Option<SocketAddrV4>,
    nonce: Vec<u8>,
    asking: Option<Asking>,
}

/// A request without an answer.
struct Asking {
    step: Step,
    number: u32,
    first: Instant,
    times: u32,
    nonces: u32,
}

impl Clients {
    pub(super) fn new(server: ClientAddr, count: u32) -> Self {
        let members = (0..count).map(|_| Member::default()).collect();
        let (realm, fresh) = (Vec::new(), Instant::now());
        Self { server, realm, key: None, members, asked: 0, fresh }
    }

    /// Allocates for everybody, and answers the relayed addresses.
    ///
    /// # Errors
    /// When the server refuses, or does not answer.
    pub(super) fn allocate(&mut self, side: &mut Side) -> Result<Vec<SocketAddrV4>, String> {
        self.everybody(Step::Allocate, side)?;
        let relayed: Vec<_> = self.members.iter().filter_map(|member| member.relayed).collect();
        if relayed.len() < self.members.len() {
            return Err("an allocation was granted without an IPv4 address".into());
        }
        Ok(relayed)
    }

    /// Binds everybody's channel to an address.
    ///
    /// # Errors
    /// As [`Clients::allocate`].
    pub(super) fn bind(
        &mut self,
        peers: impl Iterator<Item = SocketAddrV4>,
        side: &mut Side,
    ) -> Result<(), String> {
        for (member, peer) in self.members.iter_mut().zip(peers) {
            member.peer = Some(peer);
        }
        self.everybody(Step::Bind, side)
    }

    /// Refreshes what could expire soon.
    ///
    /// # Errors
    /// As [`Clients::allocate`].
    pub(super) fn keep_alive(&mut self, side: &mut Side) -> Result<(), String> {
        if self.fresh.elapsed() < STALE {
            return Ok(());
        }
        self.everybody(Step::Refresh, side)?;
        if self.members.iter().all(|member| member.peer.is_some()) {
            self.everybody(Step::Bind, side)?;
        }
        self.fresh = Instant::now();
        Ok(())
    }

    /// One step for each, some at a time.
    fn everybody(&mut self, step: Step, side: &mut Side) -> Result<(), String> {
        let wrong = |error: io::Error| format!("the clients: {error}");
        let everybody = self.members.len();
        let (mut next, mut open) = (0, Vec::with_capacity(UNDER_WAY));
        let mut news = Instant::now();
        while next < everybody || !open.is_empty() {
            while next < everybody && open.len() < UNDER_WAY {
                self.ask(next as u32, step, side);
                open.push(next as u32);
                next += 1;
            }
            let mut refused = None;
            let came = self.hear(side, |who, came, _| match came {
                Came::Granted => open.retain(|asking| *asking != who),
                Came::Again => {}
                Came::Refused(code) => refused = Some((who, code)),
            });
            if came.map_err(wrong)? > 0 {
                news = Instant::now();
            } else {
                thread::sleep(PAUSE);
            }
            if let Some((who, code)) = refused {
                return Err(format!(
                    "{step} is refused with {code}, to client {who} of {everybody}"
                ));
            }
            if news.elapsed() > PATIENCE {
                let done = next - open.len();
                return Err(format!("{step} is not answered: {done} of {everybody} have one"));
            }
            for who in &open {
                self.repeat(*who, side);
            }
        }
        Ok(())
    }

    /// Asks for `who`, and forgets what was asked before.
    pub(super) fn ask(&mut self, who: u32, step: Step, side: &mut Side) {
        let (first, number) = (Instant::now(), self.next());
        let asking = Asking { step, number, first, times: 1, nonces: 0 };
        self.members[who as usize].asking = Some(asking);
        self.send(who, side);
    }

    /// Whether `who` waits for an answer.
    pub(super) fn is_asking(&self, who: u32) -> bool {
        self.members[who as usize].asking.is_some()
    }

    /// Takes what has come. `each` learns whose request it was, what became of it, and how long it took.
    /// Answers how many messages came.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn hear(
        &mut self,
        side: &mut Side,
        mut each: impl FnMut(u32, Came, Duration),
    ) -> io::Result<usize> {
        let heard = side.hear()?;
        let mut again = Vec::new();
        for slot in 0..heard {
            let (_, bytes, _) = side.heard(slot);
            let Some(answer) = Answer::read(bytes) else { continue };
            let Some((who, number)) = whose(&answer.transaction) else { continue };
            let asking = self.members.get(who as usize).and_then(|member| member.asking.as_ref());
            let Some(asking) = asking.filter(|asking| asking.number == number) else { continue };
            let took = asking.first.elapsed();
            let came = self.take(who, &answer);
            if came == Came::Again {
                again.push(who);
            }
            each(who, came, took);
        }
        // What was heard lies in the buffers of the side until here.
        again.into_iter().for_each(|who| self.send(who, side));
        Ok(heard)
    }

    /// What `answer` makes of the request of `who`.
    fn take(&mut self, who: u32, answer: &Answer<'_>) -> Came {
        let fresh = self.next();
        let member = &mut self.members[who as usize];
        let Some(asking) = member.asking.as_mut() else { return Came::Granted };
        if answer.kind == asking.step.kind() | kind::SUCCESS {
            if let Some(relayed) = answer.address(attribute::XOR_RELAYED_ADDRESS) {
                member.relayed = Some(relayed);
            }
            member.asking = None;
            return Came::Granted;
        }
        let refused = answer.kind == asking.step.kind() | kind::ERROR;
        let code = answer.error().filter(|_| refused).unwrap_or(0);
        let stranger = code == 401 && member.nonce.is_empty();
        let nonce = answer.get(attribute::NONCE);
        if let (Some(nonce), true, true) = (nonce, stranger || code == 438, asking.nonces < NONCES)
        {
            asking.nonces += 1;
            asking.number = fresh;
            asking.times = 1;
            member.nonce = nonce.to_vec();
            if let (Some(realm), None) = (answer.get(attribute::REALM), &self.key) {
                self.realm = realm.to_vec();
                self.key = Some(Key::long_term(USER, realm, PASSWORD));
            }
            return Came::Again;
        }
        member.asking = None;
        Came::Refused(code)
    }

    /// Sends the request of `who` again where it is time to.
    fn repeat(&mut self, who: u32, side: &mut Side) {
        let Some(asking) = &mut self.members[who as usize].asking else { return };
        if asking.first.elapsed() > REPEAT * (asking.times * (asking.times + 1) / 2) {
            asking.times += 1;
            self.send(who, side);
        }
    }

    fn send(&self, who: u32, side: &mut Side) {
        if let Some(bytes) = self.request(who) {
            // What the kernel does not take is repeated like what the server does not hear.
            side.say([(who, &self.server, &bytes[..])].into_iter(), 0);
        }
    }

    /// The request of `who`: the same bytes each time, so that the server knows it again.
    fn request(&self, who: u32) -> Option<Vec<u8>> {
        let member = &self.members[who as usize];
        let Asking { step, number, .. } = member.asking.as_ref()?;
        let lifetime = LIFETIME.to_be_bytes();
        let message = Message::new(step.kind(), &transaction(who, *number));
        let message = match step {
            Step::Allocate => message
                .put(attribute::REQUESTED_TRANSPORT, &UDP)
                .put(attribute::LIFETIME, &lifetime),
            Step::Refresh => message.put(attribute::LIFETIME, &lifetime),
            Step::Bind => {
                let [high, low] = Scene::channel(who).to_be_bytes();
                message
                    .put(attribute::CHANNEL_NUMBER, &[high, low, 0, 0])
                    .put_address(attribute::XOR_PEER_ADDRESS, member.peer?)
            }
        };
        let Some(key) = self.key.as_ref().filter(|_| !member.nonce.is_empty()) else {
            return Some(message.unsigned());
        };
        let signed = message
            .put(attribute::USERNAME, USER.as_bytes())
            .put(attribute::REALM, &self.realm)
            .put(attribute::NONCE, &member.nonce);
        Some(signed.sign(key))
    }

    fn next(&mut self) -> u32 {
        self.asked = self.asked.wrapping_add(1);
        self.asked
    }
}

/// What a server calls itself, once it answers a Binding request.
///
/// # Errors
/// When it does not answer.
pub(super) fn software(server: SocketAddrV4, side: &mut Side) -> Result<String, String> {
    let request = Message::new(kind::BINDING, &transaction(0, 0)).unsigned();
    let (begun, to) = (Instant::now(), client_addr(server));
    while begun.elapsed() < PATIENCE {
        side.say([(0, &to, &request[..])].into_iter(), 0);
        let sent = Instant::now();
        while sent.elapsed() < REPEAT {
            for slot in 0..side.hear().map_err(|error| format!("the clients: {error}"))? {
                let answer = Answer::read(side.heard(slot).1);
                if let Some(answer) = answer.filter(|it| it.kind == kind::BINDING | kind::SUCCESS) {
                    let name = answer.get(attribute::SOFTWARE).unwrap_or_default();
                    return Ok(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
                }
            }
            thread::sleep(PAUSE);
        }
    }
    Err(format!("nobody answers a Binding request at {server}"))
}

/// Says whose request it is, the how many-th of all, and that it is ours.
fn transaction(who: u32, number: u32) -> Transaction {
    let mut transaction = *b"........turn";
    transaction[..4].copy_from_slice(&who.to_be_bytes());
    transaction[4..8].copy_from_slice(&number.to_be_bytes());
    transaction
}

fn whose(transaction: &Transaction) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, g, h, b't', b'u', b'r', b'n'] = *transaction else { return None };
    Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::UdpSocket;
    use std::sync::mpsc;

    use super::super::super::contest::Sinks;
    use super::super::scene::CLIENTS;
    use super::*;

    /// A server in miniature, in a thread that serves until the test process ends: everybody is asked who
    /// they are, with a nonce that goes stale once. Tells each request's transaction, type, and whether
    /// it is signed.
    fn serve(socket: UdpSocket) -> mpsc::Receiver<(Transaction, u16, bool)> {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 1_024];
            for port in 50_000.. {
                let (len, from) = socket.recv_from(&mut bytes).unwrap();
                let request = Answer::read(&bytes[..len]).unwrap();
                let signed = request.get(attribute::MESSAGE_INTEGRITY).is_some();
                let _ = tell.send((request.transaction, request.kind, signed));
                let refuse = |code: u8, nonce: &[u8]| {
                    Message::new(request.kind | kind::ERROR, &request.transaction)
                        .put(attribute::ERROR_CODE, &[0, 0, 4, code])
                        .put(attribute::REALM, b"here")
                        .put(attribute::NONCE, nonce)
                };
                let granted = Message::new(request.kind | kind::SUCCESS, &request.transaction);
                let answer = match request.get(attribute::NONCE) {
                    None => refuse(1, b"first"),
                    Some(b"first") => refuse(38, b"second"),
                    Some(_) if request.kind == kind::ALLOCATE => {
                        let relayed = SocketAddrV4::new([127, 0, 0, 1].into(), port);
                        granted.put_address(attribute::XOR_RELAYED_ADDRESS, relayed)
                    }
                    Some(_) => granted,
                };
                socket.send_to(&answer.unsigned(), from).unwrap();
            }
        });
        told
    }

    #[test]
    fn everybody_gets_an_allocation_and_a_channel() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = ClientAddr::from(socket.local_addr().unwrap());
        let mut side = Side::open(CLIENTS, 2, Sinks::Plain).unwrap();
        let told = serve(socket);
        let mut clients = Clients::new(addr, 2);
        let relayed = clients.allocate(&mut side).unwrap();
        assert_eq!(relayed.len(), 2);
        assert_ne!(relayed[0], relayed[1]);
        clients.bind(relayed.into_iter().rev(), &mut side).unwrap();
        // A request that was repeated counts once.
        let heard: HashSet<_> = told.try_iter().collect();
        let count = |kind, signed| heard.iter().filter(|it| (it.1, it.2) == (kind, signed)).count();
        assert_eq!((count(kind::ALLOCATE, false), count(kind::ALLOCATE, true)), (2, 4));
        assert_eq!(count(kind::CHANNEL_BIND, true), 2);
    }

    #[test]
    fn a_refusal_says_its_number_and_who_was_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = ClientAddr::from(socket.local_addr().unwrap());
        let mut side = Side::open(CLIENTS, 1, Sinks::Plain).unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 1_024];
            let (len, from) = socket.recv_from(&mut bytes).unwrap();
            let request = Answer::read(&bytes[..len]).unwrap();
            let answer = Message::new(request.kind | kind::ERROR, &request.transaction)
                .put(attribute::ERROR_CODE, &[0, 0, 4, 86]);
            socket.send_to(&answer.unsigned(), from).unwrap();
        });
        let error = Clients::new(addr, 1).allocate(&mut side).unwrap_err();
        assert_eq!(error, "an allocation is refused with 486, to client 0 of 1");
    }

    #[test]
    fn a_request_is_repeated_with_the_same_bytes() {
        let mut clients = Clients::new(client_addr("127.0.0.1:9".parse().unwrap()), 2);
        let mut side = Side::open(CLIENTS, 2, Sinks::Plain).unwrap();
        assert_eq!(clients.request(1), None);
        clients.ask(1, Step::Refresh, &mut side);
        let first = clients.request(1);
        assert_eq!(clients.request(1), first);
        clients.ask(1, Step::Refresh, &mut side);
        assert_ne!(clients.request(1), first, "a request of its own");
        assert_eq!(whose(&transaction(7, 9)), Some((7, 9)));
        assert_eq!(whose(&[0; 12]), None, "of somebody else");
    }
}
