//! The relay sockets of a back end over the kernel: numbered, bounded, and asked what the network says of
//! what they sent.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use elara_core::ClientAddr;
use elara_core::limits::{CYCLE_REPORTS_MAX, RELAY_SOCKETS_MAX, TROUBLED_CYCLES};

use super::{Port, Unreachable};
use crate::socket;
use crate::sys::message::Family;
use crate::sys::reports::{self, Report, Undelivered};

/// Sockets by their number; 0 is the shard's own and not here.
pub(super) struct Sockets {
    relays: Vec<Number>,
    free: Vec<u16>,
    most: usize,
    /// Those whose error queue may have something, each once.
    suspects: VecDeque<u16>,
    /// What has been read already, and not been asked for.
    told: VecDeque<Unreachable>,
    /// Looks into error queues that this cycle still has.
    looks: usize,
    /// Cycles so far.
    cycle: u64,
}

#[derive(Default)]
struct Number {
    relay: Option<Relay>,
    /// It is among the suspects.
    suspect: bool,
    /// The cycle until which it counts as troubled.
    trouble: u64,
}

struct Relay {
    socket: UdpSocket,
    family: Family,
    /// It is closed as far as the shard knows.
    closed: bool,
}

impl Sockets {
    /// Room for so many, and no more than the limit.
    pub(super) fn new(most: usize) -> Self {
        Self {
            relays: vec![Number::default()],
            free: Vec::new(),
            most: most.min(RELAY_SOCKETS_MAX),
            suspects: VecDeque::new(),
            told: VecDeque::with_capacity(CYCLE_REPORTS_MAX),
            looks: CYCLE_REPORTS_MAX,
            cycle: 1,
        }
    }

    /// Opens one. It has its number until that is [freed](Self::free).
    pub(super) fn open(&mut self, local: SocketAddr) -> io::Result<Port> {
        if local.port() == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.free.is_empty() && self.relays.len() > self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let socket = socket::relay(local)?;
        let relay = Some(Relay { socket, family: Family::of(&local), closed: false });
        let number = if let Some(number) = self.free.pop() {
            let again = &mut self.relays[usize::from(number)];
            (again.relay, again.trouble) = (relay, 0);
            number
        } else {
            self.relays.push(Number { relay, ..Number::default() });
            // What is said of them later finds its room.
            let all = self.relays.len();
            self.free.reserve(all);
            self.suspects.reserve(all - self.suspects.len());
            (all - 1) as u16
        };
        Ok(Port(number))
    }

    /// Whether there are any, closed ones that are not gone included.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.relays.len() - self.free.len() == 1
    }

    /// The socket of an open one, and its family.
    #[inline]
    pub(super) fn find(&self, port: Port) -> Option<(BorrowedFd<'_>, Family)> {
        let relay = self.relays.get(usize::from(port.0))?.relay.as_ref()?;
        (!relay.closed).then(|| (relay.socket.as_fd(), relay.family))
    }

    /// Nothing is sent from it any more. False when it was not open.
    pub(super) fn close(&mut self, port: Port) -> bool {
        let number = self.relays.get_mut(usize::from(port.0));
        let relay = number.and_then(|number| number.relay.as_mut());
        relay.is_some_and(|relay| !std::mem::replace(&mut relay.closed, true))
    }

    /// Its socket goes, and its number is free.
    pub(super) fn free(&mut self, port: Port) {
        let number = self.relays.get_mut(usize::from(port.0));
        if number.is_some_and(|number| number.relay.take().is_some()) {
            self.free.push(port.0);
        }
    }

    /// Its error queue may have something.
    pub(super) fn suspect(&mut self, port: Port) {
        let Some(number) = self.relays.get_mut(usize::from(port.0)) else { return };
        number.trouble = self.cycle + TROUBLED_CYCLES;
        if !std::mem::replace(&mut number.suspect, true) {
            self.suspects.push_back(port.0);
        }
    }

    /// The socket of an open one, and its family, if it has heard of an error a short while ago: it may hear
    /// of the next one in the middle of its sends.
    #[inline]
    pub(super) fn troubled(&self, port: Port) -> Option<(BorrowedFd<'_>, Family)> {
        let number = self.relays.get(usize::from(port.0))?;
        if number.trouble <= self.cycle { None } else { self.find(port) }
    }

    /// Another cycle.
    #[inline]
    pub(super) const fn enter(&mut self) {
        self.looks = CYCLE_REPORTS_MAX;
        self.cycle += 1;
    }

    /// There was an error when a datagram left for `to` that nobody may cut. Where our own card is what is
    /// too narrow for it, the kernel does not say for which port it was, so that it is asked at once.
    pub(super) fn heard(&mut self, port: Port, to: &ClientAddr) {
        while self.looks > 0 && self.told.len() < CYCLE_REPORTS_MAX {
            let Some((socket, _)) = self.find(port) else { return };
            match reports::next(socket) {
                Some(Report::Undelivered(it)) => {
                    let to = if it.to.port() == 0 && it.to.ip() == to.ip() { *to } else { it.to };
                    let said = unreachable(port, Undelivered { to, ..it });
                    // It was tried twice, and refused twice.
                    if self.told.back() != Some(&said) {
                        self.told.push_back(said);
                    }
                }
                Some(Report::Other) => {}
                None => return,
            }
            self.looks -= 1;
        }
        self.suspect(port);
    }

    /// What the network has to say next, while this cycle may still look.
    pub(super) fn unreachable(&mut self) -> Option<Unreachable> {
        while let Some(told) = self.told.pop_front() {
            if self.find(told.port).is_some() {
                return Some(told);
            }
        }
        while let Some(first) = self.suspects.front().copied() {
            let number = &mut self.relays[usize::from(first)];
            let open = number.relay.as_ref().filter(|relay| !relay.closed);
            let report = match open {
                Some(_) if self.looks == 0 => return None,
                Some(relay) => {
                    self.looks -= 1;
                    reports::next(relay.socket.as_fd())
                }
                None => None,
            };
            match report {
                // A port that is not named is nobody's.
                Some(Report::Undelivered(it)) if it.to.port() > 0 => {
                    return Some(unreachable(Port(first), it));
                }
                Some(_) => {}
                None => {
                    number.suspect = false;
                    self.suspects.pop_front();
                }
            }
        }
        None
    }
}

const fn unreachable(port: Port, it: Undelivered) -> Unreachable {
    Unreachable { port, to: it.to, kind: it.kind, code: it.code, info: it.info }
}
