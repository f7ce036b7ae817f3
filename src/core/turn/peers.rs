//! Which peers a client may reach: one table for CreatePermission, ChannelBind and Send alike.
//!
//! An address is brought into its one spelling first (IPv4 mapped into IPv6 is IPv4), and an IPv6 address
//! that carries an IPv4 address is judged as both. What is not out on the internet is denied, unless the
//! operator allows it by name. Of this node itself only relayed addresses can be reached, and its listeners
//! never.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::{Ipv4Addr, SocketAddr};

use super::config::Config;
use super::home::{Family, Homes};
use super::relayed::Relayed;
use crate::{Cidr, ClientAddr};

/// What no peer is, unless it is allowed: this host and network, private and shared addresses, link-local
/// ones (there clouds keep their metadata), loopback, special registries, benchmarks, multicast, what is
/// reserved; the fixed address of one cloud's metadata; and the IPv6 that wraps IPv4 (RFC 8656 section
/// 21.4: 6to4 and Teredo; RFC 4291: IPv4-compatible) or is site-local by RFC 3879.
pub const DENIED: [Cidr; 26] = [
    Cidr::v4([0, 0, 0, 0], 8),
    Cidr::v4([10, 0, 0, 0], 8),
    Cidr::v4([100, 64, 0, 0], 10),
    Cidr::v4([127, 0, 0, 0], 8),
    Cidr::v4([168, 63, 129, 16], 32),
    Cidr::v4([169, 254, 0, 0], 16),
    Cidr::v4([172, 16, 0, 0], 12),
    Cidr::v4([192, 0, 0, 0], 24),
    Cidr::v4([192, 88, 99, 0], 24),
    Cidr::v4([192, 168, 0, 0], 16),
    Cidr::v4([198, 18, 0, 0], 15),
    Cidr::v4([224, 0, 0, 0], 4),
    Cidr::v4([240, 0, 0, 0], 4),
    // `::`, `::1`, and IPv4-compatible.
    Cidr::v6([0; 8], 96),
    // IPv4-translated, RFC 2765.
    Cidr::v6([0, 0, 0, 0, 0xFFFF, 0, 0, 0], 96),
    // NAT64 of local use, RFC 8215.
    Cidr::v6([0x64, 0xFF9B, 1, 0, 0, 0, 0, 0], 48),
    // Discard-only, RFC 6666.
    Cidr::v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    // Teredo.
    Cidr::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    // Benchmarks, RFC 5180, and ORCHID, RFC 4843 and 7343.
    Cidr::v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48),
    Cidr::v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28),
    Cidr::v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28),
    // 6to4.
    Cidr::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    Cidr::v6([0xFC00, 0, 0, 0, 0, 0, 0, 0], 7),
    Cidr::v6([0xFE80, 0, 0, 0, 0, 0, 0, 0], 10),
    Cidr::v6([0xFEC0, 0, 0, 0, 0, 0, 0, 0], 10),
    Cidr::v6([0xFF00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// NAT64, RFC 6052: the IPv4 address stands at the end.
const NAT64: Cidr = Cidr::v6([0x64, 0xFF9B, 0, 0, 0, 0, 0, 0], 96);
/// 6to4, RFC 3056: the IPv4 address stands behind the first two bytes.
const SIX_TO_FOUR: Cidr = Cidr::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
/// IPv4-compatible, RFC 4291 section 2.5.5.1: the IPv4 address stands at the end.
const COMPATIBLE: Cidr = Cidr::v6([0; 8], 96);

/// Who may be a peer.
#[derive(Debug)]
pub(super) struct Peers {
    allowed: Box<[Cidr]>,
    /// Where this node listens for something else than relayed data; its own addresses as all know them.
    listeners: Box<[ClientAddr]>,
    homes: Homes,
    relayed: Arc<Relayed>,
}

impl Peers {
    pub(super) fn new(
        config: &Config,
        homes: Homes,
        relayed: Arc<Relayed>,
        listeners: &[SocketAddr],
    ) -> Self {
        Self {
            allowed: config.allow_peers.iter().copied().collect(),
            listeners: listeners.iter().map(|at| homes.outward(ClientAddr::from(*at)).0).collect(),
            homes,
            relayed,
        }
    }

    /// Allows what `config` says, and denies what it no longer does.
    pub(super) fn allow(&mut self, config: &Config) {
        self.allowed = config.allow_peers.iter().copied().collect();
    }

    /// Whether a permission for this IP address may be installed; its port does not matter.
    pub(super) fn admits_ip(&self, peer: &ClientAddr) -> bool {
        // A relayed address of ours may be private; who is relayed reaches it anyway. Loopback is no address
        // that others reach.
        let (_, own) = self.homes.outward(*peer);
        (own && !peer.is_loopback())
            || [Some(*peer), wrapped(peer)].iter().flatten().all(|form| self.admits_form(form))
    }

    /// Whether data may go to this port of an IP address that a permission was given for.
    #[inline]
    pub(super) fn admits_port(&self, peer: &ClientAddr) -> bool {
        if peer.port() == 0 {
            return false;
        }
        let (peer, own) = self.homes.outward(*peer);
        let everywhere = own || peer.is_loopback();
        let is = |listener: &ClientAddr| {
            let there = listener.ip_bytes() == peer.ip_bytes();
            listener.port() == peer.port()
                && (there || everywhere && listener.ip().is_unspecified())
        };
        if self.listeners.iter().any(is) {
            return false;
        }
        let here = own || self.listeners.iter().any(|own| own.ip_bytes() == peer.ip_bytes());
        let relayed = own && self.relayed.has(Family::of(&peer), peer.port());
        !here || relayed || self.is_allowed(&peer)
    }

    fn admits_form(&self, addr: &ClientAddr) -> bool {
        self.is_allowed(addr) || !DENIED.iter().any(|block| block.contains(addr))
    }

    fn is_allowed(&self, addr: &ClientAddr) -> bool {
        self.allowed.iter().any(|block| block.contains(addr))
    }
}

/// The IPv4 address inside an IPv6 address.
fn wrapped(addr: &ClientAddr) -> Option<ClientAddr> {
    // `::` and `::1` wrap nothing (RFC 4291 section 2.5.5.1): they are what they are.
    if Family::of(addr) == Family::V4 || addr.is_loopback() || addr.ip().is_unspecified() {
        return None;
    }
    let bits = u128::from_be_bytes(*addr.ip_bytes());
    let inner = if NAT64.contains(addr) || COMPATIBLE.contains(addr) {
        bits as u32
    } else if SIX_TO_FOUR.contains(addr) {
        (bits >> 80) as u32
    } else {
        return None;
    };
    Some(ClientAddr::from((Ipv4Addr::from_bits(inner), addr.port())))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use alloc::format;
    use std::vec;

    use super::*;
    use crate::turn::config::Relay;

    fn addr(ip: &str) -> ClientAddr {
        SocketAddr::new(ip.parse().unwrap(), 4_000).into()
    }

    fn at(text: &str) -> ClientAddr {
        text.parse::<SocketAddr>().unwrap().into()
    }

    fn peers(config: &Config, listeners: &[&str]) -> Peers {
        let listeners: vec::Vec<_> = listeners.iter().map(|text| text.parse().unwrap()).collect();
        Peers::new(config, Homes::new(config), Arc::default(), &listeners)
    }

    fn refused(ips: &[&str]) {
        let peers = peers(&Config::default(), &[]);
        for ip in ips {
            assert!(!peers.admits_ip(&addr(ip)), "{ip}");
        }
    }

    /// CVE-2020-26262: peers 0.0.0.0, `::` and `::1` reached what listened on loopback.
    #[test]
    fn cve_2020_26262_this_host_by_its_other_names() {
        refused(&["0.0.0.0", "::", "::1", "127.0.0.1", "127.255.255.254", "0.1.2.3", "::2"]);
    }

    /// CVE-2026-27624: `::ffff:127.0.0.1` passed the table of denied IPv4 addresses.
    #[test]
    fn cve_2026_27624_loopback_in_an_ipv6_coat() {
        refused(&[
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::127.0.0.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
        ]);
        let peers = peers(&Config::default(), &[]);
        for ip in ["::ffff:198.51.100.1", "64:ff9b::198.51.100.1"] {
            assert!(peers.admits_ip(&addr(ip)), "{ip} is out on the internet");
        }
    }

    /// coturn #1947: link-local (cloud metadata), unique local and site-local addresses were open.
    #[test]
    fn coturn_1947_link_local_and_metadata() {
        refused(&[
            "169.254.169.254",
            "fe80::1",
            "febf::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
        ]);
    }

    /// Slack 2020: an open relay into the internal network. coturn #1946: its own databases.
    #[test]
    fn slack_2020_and_coturn_1946_the_internal_network() {
        refused(&[
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
        ]);
    }

    /// RFC 8656 section 21.4: 6to4 and Teredo; and whatever is no single host.
    #[test]
    fn rfc_8656_section_21_4_tunnels_and_groups() {
        refused(&[
            "2002:c633:6401::1",
            "2001::1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "ff02::1",
        ]);
    }

    #[test]
    fn the_internet_is_open() {
        let peers = peers(&Config::default(), &[]);
        for ip in ["198.51.100.1", "8.8.8.8", "172.32.0.1", "2001:db8::1", "2a00:1450::1"] {
            assert!(peers.admits_ip(&addr(ip)) && peers.admits_port(&addr(ip)), "{ip}");
        }
    }

    #[test]
    fn what_the_operator_names_is_allowed_in_every_form_it_was_named_in() {
        let allow_peers = vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let peers = peers(&Config { allow_peers, ..Config::default() }, &[]);
        for (ip, admitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::10.1.2.3", true),
            ("127.0.0.1", true),
            ("10.2.2.3", false),
            ("127.0.0.2", false),
            // The wrapping itself is denied.
            ("::127.0.0.1", false),
            ("2002:a01:203::", false),
        ] {
            assert_eq!(peers.admits_ip(&addr(ip)), admitted, "{ip}");
        }
    }

    #[test]
    fn of_this_node_only_relayed_addresses_are_reached() {
        let relay = Relay {
            listen: "10.0.0.5".parse().unwrap(),
            external: Some("198.51.100.5".parse().unwrap()),
        };
        let config = Config { relays: vec![relay], ..Config::default() };
        let listeners = ["10.0.0.5:7840", "10.0.0.5:50001", "0.0.0.0:50002", "10.9.9.9:9100"];
        let peers = peers(&config, &listeners);
        (50_000..50_003).for_each(|port| peers.relayed.give(Family::V4, port));
        for ip in ["198.51.100.5", "10.0.0.5"] {
            assert!(peers.admits_ip(&addr(ip)), "{ip}");
            for (port, admitted) in [
                (0, false),
                (22, false),
                (7_840, false),
                (49_152, false),
                (50_000, true),
                (50_001, false),
                (50_002, false),
            ] {
                assert_eq!(
                    peers.admits_port(&at(&format!("{ip}:{port}"))),
                    admitted,
                    "{ip}:{port}"
                );
            }
        }
        for listener in ["10.0.0.5:50001", "198.51.100.5:50001"] {
            assert!(!peers.admits_port(&at(listener)), "{listener}, in the range of relayed ports");
        }
        assert!(!peers.admits_port(&at("10.9.9.9:22")), "beside a listener");
        assert!(!peers.admits_ip(&addr("10.9.9.9")));
    }

    #[test]
    fn a_relay_on_loopback_admits_loopback_only_by_name() {
        let relays = vec![Relay { listen: "127.0.0.1".parse().unwrap(), external: None }];
        let config = Config { relays, ..Config::default() };
        assert!(!peers(&config, &[]).admits_ip(&addr("127.0.0.1")));
        let config = Config { allow_peers: vec!["127.0.0.0/8".parse().unwrap()], ..config };
        let peers = peers(&config, &["127.0.0.1:7840"]);
        assert!(peers.admits_ip(&addr("127.0.0.1")) && peers.admits_port(&at("127.0.0.1:22")));
        assert!(
            !peers.admits_port(&at("127.0.0.1:7840")),
            "a listener is no peer, whatever is allowed"
        );
    }
}
