//! What a node is told before it starts. Every field has a default; every number has bounds, kept in
//! [`elara_core::limits`] and checked by [`NodeConfig::validate`].

mod turn;
mod v1;

use std::net::{Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use elara_core::limits::{
    self, LADDER_DELAY_DOWN_MS, LADDER_HOLD_UP_MS, LADDER_LOSS_DOWN_PERMILLE,
    LADDER_LOSS_UP_PERMILLE, PEERS_PER_SESSION_DEFAULT, PEERS_PER_SESSION_MAX,
};
use elara_core::{Cidr, NodeId};
use elara_shards::io::Choice;

pub use self::turn::{BadExternalIp, BadUser, ExternalIp, TurnConfig, TurnUser};
pub use self::v1::V1Config;

use crate::error::ConfigError;

/// The UDP port a node listens on when nothing else is said.
const PORT: u16 = 7840;

/// How a node is set up.
///
/// ```
/// use elara_runtime::NodeConfig;
///
/// let config = NodeConfig { max_peers: 50, ..Default::default() };
/// assert!(config.validate().is_ok());
/// let error = NodeConfig { max_peers: 1, ..config }.validate().unwrap_err();
/// assert_eq!(error.to_string(), "max_peers = 1 is out of range: it must be 2 to 10000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's own label. Default: a fresh random one. Zero is refused: it is what a forgotten field
    /// looks like.
    pub node_id: NodeId,
    /// Where to listen, UDP. Default: `[::]:7840`, all interfaces, IPv6 and IPv4. Port 0 takes a free
    /// one; [`Node::local_addr`](crate::Node::local_addr) tells which.
    pub bind_addr: SocketAddr,
    /// Participants one session may have. Default 1,000; 2 to 10,000. One more is refused and counted
    /// as `session_full`.
    pub max_peers: usize,
    /// Notices a [`Notices`](crate::Notices) receiver may have waiting; beyond that it loses the
    /// oldest, and is told how many. Rounded up to a power of two. Default 1,024; 1 to 1,048,576.
    pub event_buffer_size: usize,
    /// Predicted events that may pile up in a session before they are dropped; 0 predicts nothing.
    /// Default 1,024; 0 to 1,048,576. Checked today; acts from the streams milestone.
    pub prediction_entropy: u64,
    /// When a receiver's quality falls and climbs. Checked today; acts from the streams milestone.
    pub degradation_config: DegradationConfig,
    /// What the data plane runs on. Default [`Choice::Auto`]: io_uring where the kernel allows it.
    pub io: Choice,
    /// Shards: threads with sessions of their own. Default 0: one per cpu this process may run on; 0 to
    /// 256.
    pub shards: usize,
    /// Who may enter by wire v1. Default: nobody.
    pub v1: V1Config,
    /// Whether whoever asks is told the address it speaks from (STUN Binding, RFC 8489). Default: yes; the
    /// answers are few for one network, and hardly longer than the questions.
    pub stun: bool,
    /// Who may use TURN, and how much of it. Default: nobody.
    pub turn: TurnConfig,
    /// Service for older wire formats. Default: none.
    pub compat: Compat,
    /// Where the node answers `/livez` and `/metrics` over HTTP: a loopback address, because it asks
    /// nobody who they are. Default: nowhere. Port 0 takes a free one;
    /// [`Node::admin_addr`](crate::Node::admin_addr) tells which.
    pub admin: Option<SocketAddr>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            node_id: NodeId::generate(),
            bind_addr: SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
            max_peers: PEERS_PER_SESSION_DEFAULT,
            event_buffer_size: limits::NOTICES_DEFAULT,
            prediction_entropy: limits::PREDICTION_ENTROPY_DEFAULT,
            degradation_config: DegradationConfig::default(),
            io: Choice::Auto,
            shards: 0,
            v1: V1Config::default(),
            stun: true,
            turn: TurnConfig::default(),
            compat: Compat::default(),
            admin: None,
        }
    }
}

/// The thresholds of the degradation ladder: when one receiver is sent less, and when more again.
///
/// Level 0 is everything it subscribed to, level 5 only what must never be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DegradationConfig {
    /// The deepest level a receiver may be taken to. Default 5; 0 (never degrade) to 5.
    pub floor_level: u8,
    /// Loss that takes a receiver down a level, in thousandths. Default 50; 1 to 500.
    pub loss_down_permille: u16,
    /// Loss below which a receiver may climb, in thousandths. Default 10; 0 to 499, and less than
    /// `loss_down_permille`.
    pub loss_up_permille: u16,
    /// Queueing delay that takes a receiver down a level, in milliseconds. Default 150; 10 to 2,000.
    pub delay_down_ms: u32,
    /// How long a receiver must be well before it climbs a level, in milliseconds. Default 5,000; 1,000
    /// to 60,000.
    pub hold_up_ms: u32,
}

