//! What cannot be in the part `[turn]` of a configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use elara_core::Cidr;
use elara_core::limits::{
    TURN_ALLOW_PEERS_MAX, TURN_BYTES_PER_S, TURN_PORT_MIN, TURN_REALM_MAX, TURN_SECRETS_MAX,
    TURN_USERS_MAX,
};

/// A setting of TURN that cannot be. No secret is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnError {
    /// It is to be served, and nobody could use it.
    NoCredential,
    /// The realm is empty, too long, or has a character that no realm has.
    Realm,
    /// There are more secrets than are tried.
    Secrets {
        /// How many there are.
        count: usize,
    },
    /// One secret stands there twice.
    SecretTwice {
        /// Where the second one stands, from 0.
        index: usize,
    },
    /// There are more users than are kept.
    Users {
        /// How many there are.
        count: usize,
    },
    /// Two users have one name.
    UserTwice {
        /// Where the second one stands, from 0.
        index: usize,
    },
    /// No address says where to relay from.
    NoRelay {
        /// Where the node listens.
        listen: SocketAddr,
    },
    /// No socket can be reached at that relay address.
    RelayAddress {
        /// The address.
        addr: IpAddr,
        /// Where it stands, from 0.
        index: usize,
    },
    /// A relay address is not this machine's: nothing can be bound there.
    RelayElsewhere {
        /// The address.
        addr: IpAddr,
    },
    /// Two relay addresses are of one family.
    RelayTwice {
        /// The second one.
        addr: IpAddr,
        /// Where it stands, from 0.
        index: usize,
    },
    /// Nothing can be reached at that external address.
    ExternalAddress {
        /// The address.
        addr: IpAddr,
        /// Where it stands, from 0.
        index: usize,
    },
    /// Two external addresses are of one family.
    ExternalTwice {
        /// The second one.
        addr: IpAddr,
        /// Where it stands, from 0.
        index: usize,
    },
    /// An external address stands for no relay address.
    ExternalOfNone {
        /// The external address.
        addr: IpAddr,
        /// Where it stands, from 0.
        index: usize,
    },
    /// The ports are none, or among those that others have.
    Ports {
        /// The first one.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// An allocation would live longer by default than it may.
    LifetimeUpsideDown {
        /// `lifetime`.
        lifetime: u32,
        /// `lifetime_max`.
        max: u32,
    },
    /// The rate is too low to keep a call alive.
    BytesPerSecond {
        /// What it was.
        value: u64,
    },
    /// There are more blocks of allowed peers than are looked at.
    AllowPeers {
        /// How many there are.
        count: usize,
    },
    /// A block of allowed peers holds more than one that is denied.
    AllowPeer {
        /// The block.
        block: Cidr,
        /// The block that is denied.
        denied: Cidr,
        /// Where it stands, from 0.
        index: usize,
    },
    /// A relay that does not serve TURN is told to open it.
    Opens,
    /// A relay that serves TURN is told to close it.
    Closes,
}

impl TurnError {
    /// The key of the setting that must change, as a configuration file has it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NoCredential | Self::Opens | Self::Closes => "turn.enabled",
            Self::Realm => "turn.realm",
            Self::Secrets { .. } | Self::SecretTwice { .. } => "turn.secrets",
            Self::Users { .. } | Self::UserTwice { .. } => "turn.users",
            Self::NoRelay { .. }
            | Self::RelayAddress { .. }
            | Self::RelayElsewhere { .. }
            | Self::RelayTwice { .. } => "turn.relay",
            Self::ExternalAddress { .. }
            | Self::ExternalTwice { .. }
            | Self::ExternalOfNone { .. } => "turn.external_ip",
            Self::Ports { .. } => "turn.ports",
            Self::LifetimeUpsideDown { .. } => "turn.lifetime",
            Self::BytesPerSecond { .. } => "turn.bytes_per_second",
            Self::AllowPeers { .. } | Self::AllowPeer { .. } => "turn.allow_peers",
        }
    }
}

