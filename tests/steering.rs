//! Where the kernel puts a datagram: sessions by id, STUN and ChannelData by client, runts anywhere.
//!
//! Held for 1, 2 and 4 shards, IPv4 and IPv6, single datagrams and GRO trains, by looking which socket of
//! the SO_REUSEPORT group received what.

mod support;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use elara_core::{ClientAddr, SessionId};
use elara_shards::sys::message::Family;
use elara_shards::sys::mmsg::SendBatch;
use elara_shards::{socket, steer};
use support::frames::frame_of;

/// The sockets of a node with this many shards, and where clients find it.
fn port(shards: usize, listen: &str, client: &str) -> (Vec<UdpSocket>, SocketAddr, UdpSocket) {
    let sockets = socket::bind(listen.parse().unwrap(), shards).unwrap();
    let client: SocketAddr = client.parse().unwrap();
    let to = SocketAddr::new(client.ip(), sockets[0].local_addr().unwrap().port());
    (sockets, to, UdpSocket::bind(client).unwrap())
}

/// How many bytes each socket has received since the last time.
fn received(sockets: &[UdpSocket]) -> Vec<usize> {
    let mut buffer = vec![0; 65_536];
    sockets
        .iter()
        .map(|socket| std::iter::from_fn(|| socket.recv(&mut buffer).ok()).sum())
        .collect()
}

/// The index of the one socket that received something.
fn receiver(sockets: &[UdpSocket]) -> usize {
    let received = received(sockets);
    let got: Vec<usize> = (0..received.len()).filter(|index| received[*index] > 0).collect();
    assert_eq!(got.len(), 1, "one socket received it: {received:?}");
    got[0]
}

const PLACES: [(&str, &str); 4] = [
    ("127.0.0.1:0", "127.0.0.1:0"),
    ("[::1]:0", "[::1]:0"),
    ("[::]:0", "127.0.0.1:0"),
    ("[::]:0", "[::1]:0"),
];

#[test]
fn everyone_of_a_session_lands_on_its_shard() {
    for shards in [1, 2, 4] {
        for (listen, client) in PLACES {
            let (sockets, to, alice) = port(shards, listen, client);
            let bob = UdpSocket::bind((to.ip(), 0)).unwrap();
            for session in (1..=40).map(|n: u64| n.wrapping_mul(0x1234_5678_9ABC_DEF1)) {
                for (node, who) in [&alice, &bob].into_iter().enumerate() {
                    who.send_to(&frame_of(session, node as u64, 100, 0), to).unwrap();
                    let shard = steer::shard_of(SessionId(session), shards);
                    assert_eq!(receiver(&sockets), shard, "{shards} shards, {listen}");
                }
            }
        }
    }
}

#[test]
fn a_train_lands_whole_on_its_sessions_shard() {
    for shards in [2, 4] {
        for (listen, client) in PLACES {
            let (sockets, to, alice) = port(shards, listen, client);
            let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
            let mut batch = SendBatch::new(1, 1, family);
            for session in 1..=20 {
                let burst: Vec<u8> = (0..10).flat_map(|n| frame_of(session, 1, 1_200, n)).collect();
                let mut sending = batch.begin();
                assert!(sending.push(Some(&ClientAddr::from(to)), [&burst[..]], 1_200));
                assert_eq!(sending.flush(alice.as_fd()).sent, 10);
                let received = received(&sockets);
                let shard = steer::shard_of(SessionId(session), shards);
                assert_eq!(received[shard], burst.len(), "{shards} shards, {listen}: {received:?}");
            }
        }
    }
}

/// What `payload` does, sent by forty clients: each always to one socket, all of them to every socket.
fn goes_by_client(payload: &[u8]) {
    for shards in [2, 4] {
        for (listen, client) in PLACES {
            let (sockets, to, _) = port(shards, listen, client);
            let mut used = BTreeSet::new();
            for _ in 0..40 {
                let client = UdpSocket::bind((to.ip(), 0)).unwrap();
                client.send_to(payload, to).unwrap();
                let home = receiver(&sockets);
                client.send_to(payload, to).unwrap();
                assert_eq!(receiver(&sockets), home, "a client stays where it is");
                used.insert(home);
            }
            assert_eq!(used.len(), shards, "clients spread over all {shards} shards of {listen}");
        }
    }
}

#[test]
fn stun_goes_by_client() {
    let mut stun = [7; 28];
    stun[..8].copy_from_slice(&[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42]);
    goes_by_client(&stun);
}

#[test]
fn channel_data_goes_by_client() {
    let mut channel_data = [7; 64];
    channel_data[0] = 0x40;
    goes_by_client(&channel_data);
}

#[test]
fn runts_spread() {
    // Too short to name a session: by client.
    goes_by_client(&[0; 11]);
    // Long enough for that and too short for a frame: by what would be the session.
    for shards in [2, 4] {
        let (sockets, to, client) = port(shards, "127.0.0.1:0", "127.0.0.1:0");
        let mut used = BTreeSet::new();
        for session in 0..40u64 {
            client.send_to(&frame_of(session, 0, 46, 0)[..45], to).unwrap();
            used.insert(receiver(&sockets));
        }
        assert_eq!(used.len(), shards);
    }
}

#[test]
fn the_port_is_not_shared_with_another_node() {
    for shards in [1, 2] {
        let (sockets, _, _) = port(shards, "127.0.0.1:0", "127.0.0.1:0");
        let taken = sockets[0].local_addr().unwrap();
        for others in [1, 2] {
            let error = socket::bind(taken, others).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        }
    }
}