impl Default for DegradationConfig {
    fn default() -> Self {
        Self {
            floor_level: limits::LADDER_LEVEL_MAX as u8,
            loss_down_permille: LADDER_LOSS_DOWN_PERMILLE.default as u16,
            loss_up_permille: LADDER_LOSS_UP_PERMILLE.default as u16,
            delay_down_ms: LADDER_DELAY_DOWN_MS.default as u32,
            hold_up_ms: LADDER_HOLD_UP_MS.default as u32,
        }
    }
}

/// Service for older wire formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compat {
    /// Whom wire v0 is served for. Default: nobody.
    pub v0: V0Compat,
    /// v0 participants one IP address may have on one shard; loopback has no limit. Default 64; 1 to
    /// 65,536. One more is refused and counted as `ip_full`.
    pub v0_per_ip: usize,
}

impl Default for Compat {
    fn default() -> Self {
        Self { v0: V0Compat::Off, v0_per_ip: limits::V0_PER_IP_DEFAULT }
    }
}

/// Whom wire v0 is served for.
///
/// v0 has no proof of who sends, so a relay that speaks it reflects whatever it is sent to whoever a
/// forged source address names. That is harmless on a private network and a weapon on a public one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum V0Compat {
    /// Nobody: every v0 datagram is refused and counted as `v0_closed`.
    #[default]
    Off,
    /// Senders in these blocks of addresses.
    Open {
        /// 1 to 64 blocks, all of them loopback or private unless `open_public` is set.
        cidrs: Vec<Cidr>,
        /// Allows public blocks. The node warns at every start.
        open_public: bool,
    },
}

impl V0Compat {
    /// Open for this machine only, which is always safe.
    #[must_use]
    pub fn loopback() -> Self {
        Self::Open { cidrs: Cidr::LOOPBACK.to_vec(), open_public: false }
    }

    /// The blocks it is open for.
    #[must_use]
    pub fn blocks(&self) -> &[Cidr] {
        match self {
            Self::Off => &[],
            Self::Open { cidrs, .. } => cidrs,
        }
    }
}

impl NodeConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that cannot be, with its key and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.node_id == NodeId(0) {
            return Err(ConfigError::NodeIdZero);
        }
        for (key, value) in self.numbers() {
            Self::check(key, i128::from(value))?;
        }
        let ladder = &self.degradation_config;
        if ladder.loss_up_permille >= ladder.loss_down_permille {
            return Err(ConfigError::LadderUpsideDown {
                up: ladder.loss_up_permille,
                down: ladder.loss_down_permille,
            });
        }
        if let Some(addr) = self.admin.filter(|addr| !addr.ip().to_canonical().is_loopback()) {
            return Err(ConfigError::AdminPublic { addr });
        }
        self.v1.validate()?;
        self.turn.validate(self.bind_addr)?;
        let V0Compat::Open { cidrs, open_public } = &self.compat.v0 else { return Ok(()) };
        if cidrs.is_empty() || cidrs.len() > limits::V0_OPEN_BLOCKS_MAX {
            return Err(ConfigError::V0Blocks { count: cidrs.len() });
        }
        match cidrs.iter().find(|block| !block.is_private()) {
            Some(block) if !open_public => Err(ConfigError::V0Public { block: *block }),
            _ => Ok(()),
        }
    }

    /// What the number under `key` may be, `key` as a configuration file has it (`max_peers`,
    /// `degradation_config.hold_up_ms`); `None` when no number has that key.
    #[must_use]
    pub fn bounds(key: &str) -> Option<RangeInclusive<u64>> {
        Some(match key {
            "max_peers" => 2..=PEERS_PER_SESSION_MAX as u64,
            "event_buffer_size" => 1..=limits::NOTICES_MAX as u64,
            "prediction_entropy" => 0..=limits::PREDICTION_ENTROPY_MAX,
            "shards" => 0..=limits::SHARDS_MAX as u64,
            "v1.issuers.kid" => 0..=u16::MAX as u64,
            "compat.v0_per_ip" => 1..=limits::V0_PER_IP_MAX as u64,
            "degradation_config.floor_level" => 0..=limits::LADDER_LEVEL_MAX,
            "degradation_config.loss_down_permille" => range(LADDER_LOSS_DOWN_PERMILLE),
            "degradation_config.loss_up_permille" => range(LADDER_LOSS_UP_PERMILLE),
            "degradation_config.delay_down_ms" => range(LADDER_DELAY_DOWN_MS),
            "degradation_config.hold_up_ms" => range(LADDER_HOLD_UP_MS),
            _ => return TurnConfig::bounds(key),
        })
    }

    /// Every number with its key, in the order a person would check them.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, u64); 17] {
        let ladder = &self.degradation_config;
        let [lifetime, lifetime_max, allocations, per_user, permissions, channels, bytes] =
            self.turn.numbers();
        [
            ("shards", self.shards as u64),
            ("max_peers", self.max_peers as u64),
            ("event_buffer_size", self.event_buffer_size as u64),
            ("prediction_entropy", self.prediction_entropy),
            ("degradation_config.floor_level", u64::from(ladder.floor_level)),
            ("degradation_config.loss_down_permille", u64::from(ladder.loss_down_permille)),
            ("degradation_config.loss_up_permille", u64::from(ladder.loss_up_permille)),
            ("degradation_config.delay_down_ms", u64::from(ladder.delay_down_ms)),
            ("degradation_config.hold_up_ms", u64::from(ladder.hold_up_ms)),
            lifetime,
            lifetime_max,
            allocations,
            per_user,
            permissions,
            channels,
            bytes,
            ("compat.v0_per_ip", self.compat.v0_per_ip as u64),
        ]
    }

    /// Checks one number, which may be what no field could hold (a negative one from a file).
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    ///
    /// # Panics
    /// When no number has the key `key`.
    pub fn check(key: &'static str, value: i128) -> Result<u64, ConfigError> {
        let bounds = Self::bounds(key).unwrap_or_else(|| panic!("{key} has bounds"));
        match u64::try_from(value) {
            Ok(value) if bounds.contains(&value) => Ok(value),
            _ => Err(ConfigError::OutOfRange {
                key,
                value,
                min: *bounds.start(),
                max: *bounds.end(),
            }),
        }
    }
}