impl fmt::Display for TurnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredential => f.write_str(
                "turn.enabled = true, and nobody could use it: name a file made by elara keygen turn in \
                 turn.secrets, or a line of elara turn user in turn.users",
            ),
            Self::Realm => write!(
                f,
                "turn.realm must have 1 to {TURN_REALM_MAX} bytes, no quote and no control character"
            ),
            Self::Secrets { count } => write!(
                f,
                "turn.secrets has {count} secrets: at most {TURN_SECRETS_MAX}, because each is tried; leave \
                 out those whose credentials have run out"
            ),
            Self::SecretTwice { .. } => {
                f.write_str("turn.secrets has the same secret twice: leave the second one out")
            }
            Self::Users { count } => write!(
                f,
                "turn.users has {count} users: at most {TURN_USERS_MAX}; give the others credentials that \
                 a secret signs (turn.secrets, elara turn user --secret)"
            ),
            Self::UserTwice { .. } => {
                f.write_str("turn.users has one name twice: leave one of the two out")
            }
            Self::NoRelay { listen } => write!(
                f,
                "turn.relay is not set, and listen = {listen} names no single address: write an address \
                 of this machine, such as relay = [\"192.0.2.1\"], one for IPv4 and one for IPv6 at most"
            ),
            Self::RelayAddress { addr, .. } => write!(
                f,
                "turn.relay has {addr}, at which no peer reaches anything: write an address of this machine"
            ),
            Self::RelayElsewhere { addr } => write!(
                f,
                "turn.relay has {addr}, which is no address of this machine: ip address shows those that \
                 are; a public address that a NAT maps to one of them stands in turn.external_ip"
            ),
            Self::RelayTwice { addr, .. } => write!(
                f,
                "turn.relay has {addr} as a second {} address: at most one of each family",
                family(*addr)
            ),
            Self::ExternalAddress { addr, .. } => write!(
                f,
                "turn.external_ip has {addr}, at which no peer reaches anything: write the address that \
                 others see"
            ),
            Self::ExternalTwice { addr, .. } => write!(
                f,
                "turn.external_ip has {addr} as a second {} address: at most one of each family, as in \
                 turn.relay",
                family(*addr)
            ),
            Self::ExternalOfNone { addr, .. } => write!(
                f,
                "turn.external_ip has {addr}, which stands for no address of turn.relay: the two must be of \
                 one family, and what is left of = one of turn.relay"
            ),
            Self::Ports { first, last } => write!(
                f,
                "turn.ports = \"{first}-{last}\" cannot be: the first port must be at least {TURN_PORT_MIN} \
                 and not above the last one, such as \"49152-65535\""
            ),
            Self::LifetimeUpsideDown { lifetime, max } => {
                write!(f, "turn.lifetime = {lifetime} must not be more than turn.lifetime_max = {max}")
            }
            Self::BytesPerSecond { value } => write!(
                f,
                "turn.bytes_per_second = {value} is too low to keep a call alive: 0 for no limit, or at \
                 least {}",
                TURN_BYTES_PER_S.min
            ),
            Self::AllowPeers { count } => write!(
                f,
                "turn.allow_peers has {count} blocks of addresses: at most {TURN_ALLOW_PEERS_MAX}"
            ),
            Self::AllowPeer { block, denied, .. } => write!(
                f,
                "turn.allow_peers has {block}, which would lift all of {denied} and more: name the blocks \
                 you mean; peers that are not denied need no entry"
            ),
            Self::Opens => f.write_str(
                "turn has credentials now, or turn.enabled is true: a relay that runs cannot open TURN; \
                 restart it",
            ),
            Self::Closes => f.write_str(
                "turn has no credentials any more, or turn.enabled is false: a relay that runs cannot \
                 close TURN; restart it",
            ),
        }
    }
}

fn family(addr: IpAddr) -> &'static str {
    if addr.to_canonical().is_ipv4() { "IPv4" } else { "IPv6" }
}
