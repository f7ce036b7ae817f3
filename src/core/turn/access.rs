//! What a server goes by: its configuration, and what credentials are checked with.
//!
//! Made by control, once for all shards of a node, and never changed: a reload replaces the whole. So no
//! shard derives keys while datagrams wait; nor does it free a long list of users, as long as control keeps
//! the old one until all shards have the new one.

use alloc::sync::Arc;

use super::config::Config;
use super::credentials::Credentials;
use super::relayed::Relayed;
use super::server::Keys;
use crate::keyed::Keyed;

/// Who may use a server, and how.
#[derive(Clone, Debug)]
pub struct Access {
    pub(super) config: Arc<Config>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) relayed: Arc<Relayed>,
}

impl Access {
    /// As `config` says.
    ///
    /// # Panics
    /// When [`Config::check`] would refuse the configuration.
    #[must_use]
    pub fn new(config: Arc<Config>, keys: &Keys) -> Self {
        Self::beside(Arc::default(), config, keys)
    }

    fn beside(relayed: Arc<Relayed>, config: Arc<Config>, keys: &Keys) -> Self {
        if let Err(error) = config.check() {
            panic!("a configuration is checked before it is used: {error}");
        }
        let credentials = Credentials::new(&config, Keyed(keys.hash.0, keys.hash.1));
        Self { config, credentials: Arc::new(credentials), relayed }
    }

    /// What a server that goes by this may go by next. Relays and their ports, the numbers of channels, and
    /// how many allocations there may be stay: tables have been made for them.
    ///
    /// # Panics
    /// As [`Access::new`].
    #[must_use]
    pub fn renewed(&self, config: &Config, keys: &Keys) -> Self {
        let Config { relays, ports, channel_range, allocations_max, .. } = &*self.config;
        let config = Config {
            relays: relays.clone(),
            ports: ports.clone(),
            channel_range: *channel_range,
            allocations_max: *allocations_max,
            ..config.clone()
        };
        Self::beside(Arc::clone(&self.relayed), Arc::new(config), keys)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
