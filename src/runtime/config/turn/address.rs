//! Where TURN relays from, and what clients are told of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use elara_core::turn::Relay;

use super::TurnConfig;
use crate::error::TurnError;

/// What clients are told in place of an address of this machine: `10.0.0.5=203.0.113.7`, or the second alone
/// where there is one relay address of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalIp {
    /// The address relay sockets are on; `None`: that of the same family.
    pub internal: Option<IpAddr>,
    /// The address clients and peers see.
    pub external: IpAddr,
}

/// Text that says no [`ExternalIp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadExternalIp;

impl fmt::Display for BadExternalIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it must be the address clients see, such as 203.0.113.7, or an address of this machine and \
             that one, such as 10.0.0.5=203.0.113.7",
        )
    }
}

impl FromStr for ExternalIp {
    type Err = BadExternalIp;

    fn from_str(text: &str) -> Result<Self, BadExternalIp> {
        let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| BadExternalIp);
        Ok(match text.split_once('=') {
            Some((internal, external)) => {
                Self { internal: Some(ip(internal)?), external: ip(external)? }
            }
            None => Self { internal: None, external: ip(text)? },
        })
    }
}

impl TurnConfig {
    /// Checks what relay sockets are opened on and what is told of it.
    pub(super) fn check_addresses(&self, listen: SocketAddr) -> Result<(), TurnError> {
        for (index, addr) in self.relay.iter().enumerate() {
            if !is_host(*addr) {
                return Err(TurnError::RelayAddress { addr: *addr, index });
            }
            if self.relay[..index].iter().any(|earlier| same_family(*earlier, *addr)) {
                return Err(TurnError::RelayTwice { addr: *addr, index });
            }
        }
        let hosts = self.hosts(listen);
        if hosts.is_empty() && self.is_open() {
            return Err(TurnError::NoRelay { listen });
        }
        for (index, ExternalIp { internal, external }) in self.external_ip.iter().enumerate() {
            let external = external.to_canonical();
            if !is_host(external) {
                return Err(TurnError::ExternalAddress { addr: external, index });
            }
            let mut earlier = self.external_ip[..index].iter();
            if earlier.any(|earlier| same_family(earlier.external, external)) {
                return Err(TurnError::ExternalTwice { addr: external, index });
            }
            let of = hosts.iter().find(|host| same_family(**host, external));
            let named = internal.map_or(of.is_some(), |ip| of == Some(&ip.to_canonical()));
            // Without a relay address nothing is relayed, and nothing can be said of what stands for it.
            if !named && !hosts.is_empty() {
                return Err(TurnError::ExternalOfNone { addr: external, index });
            }
        }
        Ok(())
    }

    /// The addresses to open relay sockets on: none when `listen` would have to say and does not.
    fn hosts(&self, listen: SocketAddr) -> Vec<IpAddr> {
        if !self.relay.is_empty() {
            return self.relay.iter().map(IpAddr::to_canonical).collect();
        }
        Some(listen.ip().to_canonical()).filter(|ip| !ip.is_unspecified()).into_iter().collect()
    }

    /// The addresses that relay sockets of a node listening on `listen` are opened on, each with what clients
    /// are told of it.
    #[must_use]
    pub fn relays(&self, listen: SocketAddr) -> Vec<Relay> {
        let external = |host: IpAddr| {
            let external = self.external_ip.iter().map(|ip| ip.external.to_canonical());
            external.into_iter().find(|external| same_family(*external, host))
        };
        let hosts = self.hosts(listen).into_iter();
        hosts.map(|listen| Relay { listen, external: external(listen) }).collect()
    }
}

fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical().is_ipv4() == b.to_canonical().is_ipv4()
}

/// Whether a socket can be bound to it and be reached at it.
fn is_host(addr: IpAddr) -> bool {
    let addr = addr.to_canonical();
    !addr.is_unspecified() && !addr.is_multicast() && addr != IpAddr::V4(Ipv4Addr::BROADCAST)
}
