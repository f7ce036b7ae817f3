//! SIGHUP: who may enter by wire v1 and who may use TURN is read again, and the shards go by it; all else
//! takes a restart.

use std::net::SocketAddr;
use std::path::PathBuf;

use elara_runtime::{HandleError, NodeConfig, NodeHandle, TurnConfig};

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
                "{shown} has changed since the start outside [v1] and what is read again of [turn]: that \
                 acts after a restart"
            ));
        }
        if let Some(dev) = dev {
            dev.open(&mut config.v1);
        }
        let complain = |error, stays| match error {
            HandleError::Config(error) => say::complaint(&format!("{shown}: {error}; {stays}")),
            error => say::complaint(&format!("{shown} was read, and {error}")),
        };
        if let Err(error) = handle.replace_access(&config.v1).await {
            return complain(error, "all is as before");
        }
        if let Err(error) = handle.replace_turn(&config).await {
            return complain(
                error,
                "who may use TURN is as before, who may enter has been replaced",
            );
        }
        say::fact(format_args!("read {shown} again: {}", counts(&config)));
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
    TurnConfig {
        relay: stays.relay,
        external_ip: stays.external_ip,
        ports: stays.ports,
        allocations: stays.allocations,
        channel_range: stays.channel_range,
        ..then.clone()
    }
}

/// How much of everything there is.
fn counts(config: &NodeConfig) -> String {
    let NodeConfig { v1, turn, .. } = config;
    let mut all = vec![
        (v1.relay_keys.len(), "relay key"),
        (v1.issuers.len(), "issuer"),
        (v1.bans.len(), "ban"),
    ];
    if turn.is_open() {
        all.extend([(turn.secrets.len(), "TURN secret"), (turn.users.len(), "TURN user")]);
    }
    let count = |(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    all.into_iter().map(count).collect::<Vec<String>>().join(", ")
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
        assert_eq!(counts(&now), "0 relay keys, 0 issuers, 1 ban");
        now.turn.users.push(TurnUser::new("ada", "elara", "lovelace").unwrap());
        now.turn.channels = 7;
        assert!(!reload.needs_restart(&now));
        assert!(counts(&now).ends_with(", 1 ban, 0 TURN secrets, 1 TURN user"), "{}", counts(&now));
        now.turn.allocations = 7;
        assert!(reload.needs_restart(&now));
        now.turn.allocations = reload.read.turn.allocations;
        assert!(!reload.needs_restart(&now));
        now.max_peers += 1;
        assert!(reload.needs_restart(&now));
    }
}