/// The index of the first item whose name an earlier one has.
fn second<T, N: PartialEq>(items: &[T], name: impl Fn(&T) -> &N) -> Option<usize> {
    (1..items.len())
        .find(|index| items[..*index].iter().any(|earlier| name(earlier) == name(&items[*index])))
}

const fn range(range: limits::Range) -> RangeInclusive<u64> {
    range.min..=range.max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(blocks: &[&str], open_public: bool) -> NodeConfig {
        let cidrs = blocks.iter().map(|block| block.parse().unwrap()).collect();
        let compat = Compat { v0: V0Compat::Open { cidrs, open_public }, ..Compat::default() };
        NodeConfig { compat, ..NodeConfig::default() }
    }

    #[test]
    fn the_default_is_sound_and_serves_v0_to_nobody() {
        let config = NodeConfig::default();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.bind_addr.to_string(), "[::]:7840");
        assert_eq!(config.compat.v0, V0Compat::Off);
        assert_ne!(config.node_id, NodeConfig::default().node_id, "every default is a new node");
    }

    #[test]
    fn every_number_has_bounds_that_hold_on_both_sides() {
        for (key, default) in NodeConfig::default().numbers() {
            let bounds = NodeConfig::bounds(key).unwrap();
            let (min, max) = (i128::from(*bounds.start()), i128::from(*bounds.end()));
            assert!(bounds.contains(&default), "{key}");
            let allowed = |value| NodeConfig::check(key, value).is_ok();
            assert!(allowed(min) && allowed(max), "{key}");
            assert!(!allowed(min - 1) && !allowed(max + 1), "{key}");
        }
        assert_eq!(NodeConfig::bounds("maximum_peers"), None);
    }

    #[test]
    fn node_zero_is_nobody() {
        let config = NodeConfig { node_id: NodeId(0), ..NodeConfig::default() };
        assert_eq!(config.validate(), Err(ConfigError::NodeIdZero));
    }

    #[test]
    fn a_ladder_must_fall_before_it_climbs() {
        let mut config = NodeConfig::default();
        config.degradation_config.loss_up_permille = 50;
        assert_eq!(config.validate(), Err(ConfigError::LadderUpsideDown { up: 50, down: 50 }));
    }

    #[test]
    fn v0_opens_to_the_public_only_when_asked_twice() {
        assert_eq!(open(&["10.0.0.0/8", "fd00::/8"], false).validate(), Ok(()));
        let block = "0.0.0.0/0".parse().unwrap();
        let public = open(&["10.0.0.0/8", "0.0.0.0/0"], false);
        assert_eq!(public.validate(), Err(ConfigError::V0Public { block }));
        assert_eq!(open(&["0.0.0.0/0"], true).validate(), Ok(()));
    }

    #[test]
    fn v0_opens_for_one_block_up_to_sixty_four() {
        assert_eq!(open(&[], false).validate(), Err(ConfigError::V0Blocks { count: 0 }));
        assert_eq!(open(&["10.0.0.0/8"; 64], false).validate(), Ok(()));
        let many = open(&["10.0.0.0/8"; 65], false);
        assert_eq!(many.validate(), Err(ConfigError::V0Blocks { count: 65 }));
    }
}
