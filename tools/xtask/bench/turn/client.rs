//! The clients' side of TURN: allocations are made, channels bound, and both kept alive.
//!
//! RFC 8656 sections 7 to 12, with long-term credentials (RFC 8489 section 9.2): a first request without
//! them brings realm and nonce. Requests go out some at a time, are repeated when nothing comes, and
//! given up after a while in which nobody got an answer. All clients are one user.

use std::fmt;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::thread;
use std::time::{Duration, Instant};

use elara_core::ClientAddr;
use elara_core::stun::attribute::{
    CHANNEL_NUMBER, LIFETIME, NONCE, REALM, REQUESTED_TRANSPORT, SOFTWARE, USERNAME,
    XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use elara_core::stun::{
    Algorithm, Class, HEADER_LEN, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};

use super::scene::Scene;
use super::side::{Side, client_addr};

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
const LIFETIME_S: u32 = 600;
/// How old it may get: permissions last 300 seconds.
const STALE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_micros(100);
/// RFC 8656 section 7.1: UDP.
const UDP: u8 = 17;
/// Room for a request of ours.
const ROOM: usize = 512;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Allocate,
    Refresh,
    /// The channel to whom a client speaks, and with it a permission.
    Bind,
}

impl Step {
    const fn method(self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::Refresh => Method::REFRESH,
            Self::Bind => Method::CHANNEL_BIND,
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
    realm: String,
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
        let (realm, fresh) = (String::new(), Instant::now());
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
            let Ok(answer) = Message::parse(bytes) else { continue };
            let Some((who, number)) = whose(answer.transaction()) else { continue };
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
    fn take(&mut self, who: u32, answer: &Message<'_>) -> Came {
        let fresh = self.next();
        let member = &mut self.members[who as usize];
        let Some(asking) = member.asking.as_mut() else { return Came::Granted };
        let ours = answer.method() == asking.step.method();
        if ours && answer.class() == Class::Success {
            if let Some(Ok(SocketAddr::V4(relayed))) = answer.address(XOR_RELAYED_ADDRESS) {
                member.relayed = Some(relayed);
            }
            member.asking = None;
            return Came::Granted;
        }
        let refused = ours && answer.class() == Class::Error;
        let code = answer.error_code().and_then(Result::ok).filter(|_| refused).unwrap_or(0);
        let stranger = code == 401 && member.nonce.is_empty();
        let nonce = answer.get(NONCE);
        if let (Some(nonce), true, true) = (nonce, stranger || code == 438, asking.nonces < NONCES)
        {
            asking.nonces += 1;
            asking.number = fresh;
            asking.times = 1;
            member.nonce = nonce.to_vec();
            if let (Some(Ok(realm)), None) = (answer.text(REALM), &self.key) {
                self.realm = realm.into();
                let (md5, sha1) = (PasswordAlgorithm::Md5, Algorithm::Sha1);
                self.key = Some(Key::long_term(USER, realm, PASSWORD, md5, sha1));
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
        let mut out = [0; ROOM];
        let mut message =
            Writer::new(&mut out, Class::Request, step.method(), transaction(who, *number));
        match step {
            Step::Allocate => {
                message.put_u8(REQUESTED_TRANSPORT, UDP).put_u32(LIFETIME, LIFETIME_S);
            }
            Step::Refresh => {
                message.put_u32(LIFETIME, LIFETIME_S);
            }
            Step::Bind => {
                message
                    .put_u16(CHANNEL_NUMBER, Scene::channel(who))
                    .put_address_xor(XOR_PEER_ADDRESS, member.peer?.into());
            }
        }
        if let Some(key) = self.key.as_ref().filter(|_| !member.nonce.is_empty()) {
            message
                .put(USERNAME, USER.as_bytes())
                .put(REALM, self.realm.as_bytes())
                .put(NONCE, &member.nonce)
                .sign(key);
        }
        let len = message.finish()?;
        Some(out[..len].to_vec())
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
    let mut request = [0; HEADER_LEN];
    Writer::new(&mut request, Class::Request, Method::BINDING, transaction(0, 0)).finish();
    let (begun, to) = (Instant::now(), client_addr(server));
    while begun.elapsed() < PATIENCE {
        side.say([(0, &to, &request[..])].into_iter(), 0);
        let sent = Instant::now();
        while sent.elapsed() < REPEAT {
            for slot in 0..side.hear().map_err(|error| format!("the clients: {error}"))? {
                let Ok(answer) = Message::parse(side.heard(slot).1) else { continue };
                if (answer.class(), answer.method()) == (Class::Success, Method::BINDING) {
                    let name = answer.get(SOFTWARE).unwrap_or_default();
                    return Ok(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
                }
            }
            thread::sleep(PAUSE);
        }
    }
    Err(format!("nobody answers a Binding request at {server}"))
}

/// Says whose request it is, the how many-th of all, and that it is ours.
fn transaction(who: u32, number: u32) -> TransactionId {
    let mut transaction = *b"........turn";
    transaction[..4].copy_from_slice(&who.to_be_bytes());
    transaction[4..8].copy_from_slice(&number.to_be_bytes());
    TransactionId(transaction)
}

fn whose(TransactionId(transaction): TransactionId) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, g, h, b't', b'u', b'r', b'n'] = transaction else { return None };
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

    /// The answer to `request`, with what `put` puts into it.
    fn answer(request: &Message<'_>, class: Class, put: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = vec![0; ROOM];
        let mut writer = Writer::answer(&mut out, request, class);
        put(&mut writer);
        let len = writer.finish().unwrap();
        out.truncate(len);
        out
    }

    /// A server in miniature, in a thread that serves until the test process ends: everybody is asked who
    /// they are, with a nonce that goes stale once. Tells each request's transaction, method, and whether
    /// it is signed.
    fn serve(socket: UdpSocket) -> mpsc::Receiver<(TransactionId, Method, bool)> {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 1_024];
            for port in 50_000.. {
                let (len, from) = socket.recv_from(&mut bytes).unwrap();
                let request = Message::parse(&bytes[..len]).unwrap();
                let signed = request.has_integrity().is_some();
                let _ = tell.send((request.transaction(), request.method(), signed));
                let refuse = |code, nonce: &[u8]| {
                    answer(&request, Class::Error, |answer| {
                        answer.put_error(code).put(REALM, b"here").put(NONCE, nonce);
                    })
                };
                let answer = match request.get(NONCE) {
                    None => refuse(401, b"first"),
                    Some(b"first") => refuse(438, b"second"),
                    Some(_) => answer(&request, Class::Success, |answer| {
                        if request.method() == Method::ALLOCATE {
                            let relayed = SocketAddr::from(([127, 0, 0, 1], port));
                            answer.put_address_xor(XOR_RELAYED_ADDRESS, relayed);
                        }
                    }),
                };
                socket.send_to(&answer, from).unwrap();
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
        let count = |method, signed| {
            heard.iter().filter(|heard| (heard.1, heard.2) == (method, signed)).count()
        };
        assert_eq!((count(Method::ALLOCATE, false), count(Method::ALLOCATE, true)), (2, 4));
        assert_eq!(count(Method::CHANNEL_BIND, true), 2);
    }

    #[test]
    fn a_refusal_says_its_number_and_who_was_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = ClientAddr::from(socket.local_addr().unwrap());
        let mut side = Side::open(CLIENTS, 1, Sinks::Plain).unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 1_024];
            let (len, from) = socket.recv_from(&mut bytes).unwrap();
            let request = Message::parse(&bytes[..len]).unwrap();
            let refusal = answer(&request, Class::Error, |answer| {
                answer.put_error(486);
            });
            socket.send_to(&refusal, from).unwrap();
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
        assert_eq!(whose(transaction(7, 9)), Some((7, 9)));
        assert_eq!(whose(TransactionId([0; 12])), None, "of somebody else");
    }
}
