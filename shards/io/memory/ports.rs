//! The ports of a shard in memory: numbers, and the addresses they stand for.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;

use elara_core::limits::{CYCLE_REPORTS_MAX, RELAY_SOCKETS_MAX};

use crate::io::{Port, Unreachable};

/// Reports that wait at most, of all ports: what finds no room is lost, as it is where a socket's is full.
const REPORTS: usize = 4 * CYCLE_REPORTS_MAX;

/// Ports by their number; 0 is the shard's own, always open and without an address.
pub(super) struct Ports {
    entries: Vec<Entry>,
    by_address: HashMap<SocketAddr, Port>,
    free: Vec<u16>,
    /// Closed, and not free before the next cycle.
    closed: Vec<u16>,
    reports: VecDeque<Unreachable>,
    looks: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    local: Option<SocketAddr>,
    is_open: bool,
    /// What is for an earlier socket of this number is nobody's.
    generation: u16,
}

/// A port as something that is under way names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) port: Port,
    generation: u16,
}

impl Ports {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![Entry { local: None, is_open: true, generation: 0 }],
            by_address: HashMap::new(),
            free: Vec::new(),
            closed: Vec::new(),
            reports: VecDeque::with_capacity(REPORTS),
            looks: CYCLE_REPORTS_MAX,
        }
    }

    pub(super) fn open(&mut self, local: SocketAddr) -> io::Result<Port> {
        if local.port() == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.free.is_empty() && self.entries.len() > RELAY_SOCKETS_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.by_address.contains_key(&local) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let number = if let Some(number) = self.free.pop() {
            number
        } else {
            self.entries.push(Entry { local: None, is_open: false, generation: 0 });
            let all = self.entries.len();
            self.closed.reserve(all - self.closed.len());
            self.free.reserve(all);
            (all - 1) as u16
        };
        let entry = &mut self.entries[usize::from(number)];
        (entry.local, entry.is_open) = (Some(local), true);
        self.by_address.insert(local, Port(number));
        Ok(Port(number))
    }

    /// False when it was not open, or is the shard's own.
    pub(super) fn close(&mut self, port: Port) -> bool {
        let entry = self.entries.get_mut(usize::from(port.0));
        let Some(entry) = entry.filter(|entry| entry.is_open && port != Port::DATA) else {
            return false;
        };
        entry.is_open = false;
        entry.generation = entry.generation.wrapping_add(1);
        self.closed.push(port.0);
        self.reports.retain(|report| report.port != port);
        true
    }

    /// Another cycle: what was closed is gone.
    pub(super) fn enter(&mut self) {
        self.looks = CYCLE_REPORTS_MAX;
        for number in self.closed.drain(..) {
            if let Some(local) = self.entries[usize::from(number)].local.take() {
                self.by_address.remove(&local);
            }
            self.free.push(number);
        }
    }

    /// An open port, as it is named by what is under way.
    #[inline]
    pub(super) fn name(&self, port: Port) -> Option<Named> {
        let entry = self.entries.get(usize::from(port.0)).filter(|entry| entry.is_open)?;
        Some(Named { port, generation: entry.generation })
    }

    /// Whether what is named is still there.
    #[inline]
    pub(super) fn knows(&self, named: Named) -> bool {
        self.name(named.port) == Some(named)
    }

    /// The address of an open port; `None` for the shard's own, which has no one address.
    pub(super) fn local(&self, port: Port) -> Option<SocketAddr> {
        self.entries.get(usize::from(port.0)).filter(|entry| entry.is_open)?.local
    }

    /// The open port that has an address.
    pub(super) fn at(&self, local: SocketAddr) -> Option<Port> {
        self.by_address.get(&local).copied().filter(|port| self.name(*port).is_some())
    }

    /// The network says something of what a port has sent. False when there is no room, or no such port.
    pub(super) fn report(&mut self, report: Unreachable) -> bool {
        let room = self.reports.len() < REPORTS;
        let heard = room && report.port != Port::DATA && self.name(report.port).is_some();
        if heard {
            self.reports.push_back(report);
        }
        heard
    }

    pub(super) fn unreachable(&mut self) -> Option<Unreachable> {
        self.looks = self.looks.checked_sub(1)?;
        self.reports.pop_front()
    }
}
