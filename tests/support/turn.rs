//! Someone who uses our TURN server over a real socket, one datagram at a time.

use std::net::{SocketAddr, UdpSocket};

use elara_core::stun::{
    Algorithm, Class, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, attribute,
    channel_data,
};

use super::caller::PATIENCE;

/// A TURN client with a user name and a password.
pub struct TurnCaller {
    socket: UdpSocket,
    server: SocketAddr,
    user: &'static str,
    password: &'static str,
    /// Realm and nonce, as the server last said them.
    realm: String,
    nonce: Vec<u8>,
    count: u64,
    buffer: Vec<u8>,
}

/// An answer: the class, and the datagram it came in.
#[derive(Clone, Debug)]
pub struct Heard(pub Vec<u8>);

impl Heard {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("the server's messages are well-formed")
    }

    /// 0 for a success.
    pub fn error(&self) -> u16 {
        self.message().error_code().map_or(0, Result::unwrap)
    }

    pub fn address(&self, kind: u16) -> SocketAddr {
        self.message().address(kind).expect("the attribute is there").unwrap()
    }
}

impl TurnCaller {
    pub fn new(server: SocketAddr, user: &'static str, password: &'static str) -> Self {
        let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            server,
            user,
            password,
            realm: String::new(),
            nonce: Vec::new(),
            count: 0,
            buffer: vec![0; 65_536],
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends any bytes to the server.
    pub fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).unwrap();
    }

    /// The next datagram of the server.
    pub fn hear(&mut self) -> Vec<u8> {
        let (len, from) = self.socket.recv_from(&mut self.buffer).expect("the server says something");
        assert_eq!(from, self.server);
        self.buffer[..len].to_vec()
    }

    /// A transaction nobody had before.
    fn transaction(&mut self) -> TransactionId {
        self.count += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.count.to_be_bytes());
        id[8..10].copy_from_slice(&self.addr().port().to_be_bytes());
        TransactionId(id)
    }

    /// One request without credentials, and the answer to it.
    pub fn ask(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Heard {
        let mut out = [0; 1_500];
        let mut writer = Writer::new(&mut out, Class::Request, method, self.transaction());
        fill(&mut writer);
        let len = writer.finish().unwrap();
        self.send(&out[..len]);
        Heard(self.hear())
    }

    /// One request, signed; what the server says of its realm and nonce is learned first where needed.
    pub fn request(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Heard {
        for _ in 0..3 {
            let heard = if self.nonce.is_empty() {
                self.ask(method, &fill)
            } else {
                let key = Key::long_term(
                    self.user,
                    &self.realm,
                    self.password,
                    PasswordAlgorithm::Md5,
                    Algorithm::Sha1,
                );
                let (user, realm, nonce) = (self.user, self.realm.clone(), self.nonce.clone());
                let mut out = [0; 1_500];
                let mut writer = Writer::new(&mut out, Class::Request, method, self.transaction());
                fill(&mut writer);
                writer.put(attribute::USERNAME, user.as_bytes());
                writer.put(attribute::REALM, realm.as_bytes()).put(attribute::NONCE, &nonce);
                let len = writer.sign(&key).finish().unwrap();
                self.send(&out[..len]);
                Heard(self.hear())
            };
            if !matches!(heard.error(), 401 | 438) || heard.message().get(attribute::NONCE).is_none() {
                return heard;
            }
            let message = heard.message();
            self.nonce = message.get(attribute::NONCE).unwrap().to_vec();
            self.realm = message.text(attribute::REALM).unwrap().unwrap().to_owned();
        }
        panic!("the server believes nobody");
    }

    /// A relayed address over IPv4, or the family numbered so.
    pub fn allocate(&mut self, family: Option<u8>) -> SocketAddr {
        let heard = self.request(Method::ALLOCATE, |writer| {
            writer.put(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
            if let Some(family) = family {
                writer.put(attribute::REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]);
            }
        });
        assert_eq!(heard.error(), 0);
        assert_eq!(heard.address(attribute::XOR_MAPPED_ADDRESS), self.addr());
        heard.address(attribute::XOR_RELAYED_ADDRESS)
    }

    /// The error of a CreatePermission; 0 when the peer may send from here on.
    pub fn permit(&mut self, peer: SocketAddr) -> u16 {
        self.request(Method::CREATE_PERMISSION, |writer| {
            writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer);
        })
        .error()
    }

    /// The error of a ChannelBind; 0 when the channel is the peer's from here on.
    pub fn bind(&mut self, channel: u16, peer: SocketAddr) -> u16 {
        self.request(Method::CHANNEL_BIND, |writer| {
            writer.put(attribute::CHANNEL_NUMBER, &[(channel >> 8) as u8, channel as u8, 0, 0]);
            writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer);
        })
        .error()
    }

    /// The error of a Refresh, and the lifetime that is left.
    pub fn refresh(&mut self, seconds: u32) -> (u16, Option<u32>) {
        let heard = self.request(Method::REFRESH, |writer| {
            writer.put_u32(attribute::LIFETIME, seconds);
        });
        (heard.error(), heard.message().u32(attribute::LIFETIME).map(Result::unwrap))
    }

    /// Data to a peer in a Send indication.
    pub fn indicate(&mut self, peer: SocketAddr, data: &[u8], dont_fragment: bool) {
        let mut out = [0; 2_000];
        let mut writer = Writer::new(&mut out, Class::Indication, Method::SEND, self.transaction());
        writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer);
        if dont_fragment {
            writer.put(attribute::DONT_FRAGMENT, &[]);
        }
        let len = writer.put(attribute::DATA, data).finish().unwrap();
        self.send(&out[..len]);
    }

    /// Data to a peer on a channel.
    pub fn say(&self, channel: u16, data: &[u8]) {
        let head = channel_data::header(channel, data.len() as u16);
        self.send(&[&head[..], data].concat());
    }

    /// The next datagram, which must be ChannelData: channel and data.
    pub fn hear_channel(&mut self) -> (u16, Vec<u8>) {
        let datagram = self.hear();
        let (channel, data) = channel_data::read(&datagram).expect("ChannelData");
        (channel, data.to_vec())
    }

    /// The next datagram, which must be a Data indication: peer and data.
    pub fn hear_data(&mut self) -> (SocketAddr, Vec<u8>) {
        let heard = Heard(self.hear());
        let message = heard.message();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        let data = message.get(attribute::DATA).expect("DATA").to_vec();
        (heard.address(attribute::XOR_PEER_ADDRESS), data)
    }
}
