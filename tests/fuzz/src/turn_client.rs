//! The client's side of TURN, at the mercy of whoever can read what it asks and does not know its password.
//!
//! An input is a story: steps of an operation, a length and so many bytes. Claims: nothing panics; whoever
//! runs the machine is never called at once again for nothing; what was asked with a signature is granted
//! by nobody; data comes of peers that were let in; what is told is bounded.

use std::net::SocketAddr;

use elara_core::limits::{STUN_MESSAGE_MAX, TURN_CLIENT_EVENTS_MAX, TURN_CLIENT_PEERS_MAX};
use elara_core::random::{GuessableKeys, Seeded};
use elara_core::stun::{Class, Message, Method, Writer, attribute};
use elara_core::time::{Instant, Span};
use elara_core::turn::client::{Client, Credentials, Discovery, Event, Family, Received};

/// Requests that may still be answered.
const REMEMBERED: usize = 8;

/// A client, and what it has asked.
struct Story {
    client: Client,
    now: Instant,
    keys: GuessableKeys<Seeded>,
    asked: Vec<Vec<u8>>,
    /// Whether the last request of each method was signed.
    signed: Vec<(Method, bool)>,
    peers: Vec<SocketAddr>,
}

/// One client's life as the bytes have it.
pub fn fuzz_turn_client(mut bytes: &[u8]) {
    let credentials = Credentials::new("ann", "open sesame");
    let mut story = Story {
        client: Client::new(Some(credentials), Family::V4, Instant::ZERO),
        now: Instant::ZERO,
        keys: GuessableKeys(Seeded::new(7)),
        asked: Vec::new(),
        signed: Vec::new(),
        peers: Vec::new(),
    };
    story.look_after();
    while let Some((&[operation, len], rest)) = bytes.split_first_chunk() {
        let (data, after) = rest.split_at(rest.len().min(len.into()));
        bytes = after;
        story.step(operation, data);
        story.look_after();
    }
}

impl Story {
    fn step(&mut self, operation: u8, data: &[u8]) {
        let first = data.first().copied().unwrap_or_default();
        let asked = self.asked.get(usize::from(operation >> 3) % self.asked.len().max(1)).cloned();
        match (operation % 8, asked) {
            (0, Some(asked)) => self.answer(&asked, Class::Error, data, |writer| {
                writer.put_error(401).put(attribute::REALM, b"r").put(attribute::NONCE, b"n");
            }),
            (1, Some(asked)) => self.answer(&asked, Class::Success, data, |writer| {
                let addr = SocketAddr::from(([192, 0, 2, 1], 50_000));
                writer.put_address_xor(attribute::XOR_RELAYED_ADDRESS, addr);
                writer.put_address_xor(attribute::XOR_MAPPED_ADDRESS, addr);
                writer.put_u32(attribute::LIFETIME, u32::from(first) * 60);
            }),
            (2, Some(asked)) => self.answer(&asked, Class::Error, data, |_| {}),
            (3, _) => self.take_in(data),
            (4, _) => self.now = self.now + Span::from_secs(1 + u64::from(first) * 4),
            (5, _) => {
                let peer = SocketAddr::from(([203, 0, 113, 5], first.into()));
                let permitted = match first % 2 {
                    0 => self.client.bind(peer, self.now).is_some(),
                    _ => self.client.permit(peer.ip(), self.now),
                };
                if permitted {
                    self.peers.push(peer);
                }
            }
            (6, _) if first == 0xFF => self.client.close(self.now),
            (7, _) if first == 0xFF => self.client.handle_refusal(),
            _ => {}
        }
    }

    /// An answer to what was asked, with one more attribute of the story's.
    fn answer(
        &mut self,
        asked: &[u8],
        class: Class,
        data: &[u8],
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let request = Message::parse(asked).expect("what it says can be read");
        let mut out = [0; STUN_MESSAGE_MAX];
        let mut writer = Writer::answer(&mut out, &request, class);
        write(&mut writer);
        if let Some((kind, value)) = data.split_first_chunk() {
            writer.put(u16::from_be_bytes(*kind), value);
        }
        if let Some(len) = writer.finish() {
            self.take_in(&out[..len]);
        }
    }

    fn take_in(&mut self, datagram: &[u8]) {
        let received = self.client.handle_datagram(datagram, self.now);
        if let Received::Data { peer, bytes } = received {
            assert!(self.peers.iter().any(|admitted| admitted.ip() == peer.ip()));
            assert!(bytes.len() + 4 <= datagram.len());
        }
        let mut discovery = Discovery::new(self.now);
        assert!(discovery.handle_datagram(datagram).is_err(), "it has asked nothing");
    }

    fn look_after(&mut self) {
        let mut out = [0; STUN_MESSAGE_MAX];
        let mut sent = 0;
        while let Some(len) = self.client.poll_transmit(self.now, &mut self.keys, &mut out) {
            let request = Message::parse(&out[..len]).expect("what it says can be read");
            let signed = request.has_integrity().is_some();
            self.signed.retain(|(method, _)| *method != request.method());
            self.signed.push((request.method(), signed));
            if self.asked.len() >= REMEMBERED {
                self.asked.remove(0);
            }
            self.asked.push(out[..len].to_vec());
            sent += 1;
            assert!(sent <= 1 + TURN_CLIENT_PEERS_MAX, "one request for each thing at a time");
        }
        assert!(self.client.next_due().is_none_or(|due| due > self.now));
        let mut told = 0;
        while let Some(event) = self.client.poll_event() {
            let granted = match event {
                Event::Ready(_) => Some(Method::ALLOCATE),
                Event::Permitted { .. } => Some(Method::CREATE_PERMISSION),
                Event::Bound { .. } => Some(Method::CHANNEL_BIND),
                _ => None,
            };
            let signed = granted.map(|method| self.signed.contains(&(method, true)));
            assert_ne!(signed, Some(true), "{event:?} by nobody who knows the password");
            told += 1;
        }
        assert!(told <= TURN_CLIENT_EVENTS_MAX);
    }
}
