//! The flood: forged datagrams of one kind at a rate, until told otherwise by time.
//!
//! Runs as a process of its own on the load's cpu, behind the load in the line. It enters the relay with a
//! join address first, so that a forgery can name a participant who is there.

use std::fmt;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use elara_core::crypto::exchange::Certificate;
use elara_core::crypto::handshake::{Client, E2eMode, Heard, Link, Membership};
use elara_core::crypto::hash::{hmac16, sha256};
use elara_core::crypto::{ExchangeKey, ExchangePublic, Identity, JoinAddress, Suite};
use elara_core::limits::{SEGMENTS_MAX, V1_FRAME_MAX};
use elara_core::random::{GuessableKeys, Random, Seeded};
use elara_core::wire::Header;
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{Control, ControlWriter, Ping};
use elara_core::wire::v1::{FrameMut, KeyName, Kind as Frame, Tlvs};
use elara_shards::sys::cpu::{self, calendar, monotonic};
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::SendBatch;

/// What is wrong with the datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// They name a session that is not there; 120 B.
    UnknownSession,
    /// They name a participant who is there, AES-GCM, and their tag is wrong; 1,200 B.
    BadTagAes,
    /// The same, ChaCha20-Poly1305.
    BadTagChacha,
    /// HELLOs to another relay; 512 B.
    BadMac1,
    /// HELLOs to this relay without a cookie, all different; 512 B.
    Cookieless,
}

impl Kind {
    /// What the relay counts them as.
    pub(super) const fn verdicts(self) -> &'static [&'static str] {
        match self {
            Self::UnknownSession => &["unknown_participant"],
            Self::BadTagAes | Self::BadTagChacha => &["bad_tag"],
            Self::BadMac1 => &["bad_mac1"],
            Self::Cookieless => &["hello_limited", "hello_retried", "hello_busy", "bad_noise"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::UnknownSession => "unknown-session",
            Self::BadTagAes => "bad-tag-aes",
            Self::BadTagChacha => "bad-tag-chacha",
            Self::BadMac1 => "bad-mac1",
            Self::Cookieless => "cookieless",
        })
    }
}

/// What the forger is told.
#[derive(Args)]
pub(crate) struct Options {
    /// What is wrong with the datagrams.
    #[arg(long, value_enum)]
    kind: Kind,
    /// A join address of the relay.
    #[arg(long)]
    join: String,
    /// Datagrams a second.
    #[arg(long)]
    rate: u32,
    /// How long.
    #[arg(long)]
    seconds: u32,
    /// The cpu it is pinned to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Send trains.
    #[arg(long)]
    trains: bool,
}

/// Different datagrams that are sent over and over: as many HELLOs are never the same again to a relay.
const DIFFERENT: usize = 4_096;
/// Datagrams the forger may be behind before it gives up on them: a rate, not a debt.
const BEHIND_MAX: u64 = 4_096;
/// Datagrams of one train.
const TRAIN: usize = 32;
const PAUSE: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(2);

/// Floods.
///
/// # Errors
/// When the address is none, the relay does not let the forger in, or the kernel refuses.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let address: JoinAddress =
        options.join.parse().map_err(|fault| format!("--join is no join address: {fault:?}"))?;
    let wrong = |error: std::io::Error| format!("the forger: {error}");
    if let Some(cpu) = options.cpu {
        cpu::pin(cpu).map_err(wrong)?;
    }
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(wrong)?;
    socket.connect((address.host.as_str(), address.port)).map_err(wrong)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
    let forged = forge(options.kind, &address, &socket)?;
    socket.set_nonblocking(true).map_err(wrong)?;
    cpu::step_back();
    let train = if options.trains { TRAIN } else { 1 };
    flood(&socket, &forged, options, train);
    Ok(())
}

