//! A relay with its keys, and clients that speak and listen, for tests of the client an application uses.

use std::net::SocketAddr;
use std::time::Duration;

use elara_core::SessionId;
use elara_core::crypto::{
    Claims, ExchangeKey, Identity, JoinAddress, Permissions, Secret, Subject, Token,
};
use elara_runtime::keys::OsRandom;
use elara_runtime::{
    Client, ClientNotice, ClientNotices, ClientOptions, MediaFrame, Node, NodeConfig, NodeHandle,
    PublishError, PublishOptions, Publisher, Selector, StreamKind, Subscription, V1Config,
};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::caller::PATIENCE;

pub const SESSION: SessionId = SessionId(0x5E55_1000);
pub const MEMBER: Permissions = Permissions::SEND_ALL.and(Permissions::RECEIVE);

/// A relay's keys and an issuer's, which outlive the relay's process.
pub struct House {
    relay: ExchangeKey,
    issuer: Identity,
    key: Secret<32>,
}

/// A relay that runs.
pub struct Relay {
    pub addr: SocketAddr,
    pub handle: NodeHandle,
    run: JoinHandle<()>,
}

impl House {
    pub fn new() -> Self {
        Self {
            relay: ExchangeKey::generate(&mut OsRandom),
            issuer: Identity::generate(&mut OsRandom),
            key: Secret::generate(&mut OsRandom),
        }
    }

    pub async fn open(&self, addr: SocketAddr) -> Relay {
        let v1 = V1Config {
            relay_keys: vec![self.relay.clone()],
            issuers: vec![(1, *self.issuer.public())],
            ..V1Config::default()
        };
        let config = NodeConfig { bind_addr: addr, shards: 2, v1, ..NodeConfig::default() };
        let mut node = Node::new(config).await.unwrap();
        let (addr, handle) = (node.local_addr(), node.handle());
        let run = tokio::spawn(async move { node.run().await.unwrap() });
        handle.running().await.unwrap();
        Relay { addr, handle, run }
    }

    pub async fn open_anywhere(&self) -> Relay {
        self.open("127.0.0.1:0".parse().unwrap()).await
    }

    /// An address for whoever shows it first, with this permission, that leads to `addr`.
    pub fn address_of(
        &self,
        addr: SocketAddr,
        permissions: Permissions,
        expires: u32,
    ) -> JoinAddress {
        let claims = Claims {
            kid: 1,
            session: SESSION,
            subject: Subject::Bearer(*Secret::<32>::generate(&mut OsRandom).expose()),
            permissions,
            not_before: 0,
            expires,
            max_kbps: 0,
            max_pps: 0,
            priority: 0,
        };
        JoinAddress {
            host: addr.ip().to_string(),
            port: addr.port(),
            session: SESSION,
            relay: *self.relay.public(),
            token: Token::mint(&self.issuer, &claims),
            key: self.key.clone(),
        }
    }

    pub fn address(&self, addr: SocketAddr) -> JoinAddress {
        self.address_of(addr, MEMBER, u32::MAX)
    }

    pub async fn join(&self, addr: SocketAddr) -> Client {
        let options = ClientOptions { deadline: PATIENCE, ..ClientOptions::default() };
        Client::join(self.address(addr), options).await.unwrap()
    }
}

impl Relay {
    pub async fn stop(self) {
        self.handle.shutdown(PATIENCE).await.unwrap();
        self.run.await.unwrap();
    }
}

/// A client that speaks and listens.
pub struct Talker {
    pub client: Client,
    pub text: Publisher,
    pub heard: Subscription,
    pub notices: ClientNotices,
}

impl Talker {
    pub fn new(client: Client) -> Self {
        Self {
            text: client.publish(StreamKind::Text, PublishOptions::default()).unwrap(),
            heard: client.subscribe(Selector::all()).unwrap(),
            notices: client.notices(),
            client,
        }
    }

    pub async fn noticed(&mut self, wanted: impl Fn(&ClientNotice) -> bool) -> ClientNotice {
        let listening = async {
            loop {
                let notice = self.notices.recv().await.expect("the client has not left");
                if wanted(&notice) {
                    return notice;
                }
            }
        };
        timeout(PATIENCE, listening).await.expect("it happens in time")
    }
}

/// Says `what` again and again until it is heard: the first may come before the wish to hear it, or
/// be lost.
pub async fn reach(from: &Talker, to: &mut Talker, what: &str) -> MediaFrame {
    let mut again = interval(Duration::from_millis(20));
    let reaching = async {
        loop {
            tokio::select! {
                _ = again.tick() => {
                    // While there is no connection, frames are dropped.
                    let sent = from.text.send(what.as_bytes());
                    assert!(matches!(sent, Ok(()) | Err(PublishError::NotConnected)));
                }
                frame = to.heard.recv() => {
                    let frame = frame.expect("the client has not left");
                    if frame.content == what.as_bytes() && frame.node == from.client.node_id() {
                        return frame;
                    }
                }
            }
        }
    };
    timeout(PATIENCE, reaching).await.unwrap_or_else(|_| panic!("\"{what}\" is never heard"))
}
