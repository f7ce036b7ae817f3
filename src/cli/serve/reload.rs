//! SIGHUP: who may enter by wire v1 is read again, and the shards go by it; all else takes a restart.

use std::net::SocketAddr;
use std::path::PathBuf;

use elara_runtime::{HandleError, NodeConfig, NodeHandle, V1Config};

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
        let stays = "who may enter is as before";
        let mut config = match file::read(&self.path, self.listen) {
            Ok(config) => config,
            Err(sentence) => return say::complaint(&format!("{sentence}; {stays}")),
        };
        if self.needs_restart(&config) {
            say::complaint(&format!(
                "{shown} has changed outside [v1] since the start: that acts after a restart"
            ));
        }
        if let Some(dev) = dev {
            dev.open(&mut config.v1);
        }
        match handle.replace_access(&config.v1).await {
            Ok(()) => say::fact(format_args!("read {shown} again: {}", counts(&config.v1))),
            Err(HandleError::Config(error)) => {
                say::complaint(&format!("{shown}: {error}; {stays}"));
            }
            Err(error) => say::complaint(&format!("{shown} was read, and {error}")),
        }
    }

    fn needs_restart(&self, now: &NodeConfig) -> bool {
        // A file without a node id gets a fresh one at every reading.
        let comparable =
            NodeConfig { node_id: self.read.node_id, v1: self.read.v1.clone(), ..now.clone() };
        comparable != self.read
    }
}

/// How much of everything there is.
fn counts(v1: &V1Config) -> String {
    let count =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let keys = count(v1.relay_keys.len(), "relay key");
    format!("{keys}, {}, {}", count(v1.issuers.len(), "issuer"), count(v1.bans.len(), "ban"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_acts_after_a_restart_is_said_to() {
        let read = NodeConfig::default();
        let reload = Reload { path: PathBuf::new(), listen: None, read: read.clone() };
        let mut now = NodeConfig { node_id: NodeConfig::default().node_id, ..read };
        now.v1.bans.insert([1; 32]);
        assert!(!reload.needs_restart(&now));
        assert_eq!(counts(&now.v1), "0 relay keys, 0 issuers, 1 ban");
        now.max_peers += 1;
        assert!(reload.needs_restart(&now));
    }
}
