//! Someone who uses our TURN server over a real socket, one datagram at a time.

use std::net::{SocketAddr, UdpSocket};

use elara_core::stun::{
    Algorithm, Class, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, attribute,
    channel_data,
};

use super::caller::PATIENCE;

/// What a TURN client says: messages, signed as soon as it knows realm and nonce.
pub struct Talker {
    user: &'static str,
    password: &'static str,
    /// Realm and nonce, as the server last said them.
    realm: String,
    nonce: Vec<u8>,
    count: u64,
}

impl Talker {
    pub fn new(user: &'static str, password: &'static str) -> Self {
        Self { user, password, realm: String::new(), nonce: Vec::new(), count: 0 }
    }

    /// A transaction nobody had before.
    fn transaction(&mut self) -> TransactionId {
        self.count += 1;
        let mut id = [7; 12];
        id[..8].copy_from_slice(&self.count.to_be_bytes());
        id[8..].copy_from_slice(&(self as *const Self as u32).to_be_bytes());
        TransactionId(id)
    }

    /// A message without a signature.
    pub fn plain(
        &mut self,
        class: Class,
        method: Method,
        fill: impl Fn(&mut Writer<'_>),
    ) -> Vec<u8> {
        let mut out = [0; 2_000];
        let mut writer = Writer::new(&mut out, class, method, self.transaction());
        fill(&mut writer);
        let len = writer.finish().unwrap();
        out[..len].to_vec()
    }

    /// A request, signed where the server has said how.
    pub fn request(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
        if self.nonce.is_empty() {
            return self.plain(Class::Request, method, fill);
        }
        let (md5, sha1) = (PasswordAlgorithm::Md5, Algorithm::Sha1);
        let key = Key::long_term(self.user, &self.realm, self.password, md5, sha1);
        let mut out = [0; 2_000];
        let mut writer = Writer::new(&mut out, Class::Request, method, self.transaction());
        fill(&mut writer);
        writer.put(attribute::USERNAME, self.user.as_bytes());
        writer.put(attribute::REALM, self.realm.as_bytes()).put(attribute::NONCE, &self.nonce);
        let len = writer.sign(&key).finish().unwrap();
        out[..len].to_vec()
    }

    /// Takes realm and nonce from a challenge; false when the answer is none.
    pub fn learn(&mut self, heard: &Heard) -> bool {
        let message = heard.message();
        let (true, Some(nonce)) =
            (matches!(heard.error(), 401 | 438), message.get(attribute::NONCE))
        else {
            return false;
        };
        self.nonce = nonce.to_vec();
        self.realm = message.text(attribute::REALM).unwrap().unwrap().to_owned();
        true
    }

    /// Data to a peer in a Send indication.
    pub fn indication(&mut self, peer: SocketAddr, data: &[u8], dont_fragment: bool) -> Vec<u8> {
        self.plain(Class::Indication, Method::SEND, |writer| {
            writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer);
            if dont_fragment {
                writer.put(attribute::DONT_FRAGMENT, &[]);
            }
            writer.put(attribute::DATA, data);
        })
    }
}

/// What Allocate asks for: a relayed address over UDP.
pub fn over_udp(writer: &mut Writer<'_>) {
    writer.put(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
}

/// What ChannelBind asks for.
pub fn on_channel(channel: u16, peer: SocketAddr) -> impl Fn(&mut Writer<'_>) {
    move |writer| {
        writer.put(attribute::CHANNEL_NUMBER, &[(channel >> 8) as u8, channel as u8, 0, 0]);
        writer.put_address_xor(attribute::XOR_PEER_ADDRESS, peer);
    }
}

/// Data on a channel, as it travels.
pub fn channel_data_of(channel: u16, data: &[u8]) -> Vec<u8> {
    [&channel_data::header(channel, data.len() as u16)[..], data].concat()
}

/// A TURN client with a user name, a password and a socket.
pub struct TurnCaller {
    socket: UdpSocket,
    server: SocketAddr,
    talker: Talker,
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
        Self { socket, server, talker: Talker::new(user, password), buffer: vec![0; 65_536] }
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
        let (len, from) =
            self.socket.recv_from(&mut self.buffer).expect("the server says something");
        assert_eq!(from, self.server);
        self.buffer[..len].to_vec()
    }

    /// Whether something has come that has not been heard.
    pub fn has_mail(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let mail = self.socket.peek_from(&mut [0]).is_ok();
        self.socket.set_nonblocking(false).unwrap();
        mail
    }

    /// One request without credentials, and the answer to it.
    pub fn ask(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Heard {
        let request = self.talker.plain(Class::Request, method, fill);
        self.send(&request);
        Heard(self.hear())
    }

    /// One request, signed; what the server says of its realm and nonce is learned first where needed.
    pub fn request(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Heard {
        for _ in 0..3 {
            let request = self.talker.request(method, &fill);
            self.send(&request);
            let heard = Heard(self.hear());
            if !self.talker.learn(&heard) {
                return heard;
            }
        }
        panic!("the server believes nobody");
    }

    /// One request, signed with what is known; the answer, whatever it says.
    pub fn insist(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Heard {
        let request = self.talker.request(method, fill);
        self.send(&request);
        Heard(self.hear())
    }

    /// A relayed address over IPv4, or the family numbered so.
    pub fn allocate(&mut self, family: Option<u8>) -> SocketAddr {
        let heard = self.request(Method::ALLOCATE, |writer| {
            over_udp(writer);
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
        self.request(Method::CHANNEL_BIND, on_channel(channel, peer)).error()
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
        let indication = self.talker.indication(peer, data, dont_fragment);
        self.send(&indication);
    }

    /// Data to a peer on a channel.
    pub fn say(&self, channel: u16, data: &[u8]) {
        self.send(&channel_data_of(channel, data));
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
