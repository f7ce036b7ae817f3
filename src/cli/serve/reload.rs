//! SIGHUP: who may enter by wire v1 and who may use TURN is read again, and the shards go by it; all else
//! takes a restart.

use std::net::SocketAddr;
use std::path::PathBuf;

use elara_runtime::{HandleError, NodeConfig, NodeHandle, TurnConfig, V1Config};

use super::super::{file, say};
use super::dev::Dev;

/// What is read again, and what it said before.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    /// What the flag says about where to listen.
    pub(super) listen: Option<SocketAddr>,
    /// The file as it was read at the start.
    pub(super) read: NodeConfig,
}

impl Reload {
    /// Reads the file and the key files it names. When anything is wrong with them, it says so and all
    /// stays as it was.
    pub(super) async fn again(&self, handle: &NodeHandle, dev: Option<&Dev>) {
        let shown = self.path.display();
        let mut config = match file::read(&self.path, self.listen) {
            Ok(config) => config,
            Err(sentence) => return say::complaint(&format!("{sentence}; all is as before")),
        };
        if self.needs_restart(&config) {
            say::complaint(&format!(
                "{shown} has changed since the start outside [v1] and what is read again of [turn], or \
                 opens or closes TURN: that acts after a restart"
            ));
        }
        if let Some(dev) = dev {
            dev.open(&mut config.v1);
        }
        let complain = |error, who| match error {
            HandleError::Config(error) => {
                say::complaint(&format!("{shown}: {error}; who may {who} is as before"));
            }
            error => say::complaint(&format!("{shown} was read, and {error}")),
        };
        let mut read = Vec::new();
        match handle.replace_access(&config.v1).await {
            Ok(()) => read.extend(entrants(&config.v1)),
            Err(error) => complain(error, "enter"),
        }
        if config.turn.is_open() && self.read.turn.is_open() {
            match handle.replace_turn(&config).await {
                Ok(()) => read.extend(users(&config.turn)),
                Err(error) => complain(error, "use TURN"),
            }
        }
        if !read.is_empty() {
            say::fact(format_args!("read {shown} again: {}", read.join(", ")));
        }
    }

    fn needs_restart(&self, now: &NodeConfig) -> bool {
        // A file without a node id gets a fresh one at every reading.
        let node_id = self.read.node_id;
        let (v1, turn) = (self.read.v1.clone(), as_read_again(&self.read.turn, &now.turn));
        NodeConfig { node_id, v1, turn, ..now.clone() } != self.read
    }
}

/// What `now` is, but for what is read again, which is as in `then`.
fn as_read_again(then: &TurnConfig, now: &TurnConfig) -> TurnConfig {
    let stays = now.clone();
    if then.is_open() != now.is_open() {
        return stays;
    }
    TurnConfig {
        relay: stays.relay,
        external_ip: stays.external_ip,
        ports: stays.ports,
        allocations: stays.allocations,
        channel_range: stays.channel_range,
        ..then.clone()
    }
}

/// How much there is of what says who may enter.
fn entrants(v1: &V1Config) -> [String; 3] {
    let V1Config { relay_keys, issuers, bans } = v1;
    [count(relay_keys.len(), "relay key"), count(issuers.len(), "issuer"), count(bans.len(), "ban")]
}

/// How much there is of what says who may use TURN.
fn users(turn: &TurnConfig) -> [String; 2] {
    [count(turn.secrets.len(), "TURN secret"), count(turn.users.len(), "TURN user")]
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use elara_runtime::TurnUser;

    use super::*;

    #[test]
    fn only_what_acts_after_a_restart_is_said_to() {
        let read = NodeConfig::default();
        let reload = Reload { path: PathBuf::new(), listen: None, read: read.clone() };
        let mut now = NodeConfig { node_id: NodeConfig::default().node_id, ..read };
        now.v1.bans.insert([1; 32]);
        assert!(!reload.needs_restart(&now));
        assert_eq!(entrants(&now.v1), ["0 relay keys", "0 issuers", "1 ban"]);
        now.turn.channels = 7;
        assert!(!reload.needs_restart(&now));
        let closed = now.clone();
        now.turn.users.push(TurnUser::new("ada", "elara", "lovelace").unwrap());
        assert_eq!(users(&now.turn), ["0 TURN secrets", "1 TURN user"]);
        assert!(reload.needs_restart(&now), "it opens TURN");
        now = closed;
        now.turn.allocations = 7;
        assert!(reload.needs_restart(&now));
        now.turn.allocations = reload.read.turn.allocations;
        assert!(!reload.needs_restart(&now));
        now.max_peers += 1;
        assert!(reload.needs_restart(&now));
    }
}
