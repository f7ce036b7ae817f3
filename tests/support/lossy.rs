//! A bad network between clients and a relay: a UDP proxy that loses what chance says.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use elara_core::random::{Random, Seeded};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// What the network does to a datagram.
struct Weather {
    loss: AtomicU32,
    chance: Mutex<Seeded>,
}

impl Weather {
    fn lets_through(&self) -> bool {
        !self.chance.lock().unwrap().chance(self.loss.load(Ordering::Relaxed))
    }
}

/// The network. It ends when dropped.
pub struct Lossy {
    pub addr: SocketAddr,
    weather: Arc<Weather>,
    _tasks: JoinSet<()>,
}

impl Lossy {
    /// A network towards `relay` that loses `loss` in a million datagrams, either way.
    pub async fn new(relay: SocketAddr, loss: u32, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let addr = front.local_addr().unwrap();
        let chance = Mutex::new(Seeded::new(seed));
        let weather = Arc::new(Weather { loss: AtomicU32::new(loss), chance });
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(front, relay, weather.clone()));
        Self { addr, weather, _tasks: tasks }
    }

    pub fn lose(&self, loss: u32) {
        self.weather.loss.store(loss, Ordering::Relaxed);
    }
}

/// Upward for everyone; the way down of each client is a task of its own.
async fn carry(front: Arc<UdpSocket>, relay: SocketAddr, weather: Arc<Weather>) {
    let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut datagram = [0; 2_048];
    loop {
        // A client that has closed its socket makes the front one fail once.
        let Ok((len, client)) = front.recv_from(&mut datagram).await else { continue };
        if let Entry::Vacant(entry) = ways.entry(client) {
            let way = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            way.connect(relay).await.unwrap();
            tasks.spawn(carry_down(way.clone(), front.clone(), client, weather.clone()));
            entry.insert(way);
        }
        if weather.lets_through() {
            let _ = ways[&client].send(&datagram[..len]).await;
        }
    }
}

async fn carry_down(
    way: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    weather: Arc<Weather>,
) {
    let mut datagram = [0; 2_048];
    loop {
        // While the relay is down, the kernel says so here.
        let Ok(len) = way.recv(&mut datagram).await else { continue };
        if weather.lets_through() {
            let _ = front.send_to(&datagram[..len], client).await;
        }
    }
}