/// Sends `forged` in turn, `train` to a message.
fn flood(socket: &UdpSocket, forged: &Forged, options: &Options, train: usize) {
    let (rate, message) = (u64::from(options.rate), forged.len * train);
    let mut batch = SendBatch::new(SEGMENTS_MAX, SEGMENTS_MAX, Family::V4);
    let (begun, mut sent, mut at) = (Instant::now(), 0u64, 0);
    while begun.elapsed() < Duration::from_secs(options.seconds.into()) {
        let due = (begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        sent = sent.max(due.saturating_sub(BEHIND_MAX));
        if due < sent + train as u64 {
            thread::sleep(PAUSE);
            continue;
        }
        let mut sending = batch.begin();
        let messages = ((due - sent) as usize / train).min(SEGMENTS_MAX);
        for _ in 0..messages {
            if at + message > forged.bytes.len() {
                at = 0;
            }
            let segment = if train > 1 { forged.len as u16 } else { 0 };
            let _ = sending.push(None, [&forged.bytes[at..at + message]], segment);
            at += message;
        }
        // What the kernel does not take is gone.
        sending.flush(socket.as_fd());
        sent += (messages * train) as u64;
    }
}

/// Datagrams of one length, in a row.
struct Forged {
    len: usize,
    bytes: Vec<u8>,
}

fn forge(kind: Kind, address: &JoinAddress, socket: &UdpSocket) -> Result<Forged, String> {
    let suite = if kind == Kind::BadTagChacha { Suite::ChaChaPoly } else { Suite::AesGcm };
    let mut forger = Forger::new(address, suite);
    match kind {
        Kind::UnknownSession => {
            let mut frame = forger.frame(None, 120)?;
            frame[4..12].copy_from_slice(&7u64.to_le_bytes());
            Ok(Forged::same(&frame))
        }
        Kind::BadTagAes | Kind::BadTagChacha => {
            let link = forger.enter(socket)?;
            let mut frame = forger.frame(Some(&link), 120)?;
            // The filler never was what a tag is of.
            frame.resize(1_200, 0xA5);
            Ok(Forged::same(&frame))
        }
        Kind::BadMac1 => {
            let mut elsewhere = address.clone();
            elsewhere.relay = *ExchangeKey::generate(&mut forger.random).public();
            Ok(Forged::same(&Forger::new(&elsewhere, suite).hello()?))
        }
        Kind::Cookieless => Ok(Forged::hellos(&forger.hello()?, &address.relay)),
    }
}

impl Forged {
    fn same(datagram: &[u8]) -> Self {
        Self { len: datagram.len(), bytes: datagram.repeat(TRAIN) }
    }

    /// HELLOs that differ in their attempt, as the relay tells them apart.
    fn hellos(hello: &[u8], relay: &ExchangePublic) -> Self {
        let key = sha256(&[b"ELARA1 mac1", relay.as_bytes()]);
        let mut bytes = hello.repeat(DIFFERENT);
        for (n, hello) in (1u64..).zip(bytes.chunks_exact_mut(hello.len())) {
            hello[30..38].copy_from_slice(&n.to_le_bytes());
            let mac1 = hmac16(&key, &[&hello[..496]]);
            hello[496..].copy_from_slice(&mac1);
        }
        Self { len: hello.len(), bytes }
    }
}

/// One who enters to forge. Its keys guard nothing.
struct Forger {
    random: GuessableKeys<Seeded>,
    membership: Membership,
}

impl Forger {
    fn new(address: &JoinAddress, suite: Suite) -> Self {
        let seed = monotonic().as_nanos() ^ u64::from(std::process::id()) << 40;
        // The address's token belongs to the first who shows it: the same identity each time.
        let mut same = GuessableKeys(Seeded::new(address.session.0));
        let (identity, key) = (Identity::generate(&mut same), ExchangeKey::generate(&mut same));
        let membership = Membership {
            suite,
            session: address.session,
            relay: address.relay,
            id: *identity.public(),
            certificate: Certificate::sign(&identity, key.public(), u32::MAX),
            key,
            token: address.token,
            caps: 0,
            mode: E2eMode::PreShared,
        };
        Self { random: GuessableKeys(Seeded::new(seed)), membership }
    }

    fn hello(&mut self) -> Result<Vec<u8>, String> {
        let mut client = Client::new(self.membership.clone());
        self.poll(&mut client).ok_or_else(|| "the relay's key is no key".to_owned())
    }

    fn poll(&mut self, client: &mut Client) -> Option<Vec<u8>> {
        let now = monotonic();
        client.connect(now);
        client.poll_hello(now, calendar(), &mut self.random).map(<[u8]>::to_vec)
    }

    /// Enters, and says one word, which makes the connection.
    fn enter(&mut self, socket: &UdpSocket) -> Result<Box<Link>, String> {
        let mut client = Client::new(self.membership.clone());
        let mut heard = [0; 2_048];
        for _ in 0..10 {
            if let Some(hello) = self.poll(&mut client) {
                let _ = socket.send(&hello);
            }
            let Ok(len) = socket.recv(&mut heard) else { continue };
            if let Ok(Heard::Welcome(mut link, _)) = client.handle_frame(&heard[..len], monotonic())
            {
                let mut ping = [0; V1_FRAME_MAX];
                let len = self.ping(&mut link, &mut ping).ok_or("a PING does not fit")?;
                let sent = socket.send(&ping[..len]).and_then(|_| socket.recv(&mut heard));
                sent.map_err(|error| format!("the forger said its word: {error}"))?;
                return Ok(link);
            }
        }
        Err("the relay does not let the forger in".into())
    }

    fn ping(&self, link: &mut Link, out: &mut [u8]) -> Option<usize> {
        let header = self.header(Frame::Control);
        let mut writer = ControlWriter::new(out, &header).ok()?;
        let ping = Ping { id: 1.into(), t_client_us: 0.into(), next_core: 0.into() };
        writer.put(&Control::Ping(&ping)).ok()?;
        let frame = writer.finish().finish();
        link.sending.control(frame).ok()?;
        Some(frame.len())
    }

    fn header(&self, kind: Frame) -> Header {
        let Membership { suite, session, id, .. } = &self.membership;
        Header::v1(*suite as u8, *session, id.node_id(), kind)
    }

    /// A data frame with a tag of nothing, by the connection if there is one.
    fn frame(&mut self, link: Option<&Link>, len: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; len];
        let conn = link.map_or(0, |link| link.conn);
        let key = KeyName { epoch: 0.into(), conn, generation: 0 };
        let header = self.header(Frame::Data(Class::Perceptual));
        FrameMut::begin(&mut bytes, &header, &Tlvs::EMPTY, key, len)
            .map_err(|fault| format!("a forged frame: {fault:?}"))?;
        self.random.fill(&mut bytes[34..]);
        Ok(bytes)
    }
}
