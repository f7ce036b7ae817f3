//! coturn's server, as Debian has it: somebody else's TURN for our client's side.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::caller::until;

pub const USER: &str = "ann";
pub const PASSWORD: &str = "open sesame";
pub const SECRET: &str = "north of nowhere";

/// A server that runs. Ends with the test.
pub struct TurnServer {
    child: Child,
    pub addr: SocketAddr,
}

/// How it is started.
pub struct Options<'a> {
    /// Its address, and the one it relays from.
    pub at: IpAddr,
    /// In this network namespace.
    pub space: Option<&'a str>,
    /// Peers on loopback are allowed.
    pub loopback: bool,
    /// Users by a shared secret, and not by passwords.
    pub secret: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { at: Ipv4Addr::LOCALHOST.into(), space: None, loopback: true, secret: false }
    }
}

impl TurnServer {
    /// A server on loopback that knows [`USER`].
    pub fn start() -> Self {
        Self::start_as(&Options::default())
    }

    pub fn start_as(options: &Options<'_>) -> Self {
        // In another namespace every port is free.
        let port = if options.space.is_some() {
            3_478
        } else {
            let free = UdpSocket::bind((options.at, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        Self::start_at(SocketAddr::new(options.at, port), options)
    }

    /// A server at this address, as after one that has ended there.
    pub fn start_at(addr: SocketAddr, options: &Options<'_>) -> Self {
        let mut words: Vec<String> = Vec::new();
        if let Some(space) = options.space {
            words.extend(["ip", "netns", "exec", space].map(str::to_owned));
        }
        words.extend(["turnserver", "-n", "-L", &addr.ip().to_string()].map(str::to_owned));
        words.extend(
            ["-E", &addr.ip().to_string(), "-p", &addr.port().to_string()].map(str::to_owned),
        );
        words.extend(
            ["-r", "coturn.example", "--min-port=40000", "--max-port=60000"].map(str::to_owned),
        );
        if options.secret {
            words
                .extend(["--use-auth-secret".to_owned(), format!("--static-auth-secret={SECRET}")]);
        } else {
            words.extend(["-a".to_owned(), "-u".to_owned(), format!("{USER}:{PASSWORD}")]);
        }
        if options.loopback {
            words.push("--allow-loopback-peers".to_owned());
        }
        let quiet = "--relay-threads=1 --no-tls --no-dtls --no-cli --no-rfc5780 --no-tcp --no-tcp-relay \
                     -l /dev/null --simple-log --no-stdout-log --pidfile /dev/null";
        words.extend(quiet.split_whitespace().map(str::to_owned));
        let child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; it comes with the package coturn", words[0])
            });
        Self { child, addr }
    }

    /// Waits until it answers STUN, asked from here.
    pub fn ready(self) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.connect(self.addr).unwrap();
        socket.set_nonblocking(true).unwrap();
        // A Binding request without attributes (RFC 8489 section 5).
        let mut request = [0; 20];
        request[1] = 1;
        request[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        until("coturn answers", || {
            let _ = socket.send(&request);
            socket.recv(&mut [0; 256]).is_ok()
        });
        self
    }

    /// `turn:host:port`.
    pub fn uri(&self) -> String {
        format!("turn:{}", self.addr)
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
